import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.markers import MarkerStyle

from course_lib.geometry import boundary_segment
from course_lib.plotting import arrows, boundaries, curves, drift, fits, heatmap, panels, paths
from course_lib.training import History

mpl.use("Agg")

XLIM, YLIM = (-1.0, 5.0), (-2.0, 3.0)
X = torch.tensor([[3.0, 2.0], [1.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
Y = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
CLASSIFIERS = {
    "diagonal": (torch.tensor([1.0, 1.0]), torch.tensor(-2.0)),
    "steep": (torch.tensor([3.0, 1.0]), torch.tensor(-4.0)),
    "vertical": (torch.tensor([1.0, 0.0]), -2.0),
    "horizontal": (torch.tensor([0.0, 2.0]), -1.0),
    "falling": (torch.tensor([-1.0, 2.0]), 0.5),
    "flat": (torch.tensor([0.1, 2.0]), 0.5),
}


def history(n_epochs=8, seed=0):
    """A run whose boundary crosses the picture after every epoch."""
    turn = torch.linspace(0, 1, n_epochs) + seed
    weight = torch.stack([turn.cos(), -turn.sin()], dim=1) * torch.linspace(1, 2, n_epochs)[:, None]
    bias = -weight @ torch.tensor([2.0, 0.5])
    parameters = {"linear.weight": weight[:, None], "linear.bias": bias[:, None]}
    return History(torch.linspace(0.7, 0.1, n_epochs, dtype=torch.float64), parameters)


AXES = torch.linspace(-2, 3, 21), torch.linspace(-1, 1, 11, dtype=torch.float64)
MAP = (*AXES, AXES[0] ** 2 + 4 * AXES[1][:, None] ** 2)
TRACKS = {f"path {k}": torch.tensor([[2.5, 0.1 * k], [1.0, -0.1 * k], [0.0, 0.0]]) for k in range(6)}

TABLE = torch.tensor([[3e-16, 2e-7, 0.0], [0.0, 3e-8, 0.9], [1.0, 4e3, 2e-16], [3e-16, 3e-16, 3.3e-16]])
NAMES = ["SGD", "SGD with momentum", "Adam", "AdamW"]
COLUMNS = [("float64", "mean"), ("float64", "sum"), ("float32", "sum")]

VECTORS = {f"arrow {k}": (torch.tensor([0.5, -0.5]), [2.0, 0.1 * k]) for k in range(6)}
ROWS = torch.tensor([[1.5], [-1.0], [0.5], [4.0]]), torch.tensor([[2.0], [0.0], [-3.0], [1.0]])
LINES = {f"line {k}": (torch.tensor([[0.5 * k]]), torch.tensor([k - 1.0])) for k in range(6)}

CALLS = {
    "arrows": lambda: arrows(VECTORS, panels()[1]),
    "panels": lambda: panels(2),
    "boundaries": lambda: boundaries(X, Y, CLASSIFIERS, xlim=XLIM, ylim=YLIM),
    "drift": lambda: drift({"run": history()}, X, Y, epochs=[1, 5], xlim=XLIM, ylim=YLIM),
    "curves": lambda: curves({"a": ([0, 1], [1, 2])}, xlabel="x", ylabel="y"),
    "curves on log scales": lambda: curves(
        {"a": ([1, 10], [1, 100])}, xlabel="x", ylabel="y", xscale="log", yscale="log"
    ),
    "fits": lambda: fits(*ROWS, LINES),
    "heatmap": lambda: heatmap(TABLE, NAMES, COLUMNS),
    "paths": lambda: paths(*MAP, TRACKS, xlabel="x", ylabel="y"),
}


@pytest.fixture(autouse=True)
def _figures_closed():
    yield
    plt.close("all")


def assert_draws(line, ends):
    np.testing.assert_allclose(line.get_xydata(), ends, rtol=0, atol=1e-12)


def legend_labels(figure):
    """Return what the legends of a figure and of its axes say, all together."""
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes)]
    return [text.get_text() for legend in legends if legend for text in legend.get_texts()]


def marker_path(marker):
    style = MarkerStyle(marker)
    return style.get_path().transformed(style.get_transform()).vertices


def assert_shows_the_points(ax):
    """Label 1 as circles, label 0 as squares, in different colors, above the lines."""
    ones, zeros = ax.collections
    np.testing.assert_array_equal(ones.get_offsets(), X[Y == 1])
    np.testing.assert_array_equal(zeros.get_offsets(), X[Y == 0])
    assert (ones.get_label(), zeros.get_label()) == ("label 1", "label 0")
    np.testing.assert_array_equal(ones.get_paths()[0].vertices, marker_path("o"))
    np.testing.assert_array_equal(zeros.get_paths()[0].vertices, marker_path("s"))
    assert tuple(ones.get_facecolor()[0]) != tuple(zeros.get_facecolor()[0])
    assert min(ones.get_zorder(), zeros.get_zorder()) > max(line.get_zorder() for line in ax.lines)


def assert_told_apart(lines):
    assert len({line.get_color() for line in lines}) == len(lines)
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == len(lines)


def assert_clear_of_the_axis(ax):
    """The legend, which is below the axes, hides neither their ticks nor their name."""
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    assert legend.y0 >= 0
    for text in (ax.xaxis.label, *ax.get_xticklabels()):
        assert text.get_window_extent().y0 >= legend.y1


def assert_framed(ax):
    assert ax.get_xlim() == XLIM
    assert ax.get_ylim() == YLIM
    assert ax.get_aspect() == 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x_1$", "$x_2$")


@pytest.mark.parametrize("name", CALLS)
def test_the_global_style_is_left_as_it_was(name):
    before = mpl.rcParams.copy()
    CALLS[name]()
    assert mpl.rcParams == before


@pytest.mark.parametrize("name", CALLS)
def test_figures_are_opaque_and_white_whatever_the_global_style(name):
    with plt.rc_context({"figure.facecolor": "none"}):
        CALLS[name]()
    figure = plt.gcf()
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert all(ax.get_facecolor() == (1, 1, 1, 1) for ax in figure.axes)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=40)
    picture.seek(0)
    assert (plt.imread(picture)[..., 3] == 1).all()


