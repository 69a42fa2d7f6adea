"""Where training would end: minimizers of penalized losses, found without training."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from course_lib import _checks
from course_lib._checks import Array
from course_lib.geometry import augment

__all__ = ["logistic_objective", "logistic_optimum"]

MAX_STEPS = 2000  # of Newton's method, which as a rule takes ten


def logistic_objective(
    X: Array,
    y: Array,
    weight: Array,
    bias: Array,
    weight_decay: float,
    *,
    penalty: Literal["l1", "l2"] = "l2",
    decay_bias: bool = False,
) -> torch.Tensor:
    r"""Return the penalized logistic loss.

    .. math:: J = \frac1n\sum_i \log\bigl(1 + e^{-s_i(w \cdot x_i + b)}\bigr) + \lambda\,\Omega,
        \qquad s_i = 2y_i - 1

    with :math:`\Omega = \tfrac12\|w\|^2` for "l2" (there is a 1/2) and :math:`\|w\|_1` for "l1"
    (there is none). Nothing is multiplied by a learning rate.

    Parameters
    ----------
    X : Tensor of shape (n_samples, n_features)
    y : Tensor of shape (n_samples,)
        Labels 0 and 1.
    weight : Tensor of shape (n_features,)
    bias : Tensor of shape () or float
    weight_decay : float
        :math:`\lambda \ge 0`.
    penalty : {"l2", "l1"}, default="l2"
    decay_bias : bool, default=False
        Whether the bias is in :math:`\Omega` too, as it is in torch's optimizers unless parameter
        groups keep it out.

    Returns
    -------
    Tensor of shape ()
        Differentiable in `weight` and `bias`.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match or an argument is out of its range.

    Examples
    --------
    >>> from course_lib.data import two_points
    >>> from course_lib.optimum import logistic_objective
    >>> print(f"{logistic_objective(*two_points(), [0.0, 0.0], 0.0, weight_decay=0.2):.4f}")
    0.6931
    """
    X, y = _checks.samples(X, y)
    weight = _checks.finite("weight", weight, ndim=1).to(X)
    _checks.features(X, weight)
    bias = _checks.finite("bias", bias, ndim=0).to(X)
    weight_decay = _checks.number("weight_decay", weight_decay)
    _check_penalty(penalty)
    decayed = torch.cat([weight, bias[None]]) if _checks.flag("decay_bias", decay_bias) else weight
    omega = decayed.square().sum() / 2 if penalty == "l2" else decayed.abs().sum()
    objective = weight_decay * omega - F.logsigmoid((2 * y - 1) * (X @ weight + bias)).mean()
    _checks.finite("X times weight", X.abs().max() * weight.abs().max() * len(weight))  # or its sign is lost
    return _checks.finite("the objective of X, weight, bias and weight_decay", objective)


def logistic_optimum(
    X: Array,
    y: Array,
    weight_decay: float,
    *,
    penalty: Literal["l1", "l2"] = "l2",
    decay_bias: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return the minimizer of `logistic_objective`.

    Parameters
    ----------
    X : Tensor of shape (n_samples, n_features)
    y : Tensor of shape (n_samples,)
        Labels 0 and 1, both present.
    weight_decay : float
        :math:`\lambda > 0`, in the convention of `logistic_objective`: a 1/2 with "l2", none with
        "l1", never multiplied by lr. For "l2" it is what torch.optim.SGD calls ``weight_decay``.
    penalty : {"l2", "l1"}, default="l2"
    decay_bias : bool, default=False
        Whether the bias is penalized like the weights.

    Returns
    -------
    weight : Tensor of shape (n_features,)
    bias : Tensor of shape ()
        Of the dtype of `X`, computed in float64 to rounding error. With "l1", zeros are exact.

    Raises
    ------
    ValueError
        If an argument is out of its range, one class is missing, or `weight_decay` is so small
        beside the data that float64 cannot resolve the optimum.

    Notes
    -----
    "l2" is Newton's method with step halving. "l1" lets L-BFGS-B find which coordinates are not zero
    and their signs, polishes those alone with the same Newton method, and checks the result against
    the optimality conditions.

    Examples
    --------
    >>> from course_lib.data import two_points
    >>> from course_lib.optimum import logistic_optimum
    >>> X, y = two_points()
    >>> weight, bias = logistic_optimum(X, y, weight_decay=0.2)
    >>> print([round(w, 3) for w in weight.tolist()], f"{bias:.3f}")
    [1.055, 0.528] -2.901
    >>> weight, bias = logistic_optimum(X, y, weight_decay=0.2, penalty="l1")
    >>> print([round(w, 3) for w in weight.tolist()], f"{bias:.3f}")
    [1.386, 0.0] -2.773
    """
    X, y = _checks.samples(X, y)
    _checks.two_classes(y)
    weight_decay = _checks.number("weight_decay", weight_decay, strict=True)
    _check_penalty(penalty)
    # A free bias absorbs a shift of the data, and centered data is better conditioned.
    rows, signs = X.double().cpu(), 2 * y.double().cpu() - 1
    center = rows.mean(dim=0) * (0.0 if _checks.flag("decay_bias", decay_bias) else 1.0)
    Z = signs[:, None] * augment(rows - center)
    decay = Z.new_full(Z.shape[1:], weight_decay)
    if not decay_bias:
        decay[-1] = 0
    theta = _newton(Z, decay) if penalty == "l2" else _sparse(Z, decay)
    if theta is not None and penalty == "l2":
        wrong = torch.sigmoid(-Z @ theta) / len(Z)
        gap = (Z.T @ wrong - decay * theta).abs()
        if (gap > 1e-3 * (Z.abs().T @ wrong + decay * theta.abs())).any():  # the sigmoid has underflowed
            theta = None
    if weight_decay < torch.finfo(torch.float64).tiny or theta is None or not torch.isfinite(theta).all():
        reason = "weight_decay is too small beside this data for float64"
        raise ValueError(f"{reason}, got {weight_decay!r} and X of size {X.abs().max().item():g}")
    weight, bias = theta[:-1], theta[-1] - theta[:-1] @ center
    return weight.to(X), bias.to(X)


