"""Make a notebook that carries course_lib inside itself, to upload to Colab or anywhere else."""

import copy
import re
from pathlib import Path
from urllib.parse import urljoin

import nbformat

from tools import ROOT
from tools.build import home, notebooks

LINK = re.compile(r"\[([^][]*)\]\(((?:\.\./)?[\w/]+)\.(md|ipynb)(#[\w-]+|)\)")

CELL = """\
#@title course_lib, packed into this notebook: run this cell first
import pathlib, sys, tempfile

SOURCES = {{
{sources}
}}
FOLDER = pathlib.Path(tempfile.mkdtemp())
for name, text in SOURCES.items():
    path = FOLDER / "course_lib" / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text.removeprefix("\\n"), encoding="utf-8")
sys.path.insert(0, str(FOLDER))"""


def pack(notebook, root=ROOT, folder="book"):
    """Return a copy whose first code cell brings what it uses of course_lib, and whose links still lead.

    They are relative to the folder in which the notebook stands.
    """
    sources = []
    for path in notebooks.modules_used(notebook, root):
        text = path.read_text(encoding="utf-8")
        if "'''" in text:
            raise ValueError(f"{path.name} contains ''', which would end the string it is packed in")
        name = path.relative_to(Path(root) / "course_lib").as_posix()
        sources.append(f"    {name!r}: r'''\n{text}''',")
    packed = copy.deepcopy(notebook)
    first = notebooks.first_code_cell(packed)
    first.source = CELL.format(sources="\n".join(sources))
    first.metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
    published = home.published(home.read(root))
    published = published and f"{published}{folder}/"
    for cell in packed.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = LINK.sub(lambda link: elsewhere(*link.groups(), published), cell.source)
    return packed


def elsewhere(text, page, suffix, anchor, published):
    """Return a link to a page of the book as a copy outside of it needs it.

    It leads to the published page; without one, to the packed notebook beside it, and else nowhere.
    """
    if published:
        return f"[{text}]({urljoin(published, page)}.html{anchor})"
    return f"[{text}]({page}.ipynb{anchor})" if suffix == "ipynb" else text


def write_all(folder, root=ROOT):
    """Write the packed form of every notebook into a folder, as they stand in the book."""
    for path in notebooks.stored(root):
        place = path.relative_to(root)
        text = nbformat.writes(pack(notebooks.read(path), root, place.parent.as_posix()), version=4)
        packed = Path(folder) / place.relative_to("book")
        packed.parent.mkdir(parents=True, exist_ok=True)
        packed.write_text(text + "\n", encoding="utf-8")
