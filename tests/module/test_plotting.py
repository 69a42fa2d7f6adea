"""What is drawn, told apart, named and legible, for every figure function."""

import io
import itertools
import math
import re
from unittest.mock import patch

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.markers import MarkerStyle
from matplotlib.text import Text

from course_lib._style import ALIASES, CONCEPTS, REFERENCE
from course_lib.geometry import boundary_segment
from course_lib.plotting import (
    arrows,
    boundaries,
    contours,
    curves,
    drift,
    fits,
    heatmap,
    level_sets,
    panels,
    points,
    small_multiples,
)
from course_lib.training import History
from tests.colors import luminance

mpl.use("Agg")

XLIM, YLIM = (-1.0, 5.0), (-2.0, 3.0)
X = torch.tensor([[3.0, 2.0], [1.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
Y = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
RECTANGLE = {"xlim": XLIM, "ylim": YLIM}
LINES = {
    "no decay": (torch.tensor([1.0, 1.0]), torch.tensor(-2.0)),
    "L2": (torch.tensor([3.0, 1.0]), torch.tensor(-4.0)),
    "L1": (torch.tensor([1.0, 0.0]), -2.0),
    "other": (torch.tensor([0.0, 2.0]), -1.0),
}
PAIR = {name: LINES[name] for name in ("no decay", "L2")}
AXES = torch.linspace(-2, 3, 21), torch.linspace(-1, 1, 11, dtype=torch.float64)
MAPPED = {"x": AXES[0], "y": AXES[1], "xlabel": "bias", "ylabel": "weight", "zlabel": "loss"}
BOWL = AXES[0] ** 2 + 4 * AXES[1][:, None] ** 2
PATHS = {
    name: torch.tensor([[2.5, 0.1 * k], [1.0, -0.1 * k], [0.0, 0.0]])
    for k, name in enumerate(("plain descent", "momentum", "Nesterov"))
}
RUNS = torch.tensor([[3.0, 1.0, 2.0], [5.0, 2.0, 2.0], [4.0, 1.5, 2.5]])
NAMES = {"xlabel": "step", "ylabel": "loss"}
LOG = {**NAMES, "xscale": "log", "yscale": "log"}
ROWS = torch.tensor([[1.5], [-1.0], [0.5], [4.0]]), torch.tensor([[2.0], [0.0], [-3.0], [1.0]])
TABLE = torch.tensor([[3e-16, 2e-7, 0.0], [0.0, 3e-8, 0.9], [1.0, 4e3, 2e-16], [3e-16, 3e-16, 3.3e-16]])
OPTIMIZERS = ["SGD", "momentum", "Adam", "AdamW"]
COLUMNS = [("float64", "mean"), ("float64", "sum"), ("float32", "sum")]
WALL = [f"SGDW μ=0.9 nesterov λ=0.{k}" for k in range(24)]
SETUPS = [(a, b, c) for a in ("float32", "float64") for b in ("mean", "sum") for c in ("1", "7", "all")]


def history(n_epochs=8, seed=0.0):
    """A run whose boundary crosses the picture after every epoch."""
    turn = torch.linspace(0, 1, n_epochs) + seed
    weight = torch.stack([turn.cos(), -turn.sin()], dim=1) * torch.linspace(1, 2, n_epochs)[:, None]
    bias = -weight @ torch.tensor([2.0, 0.5])
    parameters = {"linear.weight": weight[:, None], "linear.bias": bias[:, None]}
    return History(torch.linspace(0.7, 0.1, n_epochs, dtype=torch.float64), parameters)


def two_panels():
    _, (upper, lower) = panels(2, height=2.2, sharex=True)
    curves({"L1": ([1, 10], [64, 1]), "L2": ([1, 10], [64, 60])}, **{**LOG, "xlabel": ""}, ax=upper)
    curves({"L1": ([1, 10], [1, 3]), "L2": ([1, 10], [1, 2])}, **LOG, ax=lower)
    return upper


def annotated_map():
    ax = contours(values=BOWL, paths=PATHS, **MAPPED)
    arrows({"momentum": ([0.5, -0.5], [2.0, 0.1]), "Nesterov": ([2.0, 0.1], [1.0, 0.2])}, ax)
    points({"stands": [0.5, -0.5], "look-ahead": [2.0, 0.1], "AdamW": PATHS["momentum"]}, ax)
    return level_sets({"L1": (1, 0.8), "L2": (2, 0.8), "box": (math.inf, [0.4, 0.8])}, ax)


FIGURES = {
    "arrows, points and level sets on a map": annotated_map,
    "boundaries": lambda: boundaries(X, Y, LINES, **RECTANGLE),
    "boundaries with distances": lambda: boundaries(X[:2], Y[:2], PAIR, **RECTANGLE, distances=True),
    "boundaries with a probability": lambda: boundaries(X, Y, LINES, **RECTANGLE, probability="L2"),
    "contours": lambda: contours(values=BOWL, paths=PATHS, **MAPPED, title="Momentum overshoots the minimum"),
    "contours on log axes": lambda: contours(
        np.logspace(-3, 0, 9), np.logspace(-4, 1, 7), torch.rand(7, 9), **{**LOG, "zlabel": "held-out loss"}
    ),
    "curves on log scales": lambda: curves({"a": ([1, 1e6], [1, 1e-9])}, **LOG),
    "curves of runs": lambda: curves(
        {"L2": ([0.01, 0.1, 1.0], RUNS), "AdamW": ([0.01, 0.1, 1.0], RUNS + 1)},
        xlabel="λ",
        ylabel="angle of the weights (degrees)",
        xscale="log",
        references={"bisector": 2.6, "limit": 2.5},
        xreferences={"critical": 0.3},
        minima=True,
        title="A long conclusion may stand here, it takes a second line where it needs one",
    ),
    "drift": lambda: drift({"L2": history(), "a": history()}, X, Y, epochs=[1, 5], **RECTANGLE)[0, 0],
    "fits": lambda: fits(*ROWS, {"a line": (0.5, 1.0), "a parabola": torch.square}),
    "heatmap": lambda: heatmap(TABLE, OPTIMIZERS, COLUMNS, title="Differences"),
    "a wall": lambda: heatmap(torch.rand(24, 12), WALL, SETUPS, title="No cell stands out"),
    "level sets": lambda: level_sets({"L1": (1, 1.0)}, panels()[1]),
    "panels": lambda: panels(2)[1][0],
    "two panels": two_panels,
    "four maps": lambda: small_multiples(
        contours, {name: {"values": BOWL**k, "paths": PATHS} for k, name in enumerate("abcd", 1)}, **MAPPED
    )[0, 0],
    "two walls": lambda: small_multiples(
        heatmap,
        {"as it is": {"values": torch.full((24, 2), 1e-16)}, "with a bug": {"values": torch.rand(24, 2)}},
        rows=WALL,
        columns=["64", "32"],
        height=5,
    )[0, 0],
    "three of a kind": lambda: small_multiples(
        curves, {f"lr {k}": {"series": {"L2": ([0, 1], [1, k])}} for k in (0.1, 0.5, 0.9)}, **NAMES
    )[0, 0],
}
each_figure = pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)


@pytest.fixture(autouse=True)
def _figures_closed():
    yield
    plt.close("all")


def stored(figure):
    """Return the bytes of a figure as Jupyter stores it."""
    picture = io.BytesIO()
    figure.canvas.print_figure(picture, bbox_inches="tight", dpi=figure.dpi, facecolor=figure.get_facecolor())
    return picture.getvalue()


def texts(figure):
    """Return the texts of a figure that are seen when it is drawn."""
    seen, draw = [], Text.draw

    def recorded(text, renderer):
        if text.get_visible() and text.get_text():
            seen.append(text)
        draw(text, renderer)

    with patch.object(Text, "draw", recorded):
        figure.canvas.draw()
    return seen


def legend_labels(ax):
    return [text.get_text() for legend in ax.figure.legends for text in legend.get_texts()]


def line_of(ax, label):
    return {line.get_label(): line for line in ax.lines}[label]


def assert_draws(line, ends):
    np.testing.assert_allclose(line.get_xydata(), ends, rtol=0, atol=1e-12)


def assert_looks_like(line, concept):
    assert to_rgb(line.get_color()) == to_rgb(CONCEPTS[concept].color)
    assert dashes(line) == dashes(plt.Line2D([], [], linestyle=CONCEPTS[concept].dashes))


def dashes(line):
    return str(line._unscaled_dash_pattern)


# All figures


@each_figure
def test_a_stored_figure_is_opaque_and_900_pixels_wide_and_the_same_bytes_whatever_the_global_style(draw):
    torch.manual_seed(0)
    first = stored(draw().figure)
    plt.close("all")
    torch.manual_seed(0)
    with plt.rc_context({"figure.facecolor": "none", "font.size": 4, "xtick.labelsize": 3}):
        before = mpl.rcParams.copy()
        figure = draw().figure
        assert stored(figure) == first
        assert mpl.rcParams == before
    assert plt.get_fignums() == [figure.number]
    picture = plt.imread(io.BytesIO(first))
    assert picture.shape[1:] == (900, 4)
    assert (picture[..., 3] == 1).all()
    assert (picture[[0, 0, -1, -1], [0, -1, 0, -1]] == 1).all()


@pytest.mark.no_cover
@each_figure
def test_letters_are_11_pixels_high_on_a_phone(draw):
    """Indices and exponents, which are 0.7 of the letters beside them, too. There a figure is 350 wide."""
    figure = draw().figure
    for text in texts(figure):
        small = 0.7 if re.search(r"\$.*[_^].*\$", text.get_text()) else 1
        assert small * text.get_fontsize() / 72 / figure.get_size_inches()[0] * 350 >= 11, text


@pytest.mark.no_cover
@each_figure
def test_nothing_written_overlaps_or_is_cut_and_the_legend_is_below_all(draw):
    figure = draw().figure
    boxes = {text: text.get_window_extent().padded(-1) for text in texts(figure)}
    for text, box in boxes.items():
        assert -1 <= box.x0 < box.x1 <= figure.bbox.x1 + 1, text
        assert -1 <= box.y0 < box.y1 <= figure.bbox.y1 + 1, text
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        assert not a.overlaps(b), (one, other)
    for legend, ax in itertools.product(figure.legends, figure.axes):
        assert legend.get_window_extent().y1 <= ax.get_tightbbox().y0 + 1


@each_figure
def test_each_name_in_the_legend_is_another_look(draw):
    figure = draw().figure
    for legend in figure.legends:
        looks = [picture_of(handle) for handle in legend.legend_handles]
        assert len(set(looks)) == len(looks)


def picture_of(handle):
    if isinstance(handle, plt.Line2D):
        return handle.get_color(), dashes(handle), handle.get_marker(), handle.get_alpha()
    return str(handle.get_paths()), str(handle.get_facecolor())


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: boundaries(X, Y, LINES, **RECTANGLE, ax=ax),
        lambda ax: contours(values=BOWL, paths=PATHS, **MAPPED, ax=ax),
        lambda ax: curves({"a": ([0, 1], [1, 2])}, **NAMES, ax=ax),
        lambda ax: fits(*ROWS, {"a": (0.5, 1.0)}, ax=ax),
        lambda ax: heatmap(TABLE, OPTIMIZERS, COLUMNS, ax=ax),
    ],
)
@pytest.mark.parametrize("with_a_bar", [False, True])
def test_axes_that_are_given_are_drawn_into_and_come_back(draw, with_a_bar):
    figure, axes = plt.subplots(2)
    if with_a_bar:
        figure.colorbar(axes[0].imshow([[0, 1]]), ax=axes[0])
    assert draw(axes[1]) is axes[1]
    assert axes[1].has_data()
    assert axes[0].has_data() == with_a_bar
    assert plt.get_fignums() == [figure.number]
    figure.canvas.draw()


