"""The exercises of *What does the optimizer see?*"""

import torch

from course_lib._checking import exercise, has_loop

__all__ = ["penalized_grid", "lr_limit", "critical_momentum", "ridge_alpha", "fastest_lr"]


def _grid(rng):
    n = int(rng.integers(2, 9))
    weights, biases = (torch.from_numpy(rng.normal(size=k)) for k in rng.permutation(range(1, 7))[:2])
    x, y = (torch.from_numpy(rng.normal(size=n)) for _ in range(2))
    return {"x": x, "y": y, "weights": weights, "biases": biases, "weight_decay": float(rng.uniform(0.1, 3))}


def _squares(x, y, weights, biases):
    return ((weights[:, None, None] * x + biases[:, None] - y) ** 2).mean(dim=2)


@exercise(
    cases=[
        {
            "x": torch.tensor([0.0, 1.0]).double(),
            "y": torch.tensor([1.0, 3.0]).double(),
            "weights": torch.tensor([0.0, 2.0, 4.0]).double(),
            "biases": torch.tensor([0.0, 1.0]).double(),
            "weight_decay": 0.5,
        }
    ],
    draw=_grid,
    remark=lambda answer: "It has a loop. Can you do without?" if has_loop(answer) else "",
    wrong={
        "The bias is free here. Leave it out of the penalty.": (
            lambda x, y, w, b, decay: _squares(x, y, w, b) + decay / 2 * (w[:, None] ** 2 + b**2)
        ),
        "The penalty has no 1/2 in it.": (
            lambda x, y, w, b, decay: _squares(x, y, w, b) + decay * w[:, None] ** 2
        ),
        "The penalty is missing.": lambda x, y, w, b, decay: _squares(x, y, w, b),
        "The squares of the errors are added up. It has to be their mean.": (
            lambda x, y, w, b, decay: len(x) * _squares(x, y, w, b) + decay / 2 * w[:, None] ** 2
        ),
        "The squares of the errors have a 1/2. The mean squared error has none.": (
            lambda x, y, w, b, decay: _squares(x, y, w, b) / 2 + decay / 2 * w[:, None] ** 2
        ),
        "All of it is multiplied by the number of points. Take the mean, and the penalty once.": (
            lambda x, y, w, b, decay: len(x) * (_squares(x, y, w, b) + decay / 2 * w[:, None] ** 2)
        ),
        "The bias is penalized, and the weight is free: it is the other way round.": (
            lambda x, y, w, b, decay: _squares(x, y, w, b) + decay / 2 * b**2
        ),
        "Each weight of the grid pays for all of them: it pays for its own square.": (
            lambda x, y, w, b, decay: _squares(x, y, w, b) + decay / 2 * (w @ w)
        ),
        "The penalty is divided by the number of points.": (
            lambda x, y, w, b, decay: _squares(x, y, w, b) + decay / 2 * w[:, None] ** 2 / len(x)
        ),
        "This is an L1 penalty.": (lambda x, y, w, b, decay: _squares(x, y, w, b) + decay * w[:, None].abs()),
        "These are absolute errors, not squares.": (
            lambda x, y, w, b, decay: (
                (w[:, None, None] * x + b[:, None] - y).abs().mean(dim=2) + decay / 2 * w[:, None] ** 2
            )
        ),
        "The bias has the wrong sign.": (
            lambda x, y, w, b, decay: _squares(x, y, w, -b) + decay / 2 * w[:, None] ** 2
        ),
        "This is the square of the mean error, not the mean of the squares.": (
            lambda x, y, w, b, decay: (
                (w[:, None, None] * x + b[:, None] - y).mean(dim=2) ** 2 + decay / 2 * w[:, None] ** 2
            )
        ),
    },
    hints=[
        "Three axes: weights, biases, points. Which shape has each array to have?",
        "weights[:, None, None] * x + biases[:, None] - y has all errors, by weight, bias and point.",
        "Its squares' mean over the last axis has the shape wanted; weights[:, None] broadcasts against it.",
    ],
)
def penalized_grid(x, y, weights, biases, weight_decay):
    """Return the mean squared error of weight * x + bias plus the L2
    penalty, bias free, a row a weight and a column a bias. No loop."""
    errors = weights[:, None, None] * x + biases[:, None] - y
    penalty = weight_decay / 2 * weights[:, None] ** 2
    return (errors**2).mean(dim=2) + penalty


def _bowl(rng):
    momentum, dampening = rng.uniform(0.1, 0.95, size=2)
    return {
        "curvature": float(rng.uniform(0.1, 5.0)),
        "momentum": float(momentum),
        "dampening": float(dampening),
    }


