"""The exercises of *Why does the boundary drift?*"""

import torch
import torch.nn.functional as F

from course_lib._checking import exercise
from course_lib.optimum import logistic_optimum

__all__ = ["signed_distances", "penalized_loss", "widest_line", "line_of_training", "free_bias_optimum"]


def _normal(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape))


def _labels(rng, n):
    """Return labels of which both classes have at least one."""
    return torch.tensor([0.0, 1.0, *rng.integers(0, 2, n - 2)], dtype=torch.float64)


POINTS = torch.tensor([[3.0, 2.0], [1.0, 1.0]], dtype=torch.float64)
LABELS = torch.tensor([1.0, 0.0], dtype=torch.float64)
LINE = torch.tensor([3.0, 4.0], dtype=torch.float64)


def _with_line(rng):
    n, features = rng.integers(2, 9), rng.integers(1, 5)
    line = {"w": _normal(rng, features), "b": float(rng.normal())}
    return {"X": _normal(rng, n, features), **line}


@exercise(
    cases=[{"X": POINTS, "w": LINE, "b": -12.0}],
    draw=_with_line,
    wrong={
        "These are functional margins: w is not divided out, so they grow with its length.": (
            lambda X, w, b: X @ w + b
        ),
        "The offset b is not divided by the length of w.": lambda X, w, b: X @ w / w.norm() + b,
        "These are distances from a parallel line through the origin: where is b?": (
            lambda X, w, b: X @ w / w.norm()
        ),
        "These are distances without a sign: on which side is each point?": (
            lambda X, w, b: (X @ w + b).abs() / w.norm()
        ),
        "It is divided by the square of the length of w: is a root missing?": (
            lambda X, w, b: (X @ w + b) / (w @ w)
        ),
        "b counts as one more weight in the length. The distance is measured among the points.": (
            lambda X, w, b: (X @ w + b) / (w @ w + b * b) ** 0.5
        ),
        "It is divided by the sum of the sizes of w, an L1 norm.": (
            lambda X, w, b: (X @ w + b) / w.abs().sum()
        ),
        "b has the wrong sign: the line is where w @ x + b = 0.": lambda X, w, b: (X @ w - b) / w.norm(),
    },
    hints=[
        "Multiply w and b by 2. The line stays; what has to stay with it?",
        "w @ x + b is the distance, but in units of the length of w.",
        "The length of w is w.norm(), and b is no part of it.",
    ],
)
def signed_distances(X, w, b):
    """Return how far each row of X is from the line w @ x + b = 0,
    positive on the side to which w points."""
    return (X @ w + b) / w.norm()


def _with_labels(rng):
    arguments = _with_line(rng)
    arguments["y"] = _labels(rng, len(arguments["X"]))
    arguments["weight_decay"] = float(rng.uniform(0.1, 2.0))
    return {name: arguments[name] for name in ("X", "y", "w", "b", "weight_decay")}


def _cross_entropy(X, y, w, b, reduction="mean"):
    return F.binary_cross_entropy_with_logits(X @ w + b, y, reduction=reduction)


