"""The labs' JavaScript against the functions that it repeats, and what a notebook gets of a lab."""

import json
import math
import re
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, partial
from html import unescape
from inspect import signature
from itertools import combinations, product
from random import Random

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch_optimizer
from numpy.polynomial.legendre import legvander
from scipy.optimize import minimize
from torch.autograd.functional import hessian
from torch.utils.data import DataLoader

from course_lib import conventions, labs, rules
from course_lib.conventions import KNOBS, LOSSES, convert
from course_lib.data import curved_points, noisy_sine, two_points
from course_lib.geometry import angle, bisector, max_margin
from course_lib.landscape import descent_paths
from course_lib.models import LinearModel, Perceptron
from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.optimum import least_squares_optimum
from course_lib.penalties import l1_penalty, l2_penalty, soft_threshold
from course_lib.probe import coast
from course_lib.scratch import logistic_descent
from tests.javascript import MOVES, NO_FIGURE, PLACES, conversions, script

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


@pytest.mark.parametrize("setting", LINES[:2] + LINES[3:-1], ids=str)
def test_figure_of_the_boundary_lab_shows_the_trained_line(setting):
    lab = labs.boundary(**setting, n_steps=50)
    theta = trained(lab, 50)[-1]
    name = f"{lab.settings['penalty']} with {lab.settings['weight_decay']:g}"
    (line,) = (line for line in plt.gca().lines if line.get_label() == name)
    x, y = line.get_data()
    assert abs(theta[0] * x + theta[1] * y + theta[2]).max() <= 1e-9 * np.linalg.norm(theta)


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


SINES = [  # and to which share they agree
    ({"degree": 12, "n_samples": 15, "noise": 0.3, "seed": 5}, 1e-9),
    ({"degree": 12, "n_samples": 12, "noise": 0.3, "seed": 1}, 1e-9),
    ({"degree": 15, "n_samples": 8, "noise": 1.0, "seed": 9}, 1e-9),
    ({"degree": 1, "n_samples": 3, "noise": 0.0, "seed": 20}, 1e-9),
    ({"degree": 6, "n_samples": 1000, "noise": 0.2, "seed": 13}, 1e-9),
    ({"degree": 15, "n_samples": 16, "noise": 0.3, "seed": 3}, 1e-5),  # a condition number of a million
]


def lambdas():
    return script("overfitting")("control('weight_decay').values")


class Polynomial:
    """What the lab on overfitting is about; of centered features the shortest (w, b) has the shortest w."""

    def __init__(self, degree, n_samples, noise, seed):
        self.X, self.y = noisy_sine(n_samples, noise=noise, seed=seed)
        self.X_held, self.y_held = noisy_sine(2000, noise=noise, seed=0)
        self.degree, self.center = degree, 0.0
        self.center = self.features(self.X).mean(dim=0)

    def features(self, X):
        return torch.from_numpy(legvander(X[:, 0].numpy(), self.degree)[:, 1:]) - self.center

    def fit(self, weight_decay):
        return least_squares_optimum(self.features(self.X), self.y, weight_decay)

    def losses(self, weight_decay):
        model, sets = self.fit(weight_decay), ((self.X, self.y), (self.X_held, self.y_held))
        return [float((model.output(self.features(X)) - y).square().mean()) for X, y in sets]

    def effective_parameters(self, weight_decay):
        """Return by how much predictions follow their own targets: each target alone is a column of them."""
        n_samples = len(self.X)
        targets = torch.eye(n_samples, dtype=torch.float64)
        model = least_squares_optimum(self.features(self.X), targets, weight_decay / n_samples)
        return float(model.output(self.features(self.X)).trace())


@pytest.mark.parametrize("seed", [1, 5, 20, 2**32 - 1])
@pytest.mark.parametrize("n_samples", [3, 15, 1000])
def test_noisy_sine_of_the_overfitting_lab_is_that_of_the_data(n_samples, seed):
    found = script("overfitting")(
        "Object.values(noisySine(n_samples, { noise: 0.3, seed })).map((column) => [...column])",
        n_samples=n_samples,
        seed=seed,
    )
    X, y = noisy_sine(n_samples, seed=seed)
    np.testing.assert_array_equal(found[0], X[:, 0])
    np.testing.assert_allclose(found[1], y[:, 0], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(("setting", "share"), SINES, ids=str)
def test_fit_of_the_overfitting_lab_is_the_optimum(setting, share):
    run, polynomial = script("overfitting"), Polynomial(**setting)
    expression = """LAMBDAS.map((decay) => {
        const training = prepared(noisySine(setting.n_samples, setting), setting.degree);
        const [w, b] = leastSquaresOptimum(training, decay);
        return [w, b, effectiveParameters(training, decay)];
    })"""
    for weight_decay, (w, b, effective) in zip(lambdas(), run(expression, setting=setting), strict=True):
        weight, bias = polynomial.fit(weight_decay)
        wanted = [*weight[:, 0], bias.item() - polynomial.center @ weight[:, 0]]
        np.testing.assert_allclose([*w, b], wanted, rtol=share, atol=share * float(weight.norm()))
        if setting["n_samples"] < 20:
            np.testing.assert_allclose(effective, polynomial.effective_parameters(weight_decay), rtol=1e-8)


@pytest.mark.parametrize(("setting", "share"), SINES, ids=str)
def test_losses_of_the_overfitting_lab_are_those_of_the_optimum(setting, share):
    polynomial = Polynomial(**setting)
    found = script("overfitting")("finished(lab.run(setting)).losses", setting=setting)
    wanted = [polynomial.losses(weight_decay) for weight_decay in lambdas()]
    np.testing.assert_allclose(found, wanted, rtol=share, atol=1e-15)


def test_decays_of_the_overfitting_lab_reach_from_none_to_10():
    assert lambdas()[:2] == [0, 1e-6]
    assert lambdas()[-1] == 10
    assert (np.diff(lambdas()) > 0).all()
    labs.overfitting()
    np.testing.assert_array_equal(plt.gcf().axes[1].lines[0].get_xdata(), lambdas()[1:])


@cache
def polynomial_and_bottom(*setting):
    polynomial = Polynomial(*setting)
    return polynomial, min((polynomial.losses(decay)[1], decay) for decay in lambdas())


def scheduled(optimizer, schedule, n):
    """Return a scheduler of torch for n steps."""
    torch_lr, warm = torch.optim.lr_scheduler, math.ceil(n / 10)
    if schedule == "constant":
        return torch_lr.ConstantLR(optimizer, factor=1.0)
    if schedule == "cosine":
        return torch_lr.CosineAnnealingLR(optimizer, T_max=n)
    if schedule == "linear":
        return torch_lr.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=n)
    up = torch_lr.LinearLR(optimizer, start_factor=1 / warm, total_iters=warm - 1)
    down = torch_lr.CosineAnnealingLR(optimizer, T_max=n - warm)
    return torch_lr.SequentialLR(optimizer, [up, down], milestones=[warm])


def two(lab):
    """Return the settings of the lab on the clock, and those with the larger batch."""
    setting, times = lab.settings, {"1": 1, "sqrt k": lab.settings["k"] ** 0.5, "k": lab.settings["k"]}
    larger = {
        "batch_size": setting["batch_size"] * setting["k"],
        "lr": setting["lr"] * times[setting["lr_times"]],
        "weight_decay": setting["weight_decay"] * times[setting["weight_decay_times"]],
    }
    return setting, setting | larger


def maker(setting):
    """Return what makes torch's optimizer, or SGDW, of parameters."""
    kinds = {
        "SGD": torch.optim.SGD,
        "AdamW": torch.optim.AdamW,
        "without lr": partial(SGDW, decay_times_lr=False),
    }
    return partial(kinds[setting["optimizer"]], lr=setting["lr"], weight_decay=setting["weight_decay"])


