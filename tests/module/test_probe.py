"""Optimizers seen where nothing but the decay is left, and what kind of decay they turn out to have."""

import inspect
import math
import random
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch
import torch_optimizer

from course_lib._probe import WEIGHTS, bench, shape_of
from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.probe import coast, probe
from course_lib.report import decay_report

assert_equal = partial(torch.testing.assert_close, rtol=0, atol=0)
assert_near = partial(torch.testing.assert_close, rtol=0, atol=1e-12)
KINDS = {
    "SGDW": partial(SGDW, lr=0.1, momentum=0.9, weight_decay=0.2),
    "SGDW-1": partial(SGDW, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.2, norm=1),
    "SGDW-without-lr": partial(
        SGDW, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.02, decay_times_lr=False
    ),
    "ProximalSGD": partial(ProximalSGD, lr=0.1, weight_decay=0.2),
    "ProximalSGD-2": partial(ProximalSGD, lr=0.1, weight_decay=0.2, norm=2),
}
kinds = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())


def decays(path, start):
    """Whether every value comes closer to zero, and zero stays."""
    before = torch.cat([start[None], path[:-1]])
    return bool(((path.abs() < before.abs()) | ((path == 0) & (before == 0))).all())


# Pulls on the weights 1, -1, 2, -2.
SHAPES = {
    "in proportion": [0.3, -0.3, 0.6, -0.6],
    "by sign": [0.3, -0.3, 0.3, -0.3],
    "constant": [0.3, 0.3, 0.3, 0.3],
    "towards a point": [0.4, 0.2, 0.5, 0.1],
}


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_pull_has_its_shape_to_a_hundredth_of_its_size(shape, size):
    pull = size * torch.tensor(SHAPES[shape], dtype=torch.float64)
    off = pull.abs().max() * torch.tensor([0.0, 0.0, 1.0, 0.0])
    assert shape_of(pull + 0.005 * off)[0] == shape
    assert shape_of(pull + 0.05 * off)[0] == shape_of(pull + 0.005 * off, rtol=0.001)[0] == "otherwise"


START = torch.tensor([[1.0, -2.0, 0.5], [-0.25, 0.0, 3.0]], dtype=torch.float64)


@kinds
def test_ours_bring_every_parameter_closer_to_zero(make):
    path = coast(make, START, n_steps=5)
    assert path.shape == (5, 2, 3)
    assert decays(path, START)


@pytest.mark.parametrize(
    "name", ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "Muon"]
)
def test_torchs_optimizers_bring_every_parameter_closer_to_zero(name):
    assert decays(coast(partial(getattr(torch.optim, name), lr=0.01, weight_decay=0.5), START), START)


def test_coast_tells_how_much_is_left_after_each_step():
    powers = torch.arange(1, 6, dtype=torch.float64)[:, None, None]
    make = partial(SGDW, lr=0.1, momentum=0.9, weight_decay=0.5)
    assert_near(coast(make, START, n_steps=5), 0.95**powers * START)
    assert_near(coast(partial(make, decay_times_lr=False), START, n_steps=5), 0.5**powers * START)
    left = START.sign() * (START.abs() - 0.05 * powers).clamp(min=0)
    assert_near(coast(partial(make, norm=1), START, n_steps=5), left)
    make = partial(ProximalSGD, lr=0.1, weight_decay=0.5, norm=2)
    assert_near(coast(make, START, n_steps=5), START / 1.05**powers)


SHAPED = [START, torch.tensor(-3.0, dtype=torch.float64), START[0].float(), START[:, :0].new_ones(1, 2)]


@kinds
@pytest.mark.parametrize("container", [list, tuple])
def test_coast_takes_several_parameters_each_as_if_alone(make, container):
    found = coast(make, container(SHAPED), n_steps=3)
    assert isinstance(found, list)
    for path, start in zip(found, SHAPED, strict=True):
        assert_equal(path, coast(make, start, n_steps=3))


def test_coast_sees_a_decay_that_only_one_of_several_gets():
    """An optimizer that decays the first parameter for each of them, and the others never."""

    class Once(torch.optim.SGD):
        def step(self, closure=None):
            (group,) = self.param_groups
            with torch.no_grad():
                for _ in group["params"]:
                    group["params"][0].mul_(1 - group["lr"] * 0.5)

    make = partial(Once, lr=0.1)
    assert decays(coast(make, START), START)
    first, second = coast(make, [START, START])
    assert_near(first[0], 0.95**2 * START)
    assert_equal(second[0], START)


def test_coast_shows_the_groups_that_an_optimizer_is_made_with():
    def make(params):
        return SGDW(
            [{"params": params[:1]}, {"params": params[1:], "weight_decay": 0.0}], 0.1, weight_decay=0.5
        )

    weight, bias = coast(make, [START, START[0]], n_steps=2)
    assert_near(weight[1], 0.95**2 * START)
    assert_equal(bias, START[0].expand(2, 3))