@exercise(
    cases=[{"X": POINTS, "y": LABELS, "w": LINE / 5, "b": -2.0, "weight_decay": 0.2}],
    draw=_with_labels,
    wrong={
        "The bias is free here. Leave it out of the penalty.": (
            lambda X, y, w, b, decay: _cross_entropy(X, y, w, b) + decay / 2 * (w @ w + b * b)
        ),
        "The penalty has no 1/2 in it.": lambda X, y, w, b, decay: _cross_entropy(X, y, w, b) + decay * w @ w,
        "The loss is a sum over the rows. It has to be their mean.": (
            lambda X, y, w, b, decay: _cross_entropy(X, y, w, b, "sum") + decay / 2 * w @ w
        ),
        "Loss and penalty are divided by the number of rows. The penalty counts once, not once a row.": (
            lambda X, y, w, b, decay: _cross_entropy(X, y, w, b) + decay / 2 * w @ w / len(X)
        ),
        "The penalty is the length of w. Square it.": (
            lambda X, y, w, b, decay: _cross_entropy(X, y, w, b) + decay / 2 * w.norm()
        ),
        "This is an L1 penalty, a sum of sizes. It has to be a sum of squares.": (
            lambda X, y, w, b, decay: _cross_entropy(X, y, w, b) + decay * w.abs().sum()
        ),
        "The penalty is a mean of squares. It has to be their sum.": (
            lambda X, y, w, b, decay: _cross_entropy(X, y, w, b) + decay / 2 * (w * w).mean()
        ),
        "All of it is multiplied by the number of rows, as a solver's C sees it. Take the mean.": (
            lambda X, y, w, b, decay: _cross_entropy(X, y, w, b, "sum") + len(X) * decay / 2 * w @ w
        ),
        "Rows with label 0 cost nothing here. Cross-entropy has a second term, for 1 - y.": (
            lambda X, y, w, b, decay: (y * F.softplus(-X @ w - b)).mean() + decay / 2 * w @ w
        ),
        "This loss is for labels -1 and 1. Here they are 0 and 1.": (
            lambda X, y, w, b, decay: F.softplus(-y * (X @ w + b)).mean() + decay / 2 * w @ w
        ),
        "The labels are the other way round.": (
            lambda X, y, w, b, decay: _cross_entropy(X, 1 - y, w, b) + decay / 2 * w @ w
        ),
        "The sigmoid is taken twice: binary_cross_entropy_with_logits has its own.": (
            lambda X, y, w, b, decay: (
                _cross_entropy(torch.sigmoid(X @ w + b)[:, None], y, w.new_ones(1), 0.0) + decay / 2 * w @ w
            )
        ),
        "This is the squared error of the probabilities, and not cross-entropy.": (
            lambda X, y, w, b, decay: F.mse_loss(torch.sigmoid(X @ w + b), y) + decay / 2 * w @ w
        ),
    },
    hints=[
        "Two terms: a mean over the rows, and a penalty that no row is part of.",
        "F.binary_cross_entropy_with_logits(X @ w + b, y) is the mean cross-entropy.",
        "The penalty is weight_decay / 2 times the sum of the squares of w.",
    ],
)
def penalized_loss(X, y, w, b, weight_decay):
    """Return the mean cross-entropy plus an L2 penalty,
    whose gradient is weight_decay times w, and 0 for b."""
    loss = F.binary_cross_entropy_with_logits(X @ w + b, y)
    return loss + weight_decay / 2 * (w @ w)


def _two(rng):
    features = rng.integers(1, 6)
    return {"p": _normal(rng, features), "q": _normal(rng, features)}


def _counted(p, q, at_p=1.0, at_q=-1.0, ones=1.0):
    """Return the shortest (w, b) that has these functional margins, where the bias counts."""
    z = torch.cat([torch.stack([p, q]), ones * p.new_ones(2, 1)], dim=1)
    theta = torch.linalg.pinv(z) @ z.new_tensor([at_p, at_q])
    return theta[:-1], theta[-1]


def _scaled(p, q, scale):
    w = scale * (p - q)
    return w, -w @ (p + q) / 2


@exercise(
    cases=[{"p": POINTS[0], "q": POINTS[1]}],
    draw=_two,
    wrong={
        "This is the line of training: b counts as a weight. A support vector machine leaves it out.": (
            _counted
        ),
        "The line is right, its scale is not: w @ p + b has to be 1. Here w is the difference itself.": (
            lambda p, q: _scaled(p, q, 1.0)
        ),
        "The line is right, its scale is not: w has length 1 here, and w @ p + b has to be 1.": (
            lambda p, q: _scaled(p, q, 1 / (p - q).norm())
        ),
        "The line is right, its scale is not: half of it is missing.": (
            lambda p, q: _scaled(p, q, 1 / ((p - q) @ (p - q)))
        ),
        "The line is right, its scale is not: w has length 2 here. Divide by the square of the distance.": (
            lambda p, q: _scaled(p, q, 2 / (p - q).norm())
        ),
        "It points from p to q: w @ p + b is -1.": lambda p, q: _scaled(p, q, -2 / ((p - q) @ (p - q))),
        "w is right. The line goes through q instead of the middle.": (
            lambda p, q: (_scaled(p, q, 2 / ((p - q) @ (p - q)))[0], -2 * (p - q) @ q / ((p - q) @ (p - q)))
        ),
        "w is right. The line goes through p instead of the middle.": (
            lambda p, q: (_scaled(p, q, 2 / ((p - q) @ (p - q)))[0], -2 * (p - q) @ p / ((p - q) @ (p - q)))
        ),
        "w is right. The line goes through the origin: b is missing.": (
            lambda p, q: (_scaled(p, q, 2 / ((p - q) @ (p - q)))[0], torch.tensor(0.0).double())
        ),
        "w is right, b has the wrong sign.": (
            lambda p, q: (
                _scaled(p, q, 2 / ((p - q) @ (p - q)))[0],
                -_scaled(p, q, 2 / ((p - q) @ (p - q)))[1],
            )
        ),
        "w is right, b is twice what it should be: the middle is half the sum of p and q.": (
            lambda p, q: (
                _scaled(p, q, 2 / ((p - q) @ (p - q)))[0],
                2 * _scaled(p, q, 2 / ((p - q) @ (p - q)))[1],
            )
        ),
    },
    tolerance=1e-6,
    hints=[
        "In which direction does the widest gap between two points lie?",
        "w is a multiple of p - q. Going from q to p, w @ x + b rises from -1 to 1.",
        "So w @ (p - q) is 2. And in the middle, (p + q) / 2, stands w @ x + b = 0.",
    ],
)
def widest_line(p, q):
    """Return w and b of the perpendicular bisector of p and q,
    with w @ p + b = 1 and w @ q + b = -1."""
    w = 2 * (p - q) / (p - q).square().sum()
    return w, -w @ (p + q) / 2