def faded(setting):
    """Return a weight after each step in float64, the same in bfloat16, and the lr of each step."""
    n = setting["n_epochs"] * len(DataLoader(range(setting["n_samples"]), setting["batch_size"]))
    weights = [torch.nn.Parameter(torch.ones(1, dtype=dtype)) for dtype in (torch.float64, torch.bfloat16)]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    optimizer = maker(setting)(weights)
    scheduler, path = scheduled(optimizer, setting["schedule"], n), []
    for _ in range(n):
        path.append([optimizer.param_groups[0]["lr"], *(weight.item() for weight in weights)])
        optimizer.step()
        scheduler.step()
    lrs, exact, kept = np.array([*path, [0, *(weight.item() for weight in weights)]]).T
    if setting["optimizer"] == "SGD":
        kept = stepped_in_bfloat16(lrs[:-1], setting["weight_decay"])
    return exact, kept, lrs[:-1]


def stepped_in_bfloat16(lrs, weight_decay):
    """Return a weight in bfloat16 after each step of SGD that rounds what it stores.

    Torch's own rounds lr as well, on a CPU, and for a single weight the product, too.
    """
    weight, path = torch.ones(1, dtype=torch.bfloat16), [1.0]
    for lr in lrs:
        gradient = (weight_decay * weight.double()).to(torch.bfloat16)
        weight = (weight.double() - lr * gradient.double()).to(torch.bfloat16)
        path.append(weight.item())
    return np.array(path)


CLOCKS = [
    {"optimizer": optimizer, "schedule": schedule} | setting
    for optimizer in ("SGD", "AdamW", "without lr")
    for schedule in ("constant", "cosine", "linear", "warm-up, cosine")
    for setting in (
        {"lr": 0.1, "weight_decay": 0.03, "lr_times": "k", "n_samples": 1000},
        {"lr": 0.8, "weight_decay": 0.005, "weight_decay_times": "k", "n_samples": 999, "n_epochs": 9},
        {
            "lr": 0.3,
            "weight_decay": 0.06,
            "lr_times": "sqrt k",
            "weight_decay_times": "sqrt k",
            "n_epochs": 1,
        },
        {"lr": 1.0, "weight_decay": 0.9, "lr_times": "k", "k": 2, "n_samples": 150, "n_epochs": 2},
    )
]


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("setting", CLOCKS, ids=lambda setting: " ".join(map(str, setting.values())))
def test_weights_of_the_clock_lab_are_those_of_torch(setting):
    lab = labs.clock(**setting)
    drawn = [line.get_xydata() for ax in plt.gcf().axes for line in ax.lines[:2]]
    for i, (run, one) in enumerate(zip(script("clock").run(lab), two(lab), strict=True)):
        exact, kept, lrs = faded(one)
        steps = [step for step, *_ in run["path"]]
        assert steps[0] == 0
        assert steps[-1] == run["steps"] == len(lrs)
        assert len(steps) <= 242
        close([weight for _, weight, _ in run["path"]], exact[steps])
        assert [weight for *_, weight in run["path"]] == kept[steps].tolist()
        assert run["moved"] == (np.diff(kept) != 0).nonzero()[0].max(initial=-1) + 1
        decays = np.ones(len(lrs)) if setting["optimizer"] == "without lr" else lrs
        close(run["area"], decays.sum() * one["weight_decay"])
        for path, figure in ((exact, drawn[i]), (kept, drawn[2 + i])):
            at = np.rint(figure[:, 0] * len(lrs) / one["n_epochs"]).astype(int)
            close(figure[:, 1], path[at])


def test_clock_lab_follows_a_weight_up_to_its_bound_and_a_million_steps():
    setting = {"n_samples": 80_000, "batch_size": 8, "n_epochs": 100, "lr": 0.01, "weight_decay": 0.001}
    lab = labs.clock(**setting, optimizer="without lr")
    first, second = script("clock").run(lab)
    assert [first["steps"], second["steps"]] == [10**6, 125_000]
    np.testing.assert_allclose(second["path"][-1][1], (1 - 0.001) ** 125_000, rtol=1e-9)
    assert first["path"][-1][::2] == [10**6, 1.0]
    assert 0 <= first["path"][-1][1] < 1e-300
    exact, kept, _ = faded(two(labs.clock(lr=1.0, weight_decay=1.0, lr_times="k", n_epochs=3))[1])
    _, grown = script("clock").run(labs.clock(lr=1.0, weight_decay=1.0, lr_times="k", n_epochs=3))
    for column, path in ((1, exact), (2, kept)):
        beyond = (abs(path) > 1e6).argmax()
        assert grown["path"][-1][column] == path[beyond] == grown["path"][beyond][column]


def test_bfloat16_in_javascript_is_that_of_torch():
    random = np.random.default_rng(0)
    values = random.normal(size=4000) * 10.0 ** random.integers(-42, 38, size=4000)
    patterns = torch.arange(0x7F7F, dtype=torch.int16)
    bfloats = patterns.view(torch.bfloat16).double()
    ties = (bfloats[:-1] + bfloats[1:]) / 2
    beside = [ties * (1 + sign * 2.0**-22) for sign in (-1, 1)]
    for numbers in (torch.from_numpy(values), bfloats, -ties, *beside):
        found = script("clock")("numbers.map(bfloat16)", numbers=numbers.tolist())
        assert list(map(float, found)) == numbers.to(torch.bfloat16).double().tolist()
    assert script("clock")("[bfloat16(3.4e38), bfloat16(-3.4e38)].map(String)") == ["Infinity", "-Infinity"]


def plain(number, digits=4):
    """Return a number with so many digits as JavaScript writes it; of two, the one further from zero."""
    if number == 0:
        return "0"
    exact = Decimal(number)
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() + 1 - digits), ROUND_HALF_UP).normalize()
    if rounded.adjusted() >= -6:
        return f"{rounded:f}"
    mantissa, exponent = f"{rounded:e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def amount(number):
    if not 0 <= number < math.inf:
        return "none"
    text = plain(number, digits=3)
    return text if number < 1000 else counted(int(text))


def rounded(value):
    if not 1e-6 <= value <= 1e6:
        return "above 10⁶" if value > 1 else "below 10⁻⁶"
    return np.format_float_positional(float(f"{value:.4g}"), trim="-")


def told_of_a_polynomial(lab):
    """Return what the lab on overfitting has to tell."""
    weight_decay, *setting = lab.settings.values()
    polynomial, (lowest, best) = polynomial_and_bottom(*setting)
    training, held_out = polynomial.losses(weight_decay)
    return {
        "training loss": rounded(training),
        "held-out loss": rounded(held_out),
        "its lowest": f"{rounded(lowest)} at λ = {best:g}".replace("1e-06", "0.000001"),
        "variance of the noise": f"{lab.settings['noise'] ** 2:.4g}",
        "|w|² of the fit": rounded(float(polynomial.fit(weight_decay).weight.square().sum())),
        "effective parameters": (
            f"{polynomial.effective_parameters(weight_decay):.1f} of {polynomial.degree + 1}"
        ),
    }


