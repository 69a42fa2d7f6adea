"""Figures to play with: each shows one setting at first, and then what the reader makes of it.

A lab is one line in a notebook. It needs no kernel: its numbers are computed in the browser, by the functions
of this package in JavaScript, which the tests hold against each other. Where no scripts run, and in print,
stands a figure of the same setting, or a sentence where there is nothing to draw.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache, partial
from html import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray
from torch import nn

from course_lib import _arguments, conventions
from course_lib._arguments import Array, Loss
from course_lib.conventions import KNOBS, LIBRARIES, PENALIZED, Knob, convert
from course_lib.data import augment, curved_points, noisy_sine, two_points
from course_lib.geometry import bisector, max_margin
from course_lib.landscape import loss_grid
from course_lib.models import LinearModel, Perceptron
from course_lib.optimum import least_squares_optimum
from course_lib.rules import adam, coupled, decoupled, proximal, sgd
from course_lib.scratch import logistic_descent

__all__ = [
    "Lab",
    "boundary",
    "clock",
    "landscape",
    "step",
    "overfitting",
    "converter",
]

LARGEST = 1e15  # that a field for a number takes: whole numbers are exact up to there
FOLDER = Path(__file__).parent / "javascript"
COMMENT = re.compile(r"^ *(?://[^\n]*|/\*\*.*?\*/)\n+", re.MULTILINE | re.DOTALL)
BOUND = 1e6  # from the origin, beyond which a path over a landscape is not followed


def _half_mse(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(prediction, target) / 2


LOSSES: dict[str, Loss] = {
    "MSELoss": F.mse_loss,
    "L1Loss": F.l1_loss,
    "HuberLoss": F.huber_loss,
    "SmoothL1Loss": F.smooth_l1_loss,
    "valley": _half_mse,
}


@dataclass(frozen=True)
class Lab:
    """A lab with its first setting. A notebook shows it.

    Attributes
    ----------
    name : str
        The function that made it, and its file in the folder ``javascript``.
    settings : dict
        The first setting, by the names that an address of the page takes, too.
    data : dict
        What the lab's script is given besides.
    instead : str
        The sentence that stands there where no scripts run, and in print.
    """

    name: str
    settings: dict[str, Any]
    data: dict[str, Any] = field(repr=False)
    instead: str = field(
        default="Where scripts run, here is a lab. The figure shows its first setting.", repr=False
    )

    def _repr_html_(self) -> str:
        told = {"settings": self.settings, "data": self.data}
        given = json.dumps(told, allow_nan=False, separators=(",", ":"))
        given = escape(given, quote=False).replace("'", "&#x27;")
        return (
            f"<style>{_text('kit.css')}</style>\n"
            f'<div class="lab" data-lab="{self.name}" data-given=\'{given}\'></div>\n'
            f'<p class="lab-instead">{escape(self.instead)}</p>\n'
            f"<script>\n{_script(self.name)}</script>"
        )


@cache
def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    """Return the script of a lab, without its comments."""
    parts = "\n".join(_text(f"{part}.js") for part in ("rules", "kit", name))
    return f'(() => {{\n"use strict";\n{COMMENT.sub("", parts)}}})();\n'


def _looks(names: Iterable[str], concept: str | None = None) -> dict[str, dict[str, str]]:
    """Return colors and dashes by name, of concepts or of lines of one concept, as the browser takes them."""
    from course_lib._style import looks  # which loads matplotlib

    return {name: look.svg for name, look in looks("names", names, concept).items()}


def boundary(
    *,
    weight_decay: float = 0.0,
    penalty: Literal["L2", "L1"] = "L2",
    decay_bias: bool = True,
    n_steps: int = 101,
    X: Array | None = None,
) -> Lab:
    r"""Show the line between two points that training moves, and the lines where it might end.

    Full-batch descent with lr 1 on the mean logistic loss, from ``Perceptron(seed=0)``, as
    `scratch.logistic_descent` and, with L1, `rules.proximal` do it. Beside it are the bisector of the points
    and the line of the widest margin with the bias counted.

    Parameters
    ----------
    weight_decay : float, default=0.0
        :math:`\lambda`, at most 1: of :math:`\tfrac{\lambda}{2}\|\theta\|^2` with L2 (there is a 1/2), of
        :math:`\lambda\|\theta\|_1` with L1 (there is none). The step multiplies it by lr.
    penalty : {"L2", "L1"}, default="L2"
    decay_bias : bool, default=True
        Whether the bias is decayed, too.
    n_steps : int, default=101
        The step after which the line is shown, at most 10 million. The figure takes all of them.
    X : array of shape (2, 2), optional
        The point called 1 and the one called 0, in 0 to 4 by 0 to 3; `data.two_points` when None.

    Returns
    -------
    Lab
        A figure of the setting is drawn, too.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.

    Examples
    --------
    >>> from course_lib.labs import boundary
    >>> boundary(weight_decay=0.2).settings["weight_decay"]
    0.2
    """
    from course_lib.plotting import boundaries  # which loads matplotlib

    weight_decay = _arguments.number("weight_decay", weight_decay, maximum=1)
    _arguments.choice("penalty", penalty, ("L2", "L1"))
    _arguments.flag("decay_bias", decay_bias)
    n_steps = _arguments.count("n_steps", n_steps, maximum=10**7)
    points, y = two_points(dtype=torch.float64)
    if X is not None:
        points = _arguments.finite("X", X, ndim=2).detach().cpu().double()
    inside = points.shape == (2, 2) and bool(
        ((points >= 0) & (points <= points.new_tensor([4.0, 3.0]))).all()
    )
    if not inside or bool((points[0] == points[1]).all()):
        raise ValueError(f"X must be two different points in 0 to 4 by 0 to 3, got {points.tolist()}")
    start = LinearModel.of(Perceptron(seed=0)).theta.double().numpy()
    training: dict[str, Any] = {"weight_decay": weight_decay, "decay_bias": decay_bias, "n_steps": n_steps}
    theta = _descend(points, y, start, penalty, **training)
    concept = {"L1": "L1", "L2": "L2, bias decayed" if decay_bias else "L2"}[penalty]
    lines = {
        f"{penalty} with {weight_decay:g}": LinearModel.of(theta),
        "bisector": bisector(*points),
        "widest margin, bias counted": max_margin(points, y, count_bias=True),
    }
    first = next(iter(lines))
    if not theta[:-1].any():
        del lines[first]  # L1 leaves no line
    boundaries(
        points,
        y,
        lines,
        xlim=(0, 4),
        ylim=(0, 3),
        concept={first: concept if weight_decay else "no decay"} if first in lines else None,
        title=f"After {n_steps} steps",
    )
    concepts = ("no decay", "L2, bias decayed", "L2", "L1", "reference", "limit")
    return Lab(
        "boundary",
        {"penalty": penalty, "X": points.tolist()} | training,
        {"looks": _looks(concepts), "start": start.tolist()},
    )


def _descend(
    X: torch.Tensor,
    y: torch.Tensor,
    start: NDArray[np.float64],
    penalty: str,
    *,
    weight_decay: float,
    decay_bias: bool,
    n_steps: int,
) -> Any:  # ndarray
    """Return weights and bias after the steps of the lab on the boundary."""
    if penalty == "L2":
        decay: dict[str, Any] = {"weight_decay": weight_decay, "decay_bias": decay_bias}
        return logistic_descent(X, y, lr=1.0, n_steps=n_steps, record=[n_steps], start=start, **decay)[0]
    Z, theta = (augment(X) * (2 * y - 1)[:, None]).numpy(), start
    decays = weight_decay * np.array([1.0, 1.0, float(decay_bias)])
    for _ in range(n_steps):
        gradient = -Z.T @ (1 / (1 + np.exp(Z @ theta))) / len(Z)
        theta, _ = proximal(theta, gradient, None, sgd, lr=1.0, weight_decay=decays)
    return theta


def overfitting(
    *,
    weight_decay: float = 0.0,
    degree: int = 12,
    n_samples: int = 15,
    noise: float = 0.3,
    seed: int = 5,
) -> Lab:
    r"""Show a polynomial fitted to noisy points of a sine, and its losses over the decay.

    The features are the Legendre polynomials of x from degree 1 on, and the fit is the minimizer of the
    mean squared error :math:`+ \tfrac{\lambda}{2}\|w\|^2`, as `optimum.least_squares_optimum` finds it. Where
    many are as good, which only a decay of 0 allows, it is the one with the shortest w, to which small
    decays lead. The held-out loss is the mean squared error on ``noisy_sine(2000, noise=noise, seed=0)``.

    Parameters
    ----------
    weight_decay : float, default=0.0
        :math:`\lambda`, at most 10, of torch.optim.SGD beside ``mse_loss``: there is a 1/2 before the penalty
        and none before the squares, nothing is multiplied by lr, and the bias is not decayed.
    degree : int, default=12
        1 to 15.
    n_samples : int, default=15
        Points to learn from, 3 to 1,000.
    noise : float, default=0.3
        Its standard deviation, at most 1.
    seed : int, default=5
        Of the points, 1 to 20: they are ``noisy_sine(n_samples, noise=noise, seed=seed)``.

    Returns
    -------
    Lab
        A figure of the setting is drawn, too.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.

    Examples
    --------
    >>> from course_lib.labs import overfitting
    >>> overfitting(weight_decay=0.1).settings["degree"]
    12
    """
    from course_lib.plotting import curves, fits, panels  # which loads matplotlib

    weight_decay = _arguments.number("weight_decay", weight_decay, maximum=10)
    degree = _arguments.count("degree", degree, maximum=15)
    n_samples = _arguments.count("n_samples", n_samples, minimum=3, maximum=1000)
    noise = _arguments.number("noise", noise, maximum=1)
    seed = _arguments.count("seed", seed, maximum=20)
    X, y = noisy_sine(n_samples, noise=noise, seed=seed)
    X_held, y_held = noisy_sine(2000, noise=noise, seed=0)

    def powers(X: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(legvander(X[:, 0].numpy(), degree)[:, 1:])

    def fit(decay: float) -> LinearModel:
        # Centered, so that the bias, which is free, does not count as a weight where decay is 0.
        center = powers(X).mean(dim=0)
        weight, bias = least_squares_optimum(powers(X) - center, y, decay)
        return LinearModel(weight, bias - center @ weight)

    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    lambdas = [float(f"{step}e{power}") for power in range(-6, 1) for step in steps] + [10.0]
    models = [fit(decay) for decay in lambdas]
    losses = {
        name: (lambdas, [float((model.output(powers(X)) - y).square().mean()) for model in models])
        for name, X, y in (("held-out loss", X_held, y_held), ("training loss", X, y))
    }
    shown = fit(weight_decay)
    name = "L2" if weight_decay else "no decay"
    _, (above, below) = panels(2)
    fits(
        X,
        y,
        {"sine": lambda x: torch.sin(torch.pi * x), name: lambda x: shown.output(powers(x))},
        concept={"sine": "reference"},
        ax=above,
    )
    above.set_ylim(-2.5, 2.5)
    curves(
        losses,
        xlabel="λ",
        ylabel="mean squared error",
        concept={"held-out loss": "L2"},
        references={"noise": noise**2} if noise > 0.01 else None,
        xreferences={f"{weight_decay:g}": weight_decay} if weight_decay >= lambdas[0] else None,
        minima=True,
        xscale="log",
        yscale="log",
        ax=below,
    )
    below.set_ylim(1e-3, 100)
    return Lab(
        "overfitting",
        {
            "weight_decay": weight_decay,
            "degree": degree,
            "n_samples": n_samples,
            "noise": noise,
            "seed": seed,
        },
        {"looks": _looks(("no decay", "L2", "reference", "training"))},
    )


def clock(
    *,
    n_samples: int = 1024,
    batch_size: int = 16,
    lr: float = 0.02,
    weight_decay: float = 0.1,
    optimizer: Literal["SGD", "AdamW", "without lr"] = "AdamW",
    schedule: Literal["constant", "cosine", "linear", "warm-up, cosine"] = "constant",
    n_epochs: int = 20,
    k: int = 8,
    lr_times: Literal["1", "sqrt k", "k"] = "1",
    weight_decay_times: Literal["1", "sqrt k", "k"] = "1",
) -> Lab:
    r"""Show what a run leaves of a weight without gradient, and what it leaves with a batch k times as large.

    All steps are those of `rules`, from a weight of 1, which may stand for a decayed bias, too: once in
    float64, and once rounded to bfloat16 wherever a tensor is stored. There a step may be too small to move
    it. (On a CPU, torch's SGD rounds lr to bfloat16 as well.)

    Parameters
    ----------
    n_samples : int, default=1024
        Rows of the data set, 100 to 80,000.
    batch_size : int, default=16
        8 to 4096. An epoch has a step for each batch, the last of which may be smaller.
    lr : float, default=0.02
        The largest of the run, 1e-5 to 1.
    weight_decay : float, default=0.1
        :math:`\lambda`, at most 1, of :math:`\tfrac{\lambda}{2}\|w\|^2` with SGD (there is a 1/2). The step
        multiplies it by lr, except for "without lr".
    optimizer : {"SGD", "AdamW", "without lr"}, default="AdamW"
        The decay in the gradient; beside the step, as in SGDW and AdamW; or beside the step without lr, as
        in ``SGDW(decay_times_lr=False)``: there lr and its schedule do not matter.
    schedule : {"constant", "cosine", "linear", "warm-up, cosine"}, default="constant"
        What multiplies lr, step by step: 1; down to 0 like a cosine or a line; or up in a tenth of the steps,
        and then down like a cosine.
    n_epochs : int, default=20
        At most 100.
    k : int, default=8
        What multiplies the batch, 2 to 64.
    lr_times, weight_decay_times : {"1", "sqrt k", "k"}, default="1"
        What multiplies lr and the decay with it.

    Returns
    -------
    Lab
        A figure of the setting is drawn, too. It ends where a weight exceeds 1.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.

    Examples
    --------
    >>> from course_lib.labs import clock
    >>> clock(k=4, weight_decay_times="k").settings["weight_decay_times"]
    'k'
    """
    from course_lib.plotting import curves, panels  # which loads matplotlib

    multipliers = ("1", "sqrt k", "k")
    settings: dict[str, Any] = {
        "optimizer": _arguments.choice("optimizer", optimizer, tuple(RULES)),
        "lr": _arguments.number("lr", lr, minimum=1e-5, maximum=1),
        "weight_decay": _arguments.number("weight_decay", weight_decay, maximum=1),
        "schedule": _arguments.choice("schedule", schedule, tuple(SCHEDULES)),
        "n_samples": _arguments.count("n_samples", n_samples, minimum=100, maximum=80_000),
        "batch_size": _arguments.count("batch_size", batch_size, minimum=8, maximum=4096),
        "n_epochs": _arguments.count("n_epochs", n_epochs, maximum=100),
        "k": _arguments.count("k", k, minimum=2, maximum=64),
        "lr_times": _arguments.choice("lr_times", lr_times, multipliers),
        "weight_decay_times": _arguments.choice("weight_decay_times", weight_decay_times, multipliers),
    }
    values = dict(zip(multipliers, (1.0, math.sqrt(k), float(k)), strict=True))
    larger = {
        "batch_size": k * batch_size,
        "lr": lr * values[lr_times],
        "weight_decay": weight_decay * values[weight_decay_times],
    }
    runs = [settings, settings | larger]
    paths = {f"batch of {run['batch_size']}": _fade(run) for run in runs}
    concept = "L2" if optimizer == "SGD" else "decoupled decay"
    _, axes = panels(2, sharex=True)
    for ax, column, dtype in zip(axes, (1, 2), ("float64", "bfloat16"), strict=True):
        curves(
            {f"{name}, {dtype}": (path[:, 0], path[:, column]) for name, path in paths.items()},
            xlabel="epoch",
            ylabel="share left",
            concept=concept,
            ax=ax,
        )
    names = ("the batch", "the larger batch")
    concepts = {"SGD": "L2", "AdamW": "decoupled decay", "without lr": "decoupled decay"}
    looks = {name: list(_looks(names, concept).values()) for name, concept in concepts.items()}
    return Lab("clock", settings, {"looks": looks})


def _fade(setting: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return epoch, weight, and weight in bfloat16, for some of the steps and as long as none exceeds 1."""
    step, direction = RULES[setting["optimizer"]]
    steps_per_epoch = math.ceil(setting["n_samples"] / setting["batch_size"])
    n = setting["n_epochs"] * steps_per_epoch
    lrs = setting["lr"] * SCHEDULES[setting["schedule"]](np.arange(n), n)
    if setting["optimizer"] == "without lr":
        lrs = np.ones(n)
    decay = setting["weight_decay"]
    # Without gradient a step multiplies a weight by what it makes of 1.
    factors, _ = step(np.ones(n), np.zeros(n), None, direction, lr=lrs, weight_decay=decay)
    kept = np.ones(n + 1)

    def in_bfloat16(gradient: Any, state: Any) -> tuple[Any, Any]:
        direct, state = direction(gradient, state)
        return _bfloat16(direct), state

    state, largest_left = None, np.maximum.accumulate(lrs[::-1])[::-1]
    for t, lr in enumerate(lrs.tolist()):
        moved, state = step(float(kept[t]), 0.0, state, in_bfloat16, lr=lr, weight_decay=decay)
        kept[t + 1] = _bfloat16(moved)
        if abs(kept[t + 1]) > 1 or (kept[t + 1] == kept[t] and lr == largest_left[t]):
            kept[t + 1 :] = kept[t + 1]  # no later step moves it
            break
    with np.errstate(over="ignore", invalid="ignore"):
        exact = np.cumprod([1.0, *factors])
    path = np.column_stack([np.arange(n + 1) / steps_per_epoch, exact, kept])
    end = int((abs(path[:, 1:]) <= 1).all(axis=1).cumprod().sum())
    return path[sorted({*range(0, end, math.ceil(n / 240)), end - 1})]


def _bfloat16(value: float) -> float:
    return torch.tensor(value, dtype=torch.float32, device="cpu").bfloat16().item()


# What the decay of a weight without gradient is made of, and what multiplies lr in the steps t of n.
RULES: dict[str, tuple[Any, Any]] = {
    "SGD": (coupled, sgd),
    "AdamW": (decoupled, adam),
    "without lr": (decoupled, sgd),
}
SCHEDULES: dict[str, Callable[[NDArray[np.int_], int], Any]] = {
    "constant": lambda t, n: np.ones(n),
    "cosine": lambda t, n: (1 + np.cos(np.pi * t / n)) / 2,
    "linear": lambda t, n: 1 - t / n,
    "warm-up, cosine": lambda t, n: _warm_up(t, n, math.ceil(n / 10)),
}


def _warm_up(t: NDArray[np.int_], n: int, warm: int) -> Any:  # ndarray
    down = (1 + np.cos(np.pi * (t - warm) / max(n - warm, 1))) / 2
    return np.where(t < warm, (t + 1) / warm, down)


def converter(
    *,
    value: float = 1.0,
    source: str = "sklearn.LogisticRegression.C",
    target: str = "torch.SGD.weight_decay",
    loss: str | None = None,
    decay_bias: bool | None = False,
    n_samples: float | None = 1000.0,
    n_outputs: int = 1,
    batch_size: float | None = None,
    lr: float | None = None,
    momentum: float = 0.0,
    dampening: float = 0.0,
    l1_ratio: float | None = None,
    target_std: float | None = None,
) -> Lab:
    """Show a form that turns the value of one knob into that of another, or says why there is none.

    It does what `conventions.convert` does, in the same words, and asks for what the two knobs need. Is there
    a 1/2, is lambda multiplied by lr, is the bias in: the form says it of both knobs, as `conventions.KNOBS`
    has it. There is nothing to draw.

    Parameters
    ----------
    value : float, default=1.0
        Like all of these an argument of `conventions.convert`, which has to have an answer; no number is
        above 1e15.
    source : str, default="sklearn.LogisticRegression.C"
    target : str, default="torch.SGD.weight_decay"
    loss : str, optional
    decay_bias : bool or None, default=False
    n_samples : float or None, default=1000.0
    n_outputs : int, default=1
    batch_size : float, optional
    lr : float, optional
    momentum : float, default=0.0
    dampening : float, default=0.0
    l1_ratio : float, optional
    target_std : float, optional

    Returns
    -------
    Lab

    Raises
    ------
    ValueError, TypeError
        Those of `conventions.convert`, and if a number is larger.

    Examples
    --------
    >>> from course_lib.labs import converter
    >>> lab = converter(value=0.1, source="keras.L2.l2", target="torch.SGD.weight_decay")
    >>> lab.settings["source"]
    'keras.L2.l2'
    """
    names: dict[str, Any] = {"source": source, "target": target, "loss": loss, "decay_bias": decay_bias}
    sizes: dict[str, Any] = {
        "n_samples": n_samples,
        "batch_size": batch_size,
        "lr": lr,
        "target_std": target_std,
    }
    shares: dict[str, Any] = {"momentum": momentum, "dampening": dampening, "l1_ratio": l1_ratio}
    convert(value, **names, n_outputs=n_outputs, **sizes, **shares)
    reals = {name: None if real is None else float(real) for name, real in {**sizes, **shares}.items()}
    numbers = {"value": float(value), "n_outputs": int(n_outputs)} | reals
    for name, number in numbers.items():
        _arguments.number(name, number or 0, maximum=LARGEST)
    return Lab(
        "converter",
        names | numbers,
        _tables() | {"largest": LARGEST},
        "Where scripts run, a form stands here. In Python, course_lib.conventions.convert does the same; "
        "what each knob stands for is in the tables of the Rosetta stone.",
    )


def _tables() -> Any:  # dict
    """Return what `convert` looks up, as JSON has it: knobs by the titles of their libraries, and words."""
    parts = [part for part in fields(Knob) if part.name not in ("name", "tolerance", "check")]
    libraries: dict[str, dict[str, Any]] = {}
    for name, knob in KNOBS.items():
        prefix = name.partition(".")[0]
        told = {part.name: getattr(knob, part.name) for part in parts}
        libraries.setdefault(LIBRARIES.get(prefix, prefix), {})[name] = {
            part.name: told[part.name] for part in parts if told[part.name] != part.default
        }
    defaults = {part.name: part.default for part in parts if part.default is not MISSING}
    words = {"losses": conventions.LOSSES, "penalized": PENALIZED, "steps": conventions.STEPS}
    return json.loads(json.dumps({"libraries": libraries, "defaults": defaults, **words}, default=dict))


Rule = Literal[
    "SGD", "penalty", "SGDW", "SGDW without lr", "L1 subgradient", "L1 proximal", "Adam", "AdamW", "tilt"
]
STEPS: dict[str, str | None] = {
    "SGD": "L2, bias decayed",
    "penalty": "L2, bias decayed",
    "SGDW": "decoupled decay",
    "SGDW without lr": "decoupled decay",
    "L1 subgradient": "L1",
    "L1 proximal": "L1",
    "Adam": "L2, bias decayed",
    "AdamW": "decoupled decay",
    "tilt": None,
}  # and the concept of each rule
GRADIENTS = ("zero", "constant", "alternating", "quadratic")
CURVATURE, MINIMUM = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([3.0, 0.4])
CONSTANT = np.array([-1.0, -0.1])
BEYOND = 1e9  # a weight larger than this diverges


def step(
    *,
    weight_decay: float = 0.1,
    lr: float = 0.1,
    momentum: float = 0.0,
    gradient: Literal["zero", "constant", "alternating", "quadratic"] = "zero",
    gradient_scale: float = 1.0,
    n_steps: int = 100,
    change_at: int = 0,
    later_weight_decay: float = 0.0,
    left: Rule = "SGD",
    right: Rule = "SGDW",
    start: Array | None = None,
) -> Lab:
    r"""Show where two rules take two weights, step by step, with the same settings.

    The rules are those of `rules`, with the direction of SGD or of Adam:

    ===================  ========================================================================
    rule                 its step
    ===================  ========================================================================
    ``SGD``              `rules.coupled`, as torch.optim.SGD
    ``penalty``          SGD on the loss plus :math:`\tfrac{\lambda}{2}\|\theta\|^2`: the same
    ``SGDW``             `rules.decoupled`, as `optimizers.SGDW`
    ``SGDW without lr``  the same, but the factor is :math:`1 - \lambda` whatever lr
    ``L1 subgradient``   SGD on the loss plus :math:`\lambda\|\theta\|_1`, with sign(0) = 0
    ``L1 proximal``      `rules.proximal`, as `optimizers.ProximalSGD`
    ``Adam``             `rules.coupled` with `rules.adam`, as torch.optim.Adam
    ``AdamW``            `rules.decoupled` with `rules.adam`, as torch.optim.AdamW
    ``tilt``             SGD, then every weight less lr times :math:`\lambda`, as torch-optimizer's SGDW
    ===================  ========================================================================

    Parameters
    ----------
    weight_decay : float, default=0.1
        :math:`\lambda`, at most 3: of :math:`\tfrac{\lambda}{2}\|\theta\|^2` (there is a 1/2), or of
        :math:`\lambda\|\theta\|_1` (there is none). All but ``SGDW without lr`` multiply it by lr. There is
        no bias.
    lr : float, default=0.1
        From 0.001 to 1.
    momentum : float, default=0.0
        At most 0.99; of all rules but Adam's, which have betas (0.9, 0.999).
    gradient : {"zero", "constant", "alternating", "quadratic"}, default="zero"
        Zero; (-1, -0.1); that, turned round at every step; or that of the bowl around (3, 0.4) with the
        curvature ((2, 0.6), (0.6, 1)).
    gradient_scale : float, default=1.0
        The gradient is multiplied by it, but not the decay; from 0.001 to 1000.
    n_steps : int, default=100
        At most 1000.
    change_at : int, default=0
        The step from which on `later_weight_decay` takes the place of `weight_decay`, at most 1000; never
        when 0.
    later_weight_decay : float, default=0.0
        At most 3.
    left : str, default="SGD"
    right : str, default="SGDW"
        The two rules.
    start : array of shape (2,), optional
        The weights at first, in -2 to 4 by -2 to 2; (1, -1.5) when None.

    Returns
    -------
    Lab
        A figure of the setting is drawn, too.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.

    Examples
    --------
    >>> from course_lib.labs import step
    >>> step(left="Adam", right="AdamW", gradient="quadratic").settings["right"]
    'AdamW'
    """
    from course_lib.plotting import contours, curves, panels, points  # which loads matplotlib

    theta = (
        _arguments.finite("start", [1.0, -1.5] if start is None else start, ndim=1).detach().cpu().double()
    )
    if theta.shape != (2,) or not (-2 <= theta[0] <= 4 and -2 <= theta[1] <= 2):
        raise ValueError(f"start must be two weights in -2 to 4 by -2 to 2, got {theta.tolist()}")
    settings: dict[str, Any] = {
        "left": _arguments.choice("left", left, tuple(STEPS)),
        "right": _arguments.choice("right", right, tuple(STEPS)),
        "gradient": _arguments.choice("gradient", gradient, GRADIENTS),
        "gradient_scale": _arguments.number("gradient_scale", gradient_scale, minimum=1e-3, maximum=1e3),
        "weight_decay": _arguments.number("weight_decay", weight_decay, maximum=3),
        "lr": _arguments.number("lr", lr, minimum=1e-3, maximum=1),
        "momentum": _arguments.number("momentum", momentum, maximum=0.99),
        "n_steps": _arguments.count("n_steps", n_steps, maximum=1000),
        "change_at": _arguments.count("change_at", change_at, minimum=0, maximum=1000),
        "later_weight_decay": _arguments.number("later_weight_decay", later_weight_decay, maximum=3),
        "start": [theta.tolist()],
    }
    paths = {rule: _walk(rule, settings) for rule in dict.fromkeys((settings["left"], settings["right"]))}
    concept = {rule: of for rule in paths if (of := STEPS[rule])}
    names: dict[str, Any] = {"xlabel": "first weight", "ylabel": "second weight", "concept": concept}
    _, (plane, time) = panels(2)
    if gradient == "quadratic":
        x, y = np.linspace(-2, 4, 61), np.linspace(-2, 2, 41)
        away = np.stack(np.meshgrid(x, y), axis=-1) - MINIMUM
        loss = gradient_scale / 2 * ((away @ CURVATURE) * away).sum(axis=-1)
        contours(x, y, loss, paths, zlabel="loss", minimum=MINIMUM, ax=plane, **names)
    else:
        curves({rule: (path[:, 0], path[:, 1]) for rule, path in paths.items()}, ax=plane, **names)
        points({"start": theta}, plane)
        plane.set(xlim=(-2, 4), ylim=(-2, 2))
    curves(
        {rule: (range(len(path)), np.linalg.norm(path, axis=1)) for rule, path in paths.items()},
        xlabel="step",
        ylabel="length of the weights",
        concept=concept,
        ax=time,
    )
    looks = {rule: list(_looks(("one", "another"), concept).values()) for rule, concept in STEPS.items()}
    return Lab("step", settings, {"looks": looks | _looks(["reference"])})


def _walk(rule: str, settings: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the weights after 0, 1, ... steps of a rule, up to the step that diverges."""
    theta, state, lr = np.array(settings["start"][0]), None, settings["lr"]
    path = [theta]
    direction = adam if rule.startswith("Adam") else partial(sgd, momentum=settings["momentum"])
    for t in range(1, settings["n_steps"] + 1):
        changed = 0 < settings["change_at"] <= t
        decay = settings["later_weight_decay" if changed else "weight_decay"]
        slope = settings["gradient_scale"] * _gradient(settings["gradient"], theta, t)
        theta, state = _step(rule, theta, slope, state, direction, lr=lr, weight_decay=decay)
        path.append(theta)
        if np.abs(theta).max() > BEYOND:
            break
    return np.array(path)


def _gradient(kind: str, theta: NDArray[np.float64], t: int) -> Any:  # ndarray
    if kind == "quadratic":
        return CURVATURE @ (theta - MINIMUM)
    return {"zero": 0.0, "constant": 1.0, "alternating": 1.0 if t % 2 else -1.0}[kind] * CONSTANT


def _step(
    rule: str,
    theta: NDArray[np.float64],
    slope: NDArray[np.float64],
    state: Any,
    direction: Any,
    *,
    lr: float,
    weight_decay: float,
) -> tuple[Any, Any]:  # ndarray, state
    """Return weights and state after a step, given the gradient of the bare loss."""
    given: dict[str, Any] = {"state": state, "direction": direction, "lr": lr}
    if rule in ("penalty", "L1 subgradient"):
        slope = slope + weight_decay * (theta if rule == "penalty" else np.sign(theta))
        return coupled(theta, slope, weight_decay=0.0, **given)
    if rule == "tilt":
        theta, state = decoupled(theta, slope, weight_decay=0.0, **given)
        return theta - lr * weight_decay, state
    if rule == "SGDW without lr":
        return decoupled(theta, slope, weight_decay=weight_decay / lr, **given)
    of = {"SGD": coupled, "Adam": coupled, "L1 proximal": proximal, "SGDW": decoupled, "AdamW": decoupled}
    return of[rule](theta, slope, weight_decay=weight_decay, **given)


def landscape(
    *,
    loss: Literal["MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "valley"] = "MSELoss",
    condition_number: float = 100.0,
    lr: float = 0.1,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    start: Array = (6.0, -3.0),
    n_steps: int = 100,
    bare: bool = False,
) -> Lab:
    r"""Show the path of torch.optim.SGD over the loss of a line, and how fast each setting is.

    The lines of equal value are those of what is descended,

    .. math:: \text{loss}(w, b) + \frac{\lambda}{2}(w^2 + b^2) ,

    and the path is that of `descent_paths`. The map of lr and momentum shows the factor by which a step
    multiplies the distance from the lowest point, in the slowest direction.

    Parameters
    ----------
    loss : {"MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "valley"}, default="MSELoss"
        Torch's, at its defaults, of a line through `data.curved_points`; or half of MSELoss, of a line
        through two points on y = 2x + 2 where x is :math:`\pm\sqrt\kappa`. The curvatures of this valley
        are :math:`\kappa` along the weight and 1 along the bias.
    condition_number : float, default=100.0
        :math:`\kappa` of the valley, from 1 to 1000.
    lr : float, default=0.1
        From 0.001 to 10.
    momentum, dampening : float, default=0.0
        At most 0.99 and 0.9.
    nesterov : bool, default=False
        It needs momentum above 0 and no dampening, as in torch.
    weight_decay : float, default=0.0
        :math:`\lambda` of torch.optim.SGD, at most 10: there is a 1/2 in the penalty, the step multiplies
        it by lr, and the bias is decayed, too.
    start : array of shape (2,), default=(6.0, -3.0)
        Weight and bias at first, each in -5 to 8.
    n_steps : int, default=100
        At most 1000. A path that is beyond a million is not followed any more.
    bare : bool, default=False
        Whether the lines of the loss alone are shown, too.

    Returns
    -------
    Lab
        A figure of the setting is drawn, too.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.

    Examples
    --------
    >>> from course_lib.labs import landscape
    >>> landscape(momentum=0.9).settings["momentum"]
    0.9
    """
    from course_lib._style import NEUTRAL  # which loads matplotlib
    from course_lib.plotting import contours, small_multiples

    _arguments.choice("loss", loss, tuple(LOSSES))
    condition_number = _arguments.number("condition_number", condition_number, minimum=1, maximum=1000)
    settings: dict[str, Any] = {
        "condition_number": condition_number,
        "lr": _arguments.number("lr", lr, minimum=1e-3, maximum=10),
        "momentum": _arguments.number("momentum", momentum, maximum=0.99),
        "dampening": _arguments.number("dampening", dampening, maximum=0.9),
        "nesterov": _arguments.flag("nesterov", nesterov),
        "weight_decay": _arguments.number("weight_decay", weight_decay, maximum=10),
        "n_steps": _arguments.count("n_steps", n_steps, maximum=1000),
    }
    if nesterov and (momentum == 0 or dampening > 0):
        raise ValueError("nesterov needs momentum above 0 and no dampening")
    theta = _arguments.finite("start", start, ndim=1).detach().cpu().double()
    if len(theta) != 2 or bool((theta < -5).any() or (theta > 8).any()):
        raise ValueError(f"start must be a weight and a bias, each in -5 to 8, got {theta.tolist()}")
    bare = _arguments.flag("bare", bare)
    X, y = _points(loss, condition_number)
    descent = {name: value for name, value in settings.items() if name != "condition_number"}
    path = _path(X, y, LOSSES[loss], theta, **descent)
    side = torch.linspace(-5, 8, 101, dtype=torch.float64, device="cpu")
    line = nn.utils.skip_init(nn.Linear, 1, 1, dtype=torch.float64, device="cpu")  # nothing is drawn for it
    values = loss_grid(line, X, y, side, side, loss_fn=LOSSES[loss]).T
    penalty = weight_decay / 2 * (side[:, None] ** 2 + side**2)
    named = "Nesterov" if nesterov else "momentum" if momentum else "plain descent"
    drawn: dict[str, Any] = {
        "paths": {named: path.flip(1)},
        "concept": {named: "L2, bias decayed"} if weight_decay else None,
        "zlabel": "root of the value",
        "xlabel": "bias",
        "ylabel": "weight",
    }
    maps = {"loss + penalty": values + penalty} if weight_decay else {}
    if bare or not weight_decay:
        maps["the loss"] = values
    small_multiples(
        contours, {name: {"values": each.sqrt()} for name, each in maps.items()}, x=side, y=side, **drawn
    )
    concepts = ("no decay", "L2, bias decayed", "momentum", "Nesterov", "reference", "limit")
    looks = _looks(concepts) | {"contours": NEUTRAL.svg}
    points = torch.cat(_points("MSELoss", 1.0), dim=1).tolist()
    return Lab(
        "landscape",
        {"loss": loss, "start": [theta.tolist()], "bare": bare} | settings,
        {"looks": looks, "points": points},
    )


def _points(loss: str, condition_number: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the points of a landscape, as columns."""
    if loss != "valley":
        return curved_points(torch.float64)
    X = torch.tensor([[1.0], [-1.0]], dtype=torch.float64, device="cpu") * condition_number**0.5
    return X, 2 * X + 2


def _path(
    X: torch.Tensor,
    y: torch.Tensor,
    loss_fn: Loss,
    theta: torch.Tensor,
    *,
    n_steps: int,
    lr: float,
    weight_decay: float,
    **options: Any,
) -> torch.Tensor:
    """Return weight and bias from the start on, as long as they stay within the bound."""
    gradient = torch.func.grad(lambda theta: loss_fn(X * theta[0] + theta[1], y))
    direction, state, path = partial(sgd, **options), None, [theta]
    while len(path) <= n_steps and theta.norm() <= BOUND:
        theta, state = coupled(theta, gradient(theta), state, direction, lr=lr, weight_decay=weight_decay)
        path.append(theta)
    return torch.stack(path)
