"""Make a notebook that carries course_lib inside itself, to upload to Colab or anywhere else."""

import copy
from pathlib import Path

import nbformat

from tools import ROOT, notebooks

CELL = """\
#@title course_lib, packed into this notebook: run this cell first
import pathlib, sys, tempfile

SOURCES = {{
{sources}
}}
FOLDER = pathlib.Path(tempfile.mkdtemp())
(FOLDER / "course_lib").mkdir()
for name, text in SOURCES.items():
    (FOLDER / "course_lib" / name).write_text(text.removeprefix("\\n"), encoding="utf-8")
sys.path.insert(0, str(FOLDER))"""


def pack(notebook, root=ROOT):
    """Return a copy whose first code cell brings course_lib with it."""
    sources = []
    for path in sorted((Path(root) / "course_lib").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "'''" in text:
            raise ValueError(f"{path.name} contains ''', which would end the string it is packed in")
        sources.append(f"    {path.name!r}: r'''\n{text}''',")
    packed = copy.deepcopy(notebook)
    first = notebooks.first_code_cell(packed)
    first.source = CELL.format(sources="\n".join(sources))
    first.metadata["cellView"] = "form"
    for cell in packed.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return packed


def write_all(folder, root=ROOT):
    """Write the packed form of every chapter into a folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for chapter in notebooks.chapters(root):
        text = nbformat.writes(pack(notebooks.read(chapter), root), version=4)
        (Path(folder) / chapter.name).write_text(text + "\n", encoding="utf-8")
