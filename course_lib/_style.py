"""The look of the book's figures: one color for a concept, letters for a phone, and all of it in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import PathCollection
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from course_lib import _arguments

Concept: TypeAlias = str | Mapping[str, str] | None  # of all series of a call, of each, or by their names

WIDTH = 4.5  # inches: 350 CSS pixels on a phone
LETTERS = 10.5  # points: 11 CSS pixels on a phone
INK = "0.15"
REFERENCE = "0.35"
MAP = LinearSegmentedColormap.from_list("map", ["#fdf6d8", "#cfe3d2", "#9fc6d4"])  # lines stand out on it
HALO = patheffects.withStroke(linewidth=3.8, foreground="white")


class Look(NamedTuple):
    color: Any
    dashes: Any
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        return {"color": self.color, "linestyle": self.dashes}

    @property
    def svg(self) -> dict[str, str]:
        """The same for a line of two pixels in a browser."""
        named = {"-": [], ":": [1, 1.5]}
        pattern = named[self.dashes] if isinstance(self.dashes, str) else self.dashes[1]
        return {"color": to_hex(self.color), "dashes": " ".join(f"{2 * part:g}" for part in pattern)}


DASHES: list[Any] = [
    "-",
    (0, (5, 1.5)),
    (0, (7, 1.5, 1.5, 1.5)),
    (0, (2.5, 1.2)),
    (0, (7, 1.5, 1.5, 1.5, 1.5, 1.5)),
    (0, (11, 2)),
    (0, (5, 1.2, 2.5, 1.2)),
]
# Okabe and Ito's colors. Vermillion, orange and sky blue are darker than theirs: lines need a contrast of 3:1
# on white, and vermillion has to stay apart from orange for those who see no red or no green.
CONCEPTS = {
    "no decay": Look("#000000", DASHES[0], "o"),
    "L2, bias decayed": Look("#C44E00", DASHES[1], "v"),
    "L2": Look("#0072B2", DASHES[2], "s"),
    "L1": Look("#009E73", DASHES[3], "D"),
    "decoupled decay": Look("#CC79A7", DASHES[4], "^"),
    "momentum": Look("#C58800", DASHES[5], "P"),
    "Nesterov": Look("#499CCA", DASHES[6], "X"),
    "reference": Look(REFERENCE, ":", "d"),
}
ALIASES = {
    "plain descent": "no decay",
    "gradient descent": "no decay",
    "L2 on the weights": "L2",
    "SGDW": "decoupled decay",
    "AdamW": "decoupled decay",
    "heavy ball": "momentum",
    "limit": "reference",
}
NEUTRAL = Look("0.5", DASHES[0], "h")  # of a series that is no concept
STYLE = {
    "axes.edgecolor": INK,
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": LETTERS,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": LETTERS + 1,
    "figure.dpi": 200,
    "figure.facecolor": "white",
    "font.size": LETTERS,
    "grid.alpha": 0.3,
    "legend.fontsize": LETTERS,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": LETTERS,
    "ytick.color": INK,
    "ytick.labelsize": LETTERS,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the book's style, and keep the interactive mode that loading a backend may turn on."""
    with plt.style.context(["default", STYLE]):
        yield
        interactive = plt.isinteractive()
    matplotlib.interactive(interactive)


def looks(kind: str, names: Iterable[str], concept: Concept = None) -> dict[str, Look]:
    """Return the color, dash pattern and marker of each series, of this kind, by its name.

    A series looks like the concept that is given for it, or that is called like it, and else neutral. Of
    several series of one concept the first looks like it; the others differ in lightness and dashes.
    """
    names, known = list(names), (*CONCEPTS, *ALIASES)
    if isinstance(concept, Mapping):
        for name, value in concept.items():
            _arguments.choice(f"concept[{name!r}]", value, known)
            if name not in names:
                raise ValueError(f"concept must be for names of {kind}, got {name!r}")
    elif concept is not None:
        concept = dict.fromkeys(names, _arguments.choice("concept", concept, known))
    seen: Counter[Look] = Counter()
    found = {}
    for name in names:
        meant = (concept or {}).get(name, name)
        look = CONCEPTS.get(ALIASES.get(meant, meant), NEUTRAL)
        found[name] = _variant(look, seen[look])
        seen[look] += 1
    return found


def _variant(look: Look, number: int) -> Look:
    if number == 0:
        return look
    rgb = np.array(to_rgb(look.color))
    limit = 0.57 if look.color == "#000000" else 0.0  # black grows lighter, others darker
    color = tuple((rgb + (1 - 0.6**number) * (limit - rgb)).tolist())
    first = DASHES.index(look.dashes) if look.dashes in DASHES else 0
    return Look(color, DASHES[(first + number) % len(DASHES)], look.marker)


