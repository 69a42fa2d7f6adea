"""Numbers at the edge of what a dtype holds, and arguments of unusual kinds: right, or refused by name."""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib._style import INK
from course_lib.data import separable, two_points
from course_lib.geometry import (
    angle,
    angle_between,
    bisector,
    boundary_segment,
    max_margin,
    signed_distance,
)
from course_lib.groups import decay_groups
from course_lib.models import Perceptron
from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.optimum import logistic_objective, logistic_optimum
from course_lib.penalties import l1_penalty, l2_penalty, soft_threshold
from course_lib.plotting import boundaries, contours, curves
from course_lib.probe import coast
from course_lib.scratch import logistic_descent, logistic_sweep
from course_lib.training import train

X, y = two_points(torch.float64)
SIGNS = 2 * y - 1
SVM = torch.tensor([0.8, 0.4], dtype=torch.float64)
ONES = torch.ones(2, dtype=torch.float64)
NAMES = {"xlabel": "x", "ylabel": "y", "zlabel": "z"}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("shift", [1e2, 1e4, 1e6, 1e8])
@pytest.mark.parametrize("count_bias", [True, False])
def test_max_margin_far_from_the_origin(shift, count_bias):
    weight, bias = max_margin(X + shift, y, count_bias=count_bias)
    margins = SIGNS * ((X + shift) @ weight + bias)
    torch.testing.assert_close(margins, ONES, rtol=0, atol=1e-15 * shift + 1e-9)
    if not count_bias:
        torch.testing.assert_close(weight, SVM, rtol=1e-9, atol=0)


@pytest.mark.parametrize("scale", [1e-150, 1e-10, 1e-5, 1e5, 1e150])
def test_max_margin_on_any_scale(scale):
    weight, bias = max_margin(X * scale, y)
    torch.testing.assert_close(weight * scale, SVM, rtol=1e-12, atol=0)
    assert bias.item() == pytest.approx(-2.2, rel=1e-12)


@pytest.mark.parametrize("scale", [1e5, 1e50, 1e150, 1e300])
def test_on_huge_points_a_counted_bias_is_next_to_nothing(scale):
    """Without one, w . (3, 2) = 1 and w . (1, 1) = -1 have the solution (3, -4)."""
    weight, bias = max_margin(X * scale, y, count_bias=True)
    torch.testing.assert_close(weight * scale, torch.tensor([3.0, -4.0]).double(), rtol=1e-8, atol=0)
    assert abs(bias) <= 1 / scale


@pytest.mark.parametrize("scale", [1e-4, 1e-6, 1e-8])
def test_on_tiny_points_a_counted_bias_costs_next_to_nothing(scale):
    weight, bias = max_margin(X * scale, y, count_bias=True)
    assert bias.item() == pytest.approx(-2.2, rel=1e-6)
    torch.testing.assert_close(SIGNS * (X * scale @ weight + bias), ONES, rtol=0, atol=1e-6)


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9, 1e-12])
def test_max_margin_through_a_narrow_gap(gap):
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, gap], [1.0, gap]], dtype=torch.float64)
    weight, bias = max_margin(points, [0, 0, 1, 1])
    assert weight[1].item() * gap == pytest.approx(2.0, rel=1e-9)
    assert bias.item() == pytest.approx(-1.0, rel=1e-9)


@pytest.mark.parametrize("count_bias", [True, False])
@pytest.mark.parametrize("points", [torch.zeros(2, 2), torch.ones(2, 2), X * 1e-20 + 1])
def test_points_that_coincide_are_not_separable(points, count_bias):
    with pytest.raises(ValueError, match="X and y must be separable"):
        max_margin(points, y, count_bias=count_bias)


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_angles_neither_over_nor_underflow_in_float32(size):
    u, v = torch.tensor([[size, 0.0], [0.0, size]])
    assert angle_between(u, v) == pytest.approx(90.0)
    assert signed_distance(torch.tensor([[0.0, 1.0]]), v, 0.0) == pytest.approx(1.0)


def test_angle_of_a_negative_zero():
    assert angle([-1.0, -0.0]) == 180


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_bisector_of_far_and_of_near_points(size):
    weight, _ = bisector(X[0] * size, X[1] * size)
    torch.testing.assert_close(weight * size, SVM, rtol=1e-12, atol=0)


def test_a_bisector_beyond_float64_is_refused():
    with pytest.raises(ValueError, match="p and q"):
        bisector([5e-324, 0.0], [0.0, 0.0])


@pytest.mark.parametrize("size", [1e-170, 1e170])
def test_a_boundary_does_not_depend_on_the_length_of_its_weight(size):
    assert boundary_segment([size, 0.0], -size, (0, 5), (0, 3)).tolist() == [[1.0, 0.0], [1.0, 3.0]]