@pytest.mark.parametrize(
    "name", ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad", "Adadelta", "Muon"]
)
def test_torchs_optimizers_skip_what_has_no_gradient(name):
    make = partial(getattr(torch.optim, name), lr=0.01, weight_decay=0.5)
    assert_equal(coast(make, START, n_steps=3, gradient="none"), START.expand(3, 2, 3))
    assert decays(coast(make, START, gradient="zero"), START)


@kinds
def test_ours_skip_what_has_no_gradient(make):
    found = coast(make, SHAPED, n_steps=2, gradient="none")
    for path, start in zip(found, SHAPED, strict=True):
        assert_equal(path, start.expand(2, *start.shape))


def test_coast_sees_an_optimizer_that_decays_without_a_gradient():
    class Eager(torch.optim.SGD):
        def step(self, closure=None):
            closure()
            for parameter in self.param_groups[0]["params"]:
                assert parameter.grad is None
                parameter.data *= 0.5

    assert_near(coast(partial(Eager, lr=0.1), START, gradient="none", n_steps=2)[1], 0.25 * START)


def test_coast_takes_complex_parameters():
    start = torch.complex(START, START.flip(1))
    assert_near(coast(partial(SGDW, lr=0.1, weight_decay=0.5), start)[0], 0.95 * start)
    assert_equal(coast(partial(torch.optim.LBFGS, lr=0.5), start), start[None])


def test_coast_catches_the_released_sgdw():
    path = coast(partial(torch_optimizer.SGDW, lr=0.1, weight_decay=0.5), START, n_steps=2)
    assert not decays(path, START)
    assert_near(path[1], START - 2 * 0.1 * 0.5)


def test_coast_takes_one_step_unless_told():
    assert coast(SGDW, [1.0, 2.0]).shape == (1, 2)
    assert coast(SGDW, 1.0, n_steps=3).shape == (3,)


def test_an_optimizer_whose_step_takes_no_closure_is_like_one_that_does():
    class Plain(torch.optim.SGD):
        def step(self):
            super().step()

    make, torchs = (partial(kind, lr=0.1, weight_decay=0.5) for kind in (Plain, torch.optim.SGD))
    assert_equal(coast(make, START), coast(torchs, START))
    assert probe(make) == replace(probe(torchs), optimizer="Plain")
    model = torch.nn.Linear(2, 1, bias=False)
    assert decay_report(model, make(model.parameters())).findings == ()

    class Pulling(Plain):
        @torch.no_grad()
        def step(self):
            for p in self.param_groups[0]["params"]:
                p.mul_(0.5)

    assert decay_report(model, Pulling(model.parameters())).rows[0].without_gradient == 0.5


def test_coast_works_with_an_optimizer_that_needs_its_closure():
    assert_equal(coast(partial(torch.optim.LBFGS, lr=0.5), START, n_steps=3), START.expand(3, 2, 3))


@pytest.mark.parametrize("passes_it_on", [True, False])
def test_coast_works_whether_or_not_the_closure_is_called(passes_it_on):
    losses = []

    class Stubborn(torch.optim.SGD):
        def step(self, closure=None):
            losses.append(super().step(closure if passes_it_on else None))

    path = coast(partial(Stubborn, lr=0.1, weight_decay=0.5), START, n_steps=3)
    assert_near(path[2], 0.95**3 * START)
    assert losses == ([0.0] * 3 if passes_it_on else [None] * 3)


def test_coast_shows_each_step_a_gradient_of_zero():
    """Even to an optimizer that changes the gradient in place."""
    seen = []

    class Spoiling(torch.optim.SGD):
        def step(self, closure=None):
            (weight,) = self.param_groups[0]["params"]
            seen.append(weight.grad.clone())
            weight.grad += 5.0

    assert_equal(coast(partial(Spoiling, lr=0.1), START, n_steps=3), START.expand(3, 2, 3))
    assert_equal(seen, [torch.zeros_like(START)] * 3)


@kinds
@pytest.mark.parametrize("requires_grad", [False, True])
def test_coast_leaves_the_start_alone(make, requires_grad):
    start = START.clone().requires_grad_(requires_grad)
    path = coast(make, start, n_steps=2)
    assert_equal(start.detach(), START)
    assert start.grad is None
    assert not path.requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_coast_keeps_the_dtype(dtype):
    assert {coast(make, START.to(dtype)).dtype for make in KINDS.values()} == {dtype}


@pytest.mark.parametrize(
    ("make", "start", "error", "match"),
    [
        (
            lambda params: params,
            [1.0],
            TypeError,
            r"make_optimizer must return a torch\.optim\.Optimizer, got",
        ),
        (lambda params: SGDW, [1.0], TypeError, r"make_optimizer must return a torch\.optim\.Optimizer, got"),
        (SGDW, [math.nan], ValueError, "start must be finite"),
    ],
)
def test_coast_refuses(make, start, error, match):
    with pytest.raises(error, match=match):
        coast(make, start)


