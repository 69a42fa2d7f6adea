"""What a docstring writes as a formula is what its function computes, on random numbers."""

import importlib
import inspect
import pkgutil
import re
from functools import partial

import numpy as np
import pytest
import torch

import course_lib
from course_lib import data, geometry, landscape, metrics, optimizers, optimum, penalties, rules, scratch
from course_lib.probe import probe
from course_lib.report import decay_report
from tests.formulas import Values, statements, value

MATH = re.compile(r"\.\. math:: (.*?)(?:\n\n|\Z)", re.DOTALL)

# They say what is sought or looked up, or contain a function that is given.
NOT_OF_NUMBERS = {
    "labs.landscape": "names what is descended; its numbers are compared in labs/test_landscape.py",
    "conventions.Knob": "names columns of its table",
    "data.augment": "equates products of vectors, see test_data",
    "geometry.max_margin": "says what is minimized",
    "landscape.filter_directions": "has drawn directions on both sides",
    "landscape.loss_grid": "contains the model and the loss",
    "metrics.compare": "takes the largest of many",
    "metrics.ulp_distance": "numbers the floats",
}


def row(*numbers):
    return torch.tensor([numbers], dtype=torch.float64)


def one(number):
    return np.array([number])


def curved(v):
    v["x"], v["varepsilon"] = np.random.RandomState(5).randn(2)
    return data.curved_points(n_samples=1, seed=5)[1].item()


def on_a_sine(v):
    """From the seed on, as its docstring has it: all x, then all noise."""
    generator = np.random.RandomState(5)
    v["x"], v["varepsilon"] = generator.uniform(-1, 1), generator.standard_normal()
    return data.noisy_sine(1, noise=v["s"], seed=5)[1].item()


def sgd(part, v, **settings):
    return rules.sgd(one(v["g"]), one(v["v"]), momentum=v["mu"], **settings)[part].item()


def adam(part, v):
    """The moments, or what becomes of those that v names after the step."""
    betas = v["beta_1"], v["beta_2"]
    before = [one(v[name]) for name in "MS"]
    t = v["t"] = 3
    direction, (_, M, S) = rules.adam(one(v["g"]), (t - 1, *before), betas=betas, eps=v["epsilon"])
    if part == "d":
        v["M"], v["S"] = M.item(), S.item()
    return {"d": direction, "M": M, "S": S}[part].item()


def step(rule, v, **settings):
    how = {"lr": v["eta"], "weight_decay": v["lambda_"], **settings}
    return rule(one(v["theta"]), one(v["g"]), None, rules.sgd, **how)[0].item()


def stepped(optimizer, v, gradient=None, **settings):
    parameter = torch.nn.Parameter(row(v["theta"]))
    parameter.grad = row(v["g"] if gradient is None else gradient)
    optimizer([parameter], lr=v["eta"], **settings).step()
    return parameter.item()


def probed(kind, v, **settings):
    return probe(partial(kind, lr=v["eta"], weight_decay=v["lambda_"], **settings))


def half_life(v):
    model = torch.nn.Linear(1, 1, bias=False)
    return (
        decay_report(model, torch.optim.AdamW(model.parameters(), 1.0, weight_decay=v["r"])).rows[0].half_life
    )


def path(v):
    """Two steps along a slope that is the same everywhere: the velocity is that slope, then another."""
    model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    settings = {"momentum": v["mu"], "dampening": v["tau"]}
    start, slope = row(v["theta"])[0], row(v["g"])
    found = landscape.descent_paths(
        model, slope, slope, start, lr=v["eta"], n_steps=2, loss_fn=lambda p, y: p.sum(), **settings
    )
    before, v["theta"], after = found.flatten().tolist()
    v["v"] = (before - v["theta"]) / v["eta"]
    return after


def velocity_on_path(v):
    return (-path(v) + v["theta"]) / v["eta"]


def place_on_path(v):
    after = path(v)
    v["v"] = (v["theta"] - after) / v["eta"]
    return after


def objective(v):
    v["Omega"], v["gamma"] = v["w"] ** 2 / 2, -(v["w"] * v["x"] + v["b"])
    theta = torch.tensor([v["w"], v["b"]], dtype=torch.float64)
    return optimum.logistic_objective(row(v["x"]), [0.0], theta, v["lambda_"]).item()


def margin(label, w, x, b):
    """Of one point: its loss tells it."""
    loss = optimum.logistic_objective(row(x), [label], row(w, b)[0]).item()
    return -np.log(np.expm1(loss))


