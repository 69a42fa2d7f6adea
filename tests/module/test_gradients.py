"""Gradients flow through what a reader may put into a loss, and are those of finite differences."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from course_lib.data import augment
from course_lib.geometry import angle, angle_between, bisector, signed_distance
from course_lib.models import LinearModel, Perceptron
from course_lib.optimum import logistic_objective
from course_lib.penalties import l1_penalty, l2_penalty, soft_threshold


def objective(weight, bias, **options):
    return logistic_objective(X, Y, LinearModel(weight, bias), 0.3, **options)


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()


X, Y = drawn(6, 3).detach(), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])


def probabilities(X, weight, bias):
    parameters = {"linear.weight": weight, "linear.bias": bias}
    return torch.func.functional_call(Perceptron(3, dtype=torch.float64), parameters, (X,))


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (angle, [drawn(4, 2)]),
        (angle_between, [drawn(4, 3), drawn(3, seed=1)]),
        (signed_distance, [drawn(6, 3), drawn(3, seed=1), drawn(seed=2)]),
        (bisector, [drawn(3), drawn(3, seed=1)]),
        (lambda X: augment(X, 2.5), [drawn(6, 3)]),
        (lambda p, q: l1_penalty([p, q], 0.3), [drawn(4, 2), drawn(3, seed=1)]),
        (lambda p, q: l2_penalty([p, q], 0.3), [drawn(4, 2), drawn(3, seed=1)]),
        (lambda x: soft_threshold(x, 0.5), [drawn(20)]),
        (objective, [drawn(3), drawn(seed=1)]),
        (
            lambda w, b: objective(w, b, penalty="l1"),
            [drawn(3), drawn(seed=1)],
        ),
        (
            lambda w, b: objective(w, b, decay_bias=True),
            [drawn(3), drawn(seed=1)],
        ),
        (probabilities, [drawn(6, 3), drawn(1, 3, seed=1), drawn(1, seed=2)]),
    ],
)
def test_gradients_are_those_of_finite_differences(function, arguments):
    assert gradcheck(function, arguments)


@pytest.mark.parametrize("degrees", [0.0, 180.0])
def test_the_gradient_of_an_angle_is_finite_where_it_has_a_kink(degrees):
    u, v = drawn(3), drawn(3).detach() * (1 if degrees == 0 else -1)
    between = angle_between(u, v)
    between.backward()
    assert between == degrees
    assert u.grad.isfinite().all()


def test_second_derivatives_flow_too():
    weight, bias = drawn(3), drawn(seed=1)
    assert torch.autograd.gradgradcheck(lambda w, b: objective(w, b), [weight, bias])
    assert torch.autograd.gradgradcheck(lambda w: l2_penalty(w, 0.3), [weight])


def test_a_penalty_reaches_every_parameter_of_a_model():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).double()
    l2_penalty(model.parameters(), 0.3).backward()
    for parameter in model.parameters():
        torch.testing.assert_close(parameter.grad, 0.3 * parameter.detach())
