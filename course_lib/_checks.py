"""Argument checks shared by the public functions: each error names the argument and its value."""

import math
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import torch


def finite(name, value, ndim=None):
    """Return `value` as a finite floating tensor; what is not floating yet becomes float64."""
    try:
        tensor = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be an array of real numbers, got {value!r}") from error
    if tensor.is_complex():
        raise TypeError(f"{name} must be an array of real numbers, got {value!r}")
    if not tensor.is_floating_point():
        tensor = tensor.double()
    if ndim is not None and tensor.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {tuple(tensor.shape)}")
    if tensor.numel() == 0:
        raise ValueError(f"{name} must not be empty, got shape {tuple(tensor.shape)}")
    if not math.isfinite(tensor.detach().sum()) and not torch.isfinite(tensor).all():  # a finite sum is quick
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return tensor


def axis(name, value):
    """Return `value` as a vector that increases and has two entries or more."""
    values = finite(name, value, ndim=1).detach()
    if len(values) < 2 or not (values.diff() > 0).all():
        raise ValueError(f"{name} must increase and have two values or more, got {values.tolist()[:5]}")
    return values


def number(name, value, *, minimum=0.0, strict=False):
    """Return `value` as a float that is at least `minimum` (above it when `strict`)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    if not math.isfinite(real) or real < minimum or (strict and real == minimum):
        raise ValueError(f"{name} must be finite and {'>' if strict else '>='} {minimum:g}, got {value!r}")
    return real


def count(name, value, *, minimum=1):
    """Return `value` as an int from `minimum` to the largest that torch takes."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value!r}")
    if value >= 2**63:
        raise ValueError(f"{name} must be below 2**63, got {value!r}")
    return int(value)


def flag(name, value):
    """Return `value`, which must be True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def floating(name, dtype):
    """Return `dtype`, which must be a floating torch dtype."""
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(f"{name} must be a floating torch dtype, got {dtype!r}")
    return dtype


def function(name, value):
    """Return `value`, which must be callable."""
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {value!r}")
    return value


def mapping(name, value, *, empty=False):
    """Return `value`, which must be a dict, and unless `empty` with something in it."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, got {value!r}")
    if not (value or empty):
        raise ValueError(f"{name} must not be empty")
    return value


def module(name, value):
    """Return `value`, which must be a torch module."""
    if not isinstance(value, torch.nn.Module):
        raise TypeError(f"{name} must be a torch.nn.Module, got {value!r}")
    return value


def rows(X, y):
    """Return X and y as finite tensors with as many rows; class labels and indices stay integers."""
    X, y = _rows("X", X), _rows("y", y)
    if len(X) != len(y):
        raise ValueError(f"X and y must have as many rows, got shapes {tuple(X.shape)} and {tuple(y.shape)}")
    return X, y


def _rows(name, value):
    tensor = finite(name, value)
    if tensor.ndim == 0:
        raise ValueError(f"{name} must have one row a sample, got the number {tensor.item():g}")
    return value if isinstance(value, torch.Tensor) else tensor


def samples(X, y):
    """Return X, shape (n_samples, n_features), and y, shape (n_samples,) of zeros and ones, detached."""
    X = finite("X", X, ndim=2).detach()
    y = finite("y", y, ndim=1).detach()
    if len(X) != len(y):
        raise ValueError(f"X and y must have one row and one label per sample, got {len(X)} and {len(y)}")
    if not ((y == 0) | (y == 1)).all():
        raise ValueError(f"y must hold only the labels 0 and 1, got {sorted(set(y.tolist()))}")
    return X, y.to(X)


def two_classes(y):
    """Raise unless both labels occur in y."""
    if y.min() == y.max():
        raise ValueError(f"y must contain both labels, got only {y[0].item():g}")
