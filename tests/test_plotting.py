import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.markers import MarkerStyle

from course_lib.geometry import boundary_segment
from course_lib.plotting import boundaries, curves, drift, panels, paths
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

CALLS = {
    "panels": lambda: panels(2),
    "boundaries": lambda: boundaries(X, Y, CLASSIFIERS, xlim=XLIM, ylim=YLIM),
    "drift": lambda: drift({"run": history()}, X, Y, epochs=[1, 5], xlim=XLIM, ylim=YLIM),
    "curves": lambda: curves({"a": ([0, 1], [1, 2])}, xlabel="x", ylabel="y"),
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


@pytest.mark.parametrize("name", CALLS)
def test_each_call_makes_one_figure_with_a_grid_and_without_top_and_right_frame(name):
    """A map has its own lines in place of the grid."""
    CALLS[name]()
    assert len(plt.get_fignums()) == 1
    for ax in plt.gcf().axes:
        assert ax.xaxis.get_gridlines()[0].get_visible() == (name != "paths")
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


@pytest.mark.parametrize("xscale", ["linear", "log"])
def test_curves_sets_labels_title_and_scale(xscale):
    series = {"a": ([1, 10, 100], [0, 1, 2])}
    ax = curves(series, xlabel="time (s)", ylabel="length (m)", xscale=xscale, title="growth")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("time (s)", "length (m)", "growth")
    assert ax.get_xscale() == xscale


def test_curves_is_linear_and_without_a_title_by_default():
    ax = curves({"a": ([1, 2], [0, 1])}, xlabel="x", ylabel="y")
    assert (ax.get_xscale(), ax.get_title()) == ("linear", "")


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
    alone = paths(*MAP, {"alone": TRACKS["path 0"]}, xlabel="x", ylabel="y")
    assert legend_labels(alone.figure) == ["alone"]


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
