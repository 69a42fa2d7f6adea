"""Right answers to every exercise, in three styles: a loop, vectorized, and by what torch has."""

import copy
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.svm import SVC
from torch import nn

from course_lib import check, groups, metrics, optimum
from course_lib.conventions import convert
from course_lib.sweeps import Row, Sweep


def optimizer_step(make, w, gradient, n_steps=1):
    parameter = nn.Parameter(w.clone())
    optimizer = make([parameter])
    for _ in range(n_steps):
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def each(function):
    """Return a function of arrays that works on them entry by entry."""

    def looped(*arguments):
        arrays = [a for a in arguments if isinstance(a, torch.Tensor)]
        entries = []
        for i in range(len(arrays[0])):
            entries.append(function(*(a[i].item() if isinstance(a, torch.Tensor) else a for a in arguments)))
        if isinstance(entries[0], tuple):
            return [torch.tensor(side, dtype=torch.float64) for side in zip(*entries, strict=True)]
        return torch.tensor(entries, dtype=torch.float64)

    return looped


def loop_distances(X, w, b):
    found = []
    for row in X.tolist():
        found.append((sum(x * v for x, v in zip(row, w.tolist(), strict=True)) + b) / math.hypot(*w.tolist()))
    return found


def loop_loss(X, y, w, b, weight_decay):
    total = 0.0
    for row, label in zip(X.tolist(), y.tolist(), strict=True):
        z = sum(x * v for x, v in zip(row, w.tolist(), strict=True)) + b
        total += math.log1p(math.exp(-z if label == 1 else z))
    return total / len(X) + weight_decay / 2 * sum(v * v for v in w.tolist())


def autograd_line(p, q):
    """The gap as a linear system: w along p - q, and both functional margins."""
    rows = torch.stack([torch.cat([p, p.new_ones(1)]), torch.cat([q, q.new_ones(1)])])
    rows[:, :-1] -= (p + q) / 2
    theta = torch.linalg.pinv(rows) @ torch.tensor([1.0, -1.0], dtype=torch.float64)
    return theta[:-1], theta[-1] - theta[:-1] @ (p + q) / 2


def loop_line(p, q):
    square = sum((a - b) ** 2 for a, b in zip(p.tolist(), q.tolist(), strict=True))
    w = [2 * (a - b) / square for a, b in zip(p.tolist(), q.tolist(), strict=True)]
    return w, 1 - sum(a * b for a, b in zip(w, p.tolist(), strict=True))


def loop_optimum(X, y, weight_decay):
    """Accelerated gradient descent."""
    Z, labels = np.column_stack([X.numpy(), np.ones(len(X))]), y.numpy()
    decay = np.array([weight_decay] * X.shape[1] + [0.0])
    lr = 1 / (np.linalg.eigvalsh(Z.T @ Z / len(Z) / 4).max() + weight_decay)
    theta = ahead = np.zeros(Z.shape[1])
    for step in range(20_000):
        slope = Z.T @ (1 / (1 + np.exp(-Z @ ahead)) - labels) / len(Z) + decay * ahead
        if np.abs(slope).max() < 1e-9:
            break
        after = ahead - lr * slope
        ahead = after + step / (step + 3) * (after - theta)
        if slope @ (after - theta) > 0:
            ahead = after
        theta = after
    return ahead


def newton_optimum(X, y, weight_decay):
    """Newton's method with the derivatives that torch finds."""

    def objective(theta):
        loss = F.binary_cross_entropy_with_logits(X @ theta[:-1] + theta[-1], y)
        return loss + weight_decay / 2 * theta[:-1].square().sum()

    theta = X.new_zeros(X.shape[1] + 1)
    for _ in range(8):
        slope = torch.autograd.functional.jacobian(objective, theta)
        theta = theta - torch.linalg.solve(torch.autograd.functional.hessian(objective, theta), slope)
    return theta


def course_optimum(X, y, weight_decay):
    weight, bias = optimum.logistic_optimum(X, y, weight_decay)
    return torch.cat([weight, bias[None]])


def torch_momentum(w, gradient, velocity, lr, momentum, weight_decay):
    parameter = nn.Parameter((1 - lr * weight_decay) * w)
    optimizer = torch.optim.SGD([parameter], lr=lr, momentum=momentum)
    optimizer.state[parameter]["momentum_buffer"] = velocity.clone()
    parameter.grad = gradient
    optimizer.step()
    return parameter, optimizer.state[parameter]["momentum_buffer"]


