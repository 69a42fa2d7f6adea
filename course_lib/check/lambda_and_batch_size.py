"""The exercises of *Why does my scratch code disagree with PyTorch?*"""

import math

import torch

from course_lib._checking import exercise

__all__ = ["from_textbook", "from_sum", "accumulated_gradient", "half_life_in_epochs", "loss_weights"]


@exercise(
    cases=[{"strength": 3.0, "n_samples": 1096}],
    draw=lambda rng: {"strength": float(rng.uniform(0.1, 9.0)), "n_samples": int(rng.integers(2, 5000))},
    wrong={
        "This would be right if the textbook's squares had no 1/2: MSELoss has none, its formula has.": (
            lambda strength, n: strength / n
        ),
        "The 2 stands below. MSELoss is twice the textbook's loss, so the penalty has to double, too.": (
            lambda strength, n: strength / (2 * n)
        ),
        "It is not divided by the number of rows.": lambda strength, n: 2 * strength,
        "It is handed on unchanged. Compare both sides at a factor that makes their losses equal.": (
            lambda strength, n: strength
        ),
        "It is halved, and not divided by the number of rows.": lambda strength, n: strength / 2,
        "It is multiplied by the number of rows: the other way.": lambda strength, n: 2 * strength * n,
        "The other way round: this is what weight_decay is in the textbook.": (
            lambda strength, n: n * strength / 2
        ),
        "One factor 2 too many: torch's penalty has a 1/2 of its own.": lambda strength, n: 4 * strength / n,
        "It is divided by n_samples - 1: rows are counted, not degrees of freedom.": (
            lambda strength, n: 2 * strength / (n - 1)
        ),
        "It is divided by the root of the number of rows.": lambda strength, n: 2 * strength / n**0.5,
    },
    hints=[
        "Multiply the textbook's formula by a number that turns its loss into MSELoss.",
        "Twice the formula is MSELoss plus strength / n_samples times the sum of squares.",
        "torch's weight_decay stands before half the sum of squares.",
    ],
)
def from_textbook(strength, n_samples):
    """Return weight_decay beside MSELoss for the strength in
    (errors**2 + strength * w**2).sum() / (2 * n_samples)."""
    return 2 * strength / n_samples


def _sum_settings(rng):
    lr, decay = rng.uniform(0.001, 0.9, size=2)
    return {"lr": float(lr), "weight_decay": float(decay), "batch_size": int(rng.integers(2, 300))}


@exercise(
    cases=[{"lr": 0.001, "weight_decay": 0.5, "batch_size": 32}],
    draw=_sum_settings,
    wrong={
        "The other way round: this is what a sum needs where a mean had these settings.": (
            lambda lr, decay, n: (lr / n, decay * n)
        ),
        "lr is right. Now the decay acts as much more often: what is lr * weight_decay?": (
            lambda lr, decay, n: (lr * n, decay)
        ),
        "The decay is right. The mean's gradient is smaller, and lr has to make up for it.": (
            lambda lr, decay, n: (lr, decay / n)
        ),
        "Nothing is changed. The gradient of a mean is that of the sum, divided by batch_size.": (
            lambda lr, decay, n: (lr, decay)
        ),
        "lr is divided. The mean's gradient is smaller, so lr has to grow.": (
            lambda lr, decay, n: (lr / n, decay / n)
        ),
        "The decay is multiplied, lr as well: their product has to stay.": (
            lambda lr, decay, n: (lr * n, decay * n)
        ),
        "lr is divided, the decay left as it is: lr has to grow, and the decay to shrink as much.": (
            lambda lr, decay, n: (lr / n, decay)
        ),
        "The decay grows, and lr stays. It is the other way round, and both have to change.": (
            lambda lr, decay, n: (lr, decay * n)
        ),
        "The decay comes first here. Return lr, then weight_decay.": lambda lr, decay, n: (decay / n, lr * n),
        "lr grows by the root of batch_size, and the decay stays: right for Adam's noise, not for a sum.": (
            lambda lr, decay, n: (lr * n**0.5, decay)
        ),
        "This is the rule of the root, for Adam's noise. A sum and a mean differ by batch_size itself.": (
            lambda lr, decay, n: (lr * n**0.5, decay / n**0.5)
        ),
        "The decay is divided by the square of batch_size.": lambda lr, decay, n: (lr * n, decay / n**2),
        "A factor 2 has come in: there is none between a sum and a mean.": (
            lambda lr, decay, n: (lr * n, 2 * decay / n)
        ),
    },
    hints=[
        "What is the gradient of the mean, if g is that of the sum?",
        "The step lr * g has to stay, and so has the shrinking by lr * weight_decay.",
    ],
)
def from_sum(lr, weight_decay, batch_size):
    """Return the lr and the weight_decay with which SGD on the mean of a
    batch does what these do on its sum."""
    return lr * batch_size, weight_decay / batch_size


