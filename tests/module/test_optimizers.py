"""SGDW and ProximalSGD beside torch's SGD, recurrences by hand, fits and closed forms; and coast."""

import copy
import io
import math
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso
from torch import nn
from torch.optim import lr_scheduler

from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.penalties import soft_threshold
from course_lib.probe import coast

assert_equal = partial(torch.testing.assert_close, rtol=0, atol=0)
assert_near = partial(torch.testing.assert_close, rtol=0, atol=1e-12)

SHAPES = [(), (3,), (2, 4), (2, 3, 2)]
SECOND = slice(1, 4)  # where the second parameter lies in a vector of all
TARGETS = [torch.randn(shape, generator=torch.Generator().manual_seed(11)) for shape in SHAPES]
NESTEROV = {"momentum": 0.8, "nesterov": True}
MOMENTA = [
    {},
    {"dampening": 0.3},
    {"momentum": 0.5},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.9, "dampening": 1.0},
    NESTEROV,
]
KINDS = {
    "SGDW": partial(SGDW, lr=0.1, momentum=0.9, weight_decay=0.2),
    "SGDW-1": partial(SGDW, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.2, norm=1),
    "SGDW-without-lr": partial(SGDW, lr=0.1, **NESTEROV, weight_decay=0.02, decay_times_lr=False),
    "ProximalSGD": partial(ProximalSGD, lr=0.1, weight_decay=0.2),
    "ProximalSGD-2": partial(ProximalSGD, lr=0.1, weight_decay=0.2, norm=2),
}
kinds = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())


def parameters(dtype=torch.float64):
    generator = torch.Generator().manual_seed(7)
    return [nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in SHAPES]


def slope(value, target, step):
    """The gradient of a bowl whose bottom wanders."""
    return 0.6 * (value - target) + 0.1 * math.cos(step)


def vector(held):
    """All values of some parameters, one after the other."""
    return torch.cat([parameter.detach().flatten() for parameter in held])


def set_gradients(held, step, sign=1):
    for parameter, target in zip(held, TARGETS, strict=True):
        parameter.grad = sign * slope(parameter.detach(), target.to(parameter.dtype), step)


def walk(make, n_steps=60, *, dtype=torch.float64, held=None, first=0, skip=(), sign=1, schedule=None):
    """Return the parameters after every step, a row each; the second has no gradient in steps `skip`."""
    held = parameters(dtype) if held is None else held
    optimizer = make(held) if callable(make) else make
    scheduler = schedule(optimizer) if schedule else None
    path = []
    for step in range(first, first + n_steps):
        set_gradients(held, step, sign)
        if step in skip:
            held[1].grad = None
        optimizer.step()
        if scheduler:
            scheduler.step()
        path.append(vector(held))
    return torch.stack(path)


def by_hand(make, n_steps=200, sign=1):
    """The path of `walk` in NumPy, with the settings of `make`."""
    settings = make.keywords
    update = {SGDW: sgdw_by_hand, ProximalSGD: proximal_by_hand}[make.func]
    thetas, states = [p.detach().numpy() for p in parameters()], [{} for _ in SHAPES]
    path = []
    for step in range(n_steps):
        gradients = [sign * slope(w, t.double().numpy(), step) for w, t in zip(thetas, TARGETS, strict=True)]
        thetas = [update(*each, **settings) for each in zip(thetas, gradients, states, strict=True)]
        path.append(np.concatenate([np.ravel(theta) for theta in thetas]))
    return torch.from_numpy(np.array(path))


def sgdw_by_hand(
    theta,
    gradient,
    state,
    *,
    lr,
    weight_decay,
    momentum=0.0,
    dampening=0.0,
    nesterov=False,
    norm=2,
    decay_times_lr=True,
    maximize=False,
):
    gradient = -gradient if maximize else gradient
    state["v"] = momentum * state["v"] + (1 - dampening) * gradient if "v" in state else gradient
    if not momentum:
        direction = gradient
    elif nesterov:
        direction = gradient + momentum * state["v"]
    else:
        direction = state["v"]
    rate = lr * weight_decay if decay_times_lr else weight_decay
    shrunk = (1 - rate) * theta if norm == 2 else np.sign(theta) * np.maximum(np.abs(theta) - rate, 0)
    return shrunk - lr * direction


def proximal_by_hand(theta, gradient, state, *, lr, weight_decay, norm=1, maximize=False):
    theta = theta + lr * gradient if maximize else theta - lr * gradient
    if norm == 2:
        return theta / (1 + lr * weight_decay)
    return np.sign(theta) * np.maximum(np.abs(theta) - lr * weight_decay, 0)


# SGDW without decay is torch's SGD, bit for bit


@pytest.mark.no_cover
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("settings", MOMENTA, ids=str)
@pytest.mark.parametrize(
    "lr", [0.5, 1e-3, 0, torch.tensor(0.1), torch.tensor([[0.1]], dtype=torch.float64)], ids=str
)
def test_sgdw_without_decay_is_torchs_sgd_bit_for_bit(lr, settings, maximize, dtype):
    options = {"lr": lr, "maximize": maximize, **settings}
    assert_equal(
        walk(partial(SGDW, **options), dtype=dtype, skip=(0, 1, 5, 30)),
        walk(partial(torch.optim.SGD, **options), dtype=dtype, skip=(0, 1, 5, 30)),
    )