def loop_soft(w, gradient, lr, weight_decay):
    w = w - lr * gradient
    if w > lr * weight_decay:
        return w - lr * weight_decay
    return w + lr * weight_decay if w < -lr * weight_decay else 0.0


def loop_adam(w, gradient, lr, weight_decay, decoupled):
    if decoupled:
        w -= lr * weight_decay * w
    else:
        gradient += weight_decay * w
    m, v = 0.1 * gradient / (1 - 0.9), 0.001 * gradient**2 / (1 - 0.999)
    return w - lr * m / (math.sqrt(v) + 1e-8)


def torch_adam(w, gradient, lr, weight_decay, decoupled):
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    return optimizer_step(lambda p: kind(p, lr=lr, weight_decay=weight_decay), w, gradient)


def measured_weight_decay(strength, n_samples):
    """The ratio of two slopes: of the textbook's penalty, and of torch's, beside losses of one size."""
    w = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    (textbook,) = torch.autograd.grad(2 * strength * w**2 / (2 * n_samples), w)
    (torchs,) = torch.autograd.grad(w**2 / 2, w)
    return textbook / torchs


def simulated_sum(lr, weight_decay, batch_size):
    """From two steps of torch's SGD on a sum: what moved the weight by the gradient and by the decay."""
    w, gradient = torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    moved = w - optimizer_step(lambda p: torch.optim.SGD(p, lr=lr), w, batch_size * gradient)
    decayed = w - optimizer_step(
        lambda p: torch.optim.SGD(p, lr=lr, weight_decay=weight_decay), w, 0 * gradient
    )
    return moved.item(), (decayed / moved).item()


def loop_gradient(w, batches):
    total, rows = [0.0] * len(w), 0
    for X, y in batches:
        for row, target in zip(X.tolist(), y.tolist(), strict=True):
            rows += 1
            error = sum(a * b for a, b in zip(row, w.tolist(), strict=True)) - target
            for i, x in enumerate(row):
                total[i] += 2 * error * x
    return np.array(total) / rows


def vectorized_gradient(w, batches):
    X, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return 2 / len(y) * ((X @ w - y) @ X)


def torch_gradient(w, batches):
    w = w.clone().requires_grad_()
    n = sum(len(y) for _, y in batches)
    for X, y in batches:
        (F.mse_loss(X @ w, y, reduction="sum") / n).backward()
    return w.grad


def loop_half_life(lr, weight_decay, n_samples, batch_size):
    """Whole steps, and then the part of one that remains."""
    steps, left = 0, 1.0
    while left * (1 - lr * weight_decay) > 0.5:
        left, steps = left * (1 - lr * weight_decay), steps + 1
    part = math.log(2 * left) / -math.log1p(-lr * weight_decay)
    return (steps + part) / len(range(0, n_samples, batch_size))


def loop_grid(x, y, weights, biases, weight_decay):
    rows = []
    for w in weights:
        rows.append([F.mse_loss(w * x + b, y).item() + weight_decay / 2 * w.item() ** 2 for b in biases])
    return rows


def torch_grid(x, y, weights, biases, weight_decay):
    w, b = torch.meshgrid(weights, biases, indexing="ij")
    loss = torch.vmap(torch.vmap(lambda w, b: (w * x + b - y).square().mean()))(w, b)
    return loss + weight_decay * w.square() / 2


def einsum_grid(x, y, weights, biases, weight_decay):
    """The mean of the squares, multiplied out."""
    w, b = weights.numpy()[:, None], biases.numpy()[None]
    x, y = x.numpy(), y.numpy()
    squares = w**2 * np.mean(x * x) + b**2 + np.mean(y * y) + 2 * w * b * np.mean(x)
    return squares - 2 * w * np.mean(x * y) - 2 * b * np.mean(y) + weight_decay / 2 * w**2


def bisected_limit(curvature, momentum, dampening):
    """Where the larger root of the two-step recursion reaches 1 in size."""

    def radius(lr):
        s = lr * curvature * (1 - dampening)
        return np.abs(np.roots([1, -(1 + momentum - s), momentum])).max()

    low, high = 1 / (curvature * (1 - dampening)), 100 / (curvature * (1 - dampening))
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if radius(middle) <= 1 else (low, middle)
    return low


