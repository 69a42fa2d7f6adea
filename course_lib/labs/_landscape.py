"""Chapter 4: paths over the loss of a line, and how fast each setting is."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from course_lib import _arguments
from course_lib._arguments import Array, Loss
from course_lib.data import curved_points
from course_lib.labs._lab import Lab, looks_of
from course_lib.landscape import loss_grid
from course_lib.rules import coupled, sgd

BOUND = 1e6  # from the origin, beyond which a path over a landscape is not followed


def _half_mse(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(prediction, target) / 2


LOSSES: dict[str, Loss] = {
    "MSELoss": F.mse_loss,
    "L1Loss": F.l1_loss,
    "HuberLoss": F.huber_loss,
    "SmoothL1Loss": F.smooth_l1_loss,
    "valley": _half_mse,
}


def landscape(
    *,
    loss: Literal["MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "valley"] = "MSELoss",
    condition_number: float = 100.0,
    lr: float = 0.1,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    start: Array = (6.0, -3.0),
    n_steps: int = 100,
    bare: bool = False,
) -> Lab:
    r"""Show the path of torch.optim.SGD over the loss of a line, and how fast each setting is.

    The lines of equal value are those of what is descended,

    .. math:: \text{loss}(w, b) + \frac{\lambda}{2}(w^2 + b^2) ,

    and the path is that of `descent_paths`. The map of lr and momentum shows the factor by which a step
    multiplies the distance from the lowest point, in the slowest direction.

    Parameters
    ----------
    loss : {"MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "valley"}, default="MSELoss"
        Torch's, at its defaults, of a line through `data.curved_points`; or half of MSELoss, of a line
        through two points on y = 2x + 2 where x is :math:`\pm\sqrt\kappa`. The curvatures of this valley
        are :math:`\kappa` along the weight and 1 along the bias.
    condition_number : float, default=100.0
        :math:`\kappa` of the valley, from 1 to 1000.
    lr : float, default=0.1
        From 0.001 to 10.
    momentum, dampening : float, default=0.0
        At most 0.99 and 0.9.
    nesterov : bool, default=False
        It needs momentum above 0 and no dampening, as in torch.
    weight_decay : float, default=0.0
        :math:`\lambda` of torch.optim.SGD, at most 10: there is a 1/2 in the penalty, the step multiplies
        it by lr, and the bias is decayed, too.
    start : array of shape (2,), default=(6.0, -3.0)
        Weight and bias at first, each in -5 to 8.
    n_steps : int, default=100
        At most 1000. A path that is beyond a million is not followed any more.
    bare : bool, default=False
        Whether the lines of the loss alone are shown, too.

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
    >>> from course_lib.labs import landscape
    >>> landscape(momentum=0.9).settings["momentum"]
    0.9
    """
    from course_lib._style import NEUTRAL  # which loads matplotlib
    from course_lib.plotting import contours, small_multiples

    _arguments.choice("loss", loss, tuple(LOSSES))
    condition_number = _arguments.number("condition_number", condition_number, minimum=1, maximum=1000)
    settings: dict[str, Any] = {
        "condition_number": condition_number,
        "lr": _arguments.number("lr", lr, minimum=1e-3, maximum=10),
        "momentum": _arguments.number("momentum", momentum, maximum=0.99),
        "dampening": _arguments.number("dampening", dampening, maximum=0.9),
        "nesterov": _arguments.flag("nesterov", nesterov),
        "weight_decay": _arguments.number("weight_decay", weight_decay, maximum=10),
        "n_steps": _arguments.count("n_steps", n_steps, maximum=1000),
    }
    if nesterov and (momentum == 0 or dampening > 0):
        raise ValueError("nesterov needs momentum above 0 and no dampening")
    theta = _arguments.finite("start", start, ndim=1).detach().cpu().double()
    if len(theta) != 2 or bool((theta < -5).any() or (theta > 8).any()):
        raise ValueError(f"start must be a weight and a bias, each in -5 to 8, got {theta.tolist()}")
    bare = _arguments.flag("bare", bare)
    X, y = _points(loss, condition_number)
    descent = {name: value for name, value in settings.items() if name != "condition_number"}
    path = _path(X, y, LOSSES[loss], theta, **descent)
    side = torch.linspace(-5, 8, 101, dtype=torch.float64, device="cpu")
    line = nn.utils.skip_init(nn.Linear, 1, 1, dtype=torch.float64, device="cpu")  # nothing is drawn for it
    values = loss_grid(line, X, y, side, side, loss_fn=LOSSES[loss]).T
    penalty = weight_decay / 2 * (side[:, None] ** 2 + side**2)
    named = "Nesterov" if nesterov else "momentum" if momentum else "plain descent"
    drawn: dict[str, Any] = {
        "paths": {named: path.flip(1)},
        "concept": {named: "L2, bias decayed"} if weight_decay else None,
        "zlabel": "root of the value",
        "xlabel": "bias",
        "ylabel": "weight",
    }
    maps = {"loss + penalty": values + penalty} if weight_decay else {}
    if bare or not weight_decay:
        maps["the loss"] = values
    small_multiples(
        contours, {name: {"values": each.sqrt()} for name, each in maps.items()}, x=side, y=side, **drawn
    )
    concepts = ("no decay", "L2, bias decayed", "momentum", "Nesterov", "reference", "limit")
    looks = looks_of(concepts) | {"contours": NEUTRAL.svg}
    points = torch.cat(_points("MSELoss", 1.0), dim=1).tolist()
    return Lab(
        "landscape",
        {"loss": loss, "start": [theta.tolist()], "bare": bare} | settings,
        {"looks": looks, "points": points},
    )


def _points(loss: str, condition_number: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the points of a landscape, as columns."""
    if loss != "valley":
        return curved_points(torch.float64)
    X = torch.tensor([[1.0], [-1.0]], dtype=torch.float64, device="cpu") * condition_number**0.5
    return X, 2 * X + 2


def _path(
    X: torch.Tensor,
    y: torch.Tensor,
    loss_fn: Loss,
    theta: torch.Tensor,
    *,
    n_steps: int,
    lr: float,
    weight_decay: float,
    **options: Any,
) -> torch.Tensor:
    """Return weight and bias from the start on, as long as they stay within the bound."""
    gradient = torch.func.grad(lambda theta: loss_fn(X * theta[0] + theta[1], y))
    direction, state, path = partial(sgd, **options), None, [theta]
    while len(path) <= n_steps and theta.norm() <= BOUND:
        theta, state = coupled(theta, gradient(theta), state, direction, lr=lr, weight_decay=weight_decay)
        path.append(theta)
    return torch.stack(path)
