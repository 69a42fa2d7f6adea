"""The pictures of the front page and the README, drawn from what the module computes.

`python -m tools.build.pictures` stores them in `book/_static`: small SVG on a white ground, in the colors of
the book's figures. Coordinates have one decimal, which is the same on every machine.
"""

from functools import partial
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.colors import to_hex
from numpy.polynomial.legendre import legvander
from torch import nn

from course_lib._style import CONCEPTS, INK, Look, looks
from course_lib.data import augment, curved_points, noisy_sine, separable, two_points
from course_lib.geometry import bisector, boundary_segment
from course_lib.landscape import descent_paths
from course_lib.models import LinearModel, Perceptron
from course_lib.optimizers import SGDW
from course_lib.optimum import least_squares_optimum
from course_lib.penalties import l1_penalty, l2_penalty
from course_lib.probe import coast
from course_lib.scratch import linear_descent, logistic_descent
from course_lib.training import train
from tools import ROOT

FOLDER = ROOT / "book" / "_static"
WIDTH = 360  # CSS pixels, as wide as a phone's column
LETTERS = 14
DARK = to_hex(INK)
BLACK, BLUE, GREY = (CONCEPTS[name] for name in ("no decay", "L2", "reference"))
# Who wants no motion sees what stands when it has ended.
LATER = (
    "<style>@keyframes come{from{opacity:0}40%{opacity:1}}@media(prefers-reduced-motion:no-preference)"
    "{.later{animation:come .7s backwards}}</style>"
)


class Plane:
    """Data coordinates in a box of pixels: left, top, right, bottom."""

    def __init__(self, xlim, ylim, box):
        self.limits, self.box = (xlim, ylim), box

    def pixel(self, point):
        (x, y), (left, top, right, bottom) = point, self.box
        across, up = (
            (float(value) - low) / (high - low)
            for value, (low, high) in zip((x, y), self.limits, strict=True)
        )
        return left + across * (right - left), bottom - up * (bottom - top)

    def line(self, points, look, *, width=2.5, **more):
        ends = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.pixel, points))
        dashes = look.dashes[1] if isinstance(look.dashes, tuple) else (1, 1.6) * (look.dashes == ":")
        if dashes:
            more["stroke-dasharray"] = " ".join(f"{width * dash:.1f}" for dash in dashes)
        return tag(
            "polyline", points=ends, fill="none", stroke=to_hex(look.color), **{"stroke-width": width}, **more
        )

    def circle(self, point, radius=7, **look):
        x, y = self.pixel(point)
        return tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=radius, stroke=DARK, **look)

    def square(self, point, size=12, **look):
        x, y = (f"{value - size / 2:.1f}" for value in self.pixel(point))
        return tag("rect", x=x, y=y, width=size, height=size, stroke=DARK, **look)

    def points(self, X, y):
        """Draw labels 1 as dark circles and 0 as white squares, as the figures do."""
        return [
            self.circle(x, fill="#7f7f7f") if label else self.square(x, fill="#fff")
            for x, label in zip(X, y, strict=True)
        ]


def tag(name, content="", **attributes):
    written = "".join(f' {key.rstrip("_")}="{value}"' for key, value in attributes.items())
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def text(words, x, y, *, color=DARK, anchor="start", **more):
    return tag("text", words, x=f"{x:.1f}", y=f"{y:.1f}", fill=color, **{"text-anchor": anchor}, **more)


def picture(height, parts):
    ground = tag("rect", width=WIDTH, height=height, rx=6, fill="#fff")
    return (
        tag(
            "svg",
            "\n".join(["", ground, *parts, ""]),
            xmlns="http://www.w3.org/2000/svg",
            width=WIDTH,
            height=height,
            viewBox=f"0 0 {WIDTH} {height}",
            **{"font-family": "sans-serif", "font-size": LETTERS},
        )
        + "\n"
    )


def boundary(plane, weight, bias, look, **more):
    return plane.line(boundary_segment(weight, bias, *plane.limits), look, **more)


def drift():
    """Chapter 1's perceptron: its boundary, from step 10 to step 100,000."""
    X, y = two_points(torch.float64)
    plane = Plane((0, 4), (0.3, 2.7), (0, 0, WIDTH, 216))
    start = LinearModel.of(Perceptron(seed=0)).theta.double()
    steps = [round(step) for step in np.logspace(1, 5, 13)]
    path = logistic_descent(X, y, lr=1.0, n_steps=steps[-1], start=start, record=steps)
    parts = [LATER, boundary(plane, *bisector(*X), GREY), *plane.points(X, y)]
    for k, theta in enumerate(path):
        last = k == len(steps) - 1
        look = {"width": 4} if last else {"width": 1.5, "opacity": f"{0.3 + 0.03 * k:.2f}"}
        late = {"class": "later", "style": f"animation-delay:{0.4 * k:.1f}s"}
        parts.append(boundary(plane, theta[:2], theta[2], BLACK, **look, **late))
    return picture(
        216,
        [
            *parts,
            text("expected", 240, 180, color=to_hex(GREY.color)),
            text("step 10", 98, 30, anchor="end"),
            text("step 100,000", 212, 22, class_="later", style=f"animation-delay:{0.4 * k:.1f}s"),
        ],
    )