def told_of_a_clock(lab):
    """Return what the lab on the clock has to tell."""
    runs, facts = two(lab), {}
    alone = lab.settings["optimizer"] == "without lr"
    decay, area = ("λ", "λ × steps") if alone else ("lr λ", "λ × area under lr")
    paths = [faded(one) for one in runs]
    batches = [counted(one["batch_size"]) for one in runs]
    per_epoch = [len(DataLoader(range(one["n_samples"]), one["batch_size"])) for one in runs]
    rates = [one["weight_decay"] * (1 if alone else one["lr"]) for one in runs]
    taus = [1 / rate if rate else math.inf for rate in rates]
    halves = []
    for one in runs:
        left = abs(coast(maker(one), torch.ones(1, dtype=torch.float64)).item())
        halves.append(0 if left == 0 else math.inf if left >= 1 else math.log(0.5, left))
    areas = [
        sum(np.ones_like(lrs) if alone else lrs) * one["weight_decay"]
        for one, (*_, lrs) in zip(runs, paths, strict=True)
    ]
    pairs = {
        "batch": batches,
        "steps per epoch": map(counted, per_epoch),
        decay: map(plain, rates),
        f"exp(−{area})": [plain(math.exp(-area)) for area in areas],
        f"1/{decay if alone else f'({decay})'}, steps": map(amount, taus),
        f"1/{decay if alone else f'({decay})'}, epochs": map(amount, np.divide(taus, per_epoch)),
        "half-life, steps": map(amount, halves),
        "half-life, epochs": map(amount, np.divide(halves, per_epoch)),
    }
    facts = {what: " → ".join(both) for what, both in pairs.items()}
    for batch, (exact, kept, _) in zip(batches, paths, strict=True):
        stands, beyond = (
            (np.diff(kept) != 0).nonzero()[0].max(initial=-1) + 1,
            [(abs(path) > 1e6).any() or np.isnan(path).any() for path in (exact, kept)],
        )
        facts[f"left, batch of {batch}"] = "diverges" if beyond[0] else plain(exact[-1])
        facts[f"left in bfloat16, batch of {batch}"] = (
            "diverges"
            if beyond[1]
            else f"{plain(kept[-1])} since step {counted(stands)}"
            if stands
            else "1: no step moves it"
        )
    return {
        what: text if "exp" in what else text.replace("-", "\N{MINUS SIGN}", text.startswith("-"))
        for what, text in facts.items()
    }


def outcome_of(*names, **told):
    """Return what `convert` answers, or its error."""
    try:
        return convert(*names, **told)
    except ValueError as error:
        return str(error)


# What each lab has to tell, computed by course_lib and torch.
OPTIMIZERS = {
    "SGD": torch.optim.SGD,
    "penalty": torch.optim.SGD,
    "SGDW": SGDW,
    "SGDW without lr": partial(SGDW, decay_times_lr=False),
    "L1 subgradient": torch.optim.SGD,
    "L1 proximal": ProximalSGD,
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "tilt": torch_optimizer.SGDW,
}
PENALTIES = {"penalty": l2_penalty, "L1 subgradient": l1_penalty}
CURVATURE = torch.tensor([[2.0, 0.6], [0.6, 1.0]], dtype=torch.float64)
MINIMUM, DOWN = torch.tensor([[3.0, 0.4], [-1.0, -0.1]], dtype=torch.float64)
NUMBER = r"\u2212?(\d{1,3}\.\d{4}|\d{1,3}(\u202f\d{3})+)"
PAIR = rf"\({NUMBER}, {NUMBER}\)"


def loss_of_two_weights(w, setting, t):
    """Return the loss of the lab on steps, whose gradient it names, in step t = 1, 2, ..."""
    scale, kind = setting["gradient_scale"], setting["gradient"]
    if kind == "quadratic":
        away = w - MINIMUM
        return scale / 2 * (away @ CURVATURE @ away)
    signs = {"zero": 0, "constant": 1, "alternating": 1 if t % 2 else -1}
    return scale * signs[kind] * (w @ DOWN)


def stepped(rule, setting, weight_decay=None):
    """Return the weights after 0, 1, ... steps of torch's optimizers, up to one above 1e9, by autograd."""
    w = torch.nn.Parameter(torch.tensor(setting["start"][0], dtype=torch.float64))
    kind, momentum = OPTIMIZERS[rule], {"momentum": setting["momentum"]}
    shrunk = rule == "L1 proximal" and setting["momentum"] > 0  # which ProximalSGD does not have
    kind = torch.optim.SGD if shrunk else kind
    optimizer = kind([w], lr=setting["lr"], **momentum if "momentum" in signature(kind).parameters else {})
    (group,) = optimizer.param_groups
    path = [w.detach().clone()]
    while len(path) <= setting["n_steps"] and path[-1].abs().max() <= 1e9:
        t = len(path)
        changed = setting["change_at"] and t >= setting["change_at"]
        decay = setting["later_weight_decay" if changed else "weight_decay"]
        decay = decay if weight_decay is None else weight_decay
        group["weight_decay"] = 0.0 if shrunk or rule in PENALTIES else decay
        penalty = PENALTIES[rule]([w], decay) if rule in PENALTIES else 0.0
        optimizer.zero_grad()
        (loss_of_two_weights(w, setting, t) + penalty).backward()
        optimizer.step()
        if shrunk:
            w.data = soft_threshold(w.data, setting["lr"] * decay)
        path.append(w.detach().clone())
    return torch.stack(path).numpy()


WALKS = {
    "default": {},
    "bowl": {"gradient": "quadratic", "weight_decay": 0.5, "lr": 0.05},
    "bowl, momentum": {"gradient": "quadratic", "weight_decay": 0.3, "lr": 0.03, "momentum": 0.9},
    "faint bowl": {"gradient": "quadratic", "gradient_scale": 0.002, "weight_decay": 0.1, "start": [-1, 2]},
    "steep bowl": {"gradient": "quadratic", "gradient_scale": 1000.0, "weight_decay": 0.1, "lr": 0.01},
    "constant": {"gradient": "constant", "weight_decay": 0.7, "momentum": 0.5, "change_at": 77},
    "alternating": {"gradient": "alternating", "gradient_scale": 30.0, "momentum": 0.8},
    "growing": {"weight_decay": 2.5, "lr": 1.0, "change_at": 9, "later_weight_decay": 0.003},
}


@pytest.mark.parametrize("setting", WALKS.values(), ids=WALKS)
def test_walk_of_the_step_lab_is_that_of_torch(setting):
    lab = labs.step(**setting, n_steps=500)
    for rule in OPTIMIZERS:
        both = labs.Lab("step", lab.settings | {"left": rule, "right": rule}, lab.data)
        (path,) = script("step").run(both).values()
        close(path, stepped(rule, lab.settings), err_msg=rule)
        assert len(path) == 501 or rule not in ("Adam", "AdamW")


@pytest.mark.parametrize("name", ["bowl, momentum", "growing", "alternating"])
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_figure_of_the_step_lab_shows_the_walk_of_torch(rule, name):
    lab = labs.step(**WALKS[name], left=rule, right=rule)
    path = stepped(rule, lab.settings)
    plane, time, *_ = plt.gcf().axes
    (line,) = (line for line in plane.lines if line.get_label() == rule)
    close(np.transpose(line.get_data()), path)
    close(time.lines[0].get_data(), [range(len(path)), np.linalg.norm(path, axis=1)])