def sizes(figure):
    """Return the size of the letters in legends, titles and names of axes, which exist before it is drawn."""
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes)]
    texts = [text for legend in legends if legend for text in legend.get_texts()]
    for ax in figure.axes:
        texts += [ax.title, ax.xaxis.label, ax.yaxis.label]
    return [text.get_fontsize() for text in texts]


@pytest.mark.parametrize("name", CALLS)
def test_letters_are_as_large_whatever_the_global_style(name):
    CALLS[name]()
    usual = sizes(plt.gcf())
    plt.close("all")
    with plt.rc_context({"font.size": 4, "legend.fontsize": 3, "axes.titlesize": 5}):
        CALLS[name]()
        assert sizes(plt.gcf()) == usual
    assert min(usual) >= 9


@pytest.mark.parametrize("name", CALLS)
def test_each_call_makes_one_figure_with_a_grid_and_without_top_and_right_frame(name):
    """A map has its own lines in place of the grid, and a table has cells."""
    CALLS[name]()
    assert len(plt.get_fignums()) == 1
    for ax in plt.gcf().axes:
        assert ax.yaxis.get_gridlines()[0].get_visible() == (name not in ("paths", "heatmap"))
        assert {side for side, spine in ax.spines.items() if spine.get_visible()} == {"left", "bottom"}


def test_panels_makes_rows_of_the_height_asked_for_and_always_as_wide():
    single, ax = panels(height=2.0)
    several, axes = panels(3, height=2.0)
    assert isinstance(ax, mpl.axes.Axes)
    assert axes.shape == (3,)
    assert single.get_size_inches().tolist() == [5.6, 2.0]
    assert several.get_size_inches().tolist() == [5.6, 6.0]
    assert panels()[0].get_size_inches().tolist() == [5.6, 3.2]


def test_panels_passes_options_on():
    _, axes = panels(2, ncols=3, sharex=True)
    assert axes.shape == (2, 3)
    axes[0, 0].set_xlim(0, 7)
    assert axes[1, 2].get_xlim() == (0, 7)


def test_boundaries_draws_each_classifiers_line_in_order():
    ax = boundaries(X, Y, CLASSIFIERS, xlim=XLIM, ylim=YLIM)
    assert [line.get_label() for line in ax.lines] == list(CLASSIFIERS)
    for line, (weight, bias) in zip(ax.lines, CLASSIFIERS.values(), strict=True):
        assert_draws(line, boundary_segment(weight, bias, XLIM, YLIM))


def test_boundaries_tells_six_lines_apart_by_dashes_and_by_color():
    ax = boundaries(X, Y, CLASSIFIERS, xlim=XLIM, ylim=YLIM)
    assert len({line.get_color() for line in ax.lines}) == 6
    assert len({str(line._unscaled_dash_pattern) for line in ax.lines}) == 6


def test_boundaries_draws_a_seventh_line():
    classifiers = {**CLASSIFIERS, "seventh": (torch.tensor([1.0, 0.0]), -3.0)}
    assert_draws(boundaries(X, Y, classifiers, xlim=XLIM, ylim=YLIM).lines[6], [[3, -2], [3, 3]])


