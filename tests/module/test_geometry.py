import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, nnls
from sklearn.svm import SVC

from course_lib.data import separable, two_points
from course_lib.geometry import (
    angle,
    angle_between,
    bisector,
    boundary_segment,
    max_margin,
    signed_distance,
)

HALF = math.sqrt(0.5)
SETS = [(n_features, seed) for n_features in (2, 3, 10) for seed in (0, 1, 2)]


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_near(found, expected, atol=1e-12):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("weight", "degrees"),
    [
        ((1, 0), 0),
        ((HALF, HALF), 45),
        ((0, 2), 90),
        ((-1, 1), 135),
        ((-3, 0), 180),
        ((-1, -1), -135),
        ((0, -0.5), -90),
        ((math.sqrt(3), -1), -30),
    ],
)
def test_angle_counts_anticlockwise_from_the_first_axis(weight, degrees):
    assert_near(angle(weight), degrees)


def test_angle_takes_many_vectors_at_once():
    weights = drawn(4, 3, 2)
    expected = [[math.degrees(math.atan2(w2, w1)) for w1, w2 in row] for row in weights.tolist()]
    assert_near(angle(weights), expected)


def test_angle_does_not_depend_on_length():
    weights = drawn(20, 2)
    assert_near(angle(1e-3 * weights), angle(weights))


@pytest.mark.parametrize("n_features", [2, 3, 8])
def test_angle_between_recovers_the_rotation_in_a_random_plane(n_features):
    basis, _ = torch.linalg.qr(drawn(n_features, 2))
    degrees = torch.linspace(0, 180, 37, dtype=torch.float64)
    turn = torch.deg2rad(degrees)[:, None]
    rotated = turn.cos() * basis[:, 0] + turn.sin() * basis[:, 1]
    assert_near(angle_between(3.0 * basis[:, 0], 0.2 * rotated), degrees)
    assert_near(angle_between(rotated, basis[:, 0]), degrees)


def test_angle_between_is_accurate_for_tiny_angles_and_near_180_degrees():
    tiny = angle_between([1.0, 0.0], [1.0, 1e-9])
    torch.testing.assert_close(tiny.item(), math.degrees(1e-9), rtol=1e-12, atol=0)
    opposite = angle_between([1.0, 0.0], [-1.0, 1e-9])
    torch.testing.assert_close(180 - opposite.item(), math.degrees(1e-9), rtol=1e-5, atol=0)


def test_angle_between_is_exact_for_parallel_and_opposite_vectors():
    u = drawn(5)
    assert angle_between(u, 2 * u) == 0
    assert angle_between(u, -u / 4) == 180


def test_angle_between_broadcasts_leading_dimensions():
    u, v = drawn(4, 1, 3), drawn(5, 3, seed=1)
    found = angle_between(u, v)
    cosine = (u * v).sum(-1) / (u.norm(dim=-1) * v.norm(dim=-1))
    assert found.shape == (4, 5)
    assert_near(found, torch.rad2deg(torch.acos(cosine)), atol=1e-10)


def test_signed_distance_of_known_points():
    X = torch.tensor([[3.0, 4.0], [0.0, 0.0], [-3.0, -4.0]], dtype=torch.float64)
    assert_near(signed_distance(X, [3.0, 4.0], 5.0), [6.0, 1.0, -4.0])


@pytest.mark.parametrize("n_features", [1, 2, 6])
def test_moving_a_point_by_its_signed_distance_lands_on_the_boundary(n_features):
    X, weight, bias = drawn(20, n_features), drawn(n_features, seed=1), 0.3
    distance = signed_distance(X, weight, bias)
    feet = X - torch.outer(distance, weight / weight.norm())
    assert_near(feet @ weight + bias, torch.zeros(20))
    assert torch.equal(distance > 0, X @ weight + bias > 0)


def test_signed_distance_does_not_depend_on_scale_and_flips_with_the_classifier():
    X, weight, bias = drawn(20, 3), drawn(3, seed=1), -0.7
    distance = signed_distance(X, weight, bias)
    assert_near(signed_distance(X, 40 * weight, 40 * bias), distance)
    assert_near(signed_distance(X, -weight, -bias), -distance)


@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_bisector_holds_the_points_as_far_from_p_as_from_q(n_features):
    p, q = drawn(2, n_features)
    weight, bias = bisector(p, q)
    X = drawn(30, n_features, seed=1)
    feet = X - torch.outer((X @ weight + bias) / weight.norm(), weight / weight.norm())
    assert_near((feet - p).norm(dim=1), (feet - q).norm(dim=1))


