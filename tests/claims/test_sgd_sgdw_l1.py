"""One test a claim of book/sgd_sgdw_l1.ipynb; its docstring is the claim, word for word."""

from functools import partial
from math import cos, exp, log, pi, prod, sqrt

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch_optimizer
from sklearn.datasets import make_regression
from sklearn.linear_model import Lasso
from torch import nn

from course_lib.data import augment, separable, two_points
from course_lib.models import Perceptron
from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.optimum import logistic_optimum
from course_lib.penalties import l1_penalty, l2_penalty, soft_threshold
from course_lib.probe import coast
from course_lib.training import train
from tests.refuting import being, refuted_by, times


def draw(seed):
    X, y = separable(80, 3, seed=seed)
    return X, torch.where(torch.arange(80) % 9 == 0, 1 - y, y)  # so that a minimum exists


DRAWS = [draw(seed) for seed in range(10)]
ROWS = torch.stack([augment(X) * (2 * y - 1)[:, None] for X, y in DRAWS])
assert_equal = partial(torch.testing.assert_close, rtol=0, atol=1e-12)
assert_near = partial(torch.testing.assert_close, rtol=0, atol=1e-9)


def sandbox_step(make_optimizer, penalty=None):
    """Weights 1 and -1.5 and their gradients after a step in which only the regularization acts."""
    weights = [nn.Parameter(torch.tensor(value)) for value in (1.0, -1.5, -1.5)]
    optimizer = make_optimizer(weights)
    extra = penalty(weights) if penalty else torch.zeros(())
    (0 * sum(weights) + extra).backward()
    gradients = [w.grad.item() for w in weights[:2]]
    optimizer.step()
    return [w.item() for w in weights[:2]], gradients, extra.item()


@refuted_by(torch.optim.SGD, weight_decay=times(1.01))
@refuted_by(SGDW, weight_decay=times(1.01))
@refuted_by(l2_penalty, result=times(1.01))
@refuted_by(l1_penalty, result=times(1.01))
def test_sandbox():
    """One step without gradient, with lr and decay 0.1, takes a weight of 1 to 0.99 with torch's SGD, to 0.9 with decoupled decay that is not multiplied by lr, to 0.98 with a penalty without 1/2, and to 0.99 with an L1 penalty."""
    plain = partial(torch.optim.SGD, lr=0.1)
    sgdw = partial(SGDW, lr=0.1, weight_decay=0.1)
    for expected, steps in {
        (0.99, -1.485): (partial(plain, weight_decay=0.1),),
        (0.9, -1.35): (partial(sgdw, decay_times_lr=False),),
        (0.98, -1.47): (plain, lambda w: l2_penalty(w, 0.1) / (1 / 2)),
        (0.99, -1.49): (plain, lambda w: l1_penalty(w, 0.1)),
        (0.9, -1.4): (partial(sgdw, decay_times_lr=False, norm=1),),
    }.items():
        assert sandbox_step(*steps)[0] == pytest.approx(expected, abs=1e-6)


@refuted_by(l2_penalty, result=times(1.01))
@refuted_by(l1_penalty, result=times(1.01))
def test_penalties():
    """In the sandbox the penalties are 0.55 for p = 2 without a 1/2 and 0.4 for p = 1, and their gradients 0.2 / -0.3 and 0.1 / -0.1."""
    plain = partial(torch.optim.SGD, lr=0.1)
    _, gradients, value = sandbox_step(plain, lambda w: l2_penalty(w, 0.1) / (1 / 2))
    assert [value, *gradients] == pytest.approx([0.55, 0.2, -0.3])
    _, gradients, value = sandbox_step(plain, lambda w: l1_penalty(w, 0.1))
    assert [value, *gradients] == pytest.approx([0.4, 0.1, -0.1])
    assert value == pytest.approx(0.1 * torch.tensor([1.0, -1.5, -1.5]).norm(p=1).item())


