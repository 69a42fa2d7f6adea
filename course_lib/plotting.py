"""Every figure of the book. Opaque, legible on a phone, safe for color-blind readers and in a dark theme.

A concept has one color in all of them (the table is in `_style`), which never stands alone: lines differ in
dash pattern, points in marker, and shades are named by a bar or on their edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from course_lib import _arguments, _drawing
from course_lib._arguments import Array
from course_lib._drawing import LARGEST, Floats, Limits, Scale
from course_lib._style import (
    HALO,
    MAP,
    WIDTH,
    Concept,
    Described,
    looks,
    said,
    style,
)
from course_lib.geometry import boundary_segment, signed_distance

if TYPE_CHECKING:
    from course_lib.training import History

__all__ = [
    "arrows",
    "boundaries",
    "contours",
    "curves",
    "drift",
    "fits",
    "heatmap",
    "level_sets",
    "panels",
    "points",
    "small_multiples",
]

Names: TypeAlias = Sequence[str] | Sequence[tuple[str, ...]]
Model: TypeAlias = Callable[[torch.Tensor], Array] | tuple[Array, Array]

TALLEST = 300  # inches: at 200 dots each, what it can store
CELLS = "viridis_r"
SHAPES = {1: "diamond", 2: "circle", math.inf: "box"}


def panels(n_rows: int = 1, *, height: float = 2.4, **subplots: Any) -> tuple[Figure, Any]:
    """Return a figure in the book's style and its axes, one above the other.

    Parameters
    ----------
    n_rows : int, default=1
        Number of axes.
    height : float, default=2.4
        Inches for each, at least half of one; a legend adds its own.
    **subplots
        Passed on to ``plt.subplots``, such as ``sharex=True`` or ``ncols=2``.

    Returns
    -------
    figure : Figure
        4.5 inches wide: on a phone its letters are 11 CSS pixels high.
    axes : Axes, or ndarray of Axes where there are several

    Raises
    ------
    ValueError, TypeError
        If `n_rows` is not a positive integer or `height` below 0.5, or the figure would be too tall.

    Examples
    --------
    >>> from course_lib.plotting import panels
    >>> figure, axes = panels(2, sharex=True)
    >>> axes.shape
    (2,)
    """
    n_rows = _arguments.count("n_rows", n_rows)
    height = _arguments.number("height", height, minimum=0.5)
    if n_rows * height > TALLEST:
        raise ValueError(f"n_rows x height must be at most {TALLEST} inches, got {n_rows} x {height:g}")
    size = (WIDTH, height * n_rows)
    with style():
        return plt.subplots(n_rows, figsize=size, layout="compressed", FigureClass=Described, **subplots)


def small_multiples(
    draw: Callable[..., object],
    settings: Mapping[str, Mapping[str, Any]],
    *,
    ncols: int = 2,
    height: float = 2.0,
    **common: Any,
) -> NDArray[np.object_]:
    """Draw the same kind of axes for several settings, side by side and to the same scales.

    Parameters
    ----------
    draw : callable
        A function of this module that takes `title` and `ax`.
    settings : dict of str to dict
        For each panel its short title, and the arguments of `draw` that are its own.
    ncols : int, default=2
        Panels in a row.
    height : float, default=2.0
        Inches for each row.
    **common
        The arguments of `draw` that all panels share.

    Returns
    -------
    ndarray of Axes of shape (n_rows, ncols)
        Names of axes stand at the left and below only, what the panels show is named once, and their shades
        mean the same in all of them.

    Raises
    ------
    ValueError, TypeError
        If `draw` is not callable or refuses what it is given, or another argument is not as described.

    Examples
    --------
    >>> from course_lib.plotting import curves, small_multiples
    >>> runs = {f"lr {lr}": {"series": {"L2": ([0, 1, 2], [1, lr, lr**2])}} for lr in (0.5, 0.9)}
    >>> axes = small_multiples(curves, runs, xlabel="step", ylabel="|w|")
    >>> [ax.get_title() for ax in axes.flat]
    ['lr 0.5', 'lr 0.9']
    """
    _arguments.function("draw", draw)
    for title, own in _arguments.mapping("settings", settings).items():
        _arguments.mapping(f"settings[{title!r}]", own, empty=True)
    ncols = min(_arguments.count("ncols", ncols), len(settings))
    n_rows = math.ceil(len(settings) / ncols)
    axes: NDArray[np.object_]
    _, axes = panels(n_rows, height=height, ncols=ncols, squeeze=False, sharex=True, sharey=True)
    used: list[Any] = list(axes.flat)[: len(settings)]
    if draw is contours and not any("levels" in own for own in settings.values()):
        common = {**common, "levels": _common_levels(settings.values(), common)}
    for ax, (title, own) in zip(used, settings.items(), strict=True):
        with _arguments.within(f"draw with settings[{title!r}]"):
            draw(**common, **own, title=title, ax=ax)
    with style():
        for ax in axes.flat[len(settings) :]:
            ax.set_axis_off()
        for place, ax in enumerate(used):
            _drawing.outer_names(ax, below=place + ncols >= len(used), left=place % ncols == 0)
        _drawing.share_bar(used)
        _drawing.legend(used[0])
    return axes


def boundaries(
    X: Array,
    y: Array,
    classifiers: Mapping[str, tuple[Array, Array]],
    *,
    xlim: Limits,
    ylim: Limits,
    probability: str | None = None,
    distances: bool = False,
    concept: Concept = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    r"""Draw labelled points of the plane and the boundaries of named classifiers.

    The boundary is the line :math:`w \cdot x + b = 0`.

    Parameters
    ----------
    X : Tensor of shape (n_samples, 2)
    y : Tensor of shape (n_samples,)
        Labels 1 (dark circles) and 0 (white squares).
    classifiers : dict of str to (weight, bias)
        Drawn in this order. A boundary that misses the rectangle is named in the legend but cannot be seen.
    xlim, ylim : (float, float)
        The rectangle shown; both axes have the same scale, so that right angles look right.
    probability : str, optional
        Name of the classifier whose probability of label 1, :math:`\sigma(w \cdot x + b)`, is shaded.
    distances : bool, default=False
        Whether the distance of every point to every boundary is drawn and written beside it.
    concept : str or dict of str to str, optional
        The concept to which all classifiers belong, or each of them, where its name does not say it.
    title : str, default=""
    ax : Axes, optional
        Where to draw; a new figure when None.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If a shape, label, limit, name or concept is not as described.

    Examples
    --------
    >>> from course_lib.data import two_points
    >>> from course_lib.geometry import bisector
    >>> from course_lib.plotting import boundaries
    >>> X, y = two_points()
    >>> ax = boundaries(X, y, {"L2": bisector(*X)}, xlim=(0, 4), ylim=(0, 3), distances=True)
    >>> ax.figure
    axes 1: x '$x_1$', linear, 0 to 4; y '$x_2$', linear, 0 to 3
      L2: from (1.25, 3) to (2.75, 0), falls, lowest 0, highest 3; the points are 1.12, 1.12 away
      label 1: at (3, 2)
      label 0: at (1, 1)
    """
    _texts(title=title)
    X, y = _plane(X, y)
    xlim, ylim = _rectangle(xlim, ylim)
    classifiers = _classifiers(classifiers)
    feet = _feet(X, classifiers) if _arguments.flag("distances", distances) else {}
    if probability is not None and not (isinstance(probability, str) and probability in classifiers):
        raise ValueError(f"probability must be a name of classifiers, got {probability!r}")
    styles = looks("classifiers", classifiers, concept)
    with style():
        ax = _axes(ax, _drawing.height(_drawing.ratio(xlim, ylim)))
        _drawing.frame(ax, xlim, ylim, title)
        if probability is not None:
            _drawing.probability(ax, *classifiers[probability])
        for label, (weight, bias) in classifiers.items():
            _drawing.boundary(ax, weight, bias, label=label, path_effects=[HALO], **styles[label].line)
        if feet:
            _drawing.distances(ax, X, feet)
        _drawing.classes(ax, X, y)
        _drawing.legend(ax)
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
    concept: Concept = None,
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
        Named classifiers to compare with, drawn as references.
    xlim, ylim : (float, float)
    concept : str or dict of str to str, optional
        The concept to which all histories belong, or each of them, where its name does not say it.

    Returns
    -------
    ndarray of Axes of shape (2, n_histories)

    Raises
    ------
    ValueError, TypeError
        If a shape, label, limit, epoch or concept is not as described.

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
    _arguments.mapping("histories", histories)
    xlim, ylim = _rectangle(xlim, ylim)
    classifiers = {} if classifiers is None else _classifiers(classifiers)
    traces = {title: _trace(title, history) for title, history in histories.items()}
    epochs = _arguments.counts("epochs", epochs, minimum=0)
    shortest = min(len(weights) for weights, _ in traces.values())
    if not epochs or epochs != sorted(set(epochs)) or epochs[-1] >= shortest:
        raise ValueError(f"epochs must increase and stay below {shortest} of histories, got {epochs}")
    styles, others = looks("histories", traces, concept), looks("classifiers", classifiers, "reference")
    with style():
        axes: NDArray[np.object_]
        _, axes = panels(2, height=2.0, ncols=len(histories), squeeze=False, sharey="row")
        for (above, below), (title, (weights, biases)) in zip(axes.T, traces.items(), strict=True):
            color = styles[title].color
            _drawing.frame(above, xlim, ylim, title)
            for rank, epoch in enumerate(epochs, start=1):
                ends = epoch in (epochs[0], epochs[-1])
                fade = {"color": color, "alpha": 0.3 + 0.7 * (rank / len(epochs))}
                label = f"epoch {epoch}" if ends else None
                look = {**fade, "linewidth": 2.6 if epoch == epochs[-1] else 1.2}
                _drawing.boundary(above, weights[epoch], biases[epoch], label=label, **look)
            for label, (weight, bias) in classifiers.items():
                _drawing.boundary(above, weight, bias, label=label, **others[label].line)
            _drawing.classes(above, X, y)
            below.plot(weights.abs().sum(dim=1).cpu().double(), label="|w1| + |w2|", color=color)
            below.set(xlabel="epoch")
        beside: list[Any] = list(axes[:, 1:].flat)
        for ax in beside:
            _drawing.outer_names(ax, below=True, left=False)
        axes[1, 0].set(ylabel="|w1| + |w2|", ylim=(0, None))
        _drawing.legend(axes[0, 0])
    return axes


def fits(
    X: Array,
    y: Array,
    models: Mapping[str, Model],
    *,
    xlabel: str = "x",
    ylabel: str = "y",
    concept: Concept = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw points and named lines or curves through them.

    Parameters
    ----------
    X : Tensor of shape (n_samples, 1)
    y : Tensor of shape (n_samples, 1)
    models : dict of str to callable or (weight, bias)
        Each predicts a column like `y` from one like `X`, over whose range it is drawn; a pair is a line.
    xlabel : str, default="x"
    ylabel : str, default="y"
    concept : str or dict of str to str, optional
        The concept to which all models belong, or each of them, where its name does not say it.
    title : str, default=""
    ax : Axes, optional
        Where to draw; a new figure when None.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If X and y are not single columns of as many rows, a model is neither two finite numbers nor a
        function with a finite value for every row, or something is too large to be drawn.

    Examples
    --------
    >>> from course_lib.data import curved_points
    >>> from course_lib.plotting import fits
    >>> ax = fits(*curved_points(), {"a line": (1.0, 2.5), "a parabola": lambda x: x**2 + 2})
    >>> [line.get_label() for line in ax.lines]
    ['a line', 'a parabola']
    """
    _texts(xlabel=xlabel, ylabel=ylabel, title=title)
    X, y = _arguments.rows(X, y)
    for name, column in (("X", X), ("y", y)):
        if column.ndim != 2 or column.shape[1] != 1:
            raise ValueError(f"{name} must have one column, got shape {tuple(column.shape)}")
    X = X.detach() if X.is_floating_point() else X.double()
    dots = _drawable("X", X), _drawable("y", y)
    x = torch.linspace(dots[0].min(), dots[0].max(), 201, dtype=torch.float64, device="cpu")[:, None]
    heights = {}
    for label, model in _arguments.mapping("models", models, empty=True).items():
        heights[label] = _prediction(f"models[{label!r}]", model, x, x.to(X))
    styles = looks("models", heights, concept)
    with style():
        ax = _axes(ax)
        ax.scatter(*dots, color="0.85", edgecolor="0.5", linewidth=1, s=24, label="data")
        for label, height in heights.items():
            ax.plot(x, height, label=label, **styles[label].line)
        _drawing.name_axes(ax, xlabel, ylabel, title)
        _drawing.legend(ax)
    return ax


