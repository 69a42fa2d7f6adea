"""One test a claim of book/loss_landscapes.ipynb; its docstring is the claim, word for word."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from course_lib.data import augment, curved_points
from course_lib.groups import decay_groups
from course_lib.landscape import descent_paths, filter_directions, loss_grid
from course_lib.rules import coupled, sgd
from tests.refuting import being, plus, refuted_by, times

X, y = curved_points(torch.float64)
START = torch.tensor([6.0, -3.0], dtype=torch.float64)
Z = augment(X)
HESSIAN = 2 * Z.T @ Z / len(Z)
PULL = (2 * Z.T @ y / len(Z))[:, 0]
SMALL, LARGE = torch.linalg.eigvalsh(HESSIAN).tolist()
OPTIMUM = torch.linalg.solve(HESSIAN, PULL)
assert_equal = partial(torch.testing.assert_close, rtol=0, atol=1e-12)


def torch_path(n_steps, *, loss_fn=F.mse_loss, groups=None, lr=0.1, **settings):
    """Weight and bias after each step of torch.optim.SGD on the chapter's points."""
    line = nn.Linear(1, 1, dtype=torch.float64)
    vector_to_parameters(START.clone(), line.parameters())
    optimizer = torch.optim.SGD(groups(line) if groups else line.parameters(), lr=lr, **settings)
    path = [START]
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss_fn(line(X), y).backward()
        optimizer.step()
        path.append(parameters_to_vector(line.parameters()).detach().clone())
    return torch.stack(path)


def constant_steps(lrs, **settings):
    """The steps of torch.optim.SGD under a gradient of 1 and given learning rates."""
    w = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([w], lr=1.0, **settings)
    places = [0.0]
    for lr in lrs:
        optimizer.param_groups[0]["lr"] = lr
        w.grad = torch.ones_like(w)
        optimizer.step()
        places.append(w.item())
    return -torch.tensor(places, dtype=torch.float64).diff()


def all_of_them(_):
    return lambda name, parameter: True


def squared(_):
    return F.mse_loss


def points(seed):
    """Other points like the chapter's: features, targets and the least-squares line through them."""
    X, y = curved_points(torch.float64, seed=seed)
    return X, y, torch.linalg.lstsq(augment(X), y).solution[:, 0]


TEN_DRAWS = [points(seed) for seed in range(10)]


def distances(path, optimum=OPTIMUM):
    return (path - optimum).norm(dim=1)


def steps_to(path, tolerance, optimum):
    """The first step from which on the path stays within the tolerance."""
    return (distances(path, optimum) > tolerance).nonzero()[-1].item() + 1


@refuted_by(F.huber_loss, delta=times(1.01))
def test_huber_is_scaled_smooth_l1():
    """`HuberLoss(delta)` is `delta` times `SmoothL1Loss(beta=delta)`: at their defaults the two are one function."""
    errors = torch.linspace(-5, 5, 401, dtype=torch.float64)
    for delta in (0.01, 0.3, 1.0, 2.5):
        huber = nn.HuberLoss(reduction="none", delta=delta)(errors, 0 * errors)
        assert_equal(huber, delta * nn.SmoothL1Loss(reduction="none", beta=delta)(errors, 0 * errors))
    assert_equal(nn.HuberLoss()(errors, 0 * errors), nn.SmoothL1Loss()(errors, 0 * errors))


@refuted_by(F.huber_loss, result=times(1.01))
def test_huber_tends_to_half_mse():
    """For a large `delta` the Huber loss becomes half the mean squared error."""
    errors = torch.linspace(-5, 5, 401, dtype=torch.float64)
    ratios = [F.huber_loss(errors, 0 * errors, delta=d) / F.mse_loss(errors, 0 * errors) for d in (3, 5, 1e6)]
    assert ratios[0] < 0.49
    assert_equal(torch.stack(ratios[1:]), torch.full((2,), 0.5, dtype=torch.float64))


