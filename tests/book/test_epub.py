"""The EPUB: all pages in their order, valid, nothing wider than a reader's screen, and the same each time."""

import posixpath
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile

import pytest
import yaml

from tests.browsing import SITE
from tools import ROOT
from tools.build import epub, home

pytestmark = pytest.mark.site

XHTML, MATH, OPF, DC = (
    f"{{{name}}}"
    for name in (
        "http://www.w3.org/1999/xhtml",
        "http://www.w3.org/1998/Math/MathML",
        "http://www.idpf.org/2007/opf",
        "http://purl.org/dc/elements/1.1/",
    )
)
EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"
NAMES = [name for group in epub.parts().values() for name in group]
TOO_WIDE = """() => [...document.querySelectorAll("pre, table, img, dl, blockquote, p")].filter(
  (box) => box.getBoundingClientRect().right > innerWidth + 1 || box.scrollWidth > box.clientWidth + 1
).map((box) => `${box.tagName}: ${box.textContent.trim().slice(0, 50)}`)"""


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return epub.make(tmp_path_factory.mktemp("epub") / "book.epub")


@pytest.fixture(scope="module")
def files(book):
    with zipfile.ZipFile(book) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def pages(files):
    return {name.removesuffix(".xhtml"): ET.fromstring(files[name]) for name in files if "xhtml" in name}


def site(name):
    return (SITE / f"{name}.html").read_text(encoding="utf-8")


def test_its_first_file_says_what_it_is_and_it_is_small(book):
    head = book.read_bytes()[:60]
    assert head[30:58] == b"mimetypeapplication/epub+zip"
    assert book.stat().st_size < 3_000_000


def test_it_says_what_it_is_of_whom_and_of_when(files):
    opf = ET.fromstring(files["book.opf"])
    found = {tag: opf.find(f".//{DC}{tag}").text for tag in ("title", "creator", "language", "date")}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert found == {
        "title": "Weight Decay by Experiment",
        "creator": "The authors of Weight Decay by Experiment",
        "language": "en",
        "date": str(citation["date-released"]),
    }
    identifier = opf.find(f".//{DC}identifier").text
    assert identifier == "urn:uuid:f8cb6a18-6255-525e-b0eb-ea8962e9c498"  # libraries know the book by it


def test_its_contents_are_those_of_the_book(files, pages):
    opf = ET.fromstring(files["book.opf"])
    hrefs = {item.get("id"): item.get("href") for item in opf.iter(f"{OPF}item")}
    spine = [hrefs[item.get("idref")] for item in opf.iter(f"{OPF}itemref")]
    assert spine == [f"{NAMES[0]}.xhtml", "nav.xhtml", *(f"{name}.xhtml" for name in NAMES[1:])]
    assert set(hrefs.values()) == set(files) - {"mimetype", "META-INF/container.xml", "book.opf"}
    contents, landmarks = pages["nav"].iter(f"{XHTML}nav")
    links = [link.get("href") for link in contents.iter(f"{XHTML}a")]
    assert [link for link in links if "#" not in link] == [f"{name}.xhtml" for name in NAMES]
    assert len(links) > 100
    kinds = [link.get(EPUB_TYPE) for link in landmarks.iter(f"{XHTML}a")]
    assert {"toc", "bodymatter"} <= set(kinds)


def test_no_link_is_dead_and_no_name_stands_twice(files, pages):
    names = {
        f"{name}.xhtml": [tag.get("id") for tag in page.iter() if tag.get("id")]
        for name, page in pages.items()
    }
    assert [name for name, ids in names.items() if len(ids) != len(set(ids))] == []
    dead, n_links = [], 0
    for name, page in pages.items():
        for link in page.iter(f"{XHTML}a"):
            address, _, anchor = link.get("href").partition("#")
            if address.startswith(("https://", "http://")):
                continue
            n_links += 1
            place = posixpath.normpath(posixpath.join(posixpath.dirname(name), address))
            place = place if address else f"{name}.xhtml"
            if place not in files or (anchor and anchor not in names[place]):
                dead.append((name, link.get("href")))
    assert n_links > 500
    assert dead == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_keeps_its_formulas_figures_and_code(name, pages, files):
    page, html = pages[name], site(name)
    formulas = [formula.get("alttext") for formula in page.iter(f"{MATH}math")]
    assert len(formulas) == html.count("<math ")
    assert all(formulas)
    article = html.partition("<article")[2].partition("</article>")[0]
    figures = list(page.iter(f"{XHTML}img"))
    assert len(figures) == article.count("<img ")
    for figure in figures:
        assert len(figure.get("alt")) > 20
        assert posixpath.normpath(posixpath.join(posixpath.dirname(name), figure.get("src"))) in files
    assert len(list(page.iter(f"{XHTML}pre"))) == article.count("<pre")
    assert not list(page.iter(f"{XHTML}script"))


def test_answers_stand_at_the_end_and_folded_code_is_open(pages):
    page = pages["book/perceptron_boundary"]
    answers = page.find(f".//{XHTML}section[@id='answers']")
    titles = ["".join(title.itertext()) for title in answers.iter(f"{XHTML}h3")]
    assert {"Answer to prediction 1", "Answers to quiz 1"} <= set(titles)
    assert list(page.find(f".//{XHTML}section"))[-1] is answers
    closed = [
        "".join(fold.find(f"{XHTML}summary").itertext())
        for fold in page.iter(f"{XHTML}details")
        if fold.get("open") is None
    ]
    assert all(title.startswith("Hint") for title in closed)
    assert "Hints" in closed


def test_a_lab_says_where_it_can_be_moved(copy_of_repository):
    for address, found in [
        ("", "<code>book/why_decay.html#overfitting</code>"),
        ("https://github.com/A/b", 'href="https://a.github.io/b/book/why_decay.html#overfitting"'),
    ]:
        home.write(address, copy_of_repository)
        published = home.published(home.read(copy_of_repository))
        assert found in epub.Page("book/why_decay", set(NAMES), published).xhtml()


def test_a_link_to_what_the_book_leaves_out_leads_to_the_site_or_nowhere():
    module = "_modules/course_lib/data.html"
    assert module in site("book/api/training")
    assert "_modules" not in epub.Page("book/api/training", set(NAMES), "").xhtml()


@pytest.mark.parametrize(("width", "scheme"), [(600, "light"), (320, "dark")])
def test_nothing_is_wider_than_the_screen_of_a_reader(width, scheme, book, browser, tmp_path):
    with zipfile.ZipFile(book) as archive:
        archive.extractall(tmp_path)
    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    for name in ["nav", *NAMES]:
        tab.goto((tmp_path / f"{name}.xhtml").as_uri())
        assert tab.evaluate(TOO_WIDE) == [], name
        inverted = tab.evaluate(
            "() => [...document.images].map((image) => getComputedStyle(image).filter !== 'none')"
        )
        assert set(inverted) <= {scheme == "dark"}
    tab.close()


def test_it_is_the_same_when_it_is_made_again(book, tmp_path):
    code = "import sys; from tools.build import epub; epub.make(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, tmp_path / "again.epub"], cwd=ROOT, check=True)
    assert (tmp_path / "again.epub").read_bytes() == book.read_bytes()


def test_epubcheck_finds_nothing(book):
    epubcheck = shutil.which("epubcheck")
    if epubcheck is None:
        pytest.skip("no epubcheck on the PATH")
    with open(epubcheck, "rb") as program:
        command = ["java", "-jar", epubcheck] if program.read(2) == b"PK" else [epubcheck]
    run = subprocess.run([*command, "--failonwarnings", book], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"0 errors / 0 warnings", run.stdout)
