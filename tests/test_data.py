import pytest
import torch

from course_lib.data import separable, two_points
from course_lib.geometry import max_margin


def test_two_points_are_those_of_the_forum():
    X, y = two_points()
    torch.testing.assert_close(X, torch.tensor([[3.0, 2.0], [1.0, 1.0]]), rtol=0, atol=0)
    torch.testing.assert_close(y, torch.tensor([1.0, 0.0]), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_data_has_the_dtype_asked_for(dtype):
    for X, y in (two_points(dtype), separable(5, dtype=dtype)):
        assert X.dtype == y.dtype == dtype


def test_two_points_gives_new_tensors_every_time():
    two_points()[0][0, 0] = 100.0
    assert two_points()[0][0, 0] == 3.0


@pytest.mark.parametrize("n_features", [1, 2, 3, 10])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_separable_leaves_the_margin_at_the_offset(n_features, seed):
    """The closest point of each class is exactly `margin` from the hyperplane u . x = offset."""
    X, y = separable(30, n_features, margin=0.25, offset=3.0, seed=seed)
    farther, _ = separable(30, n_features, margin=1.25, offset=3.0, seed=seed)
    u = (farther - X)[y == 1].mean(dim=0)
    along = X @ u - 3.0
    torch.testing.assert_close(u.norm().item(), 1.0, rtol=0, atol=1e-12)
    torch.testing.assert_close(along[y == 1].min().item(), 0.25, rtol=0, atol=1e-12)
    torch.testing.assert_close(along[y == 0].max().item(), -0.25, rtol=0, atol=1e-12)


def test_separable_by_default_leaves_half_a_unit_at_distance_one():
    X, y = separable(10, 2, seed=3)
    explicit, y_explicit = separable(10, 2, margin=0.5, offset=1.0, seed=3)
    assert torch.equal(X, explicit)
    assert torch.equal(y, y_explicit)


def test_margin_moves_the_classes_apart_and_offset_moves_them_together():
    X, y = separable(20, 3, margin=0.5, offset=1.0)
    apart, _ = separable(20, 3, margin=1.5, offset=1.0)
    beyond, _ = separable(20, 3, margin=0.5, offset=2.0)
    u = (apart - X)[y == 1].mean(dim=0)
    torch.testing.assert_close(apart - X, torch.outer(2 * y - 1, u), rtol=0, atol=1e-12)
    torch.testing.assert_close(beyond - X, u.expand_as(X), rtol=0, atol=1e-12)


def test_separable_draws_clouds_of_unit_variance_and_labels_of_equal_probability():
    X, y = separable(100_000, 3)
    for label in (0, 1):
        torch.testing.assert_close(X[y == label].T.cov(), torch.eye(3).double(), rtol=0, atol=0.03)
    assert y.mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("n_samples", [2, 3, 50])
def test_separable_has_the_shape_asked_for_and_both_labels(n_samples):
    for seed in range(20):
        X, y = separable(n_samples, 4, seed=seed)
        assert X.shape == (n_samples, 4)
        assert y.shape == (n_samples,)
        assert set(y.tolist()) == {0.0, 1.0}


def test_separable_has_two_features_by_default():
    assert separable(7)[0].shape == (7, 2)


def test_separable_depends_on_its_seed_and_on_nothing_else():
    torch.manual_seed(1)
    X, y = separable(30, 3, seed=7)
    torch.manual_seed(2)
    again, y_again = separable(30, 3, seed=7)
    other, y_other = separable(30, 3, seed=8)
    assert torch.equal(X, again)
    assert torch.equal(y, y_again)
    assert not torch.equal(X, other)
    assert not torch.equal(y, y_other)


def test_separable_uses_seed_0_by_default():
    assert torch.equal(separable(10)[0], separable(10, seed=0)[0])


def test_data_in_float32_is_the_float64_data_rounded():
    X, y = separable(30, 3, seed=4)
    X32, y32 = separable(30, 3, seed=4, dtype=torch.float32)
    assert torch.equal(X32, X.float())
    assert torch.equal(y32, y.float())


@pytest.mark.parametrize("seed", range(5))
def test_max_margin_finds_at_least_the_margin_that_was_drawn(seed):
    X, y = separable(40, 3, margin=0.3, seed=seed)
    weight, bias = max_margin(X, y)
    assert 1 / weight.norm() >= 0.3 - 1e-12
    assert (((X @ weight + bias) > 0) == (y == 1)).all()
