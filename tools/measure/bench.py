"""Speeds, as ratios within one run: timings of one machine mean little on another.

python -m tools.measure.bench [DIVISOR]

By a divisor every size and number of repeats becomes smaller: what is printed then only shows that it runs.
"""

import subprocess
import sys
from functools import partial
from statistics import median
from time import perf_counter

import joblib
import numpy as np
import torch
import torch.nn.functional as F

from course_lib.data import separable, two_points
from course_lib.geometry import max_margin
from course_lib.landscape import descent_paths, loss_grid
from course_lib.models import Perceptron
from course_lib.networks import train_networks
from course_lib.scratch import logistic_descent, logistic_sweep
from course_lib.tables import table
from course_lib.training import train

IMPORT = "import torch, time; t = time.perf_counter(); import course_lib{}; print(time.perf_counter() - t)"
DIVISOR = 1


def scaled(size, least=1):
    return max(least, size // DIVISOR)


def seconds(function, repeats=7):
    """Return the median time of a call, after one call that is not counted."""
    times = []
    for _ in range(scaled(repeats) + 1):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return median(times[1:])


def times_faster(slow, fast, rounds=9):
    """Return the median ratio of their times, taken side by side: a machine's speed drifts."""
    return median(seconds(slow, 1) / seconds(fast, 15) for _ in range(scaled(rounds)))


def import_milliseconds(modules=""):
    command = [sys.executable, "-c", IMPORT.format(modules)]
    runs = [subprocess.run(command, capture_output=True, check=True, text=True) for _ in range(scaled(5))]
    return 1000 * median(float(run.stdout) for run in runs)


def torch_descent(n_steps):
    model, (X, y) = Perceptron(), two_points()
    train(model, X, y, torch.optim.SGD(model.parameters(), lr=1.0), n_epochs=n_steps)


def per_sample_step(X, y, theta, lr, decay):
    """One step as the question of chapter 2 takes it: row by row, the prediction computed twice."""

    def predict(row):
        return 1 / (1 + np.exp(-(theta[0] + np.dot(row, theta[1:]))))

    gradient = np.zeros(len(theta))
    for row, label in zip(X, y, strict=True):
        gradient[0] += predict(row) - label
        gradient[1:] += (predict(row) - label) * row
    return theta - lr * (gradient + decay * theta) / len(y)


def one_torch_model(X, y, weight_decay, n_steps, lr=0.05):
    model = torch.nn.Linear(X.shape[1], 1, dtype=X.dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, weight_decay=weight_decay)
    for _ in range(n_steps):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(X).squeeze(-1), y).backward()
        optimizer.step()


def logistic_rows():
    """Chapter 2: a step on 1096 x 4, and sweeps over lambda."""
    X, y = separable(1096, 4)
    X_np, y_np = X.numpy(), y.numpy()
    by_hand = seconds(lambda: logistic_descent(X, y, lr=0.05, n_steps=1000, record=[1000])) / 1000
    by_row = seconds(lambda: per_sample_step(X_np, y_np, np.zeros(5), 0.05, 0.1))
    by_torch = seconds(lambda: one_torch_model(X, y, 0.1, 200)) / 200
    yield "1096 x 4, a step: scratch is faster than row by row", f"{by_row / by_hand:.0f} times"
    yield "1096 x 4, a step: scratch is faster than torch", f"{by_torch / by_hand:.1f} times"

    lambdas = np.logspace(-5, 0, scaled(100_000, least=200))
    some = lambdas[::100]
    for dtype in (torch.float64, torch.float32):
        X_typed, y_typed = X.to(dtype), y.to(dtype)
        one = seconds(lambda X=X_typed, y=y_typed: one_torch_model(X, y, 0.1, 200))
        many = seconds(lambda X=X_typed, y=y_typed: logistic_sweep(X, y, some, lr=0.05, n_steps=200))
        name = str(dtype).removeprefix("torch.")
        yield (
            f"{len(some)} lambdas x 200 steps at once, {name}: faster than one by one",
            f"{len(some) * one / many:.0f} times",
        )

    def sweep(weight_decays, repeats=1):
        for _ in range(repeats):
            logistic_sweep(X, y, weight_decays, lr=0.05, n_steps=20)

    few = seconds(lambda: sweep(some, 100), repeats=3)  # as long a run as the other
    many = seconds(lambda: sweep(lambdas), repeats=3)
    yield (
        f"a lambda in a sweep of {len(lambdas):,} costs, beside one of {len(some)}",
        f"{many / few:.2f} times",
    )


def cell_by_cell(X, y, loss_fn):
    """A map of the loss as the source of chapter 4 draws it: one call a cell."""
    x, y = X[:, 0], y[:, 0]
    losses = []
    for row in range(101):
        losses.append([])
        for column in range(101):
            weight, bias = -5.0 + 13.0 * row / 100.0, -5.0 + 13.0 * column / 100.0
            losses[-1].append(loss_fn(x * weight + bias, y).item())
    return losses