def test_boundaries_names_lines_and_labels_in_the_legend():
    ax = boundaries(X, Y, CLASSIFIERS, xlim=XLIM, ylim=YLIM)
    assert legend_labels(ax.figure) == [*CLASSIFIERS, "label 1", "label 0"]


def test_boundaries_shows_the_points_in_a_frame_with_one_scale():
    ax = boundaries(X, Y, CLASSIFIERS, xlim=XLIM, ylim=YLIM, title="two classes")
    assert_shows_the_points(ax)
    assert_framed(ax)
    assert ax.get_title() == "two classes"


def test_a_boundary_outside_the_picture_is_named_but_draws_nothing():
    ax = boundaries(X, Y, {"far away": (torch.tensor([1.0, 0.0]), -50.0)}, xlim=XLIM, ylim=YLIM)
    assert ax.lines[0].get_xydata().shape == (0, 2)
    assert "far away" in legend_labels(ax.figure)
    assert_framed(ax)


def test_boundaries_and_curves_draw_into_the_axes_they_are_given():
    _, axes = panels(2)
    assert boundaries(X, Y, CLASSIFIERS, xlim=XLIM, ylim=YLIM, ax=axes[0]) is axes[0]
    assert curves({"a": ([0, 1], [1, 2])}, xlabel="x", ylabel="y", ax=axes[1]) is axes[1]
    assert [len(ax.lines) for ax in axes] == [6, 1]
    assert len(plt.get_fignums()) == 1


def test_drift_has_one_column_a_history_titled_with_its_name():
    histories = {"plain": history(), "decayed": history(seed=1), "third": history(seed=2)}
    axes = drift(histories, X, Y, epochs=[1, 5], xlim=XLIM, ylim=YLIM)
    assert axes.shape == (2, 3)
    assert [ax.get_title() for ax in axes[0]] == list(histories)


DIAGONAL = {"diagonal": CLASSIFIERS["diagonal"]}


@pytest.mark.parametrize("classifiers", [None, DIAGONAL])
def test_drift_draws_the_boundary_after_each_epoch_and_the_classifiers(classifiers):
    epochs, runs = [0, 2, 3, 7], {"plain": history(), "decayed": history(seed=0.2)}
    axes = drift(runs, X, Y, epochs=epochs, classifiers=classifiers, xlim=XLIM, ylim=YLIM)
    for ax, run in zip(axes[0], runs.values(), strict=True):
        assert len(ax.lines) == len(epochs) + (classifiers is not None)
        for line, epoch in zip(ax.lines, epochs, strict=False):
            weight, bias = run["linear.weight"][epoch, 0], run["linear.bias"][epoch, 0]
            assert_draws(line, boundary_segment(weight, bias, XLIM, YLIM))
        if classifiers is not None:
            assert_draws(ax.lines[-1], boundary_segment(*DIAGONAL["diagonal"], XLIM, YLIM))
            assert ax.lines[-1].get_linestyle() == "--"
            assert to_rgba(ax.lines[-1].get_color()) == (0, 0, 0, 1)
        assert {line.get_linestyle() for line in ax.lines[: len(epochs)]} == {"-"}


def test_drift_draws_every_classifier_however_many():
    many = {f"line {k}": CLASSIFIERS["diagonal"] for k in range(8)}
    ax = drift({"run": history()}, X, Y, epochs=[1], classifiers=many, xlim=XLIM, ylim=YLIM)[0, 0]
    assert [line.get_label() for line in ax.lines[1:]] == list(many)


@pytest.mark.parametrize("n_shown", range(2, 9))
def test_drift_fades_in_from_the_first_epoch_to_the_last(n_shown):
    ax = drift({"run": history()}, X, Y, epochs=range(n_shown), xlim=XLIM, ylim=YLIM)[0, 0]
    alphas = [line.get_alpha() for line in ax.lines]
    widths = [line.get_linewidth() for line in ax.lines]
    assert len(alphas) == n_shown
    assert alphas[0] > 0
    assert alphas == sorted(set(alphas))
    assert alphas[-1] == 1
    assert widths[-1] > max(widths[:-1])


@pytest.mark.parametrize(
    ("epochs", "classifiers", "labels"),
    [
        ([1, 2, 5], DIAGONAL, ["epoch 1", "epoch 5", "diagonal", "label 1", "label 0"]),
        ([1, 2, 5], None, ["epoch 1", "epoch 5", "label 1", "label 0"]),
        ([4], None, ["epoch 4", "label 1", "label 0"]),
    ],
)
def test_drift_names_the_first_and_last_epoch_once_for_all_columns(epochs, classifiers, labels):
    runs = {"plain": history(), "decayed": history(seed=1)}
    axes = drift(runs, X, Y, epochs=epochs, classifiers=classifiers, xlim=XLIM, ylim=YLIM)
    assert legend_labels(axes[0, 0].figure) == labels


