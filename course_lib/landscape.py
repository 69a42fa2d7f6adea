"""The loss as a landscape over two parameters, and the paths of descent over it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, vmap

from course_lib import _arguments, _linear
from course_lib._arguments import Array, Loss
from course_lib.rules import coupled, sgd

__all__ = ["descent_paths", "filter_directions", "loss_grid"]

Map: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


def loss_grid(
    model: nn.Module,
    X: Array,
    y: Array,
    xs: Array,
    ys: Array,
    *,
    loss_fn: Loss = F.mse_loss,
    directions: Sequence[Array] | None = None,
    origin: Array | None = None,
) -> torch.Tensor:
    r"""Return the loss of a model on a grid of two directions in its parameters.

    .. math:: L_{ji} = \text{loss}\bigl(f_{\theta_{ij}}(X), y\bigr), \qquad
        \theta_{ij} = \theta_0 + x_i\,u + y_j\,v

    Parameters
    ----------
    model : nn.Module
        It is not modified. A model with two parameters, such as ``nn.Linear(1, 1)``, needs no
        directions: the first parameter runs along `xs`, the second along `ys`. Dropout and batch
        normalization have to be in evaluation mode, after ``model.eval()``.
    X : Tensor of shape (n_samples, n_features)
    y : Tensor
        The targets, in the shape that `loss_fn` takes beside ``model(X)``.
    xs, ys : Tensor of shape (n_x,), (n_y,)
        The axes, increasing, each with two values or more.
    loss_fn : callable, default=F.mse_loss
        ``loss_fn(prediction, target)`` returns a scalar: any loss of torch, or your own.
    directions : pair of Tensor of shape (n_parameters,), optional
        :math:`u` and :math:`v`, in the order of ``parameters_to_vector(model.parameters())``.
    origin : Tensor of shape (n_parameters,), optional
        :math:`\theta_0`; zeros when None.

    Returns
    -------
    Tensor of shape (n_y, n_x)
        The bare loss, without any penalty, in the dtype of the predictions. Infinite where it overflows.
        It carries no gradient.

    Raises
    ------
    ValueError, TypeError
        If an axis has fewer than two values or does not increase, `loss_fn` returns no scalar, the data
        is empty, a model with more than two parameters comes without directions, or these do not fit; if
        `model` predicts something else each time or changes as it predicts, or has complex parameters; if
        `loss_fn` fails on what ``model(X)`` predicts, would broadcast y, or is NaN somewhere.

    Notes
    -----
    All cells are computed at once by ``torch.func.vmap``. Where it has no rule for what `model` or `loss_fn`
    does, such as for ``nn.LSTM`` or ``.item()``, they are computed one by one, which is slow.

    Examples
    --------
    >>> import torch
    >>> from course_lib.landscape import loss_grid
    >>> X = torch.tensor([[0.0], [1.0]])
    >>> grid = loss_grid(torch.nn.Linear(1, 1), X, 2 * X, [1.0, 2.0], [0.0, 1.0])
    >>> grid.tolist()
    [[0.5, 0.0], [0.5, 1.0]]
    """
    n_parameters = _count(model)
    X, y, like = _data(X, y)
    xs, ys = _arguments.axis("xs", xs).to(like), _arguments.axis("ys", ys).to(like)
    if directions is None:
        if n_parameters != 2:
            raise ValueError(
                f"directions are needed: a plane shows 2 parameters, and model has {n_parameters}"
            )
        u, v = torch.eye(2, dtype=like.dtype, device=like.device)
    else:
        with _arguments.within("directions"):
            u, v = directions
        u, v = (_vector("directions", direction, n_parameters, like) for direction in (u, v))
    start = torch.zeros_like(u) if origin is None else _vector("origin", origin, n_parameters, like)
    plane, shape = torch.stack([u, v, start]), (len(ys), len(xs))
    columns = xs.expand(shape), ys[:, None].expand(shape), xs.new_ones(shape)
    cells = torch.stack(columns, dim=-1).flatten(0, 1)
    fast = _linear.line(model, X, y, _arguments.function("loss_fn", loss_fn))
    with torch.no_grad():
        if fast is None:
            losses = _losses(model, X, y, loss_fn)
            with _arguments.within("loss_fn(model(X), y)"):
                values = torch.cat([losses(part @ plane) for part in cells.split(_linear.at_once(y))])
        else:
            values = _linear.losses_of(fast, plane, cells).to(like)
    if math.isnan(values.sum()) and values.isnan().any():  # a sum is quick
        raise ValueError(
            "loss_fn(model(X), y) must be a number on the whole grid, got NaN: it overflows in X or y, or "
            "xs, ys, directions or origin reach too far"
        )
    return values.reshape(shape)


def descent_paths(
    model: nn.Module,
    X: Array,
    y: Array,
    start: Array,
    *,
    lr: Array,
    n_steps: int,
    momentum: Array = 0.0,
    dampening: Array = 0.0,
    nesterov: Array = False,
    weight_decay: Array = 0.0,
    loss_fn: Loss = F.mse_loss,
) -> torch.Tensor:
    r"""Return the paths of torch.optim.SGD in full batch, for many settings or starts at once.

    .. math:: g = \nabla\,\text{loss} + \lambda\theta, \qquad v \leftarrow \mu v + (1 - \tau)\,g
        \quad (v = g \text{ the first time}), \qquad \theta \leftarrow \theta - \eta\,v

    with :math:`g + \mu v` in the place of v for Nesterov, as torch has it.

    Parameters
    ----------
    model : nn.Module
        It is not modified; its own parameters do not matter. Dropout and batch normalization have to be in
        evaluation mode, after ``model.eval()``.
    X : Tensor of shape (n_samples, n_features)
    y : Tensor
        The targets, in the shape that `loss_fn` takes beside ``model(X)``.
    start : Tensor of shape (n_parameters,) or (n_paths, n_parameters)
        In the order of ``parameters_to_vector(model.parameters())``.
    lr : float or Tensor of shape (n_paths,)
        :math:`\eta > 0`.
    n_steps : int
    momentum, dampening : float or Tensor of shape (n_paths,), default=0.0
        :math:`\mu` and :math:`\tau`, at least 0.
    weight_decay : float or Tensor of shape (n_paths,), default=0.0
        :math:`\lambda \ge 0` of torch.optim.SGD: it adds :math:`\lambda\theta` to the gradient (a penalty
        with a 1/2, multiplied by lr in the step), of the bias too.
    nesterov : bool or Tensor of bool of shape (n_paths,), default=False
    loss_fn : callable, default=F.mse_loss

    Returns
    -------
    Tensor of shape (n_paths, n_steps + 1, n_parameters)
        Each path from its start on, in the dtype of `X`. It carries no gradient.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range or does not fit the others, `model` or `loss_fn` does what
        `loss_grid` refuses, or a path stops being finite.

    Notes
    -----
    All paths are computed at once, or one by one, as `loss_grid` does with its cells.

    Examples
    --------
    >>> import torch
    >>> from course_lib.landscape import descent_paths
    >>> X = torch.tensor([[0.0], [1.0]])
    >>> paths = descent_paths(
    ...     torch.nn.Linear(1, 1), X, 2 * X, [6.0, -3.0], lr=torch.tensor([0.1, 0.2]), n_steps=2
    ... )
    >>> paths.shape
    torch.Size([2, 3, 2])
    """
    n_parameters = _count(model)
    X, y, like = _data(X, y)
    start = _arguments.finite("start", start).detach().to(like)
    if start.ndim not in (1, 2) or start.shape[-1] != n_parameters:
        raise ValueError(
            f"start must have {n_parameters} columns, one a parameter of model, got {tuple(start.shape)}"
        )
    n_steps = _arguments.count("n_steps", n_steps)
    settings = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
    settings = {name: _setting(name, value, like) for name, value in settings.items()}
    settings["nesterov"] = _flags("nesterov", nesterov, X)
    n_paths = _common_length({"start": start if start.ndim == 2 else start[None], **settings})
    if (settings["nesterov"] & ((settings["momentum"] == 0) | (settings["dampening"] != 0))).any():
        raise ValueError("nesterov needs momentum above 0 and no dampening")
    gradient = _gradient(model, X, y, _arguments.function("loss_fn", loss_fn))
    start = start.expand(n_paths, n_parameters).T.contiguous()  # one row a parameter is faster
    flags = settings.pop("nesterov")
    path = start.new_empty(n_steps + 1, n_parameters, n_paths)
    for flag in flags.unique().tolist():
        chosen = (flags == flag).expand(n_paths)
        some = {name: each[chosen] if len(each) > 1 else each.squeeze() for name, each in settings.items()}
        path[..., chosen] = _follow(gradient, start[:, chosen], n_steps, nesterov=flag, **some)
    if not path[-1].isfinite().all():  # what has left the finite numbers does not return
        raise ValueError(
            "lr lets a path grow without bound; a smaller one may help, unless model, X, y, start, loss_fn, "
            "momentum, dampening or weight_decay is at fault"
        )
    return path.permute(2, 0, 1)


def _follow(
    gradient: Map,
    theta: torch.Tensor,
    n_steps: int,
    *,
    lr: torch.Tensor,
    momentum: torch.Tensor,
    dampening: torch.Tensor,
    weight_decay: torch.Tensor,
    nesterov: bool,
) -> torch.Tensor:
    """Return the parameters, one path a column, before the first step and after each."""
    direction = partial(sgd, momentum=momentum, dampening=dampening, nesterov=nesterov)
    path, velocity = [theta], None
    for _ in range(n_steps):
        theta, velocity = coupled(
            theta, gradient(theta), velocity, direction, lr=lr, weight_decay=weight_decay
        )
        path.append(theta)
    return torch.stack(path)


def filter_directions(model: nn.Module, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Draw two random directions in the parameters of a model, scaled like its filters.

    Each row of a weight (a neuron, or a filter of a convolution) of a direction is a Gaussian vector with
    the norm of the model's own row; biases and the gains of normalization layers stay where they are.

    .. math:: d_i \leftarrow \frac{d_i}{\|d_i\|}\,\|\theta_i\|

    Parameters
    ----------
    model : nn.Module
    seed : int, default=0

    Returns
    -------
    pair of Tensor of shape (n_parameters,)
        For `loss_grid`, in the order of ``parameters_to_vector(model.parameters())``.

    Raises
    ------
    ValueError, TypeError
        If `model` has no parameter, or one that is not finite, or `seed` is negative.

    References
    ----------
    H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein, "Visualizing the Loss Landscape of Neural Nets",
    NeurIPS 2018.

    Examples
    --------
    >>> import torch
    >>> from course_lib.landscape import filter_directions
    >>> layer = torch.nn.Linear(3, 2)
    >>> u, v = filter_directions(layer)
    >>> torch.allclose(u[:3].norm(), layer.weight[0].norm()), u[6:].tolist()
    (True, [0.0, 0.0])
    """
    _count(model)
    generator = torch.Generator().manual_seed(_arguments.count("seed", seed, minimum=0))
    u, v = (
        torch.cat([_like(parameter.detach(), generator) for parameter in model.parameters()])
        for _ in range(2)
    )
    return u, v