def two_lines():
    """Chapter 1: after 101 steps with decay 0.2, and the bisector."""
    X, y = two_points(torch.float64)
    plane = Plane((0, 4), (0.5, 2.5), (0, 0, WIDTH, 180))
    start = LinearModel.of(Perceptron(seed=0)).theta.double()
    parts = [boundary(plane, *bisector(*X), GREY), *plane.points(X, y)]
    for weight_decay, name in ((0.0, "no decay"), (0.2, "L2, bias decayed")):
        theta = logistic_descent(X, y, lr=1.0, n_steps=101, start=start, weight_decay=weight_decay)
        parts.append(boundary(plane, theta[-1, :2], theta[-1, 2], CONCEPTS[name]))
    return picture(
        180,
        [
            *parts,
            text("no decay", 190, 24),
            text("decay 0.2", 80, 24, anchor="end", color=to_hex(CONCEPTS["L2, bias decayed"].color)),
            text("expected", 240, 150, color=to_hex(GREY.color)),
        ],
    )


def two_lengths():
    """Chapter 2: the weights' length with lambda / m, by hand, and with lambda, in torch."""
    X, y = separable(100, 4, seed=0)
    plane = Plane((0, 300), (0, 4), (20, 10, 340, 170))
    styles = looks("lines", ["by hand", "in PyTorch"], "L2")
    parts = [plane.line([(0, 0), (300, 0)], BLACK, width=1)]
    for (name, look), weight_decay in zip(styles.items(), (0.1 / len(X), 0.1), strict=True):
        path = logistic_descent(X, y, lr=1.0, n_steps=300, weight_decay=weight_decay, decay_bias=False)
        lengths = [(step, theta[:-1].norm()) for step, theta in enumerate(path, start=1)][::10]
        parts.append(plane.line(lengths, look))
        parts.append(text(name, 336, plane.pixel(lengths[-1])[1] - 8, anchor="end", color=to_hex(look.color)))
    return picture(180, [*parts, text("length of w", 24, 22)])


def five_steps():
    """Chapter 3: how far a weight of -1.5 moves when only the regularization moves it."""
    sgd = torch.optim.SGD
    ways = {
        "SGD": (sgd, {"weight_decay": 0.1}, None),
        "SGDW": (SGDW, {"weight_decay": 0.1, "decay_times_lr": False}, None),
        "penalty w²": (sgd, {}, lambda w: 2 * l2_penalty([w], 0.1)),
        "SGDW with L1": (SGDW, {"weight_decay": 0.1, "decay_times_lr": False, "norm": 1}, None),
        "penalty |w|": (sgd, {}, lambda w: l1_penalty([w], 0.1)),
    }
    parts = []
    for row, (name, (optimizer, settings, penalty)) in enumerate(ways.items()):
        weight = nn.Parameter(torch.tensor([-1.5], dtype=torch.float64))
        (penalty(weight) if penalty else 0 * weight.sum()).backward()
        optimizer([weight], lr=0.1, **settings).step()
        y = 12 + 33 * row
        length = 1200 * (weight.item() + 1.5)
        parts.append(text(name, 150, y + 15, anchor="end"))
        parts.append(tag("rect", x=160, y=y, width=f"{length:.1f}", height=20, fill=to_hex(BLUE.color)))
    return picture(180, parts)


def path_on_a_map():
    """Chapter 4: SGD with decay, over level sets of the loss that it does not descend."""
    X, y = curved_points(torch.float64)
    plane = Plane((-4, 8.8), (-1.1, 5.3), (0, 0, WIDTH, 180))
    line, H = nn.Linear(1, 1, dtype=torch.float64), augment(X).T @ augment(X)
    lowest = least_squares_optimum(X, y).theta[:, 0]
    around = torch.linspace(0, 2 * torch.pi, 41, dtype=torch.float64)
    circle = torch.stack([around.cos(), around.sin()])
    ring = torch.linalg.solve(torch.linalg.cholesky(H / len(X)).T, circle).T
    parts = [plane.line((lowest + r * ring).flip(1), GREY, width=1) for r in (0.7, 1.6, 2.5, 3.4)]
    path = descent_paths(line, X, y, torch.tensor([6.0, -3.0]), lr=0.1, n_steps=40, weight_decay=2.0)[0]
    parts.append(plane.line(path.flip(1), BLUE))
    parts.append(plane.circle(path[-1].flip(0), 5, fill=to_hex(BLUE.color)))
    parts.append(plane.circle(lowest.flip(0), 5, fill="#fff"))
    x, y = plane.pixel(lowest.flip(0))
    return picture(180, [*parts, text("lowest point", x + 10, y + 5)])


