"""Checked prose: what the chapters and pages state, and the checker itself."""

from fractions import Fraction

import nbformat
import pytest

from tools import ROOT
from tools.build import notebooks
from tools.verify import claims, prose

pytestmark = pytest.mark.no_cover

CHAPTERS = notebooks.chapters()
PAGES = sorted((ROOT / "book").glob("*.md"))
# Years, settings of somebody else, what a source printed: how often the book says that a number is given; and
# how often that a word follows from the algebra around it.
MOST = {"given": 27, "exact": 40}


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_what_a_chapter_states_is_printed_under_the_name_it_says(chapter):
    found = prose.unchecked(notebooks.read(chapter), claims.tests_of(chapter))
    assert [f"cell {index}: {problem}" for index, problem in found] == []


@pytest.fixture(scope="module")
def book():
    return prose.book_of(notebooks.read(path) for path in CHAPTERS)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_what_a_page_states_is_printed_in_a_chapter_or_set_by_its_own_code(page, book):
    assert prose.unchecked_on_page(page.read_text(), book) == []


@pytest.mark.parametrize("mark", MOST)
def test_what_is_taken_on_trust_is_counted(mark):
    texts = [text for path in CHAPTERS for _, text in notebooks.markdown(notebooks.read(path))]
    texts += [path.read_text() for path in PAGES]
    assert sum(prose.marked(text, mark) for text in texts) <= MOST[mark]


def notebook_of(text, output="", code=""):
    cell = nbformat.v4.new_code_cell(code)
    cell.outputs = [nbformat.v4.new_output("stream", text=output)]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text), cell])


def problems(text, output="", code="1"):
    return [problem for _, problem in prose.unchecked(notebook_of(text, output, code))]


TABLE = """
 steps    angle  still to go
  10^2   -7.43°        8.19°
  10^6  -14.05°        1.89°
late lines turn about (1.77, 0.70)
"""
FIGURE_LINE = "plain descent: from (0, 6) to (9, 0.2), falls, lowest 0.2, highest 6"


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("after a million the angle is −14.05°<!-- 10^6: angle -->", TABLE),
        ("some −14.1°<!-- 10^6: angle -->", TABLE),
        ("about (1.77<!-- late lines turn about -->, 0.7)", TABLE + "0.70"),
        ("a factor of 0.82<!-- factor -->", "curvature 1.82, factor 0.82"),
        ("it is 88%<!-- share --> and 12.5 percent<!-- other -->", "share: 0.88\nother: 0.1249"),
        ("by 10⁻¹²<!-- gap --> or $10^{-12}$<!-- gap -->", "gap: 1e-12"),
        ("1,096<!-- training rows --> rows", "training rows: 1096"),
        (
            "it is *wrong*<!-- at 0.3 -->, and turns clockwise<!-- the line turns -->",
            "at 0.3: WRONG, so\nthe line turns: clockwise",
        ),
        ("twice<!-- ratio --> as far, a tenth<!-- share --> of it", "ratio: 2.04\nshare: 0.098"),
        ("ten times<!-- ratio --> as many", "ratio: 10.3"),
        ("The names differ in CASE: 0.50<!-- The *Mean* -->", "the mean: 0.500"),
        ("see [here](https://example.org/2.71), 0.37<!-- given --> of them, half<!-- exact -->", ""),
        ("```\n9.99\n```\n$2 + x^{17}/19$, `range(23)`, figures 5, 6 and 10 of chapter 4", ""),
        ("1. One.\n2. Two.", ""),
        ("*25 minutes. You need: a chair.*\n\n> **Predict 4.** What?\n\nAnswer to prediction 5", ""),
        ("float64, L2, x1, version 0.3.0", ""),
        ("two reasons:\n\n- one\n- two", ""),
        ("all three rows", "a  b\n1  2\n3  4\n5  6"),
        ("the other half of it, at most half true, the third row", ""),
    ],
)
def test_what_is_borne_out_passes(text, output):
    notebook = notebook_of(text, output)
    notebook.cells[1].source = "[1, 3, 0.7]"
    assert [problem for problem in prose.unchecked(notebook) if "0.7:" not in problem[1]] == []


