"""Each rule, step by step, beside the optimizer of torch or of this book that it is."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.rules import adam, coupled, decoupled, proximal, sgd

GENERATOR = torch.Generator().manual_seed(0)
CURVATURE = torch.diag(torch.tensor([3.0, 1.0, 0.1], dtype=torch.float64))
CURVATURE[0, 1] = CURVATURE[1, 0] = 0.5
NOISE = torch.randn(200, 3, dtype=torch.float64, generator=GENERATOR)
START = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)

MOMENTA = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "nesterov": True},
    {"dampening": 0.5},
]
BETAS = [{}, {"betas": (0.0, 0.9)}, {"betas": (0.8, 0.95), "eps": 1e-3}]
OPTIMIZERS = [
    *((coupled, sgd, settings, torch.optim.SGD, settings) for settings in MOMENTA),
    *((decoupled, sgd, settings, SGDW, settings) for settings in MOMENTA),
    *((coupled, adam, settings, torch.optim.Adam, settings) for settings in BETAS),
    *((decoupled, adam, settings, torch.optim.AdamW, settings) for settings in BETAS),
    (proximal, sgd, {}, ProximalSGD, {}),
    (partial(proximal, norm=2), sgd, {}, ProximalSGD, {"norm": 2}),
]


def gradient(theta, step):
    return theta @ CURVATURE + NOISE[step]


def schedule(step):
    return 0.1 / (1 + step / 50)


def path_of(step, direction, weight_decay, start=START, convert=lambda tensor: tensor):
    """Return the parameters after each of 200 steps with a falling learning rate."""
    theta, state, path = convert(start), None, []
    for t in range(200):
        slope = convert(gradient(torch.as_tensor(theta), t))
        theta, state = step(theta, slope, state, direction, lr=schedule(t), weight_decay=weight_decay)
        path.append(theta)
    return path


def optimizer_path(kind, weight_decay, **settings):
    theta = nn.Parameter(START.clone())
    optimizer = kind([theta], lr=1.0, weight_decay=weight_decay, **settings)
    path = []
    for t in range(200):
        optimizer.param_groups[0]["lr"] = schedule(t)
        theta.grad = gradient(theta.detach(), t)
        optimizer.step()
        path.append(theta.detach().clone())
    return torch.stack(path)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize(("step", "direction", "settings", "kind", "theirs"), OPTIMIZERS)
def test_a_rule_is_the_optimizer(step, direction, settings, kind, theirs, weight_decay):
    found = torch.stack(path_of(step, partial(direction, **settings), weight_decay))
    torch.testing.assert_close(found, optimizer_path(kind, weight_decay, **theirs), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("step", "direction", "settings", "kind", "theirs"), OPTIMIZERS)
def test_arrays_take_the_steps_of_tensors(step, direction, settings, kind, theirs):
    rule = partial(path_of, step, partial(direction, **settings), 0.3)
    found = rule(convert=lambda tensor: tensor.numpy())
    assert all(isinstance(theta, np.ndarray) for theta in found)
    np.testing.assert_allclose(np.stack(found), torch.stack(rule()), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("step", "direction", "settings", "kind", "theirs"), OPTIMIZERS)
def test_what_comes_in_is_not_changed(step, direction, settings, kind, theirs):
    theta, slope, state = START.clone(), NOISE[0].clone(), None
    for _ in range(2):
        before = [tensor.clone() for tensor in tensors(theta, slope, state)]
        _, after = step(theta, slope, state, partial(direction, **settings), lr=0.1, weight_decay=0.3)
        assert all(map(torch.equal, before, tensors(theta, slope, state)))
        state = after


def tensors(*values):
    flat = [item for value in values for item in (value if isinstance(value, tuple) else (value,))]
    return [item for item in flat if isinstance(item, torch.Tensor)]


@pytest.mark.parametrize("step", [coupled, decoupled, proximal, partial(proximal, norm=2)])
@pytest.mark.parametrize("direction", [sgd, adam])
@pytest.mark.parametrize("of", [torch.tensor, np.array])
def test_a_decay_of_each_entry_leaves_out_where_it_is_zero(step, direction, of):
    theta, zeros = of([1.0, -2.0, 3.0]), of([0.0, 0.0, 0.0])
    after, _ = step(theta, zeros, None, direction, lr=0.1, weight_decay=of([0.5, 0.5, 0.0]))
    assert (abs(after[:2]) < abs(theta[:2])).all()
    assert after[2] == theta[2]


def test_without_momentum_coupled_and_decoupled_are_the_same_step():
    ends = [torch.stack(path_of(step, sgd, 0.3)) for step in (coupled, decoupled)]
    torch.testing.assert_close(*ends, rtol=0, atol=1e-14)
    ends = [torch.stack(path_of(step, partial(sgd, momentum=0.9), 0.3)) for step in (coupled, decoupled)]
    assert (ends[0] - ends[1]).abs().max() > 0.1