def _micro_batches(rng):
    features = rng.integers(1, 5)
    sizes = rng.integers(1, 9, size=rng.integers(2, 6))
    sizes[0] = sizes[-1] + 2
    batches = [
        (torch.from_numpy(rng.normal(size=(n, features))), torch.from_numpy(rng.normal(size=n)))
        for n in sizes
    ]
    return {"w": torch.from_numpy(rng.normal(size=features)), "batches": batches}


def _gradients(w, batches):
    return [2 * X.T @ (X @ w - y) / len(X) for X, y in batches]


def _rows(batches):
    return sum(len(X) for X, _ in batches)


@exercise(
    cases=[
        {
            "w": torch.tensor([1.0]).double(),
            "batches": [
                (torch.ones(3, 1).double(), torch.zeros(3).double()),
                (2 * torch.ones(1, 1).double(), torch.zeros(1).double()),
            ],
        }
    ],
    draw=_micro_batches,
    wrong={
        "This is the mean of the micro-batches' means: weight them by their rows.": (
            lambda w, batches: sum(_gradients(w, batches)) / len(batches)
        ),
        "This is the sum of the micro-batches' means: it grows with their number.": (
            lambda w, batches: sum(_gradients(w, batches))
        ),
        "This is the gradient of the sum over all rows: divide it by their number.": (
            lambda w, batches: sum(
                len(b[0]) * g for g, b in zip(_gradients(w, batches), batches, strict=True)
            )
        ),
        "This is the last micro-batch alone: its gradient has replaced the others.": (
            lambda w, batches: _gradients(w, batches)[-1]
        ),
        "This is the first micro-batch alone.": lambda w, batches: _gradients(w, batches)[0],
        "The sum over all rows is divided by the number of micro-batches.": (
            lambda w, batches: (
                sum(len(b[0]) * g for g, b in zip(_gradients(w, batches), batches, strict=True))
                / len(batches)
            )
        ),
        "The targets have the wrong sign: an error is X @ w - y.": (
            lambda w, batches: sum(2 * X.T @ (X @ w + y) for X, y in batches) / _rows(batches)
        ),
        "This is the share of the first micro-batch alone: is the loop left too early?": (
            lambda w, batches: _gradients(w, batches)[0] * len(batches[0][0]) / _rows(batches)
        ),
        "Each is weighted as if all had the size of the first.": (
            lambda w, batches: sum(_gradients(w, batches)) * len(batches[0][0]) / _rows(batches)
        ),
        "A mean squared error has no 1/2: its gradient has a factor 2.": (
            lambda w, batches: (
                sum(len(b[0]) * g for g, b in zip(_gradients(w, batches), batches, strict=True))
                / _rows(batches)
                / 2
            )
        ),
        "The means are weighted by shares of rows, and then divided by their number.": (
            lambda w, batches: (
                sum(len(b[0]) * g for g, b in zip(_gradients(w, batches), batches, strict=True))
                / _rows(batches)
                / len(batches)
            )
        ),
        "The sign is that of a step. Return the gradient itself.": (
            lambda w, batches: (
                -sum(len(b[0]) * g for g, b in zip(_gradients(w, batches), batches, strict=True))
                / _rows(batches)
            )
        ),
    },
    hints=[
        "How much should a single row of the last micro-batch count?",
        "The mean over all rows is the sum of all squares, divided by the number of all rows.",
        "Weight the gradient of each micro-batch's mean by its share of the rows: len(X) / n.",
    ],
)
def accumulated_gradient(w, batches):
    """Return the gradient of the mean squared error of X @ w over all
    rows of the batches, pairs (X, y) of unequal lengths."""
    n = sum(len(X) for X, y in batches)
    total = torch.zeros_like(w)
    for X, y in batches:
        mean = 2 * X.T @ (X @ w - y) / len(X)
        total += len(X) / n * mean
    return total


def _clock(rng):
    lr = float(10 ** rng.uniform(-3.0, -0.5))
    decay = float(rng.uniform(0.05, 0.9))
    batch = int(rng.integers(2, 60))
    return {
        "lr": lr,
        "weight_decay": decay,
        "n_samples": batch * int(rng.integers(2, 40))
        + int(rng.integers(1, batch)) * int(rng.integers(0, 3) > 0),
        "batch_size": batch,
    }


def _half_life(lr, decay):
    return math.log(0.5) / math.log(1 - lr * decay)