# Panels and small multiples


def test_panels_makes_rows_of_the_height_asked_for_and_passes_options_on():
    figure, axes = panels(3, height=2.0, ncols=2, sharex=True)
    assert figure.get_size_inches().tolist() == [4.5, 6.0]
    assert axes.shape == (3, 2)
    axes[0, 0].set_xlim(0, 7)
    assert axes[2, 1].get_xlim() == (0, 7)


def test_a_legend_takes_no_room_from_the_axes_however_often_it_is_made_anew():
    ax = curves({"a": ([0, 1], [1, 2])}, **NAMES)
    for k in range(3):
        curves({f"a long name of series {k} {j}": ([0, 1], [1, 2]) for j in range(4)}, **NAMES, ax=ax)
        ax.figure.canvas.draw()
        assert ax.get_window_extent().height > 300
    assert len(ax.figure.legends) == 1
    figure, foreign = plt.subplots(figsize=(5, 5))
    curves({"a": ([0, 1], [1, 2]), "b": ([0, 1], [1, 3])}, **NAMES, ax=foreign)
    assert figure.get_size_inches().tolist() == [5, 5]


def test_small_multiples_draws_each_setting_under_its_name_and_names_the_outer_axes_only():
    settings = {f"lr {k}": {"series": {"L2": ([0, 1], [1, k])}} for k in (0.1, 0.5, 0.9)}
    axes = small_multiples(curves, settings, **NAMES, references={"limit": 0.3})
    assert [ax.get_title() for ax in axes.flat] == [*settings, ""]
    assert [ax.axison for ax in axes.flat] == [True, True, True, False]
    for ax, k in zip(axes.flat, (0.1, 0.5, 0.9), strict=False):
        assert_draws(line_of(ax, "L2"), [[0, 1], [1, k]])
        assert ax.get_ylim() == axes[0, 0].get_ylim()
    assert [ax.get_xlabel() for ax in axes.flat] == ["", "step", "step", ""]
    assert [ax.get_ylabel() for ax in axes.flat] == ["loss", "", "loss", ""]
    assert [ax.xaxis.get_tick_params()["labelbottom"] for ax in axes.flat][:3] == [False, True, True]
    assert [ax.yaxis.get_tick_params()["labelleft"] for ax in axes.flat][:3] == [True, False, True]
    assert small_multiples(curves, settings, **NAMES, ncols=5).shape == (1, 3)


