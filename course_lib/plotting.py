"""Every figure of the book. Opaque, safe for color-blind readers, legible on a phone.

Color never stands alone: classes differ in marker, lines in dash pattern.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from course_lib import _checks
from course_lib._checks import Array
from course_lib._style import COLORS, DASHES, Described, style
from course_lib.geometry import boundary_segment

if TYPE_CHECKING:
    from course_lib.training import History

__all__ = ["arrows", "boundaries", "curves", "drift", "fits", "heatmap", "panels", "paths"]

Limits: TypeAlias = tuple[float, float]  # of an axis, lower end first
Names: TypeAlias = Sequence[str] | Sequence[tuple[str, ...]]

GREYS = LinearSegmentedColormap.from_list("greys", ["0.6", "1.0"])  # with edges as they are: a small file
WIDTH = 5.6  # inches: fits a phone without letters below 9 CSS pixels
PHONE = 9.5  # points: 9 CSS pixels on a phone of 390
LARGEST = 1e300  # what matplotlib can draw: beyond, its margins overflow
TALLEST = 400  # inches: at 150 dots each, what it can store


def panels(n_rows: int = 1, *, height: float = 3.2, **subplots: Any) -> tuple[Figure, Any]:
    """Return a figure in the book's style and its axes, one above the other.

    Parameters
    ----------
    n_rows : int, default=1
        Number of axes.
    height : float, default=3.2
        Inches for each.
    **subplots
        Passed on to ``plt.subplots``, such as ``sharex=True`` or ``ncols=2``.

    Returns
    -------
    figure : Figure
    axes : Axes, or ndarray of Axes where there are several

    Raises
    ------
    ValueError, TypeError
        If `n_rows` is not a positive integer or `height` not positive, or the figure would be too tall.

    Examples
    --------
    >>> from course_lib.plotting import panels
    >>> figure, axes = panels(2, sharex=True)
    >>> axes.shape
    (2,)
    """
    n_rows = _checks.count("n_rows", n_rows)
    height = _checks.number("height", height, strict=True)
    if n_rows * height > TALLEST:
        raise ValueError(f"n_rows x height must be at most {TALLEST} inches, got {n_rows} x {height:g}")
    with style():
        return plt.subplots(n_rows, figsize=(WIDTH, height * n_rows), FigureClass=Described, **subplots)


def boundaries(
    X: Array,
    y: Array,
    classifiers: Mapping[str, tuple[Array, Array]],
    *,
    xlim: Limits,
    ylim: Limits,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw labelled points of the plane and the boundaries of named classifiers.

    Parameters
    ----------
    X : Tensor of shape (n_samples, 2)
    y : Tensor of shape (n_samples,)
        Labels 0 (squares) and 1 (circles).
    classifiers : dict of str to (weight, bias)
        Drawn in this order, each with its own color and dash pattern. A boundary that misses the
        rectangle is named in the legend but cannot be seen.
    xlim, ylim : (float, float)
        The rectangle shown; both axes have the same scale, so that right angles look right.
    title : str, default=""
    ax : Axes, optional
        Where to draw; a new figure when None.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If a shape, label or limit is not as described.

    Examples
    --------
    >>> from course_lib.data import two_points
    >>> from course_lib.geometry import bisector
    >>> from course_lib.plotting import boundaries
    >>> X, y = two_points()
    >>> ax = boundaries(X, y, {"bisector": bisector(*X)}, xlim=(0, 4), ylim=(0, 3))
    >>> [line.get_label() for line in ax.lines]
    ['bisector']
    """
    _texts(title=title)
    X, y = _plane(X, y)
    xlim, ylim = _rectangle(xlim, ylim)
    classifiers = _classifiers(classifiers)
    with style():
        ax = _axes(ax, WIDTH * 0.75)
        for index, (label, (weight, bias)) in enumerate(classifiers.items()):
            _boundary(ax, weight, bias, xlim, ylim, label=label, **_look(index))
        _points(ax, X, y)
        _frame(ax, xlim, ylim, title)
        _legend_below(ax)
    return ax


