"""The right answers of public functions, at 60 digits and without overflow, whatever the arguments are."""

import copy
import itertools
import math

import mpmath
import numpy as np
import torch
import torch.nn.functional as F
from mpmath import mp
from scipy.optimize import nnls
from torch import nn

ORACLES = {}  # by function: what yields (found, expected) for a result and the arguments that led to it


def oracle(*functions):
    def add(check):
        ORACLES.update(dict.fromkeys(functions, check))
        return check

    return add


def exact(value):
    """Return numbers as an array of mpmath's, complex ones as pairs."""
    value = real_parts(value)
    array = value.detach().double().numpy() if isinstance(value, torch.Tensor) else np.asarray(value, float)
    return _mpf(array)


def is_complex(value):
    return value.is_complex() if isinstance(value, torch.Tensor) else np.iscomplexobj(value)


def real_parts(value):
    """Return complex numbers as pairs in a last dimension, and others as they are."""
    return torch.view_as_real(torch.as_tensor(value)) if is_complex(value) else value


def sizes(value):
    return norm(exact(value)) if is_complex(value) else abs(exact(value))


def _entrywise(function, n_arguments=1):
    return np.frompyfunc(function, n_arguments, 1)


def _exp_of(z):
    return mp.exp(z) if abs(z) < 1e4 else mp.mpf(0) if z < 0 else mp.inf


_mpf = np.frompyfunc(mpmath.mpf, 1, 1)
sqrt, degrees_of = _entrywise(mp.sqrt), _entrywise(lambda y, x: mp.degrees(mp.atan2(y, x)), 2)
sigmoid = _entrywise(lambda z: 1 / (1 + _exp_of(-z)))
softplus = _entrywise(lambda z: z if z > 1e4 else mp.log1p(_exp_of(z)))


def norm(v):
    return sqrt(np.asarray((v * v).sum(axis=-1)))


@oracle("conventions.convert")
def _(result, value, n_samples, n_outputs, **_):
    yield result, exact(value) * 2 / (exact(n_samples) * n_outputs)


@oracle("data.noisy_sine")
def _(result, n_samples, noise, seed, **_):
    X, y = map(exact, result)
    generator = np.random.RandomState(seed)
    uniform, normal = generator.rand(n_samples, 1), generator.randn(n_samples, 1)
    expected = 2 * exact(uniform) - 1
    yield X, expected
    yield y, _entrywise(mp.sin)(mp.pi * expected) + exact(noise) * exact(normal)


