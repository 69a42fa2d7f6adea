"""Models by hand, in matrix form: what torch does, without its gradients and optimizers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from course_lib import _arguments
from course_lib._arguments import Array
from course_lib.data import augment
from course_lib.rules import adam, coupled, decoupled, sgd

__all__ = ["linear_descent", "logistic_descent", "logistic_sweep"]

Matrix: TypeAlias = NDArray[np.floating]  # or a stack of them

CHUNK = 2**18  # entries of the largest matrix of a sweep: it has to stay in the cache


def linear_descent(
    X: Array,
    Y: Array,
    start: Array,
    *,
    lr: float,
    n_epochs: int,
    batch_size: int | None = None,
    optimizer: Literal["SGD", "SGDW", "Adam", "AdamW"] = "SGD",
    weight_decay: float = 0.0,
    decay_bias: bool = False,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    reduction: Literal["mean", "sum"] = "mean",
) -> Any:  # ndarray, or Tensor like X
    r"""Run linear regression with several targets, as nn.Linear, MSELoss and an optimizer of torch would.

    With :math:`\Theta = (W; b)`, and the rows (x, 1) of a batch and their targets in Z and Y,

    .. math:: G = \tfrac{2}{N}\,Z^\top (Z\Theta - Y)

    where N counts the entries of Y, rows times targets, or is 1 for a sum. A step with coupled decay is

    .. math:: \Theta \leftarrow \Theta - \eta\,D(G + \lambda\Theta)

    and with decoupled decay

    .. math:: \Theta \leftarrow (1 - \eta\lambda)\,\Theta - \eta\,D(G) .

    The direction D(G) of SGD is V, or :math:`G + \mu V` with Nesterov; V is G the first time, and then

    .. math:: V \leftarrow \mu V + (1 - \tau)\,G .

    That of Adam, from M and S that start at zero, is in step t

    .. math:: M \leftarrow \beta_1 M + (1 - \beta_1)\,G, \qquad
        S \leftarrow \beta_2 S + (1 - \beta_2)\,G^2, \qquad
        D = \frac{M / (1 - \beta_1^t)}{\sqrt{S / (1 - \beta_2^t)} + \epsilon} .

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    Y : array of shape (n_samples, n_targets)
    start : array of shape (n_features + 1, n_targets)
        The weights, then a row of biases, before the first step.
    lr : float
        :math:`\eta > 0`.
    n_epochs : int
        Passes over the rows, which are taken in their order.
    batch_size : int, optional
        Rows a step, fewer in the last step of an epoch if need be; all when None.
    optimizer : {"SGD", "SGDW", "Adam", "AdamW"}, default="SGD"
        Coupled decay, or decoupled with a W. "SGDW" is `course_lib.optimizers.SGDW`, the others are torch's.
    weight_decay : float, default=0.0
        :math:`\lambda \ge 0`, always multiplied by lr. With "SGD" it is that of the penalty
        :math:`\tfrac{\lambda}{2}\|W\|^2` (there is a 1/2), which is added to the loss as it is, be
        that a mean or a sum.
    decay_bias : bool, default=False
        Whether the biases are decayed too, as they are in torch unless parameter groups keep them out.
    momentum, dampening : float, default=0.0
        :math:`\mu \ge 0` and :math:`\tau \ge 0` of SGD and SGDW. Without momentum there is no dampening.
    nesterov : bool, default=False
        Of SGD and SGDW; it needs momentum and no dampening.
    betas : (float, float), default=(0.9, 0.999)
        :math:`\beta_1` and :math:`\beta_2` of Adam and AdamW, from 0 to below 1.
    eps : float, default=1e-8
        :math:`\epsilon > 0` of Adam and AdamW.
    reduction : {"mean", "sum"}, default="mean"
        Whether the loss is the mean of the squared errors, over rows and targets, or their sum.

    Returns
    -------
    ndarray, or Tensor where `X` is one, of shape (n_steps, n_features + 1, n_targets)
        :math:`\Theta` after each step. It is computed in the dtype of `X`, float32 or float64.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match, an argument is out of its range or belongs to another optimizer, or the
        parameters stop being finite.

    References
    ----------
    torch.optim documentation, the algorithms of SGD, Adam and AdamW. I. Loshchilov and F. Hutter,
    "Decoupled Weight Decay Regularization", ICLR 2019.

    Examples
    --------
    >>> from course_lib.scratch import linear_descent
    >>> X, Y, start = [[1.0], [2.0]], [[2.0], [4.0]], [[1.0], [0.0]]
    >>> theta = linear_descent(X, Y, start, lr=0.1, n_epochs=1, weight_decay=0.5)
    >>> theta.round(4).tolist()
    [[[1.45], [0.3]]]
    """
    wanted, given = X, (("X", X), ("Y", Y), ("start", start))
    X, Y, start = (_arguments.finite(*item, ndim=2).detach() for item in given)
    if X.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"X must be float32 or float64, got {X.dtype}")
    if len(Y) != len(X):
        raise ValueError(f"X and Y must have as many rows, got {len(X)} and {len(Y)}")
    if start.shape != (X.shape[1] + 1, Y.shape[1]):
        expected = (X.shape[1] + 1, Y.shape[1])
        raise ValueError(f"start must have shape {expected}, by X and Y, got {tuple(start.shape)}")
    lr = _arguments.number("lr", lr, strict=True)
    n_epochs = _arguments.count("n_epochs", n_epochs)
    batch_size = len(X) if batch_size is None else _arguments.count("batch_size", batch_size)
    weight_decay = _arguments.number("weight_decay", weight_decay)
    _arguments.flag("decay_bias", decay_bias)
    direction = _direction(optimizer, momentum, dampening, nesterov, betas, eps)
    _arguments.choice("reduction", reduction, ("mean", "sum"))

    step = decoupled if optimizer.endswith("W") else coupled
    Z, Y, theta = (tensor.to(X).cpu().numpy() for tensor in (augment(X), Y, start))
    path, state = [], None
    with np.errstate(all="ignore"):
        decay = np.full((len(theta), 1), weight_decay, dtype=Z.dtype)
        if not decay_bias:
            decay[-1] = 0.0
        for first in [*range(0, len(Z), batch_size)] * n_epochs:
            rows = slice(first, first + batch_size)
            error = Z[rows] @ theta - Y[rows]
            gradient = 2 * (Z[rows].T @ error) / (error.size if reduction == "mean" else 1)
            theta, state = step(theta, gradient, state, direction, lr=lr, weight_decay=decay)
            path.append(theta)
    path = np.stack(path)
    if state is None or not np.isfinite(path).all() or not np.isfinite(state[-1]).all():  # Adam's: a square
        raise _unbounded(lr, "X, Y, start, weight_decay or momentum")
    return _of_kind(wanted, path)


def logistic_descent(
    X: Array,
    y: Array,
    *,
    lr: float,
    n_steps: int,
    weight_decay: float = 0.0,
    decay_bias: bool = True,
    start: Array | None = None,
    record: Sequence[int] | None = None,
) -> Any:  # ndarray, or Tensor like X
    r"""Run full-batch gradient descent on the logistic loss, as torch.optim.SGD would.

    With :math:`\theta = (w, b)`, rows :math:`z_i = s_i(x_i, 1)` and :math:`s_i = 2y_i - 1`, a step is

    .. math:: \theta \leftarrow \theta + \frac{\eta}{n}\sum_i \sigma(-z_i \cdot \theta)\,z_i
        - \eta\lambda\theta .

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    y : array of shape (n_samples,)
        Labels 0 and 1.
    lr : float
        :math:`\eta > 0`.
    n_steps : int
        At least 1.
    weight_decay : float, default=0.0
        :math:`\lambda \ge 0` of the penalty :math:`\tfrac{\lambda}{2}\|\theta\|^2` (there is a 1/2;
        the step multiplies by lr).
    decay_bias : bool, default=True
        Whether b is decayed too, as it is in torch unless parameter groups keep it out.
    start : array of shape (n_features + 1,), optional
        Weights, then bias, before the first step; zeros when None.
    record : sequence of int, optional
        The steps, counted from 1 and increasing, whose result is kept; every step when None.

    Returns
    -------
    ndarray, or Tensor where `X` is one, of shape (n_recorded, n_features + 1)
        Weights, then bias, after each recorded step, float64.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range, or the parameters stop being finite.

    Examples
    --------
    >>> from course_lib.data import two_points
    >>> from course_lib.scratch import logistic_descent
    >>> theta = logistic_descent(*two_points(), lr=1.0, n_steps=101, record=[101])
    >>> theta.round(decimals=4).tolist()
    [[3.4584, -0.8681, -5.1947]]
    """
    Z = _signed_rows(X, y)
    lr = _arguments.number("lr", lr, strict=True)
    n_steps = _arguments.count("n_steps", n_steps)
    weight_decay = _arguments.number("weight_decay", weight_decay)
    _arguments.flag("decay_bias", decay_bias)
    n_samples, n_parameters = Z.shape
    theta = np.zeros(n_parameters)
    if start is not None:
        start = _arguments.finite("start", start, ndim=1).detach().cpu().double().numpy()
        if len(start) != len(theta):
            expected = f"{len(theta)} entries, weights for X and bias"
            raise ValueError(f"start must have {expected}, got {len(start)}")
        theta += start
    record = list(range(1, n_steps + 1)) if record is None else _arguments.counts("record", record)
    if not record or record[-1] > n_steps or record != sorted(set(record)):
        raise ValueError(f"record must increase from 1 or more to n_steps or less, got {record}")

    keep = np.full(n_parameters, 1 - lr * weight_decay)
    if not decay_bias:
        keep[-1] = 1.0
    recorded = np.empty((len(record), n_parameters))
    done = 0
    with np.errstate(over="ignore", invalid="ignore"):  # 1 / (1 + inf) is 0, as it should be
        ascent = Z.T * (lr / n_samples)
        for row, stop in enumerate(record):
            for _ in range(stop - done):
                wrong = 1 / (1 + np.exp(Z @ theta))
                theta = keep * theta + ascent @ wrong
            done, recorded[row] = stop, theta
        largest = abs(Z).max()  # beyond float64 even the sign of a row times theta is lost
        reach = largest * np.maximum(lr * largest, abs(recorded).max()) * n_parameters
    if not np.isfinite(reach):
        raise _unbounded(lr, "X, start or weight_decay")
    return _of_kind(X, recorded)


def logistic_sweep(
    X: Array, y: Array, weight_decays: Array, *, lr: float, n_steps: int, decay_bias: bool = True
) -> Any:  # ndarray, or Tensor like X
    r"""Run `logistic_descent` from zero for many weight decays at once.

    The parameters of all runs are the columns of one matrix, so that a step is two matrix products. Runs
    are taken in chunks that fit the processor's cache: time grows with their number, memory does not.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    y : array of shape (n_samples,)
        Labels 0 and 1.
    weight_decays : array of shape (n_runs,)
        Each :math:`\lambda \ge 0` of :math:`\tfrac{\lambda}{2}\|\theta\|^2` (there is a 1/2; the step
        multiplies by lr).
    lr : float
        :math:`\eta > 0`.
    n_steps : int
        At least 1.
    decay_bias : bool, default=True
        Whether the bias is decayed too.

    Returns
    -------
    ndarray, or Tensor where `X` is one, of shape (n_runs, n_features + 1)
        Weights, then bias, after the last step, in the dtype of `X`.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range, or the parameters stop being finite.

    Examples
    --------
    >>> import torch
    >>> from course_lib.data import two_points
    >>> from course_lib.scratch import logistic_sweep
    >>> theta = logistic_sweep(*two_points(torch.float64), [0.0, 0.2], lr=1.0, n_steps=101)
    >>> theta.round(decimals=2).tolist()
    [[3.46, -0.87, -5.19], [0.59, -0.01, -0.62]]
    """
    wanted = X
    X, y = _arguments.samples(X, y)
    if X.dtype == torch.bfloat16:
        raise TypeError("X must have a dtype that NumPy has, got torch.bfloat16")
    weight_decays = _arguments.finite("weight_decays", weight_decays, ndim=1).detach().to(X)
    if (weight_decays < 0).any():
        raise ValueError(f"weight_decays must be >= 0, got {weight_decays.min().item():g}")
    lr = _arguments.number("lr", lr, strict=True)
    n_steps = _arguments.count("n_steps", n_steps)
    _arguments.flag("decay_bias", decay_bias)
    Z = (1 - 2 * y[:, None]) * augment(X)
    ascent = Z.T.contiguous() * (-lr / len(Z))
    theta = X.new_zeros(Z.shape[1], len(weight_decays))
    at_once = max(1, CHUNK // len(Z))
    for first, decays in zip(range(0, theta.shape[1], at_once), weight_decays.split(at_once), strict=True):
        part = X.new_zeros(Z.shape[1], len(decays))
        keep = (1 - lr * decays).expand_as(part).clone()
        if not decay_bias:
            keep[-1] = 1.0
        wrong = Z.new_empty(len(Z), len(decays))
        for _ in range(n_steps):
            torch.mm(Z, part, out=wrong).sigmoid_()
            part.mul_(keep).addmm_(ascent, wrong)
        theta[:, first : first + at_once] = part
    largest = Z.abs().max()  # beyond its dtype even the sign of a row times theta is lost
    if not torch.isfinite(largest * torch.maximum(lr * largest, theta.abs().max()) * len(theta)):
        raise _unbounded(lr, "X or weight_decays")
    return _of_kind(wanted, theta.T.contiguous().cpu().numpy())


def _of_kind(wanted: Array, result: Matrix) -> Any:
    """Return a result as a tensor where a tensor was given."""
    return torch.from_numpy(result).to(wanted.device) if isinstance(wanted, torch.Tensor) else result


def _unbounded(lr: float, others: str) -> ValueError:
    reason = f"lr = {lr:g} lets the parameters grow without bound"
    return ValueError(f"{reason}; a smaller one may help, unless {others} is too large")


def _direction(
    optimizer: str,
    momentum: float,
    dampening: float,
    nesterov: bool,
    betas: tuple[float, float],
    eps: float,
) -> Callable[[Matrix, Any], tuple[Matrix, Any]]:
    """Return the function of the optimizer: gradient and state (None at first) -> direction and state."""
    _arguments.choice("optimizer", optimizer, ("SGD", "SGDW", "Adam", "AdamW"))
    momentum = _arguments.number("momentum", momentum)
    dampening = _arguments.number("dampening", dampening)
    if _arguments.flag("nesterov", nesterov) and (momentum == 0 or dampening != 0):
        raise ValueError("nesterov needs momentum above 0 and no dampening")
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"betas must be two numbers, got {betas!r}")
    beta1, beta2 = (_arguments.number("betas", beta) for beta in betas)
    if max(beta1, beta2) >= 1:
        raise ValueError(f"betas must be below 1, got {(beta1, beta2)}")
    eps = _arguments.number("eps", eps, strict=True)
    if optimizer.startswith("SGD"):
        if (beta1, beta2, eps) != (0.9, 0.999, 1e-8):
            raise ValueError(f"betas and eps belong to Adam and AdamW, got optimizer={optimizer!r}")
        return partial(sgd, momentum=momentum, dampening=dampening, nesterov=nesterov)
    if momentum or dampening:
        raise ValueError(f"momentum and dampening belong to SGD and SGDW, got optimizer={optimizer!r}")
    return partial(adam, betas=(beta1, beta2), eps=eps)


def _signed_rows(X: Array, y: Array) -> NDArray[np.float64]:
    """Return the rows (x, 1), their sign turned for label 0, so that larger is better for all."""
    X, y = (tensor.cpu().double().numpy() for tensor in _arguments.samples(X, y))
    Z: NDArray[np.float64] = np.column_stack([X, np.ones(len(X))]) * (2 * y - 1)[:, None]
    return Z