def test_an_objective_that_overflows_is_refused():
    with pytest.raises(ValueError, match="weight"):
        logistic_objective(X, y, [1e200, 0.0, 0.0], weight_decay=1.0)


@pytest.mark.parametrize("weight_decay", [1e-300, 1e-100, 1e100, 1e300])
def test_weights_only_optimum_for_extreme_lambda(weight_decay):
    weight, _ = logistic_optimum(X, y, weight_decay)
    assert (weight[1] / weight[0]).item() == pytest.approx(0.5, rel=1e-9)
    margin = (X @ weight).diff().abs().item() / 2
    residual = torch.sigmoid(torch.tensor(-margin, dtype=torch.float64)).item()
    assert 2 * margin * weight_decay == pytest.approx(2.5 * residual, rel=1e-6)


@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize("decay_bias", [True, False])
def test_an_optimum_at_zero_is_found(penalty, decay_bias):
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        half = torch.randn(15, 3, generator=generator, dtype=torch.float64)
        order = torch.randperm(30, generator=generator)
        points, labels = torch.cat([half, half])[order], torch.arange(30).lt(15).double()[order]
        weight, bias = logistic_optimum(points, labels, 0.1, penalty=penalty, decay_bias=decay_bias)
        assert weight.abs().max() < 1e-12
        assert abs(bias) < 1e-12


@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_optimum_with_duplicate_features_and_far_from_the_origin(penalty):
    points, labels = separable(30, 3, seed=1)
    weight, bias = logistic_optimum(points, labels, 0.01, penalty=penalty)
    far_weight, far_bias = logistic_optimum(points + 1e4, labels, 0.01, penalty=penalty)
    torch.testing.assert_close(far_weight, weight, rtol=1e-8, atol=1e-8)
    assert (far_bias + far_weight.sum() * 1e4).item() == pytest.approx(bias.item(), abs=1e-6)
    double_weight, _ = logistic_optimum(torch.cat([points, points], dim=1), labels, 0.01, penalty=penalty)
    assert double_weight.isfinite().all()
    if penalty == "l1":
        torch.testing.assert_close(double_weight[:3] + double_weight[3:], weight, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("start", [[1.0], [1.0, 2.0], [1.0] * 4])
def test_a_start_of_another_length_is_refused(start):
    with pytest.raises(ValueError, match="start must have 3 entries"):
        logistic_descent(X, y, lr=1.0, n_steps=1, start=start)


@pytest.mark.parametrize("record", [5, [1.5], "all", [[1, 2]]])
def test_a_record_that_is_no_list_of_steps_is_refused(record):
    with pytest.raises(TypeError, match="record must be"):
        logistic_descent(X, y, lr=1.0, n_steps=9, record=record)


def test_descent_that_overflows_is_refused_without_a_warning():
    with pytest.raises(ValueError, match="lr"):
        logistic_descent(X * 10, y, lr=1e308, n_steps=30)


def test_parameters_that_overflow_in_the_last_step_are_refused():
    model = Perceptron(dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e308)
    with pytest.raises(ValueError, match=r"optimizer: linear\.\w+ is no longer finite"):
        train(model, X, y, optimizer, loss_fn=lambda p, t: ((p - t) ** 2).sum() * 1e9, n_epochs=1)


def test_divergence_under_cross_entropy_is_an_error_of_the_documented_kind():
    model = Perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=10.0)
    with pytest.raises(ValueError, match="optimizer"):
        train(model, *two_points(), optimizer, n_epochs=1000)


