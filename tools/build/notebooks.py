"""Read, execute and store the chapters.

python -m tools.build.notebooks            execute every chapter, in parallel, and store the outputs
python -m tools.build.notebooks NAME ...   only chapters whose file name contains a NAME, and their solutions
"""

import ast
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from traitlets.config import Config

from tools import ROOT

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
KEPT_IN_CELLS = ("cellView", "mystnb", "tags")


def chapters(root=ROOT):
    """Return the paths of the chapters in _toc.yml, in reading order."""
    return [path for path in stored(root) if path.parent.name != "solutions"]


def solutions(root=ROOT):
    """Return the paths of the notebooks with the solutions of chapters."""
    return [path for path in stored(root) if path.parent.name == "solutions"]


def stored(root=ROOT):
    """Return the paths of all notebooks in _toc.yml, in reading order."""
    toc = yaml.safe_load((Path(root) / "_toc.yml").read_text())
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [path for file in files if (path := Path(root) / f"{file}.ipynb").exists()]


def read(path):
    return nbformat.read(path, as_version=4)


def write(notebook, path):
    """Write a notebook in the one form in which it is stored: no machine, no timing, no stray metadata."""
    notebook.metadata = nbformat.from_dict(METADATA)
    count = 0
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in KEPT_IN_CELLS})
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            output.pop("execution_count", None)
            if output.output_type == "execute_result":
                output["execution_count"] = count
            if "metadata" in output:
                output["metadata"] = {}
    nbformat.validate(notebook)
    Path(path).write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")


def client(notebook, path, timeout=300):
    """Return what executes a notebook in the folder of `path`; what a cell prints in pieces is one output."""
    return NotebookClient(
        notebook,
        timeout=timeout,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(Path(path).parent)}},
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),  # or every kernel warns
    )


def execute(path):
    """Execute a notebook and store it."""
    notebook = read(path)
    client(notebook, path).execute()
    write(notebook, path)
    return path


def markdown(notebook):
    """Yield the index and source of every Markdown cell."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            yield index, cell.source


def title(notebook):
    """Return the text of a chapter's first heading."""
    return next(source for _, source in markdown(notebook)).splitlines()[0].removeprefix("# ")


def first_code_cell(notebook):
    """Return the setup cell, which is the same in every notebook."""
    return next(cell for cell in notebook.cells if cell.cell_type == "code")


def code(notebook):
    """Yield the source of every code cell without its IPython magics."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield plain(cell.source)


def plain(source):
    """Return the source of a code cell without its IPython magics."""
    return "\n".join("" if line.lstrip().startswith("%") else line for line in source.splitlines())


def modules_used(notebook, root=ROOT):
    """Return the files of course_lib that a notebook uses: modules, those that they import, and scripts."""
    package = Path(root) / "course_lib"
    found, waiting = {package / "__init__.py"}, [ast.parse(source) for source in code(notebook)]
    while waiting:
        new = {path for name in _imported(waiting.pop()) for path in _modules(package, name)} - found
        found |= new | {path.with_name("__init__.py") for path in new}
        if not waiting:
            new |= _others(package, found)
            found |= new
        modules = {path for path in new if path.stem != "__init__"}  # which loads others when asked for them
        waiting += [ast.parse(path.read_text(encoding="utf-8")) for path in modules]
    labs = package / "labs"
    if labs / "__init__.py" in found:
        lab_of = {script: labs / f"_{script.stem}.py" for script in (labs / "javascript").iterdir()}
        found |= {script for script, lab in lab_of.items() if lab in found or not lab.exists()}
    return sorted(found)


def _others(package, found):
    """Return the modules of packages within the package of which none is named: any may be meant."""
    named = {package} | {path.parent for path in found if path.stem != "__init__"}
    return {other for path in found if path.parent not in named for other in path.parent.glob("*.py")} - found


def _imported(tree):
    """Return the dotted names within course_lib that a syntax tree imports or reaches by attribute."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
            name = ast.unparse(node)
            names |= {name, f"course_lib.{name}"}  # labs.step is course_lib.labs.step
    return {name.removeprefix("course_lib.") for name in names if name.startswith("course_lib.")}


def _modules(package, name):
    """Return the files of a dotted name, be it a module, a package, or what a package loads when asked."""
    path = package.joinpath(*name.split("."))
    files = [path.with_suffix(".py"), path / "__init__.py", path.with_name(f"_{path.name.lower()}.py")]
    return [file for file in files if file.exists()]


def main(*wanted):
    paths = [path for path in stored() if not wanted or any(name in path.name for name in wanted)]
    if not paths:
        sys.exit(f"no chapter's name contains {' or '.join(wanted)}")
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for path in pool.map(execute, paths):
            print(f"executed and stored {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
