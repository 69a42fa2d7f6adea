"""Chapter 2: what a run leaves of a weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from course_lib import _arguments
from course_lib.labs._lab import Lab, looks_of
from course_lib.rules import adam, coupled, decoupled, sgd


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
    looks = {name: list(looks_of(names, concept).values()) for name, concept in concepts.items()}
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
