"""Grids of the loss beside one call a cell, and paths beside torch.optim.SGD."""

import copy
import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from course_lib import _linear, landscape
from course_lib.landscape import descent_paths, filter_directions, loss_grid

assert_near = partial(torch.testing.assert_close, rtol=0, atol=1e-12)
assert_close = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
GENERATOR = torch.Generator().manual_seed(5)
X = torch.randn(20, 1, dtype=torch.float64, generator=GENERATOR)
Y = 0.75 * X**2 + X + 2
WIDE = torch.randn(20, 3, dtype=torch.float64, generator=GENERATOR)
LABELS = torch.arange(20) % 2
XS, YS = torch.linspace(-2, 3, 6, dtype=torch.float64), torch.linspace(-1, 4, 4, dtype=torch.float64)
LINE = nn.Linear(1, 1).double()


def quantile(prediction, target):
    error = target - prediction
    return torch.maximum(0.3 * error, -0.7 * error).mean()


LOSSES = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
    "smooth_l1": F.smooth_l1_loss,
    "MSELoss": nn.MSELoss(),
    "MSELoss-sum": nn.MSELoss(reduction="sum"),
    "HuberLoss-2": nn.HuberLoss(delta=2.0),
    "HuberLoss-2.5": nn.HuberLoss(delta=2.5),
    "SmoothL1Loss-half": nn.SmoothL1Loss(beta=0.5),
    "SmoothL1Loss-0.3": nn.SmoothL1Loss(beta=0.3),
    "SmoothL1Loss-0": nn.SmoothL1Loss(beta=0.0),
    "HuberLoss-sum": nn.HuberLoss(reduction="sum"),
    "own": quantile,
}
each_loss = pytest.mark.parametrize("loss_fn", LOSSES.values(), ids=LOSSES.keys())


def cell_by_cell(model, inputs, targets, loss_fn, parameters_of):
    """The loss of a copy of the model in every cell, one after the other."""
    rows = []
    for b in YS:
        row = []
        for w in XS:
            vector_to_parameters(parameters_of(w, b), model.parameters())
            row.append(loss_fn(model(inputs), targets))
        rows.append(torch.stack(row))
    return torch.stack(rows).detach()


@each_loss
@pytest.mark.parametrize("chunk", [2**18, 50])
def test_a_grid_is_one_call_a_cell(loss_fn, chunk, monkeypatch):
    monkeypatch.setattr(_linear, "CHUNK", chunk)
    found = loss_grid(LINE, X, Y, XS, YS, loss_fn=loss_fn)
    model = nn.Linear(1, 1).double()
    expected = cell_by_cell(model, X, Y, loss_fn, lambda w, b: torch.stack([w, b]))
    assert found.shape == (4, 6)
    assert_near(found, expected)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


@pytest.mark.parametrize(
    ("model", "inputs", "targets", "loss_fn"),
    [
        (network(), WIDE, LABELS, F.cross_entropy),
        (nn.Linear(3, 2).double(), WIDE, WIDE[:, :2], F.mse_loss),
        (nn.Linear(3, 1, bias=False).double(), WIDE, Y, F.huber_loss),
        (nn.Linear(3, 1).double(), WIDE, Y, F.l1_loss),
    ],
    ids=["network", "two-outputs", "no-bias", "linear"],
)
def test_a_grid_on_a_plane_is_one_call_a_cell(model, inputs, targets, loss_fn):
    origin = parameters_to_vector(model.parameters()).detach()
    before = origin.clone()
    u, v = filter_directions(model, seed=3)
    found = loss_grid(model, inputs, targets, XS, YS, loss_fn=loss_fn, directions=(u, v), origin=origin)
    assert torch.equal(parameters_to_vector(model.parameters()), before)
    assert_near(found, cell_by_cell(model, inputs, targets, loss_fn, lambda a, b: origin + a * u + b * v))


def data_of(seed, n_features=3):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(30, n_features, dtype=torch.float64, generator=generator)
    noise = torch.randn(30, 1, dtype=torch.float64, generator=generator)
    return inputs, inputs.sum(dim=1, keepdim=True) + noise