@pytest.mark.parametrize(
    ("text", "output", "problem"),
    [
        ("−14.06°<!-- 10^6: angle -->", TABLE, "−14.06: '10^6: angle' is -14.05°"),
        ("14.05°<!-- 10^6: angle -->", TABLE, "14.05: '10^6: angle' is -14.05°"),
        ("−7.43°<!-- 10^6: angle -->", TABLE, "−7.43: '10^6: angle' is -14.05°"),
        ("6<!-- plain descent -->", FIGURE_LINE, f"6: 'plain descent' is {FIGURE_LINE[15:]}"),
        ("−14.05°<!-- 10^9: angle -->", TABLE, "−14.05: no cell prints '10^9: angle'"),
        ("−14.05°", TABLE, "−14.05: no setting near; what is its name?"),
        ("0.50<!-- mean -->", "mean: 0.5", "0.50: 'mean' is 0.5"),
        ("41 %<!-- share -->", "share: 0.404", "41 %: 'share' is 0.404"),
        ("1,097<!-- rows -->", "rows: 1096", "1,097: 'rows' is 1096"),
        ("0.5<!-- mean -->", "mean: 0.5\nmean: 0.7", "0.5: 'mean' is printed more than once, as 0.5, 0.7"),
        ("twice<!-- ratio -->", "ratio: 2.3", "twice: 'ratio' is 2.3"),
        ("a tenth<!-- ratio --> of", "ratio: 0.01", "a tenth: 'ratio' is 0.01"),
        ("twice as far", "ratio: 2.0", "twice: no setting near; what is its name?"),
        ("seven points", "6 points", "seven: no setting near; what is its name?"),
        ("it takes 25 minutes.", "", "25: no setting near; what is its name?"),
        ("a hundred steps", "", "a hundred: no setting near; what is its name?"),
        ("clockwise<!-- turns -->", "turns: anticlockwise", "clockwise: 'turns' is anticlockwise"),
        ("it turns clockwise", "", "clockwise: a direction needs the name of what prints it"),
        ("**right**<!-- verdict -->", "verdict: wrong", "right: 'verdict' is wrong"),
        ("<!-- mean -->", "mean: 1", "<!-- mean --> stands behind nothing"),
        ("0.37 <!-- given -->", "", "0.37: no setting near; what is its name?"),
        ("by $10^{-3}$", "gap: 0.001", "10^{-3}: no setting near; what is its name?"),
        ("`1e-3`", "", "1e-3: no setting near; what is its name?"),
        ("a third, 1/3", "0.3333", "1/3: no setting near; what is its name?"),
    ],
)
def test_what_is_not_borne_out_is_said(text, output, problem):
    assert problem in problems(text, output)


def test_a_number_may_be_a_setting_in_the_code_and_not_in_a_string():
    code = "%matplotlib inline\ntrain(n_epochs=10_000, lr=-0.25, share=1 / 8)  # 77\n'88'"
    assert problems("10,000 epochs, −0.25 and 1/8, −25 %", "-", code) == []
    found = problems("0.25, 77 and 88", "-", code)
    assert [problem.partition(":")[0] for problem in found] == ["0.25", "77", "88"]


def test_a_name_is_looked_up_in_its_section_first_and_then_in_the_chapter():
    notebook = notebook_of("## A\n\n1.5<!-- mean -->", "mean: 1.5")
    notebook.cells += notebook_of("## B\n\n2.5<!-- mean --> and 7.5<!-- far -->", "mean: 2.5").cells
    notebook.cells += notebook_of("## C\n\n1.5<!-- mean -->", "far: 7.5").cells
    assert [index for index, _ in prose.unchecked(notebook)] == [4], "there two are printed"


def test_a_setting_belongs_to_its_section_or_the_one_before():
    notebook = notebook_of("## A\n\n1.5", "-", "1.5")
    notebook.cells += notebook_of("## B\n\n1.5 and 2.5", "-", "2.5").cells
    notebook.cells += notebook_of("## C\n\n1.5, 2.5 and 3.5", "-", "3.5").cells
    assert [(index, text[:3]) for index, text in prose.unchecked(notebook)] == [(4, "1.5")]
    notebook.cells += [nbformat.v4.new_markdown_cell("## D\n\n1.5 and 4.5")]
    found = [(index, text[:3]) for index, text in prose.unchecked(notebook)]
    assert found == [(4, "1.5"), (6, "4.5")], "without output it speaks of the chapter"


FIGURE = """axes 1: x 'step', linear, 0 to 9; y 'loss', log, 0.1 to 9
  plain descent: from (0, 6) to (9, 0.2), falls, lowest 0.2, highest 6
  momentum: from (0, 6) to (9, 0.4), turns, lowest 0.3, highest 6.1"""


def figure_and(text):
    notebook = notebook_of("## A", "", "1")
    data = {"image/png": "", "text/plain": FIGURE}
    notebook.cells[1].outputs = [nbformat.v4.new_output("display_data", data=data)]
    notebook.cells.append(nbformat.v4.new_markdown_cell(text))
    return [problem for _, problem in prose.unchecked(notebook)]


def test_under_a_figure_directions_are_those_of_its_series():
    assert figure_and("It falls<!-- plain descent --> to 0.2<!-- plain descent: lowest -->.") == []
    assert figure_and("Both series start at 6.1<!-- momentum: highest -->.") == []
    assert "rises: 'plain descent' is from (0, 6) to" in figure_and("It rises<!-- plain descent -->.")[0]
    assert figure_and("It falls.") == ["falls: a direction needs the name of what prints it"]
    assert figure_and("It stays.\n\nSo it falls.") == [], "another paragraph"
    assert "three: no setting near; what is its name?" in figure_and("All three.")


def test_a_claim_speaks_of_its_own_test_and_what_the_tests_share(tmp_path):
    path = tmp_path / "test_claims.py"
    path.write_text(
        'LR = 0.125\ndef test_a():\n    """7.5"""\n    assert f(2.5)\ndef test_b():\n    assert f(-3.5, 10)\n'
    )
    text = "- **a**: 0.125, 2.5 and 7.5.\n- **b**: 2.5, 3.5 and ten.\n    - *Often heard:* 4.5."
    found = prose.unchecked(notebook_of(f"{claims.HEADING}\n\n{text}", "4.5"), path)
    assert [problem.partition(":")[0] for _, problem in found] == ["7.5", "2.5", "3.5", "4.5"]


def test_half_a_unit_rounds_away_from_zero():
    cent = Fraction(1, 100)
    assert prose.rounded(Fraction("0.125"), cent) == Fraction("0.13")
    assert prose.rounded(Fraction("-0.125"), cent) == Fraction("-0.13")
    assert prose.rounded(Fraction("0.1249"), cent) == Fraction("0.12")
