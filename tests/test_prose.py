"""Checked prose: the numbers of the chapters, and the checker itself."""

from decimal import Decimal

import nbformat
import pytest

from tools import claims, notebooks, prose


@pytest.mark.parametrize("chapter", notebooks.chapters(), ids=lambda path: path.stem)
def test_every_decimal_in_the_prose_is_computed(chapter):
    missing = prose.unchecked(notebooks.read(chapter), claims.tests_of(chapter))
    assert [f"cell {index}: {number}" for index, number in missing] == []


def notebook_of(text, output=""):
    code = nbformat.v4.new_code_cell("print()")
    code.outputs = [nbformat.v4.new_output("stream", text=output)]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text), code])


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("an angle of 26.57°", "26.565051"),
        ("an angle of −15.95°", "angle -15.945"),
        ("$-15.95^\\circ$", "-15.9454"),
        ("`weight_decay=0.2`", "decay 0.2"),
        ("from 1.50 to 2.25", "1.50\n2.25"),
        ("0.5 to 0.7, and 1-0.5", "0.50 0.70"),
        ("about 5.03e-02", "5.03e-02"),
        ("see [3.14](https://example.org/2.71)", "3.1416"),
        ("given 0.37<!-- given --> by others", ""),
        ("no decimals: 42, (3, 2), 1/4", ""),
        ("```\n9.99\n```", ""),
    ],
)
def test_a_number_that_is_printed_passes(text, output):
    assert prose.unchecked(notebook_of(text, output)) == []


@pytest.mark.parametrize(
    ("text", "output", "number"),
    [
        ("an angle of 26.58°", "26.565051", "26.58"),
        ("an angle of 15.95°", "-15.945", "15.95"),
        ("an angle of -15.95°", "15.945", "-15.95"),
        ("an angle of 26.57°", "26.6", "26.57"),
        ("a rate of 0.50", "0.5", "0.50"),
        ("about 5.03e-02", "5.03e-03", "5.03e-02"),
        ("`lr=0.3`", "0.2", "0.3"),
        ("0.37 <!-- given elsewhere -->", "", "0.37"),
        ("0.1<!-- given --> and 0.2", "", "0.2"),
    ],
)
def test_a_number_that_is_not_printed_is_named_with_its_cell(text, output, number):
    assert prose.unchecked(notebook_of(text, output)) == [(0, number)]


def test_a_number_asserted_in_a_claim_counts_and_one_in_a_docstring_does_not(tmp_path):
    path = tmp_path / "test_claims.py"
    path.write_text('def test_a():\n    """It is 7.77."""\n    assert f() == approx(-15.945396)\n')
    assert prose.unchecked(notebook_of("-15.95 and 7.77"), path) == [(0, "7.77")]
    assert prose.unchecked(notebook_of("15.95"), path) == [(0, "15.95")], (
        "a sign counts in a claim's test too"
    )


def test_half_a_unit_rounds_away_from_zero():
    assert prose._agrees(Decimal("0.13"), 2, Decimal("0.125"), 3)
    assert not prose._agrees(Decimal("0.12"), 2, Decimal("0.125"), 3)


def test_changing_any_decimal_of_a_chapter_is_seen():
    for chapter in notebooks.chapters():
        notebook = notebooks.read(chapter)
        known = prose.computed(notebook, claims.tests_of(chapter))
        for _, source in notebooks.markdown(notebook):
            text = prose.LINK_TARGET.sub("]", source)
            changed = [f"{match[0]}7319" for match, _, _ in prose.numbers(text)]
            assert list(prose.unchecked_in(" and ".join(changed), known)) == changed
