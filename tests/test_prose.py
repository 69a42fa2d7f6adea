"""Checked prose: the numbers of the chapters and pages, and the checker itself."""

from dataclasses import replace
from fractions import Fraction

import nbformat
import pytest

from tools import ROOT, claims, notebooks, prose

CHAPTERS = notebooks.chapters()
PAGES = sorted((ROOT / "book").glob("*.md"))
# Years, settings of somebody else, what a source printed: how often the book says that a number is given.
MOST_GIVEN = 27


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_number_in_a_chapter_is_computed_near(chapter):
    missing = prose.unchecked(notebooks.read(chapter), claims.tests_of(chapter))
    assert [f"cell {index}: {number}" for index, number in missing] == []


@pytest.fixture(scope="module")
def book():
    return prose.computed_in_book([(notebooks.read(path), claims.tests_of(path)) for path in CHAPTERS])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_number_on_a_page_is_computed_in_a_chapter_or_set_by_its_own_code(page, book):
    assert prose.unchecked_on_page(page.read_text(), book) == []


def test_numbers_that_are_given_and_not_computed_are_few():
    texts = [text for path in CHAPTERS for _, text in notebooks.markdown(notebooks.read(path))]
    texts += [path.read_text() for path in PAGES]
    given = [number for text in texts for number in prose.quoted(text)[1]]
    assert len(given) == sum(len(prose.GIVEN.findall(text)) for text in texts), "a mark follows its number"
    assert len(given) <= MOST_GIVEN


def test_every_number_of_the_book_is_as_it_was_acknowledged():
    recorded, found = prose.RECORD.read_text(encoding="utf-8").splitlines(), prose.recorded()
    changed = sorted(set(recorded).symmetric_difference(found))
    assert changed == [], "if these are right, run: python -m tools.prose"
    assert recorded == found


def notebook_of(text, output="", code=""):
    cell = nbformat.v4.new_code_cell(code)
    cell.outputs = [nbformat.v4.new_output("stream", text=output)]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text), cell])


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("an angle of 26.57°", "26.565051"),
        ("an angle of −15.95°", "angle -15.945"),
        ("$-15.95^\\circ$", "-15.9454"),
        ("`weight_decay=0.2`", "decay 0.2"),
        ("from 1.50 to 2.25", "1.50\n2.25"),
        ("0.5 to 0.7, and 1-0.5", "0.50 0.70 1"),
        ("about 5.03e-02", "5.03e-02"),
        ("below 1e-12", "1e-12"),
        ("see [3.14](https://example.org/2.71)", "3.1416"),
        ("given 0.37<!-- given --> by others", ""),
        ("```\n9.99\n```", ""),
        ("1,096 rows and (3, 2)", "1096 rows, [3, 2]"),
        ("40 % and 12.5 percent", "0.404\n0.125"),
        ("40 % of them", "40.2"),
        ("half, 1/2, or a third, 1/3", "0.5 0.3333"),
        ("by 10⁻¹², $10^{-3}$, or 4·10⁵", "1e-12 0.001 400000"),
        ("$2 + x^{17}/19$ and `range(23)`", ""),
        ("figures 5, 6 and 10 of chapter 4", ""),
        ("1. One.\n2. Two.", ""),
        ("float64, L2, x1, version 0.3.0", ""),
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
        ("below 1e-12", "1e-13", "1e-12"),
        ("`lr=0.3`", "0.2", "0.3"),
        ("0.37 <!-- given elsewhere -->", "", "0.37"),
        ("0.1<!-- given --> and 0.2", "", "0.2"),
        ("1,096 rows", "1097 rows", "1,096"),
        ("41 % of them", "0.404", "41 %"),
        ("12.5 percent", "0.126", "12.5 percent"),
        ("a third, 1/3", "0.3334", "1/3"),
        ("a quarter, 1/4", "0.3", "1/4"),
        ("by 10⁻¹²", "1e-11", "10⁻¹²"),
        ("by $10^{-3}$", "0.01", "10^{-3}"),
        ("by 4·10⁵", "4000000", "4·10⁵"),
        ("`1e-3`", "", "1e-3"),
        ("17 figures", "figure 16", "17"),
    ],
)
def test_a_number_that_is_not_printed_is_named_with_its_cell(text, output, number):
    assert prose.unchecked(notebook_of(text, output)) == [(0, number)]


def test_a_count_may_be_a_setting_in_the_code_and_a_decimal_may_not():
    code = "%matplotlib inline\ntrain(n_epochs=10_000, lr=-0.25, share=1 / 8)  # 77\n'88'"
    assert prose.unchecked(notebook_of("10,000 epochs, 1/8, 25 %", "-", code)) == [(0, "25 %")]
    assert prose.unchecked(notebook_of("-25 % of 10000", "-", code)) == []
    assert prose.unchecked(notebook_of("0.25, 77 and 88", "-", code)) == [(0, "0.25"), (0, "77"), (0, "88")]


def test_a_number_belongs_to_its_section_or_the_one_before():
    notebook = notebook_of("## A\n\n1.5", "1.5")
    notebook.cells += notebook_of("## B\n\n1.5 and 2.5", "2.5").cells
    notebook.cells += notebook_of("## C\n\n1.5, 2.5 and 3.5", "3.5").cells
    assert prose.unchecked(notebook) == [(4, "1.5")]
    notebook.cells += [nbformat.v4.new_markdown_cell("## D\n\n1.5 and 4.5")]
    assert prose.unchecked(notebook) == [(4, "1.5"), (6, "4.5")], "without output it speaks of the chapter"


def test_a_number_asserted_in_a_claim_counts_and_one_in_a_docstring_does_not(tmp_path):
    path = tmp_path / "test_claims.py"
    path.write_text('def test_a():\n    """It is 7.77."""\n    assert f() == approx(-15.945)\n')
    assert prose.unchecked(notebook_of("-15.945 and 7.77"), path) == [(0, "7.77")]
    assert prose.unchecked(notebook_of("15.945"), path) == [(0, "15.945")], (
        "a sign counts in a claim's test too"
    )


def test_a_claim_speaks_of_its_own_test_and_what_the_tests_share(tmp_path):
    path = tmp_path / "test_claims.py"
    path.write_text("LR = 0.125\n\ndef test_a():\n    assert f(2.5)\n\ndef test_b():\n    assert f(3.5)\n")
    text = f"{claims.HEADING}\n\n- **a**: 0.125 and 2.5.\n- **b**: 2.5 and 3.5.\n    - *Often heard:* 4.5."
    assert prose.unchecked(notebook_of(text, "4.5"), path) == [(0, "2.5"), (0, "4.5")]


def test_half_a_unit_rounds_away_from_zero():
    cent = Fraction(1, 100)
    assert prose.rounded(Fraction("0.125"), cent) == Fraction("0.13")
    assert prose.rounded(Fraction("-0.125"), cent) == Fraction("-0.13")
    assert prose.rounded(Fraction("0.1249"), cent) == Fraction("0.12")


def test_a_long_wrong_number_is_seen_wherever_it_stands():
    for chapter in CHAPTERS:
        notebook = notebooks.read(chapter)
        known = prose.computed(notebook.cells)[0] | prose.asserted_in(claims.tests_of(chapter))[1]
        for _, source in notebooks.markdown(notebook):
            for number in prose.quoted(source)[0]:
                wrong = replace(number, value=number.value + Fraction(7319, 10**9), unit=Fraction(1, 10**9))
                assert not wrong.is_checked_by(known), number.text