def test_class_labels_and_indices_stay_integers():
    model = nn.Sequential(nn.Embedding(4, 3), nn.Flatten(), nn.Linear(3, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    tokens, classes = torch.tensor([[0], [1], [2], [3]]), torch.tensor([0, 1, 0, 1])
    history = train(model, tokens, classes, optimizer, loss_fn=F.cross_entropy, n_epochs=50)
    assert history.loss[-1] < history.loss[0] / 2


def test_an_optimizer_that_needs_a_closure_trains_too():
    model = Perceptron(dtype=torch.float64)
    optimizer = torch.optim.LBFGS(decay_groups(model, 0.0)[0]["params"], lr=0.5)
    assert train(model, X, y, optimizer, n_epochs=5).loss[-1] < 1e-5


def test_what_carries_a_gradient_may_be_measured_and_drawn():
    model = Perceptron(dtype=torch.float64)
    line = (model.linear.weight[0], model.linear.bias[0])
    ax = boundaries(X, y, {"model": line}, xlim=(-4, 4), ylim=(-3, 3))
    assert len(ax.lines[0].get_xdata()) == 2
    curves({"p": (range(2), model(X))}, xlabel="x", ylabel="y")
    points = X.clone().requires_grad_()
    torch.testing.assert_close(max_margin(points, y), max_margin(X, y))
    logistic_descent(points, y, lr=1.0, n_steps=3)
    logistic_optimum(points, y, 0.1)


def test_a_read_only_array_is_as_good_as_any():
    weight = np.array([1.0, 0.0])
    weight.flags.writeable = False
    boundaries(X, y, {"svc": (weight, np.float64(-2.0))}, xlim=(0, 4), ylim=(0, 3))
    assert signed_distance(X, weight, -2.0).tolist() == [1.0, -1.0]


def test_figures_are_the_same_under_a_dark_style():
    with plt.style.context("dark_background"):
        ax = boundaries(X, y, {}, xlim=(0, 4), ylim=(0, 3))
    assert ax.figure.get_facecolor() == (1, 1, 1, 1)
    assert ax.get_facecolor() == (1, 1, 1, 1)
    assert ax.xaxis.label.get_color() == INK


@pytest.mark.parametrize("dtype", ["float32", torch.complex64, torch.int64, None])
def test_a_model_of_no_floating_dtype_is_refused(dtype):
    with pytest.raises(TypeError, match="dtype must be a floating"):
        Perceptron(dtype=dtype)


@pytest.mark.parametrize("make", [Perceptron, lambda seed: separable(4, 2, seed=seed)])
def test_a_seed_beyond_64_bits_is_refused(make):
    with pytest.raises(ValueError, match="seed must be below"):
        make(seed=2**64)


def test_a_number_beyond_float64_is_refused():
    with pytest.raises(ValueError, match="margin must be finite"):
        separable(4, 2, margin=10**400)


def test_a_model_is_seeded_on_this_processor_only(monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("reached the GPUs"))
    Perceptron(seed=3)


def test_the_zeros_of_soft_threshold_have_no_sign():
    assert not torch.signbit(soft_threshold(torch.tensor([-0.5, 0.5, -0.0]), 1.0)).any()


def test_gains_and_biases_of_two_dimensions_are_not_decayed():
    groups = decay_groups(nn.Sequential(nn.Linear(4, 3), nn.LayerNorm((2, 3))), 0.1)
    assert [tuple(p.shape) for p in groups[1]["params"]] == [(3,), (2, 3), (2, 3)]


def test_decays_is_asked_once_for_each_parameter():
    asked = []
    decay_groups(nn.Linear(2, 1), 0.1, decays=lambda name, parameter: not asked.append(name))
    assert asked == ["weight", "bias"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decay_groups(nn.Linear(2, 1), 0.1, decays="weight"), "decays must be callable"),
        (lambda: max_margin(X, y, count_bias="no"), "count_bias must be True or False"),
        (lambda: logistic_optimum(X, y, 0.1, decay_bias="no"), "decay_bias must be True or False"),
        (lambda: logistic_descent(X, y, lr=1.0, n_steps=1, decay_bias=1), "decay_bias must be True or False"),
        (lambda: curves([1, 2], xlabel="x", ylabel="y"), "series must be a dict"),
        (lambda: boundaries(X, y, [1, 2], xlim=(0, 1), ylim=(0, 1)), "classifiers must be a dict"),
    ],
)
def test_an_argument_of_another_kind_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_a_rectangle_of_three_numbers_is_refused():
    with pytest.raises(ValueError, match="xlim must be two increasing numbers"):
        boundary_segment([1.0, 0.0], 0.0, (0, 5, 6), (0, 1))


HALVES = [torch.bfloat16, torch.float16]
BY_A_SHARE = pytest.mark.parametrize("make", [SGDW, partial(ProximalSGD, norm=2)])