@refuted_by(torch.optim.SGD, weight_decay=times(1.01))
@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_decayed_path_has_its_own_landscape(settings):
    """On a least-squares problem SGD with `weight_decay` comes to rest in the minimum of loss + (λ/2)‖θ‖², with momentum or without."""
    for lam in (0.5, 2.0):
        theta = torch_path(600, weight_decay=lam, **settings)[-1].requires_grad_()
        objective = F.mse_loss(Z @ theta[:, None], y) + lam / 2 * theta.square().sum()
        slope = torch.autograd.grad(objective, theta)[0]
        assert slope.norm() < 1e-9
        assert (HESSIAN @ theta - PULL).norm() > 0.5  # it is no minimum of the bare loss


@refuted_by(torch.optim.SGD, weight_decay=times(1.01))
def test_decay_shrinks_by_curvature():
    """On a bowl a decay λ leaves h/(h + λ) of the minimum along a direction of curvature h."""
    h, directions = torch.linalg.eigh(HESSIAN)
    for lam in (0.5, 2.0):
        end = torch_path(600, weight_decay=lam)[-1]
        assert_equal(directions.T @ end, h / (h + lam) * (directions.T @ OPTIMUM))


@refuted_by(decay_groups, decays=all_of_them)
@refuted_by(descent_paths, weight_decay=times(0.1))
def test_decayed_bias_is_wrong_on_average():
    """A least-squares line predicts the right mean if the decay leaves the bias out. If not, the chapter's line is off by more than 1, and so it is on ten of ten other draws."""
    means = [
        (Z @ torch_path(600, **settings)[-1]).mean()
        for settings in ({"groups": partial(decay_groups, weight_decay=2.0)}, {"weight_decay": 2.0})
    ]
    assert_equal(means[0], y.mean())
    assert abs(means[1] - y.mean()) > 1
    for features, targets, _ in TEN_DRAWS:
        settings = {"lr": 0.1, "n_steps": 600, "weight_decay": 2.0}
        end = descent_paths(nn.Linear(1, 1), features, targets, START, **settings)[0, -1]
        assert abs((augment(features) @ end).mean() - targets.mean()) > 1


@refuted_by(torch.optim.SGD, momentum=times(1.01))
def test_first_step_is_not_dampened():
    """The first step of torch's SGD with heavy-ball momentum is the learning rate times the gradient, whatever the dampening."""
    for dampening in (0.0, 0.5, 0.8, 1.0):
        first, second = constant_steps([0.25, 0.25], momentum=0.9, dampening=dampening)
        assert_equal(first.item(), 0.25)
        assert_equal(second.item(), 0.25 * (0.9 + 1 - dampening))


@refuted_by(torch.optim.SGD, lr=times(1.01))
@refuted_by(sgd, dampening=times(1.01))
def test_dampening_is_a_learning_rate():
    """If the buffer starts at zero, momentum with dampening takes the path of a learning rate of η(1 − dampening) without it, decay included."""
    for dampening, decay in ((0.5, 0.0), (0.8, 2.0)):
        theta, buffer, path = START, torch.zeros_like(START), [START]
        for _ in range(200):
            gradient = HESSIAN @ theta - PULL + decay * theta
            buffer, _ = sgd(gradient, buffer, momentum=0.9, dampening=dampening)
            theta = theta - 0.1 * buffer
            path.append(theta)
        rescaled = torch_path(200, lr=0.1 * (1 - dampening), momentum=0.9, weight_decay=decay)
        assert_equal(torch.stack(path), rescaled)
        dampened = torch_path(200, momentum=0.9, dampening=dampening, weight_decay=decay)
        assert (dampened - rescaled).abs().max() > 0.5  # torch's buffer does not start at zero


@refuted_by(torch.optim.SGD, dampening=plus(0.01))
@refuted_by(torch.optim.SGD, momentum=times(1.01))
def test_long_run_step():
    """Under a constant gradient the steps of momentum, also Nesterov's, tend to η(1 − dampening)/(1 − μ) times the gradient."""
    for momentum, dampening, nesterov in (
        (0.9, 0, False),
        (0.9, 0, True),
        (0.9, 0.8, False),
        (0.5, 0.3, False),
    ):
        settings = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
        last = constant_steps([0.2] * 600, **settings)[-1].item()
        assert_equal(last, 0.2 * (1 - dampening) / (1 - momentum))