def curves(
    series: Mapping[str, tuple[Array, Array]],
    *,
    xlabel: str,
    ylabel: str,
    references: Mapping[str, float] | None = None,
    xreferences: Mapping[str, float] | None = None,
    minima: bool = False,
    xscale: Scale = "linear",
    yscale: Scale = "linear",
    concept: Concept = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw named curves, the range over runs around them, and named lines to compare them with.

    Parameters
    ----------
    series : dict of str to (x, y)
        Each a curve. Where y has a row for each of several runs, shape (n_runs, n_x), the curve is their
        median, and a band around it goes from their lowest to their highest.
    xlabel, ylabel : str
        Name and unit of each axis.
    references, xreferences : dict of str to float, optional
        Dotted horizontal lines at these heights, named at their right end, and vertical ones, named at
        their upper end.
    minima : bool, default=False
        Whether the lowest point of each curve is marked by a star.
    xscale, yscale : {"linear", "log"}, default="linear"
    concept : str or dict of str to str, optional
        The concept to which all series belong, or each of them, where its name does not say it.
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
        than can be drawn, a reference is not finite, or a scale or a concept is another.

    Examples
    --------
    >>> from course_lib.plotting import curves
    >>> runs = [[3.0, 1.0, 2.0], [5.0, 2.0, 2.0], [4.0, 1.5, 2.5]]
    >>> ax = curves({"L2": ([0.01, 0.1, 1.0], runs)}, xlabel="λ", ylabel="loss", xscale="log", minima=True)
    >>> ax.figure
    axes 1: x 'λ', log, 0.00794 to 1.26; y 'loss', linear, 0.8 to 5.2
        L2: range of 3 runs, at first from 3 to 5, at last from 2 to 2.5
      L2: from (0.01, 4) to (1, 2), turns, lowest 1.5, highest 4
        minimum of L2: at (0.1, 1.5)
    """
    _texts(xlabel=xlabel, ylabel=ylabel, title=title)
    _arguments.mapping("series", series)
    for name, scale in (("xscale", xscale), ("yscale", yscale)):
        _arguments.choice(name, scale, ("linear", "log"))
    drawn = {label: _curve(f"series[{label!r}]", pair, xscale, yscale) for label, pair in series.items()}
    heights = _references("references", references, yscale)
    places = _references("xreferences", xreferences, xscale)
    starred, styles = _arguments.flag("minima", minima), looks("series", series, concept)
    with style():
        ax = _axes(ax)
        for label, (x, runs) in drawn.items():
            middle = np.median(runs, axis=0)
            if len(runs) > 1:
                _drawing.band(ax, label, x, runs, styles[label].color)
            ax.plot(x, middle, label=label, **styles[label].line)
            if starred:
                lowest = middle <= middle.min() + 1e-9 * np.ptp(middle)
                _drawing.mark(ax, "minimum", x[lowest][:1], middle[lowest][:1], of=f" of {label}")
        _drawing.scales(ax, xscale, yscale)
        _drawing.name_axes(ax, xlabel, ylabel, title, lines_above=bool(places))
        _drawing.references(ax, heights, places)
        _drawing.legend(ax)
    return ax


def contours(
    x: Array,
    y: Array,
    values: Array,
    paths: Mapping[str, Array] | None = None,
    *,
    xlabel: str,
    ylabel: str,
    zlabel: str,
    levels: int | Sequence[float] = 7,
    minimum: bool | Array = True,
    steps: bool = False,
    equal: bool = True,
    xscale: Scale = "linear",
    yscale: Scale = "linear",
    concept: Concept = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw the map of a function of two parameters, and paths over it.

    Parameters
    ----------
    x, y : Tensor of shape (n_x,), (n_y,)
        The axes of the map, increasing.
    values : Tensor of shape (n_y, n_x)
        The function.
    paths : dict of str to Tensor of shape (n_points, 2), optional
        Each drawn from its first point, an open circle, to its last, which has its marker.
    xlabel, ylabel, zlabel : str
        Name and unit of each axis, and of the function, for the bar that says what its shades mean.
    levels : int or increasing sequence of float, default=7
        About how many shades there are, or the values between which they change.
    minimum : bool or Tensor of shape (2,), default=True
        Whether a star marks the lowest value of the map, or where it stands.
    steps : bool, default=False
        Whether every point of a path is marked: where they lie close together, it is slow.
    equal : bool, default=True
        Whether both axes have the same scale. They never have where one is logarithmic or fifty times as
        long.
    xscale, yscale : {"linear", "log"}, default="linear"
    concept : str or dict of str to str, optional
        The concept to which all paths belong, or each of them, where its name does not say it.
    title : str, default=""
    ax : Axes, optional
        Where to draw; a new figure when None.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If a shape, an axis, a scale or a concept is not as described, or a number is too large to be drawn.

    Examples
    --------
    >>> import torch
    >>> from course_lib.plotting import contours
    >>> x, y = torch.linspace(-2, 2, 41), torch.linspace(-1, 1, 21)
    >>> bowl = x**2 + 4 * y[:, None] ** 2
    >>> path = torch.tensor([[2.0, 1.0], [0.0, 0.5]])
    >>> ax = contours(x, y, bowl, {"plain descent": path}, xlabel="x", ylabel="y", zlabel="loss")
    >>> ax.figure
    axes 1: x 'x', linear, -2 to 2; y 'y', linear, -1 to 1
        loss: lowest 0 at (0, 0), highest 8
      plain descent: from (2, 1) to (0, 0.5), falls, lowest 0.5, highest 1
        start: at (2, 1)
        minimum: at (0, 0)
        loss: shown by colors
    """
    _texts(xlabel=xlabel, ylabel=ylabel, zlabel=zlabel, title=title)
    x, y = _map_axis("x", x, xscale), _map_axis("y", y, yscale)
    values = _drawable("values", values, ndim=2)
    if values.shape != (len(y), len(x)):
        raise ValueError(f"values must have shape {(len(y), len(x))}, by y and x, got {tuple(values.shape)}")
    tracks = {}
    for label, track in _arguments.mapping("paths", {} if paths is None else paths, empty=True).items():
        tracks[label] = _positions(f"paths[{label!r}]", track)
    x, y, values = (tensor.numpy() for tensor in (x, y, values))
    bounds = _levels(levels, values)
    _arguments.flag("steps", steps)
    equal = _arguments.flag("equal", equal) and xscale == yscale == "linear"
    equal = equal and 0.02 < _drawing.ratio(x, y) < 50
    star = _star(minimum, x, y, values)
    styles = looks("paths", tracks, concept)
    with style():
        ax = _axes(ax, _drawing.height(_drawing.ratio(x, y)) if equal else 3.0)
        _drawing.scales(ax, xscale, yscale)
        _drawing.name_axes(ax, xlabel, ylabel, title)
        _drawing.shades(ax, x, y, values, bounds, zlabel)
        for label, track in tracks.items():
            color, _, marker = styles[label]
            if steps:
                ax.plot(*track.T, linestyle="none", marker=".", zorder=2.5, color=color)
            edge: dict[str, Any] = {"path_effects": [HALO], "marker": marker, "markevery": [-1]}
            ax.plot(*track.T, label=label, **edge, **styles[label].line)
            _drawing.mark(ax, "start", *track[:1].T)
        if star is not None:
            _drawing.mark(ax, "minimum", *star[:, None])
        ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), aspect="equal" if equal else "auto")
        _drawing.legend(ax)
    return ax


