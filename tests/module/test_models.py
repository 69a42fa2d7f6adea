import pytest
import torch
from torch import nn

from course_lib.models import LinearModel, Perceptron


@pytest.mark.parametrize("n_features", [1, 2, 7])
@pytest.mark.parametrize("seed", [0, 1, 112517])
def test_perceptron_starts_where_a_seeded_linear_layer_starts(n_features, seed):
    torch.manual_seed(seed)
    linear = nn.Linear(n_features, 1)
    torch.manual_seed(99)
    model = Perceptron(n_features, seed=seed)
    assert torch.equal(model.linear.weight, linear.weight)
    assert torch.equal(model.linear.bias, linear.bias)


def test_perceptron_has_two_inputs_seed_0_and_float32_by_default():
    default, explicit = Perceptron(), Perceptron(2, seed=0, dtype=torch.float32)
    assert default.linear.weight.dtype == default.linear.bias.dtype == torch.float32
    assert torch.equal(default.linear.weight, explicit.linear.weight)
    assert torch.equal(default.linear.bias, explicit.linear.bias)


def test_different_seeds_start_in_different_places():
    assert not torch.equal(Perceptron(seed=0).linear.weight, Perceptron(seed=1).linear.weight)


def test_float64_perceptron_starts_exactly_where_the_float32_one_does():
    single, double = Perceptron(5, seed=3), Perceptron(5, seed=3, dtype=torch.float64)
    assert double.linear.weight.dtype == double.linear.bias.dtype == torch.float64
    assert torch.equal(double.linear.weight, single.linear.weight.double())
    assert torch.equal(double.linear.bias, single.linear.bias.double())


def test_start_does_not_depend_on_the_default_dtype():
    single = Perceptron(5, seed=3)
    torch.set_default_dtype(torch.float64)
    try:
        model = Perceptron(5, seed=3)
    finally:
        torch.set_default_dtype(torch.float32)
    assert model.linear.weight.dtype == torch.float32
    assert torch.equal(model.linear.weight, single.linear.weight)


def test_perceptron_leaves_the_global_generator_where_it_was():
    torch.manual_seed(5)
    expected = torch.rand(10)
    torch.manual_seed(5)
    Perceptron(seed=1)
    assert torch.equal(torch.rand(10), expected)


def test_parameters_are_one_trainable_weight_row_and_one_bias():
    shapes = {name: tuple(p.shape) for name, p in Perceptron(4).named_parameters() if p.requires_grad}
    assert shapes == {"linear.weight": (1, 4), "linear.bias": (1,)}


@pytest.mark.parametrize("n_samples", [1, 2, 20])
def test_forward_is_the_sigmoid_of_the_linear_layer_one_number_a_row(n_samples):
    model = Perceptron(3, seed=2, dtype=torch.float64)
    X = torch.randn(n_samples, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = (X * model.linear.weight.detach()).sum(dim=1) + model.linear.bias.item()
    torch.testing.assert_close(model(X).detach(), 1 / (1 + torch.exp(-z)), rtol=0, atol=1e-15)


def test_forward_of_one_point_alone_is_one_number():
    model, X = Perceptron(3, seed=2, dtype=torch.float64), POINTS @ torch.ones(2, 3, dtype=torch.float64)
    for point, expected in zip(X, model(X), strict=True):
        torch.testing.assert_close(model(point), expected, rtol=0, atol=1e-15)


THETA = torch.tensor([0.8, 0.4, -2.2], dtype=torch.float64)
POINTS = torch.tensor([[3.0, 2.0], [1.0, 1.0], [0.0, -1.0]], dtype=torch.float64)


def test_a_linear_model_is_a_pair_and_a_vector():
    model = LinearModel.of(THETA)
    weight, bias = model
    assert torch.equal(weight, THETA[:2])
    assert torch.equal(bias, THETA[2])
    assert torch.equal(model.theta, THETA)
    assert LinearModel.of([1, 2]).theta.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_linear_model_says_what_the_perceptron_says(dtype):
    perceptron = Perceptron(3, seed=4, dtype=dtype)
    X = torch.randn(5, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    for source in (perceptron, perceptron.linear):
        model = LinearModel.of(source)
        torch.testing.assert_close(model.probability(X), perceptron(X).detach())
        torch.testing.assert_close(model.output(X), perceptron.linear(X)[:, 0].detach())
        assert not model.weight.requires_grad
    with torch.no_grad():
        perceptron.linear.weight.zero_()
    assert model.weight.all(), "a copy"


def test_a_linear_model_of_several_outputs():
    model = LinearModel(torch.eye(2, 3), torch.tensor([1.0, 2.0, 3.0]))
    assert model.output([[1.0, 2.0]]).tolist() == [[2.0, 4.0, 3.0]]
    assert model.theta.shape == (3, 3)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (torch.nn.Linear(2, 3), ValueError),
        (torch.nn.Linear(2, 1, bias=False), ValueError),
        (torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)), ValueError),
        ([1.0], ValueError),
        ([[1.0, 2.0]], ValueError),
        ([[1.0, 2.0], [3.0, 4.0]], ValueError),
        ([1.0, float("nan")], ValueError),
        ("theta", TypeError),
    ],
)
def test_what_is_no_linear_model_is_refused(source, error):
    with pytest.raises(error, match=r"^source must "):
        LinearModel.of(source)


@pytest.mark.parametrize("X", [[[1.0]], [1.0, 2.0], [[1.0, float("inf")]]])
def test_rows_that_a_linear_model_cannot_take_are_refused(X):
    with pytest.raises(ValueError, match=r"\bX\b"):
        LinearModel.of(THETA).output(X)
