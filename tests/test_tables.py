"""Tables as text."""

import pytest

from course_lib.tables import table


def test_columns_are_as_wide_as_their_widest_entry_and_aligned_to_the_right():
    text = table([{"a": 1, "long head": "x"}, {"a": "a long cell", "long head": -2.5}])
    assert text.split("\n") == ["          a  long head", "          1          x", "a long cell       -2.5"]


def test_no_line_ends_in_spaces():
    assert all(line == line.rstrip() for line in table([{"a": "b", "head": ""}]).split("\n"))


def test_rows_are_read_once_and_not_changed():
    rows = [{"a": 1}, {"a": 2}]
    assert table(row for row in rows) == table(rows) == "a\n1\n2"
    assert rows == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("rows", [[{"a": 1}, {"b": 1}], [{"a": 1, "b": 2}, {"b": 2, "a": 1}], [{"a": 1}, {}]])
def test_rows_with_other_keys_are_refused(rows):
    with pytest.raises(ValueError, match="rows must have the same keys"):
        table(rows)
