"""A chapter alone in an empty folder, where only what Colab ships is installed."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path, PurePath

import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from packaging.requirements import Requirement

from tools import ROOT
from tools.build import home, notebooks, pack

ADDRESS = "https://github.com/somebody/a-fork"


# Beside what course_lib declares, a notebook needs its kernel, and its setup cell what installs and builds.
SHIPPED = ["ipykernel", "pip", "setuptools"]


def with_all_they_require(requirements):
    """Yield the installed distributions that the requirements name, and all that these require in turn."""
    waiting, seen = [Requirement(line) for line in requirements], set()
    while waiting:
        requirement = waiting.pop()
        name = requirement.name.lower().replace("_", "-").replace(".", "-")
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if name in seen or not wanted:
            continue
        seen.add(name)
        found = distribution(name)
        yield found
        waiting += [Requirement(line) for line in found.requires or []]


@pytest.fixture
def colab(tmp_path, monkeypatch, root):
    """An environment like Colab's: what course_lib declares, but not itself, a kernel, and google.colab."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False)
    packages = Path(next((folder / "lib").glob("python*"))) / "site-packages"
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    for found in with_all_they_require(declared + SHIPPED):
        for entry in {PurePath(file).parts[0] for file in found.files} - {"..", "__pycache__"}:
            if not (packages / entry).exists():
                (packages / entry).symlink_to(found.locate_file(entry))
    (packages / "google" / "colab").mkdir(parents=True)
    (packages / "google" / "colab" / "__init__.py").touch()
    kernel = tmp_path / "kernels" / "colab"
    kernel.mkdir(parents=True)
    command = [str(folder / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    command += ["--IPKernelApp.exec_lines=import google.colab"]
    spec = {"argv": command, "display_name": "colab", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    return tmp_path


def run(notebook, colab, **variables):
    """Execute a notebook in an empty folder, in that environment, with no index to install from."""
    empty = colab / "content"
    empty.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_"))}
    environment |= {"OMP_NUM_THREADS": "1", "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, **variables}
    resources = {"metadata": {"path": str(empty)}}
    NotebookClient(notebook, kernel_name="colab", timeout=300, resources=resources).execute(env=environment)


def python(colab, code):
    command = [str(colab / "environment" / "bin" / "python"), "-c", code]
    run = subprocess.run(command, cwd=colab, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def last_output(notebook):
    return [output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output][
        -1
    ]


def until_it_prints(notebook):
    """Keep the cells up to the first that prints: the others do not depend on where course_lib is."""
    printing = next(
        index
        for index, cell in enumerate(notebook.cells)
        if any("text" in output for output in cell.get("outputs", []))
    )
    notebook.cells = notebook.cells[: printing + 1]
    return notebook


def test_with_a_public_address_it_installs_course_lib_and_nothing_else(colab, copy_of_repository):
    """In one chapter: the setup cell is the same in all."""
    chapter = next(path for path in notebooks.chapters() if path.stem == "scratch_vs_torch")
    home.write(ADDRESS, copy_of_repository)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "fork"]):
        subprocess.run([*git, *command], cwd=copy_of_repository, check=True)
    assert python(colab, "import importlib.util as u; print(u.find_spec('course_lib'))") == "None"
    packages = (
        "from importlib.metadata import distributions as d; print(sorted({x.name + x.version for x in d()}))"
    )
    before = python(colab, packages)

    notebook = until_it_prints(notebooks.read(copy_of_repository / "book" / chapter.name))
    stored = last_output(notebook)
    run(
        notebook,
        colab,
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0=f"url.file://{copy_of_repository}.insteadOf",
        GIT_CONFIG_VALUE_0=ADDRESS,
    )
    assert last_output(notebook) == stored
    new = set(eval(python(colab, packages))) - set(eval(before))
    assert {name.removesuffix("0.1.0") for name in new} == {"course_lib"}
    assert str(colab) in python(colab, "import course_lib; print(course_lib.__file__)")


@pytest.mark.parametrize("chapter", notebooks.chapters()[-1:], ids=lambda path: path.stem)
def test_packed_it_runs_without_any_address(chapter, colab):
    """In the last chapter: that each carries the modules that it uses is a test of its own."""
    notebook = until_it_prints(notebooks.read(chapter))
    stored = last_output(notebook)
    packed = pack.pack(notebook)
    assert all(not cell.outputs for cell in packed.cells if cell.cell_type == "code")
    run(packed, colab)
    assert last_output(packed) == stored
    assert python(colab, "import importlib.util as u; print(u.find_spec('course_lib'))") == "None"


def test_without_an_address_the_setup_cell_says_what_to_do(colab):
    notebook = notebooks.read(notebooks.chapters()[0])
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"][:1]
    notebook.cells[0].source = home.setup_cell("")
    with pytest.raises(CellExecutionError, match="Download the notebook that the chapter's page offers"):
        run(notebook, colab)


def test_elsewhere_the_setup_cell_does_nothing(tmp_path):
    source = home.setup_cell(ADDRESS)
    assert "google.colab" not in sys.modules
    assert source.splitlines()[-1].strip().startswith("%pip install")
    plain = source.replace("%pip", "raise SystemExit('installs')  #")
    exec(compile(plain, "setup", "exec"), {})


def imports(nodes):
    return [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def imports_of_chapter(chapter):
    """What a cell imports under a condition, it has asked for; the setup cell is no plain Python."""
    _, *cells = [cell.source for cell in notebooks.read(chapter).cells if cell.cell_type == "code"]
    return [statement for source in cells for statement in imports(ast.parse(source).body)]


def test_nothing_imports_what_colab_lacks(colab, root):
    """Neither a chapter nor, anywhere in a function, a module."""
    (colab / "course_lib").symlink_to(root / "course_lib")
    found = {path: imports_of_chapter(path) for path in notebooks.chapters()}
    found |= {
        path: imports(ast.walk(ast.parse(path.read_text()))) for path in (root / "course_lib").rglob("*.py")
    }
    assert [path.name for path, statements in found.items() if not statements] == []
    python(colab, "\n".join(sorted(set().union(*found.values()))))


def test_the_stand_in_lacks_what_only_the_book_is_built_with(colab):
    for name in ("torch_optimizer", "sphinx", "pytest", "course_lib"):
        assert python(colab, f"import importlib.util as u; print(u.find_spec({name!r}))") == "None", name


def test_packing_changes_nothing_but_the_first_code_cell():
    notebook = notebooks.read(notebooks.chapters()[0])
    packed = pack.pack(notebook)
    sources = [[cell.source for cell in book.cells] for book in (notebook, packed)]
    assert [index for index, (a, b) in enumerate(zip(*sources, strict=True)) if a != b] == [
        next(index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    ]
    assert notebook == notebooks.read(notebooks.chapters()[0])


def test_packed_modules_are_the_modules(tmp_path):
    cell = next(
        cell for cell in pack.pack(notebooks.read(notebooks.chapters()[0])).cells if cell.cell_type == "code"
    )
    script = tmp_path / "cell.py"
    script.write_text(cell.source + "\nprint(FOLDER)", encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"TMPDIR": str(tmp_path)}
    folder = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    for path in notebooks.modules_used(notebooks.read(notebooks.chapters()[0])):
        assert (Path(folder) / path.relative_to(ROOT)).read_text() == path.read_text()
    shutil.rmtree(folder)
