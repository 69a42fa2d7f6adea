"""Make the other forms of the built book, and offer on its front page those that were made.

python -m tools.build.forms
"""

import re

from tools import ROOT
from tools.build import cheat_sheet, epub, pdf
from tools.chromium import path_of_chromium

SITE = ROOT / "_build" / "html"
FORMS = {
    "weight-decay-by-experiment.epub": ("for readers of books (EPUB", epub.make),
    "weight-decay-by-experiment.pdf": ("on paper (PDF", pdf.make),
    "cheat-sheet.pdf": ("the cheat sheet on one page (PDF", cheat_sheet.make),
}
PLACE = re.compile(r'<div id="other-forms">.*?</div>', re.DOTALL)


def offer(site=SITE):
    """Write into the front page links to the forms that are there, with their sizes."""
    made = [(site / "forms" / name, text) for name, (text, _) in FORMS.items()]
    links = [
        f'<a href="../forms/{path.name}" download="">{text}, {path.stat().st_size / 1e6:.1f} MB)</a>'
        for path, text in made
        if path.exists()
    ]
    told = f"<p>The whole book to take along: {', '.join(links)}.</p>" if links else ""
    front = site / "book" / "intro.html"
    page, n_places = PLACE.subn(f'<div id="other-forms">{told}</div>', front.read_text(encoding="utf-8"))
    if n_places != 1:
        raise ValueError(f"the front page has {n_places} places for other forms")
    front.write_text(page, encoding="utf-8")


def main():
    (SITE / "forms").mkdir(exist_ok=True)
    for name, (_, make) in FORMS.items():
        if name.endswith(".pdf") and path_of_chromium() is None:
            print(f"No Chromium or Chrome on the PATH: {name} is not made")
        else:
            print(f"Made {make(SITE / 'forms' / name)}", flush=True)
    offer()


if __name__ == "__main__":
    main()
