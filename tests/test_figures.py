"""Every alt text says what its figure holds, and nothing else."""

import pytest

from course_lib.plotting import arrows, curves, heatmap, panels, paths
from tools import figures, notebooks

DESCRIPTION = """axes 1 'upper': x 'steps t', log, 1 to 1e+06; y 'angle (degrees)', linear, -20 to 30
  plain descent: from (10, 13.4) to (1e+06, -14.0), falls, lowest -14.0, highest 13.4
  the limit: at -15.9
axes 2: x 'steps t', log, 1 to 1e+06; y '|w|', linear, 0 to 9
  plain descent: from (10, 1.2) to (1e+06, 8.8), rises, lowest 1.2, highest 8.8"""
ALT = (
    "Upper: the angle over steps t on a log scale. Plain descent falls from 13 degrees to -14.0, towards the "
    "limit at -15.9. Below, |w| of plain descent rises to 8.8."
)


@pytest.mark.parametrize("chapter", notebooks.chapters(), ids=lambda path: path.stem)
def test_alt_texts_say_what_the_figures_hold(chapter):
    found = []
    for cell in notebooks.read(chapter).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                alt = cell.metadata["mystnb"]["image"]["alt"]
                found += [(cell["id"], line) for line in figures.problems(alt, output.data["text/plain"])]
    assert found == []


def test_an_alt_text_that_says_what_the_figure_holds_passes():
    assert figures.problems(ALT, DESCRIPTION) == []


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
    ],
)
def test_what_is_wrong_in_an_alt_text_is_said(right, wrong, problem):
    assert right in ALT
    assert problem in figures.problems(ALT.replace(right, wrong), DESCRIPTION)


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


def words(ax):
    return repr(ax.figure).splitlines()


def test_a_figure_says_what_its_axes_hold():
    ax = curves(
        {"a": ([1, 10, 100], [3.0, 2.0, 1.0]), "b": ([1, 100], [1.0, 1.0])},
        xlabel="time (s)",
        ylabel="height (m)",
        xscale="log",
        references={"ground": 0.5},
        title="Falling",
    )
    first, *series = words(ax)
    assert first.startswith("axes 1 'Falling': x 'time (s)', log, ")
    assert "; y 'height (m)', linear, " in first
    assert series == [
        "  a: from (1, 3) to (100, 1), falls, lowest 1, highest 3",
        "  b: from (1, 1) to (100, 1), level, lowest 1, highest 1",
        "  ground: at 0.5",
    ]


def test_maps_arrows_and_heatmaps_say_what_they_show():
    x, y = [0.0, 1.0, 2.0], [0.0, 1.0]
    ax = paths(
        x, y, [[3.0, 1.0, 2.0], [4.0, 5.0, 6.0]], {"way": [[0.0, 1.0], [1.0, 0.0]]}, xlabel="x", ylabel="y"
    )
    arrows({"push": ([0.0, 0.0], [1.0, 0.5])}, ax)
    assert words(ax)[1:] == [
        "  way: from (0, 1) to (1, 0), falls, lowest 0, highest 1",
        "  push: at (0, 0)",
        "  map: lowest 1 at (1, 0), highest 6",
        "  push: from (0, 0) to (1, 0.5)",
    ]
    ax = heatmap([[1e-16, 2e-7], [0.0, 3e-8]], ["SGD", "Adam"], ["float64", "float32"])
    assert words(ax)[-1] == "  powers of ten in 4 cells, float64: -16, float32: -7"


def test_every_panel_is_said():
    _, axes = panels(2)
    axes[0].set(xlabel="a", ylabel="b")
    assert [line.partition(":")[0] for line in words(axes[1])] == ["axes 1", "axes 2"]
