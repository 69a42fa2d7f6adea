"""A figure says in words what it holds, and every alt text says the same and nothing else."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_lib.plotting import (
    arrows,
    boundaries,
    contours,
    curves,
    fits,
    heatmap,
    level_sets,
    panels,
    points,
    small_multiples,
)
from tools.build import notebooks
from tools.verify import figures

DESCRIPTION = """axes 1 'upper': x 'steps t', log, 1 to 1e+06; y 'angle (degrees)', linear, -20 to 30
  plain descent: from (10, 13.4) to (1e+06, -14.0), falls, lowest -14.0, highest 13.4
    the limit: at -15.9
axes 2: x 'steps t', log, 1 to 1e+06; y '|w|', linear, 0 to 9
  plain descent: from (10, 1.2) to (1e+06, 8.8), rises, lowest 1.2, highest 8.8"""
ALT = (
    "Upper: the angle over steps t on a log scale. Plain descent falls from 13 degrees to -14.0, towards the "
    "limit at -15.9. Below, |w| of plain descent rises to 8.8."
)
MAP = """axes 1: x 'bias', linear, -5 to 8; y 'weight', linear, -5 to 8
    RMSE: lowest 0.708 at (2.5, 0.875), highest 10
  momentum: from (-3, 6) to (2.52, 0.928), turns, lowest -2.24, highest 6
    start: at (-3, 6)
    minimum: at (2.5, 0.875)
    RMSE: shown by colors"""
ALT_OF_THE_MAP = (
    "A map of the RMSE over bias and weight, at its lowest, 0.708, in the minimum at bias 2.5. From the "
    "start at (-3, 6) the path of momentum overshoots down to weight -2.24."
)


@pytest.fixture(autouse=True)
def _figures_closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("chapter", notebooks.chapters(), ids=lambda path: path.stem)
def test_alt_texts_say_what_the_figures_hold(chapter):
    found = []
    for cell in notebooks.read(chapter).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                alt = cell.metadata["mystnb"]["image"]["alt"]
                found += [(cell["id"], line) for line in figures.problems(alt, output.data["text/plain"])]
    assert found == []


@pytest.mark.parametrize(("alt", "description"), [(ALT, DESCRIPTION), (ALT_OF_THE_MAP, MAP)])
def test_an_alt_text_that_says_what_the_figure_holds_passes(alt, description):
    assert figures.problems(alt, description) == []


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("log", "linear", "it does not say that a scale is log"),
        ("Upper: ", "", "it does not name 'upper'"),
        ("steps t", "epochs", "it does not name 'steps t'"),
        ("angle", "slope", "it does not name 'angle (degrees)'"),
        ("the limit", "a line", "it does not name 'the limit'"),
        ("to 8.8", "to 8.9", "8.9: nothing in the figure"),
        ("13 degrees", "14 degrees", "14: nothing in the figure"),
        ("the limit at -15.9", "the limit", "it says nothing that is so of 'the limit': at -15.9"),
        ("RMSE", "loss", "it does not name 'RMSE'"),
        ("the start at", "", "it does not name 'start'"),
        (
            "the minimum at bias 2.5",
            "the minimum",
            "it says nothing that is so of 'minimum': at (2.5, 0.875)",
        ),
        ("A map", "A log map", "it says log and no scale is"),
    ],
)
def test_what_is_wrong_in_an_alt_text_is_said(right, wrong, problem):
    alt, description = (ALT, DESCRIPTION) if right in ALT else (ALT_OF_THE_MAP, MAP)
    assert right in alt
    assert problem in figures.problems(alt.replace(right, wrong), description)


def test_two_series_whose_names_are_exchanged_are_noticed():
    description = "axes 1: x 'step', linear, 0 to 9; y 'loss', linear, 0 to 6\n"
    series = [
        "from (0, 6) to (9, 2), falls, lowest 2, highest 6",
        "from (0, 1) to (9, 5), rises, lowest 1, highest 5",
    ]
    alt = "The loss over the step: with decay it falls to 2, without it rises to 5."
    lines = [
        f"  with decay: {series[0]}\n  without: {series[1]}",
        f"  with decay: {series[1]}\n  without: {series[0]}",
    ]
    assert figures.problems(alt, description + lines[0]) == []
    assert len(figures.problems(alt, description + lines[1])) == 2


NAMES = {"xlabel": "x", "ylabel": "y"}


def words(ax):
    """Return what a figure says but for its first line, which says the names and limits of its axes."""
    return repr(ax.figure).splitlines()[1:]


def test_curves_say_their_course_their_range_their_minimum_and_their_references():
    ax = curves(
        {
            "a: mean": ([1, 10, 100], [3.0, 2.0, 1.0]),
            "b": ([1, 100], [1.0, 1.0]),
            "c": ([1, 10, 100], [[3.0, 1.0, 2.0], [5.0, 2.0, 2.0]]),
        },
        xlabel="time (s)",
        ylabel="height (m)",
        xscale="log",
        references={"ground": 0.5},
        xreferences={"noon": 12},
        minima=True,
        title="A long title that stands in several lines because it says so much",
    )
    first = repr(ax.figure).splitlines()[0]
    assert first.startswith(
        f"axes 1 '{' '.join(ax.get_title().split())}': x 'time (s)', log, 0.794 to 126; y "
    )
    assert "\n" in ax.get_title()
    assert words(ax) == [
        "  a: mean: from (1, 3) to (100, 1), falls, lowest 1, highest 3",
        "    minimum of a: mean: at (100, 1)",
        "  b: from (1, 1) to (100, 1), level, lowest 1, highest 1",
        "    minimum of b: at (1, 1)",
        "    c: range of 2 runs, at first from 3 to 5, at last from 2 to 2",
        "  c: from (1, 4) to (100, 2), turns, lowest 1.5, highest 4",
        "    minimum of c: at (10, 1.5)",
        "    ground: at 0.5",
        "    noon: upright at 12",
    ]


def test_boundaries_say_where_they_are_and_how_far_the_points():
    X, y = torch.tensor([[3.0, 2.0], [1.0, 1.0]]), torch.tensor([1.0, 0.0])
    lines = {"L2": (torch.tensor([2.0, 1.0]), -5.5), "far": (torch.tensor([1.0, 0.0]), -50.0)}
    ax = boundaries(X, y, lines, xlim=(0, 4), ylim=(0, 3), distances=True, probability="L2")
    assert words(ax) == [
        "    p(label 1): lowest 0.00407 at (0, 0), highest 0.996",
        "  L2: from (1.25, 3) to (2.75, 0), falls, lowest 0, highest 3; the points are 1.12, 1.12 away",
        "  far: out of sight; the points are 47, 49 away",
        "  label 1: at (3, 2)",
        "  label 0: at (1, 1)",
        "    p(label 1): shown by colors",
    ]


def test_maps_and_what_is_drawn_over_them_say_where_they_are():
    values = [[3.0, 1.0, 2.0], [4.0, 5.0, 6.0]]
    ax = contours([0.0, 1.0, 2.0], [0.0, 1.0], values, {"way": [[0, 1], [1, 0]]}, **NAMES, zlabel="loss")
    arrows({"push": ([0.0, 0.0], [1.0, 0.5])}, ax)
    points({"stands": [1.0, 0.5], "AdamW": np.eye(2)}, ax)
    level_sets({"L1": (1, [0.5, 1]), "L2": (2, 1), "box": (math.inf, 2)}, ax)
    assert words(ax) == [
        "    loss: lowest 1 at (1, 0), highest 6",
        "  way: from (0, 1) to (1, 0), falls, lowest 0, highest 1",
        "    start: at (0, 1)",
        "    minimum: at (1, 0)",
        "  push: from (0, 0) to (1, 0.5)",
        "    stands: at (1, 0.5)",
        "    AdamW: at (1, 0), (0, 1)",
        "  L1: a diamond of radius 0.5, 1",
        "  L2: a circle of radius 1",
        "  box: a box of radius 2",
        "    loss: shown by colors",
    ]


def test_fits_and_tables_say_what_they_show():
    X = torch.arange(10.0)[:, None]
    assert words(fits(X, X, {"a line": (1, 0)}))[0] == "  data: 10 points"
    ax = heatmap([[1e-16, 2e-7], [0.0, 3e-8]], ["SGD", "Adam"], ["float64", "float32"])
    assert repr(ax.figure) == "axes 1: a table of 2 rows\n    cells: float64 below 1e-12, float32 about 1e-7"


def test_every_panel_is_said_and_no_empty_place():
    settings = {f"lr {k}": {"series": {"L2": ([0, 1], [1, k])}} for k in (0.1, 0.5, 0.9)}
    axes = small_multiples(curves, settings, **NAMES)
    found = [line.partition(":")[0] for line in repr(axes[0, 0].figure).splitlines()]
    assert found == ["axes 1 'lr 0.1'", "  L2", "axes 2 'lr 0.5'", "  L2", "axes 3 'lr 0.9'", "  L2"]
    assert repr(panels(2)[0]).count("axes ") == 2


def test_a_figure_says_no_rounding():
    """What another machine rounds otherwise is called zero, or below a bound."""
    noise = 1e-9 * torch.rand(50)
    x = torch.arange(50.0)
    ax = curves({"a": (x, 5 * torch.exp(-x) + noise), "level": (x, 1 + noise), "zero": (x, noise)}, **NAMES)
    assert words(ax) == [
        "  a: from (0, 5) to (49, 0), falls, lowest 0, highest 5",
        "  level: from (0, 1) to (49, 1), level, lowest 1, highest 1",
        "  zero: from (0, 0) to (49, 0), level, lowest 0, highest 0",
    ]
    ax = curves({"a": (x, 1e-15 + 1e-8 * noise), "b": (x, 10.0 ** -x.double())}, **NAMES, yscale="log")
    assert repr(ax.figure).splitlines() == [
        "axes 1: x 'x', linear, -2.45 to 51.5; y 'y', log, below 1e-6 to about 1e2",
        "  a: from (0, below 1e-6) to (49, below 1e-6), turns, lowest below 1e-6, highest below 1e-6",
        "  b: from (0, 1) to (49, below 1e-6), falls, lowest below 1e-6, highest 1",
    ]
