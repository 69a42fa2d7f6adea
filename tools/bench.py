"""Speeds, as ratios within one run: timings of one machine mean little on another."""

import subprocess
import sys
from statistics import median
from time import perf_counter

import torch

from course_lib.data import separable, two_points
from course_lib.geometry import max_margin
from course_lib.models import Perceptron
from course_lib.scratch import logistic_descent
from course_lib.tables import table
from course_lib.training import train

IMPORT = "import torch, time; t = time.perf_counter(); import course_lib{}; print(time.perf_counter() - t)"


def seconds(function, repeats=7):
    """Return the median time of a call, after one call that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return median(times[1:])


def import_milliseconds(modules=""):
    command = [sys.executable, "-c", IMPORT.format(modules)]
    runs = [
        float(subprocess.run(command, capture_output=True, check=True, text=True).stdout) for _ in range(5)
    ]
    return 1000 * median(runs)


def torch_descent(n_steps):
    model, (X, y) = Perceptron(), two_points()
    train(model, X, y, torch.optim.SGD(model.parameters(), lr=1.0), n_epochs=n_steps)


def main():
    X, y = two_points()
    by_hand = seconds(lambda: logistic_descent(X, y, lr=1.0, n_steps=2000, record=[2000]))
    by_torch = seconds(lambda: torch_descent(2000))
    small = seconds(lambda: max_margin(*separable(10_000, 5)))
    large = seconds(lambda: max_margin(*separable(100_000, 5)))
    rows = [
        ("import course_lib, beyond import torch", f"{import_milliseconds():.1f} ms"),
        (
            "the same with geometry, training, optimum",
            f"{import_milliseconds('.geometry, course_lib.training, course_lib.optimum'):.1f} ms",
        ),
        ("two points, a step: scratch is faster than torch", f"{by_torch / by_hand:.0f} times"),
        ("max_margin, 10 times the samples, costs", f"{large / small:.1f} times"),
    ]
    print(table([{"what": what, "measured": measured} for what, measured in rows]))


if __name__ == "__main__":
    main()