def test_step_lab_shows_what_chapter_3_says():
    lab = labs.step(weight_decay=0.5, lr=0.02, momentum=0.8, gradient="quadratic", n_steps=200)

    def facts(left, right, **setting):
        moved = lab.settings | {"left": left, "right": right} | setting
        return script("step").facts(labs.Lab("step", moved, lab.data))

    def weights(rule, other, **setting):
        return facts(rule, other, **setting)[f"{rule}: weights"]

    gap, adam = "largest gap of the paths", ("Adam", "AdamW")
    assert facts("SGD", "SGDW")[gap] == "0.6460"
    assert facts("SGD", "SGDW", momentum=0.0)[gap] == "none"
    for momentum in (0.0, 0.5, 0.8, 0.95):
        assert facts("SGD", "penalty", momentum=momentum)[gap] == "none"
    assert weights(*adam, gradient_scale=1e-3) == "(0.0124, 0.0046)"
    assert weights(*adam, gradient_scale=1e3) == "(2.9569, 0.4005)"
    assert len({weights("AdamW", "Adam", gradient_scale=scale) for scale in (1e-3, 1.0, 1e3)}) == 1
    for decay, zeros in ((1.0, 1), (0.5, 1), (0.4, 0), (0.1, 0)):
        told = facts("L1 subgradient", "L1 proximal", momentum=0.0, weight_decay=decay)
        assert told["L1 subgradient: exact zeros"] == "0 of 2"
        assert told["L1 proximal: exact zeros"] == f"{zeros} of 2"
    assert weights("tilt", "SGD", gradient="zero", n_steps=1) == "(0.9900, \N{MINUS SIGN}1.5100)"
    for pair in (("SGD", "SGDW"), ("SGDW", "SGD")):
        assert weights(*pair, change_at=100) == "(3.0000, 0.4000)"


@pytest.mark.parametrize("change_at", [1, 2, 3])
def test_step_lab_tells_of_a_decay_that_changes_in_the_first_steps(change_at):
    lab = labs.step(weight_decay=0.1, change_at=change_at, later_weight_decay=0.3, n_steps=2)
    assert script("step").facts(lab) == told_of_steps(lab)


def test_levels_and_plane_of_the_step_lab():
    run = script("step")
    for height in (0.25, 8):
        line = np.array(run("level(height)", height=height))
        close(line[0], line[-1])
        assert (np.ptp(line, axis=0) > np.sqrt(height)).all()
        for point in line:
            w = torch.tensor(point, dtype=torch.float64)
            close(loss_of_two_weights(w, {"gradient": "quadratic", "gradient_scale": 1}, 1), height)
    corners = [[-2, -2], [4, -2], [4, 2], [-2, 2]]
    assert all(run('control("start").read(text)', text=f"{x},{y}") == [[x, y]] for x, y in corners)
    for x, y in corners:
        labs.step(start=[x, y])
        for text in (f"{1.01 * x},{y}", f"{x},{1.01 * y}"):
            assert run('control("start").read(text) ?? null', text=text) is None
    looks = labs.step().data["looks"]
    ours, theirs = looks["SGD"]
    assert run("lookOf('SGD', { left: 'SGD', right: 'SGDW' }, looks)", looks=looks) == ours
    assert run("lookOf('Adam', { left: 'SGD', right: 'Adam' }, looks)", looks=looks) == theirs != ours
    assert run("lookOf('SGD', { left: 'SGD', right: 'Adam' }, looks)", looks=looks) == ours
    assert run("lookOf('SGD', { left: 'SGD', right: 'SGD' }, looks)", looks=looks) == ours


def test_step_lab_tells_numbers_at_every_end_of_its_controls():
    first, run = labs.step(), script("step")
    ends = run("lab.controls.map(({ name, values }) => [name, values?.[0], values?.at(-1)])")
    ends = {name: values for name, *values in ends if values[0] is not None}
    for name, (low, high) in ends.items():
        for value in (low, high):
            labs.step(**{name: value})
        for beyond in (low - 1e-4, high + 1):
            with pytest.raises((ValueError, TypeError), match=name):
                labs.step(**{name: beyond})
    corners = [dict(zip(ends, corner, strict=True)) for corner in product(*ends.values())]
    assert len(corners) == 2**7
    for i, corner in enumerate(corners):
        left = list(OPTIMIZERS)[i % 9]
        for gradient in ("constant", "quadratic"):
            setting = first.settings | corner | {"left": left, "right": left, "gradient": gradient}
            (weights, *others) = run.facts(labs.Lab("step", setting, first.data)).values()
            assert re.fullmatch(rf"{PAIR}|diverges: beyond 10⁹ in step [\d\u202f]+", weights), setting
            assert re.fullmatch(PAIR, others[0])
            assert others[1] in ("0 of 2", "1 of 2", "2 of 2")


def told_of_steps(lab):
    """Return what the lab on steps has to tell."""
    setting, facts = lab.settings, {}
    names = list(dict.fromkeys((setting["left"], setting["right"])))
    paths = {name: stepped(name, setting) for name in names}
    for name, path in paths.items():
        last = f"diverges: beyond 10⁹ in step {counted(len(path) - 1)}"
        facts[f"{name}: weights"] = vector(path[-1]) if abs(path[-1]).max() <= 1e9 else last
    for name in names:
        first = setting | {"n_steps": 1}
        facts[f"{name}: decay in step 1"] = vector(stepped(name, first)[1] - stepped(name, first, 0.0)[1])
    for name, path in paths.items():
        facts[f"{name}: exact zeros"] = f"{(path[-1] == 0).sum()} of 2"
    if len(names) > 1:
        one, other = paths.values()
        n = min(len(one), len(other))
        gap = abs(one[:n] - other[:n]).max()
        facts["largest gap of the paths"] = written(gap) if gap > 1e-9 * abs(one[:n]).max() else "none"
    return facts


def vector(weights):
    return f"({', '.join(written(w) for w in weights)})"


def written(w):
    text = counted(round(w)) if abs(w) >= 1000 else f"{w:.4f}"
    return text.replace("-0.0000", "0.0000").replace("-", "\N{MINUS SIGN}")


def in_signs(text):
    for ascii_text, sign in SIGNS.items():
        text = text.replace(ascii_text, sign)
    return re.sub(r"\blambda\b", "λ", text)


def numeral(number):
    return repr(float(f"{number:.10g}")).removesuffix(".0")


def described(knob, formula, decay_bias):
    kind = {None: knob.bias, True: "decayed", False: "free"}[decay_bias]
    bias = f"the bias is {kind}{'' if kind == knob.bias else ', not by default'}"
    bias = {"none": "it has no bias", "either": "the bias is as on the other side"}.get(knob.bias, bias)
    return f"{in_signs(knob.objective)}; λ = {in_signs(formula)}; {bias}"


def told_of_a_conversion(lab):
    """Return what the converter has to tell."""
    told, found = lab.settings, outcome_of(**lab.settings)
    pair = [KNOBS[told["source"]], KNOBS[told["target"]]]
    formulas, decay_bias = [knob.formula for knob in pair], told["decay_bias"]
    try:
        conventions._check_penalties(*pair)
        conventions._check_bias(*pair, decay_bias)
    except ValueError:
        decay_bias = None
    if len({knob.bias for knob in pair} - {"none", "either"}) < 2 and all(
        knob.bias_is_a_choice or knob.bias in ("none", "either") for knob in pair
    ):
        decay_bias = None  # the form does not ask
    facts = {"no result": found}
    if isinstance(found, float):
        names = (
            "n_samples",
            "n_outputs",
            "batch_size",
            "lr",
            "momentum",
            "dampening",
            "l1_ratio",
            "target_std",
        )
        sizes = conventions._quantities(**{name: told[name] for name in names})
        loss = conventions._loss(*pair, told["loss"], told["n_outputs"], sizes)
        formulas = [knob._formula(knob._entries(told["n_outputs"])[loss]) for knob in pair]
        does, reference = REFERENCES[pair[0].beside or pair[0].penalty]
        size = convert(**told | {"target": reference, "loss": loss, "decay_bias": None})
        meaning = f"{does}, with λ = {numeral(size)}" if size else "no penalty"
        facts = {"result": f"{told['target']} = {numeral(found)}", "both mean": meaning}
    for word, knob, formula in zip(("from", "to"), pair, formulas, strict=True):
        facts[f"{word} {knob.name}"] = described(knob, formula, decay_bias)
    call = script("converter")("call(settings, data)", settings=told, data=lab.data)
    assert eval(call, {"convert": outcome_of}) == found
    return facts | {"in Python": call}