def bisected_momentum(lr, curvature):
    """Where the roots meet: the discriminant is zero."""
    low, high = torch.zeros(1).double(), torch.ones(1).double()
    for _ in range(200):
        middle = (low + high) / 2
        spirals = (1 + middle - lr * curvature) ** 2 < 4 * middle
        low, high = torch.where(spirals, low, middle), torch.where(spirals, middle, high)
    return float(low)


def loop_report(a, b, tolerance):
    largest, first = 0.0, None
    for step, (left, right) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        for p, q in zip(left, right, strict=True):
            largest = max(largest, abs(p - q))
            if abs(p - q) > tolerance and first is None:
                first = step
    return largest, first


def numpy_report(a, b, tolerance):
    apart = np.abs(a.numpy() - b.numpy()).max(axis=1)
    return np.max(apart), np.argmax(apart > tolerance)


def torch_report(a, b, tolerance):
    apart = torch.linalg.vector_norm(a - b, ord=torch.inf, dim=1)
    return apart.max(), (apart > tolerance).int().argmax()


def loop_differences(loss, w, h):
    slopes = []
    for i in range(len(w)):
        up, down = w.clone(), w.clone()
        up[i], down[i] = up[i] + h, down[i] - h
        slopes.append((loss(up).item() - loss(down).item()) / h / 2)
    return slopes


def vmapped_differences(loss, w, h):
    steps = h * torch.eye(len(w), dtype=w.dtype)
    return (torch.vmap(loss)(w + steps) - torch.vmap(loss)(w - steps)) / (2 * h)


def stacked_differences(loss, w, h):
    return torch.stack([(loss(w + e) - loss(w - e)) / (2 * h) for e in h * torch.eye(len(w)).to(w)])


def loop_checkpoint(before, after, unused, lr, n_steps):
    found = []
    for row in unused.tolist():
        found += [a / b for a, b in zip(after[row].tolist(), before[row].tolist(), strict=True)]
    return (1 - (sum(found) / len(found)) ** (1 / n_steps)) / lr


def torch_checkpoint(before, after, unused, lr, n_steps):
    left = torch.linalg.lstsq(before[unused].reshape(-1, 1), after[unused].reshape(-1, 1)).solution
    return -torch.expm1(left.log() / n_steps).squeeze() / lr


def loop_groups(model, weight_decay):
    decayed, free, seen = [], [], set()
    for part in model.modules():
        if isinstance(part, nn.Linear) and part.weight.requires_grad and id(part.weight) not in seen:
            seen.add(id(part.weight))
            decayed.append(part.weight)
    for parameter in model.parameters():
        if parameter.requires_grad and id(parameter) not in seen:
            free.append(parameter)
    return [{"params": free, "weight_decay": 0}, {"params": decayed, "weight_decay": weight_decay}]


def single_groups(model, weight_decay):
    """A group for each parameter."""
    linear = [part.weight for part in model.modules() if isinstance(part, nn.Linear)]
    return [
        {"params": [p], "weight_decay": weight_decay * any(p is q for q in linear)}
        for p in model.parameters()
        if p.requires_grad
    ]


def course_groups(model, weight_decay):
    linear = [part.weight for part in model.modules() if isinstance(part, nn.Linear)]
    return groups.decay_groups(model, weight_decay, decays=lambda name, p: any(p is q for q in linear))


def named_groups(model, weight_decay):
    """As model.named_parameters() has them, which torch's optimizers take."""
    names = {id(p): name for name, p in model.named_parameters()}
    return [
        {**group, "params": [(names[id(p)], p) for p in group["params"]]}
        for group in check.groups_with_traps.reference(model, weight_decay)
    ]


def svm_line(p, q):
    machine = SVC(kernel="linear", C=1e8, tol=1e-10).fit(np.stack([p, q]), [1, -1])
    return torch.tensor(machine.coef_[0]), machine.intercept_.item()


def searched_line(p, q):
    rows = np.array([[*p.tolist(), 1.0], [*(-q).tolist(), -1.0]])
    held = {"type": "ineq", "fun": lambda theta: rows @ theta - 1}
    found = minimize(lambda theta: theta @ theta / 2, np.zeros(rows.shape[1]), constraints=held)
    return torch.tensor(found.x[:-1]), found.x[-1]