def test_drift_shows_the_points_in_a_frame_with_one_scale():
    axes = drift({"plain": history(), "other": history()}, X, Y, epochs=[1, 5], xlim=XLIM, ylim=YLIM)
    for ax in axes[0]:
        assert_shows_the_points(ax)
        assert_framed(ax)


def test_drift_plots_the_sum_of_absolute_weights_after_every_epoch_from_zero_up():
    runs = {"plain": history(6), "other": history(8, seed=1)}
    axes = drift(runs, X, Y, epochs=[1, 5], xlim=XLIM, ylim=YLIM)
    for ax, run in zip(axes[1], runs.values(), strict=True):
        (line,) = ax.lines
        w1, w2 = run["linear.weight"][:, 0].T
        np.testing.assert_array_equal(line.get_xdata(), np.arange(len(run.loss)))
        np.testing.assert_allclose(line.get_ydata(), w1.abs() + w2.abs(), rtol=0, atol=1e-6)
        assert ax.get_xlabel() == "epoch"
        assert ax.get_ylim()[0] == 0
    assert axes[1, 0].get_ylabel() == "$|w_1| + |w_2|$"
    assert axes[1, 0].get_ylim() == axes[1, 1].get_ylim()


def test_fits_draws_the_points_and_names_them():
    ax = fits(*ROWS, {})
    (dots,) = ax.collections
    np.testing.assert_array_equal(dots.get_offsets(), torch.cat(ROWS, dim=1))
    assert len(ax.lines) == 0
    assert legend_labels(ax.figure) == ["data"]


def test_fits_draws_each_line_over_the_range_of_the_points():
    ax = fits(*ROWS, LINES)
    assert [line.get_label() for line in ax.lines] == list(LINES)
    for k, line in enumerate(ax.lines):
        assert_draws(line, [[-1.0, -0.5 * k + k - 1], [4.0, 2.0 * k + k - 1]])
    assert legend_labels(ax.figure) == ["data", *LINES]


def test_fits_tells_six_lines_apart_by_dashes_and_by_color_and_from_the_points():
    ax = fits(*ROWS, LINES)
    assert_told_apart(ax.lines)
    dots = to_rgba(ax.collections[0].get_facecolor()[0])
    assert dots not in {to_rgba(line.get_color()) for line in ax.lines}


def test_fits_takes_lists_trained_parameters_and_a_seventh_line():
    layer = torch.nn.Linear(1, 1)
    lines = {**LINES, "trained": (layer.weight, layer.bias)}
    ax = fits([[0], [2]], [[1], [3]], lines)
    weight, bias = layer.weight.item(), layer.bias.item()
    assert_draws(ax.lines[6], [[0, bias], [2, 2 * weight + bias]])


def test_fits_takes_points_that_require_a_gradient():
    x, y = (tensor.clone().requires_grad_() for tensor in ROWS)
    np.testing.assert_array_equal(fits(x, y, {}).collections[0].get_offsets()[:, 0], ROWS[0][:, 0])


def test_fits_sets_labels_and_title():
    ax = fits(*ROWS, LINES, xlabel="time (s)", ylabel="length (m)", title="growth")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("time (s)", "length (m)", "growth")
    ax = fits(*ROWS, LINES)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("x", "y", "")


def test_fits_draws_into_the_axes_it_is_given():
    _, axes = panels(2)
    assert fits(*ROWS, LINES, ax=axes[1]) is axes[1]
    assert [len(ax.lines) for ax in axes] == [0, 6]
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: fits(*ROWS, {"good": (1, 2), "bad": (1, 2, 3)}, ax=ax),
        lambda ax: arrows({"good": ([0, 0], [1, 1]), "bad": ([0], [1])}, ax),
    ],
)
def test_fits_and_arrows_draw_nothing_where_they_refuse(draw):
    ax = panels()[1]
    with pytest.raises(ValueError, match="bad"):
        draw(ax)
    assert not ax.has_data()
    assert not ax.texts


SERIES = {f"curve {k}": ([0.0, 1.0, 3.0], torch.tensor([1.0, 2.0, k])) for k in range(6)}


def test_curves_draws_each_series():
    ax = curves(SERIES, xlabel="x", ylabel="y")
    assert [line.get_label() for line in ax.lines] == list(SERIES)
    for line, (x, y) in zip(ax.lines, SERIES.values(), strict=True):
        assert_draws(line, np.column_stack([x, y]))


def test_curves_tells_six_series_apart_by_dashes_and_by_color():
    ax = curves(SERIES, xlabel="x", ylabel="y")
    assert len({line.get_color() for line in ax.lines}) == 6
    assert len({str(line._unscaled_dash_pattern) for line in ax.lines}) == 6