@refuted_by(torch_optimizer.SGDW, weight_decay=times(1.01))
def test_neither():
    """The released torch-optimizer 0.3.0 takes 1 to 0.99 and -1.5 to -1.51: its SGDW subtracts lr times lambda from every weight, which is neither L1 nor L2."""
    assert torch_optimizer.__version__ == "0.3.0"
    released = partial(torch_optimizer.SGDW, lr=0.1, weight_decay=0.1)
    assert sandbox_step(released)[0] == pytest.approx([0.99, -1.51], abs=1e-6)
    start = torch.tensor([1.0, -2.0, 0.0, 0.05], dtype=torch.float64)
    path = coast(released, start, n_steps=100)
    steps = torch.arange(1, 101, dtype=torch.float64)[:, None]
    assert_equal(path, start - steps * 0.1 * 0.1)


@refuted_by(torch_optimizer.SGDW, weight_decay=times(1.02))
@refuted_by(torch_optimizer.SGDW, weight_decay=being(0.0))
def test_tilt_diverges():
    """On the two points of chapter 1 that package's decay of 0.2 makes the parameters grow, in the end by 0.2 sqrt(21)/7 a step, where a decay would have stopped them."""
    model, points = Perceptron(dtype=torch.float64), two_points(torch.float64)
    released = torch_optimizer.SGDW(model.parameters(), lr=1.0, weight_decay=0.2)
    history = train(model, *points, released, n_epochs=2000)
    theta = torch.cat([history["linear.weight"][:, 0], history["linear.bias"]], dim=1)
    growth = theta.norm(dim=1).diff()
    assert growth[500:] == pytest.approx(0.2 * sqrt(21) / 7, abs=1e-3)
    assert (theta[-1] / theta[-1, 0] * 2).tolist() == pytest.approx([2, -1, -4], abs=0.1)
    weight, bias = logistic_optimum(*points, 0.2, decay_bias=True)
    assert torch.cat([weight, bias[None]]).norm() < 1 < 100 < theta[-1].norm()


@refuted_by(coast, gradient=being("none"))
@refuted_by(torch.optim.SGD, momentum=being(0.0))
def test_one_line_test():
    """Without gradient, in a few steps of a small learning rate, every weight must shrink and zero must stay zero: eleven of torch's optimizers pass with lr 0.01 and decay 0.5, the released SGDW fails. With momentum 0.9 and lr 0.5 torch's SGD fails at the third step."""
    start = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)

    def passes(kind, lr=0.01, n_steps=3, **settings):
        after = coast(partial(kind, lr=lr, weight_decay=0.5, **settings), start, n_steps=n_steps)[-1]
        kept_sign = after * start >= 0
        return bool((kept_sign & (after.abs() < start.abs()) | (after == 0)).all())

    names = ("SGD", "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam")
    names += ("RMSprop",)
    assert len(names) == 11
    assert all(passes(getattr(torch.optim, name)) for name in names)
    assert passes(SGDW)
    assert passes(ProximalSGD)
    assert not passes(torch_optimizer.SGDW)
    assert [passes(torch.optim.SGD, 0.5, n_steps, momentum=0.9) for n_steps in (1, 2, 3)] == [
        True,
        True,
        False,
    ]
    assert passes(SGDW, 0.5, momentum=0.9)


def path_of(kind, n_steps, *, schedule=None, noise=0.0, **settings):
    """Parameters of ten draws after each step on the logistic loss, whose gradient may be noisy."""
    generator = torch.Generator().manual_seed(0)
    theta = nn.Parameter(torch.zeros(10, 4, dtype=torch.float64))
    optimizer = kind([theta], **settings)
    path = []
    for step in range(n_steps):
        if schedule:
            optimizer.param_groups[0]["lr"] = settings["lr"] * schedule(step / n_steps)
        optimizer.zero_grad()
        losses(theta).sum().backward()
        theta.grad += noise * torch.randn(10, 4, generator=generator, dtype=torch.float64)
        optimizer.step()
        path.append(theta.detach().clone())
    return torch.stack(path)


def losses(theta):
    return F.softplus(-(ROWS * theta[:, None]).sum(dim=2)).mean(dim=1)


def optimum(weight_decay):
    optima = [logistic_optimum(X, y, weight_decay, decay_bias=True) for X, y in DRAWS]
    return torch.stack([torch.cat([weight, bias[None]]) for weight, bias in optima])


