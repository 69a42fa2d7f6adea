"""Exercises on the page: stubs, hints and solutions are those that are declared, and cannot drift."""

import ast
import copy
import re
from itertools import pairwise

import nbformat
import pytest

from course_lib import check
from tools import ROOT
from tools.build import exercises, notebooks

CHAPTERS = [path for path in notebooks.chapters() if exercises.declared(path.stem)]
SOLUTIONS = notebooks.solutions()
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
each_solution = pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
EXERCISE = re.compile(
    r"\*\*(\d)\. ([\w ,-]+)\*\* \((\d+) minutes, (easy|medium|hard); "
    r"\[solution\]\(solutions/(\w+)\.ipynb#([\w-]+)\)\)\.\n\n"
    r"<details>\n<summary>Hints</summary>\n\n(\d\. .+\n)+\n</details>"
)


def stubs(path):
    """Return the exercises of a chapter in their order: the text above, the name, the cell."""
    cells = notebooks.read(path).cells
    found = [(above, exercises.STUB.search(cell.source), cell) for above, cell in pairwise(cells)]
    return [(above, match[1], cell) for above, match, cell in found if match and cell.cell_type == "code"]


@pytest.mark.parametrize("path", [*CHAPTERS, *SOLUTIONS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_cells_are_those_that_are_declared(path):
    notebook = notebooks.read(path)
    before = copy.deepcopy(notebook)
    assert exercises.written(notebook, exercises.declared(path.stem))
    assert notebook == before


@each_chapter
def test_a_chapter_has_five_exercises_or_more_and_an_open_one(path):
    found = stubs(path)
    assert len(found) >= 5
    assert {name for _, name, _ in found} == set(exercises.declared(path.stem))
    numbers = [int(EXERCISE.match(above.source)[1]) for above, _, _ in found]
    assert numbers == list(range(1, len(found) + 1))
    text = "\n".join(source for _, source in notebooks.markdown(notebooks.read(path)))
    assert f"**{len(found) + 1}. A report** (open-ended)." in text


@each_chapter
def test_an_exercise_leaves_what_the_chapter_imports_alone(path):
    """Else its stub, once it has run, breaks every cell above that is run again."""
    cells = [cell for cell in notebooks.read(path).cells if cell.cell_type == "code"]
    nodes = [node for cell in cells for node in ast.walk(ast.parse(cell.source))]
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    assert "find_spec" in imported
    assert not imported & set(exercises.declared(path.stem))


@each_chapter
def test_they_go_from_easy_to_hard(path):
    grades = [EXERCISE.fullmatch(above.source)[4] for above, _, _ in stubs(path)]
    assert grades == sorted(grades, key=["easy", "medium", "hard"].index)
    assert len(set(grades)) == 3 or path.stem == "lambda_and_batch_size"


@each_chapter
def test_the_way_to_hints_is_said_before_the_first(path):
    cells = notebooks.read(path).cells
    (place,) = (n for n, cell in enumerate(cells) if cell.source.startswith("## Exercises"))
    assert f"`hint.{stubs(path)[0][1]}()`" in cells[place].source
    space = {}
    exec(cells[place + 1].source, space)
    assert getattr(space["hint"], stubs(path)[0][1])().number >= 1


@each_chapter
def test_each_says_how_long_and_how_hard_it_is_and_leads_to_its_solution(path):
    for above, name, _ in stubs(path):
        _, title, minutes, _, chapter, anchor, _ = EXERCISE.fullmatch(above.source).groups()
        assert 5 <= int(minutes) <= 30
        assert (chapter, anchor) == (path.stem, title.lower().replace(",", "").replace(" ", "-"))
        cells = notebooks.read(ROOT / "book" / "solutions" / f"{chapter}.ipynb").cells
        place = next(n for n, cell in enumerate(cells) if cell.source.startswith(f"## {title}\n"))
        assert exercises.SOLUTION.search(cells[place + 1].source)[1] == name


@each_chapter
def test_an_untouched_exercise_says_so_on_the_page(path):
    for _, name, cell in stubs(path):
        (output,) = cell.outputs
        assert output.data["text/plain"] == f"{name}: not attempted yet"


@each_solution
def test_every_exercise_is_solved_twice_and_explained(path):
    cells = notebooks.read(path).cells
    solved = [match[1] for cell in cells if (match := exercises.SOLUTION.search(cell.source))]
    assert sorted(solved) == sorted(2 * list(exercises.declared(path.stem)))
    for place, cell in enumerate(cells):
        if (match := exercises.SOLUTION.search(cell.source)) and match[1] not in solved[
            : solved.index(match[1])
        ]:
            assert cells[place - 1].source.startswith(("## ", "**A second way.** "))
            assert len(cells[place - 1].source.split()) >= 3


def test_every_chapter_with_exercises_has_its_solutions():
    assert [path.stem for path in CHAPTERS] == [path.stem for path in SOLUTIONS] == list(check.CHAPTERS)


@each_solution
def test_the_second_way_is_another(path):
    cells = [cell for cell in notebooks.read(path).cells if exercises.SOLUTION.search(cell.source)]
    for name in exercises.declared(path.stem):
        one, other = (cell.source for cell in cells if exercises.SOLUTION.search(cell.source)[1] == name)
        assert one.splitlines()[1:] != other.splitlines()[1:]
        assert one == exercises.solution(getattr(check, name))


def test_a_stub_is_written_anew_from_its_declaration():
    name = "sgdw_step"
    cells = [
        nbformat.v4.new_markdown_cell("<details>\n<summary>Hints</summary>\n\nold\n\n</details>"),
        nbformat.v4.new_code_cell(f"def old():\n    return 1\n\n\ncheck.{name}({name})"),
        nbformat.v4.new_code_cell(f"assert check.{name}({name})"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert exercises.written(notebook, exercises.declared("sgd_sgdw_l1")) == [name]
    assert "1. Where no gradient is left" in cells[0].source
    assert cells[1].source == (
        "def sgdw_step(w, gradient, lr, weight_decay):\n"
        '    """Return the weights after one step of SGDW."""\n'
        "    ...\n\n\ncheck.sgdw_step(sgdw_step)"
    )
    del cells[1]
    assert exercises.written(nbformat.v4.new_notebook(cells=cells), exercises.declared("sgd_sgdw_l1")) == [
        name
    ]
    assert cells[1].source == exercises.solution(check.sgdw_step)


def test_a_bug_is_left_in_its_stub():
    text = exercises.stub(check.mended_step)
    assert "step = step + weight_decay\n" in text
    assert "step = step + weight_decay * w\n" in exercises.solution(check.mended_step)
