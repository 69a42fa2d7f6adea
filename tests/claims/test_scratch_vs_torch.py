"""One test a claim of book/scratch_vs_torch.ipynb; its docstring is the claim, word for word."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import make_regression
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_percentage_error
from torch import nn

from course_lib.data import curved_points
from course_lib.metrics import compare, mape, ulp_distance
from course_lib.parity import grid, parity
from course_lib.scratch import linear_descent

FEATURES, TARGETS = (
    torch.from_numpy(array)
    for array in make_regression(
        n_samples=10_100, n_features=6, n_targets=3, n_informative=5, bias=0.5, noise=1, random_state=0
    )
)
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


def torch_path(batch_size=33, n_epochs=16):
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


def predictions(theta):
    theta = torch.as_tensor(theta)
    return X_VALID @ theta[:-1] + theta[-1]


def closed_form(lam=0.01):
    Z = torch.cat([X, torch.ones(100, 1)], dim=1)
    decayed = torch.diag(torch.tensor([1.0] * 6 + [0.0], dtype=torch.float64))
    return torch.linalg.solve(2 / Y.numel() * Z.T @ Z + lam * decayed, 2 / Y.numel() * Z.T @ Y)


def test_parity_to_rounding():
    """From the same start, linear regression by hand and in torch stay within 1e-12 of each other, over 64 steps with decay, in float64."""
    by_hand = linear_descent(X, Y, START, **SOURCE)
    by_torch = torch_path()
    assert by_hand.shape == by_torch.shape == (64, 7, 3)
    assert compare(by_hand, by_torch).max_abs < 1e-12
    without_decay = linear_descent(X, Y, START, **SOURCE | {"weight_decay": 0.0})
    assert compare(without_decay, by_torch).max_abs > 0.1


def test_copy_is_exact():
    """After the parameters are copied, the MAPE of the parameters is exactly 0, and that of the predictions below 1e-12 percent."""
    layer = layer_at(START)
    assert mape(START[:-1], layer.weight.T) == 0.0
    assert mape(START[-1], layer.bias) == 0.0
    assert mape(predictions(START), layer(X_VALID)) < 1e-12
    assert mape(predictions(START + 0.01), layer(X_VALID)) > 1


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


def test_central_differences_of_a_quadratic():
    """Central differences of a quadratic are exact but for rounding at any step, so a larger step is better; of other functions they are best at a small one."""

    def errors(function, slope, steps):
        return [abs((function(1.1 + h) - function(1.1 - h)) / (2 * h) - slope) for h in steps]

    steps = (1.0, 1e-5, 1e-10)
    large, middle, small = errors(lambda w: 3.7 * w * w - 2.3 * w + 0.9, 2 * 3.7 * 1.1 - 2.3, steps)
    assert large < 1e-14 < middle < small
    large, middle, small = errors(np.cos, -np.sin(1.1), steps)
    assert middle < 1e-9 < small < large


def test_four_batches_of_a_third():
    """100 rows in batches of `100 // 3` are four batches, the last of one row, and the mean of their means is not the loss per row."""
    squares = (predictions(START)[:100] - TARGETS[100:200]).square()
    batches = squares.split(100 // 3)
    assert [len(batch) for batch in batches] == [33, 33, 33, 1]
    mean_of_means = torch.stack([batch.mean() for batch in batches]).mean()
    weighted = sum(batch.mean() * len(batch) for batch in batches) / 100
    assert weighted == pytest.approx(squares.mean())
    assert abs(mean_of_means / squares.mean() - 1) > 0.05


def test_lone_row_pulls():
    """A last batch of one row moves the end of training away from the closed form, more than ten times as far as batches of equal size do."""
    gaps = [
        np.abs(linear_descent(X, Y, START, **SOURCE | changes)[-1] - closed_form().numpy()).max()
        for changes in ({"n_epochs": 3000}, {"n_epochs": 3000, "batch_size": 25})
    ]
    assert gaps[0] > 10 * gaps[1]


def test_ridge_alpha_has_the_outputs_in_it():
    """A decay of λ with `MSELoss` over n rows and k outputs is `Ridge` with alpha = λnk/2, and both are the closed form."""
    for lam in (0.01, 0.3):
        ridge = Ridge(alpha=lam * 100 * 3 / 2).fit(X, Y)
        assert np.abs(np.vstack([ridge.coef_.T, ridge.intercept_]) - closed_form(lam).numpy()).max() < 1e-10
        trained = linear_descent(X, Y, START, lr=1.0, n_epochs=400, weight_decay=lam)[-1]
        assert np.abs(trained - closed_form(lam).numpy()).max() < 1e-10


def two_orders(dtype):
    """A thousand weights by the two forms of a step with decay, entry by entry."""
    target, (lr, decay) = np.linspace(-2, 2, 1000).astype(dtype), (dtype(0.1), dtype(0.1))
    added = shrunk = np.ones(1000, dtype)
    for _ in range(200):
        added = added - lr * ((added - target) + decay * added)
        shrunk = (dtype(1) - lr * decay) * shrunk - lr * (shrunk - target)
    return added, shrunk


def test_algebra_is_not_arithmetic():
    """Adding the decay to the gradient and shrinking the weight first are the same step in algebra, and differ by some ULPs in floating point."""
    for dtype in (np.float32, np.float64):
        added, shrunk = two_orders(dtype)
        assert 1 <= ulp_distance(added, shrunk).max() < 100
        np.testing.assert_allclose(added, shrunk, rtol=100 * np.finfo(dtype).eps)


def test_mape_below_the_spacing():
    """A MAPE can be below the spacing of float64, since it is a mean and many entries agree exactly."""
    added, shrunk = two_orders(np.float64)
    report = compare(added, shrunk)
    assert 0 < report.mape < np.finfo(np.float64).eps
    assert 100 < report.n_different < 900


def test_stable_runs_forget_rounding():
    """Below the critical learning rate the difference between two programs stays at rounding; above, it grows as fast as the parameters do."""
    x, y = curved_points(torch.float64)
    Z = torch.cat([x, torch.ones_like(x)], dim=1)
    hessian, pull = 2 * Z.T @ Z / 50, 2 * Z.T @ y / 50
    critical = 2 / torch.linalg.eigvalsh(hessian)[-1].item()

    def gap_and_size(lr):
        one = two = torch.tensor([[6.0], [-3.0]], dtype=torch.float64)
        for _ in range(400):
            one = one - lr * (hessian @ one - pull)
            two = two - lr * (2 * Z.T @ (Z @ two - y) / 50)
        return (one - two).abs().max().item(), one.abs().max().item()

    for factor in (0.1, 0.9):
        assert gap_and_size(factor * critical)[0] < 1e-13
    gap, size = gap_and_size(1.03 * critical)
    assert gap > 1e-9
    assert gap / size < 1e-12


def test_mape_is_not_symmetric():
    """The MAPE of 150 for 100 is 50 percent, and that of 100 for 150 is 33.3."""
    assert mape([150.0], [100.0]) == pytest.approx(50)
    assert mape([100.0], [150.0]) == pytest.approx(100 / 3)


def test_mape_hides_one_bad_entry():
    """One prediction of 30,000 that is twice its target leaves a MAPE below 0.004 percent."""
    target = START.new_ones(30_000)
    prediction = target.clone()
    prediction[777] = 2.0
    assert 0 < mape(prediction, target) < 0.004
    assert compare(prediction, target).where == (777,)


def test_mape_breaks_at_zero():
    """With a target of 0, scikit-learn's MAPE of an error of 0.001 is over a billion; ours counts the error as it is."""
    assert mean_absolute_percentage_error([0.0], [0.001]) > 1e9
    assert mape([0.001], [0.0], percent=False) == 0.001