COUPLED, DIVIDED = "coupled", "coupled and divided by the size of the gradient"
DECOUPLED, WITHOUT_LR = "decoupled times lr", "decoupled without lr"
ELSEWHERE, NONE, NO_DECAY = "towards another point than zero", "none", "not a decay"
OF_TORCH = {
    "ASGD": DECOUPLED,  # without momentum or division that is the same as coupled
    "Adadelta": DIVIDED,
    "Adafactor": DECOUPLED,
    "Adagrad": DIVIDED,
    "Adam": DIVIDED,
    "AdamW": DECOUPLED,
    "Adamax": DIVIDED,
    "LBFGS": NONE,
    "Muon": DECOUPLED,
    "NAdam": DIVIDED,
    "RAdam": DIVIDED,
    "RMSprop": DIVIDED,
    "Rprop": NONE,
    "SGD": COUPLED,
    "SparseAdam": NONE,
}
OF_TORCH_OPTIMIZER = {
    "A2GradExp": NONE,
    "A2GradInc": NONE,
    "A2GradUni": NONE,
    "AccSGD": COUPLED,
    "AdaBelief": DIVIDED,
    "AdaBound": DIVIDED,
    "AdaMod": DECOUPLED,
    "Adafactor": WITHOUT_LR,  # it makes an lr of its own
    "AdamP": DECOUPLED,
    "AggMo": COUPLED,
    "Apollo": COUPLED,
    "DiffGrad": DIVIDED,
    "LARS": DIVIDED,
    "Lamb": DECOUPLED,
    "MADGRAD": DIVIDED,
    "NovoGrad": COUPLED,
    "PID": COUPLED,
    "QHAdam": DIVIDED,
    "QHM": COUPLED,
    "RAdam": DECOUPLED,
    "Ranger": DECOUPLED,
    "RangerQH": DIVIDED,
    "RangerVA": DECOUPLED,
    "SGDP": DECOUPLED,
    "SGDW": NO_DECAY,
    "SWATS": DIVIDED,
    "Shampoo": DIVIDED,
    "Yogi": DIVIDED,
}


def optimizers_of(library):
    """Return every optimizer of a library but those that wrap another, by name."""
    return {
        name: found
        for name, found in vars(library).items()
        if inspect.isclass(found)
        and issubclass(found, torch.optim.Optimizer)
        and not {"optimizer", "defaults"} & set(inspect.signature(found).parameters)
    }


def about(rate, rel=1e-6):
    return rate if rate is None else pytest.approx(rate, rel)


def made(kind, **settings):
    """Return what makes such an optimizer with lr 0.1 and weight_decay 0.2, as far as it knows them."""
    known = inspect.signature(kind).parameters
    settings = {"lr": 0.1, "weight_decay": 0.2} | settings
    return partial(kind, **{name: value for name, value in settings.items() if name in known})


@pytest.mark.no_cover
def test_every_optimizer_of_torch_has_its_kind():
    assert {name: probe(made(kind)).kind for name, kind in optimizers_of(torch.optim).items()} == OF_TORCH