def _like(parameter: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if parameter.ndim < 2:
        return torch.zeros_like(parameter).flatten()
    rows = parameter.flatten(1)
    drawn = torch.randn(rows.shape, generator=generator, dtype=torch.float64, device="cpu").to(rows)
    unit = _arguments.power_of_two(_arguments.finite("parameters of model", rows).abs().max().item())
    norms = (rows / unit).norm(dim=1, keepdim=True)  # first, so that no square over- or underflows
    direction: torch.Tensor = drawn / drawn.norm(dim=1, keepdim=True) * norms * unit
    return _arguments.finite("directions in the parameters of model", direction.flatten())


def _predictor(model: nn.Module, X: torch.Tensor) -> Map:
    """Return a function of parameter vectors, shape (n, n_parameters): the predictions of each."""
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    sizes = [shape.numel() for shape in shapes.values()]
    features = _linear.features_of(model, X)
    if features is not None:
        columns = features.T.contiguous()
        return lambda theta: (theta @ columns)[:, :, None]  # one matrix product for all of them

    like = X if X.is_floating_point() else X.double()
    buffers = {name: b.to(like) if b.is_floating_point() else b for name, b in model.named_buffers()}
    _check_mode(model, X, buffers)

    def one(theta: torch.Tensor) -> torch.Tensor:
        parts = zip(shapes.items(), theta.split(sizes), strict=True)
        named = {name: part.reshape(shape) for (name, shape), part in parts}
        predictions: torch.Tensor = functional_call(model, buffers | named, (X,))
        return predictions

    return partial(_each, one)


def _each(function: Map, rows: torch.Tensor) -> torch.Tensor:
    """Return the function of each row: of all at once, or one by one where torch has no rule for that."""
    try:
        return vmap(function)(rows)
    except RuntimeError:
        return torch.stack([function(row) for row in rows])


def _check_mode(model: nn.Module, X: torch.Tensor, buffers: dict[str, torch.Tensor]) -> None:
    """Raise where a model predicts something else each time, or changes as it predicts."""
    generator, like = torch.Generator().manual_seed(0), X if X.is_floating_point() else X.double()
    state = {name: buffer.clone() for name, buffer in buffers.items()} | {
        name: torch.randn(parameter.shape, generator=generator, device="cpu").to(like)
        for name, parameter in model.named_parameters()
    }
    with _arguments.within("model(X)"), torch.no_grad(), torch.random.fork_rng(devices=[]):
        one, other = (functional_call(model, state, (X,)) for _ in range(2))
        same = torch.allclose(one, other, equal_nan=True)
    if not same or not all(torch.equal(state[name], buffer) for name, buffer in buffers.items()):
        raise ValueError(
            "model must predict the same each time and stay as it is, as after model.eval(): "
            "dropout draws in training mode, and batch normalization updates its statistics"
        )


def _losses(model: nn.Module, X: torch.Tensor, y: torch.Tensor, loss_fn: Loss) -> Map:
    """Return a function of parameter vectors, one a row: the loss of each."""
    predict = _predictor(model, X)

    def losses(theta: torch.Tensor) -> torch.Tensor:
        predictions = predict(theta)
        targets = _arguments.targets(loss_fn, predictions[0], y)

        def loss(prediction: torch.Tensor) -> torch.Tensor:
            value = loss_fn(prediction, targets)
            if not isinstance(value, torch.Tensor) or value.ndim > 0 or value.is_complex():
                raise ValueError("loss_fn must return a scalar, as a real tensor")
            return value

        return _each(loss, predictions)

    return losses


def _gradient(model: nn.Module, X: torch.Tensor, y: torch.Tensor, loss_fn: Loss) -> Map:
    """Return a function of parameter vectors, one a column: the gradient of the loss at each."""
    if fast := _linear.line(model, X, y, loss_fn):
        return _linear.gradient_of(fast)
    losses = _losses(model, X, y, loss_fn)

    def gradient(theta: torch.Tensor) -> torch.Tensor:
        theta = theta.detach().requires_grad_()
        with _arguments.within("loss_fn(model(X), y)"):
            return torch.autograd.grad(losses(theta.T).sum(), theta)[0]

    return gradient


def _count(model: nn.Module) -> int:
    _arguments.module("model", model)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    if n_parameters == 0:
        raise ValueError(f"model must have a parameter, got none in {model!r}")
    if any(parameter.is_complex() for parameter in model.parameters()):
        raise TypeError("model must have real parameters, got complex ones")
    return n_parameters


def _data(X: Array, y: Array) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return X, y and a tensor of the dtype and the device of the parameters."""
    X, y = (tensor.detach() for tensor in _arguments.rows(X, y))
    return X, y, X if X.is_floating_point() else X.double()


def _vector(name: str, value: Array, length: int, like: torch.Tensor) -> torch.Tensor:
    vector = _arguments.finite(name, value, ndim=1).detach().to(like)
    if len(vector) != length:
        raise ValueError(f"{name} must have {length} entries, one a parameter of model, got {len(vector)}")
    return vector


def _setting(name: str, value: Array, like: torch.Tensor) -> torch.Tensor:
    values = _arguments.finite(name, value).detach().to(like)
    if values.ndim > 1:
        raise ValueError(f"{name} must be a number or have one entry a path, got shape {tuple(values.shape)}")
    if (values < 0).any() or (name == "lr" and (values == 0).any()):
        raise ValueError(f"{name} must be {'> 0' if name == 'lr' else '>= 0'}, got {values.min().item():g}")
    return values.reshape(-1)


def _flags(name: str, value: Array, like: torch.Tensor) -> torch.Tensor:
    try:
        values = torch.as_tensor(value, device=like.device)
    except (TypeError, ValueError, RuntimeError):
        values = None
    if values is None or values.dtype != torch.bool or values.ndim > 1:
        raise TypeError(f"{name} must be True or False, for all paths or for each, got {value!r}")
    return values.reshape(-1)


def _common_length(columns: dict[str, torch.Tensor]) -> int:
    lengths = {name: len(column) for name, column in columns.items()}
    n_paths = max(lengths.values())
    for name, length in lengths.items():
        if length not in (1, n_paths):
            longest = next(other for other in lengths if lengths[other] == n_paths)
            raise ValueError(f"{name} must have one entry a path, {n_paths} by {longest}, got {length}")
    return n_paths