def _apart(rng):
    """Return two points, in half of the cases such that one lies further out than it has to."""
    while True:
        points = _two(rng)
        p = points["p"] = points["p"] + points["p"].sign()
        if rng.integers(0, 2):
            points["q"] = -float(rng.uniform(1.5, 4.0)) * p + points["q"] / 4
            points = {"p": points["q"], "q": p} if rng.integers(0, 2) else points
        if (points["p"] - points["q"]).norm() > 0.5:
            return points


def _alone(p, scale=1.0):
    """Return the shortest (w, b) with a functional margin of 1 at p."""
    square = p @ p + 1
    return scale * p / square, scale / square


def _turned_to(p, q):
    return line_of_training.reference(p, q)


@exercise(
    cases=[
        {"p": POINTS[0], "q": POINTS[1]},
        {"p": POINTS[1], "q": torch.tensor([-3.0, -2.0], dtype=torch.float64)},
    ],
    draw=_apart,
    wrong={
        "Both margins are 1 in size here, always. A point may lie further out than it has to.": _counted,
        "The bias does not count here: this is the bisector, which training leaves behind.": (
            lambda p, q: _scaled(p, q, 2 / ((p - q) @ (p - q)))
        ),
        "p alone is held at 1. Where is q then?": lambda p, q: _alone(p),
        "q alone is held at -1. Where is p then?": lambda p, q: _alone(q, -1.0),
        "The direction is right. Its length is not: (w, b) has length 1 here, and a margin has to be 1.": (
            lambda p, q: tuple(part / torch.hstack(_turned_to(p, q)).norm() for part in _turned_to(p, q))
        ),
        "The direction is right. Its length is not: w has length 1 here, and a margin has to be 1.": (
            lambda p, q: tuple(part / _turned_to(p, q)[0].norm() for part in _turned_to(p, q))
        ),
        "This is where the first step goes, when both points pull alike. Later they do not.": (
            lambda p, q: ((p - q) / 2, torch.tensor(0.0).double())
        ),
        "It points from p to q: w @ p + b has to be positive.": (
            lambda p, q: tuple(-part for part in _turned_to(p, q))
        ),
        "This is a line through the origin: b is a weight, too.": lambda p, q: _counted(p, q, ones=0.0),
        "p and q are on one side here: w @ q + b has to be -1 or less.": (
            lambda p, q: _counted(p, q, at_q=1.0)
        ),
        "The margins are 1 and 0 here, which are labels: the other margin is -1.": (
            lambda p, q: _counted(p, q, at_q=0.0)
        ),
        "w is right, b has the wrong sign.": lambda p, q: (_turned_to(p, q)[0], -_turned_to(p, q)[1]),
    },
    tolerance=1e-6,
    hints=[
        "b is one more weight, of a feature that is 1. Which vector of all weights is the shortest?",
        "With both margins 1 in size it is torch.linalg.pinv of the rows (p, 1) and (q, 1), times (1, -1).",
        "p alone needs (p, 1) / (p @ p + 1), and q its like. If one of them suits both, take that.",
    ],
)
def line_of_training(p, q):
    """Return w and b, the shortest (w, b) with w @ p + b >= 1 and
    w @ q + b <= -1: to their line training turns without decay."""
    one = p.new_ones(1)
    z = torch.stack([torch.cat([p, one]), torch.cat([-q, -one])])
    both = torch.linalg.pinv(z) @ z.new_ones(2)
    lines = [z[0] / (z[0] @ z[0]), z[1] / (z[1] @ z[1]), both]
    kept = [theta for theta in lines if (z @ theta).min() > 1 - 1e-9]
    shortest = min(kept, key=torch.Tensor.norm)
    return shortest[:-1], shortest[-1]


