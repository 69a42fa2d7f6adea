"""Each knob beside the reference: both sides are fitted, and the coefficients compared."""

import copy
import inspect
import math
import pickle
import re
import warnings
from dataclasses import FrozenInstanceError
from functools import cache, partial
from itertools import cycle, pairwise, permutations, product
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import lsq_linear, minimize
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LogisticRegression,
    MultiTaskLasso,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from threadpoolctl import threadpool_limits
from torch import nn
from torch.autograd.functional import hessian, jacobian
from torch.nn.utils import parameters_to_vector

from course_lib import conventions
from course_lib.conventions import KNOBS, convert
from course_lib.groups import decay_groups
from course_lib.optimizers import SGDW, ProximalSGD
from tools.measure import rosetta
from tools.measure.rosetta import EPSILON, LOSSES, Lion

LR = {"squared_error": 0.2, "log_loss": 1.0, "cross_entropy": 1.0}
TORCH = {
    "squared_error": F.mse_loss,
    "log_loss": F.binary_cross_entropy_with_logits,
    "cross_entropy": lambda f, y, reduction: F.cross_entropy(f, y.argmax(1), reduction=reduction),
}
# What the knobs of each kind are compared with: the reference, or the best known of the decoupled.
HUBS = {
    ("l2", ""): "reference.lambda",
    ("l1", ""): "reference.l1",
    ("l21", ""): "reference.l21",
    ("decoupled", "AdamW"): "torch.AdamW.weight_decay",
    ("decoupled", "Lion"): "paper.Lion.lambda",
    ("decoupled", "Muon"): "torch.Muon.weight_decay",
    ("decoupled", "Adafactor"): "torch.Adafactor.weight_decay",
}


def hub(name):
    return HUBS[KNOBS[name].penalty, KNOBS[name].beside]


def sample(loss, n_samples, n_outputs=1):
    """Orthogonal features off the origin, so that the bias matters, with targets or overlapping labels.

    Of three classes or more, or where the loss compares classes, each row has one.
    """
    generator = torch.Generator().manual_seed(n_samples)
    draw = partial(torch.randn, dtype=torch.float64, generator=generator)
    X = n_samples**0.5 * torch.linalg.qr(draw(n_samples, 3))[0]
    X = X + torch.tensor([0.4, -0.3, 0.0], dtype=torch.float64)
    true = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    f = X @ torch.stack([true.roll(output) for output in range(n_outputs)], dim=1)
    f = f + 0.5 * draw(n_samples, n_outputs)
    if loss in ("squared_error", *TUBES):
        return X, f + 2
    if n_outputs > 2 or loss == "cross_entropy":
        return X, F.one_hot((f + draw(n_samples, n_outputs)).argmax(1), n_outputs).double()
    return X, (f > 0.5 * draw(n_samples, n_outputs)).double()


def weights_of(n_samples):
    return torch.linspace(0.2, 3.0, n_samples, dtype=torch.float64)


# The reference's side: minima of mean loss + (l2/2) |w|^2 + l1 |w|_1, weights first and the bias last.


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


def levels(value, n_weights, decay_bias):
    return np.append(np.full(n_weights, value), value if decay_bias else 0.0)


def kinked(loss, X, y, l2, l1, decay_bias, shares):
    """The quadratic program with a slack for each kink, polished: what is at a kink stays there."""
    A = with_ones(X)
    if loss == "hinge":
        Z, kinks = (2 * y.numpy()[:, None] - 1) * A, np.ones(len(y))
    else:
        Z, kinks = np.vstack([A, -A]), np.concatenate([y - EPSILON, -y - EPSILON])
    shares = np.resize(shares, len(Z))
    n, d = Z.shape
    l2, l1 = (levels(value, d - 1, decay_bias) for value in (l2, l1))
    both = np.hstack([Z, -Z, np.eye(n)])
    flat = np.concatenate([l1, l1, shares])

    def objective(parts):
        theta = parts[:d] - parts[d : 2 * d]
        slope = np.concatenate([l2 * theta, -l2 * theta, np.zeros(n)])
        return flat @ parts + l2 @ theta**2 / 2, flat + slope

    found = minimize(
        objective,
        np.concatenate([np.zeros(2 * d), np.maximum(kinks, 0)]),
        jac=True,
        method="SLSQP",
        bounds=[(0, None)] * (2 * d + n),
        constraints={"type": "ineq", "fun": lambda p: both @ p - kinks, "jac": lambda p: both},
        options={"ftol": 1e-13, "maxiter": 500},
    )
    theta = found.x[:d] - found.x[d : 2 * d]
    if l1.any():
        return theta
    gap = kinks - Z @ theta
    inside, at = gap > 1e-5, abs(gap) <= 1e-5
    system = np.block([[np.diag(l2), -Z[at].T], [Z[at], np.zeros((at.sum(), at.sum()))]])
    return np.linalg.lstsq(system, np.append(shares[inside] @ Z[inside], kinks[at]))[0][:d]


def grouped(X, y, l21, decay_bias):
    """Proximal gradient descent on squares, where the weights of a feature shrink together."""
    A, n_terms = with_ones(X), y.numel()
    lr = n_terms / (2 * np.linalg.eigvalsh(A.T @ A)[-1])
    shrink = lr * levels(l21, X.shape[1], decay_bias)[:, None]
    theta = np.zeros((A.shape[1], y.shape[1]))
    for _ in range(1000):
        theta = theta - lr * 2 / n_terms * A.T @ (A @ theta - y.numpy())
        lengths = np.linalg.norm(theta, axis=1, keepdims=True)
        theta = theta * np.maximum(0, 1 - shrink / np.maximum(lengths, 1e-300))
    return theta


def optimum(loss, X, y, *, l2=0.0, l1=0.0, l21=0.0, decay_bias=False, shares=None):
    if l21:
        return grouped(X, y, l21, decay_bias)
    if loss in ("hinge", "epsilon_insensitive"):
        shares = np.full(len(y), 1 / len(y)) if shares is None else shares.numpy()
        columns = [
            kinked(loss, X, column, l2, l1, decay_bias, shares / y.shape[1]) for column in y.unbind(dim=1)
        ]
        return np.column_stack(columns)
    penalized = levels(1.0, X.shape[1], decay_bias)
    return rosetta.optimum(loss, with_ones(X), y, l2=l2, l1=l1, penalized=penalized, shares=shares)


def comparable(loss, theta):
    """Return coefficients as they are, or those of a softmax around their mean, which alone matters."""
    if loss != "cross_entropy":
        return theta
    logits = np.hstack([-theta / 2, theta / 2]) if theta.shape[1] == 1 else theta
    return logits - logits.mean(axis=1, keepdims=True)


# The library's side. Every fit is called with a loss, data, the knob's value, whether to decay the bias (None
# leaves that to the library), and weights of the rows or None.


def written(objective):
    """Minimize by Newton's method what somebody wrote down: objective(losses, weights, value)."""

    def fit(loss, X, y, value, decay_bias, weights):
        def minimized(theta):
            theta = theta.reshape(-1, y.shape[1])
            losses = LOSSES[loss](X @ theta[:-1] + theta[-1], y)
            return objective(losses, (theta if decay_bias else theta[:-1]).flatten(), value)

        theta = torch.full(((X.shape[1] + 1) * y.shape[1],), 0.5, dtype=torch.float64)
        for _ in range(12):
            slope, curvature = jacobian(minimized, theta), hessian(minimized, theta)
            theta = theta - torch.linalg.pinv(curvature, hermitian=True, rtol=1e-12) @ slope
        return theta.reshape(-1, y.shape[1]).numpy()

    return fit


def linear(n_features=3, n_outputs=1, bias=True):
    """A linear model with known weights."""
    model = nn.Linear(n_features, n_outputs, bias=bias, dtype=torch.float64)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.5)
    return model


def groups(model, value, decay_bias):
    """Return what to give an optimizer; None stands for what everybody writes first."""
    if decay_bias is None:
        return model.parameters()
    return decay_groups(model, value, decays=(lambda name, parameter: True) if decay_bias else None)


def descended(make, reduction="mean", n_steps=300):
    """Follow a torch optimizer in full batch to its point of rest."""

    def fit(loss, X, y, value, decay_bias, weights):
        model = linear(X.shape[1], y.shape[1])
        averaged = 1 if loss == "cross_entropy" else y.shape[1]
        lr = LR[loss] * averaged / (len(X) * averaged if reduction == "sum" else 1)
        optimizer = make(groups(model, value, decay_bias), lr=lr, weight_decay=value)
        for _ in range(n_steps):
            optimizer.zero_grad()
            TORCH[loss](model(X), y, reduction=reduction).backward()
            optimizer.step()
        return torch.vstack([model.weight.T, model.bias]).detach().numpy()

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


def by_column(fit):
    """Fit each output by itself, as a library does that knows one at a time."""

    def all_columns(loss, X, y, *rest):
        return np.hstack([fit(loss, X, column, *rest) for column in y.split(1, dim=1)])

    return all_columns


def sklearn(knob, make, **options):
    def fit(loss, X, y, value, decay_bias, weights):
        model = make(**{knob: value}, **options)
        classes = is_classifier(model) and y.shape[1] > 1
        targets = y.argmax(1) if classes else y if y.shape[1] > 1 or make is MultiTaskLasso else y[:, 0]
        told = {} if weights is None else {"sample_weight": weights.numpy()}
        model.fit(X.numpy(), targets.numpy(), **told)
        return np.vstack([np.atleast_2d(model.coef_).T, np.atleast_1d(model.intercept_)])

    return fit


