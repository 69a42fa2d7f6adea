"""The labs' JavaScript against the functions that it repeats, and what a notebook gets of a lab."""

import json
import re
from functools import partial
from html import unescape

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_lib import labs, rules
from course_lib.data import two_points
from course_lib.geometry import angle, bisector, max_margin
from course_lib.models import LinearModel, Perceptron
from course_lib.scratch import logistic_descent
from tests.javascript import MOVES, PLACES, script

ALL = {name: getattr(labs, name) for name in labs.__all__ if name != "Lab"}
each_lab = pytest.mark.parametrize("make", ALL.values(), ids=ALL)
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)


@pytest.fixture(autouse=True)
def _no_figures_stay():
    yield
    plt.close("all")


DIRECTIONS = {
    "sgd": {},
    "sgd with momentum": {"momentum": 0.9},
    "sgd with dampening": {"momentum": 0.8, "dampening": 0.4},
    "sgd with Nesterov": {"momentum": 0.9, "nesterov": True},
    "adam": {},
    "adam with short memory": {"betas": [0.5, 0.6], "eps": 1e-3},
}
DESCENT = """(() => {
  let [theta, state] = [start, null];
  const path = [];
  for (const gradient of gradients) {
    [theta, state] = %s(theta, gradient, state, (g, s) => %s(g, s, direction), options);
    path.push(theta);
  }
  return path;
})()"""


@pytest.mark.parametrize("step", ["coupled", "decoupled", "proximal", "proximal with norm 2"])
@pytest.mark.parametrize("name", DIRECTIONS)
def test_rules_in_javascript_are_the_rules(name, step):
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=4), random.normal(size=(500, 4))
    direction = DIRECTIONS[name] | ({"betas": tuple(DIRECTIONS[name]["betas"])} if "short" in name else {})
    options = {"lr": 0.05, "weight_decay": [0.1, 0.3, 0.0, 2.0]} | ({"norm": 2} if "norm 2" in step else {})
    function, rule = name.split()[0], step.split()[0]
    theta, state, path = start, None, []
    for gradient in gradients:
        theta, state = getattr(rules, rule)(
            theta,
            gradient,
            state,
            partial(getattr(rules, function), **direction),
            **options | {"weight_decay": np.array(options["weight_decay"])},
        )
        path.append(theta)
    found = script()(
        DESCENT % (rule, function),
        start=start.tolist(),
        gradients=gradients.tolist(),
        direction=DIRECTIONS[name],
        options=options,
    )
    close(found, path)


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


@pytest.mark.parametrize("setting", LINES, ids=str)
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


def test_bisector_and_widest_margin_of_the_boundary_lab():
    random, run = np.random.default_rng(1), script("boundary")
    y = torch.tensor([1.0, 0.0])
    for X in random.uniform(0, 3, size=(200, 2, 2)):
        line, margin = run("[bisector(X), maxMargin(X)]", X=X.tolist())
        close(line, bisector(*torch.tensor(X)).theta)
        np.testing.assert_allclose(margin, max_margin(torch.tensor(X), y, count_bias=True).theta, rtol=1e-6)
    assert run("maxMargin([[1, 2], [1, 2]])") is None


def counted(number):
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def told_of_a_line(lab):
    """Return what the lab on the boundary has to tell."""
    (one, other), n_steps = lab.settings["X"], lab.settings["n_steps"]
    X, path = torch.tensor([one, other], dtype=torch.float64), trained(lab, n_steps)
    line, margins = LinearModel.of(path[-1]), (path[:, :2] @ X.numpy().T + path[:, 2:]) * [1, -1]
    p = line.probability(X)
    widest = max_margin(X, torch.tensor([1.0, 0.0]), count_bias=True)
    facts = {
        "step shown": counted(n_steps),
        "angle": f"{float(angle(line.weight)):.2f}°" if line.weight.any() else "0.00°",
        "angle of the bisector": f"{float(angle(bisector(*X).weight)):.2f}°",
        "angle of the widest margin": f"{float(angle(widest.weight)):.2f}°",
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


TOLD = {"boundary": told_of_a_line}  # what each lab has to tell, computed by course_lib and torch


@pytest.mark.parametrize("name", TOLD)
def test_lab_tells_at_each_setting_what_course_lib_computes(name):
    assert set(TOLD) == set(MOVES) == set(PLACES) == set(ALL)
    first = getattr(labs, name)()
    for setting in MOVES[name]:
        lab = labs.Lab(name, first.settings | setting, first.data)
        assert script(name).facts(lab) == TOLD[name](lab), setting


@pytest.mark.parametrize("argument", ["weight_decay", "n_steps", "X"])
def test_boundary_lab_refuses_what_its_controls_do_not_reach(argument):
    beyond = {"weight_decay": 1.01, "n_steps": 10**7 + 1, "X": [[4.1, 1.0], [1.0, 1.0]]}
    with pytest.raises(ValueError, match=argument):
        labs.boundary(**{argument: beyond[argument]})


@each_lab
def test_notebook_gets_one_script_and_the_first_setting(make):
    lab = make()
    page = lab._repr_html_()
    assert page.count("<script>") == page.count("</script>") == 1
    given = json.loads(unescape(re.search('data-given="(.*?)"', page)[1]))
    assert given == {"settings": lab.settings, "data": lab.data}
    assert len(page.encode()) <= 60_000
    assert repr(lab).startswith(f"Lab(name='{make.__name__}'")
    assert plt.get_fignums() == [1]


@each_lab
def test_what_an_address_holds_is_what_it_was_written_of(make):
    lab, run = make(), script(make.__name__)
    for name, value in lab.settings.items():
        assert run("control(name).read(control(name).write(value))", name=name, value=value) == value


@each_lab
@pytest.mark.parametrize(
    "text", ["", " ", "NaN", "Infinity", "-1e99", "1e99", "0x1", "<b>", "__proto__", "1,2"]
)
def test_an_address_with_anything_else_is_not_read(make, text):
    read = "lab.controls.map(({ read }) => read(text) ?? null)"
    found = script(make.__name__)(read, text=text)
    assert found == [None] * len(found)
