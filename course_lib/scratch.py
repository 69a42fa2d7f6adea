"""Models by hand, in matrix form: what torch does, without its gradients and optimizers."""

import numpy as np
import torch

from course_lib import _checks
from course_lib.geometry import augment

__all__ = ["logistic_cost", "logistic_descent", "logistic_sweep"]

CHUNK = 2**18  # entries of the largest matrix of a sweep: it has to stay in the cache


def logistic_cost(X, y, theta, *, weight_decay=0.0, decay_bias=True):
    r"""Return the mean logistic loss plus the L2 penalty, for one or many parameter vectors.

    .. math:: J(\theta) = \frac1n\sum_i \log\bigl(1 + e^{-z_i \cdot \theta}\bigr)
        + \frac{\lambda}{2}\|\theta\|^2, \qquad z_i = (2y_i - 1)\,(x_i, 1)

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    y : array of shape (n_samples,)
        Labels 0 and 1.
    theta : array of shape (n_features + 1,) or (n_vectors, n_features + 1)
        Weights, then bias: what `logistic_descent` returns.
    weight_decay : float, default=0.0
        :math:`\lambda \ge 0`; there is a 1/2, and nothing is multiplied by lr.
    decay_bias : bool, default=True
        Whether the bias is in the penalty, as it is for torch unless parameter groups keep it out.

    Returns
    -------
    float64 or ndarray of shape (n_vectors,)

    Raises
    ------
    ValueError, TypeError
        If shapes do not match or an argument is out of its range.

    Examples
    --------
    >>> from course_lib.data import two_points
    >>> from course_lib.scratch import logistic_cost
    >>> print(f"{logistic_cost(*two_points(), [0.0, 0.0, 0.0], weight_decay=0.2):.4f}")
    0.6931
    """
    Z = _signed_rows(X, y)
    theta = _checks.finite("theta", theta).detach().cpu().double().numpy()
    if theta.ndim not in (1, 2) or theta.shape[-1] != Z.shape[1]:
        raise ValueError(f"theta must have {Z.shape[1]} entries, weights and bias, got shape {theta.shape}")
    weight_decay = _checks.number("weight_decay", weight_decay)
    penalized = theta if _checks.flag("decay_bias", decay_bias) else theta[..., :-1]
    with np.errstate(over="ignore", invalid="ignore"):
        loss = np.logaddexp(0, -theta @ Z.T).mean(axis=-1)
        cost = loss + weight_decay / 2 * (penalized**2).sum(axis=-1)
    if not np.isfinite(cost).all():
        raise ValueError("theta is too large for float64: its cost is not finite")
    return cost


def logistic_descent(X, y, *, lr, n_steps, weight_decay=0.0, decay_bias=True, start=None, record=None):
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
    ndarray of shape (n_recorded, n_features + 1)
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
    >>> theta.round(4).tolist()
    [[3.4584, -0.8681, -5.1947]]
    """
    Z = _signed_rows(X, y)
    lr = _checks.number("lr", lr, strict=True)
    n_steps = _checks.count("n_steps", n_steps)
    weight_decay = _checks.number("weight_decay", weight_decay)
    _checks.flag("decay_bias", decay_bias)
    n_samples, n_parameters = Z.shape
    theta = np.zeros(n_parameters)
    if start is not None:
        start = _checks.finite("start", start, ndim=1).detach().cpu().double().numpy()
        if len(start) != len(theta):
            raise ValueError(f"start must have {len(theta)} entries, weights and bias, got {len(start)}")
        theta += start
    record = np.arange(1, n_steps + 1) if record is None else np.array(record)
    if record.ndim != 1 or (record.size and record.dtype.kind not in "iu"):
        raise TypeError(f"record must be a sequence of integers, got {record!r}")
    if record.size == 0 or record[0] < 1 or record[-1] > n_steps or (np.diff(record) <= 0).any():
        raise ValueError(f"record must increase from 1 or more to n_steps or less, got {record.tolist()}")

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
    if not np.isfinite(recorded).all():
        raise ValueError(f"lr = {lr:g} lets the parameters grow without bound; a smaller one may help")
    return recorded


def logistic_sweep(X, y, weight_decays, *, lr, n_steps, decay_bias=True):
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
    ndarray of shape (n_runs, n_features + 1)
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
    >>> theta.round(2).tolist()
    [[3.46, -0.87, -5.19], [0.59, -0.01, -0.62]]
    """
    X, y = _checks.samples(X, y)
    if X.dtype == torch.bfloat16:
        raise TypeError("X must have a dtype that NumPy has, got torch.bfloat16")
    weight_decays = _checks.finite("weight_decays", weight_decays, ndim=1).detach().to(X)
    if (weight_decays < 0).any():
        raise ValueError(f"weight_decays must be >= 0, got {weight_decays.min().item():g}")
    lr = _checks.number("lr", lr, strict=True)
    n_steps = _checks.count("n_steps", n_steps)
    _checks.flag("decay_bias", decay_bias)
    Z = (1 - 2 * y[:, None]) * augment(X)
    ascent = Z.T.contiguous() * (-lr / len(Z))
    theta = X.new_zeros(Z.shape[1], len(weight_decays))
    for runs in torch.arange(len(weight_decays)).split(max(1, CHUNK // len(Z))):
        part = X.new_zeros(Z.shape[1], len(runs))
        keep = (1 - lr * weight_decays[runs]).expand_as(part).clone()
        if not decay_bias:
            keep[-1] = 1.0
        wrong = Z.new_empty(len(Z), len(runs))
        for _ in range(n_steps):
            torch.mm(Z, part, out=wrong).sigmoid_()
            part.mul_(keep).addmm_(ascent, wrong)
        theta[:, runs] = part
    if not theta.isfinite().all():
        raise ValueError(f"lr = {lr:g} lets the parameters grow without bound; a smaller one may help")
    return theta.T.contiguous().cpu().numpy()


def _signed_rows(X, y):
    """Return the rows (x, 1), their sign turned for label 0, so that larger is better for all."""
    X, y = (tensor.cpu().double().numpy() for tensor in _checks.samples(X, y))
    return np.column_stack([X, np.ones(len(X))]) * (2 * y - 1)[:, None]