def _newton(
    Z: torch.Tensor,
    decay: torch.Tensor | float = 0.0,
    slope: torch.Tensor | float = 0.0,
    start: torch.Tensor | None = None,
) -> torch.Tensor | None:
    """Minimize mean softplus(-Z theta) + sum(decay theta^2) / 2 + slope . theta, or return None."""
    step: torch.Tensor
    theta = Z.new_zeros(Z.shape[1]) if start is None else start
    decay = torch.zeros_like(theta) + decay

    def objective(theta: torch.Tensor) -> torch.Tensor:
        return F.softplus(-Z @ theta).mean() + (decay * theta**2).sum() / 2 + (slope * theta).sum()

    value = objective(theta)
    for _ in range(MAX_STEPS):
        wrong = torch.sigmoid(-Z @ theta)
        gradient = -Z.T @ wrong / len(Z) + decay * theta + slope
        curvature = (Z.T * (wrong * (1 - wrong) / len(Z))) @ Z + torch.diag(decay)
        step, singular = torch.linalg.solve_ex(curvature, -gradient)
        if singular:  # duplicate features: any split between them will do, so take the shortest step
            step = torch.linalg.pinv(curvature, hermitian=True) @ -gradient
        if not torch.isfinite(step).all():
            return None
        change, size = (Z @ step).abs().max(), (Z @ theta).abs().max()
        if change <= 1e-9 * size or change <= 1e-13:  # convergence is quadratic: this step is the last
            return theta + step
        descent, length = gradient @ step, 1.0
        while (candidate := objective(theta + length * step)) > value + 1e-4 * length * descent:
            length /= 2
            if length < 1e-6:  # no decrease left that float64 can see
                return theta + step if step.norm() <= 1e-6 * (1 + theta.norm()) else None
        theta, value = theta + length * step, candidate
    return None


def _sparse(Z: torch.Tensor, decay: torch.Tensor) -> torch.Tensor | None:
    """Minimize mean softplus(-Z theta) + sum(decay |theta|), or return None."""
    from scipy.optimize import minimize  # here, so that importing this module stays cheap
    from scipy.special import expit

    rows, level = Z.numpy(), decay.numpy()

    def split_objective(parts: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        # theta = up - down with up, down >= 0 turns the corner of |theta| into a bound.
        up, down = np.split(parts, 2)
        margin = rows @ (up - down)
        slope = -rows.T @ expit(-margin) / len(rows)
        value = np.logaddexp(0, -margin).mean() + level @ (up + down)
        return value, np.concatenate([level + slope, level - slope])

    options = {"maxiter": 10_000, "maxfun": 20_000, "maxcor": 20, "ftol": 0, "gtol": 1e-10}
    bounds = [(0, None)] * (2 * len(decay))
    start = np.zeros(2 * len(level))
    with np.errstate(all="ignore"):  # a trial step may overflow; the result is checked below
        found = minimize(split_objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    up, down = torch.from_numpy(found.x).chunk(2)

    kept, signs = (up != down) | (decay == 0), (up - down).sign() * (decay > 0)
    polished = _newton(Z[:, kept], slope=(decay * signs)[kept], start=(up - down)[kept])
    if polished is None:
        return None
    theta = torch.zeros_like(decay).index_put((kept,), polished)
    gradient = -Z.T @ torch.sigmoid(-Z @ theta) / len(Z)
    rounding = 1e-12 * Z.abs().T @ torch.sigmoid(-Z @ theta) / len(Z)
    excess = gradient.abs() - decay * (1 + 1e-9) - rounding
    if (theta.sign() * (decay > 0) != signs).any() or (excess > 0)[decay > 0].any():
        return None
    return theta


def _check_penalty(penalty: str) -> None:
    _checks.choice("penalty", penalty, ("l1", "l2"))
