"""The look of the book's figures, and what a figure says of itself in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.rcsetup import cycler

# Okabe and Ito's palette, in an order that stays apart in grey as well.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000"]
DASHES: list[Any] = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1))]
STYLE = {
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=COLORS) + cycler(linestyle=DASHES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "figure.facecolor": "white",
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.fontsize": 9,
    "legend.framealpha": 0.9,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the book's style, and keep the interactive mode that loading a backend may turn on."""
    with plt.style.context(["default", STYLE]):
        yield
        interactive = plt.isinteractive()
    matplotlib.interactive(interactive)


class Described(Figure):
    """A figure whose text form says what its axes hold: names, scales, ranges and each named series."""

    def __repr__(self) -> str:
        return "\n".join(
            line for number, ax in enumerate(self.axes, 1) for line in _axes_in_words(number, ax)
        )


def _axes_in_words(number: int, ax: Axes) -> Iterator[str]:
    title = f" {ax.get_title()!r}" * bool(ax.get_title())
    yield f"axes {number}{title}: {_axis_in_words(ax, 'x')}; {_axis_in_words(ax, 'y')}"
    for line in ax.get_lines():
        if named(line.get_label()):
            yield f"  {line.get_label()}: {line_in_words(line)}"
    for collection in ax.collections:
        if named(collection.get_label()):
            yield f"  {collection.get_label()}: {len(np.asarray(collection.get_offsets()))} point(s)"
    for artist in ax.get_children():
        if artist.get_gid():
            yield f"  {artist.get_gid()}"


def named(label: object) -> bool:
    return bool(label) and not str(label).startswith("_")


def _axis_in_words(ax: Axes, which: str) -> str:
    limits, scale = getattr(ax, f"get_{which}lim")(), getattr(ax, f"get_{which}scale")()
    name = getattr(ax, f"get_{which}label")()
    return f"{which} {name!r}, {scale}, {limits[0]:.3g} to {limits[1]:.3g}"


def line_in_words(line: Line2D) -> str:
    """Return where a line starts and ends, how it gets there, and between which heights it stays."""
    x, y = (np.asarray(values, dtype=float) for values in line.get_data())
    if len(x) == 0:
        return "out of sight"
    if len(x) == 1:
        return f"at ({x[0]:.3g}, {y[0]:.3g})"
    change = np.diff(y)
    way = "rises" if (change >= 0).all() else "falls" if (change <= 0).all() else "turns"
    way = "level" if not change.any() else way
    ends = f"({x[0]:.3g}, {y[0]:.3g}) to ({x[-1]:.3g}, {y[-1]:.3g})"
    return f"from {ends}, {way}, lowest {y.min():.3g}, highest {y.max():.3g}"