def test_curves_draws_a_seventh_series():
    ax = curves({**SERIES, "seventh": ([0, 1], [5, 6])}, xlabel="x", ylabel="y")
    assert_draws(ax.lines[6], [[0, 5], [1, 6]])


def test_curves_has_a_legend_only_where_there_is_something_to_tell_apart():
    assert legend_labels(curves(SERIES, xlabel="x", ylabel="y").figure) == list(SERIES)
    assert legend_labels(curves({"alone": ([0, 1], [0, 1])}, xlabel="x", ylabel="y").figure) == []


def test_the_legend_of_two_curves_is_between_them_and_that_of_more_is_below_the_axes():
    up, down = ([0, 1], [0, 1]), ([0, 1], [1, 0])
    pair = curves({"up": up, "down": down}, xlabel="x", ylabel="y")
    pair.figure.canvas.draw()
    inside, around = pair.get_legend().get_window_extent(), pair.get_window_extent()
    assert legend_labels(pair.figure) == ["up", "down"]
    assert around.y0 < inside.y0 < inside.y1 < around.y1
    assert_clear_of_the_axis(
        curves({"up": up, "down": down, "flat": ([0, 1], [0, 0])}, xlabel="x", ylabel="y")
    )


@pytest.mark.parametrize("xscale", ["linear", "log"])
@pytest.mark.parametrize("yscale", ["linear", "log"])
def test_curves_sets_labels_title_and_scales(xscale, yscale):
    series, scales = {"a": ([1, 10, 100], [3, 1, 2])}, {"xscale": xscale, "yscale": yscale}
    ax = curves(series, xlabel="time (s)", ylabel="length (m)", title="growth", **scales)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("time (s)", "length (m)", "growth")
    assert (ax.get_xscale(), ax.get_yscale()) == (xscale, yscale)
    assert_draws(ax.lines[0], [[1, 3], [10, 1], [100, 2]])


def test_curves_is_linear_and_without_a_title_by_default():
    ax = curves({"a": ([1, 2], [0, 1])}, xlabel="x", ylabel="y")
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_title()) == ("linear", "linear", "")


def test_curves_writes_each_reference_on_a_dotted_horizontal_line():
    references = {"limit": 2.5, "floor": -1}
    ax = curves({"a": ([0, 1], [0, 1])}, xlabel="x", ylabel="y", references=references)
    for line, height in zip(ax.lines[1:], references.values(), strict=True):
        assert list(line.get_ydata()) == [height, height]
        assert line.get_linestyle() == ":"
    assert {text.get_text(): text.xy[1] for text in ax.texts} == references
    assert ax.get_ylim()[0] < -1
    assert ax.get_ylim()[1] > 2.5


def test_paths_draws_each_from_its_first_point_to_its_last_which_is_a_dot():
    ax = paths(*MAP, TRACKS, xlabel="x", ylabel="y")
    lines, dots = ax.lines[::2], ax.lines[1::2]
    assert [line.get_label() for line in lines] == list(TRACKS)
    for line, dot, track in zip(lines, dots, TRACKS.values(), strict=True):
        assert_draws(line, track)
        assert_draws(dot, track[-1:])
        assert (line.get_marker(), dot.get_marker()) == ("None", "o")
        assert dot.get_linestyle() == "None"
        assert dot.get_color() == line.get_color()
        assert dot.get_zorder() >= line.get_zorder()


def test_paths_tells_six_apart_by_dashes_and_by_color_and_names_them_once():
    ax = paths(*MAP, TRACKS, xlabel="x", ylabel="y")
    assert len({line.get_color() for line in ax.lines}) == 6
    assert len({str(line._unscaled_dash_pattern) for line in ax.lines[::2]}) == 6
    assert legend_labels(ax.figure) == list(TRACKS)


@pytest.mark.parametrize("n_paths", [1, 2, 3])
def test_paths_has_a_legend_where_there_is_something_to_tell_apart(n_paths):
    tracks = dict(list(TRACKS.items())[:n_paths])
    ax = paths(*MAP, tracks, xlabel="x", ylabel="y")
    assert legend_labels(ax.figure) == (list(tracks) if n_paths > 1 else [])
    assert ax.get_legend_handles_labels()[1] == list(tracks)


@pytest.mark.parametrize("steps", [True, False])
def test_paths_marks_every_point_only_where_steps_are_asked_for(steps):
    ax = paths(*MAP, TRACKS, xlabel="x", ylabel="y", steps=steps)
    for line, track in zip(ax.lines[::2], TRACKS.values(), strict=True):
        assert line.get_marker() == ("." if steps else "None")
        assert line.get_markevery() is None
        assert_draws(line, track)
    assert {dot.get_marker() for dot in ax.lines[1::2]} == {"o"}


