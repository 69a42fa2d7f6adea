"""Print the book as one PDF: all its pages as one, by the browser that the tests use.

python -m tools.build.pdf
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tools import ROOT
from tools.chromium import chromium, path_of_chromium

EVERY_FIGURE = """() => Promise.all([...document.images].map((image) => {
  image.loading = "eager";
  return image.decode();
}))"""
PDF = ROOT / "_build" / "weight-decay-by-experiment.pdf"


def single_page():
    """Build the whole book as one page, and return it."""
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", ".", "--builder", "singlehtml", "--quiet"]
    subprocess.run(command, cwd=ROOT, check=True)
    folder = ROOT / "_build" / "singlehtml"
    # Sphinx writes it one folder further down than its links assume.
    return shutil.copy(folder / "book" / "intro.html", folder / "all.html")


def printed(browser, page, pdf):
    """Print a page, with its structure, its outline and the links within it."""
    tab = browser.new_page()
    tab.goto(Path(page).resolve().as_uri())
    tab.evaluate(EVERY_FIGURE)
    tab.pdf(path=pdf, tagged=True, outline=True, prefer_css_page_size=True, print_background=True)
    tab.close()


def main():
    if path_of_chromium() is None:
        sys.exit("make pdf needs Chromium or Chrome on the PATH")
    page = single_page()
    with chromium() as browser:
        printed(browser, page, PDF)
    print(f"Printed. Open {PDF}")


if __name__ == "__main__":
    main()