@BY_A_SHARE
@pytest.mark.parametrize("size", [1e-300, 1e-150, 1e150, 1e300])
def test_a_squared_norm_shrinks_every_size_by_the_same_share(make, size):
    start, make = torch.tensor([1.0, -3.0], dtype=torch.float64), partial(make, lr=0.1, weight_decay=0.5)
    found, expected = coast(make, size * start, n_steps=20), coast(make, start, n_steps=20)
    torch.testing.assert_close(found / size, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("make", [SGDW, ProximalSGD])
def test_an_absolute_value_stops_the_tiny_at_zero_and_hardly_moves_the_huge(make):
    start = torch.tensor([5e-324, -1e-300, -0.0, 1e300], dtype=torch.float64)
    (after,) = coast(partial(make, lr=0.1, weight_decay=0.5, norm=1), start)
    assert after.tolist() == [0.0, 0.0, 0.0, 1e300]
    assert not torch.signbit(after).any()


@BY_A_SHARE
def test_a_decay_below_half_the_spacing_of_a_dtype_is_lost(make):
    make = partial(make, lr=1e-2, weight_decay=1e-2)
    left = {dtype: coast(make, torch.ones(1, dtype=dtype)).item() for dtype in (*HALVES, torch.float32)}
    assert [value < 1 for value in left.values()] == [False, False, True]


@BY_A_SHARE
def test_a_tiny_lr_in_a_float32_tensor_still_decays_float64_parameters(make):
    """1 - 1e-9 is 1 in float32."""
    make = partial(make, lr=torch.tensor(1e-6), weight_decay=1e-3)
    assert 1 - coast(make, torch.ones(1, dtype=torch.float64)).item() == pytest.approx(1e-9, rel=1e-6)


@pytest.mark.parametrize("dtype", HALVES)
def test_an_optimizer_in_half_precision_reaches_the_minimum_to_its_precision(dtype):
    for make, bottom in ((SGDW, 2.0), (ProximalSGD, 2.5)):
        weight = nn.Parameter(torch.zeros(3, dtype=dtype))
        optimizer = make([weight], lr=0.25, weight_decay=0.5)
        for _ in range(60):
            weight.grad = weight.detach() - 3
            optimizer.step()
        assert weight.dtype == dtype
        torch.testing.assert_close(weight.double(), torch.full((3,), bottom).double(), rtol=0.02, atol=0)


@pytest.mark.parametrize("dtype", [*HALVES, torch.float32])
def test_where_the_value_of_the_l2_penalty_overflows_its_gradient_is_right(dtype):
    large = torch.tensor([torch.finfo(dtype).max / 4], dtype=dtype, requires_grad=True)
    assert l1_penalty(large, 0.5).item() == large.item() / 2
    penalty = l2_penalty(large, 0.5)
    assert penalty.isinf()
    penalty.backward()
    assert large.grad.item() == large.item() / 2


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e150])
def test_penalties_of_tiny_and_of_huge_numbers(size):
    value = torch.tensor([size, -size], dtype=torch.float64)
    assert l1_penalty(value, 0.5).item() == pytest.approx(size, rel=1e-15, abs=0)
    assert l2_penalty(value, 0.5).item() == pytest.approx(size * size / 2, rel=1e-15, abs=1e-323)


@pytest.mark.parametrize("theta", [[1e200, 0.0, 0.0], [1e308, 1e308, 0.0], [[0.0] * 3, [0.0, 0.0, 1e200]]])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_cost_beyond_float64_is_refused_without_a_warning(theta, weight_decay):
    with pytest.raises(
        ValueError, match=r"^(X times theta|the objective of X, theta and weight_decay) must be finite"
    ):
        logistic_objective(X, y, theta, weight_decay=weight_decay, decay_bias=True)


def test_a_sweep_that_overflows_is_refused_without_a_warning():
    for rows in (X * 10, X.float(), X.half()):
        with pytest.raises(ValueError, match=r"lr = 1e\+308 lets the parameters grow"):
            logistic_sweep(rows, y, [0.0, 0.1], lr=1e308, n_steps=30)


def test_a_sweep_over_extreme_decays():
    """Where lr lambda is 1 the parameters are forgotten at every step, below 1e-16 nothing is."""
    plain, tiny, forgetful = logistic_sweep(X, y, [0.0, 1e-300, 2.0], lr=0.5, n_steps=40)
    assert plain.tolist() == tiny.tolist()
    one_step, _ = logistic_sweep(X, y, [0.0, 1.0], lr=0.5, n_steps=1)
    assert abs(forgetful[:2] - one_step[:2]).max() < 0.2 < abs(plain[:2] - one_step[:2]).max()


def test_what_carries_a_gradient_may_be_swept_and_mapped():
    points = X.clone().requires_grad_()
    decays = torch.tensor([0.1], dtype=torch.float64, requires_grad=True)
    theta = logistic_sweep(points, y, decays, lr=1.0, n_steps=3)
    logistic_objective(points, y, theta.requires_grad_())
    axis = torch.linspace(0, 1, 3, requires_grad=True)
    ax = contours(axis, axis, axis * axis[:, None], {"a": points}, **NAMES)
    assert ax.lines[0].get_label() == "a"


@pytest.mark.parametrize("dtype", [*HALVES, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_maps_of_any_dtype_and_size(dtype, size):
    axis = torch.linspace(-1, 1, 5, dtype=dtype)
    bowl = size * (axis**2 + axis[:, None] ** 2)
    ax = contours(axis, axis, bowl, {"a": torch.zeros(2, 2, dtype=dtype)}, **NAMES)
    assert len(ax.collections[1].levels) > 3


def test_a_map_of_a_constant_draws_without_a_warning():
    contours([0.0, 1.0], [0.0, 1.0], [[2.0, 2.0], [2.0, 2.0]], **NAMES)