def arrows(vectors: Mapping[str, tuple[Array, Array]], ax: Axes, *, concept: Concept = None) -> Axes:
    """Draw named arrows into axes that show a plane, such as those of `contours`.

    Parameters
    ----------
    vectors : dict of str to (start, end)
        Two points of the plane each.
    ax : Axes
    concept : str or dict of str to str, optional
        The concept to which all arrows belong, or each of them, where its name does not say it.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If a point does not have two finite coordinates, or `ax` or a concept is something else.

    Examples
    --------
    >>> from course_lib.plotting import arrows, panels
    >>> ax = arrows({"momentum": ([0, 0], [1, 0]), "gradient": ([1, 0], [1, 1])}, panels()[1])
    >>> ax.get_legend_handles_labels()[1]
    ['momentum', 'gradient']
    """
    vectors = {k: _pair(f"vectors[{k!r}]", v, 2) for k, v in _arguments.mapping("vectors", vectors).items()}
    ax, styles = _axes(ax, optional=False), looks("vectors", vectors, concept)
    exact = {"arrowstyle": "->", "linewidth": 2, "shrinkA": 0, "shrinkB": 0, "clip_box": ax.bbox}
    with style():
        for label, ends in vectors.items():
            start, end = ends.tolist()
            look = styles[label].line
            arrow = ax.annotate("", end, start, arrowprops={**exact, **look}, annotation_clip=False)
            arrow.set_in_layout(False)  # matplotlib 3.10 would make room for all of it
            ax.update_datalim(ends)
            ways = (f"({said(x)}, {said(y)})" for x, y in (start, end))
            ax.plot(*ends[:1].T, label=label, gid=f"{label}\tfrom {' to '.join(ways)}", **look)
        _drawing.legend(ax)
    return ax