def test_one_percent_accepts_no_decay():
    """On the source's experiment, a program that forgot the decay is within 1 percent in MAPE."""
    right, without = (
        predictions(linear_descent(X, Y, START, **SOURCE | changes)[-1])
        for changes in ({}, {"weight_decay": 0.0})
    )
    assert 0.1 < mape(without, right) < 1


def test_assert_close_defaults_are_loose():
    """By default `assert_close` accepts 1e-6 for 5e-6, and for −5e-6, in float32, and 1e-8 for 9e-8 in float64."""
    close = torch.testing.assert_close
    for dtype, a, b in (
        (torch.float32, 1e-6, 5e-6),
        (torch.float32, 1e-6, -5e-6),
        (torch.float64, 1e-8, 9e-8),
    ):
        pair = torch.tensor([a, b], dtype=dtype)
        close(*pair)
        with pytest.raises(AssertionError):
            close(*pair, rtol=1e-3, atol=0)


def test_parity_wall():
    """SGD, SGDW, Adam and AdamW by hand agree with torch in every setting of the wall: within 2e-5 in float32 and 1e-13 in float64."""
    runs = grid()
    assert {run.optimizer for run in runs} == {"SGD", "SGDW", "Adam", "AdamW"}
    claimed = {torch.float32: 2e-5, torch.float64: 1e-13}
    for run in runs[:: len(runs) // 48]:  # tests/test_parity.py runs them all
        assert parity(run).max_abs <= claimed[run.dtype], run