def cosine(progress):
    return (1 + cos(pi * progress)) / 2


@refuted_by(torch.optim.SGD, momentum=being(0.01))
@refuted_by(SGDW, weight_decay=times(1.0001))
def test_same_step():
    """For plain SGD coupled and decoupled decay are the same step, with any noise and any schedule."""
    for schedule in (None, cosine, lambda progress: 1 + 3 * progress):
        settings = {"lr": 0.2, "weight_decay": 0.3, "noise": 1.0, "schedule": schedule}
        assert_equal(path_of(torch.optim.SGD, 300, **settings), path_of(SGDW, 300, **settings))


@refuted_by(SGDW, weight_decay=times(1.0001))
@refuted_by(logistic_optimum, weight_decay=times(1.0001))
def test_momentum_differs():
    """With momentum and no dampening, coupled and decoupled decay are not the same: on ten of ten draws SGDW comes to rest where SGD with lambda (1 - momentum) does."""
    for momentum, nesterov in ((0.5, False), (0.9, False), (0.9, True)):
        settings = {"lr": 0.3, "momentum": momentum, "nesterov": nesterov}
        coupled = path_of(torch.optim.SGD, 1500, weight_decay=0.1, **settings)
        decoupled = path_of(SGDW, 1500, weight_decay=0.1, **settings)
        assert_near(coupled[-1], optimum(0.1))
        assert_near(decoupled[-1], optimum(0.1 * (1 - momentum)))
        assert ((coupled - decoupled).abs().amax(dim=(0, 2)) > 0.05).all()
        assert_near(path_of(SGDW, 1500, weight_decay=0.1 / (1 - momentum), **settings)[-1], optimum(0.1))


@refuted_by(SGDW, dampening=being(0.0))
@refuted_by(torch.optim.SGD, weight_decay=times(1.0001))
def test_dampening_restores():
    """With dampening equal to momentum coupled and decoupled decay rest at the same point again."""
    settings = {"lr": 0.5, "momentum": 0.9, "dampening": 0.9, "weight_decay": 0.1}
    coupled, decoupled = (path_of(kind, 1500, **settings) for kind in (torch.optim.SGD, SGDW))
    assert_near(coupled[-1], optimum(0.1))
    assert_near(decoupled[-1], optimum(0.1))
    assert ((coupled - decoupled).abs().amax(dim=(0, 2)) > 1e-3).all()


@refuted_by(SGDW, weight_decay=times(1.0001))
@refuted_by(SGDW, decay_times_lr=being(False))
def test_schedule_multiplier():
    """Without momentum, the paper's lambda is lr times torch's; doubling lr doubles the total decay in torch's form and leaves it alone in the paper's."""

    def papers(alpha, lam, n_steps=300):
        theta = torch.zeros(10, 4, dtype=torch.float64)
        path = []
        for step in range(n_steps):
            eta = cosine(step / n_steps)
            gradient = -(ROWS * torch.sigmoid(-(ROWS * theta[:, None]).sum(dim=2))[:, :, None]).mean(dim=1)
            theta = theta - eta * alpha * gradient - eta * lam * theta
            path.append(theta)
        return torch.stack(path)

    for alpha in (0.1, 0.2):
        torchs = path_of(SGDW, 300, lr=alpha, weight_decay=0.01 / alpha, schedule=cosine)
        assert_equal(papers(alpha, 0.01), torchs)

    def left(lr, weight_decay):
        w = nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimizer = SGDW([w], lr=lr, weight_decay=weight_decay)
        for step in range(300):
            optimizer.param_groups[0]["lr"] = lr * cosine(step / 300)
            w.grad = torch.zeros_like(w)
            optimizer.step()
        return w.item()

    schedule = [cosine(step / 300) for step in range(300)]
    assert log(left(0.1, 0.01)) == pytest.approx(-0.1 * 0.01 * sum(schedule), rel=1e-2)
    assert log(left(0.2, 0.01)) / log(left(0.1, 0.01)) == pytest.approx(2, rel=1e-2)
    for alpha in (0.1, 0.2):
        assert left(alpha, 0.001 / alpha) == pytest.approx(prod(1 - 0.001 * s for s in schedule), rel=1e-12)