def test_small_multiples_of_maps_have_one_legend_and_one_bar_for_the_values_of_all():
    settings = {name: {"values": k * BOWL, "paths": PATHS} for k, name in enumerate("abcd", 1)}
    axes = small_multiples(contours, settings, **MAPPED)
    assert legend_labels(axes[0, 0]) == [*PATHS, "start", "minimum"]
    (bar,) = (ax for ax in axes[0, 0].figure.axes if ax not in axes)
    assert bar.get_ylabel() == "loss"
    (levels,) = {tuple(ax.collections[0].levels) for ax in axes.flat}
    assert max(levels) >= 4 * BOWL.max()
    given = small_multiples(contours, settings, **MAPPED, levels=[0, 1, 5, 20])
    assert given[1, 1].collections[0].levels.tolist() == [0, 1, 5, 20]
    own = {name: {**setting, "levels": k} for k, (name, setting) in enumerate(settings.items(), 4)}
    apart = small_multiples(contours, own, **MAPPED)
    assert len(apart[0, 0].figure.axes) == 8


def test_small_multiples_of_tables_have_one_scale_of_colors():
    settings = {"as it is": {"values": [[1e-16, 1e-15]]}, "with a bug": {"values": [[1e-16, 1e-3]]}}
    one, other = small_multiples(heatmap, settings, rows=["SGD"], columns=["a", "b"]).flat
    assert one.images[0].get_clim() == other.images[0].get_clim() == pytest.approx((-16, -3))
    small_multiples(heatmap, {"zero": {"values": [[0.0]]}}, rows=["SGD"], columns=["a"])


