"""Where training would end: minimizers of penalized losses, found without training."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from course_lib import _arguments, _solvers
from course_lib._arguments import Array
from course_lib.data import augment
from course_lib.models import LinearModel

__all__ = ["least_squares_optimum", "logistic_objective", "logistic_optimum"]


def logistic_objective(
    X: Array,
    y: Array,
    theta: LinearModel | Array,
    weight_decay: float = 0.0,
    *,
    penalty: Literal["l1", "l2"] = "l2",
    decay_bias: bool = False,
) -> Any:  # Tensor or ndarray
    r"""Return the penalized logistic loss, of one parameter vector or of many.

    .. math:: J = \frac1n\sum_i \log\bigl(1 + e^{-\gamma_i}\bigr) + \lambda\,\Omega, \qquad
        \gamma_i = s_i(w \cdot x_i + b), \qquad s_i = 2y_i - 1

    with :math:`\Omega = \tfrac12\|w\|^2` for "l2" (there is a 1/2) and :math:`\|w\|_1` for "l1"
    (there is none). Nothing is multiplied by a learning rate.

    Parameters
    ----------
    X : Tensor of shape (n_samples, n_features)
    y : Tensor of shape (n_samples,)
        Labels 0 and 1.
    theta : LinearModel, or array of shape (n_features + 1,) or (n_vectors, n_features + 1)
        Weights, then bias.
    weight_decay : float, default=0.0
        :math:`\lambda \ge 0`.
    penalty : {"l2", "l1"}, default="l2"
    decay_bias : bool, default=False
        Whether the bias is in :math:`\Omega` too, as it is in torch's optimizers unless parameter
        groups keep it out.

    Returns
    -------
    Tensor of shape () or (n_vectors,)
        Differentiable in `theta`, and of the dtype of `X`; an ndarray where `theta` is one.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match or an argument is out of its range.

    Examples
    --------
    >>> from course_lib.data import two_points
    >>> from course_lib.optimum import logistic_objective
    >>> print(f"{logistic_objective(*two_points(), [0.0, 0.0, 0.0], weight_decay=0.2):.4f}")
    0.6931
    """
    X, y = _arguments.samples(X, y)
    vectors = _arguments.finite("theta", theta.theta if isinstance(theta, LinearModel) else theta).to(X)
    if vectors.ndim not in (1, 2) or vectors.shape[-1] != X.shape[1] + 1:
        expected = f"{X.shape[1] + 1} entries, weights for X and a bias"
        raise ValueError(f"theta must have {expected}, got shape {tuple(vectors.shape)}")
    weight_decay = _arguments.number("weight_decay", weight_decay)
    _check_penalty(penalty)
    weights, biases = vectors[..., :-1], vectors[..., -1:]
    decayed = vectors if _arguments.flag("decay_bias", decay_bias) else weights
    omega = decayed.square().sum(dim=-1) / 2 if penalty == "l2" else decayed.abs().sum(dim=-1)
    objective = weight_decay * omega - F.logsigmoid((2 * y - 1) * (weights @ X.T + biases)).mean(dim=-1)
    reach = X.abs().max() * weights.abs().max() * X.shape[1]  # beyond the dtype even signs are lost
    _arguments.finite("X times theta", reach)
    return _arguments.like(theta, _arguments.finite("the objective of X, theta and weight_decay", objective))


def logistic_optimum(
    X: Array,
    y: Array,
    weight_decay: float,
    *,
    penalty: Literal["l1", "l2"] = "l2",
    decay_bias: bool = False,
) -> LinearModel:
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
    LinearModel
        Of the dtype of `X`, computed in float64 to rounding error. With "l1", zeros are exact.

    Raises
    ------
    ValueError
        If an argument is out of its range, one class is missing, or `weight_decay` is so small
        beside the data that float64 cannot resolve the optimum: the slopes at it underflow, or
        their rounding hides more than a 1e-5th of the objective. If the dtype of `X` cannot hold it.

    Notes
    -----
    Newton's method, damped as by Levenberg and Marquardt. With "l1" a step stops at the zeros that it
    meets, and a weight leaves zero only if the loss pulls at it by more than :math:`\lambda`: these are
    the conditions of optimality, and they hold for what is returned, up to rounding.

    References
    ----------
    D. P. Bertsekas, "Projected Newton Methods for Optimization Problems with Simple Constraints", SIAM
    Journal on Control and Optimization, 1982.

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
    X, y = _arguments.samples(X, y)
    _arguments.two_classes(y)
    weight_decay = _arguments.number("weight_decay", weight_decay, strict=True)
    _check_penalty(penalty)
    # A free bias absorbs a shift of the data, and centered data is better conditioned.
    rows, signs = X.double().cpu(), 2 * y.double().cpu() - 1
    center = rows.mean(dim=0) * (0.0 if _arguments.flag("decay_bias", decay_bias) else 1.0)
    Z = signs[:, None] * augment(rows - center)
    decay = np.append(np.full(X.shape[1], weight_decay), weight_decay if decay_bias else 0.0)
    l1, l2 = (decay, 0 * decay) if penalty == "l1" else (0 * decay, decay)
    try:
        theta = torch.from_numpy(_solvers.logistic(Z.numpy(), l1, l2))
    except np.linalg.LinAlgError as error:
        reason = "weight_decay is too small beside this data for float64"
        raise ValueError(f"{reason}, got {weight_decay!r} and X of size {X.abs().max().item():g}") from error
    weight, bias = theta[:-1], theta[-1] - theta[:-1] @ center
    name = "the optimum for X, y and weight_decay"
    return LinearModel(_arguments.finite(name, weight.to(X)), _arguments.finite(name, bias.to(X)))


def least_squares_optimum(
    X: Array, y: Array, weight_decay: float = 0.0, *, decay_bias: bool = False
) -> LinearModel:
    r"""Return the minimizer of the mean squared error plus an L2 penalty: ridge regression.

    .. math:: J = \frac{1}{nk}\,\|E\|^2 + \frac{\lambda}{2}\,\|W\|^2, \qquad
        E = XW + \mathbf 1 b^\top - Y

    Its gradient is zero where, with Z the rows (x, 1) and D the identity with a 0 for a free bias,

    .. math:: \bigl(\tfrac{2}{nk} Z^\top Z + \lambda D\bigr)\,\Theta = \tfrac{2}{nk}\,Z^\top Y .

    Parameters
    ----------
    X : Tensor of shape (n_samples, n_features)
    y : Tensor of shape (n_samples,) or (n_samples, n_outputs)
    weight_decay : float, default=0.0
        :math:`\lambda \ge 0` of torch.optim.SGD beside ``mse_loss``, whose mean is over rows and outputs:
        there is a 1/2 before the penalty and none before the squares, and nothing is multiplied by lr.
    decay_bias : bool, default=False
        Whether the biases are penalized like the weights.

    Returns
    -------
    LinearModel
        With a column of weights for each output, if there are several. Of the dtype of `X`, computed in
        float64; of several minimizers, which only 0 can have, the shortest.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match or an argument is out of its range.

    Examples
    --------
    >>> from course_lib.optimum import least_squares_optimum
    >>> weight, bias = least_squares_optimum([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> print(f"{weight.item():.3f} {bias:.3f}")
    2.000 1.000
    """
    X, y = _arguments.finite("X", X, ndim=2).detach(), _arguments.finite("y", y).detach()
    if y.ndim not in (1, 2) or len(y) != len(X):
        raise ValueError(f"y must have one row a row of X, {len(X)}, got shape {tuple(y.shape)}")
    weight_decay = _arguments.number("weight_decay", weight_decay)
    Z, Y = augment(X.double()), y.double()
    # As rows below those of the data, the penalty costs no digits: the squares are never added up.
    penalty = torch.full_like(Z[0], weight_decay**0.5 * (y.numel() / 2) ** 0.5)
    penalty[-1] *= _arguments.flag("decay_bias", decay_bias)
    rows = torch.cat([Z, penalty.diag()])
    targets = torch.cat([Y.reshape(len(Y), -1), Z.new_zeros(len(penalty), Y[0].numel())])
    theta = _shortest_least_squares(rows, targets).reshape(len(penalty), *Y.shape[1:]).to(X)
    return LinearModel(
        *(_arguments.finite("the optimum for X and y", part) for part in (theta[:-1], theta[-1]))
    )


def _shortest_least_squares(rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Measure each column in units of its own, unless there are several minimizers."""
    units, unit = (part.abs().amax(dim=0) for part in (rows, targets))
    units, unit = torch.where(units > 0, units, 1), torch.where(unit > 0, unit, 1)
    theta, _, rank, _ = torch.linalg.lstsq(rows / units, targets / unit, driver="gelsd")
    if rank < len(units):
        theta, units = torch.linalg.lstsq(rows, targets / unit, driver="gelsd").solution, units**0
    shortest: torch.Tensor = theta / units[:, None] * unit
    return shortest


def _check_penalty(penalty: str) -> None:
    _arguments.choice("penalty", penalty, ("l1", "l2"))