OUTCOMES = """cases.map((settings) => {
  try {
    const found = convert(settings, data);
    return Number.isFinite(found) ? found : String(found);
  } catch ({ message }) { return message; }
})"""


@pytest.mark.parametrize("complete", [True, False], ids=["complete", "incomplete"])
def test_converter_answers_for_all_pairs_of_knobs_and_losses_what_convert_does_in_the_same_words(complete):
    random, drawn = Random(1), [*conversions(2000)]
    rare = {"value": [5e-324, 1e-300, 1e15, math.inf], "lr": [5e-324, 1e15], "n_samples": [5e-324, 1e15]}
    cases = []
    for source, target, loss in product(KNOBS, KNOBS, [None, *LOSSES]):
        told = random.choice(drawn) | {"source": source, "target": target, "loss": loss}
        if complete:
            told |= {
                name: told[name] or 0.3
                for name in ("n_samples", "batch_size", "lr", "l1_ratio", "target_std")
            }
            told["value"] = random.uniform(0, 10)
        else:
            told |= {name: random.choice(few) for name, few in rare.items() if random.random() < 0.1}
            told["value"] = 1.0 if told["value"] == math.inf and not KNOBS[source].inverse else told["value"]
        cases.append(told)
    found = script("converter")(OUTCOMES, cases=cases, data=labs.converter().data)
    for told, answer in zip(cases, found, strict=True):
        expected = outcome_of(**told)
        answer = answer if isinstance(answer, str) and answer != "Infinity" else float(answer)
        assert answer == expected, told


def test_converter_writes_numbers_as_python_does():
    numbers = [digits * 10.0**k for k in range(-320, 300) for digits in (1.0, 3.5, 1 / 3)]
    assert script("converter")("numbers.map(repr)", numbers=numbers) == [repr(number) for number in numbers]
    assert script("converter")("[0, NaN, Infinity].map(repr)") == ["0.0", "nan", "inf"]


def test_converter_takes_rates_for_equal_where_convert_does():
    sizes = [0.0, 1e-300, 1.0, 1 + 9e-10, 1 + 1.1e-9, 2.0, 1e300]
    pairs = [*product(sizes, sizes)]
    assert script("converter")("pairs.map(([a, b]) => isclose(a, b))", pairs=pairs) == [
        math.isclose(a, b) for a, b in pairs
    ]
    assert script("converter")("[isclose(Infinity, Infinity), isclose(1, Infinity)]") == [True, False]


def test_converter_says_in_python_what_is_not_so_by_itself():
    told = labs.converter(target="timm.SGDW.weight_decay", lr=0.1)
    for momentum, rest in ((0.0, ""), (0.5, ", momentum=0.5")):
        assert script("converter").facts(replace(told, settings=told.settings | {"momentum": momentum}))[
            "in Python"
        ] == (
            'convert(1.0, "sklearn.LogisticRegression.C", "timm.SGDW.weight_decay", decay_bias=False, '
            f"n_samples=1000{rest})"
        )


NEEDED = "cases.map((settings) => Object.keys(settings).filter((name) => needs(name, settings, data)))"


def test_converter_asks_for_all_that_can_matter():
    random, drawn = Random(2), [*conversions(3000)]
    found = script("converter")(NEEDED, cases=drawn, data=labs.converter().data)
    for told, needed in zip(drawn, found, strict=True):
        expected = outcome_of(**told)
        for name in set(told) - {"source", "target", "value", *needed}:
            other = random.choice([case for case in drawn[:50] if case[name] is not None])[name]
            if name == "loss" and told["loss"] is None:
                other = None  # it is asked for once it is told
            assert outcome_of(**told | {name: other}) == expected, (name, told)
        if isinstance(expected, str) and " is needed" in expected:
            assert expected.split()[0] in needed


@pytest.mark.parametrize(
    ("source", "target", "needed"),
    [
        ("torch.SGD.weight_decay", "torch.Adam.weight_decay", ""),
        ("torch.AdamW.weight_decay", "paper.AdamW.lambda", "lr"),
        ("torch.SGD.weight_decay", "sklearn.Lasso.alpha", ""),
        ("torch.SGD.weight_decay", "torch.AdamW.weight_decay", ""),
        ("torch.SGD.weight_decay", "sklearn.Ridge.alpha", "decay_bias n_samples n_outputs"),
        ("sklearn.LogisticRegression.C", "reference.lambda", "loss n_samples n_outputs decay_bias"),
        ("sklearn.Lasso.alpha", "sklearn.ElasticNet.alpha (l1 part)", "n_outputs l1_ratio decay_bias"),
        (
            "glmnet.gaussian.lambda (l2 part)",
            "sklearn.SVR.C",
            "decay_bias n_samples n_outputs l1_ratio target_std",
        ),
        ("timm.SGDW.weight_decay", "keras.L2.l2", "decay_bias momentum dampening"),
        ("torch.SGD.weight_decay (sum)", "torch.SGD.weight_decay", "loss n_outputs batch_size"),
    ],
)
def test_converter_asks_for_nothing_else(source, target, needed):
    told = next(conversions(1)) | {"source": source, "target": target, "loss": None, "momentum": 0.9}
    cases = [told, told | {"momentum": 0.0}]
    moving, still = script("converter")(NEEDED, cases=cases, data=labs.converter().data)
    assert set(moving) == set(needed.split())
    assert set(still) == set(needed.split()) - {"dampening"}


def test_swapping_twice_in_the_converter_gives_what_was_there():
    swap = script("converter")
    for told in conversions(300):
        first = swap(
            'lab.actions["Swap from and to"](settings, data)', settings=told, data=labs.converter().data
        )
        found = outcome_of(**told)
        assert (first["source"], first["target"]) == (told["target"], told["source"])
        if isinstance(found, float) and found <= 1e15:
            assert first["value"] == pytest.approx(found, rel=1e-9)
        else:
            assert first["value"] == told["value"]


@pytest.mark.parametrize("name", ["value", "n_samples", "n_outputs", "batch_size", "lr", "target_std"])
def test_converter_refuses_what_its_fields_do_not_take(name):
    with pytest.raises(ValueError, match=f"^{name} must be at most 1e[+]15, got"):
        labs.converter(loss="log_loss", **{name: 10**16 if name == "n_outputs" else 1e16})
    read = "[1e15, 1.1e15].map((x) => control(name, data).read(String(x)) === x)"
    assert script("converter")(read, name=name, data=labs.converter().data) == [True, False]


OPTIONS = ("lr", "momentum", "dampening", "nesterov", "weight_decay")
SCALES = {
    "MSELoss": F.mse_loss,
    "L1Loss": F.l1_loss,
    "HuberLoss": F.huber_loss,
    "SmoothL1Loss": F.smooth_l1_loss,
    "valley": lambda prediction, target: F.mse_loss(prediction, target) / 2,
}


def fitted(loss, condition_number, **_):
    """Return the points of a lab on a landscape, as columns."""
    if loss != "valley":
        return curved_points(torch.float64)
    X = torch.tensor([[1.0], [-1.0]], dtype=torch.float64) * condition_number**0.5
    return X, 2 * X + 2


