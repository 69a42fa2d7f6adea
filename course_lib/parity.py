"""The same training by hand and by torch, over a grid of settings: how far do the two lie apart?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer

from course_lib import _arguments
from course_lib._arguments import Array
from course_lib.data import augment
from course_lib.groups import decay_groups
from course_lib.metrics import Agreement, compare
from course_lib.scratch import linear_descent

__all__ = ["TOLERANCE", "Run", "grid", "parity"]

#: The largest absolute difference claimed, of any parameter after any step; the parameters are of order 1.
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-13}
LR, ADAM_LR = 0.05, 0.01
N_SAMPLES, N_FEATURES, N_TARGETS = 15, 3, 2


@dataclass(frozen=True)
class Run:
    """The settings of a training run, one cell of the grid: a rule, and what it is applied to.

    Attributes
    ----------
    optimizer, momentum, nesterov, dampening, betas, weight_decay
        The rule: those of `course_lib.scratch.linear_descent`. The biases are not decayed.
    dtype : torch.dtype
        float32 or float64.
    reduction, batch_size
        Those of `linear_descent`.
    """

    optimizer: Literal["SGD", "SGDW", "Adam", "AdamW"] = "SGD"
    momentum: float = 0.0
    nesterov: bool = False
    dampening: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    dtype: torch.dtype = torch.float64
    reduction: Literal["mean", "sum"] = "mean"
    batch_size: int | None = None

    @property
    def rule(self) -> str:
        """The name of its row in the grid, such as "SGD μ=0.9 nesterov λ=0.1"."""
        sgd = self.optimizer.startswith("SGD")
        memory = f"μ={self.momentum:g}" if sgd else f"β1={self.betas[0]:g}"
        variant = " nesterov" * self.nesterov + f" τ={self.dampening:g}" * (self.dampening != 0)
        return f"{self.optimizer} {memory}{variant} λ={self.weight_decay:g}"

    @property
    def setup(self) -> tuple[str, str, str]:
        """The names of its column: dtype, reduction and batch size."""
        return str(self.dtype).removeprefix("torch."), self.reduction, str(self.batch_size or "all")


def grid(weight_decays: Array = (0.0, 0.1)) -> list[Run]:
    r"""Return every valid combination of rules and batches: the wall on which `parity` is claimed.

    A row is a rule: SGD and SGDW without momentum, with momentum 0.9, with Nesterov's, and with dampening
    0.5; Adam and AdamW with :math:`\beta_1` 0 and 0.9; each with every decay. A column is float32 or
    float64, the mean or the sum of the squared errors, and batches of 1, of 7 and of all 15 rows: the last
    of 7 is smaller.

    Parameters
    ----------
    weight_decays : sequence of float, default=(0.0, 0.1)
        Each :math:`\lambda \ge 0`, as in `Run`.

    Returns
    -------
    list of Run
        Row by row, 12 a row; 24 rows with two decays.

    Raises
    ------
    ValueError, TypeError
        If a decay is negative or no finite number.

    Examples
    --------
    >>> from course_lib.parity import grid
    >>> runs = grid()
    >>> len(runs), runs[17].rule, runs[17].setup
    (288, 'SGD μ=0 λ=0.1', ('float32', 'sum', 'all'))
    """
    decays = _arguments.finite("weight_decays", weight_decays, ndim=1).tolist()
    if min(decays) < 0:
        raise ValueError(f"weight_decays must be >= 0, got {min(decays):g}")
    momenta: list[dict[str, Any]] = [
        {"momentum": 0.0},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "dampening": 0.5},
    ]
    betas: list[dict[str, Any]] = [{"betas": (0.0, 0.999)}, {"betas": (0.9, 0.999)}]
    memories = {"SGD": momenta, "SGDW": momenta, "Adam": betas, "AdamW": betas}
    rules = [{"optimizer": name, **memory} for name in memories for memory in memories[name]]
    setups: list[dict[str, Any]] = [
        {"dtype": dtype, "reduction": reduction, "batch_size": size}
        for dtype, reduction, size in product(TOLERANCE, ("mean", "sum"), (1, 7, None))
    ]
    return [Run(**rule, weight_decay=decay, **setup) for rule, decay, setup in product(rules, decays, setups)]


def parity(run: Run, *, n_steps: int = 60, seed: int = 3) -> Agreement:
    r"""Train by hand and by torch from the same start, and compare the parameters after every step.

    By hand is `course_lib.scratch.linear_descent`; by torch are ``nn.Linear``, ``mse_loss`` and the
    optimizer, with the bias in a parameter group that is not decayed. torch has no SGDW: there the weights
    are multiplied by :math:`1 - \eta\lambda` before SGD without decay takes its step.

    The data are 15 rows of 3 features and 2 targets, linear but for noise, such that features, targets and
    parameters are of order 1. The learning rate is 0.05. For SGD on a sum it is divided by the number of
    entries in a batch, which makes up for the larger gradient. Adam does not need that; its rate is 0.01.

    Parameters
    ----------
    run : Run
    n_steps : int, default=60
        The last epoch is completed, so there can be a few more.
    seed : int, default=3
        Data and start are a pure function of it. With some others, and with longer steps or more of them,
        rounding grows on the way, where Adam divides gradients of almost zero by their size, and the
        tolerance does not hold.

    Returns
    -------
    course_lib.metrics.Agreement
        Of all parameters after all steps, an array of shape (n_steps, 4, 2): by hand against by torch. For
        every run of `grid`, and the defaults here, its ``max_abs`` is at most ``TOLERANCE[run.dtype]``.

    Raises
    ------
    ValueError, TypeError
        If `n_steps` is not positive, `seed` negative, or the settings of `run` are none that
        `linear_descent` takes.

    Examples
    --------
    >>> from course_lib.parity import TOLERANCE, Run, parity
    >>> run = Run("AdamW", weight_decay=0.1, batch_size=7)
    >>> parity(run).max_abs <= TOLERANCE[run.dtype]
    True
    """
    if not isinstance(run, Run):
        raise TypeError(f"run must be a course_lib.parity.Run, got {run!r}")
    if not isinstance(run.dtype, torch.dtype) or run.dtype not in TOLERANCE:
        raise ValueError(f"dtype of run must be torch.float32 or torch.float64, got {run.dtype!r}")
    n_steps = _arguments.count("n_steps", n_steps)
    data = [tensor.to(run.dtype) for tensor in _problem(_arguments.count("seed", seed, minimum=0))]
    size = N_SAMPLES if run.batch_size is None else _arguments.count("batch_size", run.batch_size)
    n_epochs = math.ceil(n_steps / math.ceil(N_SAMPLES / size))
    with _arguments.within("run"):
        lr = _lr(run, size)
        by_hand = linear_descent(
            *data,
            lr=lr,
            n_epochs=n_epochs,
            optimizer=run.optimizer,
            momentum=run.momentum,
            nesterov=run.nesterov,
            dampening=run.dampening,
            betas=run.betas,
            weight_decay=run.weight_decay,
            reduction=run.reduction,
            batch_size=size,
        )
    return compare(by_hand, _by_torch(run, *data, lr=lr, n_epochs=n_epochs, batch_size=size))


def _lr(run: Run, size: int) -> float:
    """Return the learning rate for batches of this size."""
    if run.optimizer in ("Adam", "AdamW"):
        return ADAM_LR
    return LR / (size * N_TARGETS if run.reduction == "sum" else 1)


def _problem(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return X, Y and the parameters to start from, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64, device="cpu")

    X, theta, start = (draw(n, m) for n, m in ((N_SAMPLES, N_FEATURES), *[(N_FEATURES + 1, N_TARGETS)] * 2))
    return X, augment(X) @ theta + 0.1 * draw(N_SAMPLES, N_TARGETS), start


def _by_torch(
    run: Run,
    X: torch.Tensor,
    Y: torch.Tensor,
    start: torch.Tensor,
    *,
    lr: float,
    n_epochs: int,
    batch_size: int,
) -> torch.Tensor:
    """Return the weights and the biases after each step, as `linear_descent` does."""
    model = nn.utils.skip_init(nn.Linear, N_FEATURES, N_TARGETS, dtype=run.dtype)
    with torch.no_grad():
        model.weight.copy_(start[:-1].T)
        model.bias.copy_(start[-1])
    optimizer = _optimizer(run, model, lr)
    path = []
    for _ in range(n_epochs):
        for x, y in zip(X.split(batch_size), Y.split(batch_size), strict=True):
            optimizer.zero_grad()
            F.mse_loss(model(x), y, reduction=run.reduction).backward()
            if run.optimizer == "SGDW":
                with torch.no_grad():
                    model.weight.mul_(1 - lr * run.weight_decay)
            optimizer.step()
            path.append(torch.cat([model.weight.detach().T, model.bias.detach()[None]]))
    return torch.stack(path)


def _optimizer(run: Run, model: nn.Module, lr: float) -> Optimizer:
    """Return the optimizer of torch, without decay for SGDW."""
    groups = decay_groups(model, 0.0 if run.optimizer == "SGDW" else run.weight_decay)
    if run.optimizer in ("Adam", "AdamW"):
        adam = torch.optim.Adam if run.optimizer == "Adam" else torch.optim.AdamW
        return adam(groups, lr=lr, betas=run.betas)
    return torch.optim.SGD(
        groups, lr=lr, momentum=run.momentum, dampening=run.dampening, nesterov=run.nesterov
    )