def points(positions: Mapping[str, Array], ax: Axes, *, concept: Concept = None) -> Axes:
    """Mark named points in axes that show a plane, such as those of `contours`.

    Parameters
    ----------
    positions : dict of str to Tensor of shape (2,) or (n_points, 2)
        The name of a single point stands beside it, that of several in the legend. "start" is an open
        circle, "minimum" a star.
    ax : Axes
    concept : str or dict of str to str, optional
        The concept to which all points belong, or those of each name, where it does not say it.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If a point does not have two finite coordinates, or `ax` or a concept is something else.

    Examples
    --------
    >>> from course_lib.plotting import panels, points
    >>> ax = points({"stands": [2.0, 1.0], "minimum": [0.0, 0.0]}, panels()[1])
    >>> [text.get_text() for text in ax.texts]
    ['stands', 'minimum']
    """
    places = {
        name: _positions(f"positions[{name!r}]", place)
        for name, place in _arguments.mapping("positions", positions).items()
    }
    ax, styles = _axes(ax, optional=False), looks("positions", places, concept)
    alone = [place for place in places.values() if len(place) == 1]
    with style():
        for name, place in places.items():
            _drawing.mark(ax, name, *place.T, look=styles[name], hidden=len(place) == 1)
            if len(place) == 1:
                _drawing.write_beside(ax, name, place[0], torch.cat(alone).mean(dim=0))
        _drawing.legend(ax)
    return ax