def drift(
    histories: Mapping[str, History],
    X: Array,
    y: Array,
    *,
    epochs: Sequence[int],
    classifiers: Mapping[str, tuple[Array, Array]] | None = None,
    xlim: Limits,
    ylim: Limits,
) -> NDArray[np.object_]:
    """Draw how a perceptron's boundary moved in training, and how its weights grew.

    Above, the boundary after each of the given epochs, fading in from the first to the last; below,
    the sum of the absolute weights after every epoch. One column a history.

    Parameters
    ----------
    histories : dict of str to History
        Of models with a ``linear`` layer of two inputs; the keys are the titles.
    X : Tensor of shape (n_samples, 2)
    y : Tensor of shape (n_samples,)
    epochs : sequence of int
        Increasing, each below the number of epochs recorded.
    classifiers : dict of str to (weight, bias), optional
        Named classifiers to compare with, drawn in black.
    xlim, ylim : (float, float)

    Returns
    -------
    ndarray of Axes of shape (2, n_histories)

    Raises
    ------
    ValueError, TypeError
        If a shape, label, limit or epoch is not as described.

    Examples
    --------
    >>> import torch
    >>> from course_lib.data import two_points
    >>> from course_lib.models import Perceptron
    >>> from course_lib.plotting import drift
    >>> from course_lib.training import train
    >>> model, (X, y) = Perceptron(), two_points()
    >>> history = train(model, X, y, torch.optim.SGD(model.parameters(), lr=1.0))
    >>> axes = drift({"no decay": history}, X, y, epochs=[10, 100], xlim=(0, 4), ylim=(0, 3))
    >>> axes.shape
    (2, 1)
    """
    X, y = _plane(X, y)
    _checks.mapping("histories", histories)
    xlim, ylim = _rectangle(xlim, ylim)
    classifiers = {} if classifiers is None else _classifiers(classifiers)
    traces = {title: _trace(title, history) for title, history in histories.items()}
    epochs = _checks.counts("epochs", epochs, minimum=0)
    shortest = min(len(weights) for weights, _ in traces.values())
    if not epochs or epochs != sorted(set(epochs)) or epochs[-1] >= shortest:
        raise ValueError(f"epochs must increase and stay below {shortest} of histories, got {epochs}")
    with style():
        axes: NDArray[np.object_]
        figure, axes = panels(2, height=2.8, ncols=len(histories), squeeze=False, sharey="row")
        for column, (title, (weights, biases)) in zip(axes.T, traces.items(), strict=True):
            for rank, epoch in enumerate(epochs, start=1):
                ends = epoch in (epochs[0], epochs[-1])
                _boundary(
                    column[0],
                    weights[epoch],
                    biases[epoch],
                    xlim,
                    ylim,
                    color=COLORS[3],
                    linestyle="-",
                    alpha=0.2 + 0.8 * (rank / len(epochs)),
                    linewidth=2.4 if epoch == epochs[-1] else 1.2,
                    label=f"epoch {epoch}" if ends else None,
                )
            for index, (label, (weight, bias)) in enumerate(classifiers.items(), start=1):
                look = {"color": "black", "linestyle": DASHES[index % 6], "label": label}
                _boundary(column[0], weight, bias, xlim, ylim, **look)
            _points(column[0], X, y)
            _frame(column[0], xlim, ylim, title)
            column[1].plot(weights.abs().sum(dim=1).cpu().double(), color=COLORS[0])
            column[1].set(xlabel="epoch")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        axes[1, 0].set(ylabel="$|w_1| + |w_2|$", ylim=(0, None))
    return axes


