from math import exp, log, log1p

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression, Ridge

from course_lib import _solvers
from course_lib.data import augment, separable, two_points
from course_lib.models import LinearModel
from course_lib.optimum import least_squares_optimum, logistic_objective, logistic_optimum
from course_lib.penalties import l2_penalty

X2, Y2 = two_points(torch.float64)
KNOWN_WITH_BIAS_DECAYED = [
    (0.01, (2.56228, -0.60796, -3.77820)),
    (0.1, (0.89945, -0.10433, -1.10812)),
    (0.2, (0.59418, -0.01265, -0.61947)),
    (0.3, (0.46452, 0.02252, -0.41948)),
    (1.0, (0.22681, 0.06035, -0.10611)),
]


def noisy(n_samples=60, n_features=4, seed=0):
    """Gaussian points with labels drawn from a logistic model, so that no hyperplane separates them."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n_samples, n_features, dtype=torch.float64, generator=generator)
    weight = torch.randn(n_features, dtype=torch.float64, generator=generator)
    chance = torch.sigmoid(X @ weight + 0.5)
    return X, (torch.rand(n_samples, dtype=torch.float64, generator=generator) < chance).double()


def slopes(X, y, weight, bias, weight_decay=0.0, **options):
    """Return the gradient of the objective by autograd: that of the weights, and that of the bias."""
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    return torch.autograd.grad(
        logistic_objective(X, y, LinearModel(weight, bias), weight_decay, **options), (weight, bias)
    )


def model(weight, bias):
    return LinearModel(torch.as_tensor(weight, dtype=torch.float64), torch.tensor(bias, dtype=torch.float64))


def assert_near(found, expected, atol=1e-12):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def assert_pulled_by_lambda(X, y, weight, bias, lam, decay_bias, atol):
    """The loss pulls a weight that is not zero by exactly lambda, and one that is zero by at most that."""
    pull = torch.cat([slope.reshape(-1) for slope in slopes(X, y, weight, bias)])
    theta = torch.cat([weight, bias[None]])
    levels = torch.full_like(theta, lam)
    levels[-1] = lam if decay_bias else 0.0
    assert_near(pull[theta != 0], (-levels * theta.sign())[theta != 0], atol=atol)
    assert (pull[theta == 0].abs() <= levels[theta == 0] + atol).all()


def test_objective_without_decay_is_cross_entropy():
    X, y = noisy()
    weight = torch.tensor([0.3, -1.0, 2.0, 0.1], dtype=torch.float64)
    for penalty in ("l1", "l2"):
        found = logistic_objective(X, y, model(weight, 0.7), 0.0, penalty=penalty)
        assert_near(found, F.binary_cross_entropy(torch.sigmoid(X @ weight + 0.7), y), atol=1e-13)


@pytest.mark.parametrize(
    ("penalty", "decay_bias", "omega"),
    [("l2", False, 12.5), ("l2", True, 14.5), ("l1", False, 7.0), ("l1", True, 9.0)],
)
def test_objective_adds_lambda_times_the_penalty(penalty, decay_bias, omega):
    """weight = (3, -4) and bias = -2: half of 25, half of 29, 7 and 9."""
    weight = torch.tensor([3.0, -4.0], dtype=torch.float64)
    options = {"penalty": penalty, "decay_bias": decay_bias}
    plain = logistic_objective(X2, Y2, model(weight, -2.0), 0.0, **options)
    assert_near(logistic_objective(X2, Y2, model(weight, -2.0), 0.3, **options) - plain, 0.3 * omega)


def test_objective_penalizes_weights_only_and_by_l2_unless_told():
    weight = torch.tensor([3.0, -4.0], dtype=torch.float64)
    explicit = logistic_objective(X2, Y2, model(weight, -2.0), 0.3, penalty="l2", decay_bias=False)
    assert torch.equal(logistic_objective(X2, Y2, model(weight, -2.0), 0.3), explicit)


def test_objective_is_finite_where_the_sigmoid_saturates():
    weight = torch.tensor([1000.0, 0.0], dtype=torch.float64)
    assert_near(logistic_objective(X2, Y2, model(weight, 0.0), 0.0), 500.0)
    assert_near(logistic_objective(X2, 1 - Y2, model(weight, 0.0), 0.0), 1500.0)


@pytest.mark.parametrize("margin", [-50.0, -25.0, -20.5, 0.0, 20.5, 25.0])
def test_objective_is_exact_where_torchs_softplus_is_not(margin):
    """Beyond 20 softplus(x) is x for torch, which at 20.5 is off by 1e-9."""
    found = logistic_objective([[margin]], [1], [1.0, 0.0], 0.0).item()
    assert found == pytest.approx(max(-margin, 0.0) + log1p(exp(-abs(margin))), rel=1e-15, abs=0)


def test_objective_is_differentiable_in_weight_and_bias():
    X, y = noisy()
    weight = torch.tensor([0.3, -1.0, 2.0, 0.1], dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    for penalty in ("l1", "l2"):
        assert torch.autograd.gradcheck(
            lambda w, b, penalty=penalty: logistic_objective(
                X, y, LinearModel(w, b), 0.3, penalty=penalty, decay_bias=True
            ),
            (weight, bias),
        )


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("weight_decay", [1e-4, 0.01, 0.3, 20.0])
@pytest.mark.parametrize(("n_samples", "n_features"), [(60, 4), (10, 25), (2000, 8)])
def test_gradient_vanishes_at_the_l2_optimum(n_samples, n_features, weight_decay, decay_bias):
    X, y = noisy(n_samples, n_features)
    weight, bias = logistic_optimum(X, y, weight_decay, decay_bias=decay_bias)
    for slope in slopes(X, y, weight, bias, weight_decay, decay_bias=decay_bias):
        assert_near(slope, torch.zeros_like(slope), atol=1e-12)


@pytest.mark.parametrize("seed", [162, 231, 241])
def test_gradient_vanishes_at_the_l2_optimum_of_heavy_tailed_data(seed):
    """On these three draws Newton's method with full steps never arrives."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(30, 2, dtype=torch.float64, generator=generator)
    X = X * torch.exp(4 * torch.randn(30, 1, dtype=torch.float64, generator=generator))
    y = torch.rand(30, dtype=torch.float64, generator=generator).round()
    weight, bias = logistic_optimum(X, y, 0.01)
    for slope in slopes(X, y, weight, bias, 0.01):
        assert_near(slope, torch.zeros_like(slope), atol=1e-15 * X.abs().max().item())


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("weight_decay", [1e-3, 0.02, 0.1])
@pytest.mark.parametrize(("n_samples", "n_features"), [(60, 4), (10, 25), (2000, 8)])
def test_no_direction_goes_down_from_the_l1_optimum(n_samples, n_features, weight_decay, decay_bias):
    X, y = noisy(n_samples, n_features)
    weight, bias = logistic_optimum(X, y, weight_decay, penalty="l1", decay_bias=decay_bias)
    assert_pulled_by_lambda(X, y, weight, bias, weight_decay, decay_bias, atol=1e-12)


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize(("n_samples", "n_features", "seed"), [(20, 3, 0), (40, 8, 2), (10, 20, 2)])
def test_l1_optimum_of_separable_data_is_right_or_refused_however_small_lambda(
    n_samples, n_features, seed, decay_bias
):
    X, y = separable(n_samples, n_features, seed=seed)
    refused = []
    for lam in (10.0**-exponent for exponent in range(2, 14)):
        try:
            weight, bias = logistic_optimum(X, y, lam, penalty="l1", decay_bias=decay_bias)
        except ValueError as error:
            if "weight_decay is too small" not in str(error):
                raise
            refused.append(lam)
        else:
            assert_pulled_by_lambda(X, y, weight, bias, lam, decay_bias, atol=1e-14 + 1e-6 * lam)
    assert all(lam < 1e-6 for lam in refused)


