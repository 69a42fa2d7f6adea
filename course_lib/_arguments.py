"""Argument checks shared by the public functions: each error names the argument and its value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.nn import functional

Array: TypeAlias = ArrayLike | torch.Tensor  # what `finite` takes
Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of prediction and target
K = TypeVar("K")
V = TypeVar("V")
F = TypeVar("F", bound=Callable[..., object])


@contextmanager
def within(name: str) -> Iterator[None]:
    """Put `name` before the error of what is done to a part of an argument, or by a function that is one."""
    try:
        yield
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {error}") from error


def finite(
    name: str, value: Array, ndim: int | None = None, *, empty: bool = False, imaginary: bool = False
) -> torch.Tensor:
    """Return `value` as a finite floating tensor; what is not floating yet becomes float64.

    It may be empty, or complex, where told so.
    """
    tensor = _tensor(name, value)
    if tensor.is_complex() and not imaginary:
        raise TypeError(f"{name} must be an array of real numbers, got {value!r}")
    if not (tensor.is_floating_point() or tensor.is_complex()):
        tensor = tensor.double()
    if ndim is not None and tensor.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {tuple(tensor.shape)}")
    if tensor.numel() == 0 and not empty:
        raise ValueError(f"{name} must not be empty, got shape {tuple(tensor.shape)}")
    if not _is_finite(tensor.detach()):
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return tensor


def _tensor(name: str, value: Array) -> torch.Tensor:
    """Return `value` as a tensor of its own dtype, a copy unless it is one."""
    if isinstance(value, torch.Tensor):
        return value
    try:
        array = np.array(value)
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be an array of real numbers, got {value!r}") from error


def _is_finite(tensor: torch.Tensor) -> bool:
    """Return whether all entries are finite, as far as torch knows them."""
    quick = tensor.sum().isfinite()
    return known(quick, otherwise=False) or known(tensor.isfinite().all(), otherwise=True)


def known(condition: torch.Tensor, *, otherwise: bool) -> bool:
    """Return whether a condition holds, or `otherwise` where torch cannot know, as it computes it later."""
    if torch.compiler.is_compiling():
        return otherwise
    try:
        return bool(condition)
    except RuntimeError:  # under torch.func.vmap
        return otherwise


def like(given: object, result: torch.Tensor) -> Any:
    """Return a result as an ndarray where an ndarray was given."""
    return result.detach().cpu().numpy() if isinstance(given, np.ndarray) else result


def axis(name: str, value: Array) -> torch.Tensor:
    """Return `value` as a vector that increases and has two entries or more."""
    values = finite(name, value, ndim=1).detach()
    if len(values) < 2 or not (values.diff() > 0).all():
        raise ValueError(f"{name} must increase and have two values or more, got {values.tolist()[:5]}")
    return values


def interval(name: str, value: Array) -> torch.Tensor:
    """Return `value` as two increasing numbers in float64."""
    ends = finite(name, value, ndim=1).detach().cpu().double()
    if len(ends) != 2 or ends[0] >= ends[1]:
        raise ValueError(f"{name} must be two increasing numbers, got {value!r}")
    return ends


def number(
    name: str, value: float, *, minimum: float = 0.0, maximum: float = math.inf, strict: bool = False
) -> float:
    """Return `value` as a float from `minimum` (above it when `strict`) to `maximum`."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    if not abs(real) < math.inf or real < minimum or (strict and real == minimum):
        raise ValueError(f"{name} must be finite and {'>' if strict else '>='} {minimum:g}, got {value!r}")
    if real > maximum:
        raise ValueError(f"{name} must be at most {maximum:g}, got {value!r}")
    return real


def count(name: str, value: int, *, minimum: int = 1, maximum: int = 2**63 - 1) -> int:
    """Return `value` as an int from `minimum` to `maximum`, the largest that torch takes unless told."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value!r}")
    if value >= 2**63:
        raise ValueError(f"{name} must be below 2**63, got {value!r}")
    if value > maximum:
        raise ValueError(f"{name} must be at most {maximum:g}, got {value!r}")
    return int(value)


def counts(name: str, values: Iterable[int], *, minimum: int = 1) -> list[int]:
    """Return `values` as a list of such ints."""
    if isinstance(values, (np.ndarray, torch.Tensor)):
        values = values.tolist()
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a sequence of integers, got {values!r}")
    return [count(name, value, minimum=minimum) for value in values]


def flag(name: str, value: bool) -> bool:
    """Return `value`, which must be True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    """Return `value`, which must be one of these strings."""
    if not isinstance(value, str) or value not in choices:
        *others, last = (f'"{known}"' for known in choices)
        raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {value!r}")
    return value


def floating(name: str, dtype: torch.dtype) -> torch.dtype:
    """Return `dtype`, which must be a floating torch dtype."""
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(f"{name} must be a floating torch dtype, got {dtype!r}")
    return dtype