@pytest.mark.filterwarnings("ignore")  # they are old
def test_every_optimizer_of_torch_optimizer_has_its_kind():
    kinds = optimizers_of(torch_optimizer)
    hessian = kinds.pop("Adahessian")
    made_of = {"Adafactor": {"lr": None}}
    found = {name: probe(made(kind, **made_of.get(name, {}))).kind for name, kind in kinds.items()}
    assert found == OF_TORCH_OPTIMIZER
    with pytest.raises(
        ValueError, match=r"^make_optimizer: the step of Adahessian: Gradient tensor 0 does not"
    ):
        probe(made(hessian))


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("make", "kind", "rate", "long_run", "momentum", "scheduled"),
    [
        (made(torch.optim.SGD), COUPLED, 0.02, 0.02, False, True),
        (made(torch.optim.SGD, momentum=0.9), COUPLED, 0.02, 0.2, True, True),
        (made(torch.optim.SGD, momentum=0.99), COUPLED, 0.02, 2.0, True, True),
        (made(torch.optim.SGD, momentum=0.005), COUPLED, 0.02, 0.02 / 0.995, True, True),
        (made(torch.optim.SGD, momentum=0.9, weight_decay=0.0), COUPLED, 0.0, 0.0, True, True),
        (made(torch.optim.SGD, momentum=0.9, dampening=0.5), COUPLED, 0.02, 0.1, True, True),
        (made(torch.optim.SGD, momentum=0.9, dampening=0.9), COUPLED, 0.02, 0.02, True, True),
        (made(torch.optim.SGD, momentum=0.9, nesterov=True), COUPLED, 0.038, 0.2, True, True),
        (made(torch.optim.SGD, maximize=True), COUPLED, 0.02, 0.02, False, True),
        (made(torch.optim.SGD, foreach=True), COUPLED, 0.02, 0.02, False, True),
        (made(torch.optim.SGD, lr=torch.tensor(0.1)), COUPLED, 0.02, 0.02, False, True),
        (made(torch.optim.SGD, lr=100.0), COUPLED, 20.0, 20.0, False, True),
        (made(torch.optim.SGD, lr=1e-8), COUPLED, 2e-9, 2e-9, False, True),
        (made(torch.optim.SGD, lr=0.0), COUPLED, 0.0, 0.0, False, True),
        (made(torch.optim.SGD, weight_decay=0.0), COUPLED, 0.0, 0.0, False, True),
        (made(torch.optim.AdamW), DECOUPLED, 0.02, 0.02, False, True),
        (made(torch.optim.Adam), DIVIDED, None, None, True, True),
        (made(torch.optim.Adam, amsgrad=True), DIVIDED, None, None, True, True),
        (made(torch.optim.Adam, decoupled_weight_decay=True), DECOUPLED, 0.02, 0.02, False, True),
        (made(torch.optim.NAdam, decoupled_weight_decay=True), DECOUPLED, 0.02, 0.02, False, True),
        (made(torch.optim.RAdam, decoupled_weight_decay=True), DECOUPLED, 0.02, 0.02, False, True),
        (made(torch.optim.RMSprop), DIVIDED, None, None, False, True),
        (made(torch.optim.RMSprop, momentum=0.9), DIVIDED, None, None, True, True),
        (made(torch.optim.Rprop), NONE, 0.0, 0.0, None, None),
        (made(SGDW), DECOUPLED, 0.02, 0.02, False, True),
        (made(SGDW, momentum=0.9, nesterov=True), DECOUPLED, 0.02, 0.02, False, True),
        (made(SGDW, momentum=0.9, dampening=0.9), DECOUPLED, 0.02, 0.02, False, True),
        (made(SGDW, maximize=True), DECOUPLED, 0.02, 0.02, False, True),
        (made(SGDW, decay_times_lr=False), WITHOUT_LR, 0.2, 0.2, False, False),
        (made(SGDW, norm=1, momentum=0.9), "L1", 0.02, 0.02, False, True),
        (made(SGDW, norm=1, decay_times_lr=False, weight_decay=30), "L1", 30.0, 30.0, False, False),
        (made(ProximalSGD), "L1", 0.02, 0.02, False, True),
        (made(ProximalSGD, norm=2, maximize=True), DECOUPLED, 1 - 1 / 1.02, 1 - 1 / 1.02, False, True),
    ],
)
def test_rates_are_those_of_the_settings(make, kind, rate, long_run, momentum, scheduled):
    found = probe(make)
    assert (found.kind, found.momentum, found.scheduled) == (kind, momentum, scheduled)
    assert (found.rate, found.long_run) == (about(rate), about(long_run))


class Small(torch.optim.Optimizer):
    """An optimizer by hand: `move` changes one parameter."""

    def __init__(self, params, lr=0.1, weight_decay=0.2, **more):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **more})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, p.grad, group["lr"], group["weight_decay"], self.state[p])


def by_hand(move, **settings):
    return partial(type("ByHand", (Small,), {"move": staticmethod(move)}), **settings)


def sgd(p, g, lr):
    p.add_(g, alpha=-lr)


def adam(p, g, lr, state):
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["v"] = 0.99 * state.get("v", 0) + 0.01 * g * g
    p.sub_(lr * state["m"] / (state["v"].sqrt() + 1e-8))


def heavy(p, g, lr, state):
    state["m"] = 0.9 * state.get("m", 0) + g
    p.sub_(lr * state["m"])


def shrink(p, share, g, lr):
    p.mul_(1 - share)
    sgd(p, g, lr)


def cautious_lion(p, g, lr, wd, state):
    step = (0.9 * state.get("m", 0) + 0.1 * g).sign()
    state["m"] = 0.99 * state.get("m", 0) + 0.01 * g
    p.sub_(lr * (wd * p * (step * p >= 0) + step))


def shampoo(p, g, lr, state):
    for side, factor in enumerate((g, g.mT)):
        state[side] = state.get(side, 0) + factor @ factor.mT
        sizes, axes = torch.linalg.eigh(state[side])
        g = (axes * sizes.clamp(min=1e-6) ** -0.25) @ axes.mT @ g
        g = g.mT
    p.sub_(lr * g)


def every_third(p, g, lr, wd, state):
    state["t"] = state.get("t", 0) + 1
    shrink(p, lr * wd * (state["t"] % 3 == 0), g, lr)


def behind_a_large_step(p, g, lr, wd, state):
    heavy(p, (g != 0).double(), lr, state)
    p.mul_(1 - lr * wd)


def warm_up(p, g, lr, wd, state):
    state["t"] = state.get("t", 0) + 1
    shrink(p, lr * wd * min(1, 0.5 + state["t"] / 4), g, lr)


def less_by_large_gradients(p, g, lr, wd, state):
    uneven = 0.2 * (g.abs() > g.abs().mean())
    shrink(p, lr * wd * (1 + 0.1 / (1 + g.norm()) + uneven), g, lr)


def divided_by_what_was(p, g, lr, wd, state):
    state["sum"] = state.get("sum", 0) + g.norm()
    shrink(p, lr * wd, g / state["sum"], lr)


def away_from_start(state, p):
    return p - state.setdefault("start", p.clone())


