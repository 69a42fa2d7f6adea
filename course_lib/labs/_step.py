"""Chapter 3: where two rules take two weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from course_lib import _arguments
from course_lib._arguments import Array
from course_lib.labs._lab import Lab, looks_of
from course_lib.rules import adam, coupled, decoupled, proximal, sgd

Rule = Literal[
    "SGD", "penalty", "SGDW", "SGDW without lr", "L1 subgradient", "L1 proximal", "Adam", "AdamW", "tilt"
]
STEPS: dict[str, str | None] = {
    "SGD": "L2, bias decayed",
    "penalty": "L2, bias decayed",
    "SGDW": "decoupled decay",
    "SGDW without lr": "decoupled decay",
    "L1 subgradient": "L1",
    "L1 proximal": "L1",
    "Adam": "L2, bias decayed",
    "AdamW": "decoupled decay",
    "tilt": None,
}  # and the concept of each rule
GRADIENTS = ("zero", "constant", "alternating", "quadratic")
CURVATURE, MINIMUM = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([3.0, 0.4])
CONSTANT = np.array([-1.0, -0.1])
BEYOND = 1e9  # a weight larger than this diverges


def step(
    *,
    weight_decay: float = 0.1,
    lr: float = 0.1,
    momentum: float = 0.0,
    gradient: Literal["zero", "constant", "alternating", "quadratic"] = "zero",
    gradient_scale: float = 1.0,
    n_steps: int = 100,
    change_at: int = 0,
    later_weight_decay: float = 0.0,
    left: Rule = "SGD",
    right: Rule = "SGDW",
    start: Array | None = None,
) -> Lab:
    r"""Show where two rules take two weights, step by step, with the same settings.

    The rules are those of `rules`, with the direction of SGD or of Adam:

    ===================  ========================================================================
    rule                 its step
    ===================  ========================================================================
    ``SGD``              `rules.coupled`, as torch.optim.SGD
    ``penalty``          SGD on the loss plus :math:`\tfrac{\lambda}{2}\|\theta\|^2`: the same
    ``SGDW``             `rules.decoupled`, as `optimizers.SGDW`
    ``SGDW without lr``  the same, but the factor is :math:`1 - \lambda` whatever lr
    ``L1 subgradient``   SGD on the loss plus :math:`\lambda\|\theta\|_1`, with sign(0) = 0
    ``L1 proximal``      `rules.proximal`, as `optimizers.ProximalSGD`
    ``Adam``             `rules.coupled` with `rules.adam`, as torch.optim.Adam
    ``AdamW``            `rules.decoupled` with `rules.adam`, as torch.optim.AdamW
    ``tilt``             SGD, then every weight less lr times :math:`\lambda`, as torch-optimizer's SGDW
    ===================  ========================================================================

    Parameters
    ----------
    weight_decay : float, default=0.1
        :math:`\lambda`, at most 3: of :math:`\tfrac{\lambda}{2}\|\theta\|^2` (there is a 1/2), or of
        :math:`\lambda\|\theta\|_1` (there is none). All but ``SGDW without lr`` multiply it by lr. There is
        no bias.
    lr : float, default=0.1
        From 0.001 to 1.
    momentum : float, default=0.0
        At most 0.99; of all rules but Adam's, which have betas (0.9, 0.999).
    gradient : {"zero", "constant", "alternating", "quadratic"}, default="zero"
        Zero; (-1, -0.1); that, turned round at every step; or that of the bowl around (3, 0.4) with the
        curvature ((2, 0.6), (0.6, 1)).
    gradient_scale : float, default=1.0
        The gradient is multiplied by it, but not the decay; from 0.001 to 1000.
    n_steps : int, default=100
        At most 1000.
    change_at : int, default=0
        The step from which on `later_weight_decay` takes the place of `weight_decay`, at most 1000; never
        when 0.
    later_weight_decay : float, default=0.0
        At most 3.
    left : str, default="SGD"
    right : str, default="SGDW"
        The two rules.
    start : array of shape (2,), optional
        The weights at first, in -2 to 4 by -2 to 2; (1, -1.5) when None.

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
    >>> from course_lib.labs import step
    >>> step(left="Adam", right="AdamW", gradient="quadratic").settings["right"]
    'AdamW'
    """
    from course_lib.plotting import contours, curves, panels, points  # which loads matplotlib

    theta = (
        _arguments.finite("start", [1.0, -1.5] if start is None else start, ndim=1).detach().cpu().double()
    )
    if theta.shape != (2,) or not (-2 <= theta[0] <= 4 and -2 <= theta[1] <= 2):
        raise ValueError(f"start must be two weights in -2 to 4 by -2 to 2, got {theta.tolist()}")
    settings: dict[str, Any] = {
        "left": _arguments.choice("left", left, tuple(STEPS)),
        "right": _arguments.choice("right", right, tuple(STEPS)),
        "gradient": _arguments.choice("gradient", gradient, GRADIENTS),
        "gradient_scale": _arguments.number("gradient_scale", gradient_scale, minimum=1e-3, maximum=1e3),
        "weight_decay": _arguments.number("weight_decay", weight_decay, maximum=3),
        "lr": _arguments.number("lr", lr, minimum=1e-3, maximum=1),
        "momentum": _arguments.number("momentum", momentum, maximum=0.99),
        "n_steps": _arguments.count("n_steps", n_steps, maximum=1000),
        "change_at": _arguments.count("change_at", change_at, minimum=0, maximum=1000),
        "later_weight_decay": _arguments.number("later_weight_decay", later_weight_decay, maximum=3),
        "start": [theta.tolist()],
    }
    paths = {rule: _walk(rule, settings) for rule in dict.fromkeys((settings["left"], settings["right"]))}
    concept = {rule: of for rule in paths if (of := STEPS[rule])}
    names: dict[str, Any] = {"xlabel": "first weight", "ylabel": "second weight", "concept": concept}
    _, (plane, time) = panels(2)
    if gradient == "quadratic":
        x, y = np.linspace(-2, 4, 61), np.linspace(-2, 2, 41)
        away = np.stack(np.meshgrid(x, y), axis=-1) - MINIMUM
        loss = gradient_scale / 2 * ((away @ CURVATURE) * away).sum(axis=-1)
        contours(x, y, loss, paths, zlabel="loss", minimum=MINIMUM, ax=plane, **names)
    else:
        curves({rule: (path[:, 0], path[:, 1]) for rule, path in paths.items()}, ax=plane, **names)
        points({"start": theta}, plane)
        plane.set(xlim=(-2, 4), ylim=(-2, 2))
    curves(
        {rule: (range(len(path)), np.linalg.norm(path, axis=1)) for rule, path in paths.items()},
        xlabel="step",
        ylabel="length of the weights",
        concept=concept,
        ax=time,
    )
    looks = {rule: list(looks_of(("one", "another"), concept).values()) for rule, concept in STEPS.items()}
    return Lab("step", settings, {"looks": looks | looks_of(["reference"])})


def _walk(rule: str, settings: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the weights after 0, 1, ... steps of a rule, up to the step that diverges."""
    theta, state, lr = np.array(settings["start"][0]), None, settings["lr"]
    path = [theta]
    direction = adam if rule.startswith("Adam") else partial(sgd, momentum=settings["momentum"])
    for t in range(1, settings["n_steps"] + 1):
        changed = 0 < settings["change_at"] <= t
        decay = settings["later_weight_decay" if changed else "weight_decay"]
        slope = settings["gradient_scale"] * _gradient(settings["gradient"], theta, t)
        theta, state = _step(rule, theta, slope, state, direction, lr=lr, weight_decay=decay)
        path.append(theta)
        if np.abs(theta).max() > BEYOND:
            break
    return np.array(path)


