"""The chapters as files: what Jupyter, Colab and GitHub open."""

import re
from itertools import pairwise

import nbformat
import pytest
import yaml

from tools.build import home, notebooks

CHAPTERS = notebooks.chapters()
STORED = notebooks.stored()
each_stored = pytest.mark.parametrize(
    "chapter", STORED, ids=lambda path: path.relative_to(STORED[0].parent).with_suffix("").as_posix()
)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def code_cells(chapter):
    return [cell for cell in notebooks.read(chapter).cells if cell.cell_type == "code"]


def figures(cell):
    return [output for output in cell.outputs if "image/png" in output.get("data", {})]


def test_every_file_of_the_table_of_contents_exists(root):
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    files = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    missing = [file for file in files if not list(root.glob(f"{file}.*"))]
    assert missing == []


def test_every_notebook_is_a_chapter(root):
    """Or has the solutions of one."""
    assert set((root / "book").rglob("*.ipynb")) == set(STORED) == {*CHAPTERS, *notebooks.solutions()}


@each_stored
def test_stored_in_the_one_normal_form(chapter, tmp_path):
    notebooks.write(notebooks.read(chapter), tmp_path / "again.ipynb")
    assert (tmp_path / "again.ipynb").read_text() == chapter.read_text()


@each_stored
def test_valid_with_unique_cell_ids(chapter):
    notebook = notebooks.read(chapter)
    nbformat.validate(notebook)
    ids = [cell["id"] for cell in notebook.cells]
    assert len(ids) == len(set(ids))


@each_stored
def test_setup_cell_is_the_same_everywhere(chapter):
    first = code_cells(chapter)[0]
    assert first.source == home.setup_cell(home.read())
    assert first.outputs == []


