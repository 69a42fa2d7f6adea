"""Where a linear classifier's boundary lies: angles, distances, bisectors and maximal margins.

A classifier is a `course_lib.models.LinearModel`, or any pair (weight, bias): it says 1 where
``X @ weight + bias`` is positive, and its boundary is where that is zero.
"""

from __future__ import annotations

import numpy as np
import torch

from course_lib import _arguments, _solvers
from course_lib._arguments import Array
from course_lib.models import LinearModel

__all__ = [
    "angle",
    "angle_between",
    "bisector",
    "boundary_segment",
    "max_margin",
    "signed_distance",
]


def angle(weight: Array) -> torch.Tensor:
    r"""Return the direction of a weight vector in the plane, in degrees.

    .. math:: \operatorname{atan2}(w_2, w_1) \in (-180°, 180°]

    The boundary is perpendicular to the weight, so it turns by as much.

    Parameters
    ----------
    weight : Tensor of shape (..., 2)
        One weight vector or many, none of them zero.

    Returns
    -------
    Tensor of shape (...)
        Degrees, counted from the first axis, anticlockwise.

    Raises
    ------
    ValueError
        If the last dimension is not 2, or a vector is zero or not finite.

    Examples
    --------
    >>> import torch
    >>> from course_lib.geometry import angle
    >>> angle(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    tensor([ 0., 90.])
    """
    weight = _nonzero("weight", weight)
    if weight.shape[-1] != 2:
        raise ValueError(f"weight must have a last dimension of 2, got shape {tuple(weight.shape)}")
    return torch.rad2deg(torch.atan2(weight[..., 1] + 0.0, weight[..., 0]))  # + 0.0: -0 is 0


def angle_between(u: Array, v: Array) -> torch.Tensor:
    r"""Return the angle between two vectors, in degrees, accurate for small angles too.

    .. math:: 2\operatorname{atan2}(\|\hat u - \hat v\|, \|\hat u + \hat v\|)

    Parameters
    ----------
    u, v : Tensor of shape (..., n_features)
        Nonzero vectors of the same dimension; leading dimensions broadcast.

    Returns
    -------
    Tensor of shape (...)
        Degrees, from 0 to 180.

    Raises
    ------
    ValueError
        If the dimensions differ, or a vector is zero or not finite.

    References
    ----------
    W. Kahan, "How Futile are Mindless Assessments of Roundoff in Floating-Point Computation?", 2006.

    Examples
    --------
    >>> from course_lib.geometry import angle_between
    >>> print(f"{angle_between([1.0, 0.0, 0.0], [1.0, 1.0, 0.0]):.1f}")
    45.0
    """
    u, v = _nonzero("u", u), _nonzero("v", v)
    if u.shape[-1] != v.shape[-1]:
        raise ValueError(f"u and v must have the same dimension, got {u.shape[-1]} and {v.shape[-1]}")
    u, v = _unit(u), _unit(v)
    return torch.rad2deg(2 * torch.atan2((u - v).norm(dim=-1), (u + v).norm(dim=-1)))


def signed_distance(X: Array, weight: Array, bias: Array) -> torch.Tensor:
    r"""Return each point's distance to the boundary, positive on the side called 1.

    .. math:: \frac{w \cdot x + b}{\|w\|}

    Parameters
    ----------
    X : Tensor of shape (n_samples, n_features)
    weight : Tensor of shape (n_features,)
    bias : Tensor of shape () or float

    Returns
    -------
    Tensor of shape (n_samples,)
        In the units of `X`.

    Raises
    ------
    ValueError
        If shapes do not match, `weight` is zero, or a value, or a distance, is not finite.

    Examples
    --------
    >>> import torch
    >>> from course_lib.geometry import signed_distance
    >>> signed_distance(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([3.0, 4.0]), 0.0)
    tensor([5., 0.])
    """
    X = _arguments.finite("X", X, ndim=2)
    weight = _nonzero("weight", weight, ndim=1)
    _arguments.features(X, weight)
    bias = _arguments.finite("bias", bias, ndim=0)
    size = weight.abs().max()
    direction = (weight / size).to(X)
    distance = (X @ direction + (bias / size).to(X)) / direction.norm()
    return _arguments.finite("the distance of X to the boundary of weight and bias", distance)


