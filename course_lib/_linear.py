"""The fast path of landscapes: a mean loss over the residuals of a linear model with one output.

A line over a plane of parameters is a line again, so that a map is one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import nn

from course_lib._arguments import Loss
from course_lib.data import augment

Value: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of residuals, and zeros like them
Map: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
Terms: TypeAlias = tuple[Value, Map | None, float]
Line: TypeAlias = tuple[torch.Tensor, Terms, torch.Tensor]  # features, terms, targets

CHUNK = 2**16  # predictions held at a time: they stay in the cache, and memory does not grow
MODULES = {
    F.mse_loss: nn.MSELoss(),
    F.l1_loss: nn.L1Loss(),
    F.huber_loss: nn.HuberLoss(),
    F.smooth_l1_loss: nn.SmoothL1Loss(),
}


def features_of(model: nn.Module, X: torch.Tensor) -> torch.Tensor | None:
    """Return what the parameters of a linear model with one output are multiplied by, or None for others."""
    if type(model) is not nn.Linear or model.out_features != 1 or X.shape[1:] != (model.in_features,):
        return None
    X = X if X.is_floating_point() else X.double()
    return X if model.bias is None else augment(X)


def _terms(loss_fn: Loss) -> Terms | None:
    """Return what a mean over residuals is the mean of, its slope, and a factor of both; None for others.

    The slope of squares, which is linear, is None.
    """
    loss: object = next((module for function, module in MODULES.items() if function is loss_fn), loss_fn)
    if type(loss) not in map(type, MODULES.values()):  # a subclass may compute something else
        return None
    match loss:
        case nn.MSELoss(reduction="mean"):
            return _square, None, 1
        case nn.L1Loss(reduction="mean"):
            return lambda r, zero: r.abs_(), lambda r: r.sign_(), 1
        case nn.HuberLoss(reduction="mean", delta=bound) if bound > 0:
            return *_huber(bound), 1
        case nn.SmoothL1Loss(reduction="mean", beta=bound) if bound > 0:
            return *_huber(bound), 1 / bound
    return None


def _huber(bound: float) -> tuple[Value, Map]:
    return partial(F.huber_loss, reduction="none", delta=bound), lambda r: r.clamp_(-bound, bound)


def _square(r: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    return r.square_()


def line(model: nn.Module, X: torch.Tensor, y: torch.Tensor, loss_fn: Loss) -> Line | None:
    """Return what makes up a mean loss of a linear model with one output, or None for others."""
    features, terms = features_of(model, X), _terms(loss_fn)
    if features is None or terms is None or y.shape != (len(X), 1):
        return None
    return features, terms, y.to(features)


def losses_of(line: Line, plane: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of each cell, a row (x, y, 1), of a linear model with one output."""
    features, (value, _, factor), y = line
    columns = plane @ features.T  # a line over a plane is a line again: the residuals are cells @ columns
    columns[2] -= y[:, 0]
    if value is _square:  # three points have the same sum of squares, wherever the cells are
        columns = torch.linalg.qr(columns.T.double(), mode="r").R.T
    cells, zero, size = cells.to(columns), columns.new_zeros(()), at_once(columns[0])
    shares = columns.new_full((columns.shape[1],), factor / len(y))  # a product with it is a mean, and faster
    means = cells.new_empty(len(cells))  # made first: small results between large ones scatter the memory
    for part, place in zip(cells.split(size), means.split(size), strict=True):
        residuals = part @ columns
        torch.mv(value(residuals, zero.expand_as(residuals)), shares, out=place)
    return means


def gradient_of(line: Line) -> Map:
    """Return a function of parameter vectors, one a column: the gradient of the mean loss at each."""
    features, (_, slope, factor), y = line
    shares = features.T * (factor / len(y))
    if slope is None:  # the slope of squares is linear: the data are needed once
        curvature, pull = 2 * shares @ features, 2 * shares @ y
        return lambda theta: torch.addmm(pull, curvature, theta, beta=-1)
    return lambda theta: torch.cat(
        [shares @ slope((features @ part).sub_(y)) for part in theta.split(at_once(y), dim=1)], dim=1
    )


def at_once(y: torch.Tensor) -> int:
    return max(1, CHUNK // y.numel())
