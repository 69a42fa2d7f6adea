"""One test a claim of book/scratch_vs_torch.ipynb; its docstring is the claim, word for word."""

from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import make_regression
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_percentage_error
from torch import nn

from course_lib import rules
from course_lib.data import curved_points
from course_lib.metrics import compare, mape, ulp_distance
from course_lib.parity import TOLERANCE, grid, parity
from course_lib.scratch import linear_descent
from tests.refuting import being, refuted_by, times


def draw(seed):
    """Features and targets of the source's experiment, the chapter's for seed 0."""
    settings = {"n_informative": 5, "bias": 0.5, "noise": 1, "random_state": seed}
    arrays = make_regression(n_samples=10_100, n_features=6, n_targets=3, **settings)
    return tuple(torch.from_numpy(array) for array in arrays)


TEN_DRAWS = [draw(seed) for seed in range(10)]
FEATURES, TARGETS = TEN_DRAWS[0]
X, Y = FEATURES[:100], TARGETS[:100]
X_VALID = FEATURES[100:]
SOURCE = {"lr": 0.01, "weight_decay": 0.01, "batch_size": 33, "n_epochs": 16}
START = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def layer_at(theta):
    layer = nn.Linear(6, 3, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(theta[:-1].T)
        layer.bias.copy_(theta[-1])
    return layer


def torch_path(X=X, Y=Y, batch_size=33, n_epochs=16):
    """Weights and biases after each of the source's steps, by torch."""
    layer, path = layer_at(START), []
    groups = [{"params": [layer.weight], "weight_decay": 0.01}, {"params": [layer.bias]}]
    optimizer = torch.optim.SGD(groups, lr=0.01)
    for _ in range(n_epochs):
        for x, y in zip(X.split(batch_size), Y.split(batch_size), strict=True):
            optimizer.zero_grad()
            F.mse_loss(layer(x), y).backward()
            optimizer.step()
            path.append(torch.vstack([layer.weight.T, layer.bias]).detach().clone())
    return torch.stack(path)


def predictions(theta, X=X_VALID):
    theta = torch.as_tensor(theta)
    return X @ theta[:-1] + theta[-1]


def closed_form(lam=0.01, X=X, Y=Y, counts=None):
    """The minimum of the mean squared error and the penalty on the weights; row i counts counts[i] times."""
    counts = torch.ones(len(X), dtype=torch.float64) if counts is None else counts
    Z = torch.cat([X, torch.ones(len(X), 1)], dim=1)
    weighted = 2 / (counts.sum() * Y.shape[1]) * counts[:, None] * Z
    decayed = torch.diag(torch.tensor([1.0] * 6 + [0.0], dtype=torch.float64))
    return torch.linalg.solve(weighted.T @ Z + lam * decayed, weighted.T @ Y)


@refuted_by(linear_descent, weight_decay=times(1.001))
@refuted_by(torch.optim.SGD, momentum=being(0.001))
def test_parity_to_rounding():
    """On ten of ten draws of the chapter's experiment, regression by hand and in torch stay within 1e-12 of each other over 64 steps with decay, in float64."""
    for features, targets in TEN_DRAWS:
        x, y = features[:100], targets[:100]
        by_hand, by_torch = linear_descent(x, y, START, **SOURCE), torch_path(x, y)
        assert by_hand.shape == by_torch.shape == (64, 7, 3)
        assert compare(by_hand, by_torch).max_abs < 1e-12
        without_decay = linear_descent(x, y, START, **SOURCE | {"weight_decay": 0.0})
        assert compare(without_decay, by_torch).max_abs > 0.05


@refuted_by(mape, prediction=times(1 + 1e-14))
def test_copied_parameters_agree():
    """After the parameters are copied, the predictions by hand and by torch agree to a MAPE below 1e-15, as a fraction."""
    layer = layer_at(START)
    prediction = layer(X_VALID).detach()
    assert mape(predictions(START), prediction, percent=False) < 1e-15
    assert mape(predictions(START + 1e-9), prediction, percent=False) > 1e-10


@refuted_by(F.mse_loss, reduction=being("sum"))
def test_gradient_in_matrix_form():
    """The gradient of the mean squared error over n rows and k outputs plus (λ/2)‖W‖² is 2XᵀE/(nk) + λW for the weights and 2Eᵀ1/(nk) for the biases."""
    for n, k, lam in ((100, 3, 0.01), (7, 2, 3.0)):
        x, y = X[:n], Y[:n, :k]
        W, b = START[:-1, :k].clone().requires_grad_(), START[-1, :k].clone().requires_grad_()
        (F.mse_loss(x @ W + b, y) + lam / 2 * (W**2).sum()).backward()
        E = (x @ W + b - y).detach()
        torch.testing.assert_close(W.grad, 2 * x.T @ E / (n * k) + lam * W.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            b.grad, 2 * E.T @ torch.ones(n, dtype=E.dtype) / (n * k), rtol=1e-12, atol=1e-12
        )


def central_difference(function, x, h):
    return (function(x + h) - function(x - h)) / (2 * h)


@refuted_by(central_difference, result=times(1 + 1e-13))
def test_central_differences_of_a_quadratic():
    """Central differences of a quadratic have no error but rounding, so that a step of 1 is better than one of 1e-5; for a cubic it is the other way round."""

    def error(function, slope, h):
        return abs(central_difference(function, 1.1, h) - slope)

    for a, b, c in ((3.7, -2.3, 0.9), (0.3, 5.1, -7.0)):
        one, small = (error(lambda w: a * w * w + b * w + c, 2.2 * a + b, h) for h in (1.0, 1e-5))  # noqa: B023
        assert one < 1e-14 < small
    one, small = (error(lambda w: w * w * w, 3 * 1.1**2, h) for h in (1.0, 1e-5))
    assert small < 1e-9 < one


@refuted_by(torch.split, split_size_or_sections=being(25))
def test_four_batches_of_a_third():
    """100 rows in batches of `100 // 3` are four batches, the last of one row, and the mean of their means is not the loss per row."""
    squares = (predictions(START)[:100] - TARGETS[100:200]).square()
    batches = torch.split(squares, 100 // 3)
    assert [len(batch) for batch in batches] == [33, 33, 33, 1]
    mean_of_means = torch.stack([batch.mean() for batch in batches]).mean()
    weighted = sum(batch.mean() * len(batch) for batch in batches) / 100
    assert weighted == pytest.approx(squares.mean())
    assert abs(mean_of_means / squares.mean() - 1) > 0.05


@refuted_by(linear_descent, batch_size=being(25))
@refuted_by(linear_descent, weight_decay=times(0.5))
def test_lone_row_pulls():
    """On ten of ten draws, a last batch of one row moves the end of training more than fifty times as far from the closed form as batches of equal size do, to the minimum in which that row counts 33 times."""
    once, often = torch.ones(100, dtype=torch.float64), torch.ones(100, dtype=torch.float64)
    often[-1] = 33

    def end(x, y, lr, batch_size):
        settings = {"lr": lr, "n_epochs": int(25 / lr), "batch_size": batch_size}
        return linear_descent(x, y, START, weight_decay=0.01, **settings)[-1]

    for features, targets in TEN_DRAWS:
        x, y = features[:100], targets[:100]
        alike, weighted = (closed_form(X=x, Y=y, counts=counts) for counts in (once, often))
        lone, equal = (end(x, y, 0.01, batch_size) for batch_size in (33, 25))
        moved = (lone - alike).abs().max()
        assert moved > 50 * (equal - alike).abs().max()
        assert (lone - weighted).abs().max() < 0.03 * moved
    near, nearer = ((end(X, Y, lr, 33) - closed_form(counts=often)).abs().max() for lr in (0.01, 0.002))
    assert nearer < 0.3 * near < 0.01


@refuted_by(Ridge, alpha=times(1.001))
@refuted_by(linear_descent, weight_decay=times(1.001))
def test_ridge_alpha_has_the_outputs_in_it():
    """A decay of λ with `MSELoss` over n rows and k outputs is `Ridge` with alpha = λnk/2, and both are the closed form."""
    for n, k, lam in ((100, 3, 0.01), (100, 3, 0.3), (60, 2, 0.1), (40, 1, 0.05)):
        x, y = FEATURES[:n], TARGETS[:n, :k]
        expected = closed_form(lam, x, y).numpy()
        ridge = Ridge(alpha=lam * n * k / 2).fit(x, y)
        found = np.vstack([ridge.coef_.reshape(k, 6).T, np.reshape(ridge.intercept_, (1, k))])
        assert np.abs(found - expected).max() < 1e-10
        trained = linear_descent(x, y, START[:, :k], lr=0.5 * k / 3, n_epochs=2000, weight_decay=lam)[-1]
        assert (trained - torch.as_tensor(expected)).abs().max() < 1e-10


def shrunk_first(weight, gradient, lr, decay):
    return (1 - lr * decay) * weight - lr * gradient


def two_orders(dtype):
    """A thousand weights by the two forms of a step with decay, entry by entry."""
    target, (lr, decay) = np.linspace(-2, 2, 1000).astype(dtype), (dtype(0.1), dtype(0.1))
    added = shrunk = np.ones(1000, dtype)
    for _ in range(200):
        added = added - lr * ((added - target) + decay * added)
        shrunk = shrunk_first(shrunk, shrunk - target, lr, decay)
    return added, shrunk


def the_first_twice(pair):
    return pair[0], pair[0]


@refuted_by(shrunk_first, decay=times(1.001))
@refuted_by(two_orders, result=the_first_twice)
def test_algebra_is_not_arithmetic():
    """Adding the decay to the gradient and shrinking the weight first are the same step in algebra, and differ by some ULPs in floating point."""
    for dtype in (np.float32, np.float64):
        added, shrunk = two_orders(dtype)
        assert 1 <= ulp_distance(added, shrunk).max() < 100
        np.testing.assert_allclose(added, shrunk, rtol=100 * np.finfo(dtype).eps)


@refuted_by(F.linear, result=times(1 + 2**-52))
def test_equal_operations_are_equal_bits():
    """With the same operations as torch, not only the same formula, regression by hand equals torch bit for bit, over 64 steps."""
    weight, bias, path = START[:-1].T.contiguous(), START[-1], []
    for _ in range(16):
        for x, y in zip(X.split(33), Y.split(33), strict=True):
            error = (2 / y.numel()) * (F.linear(x, weight, bias) - y)
            weight = weight.add((error.T @ x).add(weight, alpha=0.01), alpha=-0.01)
            bias = bias.add(error.sum(dim=0), alpha=-0.01)
            path.append(torch.vstack([weight.T, bias]))
    by_torch = torch_path()
    assert len(path) == 64
    assert torch.equal(torch.stack(path), by_torch)
    assert not compare(linear_descent(X, Y, START, **SOURCE), by_torch).equal


def small_draw(seed):
    """Features, targets and a start of a small regression."""
    torch.manual_seed(seed)
    return [torch.randn(*shape, dtype=torch.float64) for shape in ((15, 3), (15, 2), (4, 2))]


@refuted_by(linear_descent, betas=being((0.9, 0.999)))
def test_rounding_can_be_amplified():
    """With Adam and a first beta of 0, two runs of one program that start 1e-15 apart can be more than 1e-8 apart after 500 steps; with SGD, and with Adam's usual betas, they stay within 1e-12 on ten of ten draws."""

    def gap(x, y, start, **rule):
        one, two = (
            linear_descent(x, y, begin, lr=0.05, n_epochs=500, **rule)[-1] for begin in (start, start + 1e-15)
        )
        return (one - two).abs().max()

    assert gap(*small_draw(2), optimizer="Adam", betas=(0.0, 0.999)) > 1e-8
    for seed in range(10):
        assert gap(*small_draw(seed)) < 1e-12
        assert gap(*small_draw(seed), optimizer="Adam") < 1e-12


@refuted_by(linear_descent, eps=being(1e-8))
def test_float32_hides_a_wrong_eps():
    """Adam with an `eps` of 1e-7 instead of 1e-8 passes the wall's tolerance for float32, and fails that for float64, on ten of ten draws."""
    settings = {"lr": 0.01, "n_epochs": 60, "optimizer": "Adam"}
    for seed in range(10):
        for dtype, seen in ((torch.float32, False), (torch.float64, True)):
            data = [tensor.to(dtype) for tensor in small_draw(seed)]
            right, wrong = (linear_descent(*data, eps=eps, **settings) for eps in (1e-8, 1e-7))
            assert ((right - wrong).abs().max() > TOLERANCE[dtype]) == seen


@refuted_by(mape, result=times(2))
def test_mape_below_the_spacing():
    """A MAPE can be below the spacing of float64 even if every entry differs, but below half the spacing some entries are exactly equal."""
    eps = np.finfo(np.float64).eps
    target = np.linspace(1.5, 1.99, 1000)
    neighbors = np.nextafter(target, 2)
    assert compare(neighbors, target).n_different == 1000
    assert eps / 2 < mape(neighbors, target, percent=False) < 0.7 * eps
    sizes = 2.0 ** np.random.default_rng(0).uniform(-20, 20, 100_000)
    for towards in (0, np.inf):  # no difference of one entry is below half the spacing
        assert (np.abs(np.nextafter(sizes, towards) - sizes) / sizes).min() >= eps / 2
    neighbors[100:] = target[100:]
    assert 0 < mape(neighbors, target, percent=False) < eps / 2


def critical_rate(hessian):
    return 2 / torch.linalg.eigvalsh(hessian)[-1].item()


@refuted_by(critical_rate, result=times(2))
def test_stable_runs_forget_rounding():
    """Below the critical learning rate the difference between two programs stays at rounding; above, it grows, but stays a tiny fraction of the parameters, on ten of ten draws."""
    for seed in range(10):
        x, y = curved_points(torch.float64, seed=seed)
        Z = torch.cat([x, torch.ones_like(x)], dim=1)
        hessian, pull = 2 * Z.T @ Z / 50, 2 * Z.T @ y / 50
        critical = critical_rate(hessian)
        for factor, stable in ((0.1, True), (0.9, True), (1.03, False)):
            one = two = torch.tensor([[6.0], [-3.0]], dtype=torch.float64)
            for _ in range(400):
                one = one - factor * critical * (hessian @ one - pull)
                two = two - factor * critical * (2 * Z.T @ (Z @ two - y) / 50)
            gap, size = (one - two).abs().max(), one.abs().max()
            assert gap < 1e-13 if stable else 1e-9 < gap < 1e-12 * size


@refuted_by(mape, result=times(1.001))
def test_mape_is_not_symmetric():
    """The MAPE of 150 for 100 is 50 percent, and that of 100 for 150 is 33.3."""
    assert mape([150.0], [100.0]) == pytest.approx(50)
    assert mape([100.0], [150.0]) == pytest.approx(100 / 3)


@refuted_by(mape, result=times(2))
def test_mape_hides_one_bad_entry():
    """One prediction of 30,000 that is twice its target leaves a MAPE below 0.004 percent."""
    target = START.new_ones(30_000)
    prediction = target.clone()
    prediction[777] = 2.0
    assert 0 < mape(prediction, target) < 0.004
    assert compare(prediction, target).where == (777,)


@refuted_by(mape, result=times(2))
def test_mape_breaks_at_zero():
    """With a target of 0, scikit-learn's MAPE of an error of 0.001 is over a billion; ours counts the error as it is."""
    assert mean_absolute_percentage_error([0.0], [0.001]) > 1e9
    assert mape([0.001], [0.0], percent=False) == 0.001


@refuted_by(mape, result=times(1.5))
@refuted_by(linear_descent, weight_decay=being(0.01))
def test_one_percent_accepts_no_decay():
    """On eight of ten draws of the experiment, the chapter's among them, a program that forgot the decay is within 1 percent in MAPE."""
    percents = []
    for seed, (features, targets) in enumerate(TEN_DRAWS):
        torch.manual_seed(seed)
        layer = nn.Linear(6, 3, dtype=torch.float64)
        start = torch.vstack([layer.weight.T, layer.bias]).detach()
        right, without = (
            predictions(
                linear_descent(features[:100], targets[:100], start, **SOURCE | changes)[-1], features[100:]
            )
            for changes in ({}, {"weight_decay": 0.0})
        )
        percents.append(mape(without, right))
    assert sum(percent < 1 for percent in percents) == 8
    assert 0.1 < percents[0] < 1


@refuted_by(torch.testing.assert_close, rtol=being(1e-7), atol=being(0.0))
def test_assert_close_defaults_are_loose():
    """By default `assert_close` accepts 1e-6 for 1.1e-5, and for −5e-6, in float32, and 1e-8 for 9e-8 in float64."""
    close = torch.testing.assert_close
    for dtype, a, b in (
        (torch.float32, 1e-6, 1.1e-5),
        (torch.float32, 1e-6, -5e-6),
        (torch.float64, 1e-8, 9e-8),
    ):
        pair = torch.tensor([a, b], dtype=dtype)
        close(*pair)
        with pytest.raises(AssertionError):
            close(*pair, rtol=1e-3, atol=0)


@refuted_by(linear_descent, weight_decay=times(1.01))
@refuted_by(linear_descent, dampening=being(0.0))
def test_parity_wall():
    """SGD, SGDW, Adam and AdamW by hand agree with torch in every setting of the wall: within 2e-5 in float32 and 1e-13 in float64."""
    runs = grid()
    assert {run.optimizer for run in runs} == {"SGD", "SGDW", "Adam", "AdamW"}
    claimed = {torch.float32: 2e-5, torch.float64: 1e-13}
    for run in runs[::7]:  # every column and row; tests/module/test_parity.py runs them all
        assert parity(run).max_abs <= claimed[run.dtype], run


def always_damped(gradient, velocity=None, *, momentum=0.0, dampening=0.0, nesterov=False):
    """The direction of SGD, but the first step is dampened like the others."""
    velocity = 0 * gradient if velocity is None else velocity
    return rules.sgd(gradient, velocity, momentum=momentum, dampening=dampening, nesterov=nesterov)


@refuted_by(always_damped, momentum=times(1.001))
@refuted_by(always_damped, velocity=being(None), dampening=being(0.0))
def test_wall_sees_a_planted_mistake():
    """When the first step of a run with momentum is dampened, too, every setup of the wall's rules with dampening and decay is beyond its tolerance, and no other rule's is."""
    decayed = [run for run in grid() if run.weight_decay]
    dampened = [run for run in decayed if run.dampening]
    assert len(dampened) == 24
    with patch("course_lib.scratch.sgd", always_damped):
        for run in dampened:
            assert parity(run).max_abs > TOLERANCE[run.dtype], run
        for run in [run for run in decayed if not run.dampening][::5]:  # every column
            assert parity(run).max_abs <= TOLERANCE[run.dtype], run


@refuted_by(F.binary_cross_entropy_with_logits, result=times(0.999))
@refuted_by(F.binary_cross_entropy, result=times(3))
def test_logits_keep_the_slope():
    """In float32, at logit 18 for label 0 and at logit -40 for label 1, `BCELoss` of the sigmoid has a slope below 1e-5, and `BCEWithLogitsLoss` one of size 1."""
    for logit, label in ((18.0, torch.tensor(0.0)), (-40.0, torch.tensor(1.0))):
        z = torch.tensor(logit, requires_grad=True)
        (of_sigmoid,) = torch.autograd.grad(F.binary_cross_entropy(torch.sigmoid(z), label), z)
        (of_logits,) = torch.autograd.grad(F.binary_cross_entropy_with_logits(z, label), z)
        assert abs(of_sigmoid) < 1e-5
        assert abs(of_logits) == pytest.approx(1, abs=1e-6)
