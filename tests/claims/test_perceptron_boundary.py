"""One test a claim of book/perceptron_boundary.ipynb; its docstring is the claim, word for word."""

from itertools import pairwise
from math import log

import pytest
import torch
import torch.nn.functional as F
from sklearn.svm import SVC, LinearSVC
from torch.nn.utils import parameters_to_vector

from course_lib.data import augment, separable, two_points
from course_lib.geometry import angle, angle_between, bisector, max_margin
from course_lib.groups import decay_groups
from course_lib.models import Perceptron
from course_lib.optimum import logistic_objective, logistic_optimum
from course_lib.penalties import soft_threshold
from course_lib.scratch import logistic_descent
from course_lib.training import train
from tests.refuting import being, plus, refuted_by, times

X, y = two_points()
Xd = X.double()
BISECTOR = angle(bisector(*Xd)[0])
MIDPOINT = Xd.mean(dim=0)


def trained(groups_of, weight_decay, n_epochs, *, lr=1.0, momentum=0.0, seed=0, dtype=torch.float32):
    model = Perceptron(seed=seed, dtype=dtype)
    optimizer = torch.optim.SGD(groups_of(model), lr=lr, momentum=momentum, weight_decay=weight_decay)
    return train(model, X.to(dtype), y.to(dtype), optimizer, n_epochs=n_epochs)


def probability_of_negative(weight, bias):
    return torch.sigmoid(Xd[1] @ weight + bias)


@refuted_by(max_margin, result=times(-1))
def test_no_minimum():
    """On separable data cross-entropy has no finite minimum: scaling up any separating line lowers the loss."""
    for seed in range(10):
        X_any, y_any = separable(20, 3, seed=seed)
        model = max_margin(X_any, y_any)
        losses = [logistic_objective(X_any, y_any, c * model.theta) for c in (1, 2, 4, 8, 16)]
        assert all(later < earlier for earlier, later in pairwise(losses))
        assert losses[-1] < 1e-6


@refuted_by(max_margin, result=plus(1e-6))
@refuted_by(logistic_descent, lr=times(0.01))
def test_drift_limit():
    """Without decay the boundary of the puzzle turns towards -15.95 degrees, not towards the bisector at 26.57 degrees."""
    steps = [10**2, 10**3, 10**4, 10**5]
    path = logistic_descent(X, y, lr=1.0, n_steps=steps[-1], record=steps)
    to_limit = (angle(path[:, :2]) - -15.945396).abs()
    assert (to_limit.diff() < 0).all()
    assert to_limit[-1] < 0.6
    assert ((angle(path[:, :2]) - 26.565051).abs() > 40).all()
    assert angle(max_margin(Xd, y)[0]) == pytest.approx(26.565051, abs=1e-6)
    assert angle(max_margin(Xd, y, count_bias=True)[0]) == pytest.approx(-15.945396, abs=1e-6)


@refuted_by(max_margin, count_bias=being(False))
def test_bias_counts():
    """On ten of ten draws the way of descent from step 2,000 to step 20,000 points nearer to the maximum-margin separator with the bias counted than to the one without."""
    for seed in range(1, 11):
        X_any, y_any = separable(12, 5, margin=1.0, offset=3.0, seed=seed)
        path = logistic_descent(X_any, y_any, lr=0.5, n_steps=20_000, record=[200, 2000, 20_000])
        weights = path[:, :-1]
        counted, free = (max_margin(X_any, y_any, count_bias=count_bias)[0] for count_bias in (True, False))
        assert (angle_between(weights, counted).diff() < 0).all()
        to_counted, to_free = (angle_between(weights[2] - weights[1], weight) for weight in (counted, free))
        assert to_counted < to_free - 5
        assert to_free == pytest.approx(angle_between(counted, free).item(), abs=4)


