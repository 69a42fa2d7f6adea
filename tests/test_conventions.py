"""Each knob beside the reference: both sides are fitted, and the coefficients compared."""

import math
import re
from dataclasses import FrozenInstanceError
from functools import cache, partial
from itertools import cycle, product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LogisticRegression,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits
from torch import nn
from torch.autograd.functional import hessian, jacobian
from torch.nn.utils import parameters_to_vector

from course_lib import conventions
from course_lib.conventions import KNOBS, convert
from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.optimum import logistic_optimum
from course_lib.penalties import decay_groups

LR = {"squared_error": 0.2, "log_loss": 1.0}
LOSSES = {
    "squared_error": lambda f, y: (y - f).square(),
    "log_loss": lambda f, y: F.binary_cross_entropy_with_logits(f, y, reduction="none"),
    "squared_hinge": lambda f, y: F.relu(1 - (2 * y - 1) * f).square(),
    "hinge": lambda f, y: F.relu(1 - (2 * y - 1) * f),
}
# What the knobs of each kind are compared with: the reference, or the best known of the decoupled.
HUBS = {"l2": "reference.lambda", "l1": "reference.l1", "decoupled": "torch.AdamW.weight_decay"}


def sample(loss, n_samples):
    """Orthogonal features off the origin, so that the bias matters, with targets or overlapping labels."""
    generator = torch.Generator().manual_seed(n_samples)
    draw = partial(torch.randn, dtype=torch.float64, generator=generator)
    X = n_samples**0.5 * torch.linalg.qr(draw(n_samples, 3))[0]
    X = X + torch.tensor([0.4, -0.3, 0.0], dtype=torch.float64)
    f = X @ torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64) + 0.5 * draw(n_samples)
    return X, f + 2 if loss == "squared_error" else (f > 0.5 * draw(n_samples)).double()


# The reference's side: minima of mean loss + (l2/2) |w|^2 + l1 |w|_1, weights first and the bias last.


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


def levels(value, n_weights, decay_bias):
    return np.append(np.full(n_weights, value), value if decay_bias else 0.0)


def least_squares(X, y, l2, l1, decay_bias):
    """The closed form; with L1, coordinate descent from there."""
    A, b = with_ones(X), 2 / len(X) * with_ones(X).T @ y.numpy()
    curvature = 2 / len(X) * A.T @ A + np.diag(levels(l2, X.shape[1], decay_bias))
    theta = np.linalg.solve(curvature, b)
    for _ in range(300 if l1 else 0):
        for j, level in enumerate(levels(l1, X.shape[1], decay_bias)):
            pull = b[j] - curvature[j] @ theta + curvature[j, j] * theta[j]
            theta[j] = np.sign(pull) * max(abs(pull) - level, 0) / curvature[j, j]
    return theta


def logistic(X, y, l2, l1, decay_bias):
    penalty = "l1" if l1 else "l2"
    weight, bias = logistic_optimum(X, y, l1 or l2, penalty=penalty, decay_bias=decay_bias)
    return np.append(weight, bias)


def squared_hinge(X, y, l2, l1, decay_bias):
    """Newton's method: the loss is a square wherever the same points are inside the margin."""
    Z = (2 * y.numpy()[:, None] - 1) * with_ones(X)
    theta, decay = np.zeros(Z.shape[1]), np.diag(levels(l2, X.shape[1], decay_bias))
    for _ in range(20):
        inside = Z[Z @ theta < 1]
        theta = np.linalg.solve(2 / len(Z) * inside.T @ inside + decay, 2 / len(Z) * inside.sum(axis=0))
    return theta


def hinge(X, y, l2, l1, decay_bias):
    """The quadratic program with a slack for each point, polished: the points on the margin are at 1."""
    Z = (2 * y.numpy()[:, None] - 1) * with_ones(X)
    n, d = Z.shape
    decay, both = levels(l2, d - 1, decay_bias), np.hstack([Z, np.eye(n)])
    found = minimize(
        lambda p: (p[d:].mean() + decay @ p[:d] ** 2 / 2, np.append(decay * p[:d], np.full(n, 1 / n))),
        np.append(np.zeros(d), np.ones(n)),
        jac=True,
        method="SLSQP",
        bounds=[(None, None)] * d + [(0, None)] * n,
        constraints={"type": "ineq", "fun": lambda p: both @ p - 1, "jac": lambda p: both},
        options={"ftol": 1e-13, "maxiter": 500},
    )
    margin = Z @ found.x[:d]
    inside, at = Z[margin < 1 - 1e-5], Z[abs(margin - 1) <= 1e-5]
    system = np.block([[np.diag(decay), -at.T / n], [at, np.zeros((len(at), len(at)))]])
    return np.linalg.solve(system, np.append(inside.sum(axis=0) / n, np.ones(len(at))))[:d]


MINIMA = {
    "squared_error": least_squares,
    "log_loss": logistic,
    "squared_hinge": squared_hinge,
    "hinge": hinge,
}


def optimum(loss, X, y, *, l2=0.0, l1=0.0, decay_bias=False):
    return MINIMA[loss](X, y, l2, l1, decay_bias)


# The library's side. Every fit is called with a loss, data, the knob's value, and whether to decay the
# bias, where None leaves that to the library.


def written(objective):
    """Minimize by Newton's method what somebody wrote down: objective(losses, weights, value)."""

    def fit(loss, X, y, value, decay_bias):
        def minimized(theta):
            losses = LOSSES[loss](X @ theta[:-1] + theta[-1], y)
            return objective(losses, theta if decay_bias else theta[:-1], value)

        theta = torch.zeros(X.shape[1] + 1, dtype=torch.float64)
        for _ in range(8):
            slope, curvature = jacobian(minimized, theta), hessian(minimized, theta)
            theta = theta - torch.linalg.solve(curvature, slope)
        return theta.numpy()

    return fit


