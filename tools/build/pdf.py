"""Print the book as one PDF: all its pages as one, by the browser that the tests use.

python -m tools.build.pdf
"""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from tools import ROOT
from tools.chromium import chromium

EVERY_FIGURE = """() => Promise.all([...document.images].map((image) => {
  image.loading = "eager";
  return image.decode();
}))"""
# Paper cannot unfold: folds are open, but for hints, for answers, which stand at the end, and for code.
UNFOLDED = re.compile(r"<details>(?=\s*<summary>(?!\s*(?:Hint|Answers? to (?:prediction|quiz))))")
FOLDED_CODE = '<details class="admonition hide above-input">'
PDF = ROOT / "_build" / "weight-decay-by-experiment.pdf"


def single_page():
    """Build the whole book as one page, and return it."""
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", ".", "--builder", "singlehtml", "--quiet"]
    subprocess.run(command, cwd=ROOT, check=True)
    folder = ROOT / "_build" / "singlehtml"
    text = UNFOLDED.sub("<details open>", (folder / "book" / "intro.html").read_text(encoding="utf-8"))
    # Sphinx writes it one folder further down than its links assume.
    page = folder / "all.html"
    page.write_text(
        text.replace(FOLDED_CODE, FOLDED_CODE.replace("<details", "<details hidden")), encoding="utf-8"
    )
    return page


def printed(browser, page, pdf):
    """Print a page, with its structure, its outline and the links within it."""
    tab = browser.new_page()
    tab.goto(Path(page).resolve().as_uri())
    tab.evaluate(EVERY_FIGURE)
    tab.pdf(path=pdf, tagged=True, outline=True, prefer_css_page_size=True, print_background=True)
    tab.close()


def finish(path):
    """Say in a printed PDF of whom it is and of when, and write it small."""
    import pikepdf  # of forms-requirements.txt: building and testing the pages needs none of it

    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    date = f"D:{citation['date-released']:%Y%m%d}000000Z"
    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        pdf.docinfo["/Author"] = config["author"]
        pdf.docinfo["/Subject"] = citation["abstract"]
        pdf.docinfo["/CreationDate"] = pdf.docinfo["/ModDate"] = date
        pdf.Root.ViewerPreferences = pikepdf.Dictionary(DisplayDocTitle=True)
        pdf.save(
            path,
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
            recompress_flate=True,
            deterministic_id=True,
        )


def make(path=PDF):
    """Write the PDF of the whole book."""
    with chromium() as browser:
        printed(browser, single_page(), path)
    finish(path)
    return path


if __name__ == "__main__":
    print(f"Printed. Open {make()}")
