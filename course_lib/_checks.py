"""Argument checks shared by the public functions: each error names the argument and its value."""

import math
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
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return tensor


def number(name, value, *, minimum=0.0, strict=False):
    """Return `value` as a float that is at least `minimum` (above it when `strict`)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    if not math.isfinite(value) or value < minimum or (strict and value == minimum):
        raise ValueError(f"{name} must be finite and {'>' if strict else '>='} {minimum:g}, got {value!r}")
    return float(value)


def count(name, value, *, minimum=1):
    """Return `value` as an int that is at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value!r}")
    return int(value)


def samples(X, y):
    """Return X, shape (n_samples, n_features), and y, shape (n_samples,) of zeros and ones."""
    X = finite("X", X, ndim=2)
    y = finite("y", y, ndim=1)
    if len(X) != len(y):
        raise ValueError(f"X and y must have one row and one label per sample, got {len(X)} and {len(y)}")
    if not ((y == 0) | (y == 1)).all():
        raise ValueError(f"y must hold only the labels 0 and 1, got {sorted(set(y.tolist()))}")
    return X, y.to(X)


def two_classes(y):
    """Raise unless both labels occur in y."""
    if y.min() == y.max():
        raise ValueError(f"y must contain both labels, got only {y[0].item():g}")
