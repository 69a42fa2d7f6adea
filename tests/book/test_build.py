"""The build on a small book: what is executed again, and what makes it fail."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import nbformat
import pytest

from tools import ROOT
from tools.build import home, notebooks

TOC = "format: jb-book\nroot: book/intro\nparts:\n  - caption: All\n    chapters:\n"
JUPYTER_BOOK = str(Path(sys.executable).with_name("jupyter-book"))
ADDRESS = "https://github.com/somebody/a-fork"
STAMP = "import time\nprint('stamp', time.time_ns())"
MEETING = """
from pathlib import Path
with open("runs", "a") as runs:
    runs.write(".")
while len(Path("runs").read_text()) < 2:
    time.sleep(0.01)
"""
PAUSE = """
print("one", end=" ", flush=True)
time.sleep(0.3)
print("line")
"""


TURN = """
from course_lib.geometry import angle
print("angle", angle([0.0, 1.0]).item())
"""
PLOT = """
import matplotlib.pyplot as plt
plt.plot([0, 1])
plt.show()
"""
TABLES_PAGE = """# Tables

```{eval-rst}
.. automodule:: course_lib.tables
   :members:
```
"""


@pytest.fixture
def small_book(copy_of_repository, environment_of):
    return made_small(copy_of_repository, environment_of)


@pytest.fixture(scope="module")
def published(tmp_path_factory, copy_into, environment_of):
    """A small book that is built with a public address, and has a slow cell."""
    folder, build = made_small(copy_into(tmp_path_factory.mktemp("published")), environment_of)
    add_cell(folder / "book" / "listing.ipynb", nbformat.v4.new_code_cell(PAUSE))
    home.write(ADDRESS, folder)
    run = build()
    assert run.returncode == 0, run.stderr
    return folder


def made_small(copy_of_repository, environment_of):
    """Leave two chapters, neither of which imports torch; return the folder and a function that builds it."""
    for path in (copy_of_repository / "book").glob("*.ipynb"):
        path.unlink()
    shutil.rmtree(copy_of_repository / "tests" / "claims")
    (copy_of_repository / "book" / "intro.md").write_text("# Intro\n\nA small book.\n")
    chapters = {
        "turning": "print('nothing yet')",
        "listing": "from course_lib.tables import table\nprint(table({'a': '{}'}, [(1,)]))",
    }
    toc = TOC
    for name, source in chapters.items():
        cells = [nbformat.v4.new_markdown_cell(f"# {name}")]
        cells += [nbformat.v4.new_code_cell(text) for text in (home.setup_cell(""), STAMP, source)]
        notebooks.write(nbformat.v4.new_notebook(cells=cells), copy_of_repository / "book" / f"{name}.ipynb")
        toc += f"      - file: book/{name}\n"
    (copy_of_repository / "_toc.yml").write_text(toc)

    def build(folder=copy_of_repository):
        command = [JUPYTER_BOOK, "build", ".", "--warningiserror", "--keep-going"]
        return subprocess.run(command, cwd=folder, env=environment_of(folder), capture_output=True, text=True)

    return copy_of_repository, build


def page(folder, name):
    return (folder / "_build" / "html" / "book" / f"{name}.html").read_text()


def stamp(folder, name):
    return re.search(r"stamp (\d+)", page(folder, name))[1]


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def add_cell(path, cell):
    notebook = notebooks.read(path)
    notebook.cells.append(cell)
    notebooks.write(notebook, path)


def test_one_changed_function_executes_the_pages_that_depend_on_it_and_no_other(small_book):
    folder, build = small_book
    add_cell(folder / "book" / "turning.ipynb", nbformat.v4.new_code_cell(TURN))
    first = build()
    assert first.returncode == 0, first.stderr
    assert "WARNING" not in first.stdout + first.stderr
    assert "angle 90.0" in page(folder, "turning")
    stamps = {name: stamp(folder, name) for name in ("turning", "listing")}

    old = "return torch.rad2deg(torch.atan2"
    change(folder / "course_lib" / "geometry.py", old, old.replace("return", "return 1 +"))
    assert build().returncode == 0
    assert "angle 91.0" in page(folder, "turning")
    assert stamp(folder, "turning") != stamps["turning"]
    assert stamp(folder, "listing") == stamps["listing"]

    change(folder / "course_lib" / "_arguments.py", "real == minimum", "minimum == real")
    before = stamp(folder, "turning")
    assert build().returncode == 0
    assert stamp(folder, "turning") != before, "a module that is imported by an imported module"


@pytest.mark.skipif(os.cpu_count() == 1, reason="one core executes one notebook at a time")
def test_notebooks_execute_side_by_side_and_once(small_book):
    folder, build = small_book
    change(folder / "_config.yml", "timeout: 300", "timeout: 60")
    for name in ("turning", "listing"):
        add_cell(folder / "book" / f"{name}.ipynb", nbformat.v4.new_code_cell(MEETING))
    for _ in range(2):
        run = build()
        assert run.returncode == 0, run.stderr
        assert "Executing notebook" not in run.stdout, "Sphinx did not find what was executed before it read"
        assert (folder / "book" / "runs").read_text() == ".."


def test_a_build_after_an_edit_equals_a_fresh_one(small_book, tmp_path):
    """What changes: a text, a function with its docstring, a figure, a page, and what is done to pages."""
    folder, build = small_book
    (folder / "book" / "tables.md").write_text(TABLES_PAGE)
    (folder / "book" / "gone.md").write_text("# Gone\n\nA page that is taken out.\n")
    with (folder / "_toc.yml").open("a") as toc:
        toc.write("      - file: book/tables\n      - file: book/gone\n")
    add_cell(folder / "book" / "turning.ipynb", nbformat.v4.new_code_cell(PLOT))
    first = build()
    assert first.returncode == 0, first.stderr
    before = built(folder)

    change(folder / "book" / "intro.md", "A small book.", "A small book with an edit.")
    change(folder / "course_lib" / "tables.py", "Return rows of values", "Return all rows of values")
    change(folder / "book" / "turning.ipynb", "plot([0, 1])", "plot([1, 0])")
    change(folder / "tools" / "build" / "site.py", '"base-uri": "\'none\'"', '"base-uri": "\'self\'"')
    change(folder / "_toc.yml", "      - file: book/gone\n", "")
    (folder / "book" / "gone.md").unlink()
    second = build()
    assert second.returncode == 0, second.stderr
    after = built(folder)
    (index,) = [content for path, content in after.items() if path.name == "searchindex.js"]
    assert b"course_lib.tables" in index.partition(b'"indexentries":')[2].partition(b"}")[0]

    ignore = shutil.ignore_patterns("html", ".doctrees", "jupyter_execute")
    third = build(shutil.copytree(folder, tmp_path / "elsewhere", ignore=ignore))
    assert third.returncode == 0, third.stderr
    fresh = built(tmp_path / "elsewhere")
    files = sorted(after.keys() | fresh.keys())
    assert [str(path) for path in files if after.get(path) != fresh.get(path)] == []
    images = [{path for path in files if path.parts[0] == "_images"} for files in (before, after)]
    assert len(images[0]) == len(images[1]) == 1
    assert images[0] != images[1]


def built(folder):
    """Return the content of every file of a built book."""
    html = folder / "_build" / "html"
    return {path.relative_to(html): path.read_bytes() for path in html.rglob("*") if path.is_file()}


def test_what_a_slow_cell_prints_in_pieces_is_one_output(published):
    assert "one line\n" in page(published, "listing")


def test_a_cell_that_raises_fails_the_build_and_is_shown(small_book):
    folder, build = small_book
    add_cell(folder / "book" / "listing.ipynb", nbformat.v4.new_code_cell("1 / 0  # the culprit"))
    run = build()
    assert run.returncode != 0
    assert "ZeroDivisionError" in run.stdout + run.stderr
    assert "the culprit" in run.stdout + run.stderr


def test_with_a_public_address_the_page_has_a_colab_button(published):
    address = "https://colab.research.google.com/github/somebody/a-fork/blob/main/book/listing.ipynb"
    assert address in page(published, "listing")
    assert "rocket button" in page(published, "listing")


def links_that_lead_astray(folder, root):
    """Return the links of the page for addresses without one that do not lead into the site from its root."""
    html = folder / "_build" / "html"
    links = re.findall(r'\b(?:href|src|action)="([^"#]+)', (html / "404.html").read_text())
    inside = [link for link in links if "//" not in link]
    assert len(inside) > 20
    assert f"{root}book/listing.html" in inside
    there = (html / urlparse(link).path.removeprefix(root) for link in inside)
    return [
        link
        for link, path in zip(inside, there, strict=True)
        if not (link.startswith(root) and path.exists())
    ]


def test_the_page_for_addresses_without_one_works_under_each_of_them(published):
    assert links_that_lead_astray(published, "/a-fork/") == []


def test_without_a_public_address_it_works_beside_the_others(small_book):
    """Its links start at the root of the published site; without an address nobody knows that root."""
    folder, build = small_book
    assert build().returncode == 0
    assert links_that_lead_astray(folder, "") == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_warning_fails_make_book_every_time_until_it_is_mended(small_book, environment_of):
    folder, _ = small_book
    add_cell(folder / "book" / "listing.ipynb", nbformat.v4.new_markdown_cell("[nowhere](no-such-page.md)"))
    command = ["make", "book", f"VENV={ROOT / '.venv'}", "--assume-old", str(ROOT / ".venv" / "ready")]
    if not (ROOT / ".venv" / "ready").exists():
        pytest.skip("this environment was not made by make")
    for _ in range(2):
        run = subprocess.run(command, cwd=folder, env=environment_of(folder), capture_output=True, text=True)
        assert run.returncode != 0
        assert "no-such-page" in run.stdout + run.stderr