def linear(n_features=3, bias=True):
    """A linear model with known weights."""
    model = nn.Linear(n_features, 1, bias=bias, dtype=torch.float64)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.5)
    return model


def groups(model, value, decay_bias):
    """Return what to give an optimizer; None stands for what everybody writes first."""
    if decay_bias is None:
        return model.parameters()
    return decay_groups(model, value, decays=(lambda name, parameter: True) if decay_bias else None)


def descended(make, reduction="mean", n_steps=250):
    """Follow a torch optimizer in full batch to its point of rest."""

    def fit(loss, X, y, value, decay_bias):
        model = linear(X.shape[1])
        lr = LR[loss] / (len(X) if reduction == "sum" else 1)
        optimizer = make(groups(model, value, decay_bias), lr=lr, weight_decay=value)
        for _ in range(n_steps):
            optimizer.zero_grad()
            getattr(LOSSES[loss](model(X)[:, 0], y), reduction)().backward()
            optimizer.step()
        return torch.cat([model.weight[0], model.bias]).detach().numpy()

    return fit


class PapersSGDW(torch.optim.Optimizer):
    """Algorithm 1 of the paper, with its schedule multiplier eta = 1: lr does not multiply lambda."""

    def __init__(self, params, lr, weight_decay, momentum=0.8):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self.momentum = momentum

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for theta in group["params"]:
                m = self.momentum * self.state[theta].get("m", 0.0) + group["lr"] * theta.grad
                self.state[theta]["m"] = m
                theta -= m + group["weight_decay"] * theta


class PapersAdamW(torch.optim.Optimizer):
    """Algorithm 2, likewise."""

    def __init__(self, params, lr, weight_decay):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for theta in group["params"]:
                t, m, v = self.state[theta].get("tmv", (0, 0.0, 0.0))
                t, m, v = t + 1, 0.9 * m + 0.1 * theta.grad, 0.999 * v + 0.001 * theta.grad**2
                self.state[theta]["tmv"] = t, m, v
                step = m / (1 - 0.9**t) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
                theta -= group["lr"] * step + group["weight_decay"] * theta


def sklearn(knob, make, **options):
    def fit(loss, X, y, value, decay_bias):
        model = make(**{knob: value}, **options).fit(X.numpy(), y.numpy())
        return np.append(model.coef_, model.intercept_)

    return fit