@pytest.mark.parametrize("height", [0.5, 1.0, 3.0, 12.0])
def test_paths_has_one_scale_and_its_legend_clear_of_the_axis(height):
    x, y = torch.linspace(0, 5, 6), torch.linspace(0, height, 4)
    ax = paths(x, y, x + y[:, None], TRACKS, xlabel="x", ylabel="y")
    assert_clear_of_the_axis(ax)
    assert ax.get_aspect() == 1
    corner, opposite = ax.transData.transform([[0, 0], [1, 1]])
    np.testing.assert_allclose(*(opposite - corner))


def test_paths_draws_a_seventh_and_a_path_of_one_point():
    ax = paths(*MAP, {**TRACKS, "seventh": [[1, 0.5]]}, xlabel="x", ylabel="y")
    assert_draws(ax.lines[12], [[1, 0.5]])
    assert_draws(ax.lines[13], [[1, 0.5]])


def test_paths_without_a_path_is_a_map_without_a_legend():
    ax = paths(*MAP, {}, xlabel="x", ylabel="y")
    assert len(ax.lines) == 0
    assert ax.get_legend() is None
    assert len(ax.collections) == 2


def shades(ax):
    """Return the brightness of each area of the map and the values between which it lies."""
    filled = ax.collections[0]
    return filled.get_facecolor()[:, :3].mean(axis=1), filled.levels


def test_the_map_of_paths_is_darker_where_the_function_is_lower():
    """And its lines are the edges of the areas, a constant apart, over all values."""
    ax = paths(*MAP, {}, xlabel="x", ylabel="y")
    brightness, levels = shades(ax)
    assert (np.diff(brightness) > 0).all()
    np.testing.assert_allclose(np.diff(levels), levels[1] - levels[0], rtol=1e-12)
    np.testing.assert_array_equal(ax.collections[1].levels, levels)
    assert levels[0] <= MAP[2].min()
    assert levels[-1] >= MAP[2].max()


def test_the_map_of_paths_is_of_a_few_opaque_greys_for_the_sake_of_its_file():
    """One an area and one for all lines, with edges as they are; none too dark for a line of color."""
    ax = paths(*MAP, {}, xlabel="x", ylabel="y")
    filled, lines = ax.collections
    colors = np.concatenate([filled.get_facecolor(), lines.get_edgecolor()])
    assert (colors[:, 3] == 1).all()
    assert np.ptp(colors[:, :3], axis=1).max() < 1e-12
    assert colors[:, :3].min() >= 0.5
    assert not any([*filled.get_antialiased(), *lines.get_antialiased()])
    ax.set_axis_off()
    ax.figure.canvas.draw()
    x0, y0, x1, y1 = (round(edge) for edge in ax.get_window_extent().extents)
    pixels = np.asarray(ax.figure.canvas.buffer_rgba())[::-1][y0 + 2 : y1 - 2, x0 + 2 : x1 - 2]
    assert pixels.size > 4 * 300 * 700
    assert len(np.unique(pixels.reshape(-1, 4), axis=0)) <= len(filled.levels)


def test_the_map_of_paths_has_its_axes_the_right_way_round():
    """A function of y alone, on axes of different lengths: the lines lie across."""
    x, y = AXES
    ax = paths(x, y, y[:, None].expand(11, 21), {}, xlabel="x", ylabel="y")
    across = [path for path in ax.collections[1].get_paths() if len(path.vertices)]
    assert across
    for path in across:
        assert np.ptp(path.vertices[:, 0]) == 5
        assert np.ptp(path.vertices[:, 1]) < 1e-12


@pytest.mark.parametrize("levels", [5, 14, 40])
def test_the_map_of_paths_has_about_as_many_lines_as_asked_for(levels):
    _, found = shades(paths(*MAP, {}, xlabel="x", ylabel="y", levels=levels))
    assert 0.6 * levels <= len(found) <= 1.4 * levels + 1


def test_the_map_of_paths_has_fourteen_levels_unless_told():
    default, told = (paths(*MAP, {}, xlabel="x", ylabel="y", **options) for options in ({}, {"levels": 14}))
    np.testing.assert_array_equal(shades(default)[1], shades(told)[1])


def test_paths_frames_the_map_and_sets_labels_and_title():
    ax = paths(*MAP, {"far": [[9, 9], [-9, 9]]}, xlabel="first", ylabel="second", title="a bowl")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("first", "second", "a bowl")
    assert (ax.get_xlim(), ax.get_ylim()) == ((-2, 3), (-1, 1))
    assert paths(*MAP, {}, xlabel="x", ylabel="y").get_title() == ""


