"""What decay reaches: an optimizer seen where nothing but the decay is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from course_lib import _arguments
from course_lib._arguments import Array

__all__ = ["coast"]


def coast(
    make_optimizer: Callable[[list[nn.Parameter]], Optimizer],
    start: Array | list[torch.Tensor],
    *,
    n_steps: int = 1,
    gradient: Literal["zero", "none"] = "zero",
) -> Any:  # a Tensor, or a list of them
    r"""Return what an optimizer does to parameters on which the loss does not depend.

    With a gradient of zero nothing but the decay is left. It must bring every parameter closer to zero,
    whatever its sign, and leave a zero alone. With no gradient at all, which is what backward() leaves in a
    parameter that took no part, torch's optimizers skip it: not even the decay is left.

    Parameters
    ----------
    make_optimizer : callable
        ``make_optimizer(parameters)``, of a list, returns a torch optimizer. What its ``weight_decay`` means
        is what one wants to find out: is it multiplied by lr, does it know the sign; a bias is a parameter
        like any other. (A 1/2 in a penalty cannot be seen: only its derivative acts.)
    start : Tensor, or list of Tensor
        One parameter of any shape, or several, each of its own shape; finite.
    n_steps : int, default=1
    gradient : {"zero", "none"}, default="zero"
        What every parameter finds in ``parameter.grad`` before each step: zeros, or None.

    Returns
    -------
    Tensor of shape (n_steps, \*start.shape), or list of such Tensor
        The parameters after each step.

    Raises
    ------
    ValueError, TypeError
        If `start` is not finite, `n_steps` not a positive integer, `gradient` unknown, or `make_optimizer`
        not callable, fails or returns no optimizer, or one whose step fails.

    Examples
    --------
    >>> import torch
    >>> from course_lib.report import coast
    >>> coast(lambda params: torch.optim.SGD(params, lr=0.1, weight_decay=0.5), [1.0, -2.0, 0.0]).tolist()
    [[0.95, -1.9, 0.0]]
    """
    _arguments.function("make_optimizer", make_optimizer)
    several = isinstance(start, list | tuple) and any(isinstance(part, torch.Tensor) for part in start)
    parts: Any = start if several else [start]
    starts = [_arguments.finite("start", part, imaginary=True) for part in parts]
    n_steps = _arguments.count("n_steps", n_steps)
    _arguments.choice("gradient", gradient, ("zero", "none"))
    parameters = [nn.Parameter(part.detach().clone()) for part in starts]
    with _arguments.within("make_optimizer"):
        optimizer = make_optimizer(parameters)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"make_optimizer must return a torch.optim.Optimizer, got {optimizer!r}")

    def closure() -> Any:  # a Tensor, where the annotations of torch's optimizers ask for a float
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter) if gradient == "zero" else None
        return starts[0].new_zeros(())

    paths: list[list[torch.Tensor]] = [[] for _ in parameters]
    for _ in range(n_steps):
        closure()  # for an optimizer that does not call it
        with _arguments.within("the step of what make_optimizer returns"):
            optimizer.step(closure)
        for path, parameter in zip(paths, parameters, strict=True):
            path.append(parameter.detach().clone())
    stacked = [torch.stack(path) for path in paths]
    return stacked if several else stacked[0]