def averaged_sgd(make):
    """A million steps, of which the second half is averaged."""

    def fit(loss, X, y, value, decay_bias):
        options = {"learning_rate": "constant", "eta0": 2e-4, "average": 500_000, "random_state": 0}
        options |= {"loss": loss, "max_iter": 1_000_000 // len(X), "tol": None}
        return sklearn("alpha", make, **options)(loss, X, y, value, decay_bias)

    return fit


def mlp(make, solver, n_fits=1):
    """A perceptron without a hidden layer, trained in full batch; L-BFGS stops early and is started again."""

    def fit(loss, X, y, value, decay_bias):
        model = make(hidden_layer_sizes=(), solver=solver, alpha=value, batch_size=len(X), warm_start=True)
        model.set_params(learning_rate_init=LR[loss], random_state=0, tol=1e-15)
        model.set_params(n_iter_no_change=100, max_iter=10_000)
        for _ in range(n_fits):
            model.fit(X.numpy(), y.numpy())
        return np.append(model.coefs_[0], model.intercepts_[0])

    return fit


MEANS = (24, 0.3), (60, 0.1)
SUMS = (24, 7.0), (60, 5.0)
CS = (24, 0.5), (60, 0.1)
FEW_MEANS, FEW_CS = ((12, 0.3), (20, 0.1)), ((12, 0.5), (20, 0.3))  # rows, for the quadratic program
SMALL = (24, 0.05), (60, 0.02)  # leaves every weight its sign, so that |w| has a gradient
ANY, SQUARES, LOG = ("squared_error", "log_loss"), ("squared_error",), ("log_loss",)
DECAYED, FREE = (None, False), (None, True)  # by default, and the other way
MOMENTUM = {"momentum": 0.8, "dampening": 0.5}  # told to every knob; only a decoupled decay may listen


def fits(name, fit, losses, sizes, per=(), biases=(None,), **quantities):
    """One case for each size, with the losses in turn, and each treatment of the bias."""
    return [
        pytest.param(
            *(name, fit, loss, n_samples, value, decay_bias),
            MOMENTUM | dict.fromkeys(per, n_samples) | quantities,
            id=f"{name}-{loss}-{n_samples}-{'default' if decay_bias is None else decay_bias}",
        )
        for loss, (n_samples, value) in zip(cycle(losses), sizes, strict=False)
        for decay_bias in biases
    ]


def sgdw_fits(biases=(None,), **settings):
    quantities = {"dampening": 0.0} | {key: value for key, value in settings.items() if key != "nesterov"}
    name, times_lr = "course_lib.SGDW.weight_decay", descended(partial(SGDW, **settings))
    alone = descended(partial(SGDW, decay_times_lr=False, **settings))
    found = fits(name, times_lr, ANY, MEANS, biases=biases, **quantities)
    for loss, size in zip(ANY, MEANS, strict=True):
        found += fits(f"{name} (without lr)", alone, [loss], [size], biases=biases, lr=LR[loss], **quantities)
    return found


half = written(lambda losses, w, v: losses.mean() + v / 2 * w @ w)
whole = written(lambda losses, w, v: losses.mean() + v * w @ w)
absolute = written(lambda losses, w, v: losses.mean() + v * w.abs().sum())
textbook_logistic = written(lambda losses, w, v: (losses.sum() + v / 2 * w @ w) / len(losses))
textbook_linear = written(lambda losses, w, v: (losses.sum() + v * w @ w) / (2 * len(losses)))
sgd = partial(torch.optim.SGD, momentum=0.8)
PAPER = {"momentum": 0.8, "dampening": 0.0, "biases": DECAYED}
TIGHT = {"tol": 1e-12, "max_iter": 10**5, "random_state": 0}
logistic_fit = partial(sklearn, "C", LogisticRegression, **TIGHT)
L1_LOGISTIC = {"penalty": "l1"} if LogisticRegression().penalty == "l2" else {"l1_ratio": 1.0}  # new in 1.8
saga_l1 = logistic_fit(solver="saga", **L1_LOGISTIC)
liblinear = logistic_fit(solver="liblinear", dual=True)
svc_fit = partial(sklearn, "C", LinearSVC, dual=True, **TIGHT | {"tol": 1e-10})

FITS = [
    *fits("reference.lambda", half, ANY, MEANS, biases=FREE),
    *fits("reference.l1", absolute, ANY, SMALL, biases=FREE),
    *fits("textbook.logistic.lambda", textbook_logistic, LOG, SUMS, ["n_samples"], FREE),
    *fits("textbook.linear.lambda", textbook_linear, SQUARES, SUMS, ["n_samples"], FREE),
    *fits("written.l2 (with 1/2)", half, ANY, MEANS, biases=FREE),
    *fits("written.l2 (no 1/2)", whole, ANY, MEANS, biases=FREE),
    *fits("written.l1", absolute, ANY, SMALL, biases=FREE),
    *fits("torch.SGD.weight_decay", descended(sgd), ANY, MEANS, biases=DECAYED),
    *fits("torch.SGD.weight_decay (sum)", descended(sgd, "sum"), ANY, SUMS, ["batch_size"], DECAYED),
    *sgdw_fits(momentum=0.0, biases=DECAYED),
    *sgdw_fits(momentum=0.0, dampening=0.5),
    *sgdw_fits(momentum=0.8),
    *sgdw_fits(momentum=0.8, nesterov=True),
    *sgdw_fits(momentum=0.8, dampening=0.5),
    *fits(
        "course_lib.ProximalSGD.weight_decay (l2)",
        descended(partial(ProximalSGD, norm=2)),
        ANY,
        MEANS,
        biases=DECAYED,
    ),
    *fits("course_lib.ProximalSGD.weight_decay (l1)", descended(ProximalSGD), ANY, MEANS, biases=DECAYED),
    *fits("paper.SGDW.lambda", descended(PapersSGDW), SQUARES, MEANS, lr=LR["squared_error"], **PAPER),
    *fits("paper.SGDW.lambda", descended(PapersSGDW), LOG, MEANS, lr=LR["log_loss"], **PAPER),
    *fits("sklearn.Ridge.alpha", sklearn("alpha", Ridge), SQUARES, SUMS, ["n_samples"]),
    *fits("sklearn.Lasso.alpha", sklearn("alpha", Lasso, tol=1e-14), SQUARES, MEANS),
    *fits("sklearn.LogisticRegression.C", logistic_fit(), LOG, CS, ["n_samples"]),
    *fits("sklearn.LogisticRegression.C", logistic_fit(solver="newton-cholesky"), LOG, CS, ["n_samples"]),
    *fits("sklearn.LogisticRegression.C", logistic_fit(solver="saga"), LOG, CS, ["n_samples"]),
    *fits("sklearn.LogisticRegression.C (l1)", saga_l1, LOG, CS, ["n_samples"]),
    *fits("sklearn.LogisticRegression.C (liblinear)", liblinear, LOG, CS, ["n_samples"]),
    *fits("sklearn.LinearSVC.C", svc_fit(loss="squared_hinge"), ["squared_hinge"], CS, ["n_samples"]),
    *fits("sklearn.LinearSVC.C", svc_fit(loss="hinge"), ["hinge"], FEW_CS, ["n_samples"]),
    *fits("sklearn.SGDClassifier.alpha", averaged_sgd(SGDClassifier), LOG, MEANS),
    *fits("sklearn.SGDClassifier.alpha", averaged_sgd(SGDClassifier), ["squared_hinge"], MEANS),
    *fits("sklearn.SGDClassifier.alpha", averaged_sgd(SGDClassifier), ["hinge"], FEW_MEANS),
    *fits("sklearn.SGDRegressor.alpha", averaged_sgd(SGDRegressor), SQUARES, MEANS),
    *fits("sklearn.MLPClassifier.alpha", mlp(MLPClassifier, "sgd"), LOG, SUMS, ["batch_size"]),
    *fits("sklearn.MLPClassifier.alpha", mlp(MLPClassifier, "lbfgs", 8), LOG, SUMS, ["batch_size"]),
    *fits("sklearn.MLPRegressor.alpha", mlp(MLPRegressor, "sgd"), SQUARES, SUMS, ["batch_size"]),
    *fits("sklearn.MLPRegressor.alpha", mlp(MLPRegressor, "lbfgs", 8), SQUARES, SUMS, ["batch_size"]),
]
COUPLED = ("SGD", "Adadelta", "Adagrad", "Adam", "Adamax", "NAdam", "RAdam", "RMSprop")
DECOUPLED = {
    "torch.AdamW.weight_decay": torch.optim.AdamW,
    "torch.Adam.weight_decay (decoupled)": partial(torch.optim.Adam, decoupled_weight_decay=True),
    "torch.NAdam.weight_decay (decoupled)": partial(torch.optim.NAdam, decoupled_weight_decay=True),
    "torch.RAdam.weight_decay (decoupled)": partial(torch.optim.RAdam, decoupled_weight_decay=True),
    "torch.Adafactor.weight_decay": torch.optim.Adafactor,
    "torch.Muon.weight_decay": torch.optim.Muon,
    "paper.AdamW.lambda": PapersAdamW,
}
ELASTIC = {part: f"sklearn.ElasticNet.alpha ({part} part)" for part in ("l1", "l2")}
CHOICES = {
    *(case.values[0] for case in FITS if case.values[5] is not None),
    *(f"torch.{name}.weight_decay{kind}" for name in COUPLED for kind in ("", " (sum)")),
    *(set(DECOUPLED) - {"torch.Muon.weight_decay"}),
}


def trajectory(
    make, value, decay_bias=None, *, reduction="mean", lam=0.0, decayed=True, lr=0.1, bias=True, n_steps=50
):
    """Every step, on batches of 8 rows in turn, with (lam/2) |w|^2 added to the mean loss."""
    model, (X, y) = linear(bias=bias), sample("log_loss", 24)
    optimizer = make(groups(model, value, decay_bias), lr=lr, weight_decay=value)
    batches = list(zip(X.split(8), y.split(8), strict=True))
    penalized, path = [p for p in model.parameters() if decayed or p.ndim > 1], []
    for step in range(n_steps):
        rows, labels = batches[step % 3]
        optimizer.zero_grad()
        J = getattr(LOSSES["log_loss"](model(rows)[:, 0], labels), reduction)()
        if lam:
            penalty = lam / 2 * sum(p.square().sum() for p in penalized)
            J = J + (8 * penalty if reduction == "sum" else penalty)
        J.backward()
        optimizer.step()
        path.append(parameters_to_vector(model.parameters()).detach())
    return torch.stack(path).numpy()


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """With matrices this small a second thread only waits, and long where the machine is busy."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize(("name", "fit", "loss", "n_samples", "value", "decay_bias", "quantities"), FITS)
def test_both_sides_have_the_same_minimum(name, fit, loss, n_samples, value, decay_bias, quantities):
    knob, (X, y) = KNOBS[name], sample(loss, n_samples)
    lam = convert(value, name, HUBS[knob.penalty], loss=loss, decay_bias=decay_bias, **quantities)
    decayed = knob.bias == "decayed" if decay_bias is None else decay_bias
    penalty = "l1" if knob.penalty == "l1" else "l2"
    expected, doubled = (
        optimum(loss, X, y, **{penalty: factor * lam}, decay_bias=decayed) for factor in (1, 2)
    )
    found = fit(loss, X, y, value, decay_bias)
    np.testing.assert_allclose(found, expected, rtol=0, atol=knob.tolerance)
    assert abs(doubled - expected).max() > 2 * knob.tolerance  # or the line above could not tell


@pytest.mark.parametrize("l1_ratio", [0.3, 0.8])
@pytest.mark.parametrize(("n_samples", "alpha"), MEANS)
def test_both_parts_of_the_elastic_net_together_have_its_minimum(n_samples, alpha, l1_ratio):
    X, y = sample("squared_error", n_samples)
    parts = {part: convert(alpha, ELASTIC[part], HUBS[part], l1_ratio=l1_ratio) for part in ELASTIC}
    assert {KNOBS[name].bias for name in ELASTIC.values()} == {"free"}
    found = sklearn("alpha", ElasticNet, l1_ratio=l1_ratio, tol=1e-14)(None, X, y, alpha, None)
    tolerance = min(KNOBS[name].tolerance for name in ELASTIC.values())
    np.testing.assert_allclose(found, optimum("squared_error", X, y, **parts), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("reduction", "decay_bias", "n_steps"), [("mean", None, 200), ("mean", False, 50), ("sum", None, 50)]
)
@pytest.mark.parametrize("name", COUPLED)
def test_coupled_decay_is_half_its_square_in_the_loss_step_by_step(name, reduction, decay_bias, n_steps):
    make = getattr(torch.optim, name)
    name = f"torch.{name}.weight_decay{' (sum)' if reduction == 'sum' else ''}"
    rows = {"batch_size": 8} if reduction == "sum" else {}
    lam = convert(0.3, name, "reference.lambda", loss="log_loss", decay_bias=decay_bias, **rows, **MOMENTUM)
    decayed = KNOBS[name].bias == "decayed" if decay_bias is None else decay_bias
    found = trajectory(make, 0.3, decay_bias, reduction=reduction, n_steps=n_steps)
    expected = trajectory(make, 0.0, reduction=reduction, lam=lam, decayed=decayed, n_steps=n_steps)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_sgd_on_the_sum_is_sgd_on_the_mean_with_lr_and_decay_divided():
    name = "torch.SGD.weight_decay"
    as_mean = convert(0.3, f"{name} (sum)", name, batch_size=8)
    found = trajectory(torch.optim.SGD, 0.3, reduction="sum", lr=0.1 / 8)
    np.testing.assert_allclose(found, trajectory(torch.optim.SGD, as_mean, lr=0.1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("decay_bias", DECAYED)
@pytest.mark.parametrize("name", DECOUPLED)
def test_decoupled_decay_multiplies_by_one_minus_lr_times_it_where_there_is_no_gradient(name, decay_bias):
    model = linear(bias=KNOBS[name].bias != "none")
    optimizer = DECOUPLED[name](groups(model, 0.4, decay_bias), lr=0.1, weight_decay=0.4)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    told = MOMENTUM | ({"lr": 0.1} if name.startswith("paper") else {})
    shrunk = 0.5 * (1 - 0.1 * convert(0.4, name, HUBS["decoupled"], decay_bias=decay_bias, **told))
    torch.testing.assert_close(model.weight, torch.full_like(model.weight, shrunk), rtol=0, atol=1e-16)
    if model.bias is not None:
        decayed = KNOBS[name].bias == "decayed" if decay_bias is None else decay_bias
        assert model.bias.item() == pytest.approx(shrunk if decayed else 0.5, rel=0, abs=1e-16)


@pytest.mark.parametrize("name", DECOUPLED)
def test_decoupled_decay_is_no_penalty_beside_an_adaptive_step(name):
    found = trajectory(DECOUPLED[name], 0.3, bias=False)
    penalized = trajectory(DECOUPLED[name], 0.0, lam=0.3, bias=False)
    assert abs(found - penalized).max() > 1e-2
    for source, target in [(name, "reference.lambda"), ("torch.Adam.weight_decay", name)]:
        with pytest.raises(ValueError, match=f"{re.escape(name)} decays beside an adaptive step"):
            convert(0.3, source, target, lr=0.1)


def test_adamw_of_the_paper_is_that_of_torch_with_lambda_divided_by_lr():
    found = trajectory(PapersAdamW, 0.03, lr=0.1)
    weight_decay = convert(0.03, "paper.AdamW.lambda", "torch.AdamW.weight_decay", lr=0.1)
    assert weight_decay == pytest.approx(0.3)
    np.testing.assert_allclose(found, trajectory(torch.optim.AdamW, weight_decay), rtol=0, atol=1e-12)


def test_muon_takes_no_bias():
    with pytest.raises(ValueError, match="Muon only supports 2D parameters"):
        torch.optim.Muon(linear().parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("make", "loss", "scale"), [(MLPClassifier, "log_loss", 1.0), (MLPRegressor, "squared_error", 0.5)]
)
def test_multilayer_perceptrons_divide_alpha_by_the_rows_of_each_batch(make, loss, scale):
    """One epoch of 24 rows in batches of 10, 10 and 4, by hand."""
    X, y = sample(loss, 24)
    model = make(hidden_layer_sizes=(), solver="sgd", alpha=3.0, batch_size=10, learning_rate_init=0.1)
    model.set_params(shuffle=False, momentum=0.0, random_state=0)
    model.partial_fit(X.numpy(), y.numpy(), **({"classes": [0, 1]} if loss == "log_loss" else {}))
    theta = torch.from_numpy(np.append(model.coefs_[0], model.intercepts_[0])).requires_grad_()
    model.partial_fit(X.numpy(), y.numpy())
    for rows in torch.arange(24).split(10):
        lam = convert(3.0, f"sklearn.{make.__name__}.alpha", "reference.lambda", batch_size=len(rows))
        losses = LOSSES[loss](X[rows] @ theta[:-1] + theta[-1], y[rows])
        (slope,) = torch.autograd.grad(losses.mean() + lam / 2 * theta[:-1].square().sum(), theta)
        theta = (theta - 0.1 * scale * slope).detach().requires_grad_()
    found = np.append(model.coefs_[0], model.intercepts_[0])
    np.testing.assert_allclose(found, theta.detach(), rtol=0, atol=1e-14)


def test_every_knob_that_make_test_checks_is_checked_here():
    checked = {case.values[0] for case in FITS} | CHOICES | set(DECOUPLED) | set(ELASTIC.values())
    assert checked == {name for name, knob in KNOBS.items() if knob.check == "make test"}


@pytest.mark.parametrize("name", [name for name, knob in KNOBS.items() if knob.check == "make test"])
def test_a_knob_is_checked_in_every_way_it_can_be_used(name):
    knob, fitted = KNOBS[name], {case.values[2] for case in FITS if case.values[0] == name}
    if fitted:
        assert fitted == set(knob.losses or ANY)
    else:
        assert set(knob.losses or ()) == (set(SQUARES) if name in ELASTIC.values() else set())
    assert knob.bias_is_a_choice == (name in CHOICES and knob.bias != "either")
    assert (knob.bias == "either") == name.startswith("reference")
    assert (knob.bias == "none") == (name == "torch.Muon.weight_decay")
    assert (knob.penalty == "decoupled") == (name in DECOUPLED)


# The conversion itself: laws, then what it refuses.

QUANTITIES = {
    "n_samples": 80,
    "batch_size": 20,
    "lr": 0.1,
    "momentum": 0.9,
    "dampening": 0.5,
    "l1_ratio": 0.3,
    "target_std": 2.0,
}
OTHERS = {
    "n_samples": 81,
    "batch_size": 21,
    "lr": 0.2,
    "momentum": 0.8,
    "dampening": 0.4,
    "l1_ratio": 0.4,
    "target_std": 3.0,
}


@cache
def conversions():
    """Each source, target and loss between which 0.4 can be converted, with the result."""
    found = []
    for source, target in product(KNOBS, KNOBS):
        for loss in {**(KNOBS[source].losses or {}), **(KNOBS[target].losses or {})} or [None]:
            try:
                found.append((source, target, loss, convert(0.4, source, target, loss=loss, **QUANTITIES)))
            except ValueError as error:
                if not re.search("no conversion|loss must be one of", str(error)):
                    raise
    return found


def into(name):
    """Return convert from this knob to its hub, for the first of its losses."""
    knob = KNOBS[name]
    loss = next(iter(knob.losses)) if knob.losses else None
    return partial(convert, source=name, target=HUBS[knob.penalty], loss=loss)


def test_every_knob_converts_to_itself_and_to_its_hub_and_back():
    pairs = {(source, target) for source, target, _, _ in conversions()}
    for name, knob in KNOBS.items():
        assert {(name, name), (name, HUBS[knob.penalty]), (HUBS[knob.penalty], name)} <= pairs


def test_round_trips_return_the_value():
    for source, target, loss, value in conversions():
        assert type(value) is float
        assert convert(value, target, source, loss=loss, **QUANTITIES) == pytest.approx(0.4, rel=1e-14)


def test_conversion_composes_through_the_hub():
    for source, target, loss, value in conversions():
        hub = HUBS[KNOBS[source].penalty]
        halfway = convert(0.4, source, hub, loss=loss, **QUANTITIES)
        assert convert(halfway, hub, target, loss=loss, **QUANTITIES) == pytest.approx(value, rel=1e-14)


def test_twice_the_value_is_twice_the_result_or_half_of_it():
    for source, target, loss, value in conversions():
        factor = 0.5 if KNOBS[source].inverse != KNOBS[target].inverse else 2.0
        doubled = convert(0.8, source, target, loss=loss, **QUANTITIES)
        assert doubled == pytest.approx(factor * value, rel=1e-14)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_quantity_is_asked_for_and_matters_exactly_where_the_formula_has_it(quantity):
    rest = {key: QUANTITIES[key] for key in QUANTITIES if key != quantity}
    for name, knob in KNOBS.items():
        with_it = into(name)(0.4, **QUANTITIES)
        changed = into(name)(0.4, **rest, **{quantity: OTHERS[quantity]})
        if not re.search(rf"\b{quantity}\b", knob.formula):
            assert with_it == changed == into(name)(0.4, **rest)
            continue
        assert with_it != changed
        if quantity not in ("momentum", "dampening"):
            with pytest.raises(ValueError, match=re.escape(f"{quantity} is needed: {name} stands for")):
                into(name)(0.4, **rest)


@pytest.mark.parametrize(
    ("name", "loss", "expected"),
    [
        ("reference.lambda", None, 0.4),
        ("reference.l1", None, 0.4),
        ("textbook.logistic.lambda", None, 0.005),
        ("textbook.linear.lambda", None, 0.01),
        ("written.l2 (with 1/2)", None, 0.4),
        ("written.l2 (no 1/2)", None, 0.8),
        ("torch.SGD.weight_decay", None, 0.4),
        ("torch.SGD.weight_decay (sum)", None, 0.02),
        ("torch.AdamW.weight_decay", None, 0.4),
        ("course_lib.SGDW.weight_decay", None, 0.08),
        ("course_lib.SGDW.weight_decay (without lr)", None, 0.8),
        ("paper.SGDW.lambda", None, 0.8),
        ("paper.AdamW.lambda", None, 4.0),
        ("sklearn.Ridge.alpha", None, 0.01),
        ("sklearn.Lasso.alpha", None, 0.8),
        ("sklearn.ElasticNet.alpha (l2 part)", None, 0.56),
        ("sklearn.ElasticNet.alpha (l1 part)", None, 0.24),
        ("sklearn.LogisticRegression.C", None, 0.03125),
        ("sklearn.LinearSVC.C", "hinge", 0.03125),
        ("sklearn.LinearSVC.C", "squared_hinge", 0.03125),
        ("sklearn.SGDClassifier.alpha", "hinge", 0.4),
        ("sklearn.SGDRegressor.alpha", None, 0.8),
        ("sklearn.MLPClassifier.alpha", None, 0.02),
        ("sklearn.MLPRegressor.alpha", None, 0.04),
        ("keras.L2.l2", None, 0.8),
        ("keras.SGD.weight_decay", None, 0.08),
        ("timm.SGDW.weight_decay", None, 0.08),
        ("xgboost.gbtree.lambda", None, 0.01),
        ("xgboost.gblinear.lambda", "squared_error", 0.8),
        ("xgboost.gblinear.lambda", "log_loss", 0.4),
        ("lightgbm.lambda_l1", None, 0.01),
        ("statsmodels.OLS.alpha (L1_wt=0)", None, 0.8),
        ("statsmodels.Logit.alpha (l1)", None, 0.005),
        ("glmnet.gaussian.lambda (l2 part)", None, 0.28),
        ("glmnet.gaussian.lambda (l1 part)", None, 0.24),
        ("glmnet.binomial.lambda (l2 part)", None, 0.28),
        ("glmnet.binomial.lambda (l1 part)", None, 0.12),
    ],
)
def test_lambda_by_hand(name, loss, expected):
    """For 80 rows in batches of 20; momentum 0.9 dampened by 0.5 makes a decoupled decay 5 times weaker."""
    found = convert(0.4, name, HUBS[KNOBS[name].penalty], loss=loss, **QUANTITIES)
    assert found == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("name", KNOBS)
def test_formula_is_what_convert_computes(name):
    found = into(name)(0.4, **QUANTITIES)
    symbols = ("value", "weight_decay", "alpha", "C", "l1", "l2", "lambda_l1", "lambda_l2")
    formula = re.sub(r" \(\w+\), .*", "", KNOBS[name].formula)  # where losses differ, the first one's
    with_stars = re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", formula)
    value = eval(with_stars, dict.fromkeys(symbols, 0.4) | QUANTITIES)
    assert value == pytest.approx(found, rel=1e-14)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("torch.SGD.weight_decay", "weight_decay"),
        ("torch.SGD.weight_decay (sum)", "weight_decay / batch_size"),
        ("textbook.linear.lambda", "2 value / n_samples"),
        ("sklearn.LogisticRegression.C (l1)", "1 / (C n_samples)"),
        ("sklearn.ElasticNet.alpha (l1 part)", "2 alpha l1_ratio"),
        ("paper.SGDW.lambda", "value (1 - momentum) / (1 - dampening) / lr"),
        ("xgboost.gblinear.lambda", "2 value (squared_error), value (log_loss)"),
    ],
)
def test_formula_in_words(name, formula):
    assert KNOBS[name].formula == formula


def test_dampening_does_nothing_without_momentum():
    assert convert(0.4, "course_lib.SGDW.weight_decay", "reference.lambda", dampening=0.5) == 0.4


LAMBDA, L1 = "reference.lambda", "reference.l1"
SGD, ADAMW = "torch.SGD.weight_decay", "torch.AdamW.weight_decay"
RIDGE, SVC, LASSO = "sklearn.Ridge.alpha", "sklearn.LinearSVC.C", "sklearn.Lasso.alpha"
C, LIBLINEAR = "sklearn.LogisticRegression.C", "sklearn.LogisticRegression.C (liblinear)"
WRITTEN, GBLINEAR = "written.l2 (no 1/2)", "xgboost.gblinear.lambda"
GLMNET = "glmnet.binomial.lambda (l2 part)"
N = {"n_samples": 80}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("torch.SGD.weigth_decay", "the nearest is 'torch.SGD.weight_decay'; known knobs of torch: torch."),
        ("sklearn.Ridge", "the nearest is 'sklearn.Ridge.alpha'; known knobs of sklearn: sklearn.Ridge.al"),
        ("Ridge.alpha", "the nearest is 'sklearn.Ridge.alpha'; known libraries: course_lib, glmnet, keras, "),
        ("optuna.SGD.weight_decay", "the nearest is 'torch.SGD.weight_decay'; known libraries: course_lib, "),
        ("", "known libraries: course_lib, glmnet, keras, lightgbm, optax, paper, reference, sklearn, "),
    ],
)
def test_an_unknown_name_is_answered_by_the_nearest_and_those_known(source, message):
    with pytest.raises(ValueError, match=f"source: no knob '{re.escape(source)}', .*{re.escape(message)}"):
        convert(0.4, source, LAMBDA)
    with pytest.raises(ValueError, match=f"target: no knob '{re.escape(source)}', .*{re.escape(message)}"):
        convert(0.4, LAMBDA, source)


@pytest.mark.parametrize(
    ("value", "source", "target", "options", "message"),
    [
        (-0.1, SGD, LAMBDA, {}, "value must be finite and >= 0, got -0.1"),
        (math.nan, SGD, LAMBDA, {}, "value must be finite and >= 0, got nan"),
        (math.inf, SGD, LAMBDA, {}, "value must be finite and >= 0, got inf"),
        (0.0, C, LAMBDA, N, "value must be finite and > 0, got 0.0"),
        (0.0, LAMBDA, C, N, "value must be finite and > 0, got 0.0"),
        (1e308, WRITTEN, LAMBDA, {}, "value, converted, must be finite and >= 0, got inf"),
        (1e-320, C, LAMBDA, N, "value, converted, must be finite and >= 0, got inf"),
        (1e-320, LAMBDA, C, N, "value, converted, must be finite and > 0, got inf"),
        (1e-320, C, C, N, "value, converted, must be finite and > 0, got 0.0"),
        (0.4, GLMNET, C, N | {"l1_ratio": 1.0}, "value, converted, must be finite and > 0, got inf"),
        (0.4, LAMBDA, ELASTIC["l2"], {"l1_ratio": 1.0}, "= 2 alpha (1 - l1_ratio) is 0 here, whatever its"),
        (0.4, L1, ELASTIC["l1"], {"l1_ratio": 0.0}, "= 2 alpha l1_ratio is 0 here, whatever its value"),
        (0.4, SGD, LAMBDA, {"n_samples": 0}, "n_samples must be at least 1, got 0"),
        (0.4, SGD, LAMBDA, {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        (0.4, SGD, LAMBDA, {"lr": 0.0}, "lr must be finite and > 0, got 0.0"),
        (0.4, SGD, LAMBDA, {"lr": math.inf}, "lr must be finite and > 0, got inf"),
        (0.4, SGD, LAMBDA, {"target_std": 0.0}, "target_std must be finite and > 0, got 0.0"),
        (0.4, SGD, LAMBDA, {"momentum": 1}, "momentum must be below 1, got 1.0"),
        (0.4, SGD, LAMBDA, {"momentum": 1.5}, "momentum must be below 1, got 1.5"),
        (0.4, SGD, LAMBDA, {"momentum": -0.1}, "momentum must be finite and >= 0, got -0.1"),
        (0.4, SGD, LAMBDA, {"momentum": math.nan}, "momentum must be finite and >= 0, got nan"),
        (0.4, SGD, LAMBDA, {"dampening": 1.0}, "dampening must be below 1, got 1.0"),
        (0.4, SGD, LAMBDA, {"dampening": -0.5}, "dampening must be finite and >= 0, got -0.5"),
        (0.4, SGD, LAMBDA, {"l1_ratio": 1.1}, "l1_ratio must be at most 1, got 1.1"),
        (0.4, SGD, LAMBDA, {"l1_ratio": -0.1}, "l1_ratio must be finite and >= 0, got -0.1"),
        (0.4, LAMBDA, L1, {}, f"source {LAMBDA} to target {L1}: one penalizes |w|, the other its square"),
        (0.4, LASSO, RIDGE, N, f"source {LASSO} to target {RIDGE}: one penalizes |w|, the other its"),
        (0.4, ADAMW, SGD, {}, f"from source {ADAMW} to target {SGD}: {ADAMW} decays beside an adaptive step"),
        (0.4, L1, ADAMW, {}, f"from source {L1} to target {ADAMW}: {ADAMW} decays beside an adaptive step"),
        (0.4, SGD, RIDGE, N, f"{SGD}, whose bias is decayed, to target {RIDGE}, whose bias is free: say"),
        (0.4, SGD, RIDGE, N, "say which it is on both sides by decay_bias, False here"),
        (0.4, WRITTEN, SVC, N, "say which it is on both sides by decay_bias, True here"),
        (0.4, WRITTEN, SGD, {}, "say which it is on both sides by decay_bias, either here"),
        (0.4, C, LIBLINEAR, N, f"free, to target {LIBLINEAR}, whose bias is decayed: this cannot be changed"),
        (0.4, SGD, RIDGE, N | {"decay_bias": True}, f"decay_bias=True: the bias of {RIDGE} is always free"),
        (0.4, SVC, SGD, N | {"decay_bias": False}, f"decay_bias=False: the bias of {SVC} is always decayed"),
        (0.4, RIDGE, C, N, f"{C}: they minimize different losses, squared_error and log_loss"),
        (0.4, SVC, LIBLINEAR, N, "they minimize different losses, squared_hinge or hinge and log_loss"),
        (0.4, LIBLINEAR, SVC, N, "they minimize different losses, log_loss and squared_hinge or hinge"),
        (0.4, GBLINEAR, SGD, {"decay_bias": False}, "loss is needed, one of squared_error, log_loss"),
        (0.4, GBLINEAR, LAMBDA, {"loss": "hinge"}, "loss must be one of squared_error, log_loss here, got"),
        (0.4, RIDGE, LAMBDA, N | {"loss": "mse"}, "loss must be one of squared_error here, got 'mse'"),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(value, source, target, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        convert(value, source, target, **options)


@pytest.mark.parametrize(
    ("argument", "wrong", "match"),
    [
        ("value", "0.4", "value must be a real number, got '0.4'"),
        ("value", None, "value must be a real number, got None"),
        ("value", True, "value must be a real number, got True"),
        ("source", 3, "source must be the name of a knob, got 3"),
        ("target", KNOBS[RIDGE], "target must be the name of a knob, got Knob"),
        ("loss", 3, "loss must be a string, got 3"),
        ("decay_bias", 0, "decay_bias must be True or False, got 0"),
        ("n_samples", 80.0, "n_samples must be an integer, got 80.0"),
        ("batch_size", "20", "batch_size must be an integer, got '20'"),
        ("lr", "0.1", "lr must be a real number, got '0.1'"),
        ("momentum", None, "momentum must be a real number, got None"),
        ("dampening", "0", "dampening must be a real number, got '0'"),
        ("l1_ratio", True, "l1_ratio must be a real number, got True"),
        ("target_std", [2.0], r"target_std must be a real number, got \[2.0\]"),
    ],
)
def test_a_wrong_type_is_refused_by_name(argument, wrong, match):
    arguments = {"value": 0.4, "source": SGD, "target": LAMBDA, argument: wrong}
    with pytest.raises(TypeError, match=match):
        convert(**arguments)


def test_a_bias_is_decayed_or_not_on_both_sides_where_one_says_so():
    assert convert(0.1, SGD, RIDGE, n_samples=80, decay_bias=False) == 4.0
    assert convert(0.1, SVC, SGD, n_samples=80) == 0.125
    assert convert(0.1, SVC, SGD, n_samples=80, decay_bias=True) == 0.125
    assert convert(0.1, SGD, WRITTEN, decay_bias=False) == 0.05
    assert convert(0.1, SGD, "xgboost.gbtree.lambda", n_samples=80) == 4.0


def test_one_loss_is_enough_where_both_sides_share_no_other():
    assert convert(0.4, GBLINEAR, "sklearn.SGDClassifier.alpha") == 0.4
    assert convert(0.4, GBLINEAR, RIDGE, n_samples=80) == pytest.approx(32.0)
    assert convert(0.0, SGD, LAMBDA) == 0.0


def test_the_table_of_knobs_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        KNOBS["torch.SGD.weight_decay"] = KNOBS["torch.AdamW.weight_decay"]
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'factor'"):
        KNOBS["torch.SGD.weight_decay"].factor = 2.0


def test_every_row_of_the_table_holds_values_that_the_documentation_names():
    names = [knob.name for knob in conventions._KNOBS]
    assert list(KNOBS) == names
    assert len(set(names)) == len(names)
    for name, knob in KNOBS.items():
        assert name == knob.name
        assert knob.penalty in {"l2", "l1", "decoupled"}
        assert knob.bias in {"free", "decayed", "none", "either"}
        assert knob.check in {"make test", "make rosetta"}
        assert set(knob.losses or ()) <= set(LOSSES)
        assert 1e-12 <= knob.tolerance < 0.1
        assert knob.objective