def test_l1_optimum_has_exact_zeros_more_of_them_for_a_larger_lambda():
    X, y = noisy(40, 20)
    zeros = [(logistic_optimum(X, y, lam, penalty="l1")[0] == 0).sum().item() for lam in (0.005, 0.05, 0.2)]
    assert 0 < zeros[0] < zeros[1] < zeros[2]


@pytest.mark.parametrize("weight_decay", [1e-3, 0.1, 2.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_l2_optimum_is_that_of_scikit_learn(seed, weight_decay):
    X, y = noisy(seed=seed)
    model = LogisticRegression(C=1 / (len(X) * weight_decay), solver="newton-cholesky", tol=1e-12).fit(X, y)
    weight, bias = logistic_optimum(X, y, weight_decay)
    assert_near(weight, model.coef_[0], atol=1e-9)
    assert_near(bias, model.intercept_[0], atol=1e-9)


@pytest.mark.parametrize("weight_decay", [0.005, 0.05])
def test_l1_optimum_is_that_of_scikit_learn_and_not_worse(weight_decay):
    X, y = noisy()
    C = 1 / (len(X) * weight_decay)
    l1 = {"penalty": "l1"} if LogisticRegression().penalty == "l2" else {"l1_ratio": 1.0}  # new in 1.8
    fit = LogisticRegression(**l1, C=C, solver="saga", tol=1e-10, max_iter=20_000, random_state=0)
    fit.fit(X, y)
    theirs = LinearModel(torch.tensor(fit.coef_[0]), torch.tensor(fit.intercept_[0]))
    ours = logistic_optimum(X, y, weight_decay, penalty="l1")
    values = [logistic_objective(X, y, theta, weight_decay, penalty="l1") for theta in (ours, theirs)]
    assert values[0] <= values[1] + 1e-14
    assert_near(ours[0], theirs[0], atol=1e-7)
    assert_near(ours[1], theirs[1], atol=1e-7)


@pytest.mark.parametrize("lam", [1e-6, 0.01, 0.1, 0.25, 0.4, 0.499])
def test_l1_optimum_of_the_two_points_in_closed_form(lam):
    weight, bias = logistic_optimum(X2, Y2, lam, penalty="l1")
    expected = log((1 - lam) / lam)
    assert_near(weight[0], expected, atol=1e-9)
    assert weight[1] == 0
    assert_near(bias, -2 * expected, atol=1e-9)


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("lam", [0.5, 0.7, 30.0])
def test_l1_optimum_of_the_two_points_is_all_zero_from_lambda_one_half(lam, decay_bias):
    weight, bias = logistic_optimum(X2, Y2, lam, penalty="l1", decay_bias=decay_bias)
    assert weight.tolist() == [0.0, 0.0]
    assert_near(bias, 0.0)


def test_at_lambda_one_over_four_log_three_the_boundary_is_vertical_through_the_negative_point():
    weight, bias = logistic_optimum(X2, Y2, 1 / (4 * log(3)), decay_bias=True)
    assert_near(weight[1], 0.0)
    assert_near(torch.sigmoid(X2[1] @ weight + bias), 0.5)


@pytest.mark.parametrize("exponent", torch.linspace(-6, 3, 12).tolist())
def test_without_bias_decay_the_boundary_of_the_two_points_is_their_bisector(exponent):
    weight, bias = logistic_optimum(X2, Y2, 10**exponent)
    assert weight[0] > 0
    assert_near(weight / weight[0], [1.0, 0.5])
    assert_near(bias / weight[0], -2.75)


@pytest.mark.parametrize(("weight_decay", "theta"), KNOWN_WITH_BIAS_DECAYED)
def test_known_optima_of_the_two_points_with_the_bias_decayed(weight_decay, theta):
    weight, bias = logistic_optimum(X2, Y2, weight_decay, decay_bias=True)
    assert_near(torch.cat([weight, bias[None]]), theta, atol=5e-6)


def test_optimum_penalizes_weights_only_and_by_l2_unless_told():
    X, y = noisy()
    default, explicit = (
        logistic_optimum(X, y, 0.1),
        logistic_optimum(X, y, 0.1, penalty="l2", decay_bias=False),
    )
    assert torch.equal(default[0], explicit[0])
    assert torch.equal(default[1], explicit[1])


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_optimum_of_separable_data_is_found_too(penalty):
    X, y = separable(30, 3, seed=1)
    weight, bias = logistic_optimum(X, y, 1e-3, penalty=penalty)
    best = logistic_objective(X, y, LinearModel(weight, bias), 1e-3, penalty=penalty)
    directions = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for step in 1e-3 * directions:
        assert logistic_objective(X, y, torch.cat([weight, bias[None]]) + step, 1e-3, penalty=penalty) > best


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_swapped_labels_flip_the_sign_of_the_optimum(penalty):
    X, y = noisy()
    weight, bias = logistic_optimum(X, y, 0.05, penalty=penalty)
    swapped_weight, swapped_bias = logistic_optimum(X, 1 - y, 0.05, penalty=penalty)
    assert_near(swapped_weight, -weight, atol=1e-10)
    assert_near(swapped_bias, -bias, atol=1e-10)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_optimum_of_float32_points_is_the_float64_answer_rounded(penalty):
    X, y = (tensor.float() for tensor in noisy())
    weight, bias = logistic_optimum(X, y, 0.05, penalty=penalty)
    exact_weight, exact_bias = logistic_optimum(X.double(), y, 0.05, penalty=penalty)
    assert torch.equal(weight, exact_weight.float())
    assert torch.equal(bias, exact_bias.float())


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_what_newtons_steps_do_not_reach_is_refused(penalty, monkeypatch):
    X, y = noisy()
    monkeypatch.setattr(_solvers, "MAX_STEPS", 1)
    with pytest.raises(ValueError, match="weight_decay is too small beside this data") as refused:
        logistic_optimum(100 * X, y, 1e-3, penalty=penalty)
    assert str(refused.value.__cause__) == "float64 cannot tell the minimum"


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_newtons_steps_are_few(penalty, monkeypatch):
    """A curvature twice as large would take more than 40."""
    monkeypatch.setattr(_solvers, "MAX_STEPS", 15)
    for seed in range(10):
        X, y = noisy(200, 10, seed)
        logistic_optimum(X, y, 0.01, penalty=penalty)


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("C", [1, 10, 100])
def test_newtons_steps_are_few_where_many_weights_come_to_zero_at_once(C, decay_bias, monkeypatch):
    """Were each step only cut where it meets zero, some of these would take more than 100."""
    monkeypatch.setattr(_solvers, "MAX_STEPS", 40)
    X, y = (torch.from_numpy(array).double() for array in load_breast_cancer(return_X_y=True))
    weight, _ = logistic_optimum(X, y, 1 / (C * len(X)), penalty="l1", decay_bias=decay_bias)
    assert (weight == 0).any()


@pytest.mark.parametrize(
    ("X", "weight_decay", "penalty"),
    [
        (torch.tensor([[6e-8], [0.0]]).half(), 1e-14, "l2"),
        (torch.tensor([[1001.0], [1000.0]]).half(), 1e-30, "l2"),  # the bias alone
        (torch.tensor([[1e-308], [-1e-308]], dtype=torch.float64), 1e-309, "l1"),
    ],
)
def test_an_optimum_beyond_its_dtype_is_refused_by_name(X, weight_decay, penalty):
    message = "^the optimum for X, y and weight_decay must be finite, got NaN or infinity$"
    with pytest.raises(ValueError, match=message):
        logistic_optimum(X, [1, 0], weight_decay, penalty=penalty)


def test_a_least_squares_optimum_beyond_its_dtype_is_refused_by_name():
    X, y = torch.tensor([[1e-3], [0.0]]).half(), torch.tensor([60_000.0, 0.0]).half()
    with pytest.raises(ValueError, match=r"^the optimum for X and y must be finite, got NaN or infinity$"):
        least_squares_optimum(X, y, 0.0)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_a_lambda_beyond_float64_is_refused(penalty):
    with pytest.raises(ValueError, match="weight_decay is too small beside this data for float64"):
        logistic_optimum(X2, Y2, 5e-324, penalty=penalty)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_the_least_lambda_beside_columns_of_size_one_is_the_least_normal_number(penalty):
    X, y, lam = [[1.0], [-1.0], [1.0], [-1.0]], [0, 0, 1, 1], 2.0**-1022
    assert logistic_optimum(X, y, lam, penalty=penalty).theta.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="weight_decay is too small beside this data") as refused:
        logistic_optimum(X, y, np.nextafter(lam, 0.0), penalty=penalty)
    assert str(refused.value.__cause__) == "the decay is subnormal, beside these columns"


def test_objective_of_a_classifier_in_another_dtype():
    X, y = noisy()
    weight, bias = torch.tensor([0.5, -1.0, 2.0, 0.25]), torch.tensor(0.75)
    expected = logistic_objective(X, y, LinearModel(weight.double(), bias.double()), 0.1, decay_bias=True)
    assert torch.equal(logistic_objective(X, y, LinearModel(weight, bias), 0.1, decay_bias=True), expected)
    found = logistic_objective(
        X.float(), y, LinearModel(weight.double(), bias.double()), 0.1, decay_bias=True
    )
    torch.testing.assert_close(found, expected.float())


@pytest.mark.parametrize(
    ("weight", "weight_decay", "name"),
    [
        ([1.0, 1.0, 1.0], 0.1, "X times theta"),  # whose sum is 0
        ([0.5, 0.5, 0.5], 1.5e308, "the objective of X, theta and weight_decay"),
    ],
)
def test_an_objective_beyond_the_floats_is_refused_by_name(weight, weight_decay, name):
    X = [[1e308, -1e308, 0.0], [0.0, 0.0, 1.0]]
    with pytest.raises(ValueError, match=f"^{name} must be finite, got NaN or infinity$"):
        logistic_objective(X, [0, 1], model(weight, 0.0), weight_decay, penalty="l1")


def worst_excess(X, y, weight, bias, lam, penalty, decay_bias):
    """Return by how much a slope misses what the penalty allows, as a share of the terms that make it up."""
    theta, rows = torch.cat([weight, bias[None]]), (2 * y - 1)[:, None] * augment(X)
    decay = torch.full_like(theta, lam)
    decay[-1] *= decay_bias
    wrong = torch.sigmoid(-rows @ theta) / len(rows)
    slope, terms = -wrong @ rows, wrong @ rows.abs() + decay * (theta.abs() if penalty == "l2" else 1)
    if penalty == "l2":
        return ((slope + decay * theta).abs() / terms).max().item()
    held = (slope.abs() - decay).clamp(min=0)
    return (torch.where(theta == 0, held, slope + decay * theta.sign()).abs() / terms).max().item()


@pytest.mark.parametrize(
    ("C", "n_zeros", "lowest"),
    [
        (1e-3, 28, 0.220993026834),
        (1.0, 21, 0.0986267598379),
        (1e3, 2, 0.0350589882425),
        (1e4, 0, 0.0192020843048),
    ],
)
def test_l1_optimum_of_data_that_nobody_scaled(C, n_zeros, lowest):
    """The columns are from 0.03 to 4254 in size, and some nearly equal. L-BFGS-B found the same values."""
    X, y = (torch.from_numpy(array).double() for array in load_breast_cancer(return_X_y=True))
    lam = 1 / (C * len(X))
    weight, bias = logistic_optimum(X, y, lam, penalty="l1")
    assert (weight == 0).sum() == n_zeros
    value = logistic_objective(X, y, LinearModel(weight, bias), lam, penalty="l1").item()
    assert value == pytest.approx(lowest, rel=5e-12)
    assert worst_excess(X, y, weight, bias, lam, "l1", decay_bias=False) < 1e-11


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("lam", [1e-8, 1e-4, 0.1])
@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_optimum_of_columns_from_1e_minus_8_to_1e8(penalty, lam, decay_bias):
    for seed in range(10):
        X, y = noisy(80, 9, seed)
        X = X * 10 ** torch.linspace(-8, 8, 9, dtype=torch.float64)
        weight, bias = logistic_optimum(X, y, lam, penalty=penalty, decay_bias=decay_bias)
        assert worst_excess(X, y, weight, bias, lam, penalty, decay_bias) < 1e-14
        if penalty == "l1":  # the smallest cannot pull by lambda, and the largest cannot be held
            assert weight[0] == 0
            assert weight[-1] != 0


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_the_last_step_is_taken_where_one_point_lies_far_away(penalty):
    """Stopping at the first slopes that are zero up to rounding leaves ten times as much on some of them."""
    for seed in range(40):
        X, y = noisy(40, 3, seed)
        X[7] = torch.tensor([1e5, -2e5, 1e5])
        weight, bias = logistic_optimum(X, y, 0.01, penalty=penalty)
        assert worst_excess(X, y, weight, bias, 0.01, penalty, decay_bias=False) < 4e-10


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_with_a_free_bias_a_shift_of_all_points_costs_no_digits(penalty):
    """Of whole numbers, which the shift does not round."""
    for seed in range(10):
        X, y = noisy(40, 3, seed)
        X = (2 * X).round()
        weight, bias = logistic_optimum(X, y, 0.01, penalty=penalty)
        moved_weight, moved_bias = logistic_optimum(X + 1e8, y, 0.01, penalty=penalty)
        assert_near(moved_weight, weight, atol=1e-10)
        assert_near(moved_bias + 1e8 * moved_weight.sum(), bias, atol=1e-6)


def awkward(kind, seed):
    """Data with columns that are equal, sums of others or constant, of few values, or more than the rows."""
    generator = torch.Generator().manual_seed(seed)
    X, y = noisy(*{"wide": (12, 60), "wider": (20, 150)}.get(kind, (40, 6)), seed)
    if kind == "equal":
        X = torch.cat([X, X, -2 * X], dim=1)
    if kind == "sums":
        X = torch.cat([X, X[:, :1] + X[:, 1:2], X.sum(dim=1, keepdim=True), torch.ones(40, 1)], dim=1)
    if kind == "counts":
        X = torch.randint(-2, 3, X.shape, generator=generator).double()
    if kind == "zeros and ones":
        X = torch.randint(0, 2, X.shape, generator=generator).double()
    if kind == "separable":
        y = (X[:, 0] > X[:, 1]).double()
    return X, y


@pytest.mark.parametrize("kind", ["equal", "sums", "counts", "zeros and ones", "separable", "wide", "wider"])
@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_optimum_of_awkward_data_is_found(penalty, kind):
    for seed in range(10):
        X, y = awkward(kind, seed)
        for lam in (1e-7, 1e-3, 0.05):
            for decay_bias in (False, True):
                weight, bias = logistic_optimum(X, y, lam, penalty=penalty, decay_bias=decay_bias)
                assert worst_excess(X, y, weight, bias, lam, penalty, decay_bias) < 1e-13
                assert penalty == "l2" or (weight != 0).sum() <= len(X)


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("times", [1, 7, 20])
def test_many_equal_rows_whose_roundings_add_up_are_no_reason_to_refuse(times, decay_bias):
    kinds = torch.tensor([[1, 0, 0], [-2, 0, 1], [0, 1, -1], [0, 1, 0]], dtype=torch.float64)
    rows = kinds.repeat_interleave(torch.tensor([60, 1, 1, 200]), dim=0)
    X = torch.cat([rows, -rows]).repeat_interleave(times, dim=0)
    y, lam = (torch.arange(len(X)) < len(X) / 2).double(), 1.6 / len(X) * times
    weight, bias = logistic_optimum(X, y, lam, penalty="l1", decay_bias=decay_bias)
    assert worst_excess(X, y, weight, bias, lam, "l1", decay_bias) < 1e-13


@pytest.mark.parametrize("seed", range(10))
def test_l1_holds_all_weights_at_zero_from_the_largest_pull_on(seed):
    X, y = noisy(seed=seed)
    pull, _ = slopes(X, y, torch.zeros(4, dtype=torch.float64), torch.logit(y.mean()))
    largest = pull.abs().max().item()
    for share, n_nonzero in ((1 - 1e-9, 1), (1 + 1e-9, 0), (1e6, 0)):
        weight, bias = logistic_optimum(X, y, share * largest, penalty="l1")
        assert (weight != 0).sum() == n_nonzero
        assert_near(bias, torch.logit(y.mean()), atol=1e-7)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
@pytest.mark.parametrize("separable", [False, True])
def test_what_rounding_hides_is_refused_and_not_guessed(separable, penalty):
    """Powers up to 12 of numbers up to 20: searches that begin otherwise end 7e-4 of the objective apart."""
    t = torch.linspace(0.1, 20, 100, dtype=torch.float64)
    X, y = (
        t[:, None] ** torch.arange(1, 13),
        t > 5 if separable else torch.sin(0.4 * t) + torch.sin(9 * t) > 0,
    )
    with pytest.raises(
        ValueError, match=r"weight_decay is too small beside this data for float64, got 0\.001 "
    ):
        logistic_optimum(X, y, 1e-3, penalty=penalty)


def test_both_penalties_at_once():
    """Nothing public asks for it: it shows that the one method knows both."""
    X, y = noisy(60, 8)
    Z, l1, l2 = (2 * y - 1)[:, None] * X, torch.full((8,), 0.03).double(), torch.full((8,), 0.2).double()
    theta = torch.from_numpy(_solvers.logistic(Z.numpy(), l1.numpy(), l2.numpy()))
    pull = Z.T @ torch.sigmoid(-Z @ theta) / 60 - l2 * theta
    assert 0 < (theta == 0).sum() < 8
    assert_near(pull[theta != 0], (l1 * theta.sign())[theta != 0], atol=1e-15)
    assert (pull[theta == 0].abs() <= l1[theta == 0]).all()


def test_a_lambda_too_small_for_float64_is_named_beside_the_size_of_the_data():
    message = r"^weight_decay is too small beside this data for float64, got 1e-310 and X of size 3$"
    with pytest.raises(ValueError, match=message):
        logistic_optimum(X2, Y2, 1e-310)


@pytest.mark.parametrize("options", [{}, {"decay_bias": True}, {"penalty": "l1"}])
def test_the_objective_of_many_vectors_is_that_of_each_and_of_their_kind(options):
    X, y = noisy()
    thetas = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    found = logistic_objective(X, y, thetas, 0.1, **options)
    each = [logistic_objective(X, y, LinearModel.of(theta), 0.1, **options) for theta in thetas]
    assert_near(found, torch.stack(each), atol=1e-15)
    assert logistic_objective(X, y, thetas[:1], 0.1, **options).shape == (1,)
    array = logistic_objective(X, y, thetas.numpy(), 0.1, **options)
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(array, found.numpy())


def test_the_objective_does_not_decay_unless_told():
    X, y = noisy()
    assert torch.equal(logistic_objective(X, y, [1.0] * 5), logistic_objective(X, y, [1.0] * 5, 0.0))


@pytest.mark.parametrize(("size", "weight"), [(1e308, 1.0), (1e200, 1e150)])
def test_an_objective_whose_signs_are_lost_is_refused(size, weight):
    """Although the sum that overflows on the way is 0."""
    with pytest.raises(ValueError, match=r"^X times theta must be finite"):
        logistic_objective([[size, size]], [1], [weight, -weight, 0.0])


ROWS = torch.randn(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("n_outputs", [None, 1, 3])
@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-6, 0.3, 50.0])
def test_least_squares_rest_where_descent_and_ridge_do(n_outputs, decay_bias, weight_decay):
    shape = (30,) if n_outputs is None else (30, n_outputs)
    y = (
        2
        + ROWS @ torch.ones(4, *shape[1:]).double()
        + torch.randn(shape, generator=torch.Generator().manual_seed(2))
    )
    found = least_squares_optimum(ROWS, y, weight_decay, decay_bias=decay_bias)
    weight, bias = (part.clone().requires_grad_() for part in found)
    decayed = [weight, bias] if decay_bias else [weight]
    loss = F.mse_loss(ROWS @ weight + bias, y) + l2_penalty(decayed, weight_decay)
    for slope in torch.autograd.grad(loss, (weight, bias)):
        assert_near(slope, torch.zeros_like(slope), atol=1e-13)
    if not decay_bias and weight_decay:
        ridge = Ridge(alpha=weight_decay * y.numel() / 2).fit(ROWS, y)
        assert_near(found.weight, ridge.coef_.T.reshape(found.weight.shape), atol=1e-10)
        assert_near(found.bias, ridge.intercept_, atol=1e-10)


def test_of_many_least_squares_the_shortest_is_found():
    X = torch.tensor([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [4.0, 4.0, 0.0]])
    weight, bias = least_squares_optimum(X, [1.0, 2.0, 4.0])
    assert_near(weight.double(), [0.5, 0.5, 0.0], atol=1e-6)
    assert_near(bias.double(), 0.0, atol=1e-6)
    assert weight.dtype == torch.float32


def test_least_squares_do_not_decay_unless_told_and_then_the_weights_alone():
    y = ROWS[:, 0] + 3
    plain, none = least_squares_optimum(ROWS, y), least_squares_optimum(ROWS, y, 0.0, decay_bias=False)
    assert torch.equal(plain.theta, none.theta)
    weights_alone = least_squares_optimum(ROWS, y, 5.0)
    assert torch.equal(weights_alone.theta, least_squares_optimum(ROWS, y, 5.0, decay_bias=False).theta)
    assert least_squares_optimum(ROWS, y, 5.0, decay_bias=True).bias < 0.7 * weights_alone.bias
