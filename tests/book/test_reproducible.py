"""What is built once more, elsewhere, is the same; and stored figures are those that the code draws."""

import io
import shutil
import subprocess
import sys
from base64 import b64decode
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from jupyter_cache import get_cache
from PIL import Image

from tools import ROOT
from tools.build import notebooks
from tools.build.executing import depends_on

pytestmark = pytest.mark.site

SITE = ROOT / "_build" / "html"
JUPYTER_BOOK = str(Path(sys.executable).with_name("jupyter-book"))


def executed(path):
    """Return a chapter as `make book` executed it."""
    notebook = notebooks.read(path)
    notebook.metadata.kernelspec["depends_on"] = depends_on(notebook)
    cache = get_cache(ROOT / "_build" / ".jupyter_cache")
    return cache.get_cache_bundle(cache.match_cache_notebook(notebook).pk).nb


def figures(notebook):
    """Return the figures of a notebook as arrays, by the number of their code cell."""
    return {
        number: pixels(output.data["image/png"])
        for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code")
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    }


def pixels(text):
    return np.asarray(Image.open(io.BytesIO(b64decode(text))).convert("RGB")).astype(int)


def difference(figure, other):
    """Return the share of pixels that differ by more than a shade."""
    if figure.shape != other.shape:
        return 1.0
    return (abs(figure - other).max(axis=2) > 16).mean()


@pytest.mark.parametrize("chapter", notebooks.chapters(), ids=lambda path: path.stem)
def test_stored_figures_are_those_that_the_code_draws_now(chapter):
    stored, drawn = figures(notebooks.read(chapter)), figures(executed(chapter))
    assert stored.keys() == drawn.keys()
    changed = [
        f"code cell {number}" for number in stored if difference(stored[number], drawn[number]) > 0.001
    ]
    assert changed == [], "to store the new figures: make notebooks"


def test_a_line_that_moves_by_two_pixels_is_a_difference():
    figure = figures(notebooks.read(notebooks.chapters()[0]))
    for picture in figure.values():
        moved = picture.copy()
        moved[100:400, 302:] = picture[100:400, 300:-2]
        assert difference(picture, moved) > 0.001
        assert difference(picture, picture + 1) == 0


def test_a_second_build_elsewhere_gives_the_same_bytes(copy_of_repository, environment_of):
    """In another folder, on two threads and with another hash seed, from what `make book` executed.

    That executing again, on two threads, gives the same outputs and figures, is seen by nbval.
    """
    cache = Path("_build", ".jupyter_cache")
    shutil.copytree(ROOT / cache, copy_of_repository / cache)
    environment = environment_of(copy_of_repository) | {"OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "random"}
    command = [JUPYTER_BOOK, "build", ".", "--warningiserror", "--keep-going", "--quiet"]
    subprocess.run(command, cwd=copy_of_repository, env=environment, check=True, capture_output=True)
    again = copy_of_repository / "_build" / "html"
    files = [path.relative_to(again) for path in again.rglob("*") if path.is_file()]
    assert len(files) > 100
    changed = [path for path in files if (again / path).read_bytes() != (SITE / path).read_bytes()]
    assert [(str(path), *first_difference(again / path, SITE / path)) for path in changed] == []


def first_difference(path, other):
    """Return the first line of a page that differs, in both forms."""
    if path.suffix != ".html":
        return ()
    lines = zip_longest(path.read_text().splitlines(), other.read_text().splitlines())
    return next(((a, b) for a, b in lines if a != b), ())