# Boundaries and drift


def marker_path(marker):
    style = MarkerStyle(marker)
    return style.get_path().transformed(style.get_transform()).vertices


@pytest.mark.parametrize("name", ["boundaries", "drift"])
def test_the_points_are_dark_circles_and_white_squares_above_the_lines_in_a_frame_with_one_scale(name):
    ax = FIGURES[name]()
    ones, zeros = ax.collections
    assert (ones.get_label(), zeros.get_label()) == ("label 1", "label 0")
    for dots, label, marker in ((ones, 1, "o"), (zeros, 0, "s")):
        np.testing.assert_array_equal(dots.get_offsets(), X[label == Y])
        np.testing.assert_array_equal(dots.get_paths()[0].vertices, marker_path(marker))
        assert dots.get_zorder() > max(line.get_zorder() for line in ax.lines)
    shades = ones.get_facecolor()[0], zeros.get_facecolor()[0], zeros.get_edgecolor()[0]
    assert [luminance(shade) > 0.05 for shade in shades] == [False, True, False]
    assert all(len(set(shade[:3])) == 1 for shade in shades)
    assert (ax.get_xlim(), ax.get_ylim(), ax.get_aspect()) == (XLIM, YLIM, 1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x_1$", "$x_2$")


def test_boundaries_draws_and_names_each_classifiers_line():
    outside = {"far away": (torch.tensor([1.0, 0.0]), -50.0)}
    ax = boundaries(X, Y, {**LINES, **outside}, **RECTANGLE, title="two classes")
    for label, (weight, bias) in LINES.items():
        assert_draws(line_of(ax, label), boundary_segment(weight, bias, XLIM, YLIM))
    assert line_of(ax, "far away").get_xydata().shape == (0, 2)
    assert legend_labels(ax) == [*LINES, "far away", "label 1", "label 0"]
    assert ax.get_title() == "two classes"


def test_boundaries_shades_the_probability_of_a_classifier_and_says_what_the_shades_mean():
    ax = boundaries(X, Y, LINES, **RECTANGLE, probability="L2")
    shades, edges = ax.collections[:2]
    np.testing.assert_allclose(shades.levels, np.linspace(0, 1, 11))
    assert shades.colorbar.ax.get_ylabel() == "p(label 1)"
    weight, bias = LINES["L2"]
    for path, level in zip(edges.get_paths(), edges.levels, strict=True):
        p = torch.sigmoid(torch.from_numpy(path.vertices).float() @ weight + bias)
        np.testing.assert_allclose(p, level, atol=0.002)
    assert ax.lines[0].get_color() == "white"  # below the boundary, over the edge of the shades
    assert_draws(ax.lines[0], line_of(ax, "L2").get_xydata())


def test_boundaries_draws_and_writes_the_distance_of_each_point_to_each_line():
    """Two to each of two lines, along the normal, and each number beside its way."""
    ax = FIGURES["boundaries with distances"]()
    ways = [line for line in ax.lines if line.get_label().startswith("_")]
    pairs = itertools.product(PAIR.values(), X[:2])
    for way, ((weight, bias), point) in zip(ways, pairs, strict=True):
        start, foot = torch.from_numpy(way.get_xydata())
        assert start.tolist() == point.tolist()
        assert abs(foot.float() @ weight + bias) < 1e-6
    assert [text.get_text() for text in ax.texts] == ["2.12", "0.00", "2.21", "0.00"]
    for way, text in zip(ways, ax.texts, strict=True):
        assert text.xy == pytest.approx(way.get_xydata().mean(axis=0))


def test_a_distance_is_written_on_the_side_away_from_the_others():
    pair = {"L2": LINES["L2"], "other": LINES["other"]}
    ax = boundaries(X[:1], Y[:1], pair, **RECTANGLE, distances=True)
    ax.figure.canvas.draw()
    ways = [line.get_xydata() for line in ax.lines if line.get_label().startswith("_")]
    middle = np.mean([way[1] for way in ways], axis=0)
    for way, text in zip(ways, ax.texts, strict=True):
        box = text.get_window_extent()
        place = ax.transData.inverted().transform([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
        assert (place - way.mean(axis=0)) @ (way[1] - middle) > 0


@pytest.mark.parametrize("classifiers", [None, {"bisector": LINES["no decay"]}])
def test_drift_draws_the_boundary_after_each_epoch_fading_in_and_the_classifiers(classifiers):
    epochs, runs = [0, 2, 3, 7], {"no decay": history(), "L2": history(seed=0.2)}
    axes = drift(runs, X, Y, epochs=epochs, classifiers=classifiers, **RECTANGLE)
    assert [ax.get_title() for ax in axes[0]] == list(runs)
    for ax, (title, run) in zip(axes[0], runs.items(), strict=True):
        assert len(ax.lines) == len(epochs) + (classifiers is not None)
        for line, epoch in zip(ax.lines, epochs, strict=False):
            weight, bias = run["linear.weight"][epoch, 0], run["linear.bias"][epoch, 0]
            assert_draws(line, boundary_segment(weight, bias, XLIM, YLIM))
            assert to_rgb(line.get_color()) == to_rgb(CONCEPTS[title].color)
        if classifiers is not None:
            assert_draws(ax.lines[-1], boundary_segment(*LINES["no decay"], XLIM, YLIM))
            assert_looks_like(ax.lines[-1], "reference")
        alphas = [line.get_alpha() for line in ax.lines[: len(epochs)]]
        assert alphas == sorted(set(alphas))
        assert 0.3 < alphas[0] < alphas[-1] == 1
        assert ax.lines[len(epochs) - 1].get_linewidth() > 2
    named = ["epoch 0", "epoch 7", *(classifiers or ()), "label 1", "label 0"]
    assert legend_labels(axes[0, 0]) == named


def test_drift_plots_the_sum_of_absolute_weights_after_every_epoch_from_zero_up():
    runs = {"plain": history(6), "other": history(8, seed=1)}
    axes = drift(runs, X, Y, epochs=[1, 5], **RECTANGLE)
    for ax, run in zip(axes[1], runs.values(), strict=True):
        (line,) = ax.lines
        size = run["linear.weight"].abs().sum(dim=(1, 2))
        np.testing.assert_allclose(line.get_xydata(), np.column_stack([range(len(size)), size]), atol=1e-6)
        assert ax.get_xlabel() == "epoch"
        assert ax.get_ylim() == axes[1, 0].get_ylim()
    assert axes[1, 0].get_ylim()[0] == 0
    assert [ax.get_ylabel() for ax in axes[1]] == ["|w1| + |w2|", ""]


# Fits and curves


def test_fits_draws_the_points_and_each_model_over_their_range():
    layer = torch.nn.Linear(1, 1)
    models = {"line": (torch.tensor([[0.5]]), 1.0), "parabola": torch.square, "L2": layer}
    ax = fits(*ROWS, models, xlabel="time (s)", ylabel="length (m)", title="growth")
    (dots,) = ax.collections
    np.testing.assert_array_equal(dots.get_offsets(), torch.cat(ROWS, dim=1))
    x = np.linspace(-1, 4, 201)
    weight, bias = layer.weight.item(), layer.bias.item()
    for label, height in {"line": 0.5 * x + 1, "parabola": x**2, "L2": weight * x + bias}.items():
        np.testing.assert_allclose(line_of(ax, label).get_xydata(), np.column_stack([x, height]), atol=1e-5)
    assert legend_labels(ax) == ["data", *models]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("time (s)", "length (m)", "growth")


def test_fits_calls_a_model_in_the_dtype_of_the_points_without_a_gradient():
    seen = []
    fits(ROWS[0].requires_grad_(), ROWS[1], {"a": lambda x: seen.append(x) or x})
    fits([[0], [2]], [[1], [3]], {"a": lambda x: seen.append(x) or x[:, 0].numpy()})
    assert [x.dtype for x in seen] == [torch.float32, torch.float64]
    assert [x.shape for x in seen] == [(201, 1)] * 2
    assert not any(x.requires_grad for x in seen)


def test_curves_draws_each_series_and_names_them_where_there_are_two():
    series = {"a": ([0.0, 1.0, 3.0], torch.tensor([1.0, 2.0, 5.0])), "b": ([0, 1], [1, 0])}
    ax = curves(series, **NAMES, title="growth")
    for label, (x, y) in series.items():
        assert_draws(line_of(ax, label), np.column_stack([x, y]))
    assert legend_labels(ax) == ["a", "b"]
    assert legend_labels(curves({"alone": ([0, 1], [0, 1])}, **NAMES)) == []
    assert legend_labels(two_panels()) == ["L1", "L2"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("step", "loss", "growth")
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")


def test_curves_of_several_runs_are_their_median_in_the_band_of_their_range():
    ax = curves({"L2": ([0, 1, 2], RUNS)}, **NAMES)
    assert_draws(line_of(ax, "L2"), [[0, 4], [1, 1.5], [2, 2]])
    (band,) = ax.collections
    edge = {tuple(vertex) for vertex in band.get_paths()[0].vertices}
    assert edge == {(0, 3), (1, 1), (2, 2), (2, 2.5), (1, 2), (0, 5)}
    assert to_rgb(band.get_facecolor()[0]) == to_rgb(CONCEPTS["L2"].color)
    assert 0.1 < band.get_facecolor()[0][3] < 0.5
    assert len(curves({"L2": ([0, 1, 2], RUNS[:1])}, **NAMES).collections) == 0


def test_curves_marks_the_lowest_point_of_each_by_a_star_that_the_legend_names_once():
    series = {"L2": ([1, 2, 3], RUNS), "level": ([1, 2, 3], [0.5, 0.5, 0.5])}
    ax = curves(series, **NAMES, minima=True)
    stars = [line for line in ax.lines if line.get_marker() == "*"]
    assert [star.get_xydata().tolist() for star in stars] == [[[2, 1.5]], [[1, 0.5]]]
    assert legend_labels(ax) == ["L2", "level", "minimum"]


@pytest.mark.parametrize(("xscale", "yscale"), [*itertools.product(["linear", "log"], repeat=2)])
def test_curves_sets_scales_and_writes_no_small_exponents(xscale, yscale):
    ax = curves({"a": ([1e-6, 1, 1e6], [3e-2, 1, 2e2])}, **NAMES, xscale=xscale, yscale=yscale)
    assert (ax.get_xscale(), ax.get_yscale()) == (xscale, yscale)
    seen = {text.get_text() for text in texts(ax.figure)}
    assert not any("$" in text for text in seen)
    assert any(re.fullmatch(r"1e-[1-6]", text) for text in seen) == (xscale == "log")
    assert ({"0.1", "1", "10"} <= seen) == (yscale == "log")
    narrow = curves({"a": ([1, 2], [2.1e-6, 2.9e-6])}, **NAMES, yscale="log")
    assert {"2.2e-6", "2.5e-6"} <= {text.get_text() for text in texts(narrow.figure)}


def test_curves_writes_references_at_the_ends_of_dotted_grey_lines():
    heights, places = {"limit": 2.5, "floor": -1}, {"critical": 0.3}
    ax = curves({"a": ([0, 1], [0, 1])}, **NAMES, references=heights, xreferences=places)
    upper, lower, upright = ax.lines[1:]
    assert [list(line.get_ydata()) for line in (upper, lower)] == [[2.5, 2.5], [-1, -1]]
    assert list(upright.get_xdata()) == [0.3, 0.3]
    for line in (upper, lower, upright):
        assert (line.get_linestyle(), line.get_color()) == (":", REFERENCE)
    written = {text.get_text(): text.xy for text in ax.texts}
    assert written == {"limit": (1, 2.5), "floor": (1, -1), "critical": (0.3, 1)}
    assert ax.get_ylim()[0] < -1 < 2.5 < ax.get_ylim()[1]


# Maps


def test_contours_draws_each_path_from_an_open_circle_to_its_marker_in_a_frame_with_names():
    ax = contours(values=BOWL, paths={**PATHS, "far": [[9, 9], [-9, 9]]}, **MAPPED, title="a bowl")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("bias", "weight", "a bowl")
    assert (ax.get_xlim(), ax.get_ylim()) == ((-2, 3), (-1, 1))
    assert ax.collections[0].colorbar.ax.get_ylabel() == "loss"
    for label, track in PATHS.items():
        line = line_of(ax, label)
        assert_draws(line, track)
        assert_looks_like(line, ALIASES.get(label, label))
        assert line.get_marker() == CONCEPTS[ALIASES.get(label, label)].marker
        assert line.get_markevery() == [-1]
    starts = [line for line in ax.lines if line.get_label() == "start"]
    for line, track in zip(starts[:3], PATHS.values(), strict=True):
        assert_draws(line, track[:1])
    assert {(line.get_marker(), line.get_markerfacecolor()) for line in starts} == {("o", "white")}
    assert legend_labels(ax) == [*PATHS, "far", "start", "minimum"]


def test_contours_marks_every_point_only_where_steps_are_asked_for():
    ax = contours(values=BOWL, paths=PATHS, **MAPPED, steps=True)
    dots = [line for line in ax.lines if line.get_marker() == "."]
    for line, track in zip(dots, PATHS.values(), strict=True):
        assert_draws(line, track)
    assert "." not in {line.get_marker() for line in contours(values=BOWL, paths=PATHS, **MAPPED).lines}


def star_of(ax):
    return [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "*"]


def test_contours_marks_the_lowest_value_or_where_the_minimum_is_said_to_be_or_none():
    np.testing.assert_allclose(star_of(contours(values=BOWL, **MAPPED)), [[[0, 0]]], atol=1e-6)
    assert star_of(contours(values=BOWL, **MAPPED, minimum=[0.5, 0.25])) == [[[0.5, 0.25]]]
    assert star_of(contours(values=BOWL, **MAPPED, minimum=False)) == []
    level = 1 + 1e-13 * torch.rand(11, 20, dtype=torch.float64)
    rows = torch.cat([level + 1, level[:, :1]], dim=1)
    np.testing.assert_allclose(star_of(contours(values=rows, **MAPPED)), [[[3, -1]]])


def test_the_shades_change_at_the_lines_a_constant_apart_over_all_values_or_where_told():
    areas, lines = contours(values=BOWL, **MAPPED).collections
    np.testing.assert_allclose(np.diff(areas.levels), areas.levels[1] - areas.levels[0], rtol=1e-12)
    assert areas.levels[0] <= BOWL.min()
    assert areas.levels[-1] >= BOWL.max()
    assert set(lines.levels) < set(areas.levels)
    assert 5 <= len(areas.levels) <= 9
    assert 20 <= len(contours(values=BOWL, **MAPPED, levels=30).collections[0].levels) <= 31
    told = contours(values=BOWL, **MAPPED, levels=[1, 2, 8]).collections[0]
    assert told.levels.tolist() == [1, 2, 8]
    assert told.extend == "both"
    shades = [tuple(shade) for shade in told.get_facecolor()]
    assert len(set(shades)) == 4


@pytest.mark.parametrize("above", [True, False])
def test_the_map_has_its_axes_the_right_way_round_and_grows_darker_upwards(above):
    """A function of y alone, on axes of different lengths: the lines lie across."""
    y = AXES[1]
    values = (y if above else -y)[:, None].expand(11, 21)
    ax = contours(**{**MAPPED, "values": values}, minimum=False)
    across = [path for path in ax.collections[1].get_paths() if len(path.vertices)]
    assert across
    for path in across:
        assert np.ptp(path.vertices[:, 0]) == 5
        assert np.ptp(path.vertices[:, 1]) < 1e-12
    ax.figure.canvas.draw()
    picture = np.asarray(ax.figure.canvas.buffer_rgba())[::-1]
    x0, y0, x1, y1 = (round(edge) for edge in ax.get_window_extent().extents)
    low, high = (luminance(picture[row, (x0 + x1) // 2, :3] / 255) for row in (y0 + 9, y1 - 9))
    assert (low > high) == above


def test_the_map_is_of_a_few_opaque_shades_with_edges_as_they_are_for_the_sake_of_its_file():
    ax = contours(values=BOWL, **MAPPED, minimum=False)
    ax.set_axis_off()
    ax.figure.canvas.draw()
    x0, y0, x1, y1 = (round(edge) for edge in ax.get_window_extent().extents)
    picture = np.asarray(ax.figure.canvas.buffer_rgba())[::-1][y0 + 2 : y1 - 2, x0 + 2 : x1 - 2]
    assert picture.size > 4 * 200 * 500
    assert len(np.unique(picture.reshape(-1, 4), axis=0)) <= len(ax.collections[0].levels)
    assert len(stored(contours(values=BOWL, paths=PATHS, **MAPPED, steps=True).figure)) < 70_000


def test_the_axes_of_a_map_have_one_scale_unless_told_or_impossible():
    for height, options, same in (
        (0.5, {}, True),
        (12.0, {}, True),
        (500.0, {}, False),
        (1.0, {"equal": False}, False),
        (1.0, {"xscale": "log"}, False),
        (1.0, {"yscale": "log"}, False),
    ):
        x, y = torch.linspace(0.1, 5, 6), torch.linspace(0.1, height, 4)
        ax = contours(x, y, x + y[:, None], PATHS, **NAMES, zlabel="loss", **options)
        assert (ax.get_xscale() == "log", ax.get_yscale() == "log") == (
            "xscale" in options,
            "yscale" in options,
        )
        ax.figure.canvas.draw()
        corner, right, above = ax.transData.transform([[1, 0.2], [2, 0.2], [1, 1.2]])
        assert (right[0] - corner[0] == pytest.approx(above[1] - corner[1])) == same


# What is drawn over a map


def test_arrows_go_from_start_to_end_in_their_looks_and_are_named():
    vectors = {"momentum": ([0.5, -0.5], [2.0, 0.1]), "other": (torch.zeros(2, requires_grad=True), [1, 1])}
    ax = arrows(vectors, contours(values=BOWL, **MAPPED))
    ax.figure.canvas.draw()
    patches = [text.arrow_patch for text in ax.texts]
    scale = ax.figure.dpi / ax.figure.canvas.get_renderer().points_to_pixels(72)
    for patch_, (start, end) in zip(patches, vectors.values(), strict=True):
        drawn = patch_._get_path_in_displaycoord()[0][0].vertices[[0, -1]]
        found = ax.transData.inverted().transform(drawn * scale)
        np.testing.assert_allclose(found[0], torch.as_tensor(start).detach(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(found[1], end, rtol=0, atol=0.05)  # less by half a line at the sharp tip
    assert to_rgb(patches[0].get_edgecolor()) == to_rgb(CONCEPTS["momentum"].color)
    assert patches[0].get_edgecolor() != patches[1].get_edgecolor()
    assert legend_labels(ax) == ["momentum", "other", "minimum"]


def test_arrows_widen_axes_that_are_free_and_are_cut_by_those_of_a_map():
    ax = arrows({"far": ([0, 0], [7, 9])}, panels()[1])
    assert ax.viewLim.contains(7, 9)
    pictures = []
    for end in ([9, 0], [0, 0]):
        ax = arrows({"a": ([0, 0], end)}, contours(values=BOWL, **MAPPED))
        assert (ax.get_xlim(), ax.get_ylim()) == ((-2, 3), (-1, 1))
        ax.figure.canvas.draw()
        pictures.append(np.asarray(ax.figure.canvas.buffer_rgba()).astype(int))
    x1 = round(ax.get_window_extent().x1)
    changed = (pictures[0] != pictures[1]).any(axis=(0, 2))
    assert changed[x1 - 100 : x1 - 3].all()
    assert not changed[x1 + 3 :].any()


def test_points_are_named_beside_them_or_in_the_legend_where_there_are_several():
    ax = contours(values=BOWL, **MAPPED, minimum=False)
    points({"stands": [0.5, -0.5], "minimum": [0.0, 0.0], "AdamW": PATHS["momentum"]}, ax)
    _, minimum, several = ax.lines
    assert_draws(several, PATHS["momentum"])
    assert (minimum.get_marker(), several.get_marker()) == ("*", CONCEPTS["decoupled decay"].marker)
    assert {text.get_text(): text.xy for text in ax.texts} == {"stands": (0.5, -0.5), "minimum": (0, 0)}
    assert ax.get_legend_handles_labels()[1] == ["AdamW"]


def test_the_names_of_points_stand_away_from_each_other_and_inside_the_map():
    ax = contours(values=BOWL, **MAPPED, minimum=False)
    places = {"low": [-1.8, -0.5], "high": [2.7, 0.5], "middle": [0.3, 0.1]}
    points(places, ax)
    ax.figure.canvas.draw()
    frame = ax.get_window_extent()
    for text, (_, y) in zip(ax.texts, places.values(), strict=True):
        box = text.get_window_extent()
        assert frame.x0 < box.x0 < box.x1 < frame.x1
        middle = ax.transData.inverted().transform([box.x0, (box.y0 + box.y1) / 2])[1]
        assert (middle > y) == (y > 0.04)


@pytest.mark.parametrize(("norm", "words"), [(1, "diamond"), (2, "circle"), (math.inf, "box")])
def test_level_sets_are_where_the_norm_is_the_radius(norm, words):
    ax = level_sets({"L2": (norm, [0.5, 2.0])}, panels()[1])
    assert len(ax.lines) == 2
    for line, radius in zip(ax.lines, (0.5, 2.0), strict=True):
        shape = line.get_xydata()
        np.testing.assert_allclose(np.linalg.norm(shape, ord=norm, axis=1), radius, rtol=1e-12)
        np.testing.assert_allclose(shape[0], shape[-1], atol=1e-12)
        corners = radius * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
        assert all(np.isclose(shape, corner, atol=1e-12).all(axis=1).any() for corner in corners)
        assert_looks_like(line, "L2")
    assert words in repr(ax.figure)


def test_nothing_is_drawn_where_something_is_refused():
    ax = panels()[1]
    with pytest.raises(ValueError, match="bad"):
        fits(*ROWS, {"good": (1, 2), "bad": (1, 2, 3)}, ax=ax)
    wrong = {arrows: [([0, 0], [1, 1]), ([0], [1])], points: [[0, 0], [0]], level_sets: [(2, 1), (3, 1)]}
    for draw, (good, bad) in wrong.items():
        with pytest.raises(ValueError, match="bad"):
            draw({"good": good, "bad": bad}, ax)
    assert not ax.has_data()
    assert not ax.texts


# Tables


def cells(ax):
    """Return the text of each cell and its shade, by row and column."""
    image = ax.images[0]
    shades = image.to_rgba(image.get_array())
    inside = {text.get_position(): text for text in ax.texts if text.get_transform() == ax.transData}
    return {place[::-1]: (text.get_text(), tuple(shades[place[::-1]])) for place, text in inside.items()}


def test_heatmap_writes_the_nearest_power_of_ten_with_its_sign_and_zero_without():
    found = cells(heatmap(TABLE, OPTIMIZERS, COLUMNS))
    written = [[found[row, column][0] for column in range(3)] for row in range(4)]
    assert written == [["-16", "-7", "0"], ["0", "-8", "+0"], ["+0", "+4", "-16"], ["-16", "-16", "-15"]]


@pytest.mark.parametrize("n_columns", [3, 30])
def test_heatmap_is_darker_where_the_number_is_larger_on_a_log_scale_and_white_where_it_is_zero(n_columns):
    values = torch.logspace(-16, 0, n_columns, dtype=torch.float64)[None].clone()
    values[0, 1] = 0
    ax = heatmap(values, ["a"], [f"{k % 10}" for k in range(n_columns)])
    image = ax.images[0]
    shades = [luminance(shade) for shade in image.to_rgba(image.get_array())[0]]
    assert shades.pop(1) == pytest.approx(1)
    assert shades == sorted(shades, reverse=True)
    assert image.norm((-16, -8, 0)).tolist() == pytest.approx([0, 0.5, 1])
    assert (image.colorbar is None) == (n_columns == 3)
    if image.colorbar:
        assert image.colorbar.ax.get_xlabel() == "power of ten, white: 0"


def names_above(ax):
    """Return the names above the table: text, column, and height over the axes in points."""
    found = [text for text in ax.texts if text.get_transform() != ax.transData]
    return [(text.get_text(), text.xy[0], text.get_position()[1]) for text in found]


def test_heatmap_names_its_rows_and_shares_the_names_of_groups_of_columns():
    ax = heatmap(TABLE, [(name, "0.1") for name in OPTIMIZERS], COLUMNS, title="Differences")
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"{name} 0.1" for name in OPTIMIZERS]
    assert ax.get_yticks().tolist() == [0, 1, 2, 3]
    assert ax.yaxis_inverted()
    expected = [("float64", 0.5), ("float32", 2), ("mean", 0), ("sum", 1), ("sum", 2)]
    assert [(name, place) for name, place, _ in names_above(ax)] == expected
    heights = [height for *_, height in names_above(ax)]
    assert heights[0] == heights[1] > heights[2] + 10 > 10
    assert heights[2] == heights[3] == heights[4]
    assert [line.get_xdata()[0] for line in ax.lines] == [1.5]
    assert ax.get_title() == "Differences"
    plain = heatmap(TABLE, OPTIMIZERS, ["a", "b", "b"])
    assert [(name, place) for name, place, _ in names_above(plain)] == [("a", 0), ("b", 1.5)]
    assert len(plain.lines) == 0