def settled_sgd(make, penalty="l2", **options):
    """A million steps. Half of them are averaged where the average is right, which it is not with L1."""

    def fit(loss, X, *rest):
        average = {"learning_rate": "constant", "eta0": 2e-4, "average": 500_000}
        slower = {"learning_rate": "invscaling", "eta0": 0.1, "power_t": 0.5}
        told = average if penalty == "l2" else slower
        told |= {"penalty": penalty, "loss": loss.replace("cross_entropy", "log_loss"), "tol": None}
        told |= {"max_iter": 1_000_000 // len(X), "random_state": 0}
        return sklearn("alpha", make, **told, **options)(loss, X, *rest)

    return fit


def mlp(make, solver):
    """A perceptron without a hidden layer, in full batch; L-BFGS stops early and is started again."""

    def fit(loss, X, y, value, decay_bias, weights):
        model = make(hidden_layer_sizes=(), solver=solver, alpha=value, batch_size=len(X), random_state=0)
        model.set_params(learning_rate_init=LR[loss], warm_start=True, tol=1e-15, n_iter_no_change=200)
        targets = y.argmax(1) if loss == "cross_entropy" else y if y.shape[1] > 1 else y[:, 0]
        if make is MLPClassifier:
            targets = targets.long()
        told = {} if weights is None else {"sample_weight": weights.numpy()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of 200 steps, or of L-BFGS
            for _ in range(8 if solver == "lbfgs" else 1):
                model.fit(X.numpy(), targets.numpy(), **told)
        return np.vstack([model.coefs_[0], model.intercepts_[0]])

    return fit


class Case(NamedTuple):
    name: str
    fit: Any
    loss: str
    n_samples: int
    value: float
    n_outputs: int
    decay_bias: bool | None
    divisor: str | None  # of weighted losses: "sum" of the weights or "rows"; None: all weigh the same
    quantities: dict

    @property
    def weights(self):
        return weights_of(self.n_samples) if self.divisor else None

    @property
    def shares(self):
        if self.divisor:
            return self.weights / (self.weights.sum() if self.divisor == "sum" else self.n_samples)
        return None

    def convert(self, name):
        """Return the value for the reference, by this knob."""
        told = {"loss": self.loss, "n_outputs": self.n_outputs, "decay_bias": self.decay_bias}
        return convert(self.value, name, hub(name), **told | self.quantities)

    def fitted(self, X, y):
        return comparable(self.loss, self.fit(self.loss, X, y, self.value, self.decay_bias, self.weights))

    def expected(self, X, y, **penalties):
        return comparable(self.loss, optimum(self.loss, X, y, shares=self.shares, **penalties))


MEANS = (24, 0.3), (60, 0.1)
SUMS = (24, 7.0), (60, 5.0)
CS = (24, 0.5), (60, 0.1)
FEW_MEANS, FEW_CS = ((12, 0.3), (20, 0.1)), ((12, 0.5), (20, 0.3))  # rows, for the quadratic program
CORNERS, CORNERS_OF_NETS = ((30, 0.2), (20, 0.1)), ((30, 0.2), (20, 0.2))  # which twice the value moves
SMALL = (24, 0.005), (60, 0.002)  # leaves every weight its sign, so that |w| has a gradient
HALFWAY = (24, 0.1), (60, 0.05)  # leaves some weights zero
ANY, SQUARES, LOG = ("squared_error", "log_loss", "cross_entropy"), ("squared_error",), ("log_loss",)
CLASSES, SQUARED, TUBES = (
    ("cross_entropy",),
    ("squared_hinge",),
    ("squared_epsilon_insensitive", "epsilon_insensitive"),
)
DECAYED, FREE = (None, False), (None, True)  # by default, and the other way
MOMENTUM = {"momentum": 0.8, "dampening": 0.5}  # told to every knob; only a decoupled decay may listen


def fits(name, fit, losses, sizes, per=(), biases=(None,), outputs=(), divisor=None, **quantities):
    """The losses in turn, with each treatment of the bias; then with more outputs, and with weights."""
    one = [loss for loss in losses if loss not in CLASSES]
    wanted = [(loss, size, 1, bias, None) for loss, size in zip(cycle(one), sizes) for bias in biases if one]
    wanted += [(loss, sizes[k % 2], k, biases[0], None) for loss in losses for k in outputs]
    if divisor:
        ks = (*([1] if one else []), *outputs[-1:])
        wanted += [
            (loss, sizes[1], k, biases[0], divisor)
            for loss, k in product(losses, ks)
            if k > 1 or loss not in CLASSES
        ]
    found = []
    for loss, (n_samples, value), k, bias, by in wanted:
        total = weights_of(n_samples).sum().item() if by == "sum" else n_samples
        told = MOMENTUM | dict.fromkeys(per, total) | quantities
        label = f"{name}-{loss}-{n_samples}-{k}-{'default' if bias is None else bias}{'-' + by if by else ''}"
        found.append(pytest.param(Case(name, fit, loss, n_samples, value, k, bias, by, told), id=label))
    return found


def sgdw_fits(biases=(None,), **settings):
    quantities = {"dampening": 0.0} | {key: value for key, value in settings.items() if key != "nesterov"}
    name, times_lr = "course_lib.SGDW.weight_decay", descended(partial(SGDW, **settings))
    alone = descended(partial(SGDW, decay_times_lr=False, **settings))
    found = fits(name, times_lr, ANY, MEANS, biases=biases, outputs=(3,), **quantities)
    for loss, size in zip(("squared_error", "log_loss"), MEANS, strict=True):
        quantities["lr"] = LR[loss]
        found += fits(f"{name} (without lr)", alone, [loss], [size], biases=biases, **quantities)
    return found + fits(f"{name} (without lr)", alone, CLASSES, MEANS, outputs=(3,), **quantities)


half = written(lambda losses, w, v: losses.mean() + v / 2 * w @ w)
whole = written(lambda losses, w, v: losses.mean() + v * w @ w)
absolute = written(lambda losses, w, v: losses.mean() + v * w.abs().sum())
lengths = written(lambda losses, w, v: losses.mean() + v * w.reshape(-1, losses.shape[1]).norm(dim=1).sum())
textbook_logistic = written(lambda losses, w, v: (losses.sum() + v / 2 * w @ w) / len(losses))
textbook_linear = written(lambda losses, w, v: (losses.sum() + v * w @ w) / (2 * len(losses)))
sgd = partial(torch.optim.SGD, momentum=0.8)
PAPER = {"momentum": 0.8, "dampening": 0.0, "biases": DECAYED}
TIGHT = {"tol": 1e-11, "max_iter": 10**6, "random_state": 0}
logistic_fit = partial(sklearn, "C", LogisticRegression, **TIGHT)
svc_fit = partial(sklearn, "C", LinearSVC, dual=True, **TIGHT | {"tol": 1e-10})
OLD = LogisticRegression().penalty == "l2"  # before 1.8, where l1_ratio says it all


def proximal(**options):
    return descended(partial(ProximalSGD, **options))


def tube_fit(squared):
    return sklearn("C", LinearSVR, loss=f"{squared}epsilon_insensitive", epsilon=EPSILON, dual=True, **TIGHT)


def net(l1_ratio):
    """Return the settings of LogisticRegression for a share of L1."""
    if not OLD:
        return {"l1_ratio": l1_ratio}
    return {"penalty": "l1"} if l1_ratio == 1 else {"penalty": "elasticnet", "l1_ratio": l1_ratio}


N, B = ["n_samples"], ["batch_size"]
MANY, SOME = {"outputs": (2, 3, 4, 5)}, {"outputs": (2, 3)}
ONE_VS_REST, THREE, TWO_LOGITS = {"outputs": (3, 5)}, {"outputs": (3,)}, {"outputs": (2,)}
SUM, ROWS = {"divisor": "sum"}, {"divisor": "rows"}
MLP_SUM = SUM if "sample_weight" in inspect.signature(MLPRegressor.fit).parameters else {}  # since 1.7
ridge, ridge_classes = sklearn("alpha", Ridge), sklearn("alpha", RidgeClassifier)
lasso, tasks = (sklearn("alpha", make, tol=1e-14) for make in (Lasso, MultiTaskLasso))
lbfgs, cholesky = logistic_fit(), logistic_fit(solver="newton-cholesky")
saga, saga_l1 = (logistic_fit(solver="saga", **told) for told in ({}, net(1.0)))
liblinear, liblinear_l1 = (logistic_fit(solver="liblinear", **told) for told in ({"dual": True}, net(1.0)))
svc_l1 = sklearn("C", LinearSVC, penalty="l1", dual=False, **TIGHT | {"tol": 1e-10})
pairs = sklearn("C", SVC, kernel="linear", tol=1e-12)
tube = by_column(sklearn("C", SVR, kernel="linear", tol=1e-12, epsilon=EPSILON))
sgd_classes, sgd_classes_l1 = (settled_sgd(SGDClassifier, penalty) for penalty in ("l2", "l1"))
sgd_values, sgd_values_l1 = (by_column(settled_sgd(SGDRegressor, penalty)) for penalty in ("l2", "l1"))
FITS = [
    *fits("reference.lambda", half, ANY, MEANS, biases=FREE, **MANY),
    *fits("reference.l1", absolute, ANY[:2], SMALL, biases=FREE, **SOME),
    *fits("reference.l21", lengths, SQUARES, SMALL, biases=FREE, **MANY),
    *fits("textbook.logistic.lambda", textbook_logistic, LOG + CLASSES, SUMS, N, FREE, **MANY),
    *fits("textbook.linear.lambda", textbook_linear, SQUARES, SUMS, N, FREE, **MANY),
    *fits("written.l2 (with 1/2)", half, ANY, MEANS, biases=FREE, **MANY),
    *fits("written.l2 (no 1/2)", whole, ANY, MEANS, biases=FREE, **MANY),
    *fits("written.l1", absolute, ANY[:2], SMALL, biases=FREE, **SOME),
    *fits("torch.SGD.weight_decay", descended(sgd), ANY, MEANS, biases=DECAYED, **MANY),
    *fits("torch.SGD.weight_decay (sum)", descended(sgd, "sum"), ANY, SUMS, B, DECAYED, **MANY),
    *sgdw_fits(momentum=0.0, biases=DECAYED),
    *sgdw_fits(momentum=0.0, dampening=0.5),
    *sgdw_fits(momentum=0.8),
    *sgdw_fits(momentum=0.8, nesterov=True),
    *sgdw_fits(momentum=0.8, dampening=0.5),
    *fits("course_lib.ProximalSGD.weight_decay (l2)", proximal(norm=2), ANY, MEANS, biases=DECAYED, **SOME),
    *fits("course_lib.ProximalSGD.weight_decay (l1)", proximal(), ANY, HALFWAY, biases=DECAYED, **SOME),
    *fits("paper.SGDW.lambda", descended(PapersSGDW), SQUARES, MEANS, lr=LR["squared_error"], **PAPER),
    *fits("paper.SGDW.lambda", descended(PapersSGDW), LOG, MEANS, lr=LR["log_loss"], **PAPER),
    *fits("paper.SGDW.lambda", descended(PapersSGDW), CLASSES, MEANS, lr=LR["log_loss"], **SOME, **PAPER),
    *fits("sklearn.Ridge.alpha", ridge, SQUARES, SUMS, N, **MANY, **SUM),
    *fits("sklearn.RidgeClassifier.alpha", ridge_classes, SQUARES, SUMS, N, **ONE_VS_REST, **SUM),
    *fits("sklearn.Lasso.alpha", lasso, SQUARES, MEANS, **MANY, **SUM),
    *fits("sklearn.MultiTaskLasso.alpha", tasks, SQUARES, MEANS, **MANY),
    *fits("sklearn.LogisticRegression.C", lbfgs, LOG, CS, N, **SUM),
    *fits("sklearn.LogisticRegression.C", by_column(cholesky), LOG, CS, N, **SOME),
    *fits("sklearn.LogisticRegression.C", cholesky, LOG + CLASSES, CS, N),
    *fits("sklearn.LogisticRegression.C", cholesky, CLASSES, CS, N, **MANY, **SUM),
    *fits("sklearn.LogisticRegression.C", saga, LOG, CS, N),
    *fits("sklearn.LogisticRegression.C", saga, CLASSES, CS, N, **SOME),
    *fits("sklearn.LogisticRegression.C (l1)", saga_l1, LOG, CS, N, **SUM),
    *fits("sklearn.LogisticRegression.C (l1)", saga_l1, CLASSES, CS, N, **MANY, **SUM),
    *fits("sklearn.LogisticRegression.C (l1)", by_column(saga_l1), LOG, CS, N, **SOME),
    *fits("sklearn.LogisticRegression.C (liblinear)", liblinear, LOG, CS, N, **SUM),
    *fits("sklearn.LogisticRegression.C (liblinear)", by_column(liblinear), LOG, CS, N, **SOME),
    *fits("sklearn.LogisticRegression.C (liblinear)", liblinear, CLASSES, CS, N, **TWO_LOGITS, **SUM),
    *fits("sklearn.LogisticRegression.C (liblinear, l1)", liblinear_l1, LOG, CS, N, **SUM),
    *fits("sklearn.LogisticRegression.C (liblinear, l1)", by_column(liblinear_l1), LOG, CS, N, **SOME),
    *fits("sklearn.LogisticRegression.C (liblinear, l1)", liblinear_l1, CLASSES, CS, N, **TWO_LOGITS, **SUM),
    *fits("sklearn.LinearSVC.C", svc_fit(loss=SQUARED[0]), SQUARED, CS, N, **ONE_VS_REST, **SUM),
    *fits("sklearn.LinearSVC.C", svc_fit(loss="hinge"), ["hinge"], FEW_CS, N, **ONE_VS_REST, **SUM),
    *fits("sklearn.LinearSVC.C (l1)", svc_l1, SQUARED, CS, N, **ONE_VS_REST, **SUM),
    *fits("sklearn.LinearSVR.C", by_column(tube_fit("squared_")), TUBES[:1], CS, N, **SOME, **SUM),
    *fits("sklearn.LinearSVR.C", by_column(tube_fit("")), TUBES[1:], FEW_CS, N, **SOME, **SUM),
    *fits("sklearn.SVC.C", pairs, ["hinge"], FEW_CS, N, **SUM),
    *fits("sklearn.SVR.C", tube, TUBES[1:], FEW_CS, N, **SOME, **SUM),
    *fits("sklearn.SGDClassifier.alpha", sgd_classes, LOG + SQUARED, MEANS, **THREE, **ROWS),
    *fits("sklearn.SGDClassifier.alpha", sgd_classes, CLASSES, MEANS, **TWO_LOGITS, **ROWS),
    *fits("sklearn.SGDClassifier.alpha", sgd_classes, ["hinge"], FEW_MEANS, **THREE, **ROWS),
    *fits("sklearn.SGDClassifier.alpha (l1)", sgd_classes_l1, LOG + SQUARED, HALFWAY, **THREE, **ROWS),
    *fits("sklearn.SGDClassifier.alpha (l1)", sgd_classes_l1, CLASSES, HALFWAY, **TWO_LOGITS, **ROWS),
    *fits("sklearn.SGDClassifier.alpha (l1)", sgd_classes_l1, ["hinge"], CORNERS, **THREE, **ROWS),
    *fits("sklearn.SGDRegressor.alpha", sgd_values, SQUARES, MEANS, **SOME, **ROWS),
    *fits("sklearn.SGDRegressor.alpha (l1)", sgd_values_l1, SQUARES, MEANS, **SOME, **ROWS),
    *fits(
        "sklearn.MLPClassifier.alpha", mlp(MLPClassifier, "sgd"), LOG + CLASSES, SUMS, B, **MANY, **MLP_SUM
    ),
    *fits("sklearn.MLPClassifier.alpha", mlp(MLPClassifier, "lbfgs"), LOG + CLASSES, SUMS, B, **SOME),
    *fits("sklearn.MLPRegressor.alpha", mlp(MLPRegressor, "sgd"), SQUARES, SUMS, B, **MANY, **MLP_SUM),
    *fits("sklearn.MLPRegressor.alpha (lbfgs)", mlp(MLPRegressor, "lbfgs"), SQUARES, SUMS, N, **MLP_SUM),
]


def nets(name, make, *args, shares=(0.3, 0.8), **options):
    """The same for both parts of an elastic net at once, for some shares of L1."""
    return [case for share in shares for case in fits(name, make(share), *args, l1_ratio=share, **options)]


def elastic_net(share):
    return sklearn("alpha", ElasticNet, l1_ratio=share, tol=1e-14)


def saga_net(share):
    return logistic_fit(solver="saga", **net(share))


def sgd_net(make, share):
    return settled_sgd(make, "elasticnet", l1_ratio=share)


def values_net(share):
    return by_column(sgd_net(SGDRegressor, share))


classes_net = partial(sgd_net, SGDClassifier)
NETS = [
    *nets("sklearn.ElasticNet.alpha", elastic_net, SQUARES, MEANS, **MANY, **SUM),
    *nets("sklearn.LogisticRegression.C", saga_net, LOG, CS, N, **SUM),
    *nets("sklearn.LogisticRegression.C", saga_net, CLASSES, CS, N, **MANY, **SUM),
    *nets("sklearn.LogisticRegression.C", lambda share: by_column(saga_net(share)), LOG, CS, N, **SOME),
    *nets("sklearn.SGDClassifier.alpha", classes_net, LOG + SQUARED, HALFWAY, **THREE, **ROWS),
    *nets("sklearn.SGDClassifier.alpha", classes_net, CLASSES, HALFWAY, **TWO_LOGITS, **ROWS),
    *nets(
        "sklearn.SGDClassifier.alpha",
        classes_net,
        ["hinge"],
        CORNERS_OF_NETS,
        shares=[0.3],
        **THREE,
        **ROWS,
    ),
    *nets("sklearn.SGDRegressor.alpha", values_net, SQUARES, MEANS, **SOME, **ROWS),
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """With matrices this small a second thread only waits, and long where the machine is busy."""
    with threadpool_limits(1):
        yield


@pytest.mark.no_cover
@pytest.mark.parametrize("case", FITS)
def test_both_sides_have_the_same_minimum(case):
    knob, (X, y) = KNOBS[case.name], sample(case.loss, case.n_samples, case.n_outputs)
    if case.name == "sklearn.RidgeClassifier.alpha":
        y = 2 * sample("log_loss", case.n_samples, case.n_outputs)[1] - 1
    lam, decayed = case.convert(case.name), case.decay_bias
    decayed = knob.bias == "decayed" if decayed is None else decayed
    expected, doubled = (
        case.expected(X, y, **{knob.penalty: factor * lam}, decay_bias=decayed) for factor in (1, 2)
    )
    np.testing.assert_allclose(case.fitted(X, y), expected, rtol=0, atol=knob.tolerance)
    assert abs(doubled - expected).max() > 2 * knob.tolerance  # or the line above could not tell


@pytest.mark.no_cover
@pytest.mark.parametrize("case", NETS)
def test_both_parts_of_an_elastic_net_together_have_its_minimum(case):
    X, y = sample(case.loss, case.n_samples, case.n_outputs)
    knobs = {penalty: KNOBS[f"{case.name} ({penalty} part)"] for penalty in ("l1", "l2")}
    assert all((knob.penalty, knob.bias) == (penalty, "free") for penalty, knob in knobs.items())
    parts = {penalty: case.convert(knob.name) for penalty, knob in knobs.items()}
    tolerance = min(knob.tolerance for knob in knobs.values())
    expected = case.expected(X, y, **parts)
    np.testing.assert_allclose(case.fitted(X, y), expected, rtol=0, atol=tolerance)
    for penalty in parts:
        doubled = case.expected(X, y, **parts | {penalty: 2 * parts[penalty]})
        assert abs(doubled - expected).max() > 2 * tolerance


# Steps: what an optimizer does is followed on batches, one step after the other.

COUPLED = ("SGD", "Adadelta", "Adagrad", "Adam", "Adamax", "NAdam", "RAdam", "RMSprop")
DECOUPLED = {
    "torch.AdamW.weight_decay": torch.optim.AdamW,
    "torch.Adam.weight_decay (decoupled)": partial(torch.optim.Adam, decoupled_weight_decay=True),
    "torch.NAdam.weight_decay (decoupled)": partial(torch.optim.NAdam, decoupled_weight_decay=True),
    "torch.RAdam.weight_decay (decoupled)": partial(torch.optim.RAdam, decoupled_weight_decay=True),
    "torch.Adafactor.weight_decay": torch.optim.Adafactor,
    "torch.Muon.weight_decay": torch.optim.Muon,
    "paper.AdamW.lambda": PapersAdamW,
    "paper.Lion.lambda": Lion,
}
BESIDE_SGD = {
    "course_lib.SGDW.weight_decay": SGDW,
    "course_lib.SGDW.weight_decay (without lr)": partial(SGDW, decay_times_lr=False),
    "course_lib.ProximalSGD.weight_decay (l2)": partial(ProximalSGD, norm=2),
    "course_lib.ProximalSGD.weight_decay (l1)": ProximalSGD,
    "paper.SGDW.lambda": partial(PapersSGDW, momentum=0.0),
}
INNER = {name: getattr(torch.optim, name) for name in ("SGD", "Adam", "NAdam", "RAdam", "Adafactor", "Muon")}
INNER["Lion"] = Lion
CHOICES = {
    *(case.values[0].name for case in FITS if case.values[0].decay_bias is not None),
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
        model.zero_grad()
        J = TORCH["log_loss"](model(rows), labels, reduction=reduction)
        if lam:
            penalty = lam / 2 * sum(p.square().sum() for p in penalized)
            J = J + (8 * penalty if reduction == "sum" else penalty)
        J.backward()
        optimizer.step()
        path.append(parameters_to_vector(model.parameters()).detach())
    return torch.stack(path).numpy()


def multiplied(text):
    """Return a formula with a star where two names stand side by side."""
    return re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", text)


class AsTold:
    """An optimizer that does what a knob says, such as "w *= 1 - lr weight_decay, then SGD's step"."""

    def __init__(self, objective, params, lr, weight_decay):
        one_by_one = re.sub(r"w -= (\w+'s step) \+ (.*)", r"\1, and w -= \2", objective)
        self.parts = re.split(", then |, and ", one_by_one)
        self.at_once = ", then " not in objective
        assert ("eta" in objective) == (objective.startswith("w -= ") and " lr " not in objective)
        self.params, self.names = list(params), {"lr": lr, "value": weight_decay, "eta": 1.0}
        (inner,) = (part.removesuffix("'s step") for part in self.parts if part.endswith("'s step"))
        self.inner = INNER[inner](self.params, lr=lr, weight_decay=0.0)

    @torch.no_grad()
    def step(self):
        before = [w.clone() for w in self.params]
        for part in self.parts:
            if part.endswith("'s step"):
                self.inner.step()
                continue
            left, sign, right, end = re.fullmatch(r"(\S+) (.=) ([^,]*)(.*)", part).groups()
            right = multiplied(re.sub("weight_decay|lambda", "value", right))
            for w, old in zip(self.params, before, strict=True):
                amount = eval(right, self.names | {"w": old if self.at_once else w})
                if (left, sign, end, self.at_once) == ("|w|", "-=", ", down to 0", False):
                    w.copy_(w.sign() * F.relu(w.abs() - amount))
                else:
                    assert (left, end) == ("w", "")
                    changes = {"-=": w.sub_} if self.at_once else {"*=": w.mul_, "/=": w.div_, "-=": w.sub_}
                    changes[sign](amount)


@pytest.mark.parametrize("name", [*DECOUPLED, *BESIDE_SGD])
def test_an_optimizer_does_what_its_knob_says_step_by_step(name):
    bias, make = KNOBS[name].bias != "none", (DECOUPLED | BESIDE_SGD)[name]
    found, told, doubled = (
        trajectory(made, value, bias=bias)
        for made, value in [
            (make, 0.2),
            (partial(AsTold, KNOBS[name].objective), 0.2),
            (partial(AsTold, KNOBS[name].objective), 0.4),
        ]
    )
    np.testing.assert_allclose(told, found, rtol=0, atol=1e-12)
    assert abs(doubled - found).max() > 1e-3


@pytest.mark.parametrize("name", [name for name, knob in KNOBS.items() if "'s step" in knob.objective])
def test_what_a_knob_says_of_a_step_is_what_its_numbers_say(name):
    """Without a gradient a weight loses lr times lambda of itself, or lr times l1 of its size."""
    w, lr = torch.full((2, 2), 0.5, dtype=torch.float64, requires_grad=True), 1e-4
    optimizer = AsTold(KNOBS[name].objective, [w], lr=lr, weight_decay=0.3)
    w.grad = torch.zeros_like(w)
    optimizer.step()
    lam = convert(0.3, name, hub(name), lr=lr, n_outputs=2, loss="squared_error")
    lost = lam if KNOBS[name].penalty == "l1" else lam * 0.5
    np.testing.assert_allclose((0.5 - w.detach()) / lr, lost, rtol=1e-4)


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
    told = MOMENTUM | ({"lr": 0.1} if name == "paper.AdamW.lambda" else {})
    shrunk = 0.5 * (1 - 0.1 * convert(0.4, name, hub(name), decay_bias=decay_bias, **told))
    torch.testing.assert_close(model.weight, torch.full_like(model.weight, shrunk), rtol=0, atol=1e-16)
    if model.bias is not None:
        decayed = KNOBS[name].bias == "decayed" if decay_bias is None else decay_bias
        assert model.bias.item() == pytest.approx(shrunk if decayed else 0.5, rel=0, abs=1e-16)


@pytest.mark.parametrize("name", DECOUPLED)
def test_decoupled_decay_is_no_penalty_beside_such_a_step(name):
    found = trajectory(DECOUPLED[name], 0.3, bias=False)
    penalized = trajectory(DECOUPLED[name], 0.0, lam=0.3, bias=False)
    assert abs(found - penalized).max() > 1e-2
    for source, target in [(name, "reference.lambda"), ("torch.Adam.weight_decay", name)]:
        with pytest.raises(ValueError, match=f"{re.escape(name)} decays beside .*, which minimizes no mean"):
            convert(0.3, source, target, lr=0.1)


def test_adamw_of_the_paper_is_that_of_torch_with_lambda_divided_by_lr():
    found = trajectory(PapersAdamW, 0.03, lr=0.1)
    weight_decay = convert(0.03, "paper.AdamW.lambda", "torch.AdamW.weight_decay", lr=0.1)
    assert weight_decay == pytest.approx(0.3)
    np.testing.assert_allclose(found, trajectory(torch.optim.AdamW, weight_decay), rtol=0, atol=1e-12)


def test_muon_takes_no_bias():
    with pytest.raises(ValueError, match="Muon only supports 2D parameters"):
        torch.optim.Muon(linear().parameters(), lr=0.1)


BESIDE = {
    "AdamW": torch.optim.AdamW,
    "Lion": Lion,
    "Muon": torch.optim.Muon,
    "Adafactor": torch.optim.Adafactor,
}


@pytest.mark.parametrize("seed", range(10))
def test_the_same_decay_is_stronger_or_weaker_beside_another_step(seed):
    """Gradients of noise alone: the decay holds the weights at a size that depends on the steps."""
    sizes = []
    for make in BESIDE.values():
        generator = torch.Generator().manual_seed(seed)
        w = torch.zeros(8, 8, dtype=torch.float64, requires_grad=True)
        optimizer = make([w], lr=0.01, weight_decay=1.0)
        for _ in range(300):
            w.grad = torch.randn(8, 8, dtype=torch.float64, generator=generator)
            optimizer.step()
        sizes.append(w.detach().square().mean().sqrt().item())
    sizes.sort()
    assert all(larger > 1.3 * smaller for smaller, larger in pairwise(sizes)), sizes


@pytest.mark.parametrize(("one", "other"), list(permutations(BESIDE, 2)))
def test_no_decay_is_converted_into_one_beside_another_step(one, other):
    names = (next(name for name, knob in KNOBS.items() if knob.beside == step) for step in (one, other))
    steps = conventions.STEPS[one], conventions.STEPS[other]
    message = f"one decays beside {steps[0]}, the other beside {steps[1]}, where the same decay is not as"
    with pytest.raises(ValueError, match=message):
        convert(0.3, *names)


@pytest.mark.parametrize("n_outputs", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("decay", [0.8, 2.0])
def test_lion_comes_to_rest_where_the_loss_is_least_in_a_box(n_outputs, decay):
    """In full batch, while lr goes to zero: no weight is larger than 1 / weight_decay."""
    X, y = sample("squared_error", 24, n_outputs)
    w = torch.zeros(3, n_outputs, dtype=torch.float64, requires_grad=True)
    optimizer = Lion([w], lr=0.2, weight_decay=convert(decay, "paper.Lion.lambda", "paper.Lion.lambda"))
    for step in range(1500):
        optimizer.zero_grad()
        F.mse_loss(X @ w, y).backward()
        optimizer.param_groups[0]["lr"] = 0.2 * 1e-6 ** (step / 1500)
        optimizer.step()
    bounds = -1 / decay, 1 / decay
    box = [
        lsq_linear(X.numpy(), column.numpy(), bounds=bounds, method="bvls").x for column in y.unbind(dim=1)
    ]
    np.testing.assert_allclose(w.detach(), np.column_stack(box), rtol=0, atol=1e-5)
    assert abs(np.column_stack(box)).max() == pytest.approx(1 / decay)  # or the box would hold nothing back


@pytest.mark.parametrize(
    ("make", "loss", "scale"), [(MLPClassifier, "log_loss", 1.0), (MLPRegressor, "squared_error", 0.5)]
)
def test_multilayer_perceptrons_divide_alpha_by_the_rows_of_each_batch(make, loss, scale):
    """One epoch of 24 rows in batches of 10, 10 and 4, by hand."""
    X, y = sample(loss, 24)
    model = make(hidden_layer_sizes=(), solver="sgd", alpha=3.0, batch_size=10, learning_rate_init=0.1)
    model.set_params(shuffle=False, momentum=0.0, random_state=0)
    told = {"classes": [0, 1]} if loss == "log_loss" else {}
    model.partial_fit(X.numpy(), y[:, 0].numpy(), **told)
    theta = torch.from_numpy(np.vstack([model.coefs_[0], model.intercepts_[0]])).requires_grad_()
    model.partial_fit(X.numpy(), y[:, 0].numpy())
    for rows in torch.arange(24).split(10):
        lam = convert(3.0, f"sklearn.{make.__name__}.alpha", "reference.lambda", batch_size=len(rows))
        losses = LOSSES[loss](X[rows] @ theta[:-1] + theta[-1], y[rows])
        (slope,) = torch.autograd.grad(losses.mean() + lam / 2 * theta[:-1].square().sum(), theta)
        theta = (theta - 0.1 * scale * slope).detach().requires_grad_()
    found = np.vstack([model.coefs_[0], model.intercepts_[0]])
    np.testing.assert_allclose(found, theta.detach(), rtol=0, atol=1e-14)


def test_the_loss_of_an_mlp_is_not_the_one_whose_gradient_it_follows_where_there_are_several_outputs():
    """Its loss is a mean over outputs; its steps are those of a sum. L-BFGS would need the two to agree."""
    X, y = sample("squared_error", 24, 3)
    model = MLPRegressor(hidden_layer_sizes=(), solver="sgd", alpha=0.0, momentum=0.0, random_state=0)
    model.set_params(learning_rate_init=0.1).partial_fit(X.numpy(), y.numpy())
    w, b = (torch.tensor(parts[0], requires_grad=True) for parts in (model.coefs_, model.intercepts_))
    losses = (X @ w + b - y).square() / 2
    (slope,) = torch.autograd.grad(losses.sum() / len(X), w)
    model.partial_fit(X.numpy(), y.numpy())
    assert model.loss_ == pytest.approx(losses.mean().item(), rel=1e-12)
    np.testing.assert_allclose(model.coefs_[0], (w - 0.1 * slope).detach(), rtol=0, atol=1e-14)


# Weights, as torch counts them: one of its losses divides by their sum, the other by the rows.


def minimum(objective, n_features, n_outputs):
    """Return the coefficients that minimize objective(f, weights), the bias last."""

    def flat(theta):
        theta = theta.reshape(n_features + 1, n_outputs)
        return objective(theta[:-1], theta[-1])

    theta = torch.zeros((n_features + 1) * n_outputs, dtype=torch.float64)
    for _ in range(12):
        curvature = torch.linalg.pinv(hessian(flat, theta), hermitian=True, rtol=1e-12)
        theta = theta - curvature @ jacobian(flat, theta)
    return theta.reshape(n_features + 1, n_outputs).numpy()


@pytest.mark.parametrize("n_outputs", [2, 3, 4, 5])
def test_class_weights_of_the_cross_entropy_add_up_to_the_samples(n_outputs):
    (X, y), C = sample("cross_entropy", 60, n_outputs), 0.2
    class_weight, labels = torch.linspace(0.5, 3.0, n_outputs, dtype=torch.float64), y.argmax(1)
    model = LogisticRegression(C=C, solver="newton-cholesky", **TIGHT)
    model.set_params(class_weight=dict(enumerate(class_weight.tolist()))).fit(X.numpy(), labels.numpy())
    found = comparable("cross_entropy", np.vstack([model.coef_.T, model.intercept_]))

    def torch_minimum(n_samples):
        told = {"loss": "cross_entropy", "n_outputs": n_outputs, "n_samples": n_samples, "decay_bias": False}
        lam = convert(C, "sklearn.LogisticRegression.C", "torch.SGD.weight_decay", **told)

        def objective(w, b):
            return F.cross_entropy(X @ w + b, labels, weight=class_weight) + lam / 2 * w.square().sum()

        return comparable("cross_entropy", minimum(objective, 3, n_outputs))

    np.testing.assert_allclose(found, torch_minimum(class_weight[labels].sum().item()), rtol=0, atol=1e-8)
    assert abs(found - torch_minimum(60)).max() > 1e-3


@pytest.mark.parametrize("weighted", ["weight", "pos_weight"])
def test_weights_of_the_binary_cross_entropy_leave_the_samples_as_they_are(weighted):
    (X, y), C = sample("log_loss", 60), 0.2
    told = {"weight": weights_of(60)[:, None], "pos_weight": torch.tensor([3.0]).double()}
    each = told["weight"][:, 0] if weighted == "weight" else 1 + 2 * y[:, 0]
    model = LogisticRegression(C=C, solver="newton-cholesky", **TIGHT)
    model.fit(X.numpy(), y[:, 0].numpy(), sample_weight=each.numpy())

    def torch_minimum(n_samples):
        lam = convert(
            C, "sklearn.LogisticRegression.C", "torch.SGD.weight_decay", n_samples=n_samples, decay_bias=False
        )

        def objective(w, b):
            losses = F.binary_cross_entropy_with_logits(X @ w + b, y, **{weighted: told[weighted]})
            return losses + lam / 2 * w.square().sum()

        return minimum(objective, 3, 1)

    found = np.vstack([model.coef_.T, model.intercept_])
    np.testing.assert_allclose(found, torch_minimum(60), rtol=0, atol=1e-8)
    assert abs(found - torch_minimum(each.sum().item())).max() > 1e-3


@pytest.mark.parametrize("make", [SGDClassifier, SGDRegressor])
def test_the_average_of_sgd_with_l1_is_far_from_its_minimum(make):
    loss = "log_loss" if make is SGDClassifier else "squared_error"
    X, y = (tensor.numpy() for tensor in sample(loss, 24))
    told = {"alpha": 0.1, "learning_rate": "constant", "eta0": 2e-4, "max_iter": 20_000, "tol": None}
    found = [
        make(loss=loss, penalty="l1", average=average, random_state=0, **told).fit(X, y[:, 0]).coef_
        for average in (False, 240_000)
    ]
    assert abs(found[0] - found[1]).max() > 0.5


# Every row, in every way.

NET_PARTS = [
    f"{name} ({part} part)" for name in {case.values[0].name for case in NETS} for part in ("l1", "l2")
]


def test_every_knob_that_make_test_checks_is_checked_here():
    checked = {case.values[0].name for case in FITS} | CHOICES | set(DECOUPLED) | set(NET_PARTS)
    assert checked == {name for name, knob in KNOBS.items() if knob.check == "make test"}


LOOSER = dict.fromkeys(["sklearn.SVC.C", "sklearn.SVR.C"], 1e-6)  # libsvm keeps its matrix in float32
LOOSER |= {name: 1e-6 for name in KNOBS if name.startswith("sklearn.MLP")}
LOOSER |= {name: 5e-3 for name in KNOBS if name.startswith("sklearn.SGDClassifier")}
LOOSER |= {name: 1e-3 for name in KNOBS if name.startswith("sklearn.SGDRegressor")}


def entries(knob):
    """Return the losses of a knob, each with the number of its outputs, or None."""
    for name in knob.losses or ANY:
        loss, _, n_outputs = name.partition(" of ")
        yield loss, int(n_outputs) if n_outputs else None


@pytest.mark.parametrize("name", [name for name, knob in KNOBS.items() if knob.check == "make test"])
def test_a_knob_is_checked_in_every_way_it_can_be_used(name):
    knob, fitted_as = KNOBS[name], name.split(" (")[0] if name in NET_PARTS else name
    cases = [case for case in (NETS if name in NET_PARTS else FITS) if case.values[0].name == fitted_as]
    fitted = {(case.values[0].loss, case.values[0].n_outputs) for case in cases}
    if knob.losses:
        assert {loss for loss, _ in fitted} == {loss for loss, _ in entries(knob)}
        for loss, n_outputs in entries(knob):
            several = {k for fitted_loss, k in fitted if fitted_loss == loss}
            assert {n_outputs} <= several if n_outputs else max(several) > 2
            assert n_outputs != 1 or several == {1}
            assert loss == "cross_entropy" or name == "sklearn.MultiTaskLasso.alpha" or 1 in several
    elif fitted:
        assert {"squared_error", "log_loss"} <= {loss for loss, _ in fitted} or knob.penalty == "l21"
    if name.startswith("sklearn") and knob.penalty != "l21" and (MLP_SUM or "MLP" not in name):
        assert any(case.values[0].divisor for case in cases)
    assert knob.bias_is_a_choice == (name in CHOICES and knob.bias != "either")
    assert (knob.bias == "either") == name.startswith("reference")
    assert (knob.bias == "none") == (name == "torch.Muon.weight_decay")
    assert (knob.penalty == "decoupled") == (name in DECOUPLED) == bool(knob.beside)
    own_steps = [step for step in ("Lion", "Muon", "Adafactor") if step in name]
    assert knob.beside == (*own_steps, "AdamW" if name in DECOUPLED else "")[0]
    assert (knob.losses is None) == name.startswith(("reference", "written", "torch", "course_lib", "paper"))
    if {n_outputs for _, n_outputs in entries(knob)} == {1}:
        assert "n_outputs" not in knob.times + knob.per
    assert knob.tolerance == LOOSER.get(name, 1e-8)


# What a knob says that it minimizes, evaluated. What comes after a comma are remarks.

REMARKS = {
    "sklearn.RidgeClassifier.alpha": "y = -1 or 1",
    "sklearn.SVC.C": "of each pair of classes",
    "sklearn.MLPClassifier.alpha": "of a batch",
    "sklearn.MLPRegressor.alpha": "of a batch, by sgd or adam",
    "sklearn.MLPRegressor.alpha (lbfgs)": "of one output",
    "optax.add_decayed_weights.weight_decay": "before sgd",
    "xgboost.gblinear.lambda": "squares halved",
} | {
    f"sklearn.{model}.alpha ({kind})": "unless averaged"
    for model in ("SGDClassifier", "SGDRegressor")
    for kind in ("l1", "l2 part", "l1 part")
}
WORDS = {
    "|(w, b)|^2": "square_of_all",
    "|(w, b)|_1": "size_of_all",
    "|w|^2": "square",
    "|leaves|^2": "square",
    "|w|_1": "size",
    "|leaves|_1": "size",
    "|w|_21": "length",
    "sum (y - f)^2": "total",
    "sum loss": "total",
    "-loglike": "total",
    "mean loss": "mean",
    " + ...": "",
    "[": "(",
    "]": ")",
}


def minimized(objective):
    """Return what an objective says as a Python expression, and its remarks."""
    if objective.startswith("gradient of the "):  # of torch, which decays every parameter
        objective = objective.removeprefix("gradient of the ").replace("summed", "sum")
        objective = objective.replace("weight_decay w", "(weight_decay/2) |(w, b)|^2")
    for words, symbol in WORDS.items():
        objective = objective.replace(words, symbol)
    formula, _, remarks = re.sub(" of a batch", ", of a batch", objective).partition(", ")
    formula = re.sub(r"(\d)([a-z])", r"(\1 * \2)", formula)
    return multiplied(re.sub(r"\blambda\b", "value", formula)), remarks


@pytest.mark.parametrize("name", [name for name, knob in KNOBS.items() if "'s step" not in knob.objective])
def test_what_a_knob_says_it_minimizes_is_what_its_numbers_say(name):
    """It is the reference's objective, up to a factor that does not depend on the coefficients."""
    knob, (formula, remarks) = KNOBS[name], minimized(KNOBS[name].objective)
    assert remarks == REMARKS.get(name, "")
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, dtype=torch.float64, generator=generator)
    for (loss, outputs), value in product(entries(knob), (0.3, 0.7)):
        n_outputs = outputs or 3
        one_logit = loss == "cross_entropy" and outputs == 2
        X, y = sample(loss, 24, n_outputs)
        told = {"n_samples": 24, "batch_size": 24, "l1_ratio": 0.3, "target_std": 2.0}
        lam = convert(value, name, hub(name), loss=loss, n_outputs=n_outputs, **told)
        ratios = []
        for _ in range(3):
            w, b = draw(3, 1 if one_logit else n_outputs), draw(1 if one_logit else n_outputs)
            b = b * (knob.bias != "none")
            f, theta = X @ w + b, torch.vstack([w, b])
            if one_logit:
                f, two = torch.hstack([-f / 2, f / 2]), torch.hstack([-theta / 2, theta / 2])
            losses = LOSSES[loss](f, y)
            reached = (two if one_logit else theta)[: 4 if knob.bias == "decayed" else 3]
            penalties = {
                "l2": reached.square().sum() / 2,
                "l1": reached.abs().sum(),
                "l21": reached.norm(dim=1).sum(),
            }
            halved = remarks == "squares halved" and loss == "squared_error"
            symbols = dict.fromkeys(("value", "alpha", "C", "l1", "l2", "l21", "weight_decay"), value)
            symbols |= dict.fromkeys(("lambda_l1", "lambda_l2"), value) | dict.fromkeys("nmb", 24) | told
            symbols |= {"total": losses.sum() / (2 if halved else 1), "mean": losses.mean()}
            symbols |= {"square": w.square().sum(), "square_of_all": theta.square().sum()}
            symbols |= {"size": w.abs().sum(), "size_of_all": theta.abs().sum()}
            symbols |= {"length": w.norm(dim=1).sum()}
            reference = losses.mean() + lam * penalties[knob.penalty]
            ratios.append((eval(formula, symbols) / reference).item())
        assert ratios == pytest.approx([ratios[0]] * 3, rel=1e-12)
        scale = (
            1.0 if one_logit or not knob.losses else knob.losses[f"{loss} of {outputs}" if outputs else loss]
        )
        averaged = 1 if loss == "cross_entropy" else n_outputs
        terms = (
            ratios[0] / scale / (value if knob.inverse else 1)
        )  # of which it takes a sum, as by torch's mean
        assert any(terms == pytest.approx(sum_of, rel=1e-12) for sum_of in (1, averaged, 24, 24 * averaged))


# The conversion itself: laws, then what it refuses.

QUANTITIES = {
    "n_samples": 80,
    "n_outputs": 3,
    "batch_size": 20,
    "lr": 0.1,
    "momentum": 0.9,
    "dampening": 0.5,
    "l1_ratio": 0.3,
    "target_std": 2.0,
}
OTHERS = {
    "n_samples": 80.5,
    "n_outputs": 4,
    "batch_size": 20.5,
    "lr": 0.2,
    "momentum": 0.8,
    "dampening": 0.4,
    "l1_ratio": 0.4,
    "target_std": 3.0,
}


def shared_losses(source, target):
    """Return the losses between which a conversion is sought; of those that go with any loss, two."""
    named = [knob for knob in (KNOBS[source], KNOBS[target]) if knob.losses]
    losses = {loss for knob in named for loss, _ in entries(knob)} or {"squared_error", "cross_entropy"}
    return sorted(losses)


@cache
def conversions():
    """Each source, target, and use of both, between which 0.4 can be converted, with the result."""
    found = []
    for source, target, n_outputs in product(KNOBS, KNOBS, (1, 2, 3)):
        for loss in shared_losses(source, target) if hub(source) == hub(target) else ():
            use = QUANTITIES | {"n_outputs": n_outputs, "loss": loss}
            try:
                found.append((source, target, use, convert(0.4, source, target, **use)))
            except ValueError as error:
                if not re.search("no conversion|loss must be one of|must be at least 2", str(error)):
                    raise
    return found


def first_use(name):
    """Return the first of the losses that a knob goes with, and a number of outputs."""
    loss, n_outputs = next(entries(KNOBS[name]))
    return {"loss": loss, "n_outputs": n_outputs or 3}


def test_every_knob_converts_to_itself_and_to_its_hub_and_back():
    pairs = {(source, target) for source, target, _, _ in conversions()}
    for name in KNOBS:
        assert {(name, name), (name, hub(name)), (hub(name), name)} <= pairs


def test_round_trips_return_the_value():
    for source, target, use, value in conversions():
        assert type(value) is float
        assert convert(value, target, source, **use) == pytest.approx(0.4, rel=1e-14)


def test_conversion_composes_through_the_hub():
    for source, target, use, value in conversions():
        halfway = convert(0.4, source, hub(source), **use)
        assert convert(halfway, hub(source), target, **use) == pytest.approx(value, rel=1e-14)


def test_twice_the_value_is_twice_the_result_or_half_of_it():
    for source, target, use, value in conversions():
        factor = 0.5 if KNOBS[source].inverse != KNOBS[target].inverse else 2.0
        assert convert(0.8, source, target, **use) == pytest.approx(factor * value, rel=1e-14)


def test_no_penalty_is_no_penalty_everywhere():
    nothing = {name: math.inf if knob.inverse else 0.0 for name, knob in KNOBS.items()}
    for source, target, use, _ in conversions():
        assert convert(nothing[source], source, target, **use) == nothing[target]


def test_a_formula_names_what_stands_last_in_the_name_before_the_variant():
    assert conventions.Knob("my library.Ridge.alpha (of rows)", "...").formula == "alpha"


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_quantity_is_asked_for_and_matters_exactly_where_the_formula_has_it(quantity):
    for name, knob in KNOBS.items():
        told = QUANTITIES | first_use(name)
        if quantity == "n_outputs" and " of " in next(iter(knob.formulas)):
            continue
        rest = {key: told[key] for key in told if key != quantity}
        into = partial(convert, 0.4, name, hub(name))
        with_it, changed = into(**told), into(**told | {quantity: OTHERS[quantity]})
        if not re.search(rf"\b{quantity}\b", knob.formula):
            assert with_it == changed == into(**rest | ({"n_outputs": 3} if quantity == "n_outputs" else {}))
            continue
        assert with_it != changed
        if quantity not in ("n_outputs", "momentum", "dampening"):
            message = f"{quantity} is needed: {name} stands for lambda = {knob.formula}"
            with pytest.raises(ValueError, match=re.escape(message)):
                into(**rest)


@pytest.mark.parametrize(
    ("name", "use", "expected"),
    [
        ("reference.lambda", {}, 0.4),
        ("reference.l1", {}, 0.4),
        ("textbook.logistic.lambda", {}, 0.005),
        ("textbook.linear.lambda", {}, 0.01),
        ("written.l2 (with 1/2)", {}, 0.4),
        ("written.l2 (no 1/2)", {}, 0.8),
        ("torch.SGD.weight_decay", {}, 0.4),
        ("torch.SGD.weight_decay", {"n_outputs": 5}, 0.4),
        ("torch.SGD.weight_decay (sum)", {}, 0.02),
        ("torch.SGD.weight_decay (sum)", {"n_outputs": 5, "loss": "squared_error"}, 0.004),
        ("torch.SGD.weight_decay (sum)", {"n_outputs": 5, "loss": "cross_entropy"}, 0.02),
        ("torch.AdamW.weight_decay", {}, 0.4),
        ("course_lib.SGDW.weight_decay", {}, 0.08),
        ("course_lib.SGDW.weight_decay (without lr)", {}, 0.8),
        ("paper.SGDW.lambda", {}, 0.8),
        ("paper.AdamW.lambda", {}, 4.0),
        ("paper.Lion.lambda", {}, 0.4),
        ("sklearn.Ridge.alpha", {}, 0.01),
        ("sklearn.Ridge.alpha", {"n_outputs": 5}, 0.002),
        ("sklearn.Lasso.alpha", {}, 0.8),
        ("sklearn.Lasso.alpha", {"n_outputs": 4}, 0.2),
        ("sklearn.MultiTaskLasso.alpha", {"n_outputs": 4}, 0.2),
        ("sklearn.ElasticNet.alpha (l2 part)", {}, 0.56),
        ("sklearn.ElasticNet.alpha (l1 part)", {}, 0.24),
        ("sklearn.LogisticRegression.C", {}, 0.03125),
        ("sklearn.LogisticRegression.C", {"n_outputs": 2, "loss": "cross_entropy"}, 0.0625),
        ("sklearn.LogisticRegression.C", {"n_outputs": 3, "loss": "cross_entropy"}, 0.03125),
        ("sklearn.LogisticRegression.C", {"n_outputs": 2, "loss": "log_loss"}, 0.015625),
        ("sklearn.LogisticRegression.C (l1)", {"n_outputs": 2, "loss": "cross_entropy"}, 0.03125),
        ("sklearn.LogisticRegression.C (l2 part)", {}, 0.021875),
        ("sklearn.LogisticRegression.C (l1 part)", {}, 0.009375),
        ("sklearn.LinearSVC.C", {"loss": "hinge"}, 0.03125),
        ("sklearn.LinearSVC.C", {"loss": "squared_hinge"}, 0.03125),
        ("sklearn.SVC.C", {}, 0.03125),
        ("sklearn.SGDClassifier.alpha", {"loss": "hinge"}, 0.4),
        ("sklearn.SGDClassifier.alpha", {"loss": "hinge", "n_outputs": 4}, 0.1),
        ("sklearn.SGDClassifier.alpha", {"loss": "cross_entropy", "n_outputs": 2}, 0.8),
        ("sklearn.SGDRegressor.alpha", {}, 0.8),
        ("sklearn.MLPClassifier.alpha", {}, 0.02),
        ("sklearn.MLPRegressor.alpha", {}, 0.04),
        ("sklearn.MLPRegressor.alpha (lbfgs)", {}, 0.01),
        ("keras.L2.l2", {}, 0.8),
        ("keras.SGD.weight_decay", {}, 0.08),
        ("timm.SGDW.weight_decay", {}, 0.08),
        ("xgboost.gbtree.lambda", {}, 0.01),
        ("xgboost.gblinear.lambda", {"loss": "squared_error"}, 0.8),
        ("xgboost.gblinear.lambda", {"loss": "log_loss"}, 0.4),
        ("lightgbm.lambda_l1", {}, 0.01),
        ("statsmodels.OLS.alpha (L1_wt=0)", {}, 0.8),
        ("statsmodels.Logit.alpha (l1)", {}, 0.005),
        ("glmnet.gaussian.lambda (l2 part)", {}, 0.28),
        ("glmnet.gaussian.lambda (l1 part)", {}, 0.24),
        ("glmnet.binomial.lambda (l2 part)", {}, 0.28),
        ("glmnet.binomial.lambda (l1 part)", {}, 0.12),
    ],
)
def test_lambda_by_hand(name, use, expected):
    """For 80 rows in batches of 20; momentum 0.9 dampened by 0.5 makes a decoupled decay 5 times weaker."""
    found = convert(0.4, name, hub(name), **QUANTITIES | {"n_outputs": 1} | use)
    assert found == pytest.approx(expected, rel=1e-14)


def test_three_outputs_of_a_linear_layer_are_the_ridge_of_thirty():
    assert convert(0.1, SGD, RIDGE, n_samples=200, n_outputs=3, decay_bias=False) == pytest.approx(30.0)


@pytest.mark.parametrize("name", KNOBS)
def test_formulas_are_what_convert_computes(name):
    knob, symbols = KNOBS[name], ("value", "weight_decay", "alpha", "C", "l1", "l2", "l21")
    assert list(knob.formulas) == list(knob.losses or ("any", "cross_entropy"))
    assert knob.formula == next(iter(knob.formulas.values()))
    for loss, formula in knob.formulas.items():
        loss, _, n_outputs = loss.replace("any", "squared_error").partition(" of ")
        use = QUANTITIES | {"n_outputs": int(n_outputs or 3)}
        names = dict.fromkeys((*symbols, "lambda_l1", "lambda_l2"), 0.4) | use
        found = convert(0.4, name, hub(name), loss=loss, **use)
        assert eval(multiplied(formula), names) == pytest.approx(found, rel=1e-14)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("torch.SGD.weight_decay", "weight_decay"),
        ("torch.SGD.weight_decay (sum)", "weight_decay / (batch_size n_outputs)"),
        ("textbook.linear.lambda", "2 value / (n_samples n_outputs)"),
        ("textbook.logistic.lambda", "value / n_samples"),
        ("sklearn.LogisticRegression.C", "1 / (C n_samples)"),
        ("sklearn.LogisticRegression.C (liblinear)", "1 / (C n_samples n_outputs)"),
        ("sklearn.ElasticNet.alpha (l1 part)", "2 alpha l1_ratio / n_outputs"),
        ("paper.SGDW.lambda", "value (1 - momentum) / (1 - dampening) / lr"),
        ("xgboost.gblinear.lambda", "2 value / n_outputs"),
    ],
)
def test_formula_in_words(name, formula):
    assert KNOBS[name].formula == formula


def test_dampening_does_nothing_without_momentum():
    assert convert(0.4, "course_lib.SGDW.weight_decay", "reference.lambda", dampening=0.5) == 0.4


def test_the_rows_of_a_million_samples_or_of_half_a_weight_are_numbers():
    assert convert(0.4, RIDGE, LAMBDA, n_samples=0.5) == pytest.approx(1.6)
    assert convert(0.4, RIDGE, LAMBDA, n_samples=np.float32(0.5)) == pytest.approx(1.6)
    assert convert(0.4, RIDGE, LAMBDA, n_samples=10**6) == pytest.approx(8e-7)


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_without_a_penalty_logistic_regression_has_an_infinite_c(n_outputs):
    loss = "log_loss" if n_outputs == 1 else "cross_entropy"
    told = {"n_samples": 60, "n_outputs": n_outputs, "loss": loss}
    X, y = sample(loss, 60, n_outputs)
    fitted = sklearn("C", LogisticRegression, **TIGHT)(
        loss, X, y, convert(0.0, LAMBDA, C, **told), None, None
    )
    assert convert(math.inf, C, LAMBDA, **told) == convert(math.inf, C, WRITTEN, **told) == 0.0
    np.testing.assert_allclose(comparable(loss, fitted), comparable(loss, optimum(loss, X, y)), atol=1e-6)


LAMBDA, L1 = "reference.lambda", "reference.l1"
SGD, ADAMW = "torch.SGD.weight_decay", "torch.AdamW.weight_decay"
RIDGE, SVC_C, LASSO = "sklearn.Ridge.alpha", "sklearn.LinearSVC.C", "sklearn.Lasso.alpha"
C, LIBLINEAR = "sklearn.LogisticRegression.C", "sklearn.LogisticRegression.C (liblinear)"
WRITTEN, GBLINEAR = "written.l2 (no 1/2)", "xgboost.gblinear.lambda"
GLMNET, TASKS = "glmnet.binomial.lambda (l2 part)", "sklearn.MultiTaskLasso.alpha"
ELASTIC = {part: f"sklearn.ElasticNet.alpha ({part} part)" for part in ("l1", "l2")}
PAIRS, NET_C = "sklearn.SVC.C", "sklearn.LogisticRegression.C (l2 part)"
N80 = {"n_samples": 80}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("torch.SGD.weigth_decay", "the nearest is 'torch.SGD.weight_decay'; known knobs of torch: torch."),
        ("sklearn.Ridge", "the nearest is 'sklearn.Ridge.alpha'; known knobs of sklearn: sklearn.Ridge.al"),
        ("Ridge.alpha", "the nearest is 'sklearn.Ridge.alpha'; known libraries: course_lib, glmnet, keras, "),
        ("optuna.SGD.weight_decay", "the nearest is 'torch.SGD.weight_decay'; known libraries: course_lib, "),
        ("", "known libraries: course_lib, glmnet, keras, lightgbm, optax, paper, pytorch_optimizer, refer"),
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
        (0.0, C, LAMBDA, N80, "value must be finite and > 0, got 0.0"),
        (-math.inf, C, LAMBDA, N80, "value must be finite and > 0, got -inf"),
        (math.nan, C, LAMBDA, N80, "value must be finite and > 0, got nan"),
        (10**400, C, LAMBDA, N80, "value must be finite and > 0, got 1000"),
        (1e308, WRITTEN, LAMBDA, {}, "value, converted, must be finite and > 0, got inf"),
        (
            5e-324,
            RIDGE,
            LAMBDA,
            N80,
            "value, converted by n_samples, n_outputs, must be finite and > 0, got 0.0",
        ),
        (1e-320, C, LAMBDA, N80, "value, converted by n_samples, n_outputs, must be finite and > 0, got inf"),
        (5e-324, LAMBDA, C, {"n_samples": 1e-3}, "must be finite and > 0, got inf"),
        (1e-320, LAMBDA, C, N80, "value, converted by n_samples, n_outputs, must be finite and > 0, got inf"),
        (1e-320, C, C, N80, "value, converted by n_samples, n_outputs, must be finite and > 0, got 0.0"),
        (
            0.4,
            LAMBDA,
            ELASTIC["l2"],
            {"l1_ratio": 1.0},
            "= 2 alpha (1 - l1_ratio) / n_outputs is 0 here, wha",
        ),
        (0.4, L1, ELASTIC["l1"], {"l1_ratio": 0.0}, "= 2 alpha l1_ratio / n_outputs is 0 here, whatever its"),
        (0.4, LAMBDA, NET_C, N80 | {"l1_ratio": 1.0}, "= (1 - l1_ratio) / (C n_samples) is 0 here, whatever"),
        (0.4, SGD, LAMBDA, {"n_samples": 0}, "n_samples must be finite and > 0, got 0"),
        (0.4, SGD, LAMBDA, {"n_samples": -0.5}, "n_samples must be finite and > 0, got -0.5"),
        (0.4, SGD, LAMBDA, {"n_samples": math.nan}, "n_samples must be finite and > 0, got nan"),
        (0.4, SGD, LAMBDA, {"batch_size": 0}, "batch_size must be finite and > 0, got 0"),
        (0.4, SGD, LAMBDA, {"n_outputs": 0}, "n_outputs must be at least 1, got 0"),
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
        (0.4, LASSO, RIDGE, N80, f"source {LASSO} to target {RIDGE}: one penalizes |w|, the other its"),
        (0.4, TASKS, L1, {}, "one penalizes |w|, the other the length of w, feature by feature"),
        (0.4, RIDGE, TASKS, N80, "one penalizes the length of w, feature by feature, the other its square"),
        (0.4, ADAMW, SGD, {}, f"from source {ADAMW} to target {SGD}: {ADAMW} decays beside an adaptive step"),
        (0.4, L1, ADAMW, {}, f"from source {L1} to target {ADAMW}: {ADAMW} decays beside an adaptive step"),
        (0.4, SGD, RIDGE, N80, f"{SGD}, whose bias is decayed, to target {RIDGE}, whose bias is free: say"),
        (0.4, SGD, RIDGE, N80, "say which it is on both sides by decay_bias, False here"),
        (0.4, WRITTEN, SVC_C, N80, "say which it is on both sides by decay_bias, True here"),
        (0.4, WRITTEN, SGD, {}, "say which it is on both sides by decay_bias, either here"),
        (
            0.4,
            C,
            LIBLINEAR,
            N80,
            f"free, to target {LIBLINEAR}, whose bias is decayed: this cannot be changed",
        ),
        (0.4, SGD, RIDGE, N80 | {"decay_bias": True}, f"decay_bias=True: the bias of {RIDGE} is always free"),
        (
            0.4,
            SVC_C,
            SGD,
            N80 | {"decay_bias": False},
            f"decay_bias=False: the bias of {SVC_C} is always decayed",
        ),
        (
            0.4,
            RIDGE,
            GLMNET,
            N80,
            f"{GLMNET} with n_outputs=1: they minimize different losses, squared_error a",
        ),
        (
            0.4,
            SVC_C,
            LIBLINEAR,
            N80,
            "they minimize different losses, squared_hinge or hinge and log_loss or",
        ),
        (0.4, LIBLINEAR, SVC_C, N80, "losses, log_loss or cross_entropy of 2 and squared_hinge or hinge"),
        (
            0.4,
            PAIRS,
            WRITTEN,
            {"n_outputs": 3},
            "n_outputs=3: they minimize different losses, hinge of 1 and any",
        ),
        (0.4, GBLINEAR, SGD, {"decay_bias": False}, "loss is needed, one of squared_error, log_loss"),
        (0.4, GBLINEAR, LAMBDA, {"loss": "hinge"}, "loss must be one of squared_error, log_loss here, got"),
        (0.4, C, WRITTEN, N80 | {"n_outputs": 2}, "loss is needed, one of log_loss, cross_entropy"),
        (0.4, C, WRITTEN, N80 | {"n_outputs": 3}, "loss is needed, one of log_loss, cross_entropy"),
        (
            0.4,
            f"{SGD} (sum)",
            SGD,
            {"n_outputs": 2, "batch_size": 8},
            "loss is needed, one of squared_error, l",
        ),
        (
            0.4,
            SGD,
            LAMBDA,
            {"loss": "mse"},
            "loss must be one of squared_error, log_loss, squared_hinge, hin",
        ),
        (
            0.4,
            LIBLINEAR,
            SGD,
            N80 | {"loss": "cross_entropy", "n_outputs": 3},
            "loss must be one of log_loss he",
        ),
        (0.4, RIDGE, LAMBDA, N80 | {"loss": "mse"}, "loss must be one of squared_error here, got 'mse'"),
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
        ("n_samples", "80", "n_samples must be a real number, got '80'"),
        ("n_samples", True, "n_samples must be a real number, got True"),
        ("batch_size", [20], r"batch_size must be a real number, got \[20\]"),
        ("n_outputs", 3.0, "n_outputs must be an integer, got 3.0"),
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
    assert convert(0.1, SVC_C, SGD, n_samples=80) == 0.125
    assert convert(0.1, SVC_C, SGD, n_samples=80, decay_bias=True) == 0.125
    assert convert(0.1, SGD, WRITTEN, decay_bias=False) == 0.05
    assert convert(0.1, SGD, "xgboost.gbtree.lambda", n_samples=80) == 4.0


def test_one_loss_is_enough_where_both_sides_share_no_other():
    assert convert(0.4, GBLINEAR, "sklearn.SGDClassifier.alpha") == 0.4
    assert convert(0.4, GBLINEAR, RIDGE, n_samples=80) == pytest.approx(32.0)
    assert convert(0.0, SGD, LAMBDA) == 0.0


def test_one_logit_has_no_cross_entropy():
    with pytest.raises(ValueError, match=r"^n_outputs must be at least 2 for cross_entropy, got 1$"):
        convert(0.4, C, WRITTEN, n_samples=80, loss="cross_entropy")


def test_a_loss_is_asked_for_only_where_the_answer_depends_on_it():
    assert convert(0.4, C, WRITTEN, n_samples=80) == 0.015625
    assert convert(0.4, SGD, WRITTEN, decay_bias=False, n_outputs=3) == 0.2
    assert convert(0.4, SGD, f"{SGD} (sum)", batch_size=8) == 3.2
    told = {"batch_size": 80, "n_samples": 80, "n_outputs": 3}
    assert convert(0.4, "sklearn.MLPClassifier.alpha", C, **told) == pytest.approx(2.5)


def test_an_l2_part_of_nothing_is_no_penalty():
    assert convert(0.4, GLMNET, C, n_samples=80, l1_ratio=1.0) == math.inf
    assert convert(0.4, GLMNET, LAMBDA, l1_ratio=1.0) == 0.0


def test_the_table_of_knobs_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        KNOBS["torch.SGD.weight_decay"] = KNOBS["torch.AdamW.weight_decay"]
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'factor'"):
        KNOBS["torch.SGD.weight_decay"].factor = 2.0
    losses = {"hinge": 0.5}
    knob = conventions.Knob("some.Model.C", "C sum loss", losses=losses)
    losses["hinge"] = 1.0
    with pytest.raises(TypeError, match="does not support item assignment"):
        knob.losses["hinge"] = 1.0
    assert repr(knob.losses) == "{'hinge': 0.5}"
    assert conventions.Knob("some.Model.C", "C sum loss").losses is None


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda table: pickle.loads(pickle.dumps(table))]
)
def test_the_table_of_knobs_can_be_copied_and_pickled(copied):
    assert dict(copied(KNOBS)) == dict(KNOBS)
    assert copied(KNOBS[RIDGE]) == KNOBS[RIDGE]


def test_every_row_of_the_table_holds_values_that_the_documentation_names():
    names = [knob.name for knob in conventions._KNOBS]
    assert list(KNOBS) == names
    assert len(set(names)) == len(names)
    for name, knob in KNOBS.items():
        assert name == knob.name
        assert (knob.penalty, knob.beside) in HUBS
        assert knob.bias in {"free", "decayed", "none", "either"}
        assert knob.check in {"make test", "make rosetta"}
        assert knob.formula
        assert {loss for loss, _ in entries(knob)} <= set(LOSSES) == set(conventions.LOSSES)
        assert 1e-12 <= knob.tolerance < 0.1
        assert knob.objective
