import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_lib.data import two_points
from course_lib.optimum import logistic_optimum
from course_lib.scratch import logistic_descent

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(30, 4, dtype=torch.float64, generator=GENERATOR)
Y = torch.rand(30, dtype=torch.float64, generator=GENERATOR).round()
START = [0.5, -1.0, 2.0, 0.0, -0.25]


def torch_path(start, *, lr, weight_decay, decay_bias, n_steps=200):
    """Return the weights and the bias after each step of torch.optim.SGD on the mean cross-entropy."""
    theta = torch.tensor(start, dtype=torch.float64)
    weight, bias = theta[:-1].clone().requires_grad_(), theta[-1:].clone().requires_grad_()
    groups = [{"params": [weight]}, {"params": [bias], "weight_decay": weight_decay if decay_bias else 0.0}]
    optimizer = torch.optim.SGD(groups, lr=lr, weight_decay=weight_decay)
    path = []
    for _ in range(n_steps):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(X @ weight + bias, Y).backward()
        optimizer.step()
        path.append(torch.cat([weight, bias]).detach().numpy())
    return np.array(path)


@pytest.mark.parametrize(
    ("weight_decay", "decay_bias"), [(0.0, True), (0.0, False), (0.1, True), (0.1, False)]
)
@pytest.mark.parametrize("start", [None, START])
def test_descent_equals_torch_sgd_step_by_step(start, weight_decay, decay_bias):
    options = {"lr": 0.7, "weight_decay": weight_decay, "decay_bias": decay_bias}
    found = logistic_descent(X, Y, n_steps=200, start=start, **options)
    expected = torch_path([0.0] * 5 if start is None else start, **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_descent_does_not_decay_unless_told_and_then_decays_the_bias_too():
    plain, decayed = (
        logistic_descent(X, Y, lr=0.7, n_steps=5),
        logistic_descent(X, Y, lr=0.7, n_steps=5, weight_decay=0.1),
    )
    np.testing.assert_array_equal(plain, logistic_descent(X, Y, lr=0.7, n_steps=5, weight_decay=0.0))
    explicit = logistic_descent(X, Y, lr=0.7, n_steps=5, weight_decay=0.1, decay_bias=True)
    np.testing.assert_array_equal(decayed, explicit)


def test_first_step_of_the_two_points_in_closed_form():
    """From zero both points pull by 1/2: w = lr/4 (x_1 - x_2), b = 0."""
    found = logistic_descent(*two_points(), lr=2.0, n_steps=1)
    np.testing.assert_allclose(found, [[1.0, 0.5, 0.0]], rtol=0, atol=1e-15)


@pytest.mark.parametrize("record", [[1], [50], [1, 2, 3], [7, 20, 50], range(5, 51, 5), np.array([3, 4])])
def test_record_picks_the_steps_counted_from_one(record):
    every = logistic_descent(X, Y, lr=0.7, n_steps=50, weight_decay=0.1)
    found = logistic_descent(X, Y, lr=0.7, n_steps=50, weight_decay=0.1, record=record)
    assert every.shape == (50, 5)
    np.testing.assert_array_equal(found, every[np.array(record) - 1])


def test_descent_resumes_from_where_it_stopped():
    whole = logistic_descent(X, Y, lr=0.7, n_steps=60, weight_decay=0.1)
    rest = logistic_descent(X, Y, lr=0.7, n_steps=20, weight_decay=0.1, start=whole[39])
    np.testing.assert_allclose(rest, whole[40:], rtol=0, atol=1e-15)


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("weight_decay", [0.05, 0.5])
def test_descent_converges_to_the_optimum(weight_decay, decay_bias):
    options = {"weight_decay": weight_decay, "decay_bias": decay_bias}
    found = logistic_descent(X, Y, lr=1.0, n_steps=3000, record=[3000], **options)
    weight, bias = logistic_optimum(X, Y, weight_decay, decay_bias=decay_bias)
    np.testing.assert_allclose(found[0], np.append(weight, bias), rtol=0, atol=1e-13)


def test_saturated_points_neither_warn_nor_move_the_parameters():
    start = [1e4, 0.0, -2e4]
    found = logistic_descent(*two_points(), lr=1.0, n_steps=3, start=start)
    np.testing.assert_array_equal(found, [start] * 3)


def test_descent_is_in_float64_whatever_comes_in():
    X32, y32 = two_points(torch.float32)
    found = logistic_descent(X32, y32, lr=0.3, n_steps=10)
    assert found.dtype == np.float64
    for inputs in ((X32.double(), y32.double()), (X32.numpy(), y32.numpy()), (X32.tolist(), [1, 0])):
        np.testing.assert_array_equal(found, logistic_descent(*inputs, lr=0.3, n_steps=10))


def test_divergence_raises_instead_of_returning_infinity():
    """With lr * lambda = 10 a step multiplies the parameters by about -9."""
    with pytest.raises(ValueError, match="lr = 1 lets the parameters grow without bound"):
        logistic_descent(*two_points(), lr=1.0, n_steps=3000, weight_decay=10.0, record=[3000])
