"""The notebooks that carry what they use of course_lib: their modules, and their links."""

import os
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import nbformat
import pytest

from course_lib import labs
from tools import ROOT
from tools.build import home, notebooks, pack

ADDRESS = "https://github.com/somebody/a-fork"
PAGES = "https://somebody.github.io/a-fork/book"

IMPORT_ALL = """
import importlib, pathlib, sys
for script in sys.argv[1:]:
    before = dict(sys.modules)
    namespace = {}
    exec(pathlib.Path(script).read_text(encoding="utf-8"), namespace)
    for name in filter(lambda name: name.endswith(".py"), namespace["SOURCES"]):
        dotted = name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        module = importlib.import_module(f"course_lib.{dotted}")
        assert module.__file__ == str(namespace["FOLDER"] / "course_lib" / name), module.__file__
        print(pathlib.Path(script).stem, name)
    for name in set(sys.modules) - set(before):
        if name.partition(".")[0] == "course_lib":
            del sys.modules[name]
"""


def packed_text(text, root):
    cells = [nbformat.v4.new_code_cell(""), nbformat.v4.new_markdown_cell(text)]
    return pack.pack(nbformat.v4.new_notebook(cells=cells), root).cells[1].source


def test_each_carries_the_modules_that_it_uses_and_no_other(tmp_path):
    """They are imported in one process, in which each notebook finds its own modules alone."""
    expected, scripts = [], []
    for chapter in notebooks.chapters():
        notebook = notebooks.read(chapter)
        script = tmp_path / f"{chapter.stem}.py"
        script.write_text(notebooks.first_code_cell(pack.pack(notebook)).source, encoding="utf-8")
        scripts.append(str(script))
        names = [
            path.relative_to(ROOT / "course_lib").as_posix() for path in notebooks.modules_used(notebook)
        ]
        expected += [f"{chapter.stem} {name}" for name in names if name.endswith(".py")]
    command = [sys.executable, "-c", IMPORT_ALL, *scripts]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == expected


def test_a_packed_notebook_shows_a_lab(tmp_path):
    cells = [nbformat.v4.new_code_cell(""), nbformat.v4.new_code_cell("from course_lib.labs import boundary")]
    packed = pack.pack(nbformat.v4.new_notebook(cells=cells))
    script = tmp_path / "packed.py"
    shown = "print(boundary(n_steps=1)._repr_html_())"
    script.write_text("\n".join([*(cell.source for cell in packed.cells), shown]), encoding="utf-8")
    command, environment = [sys.executable, str(script)], os.environ | {"MPLBACKEND": "agg"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == labs.boundary(n_steps=1)._repr_html_() + "\n"
    plt.close("all")


def test_modules_that_a_chapter_does_not_use_stay_at_home():
    cells = [nbformat.v4.new_code_cell(""), nbformat.v4.new_code_cell("from course_lib.tables import table")]
    packed = pack.pack(nbformat.v4.new_notebook(cells=cells))
    assert "'tables.py'" in packed.cells[0].source
    assert "'plotting.py'" not in packed.cells[0].source


@pytest.mark.parametrize(
    ("address", "linked", "expected"),
    [
        ("", "[The table](rosetta.md)", "The table"),
        ("", "[it](rosetta.md#the-knobs) and [that](api.md)", "it and that"),
        ("", "[Chapter 3](sgd_sgdw_l1.ipynb#adam)", "[Chapter 3](sgd_sgdw_l1.ipynb#adam)"),
        (ADDRESS, "[The table](rosetta.md)", f"[The table]({PAGES}/rosetta.html)"),
        (ADDRESS, "[it](rosetta.md#the-knobs)", f"[it]({PAGES}/rosetta.html#the-knobs)"),
        (ADDRESS, "[Chapter 3](sgd_sgdw_l1.ipynb#adam)", f"[Chapter 3]({PAGES}/sgd_sgdw_l1.html#adam)"),
        ("https://github.com/Me/me.github.io", "[it](api.md)", "[it](https://me.github.io/book/api.html)"),
        (ADDRESS, "[paper](https://arxiv.org/abs/1.md)", "[paper](https://arxiv.org/abs/1.md)"),
        (ADDRESS, "[above](#adam), f[0](x.y)", "[above](#adam), f[0](x.y)"),
    ],
)
def test_links_lead_to_the_published_page_or_to_the_packed_notebook_or_nowhere(
    address, linked, expected, copy_of_repository
):
    home.write(address, copy_of_repository)
    assert packed_text(f"See {linked}.", copy_of_repository) == f"See {expected}."


def test_links_between_a_chapter_and_its_solutions_lead_there(copy_of_repository):
    text = "[Solution](solutions/a.ipynb#b), [chapter](../a.ipynb#c), [words](../glossary.md)"
    expected = (
        f"[Solution]({PAGES}/solutions/a.html#b), [chapter]({PAGES}/a.html#c), [words]({PAGES}/glossary.html)"
    )
    cells = [nbformat.v4.new_code_cell(""), nbformat.v4.new_markdown_cell(text)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    home.write("", copy_of_repository)
    assert pack.pack(notebook, copy_of_repository, "book/solutions").cells[1].source == (
        "[Solution](solutions/a.ipynb#b), [chapter](../a.ipynb#c), words"
    )
    home.write(ADDRESS, copy_of_repository)
    found = [
        pack.pack(notebook, copy_of_repository, folder).cells[1].source
        for folder in ("book", "book/solutions")
    ]
    assert found[0].split(", ")[0] == expected.split(", ")[0]
    assert found[1].split(", ")[1:] == expected.split(", ")[1:]


def test_no_link_of_a_packed_notebook_is_dead(tmp_path):
    pack.write_all(tmp_path)
    links = [
        (path.relative_to(ROOT / "book").parent, address)
        for path in notebooks.stored()
        for _, source in notebooks.markdown(notebooks.read(tmp_path / path.relative_to(ROOT / "book")))
        for address in re.findall(r"\]\(([^)#]+)", source)
    ]
    inside = [(folder, link) for folder, link in links if not link.startswith("https://")]
    assert len(links) > 10
    assert [link for folder, link in inside if not (tmp_path / folder / link).exists()] == []