def test_paths_draws_into_the_axes_it_is_given():
    _, axes = panels(2)
    assert paths(*MAP, TRACKS, xlabel="x", ylabel="y", ax=axes[1]) is axes[1]
    assert [len(ax.collections) for ax in axes] == [0, 2]
    assert len(plt.get_fignums()) == 1


def drawn(ax):
    """Return start and end of each arrow as drawn, in the coordinates of the axes, and the arrows."""
    ax.figure.canvas.draw()
    patches = [text.arrow_patch for text in ax.texts]
    ends = [patch._get_path_in_displaycoord()[0][0].vertices[[0, -1]] for patch in patches]
    scale = ax.figure.dpi / ax.figure.canvas.get_renderer().points_to_pixels(72)
    return [ax.transData.inverted().transform(points * scale) for points in ends], patches


def test_arrows_go_from_start_to_end():
    ends, patches = drawn(arrows(VECTORS, paths(*MAP, {}, xlabel="x", ylabel="y")))
    assert len(ends) == 6
    for (start, end), found in zip(VECTORS.values(), ends, strict=True):
        np.testing.assert_allclose(found[0], start, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found[1], end, rtol=0, atol=0.04)  # less by half a line at the sharp tip
    assert {type(patch.get_arrowstyle()).__name__ for patch in patches} == {"CurveB"}


def test_arrows_tells_six_apart_by_dashes_and_by_color_and_names_them():
    ax = arrows(VECTORS, paths(*MAP, {}, xlabel="x", ylabel="y"))
    assert_told_apart(ax.lines)
    patches = [text.arrow_patch for text in ax.texts]
    assert [p.get_edgecolor() for p in patches] == [to_rgba(line.get_color()) for line in ax.lines]
    dashes = [line._unscaled_dash_pattern for line in ax.lines]
    assert [patch._unscaled_dash_pattern for patch in patches] == dashes
    assert {text.get_text() for text in ax.texts} == {""}
    assert legend_labels(ax.figure) == list(VECTORS)
    assert_clear_of_the_axis(ax)


def test_arrows_draws_a_seventh_and_takes_what_requires_a_gradient():
    seventh = (torch.zeros(2, requires_grad=True), np.array([1, 1]))
    ax = arrows({**VECTORS, "seventh": seventh}, panels()[1])
    np.testing.assert_allclose(drawn(ax)[0][6], [[0, 0], [1, 1]], rtol=0, atol=0.03)


def test_arrows_widen_axes_that_are_free_and_leave_those_of_a_map():
    ax = arrows({"far": ([0, 0], [7, 9])}, panels()[1])
    assert ax.get_xlim()[1] > 7
    assert ax.get_ylim()[1] > 9
    ax = arrows({"far": ([0, 0], [7, 9])}, paths(*MAP, {}, xlabel="x", ylabel="y"))
    assert (ax.get_xlim(), ax.get_ylim()) == ((-2, 3), (-1, 1))


def test_an_arrow_that_leaves_the_map_is_seen_up_to_its_frame():
    """It looks the same as one that ends far outside, and is not drawn over the margin."""
    pictures = []
    for vectors in ({"out": ([0, 0], [9, 0])}, {"in": ([0, 0], [0, 0])}):
        ax = arrows(vectors, paths(*MAP, {}, xlabel="x", ylabel="y"))
        ax.get_legend().remove()
        ax.figure.canvas.draw()
        pictures.append(np.asarray(ax.figure.canvas.buffer_rgba())[::-1].astype(int))
    x1 = round(ax.get_window_extent().x1)
    changed = (pictures[0] != pictures[1]).any(axis=(0, 2))
    assert changed[x1 - 100 : x1 - 3].all()
    assert not changed[x1 + 3 :].any()


def test_arrows_draws_into_the_axes_it_is_given():
    _, axes = panels(2)
    assert arrows(VECTORS, axes[1]) is axes[1]
    assert [len(ax.texts) for ax in axes] == [0, 6]
    assert len(plt.get_fignums()) == 1


def cells(ax):
    """Return the text of each cell, its color and that of the cell, by row and column."""
    image = ax.images[0]
    shades = image.to_rgba(image.get_array())
    inside = {text.get_position(): text for text in ax.texts if text.get_transform() == ax.transData}
    found = {}
    for (column, row), text in inside.items():
        found[row, column] = (text.get_text(), to_rgba(text.get_color()), tuple(shades[row, column]))
    return found


def test_heatmap_writes_the_nearest_power_of_ten_with_its_sign_and_zero_without():
    found = cells(heatmap(TABLE, NAMES, COLUMNS))
    written = [[found[row, column][0] for column in range(3)] for row in range(4)]
    assert written == [["-16", "-7", "0"], ["0", "-8", "+0"], ["+0", "+4", "-16"], ["-16", "-16", "-15"]]