@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_bisector_gives_p_the_value_1_and_q_the_value_minus_1(n_features):
    p, q = drawn(2, n_features)
    weight, bias = bisector(p, q)
    assert_near(p @ weight + bias, 1.0)
    assert_near(q @ weight + bias, -1.0)


def signed_rows(X, y, *, constant):
    """Rows s_i (x_i, constant): a separator is a vector whose product with each is at least 1."""
    return np.column_stack([X, np.full(len(X), constant)]) * (2 * y.numpy() - 1)[:, None]


def assert_optimal(X, y, weight, bias, *, count_bias, atol=1e-10):
    """Karush, Kuhn and Tucker: the gradient is a non-negative combination of active constraints."""
    rows = signed_rows(X, y, constant=1.0)
    values = rows @ np.append(weight, bias)
    assert values.min() >= 1 - atol
    gradient = np.append(weight, bias if count_bias else 0.0)
    active = rows[values <= 1 + 1e-7]
    assert len(active) > 0
    multipliers, distance = nnls(active.T, gradient)
    assert (multipliers >= 0).all()
    assert distance <= atol * np.linalg.norm(gradient)


def test_max_margin_of_the_two_points_in_closed_form():
    X, y = two_points(torch.float64)
    weight, bias = max_margin(X, y)
    assert_near(weight, [0.8, 0.4], atol=1e-14)
    assert_near(bias, -2.2, atol=1e-14)
    weight, bias = max_margin(X, y, count_bias=True)
    assert_near(weight, [7 / 6, -1 / 3], atol=1e-13)
    assert_near(bias, -11 / 6, atol=1e-13)


@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_max_margin_of_two_points_is_their_bisector(n_features):
    p, q = drawn(2, n_features)
    weight, bias = max_margin(torch.stack([p, q]), torch.tensor([1.0, 0.0]))
    expected_weight, expected_bias = bisector(p, q)
    assert_near(weight, expected_weight)
    assert_near(bias, expected_bias)


def test_max_margin_on_a_line_lies_midway_in_the_gap():
    weight, bias = max_margin([[-4.0], [-1.0], [0.5], [3.5], [9.0]], [0, 0, 0, 1, 1])
    assert_near(weight, [2 / 3])
    assert_near(bias, -4 / 3)


@pytest.mark.parametrize(("n_features", "seed"), SETS)
def test_max_margin_equals_svc_on_random_data(n_features, seed):
    X, y = separable(40, n_features, seed=seed)
    machine = SVC(kernel="linear", C=1e10, tol=1e-9).fit(X, y)
    weight, bias = max_margin(X, y)
    assert_near(weight, machine.coef_[0].tolist(), atol=1e-6)
    assert_near(bias, machine.intercept_[0], atol=1e-6)


@pytest.mark.parametrize("count_bias", [False, True])
@pytest.mark.parametrize(("n_features", "seed"), SETS)
def test_max_margin_is_the_shortest_vector_that_a_general_solver_finds(n_features, seed, count_bias):
    X, y = separable(12, n_features, seed=seed)
    rows = signed_rows(X, y, constant=1.0)
    counted = np.append(np.ones(n_features), float(count_bias))
    found = minimize(
        lambda v: v @ (counted * v) / 2,
        np.zeros(n_features + 1),
        jac=lambda v: counted * v,
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda v: rows @ v - 1, "jac": lambda v: rows},
        options={"ftol": 1e-13, "maxiter": 500},
    )
    weight, bias = max_margin(X, y, count_bias=count_bias)
    assert found.success
    assert_near(torch.cat([weight, bias[None]]), found.x, atol=1e-9 if count_bias else 1e-6)


@pytest.mark.parametrize("count_bias", [False, True])
@pytest.mark.parametrize(
    ("n_samples", "n_features"), [(2, 1), (10, 1), (40, 2), (60, 10), (10, 50), (20_000, 5)]
)
def test_max_margin_satisfies_the_optimality_conditions(n_samples, n_features, count_bias):
    X, y = separable(n_samples, n_features, margin=0.1, seed=n_samples)
    weight, bias = max_margin(X, y, count_bias=count_bias)
    assert_optimal(X, y, weight, bias, count_bias=count_bias)


@pytest.mark.parametrize("count_bias", [False, True])
def test_max_margin_gives_way_to_a_point_that_intrudes_by_a_millionth(count_bias):
    X, y = separable(30, 3, seed=4)
    weight, bias = max_margin(X, y, count_bias=count_bias)
    far = X[y == 1][0] + 5
    intruder = far + (1 - 1e-6 - far @ weight - bias) * weight / weight.square().sum()
    X, y = torch.cat([X, intruder[None]]), torch.cat([y, torch.ones(1)])
    moved_weight, moved_bias = max_margin(X, y, count_bias=count_bias)
    assert not torch.equal(moved_weight, weight)
    assert_optimal(X, y, moved_weight, moved_bias, count_bias=count_bias)