@each_loss
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_grids_and_paths_of_linear_models_on_several_data_sets(seed, bias, loss_fn, monkeypatch):
    monkeypatch.setattr(_linear, "CHUNK", 70)
    inputs, targets = data_of(seed)
    model = nn.Linear(3, 1, bias=bias).double()
    generator = torch.Generator().manual_seed(seed)
    u, v, origin = torch.randn(3, 3 + bias, dtype=torch.float64, generator=generator)
    found = loss_grid(model, inputs, targets, XS, YS, loss_fn=loss_fn, directions=(u, v), origin=origin)
    assert_close(found, cell_by_cell(model, inputs, targets, loss_fn, lambda a, b: origin + a * u + b * v))
    starts, settings = torch.stack([u, v, origin]), {"lr": 0.002, "momentum": 0.5, "weight_decay": 0.1}
    paths = descent_paths(model, inputs, targets, starts, n_steps=20, loss_fn=loss_fn, **settings)
    for path, start in zip(paths, starts, strict=True):
        assert_close(path, torch_path(model, inputs, targets, start, loss_fn, 20, **settings))


@each_loss
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_a_grid_of_float32_is_exact_to_its_rounding_near_the_minimum_too(loss_fn, offset):
    """The residuals vanish in one cell, and have the rounding of their targets."""
    inputs, targets = X.float(), (X + 2 + offset).float()
    xs, ys = XS.float(), YS.float() + offset
    found = loss_grid(nn.Linear(1, 1), inputs, targets, xs, ys, loss_fn=loss_fn)
    exact = [[loss_fn(inputs.double() * w + b, targets.double()) for w in xs.double()] for b in ys.double()]
    rounding = 2e-7 * (1 + offset) * (len(X) if getattr(loss_fn, "reduction", "") == "sum" else 1)
    torch.testing.assert_close(found.double(), torch.tensor(exact).double(), rtol=1e-5, atol=rounding)


@pytest.mark.parametrize("loss_fn", [F.mse_loss, nn.HuberLoss(), nn.SmoothL1Loss(beta=0.3), F.l1_loss])
def test_known_losses_of_a_network_are_one_call_a_cell(loss_fn):
    model, targets = network(), WIDE[:, :2]
    origin = parameters_to_vector(model.parameters()).detach()
    u, v = filter_directions(model, seed=3)
    found = loss_grid(model, WIDE, targets, XS, YS, loss_fn=loss_fn, directions=(u, v), origin=origin)
    assert_near(found, cell_by_cell(model, WIDE, targets, loss_fn, lambda a, b: origin + a * u + b * v))
    with pytest.raises(ValueError, match=r"y must have the shape of the predictions, \(20, 2\)"):
        loss_grid(model, WIDE, Y, XS, YS, loss_fn=loss_fn, directions=(u, v))


class Doubled(nn.MSELoss):
    def forward(self, prediction, target):
        return 2 * super().forward(prediction, target)


def test_a_loss_derived_from_torchs_is_its_own():
    assert_near(loss_grid(LINE, X, Y, XS, YS, loss_fn=Doubled()), 2 * loss_grid(LINE, X, Y, XS, YS))


@pytest.mark.parametrize("name", ["grid", "descent"])
def test_a_delta_that_torch_refuses_is_refused(name):
    call = {"grid": grid, "descent": descent}[name]
    with pytest.raises(ValueError, match="non-positive values for delta"):
        call(loss_fn=nn.HuberLoss(delta=0.0))


@pytest.mark.parametrize("targets", [Y.float(), Y.round().long()], ids=["float32", "int64"])
@pytest.mark.parametrize("loss_fn", [F.mse_loss, F.huber_loss])
def test_targets_of_another_dtype_become_that_of_the_features(loss_fn, targets):
    assert_near(grid(loss_fn=loss_fn, y=targets), grid(loss_fn=loss_fn, y=targets.double()))
    assert_near(descent(loss_fn=loss_fn, y=targets), descent(loss_fn=loss_fn, y=targets.double()))


