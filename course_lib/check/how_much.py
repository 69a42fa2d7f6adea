"""The exercises of *How much decay?*"""

import math
from functools import partial

import numpy as np
import torch

from course_lib._checking import exercise

__all__ = ["decay_for_epochs", "one_standard_error", "floor_width", "losses_by_folds", "decay_of_stopping"]

MEDIAN = partial(torch.quantile, q=0.5)


def _run(rng):
    batch_size = int(rng.integers(2, 40))
    rest = int(rng.integers(1, batch_size)) if rng.random() < 0.7 else 0
    return {
        "n_samples": batch_size * int(rng.integers(2, 30)) + rest,
        "batch_size": batch_size,
        "lr": float(10 ** rng.uniform(-3, -1)),
        "epochs": float(rng.uniform(2, 60)),
    }


@exercise(
    cases=[
        {"n_samples": 200, "batch_size": 25, "lr": 0.01, "epochs": 10.0},
        {"n_samples": 201, "batch_size": 25, "lr": 0.01, "epochs": 10.0},
    ],
    draw=_run,
    wrong={
        "The last batch of an epoch is left out: it is smaller, but a step all the same.": (
            lambda n, batch, lr, epochs: 1 / (lr * epochs * (n // batch))
        ),
        "An epoch has a whole number of steps, and the last may be of a smaller batch.": (
            lambda n, batch, lr, epochs: 1 / (lr * epochs * n / batch)
        ),
        "Where the batches fit, n_samples // batch_size + 1 is one step too many.": (
            lambda n, batch, lr, epochs: 1 / (lr * epochs * (n // batch + 1))
        ),
        "This is a time scale of so many steps. How many steps has an epoch?": (
            lambda n, batch, lr, epochs: 1 / (lr * epochs)
        ),
        "The rows are counted. The clock counts steps, and a step takes a whole batch.": (
            lambda n, batch, lr, epochs: 1 / (lr * epochs * n)
        ),
        "Multiplied by batch_size: a larger batch makes fewer steps an epoch.": (
            lambda n, batch, lr, epochs: 1 / (lr * epochs * batch)
        ),
        "This is lr * weight_decay. Divide it by lr.": (
            lambda n, batch, lr, epochs: 1 / (epochs * math.ceil(n / batch))
        ),
        "It is multiplied by lr, where it has to be divided.": (
            lambda n, batch, lr, epochs: lr / (epochs * math.ceil(n / batch))
        ),
        "It is upside down: this is 1 / weight_decay.": (
            lambda n, batch, lr, epochs: lr * epochs * math.ceil(n / batch)
        ),
        "This is a half-life: it leaves a half after so many epochs. A time scale leaves 1/e.": (
            lambda n, batch, lr, epochs: math.log(2) / (lr * epochs * math.ceil(n / batch))
        ),
        "Close: this leaves exactly 1/e after the last step. A time scale is 1 / (lr * weight_decay).": (
            lambda n, batch, lr, epochs: -math.expm1(-1 / (epochs * math.ceil(n / batch))) / lr
        ),
        "This is 2 times as much: right for a cosine that halves the mean of lr. Here lr is constant.": (
            lambda n, batch, lr, epochs: 2 / (lr * epochs * math.ceil(n / batch))
        ),
        "The time scale is an epoch, however many are asked for.": (
            lambda n, batch, lr, epochs: 1 / (lr * math.ceil(n / batch))
        ),
    },
    hints=[
        "How many steps has an epoch, when the last batch may be smaller?",
        "The time scale is steps an epoch times epochs: a number of steps.",
        "1 / (lr * weight_decay) is that number. Solve for weight_decay.",
    ],
)
def decay_for_epochs(n_samples, batch_size, lr, epochs):
    """Return the weight_decay of AdamW whose time scale, the steps
    1 / (lr * weight_decay), is so many epochs. No batch is dropped."""
    n_steps = epochs * math.ceil(n_samples / batch_size)
    return 1 / (lr * n_steps)


def _valley(rng):
    """Return means up to 2.5 standard errors above their floor, but not at one: a valley, or with humps."""
    n_seeds, n, best = int(rng.choice([3, 5, 7])), int(rng.integers(6, 10)), int(rng.integers(2, 4))
    noise = rng.normal(size=(n_seeds, n)) * rng.uniform(0.05, 0.3, n)
    noise -= noise.mean(axis=0)
    error = noise[:, best].std(ddof=1) / n_seeds**0.5
    above = np.zeros(n)
    while np.abs(above - 1).min() < 0.01 or not above.any():
        left, right = rng.uniform(0.1, 2.5, best), rng.uniform(0.1, 2.5, n - best - 1)
        above = np.concatenate([np.sort(left)[::-1], [0], np.sort(right) if rng.random() < 0.5 else right])
    order = rng.permutation(n)
    return {
        "lambdas": torch.from_numpy(10 ** np.sort(rng.uniform(-4, 0, n)))[order],
        "losses": torch.from_numpy(1 + noise + error * above)[:, order],
    }


def _within(lambdas, losses, *, errors=1.0, ddof=1, root=0.5, center=torch.mean):
    """Return which lambdas are so many errors of the best above it, or less."""
    middle = center(losses, dim=0)
    best = middle.argmin()
    error = losses[:, best].std(correction=ddof) / len(losses) ** root
    return middle <= middle[best] + errors * error


def _own_errors(losses):
    return losses.std(dim=0) / len(losses) ** 0.5


def _paired(losses):
    """Return which lambdas are worse than the best by one error of the differences, or less."""
    differences = losses - losses[:, [losses.mean(dim=0).argmin()]]
    return differences.mean(dim=0) <= _own_errors(differences)


def _walked(lambdas, losses):
    """Return the last lambda before the first on the right of the best that is too bad."""
    order = lambdas.argsort()
    best = int(losses[:, order].mean(dim=0).argmin())
    low = _within(lambdas, losses)[order][best:]
    return lambdas[order][best + int(low.cumprod(0).sum()) - 1]


def _above(losses):
    return losses.mean(dim=0) - losses.mean(dim=0).min()


@exercise(
    cases=[
        {
            "lambdas": torch.tensor([0.012, 0.11, 0.0013, 1.3]).double(),
            "losses": torch.tensor(
                [[0.6, 0.7, 0.9, 1.2], [0.8, 0.8, 1.1, 1.4], [0.7, 0.75, 1.0, 1.3]]
            ).double(),
        }
    ],
    draw=_valley,
    wrong={
        "This is the best one. The rule takes the largest that is as good, as far as the runs can tell.": (
            lambda lam, losses: lam[losses.mean(dim=0).argmin()]
        ),
        "This is the smallest one within the error, the least decay. Take the largest.": (
            lambda lam, losses: lam[_within(lam, losses)].min()
        ),
        "The spread of single runs is taken. The error of their mean is that, divided by a root.": (
            lambda lam, losses: lam[_within(lam, losses, root=0)].max()
        ),
        "The spread is divided by the number of runs: the root of it is missing.": (
            lambda lam, losses: lam[_within(lam, losses, root=1)].max()
        ),
        "The variance divides by n, as NumPy's std does. It has to divide by n - 1: ddof=1.": (
            lambda lam, losses: lam[_within(lam, losses, ddof=0)].max()
        ),
        "Two standard errors are allowed. It has to be one.": (
            lambda lam, losses: lam[_within(lam, losses, errors=2)].max()
        ),
        "Each lambda has its own error here. It has to be that of the best one.": (
            lambda lam, losses: lam[_above(losses) <= _own_errors(losses)].max()
        ),
        "Two errors are added, that of each lambda and that of the best. Take the latter.": (
            lambda lam, losses: lam[
                _above(losses) <= _own_errors(losses) + _own_errors(losses)[_above(losses).argmin()]
            ].max()
        ),
        "This is the error of the differences, run by run, a finer test. Take that of the best mean.": (
            lambda lam, losses: lam[_paired(losses)].max()
        ),
        "It stops at the first lambda that is too bad. A larger one may be good enough.": _walked,
        "Medians are compared. A standard error belongs to a mean.": (
            lambda lam, losses: lam[_within(lam, losses, center=MEDIAN)].max()
        ),
        "This is the last good column. Look at the lambdas: they are in no order.": (
            lambda lam, losses: lam[_within(lam, losses).nonzero().max()]
        ),
        "This is the first good column. Look at the lambdas: they are in no order.": (
            lambda lam, losses: lam[_within(lam, losses).nonzero().min()]
        ),
        "This is a loss, the highest that is allowed. Return the largest lambda below it.": (
            lambda lam, losses: losses.mean(dim=0).min() + _own_errors(losses)[losses.mean(dim=0).argmin()]
        ),
        "The lambdas are sorted, and their losses are not.": (
            lambda lam, losses: lam.sort().values[_within(lam, losses)].max()
        ),
        "The root is that of the number of lambdas. It has to be that of the runs.": (
            lambda lam, losses: lam[_within(lam, losses, root=0, errors=losses.shape[1] ** -0.5)].max()
        ),
        "This is the number of a column. Return its lambda.": (
            lambda lam, losses: torch.where(_within(lam, losses), lam, 0.0).argmax()
        ),
        "This is the largest lambda that is best in some run. Compare means, not runs.": (
            lambda lam, losses: lam[losses.argmin(dim=1)].max()
        ),
        "This is the lambda of the luckiest run. Compare means, not runs.": (
            lambda lam, losses: lam[losses.min(dim=0).values.argmin()]
        ),
        "This is the largest lambda of all, however bad.": lambda lam, losses: lam.max(),
    },
    hints=[
        "Find the lowest mean over the runs first. How well do so few runs know it?",
        "Its standard error is losses[:, best].std() / n_runs ** 0.5.",
        "Which means are at most that much above it? Of their lambdas take the largest.",
    ],
)
def one_standard_error(lambdas, losses):
    """Return the largest lambda whose mean loss is at most one standard
    error of the best above the lowest mean. A row of losses is a run, a
    column a lambda, in any order."""
    means = losses.mean(dim=0)
    best = means.argmin()
    error = losses[:, best].std() / len(losses) ** 0.5
    return lambdas[means <= means[best] + error].max()


def _floor(rng):
    """Return a valley with a floor, walls that are higher than it costs, and a place as low behind a wall."""
    n_seeds, n, cost = int(rng.choice([3, 5, 7])), int(rng.integers(8, 12)), float(rng.uniform(0.03, 0.2))
    first = int(rng.integers(2, 4))
    last = int(rng.integers(first + 1, n - 3))
    above = rng.uniform(1.2, 3, n)
    above[first : last + 1] = rng.uniform(0.1, 0.8, last - first + 1)
    above[rng.integers(first, last + 1)] = 0
    above[rng.choice([0, n - 1])] = 0.5
    noise = rng.exponential(cost, size=(n_seeds, n))
    losses = rng.uniform(0.3, 2) * (1 + cost * above + noise - np.median(noise, axis=0))
    return {
        "lambdas": torch.from_numpy(10 ** np.cumsum(rng.uniform(0.2, 0.7, n)) * 1e-5),
        "losses": torch.from_numpy(losses),
        "cost": cost,
    }


def _ends(lambdas, losses, cost, *, middle=MEDIAN, share=True, beyond=0):
    """Return the lambda at the left end of the floor, the best, and that at the right end."""
    values = middle(losses, dim=0)
    best = int(values.argmin())
    low = values <= (values[best] * (1 + cost) if share else values[best] + cost)
    left = best - int(low[:best].flip(0).cumprod(0).sum()) - beyond
    right = best + int(low[best:].cumprod(0).sum()) - 1 + beyond
    return lambdas[max(left, 0)], lambdas[best], lambdas[min(right, len(lambdas) - 1)]


def _width(*arguments, **how):
    left, _, right = _ends(*arguments, **how)
    return (right / left).log10()


def _cheap(lambdas, losses, cost):
    values = losses.quantile(0.5, dim=0)
    return lambdas[values <= values.min() * (1 + cost)]


@exercise(
    cases=[
        {
            "lambdas": torch.tensor([0.001, 0.01, 0.1, 0.2, 1.0, 10.0]).double(),
            "losses": torch.tensor(
                [
                    [0.92, 1.0, 0.8, 0.9, 1.4, 0.85],
                    [0.94, 1.1, 0.9, 0.96, 1.5, 0.98],
                    [0.96, 1.2, 1.3, 1.0, 1.9, 1.3],
                ]
            ).double(),
            "cost": 0.1,
        },
        {
            "lambdas": torch.tensor([0.01, 0.03, 1.0, 20.0]).double(),
            "losses": torch.tensor([[1.4, 1.0, 1.6, 1.2]]).double(),
            "cost": 0.5,
        },
        {
            "lambdas": torch.tensor([0.01, 0.03, 1.0, 20.0]).double(),
            "losses": torch.tensor([[1.2, 1.6, 1.0, 1.4]]).double(),
            "cost": 0.5,
        },
    ],
    draw=_floor,
    wrong={
        "There is a wall between: lambdas behind it are low again, but they are not on this floor.": (
            lambda *a: (_cheap(*a).max() / _cheap(*a).min()).log10()
        ),
        "Means are compared. One bad run moves a mean, and not the median that is asked for.": (
            lambda *a: _width(*a, middle=torch.mean)
        ),
        "These are the best runs of each lambda. Take their medians.": lambda *a: _width(
            *a, middle=torch.amin
        ),
        "These are the worst runs of each lambda. Take their medians.": lambda *a: _width(
            *a, middle=torch.amax
        ),
        "The cost is a share of the lowest loss. Here it is one of the others.": (
            lambda lam, losses, cost: _width(lam, losses, 1 / (1 - cost) - 1)
        ),
        "The cost is a share of the lowest loss. Here it is added to it.": lambda *a: _width(*a, share=False),
        "This is a natural logarithm. Powers of ten are counted by log10.": (
            lambda *a: _width(*a) * math.log(10)
        ),
        "This is the factor between the ends. How many powers of ten is it?": lambda *a: 10 ** _width(*a),
        "This is the difference of the ends. A grid of lambdas counts in factors.": (
            lambda *a: _ends(*a)[2] - _ends(*a)[0]
        ),
        "This is the half on the right of the best lambda.": lambda *a: (_ends(*a)[2] / _ends(*a)[1]).log10(),
        "This is the half on the left of the best lambda.": lambda *a: (_ends(*a)[1] / _ends(*a)[0]).log10(),
        "It goes one lambda too far on both sides: those cost more already.": lambda *a: _width(*a, beyond=1),
        "This is the whole grid.": lambda lam, losses, cost: (lam[-1] / lam[0]).log10(),
        "This counts the lambdas on the floor. How far are the outer ones apart?": (
            lambda lam, losses, cost: (
                (lam >= _ends(lam, losses, cost)[0]) & (lam <= _ends(lam, losses, cost)[2])
            ).sum()
        ),
        "This is the right end. Its distance from the left end is asked for.": lambda *a: _ends(*a)[2],
    },
    hints=[
        "Start at the lowest median. How far can you walk to the left, and to the right?",
        "Stop before the first lambda whose median is above (1 + cost) times the lowest.",
        "The width is log10 of the last good lambda on the right over the last good one on the left.",
    ],
)
def floor_width(lambdas, losses, cost):
    """Return how many powers of ten the floor is wide: the neighbors of
    the best lambda whose median loss is at most a share, cost, above the
    lowest. A row is a run; lambdas increase from column to column."""
    medians = losses.quantile(0.5, dim=0)
    left = right = medians.argmin()
    low = medians <= (1 + cost) * medians.min()
    while left > 0 and low[left - 1]:
        left = left - 1
    while right < len(low) - 1 and low[right + 1]:
        right = right + 1
    return torch.log10(lambdas[right] / lambdas[left])


def _table(rng):
    n_folds, width = int(rng.integers(2, 6)), int(rng.integers(1, 4))
    rows = n_folds * int(rng.integers(3, 6)) + n_folds * width
    A = torch.from_numpy(rng.normal(size=(rows, width)) + rng.uniform(-1, 1, width))
    y = A @ torch.from_numpy(rng.normal(size=width)) + torch.from_numpy(rng.normal(size=rows) + 1)
    lambdas = torch.from_numpy(10 ** rng.uniform(-1, 1, int(rng.integers(1, 5))))
    return {"A": A, "y": y, "lambdas": lambdas, "n_folds": n_folds}


def _fitted(A, y, lam, n_rows=None, bias=True):
    """Return the weight and bias of a ridge regression, of the mean over these rows or over n_rows."""
    center, level = (A.mean(dim=0), y.mean()) if bias else (0, 0)
    B, scale = A - center, 2 / (n_rows or len(y))
    w = torch.linalg.solve(scale * B.T @ B + lam * torch.eye(A.shape[1]).to(A), scale * B.T @ (y - level))
    return w, level - (A.mean(dim=0) @ w if bias else 0)


def _each(score, reduce=torch.mean):
    """Return what gives each lambda a score(A, y, lam, kept, out) in each fold, and makes one of them."""

    def by_folds(A, y, lambdas, n_folds):
        every = torch.arange(len(A))
        parts = [(every[~torch.isin(every, out)], out) for out in every.tensor_split(n_folds)]
        scores = [[score(A, y, lam, *part) for part in parts] for lam in lambdas]
        return reduce(torch.tensor(scores, dtype=A.dtype), dim=1)

    return by_folds


def _error(model, A, y):
    return (A @ model[0] + model[1] - y).square().mean()


def _centered(A, y, lam, kept, out, *, center=None, level=None):
    """Return the error of a model whose columns and target are centered by other rows than those kept."""
    center = A[kept if center is None else center].mean(dim=0)
    level = y[kept if level is None else level].mean()
    return _error(
        _fitted(A[kept] - center, y[kept] - level, lam, bias=False), A[out] - center, y[out] - level
    )


def _held_out(A, y, lam, kept, out):
    return _error(_fitted(A[kept], y[kept], lam), A[out], y[out])


def _leaking(A, y, lambdas, n_folds):
    losses, eye = torch.zeros(len(lambdas)).to(A), torch.eye(A.shape[1]).to(A)
    for out in torch.arange(len(A)).tensor_split(n_folds):
        kept = torch.ones(len(A), dtype=torch.bool)
        kept[out] = False
        center, level = A.mean(dim=0), y.mean()
        B, t = A[kept] - center, y[kept] - level
        for k, lam in enumerate(lambdas):
            hessian = 2 * B.T @ B / len(t) + lam * eye
            w = torch.linalg.solve(hessian, 2 * B.T @ t / len(t))
            missed = (A[out] - center) @ w + level - y[out]
            losses[k] += missed.square().mean() / n_folds
    return losses


@exercise(
    cases=[
        {
            "A": torch.tensor([[0.0], [1.0], [2.0], [4.0]]).double(),
            "y": torch.tensor([1.0, 0.0, 3.0, 4.0]).double(),
            "lambdas": torch.tensor([0.1, 1.0]).double(),
            "n_folds": 2,
        }
    ],
    draw=_table,
    given=_leaking,
    wrong={
        "It still leaks: the means are those of all rows, and those held out are among them.": _leaking,
        "The columns are mended. y is still centered by the mean of all rows.": _each(
            lambda *a: _centered(*a, level=slice(None))
        ),
        "y is mended. The columns are still centered by the means of all rows.": _each(
            lambda *a: _centered(*a, center=slice(None))
        ),
        "It is fitted to all rows: what is held out is seen.": _each(
            lambda A, y, lam, kept, out: _error(_fitted(A, y, lam), A[out], y[out])
        ),
        "These are training errors. Those of the rows that are held out are asked for.": _each(
            lambda A, y, lam, kept, out: _held_out(A, y, lam, kept, kept)
        ),
        "The parts are swapped: it is fitted to the fold, and tested on the rest.": _each(
            lambda A, y, lam, kept, out: _held_out(A, y, lam, out, kept)
        ),
        "Held-out rows are centered by their own means. A new row alone would have none.": _each(
            lambda A, y, lam, kept, out: _error(
                _fitted(A[kept] - A[kept].mean(dim=0), y[kept], lam), A[out] - A[out].mean(dim=0), y[out]
            )
        ),
        "Nothing is centered any more: a line without a bias goes through the origin.": _each(
            lambda A, y, lam, kept, out: _error(_fitted(A[kept], y[kept], lam, bias=False), A[out], y[out])
        ),
        "The penalty is counted as a loss. It belongs to the fit alone.": _each(
            lambda A, y, lam, kept, out: (
                _held_out(A, y, lam, kept, out) + lam / 2 * _fitted(A[kept], y[kept], lam)[0].square().sum()
            )
        ),
        "The folds are added up. Take their mean.": _each(_held_out, reduce=torch.sum),
        "This is one split: the first fold alone.": _each(_held_out, reduce=lambda s, dim: s[:, 0]),
        "This is the luckiest fold. Take the mean of all.": _each(_held_out, reduce=torch.amin),
        "This is the worst fold. Take the mean of all.": _each(_held_out, reduce=torch.amax),
        "A root is taken in each fold. The error is a mean of squares.": _each(
            lambda *a: _held_out(*a).sqrt()
        ),
        "The penalty stands beside a sum over rows, as alpha does. It has to stand beside their mean.": _each(
            lambda A, y, lam, kept, out: _error(_fitted(A[kept], y[kept], lam, n_rows=2), A[out], y[out])
        ),
        "The mean is over all rows: a fold is fitted to fewer, so that its lambda is another.": _each(
            lambda A, y, lam, kept, out: _error(_fitted(A[kept], y[kept], lam, n_rows=len(y)), A[out], y[out])
        ),
    },
    hints=[
        "What does each number know of the rows that are held out?",
        "w comes from the rows that are kept. Where do center and level come from?",
        "Index A and y by kept before the means are taken.",
    ],
)
def losses_by_folds(A, y, lambdas, n_folds):
    """Return the mean squared error of ridge regression for each
    lambda over the folds, each held out once. Mend the leak."""
    losses, eye = torch.zeros(len(lambdas)).to(A), torch.eye(A.shape[1]).to(A)
    for out in torch.arange(len(A)).tensor_split(n_folds):
        kept = torch.ones(len(A), dtype=torch.bool)
        kept[out] = False
        center, level = A[kept].mean(dim=0), y[kept].mean()
        B, t = A[kept] - center, y[kept] - level
        for k, lam in enumerate(lambdas):
            hessian = 2 * B.T @ B / len(t) + lam * eye
            w = torch.linalg.solve(hessian, 2 * B.T @ t / len(t))
            missed = (A[out] - center) @ w + level - y[out]
            losses[k] += missed.square().mean() / n_folds
    return losses


def _descent(rng):
    lr, n_steps = float(10 ** rng.uniform(-2, 0)), int(rng.integers(3, 60))
    curvature = float(rng.uniform(0.2, min(3.0, 0.7 * n_steps))) / (lr * n_steps)
    return {"curvature": curvature, "lr": lr, "n_steps": n_steps}


@exercise(
    cases=[
        {"curvature": 2.0, "lr": 0.25, "n_steps": 2},
        {"curvature": 0.5, "lr": 0.1, "n_steps": 30},
    ],
    draw=_descent,
    wrong={
        "This is 1 / (lr * n_steps), which holds where the curvature is small beside it.": (
            lambda s, lr, n: 1 / (lr * n)
        ),
        "Close: a power of e is what infinitely small steps leave.": lambda s, lr, n: (
            s / math.expm1(lr * s * n)
        ),
        "The two shares are swapped: what is lost, and what is kept.": (
            lambda s, lr, n: s * (1 - (1 - lr * s) ** n) / (1 - lr * s) ** n
        ),
        "This is the share that is still missing. Which lambda loses as much?": (
            lambda s, lr, n: (1 - lr * s) ** n
        ),
        "This is the share that is kept. Which lambda keeps as much?": lambda s, lr, n: 1 - (1 - lr * s) ** n,
        "Divide it by the share that is kept.": lambda s, lr, n: s * (1 - lr * s) ** n,
        "This is curvature + lambda. Take the curvature off.": lambda s, lr, n: s / (1 - (1 - lr * s) ** n),
        "This is lambda / curvature.": lambda s, lr, n: (1 - lr * s) ** n / (1 - (1 - lr * s) ** n),
        "This is lr * lambda: it is in units of a step.": (
            lambda s, lr, n: lr * s * (1 - lr * s) ** n / (1 - (1 - lr * s) ** n)
        ),
        "One step is missing: there are n_steps of them, not n_steps - 1.": (
            lambda s, lr, n: s * (1 - lr * s) ** (n - 1) / (1 - (1 - lr * s) ** (n - 1))
        ),
        "One step too many: there are n_steps of them, not n_steps + 1.": (
            lambda s, lr, n: s * (1 - lr * s) ** (n + 1) / (1 - (1 - lr * s) ** (n + 1))
        ),
        "This is one step, however many there are.": lambda s, lr, n: s * (1 - lr * s) / (lr * s),
        "n_steps multiplies. But each step takes its share of what is left: it is a power.": (
            lambda s, lr, n: s * (1 - n * lr * s) / (n * lr * s)
        ),
        "It is divided by 1 + lr * curvature: those are implicit steps.": (
            lambda s, lr, n: s / ((1 + lr * s) ** n - 1)
        ),
    },
    hints=[
        "Which share of the way to the minimum is missing after one step? And after all of them?",
        "(1 - lr * curvature) ** n_steps is missing. With ridge it is lambda / (curvature + lambda).",
        "Set them equal, and solve for lambda.",
    ],
)
def decay_of_stopping(curvature, lr, n_steps):
    """Return the lambda (loss + lambda / 2 |w|^2) whose minimum lies as
    far along a direction of this curvature as gradient descent on the
    bare loss gets from zero in n_steps."""
    missing = (1 - lr * curvature) ** n_steps
    return curvature * missing / (1 - missing)