@pytest.mark.parametrize("count_bias", [False, True])
def test_closest_points_of_both_classes_have_the_values_1_and_minus_1(count_bias):
    for seed in range(5):
        X, y = separable(30, 3, seed=seed)
        weight, bias = max_margin(X, y, count_bias=count_bias)
        value = X @ weight + bias
        if not count_bias:
            assert_near(value[y == 1].min(), 1.0, atol=1e-10)
            assert_near(value[y == 0].max(), -1.0, atol=1e-10)
        assert_near(((2 * y - 1) * value).min(), 1.0, atol=1e-10)


@pytest.mark.parametrize("scale", [1e-3, 0.5, 7.0, 1e5])
def test_max_margin_of_scaled_points_has_the_weight_divided_by_the_scale(scale):
    X, y = separable(30, 3, seed=4)
    weight, bias = max_margin(X, y)
    scaled_weight, scaled_bias = max_margin(scale * X, y)
    assert_near(scale * scaled_weight, weight, atol=1e-10)
    assert_near(scaled_bias, bias, atol=1e-10)


def test_max_margin_moves_with_the_points_when_the_bias_does_not_count():
    X, y = separable(30, 3, seed=4)
    weight, bias = max_margin(X, y)
    for length, atol in ((3.0, 1e-10), (1000.0, 1e-6)):
        shift = length * torch.tensor([0.6, -0.2, 1.0], dtype=torch.float64)
        moved_weight, moved_bias = max_margin(X + shift, y)
        assert_near(moved_weight, weight, atol=atol)
        assert_near(moved_bias + weight @ shift, bias, atol=atol)


def test_max_margin_changes_direction_with_the_origin_when_the_bias_counts():
    X, y = two_points(torch.float64)
    directions = [max_margin(X + shift, y, count_bias=True)[0] for shift in (0.0, 3.0)]
    assert angle_between(*directions) > 1


@pytest.mark.parametrize("count_bias", [False, True])
def test_max_margin_turns_with_the_points(count_bias):
    X, y = separable(30, 4, seed=5)
    rotation, _ = torch.linalg.qr(drawn(4, 4))
    weight, bias = max_margin(X, y, count_bias=count_bias)
    turned_weight, turned_bias = max_margin(X @ rotation, y, count_bias=count_bias)
    assert_near(turned_weight, weight @ rotation, atol=1e-10)
    assert_near(turned_bias, bias, atol=1e-10)


@pytest.mark.parametrize("count_bias", [False, True])
def test_max_margin_ignores_duplicates_and_order(count_bias):
    X, y = separable(25, 3, seed=6)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    weight, bias = max_margin(X, y, count_bias=count_bias)
    again_weight, again_bias = max_margin(X.repeat(2, 1)[order], y.repeat(2)[order], count_bias=count_bias)
    assert_near(again_weight, weight, atol=1e-10)
    assert_near(again_bias, bias, atol=1e-10)


@pytest.mark.parametrize("count_bias", [False, True])
def test_max_margin_of_swapped_labels_has_the_opposite_sign(count_bias):
    X, y = separable(25, 3, seed=6)
    weight, bias = max_margin(X, y, count_bias=count_bias)
    swapped_weight, swapped_bias = max_margin(X, 1 - y, count_bias=count_bias)
    assert_near(swapped_weight, -weight, atol=1e-10)
    assert_near(swapped_bias, -bias, atol=1e-10)


@pytest.mark.parametrize("count_bias", [False, True])
def test_max_margin_of_float32_points_is_the_float64_answer_rounded(count_bias):
    X, y = separable(25, 3, seed=6, dtype=torch.float32)
    weight, bias = max_margin(X, y, count_bias=count_bias)
    exact_weight, exact_bias = max_margin(X.double(), y, count_bias=count_bias)
    assert torch.equal(weight, exact_weight.float())
    assert torch.equal(bias, exact_bias.float())