@exercise(
    cases=[{"curvature": 2.0, "momentum": 0.9, "dampening": 0.0}],
    draw=_bowl,
    wrong={
        "This is the limit without momentum: heavy ball goes further.": lambda L, mu, tau: 2 / L,
        "The dampening is forgotten: it makes the step smaller.": lambda L, mu, tau: 2 * (1 + mu) / L,
        "The momentum is subtracted: this is how far it carries a step, not where it leaves the bowl.": (
            lambda L, mu, tau: 2 * (1 - mu) / (L * (1 - tau))
        ),
        "The dampening stands above. It makes the step smaller, so the limit is larger.": (
            lambda L, mu, tau: 2 * (1 + mu) * (1 - tau) / L
        ),
        "This is where it is fastest or half the limit: a factor 2 is missing.": (
            lambda L, mu, tau: (1 + mu) / (L * (1 - tau))
        ),
        "Dampening is added below, where it has to be taken off 1.": (
            lambda L, mu, tau: 2 * (1 + mu) / (L * (1 + tau))
        ),
        "This is the limit of Nesterov's momentum, which is lower. Here it is heavy ball's.": (
            lambda L, mu, tau: 2 * (1 + mu) / (L * (1 - tau) * (1 + 2 * mu))
        ),
        "It is not divided by the curvature.": lambda L, mu, tau: 2 * (1 + mu) / (1 - tau),
        "Momentum divides by 1 - momentum only in the long run, not at the limit.": (
            lambda L, mu, tau: 2 / (L * (1 - mu) * (1 - tau))
        ),
        "It is divided by the dampening itself.": lambda L, mu, tau: 2 * (1 + mu) / (L * tau) if tau else 0.0,
        "It is divided by the root of the curvature.": (
            lambda L, mu, tau: 2 * (1 + mu) / (L**0.5 * (1 - tau))
        ),
    },
    hints=[
        "What does dampening do to the gradient that joins the velocity?",
        "Without it the limit is 2 * (1 + momentum) / curvature.",
    ],
)
def lr_limit(curvature, momentum, dampening):
    """Return the learning rate above which SGD with momentum and
    dampening leaves a bowl of this largest curvature."""
    return 2 * (1 + momentum) / (curvature * (1 - dampening))


def _slow(rng):
    curvature = float(rng.uniform(0.1, 2.0))
    return {"lr": float(rng.uniform(0.01, 0.9 / curvature)), "curvature": curvature}


@exercise(
    cases=[{"lr": 0.25, "curvature": 1.0}],
    draw=_slow,
    wrong={
        "The outer square is missing.": lambda lr, c: 1 - (lr * c) ** 0.5,
        "The root is missing.": lambda lr, c: (1 - lr * c) ** 2,
        "Root and square are missing: this is the factor without momentum.": lambda lr, c: 1 - lr * c,
        "The root is taken of lr alone.": lambda lr, c: (1 - lr**0.5 * c) ** 2,
        "The root is taken of the curvature alone.": lambda lr, c: (1 - lr * c**0.5) ** 2,
        "This is the other root: that momentum is above 1.": lambda lr, c: (1 + (lr * c) ** 0.5) ** 2,
        "The square is inside, where the root has to be.": lambda lr, c: (1 - (lr * c) ** 2) ** 2,
        "This is the root of lr * curvature, without 1 minus.": lambda lr, c: (lr * c) ** 0.5,
        "It is lr / curvature, where it has to be lr * curvature.": lambda lr, c: (1 - (lr / c) ** 0.5) ** 2,
        "This is the best momentum of Nesterov's method.": (
            lambda lr, c: (1 - (lr * c) ** 0.5) / (1 + (lr * c) ** 0.5)
        ),
    },
    hints=[
        "A spiral begins where the two roots of r * r - (1 + momentum - lr * curvature) * r + momentum meet.",
        "They meet where (1 + momentum - lr * curvature) ** 2 is 4 * momentum.",
        "So 1 - root(momentum) is root(lr * curvature).",
    ],
)
def critical_momentum(lr, curvature):
    """Return the momentum, below 1, at which heavy ball is on the verge
    of spiralling along a direction of this curvature."""
    return (1 - (lr * curvature) ** 0.5) ** 2