def torch_fading(tokens, n_words, lr, weight_decay):
    table = nn.Embedding(n_words, 1, dtype=torch.float64)
    nn.init.ones_(table.weight)
    optimizer = torch.optim.AdamW(table.parameters(), lr=lr, weight_decay=weight_decay)
    (0 * table(tokens)).sum().backward()
    optimizer.step()
    return table.weight[:, 0]


def loop_training_line(p, q):
    """By cases: is one of the points further out than it has to be?"""
    pp, qq, pq = (1 + sum(a * b for a, b in zip(x, y, strict=True)) for x, y in ((p, p), (q, q), (p, q)))
    if -pq >= pp:
        at_p, at_q = 1 / pp, 0.0
    elif -pq >= qq:
        at_p, at_q = 0.0, -1 / qq
    else:  # both margins are 1 in size: two equations
        at_p, at_q = (qq + pq) / (pp * qq - pq**2), -(pp + pq) / (pp * qq - pq**2)
    return [at_p * a + at_q * b for a, b in zip(p.tolist(), q.tolist(), strict=True)], at_p + at_q


def dual_line(p, q):
    """Nonnegative least squares: the closest point to the target that both rows can pull to."""
    from scipy.optimize import nnls

    z = np.column_stack([np.stack([p.numpy(), -q.numpy()]), [1.0, -1.0]])
    # The shortest theta with z @ theta >= 1, as the least-distance problem of Lawson and Hanson.
    E, f = np.vstack([z.T, np.ones(2)]), np.append(np.zeros(z.shape[1]), 1.0)
    residual = E @ nnls(E, f)[0] - f
    theta = -residual[:-1] / residual[-1]
    return theta[:-1], theta[-1]


def angled_line(p, q):
    """Between the two lines that a point alone needs, the dual's maximum, cut off at both ends."""
    z = torch.stack([torch.cat([p, p.new_ones(1)]), torch.cat([-q, -q.new_ones(1)])])
    gram = z @ z.T
    share = (gram[1, 1] - gram[0, 1]) / (gram[0, 0] + gram[1, 1] - 2 * gram[0, 1])
    nearest = torch.lerp(z[1], z[0], share.clamp(0, 1))  # of the segment between the rows to the origin
    theta = nearest / nearest.square().sum()
    return theta[:-1], theta[-1]


def iterated_rest(lr, weight_decay):
    """Run the package on a bowl until it rests, and read off where that is a minimum."""
    w = 0.0
    for _ in range(2000):
        w = (w - lr * (w - 1)) * (1 - weight_decay)
    return (1 - w) / w


def solved_rest(lr, weight_decay):
    """The slope at rest, by solving for it: (w + step) * (1 - weight_decay) = w at w = 1."""
    step = 1 / (1 - weight_decay) - 1
    return step / lr


def searched_lr(X, weight_decay):
    """Ternary search for the learning rate at which the slowest direction is the fastest."""
    Z = np.column_stack([X.numpy(), np.ones(len(X))])
    curvatures = np.linalg.eigvalsh(2 / len(Z) * Z.T @ Z + weight_decay * np.eye(Z.shape[1]))
    low, high = 0.0, 2 / curvatures.max()
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if np.abs(1 - left * curvatures).max() < np.abs(1 - right * curvatures).max():
            high = right
        else:
            low = left
    return low


def singular_lr(X, weight_decay):
    squares = torch.linalg.svdvals(F.pad(X, (0, 1), value=1.0)) ** 2 * 2 / len(X) + weight_decay
    return 2 / (squares.amin() + squares.amax())


def hessian_lr(X, weight_decay):
    def objective(theta):
        loss = F.mse_loss(X @ theta[:-1] + theta[-1], X.new_zeros(len(X)))
        return loss + weight_decay / 2 * theta.square().sum()

    hessian = torch.autograd.functional.hessian(objective, X.new_zeros(X.shape[1] + 1))
    curvatures = torch.linalg.eigvalsh(hessian)
    return torch.reciprocal((curvatures.min() + curvatures.max()) / 2)