def bisector(p: Array, q: Array) -> LinearModel:
    r"""Return the classifier whose boundary is the perpendicular bisector of two points.

    .. math:: w = \frac{2(p - q)}{\|p - q\|^2}, \qquad b = -w \cdot \frac{p + q}{2}

    It is scaled so that it gives p the value 1 and q the value -1.

    Parameters
    ----------
    p, q : Tensor of shape (n_features,)
        Two different points; p is on the side called 1.

    Returns
    -------
    LinearModel

    Raises
    ------
    ValueError
        If the points coincide, differ in dimension, or are not finite.

    Examples
    --------
    >>> from course_lib.geometry import bisector
    >>> weight, bias = bisector([3.0, 2.0], [1.0, 1.0])
    >>> print([round(w, 3) for w in weight.tolist()], f"{bias:.3f}")
    [0.8, 0.4] -2.200
    """
    p, q = _arguments.finite("p", p, ndim=1), _arguments.finite("q", q, ndim=1)
    if p.shape != q.shape:
        raise ValueError(f"p and q must have the same dimension, got {len(p)} and {len(q)}")
    if torch.equal(p, q):
        raise ValueError(f"p and q must differ, got {p.tolist()} twice")
    difference = _arguments.finite("p - q", p - q)
    size = difference.abs().max()
    weight = 2 * (difference / size) / (difference / size).square().sum() / size
    weight = _arguments.finite("the bisector of p and q", weight)
    return LinearModel(weight, -weight @ (p / 2 + q / 2))


def max_margin(X: Array, y: Array, *, count_bias: bool = False) -> LinearModel:
    r"""Return the maximum-margin classifier of separable data, exactly.

    With labels :math:`s_i = 2y_i - 1` it solves

    .. math:: \min \tfrac12\|w\|^2 \;(+\ \tfrac12 b^2)
        \quad\text{subject to}\quad s_i(w \cdot x_i + b) \ge 1 .

    Without the term in brackets this is the hard-margin support vector machine. With it, the bias
    counts as one more weight, on the constant feature 1: this is the direction in which gradient
    descent on the logistic loss carries (w, b).

    Parameters
    ----------
    X : Tensor of shape (n_samples, n_features)
    y : Tensor of shape (n_samples,)
        Labels 0 and 1, both present.
    count_bias : bool, default=False
        Whether the bias is part of the norm that is minimized.

    Returns
    -------
    LinearModel
        Scaled so that the closest points have the value 1 or -1. Of the dtype of `X`, computed in
        float64.

    Raises
    ------
    ValueError
        If no hyperplane separates the classes by more than the rounding of `X`, one class is missing,
        a label is neither 0 nor 1, shapes do not match, a value is not finite, or the dtype of `X`
        cannot hold the classifier.

    Notes
    -----
    The shortest vector v with :math:`Gv \ge 1` is a non-negative least-squares problem (least distance
    programming), which SciPy's active-set method solves exactly. A bias that is not counted is found
    likewise, from a point of the boundary: seen from there it is zero, and may be counted.

    References
    ----------
    C. L. Lawson and R. J. Hanson, "Solving Least Squares Problems", chapter 23, SIAM, 1995.
    D. Soudry et al., "The Implicit Bias of Gradient Descent on Separable Data", JMLR, 2018.

    Examples
    --------
    >>> from course_lib.data import two_points
    >>> from course_lib.geometry import max_margin
    >>> X, y = two_points()
    >>> weight, bias = max_margin(X.double(), y)
    >>> print([round(w, 4) for w in weight.tolist()], f"{bias:.4f}")
    [0.8, 0.4] -2.2000
    >>> weight, bias = max_margin(X.double(), y, count_bias=True)
    >>> print([round(w, 4) for w in weight.tolist()], f"{bias:.4f}")
    [1.1667, -0.3333] -1.8333
    """
    X, y = _arguments.samples(X, y)
    _arguments.two_classes(y)
    points, signs = X.cpu().double().numpy(), 2 * y.cpu().double().numpy() - 1
    try:
        v = _solvers.max_margin(points, signs, count_bias=_arguments.flag("count_bias", count_bias))
    except np.linalg.LinAlgError as error:
        raise ValueError(f"X and y must be separable by a hyperplane, {error}") from error
    weight, bias = torch.from_numpy(v[:-1]).to(X), torch.from_numpy(v)[-1].to(X)
    return LinearModel(
        _arguments.finite("weight for X and y", weight), _arguments.finite("bias for X and y", bias)
    )