@pytest.mark.parametrize(
    "loss_fn", [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(delta=0.5), nn.SmoothL1Loss(beta=0.5)]
)
def test_a_mean_loss_of_a_line_is_computed_without_a_call(loss_fn, monkeypatch):
    losses, paths = grid(loss_fn=loss_fn), descent(loss_fn=loss_fn)
    monkeypatch.setattr(loss_fn, "forward", lambda *_: pytest.fail("called"))
    assert torch.equal(grid(loss_fn=loss_fn), losses)
    assert torch.equal(descent(loss_fn=loss_fn), paths)


def test_no_more_predictions_are_held_than_said(monkeypatch):
    """Twenty a cell: two cells at a time."""
    monkeypatch.setattr(_linear, "CHUNK", 50)
    sizes = []

    def counting(prediction, target):
        sizes.append(prediction.shape)
        return (prediction - target).square().mean()

    loss_grid(LINE, X, Y, XS, YS, loss_fn=counting)
    assert len(sizes) == 24 / 2


@pytest.mark.parametrize("loss_fn", [F.mse_loss, quantile])
def test_a_grid_keeps_float32_and_takes_lists(loss_fn):
    settings = {"loss_fn": loss_fn}
    found = loss_grid(nn.Linear(1, 1), X.float(), Y.float(), XS.tolist(), YS.tolist(), **settings)
    assert found.dtype == torch.float32
    expected = loss_grid(LINE, X, Y, XS, YS, **settings)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def torch_path(model, inputs, targets, start, loss_fn, n_steps=60, **settings):
    """The parameters of torch.optim.SGD, from the start on."""
    vector_to_parameters(start.clone(), model.parameters())
    optimizer = torch.optim.SGD(model.parameters(), **settings)
    path = [start]
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss_fn(model(inputs), targets).backward()
        optimizer.step()
        path.append(parameters_to_vector(model.parameters()).detach().clone())
    return torch.stack(path)


SETTINGS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 2.0},
    {"momentum": 0.9, "dampening": 0.8},
    {"dampening": 0.8},
    {"weight_decay": 0.3},
]
START = torch.tensor([6.0, -3.0], dtype=torch.float64)


@each_loss
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_path_is_that_of_torchs_sgd(settings, loss_fn):
    lr = 0.005 if getattr(loss_fn, "reduction", "") == "sum" else 0.1
    found = descent_paths(LINE, X, Y, START, lr=lr, n_steps=60, loss_fn=loss_fn, **settings)
    expected = torch_path(nn.Linear(1, 1).double(), X, Y, START, loss_fn, lr=lr, **settings)
    assert found.shape == (1, 61, 2)
    assert_near(found[0], expected)


@pytest.mark.parametrize("loss_fn", [F.mse_loss, F.huber_loss])
def test_paths_of_many_settings_are_each_their_own(loss_fn):
    columns = {
        "lr": torch.tensor([0.1, 0.05, 0.1, 0.02]),
        "momentum": torch.tensor([0.0, 0.9, 0.9, 0.5]),
        "dampening": torch.tensor([0.5, 0.0, 0.8, 0.0]),
        "weight_decay": torch.tensor([0.0, 2.0, 0.0, 0.1]),
        "nesterov": torch.tensor([False, True, False, True]),
    }
    columns = {k: v if k == "nesterov" else v.double() for k, v in columns.items()}
    found = descent_paths(LINE, X, Y, START, n_steps=30, loss_fn=loss_fn, **columns)
    for path, *values in zip(found, *columns.values(), strict=True):
        settings = {name: value.item() for name, value in zip(columns, values, strict=True)}
        assert_near(path, torch_path(nn.Linear(1, 1).double(), X, Y, START, loss_fn, 30, **settings))


