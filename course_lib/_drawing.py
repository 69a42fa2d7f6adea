"""The pieces that the figures of the book are made of: what their functions share."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from numpy.typing import NDArray

from course_lib import _arguments
from course_lib._arguments import Array
from course_lib._style import (
    HALO,
    INK,
    LETTERS,
    MAP,
    NEUTRAL,
    REFERENCE,
    Described,
    Look,
    PlainLog,
    is_bar,
    line_in_words,
    said,
)
from course_lib.geometry import boundary_segment, signed_distance

Limits: TypeAlias = tuple[float, float]  # of an axis, lower end first
Floats: TypeAlias = NDArray[Any]
Scale: TypeAlias = Literal["linear", "log"]

EDGE = "0.6"  # between the shades of a map
LARGEST = 1e300  # what matplotlib can draw: beyond, its margins overflow
ABOVE = ("data", "axes fraction")  # the coordinates of what stands above the axes
BESIDE = ("axes fraction", "data")
MARKERS: dict[str, dict[str, Any]] = {  # of what a name says by itself; other points look like their concept
    "start": {"marker": "o", "color": "white", "markeredgecolor": INK, "mew": 1.8, "markersize": 8},
    "minimum": {"marker": "*", "color": INK, "markeredgecolor": "white", "markersize": 14},
}


def column_names(ax: Axes, columns: list[tuple[str, ...]]) -> None:
    """Write the names of columns above them, one name over neighbors that share it."""
    levels = len(columns[0])
    for level in range(levels):
        for name, span in groupby(range(len(columns)), key=lambda k: columns[k][: level + 1]):
            first, last = (columns_of := list(span))[0], columns_of[-1]
            shift = (0, 4 + 1.3 * LETTERS * (levels - 1 - level))
            write(ax, name[-1], ((first + last) / 2, 1), shift, ha="center", xycoords=ABOVE)
            if level < levels - 1 and first > 0:
                ax.axvline(first - 0.5, color="black", linewidth=1)


def cells_in_words(powers: np.ma.MaskedArray[Any, Any], columns: list[tuple[str, ...]]) -> str:
    """Return the median power of ten of each group of columns, where it is not rounding."""
    parts = {name[0]: [k for k, other in enumerate(columns) if other[0] == name[0]] for name in columns}
    words = []
    for name, chosen in parts.items():
        shown = powers[:, chosen].compressed()
        typical = np.median(shown) if shown.size else -math.inf
        words.append(f"{name} about 1e{typical:.0f}" if typical > -12 else f"{name} below 1e-12")
    return f"cells\t{', '.join(words)}"


def room(ax: Axes, longest: int) -> float:
    """Return how wide axes will be, in inches, beside names of so many letters."""
    return 1.25 * ax.bbox.width / ax.figure.dpi - 0.55 * LETTERS / 72 * longest


def ratio(xlim: Limits | Floats, ylim: Limits | Floats) -> float:
    """Return how tall a rectangle is for its width."""
    return (float(ylim[-1]) - float(ylim[0])) / (float(xlim[-1]) - float(xlim[0]))


def height(ratio: float) -> float:
    """Return the height of a figure of axes of this ratio, in inches."""
    return min(max(0.7 + 3.1 * ratio, 2.0), 4.5)


def lay_out(figure: Any) -> None:
    """Leave room for legends and names in a figure of somebody else, unless that would spoil its bars."""
    if figure.get_layout_engine() is None and not any(is_bar(ax) for ax in figure.axes):
        figure.set_layout_engine("compressed")


def name_axes(ax: Axes, xlabel: str, ylabel: str, title: str, lines_above: int = 0) -> None:
    """Write names and title in lines that fit the axes, the title above as many lines of names."""
    for text, size, write in (
        (xlabel, ax.bbox.width, ax.set_xlabel),
        (ylabel, ax.bbox.height, ax.set_ylabel),
        (title, ax.bbox.width, partial(ax.set_title, pad=6 + 1.3 * LETTERS * lines_above)),
    ):
        n_letters = int(size / ax.figure.dpi * 72 / (0.6 * LETTERS))
        lines = textwrap.fill(text, max(n_letters, 10), break_long_words=False)
        write(text if "$" in text else lines)


def scales(ax: Axes, xscale: Scale, yscale: Scale) -> None:
    """Set the scales, and on a log scale ticks without small exponents."""
    for axis, scale in ((ax.xaxis, xscale), (ax.yaxis, yscale)):
        if scale == "log":
            axis.axes.set(**{f"{axis.axis_name}scale": "log"})
            axis.set_major_formatter(PlainLog())
            axis.set_minor_formatter(PlainLog())


def outer_names(ax: Axes, *, below: bool, left: bool) -> None:
    """Leave the names of axes and ticks only where there is no other panel below or at the left."""
    ax.tick_params(labelbottom=below, labelleft=left)
    ax.set(xlabel=ax.get_xlabel() * below, ylabel=ax.get_ylabel() * left)


def legend(ax: Axes) -> None:
    """Name what the axes of a figure show, once and below them, in as many columns as fit.

    Axes that show one thing say by their own names what it is.
    """
    figure: Any = ax.get_figure(root=True)
    for old in list(figure.legends):
        _grow(figure, -old.get_window_extent().height)
        old.remove()
    handles: dict[str, Any] = {}
    for one in figure.axes:
        named = dict(zip(*reversed(one.get_legend_handles_labels()), strict=True))
        handles |= {} if len(named) < 2 else {label: named[label] for label in named if label not in handles}
    names = sorted(handles, key=lambda name: name in MARKERS)
    for ncols in range(min(4, len(names)), 0, -1):
        place = {"loc": "outside lower center", "ncols": ncols}
        legend = figure.legend([handles[name] for name in names], names, **place)
        if ncols == 1 or legend.get_window_extent().width <= figure.bbox.width:
            _grow(figure, legend.get_window_extent().height)
            break
        legend.remove()


def _grow(figure: Any, pixels: float) -> None:
    """Make a figure of ours taller, so that a legend takes no room from its axes."""
    if isinstance(figure, Described):
        figure.set_figheight(figure.get_figheight() + pixels / figure.dpi)


def share_scale(images: Sequence[Any]) -> None:
    """Let colors of tables go from the power of ten below all their numbers to the one above."""
    powers = [image.get_array().compressed() for image in images]
    shown = np.concatenate(powers) if powers else np.array([])
    for image in images if shown.size else []:
        image.set_clim(math.floor(shown.min()), math.ceil(shown.max()))


def share_bar(axes: Sequence[Axes]) -> None:
    """Give tables one scale of colors, and shades of the same values one bar instead of one a panel."""
    share_scale([image for ax in axes for image in ax.images])
    shaded: list[Any] = [shade for ax in axes for shade in (*ax.collections, *ax.images) if shade.colorbar]
    if len(shaded) < len(axes) or len({tuple(getattr(shade, "levels", ())) for shade in shaded}) > 1:
        return
    bar, figure = shaded[0].colorbar, axes[0].figure
    label, place = bar.ax.get_ylabel() or bar.ax.get_xlabel(), bar.orientation
    for shade in shaded:
        shade.colorbar.remove()
    figure.colorbar(shaded[0], ax=list(axes), label=label, orientation=place, aspect=40)


def probability(ax: Axes, weight: Array, bias: Array) -> None:
    """Shade how probable a classifier takes label 1 to be."""
    x, y = (
        torch.linspace(*limits, 121, dtype=torch.float64, device="cpu")
        for limits in (ax.get_xlim(), ax.get_ylim())
    )
    plane = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    steepness = _arguments.finite("weight", weight).detach().cpu().double().norm().clamp(max=LARGEST)
    away = signed_distance(plane.reshape(-1, 2), weight, bias).detach().cpu()
    p = torch.sigmoid(steepness * away).reshape(121, 121)
    shades(ax, x.numpy(), y.numpy(), p.numpy(), np.linspace(0, 1, 11), "p(label 1)")
    boundary(ax, weight, bias, color="white", linewidth=4)  # over the edge at one half


def distances(ax: Axes, X: torch.Tensor, feet: Mapping[str, torch.Tensor]) -> None:
    """Draw the way from each point to each boundary, and write how long it is, away from other ways."""
    middle = torch.stack(list(feet.values())).mean(dim=0)
    for line in [line for line in ax.lines if line.get_label() in feet]:
        ways = feet[str(line.get_label())] - X.double()
        lengths = [math.hypot(*way) for way in ways.tolist()]
        words = f"the points are {', '.join(map(said, lengths))} away"
        line.set_gid(f"{line.get_label()}\t{line_in_words(line, ax)}; {words}")
        for point, way, length, center in zip(X.double(), ways, lengths, middle, strict=True):
            ax.plot(*torch.stack([point, point + way]).T, color=line.get_color(), linewidth=1.2)
            side = torch.stack([-way[1], way[0]]) / (length or 1.0)
            side = side if side @ (point + way - center) >= 0 else -side
            text = f"{length:.2f}" if length < 1000 else f"{length:.1e}"
            place = {"ha": "center", "va": "center"}
            write(ax, text, (point + way / 2).tolist(), tuple((13 * side).tolist()), **place)


def band(ax: Axes, label: str, x: Floats, runs: Floats, color: Any) -> None:
    """Shade the range of several runs."""
    low, high = runs.min(axis=0), runs.max(axis=0)
    size = float(abs(runs).max())
    first, last = (f"from {said(low[k], size)} to {said(high[k], size)}" for k in (0, -1))
    words = f"{label}\trange of {len(runs)} runs, at first {first}, at last {last}"
    ax.fill_between(x, low, high, color=color, alpha=0.25, linewidth=0, gid=words)


def mark(
    ax: Axes,
    name: str,
    x: Any,
    y: Any,
    *,
    of: str = "",
    look: Look = NEUTRAL,
    hidden: bool = False,
) -> None:
    """Draw points that the legend names, unless they are `hidden` from it."""
    usual = {"marker": look.marker, "color": look.color, "markeredgecolor": "white", "markersize": 8}
    label, style = "_" if hidden else name, MARKERS.get(name, usual)
    ax.plot(x, y, linestyle="none", label=label, gid=name + of, zorder=4, **style)


def write(ax: Axes, text: str, place: Any, shift: tuple[float, float], **how: Any) -> None:
    """Write beside a place, so many points away, on a white edge."""
    written = ax.annotate(text, place, shift, textcoords="offset points", zorder=5, **how)
    written.set_path_effects([HALO])


def write_beside(ax: Axes, name: str, point: torch.Tensor, others: torch.Tensor) -> None:
    """Write the name of a point away from the others, but not over the edge of the axes."""
    right, up = (point >= others).tolist()
    across = ax.transAxes.inverted().transform(ax.transData.transform(point))[0]
    right = (right or across < 0.3) and across < 0.7
    side = {"ha": "left" if right else "right", "va": "bottom" if up else "top"}
    write(ax, name, point.tolist(), (6 if right else -6, 4 if up else -4), **side)


def references(ax: Axes, heights: Mapping[str, float], places: Mapping[str, float]) -> None:
    """Draw dotted lines and write their names outside, apart where two are close."""
    look: dict[str, Any] = {"color": REFERENCE, "linestyle": ":", "linewidth": 1.6}
    for label, height in heights.items():
        ax.axhline(height, gid=f"{label}\tat {said(height)}", **look)
    for label, place in places.items():
        ax.axvline(place, gid=f"{label}\tupright at {said(place)}", **look)
    sides = _sides(ax, list(heights.values()))
    for (label, height), va in zip(heights.items(), sides, strict=True):
        write(ax, label, (1, height), (4, 0), va=va, xycoords=BESIDE)
    for label, place in places.items():
        write(ax, label, (place, 1), (0, 4), ha="center", xycoords=ABOVE)


def _sides(ax: Axes, heights: Sequence[float]) -> list[str]:
    """Return for each height on which side of it a name stands: between close ones there is no room."""
    seen = [ax.transAxes.inverted().transform(ax.transData.transform((0, height)))[1] for height in heights]
    sides = []
    for own in seen:
        near = [other > own for other in seen if 0 < abs(other - own) < 0.1]
        sides.append("center" if not near else "top" if any(near) else "bottom")
    return sides


def shades(ax: Axes, x: Floats, y: Floats, values: Floats, bounds: Floats, name: str) -> None:
    """Draw shades with edges as they are, for a small file, and say what they mean."""
    low, high = values.min(), values.max()
    below, above = low < bounds[0], high > bounds[-1]
    beyond: Any = "both" if below and above else "min" if below else "max" if above else "neither"
    norm = BoundaryNorm(bounds, MAP.N, extend=beyond)
    areas = ax.contourf(x, y, values, levels=bounds, norm=norm, cmap=MAP, extend=beyond)
    row, column = lowest(values)
    where = f"({said(x[column], abs(x).max())}, {said(y[row], abs(y).max())})"
    size = max(abs(low), abs(high))
    areas.set_gid(f"{name}\tlowest {said(low, size)} at {where}, highest {said(high, size)}")
    ax.grid(False)
    ax.figure.colorbar(areas, ax=ax, label=name, aspect=30)
    inner = bounds[(bounds > low) & (bounds < high)]
    if inner.size:
        ax.contour(x, y, values, levels=inner, colors=EDGE, linewidths=0.5, antialiased=False)


def lowest(values: Floats) -> tuple[int, int]:
    """Return row and column of the first value that is the lowest but for rounding."""
    flat = np.argmax(values <= values.min() + 1e-9 * np.ptp(values))
    row, column = np.unravel_index(flat, values.shape)
    return int(row), int(column)


def classes(ax: Axes, X: torch.Tensor, y: torch.Tensor) -> None:
    """Draw points of two classes, which no color tells apart: colors are for concepts."""
    for label, marker, color in ((1, "o", INK), (0, "s", "white")):
        chosen = X[y == label].double()
        look: dict[str, Any] = {"marker": marker, "color": color, "edgecolor": INK, "linewidth": 1.5}
        ax.scatter(chosen[:, 0], chosen[:, 1], label=f"label {label}", s=60, zorder=3, **look)


def boundary(ax: Axes, weight: Array, bias: Array, **look: Any) -> None:
    """Draw the part of a classifier's boundary that crosses the axes, if there is one."""
    ends = boundary_segment(weight, bias, ax.get_xlim(), ax.get_ylim())
    x, y = ([], []) if ends is None else ends.cpu().T
    ax.plot(x, y, **look)


def frame(ax: Axes, xlim: Limits, ylim: Limits, title: str) -> None:
    """Show a rectangle of the plane of two features."""
    ax.set(xlim=xlim, ylim=ylim, aspect="equal")
    name_axes(ax, "", "", title)
    ax.set_xlabel("$x_1$", fontsize=LETTERS / 0.7)  # so is the size of the index, which is 0.7 of it
    ax.set_ylabel("$x_2$", fontsize=LETTERS / 0.7)