@refuted_by(torch.optim.SGD, weight_decay=times(1.0001))
@refuted_by(SGDW, decay_times_lr=being(True))
def test_lr_independence():
    """On a convex problem trained to convergence, it is the coupled decay whose result does not depend on lr; that of the paper's decoupled form does."""
    lengths = []
    for lr in (0.2, 0.4, 0.8):
        assert_near(path_of(torch.optim.SGD, 1500, lr=lr, weight_decay=0.1)[-1], optimum(0.1))
        decoupled = path_of(SGDW, 1500, lr=lr, weight_decay=0.04, decay_times_lr=False)[-1]
        assert_near(decoupled, optimum(0.04 / lr))
        lengths.append(decoupled.norm(dim=1))
    assert (lengths[0] < 0.95 * lengths[1]).all()
    assert (lengths[1] < 0.95 * lengths[2]).all()


@refuted_by(torch.optim.Adam, decoupled_weight_decay=being(True))
@refuted_by(torch.optim.AdamW, weight_decay=times(1.2))
def test_adam_divides():
    """Adam divides a coupled decay by the size of the gradient: under noise, with lr 0.003, decay 0.1 and 1000 steps, the mean of 400 weights keeps more than 0.98 where the deviation is 100 and less than 0.76 where it is 1, on ten of ten draws; AdamW decays both alike."""

    def left(kind):
        generator = torch.Generator().manual_seed(1)
        w = nn.Parameter(torch.ones(10, 400, 2, dtype=torch.float64))
        optimizer = kind([w], lr=3e-3, weight_decay=0.1)
        for _ in range(1000):
            noise = torch.randn(10, 400, 2, generator=generator, dtype=torch.float64)
            w.grad = noise * torch.tensor([1.0, 100.0])
            optimizer.step()
        return w.detach().mean(dim=1)

    small, large = left(torch.optim.Adam).T
    assert small.max() < 0.76 < 0.98 < large.min()
    assert (left(torch.optim.AdamW) - exp(-0.3)).abs().max() < 0.02


@refuted_by(torch.optim.Adam, decoupled_weight_decay=being(True))
@refuted_by(torch.optim.Adam, weight_decay=times(1.3))
def test_loss_scale():
    """Multiplying the loss by 100 changes where Adam with weight_decay ends, and not where AdamW ends."""

    def end(kind, scale):
        theta = nn.Parameter(torch.zeros(10, 4, dtype=torch.float64))
        optimizer = kind([theta], weight_decay=0.1, betas=(0.9, 0.95), eps=1e-12)
        for step in range(1500):
            optimizer.param_groups[0]["lr"] = 0.03 / sqrt(1 + step / 100)
            optimizer.zero_grad()
            (scale * losses(theta).sum()).backward()
            optimizer.step()
        return theta.detach()

    torch.testing.assert_close(end(torch.optim.AdamW, 1), end(torch.optim.AdamW, 100), rtol=0, atol=2e-3)
    for scale in (1, 100):
        found = end(torch.optim.Adam, scale)
        torch.testing.assert_close(found, optimum(0.1 / scale), rtol=0, atol=5e-3)
    assert ((optimum(0.1) - optimum(0.001)).norm(dim=1) > 0.1).all()


@refuted_by(torch.optim.AdamW, weight_decay=times(1.01))
def test_adamw_box():
    """On a convex bowl in full batch, with a falling learning rate, AdamW comes to rest at the minimum of the unpenalized loss on the box |w_i| <= 1/lambda, and a box that holds the minimum changes nothing."""
    curvature = torch.tensor([[1.5, 0.5], [0.5, 1.0]], dtype=torch.float64)
    minimum = torch.tensor([-2.0, 0.3], dtype=torch.float64)

    def on_box(half_width):
        best = torch.zeros(2, dtype=torch.float64)
        for _ in range(200):
            for i in range(2):
                best[i] += (curvature @ (minimum - best))[i] / curvature[i, i]
                best[i] = best[i].clamp(-half_width, half_width)
        return best

    for weight_decay in (0.25, 1.0, 2.0):
        w = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        optimizer = torch.optim.AdamW([w], weight_decay=weight_decay, betas=(0.9, 0.95))
        for step in range(3000):
            optimizer.param_groups[0]["lr"] = 0.02 / sqrt(1 + step / 300)
            w.grad = curvature @ (w.detach() - minimum)
            optimizer.step()
        torch.testing.assert_close(w.detach(), on_box(1 / weight_decay), rtol=0, atol=3e-3)
    torch.testing.assert_close(on_box(4.0), minimum)
    assert on_box(1.0)[0] == -1