@pytest.mark.parametrize("address", ["", "https://github.com/somebody/a-fork"])
def test_without_course_lib_the_setup_cell_says_what_to_do_in_any_jupyter(address, monkeypatch):
    setup = notebooks.plain(home.setup_cell(address))
    exec(setup, {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="Download the notebook that the chapter's page") as error:
        exec(setup, {})
    assert f"pip install {f'git+{address}' if address else '.'}" in str(error.value)


@each_stored
def test_no_other_cell_installs_or_uses_the_network(chapter):
    for cell in code_cells(chapter)[1:]:
        assert not re.search(r"^\s*[%!]", cell.source, re.MULTILINE), cell.source
        assert not re.search(r"\b(pip|urllib|requests|wget|urlopen)\b", cell.source), cell.source


@each_chapter
def test_outputs_are_stored_and_none_is_an_error(chapter):
    kinds = [output.output_type for cell in code_cells(chapter) for output in cell.outputs]
    assert kinds
    assert "error" not in kinds
    assert all(output.get("name") != "stderr" for cell in code_cells(chapter) for output in cell.outputs)


@each_stored
def test_nothing_is_kept_from_comparison(chapter):
    assert "NBVAL_" not in chapter.read_text()
    tags = {tag for cell in notebooks.read(chapter).cells for tag in cell.metadata.get("tags", [])}
    assert tags <= {"hide-input", "hide-cell"}


@each_chapter
def test_every_figure_has_alt_text_and_every_alt_text_a_figure(chapter):
    for cell in code_cells(chapter):
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        assert len(figures(cell)) == bool(alt), cell["id"]
        assert not alt or len(alt.split()) >= 8, alt


@each_chapter
def test_a_sentence_follows_every_figure(chapter):
    cells = notebooks.read(chapter).cells
    for cell, following in pairwise(cells):
        if cell.cell_type == "code" and figures(cell):
            assert following.cell_type == "markdown"
            assert re.match(r"[A-Z*]", following.source), following.source[:60]


@each_stored
def test_markdown_is_plain(chapter):
    for index, source in notebooks.markdown(notebooks.read(chapter)):
        assert not re.search(r"^(```|:::)\s*\{", source, re.MULTILINE), f"directive in cell {index}"
        assert not re.search(r"\{[a-z:-]+\}`", source), f"role in cell {index}"
        assert not re.search(r"^\([\w-]+\)=$", source, re.MULTILINE), f"target in cell {index}"
        assert not re.search(r"!\[[^\]]*\]\(https?:", source), f"remote image in cell {index}"


@each_stored
def test_every_fold_is_closed_has_a_name_and_room_for_markdown(chapter):
    for _, source in notebooks.markdown(notebooks.read(chapter)):
        tags = re.findall(r"</?details>", source)
        assert tags == ["<details>", "</details>"] * (len(tags) // 2)
        assert len(re.findall(r"<details>\n<summary>[^\n]+</summary>\n\n", source)) == len(tags) // 2
        assert len(re.findall(r"\n\n</details>", source)) == len(tags) // 2


@each_stored
def test_no_heading_is_empty(chapter):
    cells = notebooks.read(chapter).cells
    text = "\n".join(cell.source if cell.cell_type == "markdown" else "code" for cell in cells)
    assert not re.search(r"^#+ [^\n]+\s*\Z|^(#+) [^\n]+\n+(?=\1 )", text, re.MULTILINE)


@each_stored
def test_every_paper_linked_is_in_the_bibliography(chapter, root):
    known = re.findall(r"url\s*=\s*\{([^}]+)\}", (root / "book" / "references.bib").read_text())
    for _, source in notebooks.markdown(notebooks.read(chapter)):
        for address in re.findall(r"\]\((https?://[^)]+)\)", source):
            assert address in known, address


def test_modules_used_takes_of_a_package_what_is_imported(tmp_path):
    package = tmp_path / "course_lib"
    (package / "p").mkdir(parents=True)
    for name in ("__init__", "m", "p/__init__", "p/a", "p/b"):
        (package / f"{name}.py").write_text("from course_lib import m" if name == "p/a" else "")

    def used(source):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        found = notebooks.modules_used(notebook, tmp_path)
        return [path.relative_to(package).with_suffix("").as_posix() for path in found]

    assert used("from course_lib.p import a") == ["__init__", "m", "p/__init__", "p/a"]
    assert used("from course_lib.p.b import f") == ["__init__", "p/__init__", "p/b"]
    assert used("from course_lib.p import X, b") == ["__init__", "p/__init__", "p/b"]
    assert used("from course_lib import p") == ["__init__", "m", "p/__init__", "p/a", "p/b"]
    assert used("import course_lib.p") == ["__init__", "m", "p/__init__", "p/a", "p/b"]


def test_modules_used_follows_imports_of_imports(tmp_path):
    package = tmp_path / "course_lib"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from course_lib.b import f")
    (package / "b.py").write_text("from course_lib import _c")
    (package / "_c.py").write_text("")
    (package / "d.py").write_text("")

    def used(source):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        return [path.stem for path in notebooks.modules_used(notebook, tmp_path)]

    assert used("from course_lib.a import g") == ["__init__", "_c", "a", "b"]
    assert used("import course_lib.b as b") == ["__init__", "_c", "b"]
    assert used("%pip list\nfrom course_lib import d") == ["__init__", "d"]
    assert used("import course_lib\ncourse_lib.d") == ["__init__", "d"]


@pytest.mark.parametrize(
    "source",
    [
        "from course_lib import labs\nlabs.step()",
        "from course_lib.labs import step",
        "import course_lib\ncourse_lib.labs.step()",
    ],
)
def test_a_notebook_with_a_lab_uses_its_script_and_no_other(source, root):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    folder = root / "course_lib" / "labs"
    found = {
        path.relative_to(folder).as_posix()
        for path in notebooks.modules_used(notebook)
        if folder in path.parents
    }
    scripts = {f"javascript/{name}" for name in ("kit.css", "kit.js", "rules.js", "step.js")}
    assert found == {"__init__.py", "_lab.py", "_step.py"} | scripts