def only_at_first(p, g, lr, wd, state):
    state["t"] = state.get("t", 0) + 1
    p.mul_(1 - lr * wd * g.norm().clamp(max=1) * (state["t"] < 5))


def half_of_it_where_it_clips(p, g, lr, wd, state):
    p.mul_(1 - lr * (10 * wd) * (1.0 if g.abs().max() < 10 else 0.5))


def twice_that_beside_large_steps(p, g, lr, wd, state):
    p.mul_(1 - lr * (10 * wd) * (1.0 if g.abs().max() < 10 else 2.0))


def more_where_signs_agree(p, g, lr, wd, state):
    shrink(p, lr * wd * ((g * p > 0).to(p) + 0.005), g, lr)


def two_momenta(p, g, lr, wd, state):
    g = g + wd * p
    for factor in (0.5, 0.9):
        state[factor] = factor * state.get(factor, 0) + g
        p.sub_(lr / 2 * state[factor])


def after_a_wait(p, g, lr, wd, state):
    state["step"] = state.get("step", 0) + 1
    if state["step"] > 5:
        shrink(p, lr * wd, g, lr)


BY_HAND = {
    "L1 in the gradient": (lambda p, g, lr, wd, s: sgd(p, g + wd * p.sign(), lr), "L1", 0.02),
    "L1 in Adam": (lambda p, g, lr, wd, s: adam(p, g + wd * p.sign(), lr, s), "L1", None),
    "L1 with momentum": (lambda p, g, lr, wd, s: heavy(p, g + wd * p.sign(), lr, s), "L1", 0.02),
    "Shampoo": (
        lambda p, g, lr, wd, s: shampoo(p, g + wd * p, lr, s) if p.ndim > 1 else None,
        DIVIDED,
        None,
    ),
    "momentum of its own": (lambda p, g, lr, wd, s: heavy(p, g + wd * p, lr, s), COUPLED, 0.02),
    "after a wait": (after_a_wait, DECOUPLED, 0.02),
    "without lr": (lambda p, g, lr, wd, s: shrink(p, wd, g, lr), WITHOUT_LR, 0.2),
    "times the square of lr": (lambda p, g, lr, wd, s: shrink(p, lr**2 * wd, g, lr), DECOUPLED, 0.002),
    "divided by the batch": (lambda p, g, lr, wd, s: sgd(p, g + wd / 32 * p, lr), DECOUPLED, 0.02 / 32),
    "cautious": (lambda p, g, lr, wd, s: shrink(p, lr * wd * (g * p > 0), g, lr), "cautious", 0.02),
    "cautious the other way": (
        lambda p, g, lr, wd, s: shrink(p, lr * wd * (g * p < 0), g, lr),
        "cautious",
        0.02,
    ),
    "cautious beside a sign": (cautious_lion, "cautious", 0.02),
    "towards the start": (
        lambda p, g, lr, wd, s: sgd(p, g + wd * away_from_start(s, p), lr),
        ELSEWHERE,
        0.02,
    ),
    "towards the start, by Adam": (
        lambda p, g, lr, wd, s: adam(p, g + wd * away_from_start(s, p), lr, s),
        ELSEWHERE,
        None,
    ),
    "towards one": (lambda p, g, lr, wd, s: sgd(p, g + wd * (p - 1), lr), ELSEWHERE, 0.02),
    "the wrong sign": (lambda p, g, lr, wd, s: sgd(p, g - wd * p, lr), NO_DECAY, None),
    "the wrong sign in Adam": (lambda p, g, lr, wd, s: adam(p, g - wd * p, lr, s), NO_DECAY, None),
    "a constant": (lambda p, g, lr, wd, s: sgd(p, g + wd, lr), NO_DECAY, None),
    "the size of the weight": (lambda p, g, lr, wd, s: sgd(p, g + wd * p.abs(), lr), NO_DECAY, None),
    "times the gradient": (lambda p, g, lr, wd, s: shrink(p, lr * wd * g.abs(), g, lr), NO_DECAY, None),
    "the sign of both": (lambda p, g, lr, wd, s: sgd(p, (g + wd * p).sign(), lr), DIVIDED, None),
    "the norm, not squared": (lambda p, g, lr, wd, s: sgd(p, g + wd * p / p.norm(), lr), NO_DECAY, None),
    "in every third step": (every_third, DECOUPLED, 0.02 / 3),
    "towards a norm": (
        lambda p, g, lr, wd, s: shrink(p, lr * wd * (1 - 1 / p.norm()), g, lr),
        NO_DECAY,
        None,
    ),
    "behind a large step": (behind_a_large_step, DECOUPLED, 0.02),
    "in a warm-up": (warm_up, DECOUPLED, 0.015),
    "less by large gradients": (less_by_large_gradients, DECOUPLED, 0.02 * (1.1 + 0.1 / (1 + 5**0.5))),
    "only beside a gradient": (
        lambda p, g, lr, wd, s: shrink(p, lr * 0.2 * bool(g.any()), g, lr),
        DECOUPLED,
        0.02,
    ),
    "not a number without a gradient": (divided_by_what_was, DECOUPLED, 0.02),
    "of large weights alone": (
        lambda p, g, lr, wd, s: p.sub_(lr * wd * p * (p.abs() > 0.5)),
        DECOUPLED,
        0.02,
    ),
    "ignored": (lambda p, g, lr, wd, s: sgd(p, g, lr), NONE, 0.0),
    "with noise": (lambda p, g, lr, wd, s: shrink(p, lr * wd, g + torch.randn(g.shape), lr), DECOUPLED, 0.02),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_optimizers_by_hand_have_their_kind(name):
    move, kind, rate = BY_HAND[name]
    found = probe(by_hand(move))
    assert found.kind == kind, found
    assert found.rate == about(rate)
    assert (found.momentum is None) == (kind in (NONE, NO_DECAY))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            made(torch.optim.SGD),
            "a coupled decay: as a part of its gradient every weight shrinks, by 0.02 of it",
        ),
        (
            made(torch.optim.SGD),
            "itself in a step at lr 0.1 and weight_decay 0.2; a schedule of lr scales it.",
        ),
        (made(torch.optim.SGD, momentum=0.9), "; momentum makes it 0.2; "),
        (
            made(torch.optim.Adam),
            "; momentum sees it; a schedule of lr scales it; gradients 10,000 times as ",
        ),
        (made(torch.optim.LBFGS), "LBFGS has no decay; there is no weight_decay in its groups."),
        (made(torch.optim.SparseAdam), "SparseAdam has no decay; there is no weight_decay in its groups."),
        (made(torch.optim.ASGD, lambd=0.05), "it takes 0.005 of the weight even with weight_decay 0;"),
        (made(SGDW, decay_times_lr=False), "a schedule of lr leaves it alone."),
        (made(ProximalSGD), "L1 decay: every weight moves towards zero, by 0.02 in a step at lr"),
        (
            by_hand(BY_HAND["ignored"][0]),
            "ByHand has no decay; another weight_decay in param_groups changes no",
        ),
        (by_hand(BY_HAND["cautious"][0]), "that is where the signs of weight and gradient agree."),
        (by_hand(BY_HAND["cautious the other way"][0]), "the signs of weight and gradient disagree."),
        (
            by_hand(BY_HAND["towards the start"][0]),
            "by 0.02 of the way in a step at lr 0.1 and weight_decay 0.",
        ),
        (
            by_hand(BY_HAND["towards the start"][0]),
            "0.2; a schedule of lr scales it; that is where they started.",
        ),
        (by_hand(BY_HAND["towards one"][0]), "; that is 1."),
        (by_hand(BY_HAND["the norm, not squared"][0]), "; twice the weights leave it as it is."),
        (by_hand(BY_HAND["in every third step"][0]), "; it acts in 4 of 12 steps, and this is the mean."),
        (
            by_hand(lambda p, g, lr, wd, s: shrink(p, lr * wd * p.norm() ** 0.5, g, lr)),
            " make it 2.8 times as",
        ),
        (by_hand(BY_HAND["towards a norm"][0]), "; small weights grow."),
        (by_hand(BY_HAND["in a warm-up"][0]), "; in 12 steps that goes from 0.015 to 0.02."),
        (by_hand(BY_HAND["less by large gradients"][0]), "; gradients 10,000 times as large leave 0.9"),
        (
            by_hand(lambda p, g, lr, wd, s: shrink(p, lr * wd * (1 + 0.8 / (1 + g.abs())), g, lr)),
            "; gradients 10,000 times as large leave 0.56 of it; in 12 steps that goes from ",
        ),
        (by_hand(BY_HAND["only beside a gradient"][0]), "; what it takes is built in."),
        (
            by_hand(BY_HAND["not a number without a gradient"][0]),
            "; without a gradient its step fails or is not finite.",
        ),
        (
            by_hand(BY_HAND["the wrong sign"][0]),
            "is not a decay; a schedule of lr scales it; it makes weights gr",
        ),
        (
            by_hand(lambda p, g, lr, wd, s: sgd(p, (g - wd * p) / (g - wd * p).norm().clamp(min=1e-9), lr)),
            "is not a decay; a schedule of lr scales it; it makes weights grow.",
        ),
        (
            by_hand(BY_HAND["a constant"][0]),
            "moves the weights 1, -1, 2, -2 by -0.0001, -0.0001, -0.0001, -0.00",
        ),
        (
            by_hand(BY_HAND["the size of the weight"][0]),
            "moves the weights 1, -1, 2, -2 by -0.0001, -0.0001, -0.0002, -0.0002",
        ),
        (by_hand(BY_HAND["times the square of lr"][0]), "half the lr leaves 0.25 of it."),
        (
            by_hand(BY_HAND["times the gradient"][0]),
            "with gradients of 0.01, 1 and 100 it is 1.7e-06, 0.00017, ",
        ),
        (
            by_hand(BY_HAND["a constant"][0], lr=1e-6),
            "at lr 1e-06 it moves the weights 1, -1, 2, -2 by -1e-07, -1e-07, -1e-07, -1e-07.",
        ),
        (by_hand(more_where_signs_agree, lr=1e-6), "ByHand has a decay that is decoupled times lr: beside"),
        (
            by_hand(lambda p, g, lr, wd, s: shrink(p, lr * wd * (1 + 0.015 * (g.abs().max() < 10)), g, lr)),
            "at lr 0.1 and weight_decay 0.2; a schedule of lr scales it.",
        ),
        (
            by_hand(lambda p, g, lr, wd, s: sgd(p, g + wd / (1 + 0.1 * (g.abs().max() > 10)), lr)),
            "large leave 0.91 of it; at lr 0.001 it moves the weights 1, -1, 2, -2 by -9.09e-05, -9.09e-05, ",
        ),
        (
            by_hand(lambda p, g, lr, wd, s: sgd(p, g + wd * (p + 1 / (1 + g.norm())), lr)),
            "; a schedule of lr scales it; gradients 10,000 times as large leave 1 of it.",
        ),
        (by_hand(only_at_first), "is not a decay; a schedule of lr scales it; with gradients of 0.01, 1 and"),
        (
            by_hand(half_of_it_where_it_clips, lr=2**-10),
            "size of the gradient; a schedule of lr scales it; gradients 10,000 times as large leave 0.5",
        ),
        (
            by_hand(twice_that_beside_large_steps, lr=2**-10),
            "with gradients of 0.01, 1 and 100 it is 0.0015, 0.0015, 0.0029.",
        ),
        (
            by_hand(lambda p, g, lr, wd, s: shrink(p, lr * wd * bool(g.abs().max() < 0.1), g, lr)),
            "gradient; a schedule of lr scales it; gradients 10,000 times as large leave 0 of it.",
        ),
    ],
)
def test_a_decay_says_in_a_sentence_what_it_is(make, words):
    assert words in str(probe(make))