SCHEDULES = {
    "cosine": partial(lr_scheduler.CosineAnnealingLR, T_max=40),
    "steps": partial(lr_scheduler.StepLR, step_size=7, gamma=0.5),
    "exponential": partial(lr_scheduler.ExponentialLR, gamma=0.95),
    "warm-up": partial(lr_scheduler.LinearLR, start_factor=0.1, total_iters=20),
    "one-cycle": partial(lr_scheduler.OneCycleLR, max_lr=0.4, total_steps=61, cycle_momentum=False),
}
CYCLED = partial(lr_scheduler.OneCycleLR, max_lr=0.4, total_steps=61)
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


@pytest.mark.parametrize("schedule", [*SCHEDULES.values(), CYCLED], ids=[*SCHEDULES, "momentum-too"])
@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9, "dampening": 0.2}, NESTEROV], ids=str)
@pytest.mark.parametrize("lr", [0.3, torch.tensor(0.3)], ids=str)
def test_sgdw_without_decay_is_torchs_sgd_under_a_scheduler(lr, settings, schedule):
    options = {**settings, "lr": lr if isinstance(lr, float) else lr.clone()}
    ours = walk(partial(SGDW, **options), schedule=schedule)
    options = {**settings, "lr": lr if isinstance(lr, float) else lr.clone()}
    assert_equal(ours, walk(partial(torch.optim.SGD, **options), schedule=schedule))


@pytest.mark.parametrize("maximize", [False, True])
def test_sgdw_without_decay_is_torchs_sgd_on_sparse_gradients(maximize):
    tokens = torch.randint(0, 6, (50, 4), generator=torch.Generator().manual_seed(2))

    def path(kind):
        table = nn.Embedding(6, 3, sparse=True, _weight=torch.linspace(-1, 1, 18).reshape(6, 3))
        optimizer = kind(table.parameters(), lr=0.1, maximize=maximize)
        found = []
        for row in tokens:
            optimizer.zero_grad()
            table(row).square().sum().backward()
            assert table.weight.grad.is_sparse
            optimizer.step()
            found.append(table.weight.detach().clone())
        return found

    assert_equal(path(SGDW), path(torch.optim.SGD))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("settings", MOMENTA, ids=str)
def test_sgdw_without_decay_is_torchs_sgd_in_other_dtypes(settings, dtype):
    options = {"lr": 0.1, **settings}
    found = walk(partial(SGDW, **options), dtype=dtype)
    assert_equal(found, walk(partial(torch.optim.SGD, **options), dtype=dtype))
    assert found.dtype == dtype


