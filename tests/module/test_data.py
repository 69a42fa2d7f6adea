import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_lib.data import augment, curved_points, noisy_sine, separable, two_points
from course_lib.geometry import max_margin
from course_lib.training import train

# The losses that the notebook on loss landscapes printed, epochs 0 to 99.
RECORDED_LOSSES = [
    53.078269958496094,
    34.7295036315918,
    22.891206741333008,
    15.226042747497559,
    10.242652893066406,
    6.987758159637451,
    4.8507561683654785,
    3.4395813941955566,
    2.5017752647399902,
    1.8742434978485107,
    1.451224684715271,
    1.163843035697937,
    0.9670254588127136,
    0.8311155438423157,
    0.7364832162857056,
    0.6700497269630432,
    0.6230385303497314,
    0.5895166993141174,
    0.5654408931732178,
    0.5480331182479858,
    0.5353691577911377,
    0.5261048674583435,
    0.5192938446998596,
    0.5142641663551331,
    0.5105355978012085,
    0.5077620148658752,
    0.5056928396224976,
    0.5041452646255493,
    0.5029852390289307,
    0.5021142363548279,
    0.5014590620994568,
    0.5009655952453613,
    0.5005935430526733,
    0.5003127455711365,
    0.5001007318496704,
    0.4999404847621918,
    0.49981924891471863,
    0.4997275471687317,
    0.49965816736221313,
    0.4996056854724884,
    0.49956580996513367,
    0.4995356500148773,
    0.4995129108428955,
    0.4994955062866211,
    0.4994823932647705,
    0.4994724690914154,
    0.49946486949920654,
    0.4994591772556305,
    0.49945488572120667,
    0.49945151805877686,
    0.49944913387298584,
    0.49944716691970825,
    0.49944576621055603,
    0.4994446933269501,
    0.4994438886642456,
    0.49944329261779785,
    0.4994427561759949,
    0.49944236874580383,
    0.49944213032722473,
    0.499441921710968,
    0.4994417428970337,
    0.4994416832923889,
    0.499441534280777,
    0.4994415044784546,
    0.4994415044784546,
    0.49944138526916504,
    0.49944132566452026,
    0.49944138526916504,
    0.49944138526916504,
    0.49944138526916504,
    0.4994412660598755,
    0.4994412660598755,
    0.4994412958621979,
    0.4994412958621979,
    0.4994412958621979,
    0.4994412958621979,
    0.49944132566452026,
    0.4994412660598755,
    0.4994412660598755,
    0.4994412362575531,
    0.4994412958621979,
    0.4994412958621979,
    0.4994412660598755,
    0.4994412958621979,
    0.4994412660598755,
    0.4994412660598755,
    0.4994412660598755,
    0.4994412958621979,
    0.4994412660598755,
    0.4994412958621979,
    0.4994412362575531,
    0.4994412958621979,
    0.4994412958621979,
    0.4994412660598755,
    0.4994412660598755,
    0.4994412958621979,
    0.4994412660598755,
    0.4994412660598755,
    0.4994412362575531,
    0.4994412660598755,
]


