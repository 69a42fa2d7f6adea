"""One source, five forms: each says the same claims, the same tables and the same numbers.

What stands in the notebook is compared with the page, the packed notebook, the EPUB and, where `make forms`
has printed it, the PDF. What a form may leave out is `LEFT_OUT` and `NOT_ON_PAPER`.
"""

import re
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise
from unicodedata import normalize

import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt

from tests.browsing import SITE
from tools import ROOT
from tools.build import cheat_sheet, epub, forms, notebooks, pack, pdf

pytestmark = pytest.mark.site

CHAPTERS = [path.stem for path in notebooks.chapters()]
LEFT_OUT = {
    "script, style, .lab, .lab-instead": "labs: what moves is tested by itself",
    ".run-this-chapter, .headerlink, .section-number": "the site's own: how to run it, links, numbers",
    "math": "formulas: their source is compared by test_mathml.py and test_epub.py",
    "summary": "names of folds, which are links or headings where answers stand at the end",
}
NOT_ON_PAPER = "details.hide"  # folded code: paper cannot unfold it
HINT = re.compile(r"\s*Hint")
NUMBER = re.compile(r"[-−]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
FORMULA = re.compile(r"(```.*?```|`[^`]*`)|\$\$.+?\$\$|(?<![\\$])\$(?!\$).+?(?<!\\)\$", re.DOTALL)
CLAIMS = "What you can now claim"
MARKDOWN = MarkdownIt("commonmark").enable("table")


def parsed(html):
    soup = BeautifulSoup(html, "html.parser")
    for tag in soup.select(", ".join(LEFT_OUT)):
        tag.replace_with(" ")
    return soup


def plain(text):
    """Return a text without spaces, ligatures and typographic quotes."""
    text = normalize("NFKC", text).translate(str.maketrans("“”‘’", "\"\"''"))
    return "".join(text.split())


def of_notebook(notebook):
    """Return a notebook as HTML."""
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = FORMULA.sub(lambda found: found[1] or " ", cell.source)
            parts.append(MARKDOWN.render(text))
        else:
            parts += [f'<div class="cell_output">{shown(output)}</div>' for output in cell.outputs]
    return parsed("\n".join(parts))


def shown(output):
    """Return what a page shows of an output, as HTML."""
    data = output.get("data", {})
    if "image/png" in data:
        return ""
    text = output.get("text", data.get("text/plain", "")).replace("&", "&amp;").replace("<", "&lt;")
    return data.get("text/html", f"<pre>{text}</pre>")


def of_epub(chapter):
    """Return a chapter of the EPUB, its answers where the questions are."""
    page = epub.Page(f"book/{chapter}", set(), "")
    for heading in page.body.select("#answers h3[id]"):
        place = page.body.find(id=heading["id"].replace("answer", "question"))
        answer = heading.parent
        heading.decompose()
        place.replace_with(answer.extract())
    for heading in page.body.select("#answers"):
        heading.decompose()
    return parsed(page.xhtml())


def of_site(chapter):
    page = (SITE / "book" / f"{chapter}.html").read_text(encoding="utf-8")
    return parsed(str(BeautifulSoup(page, "html.parser").select_one("article")))


def claims(soup):
    heading = soup.find(lambda tag: tag.name == "h2" and CLAIMS in tag.get_text())
    return [plain(item.get_text()) for item in heading.find_next("ul").find_all("li", recursive=False)]


def cells(soup):
    return [plain(cell.get_text()) for cell in soup.select("td, th")]


def printed(soup):
    return [number for text in soup.select(".cell_output pre") for number in NUMBER.findall(text.get_text())]


def prose(soup):
    """Return the numbers of the text: outside of code, outputs, tables and headings."""
    soup = BeautifulSoup(str(soup), "html.parser")
    for tag in soup.select("pre, table, .cell_output, h1, h2, h3, h4, title, annotation"):
        tag.replace_with(" ")
    return NUMBER.findall(soup.get_text())


def said(soup):
    return {kind.__name__: kind(soup) for kind in (claims, cells, printed, prose)}


@cache
def stored(chapter):
    return said(of_notebook(notebooks.read(ROOT / "book" / f"{chapter}.ipynb")))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_something_to_compare(chapter):
    found = {kind: len(values) for kind, values in stored(chapter).items()}
    assert found["claims"] >= 2
    assert found["cells"] > 20
    assert found["prose"] > 40
    assert found["printed"] > 3 or chapter == "why_decay"  # which shows figures and tables alone


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_page_says_what_its_notebook_says(chapter):
    assert said(of_site(chapter)) == stored(chapter)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_epub_says_what_the_notebook_says(chapter):
    assert said(of_epub(chapter)) == stored(chapter)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_packed_notebook_says_what_the_notebook_says(chapter):
    """Without what its cells will print where it is run."""
    notebook = notebooks.read(ROOT / "book" / f"{chapter}.ipynb")
    found = said(of_notebook(pack.pack(notebook)))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    assert found == said(of_notebook(notebook))
    assert found["claims"] == stored(chapter)["claims"]
    assert found["prose"] == stored(chapter)["prose"]


@cache
def paper():
    """Return the text of the pages of the PDF, by the title above them."""
    pypdf = pytest.importorskip("pypdf")
    path = SITE / "forms" / "weight-decay-by-experiment.pdf"
    if not path.exists():
        pytest.skip("make forms prints the PDF")
    pages = defaultdict(list)
    for page in pypdf.PdfReader(path).pages:
        title, _, text = page.extract_text().partition("\n")
        pages[plain(re.sub(r"^\d+\. ", "", title))].append(plain(re.sub(r"^\d+\n", "", text)))
    return pages


def on(fragment, pages):
    """Return whether a text stands on a page, or goes on from one to the next."""
    return any(fragment in page for page in pages) or any(
        fragment[:cut] in page and fragment[cut:] in following
        for page, following in pairwise(pages)
        for cut in range(1, len(fragment))
    )


def told(chapter):
    """Return the title of a chapter and the texts with numbers that paper has to say, without formulas."""
    soup = BeautifulSoup((SITE / "book" / f"{chapter}.html").read_text(encoding="utf-8"), "html.parser")
    soup = soup.select_one("article")
    title = plain(re.sub(r"^\d+\. ", "", soup.h1.get_text()).rstrip("#"))
    for tag in soup.select(f"{NOT_ON_PAPER}, {', '.join(set(LEFT_OUT) - {'summary', 'math'})}"):
        tag.decompose()
    for fold in soup.find_all("details"):
        if HINT.match(fold.get_text()):
            fold.decompose()
    for formula in soup.select("math"):
        formula.replace_with("\0")
    texts = [tag.get_text() for tag in soup.select("p, .cell_output pre, caption")]
    for table in soup.select("table"):
        columns = table.select(".dataframe th:first-child")  # which stay in sight, and so are drawn last
        others = [cell for cell in table.select("td, th") if not any(cell is column for column in columns)]
        texts += [" ".join(cell.get_text() for cell in group) for group in (columns, others)]
    fragments = [plain(part) for text in texts for part in text.split("\0")]
    return title, [fragment for fragment in fragments if NUMBER.search(fragment)]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_paper_says_what_the_page_says(chapter):
    title, fragments = told(chapter)
    pages = paper()[title]
    assert len(pages) > 5
    assert len(fragments) > 30
    assert [fragment for fragment in fragments if not on(fragment, pages)] == []
    often = {text: n for text, n in Counter(fragments).items() if n > 1}
    assert [text for text, n in often.items() if sum(page.count(text) for page in pages) < n] == []


SMALLEST = """() => Math.min(...[...document.querySelectorAll("body *:not(style)")].map(
  (tag) => parseFloat(getComputedStyle(tag).fontSize)))"""


def test_the_cheat_sheet_is_printed_whole_on_one_page(browser, tmp_path):
    html, paper = tmp_path / "sheet.html", tmp_path / "sheet.pdf"
    html.write_text(cheat_sheet.sheet(), encoding="utf-8")
    pdf.printed(browser, html, paper)
    found = paper.read_bytes()
    assert len(re.findall(rb"/Type /Page\b", found)) == 1
    for part in (b"/StructTreeRoot", b"/Lang (en", b"/Title"):
        assert part in found
    sheet = BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser")
    page = BeautifulSoup((SITE / "book" / "cheat_sheet.html").read_text(encoding="utf-8"), "html.parser")
    for kind, least in (("pre", 15), ("strong", 15)):
        texts = [plain(tag.get_text()) for tag in page.select(f"article {kind}")]
        assert len(texts) > least
        assert [plain(tag.get_text()) for tag in sheet.select(kind)] == texts
    assert len(re.findall(r"→ \d\.\d", sheet.get_text())) > 15
    tab = browser.new_page()
    tab.goto(html.as_uri())
    assert tab.evaluate(SMALLEST) >= 8 / 72 * 96 - 0.01
    tab.close()


def test_the_front_page_offers_the_forms_that_are_there(tmp_path):
    (tmp_path / "forms").mkdir()
    (tmp_path / "book").mkdir()
    front = tmp_path / "book" / "intro.html"
    front.write_text('<div id="other-forms"></div>')
    forms.offer(tmp_path)
    assert front.read_text() == '<div id="other-forms"></div>'
    for name in ("cheat-sheet.pdf", "weight-decay-by-experiment.epub"):
        (tmp_path / "forms" / name).write_bytes(b" " * 2_110_000)
        forms.offer(tmp_path)
        offered = re.findall(r'href="\.\./(.*?)" download="">.*?, 2\.1 MB\)', front.read_text())
        assert sorted(offered) == sorted(f"forms/{path.name}" for path in (tmp_path / "forms").iterdir())
    front.write_text("")
    with pytest.raises(ValueError, match="0 places"):
        forms.offer(tmp_path)


def test_the_front_page_has_a_place_for_them():
    front = (SITE / "book" / "intro.html").read_text(encoding="utf-8")
    there = {path.name for path in (SITE / "forms").glob("*")}
    offered = set(re.findall(r'href="\.\./forms/([^"]*)"', front))
    assert len(forms.PLACE.findall(front)) == 1
    assert offered == there