def _overlapping(rng):
    features = rng.integers(1, 4)
    n = rng.integers(features + 4, 13)
    X = _normal(rng, n, features) + 2 * _normal(rng, features)
    decay = float(rng.uniform(0.1, 1.0))
    return {"X": X, "y": _labels(rng, n), "weight_decay": decay}


def _packed(X, y, weight_decay, **how):
    weight, bias = logistic_optimum(X, y, weight_decay, **how)
    return torch.cat([weight, bias[None]])


@exercise(
    cases=[{"X": POINTS, "y": LABELS, "weight_decay": 0.2}],
    draw=_overlapping,
    wrong={
        "You decayed the bias.": lambda X, y, decay: _packed(X, y, decay, decay_bias=True),
        "This is the optimum for 2 * weight_decay: is the 1/2 in your penalty?": (
            lambda X, y, decay: _packed(X, y, 2 * decay)
        ),
        "You decayed the bias, and this is for 2 * weight_decay: is the 1/2 in your penalty?": (
            lambda X, y, decay: _packed(X, y, 2 * decay, decay_bias=True)
        ),
        "This is the optimum for half of weight_decay: is one 1/2 too many?": (
            lambda X, y, decay: _packed(X, y, decay / 2)
        ),
        "The loss is a sum over the rows here. It has to be their mean.": (
            lambda X, y, decay: _packed(X, y, decay / len(X))
        ),
        "You decayed the bias, and the loss is a sum over the rows: a solver's C does both at times.": (
            lambda X, y, decay: _packed(X, y, decay / len(X), decay_bias=True)
        ),
        "The penalty counts once a row. It counts once.": lambda X, y, decay: _packed(X, y, decay * len(X)),
        "This is for an L1 penalty, a sum of sizes instead of squares.": (
            lambda X, y, decay: _packed(X, y, decay, penalty="l1")
        ),
        "The labels are the other way round.": lambda X, y, decay: -_packed(X, y, decay),
        "The bias comes last: weights, then bias.": lambda X, y, decay: _packed(X, y, decay).roll(1),
        "There is no bias: a line through the origin.": (
            lambda X, y, decay: torch.cat([_without_bias(X, y, decay), torch.zeros(1, dtype=torch.float64)])
        ),
    },
    tolerance=1e-4,
    hints=[
        "Where the slope is zero, training ends. Which slope has the bias, when it is free?",
        "Gradient descent on the mean loss plus weight_decay / 2 * w @ w finds it, run until nothing moves.",
        "Newton's method needs few steps. Or call course_lib.optimum.logistic_optimum.",
    ],
)
def free_bias_optimum(X, y, weight_decay):
    """Return the weights and, last, the bias, in one tensor, at which SGD on
    the mean cross-entropy ends with weight_decay on the weights alone."""
    rows = torch.cat([X, X.new_ones(len(X), 1)], dim=1)
    decay = torch.full_like(rows[0], weight_decay)
    decay[-1] = 0
    theta = torch.zeros_like(decay)
    for _ in range(20):  # Newton's method
        p = torch.sigmoid(rows @ theta)
        slope = rows.T @ (p - y) / len(X) + decay * theta
        curvature = (rows.T * (p * (1 - p))) @ rows / len(X)
        theta -= torch.linalg.solve(curvature + decay.diag(), slope)
    return theta


def _without_bias(X, y, weight_decay):
    """Return the weights of the best line through the origin: each row stands beside its mirror image."""
    weight, _ = logistic_optimum(torch.cat([X, -X]), torch.cat([y, 1 - y]), weight_decay)
    return weight
