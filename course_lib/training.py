"""One training loop, and the history it returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer

from course_lib import _arguments
from course_lib._arguments import Array, Loss

__all__ = ["History", "train"]


@dataclass(frozen=True)
class History:
    """What `train` saw, epoch by epoch.

    Attributes
    ----------
    loss : Tensor of shape (n_epochs,)
        Mean loss of the epoch's batches, each computed before its own step, without any penalty
        that the optimizer adds.
    parameters : dict of str to Tensor of shape (n_epochs, \\*parameter.shape)
        Each parameter after the epoch's last step, under its name in ``model.named_parameters()``.
        ``history[name]`` is short for ``history.parameters[name]``.

    Notes
    -----
    ``torch.save(vars(history), file)`` saves it as a dict of tensors, which torch loads without trusting the
    file: ``History(**torch.load(file))``. Saved as it is, it needs ``weights_only=False``.
    """

    loss: torch.Tensor
    parameters: dict[str, torch.Tensor]

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.parameters[name]


def train(
    model: nn.Module,
    X: Array,
    y: Array,
    optimizer: Optimizer,
    *,
    loss_fn: Loss = F.binary_cross_entropy,
    n_epochs: int = 101,
    batch_size: int | None = None,
) -> History:
    r"""Train a model in place with any torch optimizer, and record every epoch.

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

    losses = torch.empty(n_epochs, dtype=torch.float64, device="cpu")
    traces = {name: p.new_empty((n_epochs, *p.shape)) for name, p in model.named_parameters()}
    for epoch in range(n_epochs):
        total = 0.0
        for X_batch, y_batch in zip(X.split(batch_size), y.split(batch_size), strict=True):
            closure = partial(_gradients, model, X_batch, y_batch, optimizer, loss_fn)
            try:
                with _arguments.within("optimizer.step()"):
                    loss: Any = optimizer.step(closure)
            except ValueError:
                _check_finite(model)  # binary_cross_entropy refuses NaN with an error of its own
                raise
            total += loss.item() * len(X_batch)
        if not math.isfinite(total):
            raise ValueError(
                f"optimizer: the loss is {total} at epoch {epoch}; a smaller lr may help, "
                "unless it is loss_fn(model(X), y) itself that overflows"
            )
        losses[epoch] = total / len(X)
        for name, parameter in model.named_parameters():
            traces[name][epoch] = parameter.detach()
    _check_finite(model)
    return History(losses, traces)


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