@exercise(
    cases=[{"weight_decay": 2.0, "n_samples": 50}],
    draw=lambda rng: {
        "weight_decay": float(rng.uniform(0.01, 3.0)),
        "n_samples": int(rng.integers(3, 2000)),
    },
    wrong={
        "A 1/2 is missing: Ridge has none before its penalty, torch has.": lambda decay, n: n * decay,
        "It is not multiplied by the number of rows: Ridge adds the squares up.": lambda decay, n: decay / 2,
        "It is handed on unchanged.": lambda decay, n: decay,
        "The other way round: Ridge's sum is larger than a mean, so its alpha is, too.": (
            lambda decay, n: decay / (2 * n)
        ),
        "It is divided by the number of rows.": lambda decay, n: decay / n,
        "This is the way from alpha to weight_decay.": lambda decay, n: 2 * decay / n,
        "A 1/2 stands above, where it has to stand below.": lambda decay, n: 2 * n * decay,
        "A quarter: MSELoss has no 1/2.": lambda decay, n: n * decay / 4,
        "Rows are counted, not degrees of freedom.": lambda decay, n: (n - 1) * decay / 2,
        "It is upside down: this is 1 / alpha.": lambda decay, n: 2 / (n * decay),
        "This is C of scikit-learn's classifiers. Ridge's alpha stands before the penalty.": (
            lambda decay, n: 1 / (n * decay)
        ),
    },
    hints=[
        "Ridge minimizes the sum of the squares plus alpha times the squares of w.",
        "MSELoss with weight_decay, times n_samples, has such a sum. What stands before the penalty then?",
    ],
)
def ridge_alpha(weight_decay, n_samples):
    """Return the alpha of scikit-learn's Ridge that finds the line of
    MSELoss with this weight_decay, the bias free."""
    return n_samples * weight_decay / 2


def _features(rng):
    features = int(rng.integers(1, 6))
    X = torch.from_numpy(rng.normal(size=(features + int(rng.integers(3, 12)), features)))
    return {"X": X + 0.5, "weight_decay": float(rng.uniform(0.1, 2.0))}


def _curvatures(X, decay, *, factor=2.0, mean=True, bias=True, decay_bias=True):
    Z = torch.cat([X, X.new_ones(len(X), int(bias))], dim=1)
    decays = torch.full_like(Z[0], decay)
    if bias and not decay_bias:
        decays[-1] = 0
    return torch.linalg.eigvalsh(factor * Z.T @ Z / (len(X) if mean else 1) + decays.diag())


def _fastest(X, decay, **how):
    found = _curvatures(X, decay, **how)
    return 2 / (found[0] + found[-1])


@exercise(
    cases=[{"X": torch.tensor([[1.0], [3.0]]).double(), "weight_decay": 0.5}],
    draw=_features,
    wrong={
        "This is the limit, at which it never arrives. The best is below it.": (
            lambda X, decay: 2 / _curvatures(X, decay)[-1]
        ),
        "This is 1 / the largest curvature: safe, but the flattest direction could go faster.": (
            lambda X, decay: 1 / _curvatures(X, decay)[-1]
        ),
        "This is 1 / the smallest curvature: the steepest direction leaves the bowl.": (
            lambda X, decay: 1 / _curvatures(X, decay)[0]
        ),
        "MSELoss has no 1/2: its curvature is twice that of half the squares.": (
            lambda X, decay: _fastest(X, decay, factor=1.0)
        ),
        "The rows are added up. MSELoss takes their mean.": lambda X, decay: _fastest(X, decay, mean=False),
        "The bias is missing: it is a weight, too, of a feature that is 1.": (
            lambda X, decay: _fastest(X, decay, bias=False)
        ),
        "The decay is missing: it bends the bowl, too.": lambda X, decay: _fastest(X, 0.0),
        "The bias is free here. It decays, too.": lambda X, decay: _fastest(X, decay, decay_bias=False),
        "One of the two curvatures has no decay: it makes both larger.": (
            lambda X, decay: 2 / (_curvatures(X, decay)[0] + _curvatures(X, 0.0)[-1])
        ),
        "This is 2 / the sum of all curvatures. Only the smallest and the largest count.": (
            lambda X, decay: 2 / _curvatures(X, decay).sum()
        ),
        "This is 1 / the sum of both. A 2 stands above it.": lambda X, decay: _fastest(X, decay) / 2,
        "This is the best for heavy ball with the best momentum. Here is none.": (
            lambda X, decay: (2 / (_curvatures(X, decay)[0] ** 0.5 + _curvatures(X, decay)[-1] ** 0.5)) ** 2
        ),
        "These are roots of curvatures, singular values: square them.": (
            lambda X, decay: 2 / (_curvatures(X, decay)[0] ** 0.5 + _curvatures(X, decay)[-1] ** 0.5)
        ),
    },
    hints=[
        "The bowl is 2 / n * Z.T @ Z, where Z is X with a column of ones. The decay is on its diagonal.",
        "A direction of curvature c keeps |1 - lr * c| of its distance. Which directions keep the most?",
        "The flattest and the steepest. At the best learning rate both keep the same, on opposite sides.",
    ],
)
def fastest_lr(X, weight_decay):
    """Return the best learning rate of plain descent on MSELoss, for a
    line through rows of X, weight_decay on its weights and its bias."""
    Z = torch.cat([X, X.new_ones(len(X), 1)], dim=1)
    bowl = 2 * Z.T @ Z / len(X)
    curvatures = torch.linalg.eigvalsh(bowl) + weight_decay
    return 2 / (curvatures[0] + curvatures[-1])