def summed_run(w, gradients, lr, momentum, dampening):
    """Each gradient's part in all later steps, added up."""
    n = len(gradients)
    moved = torch.zeros_like(w)
    for i, gradient in enumerate(gradients):
        part = sum(momentum**k for k in range(n - i))
        moved += (part if i == 0 else (1 - dampening) * part) * gradient
    return w - lr * moved


def matrix_run(w, gradients, lr, momentum, dampening):
    n = len(gradients)
    later = np.subtract.outer(np.arange(n), np.arange(n))
    velocities = np.tril(momentum ** np.maximum(later, 0.0)) @ np.diag([1.0] + [1 - dampening] * (n - 1))
    return w.numpy() - lr * (velocities @ gradients.numpy()).sum(axis=0)


def torch_run(w, gradients, lr, momentum, dampening):
    parameter = nn.Parameter(w.clone())
    optimizer = torch.optim.SGD([parameter], lr=lr, momentum=momentum, dampening=dampening)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter


def restored_reached(model, loss, make):
    """On the model itself, which then is what it was."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = make(model)
    optimizer.zero_grad()
    loss(model).mul(0).backward()
    optimizer.step()
    lost = {}
    for name, parameter in model.named_parameters():
        lost[name] = 1 - parameter.detach().abs().sum() / before[name].abs().sum()
    model.load_state_dict(before)
    return lost


def asked_reached(model, loss, make):
    """Autograd says which have a gradient; these get one of zero."""
    model = copy.deepcopy(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter, gradient in zip(
        trained, torch.autograd.grad(loss(model), trained, allow_unused=True), strict=True
    ):
        parameter.grad = None if gradient is None else torch.zeros_like(gradient)
    before = [p.detach().clone() for p in model.parameters()]
    make(model).step()
    pairs = zip(model.named_parameters(), before, strict=True)
    return {name: 1 - (p * b).sum().item() / (b * b).sum().item() for (name, p), b in pairs}


def computed_reached(model, loss, make):
    """From the groups, for those that have a gradient."""
    model = copy.deepcopy(model)
    loss(model).backward()
    decays = {
        p: group["lr"] * group["weight_decay"] for group in make(model).param_groups for p in group["params"]
    }
    return {name: 0.0 if p.grad is None else decays[p] for name, p in model.named_parameters()}


def loop_one_standard_error(lambdas, losses):
    n = len(losses)
    means = [sum(column) / n for column in losses.T.tolist()]
    best = means.index(min(means))
    square = sum((loss - means[best]) ** 2 for loss in losses[:, best].tolist()) / (n - 1)
    largest = 0.0
    for lam, mean in zip(lambdas.tolist(), means, strict=True):
        if mean <= means[best] + math.sqrt(square / n):
            largest = max(largest, lam)
    return largest


def course_one_standard_error(lambdas, losses):
    columns = zip(lambdas.tolist(), losses.T.tolist(), strict=True)
    rows = [Row({"lam": lam}, k, {"loss": loss}, 0.0) for lam, runs in columns for k, loss in enumerate(runs)]
    return Sweep(tuple(rows)).one_standard_error("loss", "lam")


def numpy_one_standard_error(lambdas, losses):
    means, error = losses.numpy().mean(axis=0), losses.numpy().std(axis=0, ddof=1) / len(losses) ** 0.5
    return np.max(lambdas.numpy(), where=means - means.min() <= error[means.argmin()], initial=0)


def loop_floor_width(lambdas, losses, cost):
    medians = [sorted(column)[len(column) // 2] for column in losses.T.tolist()]
    best = medians.index(min(medians))
    ends = []
    for way in (-1, 1):
        at = best
        while 0 <= at + way < len(medians) and medians[at + way] <= min(medians) * (1 + cost):
            at += way
        ends.append(math.log10(lambdas[at]))
    return ends[1] - ends[0]


def labeled_floor_width(lambdas, losses, cost):
    """Number the stretches between walls, and keep that of the best."""
    medians = np.median(losses.numpy(), axis=0)
    walls = medians > (1 + cost) * medians.min()
    stretch = np.where(walls, -1, np.cumsum(walls))
    return np.ptp(np.log10(lambdas.numpy()[stretch == stretch[medians.argmin()]]))


def torch_floor_width(lambdas, losses, cost):
    """Every wall on the left bounds it from below, every wall on the right from above."""
    medians = losses.median(dim=0).values
    place, best = torch.arange(len(medians)), medians.argmin()
    walls = place[medians > (1 + cost) * medians.min()]
    first = F.pad(walls[walls < best], (1, 0), value=-1).max() + 1
    last = F.pad(walls[walls > best], (1, 0), value=len(medians)).min() - 1
    return lambdas[last].log10() - lambdas[first].log10()


def stacked_folds(A, y, lambdas, n_folds):
    """Least squares on rows with a bias column, and below them the root of the penalty."""
    A, y, found = np.column_stack([A, np.ones(len(A))]), y.numpy(), []
    penalized = np.diag([1.0] * (A.shape[1] - 1) + [0.0])
    for lam in lambdas.tolist():
        errors = []
        for out in np.split(np.arange(len(A)), n_folds):
            kept = np.delete(np.arange(len(A)), out)
            rows = np.vstack([A[kept], math.sqrt(lam * len(kept) / 2) * penalized])
            theta, *_ = np.linalg.lstsq(rows, np.append(y[kept], np.zeros(A.shape[1])))
            errors.append(np.mean((A[out] @ theta - y[out]) ** 2))
        found.append(sum(errors) / n_folds)
    return found


def ridge_folds(A, y, lambdas, n_folds):
    alphas = lambdas.numpy() * len(y) * (1 - 1 / n_folds) / 2
    Y = np.repeat(y.numpy()[:, None], len(alphas), axis=1)  # an output for each alpha
    predicted = cross_val_predict(Ridge(alpha=alphas), A.numpy(), Y, cv=KFold(n_folds))
    return np.square(predicted.reshape(Y.shape) - Y).mean(axis=0)


def course_folds(A, y, lambdas, n_folds):
    parts = list(KFold(n_folds).split(A))

    def error(kept, out, lam):
        model = optimum.least_squares_optimum(A[kept], y[kept, None], lam)
        return F.mse_loss(model.output(A[out]).ravel(), y[out])

    return torch.stack([sum(error(*part, lam.item()) for part in parts) / n_folds for lam in lambdas])


def loop_stopping(curvature, lr, n_steps):
    w = 0.0
    for _ in range(n_steps):
        w += lr * curvature * (1 - w)
    return curvature * (1 - w) / w


def torch_stopping(curvature, lr, n_steps):
    """With torch's SGD on a parabola whose minimum is at 1."""
    w = nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimizer = torch.optim.SGD([w], lr=lr)
    for _ in range(n_steps):
        optimizer.zero_grad()
        (curvature / 2 * (w - 1).square()).backward()
        optimizer.step()
    return curvature / w - curvature