@pytest.mark.parametrize("first", [{}, {"weight_decay": 0.0}])
@pytest.mark.parametrize(
    "kind",
    [
        by_hand(warm_up).func,
        by_hand(every_third).func,
        by_hand(BY_HAND["only beside a gradient"][0]).func,
        by_hand(BY_HAND["a constant"][0]).func,
        by_hand(BY_HAND["towards one"][0]).func,
        by_hand(BY_HAND["cautious"][0]).func,
        by_hand(lambda p, g, lr, wd, s: shrink(p, lr * wd * (1 + 0.8 / (1 + g.abs())), g, lr)).func,
        partial(torch.optim.ASGD, lambd=0.05),
        torch.optim.SGD,
        torch.optim.Adam,
    ],
)
def test_what_a_report_says_of_a_group_is_measured_at_its_settings(kind, first):
    model = torch.nn.ModuleList(torch.nn.Linear(2, 2, bias=False) for _ in range(2))
    own = {"lr": 0.0005, "weight_decay": 0.3}
    groups = [{"params": model[0].parameters(), **first}, {"params": model[1].parameters(), **own}]
    _, row = decay_report(model, kind(groups, lr=0.1, weight_decay=0.2)).rows
    (alone,) = decay_report(model[1], kind(model[1].parameters(), **own)).rows
    assert row.decay == alone.decay