def fits(
    X: Array,
    y: Array,
    lines: Mapping[str, tuple[Array, Array]],
    *,
    xlabel: str = "x",
    ylabel: str = "y",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw points and named straight lines through them.

    Parameters
    ----------
    X : Tensor of shape (n_samples, 1)
    y : Tensor of shape (n_samples, 1)
    lines : dict of str to (weight, bias)
        Each over the range of X, in its own color and dash pattern.
    xlabel : str, default="x"
    ylabel : str, default="y"
    title : str, default=""
    ax : Axes, optional
        Where to draw; a new figure when None.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If X and y are not single columns of as many rows, a line is not two finite numbers, or one of
        them is too large to be drawn.

    Examples
    --------
    >>> from course_lib.data import curved_points
    >>> from course_lib.plotting import fits
    >>> ax = fits(*curved_points(), {"a line": (1.0, 2.5)})
    >>> [line.get_label() for line in ax.lines]
    ['a line']
    """
    _texts(xlabel=xlabel, ylabel=ylabel, title=title)
    X, y = (_drawable(*item) for item in zip("Xy", _checks.rows(X, y), strict=True))
    for name, column in (("X", X), ("y", y)):
        if column.ndim != 2 or column.shape[1] != 1:
            raise ValueError(f"{name} must have one column, got shape {tuple(column.shape)}")
    ends = torch.stack([X.min(), X.max()])
    heights = {}
    for label, line in _checks.mapping("lines", lines, empty=True).items():
        weight, bias = _pair(f"lines[{label!r}]", line, 1)
        heights[label] = _drawable(f"lines[{label!r}] over X", weight * ends + bias)
    with style():
        ax = _axes(ax)
        ax.scatter(X, y, color="0.35", s=18, label="data")
        for index, (label, height) in enumerate(heights.items()):
            ax.plot(ends, height, label=label, **_look(index))
        ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
        ax.legend(loc="best")
    return ax


def curves(
    series: Mapping[str, tuple[Array, Array]],
    *,
    xlabel: str,
    ylabel: str,
    references: Mapping[str, float] | None = None,
    xscale: Literal["linear", "log"] = "linear",
    yscale: Literal["linear", "log"] = "linear",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw named curves, with named horizontal lines to compare them with.

    Parameters
    ----------
    series : dict of str to (x, y)
        Each a curve, in its own color and dash pattern.
    xlabel, ylabel : str
        Name and unit of each axis.
    references : dict of str to float, optional
        Heights of dotted horizontal lines, each named at its right end.
    xscale, yscale : {"linear", "log"}, default="linear"
    title : str, default=""
    ax : Axes, optional
        Where to draw; a new figure when None.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If a curve is not two finite vectors of equal length, has nothing above 0 on a log scale or more
        than can be drawn, a reference is not finite, or a scale is another.

    Examples
    --------
    >>> from course_lib.plotting import curves
    >>> ax = curves({"square": ([0, 1, 2], [0, 1, 4])}, xlabel="side (m)", ylabel="area (m²)")
    >>> ax.get_ylabel()
    'area (m²)'
    """
    _texts(xlabel=xlabel, ylabel=ylabel, title=title)
    _checks.mapping("series", series)
    for name, scale in (("xscale", xscale), ("yscale", yscale)):
        _checks.choice(name, scale, ("linear", "log"))
    pairs = {label: _curve(f"series[{label!r}]", pair, xscale, yscale) for label, pair in series.items()}
    heights = {}
    references = {} if references is None else _checks.mapping("references", references, empty=True)
    for label, height in references.items():
        name, minimum = f"references[{label!r}]", -math.inf if yscale == "linear" else 0.0
        heights[label] = _checks.number(name, height, minimum=minimum, strict=yscale == "log")
        _drawable(name, height)
    with style():
        ax = _axes(ax)
        for index, (label, (x, y)) in enumerate(pairs.items()):
            ax.plot(x, y, label=label, **_look(index))
        ax.set(xlabel=xlabel, ylabel=ylabel, xscale=xscale, yscale=yscale, title=title)
        for label, height in heights.items():
            line = ax.axhline(height, color="0.25", linestyle=":", linewidth=1.4)
            line.set_gid(f"{label}: at {height:.3g}")
            place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center"}
            ax.annotate(label, (1.01, height), **place, fontsize=9, color="0.25")
        if len(series) > 2:
            _legend_below(ax, 0.21)
        elif len(series) == 2:
            ax.legend(loc="best")
    return ax


def paths(
    x: Array,
    y: Array,
    values: Array,
    points: Mapping[str, Array],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    levels: int = 14,
    steps: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw paths over the map of a function of two parameters, both to the same scale.

    Parameters
    ----------
    x, y : Tensor of shape (n_x,), (n_y,)
        The axes of the map, increasing.
    values : Tensor of shape (n_y, n_x)
        The function: darker is lower, and between two lines it changes by a constant.
    points : dict of str to Tensor of shape (n_points, 2)
        Each a path, drawn from its first point to its last, which is marked by a dot. Several are named
        in a legend.
    xlabel, ylabel : str
    title : str, default=""
    levels : int, default=14
        About how many lines the map has.
    steps : bool, default=False
        Whether every point of a path is marked: where they lie close together, it is slow.
    ax : Axes, optional
        Where to draw; a new figure when None.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If a shape or an axis is not as described, or a number is too large to be drawn.

    Examples
    --------
    >>> import torch
    >>> from course_lib.plotting import paths
    >>> x, y = torch.linspace(-2, 2, 41), torch.linspace(-1, 1, 21)
    >>> bowl = x**2 + 4 * y[:, None] ** 2
    >>> line = torch.tensor([[2.0, 1.0], [0.0, 0.0]])
    >>> ax = paths(x, y, bowl, {"straight": line}, xlabel="x", ylabel="y")
    >>> ax.get_legend_handles_labels()[1]
    ['straight']
    """
    _texts(xlabel=xlabel, ylabel=ylabel, title=title)
    x, y = _drawable("x", _checks.axis("x", x)), _drawable("y", _checks.axis("y", y))
    values = _drawable("values", values, ndim=2)
    if values.shape != (len(y), len(x)):
        raise ValueError(f"values must have shape {(len(y), len(x))}, by y and x, got {tuple(values.shape)}")
    levels = _checks.count("levels", levels, minimum=2)
    marker = "." if _checks.flag("steps", steps) else None
    tracks = {}
    for label, track in _checks.mapping("points", points, empty=True).items():
        tracks[label] = _drawable(f"points[{label!r}]", track, ndim=2)
        if tracks[label].shape[1] != 2:
            raise ValueError(f"points[{label!r}] must have 2 columns, got {tracks[label].shape[1]}")
    x, y, values = (tensor.numpy() for tensor in (x, y, values))
    with style():
        ax = _axes(ax, WIDTH * 0.7)
        ax.grid(False)
        filled = ax.contourf(x, y, values, levels=levels, cmap=GREYS, antialiased=False)
        filled.set_gid(_map_in_words(x, y, values))
        ax.contour(x, y, values, levels=levels, colors="0.5", linewidths=0.4, antialiased=False)
        for index, (label, track) in enumerate(tracks.items()):
            ax.plot(*track.T, label=label, marker=marker, **_look(index))
            ax.plot(*track[-1:].T, "o", color=COLORS[index % 6], markeredgecolor="white", markersize=7)
        ax.set(xlabel=xlabel, ylabel=ylabel, title=title, xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
        ax.set_aspect("equal")
        if len(tracks) > 1:
            _legend_below(ax)
    return ax


def arrows(vectors: Mapping[str, tuple[Array, Array]], ax: Axes) -> Axes:
    """Draw named arrows into axes that show a plane, such as those of `paths`.

    Parameters
    ----------
    vectors : dict of str to (start, end)
        Two points of the plane each; every arrow has its own color and dash pattern.
    ax : Axes

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If a point does not have two finite coordinates, or `ax` is something else.

    Examples
    --------
    >>> from course_lib.plotting import arrows, panels
    >>> ax = arrows({"east": ([0, 0], [1, 0]), "north": ([0, 0], [0, 1])}, panels()[1])
    >>> ax.get_legend_handles_labels()[1]
    ['east', 'north']
    """
    vectors = {k: _pair(f"vectors[{k!r}]", v, 2) for k, v in _checks.mapping("vectors", vectors).items()}
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be Axes of matplotlib, got {ax!r}")
    exact = {"arrowstyle": "->", "linewidth": 2, "shrinkA": 0, "shrinkB": 0, "clip_box": ax.bbox}
    with style():
        for index, (label, ends) in enumerate(vectors.items()):
            start, end = ends.tolist()
            arrow = ax.annotate("", end, start, arrowprops={**exact, **_look(index)}, annotation_clip=False)
            arrow.set_in_layout(False)
            arrow.set_gid(f"{label}: from ({start[0]:.3g}, {start[1]:.3g}) to ({end[0]:.3g}, {end[1]:.3g})")
            ax.update_datalim(ends)
            ax.plot(*ends[:1].T, label=label, **_look(index))
        _legend_below(ax)
    return ax


def heatmap(values: Array, rows: Names, columns: Names, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw a table of positive numbers as colors on a log scale, with the power of ten in every cell.

    Parameters
    ----------
    values : Tensor of shape (n_rows, n_columns)
        At least 0. A cell shows the exponent of the power of ten that is closest on the log scale, with its
        sign: "-16" is about 1e-16. "0" without a sign is zero itself, in white.
    rows, columns : sequence of str, or of tuple of str
        The names at the left and above. Tuples of columns take a line for each of their entries, the first
        on top; neighbors that begin alike share one name, and a line parts those that do not.
    title : str, default=""
    ax : Axes, optional
        Where to draw; a new figure when None, as high as the rows need.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If `values` is not a finite matrix or has a negative entry, or the names do not fit it.

    Examples
    --------
    >>> from course_lib.plotting import heatmap
    >>> ax = heatmap([[1e-16, 2e-7], [0.0, 3e-8]], ["SGD", "Adam"], ["float64", "float32"])
    >>> [text.get_text() for text in ax.texts[:4]]
    ['-16', '-7', '0', '-8']
    """
    _texts(title=title)
    values = _checks.finite("values", values, ndim=2).detach().cpu().double()
    if (values < 0).any():
        raise ValueError(f"values must be >= 0, got {values.min().item():g}")
    rows = _names("rows", rows, values.shape[0])
    columns = _names("columns", columns, values.shape[1])
    powers = values.log10().numpy()
    levels = len(columns[0])
    with style():
        ax = _axes(ax, 0.2 * (len(rows) + levels + 2))
        ax.grid(False)
        colors = plt.get_cmap("YlGnBu").with_extremes(bad="white")
        shown = np.ma.masked_invalid(powers)
        image = ax.imshow(shown, cmap=colors, aspect="auto")
        image.set_gid(_cells_in_words(powers, columns))
        light = image.to_rgba(shown)[..., :3] ** 2.2 @ (0.2126, 0.7152, 0.0722)
        for (row, column), power in np.ndenumerate(powers):
            text = f"{round(power):+d}" if math.isfinite(power) else "0"
            color = "white" if light[row, column] < 0.18 else "black"  # whose contrast is higher
            ax.text(column, row, text, color=color, ha="center", va="center", fontsize=PHONE)
        for level in range(levels):
            for name, group in groupby(range(len(columns)), key=lambda k: columns[k][: level + 1]):
                group = list(group)
                place: dict[str, Any] = {
                    "xycoords": ("data", "axes fraction"),
                    "textcoords": "offset points",
                    "ha": "center",
                }
                offset = (0, 4 + 1.3 * PHONE * (levels - 1 - level))
                ax.annotate(name[-1], (np.mean(group), 1), offset, **place, fontsize=PHONE)
                if level < levels - 1 and group[0] > 0:
                    ax.axvline(group[0] - 0.5, color="black", linewidth=1)
        ax.set_title(title, pad=6 + 1.3 * PHONE * levels)
        ax.set_xticks([])
        ax.set_yticks(range(len(rows)), [" ".join(name) for name in rows], fontsize=PHONE)
        ax.tick_params(length=0)
    return ax


def _map_in_words(x: NDArray[Any], y: NDArray[Any], values: NDArray[Any]) -> str:
    row, column = np.unravel_index(values.argmin(), values.shape)
    lowest = f"lowest {values.min():.3g} at ({x[column]:.3g}, {y[row]:.3g})"
    return f"map: {lowest}, highest {values.max():.3g}"


def _cells_in_words(powers: NDArray[Any], columns: list[tuple[str, ...]]) -> str:
    parts = {name[0]: [k for k, other in enumerate(columns) if other[0] == name[0]] for name in columns}
    said = []
    for name, chosen in parts.items():
        shown = powers[:, chosen][np.isfinite(powers[:, chosen])]
        said.append(f"{name}: {np.median(shown):.0f}" if shown.size else f"{name}: zero")
    return f"powers of ten in {powers.size} cells, " + ", ".join(said)


def _axes(ax: Axes | None, height: float = 3.2) -> Axes:
    """Return `ax`, or new axes where it is None."""
    if ax is None:
        new: Axes = panels(height=height)[1]
        return new
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be Axes of matplotlib, got {ax!r}")
    return ax


def _texts(**texts: str) -> None:
    for name, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f"{name} must be a string, got {text!r}")


def _drawable(name: str, value: Array, ndim: int | None = None) -> torch.Tensor:
    """Return `value` in float64, small enough for matplotlib to compute with."""
    values = _checks.finite(name, value, ndim).detach().cpu().double()
    if values.abs().max() > LARGEST:
        raise ValueError(f"{name} must be at most {LARGEST:g} in size to be drawn")
    return values


def _classifiers(value: Mapping[str, tuple[Array, Array]]) -> dict[str, tuple[Array, Array]]:
    """Return pairs of weight and bias that have a boundary."""
    pairs = {}
    for label, pair in _checks.mapping("classifiers", value, empty=True).items():
        with _checks.within(f"classifiers[{label!r}]"):
            weight, bias = pair
            boundary_segment(weight, bias, (0.0, 1.0), (0.0, 1.0))
        pairs[label] = weight, bias
    return pairs


def _names(name: str, value: Names, n_names: int) -> list[tuple[str, ...]]:
    """Return as many tuples of strings, all of one length."""
    try:
        names: list[tuple[Any, ...]] = [
            (entry,) if isinstance(entry, str) else tuple(entry) for entry in value
        ]
    except TypeError:
        names = [(value,)]
    if not all(isinstance(part, str) for entry in names for part in entry):
        raise TypeError(f"{name} must be strings or tuples of strings, got {value!r}")
    if len(names) != n_names or len({len(entry) for entry in names}) != 1 or not names[0]:
        raise ValueError(
            f"{name} must be {n_names} names, as values has {name}, with as many parts each, got {names}"
        )
    return names


def _curve(name: str, pair: tuple[Array, Array], *scales: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x and y of a curve that can be drawn on these scales."""
    with _checks.within(name):
        x, y = pair
        x, y = _drawable("x", x, ndim=1), _drawable("y", y, ndim=1)
        if len(x) != len(y):
            raise ValueError(f"there must be as many x as y, got {len(x)} and {len(y)}")
        for values, scale in zip((x, y), scales, strict=True):
            if scale == "log" and not (values > 0).any():
                raise ValueError("something must be above 0 on a log scale")
    return x, y


def _pair(name: str, value: Iterable[Array], size: int) -> torch.Tensor:
    """Return both parts of `value`, of as many finite numbers each, as a tensor of shape (2, size)."""
    try:
        parts = [_drawable(name, part).flatten() for part in value]
    except TypeError as error:
        raise TypeError(f"{name} must be two parts of {size} real number(s) each, got {value!r}") from error
    if [len(part) for part in parts] != [size, size]:
        raise ValueError(f"{name} must be two parts of {size} real number(s) each, got {value!r}")
    return torch.stack(parts)


def _look(index: int) -> dict[str, Any]:
    """Return the color and the dash pattern of the line of this number."""
    return {"color": COLORS[index % 6], "linestyle": DASHES[index % 6]}


def _legend_below(ax: Axes, distance: float = 0.16) -> None:
    if ax.get_aspect() == 1:  # the flatter the axes, the less is a part of their height
        distance = max(distance, 0.095 * np.ptp(ax.get_xlim()) / np.ptp(ax.get_ylim()))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -distance), ncols=2)


def _plane(X: Array, y: Array) -> tuple[torch.Tensor, torch.Tensor]:
    X, y = (tensor.cpu() for tensor in _checks.samples(X, y))
    if X.shape[1] != 2:
        raise ValueError(f"X must have 2 features to be drawn, got {X.shape[1]}")
    return X, y


def _trace(title: str, history: History) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weights, shape (n_epochs, 2), and the biases, shape (n_epochs,), of a perceptron."""
    with _checks.within(f"histories[{title!r}]"):
        weights = _checks.finite("linear.weight", history["linear.weight"]).detach().flatten(1)
        biases = _checks.finite("linear.bias", history["linear.bias"]).detach().flatten()
        if weights.shape != (len(history.loss), 2) or len(biases) != len(weights):
            shapes = f"{tuple(weights.shape)}, {tuple(biases.shape)} and {tuple(history.loss.shape)}"
            raise ValueError(f"weights, biases and losses must fit a line an epoch, got shapes {shapes}")
        if (weights == 0).all(dim=1).any():
            raise ValueError("linear.weight must not be zero")
        _drawable("linear.weight", weights)
    return weights, biases


def _rectangle(xlim: Limits, ylim: Limits) -> tuple[Limits, Limits]:
    limits = []
    for name, limit in (("xlim", xlim), ("ylim", ylim)):
        lower, upper = _drawable(name, _checks.interval(name, limit)).tolist()
        limits.append((lower, upper))
    return limits[0], limits[1]


def _points(ax: Axes, X: torch.Tensor, y: torch.Tensor) -> None:
    for label, marker, color in ((1, "o", COLORS[0]), (0, "s", COLORS[1])):
        chosen = X[y == label].double()
        style: dict[str, Any] = {"marker": marker, "color": color, "edgecolor": "white", "s": 70, "zorder": 3}
        ax.scatter(chosen[:, 0], chosen[:, 1], label=f"label {label}", **style)


def _boundary(ax: Axes, weight: Array, bias: Array, xlim: Limits, ylim: Limits, **style: Any) -> None:
    ends = boundary_segment(weight, bias, xlim, ylim)
    x, y = ([], []) if ends is None else ends.cpu().T
    ax.plot(x, y, **style)


def _frame(ax: Axes, xlim: Limits, ylim: Limits, title: str) -> None:
    ax.set(xlim=xlim, ylim=ylim, xlabel="$x_1$", ylabel="$x_2$", title=title, aspect="equal")