RIGHT = {
    "signed_distances": {
        "loop": loop_distances,
        "vectorized": lambda X, w, b: (X.numpy() @ w.numpy() + b) / np.linalg.norm(w.numpy()),
        "torch": lambda X, w, b: F.linear(X, F.normalize(w, dim=0)) + b / torch.linalg.vector_norm(w),
    },
    "penalized_loss": {
        "loop": loop_loss,
        "vectorized": lambda X, y, w, b, decay: (
            np.logaddexp(0, -(2 * y.numpy() - 1) * (X.numpy() @ w.numpy() + b)).mean()
            + decay * np.sum(w.numpy() ** 2) / 2
        ),
        "torch": lambda X, y, w, b, decay: (
            F.binary_cross_entropy(torch.sigmoid(X @ w + b), y) + 0.5 * decay * w.norm() ** 2
        ),
    },
    "widest_line": {
        "loop": loop_line,
        "vectorized": lambda p, q: (
            2 * (p - q) / ((p - q) @ (p - q)),
            (q @ q - p @ p) / ((p - q) @ (p - q)),
        ),
        "torch": autograd_line,
    },
    "line_of_training": {"loop": loop_training_line, "vectorized": dual_line, "torch": angled_line},
    "free_bias_optimum": {"loop": loop_optimum, "vectorized": course_optimum, "torch": newton_optimum},
    "sgdw_step": {
        "loop": each(lambda w, g, lr, decay: w - lr * decay * w - lr * g),
        "vectorized": lambda w, g, lr, decay: w.numpy() - lr * (g.numpy() + decay * w.numpy()),
        "torch": lambda w, g, lr, decay: optimizer_step(
            lambda p: torch.optim.SGD(p, lr=lr, weight_decay=decay), w, g
        ),
    },
    "sgdw_momentum_step": {
        "loop": each(lambda w, g, v, lr, mu, d: (w - lr * d * w - lr * (mu * v + g), mu * v + g)),
        "vectorized": lambda w, g, v, lr, mu, d: [w * (1 - lr * d) - lr * (g + mu * v), g + mu * v],
        "torch": torch_momentum,
    },
    "proximal_step": {
        "loop": each(loop_soft),
        "vectorized": lambda w, g, lr, d: (w - lr * g) - (w - lr * g).clamp(-lr * d, lr * d),
        "torch": lambda w, g, lr, d: F.softshrink(w - lr * g, lr * d),
    },
    "adam_first_step": {
        "loop": each(loop_adam),
        "vectorized": lambda w, g, lr, d, decoupled: (
            w * (1 - lr * d * decoupled) - lr * torch.sign(g + (not decoupled) * d * w)
        ),
        "torch": torch_adam,
    },
    "mended_step": {
        "loop": each(lambda w, g, lr, d: w - lr * (g + d * w)),
        "vectorized": lambda w, g, lr, d: torch.add(w, torch.add(g, w, alpha=d), alpha=-lr),
        "torch": lambda w, g, lr, d: optimizer_step(
            lambda p: torch.optim.SGD(p, lr=lr, weight_decay=d), w, g
        ),
    },
    "decay_at_rest": {
        "loop": iterated_rest,
        "vectorized": solved_rest,
        "torch": lambda lr, d: torch.tensor(1 / d - 1, dtype=torch.float64).mul(lr).reciprocal(),
    },
    "from_textbook": {
        "loop": lambda s, n: sum(2 * s / n for _ in range(7)) / 7,
        "vectorized": lambda s, n: convert(
            s, "textbook.linear.lambda", "torch.SGD.weight_decay", n_samples=n, decay_bias=False
        ),
        "torch": measured_weight_decay,
    },
    "from_sum": {
        "loop": lambda lr, d, n: [sum(lr for _ in range(n)), d / n],
        "vectorized": lambda lr, d, n: np.array([lr, d]) * np.array([n, 1 / n]),
        "torch": simulated_sum,
    },
    "accumulated_gradient": {
        "loop": loop_gradient,
        "vectorized": vectorized_gradient,
        "torch": torch_gradient,
    },
    "half_life_in_epochs": {
        "loop": loop_half_life,
        "vectorized": lambda lr, d, n, batch: -1 / np.log2(1 - lr * d) / -(-n // batch),
        "torch": lambda lr, d, n, batch: (
            torch.tensor(0.5).double().log()
            / torch.log1p(torch.tensor(-lr * d, dtype=torch.float64))
            / len(torch.arange(n).split(batch))
        ),
    },
    "loss_weights": {
        "loop": lambda rows: [r / (sum(rows.tolist()) / len(rows)) for r in rows.tolist()],
        "vectorized": lambda rows: rows / rows.mean(),
        "torch": lambda rows: F.normalize(rows, p=1, dim=0) * len(rows),
    },
    "penalized_grid": {"loop": loop_grid, "vectorized": einsum_grid, "torch": torch_grid},
    "lr_limit": {
        "loop": bisected_limit,
        "vectorized": lambda L, mu, tau: (2 + 2 * mu) / (L - L * tau),
        "torch": lambda L, mu, tau: torch.tensor([2 / L, 2 * mu / L], dtype=torch.float64).sum() / (1 - tau),
    },
    "critical_momentum": {
        "loop": bisected_momentum,
        "vectorized": lambda lr, c: np.square(1 - np.sqrt(lr * c)),
        "torch": lambda lr, c: 1 + lr * c - 2 * torch.tensor(lr * c, dtype=torch.float64).sqrt(),
    },
    "ridge_alpha": {
        "loop": lambda d, n: sum(d / 2 for _ in range(n)),
        "vectorized": lambda d, n: convert(
            d, "torch.SGD.weight_decay", "sklearn.Ridge.alpha", decay_bias=False, n_samples=n
        ),
        "torch": lambda d, n: torch.full((n,), d / 2, dtype=torch.float64).sum(),
    },
    "fastest_lr": {"loop": searched_lr, "vectorized": singular_lr, "torch": hessian_lr},
    "parity_report": {"loop": loop_report, "vectorized": numpy_report, "torch": torch_report},
    "percent_error": {
        "loop": lambda p, t: (
            sum(abs(a - b) / abs(b) for a, b in zip(p.tolist(), t.tolist(), strict=True)) / len(p) * 100
        ),
        "vectorized": lambda p, t: np.mean(100 * np.abs(1 - p.numpy() / t.numpy())),
        "torch": lambda p, t: 100 * F.l1_loss(p / t, torch.ones_like(t)),
    },
    "checked_gradient": {
        "loop": loop_differences,
        "vectorized": vmapped_differences,
        "torch": stacked_differences,
    },
    "ulps": {
        "loop": lambda a, b: [
            abs(int(np.float32(p).view(np.int32)) - int(np.float32(q).view(np.int32)))
            for p, q in zip(a, b, strict=True)
        ],
        "vectorized": lambda a, b: metrics.ulp_distance(a, b),
        "torch": lambda a, b: (a.view(torch.int32).long() - b.view(torch.int32).long()).abs().double(),
    },
    "mended_run": {"loop": summed_run, "vectorized": matrix_run, "torch": torch_run},
    "decay_for_half": {
        "loop": lambda lr, n: -math.expm1(sum(math.log(0.5) / n for _ in range(n)) / n) / lr,
        "vectorized": lambda lr, n: (1 - np.exp2(-1 / n)) / lr,
        "torch": lambda lr, n: (1 - torch.tensor(0.5).double().pow(1 / n)) / lr,
    },
    "decay_of_checkpoint": {
        "loop": loop_checkpoint,
        "vectorized": lambda before, after, unused, lr, n: (
            (1 - np.median(after[unused].numpy() / before[unused].numpy()) ** (1 / n)) / lr
        ),
        "torch": torch_checkpoint,
    },
    "groups_with_traps": {"loop": loop_groups, "vectorized": single_groups, "torch": course_groups},
    "fading_rows": {
        "loop": lambda tokens, n, lr, d: [1 - lr * d for _ in range(n)],
        "vectorized": lambda tokens, n, lr, d: np.full(n, 1 - lr * d),
        "torch": torch_fading,
    },
    "reached": {"loop": restored_reached, "vectorized": computed_reached, "torch": asked_reached},
    "decay_for_epochs": {
        "loop": lambda n, batch, lr, epochs: 1 / sum(lr * epochs for _ in range(0, n, batch)),
        "vectorized": lambda n, batch, lr, epochs: 1 / np.prod([lr, epochs, np.ceil(n / batch)]),
        "torch": lambda n, batch, lr, epochs: 1 / (lr * epochs * len(torch.arange(n).split(batch))),
    },
    "one_standard_error": {
        "loop": loop_one_standard_error,
        "vectorized": numpy_one_standard_error,
        "torch": course_one_standard_error,
    },
    "floor_width": {"loop": loop_floor_width, "vectorized": labeled_floor_width, "torch": torch_floor_width},
    "losses_by_folds": {"loop": stacked_folds, "vectorized": ridge_folds, "torch": course_folds},
    "decay_of_stopping": {
        "loop": loop_stopping,
        "vectorized": lambda s, lr, n: s / np.expm1(-n * np.log1p(-lr * s)),
        "torch": torch_stopping,
    },
}
assert set(RIGHT) == set(dir(check)) - {"hint"}

# Of another kind than what the solutions return.
MORE_RIGHT = [
    ("from_textbook", lambda strength, n: Fraction(2 * strength) / n),
    ("ridge_alpha", lambda decay, n: Decimal(decay) * n / 2),
    ("fading_rows", lambda tokens, n, lr, decay: torch.full((n,), 1 - lr * decay)),
    ("fading_rows", lambda tokens, n, lr, decay: np.ones(n, np.float32) * np.float32(1 - lr * decay)),
    ("critical_momentum", lambda lr, curvature: (1 - torch.tensor(lr * curvature).sqrt()) ** 2),
    ("widest_line", svm_line),
    ("line_of_training", searched_line),
    ("groups_with_traps", named_groups),
]