def margin_of_a_point(v):
    v["s"] = -1
    return margin(0, v["w"], v["x"], v["b"])


def sign_of_a_label(v):
    """Nothing depends on the sign but the margin, which it is at zero weights and a bias of 1."""
    v["y"] = v.generator.integers(2)
    return margin(v["y"], 0.0, 0.0, 1.0)


def ridge_loss(v):
    v["E"] = v["X"] * v["W"] + v["b"] - v["Y"]
    error = torch.nn.functional.mse_loss(row(v["X"] * v["W"] + v["b"]), row(v["Y"]))
    return (error + penalties.l2_penalty(row(v["W"]), v["lambda_"])).item()


def error_of_a_line(v):
    """Half the slope of its square."""
    b = row(v["b"]).requires_grad_()
    torch.nn.functional.mse_loss(row(v["X"] * v["W"]) + b, row(v["Y"])).backward()
    return b.grad.item() / 2


def ridge_optimum(v):
    """Of a bias alone, which is decayed."""
    v["Z"] = v["D"] = 1.0
    found = optimum.least_squares_optimum(row(0.0), row(v["Y"])[0], v["lambda_"], decay_bias=True)
    v["Theta"] = found.bias.item()


def logistic_step(v):
    found = scratch.logistic_descent(
        row(v["z"]), [1.0], lr=v["eta"], n_steps=1, weight_decay=v["lambda_"], start=[v["theta"], 0.0]
    )
    return float(found[0, 0])


def descended(v, start=None, optimizer="SGD", n_epochs=1, **settings):
    """Weight and bias of a regression by hand after each epoch; its data give the gradient G at the start."""
    start = np.array([[v["Theta"]], [0.0]]) if start is None else start
    X, Y = one(v["Z"])[None], one(v["Y"])[None]
    return scratch.linear_descent(X, Y, start, n_epochs=n_epochs, optimizer=optimizer, **settings)


def gradient_by_hand(v, start=None):
    return (start[0, 0] if start is not None else v["Theta"]) - descended(v, start, lr=1.0)[-1, 0, 0]


def hand_step(optimizer, v):
    v["G"] = gradient_by_hand(v)
    return descended(v, optimizer=optimizer, lr=v["eta"], weight_decay=v["lambda_"])[-1, 0, 0]


def hand_velocity(v):
    v["V"] = gradient_by_hand(v)
    *_, before, after = descended(v, lr=v["eta"], n_epochs=2, momentum=v["mu"], dampening=v["tau"])
    v["G"] = gradient_by_hand(v, before)
    return (before - after)[0, 0] / v["eta"]


def hand_adam(part, v):
    """Only its direction can be seen; its moments are named as those of the rule."""
    v["g"] = v["G"]
    if part != "d":
        return adam(part, v)
    v["G"], v["t"], betas = gradient_by_hand(v), 1, (v["beta_1"], v["beta_2"])
    v["M"], v["S"] = (1 - betas[0]) * v["G"], (1 - betas[1]) * v["G"] ** 2
    after = descended(v, optimizer="Adam", lr=v["eta"], betas=betas, eps=v["epsilon"])[-1, 0, 0]
    return (v["Theta"] - after) / v["eta"]


def opposite(v):
    v["u"], v["v"] = 1.0, -1.0
    return geometry.angle_between(row(1.0)[0], row(-1.0)[0]).item()


def bisected(part, v):
    found = geometry.bisector(row(v["p"])[0], row(v["q"])[0])
    v["w"] = found.weight.item()
    return found[part].item()