def level_sets(sets: Mapping[str, tuple[float, Array]], ax: Axes, *, concept: Concept = None) -> Axes:
    r"""Draw level sets of penalties around the origin: circles, diamonds or boxes.

    They are the :math:`w` of the plane with :math:`\lVert w \rVert_p = r`, which is
    :math:`|w_1| + |w_2| = r` for :math:`p = 1` and :math:`\max(|w_1|, |w_2|) = r` for infinity.

    Parameters
    ----------
    sets : dict of str to (norm, radius)
        The p, which is 1, 2 or ``math.inf``, and one radius or several.
    ax : Axes
    concept : str or dict of str to str, optional
        The concept to which all sets belong, or those of each name, where it does not say it.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError, TypeError
        If p is another, a radius is not positive and finite, or `ax` or a concept is something else.

    Examples
    --------
    >>> from course_lib.plotting import level_sets, panels
    >>> ax = level_sets({"L2": (2, 1.0), "L1": (1, [0.5, 1.0])}, panels()[1])
    >>> ax.figure
    axes 1: x '', linear, -1.1 to 1.1; y '', linear, -1.1 to 1.1
      L2: a circle of radius 1
      L1: a diamond of radius 0.5, 1
    """
    shapes = {name: _set(f"sets[{name!r}]", pair) for name, pair in _arguments.mapping("sets", sets).items()}
    ax, styles = _axes(ax, optional=False), looks("sets", shapes, concept)
    with style():
        for name, (norm, radii) in shapes.items():
            turn = np.linspace(0, 2 * np.pi, 721)
            circle = np.stack([np.cos(turn), np.sin(turn)])
            shape = circle / np.linalg.norm(circle, ord=norm, axis=0)
            words = f"{name}\ta {SHAPES[norm]} of radius {', '.join(map(said, radii))}"
            for radius in radii:
                ax.plot(*radius * shape, label=name, gid=words, **styles[name].line)
        _drawing.legend(ax)
    return ax