def one_curve():
    """Chapter 5: the loss of a regression by hand and in torch."""
    X, y = curved_points(torch.float64)
    line = nn.Linear(1, 1, dtype=torch.float64)
    nn.init.zeros_(line.weight)
    nn.init.zeros_(line.bias)
    optimizer = torch.optim.SGD(line.parameters(), lr=0.05)
    in_torch = train(line, X, y, optimizer, loss_fn=F.mse_loss, n_epochs=40).theta
    by_hand = linear_descent(X, y, torch.zeros(2, 1, dtype=torch.float64), lr=0.05, n_epochs=40)[:, :, 0]
    plane = Plane((1, 40), (0, 8), (20, 10, 340, 170))
    styles = {"in PyTorch": Look("0.75", "-", ""), "by hand": BLUE}
    parts = [plane.line([(1, 0), (40, 0)], BLACK, width=1)]
    for (name, look), thetas, width in zip(styles.items(), (in_torch, by_hand), (9, 2.5), strict=True):
        losses = (thetas @ augment(X).T - y[:, 0]).square().mean(dim=1)
        parts.append(plane.line(enumerate(losses, start=1), look, width=width))
        color = DARK if name == "in PyTorch" else to_hex(look.color)
        parts.append(text(name, 336, 46 + 24 * len(parts), anchor="end", color=color))
    return picture(180, [*parts, text("loss", 60, 22)])


def ways_to_freeze():
    """Chapter 6: what is left of a weight without gradient, and of one whose gradient is zero."""
    plane = Plane((0, 3000), (-0.2, 1.2), (20, 10, 340, 170))
    start, settings = torch.tensor([0.0368], dtype=torch.float64), {"lr": 2e-3, "weight_decay": 0.01}
    parts = [plane.line([(0, 0), (3000, 0)], GREY, width=1)]
    ways = {
        "no gradient": ("AdamW", "none", "no decay"),
        "zero gradient, AdamW": ("AdamW", "zero", "decoupled decay"),
        "zero gradient, Adam": ("Adam", "zero", "L2"),
    }
    for (name, (optimizer, gradient, concept)), y in zip(ways.items(), (28, 66, 122), strict=True):
        make = partial(getattr(torch.optim, optimizer), **settings)
        path = coast(make, start, n_steps=3000, gradient=gradient)[:, 0] / start
        steps = sorted({*range(0, 150, 5), *range(0, 3000, 100)})
        look = CONCEPTS[concept]
        parts.append(plane.line([(0, 1), *((step + 1, path[step]) for step in steps)], look))
        parts.append(text(name, 336, y, anchor="end", color=to_hex(look.color)))
    return picture(180, parts)


def valley():
    """Chapter 7: the held-out loss over the decay, the median of ten samples."""
    decays, held_out = np.logspace(-4, 1, 21), noisy_sine(500, seed=0)
    losses = [median(sine_loss(seed, decay, held_out) for seed in range(1, 11)) for decay in decays]
    plane = Plane((-4, 1), (0, 0.9), (20, 10, 340, 170))
    parts = [plane.line([(-4, 0.05), (1, 0.05)], BLACK, width=1)]
    shown = [(x, y) for x, y in zip(np.log10(decays), losses, strict=True) if y < 0.9]
    parts.append(plane.line(shown, BLUE))
    x, y = plane.pixel((np.log10(decays[np.argmin(losses)]), min(losses)))
    parts.append(tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=5, fill=to_hex(BLUE.color)))
    return picture(
        180, [*parts, text("held-out loss", 150, 30), text("weight_decay", 340, 154, anchor="end")]
    )


def sine_loss(seed, weight_decay, held_out):
    """The held-out loss of chapter 7's polynomial on one sample."""
    (X, y), (X_held, y_held) = noisy_sine(20, seed=seed), held_out
    fitted = least_squares_optimum(legendre(X), y, weight_decay)
    return (fitted.output(legendre(X_held)) - y_held).square().mean().item()


def legendre(X):
    return torch.from_numpy(legvander(X[:, 0].numpy(), 12)[:, 1:])


PICTURES = {
    "drift": drift,
    "perceptron_boundary": two_lines,
    "lambda_and_batch_size": two_lengths,
    "sgd_sgdw_l1": five_steps,
    "loss_landscapes": path_on_a_map,
    "scratch_vs_torch": one_curve,
    "what_decay_reaches": ways_to_freeze,
    "how_much": valley,
}


def main():
    for name, draw in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