@pytest.mark.parametrize("count_bias", [False, True])
@pytest.mark.parametrize(
    ("X", "y"),
    [
        ([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]], [0, 0, 1, 1]),
        ([[1.0, 2.0], [1.0, 2.0]], [0, 1]),
        ([[1.0, 2.0], [1.0, 2.0], [5.0, 5.0]], [0, 1, 1]),
        ([[1.0], [2.0], [3.0]], [0, 1, 0]),
        ([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [1.0, 1.0]], [1, 1, 1, 0]),
    ],
    ids=["xor", "coincident", "coincident-and-another", "interleaved", "inside-a-triangle"],
)
def test_max_margin_refuses_what_no_hyperplane_separates(X, y, count_bias):
    message = r"^X and y must be separable by a hyperplane, got classes that are not \(in float64\)$"
    with pytest.raises(ValueError, match=message):
        max_margin(X, y, count_bias=count_bias)


@pytest.mark.parametrize("gap", [1e-13, 3e-14, 1e-14])
def test_max_margin_refuses_points_that_float64_can_hardly_tell_apart(gap):
    with pytest.raises(ValueError, match="must be separable by a hyperplane"):
        max_margin([[1.0, 1.0], [1.0, 1.0 + gap]], [0, 1], count_bias=True)


@pytest.mark.parametrize(("seed", "count_bias"), [(509, True), (1252, False), (3210, False), (3210, True)])
def test_max_margin_of_points_on_many_scales_is_found(seed, count_bias):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(24, 3, generator=generator, dtype=torch.float64)
    X *= 10.0 ** torch.randint(-8, 8, (24, 1), generator=generator)
    y = (X[:, 0] > X[:, 0].median()).double()
    weight, bias = max_margin(X, y, count_bias=count_bias)
    assert_near(((2 * y - 1) * (X @ weight + bias)).min(), 1.0, atol=1e-6)


@pytest.mark.parametrize("count_bias", [False, True])
def test_max_margin_of_points_on_many_scales_is_right_or_refused(count_bias):
    """The margins that it claims are computed here without rounding."""
    n_found = 0
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        X = torch.randn(24, 3, generator=generator, dtype=torch.float64)
        X *= 10.0 ** torch.randint(-8, 8, (24, 1), generator=generator)
        y = (X[:, 0] > X[:, 0].median()).double()
        try:
            weight, bias = max_margin(X, y, count_bias=count_bias)
        except ValueError:
            continue
        margins = [
            sign
            * (sum(map(lambda a, b: Fraction(a) * Fraction(b), x, weight.tolist())) + Fraction(bias.item()))
            for x, sign in zip(X.tolist(), (2 * y.int() - 1).tolist(), strict=True)
        ]
        assert 1 - 2e-6 < min(margins) < 1 + 2e-6
        n_found += 1
    assert n_found > 30


@pytest.mark.parametrize("shift", [1e2, 1e5, 1e8])
def test_max_margin_far_from_the_origin_is_that_of_the_differences(shift):
    """Of whole numbers, which a shift does not round; the bias grows with it, and is rounded."""
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        X = torch.randint(-5, 6, (20, 3), generator=generator).double()
        y = (X.sum(dim=1) > 0).double()
        weight, bias = max_margin(X, y)
        moved_weight, moved_bias = max_margin(X + shift, y)
        assert_near(moved_weight, weight, atol=1e-12)
        assert_near(moved_bias + shift * moved_weight.sum(), bias, atol=1e-15 * shift + 1e-12)


@pytest.mark.parametrize("shift", [1e12, 1e14])
def test_max_margin_so_far_away_that_a_bias_cannot_place_it_is_refused(shift):
    X, y = two_points(torch.float64)
    message = "^X and y must be separable by a hyperplane, got classes whose distance is lost in the rounding"
    with pytest.raises(ValueError, match=message):
        max_margin(X + shift, y)


def test_max_margin_of_more_features_than_points_and_of_many():
    for n_samples, n_features in ((100, 400), (300, 200)):
        X, y = separable(n_samples, n_features, seed=1)
        for count_bias in (False, True):
            weight, bias = max_margin(X, y, count_bias=count_bias)
            assert_optimal(X, y, weight, bias, count_bias=count_bias)


def test_max_margin_whose_search_takes_too_long_is_refused(monkeypatch):
    def endless(*_, maxiter):
        assert maxiter == 60, "thirty a point"
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr("scipy.optimize.nnls", endless)
    message = "^X and y must be separable by a hyperplane, got classes between which the search"
    with pytest.raises(ValueError, match=message):
        max_margin(*two_points())