def heatmap(
    values: Array,
    rows: Names,
    columns: Names,
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw a table of positive numbers as colors on a log scale.

    Where it is wide enough, a cell shows the exponent of the power of ten that is closest on this scale, with
    its sign: "-16" is about 1e-16, and "0" without a sign is zero itself. Otherwise a bar says it.

    Parameters
    ----------
    values : Tensor of shape (n_rows, n_columns)
        At least 0, which is white.
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
    values = _arguments.finite("values", values, ndim=2).detach().cpu().double()
    if (values < 0).any():
        raise ValueError(f"values must be >= 0, got {values.min().item():g}")
    rows = _names("rows", rows, values.shape[0])
    columns = _names("columns", columns, values.shape[1])
    powers = np.ma.masked_invalid(values.log10().numpy())
    with style():
        ax = _axes(ax, 0.2 * (len(rows) + len(columns[0]) + 4))
        ax.grid(False)
        longest = max(len(" ".join(name)) for name in rows)
        wide = _drawing.room(ax, longest) > 0.3 * len(columns)
        colors = plt.get_cmap(MAP if wide else CELLS).with_extremes(bad="white")
        image = ax.imshow(powers, cmap=colors, aspect="auto")
        _drawing.share_scale([image])
        image.set_gid(_drawing.cells_in_words(powers, columns))
        if wide:
            for (row, column), exponent in np.ndenumerate(powers.filled(np.nan)):
                text = f"{round(exponent):+d}" if math.isfinite(exponent) else "0"
                ax.text(column, row, text, ha="center", va="center", color="black")
        else:
            label = "power of ten" + ", white: 0" * np.ma.is_masked(powers)
            ax.figure.colorbar(image, ax=ax, location="bottom", label=label, aspect=40)
        _drawing.column_names(ax, columns)
        _drawing.name_axes(ax, "", "", title, lines_above=len(columns[0]))
        ax.set_xticks([])
        ax.set_yticks(range(len(rows)), [" ".join(name) for name in rows])
        ax.tick_params(length=0)
    return ax


def _axes(ax: Axes | None, height: float = 2.4, *, optional: bool = True) -> Axes:
    """Return `ax`, or new axes where it is None."""
    if ax is None and optional:
        new: Axes = panels(height=height)[1]
        return new
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be Axes of matplotlib, got {ax!r}")
    _drawing.lay_out(ax.get_figure(root=True))
    return ax


def _feet(X: torch.Tensor, classifiers: Mapping[str, tuple[Array, Array]]) -> dict[str, torch.Tensor]:
    """Return for each classifier the points of its boundary that are closest to those of X."""
    feet = {}
    for label, (weight, bias) in classifiers.items():
        with _arguments.within(f"classifiers[{label!r}]"):
            away = signed_distance(X, weight, bias).detach().cpu().double()
            normal = _arguments.finite("weight", weight).detach().cpu().double()
            normal = normal / normal.abs().max()
            feet[label] = _drawable(
                "the way from X to the boundary", X - away[:, None] * normal / normal.norm()
            )
    return feet


def _star(minimum: bool | Array, x: Floats, y: Floats, values: Floats) -> Floats | None:
    """Return where the minimum is to be marked, if it is."""
    if isinstance(minimum, bool):
        row, column = _drawing.lowest(values)
        return np.array([x[column], y[row]]) if minimum else None
    place = _positions("minimum", minimum)
    if len(place) != 1:
        raise ValueError(f"minimum must be one point, got {len(place)}")
    return np.asarray(place[0])


def _levels(levels: int | Sequence[float], values: Floats) -> Floats:
    """Return the values between which the shades of a map change."""
    if isinstance(levels, bool) or not isinstance(levels, int):
        return np.asarray(_drawable("levels", _arguments.axis("levels", levels)))
    if _arguments.count("levels", levels, minimum=2) > 100:
        raise ValueError(f"levels must be at most 100, got {levels}")
    return np.asarray(MaxNLocator(levels).tick_values(values.min(), values.max()))


def _common_levels(settings: Iterable[Mapping[str, Any]], common: Mapping[str, Any]) -> Any:
    """Return the levels of several maps, over the values of all where only their number is given."""
    levels = common.get("levels", 7)
    values = [_drawable("values", {**common, **own}.get("values", 0.0)).flatten() for own in settings]
    return _levels(levels, torch.cat(values).numpy()) if isinstance(levels, int) else levels


def _map_axis(name: str, values: Array, scale: Scale) -> torch.Tensor:
    _arguments.choice(f"{name}scale", scale, ("linear", "log"))
    axis = _drawable(name, _arguments.axis(name, values))
    if scale == "log" and axis[0] <= 0:
        raise ValueError(f"{name} must be above 0 on a log scale, got {axis[0]:g}")
    return axis


def _texts(**texts: str) -> None:
    for name, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f"{name} must be a string, got {text!r}")