def function(name: str, value: F) -> F:
    """Return `value`, which must be callable."""
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {value!r}")
    return value


def mapping(name: str, value: Mapping[K, V], *, empty: bool = False) -> Mapping[K, V]:
    """Return `value`, which must be a dict, and unless `empty` with something in it."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, got {value!r}")
    if not (value or empty):
        raise ValueError(f"{name} must not be empty")
    return value


def module(name: str, value: torch.nn.Module) -> torch.nn.Module:
    """Return `value`, which must be a torch module."""
    if not isinstance(value, torch.nn.Module):
        raise TypeError(f"{name} must be a torch.nn.Module, got {value!r}")
    return value


def dtype_of(model: nn.Module) -> torch.dtype | None:
    """Return what a model computes in: the dtype of its first floating parameter, if it has one."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), None)


def rows(X: Array, y: Array, dtype: torch.dtype | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return X and y as finite tensors with as many rows.

    Tensors stay as they are; the numbers of arrays and lists get `dtype`, if given. Labels, the integers
    and bools of y, stay what they are, as `targets` knows what a loss makes of them.
    """
    X, y = _rows("X", X, dtype), _rows("y", y, dtype, labels=True)
    if len(X) != len(y):
        raise ValueError(f"X and y must have as many rows, got shapes {tuple(X.shape)} and {tuple(y.shape)}")
    return X, y


def _rows(name: str, value: Array, dtype: torch.dtype | None, *, labels: bool = False) -> torch.Tensor:
    tensor, numbers = _tensor(name, value), finite(name, value)
    if tensor.ndim == 0:
        raise ValueError(f"{name} must have one row a sample, got the number {tensor.item():g}")
    if isinstance(value, torch.Tensor) and tensor.dtype != torch.bool:
        return tensor
    if labels and not tensor.is_floating_point():
        return tensor
    return finite(f"{name} in {dtype}", numbers.to(dtype))  # which may be too narrow


def targets(loss_fn: Loss, prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return y as `loss_fn` takes it beside such predictions; raise where it would be broadcast.

    Labels of the shape of the predictions become numbers like them, others class indices.
    """
    if not isinstance(prediction, torch.Tensor):  # what only the reader's own loss understands
        return y
    if not y.is_floating_point():
        indices = loss_fn is functional.multilabel_margin_loss or isinstance(loss_fn, nn.MultiLabelMarginLoss)
        y = y.long() if indices or y.shape != prediction.shape else y.to(prediction.dtype)
    if y.shape != prediction.shape and _broadcasts(loss_fn, prediction, y):
        shapes = f"{tuple(prediction.shape)}, got {tuple(y.shape)}"
        raise ValueError(f"y must have the shape of the predictions, {shapes}")
    return y


def _broadcasts(loss_fn: Loss, prediction: torch.Tensor, y: torch.Tensor) -> bool:
    """Return whether unequal shapes would be brought together entry by entry.

    A column beside a vector becomes a square, whatever the loss. Other shapes that fit may be meant so by
    a loss of the reader's; torch's own compare numbers entry by entry, and take only indices otherwise.
    """
    try:
        shape = torch.broadcast_shapes(prediction.shape, y.shape)
    except RuntimeError:
        return False
    if shape not in (prediction.shape, y.shape):
        return True
    function = loss_fn.func if isinstance(loss_fn, partial) else loss_fn
    return y.is_floating_point() and str(getattr(function, "__module__", "")).startswith("torch.nn")


def samples(X: Array, y: Array) -> tuple[torch.Tensor, torch.Tensor]:
    """Return X, shape (n_samples, n_features), and y, shape (n_samples,) of zeros and ones, detached."""
    X = finite("X", X, ndim=2).detach()
    y = finite("y", y, ndim=1).detach()
    if len(X) != len(y):
        raise ValueError(f"X and y must have one row and one label per sample, got {len(X)} and {len(y)}")
    if not ((y == 0) | (y == 1)).all():
        raise ValueError(f"y must hold only the labels 0 and 1, got {sorted(set(y.tolist()))}")
    return X, y.to(X)


def power_of_two(size: float) -> float:
    """Return the largest power of two that is not above `size` > 0: a division by it is exact."""
    return math.ldexp(0.5, math.frexp(size)[1])


def features(X: torch.Tensor, weight: torch.Tensor) -> None:
    """Raise unless `weight` has one entry a column of X."""
    if len(weight) != X.shape[1]:
        raise ValueError(
            f"weight must have one entry a feature of X, got {len(weight)} for {X.shape[1]} features"
        )


def two_classes(y: torch.Tensor) -> None:
    """Raise unless both labels occur in y."""
    if y.min() == y.max():
        raise ValueError(f"y must contain both labels, got only {y[0].item():g}")