@refuted_by(torch.optim.SGD, momentum=times(1.01))
def test_momentum_after_a_drop():
    """When the learning rate drops, PyTorch's momentum shortens its step at once. Sutskever's keeps its speed and forgets it gradually."""
    lrs = [1.0] * 50 + [0.1] * 50
    ours = constant_steps(lrs, momentum=0.9)
    velocity, theirs = 0.0, []
    for lr in lrs:
        velocity = 0.9 * velocity + lr
        theirs.append(velocity)
    theirs = torch.tensor(theirs, dtype=torch.float64)
    assert_equal(ours[:50], theirs[:50])
    assert ours[50] < 0.11 * ours[49]
    excess = theirs[50:] - 1
    assert_equal(excess[1:] / excess[:-1], torch.full((49,), 0.9, dtype=torch.float64))
    assert theirs[50] > 0.9 * theirs[49]


@refuted_by(torch.optim.SGD, nesterov=being(False))
def test_nesterov_stands_at_the_look_ahead_point():
    """At a constant learning rate the parameters under `nesterov=True` are Nesterov's look-ahead points θ + μv."""
    theta, velocity, ahead = START, torch.zeros_like(START), [START]
    for _ in range(100):
        velocity = 0.9 * velocity - 0.1 * (HESSIAN @ (theta + 0.9 * velocity) - PULL)
        theta = theta + velocity
        ahead.append(theta + 0.9 * velocity)
    assert_equal(torch_path(100, momentum=0.9, nesterov=True), torch.stack(ahead))


@refuted_by(torch.optim.SGD, lr=times(1.02))
@refuted_by(torch.optim.SGD, lr=times(0.98))
def test_critical_learning_rate():
    """On a bowl with largest eigenvalue L, descent diverges above 2(1 + μ)/L with heavy-ball momentum μ, above 2(1 + μ)/((1 + 2μ)L) with Nesterov's, and converges below."""
    for momentum, nesterov in ((0.0, False), (0.5, False), (0.9, False), (0.5, True), (0.9, True)):
        limit = 2 * (1 + momentum) / LARGE / (1 + 2 * momentum * nesterov)
        settings = {"momentum": momentum, "nesterov": nesterov}
        below, above = (distances(torch_path(300, lr=factor * limit, **settings)) for factor in (0.99, 1.01))
        assert below[300] < 0.3 * below[100]
        assert above[300] > 3 * above[100]


@refuted_by(torch.optim.SGD, lr=times(1.02))
@refuted_by(torch.optim.SGD, weight_decay=times(0.9))
def test_decay_lowers_the_limit():
    """On a bowl a decay λ adds λ to every eigenvalue: plain descent then diverges above 2/(L + λ)."""
    for lam in (0.5, 2.0):
        decayed = HESSIAN + lam * torch.eye(2)
        assert_equal(torch.linalg.eigvalsh(decayed), torch.linalg.eigvalsh(HESSIAN) + lam)
        optimum, limit = torch.linalg.solve(decayed, PULL), 2 / (LARGE + lam)
        below, above = (
            distances(torch_path(300, lr=factor * limit, weight_decay=lam), optimum)
            for factor in (0.99, 1.01)
        )
        assert below[300] < 0.3 * below[100]
        assert above[300] > 3 * above[100]


def largest_curvature(model, theta, X, y, loss_fn=F.mse_loss):
    """The largest eigenvalue of the Hessian of the loss, by automatic differentiation twice."""

    def loss(theta):
        sizes = [parameter.numel() for parameter in model.parameters()]
        parts = zip(model.named_parameters(), theta.split(sizes), strict=True)
        named = {name: part.view_as(parameter) for (name, parameter), part in parts}
        return loss_fn(torch.func.functional_call(model, named, (X,)), y)

    return torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, theta))[-1].item()