def _drawable(name: str, value: Array, ndim: int | None = None) -> torch.Tensor:
    """Return `value` in float64, small enough for matplotlib to compute with."""
    values = _arguments.finite(name, value, ndim).detach().cpu().double()
    if values.abs().max() > LARGEST:
        raise ValueError(f"{name} must be at most {LARGEST:g} in size to be drawn")
    return values


def _positions(name: str, value: Array) -> torch.Tensor:
    """Return one point of the plane or several as rows."""
    places = _drawable(name, value)
    places = places[None] if places.ndim == 1 else places
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"{name} must have 2 columns, got shape {tuple(places.shape)}")
    return places


def _classifiers(value: Mapping[str, tuple[Array, Array]]) -> dict[str, tuple[Array, Array]]:
    """Return pairs of weight and bias that have a boundary."""
    pairs = {}
    for label, pair in _arguments.mapping("classifiers", value, empty=True).items():
        with _arguments.within(f"classifiers[{label!r}]"):
            weight, bias = pair
            boundary_segment(weight, bias, (0.0, 1.0), (0.0, 1.0))
        pairs[label] = weight, bias
    return pairs


def _set(name: str, value: tuple[float, Array]) -> tuple[float, list[float]]:
    """Return the norm and the radii of level sets."""
    with _arguments.within(name):
        norm, radius = value
        if isinstance(norm, bool) or norm not in SHAPES:
            raise ValueError(f"the norm must be 1, 2 or infinity, got {norm!r}")
        radii = _drawable("radius", radius).flatten().tolist()
        if min(radii) <= 0:
            raise ValueError(f"radius must be > 0, got {min(radii):g}")
    return norm, radii


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


