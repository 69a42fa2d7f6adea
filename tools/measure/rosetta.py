"""Fit the libraries that are no dependencies of the book, and write book/rosetta.json.

Run by `make rosetta` in an environment of its own. Each knob of `course_lib.conventions` whose check is
"make rosetta" is fitted by its library and, with `convert`, by the reference. Then every optimizer that
can be had is given parameters whose gradient is zero.
"""

import importlib
import importlib.util
import inspect
import json
import os
import platform
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from importlib.metadata import version
from itertools import product
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch.autograd.functional import hessian, jacobian

from course_lib import optimizers, probe
from course_lib.conventions import KNOBS, convert
from course_lib.tables import table
from tools import ROOT

RECORD = ROOT / "book" / "rosetta.json"
REQUIREMENTS = ROOT / "tools" / "measure" / "rosetta-requirements.txt"

LR, STEPS_TO_REST, STEPS_OF_A_PATH = 0.1, 800, 100
# No gradient of these fits is zero, so that an eps next to nothing is none: Keras adds it elsewhere.
ADAM = {"betas": (0.9, 0.999), "eps": 1e-30}


def pins():
    """Return the pinned packages and their versions."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE))


# The reference: torch's means, over rows and outputs, or over rows for the cross-entropy

EPSILON = 0.2
LOSSES = {
    "squared_error": lambda f, y: (f - y).square(),
    "log_loss": partial(F.binary_cross_entropy_with_logits, reduction="none"),
    "cross_entropy": lambda f, y: F.cross_entropy(f, y.argmax(1), reduction="none")[:, None],
    "squared_hinge": lambda f, y: F.relu(1 - (2 * y - 1) * f).square(),
    "hinge": lambda f, y: F.relu(1 - (2 * y - 1) * f),
    "squared_epsilon_insensitive": lambda f, y: F.relu((f - y).abs() - EPSILON).square(),
    "epsilon_insensitive": lambda f, y: F.relu((f - y).abs() - EPSILON),
}


def mean_loss(loss, f, y, shares=None):
    """Return the mean of the losses, rows with their shares of it, which are equal when None."""
    rows = LOSSES[loss](f, y).mean(dim=1)
    return rows.mean() if shares is None else shares @ rows


def data(n_samples, loss, n_outputs=1):
    """Return features with a column of ones, and the targets, one column an output."""
    generator = np.random.default_rng(n_samples)
    X = generator.normal(size=(n_samples, 5)) + 0.3
    true = np.array([1.5, -1.0, 0.7, -0.5, 0.4])
    score = X @ np.column_stack([np.roll(true, output) for output in range(n_outputs)]) + 0.8
    y = score + generator.logistic(scale=0.3, size=(n_samples, n_outputs))
    targets = {"squared_error": y, "log_loss": y > 0.5, "cross_entropy": y == y.max(axis=1, keepdims=True)}
    return np.column_stack([X, np.ones(n_samples)]), targets[loss].astype(float)


def groups(n_samples, n_outputs=1):
    """Return the indicators of three groups, one for each leaf of a tree, and the targets."""
    generator = np.random.default_rng(n_samples)
    A = np.eye(3)[np.sort(generator.integers(3, size=n_samples))]
    true = np.outer([1.5, -1.0, 0.7], 1 + np.arange(n_outputs) / 4)
    return A, A @ true + generator.normal(scale=0.5, size=(n_samples, n_outputs))


def optimum(loss, A, y, *, l2=0.0, l1=0.0, penalized=1.0, shares=None):
    """Minimize mean loss + (l2/2) |w|^2 + l1 |w|_1, the penalties over those columns of A that they reach."""
    A, y = torch.as_tensor(A), torch.as_tensor(y)
    shape = A.shape[1], y.shape[1]
    reached = torch.as_tensor(np.broadcast_to(penalized, A.shape[1]).astype(float))[:, None].expand(shape)
    l2, l1 = (l2 * reached).flatten(), (l1 * reached).flatten()

    def smooth(w):
        return mean_loss(loss, A @ w.reshape(shape), y, shares) + l2 @ w.square() / 2

    w = _sparse_start(smooth, l1) if l1.any() else torch.zeros_like(l1)
    kept, signs = (w != 0) | (l1 == 0), w.sign()
    for _ in range(50):  # Newton's method on what is not zero; a shift of all logits changes nothing
        slope = (jacobian(smooth, w) + l1 * signs)[kept]
        curvature = torch.linalg.pinv(hessian(smooth, w)[kept][:, kept], hermitian=True, rtol=1e-12)
        w[kept] -= curvature @ slope
        if slope.norm() < 1e-14:
            break
    slopes = jacobian(smooth, w)
    off = (slopes + l1 * signs)[kept].norm() > 1e-10 or (w.sign() != signs)[kept & (l1 > 0)].any()
    if off or (slopes.abs() > l1)[~kept].any():
        raise ArithmeticError("this is not the optimum")
    return w.reshape(shape).numpy()


def _sparse_start(smooth, l1):
    """Return near the minimum of smooth(w) + l1 |w|, with exact zeros, as a difference of what is >= 0."""
    from scipy.optimize import minimize

    def split_objective(parts):
        parts = torch.tensor(parts, requires_grad=True)
        up, down = parts.chunk(2)
        value = smooth(up - down) + l1 @ (up + down)
        return value.item(), torch.autograd.grad(value, parts)[0].numpy()

    bounds = [(0, None)] * (2 * len(l1))
    options = {"maxiter": 10_000, "maxfun": 20_000, "ftol": 0, "gtol": 1e-10}
    found = minimize(
        split_objective, np.zeros(len(bounds)), jac=True, bounds=bounds, method="L-BFGS-B", options=options
    )
    return torch.from_numpy(np.subtract(*np.split(found.x, 2)))


def torch_path(A, y, weight_decay, decay_bias, make_optimizer, n_steps):
    """Return the coefficients after each full-batch step on the squared error, the bias last."""
    A, y = torch.from_numpy(A), torch.from_numpy(y)
    weight, bias = (torch.zeros(rows, y.shape[1], dtype=A.dtype) for rows in (A.shape[1] - 1, 1))
    params = [weight.requires_grad_(), bias.requires_grad_()]
    if decay_bias is False:
        params = [{"params": [weight]}, {"params": [bias], "weight_decay": 0.0}]
    optimizer = make_optimizer(params, weight_decay=weight_decay)
    path = []
    for _ in range(n_steps):
        optimizer.zero_grad()
        F.mse_loss(A @ torch.cat([weight, bias]), y).backward()
        optimizer.step()
        path.append(torch.cat([weight, bias]).detach().numpy())
    return np.array(path)


class Lion(torch.optim.Optimizer):
    """The sign of a momentum, and decay, as the paper has them."""

    def __init__(self, params, lr, weight_decay, betas=(0.9, 0.99)):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "betas": betas})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for theta in group["params"]:
                m = self.state[theta].get("m", torch.zeros_like(theta))
                update = (beta1 * m + (1 - beta1) * theta.grad).sign()
                theta -= group["lr"] * (update + group["weight_decay"] * theta)
                self.state[theta]["m"] = beta2 * m + (1 - beta2) * theta.grad


# What the knobs beside each step are compared with.
HUBS = {"AdamW": "torch.AdamW.weight_decay", "Lion": "paper.Lion.lambda"}
PATHS = {HUBS["AdamW"]: partial(torch.optim.AdamW, **ADAM), HUBS["Lion"]: Lion}


# The libraries. Each function takes features, targets (a column an output), the knob's value, whether the
# bias is decayed (None: as by default), and weights of the rows where it knows any. It returns the
# coefficients, a column an output and the bias last; the adaptive ones, those of each step.


def by_column(fit):
    """Fit each output by itself."""

    def all_columns(A, y, value, decay_bias, **settings):
        return np.column_stack([fit(A, column, value, decay_bias, **settings) for column in y.T])

    return all_columns


def keras_path(A, y, optimizer, n_steps, **regularizers):
    import keras

    keras.config.set_floatx("float64")
    path = []
    layer = keras.layers.Dense(y.shape[1], kernel_initializer="zeros", **regularizers)
    model = keras.Sequential([keras.Input((A.shape[1] - 1,)), layer])
    model.compile(optimizer=optimizer, loss="mse")
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: path.append(np.vstack(layer.get_weights()))
    )
    X = A[:, :-1]
    model.fit(X, y, batch_size=len(y), epochs=n_steps, shuffle=False, verbose=0, callbacks=[record])
    return np.array(path)


def keras_regularized(regularizer):
    def fit(A, y, value, decay_bias):
        import keras

        penalty = getattr(keras.regularizers, regularizer)(value)
        regularizers = {"kernel_regularizer": penalty} | ({"bias_regularizer": penalty} if decay_bias else {})
        return keras_path(A, y, keras.optimizers.SGD(LR), STEPS_TO_REST, **regularizers)[-1]

    return fit


def keras_decayed(A, y, optimizer, decay_bias, n_steps):
    if decay_bias is False:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    return keras_path(A, y, optimizer, n_steps)


def keras_sgd(A, y, value, decay_bias, momentum=0.0):
    import keras

    optimizer = keras.optimizers.SGD(LR, momentum=momentum, weight_decay=value)
    return keras_decayed(A, y, optimizer, decay_bias, STEPS_TO_REST)[-1]


def keras_adamw(A, y, value, decay_bias):
    import keras

    beta_1, beta_2 = ADAM["betas"]
    optimizer = keras.optimizers.AdamW(
        LR, weight_decay=value, beta_1=beta_1, beta_2=beta_2, epsilon=ADAM["eps"]
    )
    return keras_decayed(A, y, optimizer, decay_bias, STEPS_OF_A_PATH)


def keras_lion(A, y, value, decay_bias):
    import keras

    optimizer = keras.optimizers.Lion(LR, weight_decay=value)
    return keras_decayed(A, y, optimizer, decay_bias, STEPS_OF_A_PATH)


def optax_path(A, y, transformation, n_steps):
    import jax
    import jax.numpy as jnp
    import optax

    jax.config.update("jax_enable_x64", True)

    def loss(params):
        return jnp.mean((A[:, :-1] @ params["weight"] + params["bias"] - y) ** 2)

    @jax.jit
    def step(params, state):
        updates, state = transformation.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    params = {"weight": jnp.zeros((A.shape[1] - 1, y.shape[1])), "bias": jnp.zeros(y.shape[1])}
    state, path = transformation.init(params), []
    for _ in range(n_steps):
        params, state = step(params, state)
        path.append(np.vstack([params["weight"], params["bias"]]))
    return np.array(path)


def optax_mask(decay_bias):
    return {"weight": True, "bias": False} if decay_bias is False else None


def optax_sgd(A, y, value, decay_bias):
    import optax

    decay = optax.add_decayed_weights(value, mask=optax_mask(decay_bias))
    return optax_path(A, y, optax.chain(decay, optax.sgd(LR)), STEPS_TO_REST)[-1]


def optax_adamw(A, y, value, decay_bias):
    import optax

    b1, b2 = ADAM["betas"]
    transformation = optax.adamw(
        LR, b1=b1, b2=b2, eps=ADAM["eps"], weight_decay=value, mask=optax_mask(decay_bias)
    )
    return optax_path(A, y, transformation, STEPS_OF_A_PATH)


def optax_lion(A, y, value, decay_bias):
    import optax

    return optax_path(A, y, optax.lion(LR, weight_decay=value, mask=optax_mask(decay_bias)), STEPS_OF_A_PATH)


def timm_optim():
    """Return timm.optim without the rest of timm, which needs a torchvision built for this very torch."""
    if "timm" not in sys.modules:
        package = ModuleType("timm")
        package.__path__ = importlib.util.find_spec("timm").submodule_search_locations
        sys.modules |= {"timm": package, "timm.models": SimpleNamespace(group_parameters=None)}
    return importlib.import_module("timm.optim")


def timm_sgdw(A, y, value, decay_bias, **settings):
    def make_optimizer(params, weight_decay):
        return timm_optim().SGDW(params, lr=LR, weight_decay=weight_decay, **settings)

    return torch_path(A, y, value, decay_bias, make_optimizer, STEPS_TO_REST)[-1]


def lion(module):
    def fit(A, y, value, decay_bias):
        return torch_path(A, y, value, decay_bias, partial(module().Lion, lr=LR), STEPS_OF_A_PATH)

    return fit


def xgboost_tree(name):
    def fit(A, y, value, decay_bias, weights=None):
        import xgboost

        penalties = {"reg_lambda": 0.0, "reg_alpha": 0.0, name: value}
        model = xgboost.XGBRegressor(
            n_estimators=1, learning_rate=1.0, max_depth=2, min_child_weight=0, base_score=0.0, **penalties
        )
        model.fit(A, y, sample_weight=weights)
        return model.predict(np.eye(A.shape[1])).reshape(-1, y.shape[1]).astype(float)

    return fit


@by_column
def xgboost_linear(A, y, value, decay_bias, weights=None):
    import xgboost

    logistic = set(y) == {0.0, 1.0}
    model = (xgboost.XGBClassifier if logistic else xgboost.XGBRegressor)(
        booster="gblinear",
        updater="coord_descent",
        n_estimators=200,
        learning_rate=0.5,
        reg_lambda=value,
        reg_alpha=0.0,
        base_score=0.5 if logistic else 0.0,
    )
    model.fit(A[:, :-1], y, sample_weight=weights)
    return np.append(model.coef_, model.intercept_).astype(float)


def lightgbm_tree(name):
    @by_column
    def fit(A, y, value, decay_bias, weights=None):
        import lightgbm

        model = lightgbm.LGBMRegressor(
            n_estimators=1,
            learning_rate=1.0,
            num_leaves=A.shape[1],
            min_child_samples=1,
            min_child_weight=0.0,
            boost_from_average=False,
            verbose=-1,
            **{name: value},
        )
        model.fit(A, y, sample_weight=weights)
        return model.predict(np.eye(A.shape[1]))

    return fit


def statsmodels_alpha(A, value, decay_bias):
    return np.append(np.full(A.shape[1] - 1, value), 0.0) if decay_bias is False else value


def statsmodels_ols(share_of_l1):
    @by_column
    def fit(A, y, value, decay_bias):
        import statsmodels.api as sm

        alpha = statsmodels_alpha(A, value, decay_bias)
        settings = {"maxiter": 10_000, "cnvrg_tol": 1e-14, "zero_tol": 1e-14} if share_of_l1 else {}
        return sm.OLS(y, A).fit_regularized(alpha=alpha, L1_wt=share_of_l1, **settings).params

    return fit


@by_column
def statsmodels_glm(A, y, value, decay_bias):
    import statsmodels.api as sm

    alpha = statsmodels_alpha(A, value, decay_bias)
    return sm.GLM(y, A, family=sm.families.Binomial()).fit_regularized(alpha=alpha, L1_wt=0.0).params


@by_column
def statsmodels_logit(A, y, value, decay_bias):
    import statsmodels.api as sm

    alpha = statsmodels_alpha(A, value, decay_bias)
    fit = sm.Logit(y, A).fit_regularized(alpha=alpha, method="l1", acc=1e-15, maxiter=10_000, disp=False)
    return fit.params


@by_column
def glmnet(A, y, value, decay_bias, l1_ratio, weights=None):
    import glmnet

    name = "LogitNet" if set(y) == {0.0, 1.0} else "ElasticNet"
    model = getattr(glmnet, name)(
        alpha=l1_ratio, lambda_path=[value], standardize=False, n_splits=0, tol=1e-20, max_iter=10**7
    )
    model.fit(A[:, :-1], y, sample_weight=weights)
    return np.append(model.coef_path_[..., -1], model.intercept_path_[..., -1])


# The checks


@dataclass(frozen=True)
class Check:
    """How a knob is fitted: at which numbers of samples and values, beside which settings, and weighted."""

    fit: Callable
    cases: tuple = ((80, 0.1), (50, 0.3))
    settings: tuple = ({},)
    weighted: bool = False


SUMS = ((80, 5.0), (50, 2.0))  # for knobs beside a sum, not a mean
SMALL = ((80, 0.02), (50, 0.05))  # leaves some weights, or all
RIDGE_AND_NET = ({"l1_ratio": 0.0}, {"l1_ratio": 0.4})
LASSO_AND_NET = ({"l1_ratio": 1.0}, {"l1_ratio": 0.4})
MOMENTA = ({}, {"momentum": 0.9})
DAMPENED = {"momentum": 0.9, "dampening": 0.5}

CHECKS = {
    "keras.L2.l2": Check(keras_regularized("L2")),
    "keras.L1.l1": Check(keras_regularized("L1"), SMALL),
    "keras.SGD.weight_decay": Check(keras_sgd, settings=MOMENTA),
    "keras.AdamW.weight_decay": Check(keras_adamw),
    "keras.Lion.weight_decay": Check(keras_lion),
    "optax.add_decayed_weights.weight_decay": Check(optax_sgd),
    "optax.adamw.weight_decay": Check(optax_adamw),
    "optax.lion.weight_decay": Check(optax_lion),
    "timm.SGDW.weight_decay": Check(timm_sgdw, settings=({"dampening": 0.5}, *MOMENTA, DAMPENED)),
    "timm.Lion.weight_decay": Check(lion(timm_optim)),
    "pytorch_optimizer.Lion.weight_decay": Check(lion(partial(importlib.import_module, "pytorch_optimizer"))),
    "xgboost.gbtree.lambda": Check(xgboost_tree("reg_lambda"), SUMS, weighted=True),
    "xgboost.gbtree.alpha": Check(xgboost_tree("reg_alpha"), SUMS, weighted=True),
    "xgboost.gblinear.lambda": Check(xgboost_linear, weighted=True),
    "lightgbm.lambda_l2": Check(lightgbm_tree("reg_lambda"), SUMS, weighted=True),
    "lightgbm.lambda_l1": Check(lightgbm_tree("reg_alpha"), SUMS, weighted=True),
    "statsmodels.OLS.alpha (L1_wt=0)": Check(statsmodels_ols(0.0)),
    "statsmodels.OLS.alpha (L1_wt=1)": Check(statsmodels_ols(1.0), SMALL),
    "statsmodels.GLM.alpha (L1_wt=0)": Check(statsmodels_glm),
    "statsmodels.Logit.alpha (l1)": Check(statsmodels_logit, SUMS),
    "glmnet.gaussian.lambda (l2 part)": Check(glmnet, settings=RIDGE_AND_NET, weighted=True),
    "glmnet.gaussian.lambda (l1 part)": Check(glmnet, settings=LASSO_AND_NET, weighted=True),
    "glmnet.binomial.lambda (l2 part)": Check(glmnet, settings=RIDGE_AND_NET, weighted=True),
    "glmnet.binomial.lambda (l1 part)": Check(glmnet, SMALL, settings=LASSO_AND_NET, weighted=True),
}


def parts(knob):
    """Return the knobs that one value stands for: both parts of an elastic net, else the knob alone."""
    if not knob.name.endswith("part)"):
        return [knob]
    return [other for other in KNOBS.values() if other.name.split(" (")[0] == knob.name.split(" (")[0]]


def uses(knob):
    """Return the losses that a knob goes with, each with numbers of outputs."""
    for name in knob.losses or ["squared_error"]:
        loss, _, n_outputs = name.partition(" of ")
        yield from product([loss], [int(n_outputs)] if n_outputs else [1, 3])


def deviation(y, weights):
    return float(np.cov(y, aweights=weights, bias=True)) ** 0.5


def reference(knob, A, y, value, loss, decay_bias, weights, settings):
    """Return what the fit should return, by `convert`."""
    total = len(y) if weights is None else weights.sum()
    given = {"decay_bias": decay_bias, "loss": loss, "n_outputs": y.shape[1], "n_samples": total, "lr": LR}
    if knob.penalty == "decoupled":
        hub = HUBS[knob.beside]
        weight_decay = convert(value, knob.name, hub, **given)
        return torch_path(A, y, weight_decay, decay_bias, partial(PATHS[hub], lr=LR), STEPS_OF_A_PATH)
    given |= {"batch_size": total, "target_std": deviation(y[:, 0], weights)} | settings
    targets = {"l2": "reference.lambda", "l1": "reference.l1"}
    penalties = {
        part.penalty: convert(value, part.name, targets[part.penalty], **given) for part in parts(knob)
    }
    penalized = np.ones(A.shape[1])
    if knob.bias != "none":
        penalized[-1] = knob.bias == "decayed" if decay_bias is None else decay_bias
    shares = None if weights is None else torch.from_numpy(weights / total)
    return optimum(loss, A, y, penalized=penalized, shares=shares, **penalties)


def differences(knob, check):
    """Return by how much the coefficients are off at most, and those of twice the value at least."""
    off, doubled = [], []
    biases = [None, knob.bias != "decayed"] if knob.bias_is_a_choice else [None]
    for (n_samples, value), settings, (loss, n_outputs), decay_bias, weighted in product(
        check.cases, check.settings, uses(knob), biases, {False, check.weighted}
    ):
        A, y = groups(n_samples, n_outputs) if knob.bias == "none" else data(n_samples, loss, n_outputs)
        weights = np.linspace(0.2, 3.0, n_samples) if weighted else None
        told = {} if weights is None else {"weights": weights}
        one_logit = loss == "cross_entropy" and y.shape[1] == 2  # it stands for the difference of two
        fitted = check.fit(A, y[:, :1] if one_logit else y, value, decay_bias, **settings, **told)
        for factor, found in ((1, off), (2, doubled)):
            expected = reference(knob, A, y, factor * value, loss, decay_bias, weights, settings)
            expected = expected[:, :1] - expected[:, 1:] if one_logit else expected
            found.append(np.abs(fitted - expected).max())
    return float(f"{np.max(off):.0e}"), float(f"{np.min(doubled):.0e}")  # a NaN stays one


# Every optimizer, without a gradient

START = (1.0, -2.0, 0.0, 0.05)
IDLE_STEPS = 10  # some do nothing in the first
REQUIRED = {"lr": LR, "num_iterations": IDLE_STEPS, "num_data": 80}
# Read in their sources.
WHY = {
    "pytorch_optimizer.AdamS": "divides its decay by the size of the gradients",
    "pytorch_optimizer.BSAM": "adds noise to the weights",
    "pytorch_optimizer.DAdaptAdan": "waits for the first gradient",
    "pytorch_optimizer.DAdaptSGD": "waits for the first gradient",
    "pytorch_optimizer.DeMo": "needs torch.distributed",
    "pytorch_optimizer.DistributedMuon": "needs torch.distributed",
    "pytorch_optimizer.FOCUS": "pulls weights to their running mean, too, by steps of one size",
    "pytorch_optimizer.LoRARite": "looks at pairs of low-rank factors only",
    "pytorch_optimizer.Prodigy": "waits for the first gradient",
    "pytorch_optimizer.ROSE": "centers each row of the gradient, to which it has added the decay",
    "pytorch_optimizer.SaRA": "decays only weights that began below its threshold",
    "pytorch_optimizer.Shampoo": "adds the decay to the gradient, whose entries its preconditioner mixes",
    "pytorch_optimizer.Yogi": "begins with a momentum of 1e-6",
    "torch_optimizer.LARS": "leaves the decay out where the gradient is zero",
    "torch_optimizer.SGDW": "subtracts lr weight_decay from every weight, whatever its sign",
    "torch_optimizer.Shampoo": "adds the decay to the gradient, whose entries its preconditioner mixes",
    "torch_optimizer.Yogi": "begins with a momentum of 1e-6",
} | dict.fromkeys(
    [
        "timm.Adahessian",
        "pytorch_optimizer.AdaHessian",
        "pytorch_optimizer.SophiaH",
        "torch_optimizer.Adahessian",
    ],
    "needs second derivatives",
)


MODULES = {
    "torch": lambda: torch.optim,
    "course_lib": lambda: optimizers,
    "timm": timm_optim,
    "pytorch_optimizer": lambda: importlib.import_module("pytorch_optimizer"),
    "torch_optimizer": lambda: importlib.import_module("torch_optimizer"),
}


def optimizer_classes(library):
    """Return every optimizer of a library by name."""
    return {
        name: found
        for name, found in sorted(vars(MODULES[library]()).items())
        if isinstance(found, type)
        and issubclass(found, torch.optim.Optimizer)
        and found.__module__.partition(".")[0] == library
        and found is not torch.optim.Optimizer
        and not name.startswith("_")
    }


def needed(optimizer):
    """Return what an optimizer is made with beside its defaults; raise a TypeError if nothing will do."""
    parameters = inspect.signature(optimizer).parameters
    if {"optimizer", "base_optimizer"} & set(parameters):
        raise TypeError("wraps another optimizer")
    if "model" in parameters:
        raise TypeError("takes a whole model")
    return {
        name: value
        for name, value in REQUIRED.items()
        if name in parameters and not isinstance(parameters[name].default, int | float)
    }


def made(optimizer, params, settings):
    """Return an optimizer of parameters, which it may want to be told to be for Muon."""
    try:
        return optimizer(params, **settings)
    except RuntimeError:
        return optimizer([{"params": params, "use_muon": True}], **settings)


def idle_path(optimizer, start):
    """Return the parameters after each step with a gradient of zero."""
    settings = needed(optimizer)
    if "weight_decay" not in inspect.signature(optimizer).parameters:
        raise TypeError("has no weight_decay")
    make_optimizer = partial(made, optimizer, settings={"weight_decay": 0.5} | settings)
    torch.manual_seed(0)
    return probe.coast(make_optimizer, start, n_steps=IDLE_STEPS)


def verdict(start, path):
    if not (path.abs() <= start.abs()).all():
        return "tilts"
    if (path == start).all():
        return "does not decay"
    return "shrinks" if (path[-1].abs() < start.abs())[start != 0].all() else "shrinks some"


def idle_verdict(name, optimizer):
    """Return what an optimizer does to a vector and a matrix (the worst of both), and why."""
    verdicts, errors = set(), []
    for shape, dtype in product([(4,), (2, 2)], [torch.float64, torch.float32]):
        start = torch.tensor(START, dtype=dtype).reshape(shape)
        try:
            verdicts.add(verdict(start, idle_path(optimizer, start)))
        except Exception as error:
            errors.append(str(error).partition("\n")[0])
    for found in ("tilts", "shrinks some", "shrinks", "does not decay"):
        if found in verdicts:
            return f"{found}: {WHY[name]}" if name in WHY else found
    return f"not run: {WHY.get(name, errors[0])}"


# The record


def row(knob):
    """Return all that a row of the table says, as JSON holds it."""
    said = asdict(knob) | {"losses": knob.losses and dict(knob.losses), "formulas": knob.formulas}
    return json.loads(json.dumps(said))


def measure_knobs():
    wanted = {name for name, knob in KNOBS.items() if knob.check == "make rosetta"}
    if wanted != set(CHECKS):
        raise LookupError(f"knobs without a check, or checks without a knob: {sorted(wanted ^ set(CHECKS))}")
    measured = {}
    for name, check in CHECKS.items():
        off, doubled = differences(KNOBS[name], check)
        measured[name] = row(KNOBS[name]) | {"difference": off, "doubled": doubled}
    return measured


def measure_optimizers(library):
    return {
        name: idle_verdict(f"{library}.{name}", found) for name, found in optimizer_classes(library).items()
    }


def holds(measured):
    """Return whether the fit agrees, and would not with twice the lambda."""
    return measured["difference"] <= measured["tolerance"] < measured["doubled"] / 2


def show(record):
    shown = ("name", "difference", "tolerance", "doubled")
    rows = [[knob[key] for key in shown] for knob in record["knobs"].values()]
    print(table(dict.fromkeys(shown, "{}"), rows), end="\n\n")
    for library, verdicts in record["optimizers"].items():
        kinds = Counter(found.partition(":")[0] for found in verdicts.values())
        print(f"{library}: {', '.join(f'{kind} {count}' for kind, count in kinds.most_common())}")
        others = {name: found for name, found in verdicts.items() if found != "shrinks"}
        if others:
            print(table({"optimizer": "{}", "verdict": "{}"}, others.items()))
        print()


def main():
    warnings.simplefilter("ignore")
    os.environ["KERAS_BACKEND"] = "torch"
    record = {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name).partition("+")[0] for name in pins()},
        "knobs": measure_knobs(),
        "optimizers": {library: measure_optimizers(library) for library in MODULES},
    }
    show(record)
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    off = [name for name, knob in record["knobs"].items() if not holds(knob)]
    return f"beyond their tolerance: {', '.join(off)}" if off else 0


if __name__ == "__main__":
    sys.exit(main())
