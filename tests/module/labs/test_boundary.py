"""The lab on the boundary, against the descent of course_lib and autograd."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_lib import labs
from course_lib.data import two_points
from course_lib.geometry import angle, bisector, max_margin
from course_lib.models import LinearModel, Perceptron
from course_lib.scratch import logistic_descent
from tests.javascript import MOVES, close, counted, moved, script

LINES = [
    {"weight_decay": 0.0},
    {"weight_decay": 0.2},
    {"weight_decay": 1.0},
    {"weight_decay": 0.01, "decay_bias": False},
    {"weight_decay": 0.0005, "X": [[0.5, 2.5], [3.5, 0.1]]},
    {"weight_decay": 0.02, "penalty": "L1"},
    {"weight_decay": 0.1, "penalty": "L1", "decay_bias": False},
    {"weight_decay": 1.0, "penalty": "L1"},  # which leaves no weights
]
RESTS = [
    {"weight_decay": 1.0, "penalty": "L1", "decay_bias": False},  # the weights rest, the bias does not
    {"weight_decay": 0.05, "penalty": "L1", "X": [[2, 2.5], [2, 0.5]]},  # one weight rests
    {"weight_decay": 0.05, "penalty": "L1", "X": [[2.5, 2], [0.5, 2]]},
    {"weight_decay": 0.3, "penalty": "L1", "X": [[3, 1], [1, 2]]},  # the bias rests
    {"weight_decay": 0.5, "X": [[0.5, 0.5], [1, 1]]},  # all rest, and a point is on the wrong side
    {"weight_decay": 0.5, "X": [[1, 1], [0.5, 0.5]]},
    {"weight_decay": 0.5, "X": [[2, 1], [1, 1]]},
    {"weight_decay": 0.3, "penalty": "L1", "X": [[4, 1], [0, 1]]},  # all but one weight rest
    {"weight_decay": 0.3, "penalty": "L1", "X": [[1, 3], [1, 0]]},
]


def trained(lab, steps):
    """Return weights and bias after each of the first steps of a lab on the boundary."""
    X, y = torch.tensor(lab.settings["X"], dtype=torch.float64), two_points()[1].double()
    start = LinearModel.of(Perceptron(seed=0)).theta.double().numpy()
    decay, decay_bias = lab.settings["weight_decay"], lab.settings["decay_bias"]
    if lab.settings["penalty"] == "L2":
        options = {"lr": 1.0, "n_steps": steps, "weight_decay": decay, "decay_bias": decay_bias}
        return logistic_descent(X.numpy(), y.numpy(), start=start, **options)
    theta, path = torch.tensor(start, requires_grad=True), []
    for _ in range(steps):
        model = LinearModel.of(theta)
        z = X @ theta[:-1] + theta[-1]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
        (gradient,) = torch.autograd.grad(loss, theta)
        moved = theta.detach() - gradient
        shrunk = moved.sign() * (moved.abs() - decay).clamp(min=0)
        model = torch.cat([shrunk[:2], (shrunk if decay_bias else moved)[2:]])
        theta = model.requires_grad_()
        path.append(model.detach().numpy().copy())
    return np.array(path)


@pytest.mark.parametrize("setting", LINES + RESTS, ids=str)
def test_line_of_the_boundary_lab_is_that_of_the_descent(setting):
    lab = labs.boundary(**setting, n_steps=777)
    states = [state for state in script("boundary").run(lab) if state["step"] <= 2000]
    path = trained(lab, 2000)
    assert [state["step"] for state in states][-1] == 2000
    assert 777 in [state["step"] for state in states]
    close([state["theta"] for state in states], path[[state["step"] - 1 for state in states]])
    margins = (path[:, :2] @ np.array(lab.settings["X"]).T + path[:, 2:]) * [1, -1]
    for state in states:
        wrong = margins[: state["step"]] < 0
        for i in (0, 1):
            last = wrong[:, i].nonzero()[0].max(initial=-1) + 1
            right = (~wrong[:, i]).nonzero()[0].max(initial=-1) + 2
            assert state["last"][i] == last
            assert state["since"][i] == (right if last == state["step"] else 0)


def test_line_of_the_boundary_lab_after_a_million_steps():
    last = script("boundary").run(labs.boundary(weight_decay=1e-6, n_steps=10))
    state = next(state for state in last if state["step"] == 10**6)
    X, y = two_points(dtype=torch.float64)
    options = {"lr": 1.0, "n_steps": 10**5, "weight_decay": 1e-6, "record": [10**5]}
    start = LinearModel.of(Perceptron(seed=0)).theta.double()
    (theta,) = logistic_descent(X, y, start=start, **options)
    close(next(state for state in last if state["step"] == 10**5)["theta"], theta)
    assert state["theta"] != last[-1]["theta"]
    assert last[-1]["step"] == 10**7


@pytest.mark.parametrize("setting", LINES[:2] + LINES[3:-1], ids=str)
def test_figure_of_the_boundary_lab_shows_the_trained_line(setting):
    lab = labs.boundary(**setting, n_steps=50)
    theta = trained(lab, 50)[-1]
    name = f"{lab.settings['penalty']} with {lab.settings['weight_decay']:g}"
    (line,) = (line for line in plt.gca().lines if line.get_label() == name)
    x, y = line.get_data()
    assert abs(theta[0] * x + theta[1] * y + theta[2]).max() <= 1e-9 * np.linalg.norm(theta)
    concept = script("boundary")("concept(settings)", settings=lab.settings)
    assert lab.data["looks"][concept]["color"] == line.get_color().lower()
    plane, _ = script("boundary")("lab.plots.map(({ x, y }) => [x, y])")
    assert plane == [list(plt.xlim()), list(plt.ylim())]


def test_figure_of_the_boundary_lab_leaves_out_a_line_that_has_no_weights():
    labs.boundary(**LINES[-1], n_steps=50)
    names = [line.get_label() for line in plt.gca().lines]
    assert "bisector" in names
    assert "L1 with 1" not in names


def test_bisector_and_widest_margin_of_the_boundary_lab():
    random, run = np.random.default_rng(1), script("boundary")
    y = torch.tensor([1.0, 0.0])
    for X in random.uniform(0, 3, size=(200, 2, 2)):
        line, margin = run("[bisector(X), maxMargin(X)]", X=X.tolist())
        close(line, bisector(*torch.tensor(X)).theta)
        np.testing.assert_allclose(margin, max_margin(torch.tensor(X), y, count_bias=True).theta, rtol=1e-6)
    assert run("[maxMargin([[1, 2], [1, 2]]), bisector([[1, 2], [1, 2]])]") == [None, None]


def test_line_of_the_boundary_lab_is_drawn_from_beyond_the_plane_to_beyond_it():
    for w1, w2, b in [(1, 2, -4), (-0.3, 0.1, 0.5), (1e-3, 0, -2e-3), (0, -50, 25)]:
        ends = np.array(script("boundary")("across(theta)", theta=[w1, w2, b]))
        np.testing.assert_allclose(ends @ [w1, w2], -b, rtol=1e-9, atol=1e-12 * abs(b))
        foot = ends.mean(axis=0)  # the point of the line that is nearest to the origin
        np.testing.assert_allclose(foot, -b * np.array([w1, w2]) / (w1**2 + w2**2), atol=1e-9)
        assert (np.linalg.norm(ends - foot, axis=1) > 50).all()
    assert script("boundary")("across([0, 0, 1])") == []


def test_ends_of_the_boundary_labs_plane_and_of_its_steps():
    run = script("boundary")
    assert run("[control('X').read('0,0,4,3'), control('X').read('4,3,0,0')]") == [
        [[0, 0], [4, 3]],
        [[4, 3], [0, 0]],
    ]
    assert (
        run("['-1,0,1,1', '5,0,1,1', '0,-1,1,1', '0,4,1,1'].map((text) => control('X').read(text) ?? null)")
        == [None] * 4
    )
    assert run("control('n_steps').values.slice(0, 11)") == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]
    assert run("control('n_steps').values.at(-1)") == 10**7
    assert run("recorded(11)").index(11) == run("recorded(11)").index(10) + 1
    assert run("recorded(11)")[:3] == [1, 2, 3]


def told_of_a_line(lab):
    """Return what the lab on the boundary has to tell."""
    (one, other), n_steps = lab.settings["X"], lab.settings["n_steps"]
    X, path = torch.tensor([one, other], dtype=torch.float64), trained(lab, n_steps)
    line, margins = LinearModel.of(path[-1]), (path[:, :2] @ X.numpy().T + path[:, 2:]) * [1, -1]
    p = line.probability(X)
    widest = max_margin(X, torch.tensor([1.0, 0.0]), count_bias=True)
    facts = {
        "step shown": counted(n_steps),
        "angle": f"{float(angle(line.weight)):.2f}°" if line.weight.any() else "none: both weights are 0",
        "angle of the bisector": f"{float(angle(bisector(*X).weight)):.2f}°",
        "limit without decay": f"{float(angle(widest.weight)):.2f}°",
    }
    for i, (x, y) in enumerate(lab.settings["X"]):
        (wrong,), (right,) = (margins[:, i] < 0).nonzero(), (margins[:, i] >= 0).nonzero()
        facts[f"probability of ({x:g}, {y:g})"] = f"{p[i]:.4f}"
        side = (
            f"right; last wrong after step {counted(wrong[-1] + 1)}"
            if len(wrong)
            else "right after every step"
        )
        if margins[-1, i] < 0:
            side = f"wrong since step {counted(right.max(initial=-1) + 2)}"
        facts[f"({x:g}, {y:g}) is"] = side
    return {what: text.replace("-", "\N{MINUS SIGN}") for what, text in facts.items()}


def test_boundary_lab_tells_at_each_setting_what_course_lib_computes():
    for lab in moved(labs.boundary):
        assert script("boundary").facts(lab) == told_of_a_line(lab), lab.settings


@pytest.mark.parametrize(
    "setting",
    [
        {"weight_decay": 1.0, "penalty": "L1"},
        {"weight_decay": 0.05, "penalty": "L1", "X": [[2, 2.5], [2, 0.5]]},  # one weight is 0
        {"weight_decay": 0.05, "penalty": "L1", "X": [[2.5, 2], [0.5, 2]]},
    ],
    ids=str,
)
def test_boundary_lab_tells_no_angle_of_a_line_without_weights(setting):
    lab = labs.boundary(**setting, n_steps=5)
    assert script("boundary").facts(lab) == told_of_a_line(lab)
    assert ("none" in script("boundary").facts(lab)["angle"]) == (setting["weight_decay"] == 1)


@pytest.mark.parametrize("argument", ["weight_decay", "n_steps", "X"])
def test_boundary_lab_refuses_what_its_controls_do_not_reach(argument):
    beyond = {"weight_decay": 1.01, "n_steps": 10**7 + 1, "X": [[4.1, 1.0], [1.0, 1.0]]}
    with pytest.raises(ValueError, match=argument):
        labs.boundary(**{argument: beyond[argument]})


def test_small_form_of_the_boundary_lab_tells_a_part_of_what_the_lab_tells():
    small, whole = labs.boundary(small=True), labs.boundary()
    assert small.settings == whole.settings
    for setting in MOVES["boundary"]:
        at_setting = [labs.Lab("boundary", lab.settings | setting, lab.data) for lab in (small, whole)]
        told, all_told = map(script("boundary").facts, at_setting)
        assert list(told) == ["angle", "angle of the bisector"]
        assert told.items() <= all_told.items()
    names = "formOf(lab, data).controls.map(({ name }) => name)"
    assert script("boundary")(names, data=small.data) == ["weight_decay", "n_steps", "X"]
    assert set(script("boundary")(names, data=whole.data)) == set(whole.settings)


def test_boundary_lab_shows_what_chapter_1_says():
    lab = labs.boundary(weight_decay=0.01, decay_bias=False, n_steps=100)

    def at(**setting):
        return labs.Lab("boundary", lab.settings | setting, lab.data)

    def angles(steps, **setting):
        states = {state["step"]: state["theta"] for state in script("boundary").run(at(**setting))}
        return [float(angle(np.array(states[step][:2]))) for step in steps]

    X, y = two_points(torch.float64)
    expected, widest = (angle(line.weight) for line in (bisector(*X), max_margin(X, y, count_bias=True)))
    turning = angles([1, 10, 100, 10**4, 10**6], weight_decay=0.0)
    assert turning == sorted(turning, reverse=True)
    assert turning[0] > expected > turning[1] > turning[-1] > widest
    lost = {
        decay: script("boundary").facts(at(weight_decay=decay, decay_bias=True))["(1, 1) is"]
        for decay in (0.2, 0.25)
    }
    assert [said.partition(" ")[0] for said in lost.values()] == ["right;", "wrong"]
    first, then, at_last = angles([10, 50, 10**4])
    assert then < first < at_last
    assert abs(at_last - expected) < 0.01
    told = script("boundary").facts(at(X=[[3, 2], [2, 3]]))
    assert told["angle of the bisector"] == told["limit without decay"]


def test_front_page_says_of_the_small_form_what_it_tells(root):
    text = re.sub(r"<!--.*?-->", "", (root / "book" / "intro.md").read_text(encoding="utf-8"))
    (said,) = re.findall(r"Drag the steps from 10 to a million:.*?\. *Then.*?\.\n", text, re.DOTALL)
    lab = labs.boundary(small=True)
    settings = [lab.settings | {"n_steps": 10**6, "weight_decay": decay} for decay in (0.0, 0.1)]
    told = [script("boundary").facts(labs.Lab("boundary", setting, lab.data)) for setting in settings]
    angles = [each["angle"] for each in told]
    assert re.findall(r"[\N{MINUS SIGN}\d.]+°", said) == [
        angles[0],
        told[0]["angle of the bisector"],
        angles[1],
    ]