def _curve(name: str, pair: tuple[Array, Array], *scales: str) -> tuple[Floats, Floats]:
    """Return x of a curve, and y with one row a run, which can be drawn on these scales."""
    with _arguments.within(name):
        x, y = pair
        x, y = _drawable("x", x, ndim=1), _drawable("y", y)
        if y.ndim not in (1, 2) or y.shape[-1] != len(x):
            raise ValueError(f"y must have {len(x)} entries or columns, as x has, got shape {tuple(y.shape)}")
        for values, scale in zip((x, y), scales, strict=True):
            if scale == "log" and not (values > 0).any():
                raise ValueError("something must be above 0 on a log scale")
    return x.numpy(), y.reshape(-1, len(x)).numpy()


def _references(name: str, value: Mapping[str, float] | None, scale: Scale) -> dict[str, float]:
    found, minimum = {}, -math.inf if scale == "linear" else 0.0
    for label, place in _arguments.mapping(name, {} if value is None else value, empty=True).items():
        part = f"{name}[{label!r}]"
        found[label] = _arguments.number(part, place, minimum=minimum, strict=scale == "log")
        _drawable(part, place)
    return found


def _prediction(name: str, model: Model, x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the heights of a line over x, or of what a function makes of it in its own dtype."""
    if not callable(model):
        weight, bias = _pair(name, model, 1)
        return _drawable(f"{name} over X", weight * x + bias)
    with _arguments.within(f"{name} over X"), torch.no_grad():
        heights = _drawable("what it returns", model(rows))
        if heights.shape not in ((len(x),), (len(x), 1)):
            raise ValueError(
                f"it must return one value a row, got shape {tuple(heights.shape)} for {len(x)} rows"
            )
    return heights


def _pair(name: str, value: Iterable[Array], size: int) -> torch.Tensor:
    """Return both parts of `value`, of as many finite numbers each, as a tensor of shape (2, size)."""
    try:
        parts = [_drawable(name, part).flatten() for part in value]
    except TypeError as error:
        raise TypeError(f"{name} must be two parts of {size} real number(s) each, got {value!r}") from error
    if [len(part) for part in parts] != [size, size]:
        raise ValueError(f"{name} must be two parts of {size} real number(s) each, got {value!r}")
    return torch.stack(parts)


def _plane(X: Array, y: Array) -> tuple[torch.Tensor, torch.Tensor]:
    X, y = (tensor.cpu() for tensor in _arguments.samples(X, y))
    if X.shape[1] != 2:
        raise ValueError(f"X must have 2 features to be drawn, got {X.shape[1]}")
    return X, y


def _trace(title: str, history: History) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weights, shape (n_epochs, 2), and the biases, shape (n_epochs,), of a perceptron."""
    with _arguments.within(f"histories[{title!r}]"):
        weights = _arguments.finite("linear.weight", history["linear.weight"]).detach().flatten(1)
        biases = _arguments.finite("linear.bias", history["linear.bias"]).detach().flatten()
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
        lower, upper = _drawable(name, _arguments.interval(name, limit)).tolist()
        limits.append((lower, upper))
    return limits[0], limits[1]
