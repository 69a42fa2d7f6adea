"""Tables as plain text, so that a notebook's numbers can be compared and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["table"]


def table(rows: Iterable[Mapping[str, object]]) -> str:
    """Return rows as an aligned text table, ready to print.

    Parameters
    ----------
    rows : sequence of dict
        One dict a row, all with the same keys, which are the column heads. Values are shown as
        ``str`` shows them; format numbers where the row is made.

    Returns
    -------
    str
        Heads and cells aligned to the right, columns two spaces apart.

    Raises
    ------
    ValueError
        If there are no rows, or two rows differ in their keys.
    TypeError
        If a row is not a dict.

    Examples
    --------
    >>> from course_lib.tables import table
    >>> print(table([{"lambda": 0.1, "angle": "-6.62°"}, {"lambda": 0.25, "angle": "0.93°"}]))
    lambda   angle
       0.1  -6.62°
      0.25   0.93°
    """
    if isinstance(rows, str | Mapping) or not isinstance(rows, Iterable):
        raise TypeError(f"rows must be a sequence of dicts, got {rows!r}")
    rows = list(rows)
    if not rows:
        raise ValueError("rows must not be empty")
    for row in rows:
        if not isinstance(row, Mapping):
            raise TypeError(f"rows must be dicts, got {row!r}")
        if list(row) != list(rows[0]):
            raise ValueError(f"rows must have the same keys, got {list(rows[0])} and {list(row)}")
    lines = [list(rows[0])] + [[str(value) for value in row.values()] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(map(str.rjust, line, widths)).rstrip() for line in lines)
