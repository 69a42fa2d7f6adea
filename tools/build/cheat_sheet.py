"""Print the cheat sheet on one page of A4: its links are the numbers of the sections to which they lead.

python -m tools.build.cheat_sheet
"""

import re
import tempfile
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import urlparse

from bs4 import BeautifulSoup

from tools import ROOT
from tools.build.pdf import finish, printed
from tools.chromium import chromium

BOOK = ROOT / "_build" / "html" / "book"
PDF = ROOT / "_build" / "cheat-sheet.pdf"
STYLE = """
@page { size: A4; margin: 5mm 6mm; }
* { margin: 0; padding: 0; }
body { font: 8pt/1.05 sans-serif; columns: 2; column-gap: 4mm; column-fill: auto; }
h1 { font-size: 10.5pt; }
h2 { font-size: 9.5pt; margin: .8mm 0 .3mm; border-bottom: .6pt solid; }
p { margin: .6mm 0 .1mm; orphans: 2; break-after: avoid; }
pre, code { font: 8pt/1 monospace; letter-spacing: -.04em; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; padding-left: 1.2mm; border-left: 1pt solid #999; break-inside: avoid; }
"""
PAGE = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{style}</style>{body}'
)


@cache
def page(name, book=BOOK):
    return BeautifulSoup((book / name).read_text(encoding="utf-8"), "html.parser").select_one("article")


def where(link, book=BOOK):
    """Return the number of the section to which a link leads, or else the text of the link."""
    address = urlparse(link["href"])
    section = page(address.path, book).find(id=address.fragment or True)
    number = section and section.select_one(".section-number")
    return f"→ {number.get_text().strip().rstrip('.')}" if number else link.get_text()


def sheet(book=BOOK):
    """Return the cheat sheet as one page of HTML."""
    text = BeautifulSoup(str(page("cheat_sheet.html", book)), "html.parser")
    for mark in text.select(".headerlink"):
        mark.decompose()
    for link in text.select("a"):
        link.replace_with(where(link, book))
    for code in text.select("pre"):
        code.string = re.sub(r"\n\n+", "\n", code.get_text()).rstrip()
    title = f"Weight Decay by Experiment: {text.h1.get_text().lower()}"
    text.h1.string = title
    return PAGE.format(title=escape(title), style=STYLE, body=text)


def make(path=PDF):
    """Write the PDF of the cheat sheet."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        html = Path(folder, "sheet.html")
        html.write_text(sheet(), encoding="utf-8")
        printed(browser, html, path)
    finish(path)
    return path


if __name__ == "__main__":
    print(f"Printed. Open {make()}")
