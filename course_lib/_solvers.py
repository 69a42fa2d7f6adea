"""How optima and margins are found: what a reader of `optimum` and `geometry` need not open.

LinAlgError says that float64 cannot tell the solution, or that there is none.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray

from course_lib import _arguments

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

EPS = 2.0**-52
LEAST_DAMPING = 4 * EPS  # without any, two equal columns would leave a step open
MAX_STEPS = 2000  # of Newton's method, which as a rule takes ten; down the tail of the loss, 700
MAX_HIDDEN = 1e-5  # the share of the objective that may be left, unseen for rounding
MAX_CENTERS = 20  # from which a margin is looked at, as a rule three


def logistic(Z: Floats, l1: Floats, l2: Floats) -> Floats:
    """Minimize mean softplus(-Z theta) + sum(l1 |theta|) + sum(l2 theta^2) / 2."""
    largest = np.max([abs(Z).max(axis=0), l1, np.sqrt(l2)], axis=0)
    unit: Floats = np.array([_arguments.power_of_two(size) for size in largest])
    decayed = l1 + l2 > 0
    with np.errstate(over="ignore", invalid="ignore"):  # a trial step may overflow; it is not accepted
        Z, l1, l2 = Z / unit, l1 / unit, l2 / unit / unit
        if (l1 + l2)[decayed].min() < np.finfo(float).tiny:
            raise LinAlgError("the decay is subnormal, beside these columns")
        return _newton(Z, l1, l2) / unit


def _newton(Z: Floats, l1: Floats, l2: Floats) -> Floats:
    """Do it for columns of one size, by Newton's method, damped as by Levenberg and Marquardt.

    It goes from one side of zero to another by a stop at zero: on each side |theta| is linear. What is
    returned meets the conditions of optimality, up to the rounding of their terms.
    """
    from scipy.special import expit  # here, so that importing this module stays cheap

    columns = np.ascontiguousarray(Z.T)  # whose sums NumPy makes in parts: roundings of equal rows add up

    def slope_at(theta: Floats) -> Floats:
        slope: Floats = l2 * theta - (columns * expit(-Z @ theta)).sum(axis=1) / len(Z)
        return slope

    theta, damping, error = np.zeros(len(l1)), 1e-3, np.inf
    for _ in range(MAX_STEPS):
        slope, wrong = slope_at(theta), expit(-Z @ theta) / len(Z)
        side = np.where((theta == 0) & (abs(slope) > l1), -np.sign(slope), np.sign(theta))
        free = side != 0
        pull = slope + l1 * side
        bend = wrong * expit(Z @ theta)
        curvature = (Z.T * bend) @ Z + np.diag(l2)

        terms = abs(Z).T @ (wrong + bend * (abs(Z) @ abs(theta))) + l1 + l2 * abs(theta)
        rounding = EPS * terms + np.finfo(float).smallest_subnormal
        last, error = error, np.max(abs(pull / rounding)[free], initial=0.0)
        if error <= 1 and error >= last / 2:
            if _hidden(curvature[np.ix_(free, free)], rounding[free]) > MAX_HIDDEN * wrong.sum():
                break
            return theta

        move = _step(_damped(curvature, damping), pull, theta, side, free)
        # The objective is convex: it falls by at least as much as this mean of two slopes says.
        mean_slope = (slope_at(theta + move / 2) + slope_at(theta + move)) / 2 + l1 * side
        if mean_slope @ move <= 0.1 * pull @ move:
            theta, damping = theta + move, max(damping / 10, LEAST_DAMPING)
        else:
            damping *= 10
    raise LinAlgError("float64 cannot tell the minimum")


def _step(curvature: Floats, pull: Floats, theta: Floats, side: Floats, free: Flags) -> Floats:
    """Return the move that minimizes pull . move + move . curvature move / 2.

    What is not free goes to zero, and so does what would leave its side.
    """
    while True:
        move = np.where(free, 0.0, -theta)
        move[free] = np.linalg.solve(curvature[np.ix_(free, free)], -(pull + curvature @ move)[free])
        leaves = free & (side * (theta + move) < 0)
        if not leaves.any():
            return move
        free = free & ~leaves


def _hidden(curvature: Floats, rounding: Floats) -> float:
    """Bound by how much the objective may still fall when its slopes are zero up to rounding."""
    return float(rounding @ abs(np.linalg.inv(_damped(curvature, LEAST_DAMPING))) @ rounding)


def _damped(curvature: Floats, damping: float) -> Floats:
    damped: Floats = curvature + damping * np.diag(np.diag(curvature))
    return damped


def max_margin(points: Floats, signs: Floats, *, count_bias: bool) -> Floats:
    """Minimize |weight|^2, plus bias^2 if it counts, subject to signs (points @ weight + bias) >= 1."""
    unit = 1.0 if count_bias else _arguments.power_of_two(abs(points).max())
    points = points / unit
    v = _counted(points, signs, 1.0) if count_bias else _not_counted(points, signs)
    lifted = np.column_stack([points, np.ones(len(points))])
    if not (signs * (lifted @ v) - EPS * (abs(lifted) @ abs(v)) >= 1 - 1e-6).all():
        raise LinAlgError("got classes whose distance is lost in the rounding of their places")
    with np.errstate(over="ignore"):  # the caller looks at what comes out
        return np.append(v[:-1] / unit, v[-1])


def _not_counted(points: Floats, signs: Floats) -> Floats:
    """Minimize |weight|^2: seen from a point of its boundary the bias is zero, and may as well be counted."""
    center = points.mean(axis=0)
    length = float(abs(points - center).max())
    for _ in range(MAX_CENTERS):
        v = _counted(points - center, signs, length)
        weight, bias = v[:-1], v[-1]
        if abs(bias) <= 1e-12:
            break
        values = (points - center) @ weight + bias
        closest = (signs * values).argmin()
        center = points[closest] - values[closest] * weight / (weight @ weight)
        length = float(1 / np.sqrt(weight @ weight))
    return np.append(weight, bias - weight @ center)


def _counted(points: Floats, signs: Floats, length: float) -> Floats:
    """Minimize |weight|^2 + (bias / length)^2: least distance programming, as Lawson and Hanson call it."""
    from scipy.linalg import lstsq  # here, so that importing this module stays cheap
    from scipy.optimize import nnls

    rows = signs[:, None] * np.column_stack([points, np.full(len(points), length)])
    unit, margin = _arguments.power_of_two(abs(rows).max()), 1.0
    rows = rows / unit
    target = np.append(np.zeros(rows.shape[1]), 1.0)
    while margin > EPS:
        lifted = np.vstack([rows.T, np.full(len(rows), margin)])
        try:
            multipliers, distance = nnls(lifted, target, maxiter=30 * len(rows))
        except RuntimeError as error:
            raise LinAlgError("got classes between which the search for one does not end") from error
        if distance > 1e-2:
            support = rows[multipliers > 0]
            v: Floats = lstsq(support, np.ones(len(support)), lapack_driver="gelsy")[0] / unit
            v[-1] *= length
            return v
        margin *= distance  # about 1 / |v|, and zero if there is no v
    raise LinAlgError("got classes that are not (in float64)")
