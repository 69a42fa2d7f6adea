"""One training loop, and the history it returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from course_lib import _arguments
from course_lib._arguments import Array, Loss

__all__ = ["History", "train"]


@dataclass(frozen=True)
class History:
    """What `train` saw, epoch by epoch or step by step.

    Attributes
    ----------
    loss : Tensor of shape (n_records,)
        Mean loss of the batches since the last record, each computed before its own step, without any
        penalty that the optimizer adds.
    parameters : dict of str to Tensor of shape (n_records, \\*parameter.shape)
        Each parameter after the record's last step, under its name in ``model.named_parameters()``.
        ``history[name]`` is short for ``history.parameters[name]``.
    theta : Tensor of shape (n_records, n_parameters)
        All parameters of each record as one vector, in the order of ``model.parameters()``.

    Notes
    -----
    ``torch.save(vars(history), file)`` saves it as a dict of tensors, which torch loads without trusting the
    file: ``History(**torch.load(file))``. Saved as it is, it needs ``weights_only=False``.
    """

    loss: torch.Tensor
    parameters: dict[str, torch.Tensor]

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.parameters[name]

    @property
    def theta(self) -> torch.Tensor:
        return torch.cat([trace.flatten(1) for trace in self.parameters.values()], dim=1)


def train(
    model: nn.Module,
    X: Array,
    y: Array,
    optimizer: Optimizer,
    *,
    loss_fn: Loss = F.binary_cross_entropy,
    n_epochs: int = 101,
    batch_size: int | None = None,
    scheduler: LRScheduler | None = None,
    record: Literal["epoch", "step"] = "epoch",
) -> History:
    r"""Train a model in place with any torch optimizer, and record every epoch or every step.

    Each step is the usual one: ``optimizer.zero_grad()``, ``loss_fn(model(X), y).backward()``,
    ``optimizer.step()``, the first two as a closure for optimizers that evaluate them more than once.
    Batches are taken in the order of the rows.

    Parameters
    ----------
    model : nn.Module
        Trained in place, as torch does. Its output for a batch must suit `loss_fn`.
    X : Tensor or array of shape (n_samples, n_features)
        A tensor stays as it is: it needs the dtype of `model`, as in torch, and integers are indices, for
        an embedding. An array or a list becomes a tensor of that dtype.
    y : Tensor or array of shape (n_samples,) or (n_samples, n_targets)
        Labels, integers or bools, become numbers where predictions have the same shape; elsewhere they are
        class indices, as ``F.cross_entropy`` takes them. What is floating is treated like X.
    optimizer : torch.optim.Optimizer
        Made on parameters of `model`. What its ``weight_decay`` means is the optimizer's affair:
        torch.optim.SGD adds ``weight_decay * parameter`` to the gradient (there is a 1/2 in the
        penalty, the step multiplies it by lr, and a bias in the group is decayed too).
    loss_fn : callable, default=F.binary_cross_entropy
        ``loss_fn(prediction, target)`` returns a scalar: any loss of torch, or your own.
    n_epochs : int, default=101
        Number of passes over the data.
    batch_size : int, optional
        Rows a batch; all of them when None. The last batch may be smaller.
    scheduler : torch.optim.lr_scheduler.LRScheduler, optional
        Made on `optimizer`; ``scheduler.step()`` is called after every step of the optimizer.
    record : {"epoch", "step"}, default="epoch"
        After what the parameters are recorded.

    Returns
    -------
    History

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range, X, y or a parameter of `model` is not finite, the optimizer
        holds no parameter of `model` or has a learning rate that is not positive, a step on
        ``loss_fn(model(X), y)`` fails, the loss stops being finite, or y would be broadcast: beside
        predictions of shape (n_samples, 1) a y of shape (n_samples,) would count for every row.

    Examples
    --------
    >>> import torch
    >>> from course_lib.data import two_points
    >>> from course_lib.models import Perceptron
    >>> from course_lib.training import train
    >>> model = Perceptron(seed=0)
    >>> history = train(model, *two_points(), torch.optim.SGD(model.parameters(), lr=1.0))
    >>> history["linear.weight"].shape
    torch.Size([101, 1, 2])
    >>> f"{history.loss[-1]:.4f}"
    '0.0508'
    """
    _check_model(model, optimizer)
    X, y = _arguments.rows(X, y, _arguments.dtype_of(model))
    _arguments.function("loss_fn", loss_fn)
    n_epochs = _arguments.count("n_epochs", n_epochs)
    batch_size = len(X) if batch_size is None else _arguments.count("batch_size", batch_size)

    if scheduler is not None and getattr(scheduler, "optimizer", None) is not optimizer:
        raise ValueError(f"scheduler must be one of torch's made on optimizer, got {scheduler!r}")
    every_step = _arguments.choice("record", record, ("epoch", "step")) == "step"

    batches = list(zip(X.split(batch_size), y.split(batch_size), strict=True))
    groups = [[batch] for batch in batches] if every_step else [batches]
    losses: list[float] = []
    traces: dict[str, list[torch.Tensor]] = {name: [] for name, _ in model.named_parameters()}
    for _ in range(n_epochs):
        for group in groups:
            losses.append(_steps(model, group, optimizer, loss_fn, scheduler, f"{record} {len(losses)}"))
            for name, parameter in model.named_parameters():
                traces[name].append(parameter.detach().clone())
    _check_finite(model)
    return History(
        torch.tensor(losses, dtype=torch.float64, device="cpu"),
        {name: torch.stack(trace) for name, trace in traces.items()},
    )


def _steps(
    model: nn.Module,
    batches: list[tuple[torch.Tensor, torch.Tensor]],
    optimizer: Optimizer,
    loss_fn: Loss,
    scheduler: LRScheduler | None,
    place: str,
) -> float:
    """Take a step on each batch; return the mean loss of their rows."""
    total = 0.0
    for X, y in batches:
        closure = partial(_gradients, model, X, y, optimizer, loss_fn)
        try:
            with _arguments.within("optimizer.step()"):
                loss: Any = optimizer.step(closure)
        except ValueError:
            _check_finite(model)  # binary_cross_entropy refuses NaN with an error of its own
            raise
        if scheduler is not None:
            scheduler.step()
        total += loss.item() * len(X)
    if not math.isfinite(total):
        raise ValueError(
            f"optimizer: the loss is {total} at {place}; a smaller lr may help, "
            "unless it is loss_fn(model(X), y) itself that overflows"
        )
    return total / sum(len(X) for X, _ in batches)


def _gradients(
    model: nn.Module, X: torch.Tensor, y: torch.Tensor, optimizer: Optimizer, loss_fn: Loss
) -> Any:  # a Tensor, where the annotations of torch's optimizers ask for a float
    """Return the loss of a batch and leave its gradients in the model."""
    optimizer.zero_grad()
    with _arguments.within(f"with X in {X.dtype}, model(X)"):
        prediction = model(X)
    with _arguments.within(f"with y in {y.dtype}, loss_fn(model(X), y)"):
        y = _arguments.targets(loss_fn, prediction, y)
        loss = loss_fn(prediction, y)
        loss.backward()
    return loss


def _check_finite(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ValueError(
                f"optimizer: {name} is no longer finite; a smaller lr may help, "
                "unless it is the gradient of loss_fn(model(X), y) that overflows"
            )


def _check_model(model: nn.Module, optimizer: Optimizer) -> None:
    _arguments.module("model", model)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {optimizer!r}")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not held & {id(p) for p in model.parameters()}:
        raise ValueError("optimizer must hold parameters of model, got those of another")
    for group in optimizer.param_groups:
        with _arguments.within("optimizer"):
            _arguments.number("optimizer's lr", float(group["lr"]), strict=True)
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ValueError(f"model must be finite, got NaN or infinity in {name}")