@refuted_by(SGDW, weight_decay=times(0.95))
@refuted_by(torch.optim.AdamW, weight_decay=times(1.06))
def test_beyond_two():
    """Without gradient, decoupled decay makes a weight larger where lr times lambda exceeds 2, as at 2.1, and smaller below, as at 1.9."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    for kind in (SGDW, torch.optim.AdamW):
        for lr in (0.1, 1.0):
            for rate, grows in ((2.1, True), (1.9, False)):
                path = coast(partial(kind, lr=lr, weight_decay=rate / lr), start, n_steps=50)
                growth = torch.cat([start[None], path]).abs().diff(dim=0)
                assert (growth > 0).all() if grows else (growth < 0).all()


def those_that_train(params):
    return [w for w in params if w.requires_grad] or [nn.Parameter(torch.zeros(1))]


@refuted_by(coast, gradient=being("zero"))
@refuted_by(coast, gradient=being("none"))
@refuted_by(torch.optim.AdamW, params=those_that_train)
def test_no_gradient_no_decay():
    """torch's SGD, Adam and AdamW decay a weight whose gradient is zero, frozen or not, and leave one alone whose gradient is None."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        make = partial(kind, lr=0.01, weight_decay=0.5)
        for made in (make, lambda params, make=make: make([w.requires_grad_(False) for w in params])):
            assert (coast(made, start, gradient="zero")[-1].abs() < start.abs()).all()
            assert torch.equal(coast(made, start, n_steps=10, gradient="none")[-1], start)

        w = nn.Parameter(start.clone())
        optimizer = make([w])
        for to_none, stays in ((True, True), (False, False)):
            w.requires_grad_(True).sum().backward()
            w.requires_grad_(False)
            optimizer.zero_grad(set_to_none=to_none)
            before = w.clone()
            optimizer.step()
            assert torch.equal(w, before) == stays


@refuted_by(torch.optim.SGD, weight_decay=being(0.0))
@refuted_by(torch.optim.Adam, weight_decay=being(0.0))
def test_maximize_still_shrinks():
    """With maximize=True the decay of torch's SGD, Adam and AdamW still shrinks every weight."""
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        make = partial(kind, lr=0.01, weight_decay=0.5)
        up = coast(partial(make, maximize=True), start, n_steps=5)
        assert_equal(up, coast(make, start, n_steps=5))
        assert (up[-1].abs() < start.abs()).all()


@refuted_by(torch.norm, result=times(1.01))
def test_norm_is_no_decay():
    """The gradient of 0.01 times the norm of a vector has length 0.01, whatever the vector; at zero torch's norm gives 0 and a square root of the sum of squares NaN."""

    def gradient(norm, values):
        w = nn.Parameter(values.clone())
        (0.01 * norm(w)).backward()
        return w.grad

    def by_hand(w):
        return (w**2).sum().sqrt()

    generator = torch.Generator().manual_seed(0)
    for size in (1e-3, 1.0, 1e3):
        vector = size * torch.randn(5, generator=generator, dtype=torch.float64)
        for norm in (torch.norm, by_hand):
            assert gradient(norm, vector).pow(2).sum().sqrt().item() == pytest.approx(0.01, rel=1e-9)
    zero = torch.zeros(5, dtype=torch.float64)
    assert torch.equal(gradient(torch.norm, zero), zero)
    assert gradient(by_hand, zero).isnan().all()


def anew(groups):
    return [dict(group) for group in groups]