def boundary_segment(
    weight: Array, bias: Array, xlim: tuple[float, float], ylim: tuple[float, float]
) -> torch.Tensor | None:
    r"""Return the two ends of the boundary :math:`w \cdot x + b = 0` in a rectangle of the plane.

    Works for every direction, vertical lines included.

    Parameters
    ----------
    weight : Tensor of shape (2,)
    bias : Tensor of shape () or float
    xlim, ylim : (float, float)
        The rectangle, lower end first.

    Returns
    -------
    Tensor of shape (2, 2) or None
        One end a row, from left to right or else from below; None where the line misses the rectangle.

    Raises
    ------
    ValueError
        If `weight` is zero or not two numbers, a value is not finite, or a limit is not increasing.

    Examples
    --------
    >>> from course_lib.geometry import boundary_segment
    >>> boundary_segment([1.0, 0.0], -1.0, (0, 5), (0, 3)).tolist()
    [[1.0, 0.0], [1.0, 3.0]]
    """
    weight = _nonzero("weight", weight, ndim=1).detach().double()
    if len(weight) != 2:
        raise ValueError(f"weight must have 2 entries, got {len(weight)}")
    size = weight.abs().max()
    weight, bias = weight / size, _arguments.finite("bias", bias, ndim=0).detach().to(weight) / size
    limits = torch.stack([_arguments.interval("xlim", xlim), _arguments.interval("ylim", ylim)])
    lower, upper = limits.to(weight).T
    foot = -bias * weight / weight.square().sum()
    along = torch.stack([-weight[1], weight[0]]) / weight.norm()
    if tuple(along) < (0, 0):
        along = -along
    # Slab by slab: the parameters at which the line enters and leaves the rectangle.
    enter, leave = weight.new_tensor([-torch.inf, torch.inf])
    for axis in range(2):
        if along[axis] == 0:
            if not lower[axis] <= foot[axis] <= upper[axis]:
                return None
            continue
        ends = torch.stack([lower[axis], upper[axis]]).sub(foot[axis]).div(along[axis])
        enter, leave = torch.maximum(enter, ends.min()), torch.minimum(leave, ends.max())
    if enter > leave:
        return None
    return torch.stack([foot + enter * along, foot + leave * along])


def _unit(v: torch.Tensor) -> torch.Tensor:
    v = v / v.abs().amax(dim=-1, keepdim=True)  # first, so that no square over- or underflows
    length: torch.Tensor = v.norm(dim=-1, keepdim=True)
    return v / length


def _nonzero(name: str, value: Array, ndim: int | None = None) -> torch.Tensor:
    value = _arguments.finite(name, value, ndim)
    if value.ndim == 0:
        raise ValueError(f"{name} must be a vector, got the number {value.item():g}")
    if (value == 0).all(dim=-1).any():
        raise ValueError(f"{name} must not be the zero vector")
    return value