def walked(settings, n_steps):
    """Return the path of torch, by course_lib."""
    X, y = fitted(**settings)
    options = {name: settings[name] for name in OPTIONS} | {"loss_fn": SCALES[settings["loss"]]}
    line = torch.nn.Linear(1, 1, dtype=torch.float64)
    return descent_paths(line, X, y, settings["start"][0], n_steps=n_steps, **options)[0].numpy()


@cache
def lowest(loss, condition_number, decay):
    """Return where loss + penalty is lowest."""
    X, y = (column[:, 0].numpy() for column in fitted(loss, condition_number))
    Z = np.stack([X, np.ones_like(X)], axis=1)
    if loss == "L1Loss":
        return lowest_l1(Z, y, decay)
    scale, width = (
        (2 if loss == "MSELoss" else 1) / len(Z),
        1 if "1Loss" in loss or "Huber" in loss else np.inf,
    )
    inside, signs = np.full(len(Z), True), np.zeros(len(Z))
    for _ in range(50):  # Newton's method: where it stays, the slope is zero
        H = scale * Z[inside].T @ Z[inside] + decay * np.eye(2)
        theta = np.linalg.solve(H, scale * (Z[inside].T @ y[inside] - Z.T @ signs))
        before, errors = inside, Z @ theta - y
        inside = abs(errors) < width
        signs = np.where(inside, 0, np.sign(errors))
        if (inside == before).all():
            return theta
    raise AssertionError("Newton's method does not stay")


def lowest_l1(Z, y, decay):
    """Return the lowest line through two points, or what the dual problem says of which points it touches."""
    if not decay:
        pairs = (np.array(pair) for pair in combinations(range(len(Z)), 2))
        return min(
            (np.linalg.solve(Z[pair], y[pair]) for pair in pairs), key=lambda line: abs(Z @ line - y).mean()
        )
    most = 1 / len(Z)
    dual = minimize(
        lambda a: (((Z.T @ a) ** 2).sum() / 2 / decay - a @ y, Z @ (Z.T @ a) / decay - y),
        np.zeros(len(Z)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-most, most)] * len(Z),
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000, "maxfun": 100_000},
    ).x
    touched = abs(dual) < 0.999 * most
    pull = most * np.sign(np.where(touched, 0, dual)) @ Z
    zeros = np.zeros((touched.sum(),) * 2)
    equations = np.block([[decay * np.eye(2), -Z[touched].T], [Z[touched], zeros]])
    return np.linalg.solve(equations, np.concatenate([pull, y[touched]]))[:2]


def lowest_of(settings):
    return lowest(settings["loss"], settings["condition_number"], settings["weight_decay"])


def curvatures(settings):
    """Return the eigenvalues of the second derivatives of the bare loss, where loss + penalty is lowest."""
    X, y = fitted(**settings)
    loss = partial(SCALES[settings["loss"]], target=y)
    theta = torch.tensor(lowest_of(settings))
    return torch.linalg.eigvalsh(hessian(lambda theta: loss(X * theta[0] + theta[1]), theta)).numpy()


def one_step(h, settings):
    """Return the matrix of a step along an eigenvector, in distance and velocity."""
    lr, mu, h = settings["lr"], settings["momentum"], h + settings["weight_decay"]
    fresh = 1 - settings["dampening"] * (mu > 0)
    if settings["nesterov"]:
        return np.array([[1 - lr * h * (1 + mu), -lr * mu**2], [h, mu]])
    return np.array([[1 - lr * fresh * h, -lr * mu], [fresh * h, mu]])


def factor(h, settings):
    return abs(np.linalg.eigvals(one_step(h, settings))).max()


def largest_lr(h, settings):
    """Return the limits of chapter 4."""
    mu, h = settings["momentum"], h + settings["weight_decay"]
    fresh = 1 - settings["dampening"] * (mu > 0)
    return 2 * (1 + mu) / ((1 + 2 * mu) * h if settings["nesterov"] else fresh * h)


def shown(value):
    text = f"{value:.4f}" if abs(value) < 1000 else counted(int(float(f"{value:.3e}")))
    return "0.0000" if text == "-0.0000" else text


SIGNS = {
    "|w|_1": "‖w‖₁",
    "|w|_21": "‖w‖₂₁",
    "|w|^2": "‖w‖²",
    "|leaves|_1": "‖leaves‖₁",
    "|leaves|^2": "‖leaves‖²",
}
SIGNS |= {
    "|(w, b)|_1": "‖(w, b)‖₁",
    "|(w, b)|^2": "‖(w, b)‖²",
    "^2": "²",
    "sum ": "Σ ",
    "eta ": "η ",
}
SIGNS |= {" - ": " − ", "-loglike": "−loglike"}
REFERENCES = {
    "l2": ("mean loss + (λ/2) ‖w‖²", "reference.lambda"),
    "l1": ("mean loss + λ ‖w‖₁", "reference.l1"),
    "l21": ("mean loss + λ Σⱼ ‖wⱼ‖", "reference.l21"),
    "AdamW": ("w −= lr λ w in each step, beside an adaptive step", "torch.AdamW.weight_decay"),
    "Lion": ("w −= lr λ w in each step, beside the sign of a momentum", "paper.Lion.lambda"),
    "Muon": (
        "w −= lr λ w in each step, beside a momentum whose singular values are made equal",
        "torch.Muon.weight_decay",
    ),
    "Adafactor": (
        "w −= lr λ w in each step, beside a step in proportion to the weights",
        "torch.Adafactor.weight_decay",
    ),
}


@cache
def first_landscape():
    return labs.landscape()


def landscape_at(**setting):
    """Return the lab at a setting, without a figure."""
    first = first_landscape()
    return labs.Lab(first.name, first.settings | setting, first.data)


ROLLING = [
    {},
    {"lr": 0.97},
    {"lr": 1.0, "n_steps": 400},  # which diverges
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 2.0},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 2.0},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.8},
    {"lr": 0.03, "dampening": 0.5},  # which does nothing without momentum
    {"lr": 0.02, "momentum": 0.5, "dampening": 0.9, "weight_decay": 0.01, "start": [[-4.9, 7.3]]},
]


@pytest.mark.parametrize("setting", ROLLING, ids=str)
@pytest.mark.parametrize("loss", SCALES)
def test_path_of_the_landscape_lab_is_that_of_torch(loss, setting):
    slow = {"lr": setting.get("lr", 0.1) / 10} if loss == "valley" else {}
    lab = landscape_at(**{"loss": loss, "condition_number": 30.0} | setting | slow)
    path = "descentPath(pointsOf(settings, data), settings)"
    found = np.array(script("landscape")(path, settings=lab.settings, data=lab.data))
    path = walked(lab.settings, 1000)
    within = 1 + np.flatnonzero(np.hypot(*path.T) <= 1e6)[-1]
    assert len(found) == min(within + 1, 1001)
    assert (np.linalg.norm(found[:within], axis=1) <= 1e6).all()
    close(found, path[: len(found)])


DECAYS = (0.0, 0.01, 0.3, 0.4, 0.6, 0.8, 2.5, 10.0)  # lines that touch two, one and no points with an L1 loss


@pytest.mark.parametrize("loss", SCALES)
def test_lowest_points_of_the_landscape_lab(loss):
    for decay in DECAYS:
        lab = landscape_at(loss=loss, condition_number=17.0, weight_decay=decay)
        lowest_point = "bottom(pointsOf(settings, data), settings.loss, settings.weight_decay)"
        found = script("landscape")(lowest_point, settings=lab.settings, data=lab.data)
        close(found["theta"], lowest(loss, 17.0, decay))
        close(found["curvatures"], curvatures(lab.settings), atol=1e-11)


