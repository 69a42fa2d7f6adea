"""Data sets of the book, each a pure function of its arguments, and the column of ones."""

from __future__ import annotations

import numpy as np
import torch

from course_lib import _arguments
from course_lib._arguments import Array

__all__ = ["augment", "curved_points", "noisy_sine", "separable", "two_points"]


def two_points(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two labelled points of the forum's perceptron.

    Parameters
    ----------
    dtype : torch.dtype, default=torch.float32
        A floating dtype; the question trained in float32.

    Returns
    -------
    X : Tensor of shape (2, 2)
        The points (3, 2) and (1, 1), in the units of the plane.
    y : Tensor of shape (2,)
        Their labels 1 and 0.

    Raises
    ------
    TypeError
        If `dtype` is not a floating torch dtype.

    References
    ----------
    PyTorch forum, thread 112517.

    Examples
    --------
    >>> from course_lib.data import two_points
    >>> X, y = two_points()
    >>> X.tolist(), y.tolist()
    ([[3.0, 2.0], [1.0, 1.0]], [1.0, 0.0])
    """
    _arguments.floating("dtype", dtype)
    X = torch.tensor([[3.0, 2.0], [1.0, 1.0]], dtype=dtype, device="cpu")
    return X, X.new_tensor([1.0, 0.0])


def curved_points(
    dtype: torch.dtype = torch.float32, *, n_samples: int = 50, seed: int = 20240215
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return noisy points on a parabola, to which chapter 4's source fits a line.

    .. math:: y_i = \tfrac34 x_i^2 + x_i + 2 + 0.3\,\varepsilon_i

    with all :math:`x_i` and then all :math:`\varepsilon_i` from a standard normal distribution, by
    NumPy's legacy generator, rounded to float32.

    Parameters
    ----------
    dtype : torch.dtype, default=torch.float32
        A floating dtype; others than float32 hold the rounded values.
    n_samples : int, default=50
        The source's number.
    seed : int, default=20240215
        The source's seed; below 2**32, as NumPy wants it.

    Returns
    -------
    X : Tensor of shape (n_samples, 1)
    y : Tensor of shape (n_samples, 1)

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range or of another type.

    Examples
    --------
    >>> from course_lib.data import curved_points
    >>> X, y = curved_points()
    >>> X.shape, round(X.std().item(), 2)
    (torch.Size([50, 1]), 0.82)
    """
    _arguments.floating("dtype", dtype)
    n_samples = _arguments.count("n_samples", n_samples)
    generator = _generator(seed)
    x = generator.randn(n_samples, 1).astype(np.float32)
    y = (0.75 * x**2 + 1.0 * x + 2.0 + 0.3 * generator.randn(n_samples, 1)).astype(np.float32)
    return torch.from_numpy(x).to(dtype), torch.from_numpy(y).to(dtype)


def noisy_sine(
    n_samples: int, *, noise: float = 0.3, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return noisy points on one period of a sine.

    .. math:: y_i = \sin(\pi x_i) + s\,\varepsilon_i

    with all :math:`x_i` uniform between -1 and 1, and then all :math:`\varepsilon_i` from a standard
    normal distribution, by NumPy's legacy generator. No model has a mean squared error below
    :math:`s^2` on new points, but by chance.

    Parameters
    ----------
    n_samples : int
        Number of points.
    noise : float, default=0.3
        Standard deviation :math:`s \ge 0` of the noise, in units of y.
    seed : int, default=0
        The data is a pure function of the arguments and this seed; below 2**32, as NumPy wants it.
    dtype : torch.dtype, default=torch.float64
        A floating dtype.

    Returns
    -------
    X : Tensor of shape (n_samples, 1)
    y : Tensor of shape (n_samples, 1)

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range or of another type, or y overflows `dtype`.

    Examples
    --------
    >>> from course_lib.data import noisy_sine
    >>> X, y = noisy_sine(15, noise=0.0)
    >>> X.shape, round(y.max().item(), 2)
    (torch.Size([15, 1]), 0.98)
    """
    n_samples = _arguments.count("n_samples", n_samples)
    noise = _arguments.number("noise", noise)
    _arguments.floating("dtype", dtype)
    generator = _generator(seed)
    X = torch.from_numpy(generator.uniform(-1, 1, (n_samples, 1)))
    y = torch.sin(torch.pi * X) + noise * torch.from_numpy(generator.randn(n_samples, 1))
    return X.to(dtype), _arguments.finite("y, with this noise,", y.to(dtype))


def _generator(seed: int) -> np.random.RandomState:
    seed = _arguments.count("seed", seed, minimum=0)
    if seed >= 2**32:
        raise ValueError(f"seed must be below 2**32, got {seed}")
    return np.random.RandomState(seed)


def separable(
    n_samples: int,
    n_features: int = 2,
    *,
    margin: float = 0.5,
    offset: float = 1.0,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Draw two Gaussian clouds on either side of a random hyperplane.

    With u a random unit vector, both clouds have unit variance and are moved along u until the
    closest point of each is `margin` away from the hyperplane :math:`u \cdot x = \text{offset}`.
    The labels are drawn with equal probability.

    Parameters
    ----------
    n_samples : int
        Number of points, at least 2.
    n_features : int, default=2
        Dimension of the space, at least 1.
    margin : float, default=0.5
        Distance of the closest point of each class to that hyperplane, positive.
    offset : float, default=1.0
        Distance of the hyperplane from the origin, at least 0.
    seed : int, default=0
        The data is a pure function of the arguments and this seed.
    dtype : torch.dtype, default=torch.float64
        A floating dtype.

    Returns
    -------
    X : Tensor of shape (n_samples, n_features)
    y : Tensor of shape (n_samples,)
        Labels 0 and 1; both occur.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range or of another type, or `margin` is lost in rounding.

    Examples
    --------
    >>> from course_lib.data import separable
    >>> X, y = separable(40, 3, seed=7)
    >>> X.shape, sorted(set(y.tolist()))
    (torch.Size([40, 3]), [0.0, 1.0])
    """
    n_samples = _arguments.count("n_samples", n_samples, minimum=2)
    n_features = _arguments.count("n_features", n_features)
    margin = _arguments.number("margin", margin, strict=True)
    offset = _arguments.number("offset", offset)
    _arguments.floating("dtype", dtype)
    generator = torch.Generator().manual_seed(_arguments.count("seed", seed, minimum=0))
    u = torch.randn(n_features, generator=generator, dtype=torch.float64, device="cpu")
    u = u / u.norm()
    X = torch.randn(n_samples, n_features, generator=generator, dtype=torch.float64, device="cpu")
    y = torch.rand(n_samples, generator=generator, dtype=torch.float64, device="cpu").round()
    y[0], y[1] = 0, 1
    along = X @ u
    above, below = offset + margin - along[y == 1].min(), offset - margin - along[y == 0].max()
    X = (X + torch.outer(torch.where(y == 1, above, below), u)).to(dtype)
    along = X.double() @ u
    if not along[y == 1].min() > along[y == 0].max():
        raise ValueError(f"margin = {margin:g} is lost in rounding to {dtype} at offset = {offset:g}")
    return X, y.to(dtype)


def augment(X: Array, constant: float = 1.0) -> torch.Tensor:
    r"""Append a constant feature, so that the bias becomes one more weight.

    .. math:: w \cdot x + b = (w, b/k) \cdot (x, k)

    Parameters
    ----------
    X : Tensor of shape (n_samples, n_features)
    constant : float, default=1.0
        :math:`k > 0`. Descent on the weight of the constant k moves the bias as a learning rate
        :math:`k^2` times as large would.

    Returns
    -------
    Tensor of shape (n_samples, n_features + 1)

    Raises
    ------
    ValueError, TypeError
        If `X` is not a finite matrix, or `constant` not positive.

    Examples
    --------
    >>> from course_lib.data import augment
    >>> augment([[3.0, 2.0]]).tolist()
    [[3.0, 2.0, 1.0]]
    """
    X = _arguments.finite("X", X, ndim=2)
    constant = _arguments.number("constant", constant, strict=True)
    return torch.cat([X, X.new_full((len(X), 1), constant)], dim=1)