@refuted_by(max_margin, result=plus(1e-9))
@refuted_by(logistic_descent, lr=times(0.01))
def test_midpoint():
    """A line with equal margins on a point of each class passes through their midpoint: the bisector does, and the limit of descent does."""
    for count_bias in (True, False):
        weight, bias = max_margin(Xd, y, count_bias=count_bias)
        torch.testing.assert_close(Xd @ weight + bias, torch.tensor([1.0, -1.0], dtype=torch.float64))
        assert abs(MIDPOINT @ weight + bias) < 1e-12
    steps = [10**2, 10**3, 10**4, 10**5]
    path = logistic_descent(X, y, lr=1.0, n_steps=steps[-1], record=steps)
    distance = ((path[:, :2] @ MIDPOINT + path[:, 2]) / path[:, :2].norm(dim=1)).abs()
    assert (distance.diff() < 0).all()
    assert distance[-1] < 0.04


@refuted_by(logistic_descent, lr=times(1.01))
def test_one_over_log():
    """The angle that is still missing shrinks like 1/log t: in the long run, squaring the number of steps halves it."""
    Z = augment(Xd) * (2 * y.double() - 1)[:, None]
    gram = Z @ Z.T
    alpha = torch.linalg.solve(gram, torch.ones(2, dtype=torch.float64))
    constant = Z.T @ torch.linalg.solve(gram, -torch.log(2 * alpha))

    def asymptote(log_t):
        return Z.T @ alpha * log_t + constant

    steps = [10**4, 10**5]
    path = logistic_descent(X, y, lr=1.0, n_steps=steps[-1], record=steps)
    for t, theta in zip(steps, path, strict=True):
        torch.testing.assert_close(theta, asymptote(log(t)), rtol=0, atol=100 / t)

    limit = angle((Z.T @ alpha)[:2])
    missing = [angle(asymptote(power * log(10))[:2]) - limit for power in (25, 50, 100, 200)]
    for shorter, longer in pairwise(missing):
        assert longer / shorter == pytest.approx(0.5, abs=0.01)


@refuted_by(LinearSVC, intercept_scaling=being(100))
@refuted_by(max_margin, count_bias=being(False))
def test_two_svms():
    """On the points of the puzzle, with C large enough to forbid errors, scikit-learn's SVC and LinearSVC differ by 42.51 degrees, because LinearSVC counts the bias."""
    svc = SVC(kernel="linear", C=1e10).fit(Xd, y)
    linear_svc = LinearSVC(loss="hinge", C=1e6, max_iter=1_000_000, random_state=0).fit(Xd, y)
    assert angle_between(svc.coef_[0], linear_svc.coef_[0]) == pytest.approx(42.510447, abs=3e-3)
    assert angle_between(max_margin(Xd, y)[0], max_margin(Xd, y, count_bias=True)[0]) == pytest.approx(
        42.510447
    )
    for machine, count_bias in ((svc, False), (linear_svc, True)):
        weight, bias = max_margin(Xd, y, count_bias=count_bias)
        torch.testing.assert_close(torch.tensor(machine.coef_[0]), weight, rtol=0, atol=1e-4)
        assert machine.intercept_[0] == pytest.approx(bias.item(), abs=1e-4)


@refuted_by(torch.optim.SGD, weight_decay=times(1.01))
def test_decay_holds():
    """With decay 0.2 the run of the puzzle separates the points from epoch 11 on, and leaves (1, 1) a probability of 0.4905; from 20 of 20 starts they are separated from epoch 15 on."""
    for seed in range(20):
        history = trained(lambda model: model.parameters(), 0.2, 101, seed=seed)
        p = torch.sigmoid(history["linear.weight"][:, 0] @ X.T + history["linear.bias"])
        separates = (p[:, 0] > 0.5) & (p[:, 1] < 0.5)
        assert separates[15:].all()
        assert p[100, 1].item() == pytest.approx(0.490517, abs=1e-5)
        if seed == 0:
            assert (~separates).nonzero().flatten().tolist() == [0, 2, 4, 6, 8, 10]
            assert separates[11:].all()


