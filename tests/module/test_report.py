"""Optimizers seen where nothing but the decay is left."""

import math
from functools import partial

import pytest
import torch
import torch_optimizer

from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.report import coast

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
