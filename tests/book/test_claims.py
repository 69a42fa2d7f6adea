"""The ledger: every claim of a chapter is the docstring of exactly one test, and the other way round."""

import ast
import importlib
from collections import Counter

import nbformat
import pytest

from tools.build import notebooks
from tools.verify import claims

CHAPTERS = notebooks.chapters()
LIBRARIES = {"course_lib", "torch", "sklearn", "torch_optimizer"}


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_each_claim_is_the_docstring_of_its_test(chapter):
    claimed = {claim.test_name: claim.sentence for claim in claims.claims(notebooks.read(chapter))}
    tested = {test.name: test.sentence for test in claims.claim_tests(claims.tests_of(chapter))}
    assert claimed == tested


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_no_claim_and_no_test_comes_twice(chapter):
    claimed = [claim.id for claim in claims.claims(notebooks.read(chapter))]
    tested = [test.name for test in claims.claim_tests(claims.tests_of(chapter))]
    assert max(Counter(claimed).values()) == max(Counter(tested).values()) == 1


def test_every_puzzle_makes_ten_claims_or_more():
    counts = {chapter.stem: len(claims.claims(notebooks.read(chapter))) for chapter in CHAPTERS}
    assert counts.pop("why_decay", 2) >= 2
    assert min(counts.values()) >= 10, counts


def test_ids_are_unique_in_the_book():
    ids = Counter(claim.id for chapter in CHAPTERS for claim in claims.claims(notebooks.read(chapter)))
    assert [name for name, count in ids.items() if count > 1] == []


def test_every_file_of_claim_tests_belongs_to_a_chapter(root):
    files = set((root / "tests" / "claims").glob("test_*.py"))
    assert files == {claims.tests_of(chapter) for chapter in CHAPTERS}


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_each_claim_test_asserts(chapter):
    for test in claims.claim_tests(claims.tests_of(chapter)):
        assert "assert" in test.source, test.name


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_each_claim_test_computes_what_it_asserts(chapter):
    """With a function of course_lib, torch or scikit-learn, or one that it or its file defines."""
    path = claims.tests_of(chapter)
    computing = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in LIBRARIES:
            computing |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            computing |= {alias.asname or alias.name for alias in node.names} & LIBRARIES
        elif isinstance(node, ast.FunctionDef):
            computing.add(node.name)
    for test in claims.claim_tests(path):
        (function,) = ast.parse(test.source).body
        nodes = list(ast.walk(function))
        own = [node for node in nodes[1:] if isinstance(node, ast.FunctionDef | ast.Lambda)]
        used = {node.id for node in nodes if isinstance(node, ast.Name)}
        used |= {argument.arg for argument in function.args.args}
        assert own or used & computing, test.name


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_each_claim_says_what_would_refute_it(chapter):
    """Whether it does so is seen when the claims are tested."""
    tests = importlib.import_module(f"tests.claims.{claims.tests_of(chapter).stem}")
    for test in claims.claim_tests(claims.tests_of(chapter)):
        assert getattr(getattr(tests, test.name), "refutations", []), test.name


def test_claims_are_read_from_their_section_only():
    notebook = nbformat.v4.new_notebook()
    texts = [
        "- **not-this**: One.",
        "## What you can now claim\n\n- **a-b**: Two.",
        "## Next\n\n- **nor-this**: 3.",
    ]
    notebook.cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    (claim,) = claims.claims(notebook)
    assert (claim.id, claim.sentence, claim.heard, claim.test_name) == ("a-b", "Two.", None, "test_a_b")


def test_what_is_heard_instead_belongs_to_the_claim_above_it():
    text = f"{claims.HEADING}\n\n- **a**: One.\n    - *Often heard:* Two.\n- **b**: Three."
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    assert [(claim.id, claim.heard) for claim in claims.claims(notebook)] == [("a", "Two."), ("b", None)]


def test_every_chapter_contradicts_something_often_heard():
    for chapter in CHAPTERS:
        text = "\n".join(source for _, source in notebooks.markdown(notebooks.read(chapter)))
        heard = [claim.heard for claim in claims.claims(notebooks.read(chapter)) if claim.heard]
        assert len(heard) >= (1 if chapter.stem == "why_decay" else 5), chapter.stem
        assert len(heard) == text.count("Often heard:")


def test_every_item_of_the_section_is_a_claim():
    for chapter in CHAPTERS:
        text = "\n".join(source for _, source in notebooks.markdown(notebooks.read(chapter)))
        section = text.partition(claims.HEADING)[2].partition("\n## ")[0]
        items = [line for line in section.splitlines() if line.startswith(("- ", "* ", "1. "))]
        found = claims.claims(notebooks.read(chapter))
        assert len(items) == len(found)
        below = [line for line in section.splitlines() if line.startswith("  ")]
        assert len(below) == sum(claim.heard is not None for claim in found)


def test_docstrings_are_compared_as_one_line(tmp_path):
    path = tmp_path / "test_x.py"
    path.write_text(
        'def test_a():\n    """Two\n    lines."""\n    assert True\n\n\ndef helper():\n    """Not one."""\n'
    )
    (test,) = claims.claim_tests(path)
    assert (test.name, test.sentence, test.line) == ("test_a", "Two lines.", 1)