@oracle("data.separable")
def _(result, margin, offset, seed, n_samples, n_features, **_):
    X, y = result
    u = torch.randn(n_features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    distance = exact(X) @ exact(u / u.norm()) - exact(offset)
    of_1, of_0 = distance[exact(y) == 1], distance[exact(y) == 0]
    assert min(of_1) > max(of_0)
    yield [offset + min(of_1), offset + max(of_0)], [offset + exact(margin), offset - exact(margin)]
    assert X.shape == (n_samples, n_features)


@oracle("geometry.angle")
def _(result, weight):
    weight = exact(weight)
    yield result, degrees_of(weight[..., 1], weight[..., 0])


@oracle("geometry.angle_between")
def _(result, u, v):
    u, v = (w / np.asarray(norm(w))[..., None] for w in (exact(u), exact(v)))
    angles = 2 * degrees_of(norm(u - v), norm(u + v))
    yield 180 + exact(result), 180 + angles  # small ones are as exact as large ones, not more


@oracle("data.augment")
def _(result, X, constant):
    X = exact(X)
    yield result, np.column_stack([X, np.full(len(X), exact(constant))])


@oracle("geometry.bisector")
def _(result, p, q):
    p, q = exact(p), exact(q)
    weight = 2 * (p - q) / ((p - q) ** 2).sum()
    yield result[0], weight
    yield result[1], -weight @ (p + q) / 2


@oracle("geometry.boundary_segment")
def _(result, weight, bias, xlim, ylim):
    weight, bias, limits = exact(weight), exact(bias), [exact(xlim), exact(ylim)]
    ends = []
    for along, across in ((0, 1), (1, 0)):
        for place in limits[along] if weight[across] else ():
            other = -(bias + weight[along] * place) / weight[across]
            if limits[across][0] <= other <= limits[across][1]:
                ends.append((place, other) if along == 0 else (other, place))
    if result is None:
        assert not ends
    else:
        yield result, np.array([min(ends), max(ends)])


@oracle("geometry.max_margin")
def _(result, X, y, count_bias):
    rounding = 1e-6 + 40 * torch.finfo(result[0].dtype).eps
    weight, bias = (exact(part) for part in result)
    X, signs = exact(X), 2 * exact(y) - 1
    margins = signs * (X @ weight + bias)
    yield min(margins), exact(1)
    if not count_bias:
        yield [min(margins[signs == 1]), min(margins[signs == -1])], exact([1, 1])
    # Optimal is a combination of the closest points; their signs add up to 0, or to the bias.
    scale = abs(X).max()
    rows = np.column_stack([X / scale, np.full(len(X), 1 / scale if count_bias else 1)]) * signs[:, None]
    wanted = np.append(weight, bias if count_bias else 0) * scale
    size = abs(wanted).max()
    closest = rows[margins < 1 + 10 * rounding]
    assert nnls(closest.T.astype(float), (wanted / size).astype(float))[1] < 10 * rounding


@oracle("geometry.signed_distance")
def _(result, X, weight, bias):
    weight = exact(weight)
    yield result, (exact(X) @ weight + exact(bias)) / norm(weight)


def squares(prediction, target):
    """The mean of squares, as a function that course_lib does not know."""
    return (prediction - target).square().mean()


def _is_line(model, X, y, loss_fn):
    known = type(model) is nn.Linear and loss_fn in (F.mse_loss, squares)
    return known and exact(y).shape == (len(exact(X)), 1)


@oracle("landscape.loss_grid")
def _(result, model, X, y, xs, ys, loss_fn, directions, origin):
    if _is_line(model, X, y, loss_fn):
        u, v = np.eye(2) if directions is None else (exact(direction) for direction in directions)
        steps = exact(xs)[None, :, None] * u + exact(ys)[:, None, None] * v
        theta = steps + (0 if origin is None else exact(origin))
        yield result, ((theta @ exact(X).T - exact(y)[:, 0]) ** 2).mean(axis=-1)


@oracle("landscape.descent_paths")
def _(result, model, X, y, start, lr, n_steps, momentum, dampening, nesterov, weight_decay, loss_fn):
    if not _is_line(model, X, y, loss_fn):
        return
    X, y, start = exact(X), exact(y)[:, 0], exact(start)
    settings = (np.reshape(exact(each), (-1, 1)) for each in (lr, momentum, dampening, weight_decay))
    lr, momentum, dampening, decay = np.broadcast_arrays(*settings)
    look_ahead = np.asarray(nesterov).reshape(-1, 1)
    theta = np.broadcast_to(np.atleast_2d(start), (max(len(lr), len(np.atleast_2d(start))), X.shape[1]))
    path, buffer = [theta], None
    for _ in range(n_steps):
        gradient = 2 * (theta @ X.T - y) @ X / len(X) + decay * theta
        fresh = np.where(momentum == 0, 1, 1 - dampening)
        buffer = gradient if buffer is None else momentum * buffer + fresh * gradient
        theta = theta - lr * np.where(look_ahead, gradient + momentum * buffer, buffer)
        path.append(theta)
    yield result, np.stack(path, axis=1)


@oracle("landscape.filter_directions")
def _(result, model, **_):
    rows = exact(model.weight)
    for direction in result:
        found = exact(direction)
        yield norm(found[: rows.size].reshape(rows.shape)), norm(rows)
        yield found[rows.size :], 0 * found[rows.size :]


def _mape(prediction, target, zeros="absolute"):
    size = abs(target)
    if zeros == "epsilon":
        size = np.maximum(size, exact(2.0**-52))
    return (abs(prediction - target) / np.where(size == 0, 1, size)).mean()


@oracle("metrics.mape")
def _(result, prediction, target, percent, zeros):
    yield result, _mape(exact(prediction), exact(target), zeros) * (100 if percent else 1)


def _order(value):
    """Return how many values lie between 0 and each entry, in the dtype that it has."""
    if not isinstance(value, torch.Tensor):
        value = np.array(value)
        value = torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[value.element_size()]
    signs = [math.copysign(1, number) for number in value.double().reshape(-1).tolist()]
    sizes = value.abs().view(bits).reshape(-1).tolist()
    return [int(sign) * size for sign, size in zip(signs, sizes, strict=True)]


def _ulps(a, b):
    return [min(2**63 - 1, abs(m - n)) for m, n in zip(_order(a), _order(b), strict=True)]


@oracle("metrics.ulp_distance")
def _(result, a, b):
    assert result.reshape(-1).tolist() == _ulps(a, b)
    return ()


@oracle("metrics.compare")
def _(result, a, b):
    ulps, a, b = _ulps(a, b), exact(a), exact(b)
    gaps = abs(a - b)
    assert result.n_different == sum(map(bool, ulps))
    assert result.equal == (result.n_different == 0)
    assert result.max_ulp == max(ulps)
    found, expected = [result.max_abs, gaps[result.where]], [gaps.max(), gaps.max()]
    yield found, expected
    yield [result.mape], [_mape(a, b)]
    yield [result.smallest_target], [abs(b).min()]


@oracle("models.Perceptron")
def _(result, n_features, seed, dtype):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        expected = nn.Linear(n_features, 1)
    for found, parameter in zip(result.parameters(), expected.parameters(), strict=True):
        assert torch.equal(found, parameter.to(dtype))
    return ()


@oracle("optimizers.ProximalSGD", "optimizers.SGDW")
def _(result, params, lr, weight_decay, norm, maximize, **settings):
    """Two steps with a gradient of ones."""
    if any(parameter.is_complex() for parameter in result):
        return
    lr, decay, sign = exact(lr), exact(weight_decay), -1 if maximize else 1
    momentum, dampening = exact(settings.get("momentum", 0)), exact(settings.get("dampening", 0))
    proximal = not settings

    def shrunk(theta, share):
        if norm == 2:
            return theta / (1 + share) if proximal else theta * (1 - share)
        return np.where(abs(theta) <= share, 0, theta - np.sign(theta) * share)

    for found, theta in zip(result, map(exact, params), strict=True):
        buffer = sign
        for step in range(2):
            if momentum and step:
                buffer = momentum * buffer + (1 - dampening) * sign
            direction = sign + momentum * buffer if settings.get("nesterov") else buffer
            if proximal:
                theta = shrunk(theta - lr * sign, lr * decay)
            else:
                theta = shrunk(theta, decay * (lr if settings["decay_times_lr"] else 1)) - lr * direction
        yield found, theta


@oracle("probe.coast")
def _(result, start, n_steps, **_):
    """SGDW without decay stays where it is."""
    several = isinstance(result, list)
    for found, one in zip(result, start, strict=True) if several else [(result, start)]:
        yield real_parts(found), np.stack([exact(one)] * n_steps)


@oracle("probe.probe")
def _(result, **_):
    """SGDW without a decay of its own, at its own lr."""
    assert (result.kind, result.optimizer, result.rate) == ("decoupled times lr", "SGDW", 0)
    assert (result.lr, result.weight_decay, result.momentum, result.scheduled) == (1e-3, 0, False, True)
    return ()


@oracle("report.decay_report")
def _(result, model, optimizer, n_samples, batch_size, n_steps, **_):
    """Groups of SGD without momentum, if it is what the optimizer is still made of."""
    (group,) = optimizer.param_groups
    for row in result.rows:
        if row.in_model and row.decay is not None and group["momentum"] == 0:
            share = exact(float(group["lr"])) * exact(float(group["weight_decay"]))
            yield row.decay.rate, share
            yield row.idle, share
            if n_steps is not None and abs(share) < 1:
                yield row.left, (1 - share) ** n_steps
            if n_samples is not None and row.time_constant is not None:
                yield row.time_constant_epochs, 1 / share / -(-n_samples // batch_size)


def _rows(X, y):
    X, signs = exact(X), 2 * exact(y) - 1
    return np.column_stack([X, np.full(len(X), exact(1))]) * signs[:, None]


@oracle("optimum.logistic_objective")
def _(result, X, y, theta, weight_decay, penalty, decay_bias):
    theta = exact(theta)
    decayed = theta if decay_bias else theta[..., :-1]
    omega = (decayed**2).sum(axis=-1) / 2 if penalty == "l2" else abs(decayed).sum(axis=-1)
    loss = softplus(-theta @ _rows(X, y).T).mean(axis=-1)
    yield result, loss + exact(weight_decay) * omega


@oracle("optimum.least_squares_optimum")
def _(result, X, y, weight_decay, decay_bias):
    """What each parameter contributes at most; where there are several minimizers, the slopes."""
    X, y = exact(X), exact(y).reshape(len(exact(y)), -1)
    rows = np.column_stack([X, np.full(len(X), exact(1))])
    root = sqrt(exact(weight_decay) * y.size / 2)
    penalty = np.diag([root] * X.shape[1] + [root * decay_bias])
    Z, targets = np.vstack([rows, penalty]), np.vstack([y, np.zeros((len(penalty), y.shape[1])) * root])
    size = abs(Z).max(axis=0)
    size = np.where(size == 0, exact(1), size)
    theta = np.vstack([np.reshape(exact(part), (-1, y.shape[1])) for part in result]) * size[:, None]
    Z = Z / size
    try:
        expected = mp.lu_solve(mp.matrix((Z.T @ Z).tolist()), mp.matrix((Z.T @ targets).tolist()))
        expected = np.array(expected.tolist())
        yield tuple(np.where(abs(part) < 1e-300 * size[:, None], 0, part) for part in (theta, expected))
    except ZeroDivisionError:
        slopes = Z.T @ (Z @ theta - targets)
        terms = abs(Z).T @ (abs(Z) @ abs(theta) + abs(targets))
        yield 1 + slopes / (terms + exact(1e-300)), 1 + 0 * theta


@oracle("optimum.logistic_optimum")
def _(result, X, y, weight_decay, penalty, decay_bias):
    """The slope of the loss is that of the penalty, or less at zeros of "l1"."""
    theta, rows = np.append(*map(exact, result)), _rows(X, y)
    decay = np.array([exact(weight_decay)] * len(theta))
    decay[-1] *= decay_bias
    wrong = sigmoid(-rows @ theta) / len(rows)
    slope, size = wrong @ rows, (wrong @ abs(rows)) + decay
    if penalty == "l2":
        excess, size = slope - decay * theta, size + decay * abs(theta)
    else:
        held = (theta == 0) & (decay > 0)
        excess = np.where(held, np.maximum(abs(slope) - decay, 0), slope - decay * np.sign(theta))
    yield 1 + excess / size / 100, theta**0  # what rounding in theta does to a large margin


@oracle("groups.decay_groups")
def _(result, module, weight_decay, decays):
    """For a linear layer, and `decays` that chooses nothing."""
    for group, parameter, decay in zip(result, module.parameters(), (weight_decay, 0), strict=True):
        (held,) = group["params"]
        yield held, exact(parameter)
        yield group["weight_decay"], exact(decay)


@oracle("groups.decay_reasons")
def _(result, module, decays):
    assert {name: reason.decays for name, reason in result.items()} == {"weight": True, "bias": False}
    return ()


@oracle("penalties.l1_penalty")
def _(result, parameters, weight_decay):
    yield result, exact(weight_decay) * sum(sizes(p).sum() for p in _listed(parameters))


@oracle("penalties.l2_penalty")
def _(result, parameters, weight_decay):
    yield result, exact(weight_decay) / 2 * sum((sizes(p) ** 2).sum() for p in _listed(parameters))


def _listed(parameters):
    return [parameters] if isinstance(parameters, torch.Tensor) else parameters


@oracle("penalties.soft_threshold")
def _(result, x, threshold):
    size, threshold = np.asarray(sizes(x)), exact(threshold)
    share = np.where(size <= threshold, 0, 1 - threshold / np.where(size == 0, 1, size))
    yield real_parts(result), exact(x) * (share[..., None] if is_complex(x) else share)


@oracle("scratch.linear_descent")
def _(result, X, Y, start, lr, n_epochs, batch_size, optimizer, weight_decay, decay_bias, **rest):
    X, Y, theta, lr = exact(X), exact(Y), exact(start), exact(lr)
    Z, state, path = np.column_stack([X, np.full(len(X), exact(1))]), None, []
    decay = np.array([[exact(weight_decay)]] * len(theta))
    decay[-1] *= decay_bias
    for first in [*range(0, len(X), batch_size or len(X))] * n_epochs:
        rows = slice(first, first + (batch_size or len(X)))
        error = Z[rows] @ theta - Y[rows]
        gradient = 2 * Z[rows].T @ error / (error.size if rest["reduction"] == "mean" else 1)
        if optimizer in ("SGD", "Adam"):
            gradient = gradient + decay * theta
        else:
            theta = theta * (1 - lr * decay)
        state, direction = _direction(gradient, state, optimizer, **rest)
        theta = theta - lr * direction
        path.append(theta)
    yield result, np.stack(path)


def _direction(gradient, state, optimizer, momentum, dampening, nesterov, betas, eps, **_):
    if optimizer.startswith("SGD"):
        momentum, dampening = exact(momentum), exact(dampening)
        first = state is None or momentum == 0
        state = gradient if first else momentum * state + (1 - dampening) * gradient
        return state, gradient + momentum * state if nesterov else state
    (t, m, s), (beta1, beta2) = state or (0, 0, 0), exact(betas)
    t, m, s = t + 1, beta1 * m + (1 - beta1) * gradient, beta2 * s + (1 - beta2) * gradient**2
    return (t, m, s), m / (1 - beta1**t) / (sqrt(s / (1 - beta2**t)) + exact(eps))


def _logistic_path(X, y, lr, n_steps, weight_decay, decay_bias, theta):
    rows, lr = _rows(X, y), exact(lr)
    decay = np.array([exact(weight_decay)] * len(theta))
    decay[-1] *= decay_bias
    path = []
    for _ in range(n_steps):
        theta = theta + lr * (sigmoid(-rows @ theta) @ rows / len(rows) - decay * theta)
        path.append(theta)
    return np.stack(path)


@oracle("scratch.logistic_descent")
def _(result, X, y, lr, n_steps, weight_decay, decay_bias, start, record):
    start = exact(np.zeros(len(exact(X)[0]) + 1) if start is None else start)
    path = _logistic_path(X, y, lr, n_steps, weight_decay, decay_bias, start)
    yield result, path if record is None else path[np.asarray(record) - 1]


@oracle("scratch.logistic_sweep")
def _(result, X, y, weight_decays, lr, n_steps, decay_bias):
    zeros = exact(np.zeros(len(exact(X)[0]) + 1))
    for found, decay in zip(result, exact(weight_decays), strict=True):
        yield found, _logistic_path(X, y, lr, n_steps, decay, decay_bias, zeros)[-1]


@oracle("tables.table")
def _(result, formats, rows, caption):
    layouts = list(formats.values())
    cells = [_cell(layout, value) for row in rows for layout, value in zip(layouts, row, strict=True)]
    assert str(result).split() == " ".join([*formats, *cells]).split()
    return ()


def _cell(layout, value):
    return "-" if value is None else value if isinstance(value, str) else layout.format(value)


@oracle("training.train")
def _(result, model, X, y, optimizer, loss_fn, n_epochs, batch_size, scheduler, record):
    """The same in plain torch, with labels as numbers."""
    X, y = (v if isinstance(v, torch.Tensor) else torch.from_numpy(np.array(v, float)) for v in (X, y))
    X, y = (v if v.is_floating_point() else v.to(next(model.parameters())) for v in (X, y))
    size = batch_size or len(X)
    starts = list(range(0, len(X), size))
    for k, firsts in enumerate(([[first] for first in starts] if record == "step" else [starts]) * n_epochs):
        losses, n_rows = 0.0, 0
        for first in firsts:
            optimizer.zero_grad()
            loss = loss_fn(model(X[first : first + size]), y[first : first + size])
            loss.backward()
            optimizer.step()
            losses += loss.item() * len(X[first : first + size])
            n_rows += len(X[first : first + size])
        yield result.loss[k], losses / n_rows
        for name, parameter in model.named_parameters():
            yield result[name][k], copy.deepcopy(parameter.detach())


@oracle("plotting.curves")
def _(result, series, references, **_):
    lines = {line.get_label(): line for line in result.lines}
    for label, (x, y) in series.items():
        runs = np.atleast_2d(exact(y))
        yield lines[label].get_xdata(), exact(x)
        yield lines[label].get_ydata(), [middle(column) for column in runs.T]


def middle(values):
    values = sorted(values)
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


@oracle("plotting.fits")
def _(result, X, y, models, **_):
    (points,), X = (collection.get_offsets() for collection in result.collections), exact(X)
    yield points, np.column_stack([X, exact(y)])
    for line, model in zip(result.lines, models.values(), strict=True):
        x, height = line.get_data()
        yield x[[0, -1]], [X.min(), X.max()]
        if not callable(model):
            yield height, np.ravel(exact(model[0])) * exact(x) + np.ravel(exact(model[1]))


@oracle("plotting.contours")
def _(result, paths, **_):
    lines = {line.get_label(): line for line in result.lines}
    for label, track in (paths or {}).items():
        yield np.column_stack(lines[label].get_data()), np.atleast_2d(exact(track))


@oracle("plotting.heatmap")
def _(result, values, **_):
    powers = [mp.log10(value) if value else None for value in exact(values).reshape(-1)]
    shown = [text.get_text() for text in itertools.islice(result.texts, len(powers))]
    for text, power in zip(shown, powers, strict=True):
        assert text == "0" if power is None else abs(int(text) - power) <= 0.501
    return ()
