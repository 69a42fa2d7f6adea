"""Chapter 1: a line between two points, as training moves it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from course_lib import _arguments
from course_lib._arguments import Array
from course_lib.data import augment, two_points
from course_lib.geometry import bisector, max_margin
from course_lib.labs._lab import Lab, looks_of
from course_lib.models import LinearModel, Perceptron
from course_lib.rules import proximal, sgd
from course_lib.scratch import logistic_descent


def boundary(
    *,
    weight_decay: float = 0.0,
    penalty: Literal["L2", "L1"] = "L2",
    decay_bias: bool = True,
    n_steps: int = 101,
    X: Array | None = None,
    small: bool = False,
) -> Lab:
    r"""Show the line between two points that training moves, and the lines where it might end.

    Full-batch descent with lr 1 on the mean logistic loss, from ``Perceptron(seed=0)``, as
    `scratch.logistic_descent` and, with L1, `rules.proximal` do it. Beside it are the bisector of the points
    and the limit without decay, the line of the widest margin with the bias counted.

    Parameters
    ----------
    weight_decay : float, default=0.0
        :math:`\lambda`, at most 1: of :math:`\tfrac{\lambda}{2}\|\theta\|^2` with L2 (there is a 1/2), of
        :math:`\lambda\|\theta\|_1` with L1 (there is none). The step multiplies it by lr.
    penalty : {"L2", "L1"}, default="L2"
    decay_bias : bool, default=True
        Whether the bias is decayed, too.
    n_steps : int, default=101
        The step after which the line is shown, at most 10 million. The figure takes all of them.
    X : array of shape (2, 2), optional
        The point called 1 and the one called 0, in 0 to 4 by 0 to 3; `data.two_points` when None.
    small : bool, default=False
        Whether only the plane, its points, the decay, the step and two angles are there.

    Returns
    -------
    Lab
        A figure of the setting is drawn, too.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.

    Examples
    --------
    >>> from course_lib.labs import boundary
    >>> boundary(weight_decay=0.2).settings["weight_decay"]
    0.2
    """
    from course_lib.plotting import boundaries  # which loads matplotlib

    weight_decay = _arguments.number("weight_decay", weight_decay, maximum=1)
    _arguments.choice("penalty", penalty, ("L2", "L1"))
    _arguments.flag("decay_bias", decay_bias)
    _arguments.flag("small", small)
    n_steps = _arguments.count("n_steps", n_steps, maximum=10**7)
    points, y = two_points(dtype=torch.float64)
    if X is not None:
        points = _arguments.finite("X", X, ndim=2).detach().cpu().double()
    inside = points.shape == (2, 2) and bool(
        ((points >= 0) & (points <= points.new_tensor([4.0, 3.0]))).all()
    )
    if not inside or bool((points[0] == points[1]).all()):
        raise ValueError(f"X must be two different points in 0 to 4 by 0 to 3, got {points.tolist()}")
    start = LinearModel.of(Perceptron(seed=0)).theta.double().numpy()
    training: dict[str, Any] = {"weight_decay": weight_decay, "decay_bias": decay_bias, "n_steps": n_steps}
    theta = _descend(points, y, start, penalty, **training)
    concept = {"L1": "L1", "L2": "L2, bias decayed" if decay_bias else "L2"}[penalty]
    lines = {
        f"{penalty} with {weight_decay:g}": LinearModel.of(theta),
        "bisector": bisector(*points),
        "limit without decay": max_margin(points, y, count_bias=True),
    }
    first = next(iter(lines))
    if not theta[:-1].any():
        del lines[first]  # L1 leaves no line
    boundaries(
        points,
        y,
        lines,
        xlim=(0, 4),
        ylim=(0, 3),
        concept={first: concept if weight_decay else "no decay"} if first in lines else None,
        title=f"After {n_steps} steps",
    )
    concepts = ("no decay", "L2, bias decayed", "L2", "L1", "reference", "limit")
    return Lab(
        "boundary",
        {"penalty": penalty, "X": points.tolist()} | training,
        {"looks": looks_of(concepts), "start": start.tolist(), "small": small},
    )


def _descend(
    X: torch.Tensor,
    y: torch.Tensor,
    start: NDArray[np.float64],
    penalty: str,
    *,
    weight_decay: float,
    decay_bias: bool,
    n_steps: int,
) -> Any:  # ndarray
    """Return weights and bias after the steps of the lab on the boundary."""
    if penalty == "L2":
        decay: dict[str, Any] = {"weight_decay": weight_decay, "decay_bias": decay_bias}
        return logistic_descent(X, y, lr=1.0, n_steps=n_steps, record=[n_steps], start=start, **decay)[0]
    Z, theta = (augment(X) * (2 * y - 1)[:, None]).numpy(), start
    decays = weight_decay * np.array([1.0, 1.0, float(decay_bias)])
    for _ in range(n_steps):
        gradient = -Z.T @ (1 / (1 + np.exp(Z @ theta))) / len(Z)
        theta, _ = proximal(theta, gradient, None, sgd, lr=1.0, weight_decay=decays)
    return theta