def test_heatmap_is_darker_where_the_number_is_larger_and_white_where_it_is_zero():
    found = cells(heatmap(TABLE, NAMES, COLUMNS))
    shades = {place: np.dot(color[:3], (0.299, 0.587, 0.114)) for place, (_, _, color) in found.items()}
    order = sorted(shades, key=lambda place: TABLE[place].item())
    assert [found[place][2] for place in order[:2]] == [(1, 1, 1, 1)] * 2
    levels = [shades[place] for place in order]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] < 0.2 < 0.9 < levels[2] < 1


def test_heatmap_is_on_a_log_scale():
    found = cells(heatmap([[1e-8, 1e-4, 1.0]], ["a"], list("bcd")))
    middle = plt.get_cmap("YlGnBu")(0.5)
    np.testing.assert_allclose(found[0, 1][2], middle, atol=1 / 128)


def luminance(color):
    """As WCAG 2.1 defines it."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    return np.dot(parts, (0.2126, 0.7152, 0.0722))


def test_heatmap_can_be_read_in_every_cell():
    values = np.logspace(-16, 0, 60).reshape(6, 10)
    found = cells(heatmap(values, list("abcdef"), list("abcdefghij")))
    for _, ink, paper in found.values():
        dark, light = sorted([luminance(ink), luminance(paper)])
        assert (light + 0.05) / (dark + 0.05) > 4.5


def words(ax):
    """Return the names above the table: text, column, and height over the axes in points."""
    return [
        (text.get_text(), text.xy[0], text.get_position()[1])
        for text in ax.texts
        if text.get_transform() != ax.transData
    ]


def test_heatmap_names_its_rows_and_shares_the_names_of_groups_of_columns():
    ax = heatmap(TABLE, NAMES, COLUMNS)
    assert [label.get_text() for label in ax.get_yticklabels()] == NAMES
    assert ax.get_yticks().tolist() == [0, 1, 2, 3]
    assert ax.yaxis_inverted()
    assert [(name, place) for name, place, _ in words(ax)] == [
        ("float64", 0.5),
        ("float32", 2),
        ("mean", 0),
        ("sum", 1),
        ("sum", 2),
    ]
    heights = [height for *_, height in words(ax)]
    assert heights[0] == heights[1] > heights[2] + 9.5
    assert heights[2] == heights[3] == heights[4] > 0
    assert [line.get_xdata()[0] for line in ax.lines] == [1.5]


def test_heatmap_with_plain_names_has_one_line_of_them_and_no_groups():
    ax = heatmap(TABLE, [(name, "0.1") for name in NAMES], ["a", "b", "b"], title="differences")
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"{name} 0.1" for name in NAMES]
    assert [(name, place) for name, place, _ in words(ax)] == [("a", 0), ("b", 1.5)]
    assert len(ax.lines) == 0
    assert ax.get_title() == "differences"


@pytest.mark.parametrize("values", [torch.zeros(2, 2), torch.full((2, 2), 1e-7), [[0.0, 0.0], [5e-324, 0.0]]])
def test_heatmap_of_zeros_or_of_one_number(values):
    found = cells(heatmap(values, ["a", "b"], ["c", "d"]))
    assert len(found) == 4
    assert {text for text, *_ in found.values()} <= {"0", "-7", "-323"}
    plt.gcf().canvas.draw()


WALL = [f"SGDW μ=0.9 nesterov λ=0.{k}" for k in range(24)]
SETUPS = [(a, b, c) for a in ("float32", "float64") for b in ("mean", "sum") for c in ("1", "7", "all")]


def test_a_wall_of_24_times_12_fits_a_phone():
    """Nothing overlaps, nothing is cut off, and letters are 9 pixels high where the picture is 390 wide."""
    ax = heatmap(np.full((24, 12), 3e-16), WALL, SETUPS, title="a title")
    figure = ax.figure
    figure.canvas.draw()
    width, height = figure.get_size_inches() * figure.dpi
    assert (width, figure.dpi) == (840, 150)
    texts = [text for text in [*ax.texts, *ax.get_yticklabels(), ax.title] if text.get_text()]
    assert len(texts) == 288 + 24 + 2 + 4 + 12 + 1
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert text.get_fontsize() / 72 * 150 * 390 / 840 >= 9
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_heatmap_draws_into_the_axes_it_is_given():
    _, axes = panels(2)
    assert heatmap(TABLE, NAMES, COLUMNS, ax=axes[1]) is axes[1]
    assert [len(ax.images) for ax in axes] == [0, 1]
    assert len(plt.get_fignums()) == 1