def test_what_is_read_only_once_is_said():
    def decay_of_its_making(params, weight_decay=0.2):
        return by_hand(lambda p, g, lr, wd, s: shrink(p, lr * weight_decay, g, lr))(params)

    found = probe(decay_of_its_making)
    assert (found.kind, found.rate) == (DECOUPLED, about(0.02))
    assert found.note == "another weight_decay in param_groups changes nothing; what it takes is built in"
    found = probe(by_hand(lambda p, g, lr, wd, s: shrink(p, 0.1 * wd, g, 0.1)))
    assert (found.kind, found.rate) == (WITHOUT_LR, about(0.02))
    assert found.note == "another lr in param_groups changes nothing"
    found = probe(by_hand(lambda p, g, lr, wd, s: shrink(p, 0.1 * wd, g, 0.1), lr=None))
    assert found.note == "there is no lr in its groups that could be changed"
    assert "in a step at weight_decay 0.2;" in str(found)
    found = probe(by_hand(lambda p, g, lr, wd, s: sgd(p, g + wd * p.sign(), 0.1), lr=None))
    assert (found.kind, found.rate) == ("L1", about(0.02))


def test_what_is_written_into_a_group_is_what_may_stand_there():
    class Strict(torch.optim.SGD):
        def step(self, closure=None):
            assert all(0 <= group["momentum"] < 1 for group in self.param_groups)
            super().step(closure)

    assert probe(made(Strict)).kind == COUPLED
    lr = torch.tensor(0.1, dtype=torch.float64)
    found = probe(by_hand(lambda p, g, lr, wd, s: shrink(p, lr.item() * wd, g, lr.item()), lr=lr))
    assert (found.kind, found.rate, lr.item()) == (DECOUPLED, about(0.02), 0.1)


