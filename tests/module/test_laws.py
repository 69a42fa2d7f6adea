"""Laws that hold for all arguments: what a transformation of them does to the result."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.data import augment, separable
from course_lib.geometry import (
    angle,
    angle_between,
    bisector,
    max_margin,
    signed_distance,
)
from course_lib.landscape import descent_paths, loss_grid
from course_lib.metrics import mape, ulp_distance
from course_lib.models import LinearModel
from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.optimum import logistic_objective, logistic_optimum
from course_lib.penalties import l1_penalty, l2_penalty, soft_threshold
from course_lib.probe import coast
from course_lib.scratch import linear_descent

laws = settings(derandomize=True, deadline=None, max_examples=50)
seeds = st.integers(0, 2**32 - 1)
sizes = st.floats(-3, 3).map(lambda exponent: 10**exponent)
floats64 = st.floats(-1e300, 1e300)


def drawn(seed, *shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_near(found, expected, rtol=1e-9, atol=1e-9):
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=torch.float64), rtol=rtol, atol=atol)


def turned(degrees):
    """Return by how much an angle in degrees misses a whole number of turns."""
    return (degrees + 180) % 360 - 180


# geometry


@given(seed=seeds, n_features=st.integers(2, 6), exponent=st.integers(-200, 200))
@laws
def test_an_angle_follows_rotation_and_not_length(seed, n_features, exponent):
    u, v, w = drawn(seed, 3, n_features)
    rotation, _ = torch.linalg.qr(drawn(seed + 1, n_features, n_features))
    size, degrees = 10.0**exponent, 90 * drawn(seed)
    assert angle_between(u, v) == angle_between(v, u)
    assert_near(angle_between(size * u, v), angle_between(u, v))
    assert_near(angle_between(rotation @ u, rotation @ v), angle_between(u, v))
    assert_near(angle_between(-u, v), 180 - angle_between(u, v))
    assert angle_between(u, w) <= angle_between(u, v) + angle_between(v, w) + 1e-9
    u, v = u[:2], v[:2]
    assert_near(angle(size * u), angle(u))
    assert_near(turned(angle(-u) - angle(u)).abs(), 180.0)
    assert_near(turned(angle(u) - angle(v)).abs(), angle_between(u, v))
    cos, sin = torch.deg2rad(degrees).cos(), torch.deg2rad(degrees).sin()
    anticlockwise = torch.stack([cos * u[0] - sin * u[1], sin * u[0] + cos * u[1]])
    assert_near(turned(angle(anticlockwise) - angle(u) - degrees), 0.0)


@given(seed=seeds, n_features=st.integers(1, 6), size=sizes)
@laws
def test_a_bisector_is_one_line_whichever_point_comes_first(seed, n_features, size):
    p, q = size * drawn(seed, 2, n_features)
    weight, bias = bisector(p, q)
    other_weight, other_bias = bisector(q, p)
    assert torch.equal(other_weight, -weight)
    assert torch.equal(other_bias, -bias)


@given(seed=seeds, n_features=st.integers(1, 6), size=sizes)
@laws
def test_a_signed_distance_changes_by_no_more_than_the_point_moves(seed, n_features, size):
    X, weight, bias = size * drawn(seed, 9, n_features), drawn(seed + 1, n_features), drawn(seed + 2)
    distance = signed_distance(X, weight, bias)
    moves = torch.cdist(X, X, compute_mode="donot_use_mm_for_euclid_dist")
    assert ((distance[:, None] - distance).abs() <= moves + 1e-12 * size).all()
    steepest = X[0] + weight / weight.norm()
    assert_near(signed_distance(steepest[None], weight, bias)[0] - distance[0], 1.0)


@given(seed=seeds, n_features=st.integers(1, 5), size=sizes, count_bias=st.booleans(), swap=st.booleans())
@laws
def test_max_margin_of_moved_points_is_the_classifier_moved(seed, n_features, size, count_bias, swap):
    """Turns, order and swapped labels in both forms; length and place only where the bias is not counted.

    A point x becomes x' = c R x + t, and the value f(x) = w . x + b stays: w' = R w / c, b' = b - w' . t.
    Counted, the bias would be another share of the norm |w|^2 / c^2 + b^2.
    """
    X, y = separable(12, n_features, seed=seed)
    size, shift = (1.0, 0.0) if count_bias else (size, size * drawn(seed, n_features))
    rotation, _ = torch.linalg.qr(drawn(seed + 1, n_features, n_features))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    weight, bias = max_margin(X, y, count_bias=count_bias)
    moved = (size * X @ rotation.T + shift)[order]
    labels, sign = (1 - y[order], -1) if swap else (y[order], 1)
    moved_weight, moved_bias = max_margin(moved, labels, count_bias=count_bias)
    assert_near(size * moved_weight, sign * rotation @ weight, rtol=1e-7, atol=1e-7)
    assert_near(moved_bias, sign * bias - (moved_weight * shift).sum(), rtol=1e-6, atol=1e-6)


@given(seed=seeds, n_features=st.integers(1, 4), k=st.floats(0.1, 10))
@laws
def test_a_counted_bias_is_a_margin_around_the_origin_of_augmented_points(seed, n_features, k):
    """(w, b) of the points x / k is k times (p, q) of the rows (x, k), whose mirror images have the label 0.

    So points k times as large have the same direction only if the constant beside them is, too.
    """
    X, y = separable(12, n_features, seed=seed)
    rows = (2 * y[:, None] - 1) * augment(X, k)
    labels = torch.cat([torch.ones(12), torch.zeros(12)])
    both, offset = max_margin(torch.cat([rows, -rows]), labels)
    weight, bias = max_margin(X / k, y, count_bias=True)
    assert_near(offset, 0.0, atol=1e-7)
    assert_near(torch.cat([weight, bias[None]]) / k, both, rtol=1e-7, atol=1e-7)


@given(seed=seeds, n_features=st.integers(1, 4), count_bias=st.booleans())
@laws
def test_max_margin_rests_on_its_closest_points_alone(seed, n_features, count_bias):
    X, y = separable(15, n_features, seed=seed)
    weight, bias = max_margin(X, y, count_bias=count_bias)
    signed = (2 * y - 1) * (X @ weight + bias)
    closest = signed < 1 + 1e-6
    if closest.all() or not 0 < y[closest].mean() < 1:
        closest = torch.ones_like(closest)  # one class alone has no closest points of the other
    further = X + (2 * y[:, None] - 1) * weight / weight.norm()
    for points, labels in (
        (X[closest], y[closest]),
        (torch.cat([X, further[signed > 1.5]]), torch.cat([y, y[signed > 1.5]])),
    ):
        again_weight, again_bias = max_margin(points, labels, count_bias=count_bias)
        assert_near(again_weight, weight, rtol=1e-7, atol=1e-7)
        assert_near(again_bias, bias, rtol=1e-6, atol=1e-6)


# penalties and optimizers


@given(seed=seeds, factor=st.floats(-100, 100), weight_decay=st.floats(0, 10))
@laws
def test_penalties_are_homogeneous_and_l1_is_a_norm(seed, factor, weight_decay):
    p, q = drawn(seed, 2, 7)
    assert_near(l1_penalty(factor * p, weight_decay), abs(factor) * l1_penalty(p, weight_decay))
    assert_near(l2_penalty(factor * p, weight_decay), factor**2 * l2_penalty(p, weight_decay))
    separate = l1_penalty([p, q], weight_decay)
    assert l1_penalty(p + q, weight_decay) <= separate + 1e-12
    sum_and_difference = l2_penalty([p + q, p - q], weight_decay)
    assert_near(sum_and_difference, 2 * l2_penalty([p, q], weight_decay))  # the law of the parallelogram


@given(seed=seeds, first=st.floats(0, 3), second=st.floats(0, 3))
@laws
def test_soft_threshold_is_odd_grows_and_adds_up(seed, first, second):
    x = 3 * drawn(seed, 50)
    once = soft_threshold(x, first)
    assert torch.equal(soft_threshold(-x, first), -once + 0.0)
    assert (soft_threshold(x.sort().values, first).diff() >= 0).all()
    assert_near(soft_threshold(once, second), soft_threshold(x, first + second), rtol=0, atol=1e-14)
    assert_near(soft_threshold(2 * x, 2 * first), 2 * once, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (SGDW, lambda w, rate: w * (1 - rate)),
        (torch.optim.SGD, lambda w, rate: w * (1 - rate)),
        (torch.optim.AdamW, lambda w, rate: w * (1 - rate)),
        (partial(ProximalSGD, norm=2), lambda w, rate: w / (1 + rate)),
        (partial(ProximalSGD, norm=1), soft_threshold),
        (partial(SGDW, norm=1), soft_threshold),
    ],
)
@given(seed=seeds, lr=st.floats(1e-3, 1), share=st.floats(0.01, 0.99), n_steps=st.integers(1, 4))
@laws
def test_without_a_gradient_decay_shrinks_and_turns_no_sign(make, left, seed, lr, share, n_steps):
    start = drawn(seed, 5)
    path = coast(partial(make, lr=lr, weight_decay=share / lr), start, n_steps=n_steps)
    for before, after in zip([start, *path], path, strict=False):
        assert ((after.abs() < before.abs()) | ((before == 0) & (after == 0))).all()
        assert (after * before >= 0).all()
        assert_near(after, left(before, share), rtol=1e-12, atol=1e-12)


# metrics


@given(seed=seeds, exponent=st.integers(-50, 50), zeros=st.sampled_from(["absolute", "raise"]))
@laws
def test_mape_does_not_depend_on_the_unit(seed, exponent, zeros):
    prediction, target = drawn(seed, 2, 9)
    error = mape(prediction, target, zeros=zeros)
    assert mape(prediction * 2.0**exponent, target * 2.0**exponent, zeros=zeros) == error
    assert mape(-prediction, -target, zeros=zeros) == error
    assert math.isclose(mape(3 * prediction, 3 * target, zeros=zeros), error, rel_tol=1e-12)


@given(a=floats64, b=floats64, c=floats64)
@laws
def test_ulps_are_a_metric(a, b, c):
    there, on, directly = (ulp_distance(*pair).item() for pair in ((a, b), (b, c), (a, c)))
    assert ulp_distance(b, a) == there
    assert (there == 0) == (a == b)
    assert directly <= there + on


@given(start=st.floats(-1e6, 1e6, width=32), n_steps=st.integers(0, 20), upwards=st.booleans())
@laws
def test_as_many_ulps_as_steps_to_the_next_value(start, n_steps, upwards):
    begin = end = torch.tensor(start, dtype=torch.float32)
    for _ in range(n_steps):
        end = end.nextafter(torch.tensor(math.inf if upwards else -math.inf))
    assert ulp_distance(begin, end) == n_steps


# losses, their minima and the way there


@given(
    seed=seeds,
    penalty=st.sampled_from(["l1", "l2"]),
    weight_decay=st.floats(0.01, 10),
    decay_bias=st.booleans(),
    share=st.floats(0, 1),
)
@laws
def test_the_logistic_objective_is_convex_and_its_optimum_below_all(
    seed, penalty, weight_decay, decay_bias, share
):
    X, y = drawn(seed, 12, 3), (drawn(seed + 1, 12) > 0).double()
    y[:2] = torch.tensor([0.0, 1.0])

    def objective(weight, bias):
        options = {"penalty": penalty, "decay_bias": decay_bias}
        return logistic_objective(X, y, LinearModel(weight, bias), weight_decay, **options).item()

    (u, v), (a, b) = 2 * drawn(seed + 2, 2, 3), 2 * drawn(seed + 3, 2)
    chord = share * objective(u, a) + (1 - share) * objective(v, b)
    assert objective(share * u + (1 - share) * v, share * a + (1 - share) * b) <= chord + 1e-12
    optimum = logistic_optimum(X, y, weight_decay, penalty=penalty, decay_bias=decay_bias)
    lowest = objective(*optimum)
    assert lowest <= min(objective(u, a), objective(v, b)) + 1e-12
    near = objective(optimum[0] + 1e-5 * u, optimum[1] + 1e-5 * a)  # so near that a slope would show
    assert lowest <= near + 1e-12


@given(
    seed=seeds,
    settings=st.sampled_from(
        [
            {},
            {"momentum": 0.9},
            {"momentum": 0.9, "nesterov": True},
            {"momentum": 0.5, "dampening": 0.5},
            {"optimizer": "SGDW"},
            {"optimizer": "SGDW", "momentum": 0.9},
        ]
    ),
    weight_decay=st.floats(0, 1),
    decay_bias=st.booleans(),
    batch_size=st.integers(1, 6),
    first=st.floats(-3, 3),
    second=st.floats(-3, 3),
)
@laws
def test_descent_with_sgd_is_linear_in_targets_and_start(
    seed, settings, weight_decay, decay_bias, batch_size, first, second
):
    X, Y, starts = drawn(seed, 6, 2), drawn(seed + 1, 2, 6, 2), drawn(seed + 2, 2, 3, 2)

    def path(Y, start):
        schedule = {"lr": 0.05, "n_epochs": 3, "batch_size": batch_size}
        decay = {"weight_decay": weight_decay, "decay_bias": decay_bias}
        return linear_descent(X, Y, start, **schedule, **decay, **settings)

    mixed = path(first * Y[0] + second * Y[1], first * starts[0] + second * starts[1])
    assert_near(mixed, first * path(Y[0], starts[0]) + second * path(Y[1], starts[1]))


@given(seed=seeds, n_first=st.integers(1, 5), n_second=st.integers(1, 5), weight_decay=st.floats(0, 1))
@laws
def test_a_path_of_descent_goes_on_from_where_it_was(seed, n_first, n_second, weight_decay):
    model, X, y = nn.Linear(2, 1, dtype=torch.float64), drawn(seed, 6, 2), drawn(seed + 1, 6, 1)
    walk = partial(descent_paths, model, X, y, lr=0.1, weight_decay=weight_decay)
    (whole,) = walk(drawn(seed, 3), n_steps=n_first + n_second)
    (rest,) = walk(whole[n_first], n_steps=n_second)
    assert_near(rest, whole[n_first:], rtol=1e-12, atol=1e-12)


@given(seed=seeds, shift=st.floats(-3, 3), squared=st.booleans())
@laws
def test_a_grid_moves_with_its_origin_and_turns_with_its_directions(seed, shift, squared):
    inputs = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    model, n_parameters = (nn.Linear(2, 1), 3) if squared else (inputs, 9)
    X, y = drawn(seed, 6, 2), drawn(seed + 1, 6, 1)
    u, v, origin = drawn(seed + 2, 3, n_parameters)
    xs, ys = torch.tensor([-1.0, 0.5, 2.0]).double(), torch.tensor([-2.0, 1.0]).double()
    losses = partial(loss_grid, model.double(), X, y)
    plain = losses(xs, ys, directions=(u, v), origin=origin)
    assert_near(losses(xs - shift, ys, directions=(u, v), origin=origin + shift * u), plain)
    assert_near(losses(ys, xs, directions=(v, u), origin=origin), plain.T)
    assert_near(losses(2 * xs, ys, directions=(u / 2, v), origin=origin), plain)
