"""Penalties: their value, and what L1 does to a value."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from course_lib import _arguments
from course_lib._arguments import Array

__all__ = ["l1_penalty", "l2_penalty", "soft_threshold"]


def l2_penalty(parameters: torch.Tensor | Iterable[torch.Tensor], weight_decay: float) -> torch.Tensor:
    r"""Return the L2 penalty that makes a loss do what torch's coupled ``weight_decay`` does.

    .. math:: \frac{\lambda}{2} \sum_p \|p\|^2

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those to penalize: all of ``model.parameters()`` has the biases in, as torch's optimizers do. Of
        complex ones the square of the absolute value counts.
    weight_decay : float
        :math:`\lambda \ge 0`. There is a 1/2, and nothing is multiplied by lr.

    Returns
    -------
    Tensor of shape ()
        Differentiable; its gradient is :math:`\lambda p`, also of a complex p, as torch counts it. Infinite
        where it overflows the dtype; the gradient is right even so.

    Raises
    ------
    ValueError, TypeError
        If there is no parameter, one is not a tensor or not finite (under ``torch.func.vmap`` and
        ``torch.compile`` no value is looked at), or `weight_decay` is negative or not a number.

    Examples
    --------
    >>> import torch
    >>> from course_lib.penalties import l2_penalty
    >>> l2_penalty([torch.tensor([1.0, -1.5]), torch.tensor([[-1.5]])], weight_decay=0.1)
    tensor(0.2750)
    """
    parameters, weight_decay = _parameters(parameters), _arguments.number("weight_decay", weight_decay)
    parts = [torch.view_as_real(p.resolve_conj()) if p.is_complex() else p for p in parameters]
    total = _sum(torch.square, parts)
    overflows = total.isinf()  # perhaps only on the way
    if _arguments.known(overflows, otherwise=True):
        root = (weight_decay / 2) ** 0.5
        total = _sum(lambda p: torch.where(overflows, root * p, p).square(), parts)
        return torch.where(overflows, total, weight_decay / 2 * total)
    return weight_decay / 2 * total


def l1_penalty(parameters: torch.Tensor | Iterable[torch.Tensor], weight_decay: float) -> torch.Tensor:
    r"""Return the L1 penalty.

    .. math:: \lambda \sum_p \|p\|_1

    Descending it makes no exact zeros: its gradient does not fade near zero, where torch takes it to be 0.
    `course_lib.optimizers.ProximalSGD` does.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those to penalize: all of ``model.parameters()`` has the biases in. Of complex ones the absolute
        value counts.
    weight_decay : float
        :math:`\lambda \ge 0`. There is no 1/2, and nothing is multiplied by lr.

    Returns
    -------
    Tensor of shape ()
        Differentiable; its gradient is :math:`\lambda \operatorname{sign}(p)`, with
        :math:`\operatorname{sign}(p) = p / |p|`, 0 at 0. Infinite where it overflows the dtype.

    Raises
    ------
    ValueError, TypeError
        If there is no parameter, one is not a tensor or not finite (under ``torch.func.vmap`` and
        ``torch.compile`` no value is looked at), or `weight_decay` is negative or not a number.

    Examples
    --------
    >>> import torch
    >>> from course_lib.penalties import l1_penalty
    >>> l1_penalty([torch.tensor([1.0, -1.5]), torch.tensor([[-1.5]])], weight_decay=0.1)
    tensor(0.4000)
    """
    parameters, weight_decay = _parameters(parameters), _arguments.number("weight_decay", weight_decay)
    total = _sum(torch.abs, parameters)
    overflows = total.isinf()  # perhaps only on the way
    if _arguments.known(overflows, otherwise=True):
        return torch.where(
            overflows, _sum(lambda p: weight_decay * p.abs(), parameters), weight_decay * total
        )
    return weight_decay * total


def _sum(size: Callable[[torch.Tensor], torch.Tensor], parameters: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([size(parameter).sum() for parameter in parameters]).sum()


def _parameters(parameters: torch.Tensor | Iterable[torch.Tensor]) -> list[torch.Tensor]:
    if isinstance(parameters, torch.Tensor):
        parameters = [parameters]
    try:
        parameters = list(parameters)
    except TypeError as error:
        raise TypeError(f"parameters must be tensors, got {parameters!r}") from error
    if not parameters:
        raise ValueError("parameters must not be empty")
    for parameter in parameters:
        if not isinstance(parameter, torch.Tensor):
            raise TypeError(f"parameters must be tensors, got {parameter!r}")
    return [_arguments.finite("parameters", p, empty=True, imaginary=True) for p in parameters]


def soft_threshold(x: Array, threshold: float) -> torch.Tensor:
    r"""Move every value towards zero by `threshold`, and stop at zero.

    .. math:: \begin{aligned} S_\tau(x) &= \operatorname{sign}(x)\,\max(|x| - \tau, 0) \\
        &= x - \min(\max(x, -\tau), \tau) \end{aligned}

    It is the proximal map of :math:`\tau\,|x|`: after a gradient step of size lr on the loss, an L1
    penalty :math:`\lambda\|w\|_1` (no 1/2) asks for ``soft_threshold(w, lr * lambda)``.

    Parameters
    ----------
    x : Tensor
        Any shape, finite. A complex value moves along its own direction:
        :math:`\operatorname{sign}(x) = x / |x|`.
    threshold : float
        :math:`\tau \ge 0`, in the units of `x`.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`, which is not modified.

    Raises
    ------
    ValueError, TypeError
        If `x` is not finite (under ``torch.func.vmap`` and ``torch.compile`` no value is looked at), or
        `threshold` negative or not a number.

    References
    ----------
    N. Parikh and S. Boyd, "Proximal Algorithms", Foundations and Trends in Optimization, 2014.

    Examples
    --------
    >>> import torch
    >>> from course_lib.penalties import soft_threshold
    >>> soft_threshold(torch.tensor([-2.0, 0.5, 3.0]), 1.0)
    tensor([-1.,  0.,  2.])
    """
    x = _arguments.finite("x", x, empty=True, imaginary=True)
    return _towards_zero(x, _arguments.number("threshold", threshold))


def _towards_zero(x: torch.Tensor, threshold: float) -> torch.Tensor:
    if not x.is_complex():
        return x - x.clamp(-threshold, threshold)
    size = x.abs()
    beyond = size > threshold
    return torch.where(beyond, x - threshold * (x / torch.where(beyond, size, 1)), 0)