def test_two_momenta_have_their_mean_in_the_long_run():
    assert probe(by_hand(two_momenta)).long_run == about(0.02 * (2 + 10) / 2)


def test_an_optimizer_that_waits_is_waited_for():
    found = probe(by_hand(after_a_wait))
    assert (found.scheduled, found.long_run, found.note) == (True, about(0.02), "")


def test_an_optimizer_that_needs_its_closure_gets_one_where_no_weight_has_a_gradient():
    class Eager(Small):
        @torch.no_grad()
        def step(self, closure):
            assert closure() == 0
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(1 - group["lr"] * group["weight_decay"])

    assert probe(Eager).note == "a weight that has no gradient is moved, too"


def test_vectors_and_matrices_are_looked_at_apart():
    def only_matrices(p, g, lr, wd, state):
        shrink(p, lr * wd * (p.ndim > 1), g, lr)

    found = probe(by_hand(only_matrices))
    assert (found.kind, found.note) == (DECOUPLED, "on vectors: none")
    found = probe(by_hand(lambda p, g, lr, wd, s: every_third(p, g, lr, wd * (p.ndim > 1), s)))
    assert found.note == "it acts in 4 of 12 steps, and this is the mean; on vectors: none"
    assert probe(made(torch.optim.Muon)).note == ""
    model = torch.nn.Linear(2, 1)
    weight, bias = decay_report(model, by_hand(only_matrices)(model.parameters())).rows
    assert (weight.decay.kind, weight.decay.rate, bias.decay.kind) == (DECOUPLED, about(0.02), NONE)


def test_an_optimizer_that_takes_only_float32_is_run_in_it():
    def single(p, g, lr, wd, state):
        if p.dtype != torch.float32:
            raise RuntimeError("float32, please")
        shrink(p, lr * wd, g, lr)

    found = probe(by_hand(single))
    assert (found.kind, found.rate) == (DECOUPLED, about(0.02, 1e-5))


def test_what_an_optimizer_raises_is_told_with_its_name():
    def fails(p, g, lr, wd, state):
        raise RuntimeError("no luck" if g.layout == torch.strided else "not like this")

    with pytest.raises(ValueError, match=r"^make_optimizer: the step of ByHand: no luck$"):
        probe(by_hand(fails))
    with pytest.raises(
        ValueError, match=r"^make_optimizer: a step of ByHand from weights of 1 and 2 gives ten"
    ):
        probe(by_hand(lambda p, g, lr, wd, s: p.mul_(math.nan)))


def test_an_optimizer_of_other_parameters_is_refused():
    other = torch.optim.SGD([torch.nn.Parameter(START)])
    with pytest.raises(ValueError, match=r"^make_optimizer must return a fresh optimizer of the parameters"):
        probe(lambda params: other)


def test_probe_leaves_all_generators_alone():
    def noisy(p, g, lr, wd, state):
        shrink(p, lr * wd, g + torch.randn(()) + np.random.rand() + random.random(), lr)

    def state():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    before = state()
    assert probe(by_hand(noisy)).kind == DECOUPLED
    assert state() == before


def test_probe_works_without_gradients_and_with_another_default_device():
    class Reading(torch.optim.AdamW):
        def step(self, closure=None):
            assert torch.ones(()).item() == 1  # which no other device than the CPU need allow
            super().step(closure)

    with torch.no_grad(), torch.device("meta"):
        assert probe(made(Reading)).kind == DECOUPLED


def test_nothing_is_run_twice():
    runs = []

    class Recorded(torch.optim.AdamW):
        def __init__(self, params, **settings):
            super().__init__(params, **settings)
            runs.append([])

        def step(self, closure):
            (group,) = self.param_groups
            weights, slopes = zip(*[(p.tolist(), p.grad) for p in group["params"]], strict=True)
            if None not in slopes:
                slopes = [slope.tolist() for slope in slopes]
                runs[-1].append(str((group["lr"], group["weight_decay"], weights, slopes)))
            return super().step(closure)

    probe(partial(Recorded, lr=0.1, weight_decay=0.2))
    runs = [tuple(run) for run in runs if run]
    assert len(runs) == len(set(runs)) > 10


def test_what_differs_in_anything_is_run_anew():
    found = bench(made(torch.optim.SGD))
    runs = [
        found.run(1.0, [WEIGHTS, WEIGHTS]),
        found.run(2.0, [WEIGHTS, WEIGHTS]),
        found.run(1.0, [WEIGHTS, 2 * WEIGHTS]),
        found.run(1.0, [WEIGHTS, WEIGHTS], quiet_end=True),
        found.run(1.0, [WEIGHTS, WEIGHTS], lr=0.5),
    ]
    assert not any(torch.equal(a, b) for a, b in combinations(runs, 2))


def test_a_gradient_that_is_changed_in_place_is_so_for_its_parameter_alone():
    def spends(p, g, lr, wd, state):
        sgd(p, g, lr)
        g.zero_()

    vector, matrix = bench(by_hand(spends)).run(1.0, [WEIGHTS])[0]
    assert vector.all()
    assert_equal(vector, matrix)