RULES = [
    {"weight_decay": 0.0},
    {"weight_decay": 0.7},
    {"dampening": 0.6, "weight_decay": 0.7},
    {"nesterov": True, "momentum": 0.3},
    {"nesterov": True, "momentum": 0.3, "weight_decay": 3.0},
]


@pytest.mark.parametrize("setting", RULES, ids=str)
@pytest.mark.parametrize("loss", ["MSELoss", "HuberLoss", "valley"])
def test_map_of_the_landscape_lab_is_that_of_the_eigenvalues(loss, setting):
    lab = landscape_at(loss=loss, **setting)
    run, hs = script("landscape"), curvatures(lab.settings)
    lrs, momenta = run("LRS"), run("MOMENTA")
    assert (lrs[0], lrs[-1]) == pytest.approx((1e-3, 10))
    assert (momenta[0], momenta[-1]) == (0, 0.99)
    cells = [[lab.settings | {"lr": lr, "momentum": momentum} for lr in lrs] for momentum in momenta]
    expected = [[max(factor(h, cell) for h in hs) for cell in row] for row in cells]
    # Where two eigenvalues nearly coincide, both sides keep half of the digits.
    found = np.array(run.run(lab)["rates"])
    np.testing.assert_allclose(found, expected, rtol=3e-8)
    assert np.mean(abs(found / expected - 1) < 1e-11) > 0.9
    for momentum in momenta:
        settings = lab.settings | {"momentum": momentum}
        limit = run("largestLr(h, settings)", h=hs[1], settings=settings)
        close(limit, largest_lr(hs[1], settings))
        for lr, stable in ((0.999 * limit, True), (1.001 * limit, False)):
            assert (factor(hs[1], settings | {"lr": lr}) < 1) == stable


def test_an_l1_loss_and_what_torch_refuses_have_no_map_in_the_landscape_lab():
    run = script("landscape")
    for setting in ({"loss": "L1Loss"}, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}):
        found = run.run(landscape_at(**setting))
        assert "rates" not in found
        assert (found["path"] is None) == ("nesterov" in setting)


def test_numbers_of_the_landscape_lab_are_short():
    numbers = [0.12346, -0.00001, 999.99, -1234.0, 1234567.0]
    told = ["0.1235", "0.0000", "999.9900", "\N{MINUS SIGN}" + counted(1234), counted(1235000)]
    assert script("landscape")("numbers.map(amount)", numbers=numbers) == told


def test_each_level_of_the_landscape_lab_has_its_shade():
    run = script("landscape")
    levels = [0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1]
    assert run("factors.map(shade)", factors=levels) == run("SHADES")
    assert run("factors.map(shade)", factors=[level + 1e-9 for level in levels]) == [
        *run("SHADES")[1:],
        "none",
    ]


def test_lines_of_the_landscape_lab_lie_where_the_value_is_equal():
    for loss in ("MSELoss", "L1Loss", "valley"):
        lab = landscape_at(loss=loss, condition_number=4.0, weight_decay=0.5)
        X, y = fitted(**lab.settings)
        found = script("landscape").run(lab)
        for decay, pieces in ((0.5, found["lines"]), (0.0, found["bareLines"])):

            def value(thetas, decay=decay, X=X, y=y, loss=loss):
                each = [SCALES[loss](X * weight + bias, y) for weight, bias in thetas]
                return torch.stack(each).numpy() + decay / 2 * (np.asarray(thetas) ** 2).sum(axis=1)

            floor = value([lowest(loss, 4.0, decay)])
            corners = [(weight, bias) for weight in (-5, 8) for bias in (-5, 8)]
            step = np.sqrt(value(corners).max() - floor) / 12
            ends = np.array(pieces)[:, :, ::-1].reshape(-1, 2)  # weight, bias
            levels = np.sqrt(np.maximum(value(ends) - floor, 0)) / step
            assert abs(levels - levels.round()).max() < 0.08
            assert set(levels.round()) == set(range(1, 12))


def test_contour_of_a_cone_is_a_circle():
    us, vs = np.linspace(-2, 2, 81).tolist(), np.linspace(-1.5, 2, 71).tolist()
    cone = np.hypot(np.array(us), np.array(vs)[:, None]).tolist()
    pieces = np.array(script()("contour(cone, us, vs, 1)", cone=cone, us=us, vs=vs))
    np.testing.assert_allclose(np.hypot(*pieces.reshape(-1, 2).T), 1, atol=1e-3)
    lengths = np.hypot(*(pieces[:, 1] - pieces[:, 0]).T)
    assert lengths.sum() == pytest.approx(2 * np.pi, rel=1e-3)
    saddle = script()("contour([[0, 1], [1, 0]], [0, 1], [0, 1], 0.5)")
    assert len(saddle) == 2
    assert {tuple(end) for piece in saddle for end in piece} == {(0.5, 0), (0, 0.5), (1, 0.5), (0.5, 1)}


FATES = [
    {"lr": 0.9},
    {"lr": 1.0},
    {"lr": 1.5, "momentum": 0.9, "weight_decay": 0.1},
    {"lr": 1.25, "momentum": 0.9, "weight_decay": 1.0},
    {"loss": "HuberLoss", "lr": 2.0},
    {"loss": "HuberLoss", "lr": 2.5},
    {"loss": "HuberLoss", "lr": 0.69, "weight_decay": 3.0},
    {"loss": "L1Loss", "lr": 0.1},
    {"loss": "L1Loss", "lr": 0.1, "weight_decay": 0.3},
    {"loss": "L1Loss", "lr": 0.1, "weight_decay": 10.0},
    {"loss": "L1Loss", "lr": 0.41, "weight_decay": 5.0},
    {"loss": "valley", "lr": 0.0198},
    {"loss": "valley", "lr": 0.0202},
    {"loss": "valley", "lr": 0.02},
    {"loss": "valley", "lr": 0.0143, "momentum": 0.6, "nesterov": True},
    {"loss": "valley", "lr": 0.0147, "momentum": 0.6, "nesterov": True},
]


@pytest.mark.parametrize("setting", FATES, ids=str)
def test_paths_become_what_the_landscape_lab_says(setting):
    lab = landscape_at(**setting)
    said = script("landscape").facts(lab)["in the long run"].split(",")[0].split(":")[0]
    path = walked(lab.settings, 2000)
    away = np.linalg.norm(path - lowest_of(lab.settings), axis=1)
    last = away[-100:].max()
    became = (
        "converges"
        if last < 1e-9
        else "diverges"
        if last > 1e6
        else "hovers about the lowest point"
        if lab.settings["loss"] == "L1Loss"
        else "jumps to and fro forever"
        if np.ptp(away[-100:]) < 1e-9
        else "does not come to rest"
    )
    assert said == became
    assert became in ("converges", "diverges") or 1e-4 < last < 10


def told_of_a_landscape(lab):
    """Return what the lab on a landscape has to tell."""
    settings = lab.settings
    bottom, bare = lowest_of(settings), lowest_of(settings | {"weight_decay": 0})
    here = "({}, {})".format
    facts = {
        "lowest point of the loss": here(*map(shown, bare)),
        "lowest point of loss + penalty": here(*map(shown, bottom)),
    }
    if settings["nesterov"] and (settings["momentum"] == 0 or settings["dampening"]):
        facts = {"no path": "Nesterov needs momentum above 0 and no dampening"} | facts
    else:
        facts |= told_of_a_path(settings, bottom) | told_of_a_pace(settings, bottom)
    return {what: text.replace("-", "\N{MINUS SIGN}") for what, text in facts.items()}