class PlainLog(LogFormatter):
    """Names of ticks on a log axis without small exponents: 0.01 where all are handy, else 1e-2."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        if not super().__call__(x, pos):
            return ""
        low, high = sorted(self.axis.get_view_interval())  # type: ignore[union-attr]
        return f"{x:g}" if low >= 0.9e-3 and high <= 1.1e4 else power(x)


def power(value: float) -> str:
    """Return a number as 1e-3 or 2.5e-3, without the zeros and the sign that Python adds."""
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


class Described(Figure):
    """A figure that keeps its style and its size until it is stored, and says in words what its axes hold.

    Series stand two spaces in; marks, references, bands and shades, four. What an artist is called is its
    label or its `gid`, where words that are not to be found in its data may follow behind a tab.
    """

    def draw(self, renderer: RendererBase) -> None:
        """Draw in the book's style: ticks are made only now."""
        with style():
            super().draw(renderer)

    def get_tightbbox(
        self, renderer: RendererBase | None = None, *, bbox_extra_artists: Iterable[Artist] | None = None
    ) -> Bbox:
        """Return all of it, less what is added around, where Jupyter would cut each to what is drawn."""
        return Bbox.from_bounds(0, 0, *self.get_size_inches()).padded(-plt.rcParams["savefig.pad_inches"])

    def __repr__(self) -> str:
        drawn = [ax for ax in self.axes if ax.axison and not is_bar(ax)]
        lines = [line for n, ax in enumerate(drawn, 1) for line in dict.fromkeys(_axes_in_words(n, ax))]
        bars = [_bar_in_words(ax) for ax in self.axes if is_bar(ax)]
        return "\n".join([*lines, *dict.fromkeys(bars)])


def is_bar(ax: Axes) -> bool:
    return ax.get_label() == "<colorbar>"


def _bar_in_words(bar: Axes) -> str:
    return f"    {bar.get_xlabel() or bar.get_ylabel()}: shown by colors"


def _axes_in_words(number: int, ax: Axes) -> Iterator[str]:
    title = f" '{_in_a_row(ax.get_title())}'" * bool(ax.get_title())
    if ax.images:
        yield f"axes {number}{title}: a table of {len(ax.get_yticks())} rows"
    else:
        yield f"axes {number}{title}: {_axis_in_words(ax, 'x')}; {_axis_in_words(ax, 'y')}"
    for artist in ax.get_children():
        label = str(artist.get_label())
        name, _, words = (artist.get_gid() or label).partition("\t")
        if isinstance(artist, Line2D):
            words = words or line_in_words(artist, ax)
        elif isinstance(artist, PathCollection):
            words = words or points_in_words(np.asarray(artist.get_offsets()), _sizes(ax))
        if words and named(name):
            yield f"{'  ' if is_series(artist) else '    '}{name}: {words}"


def named(label: str) -> bool:
    return bool(label) and not label.startswith("_")


def is_series(artist: Artist) -> bool:
    """Return whether the legend names it, and it is not only a mark."""
    only_marks = isinstance(artist, Line2D) and artist.get_linestyle() == "None"
    return named(str(artist.get_label())) and not only_marks


def _axis_in_words(ax: Axes, which: str) -> str:
    axis, size = getattr(ax, f"{which}axis"), _sizes(ax)["xy".index(which)]
    limits = getattr(ax, f"get_{which}lim")()
    least = floor(axis, limits)
    low, high = (said(limit, size, least) for limit in limits)
    if limits[0] < least < limits[1] and axis.get_scale() == "log":
        high = f"about 1e{np.log10(limits[1]):.0f}"  # it has a margin, which depends on the lower end
    return f"{which} '{_in_a_row(axis.get_label_text())}', {axis.get_scale()}, {low} to {high}"


def _in_a_row(text: str) -> str:
    return " ".join(text.split())


def _sizes(ax: Axes) -> tuple[float, float]:
    """Return the largest number of each axis, beside which tiny ones are rounding; 0 on a log scale."""
    x, y = (
        0.0 if axis.get_scale() == "log" else float(np.abs(axis.get_view_interval()).max())
        for axis in (ax.xaxis, ax.yaxis)
    )
    return x, y


def floor(axis: Axis, values: Any) -> float:
    """Return below which numbers are rounding: on a log scale it grows from 1e-16, where some are."""
    return 1e-6 if axis.get_scale() == "log" and np.min(values) < 1e-12 else 1e-12


def said(value: float, size: float = 0.0, floor: float = 1e-12) -> str:
    """Return three digits of a number that is the same on every machine.

    What is below `floor` is not, nor what is below a millionth of the other numbers, which are of this size.
    """
    if abs(value) <= 1e-6 * size:
        return "0"
    if 0 < abs(value) < floor:
        return f"below {power(floor)}"
    return f"{float(f'{value:.6g}'):.3g}"  # what is a tie but for rounding goes one way


def points_in_words(points: NDArray[Any], sizes: tuple[float, float]) -> str:
    if len(points) > 6:
        return f"{len(points)} points"
    return "at " + ", ".join(f"({said(x, sizes[0])}, {said(y, sizes[1])})" for x, y in points)


def line_in_words(line: Line2D, ax: Axes) -> str:
    """Return where a line starts and ends, how it gets there, and between which heights it stays."""
    x, y = (np.asarray(values, dtype=float) for values in line.get_data())
    across, tall = sizes = _sizes(ax)
    if len(x) == 0:
        return "out of sight"
    if len(x) == 1 or line.get_linestyle() == "None":
        return points_in_words(np.column_stack([x, y]), sizes)
    change, slack = np.diff(y), 1e-6 * np.ptp(y)
    way = "rises" if (change >= -slack).all() else "falls" if (change <= slack).all() else "turns"
    way = "level" if np.ptp(y) <= 1e-6 * tall else way
    least = floor(ax.yaxis, y)
    start, end = (f"({said(x[k], across)}, {said(y[k], tall, least)})" for k in (0, -1))
    low, high = (said(value, tall, least) for value in (y.min(), y.max()))
    return f"from {start} to {end}, {way}, lowest {low}, highest {high}"