def one_torch_path(X, y, loss_fn, n_steps):
    model = torch.nn.Linear(1, 1, dtype=X.dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss_fn(model(X), y).backward()
        optimizer.step()


def landscape_rows():
    """Chapter 4: maps of 101 x 101 cells over 50 points, and 1000 paths of 100 steps."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(50, 1, generator=generator)
    y = 0.75 * X**2 + X + 2
    axis, line = torch.linspace(-5, 8, 101), torch.nn.Linear(1, 1)
    losses = (torch.nn.MSELoss(), torch.nn.L1Loss(), torch.nn.HuberLoss(), torch.nn.SmoothL1Loss())
    for loss_fn in losses:
        ratio = times_faster(
            partial(cell_by_cell, X, y, loss_fn),
            partial(loss_grid, line, X, y, axis, axis, loss_fn=loss_fn),
        )
        yield f"a map of {type(loss_fn).__name__}: faster than cell by cell", f"{ratio:.0f} times"

    X, y, line = X.double(), y.double(), line.double()
    starts = torch.randn(1000, 2, dtype=torch.float64, generator=generator)
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "n_steps": 100}
    for loss_fn in losses:
        ratio = 1000 * times_faster(
            partial(one_torch_path, X, y, loss_fn, 100),
            partial(descent_paths, line, X, y, starts, **settings, loss_fn=loss_fn),
        )
        name = type(loss_fn).__name__
        yield f"1000 paths of {name}: faster than torch's, one by one", f"{ratio:.0f} times"


def one_after_another(networks, n_steps):
    """Train networks as `train_networks` does, each by torch's own layers and optimizer."""
    X, y, lr, weight_decay = networks
    for seed in range(len(X)):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        for step in range(n_steps):
            batch = slice(step % 8 * 25, step % 8 * 25 + 25)
            optimizer.zero_grad()
            F.cross_entropy(model(X[seed, batch]), y[seed, batch]).backward()
            optimizer.step()
            scheduler.step()


def several(seeds, X, y, n_steps):
    """Train some of the networks in a process of its own."""
    torch.set_num_threads(1)
    one_after_another((X[seeds], y[seeds], 0.01, 0.1), n_steps)


def network_rows():
    """Chapter 7: a hundred networks of 64, 16 and 10 units, 40 steps of AdamW on batches of 25."""
    generator, n_networks, n_steps = (
        torch.Generator().manual_seed(0),
        scaled(100, least=2),
        scaled(40, least=2),
    )
    X = torch.randn(n_networks, 200, 64, generator=generator)
    y = torch.randint(10, (n_networks, 200), generator=generator)
    how = {"hidden": [16], "lr": 0.01, "weight_decay": 0.1, "n_steps": n_steps, "batch_size": 25}
    together = partial(train_networks, X, y, seeds=range(n_networks), **how)
    (networks,) = together()
    for seed in range(0, n_networks, 10):
        (alone,) = train_networks(X[seed], y[seed], seeds=[seed], **how)
        torch.testing.assert_close(networks.theta[seed], alone.theta[0], rtol=1e-3, atol=1e-4)
    in_turn = partial(one_after_another, (X, y, 0.01, 0.1), n_steps)
    ratio = median(seconds(in_turn, 1) / seconds(together, 7) for _ in range(scaled(3)))
    yield f"{n_networks} networks at once: faster than one after another", f"{ratio:.0f} times"
    with joblib.Parallel(n_jobs=2) as pool:
        halves = [list(range(n_networks))[part::2] for part in range(2)]

        def in_processes():
            pool(joblib.delayed(several)(half, X, y, n_steps) for half in halves)

        ratio = median(seconds(in_processes, 1) / seconds(together, 7) for _ in range(scaled(3)))
    yield f"{n_networks} networks at once: faster than in 2 processes", f"{ratio:.0f} times"


def main():
    X, y = two_points()
    by_hand = seconds(lambda: logistic_descent(X, y, lr=1.0, n_steps=2000, record=[2000]))
    by_torch = seconds(lambda: torch_descent(2000))
    small = seconds(lambda: max_margin(*separable(scaled(10_000), 5)))
    large = seconds(lambda: max_margin(*separable(scaled(100_000), 5)))
    rows = [
        ("import course_lib, beyond import torch", f"{import_milliseconds():.1f} ms"),
        (
            "the same with geometry, training, optimum",
            f"{import_milliseconds('.geometry, course_lib.training, course_lib.optimum'):.1f} ms",
        ),
        ("two points, a step: scratch is faster than torch", f"{by_torch / by_hand:.0f} times"),
        ("max_margin, 10 times the samples, costs", f"{large / small:.1f} times"),
        *logistic_rows(),
        *landscape_rows(),
        *network_rows(),
    ]
    print(table({"what": "{}", "measured": "{}"}, rows))


if __name__ == "__main__":
    if sys.argv[1:]:
        DIVISOR = int(sys.argv[1])
    main()
