"""Make two handouts of each chapter, for students and, with answers, for teachers: on paper and as notebooks.

python -m tools.build.handout [CHAPTER ...]

On paper they are made of the built pages: how the chapter opens, its predictions, its quiz and its exercises.
`print.js` puts the answers that are left in the page at its end. The notebooks are the whole chapter, with
course_lib inside; teachers get the solutions beside them.
"""

import re
import shutil
import sys

import nbformat
from bs4 import BeautifulSoup

from tools import ROOT
from tools.build import notebooks
from tools.build.pdf import printed
from tools.chromium import chromium

SITE = ROOT / "_build" / "html"
BOOK = SITE / "book"
FOLDER = ROOT / "_build" / "handout"
ANSWER = re.compile(r"\s*Answers? to (prediction|quiz) \d+")
ONLY_ON_SCREEN = ".run-this-chapter, details.hide, .headerlink, .cell_output:has(.check), h2 .section-number"
ANSWERS = "details, #exercises .cell_output"
TOLD = re.compile(
    r"<details>\n<summary>Answers? to (?:(?!</details>).)*</details>\n*|; \[solution\]\([^)]*\)", re.DOTALL
)


def parsed(page):
    return BeautifulSoup((BOOK / f"{page}.html").read_text(encoding="utf-8"), "html.parser")


def body(page):
    """Return the elements of a page's text, of which sections are the last."""
    return page.select_one("article > section").find_all(recursive=False)


def handout(chapter, *, answers):
    """Return the page of a chapter as it is handed out."""
    page = parsed(chapter)
    text = page.select_one("article > section")
    folds = [fold for fold in text.find_all("details") if ANSWER.match(fold.summary.get_text())]
    asked = [quote for quote in text.find_all("blockquote") if quote.get_text().strip().startswith("Predict")]
    kept = [element for element in body(page) if element.name != "section"]
    settled = sorted((fold for fold in folds if not fold.find_parent(id="quiz")), key=number)
    kept += [heading(page, "Predict first"), *asked, *settled]
    kept += [section for name in ("quiz", "exercises") if (section := text.find(id=name))]
    if answers and (BOOK / "solutions" / f"{chapter}.html").exists():
        solutions = body(parsed(f"solutions/{chapter}"))[1:]
        kept += [heading(page, "Solutions"), *(each for each in solutions if each.name == "section")]
    text.clear()
    text.extend(kept)
    for element in text.select(ONLY_ON_SCREEN if answers else f"{ONLY_ON_SCREEN}, {ANSWERS}"):
        element.decompose()
    for fold in text.find_all("details"):
        fold["open"] = ""
    unlinked(text)
    alone(text)
    text.h1["style"] = "display: block; margin-top: 0"
    text.h1.append(" (with answers)" * answers)
    return page


def alone(text):
    """Remove what stands beside a text in its page but scripts: empty pages would be printed for it."""
    for element in [text, *text.parents]:
        if element.name == "body":
            break
        for other in [*element.find_previous_siblings(), *element.find_next_siblings()]:
            if other.name != "script":
                other.decompose()


def number(fold):
    return int(re.search(r"\d+", fold.summary.get_text())[0])


def heading(page, words):
    made = page.new_tag("h2")
    made.string = words
    return made


def unlinked(text):
    """Leave the words of links within the book, which is not on the paper; of those to solutions nothing."""
    for link in text.find_all("a"):
        if link.get_text() == "solution":
            link.previous_sibling.replace_with(link.previous_sibling.removesuffix("; "))
            link.decompose()
        elif not link.get("href", "").startswith("http"):
            link.unwrap()


def place(name, *, answers):
    """Return where a file is handed out from."""
    path = FOLDER / ("teachers" if answers else "students") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_notebooks(chapter):
    """Write a chapter that carries what it uses of course_lib, and for teachers its solutions, too."""
    for packed in (SITE / "colab").glob(f"**/{chapter}.ipynb"):
        shutil.copy(packed, place(packed.relative_to(SITE / "colab"), answers=True))
    notebook = notebooks.read(SITE / "colab" / f"{chapter}.ipynb")
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = TOLD.sub("", cell.source)
    nbformat.write(notebook, place(f"{chapter}.ipynb", answers=False))


def print_handout(browser, chapter, *, answers):
    """Print one handout; return its path."""
    pdf = place(f"{chapter}.pdf", answers=answers)
    page = BOOK / "handout.html"  # beside the chapter, since it uses the same files
    page.write_text(str(handout(chapter, answers=answers)), encoding="utf-8")
    try:
        printed(browser, page, pdf)
    finally:
        page.unlink()
    return pdf


def main(names):
    with chromium() as browser:
        for chapter in names or [path.stem for path in notebooks.chapters()]:
            write_notebooks(chapter)
            for answers in (False, True):
                print_handout(browser, chapter, answers=answers)
    print(f"Made. Open {FOLDER}")


if __name__ == "__main__":
    main(sys.argv[1:])