@refuted_by(torch.optim.SGD, weight_decay=times(1.01))
@refuted_by(logistic_optimum, decay_bias=being(False))
def test_bias_decayed():
    """Given model.parameters(), torch's weight_decay decays the bias too: SGD ends where the gradient of loss + lambda/2 (|w|^2 + b^2) is zero."""
    history = trained(lambda model: model.parameters(), 0.2, 1000, lr=0.5, dtype=torch.float64)
    theta = torch.cat([history["linear.weight"][-1, 0], history["linear.bias"][-1]]).requires_grad_()
    loss = F.binary_cross_entropy_with_logits(Xd @ theta[:2] + theta[2], y.double())
    (gradient,) = torch.autograd.grad(loss + 0.2 / 2 * theta.square().sum(), theta)
    assert gradient.abs().max() < 1e-12
    weight, bias = logistic_optimum(Xd, y, 0.2, decay_bias=True)
    torch.testing.assert_close(theta.detach(), torch.cat([weight, bias[None]]), rtol=0, atol=1e-12)


@refuted_by(logistic_optimum, weight_decay=times(1.001))
@refuted_by(logistic_optimum, decay_bias=being(False))
def test_critical_decay():
    """With the bias decayed, (1, 1) is lost above lambda = 1/(4 ln 3) = 0.2276, where the line is exactly vertical."""
    critical = 1 / (4 * log(3))
    assert critical == pytest.approx(0.22755980665670933, abs=1e-15)
    weight, bias = logistic_optimum(Xd, y, critical, decay_bias=True)
    assert abs(weight[1]) < 1e-12
    assert probability_of_negative(weight, bias) == pytest.approx(0.5, abs=1e-12)
    for factor, lost in ((0.5, False), (0.9999, False), (1.0001, True), (2.0, True), (100.0, True)):
        optimum = logistic_optimum(Xd, y, factor * critical, decay_bias=True)
        assert (probability_of_negative(*optimum) > 0.5) == lost


@refuted_by(logistic_optimum, decay_bias=being(False))
@refuted_by(logistic_optimum, weight_decay=times(0.7))
def test_angle_trap():
    """More decay on weights and bias brings the angle closer to the bisector's while the classifier breaks."""
    lambdas = (0.01, 0.1, 0.2, 0.3, 1.0, 10.0, 1000.0)
    optima = [logistic_optimum(Xd, y, weight_decay, decay_bias=True) for weight_decay in lambdas]
    off = torch.stack([BISECTOR - angle(weight) for weight, _ in optima])
    assert (off > 0).all()
    assert (off.diff() < 0).all()
    assert off[-1] < 0.02
    assert [bool(probability_of_negative(*optimum) > 0.5) for optimum in optima] == [False] * 3 + [True] * 4


@refuted_by(logistic_optimum, decay_bias=being(True))
@refuted_by(decay_groups, weight_decay=being(0.0))
def test_weights_only():
    """Decaying the weights alone gives the exact bisector of the points for every lambda above zero."""
    for exponent in range(-6, 4):
        weight, bias = logistic_optimum(Xd, y, 10.0**exponent)
        assert angle(weight) == pytest.approx(BISECTOR.item(), abs=1e-10)
        assert bias / weight[0] == pytest.approx(-2.75, abs=1e-10)
    history = trained(lambda model: decay_groups(model, 0.2), 0.0, 1000, dtype=torch.float64)
    assert angle(history["linear.weight"][-1, 0]) == pytest.approx(BISECTOR.item(), abs=1e-10)


@refuted_by(torch.optim.SGD, momentum=being(0.0))
@refuted_by(logistic_descent, weight_decay=times(1.01))
def test_waiting_time():
    """Decay on the weights straightens the line within about ten times (1 - momentum)/(lr lambda) steps of SGD: with lambda 0.01 and lr 1 the angle after 100 epochs is 4.63 degrees or less from 20 of 20 starts, and after 1000 it is 26 or more."""

    def angles(weight_decay, n_epochs, **settings):
        history = trained(lambda model: decay_groups(model, weight_decay), 0.0, n_epochs, **settings)
        return angle(history["linear.weight"][:, 0])

    for seed in range(20):
        start = parameters_to_vector(Perceptron(seed=seed).parameters())
        settings = {"lr": 1.0, "weight_decay": 0.01, "decay_bias": False, "start": start}
        path = logistic_descent(X, y, n_steps=1000 + 1, record=[100 + 1, 1000 + 1], **settings)
        early, late = angle(path[:, :2])
        assert early < 4.635
        assert late > 26
    assert angles(0.01, 101)[100].item() == pytest.approx(4.627, abs=2e-3)
    for weight_decay, lr, momentum in (
        (0.05, 1.0, 0.0),
        (0.01, 0.5, 0.0),
        (0.01, 0.1, 0.9),
        (0.05, 0.1, 0.9),
    ):
        tick = round((1 - momentum) / (lr * weight_decay))
        turning = angles(weight_decay, 20 * tick + 1, lr=lr, momentum=momentum)
        one, five, ten, twenty = (BISECTOR - turning[k * tick] for k in (1, 5, 10, 20))
        assert twenty < 0.05 < ten < 0.7 < five < 5 < 16 < one


