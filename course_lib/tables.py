"""Tables: aligned text where they are printed, heads and rows of HTML where a notebook shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Table", "table"]


@dataclass(frozen=True)
class Table:
    """A table of texts: what `table` returns.

    As text it is aligned; a notebook shows it with heads, and with the name of each row in sight when it is
    scrolled.

    Attributes
    ----------
    head : tuple of str
        The names of the columns. The first column names the rows.
    rows : tuple of tuple of str
    caption : str
        What the table shows, for those who hear it; it is not part of the text.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    def __str__(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.rjust, line, widths)).rstrip() for line in lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.head)
        lines = []
        for name, *cells in self.rows:
            values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            lines.append(f'<tr><th scope="row">{escape(name)}</th>{values}</tr>')
        caption = f"<caption>{escape(self.caption)}</caption>" * bool(self.caption)
        parts = [f'<table class="dataframe">{caption}', f"<thead><tr>{head}</tr></thead>"]
        return "\n".join([*parts, "<tbody>", *lines, "</tbody>", "</table>"])


def table(formats: Mapping[str, str], rows: Iterable[Sequence[object]], *, caption: str = "") -> Table:
    """Return rows of values as a table, each column in its own format.

    Parameters
    ----------
    formats : dict of str to str
        For each column its name and the format of its values, as ``str.format`` takes it: "{}", "{:.2f}°".
        The first column names the rows.
    rows : iterable of sequences
        A value a column. A text stands as it is, whatever the format; None is an empty cell, "-".
    caption : str, default=""
        What the table shows, read aloud with it.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If there are no columns or no rows, a row has another number of values, or a value does not fit its
        format.
    TypeError
        If `formats` is not a dict of texts, or `rows` not an iterable of sequences.

    Examples
    --------
    >>> from course_lib.tables import table
    >>> table({"lambda": "{}", "angle": "{:.2f}°"}, [(0.1, -6.6166), (0.25, 0.93), ("limit", None)])
    lambda   angle
       0.1  -6.62°
      0.25   0.93°
     limit       -
    """
    if not isinstance(formats, Mapping):
        raise TypeError(f"formats must be a dict of str to str, got {formats!r}")
    for column in (text for pair in formats.items() for text in pair):
        if not isinstance(column, str):
            raise TypeError(f"formats must be a dict of str to str, got {column!r} in it")
    if isinstance(rows, str | Mapping) or not isinstance(rows, Iterable):
        raise TypeError(f"rows must be an iterable of sequences, got {rows!r}")
    if not isinstance(caption, str):
        raise TypeError(f"caption must be a string, got {caption!r}")
    if not formats:
        raise ValueError("formats must not be empty")
    cells = tuple(_row(formats, row) for row in rows)
    if not cells:
        raise ValueError("rows must not be empty")
    return Table(tuple(formats), cells, caption)


def _row(formats: Mapping[str, str], row: Sequence[object]) -> tuple[str, ...]:
    if isinstance(row, str | Mapping) or not isinstance(row, Iterable):
        raise TypeError(f"rows must be sequences with a value a column, got {row!r}")
    values = list(row)
    if len(values) != len(formats):
        raise ValueError(f"rows must have {len(formats)} values, {', '.join(formats)}, got {values!r}")
    return tuple(_cell(name, formats[name], value) for name, value in zip(formats, values, strict=True))


def _cell(name: str, layout: str, value: object) -> str:
    if value is None or isinstance(value, str):
        return "-" if value is None else value
    try:
        return layout.format(value)
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise ValueError(
            f"rows: {value!r} does not fit the format {layout!r} of {name!r}: {error}"
        ) from error