def told_of_a_path(settings, bottom):
    n_steps, (X, y) = settings["n_steps"], fitted(**settings)
    path = walked(settings, n_steps)
    what = f"weight and bias after {counted(n_steps)} step" + "s" * (n_steps > 1)
    (beyond,) = (np.linalg.norm(path, axis=1) > 1e6).nonzero()
    if len(beyond):
        return {what: f"beyond a million since step {beyond[0]}"}
    theta = torch.tensor(path[-1])
    return {
        what: f"({shown(theta[0])}, {shown(theta[1])})",
        "loss there": shown(SCALES[settings["loss"]](X * theta[0] + theta[1], y).item()),
        "penalty there": shown(settings["weight_decay"] / 2 * (theta @ theta).item()),
        "distance to the lowest point": shown(np.linalg.norm(path[-1] - bottom)),
    }


def told_of_a_pace(settings, bottom):
    loss, decay = settings["loss"], settings["weight_decay"]
    X, y = (column[:, 0].numpy() for column in fitted(**settings))
    hs = curvatures(settings)
    rate = max(factor(h, settings) for h in hs)
    bowl = loss in ("MSELoss", "valley")
    ends = (
        {True: "converges", False: "diverges"}
        if bowl
        else {True: "converges, once it is near", False: "does not come to rest"}
    )
    end = ends[bool(rate < 1)] if abs(rate - 1) > 1e-9 else "jumps to and fro forever"
    if loss == "L1Loss" and (abs(X * bottom[0] + bottom[1] - y) < 1e-7).any():
        end = "hovers about the lowest point"
    if not bowl and decay and factor(0.0, settings) > 1:
        end = "diverges: the decay alone is too large"
    if loss == "L1Loss":
        return {"curvatures": "none: an L1 loss is made of planes", "in the long run": end}
    return {
        "curvatures of loss + penalty there": f"{shown(hs[0] + decay)} and {shown(hs[1] + decay)}",
        "factor per step": shown(rate),
        "largest stable lr": shown(largest_lr(hs[1], settings)),
        "in the long run": end,
    }


# What each lab has to tell, computed by course_lib and torch.
TOLD = {
    "boundary": told_of_a_line,
    "clock": told_of_a_clock,
    "landscape": told_of_a_landscape,
    "step": told_of_steps,
    "overfitting": told_of_a_polynomial,
    "converter": told_of_a_conversion,
}


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


@pytest.mark.parametrize(
    ("argument", "beyond"),
    [
        ("weight_decay", 10.1),
        ("degree", 16),
        ("n_samples", 2),
        ("n_samples", 1001),
        ("noise", 1.01),
        ("seed", 0),
        ("seed", 21),
    ],
)
def test_overfitting_lab_refuses_what_its_controls_do_not_reach(argument, beyond):
    with pytest.raises(ValueError, match=argument):
        labs.overfitting(**{argument: beyond})


BEYOND = {
    "n_samples": (99, 80_001),
    "batch_size": (7, 4097),
    "lr": (9e-6, 1.01),
    "weight_decay": (-0.1, 1.01),
    "n_epochs": (0, 101),
    "k": (1, 65),
}


@pytest.mark.parametrize(("argument", "value"), [(name, value) for name in BEYOND for value in BEYOND[name]])
def test_clock_lab_refuses_what_its_controls_do_not_reach(argument, value):
    with pytest.raises(ValueError, match=argument):
        labs.clock(**{argument: value})
    assert script("clock")("control(name).read(String(value)) ?? null", name=argument, value=value) is None


def test_clock_lab_draws_a_weight_that_grows_up_to_where_it_exceeds_one():
    lab = labs.clock(lr=1.0, weight_decay=1.0, k=np.int64(64), lr_times="k", weight_decay_times="k")
    (_, small), (_, large) = (line.get_xydata().T for line in plt.gcf().axes[0].lines[:2])
    assert small.tolist() == [1] + [0] * (len(small) - 1)
    assert large.tolist() == [1]
    assert lab._repr_html_()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("weight_decay", 3.01),
        ("weight_decay", -0.1),
        ("lr", 0.0009),
        ("lr", 1.01),
        ("momentum", 0.991),
        ("gradient", "noise"),
        ("gradient_scale", 0.0009),
        ("gradient_scale", 1001.0),
        ("n_steps", 0),
        ("n_steps", 1001),
        ("change_at", -1),
        ("change_at", 1001),
        ("later_weight_decay", 3.01),
        ("left", "Adagrad"),
        ("right", ""),
        ("start", [1.0]),
        ("start", [[1.0, 2.0]]),
        ("start", [4.1, 0.0]),
        ("start", [-2.1, 0.0]),
        ("start", [0.0, 2.1]),
        ("start", [0.0, -2.1]),
    ],
)
def test_step_lab_refuses_what_its_controls_do_not_reach(argument, value):
    with pytest.raises(ValueError, match=argument):
        labs.step(**{argument: value})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("condition_number", 0.99),
        ("condition_number", 1001.0),
        ("lr", 0.0009),
        ("lr", 10.1),
        ("momentum", 1.0),
        ("dampening", 1.0),
        ("weight_decay", 10.5),
        ("n_steps", 1001),
        ("start", [6.0, -5.1]),
        ("start", [8.1, 0.0]),
        ("start", [6.0, -3.0, 1.0]),
        ("nesterov", True),  # without momentum
    ],
)
def test_landscape_lab_refuses_what_its_controls_do_not_reach(argument, value):
    with pytest.raises(ValueError, match=argument):
        labs.landscape(**{argument: value})


def test_landscape_lab_draws_what_is_descended_and_the_bare_loss_beside_it():
    labs.landscape(momentum=0.9, nesterov=True, weight_decay=2.0, bare=True, n_steps=5)
    descended, bare = plt.gcf().axes[:2]
    assert [ax.get_title() for ax in (descended, bare)] == ["loss + penalty", "the loss"]
    (path,) = (line for line in bare.lines if line.get_label() == "Nesterov")
    settings = labs.landscape().settings | {"momentum": 0.9, "nesterov": True, "weight_decay": 2.0}
    np.testing.assert_allclose(np.transpose(path.get_data())[:, ::-1], walked(settings, 5), rtol=1e-6)
    text = repr(plt.figure(1))
    assert "lowest 0.71" in text
    plt.close("all")
    labs.landscape(lr=10.0, weight_decay=10.0)  # a path that is not followed to its end
    (path,) = (line for line in plt.gcf().axes[0].lines if line.get_label() == "plain descent")
    assert len(path.get_xdata()) == 4


@each_lab
def test_notebook_gets_one_script_and_the_first_setting(make):
    lab = make()
    page = lab._repr_html_()
    assert page.count("<script>") == page.count("</script>") == 1
    given = json.loads(unescape(re.search("data-given='(.*?)'", page)[1]))
    assert given == {"settings": lab.settings, "data": lab.data}
    assert len(page.encode()) <= 60_000
    assert repr(lab).startswith(f"Lab(name='{make.__name__}'")
    assert len(plt.get_fignums()) == (make.__name__ not in NO_FIGURE)


@each_lab
def test_what_an_address_holds_is_what_it_was_written_of(make):
    lab, run = make(), script(make.__name__)
    for name, value in lab.settings.items():
        read = "control(name, data).read(control(name, data).write(value))"
        assert run(read, name=name, value=value, data=lab.data) == value


@each_lab
@pytest.mark.parametrize(
    "text", ["", " ", "NaN", "Infinity", "-1e99", "1e99", "0x1", "<b>", "__proto__", "1,2,3"]
)
def test_an_address_with_anything_else_is_not_read(make, text):
    read = "controlsOf(lab, data).map(({ read }) => read(text) === undefined)"
    found = script(make.__name__)(read, text=text, data=make().data)
    assert found == [True] * len(found)