@refuted_by(coupled, weight_decay=times(1.01))
def test_decay_raises_the_limit_of_a_product():
    """On (w1 w2 − 1)²/2, from (6, 0.5), 3000 steps of 0.02 end where 2/L is 0.056, or 0.528 with a decay of 0.02. From there a learning rate of 0.5 diverges without decay and converges with it."""

    product = nn.Sequential(*(nn.Linear(1, 1, bias=False, dtype=torch.float64) for _ in range(2)))
    one = torch.ones(1, 1, dtype=torch.float64)

    def half_square(prediction, target):
        return (prediction - target).square().sum() / 2

    def path_from(start, decay, lr, n_steps):
        """Descent on the product of two weights, by hand."""
        w, path = torch.tensor(start, dtype=torch.float64), []
        for _ in range(n_steps):
            path.append(w)
            gradient = (w.prod() - 1) * w.flip(0)
            w, _ = coupled(w, gradient, None, sgd, lr=lr, weight_decay=decay)
        return torch.stack(path)

    for decay, limit in ((0.0, 0.056), (0.02, 0.528)):
        path = path_from([6.0, 0.5], decay, 0.02, 3000)
        imbalance, e = path[:, 0] ** 2 - path[:, 1] ** 2, path.prod(dim=1) - 1
        factor = (1 - 0.02 * decay) ** 2 - (0.02 * e) ** 2
        torch.testing.assert_close(imbalance[1:], (factor * imbalance)[:-1], rtol=1e-12, atol=0)
        assert 2 / largest_curvature(product, path[-1], one, one, half_square) == pytest.approx(
            limit, abs=5e-4
        )

        on = path_from((1.01 * path[-1]).tolist(), decay, 0.5, 2000)
        if decay:
            assert_equal(on[-1], torch.full((2,), (1 - decay) ** 0.5, dtype=torch.float64))
        else:
            assert not on.isfinite().all()


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1)).double()


NETWORK = network(0)
STARTS = torch.stack([parameters_to_vector(network(seed).parameters()).detach() for seed in range(10)])


@refuted_by(descent_paths, weight_decay=times(0))
@refuted_by(descent_paths, momentum=times(0))
def test_decay_in_a_network_can_do_either():
    """In the chapter's network a decay of 0.01 raises 2/L from ten of ten starts in plain descent, and from fewer than half with momentum 0.9."""
    ends = descent_paths(
        NETWORK,
        X,
        y,
        STARTS.repeat(4, 1),
        lr=0.05,
        n_steps=1000,
        momentum=torch.tensor([0.0, 0.9]).repeat_interleave(20),
        weight_decay=torch.tensor([0.0, 0.01]).repeat_interleave(10).repeat(2),
    )[:, -1]
    curvature = torch.tensor([largest_curvature(NETWORK, end, X, y) for end in ends]).view(2, 2, 10)
    raised = (curvature[:, 1] < curvature[:, 0]).sum(dim=1)
    assert raised[0] == 10
    assert raised[1] / 10 < 0.5


def curvatures(loss, w):
    """The second derivatives of a loss of one weight, at many weights."""
    w = w.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(loss(w).sum(), w, create_graph=True)
    return torch.autograd.grad(slopes.sum(), w)[0]


@refuted_by(descent_paths, weight_decay=times(1.2))
@refuted_by(curvatures, result=times(1.1))
def test_convex_when_decay_outweighs():
    """A decay of 0.12 makes the chapter's robust loss convex, and leaves a minimum above 2. The product of two equal weights becomes convex at a decay of 1, and then its minimum is 0."""
    w = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    targets = torch.tensor([[3.0]] * 6 + [[-3.0]] * 4, dtype=torch.float64)

    def robust(prediction, target):
        return (1 + (prediction - target).square() / 2).log().mean(dim=0)

    steepest = curvatures(lambda w: robust(w, targets), w).min()
    assert -0.12 < steepest < -0.11
    one_weight = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    ends = descent_paths(
        one_weight,
        torch.ones_like(targets),
        targets,
        torch.tensor([[-9.0], [9.0]] * 2),
        lr=0.5,
        n_steps=2000,
        weight_decay=torch.tensor([0.0, 0.0, 0.12, 0.12]),
        loss_fn=lambda *columns: robust(*columns).sum(),
    )[:, -1, 0]
    assert ends[0] < -2 < 2 < ends[1]
    assert_equal(ends[2], ends[3])
    assert ends[2] > 2

    def tied(w):
        return (w**2 - 1) ** 2 / 2

    steepest = curvatures(tied, w).min()
    assert steepest + 2 * 1 == pytest.approx(0)  # the penalty of two weights, w² each, adds 2λ
    assert w[(tied(w) + w**2).argmin()] == pytest.approx(0)
    assert abs(w[(tied(w) + 0.9 * w**2).argmin()]) > 0.3