def _gradient(kind: str, theta: NDArray[np.float64], t: int) -> Any:  # ndarray
    if kind == "quadratic":
        return CURVATURE @ (theta - MINIMUM)
    return {"zero": 0.0, "constant": 1.0, "alternating": 1.0 if t % 2 else -1.0}[kind] * CONSTANT


def _step(
    rule: str,
    theta: NDArray[np.float64],
    slope: NDArray[np.float64],
    state: Any,
    direction: Any,
    *,
    lr: float,
    weight_decay: float,
) -> tuple[Any, Any]:  # ndarray, state
    """Return weights and state after a step, given the gradient of the bare loss."""
    given: dict[str, Any] = {"state": state, "direction": direction, "lr": lr}
    if rule in ("penalty", "L1 subgradient"):
        slope = slope + weight_decay * (theta if rule == "penalty" else np.sign(theta))
        return coupled(theta, slope, weight_decay=0.0, **given)
    if rule == "tilt":
        theta, state = decoupled(theta, slope, weight_decay=0.0, **given)
        return theta - lr * weight_decay, state
    if rule == "SGDW without lr":
        return decoupled(theta, slope, weight_decay=weight_decay / lr, **given)
    of = {"SGD": coupled, "Adam": coupled, "L1 proximal": proximal, "SGDW": decoupled, "AdamW": decoupled}
    return of[rule](theta, slope, weight_decay=weight_decay, **given)