@pytest.mark.parametrize(
    ("weight", "bias", "ends"),
    [
        ((1, 0), -2, [[2, 1], [2, 3]]),
        ((0, 1), -2, [[1, 2], [5, 2]]),
        ((1, -1), 0, [[1, 1], [3, 3]]),
        ((1, 1), -6, [[3, 3], [5, 1]]),
        ((1, -2), 0, [[2, 1], [5, 2.5]]),
        ((2, 1), -6, [[1.5, 3], [2.5, 1]]),
        ((1, 0), -1, [[1, 1], [1, 3]]),
        ((1, 0), -5, [[5, 1], [5, 3]]),
        ((0, 1), -3, [[1, 3], [5, 3]]),
    ],
)
def test_boundary_segment_of_known_lines(weight, bias, ends):
    """In the rectangle from (1, 1) to (5, 3); the last three lines are sides of it."""
    found = boundary_segment(torch.tensor(weight, dtype=torch.float64), bias, (1, 5), (1, 3))
    assert_near(found, ends)


@pytest.mark.parametrize(
    ("weight", "bias"), [((1, 0), 0), ((1, 0), -5.001), ((0, 1), -3.5), ((1, 1), 0), ((1, -1), 3)]
)
def test_boundary_segment_is_none_where_the_line_misses_the_rectangle(weight, bias):
    assert boundary_segment(torch.tensor(weight, dtype=torch.float64), bias, (1, 5), (1, 3)) is None


def test_boundary_segment_ends_lie_on_the_line_and_on_the_border():
    """A line misses a rectangle exactly when all four corners are on one side of it."""
    xlim, ylim = (-2.0, 1.0), (-0.5, 1.5)
    corners = torch.cartesian_prod(torch.tensor(xlim).double(), torch.tensor(ylim).double())
    missed = 0
    for weight, bias in zip(drawn(300, 2), 1.5 * drawn(300, seed=1), strict=True):
        ends = boundary_segment(weight, bias, xlim, ylim)
        sides = (corners @ weight + bias > 0).unique()
        assert (ends is None) == (len(sides) == 1)
        if ends is None:
            missed += 1
            continue
        assert_near(ends @ weight + bias, torch.zeros(2), atol=1e-12)
        to_border = (ends[:, :, None] - torch.tensor([xlim, ylim]).double()).abs().flatten(1).min(dim=1)
        assert_near(to_border.values, torch.zeros(2), atol=1e-12)
        assert (ends >= corners.min(dim=0).values - 1e-12).all()
        assert (ends <= corners.max(dim=0).values + 1e-12).all()
        assert not torch.equal(ends[0], ends[1])
    assert 50 < missed < 250


def test_boundary_segment_runs_left_to_right_or_up_whatever_the_sign_of_the_weight():
    for weight, bias in (((1.0, 0.0), -2.0), ((0.0, 1.0), -2.0), ((1.0, 1.0), -5.0), ((1.0, -2.0), 0.5)):
        weight = torch.tensor(weight, dtype=torch.float64)
        one, other = (boundary_segment(c * weight, c * bias, (1, 5), (1, 3)) for c in (1, -4))
        assert_near(one, other)
        assert tuple(one[0].tolist()) < tuple(one[1].tolist())


def test_boundary_segment_is_a_point_where_the_line_touches_a_corner():
    assert_near(boundary_segment([1.0, 1.0], -2.0, (0, 1), (0, 1)), [[1, 1], [1, 1]])
    assert_near(boundary_segment([1.0, -1.0], -1.0, (0, 1), (0, 1)), [[1, 0], [1, 0]])


def test_signed_distance_of_a_classifier_in_another_dtype():
    X, weight, bias = drawn(5, 3), drawn(3, seed=1), drawn(1, seed=2)[0]
    expected = signed_distance(X, weight, bias)
    for wide, narrow in ((torch.float64, torch.float32), (torch.float32, torch.float64)):
        found = signed_distance(X.to(wide), weight.to(narrow), bias.to(narrow))
        assert found.dtype == wide
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (
            signed_distance,
            ([[1e308, 1e308]], [1.0, 1.0], 0.0),
            "the distance of X to the boundary of weight and bias",
        ),
        (bisector, ([1e308], [-1e308]), "p - q"),
        (bisector, ([5e-324], [0.0]), "the bisector of p and q"),
        (max_margin, (torch.tensor([[6e-8], [0.0]]).half(), [1, 0]), "weight for X and y"),
    ],
)
def test_a_result_beyond_the_floats_is_refused_by_name(function, arguments, name):
    with pytest.raises(ValueError, match=f"^{name} must be finite, got NaN or infinity$"):
        function(*arguments)


def test_angles_between_vectors_of_many_lengths_at_once():
    u = torch.tensor([[1e-200, 1e-200], [1e200, 0.0], [0.0, 3.0]], dtype=torch.float64)
    assert_near(angle_between(u, [1.0, 0.0]), [45, 0, 90])