@refuted_by(descent_paths, weight_decay=times(0))
@refuted_by(descent_paths, weight_decay=times(20))
@refuted_by(descent_paths, momentum=times(0))
def test_decay_clears_idle_neurons():
    """In the chapter's network, with momentum 0.9, a decay of 0.01 leaves fewer neurons with weights, from ten of ten starts. The number that answers to a point changes by at most two."""
    settings = {"lr": 0.05, "n_steps": 1000, "momentum": 0.9}
    counts = []
    for decay in (0.0, 0.01):
        ends = descent_paths(NETWORK, X, y, STARTS, weight_decay=decay, **settings)[:, -1]
        into, bias, out, _ = ends.split([16, 16, 16, 1], dim=1)
        sizes = (into**2 + bias**2).sqrt() * out.abs()
        answers = (X * into[:, None] + bias[:, None] > 0).any(dim=1)
        counts.append(((sizes > 0.01).sum(dim=1), answers.sum(dim=1)))
    (weights, answering), (weights_left, answering_still) = counts
    assert (weights_left < weights).sum() == 10
    assert (answering_still - answering).abs().max() <= 2


@refuted_by(descent_paths, momentum=times(0.5))
def test_momentum_can_slow_down():
    """On the chapter's points, and on ten of ten other draws, momentum 0.9 takes more than twice as many steps as none at a learning rate of 0.1, and fewer at 0.01."""
    for features, targets, line in [(X, y, OPTIMUM), *TEN_DRAWS]:
        paths = descent_paths(
            nn.Linear(1, 1),
            features,
            targets,
            START,
            lr=torch.tensor([0.1, 0.1, 0.01, 0.01]),
            momentum=torch.tensor([0.0, 0.9, 0.0, 0.9]),
            n_steps=1000,
        )
        plain, heavy, slow_plain, slow_heavy = (steps_to(path, 1e-3, line) for path in paths)
        assert heavy > 2 * plain
        assert slow_heavy < slow_plain


@refuted_by(descent_paths, momentum=times(1.2))
def test_momentum_beats_bad_conditioning():
    """On a bowl with condition number 100 the best heavy ball comes to a millionth of the distance in less than a sixth of the steps of the best plain descent."""
    valley = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    X_v, y_v = torch.diag(torch.tensor([10.0, 1.0]).double()), torch.zeros(2, 1, dtype=torch.float64)
    origin = torch.zeros(2, dtype=torch.float64)
    assert torch.linalg.cond(X_v.T @ X_v) == pytest.approx(100)

    def steps(**settings):
        path = descent_paths(valley, X_v, y_v, [1.0, 1.0], n_steps=1500, **settings)[0]
        return steps_to(path, 2**0.5 * 1e-6, origin)

    plain = [steps(lr=lr) for lr in torch.linspace(1.8, 2.01, 22) / 101]
    assert 0 < plain.index(min(plain)) < 21
    heavy = steps(lr=(2 / 11) ** 2, momentum=(9 / 11) ** 2)
    assert heavy < min(plain) / 6


@refuted_by(descent_paths, lr=plus(0.05))
@refuted_by(descent_paths, loss_fn=squared)
def test_l1_loss_hovers():
    """At a constant learning rate, without decay, an L1 loss hovers about its minimum, some ten times as close for a tenth of the learning rate: on the chapter's points and on ten of ten other draws."""
    lrs = torch.tensor([0.1, 0.01], dtype=torch.float64)
    for features, targets, _ in [(X, y, None), *TEN_DRAWS]:
        i, j = torch.triu_indices(len(X), len(X), offset=1)
        weight = (targets[j] - targets[i]) / (features[j] - features[i])
        bias = targets[i] - weight * features[i]
        best = (weight * features.T + bias - targets.T).abs().mean(dim=1).argmin()
        minimum = torch.cat([weight[best], bias[best]])
        paths = descent_paths(
            nn.Linear(1, 1), features, targets, START, lr=lrs, n_steps=8000, loss_fn=F.l1_loss
        )
        late = paths[:, -1000:]
        assert (late.diff(dim=1).norm(dim=2).amax(dim=1) > 0.01 * lrs).all()
        far, near = (late - minimum).norm(dim=2).max(dim=1).values
        assert 7 < far / near < 15