@refuted_by(torch.optim.SGD, params=anew)
@refuted_by(torch.optim.AdamW, params=anew)
def test_groups_remember():
    """An optimizer writes its lr into the group dicts that it is given, and a second optimizer made from these dicts runs with it, whatever lr it is given."""
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        w = nn.Parameter(torch.ones(1))
        groups = [{"params": [w], "weight_decay": 0.1}]
        kind(groups, lr=0.5)
        assert groups[0].get("lr") == 0.5
        second = kind(groups, lr=0.001)
        assert second.param_groups[0]["lr"] == 0.5


@refuted_by(torch.optim.AdamW, weight_decay=times(4))
@refuted_by(coast, gradient=being("none"))
def test_rounding():
    """With lr times lambda below half the gap below 1, a weight of 1 without gradient stays exactly where it is for 5000 steps, in float32 with 1e-8 and in bfloat16 with 2e-4."""
    for kind in (torch.optim.SGD, torch.optim.AdamW, SGDW):
        for dtype, lr, weight_decay, moves in (
            (torch.float32, 1e-4, 1e-4, False),
            (torch.bfloat16, 2e-3, 0.1, False),
            (torch.float64, 1e-4, 1e-4, True),
            (torch.float32, 2e-3, 0.1, True),
        ):
            gap = torch.finfo(dtype).eps / 2
            assert moves == (lr * weight_decay > (1 / 2) * gap)
            assert lr * weight_decay == pytest.approx(1e-8 if weight_decay == 1e-4 else 2e-4)
            make = partial(kind, lr=lr, weight_decay=weight_decay)
            n_steps = 500 if moves else 5000
            left = coast(make, torch.ones(1, dtype=dtype), n_steps=n_steps)[-1].item()
            assert (left != 1) == moves
            if moves:
                assert left == pytest.approx(exp(-n_steps * lr * weight_decay), rel=1e-3)


@refuted_by(torch.optim.AdamW, weight_decay=times(1.01))
def test_rounding_of_most_weights():
    """A power of two is the first weight to move: in bfloat16 AdamW leaves 96 percent of normal weights where they are at lr times lambda = 0.002, 37 percent at 0.003, and none only at 0.0039."""

    def stuck(weights, rate):
        after = coast(partial(torch.optim.AdamW, lr=rate, weight_decay=1.0), weights, n_steps=1)[-1]
        return after == weights

    normal = torch.randn(100_000, generator=torch.Generator().manual_seed(3)).bfloat16()
    for rate, share in ((0.0019, 1.0), (0.002, 0.96), (0.003, 0.37), (0.0039, 0.0)):
        assert stuck(normal, rate).double().mean().item() == pytest.approx(share, abs=0.005)
    powers = torch.tensor([0.25, 0.5, 1.0, 2.0]).bfloat16()
    above = powers * (1 + 2**-7)
    for rate, still in ((0.9 * 2**-9, powers), (1.1 * 2**-9, above), (0.97 * 2**-8, above)):
        assert stuck(still, rate).all()
    assert not stuck(powers, 1.1 * 2**-9).any()
    assert not stuck(above, 2**-8).any()


@refuted_by(torch.optim.SGD, weight_decay=times(1.3))
def test_rounding_coupled():
    """In bfloat16 with gradients of noise, coupled decay still acts where AdamW's is lost, on ten of ten draws."""

    def left(kind, weight_decay):
        w = nn.Parameter(torch.ones(10, 1000, dtype=torch.bfloat16))
        optimizer = kind([w], lr=0.002, weight_decay=weight_decay)
        generator = torch.Generator().manual_seed(2)
        for _ in range(2000):
            w.grad = (3 * torch.randn(10, 1000, generator=generator)).bfloat16()
            optimizer.step()
        return w.detach().float().mean(dim=1)

    exact = exp(-2000 * 0.002 * 0.1)
    assert (left(torch.optim.SGD, 0.1) - exact).abs().max() < 0.05
    assert left(torch.optim.SGD, 0.0).min() > 0.95
    assert (left(torch.optim.AdamW, 0.1) - left(torch.optim.AdamW, 0.0)).abs().max() < 1e-3


def sparse_draw(seed):
    features, target = make_regression(100, 20, n_informative=5, noise=10.0, random_state=seed)
    return features - features.mean(axis=0), (target - target.mean()) / target.std()


