"""Models by hand, in NumPy: what torch does, without torch."""

import numpy as np

from course_lib import _checks

__all__ = ["logistic_descent"]


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
    X, y = (tensor.cpu().double().numpy() for tensor in _checks.samples(X, y))
    lr = _checks.number("lr", lr, strict=True)
    n_steps = _checks.count("n_steps", n_steps)
    weight_decay = _checks.number("weight_decay", weight_decay)
    _checks.flag("decay_bias", decay_bias)
    n_samples, n_features = X.shape
    Z = np.column_stack([X, np.ones(n_samples)]) * (2 * y - 1)[:, None]
    theta = np.zeros(n_features + 1)
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

    keep = np.full(n_features + 1, 1 - lr * weight_decay)
    if not decay_bias:
        keep[-1] = 1.0
    recorded = np.empty((len(record), n_features + 1))
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