@pytest.mark.parametrize("settings", [{"norm": 1}, {"decay_times_lr": False}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_how_sgdw_would_decay_does_not_matter_without_decay(settings, dtype):
    make = partial(SGDW, lr=0.1, momentum=0.9)
    assert_equal(walk(partial(make, **settings), dtype=dtype), walk(make, dtype=dtype))


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("settings", MOMENTA, ids=str)
def test_sgdw_without_decay_is_torchs_sgd_where_gradients_stay_in_place(settings, maximize):
    """With zero_grad(set_to_none=False) every step finds its gradient in the same tensor."""

    def path(kind):
        weight = nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer, found = kind([weight], lr=0.1, maximize=maximize, **settings), []
        for step in range(50):
            optimizer.zero_grad(set_to_none=False)
            (weight.sin().sum() + weight[0] * math.cos(step)).backward()
            optimizer.step()
            found.append(weight.detach().clone())
        return torch.stack(found)

    assert_equal(path(SGDW), path(torch.optim.SGD))


def test_sgdw_takes_its_arguments_in_torchs_order():
    assert_equal(
        walk(lambda held: SGDW(held, 0.1, 0.9, 0.2, 0.0, False)),
        walk(lambda held: torch.optim.SGD(held, 0.1, 0.9, 0.2, 0.0, False)),
    )
    assert_equal(walk(SGDW), walk(torch.optim.SGD))


@pytest.mark.parametrize("cycle", [lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR])
def test_a_cycle_of_momentum_needs_a_momentum(cycle):
    settings = {lr_scheduler.OneCycleLR: {"max_lr": 0.4, "total_steps": 61}}
    settings = settings.get(cycle, {"base_lr": 0.01, "max_lr": 0.4, "step_size_up": 5})
    with pytest.raises(ValueError, match="must support momentum"):
        cycle(ProximalSGD(parameters()), **settings)
    cycle(ProximalSGD(parameters()), **settings, cycle_momentum=False)
    cycle(SGDW(parameters(), momentum=0.9), **settings)


# SGDW with decay


@pytest.mark.no_cover
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("decay_times_lr", [True, False])
@pytest.mark.parametrize("norm", [2, 1])
@pytest.mark.parametrize("settings", MOMENTA, ids=str)
@pytest.mark.parametrize(("lr", "weight_decay"), [(0.2, 0.1), (0.05, 0.7)])
def test_sgdw_follows_its_recurrences(lr, weight_decay, settings, norm, decay_times_lr, maximize):
    """A bowl for descent, a hill for ascent: both paths stay near the target."""
    options = {"norm": norm, "decay_times_lr": decay_times_lr, "maximize": maximize, **settings}
    make = partial(SGDW, lr=lr, weight_decay=weight_decay, **options)
    sign = -1 if maximize else 1
    assert_near(walk(make, 200, sign=sign), by_hand(make, sign=sign))


@pytest.mark.parametrize(
    ("settings", "after"),
    [
        ({}, 0.98 * 1.0 - 0.1 * 0.5),
        ({"decay_times_lr": False}, 0.8 * 1.0 - 0.1 * 0.5),
        ({"norm": 1}, 1.0 - 0.02 - 0.1 * 0.5),
        ({"norm": 1, "decay_times_lr": False}, 1.0 - 0.2 - 0.1 * 0.5),
        ({"momentum": 0.9}, 0.98 * 1.0 - 0.1 * 0.5),
        ({"momentum": 0.9, "dampening": 0.5}, 0.98 * 1.0 - 0.1 * 0.5),
        ({"momentum": 0.9, "nesterov": True}, 0.98 * 1.0 - 0.1 * (0.5 + 0.9 * 0.5)),
        ({"maximize": True}, 0.98 * 1.0 + 0.1 * 0.5),
    ],
    ids=str,
)
def test_first_step_of_sgdw_by_hand(settings, after):
    """From 1 with gradient 1/2, lr 0.1 and decay 0.2: the decay is taken before the step."""
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    weight.grad = torch.tensor([0.5], dtype=torch.float64)
    SGDW([weight], lr=0.1, weight_decay=0.2, **settings).step()
    assert weight.item() == pytest.approx(after, rel=0, abs=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("settings", MOMENTA, ids=str)
def test_sgdw_is_a_multiplication_and_then_the_step_of_torchs_sgd(settings, dtype):
    """The order of operations of timm and of torch.optim.AdamW, bit for bit."""
    lr, weight_decay = 0.2, 0.3

    class Wrapped(torch.optim.SGD):
        def step(self, closure=None):
            with torch.no_grad():
                for parameter in self.param_groups[0]["params"]:
                    if parameter.grad is not None:
                        parameter.mul_(1 - lr * weight_decay)
            return super().step(closure)

    found = walk(partial(SGDW, lr=lr, weight_decay=weight_decay, **settings), dtype=dtype, skip=(0, 9))
    assert_equal(found, walk(partial(Wrapped, lr=lr, **settings), dtype=dtype, skip=(0, 9)))


@pytest.mark.parametrize(
    "settings", [{"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.4}, NESTEROV], ids=str
)
@pytest.mark.parametrize("norm", [1, 2])
def test_momentum_never_sees_the_decay(settings, norm):
    buffers = []
    for weight_decay in (0.0, 0.5):
        held = parameters()
        optimizer = SGDW(held, lr=0.1, weight_decay=weight_decay, norm=norm, **settings)
        for step in range(30):
            for parameter, target in zip(held, TARGETS, strict=True):
                parameter.grad = slope(0.0, target.double(), step)
            optimizer.step()
        buffers.append([optimizer.state[parameter]["momentum_buffer"] for parameter in held])
    assert_equal(*buffers)


@schedules
@pytest.mark.parametrize("weight_decay", [0.05, 1.0])
@pytest.mark.parametrize("kind", [SGDW, torch.optim.SGD])
def test_plain_sgdw_is_torchs_sgd_with_the_same_decay_on_any_schedule(kind, weight_decay, schedule):
    """And both are the undecayed SGD on the loss plus lambda / 2 |theta|^2."""
    held = parameters()
    optimizer = torch.optim.SGD(held, lr=0.3)
    scheduler, explicit = schedule(optimizer), []
    for step in range(60):
        set_gradients(held, step)
        for parameter in held:
            parameter.grad += weight_decay * parameter.detach()
        optimizer.step()
        scheduler.step()
        explicit.append(vector(held))
    found = walk(partial(kind, lr=0.3, weight_decay=weight_decay), schedule=schedule)
    assert_near(found, torch.stack(explicit))


def test_the_decay_follows_the_schedule_unless_lr_is_kept_out_of_it():
    """With a gradient of zero the parameter shows the product of the factors."""
    shrunk = {}
    for decay_times_lr in (True, False):
        weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimizer = SGDW([weight], lr=0.4, weight_decay=0.5, decay_times_lr=decay_times_lr)
        scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
        for _ in range(3):
            weight.grad = torch.zeros_like(weight)
            optimizer.step()
            scheduler.step()
        shrunk[decay_times_lr] = weight.item()
    assert shrunk[True] == pytest.approx((1 - 0.2) * (1 - 0.1) * (1 - 0.05), rel=1e-15)
    assert shrunk[False] == pytest.approx(0.5**3, rel=1e-15)


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        ({}, 1.0),
        ({"dampening": 0.5}, 1.0),
        ({"momentum": 0.8}, 0.2),
        ({"momentum": 0.8, "dampening": 0.6}, 0.5),
        ({"momentum": 0.5, "dampening": 0.75}, 2.0),
        (NESTEROV, 0.2),
    ],
    ids=str,
)
def test_where_sgdw_comes_to_rest(settings, factor):
    """In the bowl (w - c)^2 / 2 at c / (1 + k lambda), k = (1 - momentum) / (1 - dampening); with torch's
    SGD at c / (1 + lambda).
    """
    center, weight_decay = torch.tensor([3.0, -2.0, 0.5], dtype=torch.float64), 0.4

    def rest(kind, **options):
        weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        optimizer = kind([weight], lr=0.1, **settings, **options)
        for _ in range(1500):
            weight.grad = weight.detach() - center
            optimizer.step()
        return weight.detach()

    found = rest(SGDW, weight_decay=weight_decay)
    assert_near(found, center / (1 + factor * weight_decay))
    assert_near(found, rest(torch.optim.SGD, weight_decay=factor * weight_decay))
    assert_near(rest(SGDW, weight_decay=0.1 * weight_decay, decay_times_lr=False), found)
    constant = rest(SGDW, weight_decay=weight_decay, norm=1)
    assert_near(constant, soft_threshold(center, factor * weight_decay), atol=0.1 * weight_decay)
    assert_near(constant[:2], soft_threshold(center[:2], factor * weight_decay))


@kinds
def test_ascent_of_the_negative_is_descent_and_shrinks_as_much(make):
    assert_equal(walk(partial(make, maximize=True), sign=-1), walk(make))


@kinds
def test_ascent_shrinks_what_has_no_gradient(make):
    start = torch.tensor([2.0, -1.0, 0.0])
    assert_equal(coast(partial(make, maximize=True), start, n_steps=3), coast(make, start, n_steps=3))


# Proximal SGD


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize(("lr", "weight_decay"), [(0.2, 0.1), (0.05, 0.7), (0.3, 0.0)])
def test_proximal_sgd_follows_its_recurrences(lr, weight_decay, norm, maximize):
    make = partial(ProximalSGD, lr=lr, weight_decay=weight_decay, norm=norm, maximize=maximize)
    sign = -1 if maximize else 1
    assert_near(walk(make, 200, sign=sign), by_hand(make, sign=sign))


@pytest.mark.parametrize(
    ("settings", "after"),
    [
        ({}, [0.93, -1.03, 0.0]),
        ({"norm": 2}, [0.95 / 1.02, -1.05 / 1.02, -0.01 / 1.02]),
        ({"maximize": True}, [1.03, -0.93, 0.07]),
        ({"norm": 2, "maximize": True}, [1.05 / 1.02, -0.95 / 1.02, 0.09 / 1.02]),
    ],
    ids=str,
)
def test_first_step_of_proximal_sgd_by_hand(settings, after):
    """With gradient 1/2, lr 0.1 and decay 0.2: the step is taken first, and a zero is exact."""
    weight = nn.Parameter(torch.tensor([1.0, -1.0, 0.04], dtype=torch.float64))
    weight.grad = torch.full((3,), 0.5, dtype=torch.float64)
    ProximalSGD([weight], lr=0.1, weight_decay=0.2, **settings).step()
    assert_near(weight.tolist(), after)
    assert [value == 0 for value in weight.tolist()] == [value == 0 for value in after]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_proximal_sgd_is_a_step_and_then_soft_threshold(dtype):
    held, ours = parameters(dtype), parameters(dtype)
    plain, proximal = torch.optim.SGD(held, lr=0.2), ProximalSGD(ours, lr=0.2, weight_decay=0.3)
    for step in range(50):
        set_gradients(held, step)
        set_gradients(ours, step)
        plain.step()
        proximal.step()
        for parameter, found in zip(held, ours, strict=True):
            parameter.data = soft_threshold(parameter.detach(), 0.2 * 0.3)
            assert_equal(found.detach(), parameter.detach())


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex128])
def test_proximal_sgd_without_decay_is_torchs_sgd_bit_for_bit(dtype, norm, maximize):
    found = walk(partial(ProximalSGD, lr=0.2, norm=norm, maximize=maximize), dtype=dtype, skip=(0, 4))
    plain = partial(torch.optim.SGD, lr=0.2, maximize=maximize)
    assert_equal(found, walk(plain, dtype=dtype, skip=(0, 4)))


@schedules
@pytest.mark.parametrize("weight_decay", [0.0, 0.7])
def test_proximal_sgd_under_a_scheduler_is_a_step_of_torchs_sgd_and_then_a_division(schedule, weight_decay):
    """With the lr of the moment in both."""
    found = walk(partial(ProximalSGD, lr=0.3, weight_decay=weight_decay, norm=2), schedule=schedule)
    held = parameters()
    optimizer = torch.optim.SGD(held, lr=0.3)
    scheduler = schedule(optimizer)
    for step, expected in enumerate(found):
        set_gradients(held, step)
        optimizer.step()
        for parameter in held:
            parameter.data /= 1 + optimizer.param_groups[0]["lr"] * weight_decay
        scheduler.step()
        assert_near(vector(held), expected)


GENERATOR = torch.Generator().manual_seed(5)
X = torch.randn(40, 6, dtype=torch.float64, generator=GENERATOR)
Y = X @ torch.tensor([2.0, 0.0, -1.0, 0.0, 0.5, 0.0], dtype=torch.float64)
Y += 0.3 * torch.randn(40, dtype=torch.float64, generator=GENERATOR)


def fit(make, n_steps=1500):
    """Minimize the halved mean square by full-batch steps."""
    weight = nn.Parameter(torch.zeros(6, dtype=torch.float64))
    optimizer = make([weight])
    for _ in range(n_steps):
        weight.grad = X.T @ (X @ weight.detach() - Y) / len(Y)
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("lr", [0.1, 0.4])
@pytest.mark.parametrize("weight_decay", [0.05, 0.3])
def test_proximal_sgd_fits_the_lasso_with_its_exact_zeros(lr, weight_decay):
    lasso = Lasso(alpha=weight_decay, fit_intercept=False, tol=1e-14, max_iter=10**5).fit(X, Y)
    expected = torch.from_numpy(lasso.coef_)
    found = fit(partial(ProximalSGD, lr=lr, weight_decay=weight_decay))
    assert_near(found, expected, atol=1e-8)
    assert (found == 0).any()
    assert_equal(found == 0, expected == 0)


@pytest.mark.parametrize("lr", [0.1, 0.4])
@pytest.mark.parametrize("weight_decay", [0.05, 0.3])
@pytest.mark.parametrize("make", [partial(ProximalSGD, norm=2), SGDW, torch.optim.SGD])
def test_a_squared_norm_is_ridge_in_closed_form(make, weight_decay, lr):
    curvature = X.T @ X / len(Y) + weight_decay * torch.eye(6, dtype=torch.float64)
    expected = torch.linalg.solve(curvature, X.T @ Y / len(Y))
    assert_near(fit(partial(make, lr=lr, weight_decay=weight_decay)), expected)


# The manners of a torch optimizer


@kinds
@pytest.mark.parametrize("enabled", [True, False])
def test_a_closure_is_called_once_with_gradients_on_and_its_loss_returned(make, enabled):
    held, calls = parameters(), []
    optimizer = make(held)

    def closure():
        calls.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = sum(parameter.square().sum() for parameter in held)
        loss.backward()
        calls.append(loss)
        return loss

    with torch.set_grad_enabled(enabled):
        loss = optimizer.step(closure)
        assert torch.is_grad_enabled() == enabled
    assert calls[0] is True
    assert calls[1] is loss
    assert len(calls) == 2
    other = parameters()
    for parameter in other:
        parameter.grad = 2 * parameter.detach()
    assert make(other).step() is None
    assert_equal(vector(held), vector(other))


GROUPS = {
    SGDW: [
        {"lr": 0.3, "weight_decay": 0.5},
        {"momentum": 0.9, "dampening": 0.2},
        {"momentum": 0.5, "nesterov": True, "norm": 1},
        {"decay_times_lr": False, "maximize": True},
    ],
    ProximalSGD: [{"lr": 0.3, "weight_decay": 0.5}, {"norm": 2}, {"maximize": True}, {}],
}


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize("n_added", [0, 1, 3])
def test_each_group_has_settings_of_its_own(kind, n_added):
    """However the groups came in, they move as under an optimizer each."""
    defaults = {"lr": 0.1, "weight_decay": 0.2}

    def together(held):
        groups = [{"params": [p], **settings} for p, settings in zip(held, GROUPS[kind], strict=True)]
        optimizer = kind(groups[: 4 - n_added], **defaults)
        for group in groups[4 - n_added :]:
            optimizer.add_param_group(group)
        return optimizer

    found, apart = walk(together, 30), parameters()
    optimizers = [kind([p], **(defaults | settings)) for p, settings in zip(apart, GROUPS[kind], strict=True)]
    for step in range(30):
        set_gradients(apart, step)
        for optimizer in optimizers:
            optimizer.step()
        assert_equal(found[step], vector(apart))


@kinds
def test_named_parameters_keep_their_names(make):
    module = nn.Linear(3, 2)
    named, plain = copy.deepcopy(module), copy.deepcopy(module)
    optimizers = make(named.named_parameters()), make(plain.parameters())
    for held, optimizer in zip((named, plain), optimizers, strict=True):
        held(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    assert optimizers[0].param_groups[0]["param_names"] == ["weight", "bias"]
    assert_equal(list(named.state_dict().values()), list(plain.state_dict().values()))
    assert not torch.equal(named.weight, module.weight)


def by_state_dict(make, held, optimizer):
    """Whatever the new optimizer was made with, the state has the settings in it."""
    copies = [nn.Parameter(parameter.detach().clone()) for parameter in held]
    resumed = make.func(copies, lr=7.0)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    return copies, resumed


def by_file(make, held, optimizer):
    file = io.BytesIO()
    torch.save({"held": held, "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file)
    resumed = make.func(saved["held"], lr=7.0)
    resumed.load_state_dict(saved["optimizer"])
    return saved["held"], resumed


RESUMES = {
    "state-dict": by_state_dict,
    "torch-save": by_file,
    "deepcopy": lambda make, held, optimizer: copy.deepcopy((held, optimizer)),
    "pickle": lambda make, held, optimizer: pickle.loads(pickle.dumps((held, optimizer))),
}


def assert_same_state(one, other):
    """Equal settings and equal tensors, and neither has what the other lacks."""
    one, other = one.state_dict(), other.state_dict()
    assert one["param_groups"] == other["param_groups"]
    assert_equal(one["state"], other["state"])


@kinds
@pytest.mark.parametrize("resume", RESUMES.values(), ids=RESUMES.keys())
@pytest.mark.parametrize("grows", [False, True])
def test_a_resumed_optimizer_continues_bit_for_bit(make, resume, grows):
    held = parameters()
    optimizer = make(held)
    walk(optimizer, 5, held=held)
    copies, resumed = resume(make, held, optimizer)
    assert not any(copied is parameter for copied, parameter in zip(copies, held, strict=True))
    assert type(resumed) is make.func
    if resumed.defaults["lr"] == optimizer.defaults["lr"]:
        assert resumed.defaults == optimizer.defaults
    if grows:  # by a group with all settings, as `resumed` may have other defaults
        for each in (optimizer, resumed):
            added = {**optimizer.defaults, "params": [nn.Parameter(torch.ones(2))], "lr": 0.3}
            each.add_param_group(added)
    assert_same_state(resumed, optimizer)
    expected = walk(optimizer, 20, held=held, first=5)
    assert_equal(walk(resumed, 20, held=copies, first=5), expected)
    assert_same_state(resumed, optimizer)
    assert repr(resumed) == repr(optimizer)


@kinds
def test_loading_a_state_adds_no_setting(make):
    """torch.optim.Optimizer gives one to optimizers that are loaded, copied or unpickled."""
    optimizer, held = make(parameters()), parameters()
    loaded = make(held)
    loaded.load_state_dict(optimizer.state_dict())
    for other in (loaded, copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert other.defaults == optimizer.defaults
        assert set(other.param_groups[0]) == set(optimizer.param_groups[0])


def test_a_state_of_torchs_kind_comes_out():
    held = parameters()
    optimizer = SGDW(held, momentum=0.9)
    walk(optimizer, 1, held=held)
    assert [list(state) for state in optimizer.state_dict()["state"].values()] == [["momentum_buffer"]] * 4
    for make in (SGDW, ProximalSGD):
        optimizer = make(held)
        walk(optimizer, 1, held=held)
        assert optimizer.state_dict()["state"] == {}


def test_a_state_of_torchs_sgd_goes_in():
    """With a decay of zero it continues bit for bit; what torch does not save comes from the defaults."""
    held = parameters()
    theirs = torch.optim.SGD(held, lr=0.1, momentum=0.9)
    walk(theirs, 5, held=held)
    copies = [nn.Parameter(parameter.detach().clone()) for parameter in held]
    ours = SGDW(copies, lr=0.5, norm=1)
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    assert ours.param_groups[0]["norm"] == 1
    assert ours.param_groups[0]["lr"] == 0.1
    assert_equal(walk(ours, 20, held=copies, first=5), walk(theirs, 20, held=held, first=5))


@kinds
def test_hooks_run_once_a_step_and_zero_grad_clears(make):
    held, calls = parameters(), []
    optimizer = make(held)
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    walk(optimizer, 2, held=held)
    assert calls == ["before", "after"] * 2
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in held)


@kinds
def test_a_scaler_of_gradients_changes_nothing_and_skips_what_is_not_finite(make):
    held, twins = parameters(), parameters()
    optimizer, plain = make(held), make(twins)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    for step in range(6):
        for optimized, scale in ((held, scaler.scale), (twins, lambda loss: loss)):
            for parameter in optimized:
                parameter.grad = None
            loss = sum((parameter - step).square().sum() for parameter in optimized)
            scale(loss * (math.inf if step == 3 else 1)).backward()
        scaler.unscale_(optimizer)
        for clipped in (held, twins):
            nn.utils.clip_grad_norm_(clipped, 2.0)
        scaler.step(optimizer)
        scaler.update()
        if step != 3:
            plain.step()
        assert_near(vector(held), vector(twins))


@kinds
def test_a_compiled_step_is_the_step(make):
    torch._dynamo.reset()
    held = parameters()
    optimizer, found = make(held), []
    scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    step = torch.compile(optimizer.step, backend="eager")
    for index in range(5):
        set_gradients(held, index)
        step()
        scheduler.step()
        found.append(vector(held))
    schedule = partial(lr_scheduler.ExponentialLR, gamma=0.9)
    assert_equal(torch.stack(found), walk(make, 5, schedule=schedule))


@kinds
def test_what_has_no_gradient_is_neither_moved_nor_decayed(make):
    expected = walk(make, 20)
    expected[:, SECOND] = parameters()[1].detach()
    assert_equal(walk(make, 20, skip=range(20)), expected)


@kinds
@pytest.mark.parametrize("maximize", [False, True])
def test_the_gradient_is_not_touched(make, maximize):
    held = parameters()
    optimizer = make(held, maximize=maximize)
    for step in range(3):
        set_gradients(held, step)
        gradients = [parameter.grad for parameter in held]
        before = [gradient.clone() for gradient in gradients]
        optimizer.step()
        assert all(p.grad is gradient for p, gradient in zip(held, gradients, strict=True))
        assert_equal(gradients, before)


@kinds
def test_a_step_keeps_the_tensor_and_builds_no_graph(make):
    held = parameters()
    places = [parameter.data_ptr() for parameter in held]
    walk(make, 2, held=held)
    assert [parameter.data_ptr() for parameter in held] == places
    assert all(p.is_leaf and p.requires_grad and p.grad_fn is None for p in held)


@kinds
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_parameters_keep_their_dtype(make, dtype):
    """And follow the float64 path as closely as theirs allows."""
    exact, found = walk(make, 20)[-1], walk(make, 20, dtype=dtype)[-1]
    assert found.dtype == dtype
    assert_near(found.double(), exact, atol=20 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("maximize", [False, True])
@kinds
def test_complex_parameters_move_as_their_real_and_imaginary_parts(make, maximize):
    """By norm 1 along their own direction: torch gives each the gradient of its two parts."""
    start = torch.tensor([3 + 4j, -1j, 0.05 + 0.05j, 0, 2], dtype=torch.complex128)
    weight, gradient = nn.Parameter(start.clone()), torch.tensor([1j, 0.5, 0, 0.1 - 0.1j, -0.3]).to(start)
    optimizer = make([weight], maximize=maximize)
    settings, buffer = optimizer.defaults, None
    expected, sign = start.clone(), -1 if maximize else 1
    share = settings["weight_decay"] * (settings["lr"] if settings.get("decay_times_lr", True) else 1)

    def shrunk(z):
        if settings["norm"] == 1:
            return soft_threshold(z, share)
        return z / (1 + share) if make.func is ProximalSGD else z * (1 - share)

    for _ in range(30):
        weight.grad = gradient.clone()
        optimizer.step()
        step = sign * gradient
        mu, tau = settings.get("momentum", 0), settings.get("dampening", 0)
        buffer = step if buffer is None else mu * buffer + (1 - tau) * step
        step = step + mu * buffer if settings.get("nesterov") else buffer if mu else step
        if make.func is ProximalSGD:
            expected = shrunk(expected - settings["lr"] * step)
        else:
            expected = shrunk(expected) - settings["lr"] * step
        assert_near(weight.detach(), expected)


@pytest.mark.parametrize("kind", [SGDW, ProximalSGD])
def test_complex_parameters_of_norm_1_reach_an_exact_zero(kind):
    start = torch.tensor([0.03 + 0.04j, -0.06j, 0], dtype=torch.complex64)
    (after,) = coast(partial(kind, lr=0.1, weight_decay=0.5, norm=1), start)
    assert_near(after, torch.tensor([0, -0.01j, 0]), atol=1e-8)
    assert (after == 0).tolist() == [True, False, True]


@pytest.mark.parametrize("make", [SGDW, partial(ProximalSGD, norm=2), partial(SGDW, **NESTEROV)])
def test_a_squared_norm_shrinks_complex_parameters(make):
    start = torch.tensor([3 + 4j, -1j], dtype=torch.complex128)
    weight = nn.Parameter(start.clone())
    weight.grad = torch.zeros_like(weight)
    make([weight], lr=0.1, weight_decay=0.5).step()
    factor = 1 / 1.05 if isinstance(make, partial) and make.func is ProximalSGD else 0.95
    assert_near(weight.detach(), factor * start)


@kinds
@pytest.mark.parametrize("lr", [torch.tensor(0.1), torch.tensor([0.1]), np.float32(0.1)], ids=repr)
def test_an_lr_in_float32_takes_nothing_from_the_decay_of_float64_parameters(make, lr):
    assert_equal(walk(partial(make, lr=lr)), walk(partial(make, lr=float(lr))))


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        (
            SGDW(parameters(), 0.25, 0.5, weight_decay=0.125, nesterov=True),
            ["momentum: 0.5", "dampening: 0.0", "nesterov: True", "norm: 2", "decay_times_lr: True"],
        ),
        (ProximalSGD(parameters(), 0.25, 0.125), ["norm: 1"]),
    ],
    ids=["SGDW", "ProximalSGD"],
)
def test_an_optimizer_shows_its_settings(optimizer, settings):
    text = repr(optimizer)
    assert text.startswith(f"{type(optimizer).__name__} (\nParameter Group 0\n")
    for setting in ("lr: 0.25", "weight_decay: 0.125", "maximize: False", *settings):
        assert f"    {setting}\n" in text


def test_the_defaults():
    shared = {"lr": 1e-3, "weight_decay": 0.0, "maximize": False}
    momentum = {"momentum": 0.0, "dampening": 0.0, "nesterov": False}
    assert SGDW(parameters()).defaults == {**shared, **momentum, "norm": 2, "decay_times_lr": True}
    assert ProximalSGD(parameters()).defaults == {**shared, "norm": 1}


NON_LEAF = torch.ones(2, requires_grad=True) * 2
WEIGHT = nn.Parameter(torch.ones(2))


@pytest.mark.parametrize(
    ("params", "settings", "match"),
    [
        ([WEIGHT], {"lr": -0.1}, "lr must be finite and >= 0, got -0.1"),
        ([WEIGHT], {"lr": torch.tensor(-0.1)}, "lr must be finite and >= 0, got -0.1"),
        ([WEIGHT], {"weight_decay": -0.1}, "weight_decay must be finite and >= 0, got -0.1"),
        ([WEIGHT], {"momentum": -0.1}, "momentum must be finite and >= 0, got -0.1"),
        (
            [WEIGHT],
            {"nesterov": True},
            "nesterov needs momentum above 0 and no dampening, got momentum=0 and",
        ),
        ([WEIGHT], {**NESTEROV, "dampening": 0.5}, "got momentum=0.8 and dampening=0.5"),
        ([], {}, "optimizer got an empty parameter list"),
        ([NON_LEAF], {}, "can't optimize a non-leaf Tensor"),
        ([WEIGHT, WEIGHT.grad], {}, "optimizer can only optimize Tensors"),
        (WEIGHT, {}, "params argument given to the optimizer should be an iterable"),
        ([{"params": {WEIGHT}}], {}, "organized in ordered collections"),
        ([{"params": [WEIGHT]}, {"params": [WEIGHT]}], {}, "appear in more than one parameter group"),
    ],
)
def test_what_torch_refuses_is_refused_with_the_same_error(params, settings, match):
    with pytest.raises((ValueError, TypeError), match=r"\w") as theirs:
        torch.optim.SGD(params, **settings)
    with pytest.raises(theirs.type, match=match):
        SGDW(params, **settings)
    if set(settings) <= {"lr", "weight_decay"}:
        with pytest.raises(theirs.type, match=match):
            ProximalSGD(params, **settings)


BAD_SETTINGS = {
    "lr": (
        -1.0,
        math.nan,
        math.inf,
        "0.1",
        True,
        None,
        torch.tensor(-1.0),
        torch.ones(2),
        torch.tensor(True),
    ),
    "weight_decay": (-1.0, math.nan, math.inf, "0.1", True, None),
    "norm": (0, 3, True, "2", None, math.inf, "l1"),
    "maximize": (1, "yes", None),
    "momentum": (-1.0, math.nan, math.inf, "0.1", True, None),
    "dampening": (-1.0, math.nan, math.inf, "0.1", True, None),
    "nesterov": (1, "yes", None),
    "decay_times_lr": (0, "no", None),
}
OF_BOTH = ("lr", "weight_decay", "norm", "maximize")


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (kind, name, value)
        for kind in (SGDW, ProximalSGD)
        for name, values in BAD_SETTINGS.items()
        for value in values
        if kind is SGDW or name in OF_BOTH
    ],
)
def test_a_groups_bad_setting_is_refused_by_name_and_leaves_the_optimizer_as_it_was(kind, name, value):
    held, added = parameters(), nn.Parameter(torch.ones(2))
    optimizer = kind(held, lr=0.1, weight_decay=0.2)
    before = repr(optimizer)
    for refuse in (
        lambda: optimizer.add_param_group({"params": [added], name: value}),
        lambda: kind([{"params": held}, {"params": [added], name: value}]),
        lambda: kind(held, **{name: value}),
    ):
        with pytest.raises((ValueError, TypeError), match=rf"^{name} must be"):
            refuse()
    assert repr(optimizer) == before
    assert len(optimizer.param_groups) == 1
    assert_equal(walk(optimizer, 5, held=held), walk(partial(kind, lr=0.1, weight_decay=0.2), 5))


@pytest.mark.parametrize("kind", [SGDW, ProximalSGD, torch.optim.SGD])
def test_a_bad_default_is_refused_even_where_every_group_has_its_own(kind):
    with pytest.raises(ValueError, match="weight_decay"):
        kind([{"params": parameters(), "weight_decay": 0.1}], weight_decay=-0.1)


@pytest.mark.parametrize("kind", [SGDW, ProximalSGD])
@pytest.mark.parametrize("group", [[WEIGHT], None, "params", WEIGHT])
def test_a_group_that_is_no_dict_is_refused(kind, group):
    optimizer = kind(parameters())
    with pytest.raises(TypeError, match="param_group must be a dict"):
        optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1


def test_a_group_is_checked_together_with_the_defaults():
    optimizer = SGDW(parameters(), lr=0.1, momentum=0.9, dampening=0.5)
    with pytest.raises(ValueError, match=r"got momentum=0\.9 and dampening=0\.5"):
        optimizer.add_param_group({"params": [WEIGHT], "nesterov": True})
    optimizer.add_param_group({"params": [WEIGHT], "nesterov": True, "dampening": 0.0})
    optimizer = SGDW([nn.Parameter(torch.ones(1))], momentum=0.9, nesterov=True)
    with pytest.raises(ValueError, match="got momentum=0 and dampening=0"):
        optimizer.add_param_group({"params": [WEIGHT], "momentum": 0.0})


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("kind", [SGDW, ProximalSGD])
def test_a_decay_larger_than_the_parameter(kind, norm):
    """A constant stops at zero; a factor below zero turns the sign, as in torch's SGD; a divisor does not."""
    start = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)
    (after,) = coast(partial(kind, lr=1.0, weight_decay=3.0, norm=norm), start)
    factor = {(SGDW, 2): -2.0, (ProximalSGD, 2): 0.25}.get((kind, norm), 0.0)
    assert_equal(after, factor * start + 0.0)