def test_paths_of_many_starts_and_of_a_network():
    model = network()
    starts = torch.randn(3, 26, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = descent_paths(
        model, WIDE, LABELS, starts, lr=0.3, n_steps=20, momentum=0.5, loss_fn=F.cross_entropy
    )
    for path, start in zip(found, starts, strict=True):
        settings = {"lr": 0.3, "momentum": 0.5}
        assert_near(path, torch_path(network(), WIDE, LABELS, start, F.cross_entropy, 20, **settings))


def test_descent_ends_at_the_least_squares_fit():
    features = torch.cat([X, torch.ones_like(X)], dim=1)
    fit = torch.linalg.lstsq(features, Y).solution[:, 0]
    assert_near(descent_paths(LINE, X, Y, START, lr=0.3, n_steps=500)[0, -1], fit)


def test_divergence_raises_instead_of_returning_infinity():
    with pytest.raises(ValueError, match="lr lets a path grow without bound"):
        descent_paths(LINE, X, Y, START, lr=50.0, n_steps=2000)


def test_filter_directions_have_the_norms_of_the_filters_and_leave_the_rest():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    u, v = filter_directions(model, seed=4)
    assert not torch.equal(u, v)
    assert torch.equal(u, filter_directions(model, seed=4)[0])
    assert not torch.equal(u, filter_directions(model, seed=5)[0])
    assert torch.equal(filter_directions(model)[0], filter_directions(model, seed=0)[0])
    sizes = [parameter.numel() for parameter in model.parameters()]
    for direction in (u, v):
        for part, parameter in zip(direction.split(sizes), model.parameters(), strict=True):
            if parameter.ndim < 2:
                assert not part.any()
            else:
                rows = part.reshape_as(parameter).flatten(1)
                torch.testing.assert_close(rows.norm(dim=1), parameter.detach().flatten(1).norm(dim=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_filter_directions_do_not_depend_on_the_default_dtype(dtype):
    model = nn.Linear(3, 2).to(dtype)
    drawn = filter_directions(model)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        again = filter_directions(model)
    finally:
        torch.set_default_dtype(before)
    assert before == torch.float32
    assert all(map(torch.equal, drawn, again))


def test_nothing_global_is_touched():
    state = torch.get_rng_state()
    filter_directions(LINE)
    assert torch.equal(state, torch.get_rng_state())


def grid(**changes):
    arguments = {"model": LINE, "X": X, "y": Y, "xs": XS, "ys": YS} | changes
    return loss_grid(**arguments)


def descent(**changes):
    arguments = {"model": LINE, "X": X, "y": Y, "start": START, "lr": 0.1, "n_steps": 3} | changes
    return descent_paths(**arguments)


@pytest.mark.parametrize(
    ("call", "changes", "message"),
    [
        (grid, {"xs": [1.0]}, "xs must increase and have two values"),
        (grid, {"ys": [1.0, 1.0]}, "ys must increase"),
        (grid, {"ys": [2.0, 1.0]}, "ys must increase"),
        (
            grid,
            {"loss_fn": lambda p, t: p - t},
            r"^loss_fn\(model\(X\), y\): loss_fn must return a scalar, as a real tensor$",
        ),
        (grid, {"model": nn.Linear(3, 1), "X": WIDE}, "directions are needed.* has 4"),
        (grid, {"directions": torch.eye(3)[:2]}, "directions must have 2 entries"),
        (grid, {"origin": [1.0]}, "origin must have 2 entries"),
        (grid, {"X": X[:0], "y": Y[:0]}, "X must not be empty"),
        (grid, {"y": Y[:3]}, "as many rows"),
        (grid, {"loss_fn": nn.HuberLoss(reduction="none")}, "loss_fn must return a scalar"),
        (grid, {"loss_fn": lambda p, t: (p - t).mean(0)}, "loss_fn must return a scalar"),
        (grid, {"loss_fn": lambda p, t: 0.0}, "loss_fn must return a scalar"),
        (grid, {"model": network(), "X": WIDE, "y": LABELS}, "a plane shows 2 parameters, and model has 26"),
        (grid, {"xs": []}, "xs must not be empty"),
        (grid, {"xs": [0.0, 2.0, 1.0]}, "xs must increase"),
        (grid, {"y": Y[:, 0]}, r"y must have the shape of the predictions, \(20, 1\), got \(20,\)"),
        (descent, {"y": Y[:, 0]}, "y must have the shape of the predictions"),
        (grid, {"model": nn.Tanh()}, "model must have a parameter"),
        (descent, {"start": [1.0]}, "start must have 2 columns"),
        (descent, {"lr": 0.0}, "lr must be > 0"),
        (descent, {"lr": [0.1, -0.1]}, "lr must be > 0"),
        (descent, {"momentum": -0.1}, "momentum must be >= 0"),
        (descent, {"momentum": [[0.1]]}, "momentum must be a number or have one entry a path"),
        (descent, {"weight_decay": float("nan")}, "weight_decay must be finite"),
        (descent, {"nesterov": True}, "nesterov needs momentum"),
        (descent, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov needs momentum"),
        (
            descent,
            {"lr": [0.1, 0.2], "momentum": [0.1, 0.2, 0.3]},
            "^lr must have one entry a path, 3 by momentum, got 2$",
        ),
        (
            descent,
            {"start": [[1.0, 2.0]] * 2, "lr": [0.1, 0.2, 0.3]},
            "^start must have one entry a path, 3 by lr, got 2$",
        ),
        (descent, {"n_steps": 0}, "n_steps must be at least 1"),
        (
            descent,
            {"loss_fn": lambda p, t: p - t},
            r"^loss_fn\(model\(X\), y\): loss_fn must return a scalar, as a real tensor$",
        ),
        (descent, {"lr": 1e300}, "^lr lets a path grow .* unless model, X, y, start, loss_fn, momentum, "),
        (descent, {"lr": 1e300}, "loss_fn, momentum, dampening or weight_decay is at fault$"),
        (descent, {"lr": 1e308, "n_steps": 1}, "^lr lets a path grow without bound"),
        (
            grid,
            {"xs": [0.0, 1.7e308], "loss_fn": lambda p, t: (p - t).mean()},
            r"^loss_fn\(model\(X\), y\) must be a number on the whole grid, got NaN: it overflows in X or y, "
            "or xs, ys, directions or origin reach too far$",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(call, changes, message):
    with pytest.raises(ValueError, match=message):
        call(**changes)


@pytest.mark.parametrize(
    ("call", "changes", "name"),
    [
        (grid, {"model": "model"}, "model"),
        (grid, {"loss_fn": 3}, "loss_fn"),
        (grid, {"X": "X"}, "X"),
        (descent, {"n_steps": 2.5}, "n_steps"),
        (descent, {"nesterov": 1.0}, "nesterov"),
        (descent, {"nesterov": [[True]]}, "nesterov"),
        (descent, {"lr": "0.1"}, "lr"),
        (descent, {"start": None}, "start"),
    ],
)
def test_what_is_of_the_wrong_type_is_refused_by_name(call, changes, name):
    with pytest.raises(TypeError, match=rf"\b{name}\b"):
        call(**changes)


class LastOf(nn.Module):
    """What a recurrent layer says at the end of each row, weighted."""

    def __init__(self, kind, **settings):
        super().__init__()
        self.layer, self.head = kind(1, 2, batch_first=True, **settings), nn.Linear(2, 1)

    def forward(self, X):
        return self.head(self.layer(X[:, :, None])[0][:, -1])


def of_eight(*layers):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), *layers, nn.Linear(8, 1)).double()


def recurrent(kind, **settings):
    torch.manual_seed(0)
    return LastOf(kind, **settings).double()


def with_statistics(model):
    """In evaluation mode, after it has seen some data."""
    model(WIDE + 1)
    return model.eval()


def item(prediction, target):
    """Leaves the tensors on its way."""
    return (prediction - target).square().mean() * float((prediction * 0 + 1).mean().item())


SLOW = {
    "lstm": (recurrent(nn.LSTM), F.mse_loss),
    "two-layers": (recurrent(nn.LSTM, num_layers=2, dropout=0.5).eval(), F.mse_loss),
    "gru": (recurrent(nn.GRU), F.huber_loss),
    "rnn": (recurrent(nn.RNN), F.mse_loss),
    "item": (of_eight(nn.Tanh()), item),
}
QUICK = {
    "batch-norm": (with_statistics(of_eight(nn.BatchNorm1d(8))), F.mse_loss),
    "batch-norm-without-statistics": (of_eight(nn.BatchNorm1d(8, track_running_stats=False)), F.mse_loss),
    "dropout": (of_eight(nn.Dropout()).eval(), F.mse_loss),
    "no-dropout": (of_eight(nn.Dropout(0.0)), F.mse_loss),
    "spectral": (nn.utils.parametrizations.spectral_norm(nn.Linear(3, 1)).double().eval(), F.mse_loss),
}


@pytest.mark.parametrize(("model", "loss_fn"), [*SLOW.values(), *QUICK.values()], ids=[*SLOW, *QUICK])
def test_any_model_and_loss_make_a_grid_and_a_path(model, loss_fn, monkeypatch):
    """Those for which torch has no rule of vmap one by one."""
    monkeypatch.setattr(_linear, "CHUNK", 100)
    origin = parameters_to_vector(model.parameters()).detach().clone()
    before, generator = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    u, v = torch.randn(2, len(origin), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = loss_grid(model, WIDE, Y, XS, YS, loss_fn=loss_fn, directions=(u, v), origin=origin)
    path = descent_paths(model, WIDE, Y, origin, lr=0.05, n_steps=5, momentum=0.5, loss_fn=loss_fn)[0]
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    twin = copy.deepcopy(model)
    assert_close(found, cell_by_cell(twin, WIDE, Y, loss_fn, lambda a, b: origin + a * u + b * v))
    assert_near(path, torch_path(twin, WIDE, Y, origin, loss_fn, 5, lr=0.05, momentum=0.5))


@pytest.mark.parametrize(("model", "loss_fn"), SLOW.values(), ids=SLOW)
def test_torch_has_no_rule_for_these(model, loss_fn, monkeypatch):
    """Else they would say nothing about going one by one."""

    def impatient(function, rows):
        return torch.func.vmap(function)(rows)

    monkeypatch.setattr(landscape, "_each", impatient)
    with pytest.raises(ValueError, match=r"atching rule|vmap|item\(\)"):
        loss_grid(model, WIDE, Y, XS, YS, loss_fn=loss_fn, directions=torch.eye(count(model))[:2])


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


class Noisy(nn.Linear):
    """Like dropout, but not a layer that could be looked for."""

    def forward(self, X):
        return super().forward(X) + (torch.randn(len(X), 1, dtype=X.dtype) if self.training else 0)


RESTLESS = {
    "dropout": of_eight(nn.Dropout()),
    "batch-norm": of_eight(nn.BatchNorm1d(8)),
    "lstm": recurrent(nn.LSTM, num_layers=2, dropout=0.5),
    "noise": Noisy(3, 1).double(),
    "spectral": nn.utils.parametrizations.spectral_norm(nn.Linear(3, 1)).double(),
}


@pytest.mark.parametrize("model", RESTLESS.values(), ids=RESTLESS)
@pytest.mark.parametrize("zeros", [True, False])
def test_a_model_in_training_mode_that_needs_evaluation_is_sent_there(model, zeros):
    """And is left as it was, whatever its parameters are."""
    model = copy.deepcopy(model)
    if zeros:
        vector_to_parameters(torch.zeros(count(model), dtype=torch.float64), model.parameters())
    before, generator = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    for call in (
        lambda: loss_grid(model, WIDE, Y, XS, YS, directions=torch.eye(count(model))[:2]),
        lambda: descent_paths(model, WIDE, Y, torch.ones(count(model)), lr=0.1, n_steps=2),
    ):
        with pytest.raises(ValueError, match=r"^model must predict the same each time .* model\.eval\(\)"):
            call()
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    model.eval()
    assert loss_grid(model, WIDE, Y, XS, YS, directions=torch.eye(count(model))[:2]).shape == (4, 6)


@pytest.mark.parametrize("call", ["loss_grid", "descent_paths"])
def test_a_model_that_cannot_take_the_data_says_so_by_name(call):
    model = of_eight(nn.Tanh())
    calls = {
        "loss_grid": lambda X: loss_grid(model, X, Y, XS, YS, directions=torch.eye(count(model))[:2]),
        "descent_paths": lambda X: descent_paths(model, X, Y, torch.ones(count(model)), lr=0.1, n_steps=2),
    }
    calls[call](WIDE)
    with pytest.raises(ValueError, match=r"^model\(X\): .*shapes"):
        calls[call](WIDE[:, :-1])


def test_a_model_without_numbers_is_not_told_to_rest():
    class Nothing(nn.Linear):
        def forward(self, X):
            return super().forward(X) * math.nan

    model = Nothing(3, 1, dtype=torch.float64)
    with pytest.raises(
        ValueError, match=r"^loss_fn\(model\(X\), y\) must be a number on the whole grid, got NaN"
    ):
        loss_grid(model, WIDE, Y, XS, YS, directions=torch.eye(count(model))[:2])


def test_statistics_become_of_the_dtype_of_the_data():
    model = with_statistics(of_eight(nn.BatchNorm1d(8)))
    expected = loss_grid(model, WIDE, Y, XS, YS, directions=torch.eye(count(model))[:2])
    narrow = copy.deepcopy(model).float()
    for kind in (torch.float64, torch.float32):
        found = loss_grid(narrow, WIDE.to(kind), Y.to(kind), XS, YS, directions=torch.eye(count(model))[:2])
        assert found.dtype == kind
        assert_near(found.double(), expected, atol=1e-5)


def test_complex_parameters_are_no_plane():
    model = nn.Linear(1, 1, dtype=torch.complex64)
    for call in (grid, descent):
        with pytest.raises(TypeError, match=r"^model must have real parameters, got complex ones$"):
            call(model=model)


@pytest.mark.parametrize("kind", [bool, np.int32, np.uint8])
def test_labels_may_come_as_any_array(kind):
    labels = (LABELS.numpy() > 0).astype(kind)
    model = network()
    start = parameters_to_vector(model.parameters()).detach()
    settings = {"lr": 0.1, "n_steps": 3, "loss_fn": F.cross_entropy}
    assert torch.equal(
        descent_paths(model, WIDE, labels, start, **settings),
        descent_paths(model, WIDE, LABELS, start, **settings),
    )
    for loss_fn in (F.mse_loss, F.binary_cross_entropy_with_logits):
        numbers = grid(y=LABELS[:, None].double(), loss_fn=loss_fn)
        assert torch.equal(grid(y=labels[:, None], loss_fn=loss_fn), numbers)
        assert torch.equal(grid(y=torch.from_numpy(labels[:, None]), loss_fn=loss_fn), numbers)


@pytest.mark.parametrize("loss_fn", [F.poisson_nll_loss, lambda p, t: (p - t).pow(4).mean()])
def test_no_loss_broadcasts_its_targets(loss_fn):
    for call in (grid, descent):
        with pytest.raises(
            ValueError, match=r"y must have the shape of the predictions, \(20, 1\), got \(20,\)"
        ):
            call(loss_fn=loss_fn, y=Y[:, 0])


def test_settings_of_another_dtype_become_that_of_the_data():
    settings = {"lr": [0.1, 0.2], "momentum": torch.tensor([0.5, 0.9]), "weight_decay": 0.1, "n_steps": 3}
    found = descent_paths(nn.Linear(1, 1), X.float(), Y.float(), [1, 2], **settings)
    assert found.dtype == torch.float32
    assert_near(found.double(), descent_paths(LINE, X, Y, [1.0, 2.0], **settings), atol=1e-5)