def test_two_points_are_those_of_the_forum():
    X, y = two_points()
    torch.testing.assert_close(X, torch.tensor([[3.0, 2.0], [1.0, 1.0]]), rtol=0, atol=0)
    torch.testing.assert_close(y, torch.tensor([1.0, 0.0]), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_data_has_the_dtype_asked_for(dtype):
    for X, y in (
        two_points(dtype),
        separable(5, dtype=dtype),
        curved_points(dtype),
        noisy_sine(5, dtype=dtype),
    ):
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


def test_a_line_through_the_curved_points_loses_what_the_source_printed():
    """All 100 losses, each of a float32 computation that another machine may round otherwise."""
    X, y = curved_points()
    model = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(model.weight, 6.0)
    torch.nn.init.constant_(model.bias, -3.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = train(model, X, y, optimizer, loss_fn=F.mse_loss, n_epochs=100).loss
    recorded = torch.tensor(RECORDED_LOSSES, dtype=torch.float64)
    assert len(recorded) == 100
    torch.testing.assert_close(losses, recorded, rtol=2e-6, atol=0)


def test_curved_points_are_those_of_numpys_global_generator():
    state = np.random.get_state()
    np.random.seed(20240215)
    x, noise = np.random.randn(50), np.random.randn(50)
    np.random.set_state(state)
    X, y = curved_points()
    x = x.astype(np.float32)
    assert np.array_equal(X[:, 0].numpy(), x)
    assert np.array_equal(y[:, 0].numpy(), (0.75 * x**2 + x + 2 + 0.3 * noise).astype(np.float32))


def test_curved_points_follow_seed_and_number_and_leave_the_global_generator_alone():
    before = np.random.get_state()[1].copy()
    X, y = curved_points(n_samples=7, seed=3)
    assert X.shape == y.shape == (7, 1)
    assert np.array_equal(before, np.random.get_state()[1])
    assert not torch.equal(X, curved_points(n_samples=7, seed=4)[0])
    assert torch.equal(y, curved_points(n_samples=7, seed=3)[1])


def test_curved_points_of_other_dtypes_hold_the_values_rounded_to_float32():
    for wide, narrow in zip(curved_points(torch.float64), curved_points(), strict=True):
        assert torch.equal(wide, narrow.double())


def test_noisy_sine_is_the_sine_of_one_period_and_normal_noise():
    X, y = noisy_sine(20_000, noise=0.5, seed=3)
    assert X.shape == y.shape == (20_000, 1)
    assert X.min() >= -1
    assert X.max() <= 1
    assert X.mean().item() == pytest.approx(0, abs=0.02)
    noise = y - torch.sin(torch.pi * X)
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.std().item() == pytest.approx(0.5, abs=0.02)
    assert (noise.abs() < 0.5).double().mean().item() == pytest.approx(0.6827, abs=0.02)


def test_noisy_sine_has_other_noise_at_the_same_places_and_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()
    (X, y), (same, clean) = noisy_sine(7, seed=3), noisy_sine(7, noise=0.0, seed=3)
    assert np.array_equal(before, np.random.get_state()[1])
    assert torch.equal(X, same)
    torch.testing.assert_close(clean, torch.sin(torch.pi * X))
    torch.testing.assert_close(noisy_sine(7, noise=0.6, seed=3)[1] - clean, 2 * (y - clean))
    assert not torch.equal(X, noisy_sine(7, seed=4)[0])


def test_noisy_sine_has_seed_0_noise_0_3_and_float64_by_default():
    explicit = noisy_sine(7, noise=0.3, seed=0, dtype=torch.float64)
    assert all(map(torch.equal, noisy_sine(7), explicit))


def test_noise_that_overflows_is_refused():
    with pytest.raises(ValueError, match=r"^y, with this noise, must be finite, got NaN or infinity$"):
        noisy_sine(4, noise=1e39, dtype=torch.float32)


def test_classes_without_a_margin_are_refused():
    with pytest.raises(ValueError, match=r"^margin must be finite and > 0, got 0\.0$"):
        separable(4, margin=0.0)


def test_separable_points_of_a_seed_stay_what_they_were():
    X, y = separable(8, 2, seed=0)
    assert y.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    first = torch.tensor([-0.5764209433776566, 0.9072730994360779], dtype=torch.float64)
    torch.testing.assert_close(X[0], first, rtol=0, atol=1e-12)


X = torch.randn(10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_augment_appends_the_constant():
    assert torch.equal(augment(X)[:, :3], X)
    assert torch.equal(augment(X)[:, 3], torch.ones(10, dtype=torch.float64))
    assert torch.equal(augment(X, 2.5)[:, 3], torch.full((10,), 2.5, dtype=torch.float64))


@pytest.mark.parametrize("constant", [0.1, 1.0, 30.0])
def test_augment_makes_the_bias_over_k_one_more_weight(constant):
    weight, bias = X[0], torch.tensor([0.4], dtype=torch.float64)
    longer = torch.cat([weight, bias / constant])
    torch.testing.assert_close(augment(X, constant) @ longer, X @ weight + bias, rtol=0, atol=1e-12)