@refuted_by(logistic_descent, X=plus(0.01))
def test_midpoint_centering():
    """With the origin at the midpoint, descent from zero has the bisector's angle at every step."""
    path = logistic_descent(Xd - MIDPOINT, y, lr=1.0, n_steps=2000)
    assert (angle(path[:, :2]) - BISECTOR).abs().max() < 1e-9
    assert path[:, 2].abs().max() == 0
    decayed = logistic_descent(Xd - MIDPOINT, y, lr=1.0, n_steps=2000, weight_decay=0.2)
    assert (angle(decayed[:, :2]) - BISECTOR).abs().max() < 1e-9


@refuted_by(max_margin, X=plus(0.01))
@refuted_by(logistic_descent, X=plus(0.01))
def test_mean_centering():
    """Mean-centering is no cure: easy negatives turn the limit of descent to 67.80 degrees."""
    X4 = torch.cat([Xd, torch.tensor([[-3.0, -2.0], [-4.0, 1.0]], dtype=torch.float64)])
    y4 = torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert angle(max_margin(X4, y4)[0]) == pytest.approx(BISECTOR.item(), abs=1e-9)
    assert angle(max_margin(X4, y4, count_bias=True)[0]) == pytest.approx(-15.945396, abs=1e-6)
    mean_centered, _ = max_margin(X4 - X4.mean(dim=0), y4, count_bias=True)
    assert angle(mean_centered) == pytest.approx(67.7965, abs=1e-3)
    midpoint_centered, _ = max_margin(X4 - MIDPOINT, y4, count_bias=True)
    assert angle(midpoint_centered) == pytest.approx(BISECTOR.item(), abs=1e-9)
    path = logistic_descent(X4 - X4.mean(dim=0), y4, lr=0.1, n_steps=100_000, record=[1000, 10_000, 100_000])
    gaps = (angle(path[:, :2]) - angle(mean_centered)).abs()
    assert (gaps.diff() < 0).all()
    way = path[2] - path[1]
    assert angle(way[:2]) == pytest.approx(angle(mean_centered).item(), abs=0.05)


@refuted_by(logistic_optimum, weight_decay=times(1.01))
@refuted_by(soft_threshold, result=plus(1e-6))
def test_l1_upright():
    """An L1 penalty on the weights makes the second weight exactly zero and the line x1 = 2, for every lambda below 1/2."""
    for weight_decay in (0.001, 0.01, 0.05, 0.2, 0.4, 0.49):
        weight, bias = logistic_optimum(Xd, y, weight_decay, penalty="l1")
        assert weight[0] == pytest.approx(log((1 - weight_decay) / weight_decay), abs=1e-9)
        assert weight[1] == 0
        assert -bias / weight[0] == pytest.approx(2.0, abs=1e-9)
    assert not logistic_optimum(Xd, y, 0.5, penalty="l1")[0].any()

    theta = torch.zeros(3, dtype=torch.float64)
    for _ in range(3000):
        theta = theta - 0.5 * augment(Xd).T @ (torch.sigmoid(augment(Xd) @ theta) - y.double()) / 2
        theta[:2] = soft_threshold(theta[:2], 0.5 * 0.2)
    assert theta[1] == 0
    assert theta[0] == pytest.approx(log(4), abs=1e-9)