# For each statement of the formulas of a function, what it computes; what it has to bring about, or leaves as
# it is, goes into v. None where the statement itself has to hold then.
CASES = {
    "data.curved_points": [curved],
    "data.noisy_sine": [on_a_sine],
    "geometry.angle": [lambda v: geometry.angle(row(v["w_1"], v["w_2"])[0]).item()],
    "geometry.angle_between": [opposite],
    "geometry.bisector": [partial(bisected, 0), partial(bisected, 1)],
    "geometry.signed_distance": [
        lambda v: geometry.signed_distance(row(v["x"]), row(v["w"])[0], v["b"]).item()
    ],
    "landscape.descent_paths": [velocity_on_path, place_on_path],
    "metrics.mape": [lambda v: metrics.mape(row(v["p"]), row(v["t"]))],
    "optimizers.SGDW": [
        lambda v: stepped(optimizers.SGDW, v, 0.0, weight_decay=v["lambda_"]),
        lambda v: stepped(optimizers.SGDW, v, v["d"]),
    ],
    "optimizers.ProximalSGD": [lambda v: stepped(optimizers.ProximalSGD, v, weight_decay=v["lambda_"])],
    "optimum.least_squares_optimum": [ridge_loss, error_of_a_line, ridge_optimum],
    "optimum.logistic_objective": [objective, margin_of_a_point, sign_of_a_label],
    "penalties.l1_penalty": [lambda v: penalties.l1_penalty(row(v["p"]), v["lambda_"]).item()],
    "penalties.l2_penalty": [lambda v: penalties.l2_penalty(row(v["p"]), v["lambda_"]).item()],
    "penalties.soft_threshold": [lambda v: penalties.soft_threshold(row(v["x"]), v["tau"]).item()],
    "probe.probe": [
        lambda v: probed(torch.optim.AdamW, v).rate,
        lambda v: probed(torch.optim.SGD, v, momentum=v["mu"]).long_run,
    ],
    "report.decay_report": [half_life],
    "rules.adam": [partial(adam, part) for part in "MSd"],
    "rules.coupled": [partial(step, rules.coupled)],
    "rules.decoupled": [partial(step, rules.decoupled)],
    "rules.proximal": [partial(step, rules.proximal)],
    "rules.sgd": [
        lambda v: sgd(1, v, dampening=v["tau"]),
        lambda v: sgd(0, v | {"v": (v["v"] - v["g"]) / v["mu"]}, nesterov=True),
        lambda v: sgd(0, v | {"v": (v["v"] - v["g"]) / v["mu"]}),
    ],
    "scratch.linear_descent": [
        gradient_by_hand,
        partial(hand_step, "SGD"),
        partial(hand_step, "SGDW"),
        hand_velocity,
        *(partial(hand_adam, part) for part in "MSd"),
    ],
    "scratch.logistic_descent": [logistic_step],
}


def formulas(name):
    module, function = name.split(".")
    text = inspect.getdoc(getattr(importlib.import_module(f"course_lib.{module}"), function)) or ""
    return [" ".join(block.split()) for block in MATH.findall(text)]


def public():
    for module in pkgutil.iter_modules(course_lib.__path__):
        if not module.name.startswith("_"):
            for name in importlib.import_module(f"course_lib.{module.name}").__all__:
                yield f"{module.name}.{name}"


def test_every_formula_is_tested_or_known_not_to_be_of_numbers():
    assert {name for name in public() if formulas(name)} == CASES.keys() | NOT_OF_NUMBERS.keys()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", CASES)
def test_a_formula_is_what_its_function_computes(name, seed):
    stated = [sides for formula in formulas(name) for sides in statements(formula)]
    for (*named, right), computed in zip(stated, CASES[name], strict=True):
        v = Values(seed)
        value(right, v)  # draws a number for each of its names
        found = computed(v)
        if found is None:
            found = value(named[0], v)
        for side in [right, *named[1:]]:
            assert found == pytest.approx(value(side, v), rel=1e-6), (named, side)


@pytest.mark.parametrize(
    ("formula", "values", "expected"),
    [
        (r"\tfrac12 \|w\|^2", {"w": -3.0}, 4.5),
        (r"2xy_1 - \frac{x}{\sqrt{y_1^2}}", {"x": 6.0, "y_1": 2.0}, 21.0),
        (r"\max(|x| - \lambda, 0) e^{-x}", {"x": -1.0, "lambda_": 0.5}, 0.5 * np.e),
        (r"(1 - \eta\lambda)\,\theta_t", {"eta": 0.5, "lambda_": 0.5, "theta": 2.0}, 1.5),
        (r"\frac12 \ln x", {"x": np.e**2}, 1.0),
    ],
)
def test_a_formula_is_read_as_it_is_meant(formula, values, expected):
    assert value(formula, values) == pytest.approx(expected)


def test_words_are_no_statements_and_cases_are_several():
    cases = r"\begin{cases} v & \text{if} \\ g & \text{else} \end{cases}"
    text = rf"v \leftarrow g \quad (v = 0 \text{{ first}}), \qquad d = {cases}"
    assert statements(text) == [["v", "g"], ["d", "v"], ["d", "g"]]


def test_aligned_lines_are_one_statement():
    text = r"\begin{aligned} v &= g + \lambda \\ &= 2g \end{aligned}"
    assert statements(text) == [["v", r"g + \lambda", "2g"]]


def test_what_cannot_be_read_is_said():
    with pytest.raises(ValueError, match="not of numbers"):
        value(r"\nabla_{\theta} L", {})