def two_networks(factor, seed):
    """A ReLU network, and one with the same function: into each neuron times factor, out divided."""
    torch.manual_seed(seed)
    net, twin = (nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 1)).double() for _ in range(2))
    twin.load_state_dict(net.state_dict())
    with torch.no_grad():
        twin[0].weight.mul_(factor[:, None])
        twin[0].bias.mul_(factor)
        twin[2].weight.div_(factor)
    assert_equal(twin(X), net(X))
    return net, twin


def filter_normalized(network):
    axis = torch.linspace(-1, 1, 5, dtype=torch.float64)
    origin = parameters_to_vector(network.parameters()).detach()
    return loss_grid(network, X, y, axis, axis, directions=filter_directions(network), origin=origin)


@refuted_by(filter_directions, result=plus(0.1))
def test_flatness_is_a_matter_of_scale():
    """Two ReLU networks with one function that differ by a factor a layer have different landscapes along raw random directions, and the same along filter-normalized ones, from ten of ten starts."""
    raw = tuple(torch.randn(2, 25, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    axis = torch.linspace(-1, 1, 5, dtype=torch.float64)
    for seed in range(10):
        net, twin = two_networks(torch.full((8,), 10.0), seed)
        torch.testing.assert_close(filter_normalized(net), filter_normalized(twin), rtol=1e-9, atol=1e-9)
        one, other = (
            loss_grid(
                m, X, y, axis, axis, directions=raw, origin=parameters_to_vector(m.parameters()).detach()
            )
            for m in (net, twin)
        )
        assert (one - other).abs().max() > 1


@refuted_by(filter_directions, result=times(0))
def test_neurons_fool_filter_normalization():
    """Rescaling single neurons of a ReLU network keeps the function and changes its filter-normalized landscape, from ten of ten starts."""
    for seed in range(10):
        net, twin = two_networks(torch.logspace(-1, 1, 8), seed)
        one, other = filter_normalized(net), filter_normalized(twin)
        assert (one - other).abs().max() > 0.1 * one.max()


def scale_free(weight):
    """Loss and gradient of a linear layer in front of batch normalization, standardized data."""
    features, target = (
        (columns - columns.mean(dim=0)) / columns.std(dim=0, correction=0)
        for columns in (torch.cat([X, X**2], dim=1), y)
    )
    layer = nn.Linear(2, 1, bias=False, dtype=torch.float64)
    model = nn.Sequential(layer, nn.BatchNorm1d(1, affine=False, track_running_stats=False))
    layer.weight.data = weight.clone()[None]
    loss = F.mse_loss(model(features), target)
    loss.backward()
    return loss.item(), layer.weight.grad[0]


@refuted_by(F.batch_norm, eps=being(0.1))
def test_normalization_frees_the_scale():
    """In front of batch normalization, weights times 10 give the same loss and a gradient a tenth as long, while the penalty is 100 times as large."""
    weight = torch.tensor([-1.5, 0.3], dtype=torch.float64)
    (loss, gradient), (loss_10, gradient_10) = scale_free(weight), scale_free(10 * weight)
    assert loss_10 == pytest.approx(loss, rel=1e-4)  # up to the normalization's eps
    torch.testing.assert_close(10 * gradient_10, gradient, rtol=1e-4, atol=0)
    assert_equal((10 * weight).square().sum(), 100 * weight.square().sum())


@refuted_by(F.batch_norm, eps=being(1.0))
def test_normalized_weights_grow():
    """In front of batch normalization a step of plain descent without decay makes the weights longer, by Pythagoras."""
    weight = torch.tensor([-1.5, 0.3], dtype=torch.float64)
    for _ in range(12):
        gradient = scale_free(weight)[1]
        stepped = weight - 0.5 * gradient
        longer = stepped.square().sum() - weight.square().sum()
        torch.testing.assert_close(longer, (0.5 * gradient).square().sum(), rtol=1e-2, atol=1e-4)
        assert longer > 0
        weight = stepped
