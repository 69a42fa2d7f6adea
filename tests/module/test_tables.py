"""Tables as text, and as HTML."""

import re
from html.parser import HTMLParser

import pytest
import torch

from course_lib.tables import Table, table


def test_columns_are_as_wide_as_their_widest_entry_and_aligned_to_the_right():
    text = str(table({"a": "{}", "long head": "{}"}, [(1, "x"), ("a long cell", -2.5)]))
    assert text.split("\n") == ["          a  long head", "          1          x", "a long cell       -2.5"]


def test_each_column_has_its_format_and_texts_stand_as_they_are():
    shown = table(
        {"n": "{:,}", "angle": "{:.2f}°"}, [(1000, torch.tensor(1.239)), ("all", "none"), (2, None)]
    )
    assert shown.rows == (("1,000", "1.24°"), ("all", "none"), ("2", "-"))
    assert shown.head == ("n", "angle")


def test_no_line_ends_in_spaces():
    lines = str(table({"a": "{}", "head": "{}"}, [("b", "")])).split("\n")
    assert all(line == line.rstrip() for line in lines)


def test_a_table_shows_itself_wherever_it_stands():
    shown = table({"a": "{}"}, [(1,), (2,)])
    assert repr(shown) == str(shown) == "a\n1\n2"
    assert isinstance(shown, Table)


def test_rows_are_read_once_and_not_changed():
    rows, formats = [[1], [2]], {"a": "{}"}
    assert table(formats, (row for row in rows)) == table(formats, rows)
    assert (rows, formats) == ([[1], [2]], {"a": "{}"})


class Reader(HTMLParser):
    """The cells of a table as a screen reader meets them: tag, scope and text."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.caption, self.inside = [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.inside = tag
        if tag in ("th", "td"):
            self.cells.append([tag, dict(attributes).get("scope"), ""])

    def handle_data(self, data):
        if self.inside == "caption":
            self.caption += data
        elif self.inside in ("th", "td") and data.strip():
            self.cells[-1][2] += data


def test_heads_and_rows_are_named_for_those_who_hear_them():
    shown = Reader(table({"<a>": "{}", "b & c": "{}"}, [("x < y", 1)], caption="less & more")._repr_html_())
    assert shown.caption.strip() == "less & more"
    assert shown.cells == [
        ["th", "col", "<a>"],
        ["th", "col", "b & c"],
        ["th", "row", "x < y"],
        ["td", None, "1"],
    ]
    assert "caption" not in table({"a": "{}"}, [(1,)])._repr_html_()


def test_as_html_and_as_text_it_says_the_same():
    shown = table({"a": "{}", "b": "{:.1f}"}, [(1, 2.25), (3, None)])
    words = re.sub(r"<[^>]+>", " ", shown._repr_html_()).split()
    assert words == str(shown).split()


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([(1,)], r"^rows must have 2 values, a, b, got \[1\]$"),
        ([(1, "x"), (1, 2, 3)], r"got \[1, 2, 3\]$"),
        ([(1, [2])], r"^rows: \[2\] does not fit the format '\{:.2f\}' of 'b'"),
    ],
)
def test_a_row_that_does_not_fit_is_shown(rows, match):
    with pytest.raises(ValueError, match=match):
        table({"a": "{}", "b": "{:.2f}"}, rows)