@exercise(
    cases=[{"lr": 0.1, "weight_decay": 0.5, "n_samples": 95, "batch_size": 10}],
    draw=_clock,
    wrong={
        "These are steps. An epoch has as many steps as batches.": (
            lambda lr, decay, n, batch: _half_life(lr, decay)
        ),
        "The last batch of an epoch, which is not full, is a step, too.": (
            lambda lr, decay, n, batch: _half_life(lr, decay) / (n // batch)
        ),
        "Where the batches fit, n_samples // batch_size + 1 is one step too many.": (
            lambda lr, decay, n, batch: _half_life(lr, decay) / (n // batch + 1)
        ),
        "An epoch has a whole number of steps: the last batch is not full, but it is one.": (
            lambda lr, decay, n, batch: _half_life(lr, decay) / (n / batch)
        ),
        "Close: ln 2 / (lr * weight_decay) is right for small steps only.": (
            lambda lr, decay, n, batch: math.log(2) / (lr * decay) / math.ceil(n / batch)
        ),
        "This is the time after which 1/e is left, not a half.": (
            lambda lr, decay, n, batch: -1 / math.log(1 - lr * decay) / math.ceil(n / batch)
        ),
        "This is 1 / (lr * weight_decay), after which about 1/e is left, and not a half.": (
            lambda lr, decay, n, batch: 1 / (lr * decay) / math.ceil(n / batch)
        ),
        "This is B / (lr * weight_decay * N), tau in epochs: 1/e is left then, and not a half.": (
            lambda lr, decay, n, batch: batch / (lr * decay * n)
        ),
        "This is tau in epochs, times ln 2. It is right for small steps only, and where the batches fit.": (
            lambda lr, decay, n, batch: math.log(2) * batch / (lr * decay * n)
        ),
        "weight_decay is not multiplied by lr.": (
            lambda lr, decay, n, batch: _half_life(1, decay) / math.ceil(n / batch)
        ),
        "It is multiplied by the steps of an epoch, where it has to be divided.": (
            lambda lr, decay, n, batch: _half_life(lr, decay) * math.ceil(n / batch)
        ),
        "It is divided by the number of rows: a step sees a batch of them.": (
            lambda lr, decay, n, batch: _half_life(lr, decay) / n
        ),
        "Whole steps are counted. The half may be reached between two of them: use logarithms.": (
            lambda lr, decay, n, batch: math.ceil(_half_life(lr, decay)) / math.ceil(n / batch)
        ),
        "Here a step multiplies by 1 + lr * weight_decay. It shrinks: 1 minus it.": (
            lambda lr, decay, n, batch: math.log(2) / math.log1p(lr * decay) / math.ceil(n / batch)
        ),
        "It is rounded up to whole epochs. Return it as it is.": (
            lambda lr, decay, n, batch: math.ceil(_half_life(lr, decay) / math.ceil(n / batch))
        ),
        "It is negative: log(1 - lr * weight_decay) is, and so is log(1/2).": (
            lambda lr, decay, n, batch: -_half_life(lr, decay) / math.ceil(n / batch)
        ),
    },
    hints=[
        "After t steps (1 - lr * weight_decay) ** t is left. For which t is that a half?",
        "t is log(1/2) / log(1 - lr * weight_decay), with any logarithm.",
        "An epoch has math.ceil(n_samples / batch_size) steps.",
    ],
)
def half_life_in_epochs(lr, weight_decay, n_samples, batch_size):
    """Return the epochs in which SGDW halves a weight without gradient.
    The last, smaller batch is a step, too."""
    steps = math.log(1 / 2) / math.log(1 - lr * weight_decay)
    return steps / math.ceil(n_samples / batch_size)


def _shares(rng):
    return {"rows": torch.from_numpy(rng.integers(1, 900, size=rng.integers(2, 9))).double()}


@exercise(
    cases=[{"rows": torch.tensor([548.0, 547.0]).double()}],
    draw=_shares,
    wrong={
        "All processes count alike. Then a row of a small share counts more.": (
            lambda rows: torch.ones_like(rows)
        ),
        "These are shares of all rows. DDP takes a mean over the processes, which divides by their number.": (
            lambda rows: rows / rows.sum()
        ),
        "The other way round: a share with more rows has to count more.": lambda rows: rows.mean() / rows,
        "It is divided by the largest share. On average the weights have to be 1.": (
            lambda rows: rows / rows.max()
        ),
        "It is divided by the smallest share. On average the weights have to be 1.": (
            lambda rows: rows / rows.min()
        ),
        "These are the numbers of rows: right for sums, but each process has a mean.": lambda rows: rows,
        "It is multiplied by the number of processes twice.": (
            lambda rows: rows * len(rows) ** 2 / rows.sum()
        ),
        "It is 1 divided by the number of processes: DDP does that itself.": (
            lambda rows: torch.ones_like(rows) / len(rows)
        ),
        "A factor 2 is right for two processes only: it is their number.": lambda rows: 2 * rows / rows.sum(),
        "This is the root of the right weights.": lambda rows: (rows / rows.mean()) ** 0.5,
    },
    hints=[
        "With which weights is the mean over processes the mean over rows?",
        "Each process needs its share of the rows, times the number of processes.",
    ],
)
def loss_weights(rows):
    """Return by what each process multiplies the mean loss of its rows,
    so that DDP, which averages over processes, averages over rows."""
    return len(rows) * rows / rows.sum()
