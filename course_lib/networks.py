"""Many small networks trained at once: each is a row of one matrix, and a step of all is a few products."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F

from course_lib import _arguments
from course_lib._arguments import Array
from course_lib.rules import adam, coupled, decoupled, sgd

__all__ = ["Networks", "train_networks"]

OPTIMIZERS = ("SGD", "SGDW", "Adam", "AdamW")
MOST_CLASSES = 10_000


class Networks(NamedTuple):
    r"""Networks of one shape: linear layers with a ReLU between them, :math:`W_2\max(W_1 x + b_1, 0) + b_2`.

    Attributes
    ----------
    theta : Tensor of shape (n_networks, n_parameters)
        All parameters of a network are a row: each layer's weight, (n_in, n_out) row by row, then its bias.
    sizes : tuple of int
        Of the input, the hidden layers and the output.

    Examples
    --------
    >>> import torch
    >>> from course_lib.networks import Networks
    >>> networks = Networks(torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, 1.0]]), (2, 1))
    >>> networks.logits(torch.tensor([[3.0, 1.0]])).tolist()
    [[[5.5]], [[1.0]]]
    """

    theta: torch.Tensor
    sizes: tuple[int, ...]

    def layers(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return each layer's weight, (n_networks, n_in, n_out), and bias, (n_networks, 1, n_out)."""
        found, first = [], 0
        for n_in, n_out in pairwise(self.sizes):
            weight, bias = self.theta[:, first : first + (n_in + 1) * n_out].split([n_in * n_out, n_out], 1)
            found.append((weight.unflatten(1, (n_in, n_out)), bias[:, None]))
            first += (n_in + 1) * n_out
        return found

    def logits(self, X: torch.Tensor) -> torch.Tensor:
        """Return what each network says, shape (n_networks, n_samples, n_outputs).

        X has shape (n_samples, n_features), or one such matrix a network.
        """
        hidden = X.expand(len(self.theta), *X.shape[-2:])
        *others, last = self.layers()
        for weight, bias in others:
            hidden = torch.baddbmm(bias, hidden, weight).relu()
        return torch.baddbmm(last[1], hidden, last[0])

    def losses(self, X: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of each network, shape (n_networks,), for class indices y."""
        logits = self.logits(X).transpose(1, 2)  # torch is quicker where the classes are not last
        y = y.expand(len(logits), logits.shape[2])
        return F.cross_entropy(logits, y, reduction="none").mean(dim=1)


def train_networks(
    X: Array,
    y: Array,
    *,
    hidden: Sequence[int] = (64,),
    optimizer: Literal["SGD", "SGDW", "Adam", "AdamW"] = "AdamW",
    lr: Array,
    weight_decay: Array,
    seeds: Sequence[int],
    n_steps: int,
    batch_size: int | None = None,
    schedule: Literal["constant", "cosine"] = "cosine",
    momentum: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    decay_bias: bool = False,
    record: Sequence[int] | None = None,
) -> list[Networks]:
    r"""Train many classifiers at once, each with its own learning rate, decay and seed.

    Each is trained as `course_lib.rules` says, on the cross-entropy of its own batches. In step t of T a
    cosine multiplies the learning rate by :math:`\tfrac12 (1 + \cos(\pi (t - 1) / T))`, as torch's
    CosineAnnealingLR does.

    Parameters
    ----------
    X : Tensor of shape (n_samples, n_features) or (n_networks, n_samples, n_features)
        The same rows for all networks, or rows for each.
    y : Tensor of shape (n_samples,) or (n_networks, n_samples)
        Class indices.
    hidden : sequence of int, default=(64,)
        Sizes of the hidden layers; none is a linear model.
    optimizer : {"SGD", "SGDW", "Adam", "AdamW"}, default="AdamW"
        What decays: "SGD" and "Adam" in the gradient, the others beside the step.
    lr : float or Tensor of shape (n_networks,)
        :math:`\eta > 0`.
    weight_decay : float or Tensor of shape (n_networks,)
        :math:`\lambda \ge 0`: coupled, of :math:`\tfrac{\lambda}{2}\|w\|^2` with a 1/2; decoupled, times
        lr. Both fade with the schedule. The biases are left out unless `decay_bias`.
    seeds : sequence of int
        One a network, or one for all: its start, as nn.Linear draws it, and its batches depend on it alone.
    n_steps : int
    batch_size : int, optional
        Rows a step, drawn anew in each epoch; all of them when None. What is left of an epoch is dropped.
    schedule : {"constant", "cosine"}, default="cosine"
    momentum : float, default=0.0
        Of SGD and SGDW.
    betas : (float, float), default=(0.9, 0.999)
    eps : float, default=1e-8
        Both of Adam and AdamW.
    decay_bias : bool, default=False
    record : sequence of int, optional
        Increasing numbers of steps after which the networks are kept; only the last when None.

    Returns
    -------
    list of Networks
        One a record, in the dtype of X. What diverged is NaN or infinite there.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> from course_lib.data import separable
    >>> from course_lib.networks import train_networks
    >>> X, y = separable(40)
    >>> how = {"lr": 0.1, "weight_decay": [0.0, 0.1, 1.0], "seeds": [0], "n_steps": 100, "hidden": (8,)}
    >>> (networks,) = train_networks(X, y.long(), **how)
    >>> [round(loss, 2) for loss in networks.losses(X, y.long()).tolist()]
    [0.0, 0.0, 0.02]
    """
    X, y = _rows(X, y)
    _arguments.choice("optimizer", optimizer, OPTIMIZERS)
    _arguments.choice("schedule", schedule, ("constant", "cosine"))
    decay_bias = _arguments.flag("decay_bias", decay_bias)
    n_steps = _arguments.count("n_steps", n_steps)
    n_rows = X.shape[-2]
    batch_size = n_rows if batch_size is None else _arguments.count("batch_size", batch_size, maximum=n_rows)
    record = [n_steps] if record is None else _arguments.counts("record", record)
    if not record or record[-1] > n_steps or record != sorted(set(record)):
        raise ValueError(f"record must increase from 1 or more to n_steps or less, got {record}")
    sizes = (X.shape[-1], *_arguments.counts("hidden", hidden), int(y.max()) + 1)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in _seeds(seeds)]
    own = {
        "X": X if X.ndim == 3 else X[None],
        "y": y if y.ndim == 2 else y[None],
        "lr": _setting("lr", lr, X),
        "weight_decay": _setting("weight_decay", weight_decay, X) * _decayed(sizes, decay_bias).to(X),
        "seeds": torch.stack([_start(sizes, generator) for generator in generators]).to(X),
    }
    _, y, lr, weight_decay, theta = _one_a_network(own)
    rule = coupled if optimizer in ("SGD", "Adam") else decoupled
    direction = _direction(optimizer, momentum, betas, eps)

    rows, state, kept = own["X"].flatten(0, 1), None, []
    first = torch.arange(0, len(rows), n_rows, device=X.device)[:, None]  # of each network's own, or of all
    batches = _batches(n_rows, batch_size, generators)
    for step in range(n_steps):
        batch = next(batches).to(X.device)
        theta.requires_grad_()
        loss = Networks(theta, sizes).losses(F.embedding(first + batch, rows), y.gather(1, batch)).sum()
        (gradient,) = torch.autograd.grad(loss, theta)
        theta = theta.detach()
        now = lr * (1 + math.cos(math.pi * step / n_steps)) / 2 if schedule == "cosine" else lr
        theta, state = rule(theta, gradient, state, direction, lr=now, weight_decay=weight_decay)
        if step + 1 in record:
            kept.append(Networks(theta.detach(), sizes))
    return kept


def _rows(X: Array, y: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Return X of two or three dimensions, and class indices with as many rows."""
    X = _arguments.finite("X", X).detach()
    if X.ndim not in (2, 3):
        raise ValueError(f"X must have 2 or 3 dimensions, got shape {tuple(X.shape)}")
    labels = _arguments.finite("y", y).detach()
    if labels.ndim not in (1, 2) or labels.shape[-1] != X.shape[-2]:
        shapes = f"{tuple(X.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"X and y must have as many rows, and a class each, got shapes {shapes}")
    if (labels < 0).any() or (labels != labels.round()).any() or labels.max() >= MOST_CLASSES:
        raise ValueError(f"y must hold class indices from 0 to {MOST_CLASSES - 1}")
    return X, labels.long()


def _seeds(seeds: Sequence[int]) -> list[int]:
    found = _arguments.counts("seeds", seeds, minimum=0)
    if not found:
        raise ValueError("seeds must not be empty")
    return found


def _setting(name: str, value: Array, X: torch.Tensor) -> torch.Tensor:
    """Return a number, or one for each network, as a column in the dtype of X."""
    numbers = _arguments.finite(name, value).detach()
    if numbers.ndim > 1:
        raise ValueError(f"{name} must be a number or one a network, got shape {tuple(numbers.shape)}")
    least = numbers.min().item()
    if least < 0 or (name == "lr" and least == 0):
        raise ValueError(f"{name} must be {'>' if name == 'lr' else '>='} 0, got {least:g}")
    return _arguments.finite(f"{name} in {X.dtype}", numbers.to(X)).reshape(-1, 1)


def _one_a_network(own: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Return all with the same first dimension; what is one for all is repeated, and nothing copied."""
    several = {name: len(part) for name, part in own.items() if len(part) > 1}
    if len(set(several.values())) > 1:
        numbers = ", ".join(f"{name} for {n}" for name, n in several.items())
        raise ValueError(f"all must be for one network or for as many, got {numbers}")
    n_networks = max(several.values(), default=1)
    return [part.expand(n_networks, *part.shape[1:]) for part in own.values()]


def _direction(optimizer: str, momentum: float, betas: tuple[float, float], eps: float) -> Any:
    momentum = _arguments.number("momentum", momentum)
    if optimizer in ("SGD", "SGDW"):
        return partial(sgd, momentum=momentum)
    if momentum:
        raise ValueError(f"momentum belongs to SGD and SGDW, got optimizer={optimizer!r}")
    if not isinstance(betas, tuple) or len(betas) != 2:
        raise TypeError(f"betas must be two numbers, got {betas!r}")
    if max(_arguments.number("betas", beta) for beta in betas) >= 1:
        raise ValueError(f"betas must be below 1, got {betas}")
    return partial(adam, betas=betas, eps=_arguments.number("eps", eps, strict=True))


def _start(sizes: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Return the parameters of one network, each layer's within 1/sqrt(n_in) of zero."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers.append(
            (2 * torch.rand((n_in + 1) * n_out, generator=generator, device="cpu") - 1) / math.sqrt(n_in)
        )
    return torch.cat(layers)


def _decayed(sizes: tuple[int, ...], decay_bias: bool) -> torch.Tensor:
    """Return 1 for each parameter that is decayed and 0 for the others, as a row."""
    marks = [([1.0] * n_in * n_out, [float(decay_bias)] * n_out) for n_in, n_out in pairwise(sizes)]
    return torch.tensor([mark for weight, bias in marks for mark in (*weight, *bias)], device="cpu")


def _batches(n_rows: int, batch_size: int, generators: list[torch.Generator]) -> Iterator[torch.Tensor]:
    """Yield the rows of each network's next batch, without end."""
    while True:
        epoch = torch.stack(
            [torch.randperm(n_rows, generator=generator, device="cpu") for generator in generators]
        )
        for first in range(0, n_rows - batch_size + 1, batch_size):
            yield epoch[:, first : first + batch_size]