SPARSE = [sparse_draw(seed) for seed in range(10)]
FEATURES, TARGETS = (torch.from_numpy(np.stack(part)) for part in zip(*SPARSE, strict=True))
CURVATURE = 2 * FEATURES.mT @ FEATURES / 100
PULL = 2 * (FEATURES * TARGETS[:, :, None]).mean(dim=1)


def sparse_slope(w):
    return (CURVATURE * w.detach()[:, None]).sum(dim=2) - PULL


def sparse_fit(kind, n_steps, *, penalty=None, lr=0.1, **settings):
    """The weights of ten problems; their mean squared errors and penalties are added up."""
    w = nn.Parameter(torch.zeros(10, 20, dtype=torch.float64))
    optimizer = kind([w], lr=lr, **settings)
    for _ in range(n_steps):
        w.grad = sparse_slope(w)
        if penalty:
            penalty(w).backward()
        optimizer.step()
    return w.detach()


@pytest.fixture(scope="module")
def lasso():
    machine = Lasso(alpha=0.1, tol=1e-12, max_iter=100_000)
    return torch.from_numpy(np.stack([machine.fit(*problem).coef_ for problem in SPARSE]))


@refuted_by(ProximalSGD, weight_decay=times(1.01))
@refuted_by(ProximalSGD, norm=being(2))
def test_no_zeros(lasso):
    """On ten of ten Lasso problems with 20 features, an L1 penalty in the loss makes no exact zero in 20000 steps; a proximal step makes all that scikit-learn's Lasso has."""
    zeros = lasso == 0
    assert (zeros.sum(dim=1) >= 10).all()
    proximal = sparse_fit(ProximalSGD, 2000, weight_decay=0.2)
    assert torch.equal(proximal == 0, zeros)
    assert_near(proximal, lasso)
    hovering = sparse_fit(torch.optim.SGD, 20_000, penalty=lambda w: l1_penalty(w, 0.2))
    assert (hovering != 0).all()
    farthest = (hovering * zeros).abs().amax(dim=1)
    assert 0.001 < farthest.min() < farthest.max() < 2 * 0.1 * 0.2


@refuted_by(SGDW, weight_decay=times(1.01))
@refuted_by(SGDW, norm=being(2))
def test_order(lasso):
    """On the same problems, shrinking before the gradient step instead of after it makes no exact zero; it is gradient descent on a penalty whose kink is rounded off within lr lambda of zero."""
    before = sparse_fit(SGDW, 2000, weight_decay=0.2, norm=1)
    assert (before != 0).all()
    assert ((before * (lasso == 0)).abs().amax(dim=1) > 1e-3).all()

    def rounded(w):
        corner = 0.1 * 0.2
        return 0.2 * torch.where(w.abs() < corner, w**2 / (2 * corner), w.abs() - corner / 2).sum()

    assert_near(sparse_fit(torch.optim.SGD, 2000, penalty=rounded), before)


@refuted_by(soft_threshold, threshold=times(0.9))
@refuted_by(soft_threshold, threshold=times(1.12))
def test_adam_shrinks_all_or_nothing():
    """In full batch with a falling learning rate, Adam's step followed by an L1 shrink ends at least squares with lambda 0.9 and at zero with 1.1, on ten of ten problems: it compares lambda with 1."""
    least_squares = torch.linalg.solve(CURVATURE, PULL)

    def end(lam, start, scale=1.0):
        w = nn.Parameter(start.clone())
        adam = torch.optim.Adam([w], betas=(0.9, 0.95), eps=1e-12)
        for step in range(4000):
            adam.param_groups[0]["lr"] = lr = 0.02 / sqrt(1 + step / 300)
            w.grad = scale * sparse_slope(w)
            adam.step()
            w.data = soft_threshold(w.data, lr * lam)
        return w.detach()

    for start in (torch.zeros_like(least_squares), least_squares, -least_squares):
        torch.testing.assert_close(end(0.9, start), least_squares, rtol=0, atol=5e-3)
        assert not end(1.1, start).any()
    torch.testing.assert_close(end(0.9, -least_squares, scale=1e-3), least_squares, rtol=0, atol=5e-3)
    assert (least_squares.abs().amax(dim=1) > 0.3).all()
