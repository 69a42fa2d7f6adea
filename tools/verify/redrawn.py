"""A plugin of pytest: nbval compares figures, too, byte for byte with those that `make book` drew.

Those stored in the notebooks may come from another machine, which rounds otherwise.
"""

import functools

import nbformat

PICTURE = "image/png"


def pytest_runtest_setup(item):
    """Put what the build drew in the place of what is stored, and let it be compared."""
    build = item.config.rootpath / "_build"
    drawn = built(build / "jupyter_execute" / "book" / item.path.relative_to(build / "elsewhere"))
    cells = [cell for cell in drawn.cells if cell.cell_type == "code"]
    for stored, figure in zip(figures(item.cell), figures(cells[item.cell_num]), strict=True):
        stored.data[PICTURE] = figure.data[PICTURE]
    item.parent.skip_compare = [kind for kind in item.parent.skip_compare if kind != PICTURE]


@functools.cache
def built(path):
    return nbformat.read(path, as_version=4)


def figures(cell):
    return [output for output in cell.outputs if PICTURE in output.get("data", {})]
