r"""The step of every optimizer in this book: a direction, and the place where the decay comes in.

A *direction* makes of the gradient what is stepped along, and keeps what it has to remember: `sgd`, `adam`.
A *step* moves the parameters along it, and decays them before (`coupled`), beside (`decoupled`) or after it
(`proximal`). Any direction goes with any step:

============  ====================  =====================
..            `sgd`                 `adam`
============  ====================  =====================
`coupled`     torch.optim.SGD       torch.optim.Adam
`decoupled`   `optimizers.SGDW`     torch.optim.AdamW
`proximal`    `ProximalSGD`
============  ====================  =====================

All are pure functions, for NumPy arrays and torch tensors alike: what comes in is not changed, and the state,
None before the first step, is handed from step to step. They check nothing, so that they stay as short as
what they say; `scratch`, `landscape` and `optimizers`, which are made of them or tested against them, do.

Examples
--------
Adam with an L2 penalty, and AdamW, on a gradient that is zero:

>>> import torch
>>> from course_lib.rules import adam, coupled, decoupled
>>> theta, gradient = torch.tensor([1.0, -2.0]), torch.zeros(2)
>>> for step in (coupled, decoupled):
...     after, state = step(theta, gradient, None, adam, lr=0.1, weight_decay=0.5)
...     print([round(x, 4) for x in after.tolist()])
[0.9, -1.9]
[0.95, -1.9]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["adam", "coupled", "decoupled", "proximal", "sgd"]

Array = TypeVar("Array", torch.Tensor, NDArray[np.floating[Any]])
Setting: TypeAlias = Any  # a number, or an array that broadcasts against the parameters
State: TypeAlias = Any  # of a direction; None before the first step
Direction: TypeAlias = Callable[[Array, State], tuple[Array, State]]


def sgd(
    gradient: Array,
    velocity: State = None,
    *,
    momentum: Setting = 0.0,
    dampening: Setting = 0.0,
    nesterov: bool = False,
) -> tuple[Array, State]:
    r"""Return the direction of SGD, and its velocity.

    .. math:: v \leftarrow \mu v + (1 - \tau)\,g \quad (v = g \text{ the first time}), \qquad
        d = \begin{cases} g + \mu v & \text{with Nesterov} \\ v & \text{else} \end{cases}

    Parameters
    ----------
    gradient : Tensor or ndarray
    velocity : Tensor or ndarray, optional
        What the last step returned; None before the first.
    momentum, dampening : float, default=0.0
        :math:`\mu` and :math:`\tau`. Without momentum there is no dampening either, as in torch.
    nesterov : bool, default=False

    Returns
    -------
    direction, velocity : Tensor or ndarray

    References
    ----------
    torch.optim.SGD, documentation.

    Examples
    --------
    >>> import numpy as np
    >>> from course_lib.rules import sgd
    >>> direction, velocity = sgd(np.ones(1), momentum=0.9)
    >>> sgd(np.ones(1), velocity, momentum=0.9)[0]
    array([1.9])
    """
    fresh = 1 - dampening * (momentum != 0)
    velocity = gradient if velocity is None else momentum * velocity + fresh * gradient
    return (gradient + momentum * velocity if nesterov else velocity), velocity


def adam(
    gradient: Array,
    moments: State = None,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> tuple[Array, State]:
    r"""Return the direction of Adam, and its moments.

    In step t, with M and S that start at zero,

    .. math:: M \leftarrow \beta_1 M + (1 - \beta_1)\,g, \qquad
        S \leftarrow \beta_2 S + (1 - \beta_2)\,g^2, \qquad
        d = \frac{M / (1 - \beta_1^t)}{\sqrt{S / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    gradient : Tensor or ndarray
    moments : (int, Tensor, Tensor) or the same with ndarrays, optional
        What the last step returned: t, M and S; None before the first.
    betas : (float, float), default=(0.9, 0.999)
        :math:`\beta_1` and :math:`\beta_2`.
    eps : float, default=1e-8
        :math:`\epsilon`.

    Returns
    -------
    direction : Tensor or ndarray
    moments : tuple

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from course_lib.rules import adam
    >>> direction, moments = adam(np.array([100.0, -0.01]))
    >>> direction.round(4)
    array([ 1., -1.])
    """
    (beta1, beta2), (t, M, S) = betas, moments or (0, 0.0, 0.0)
    t, M, S = t + 1, beta1 * M + (1 - beta1) * gradient, beta2 * S + (1 - beta2) * gradient**2
    return (M / (1 - beta1**t)) / ((S / (1 - beta2**t)) ** 0.5 + eps), (t, M, S)


def coupled(
    theta: Array,
    gradient: Array,
    state: State,
    direction: Direction[Array],
    *,
    lr: Setting,
    weight_decay: Setting,
) -> tuple[Array, State]:
    r"""Return the parameters after a step whose gradient contains the decay.

    .. math:: \theta \leftarrow \theta - \eta\,d(g + \lambda\theta)

    Parameters
    ----------
    theta, gradient : Tensor or ndarray
        The parameters, and the gradient of the bare loss there.
    state
        Of the direction: what the last step returned, None before the first.
    direction : callable
        ``direction(gradient, state)`` returns a direction and its next state.
    lr : float
        :math:`\eta`.
    weight_decay : float, or array like theta
        :math:`\lambda` of :math:`\tfrac{\lambda}{2}\|\theta\|^2`: there is a 1/2, the step multiplies by lr.
        An array that is 0 at the bias leaves the bias out.

    Returns
    -------
    theta : Tensor or ndarray
    state

    Examples
    --------
    >>> import numpy as np
    >>> from course_lib.rules import coupled, sgd
    >>> coupled(np.array([1.0, -1.5]), np.zeros(2), None, sgd, lr=0.1, weight_decay=0.1)[0]
    array([ 0.99 , -1.485])
    """
    step, state = direction(gradient + weight_decay * theta, state)
    return theta - lr * step, state


def decoupled(
    theta: Array,
    gradient: Array,
    state: State,
    direction: Direction[Array],
    *,
    lr: Setting,
    weight_decay: Setting,
) -> tuple[Array, State]:
    r"""Return the parameters after a step beside which they shrink.

    .. math:: \theta \leftarrow (1 - \eta\lambda)\,\theta - \eta\,d(g)

    Parameters
    ----------
    theta, gradient, state, direction, lr
        As in `coupled`.
    weight_decay : float, or array like theta
        :math:`\lambda`, multiplied by lr. There is no penalty and no 1/2. An array that is 0 at the bias
        leaves the bias out.

    Returns
    -------
    theta : Tensor or ndarray
    state

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from course_lib.rules import adam, decoupled
    >>> decoupled(np.array([1.0, -1.5]), np.zeros(2), None, adam, lr=0.1, weight_decay=0.1)[0]
    array([ 0.99 , -1.485])
    """
    step, state = direction(gradient, state)
    return (1 - lr * weight_decay) * theta - lr * step, state


def proximal(
    theta: Array,
    gradient: Array,
    state: State,
    direction: Direction[Array],
    *,
    lr: Setting,
    weight_decay: Setting,
    norm: Literal[1, 2] = 1,
) -> tuple[Array, State]:
    r"""Return the parameters after a step and the shrinking that follows it.

    .. math:: \theta \leftarrow \operatorname{prox}(\theta - \eta\,d(g))

    where the proximal map of :math:`\eta\lambda\|\theta\|_1` moves every entry towards zero by
    :math:`\eta\lambda` and stops there, and that of :math:`\tfrac{\eta\lambda}{2}\|\theta\|^2` divides by
    :math:`1 + \eta\lambda`.

    Parameters
    ----------
    theta, gradient, state, direction, lr
        As in `coupled`.
    weight_decay : float, or array like theta
        :math:`\lambda`: no 1/2 with norm 1, a 1/2 with norm 2; the step multiplies it by lr. An array that is
        0 at the bias leaves the bias out.
    norm : {1, 2}, default=1

    Returns
    -------
    theta : Tensor or ndarray
    state

    References
    ----------
    N. Parikh and S. Boyd, "Proximal Algorithms", Foundations and Trends in Optimization, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from course_lib.rules import proximal, sgd
    >>> proximal(np.array([1.0, -1.5, 0.005]), np.zeros(3), None, sgd, lr=0.1, weight_decay=0.1)[0]
    array([ 0.99, -1.49,  0.  ])
    """
    step, state = direction(gradient, state)
    theta = theta - lr * step
    shrink: Any = lr * weight_decay
    return (theta - theta.clip(-shrink, shrink) if norm == 1 else theta / (1 + shrink)), state
