"""The built pages, as files and in a browser with the network cut."""

import functools
import gzip
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse
from urllib.request import urlopen

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error

from tests.browsing import HIGHER, SIDEWAYS, SITE, Visit, quick_axe, serious
from tools import ROOT
from tools.build import home, notebooks, pdf
from tools.measure import weight
from tools.verify import claims

pytestmark = pytest.mark.site

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
GENERATED = ["404", "search", "genindex", "py-modindex", "_modules/index", "_modules/course_lib/conventions"]
CHAPTERS = [path.relative_to(ROOT).with_suffix("").as_posix() for path in notebooks.chapters()]
EVERY = sorted(
    path.relative_to(SITE).with_suffix("").as_posix()
    for path in SITE.rglob("*.html")
    if "_static" not in path.parts and path != SITE / "index.html"
)
each_page = pytest.mark.parametrize("page", PAGES)
each_page_of_the_site = pytest.mark.parametrize("page", EVERY)
each_chapter = pytest.mark.parametrize("page", CHAPTERS)

LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


class Document(HTMLParser):
    """The parts of a page, or of a part of it, that the tests ask about."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def values(self, attribute, tag=None):
        return [a[attribute] for name, a in self.tags if a.get(attribute) and tag in (None, name)]


@functools.cache
def document(path):
    return Document(path.read_text(encoding="utf-8"))


def elements(page, tag):
    """Return every element with a tag that holds no other of its kind, as text."""
    return re.findall(rf"<{tag}\b.*?</{tag}>", html(page).read_text(encoding="utf-8"), re.DOTALL)


def html(page):
    return SITE / f"{page}.html"


@each_page
def test_every_page_of_the_table_of_contents_is_built(page):
    assert html(page).stat().st_size > 2000


def test_the_table_of_contents_lists_every_page_of_the_book(root):
    sources = [path for path in (root / "book").rglob("*") if path.suffix in (".md", ".ipynb")]
    assert sorted(path.relative_to(root).with_suffix("").as_posix() for path in sources) == sorted(PAGES)


def test_the_address_without_a_page_leads_to_the_first_one():
    index, first = document(SITE / "index.html"), f"{TOC['root']}.html"
    assert f"0; url={first}" in index.values("content", "meta")
    assert index.values("href", "a") == [first]


@each_page_of_the_site
def test_nothing_is_loaded_from_another_machine(page):
    for tag, attributes in document(html(page)).tags:
        address = attributes.get(LOADING.get(tag, ""), "") or ""
        if tag == "link" and attributes.get("rel") not in ("stylesheet", "preload", "icon", "shortcut icon"):
            continue
        assert not urlparse(address).netloc, f"{tag}: {address}"
    assert "unpkg.com" not in html(page).read_text()


@each_page_of_the_site
def test_every_link_and_anchor_inside_the_book_resolves(page):
    for address in document(html(page)).values("href", "a"):
        place, anchor = urldefrag(address)
        if urlparse(address).scheme or place.startswith("//"):
            continue
        target = (html(page).parent / unquote(place)).resolve() if place else html(page)
        assert target.exists(), address
        lab, _, setting = anchor.partition("?")
        if setting:
            assert lab in document(target).values("data-lab"), address
        elif anchor and target.suffix == ".html":
            assert unquote(anchor) in document(target).values("id"), address


@each_page_of_the_site
def test_no_id_comes_twice(page):
    ids = document(html(page)).values("id")
    if page == "search":
        ids.remove("search-input")  # the theme has a search field in every page's dialog, and one more here
    assert sorted(ids) == sorted(set(ids))


@each_page_of_the_site
def test_every_image_exists_and_has_alt_text(page):
    for attributes in (a for tag, a in document(html(page)).tags if tag == "img"):
        assert (html(page).parent / unquote(attributes["src"])).exists(), attributes["src"]
        assert "alt" in attributes, attributes["src"]
        assert "_images" not in attributes["alt"]
    figures = [a["alt"] for tag, a in document(html(page)).tags if tag == "img" and "_images" in a["src"]]
    assert "" not in figures
    assert sorted(figures) == sorted(set(figures))


@each_chapter
def test_chapter_with_its_figures_weighs_600_kilobytes_or_less_on_its_way(page):
    """Pages are compressed on their way, as every host of pages does; figures are so already."""
    figures = {a["src"] for tag, a in document(html(page)).tags if tag == "img" and "_images" in a["src"]}
    weight = len(gzip.compress(html(page).read_bytes())) + sum(
        (html(page).parent / figure).stat().st_size for figure in figures
    )
    assert weight <= 600_000


@each_page_of_the_site
def test_policy_lets_nothing_run_but_the_sites_scripts_and_the_pages_own(page):
    metas = [attributes for tag, attributes in document(html(page)).tags if tag == "meta"]
    (policy,) = [meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy"]
    rules = {
        name: sources.split()
        for name, *sources in (rule.split(" ", 1) for rule in policy.split("; "))
        for sources in sources
    }
    digests = {source for source in rules["script-src"] if source.startswith("'sha256-")}
    assert {source for sources in rules.values() for source in sources} - digests == {
        *("'none'", "'self'", "file:", "data:", "'unsafe-hashes'", "'unsafe-inline'")
    }
    assert [name for name, sources in rules.items() if "'unsafe-inline'" in sources] == ["style-src"]
    assert rules["default-src"] == rules["base-uri"] == ["'none'"]


@each_page_of_the_site
def test_external_links_are_well_formed(page):
    for address in document(html(page)).values("href", "a"):
        parts = urlparse(address)
        if parts.scheme not in ("", "file", "mailto"):
            assert (parts.scheme, parts.username, parts.port) == ("https", None, None), address
            assert re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", parts.netloc), address
            assert re.fullmatch(r"[\w./~%+-]*", parts.path), address


@each_chapter
def test_figures_of_a_page_are_those_of_its_notebook(page):
    images = [a for tag, a in document(html(page)).tags if tag == "img" and "_images" in a["src"]]
    cells = notebooks.read(ROOT / f"{page}.ipynb").cells
    alts = [cell.metadata["mystnb"]["image"]["alt"] for cell in cells if "mystnb" in cell.metadata]
    assert [image["alt"] for image in images] == alts


@each_chapter
def test_page_offers_one_notebook_the_one_that_carries_the_modules(page):
    """By the line under its title and by its menu, both times to be downloaded."""
    links = [a for tag, a in document(html(page)).tags if tag == "a" and a["href"].endswith(".ipynb")]
    offers = [link for link in links if not urlparse(link["href"]).netloc]
    assert [offer["href"] for offer in offers] == 2 * [f"../colab/{page.split('/')[-1]}.ipynb"]
    assert all("download" in offer for offer in offers)
    packed = notebooks.read(html(page).parent / offers[0]["href"])
    assert "SOURCES = {" in notebooks.first_code_cell(packed).source


def test_every_page_has_a_title_of_its_own_that_says_nothing_twice():
    titles = [unescape(re.search("<title>(.*)</title>", html(page).read_text())[1]) for page in EVERY]
    assert sorted(titles) == sorted(set(titles))
    parts = [re.split(" [—-] ", title) for title in titles]
    assert [part for part in parts if len(part) > len(set(part))] == []


@each_page_of_the_site
def test_every_page_has_a_description(page):
    (description,) = [a["content"] for _, a in document(html(page)).tags if a.get("name") == "description"]
    assert 10 <= len(description) <= 160
    assert "not set" not in description


@pytest.mark.parametrize("page", [*PAGES, *GENERATED])
def test_every_table_has_a_name_and_says_what_its_headings_are_of(page):
    for table in elements(page, "table"):
        tags = Document(table).tags
        if tags[0][1].get("role") == "presentation":
            assert "<th" not in table
            continue
        assert tags[0][1].get("aria-label") or "<caption>" in table
        head, *rows = [
            [(tag, a.get("scope")) for tag, a in Document(row).tags if tag in ("th", "td")]
            for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        ]
        assert head == len(head) * [("th", "col")]
        assert rows == len(rows) * [[("th", "row"), *(len(head) - 1) * [("td", None)]]]


@each_chapter
def test_outputs_on_the_page_are_those_stored_in_the_notebook(page):
    text = html(page).read_text()
    for cell in notebooks.read(ROOT / f"{page}.ipynb").cells:
        for output in cell.get("outputs", []):
            line = output.get("text", "").strip().split("\n")[-1]
            assert line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in text


@each_chapter
def test_folded_code_is_named_by_its_title(page):
    cells = notebooks.read(ROOT / f"{page}.ipynb").cells
    titles = [
        cell.source.partition("\n")[0] for cell in cells if "hide-input" in cell.metadata.get("tags", [])
    ]
    summaries = re.findall(r"<summary>\s*<p[^>]*>Show code: (.*?)</p>", html(page).read_text())
    assert [f"# @title {unescape(name)}" for name in summaries] == titles


@each_chapter
def test_a_table_of_a_cell_can_be_scrolled_by_the_keyboard(page):
    boxes = re.findall(r'<div class="output text_html"([^>]*)>', html(page).read_text())
    assert boxes
    assert all('tabindex="0"' in box for box in boxes)


@each_page
def test_colab_is_offered_only_at_a_public_address(page):
    assert ("colab.research.google.com" in html(page).read_text()) == bool(home.read() and page in CHAPTERS)


def test_intro_leads_to_the_first_chapter_and_then_has_a_card_for_each_puzzle():
    (article,) = elements(TOC["root"], "article")
    start, *cards = article.split("sd-card-title")
    chapters = [f"{page.split('/')[-1]}.html" for page in CHAPTERS]
    linked = [[a for a in Document(part).values("href", "a") if a in chapters] for part in (start, *cards)]
    assert linked == [[page] for page in chapters]
    assert [card.count("<details") for card in cards] == [1] * len(cards)


def words(text):
    return re.sub(r"\W+", " ", unescape(text)).strip()


def test_page_of_claims_shows_every_claim_with_its_test():
    text = html("book/claims").read_text()
    shown = words(re.sub(r"<[^>]+>", "", text))
    for chapter in notebooks.chapters():
        for claim in claims.claims(notebooks.read(chapter)):
            assert f'class="nf">{claim.test_name}</span>' in text
            assert claim.id in document(html("book/claims")).values("id")
            assert words(f"{claim.id}: {claim.sentence}") in shown
            assert not claim.heard or words(claim.heard) in shown


def test_api_page_documents_every_public_name():
    import course_lib

    pages = [page for page in weight.pages() if page.startswith("book/api/")]
    ids = {name for page in pages for name in document(html(page)).values("id")}
    for name in course_lib.__all__:
        module = __import__(f"course_lib.{name}", fromlist=["__all__"])
        for public in module.__all__:
            assert f"course_lib.{name}.{public}" in ids


def test_logo_and_favicon_are_the_books_own():
    page = document(html(TOC["root"]))
    icons = [a["href"] for tag, a in page.tags if tag == "link" and "icon" in (a.get("rel") or "")]
    assert any(icon.endswith("favicon.svg") for icon in icons)
    assert any("logo.svg" in source for source in page.values("src", "img"))


# Boxes and captions that are wider than their place, and links to a source that have slid out of their line.
TOO_WIDE = """async () => {
  await document.fonts.ready;
  const boxes = [...document.querySelectorAll(".formula, .prev-next-area a")];
  const captions = [...document.querySelectorAll(".text_html caption")];
  const sources = [...document.querySelectorAll("dt .viewcode-link")];
  const end = (box) => box.getBoundingClientRect().bottom;
  return [
    ...boxes.filter((box) => box.scrollWidth > box.clientWidth),
    ...captions.filter((caption) => caption.offsetWidth > caption.closest(".text_html").clientWidth),
    ...sources.filter((link) => end(link) > end(link.closest("dt")) + 1),
  ].map((box) => box.textContent);
}"""


@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (320, "dark")])
@pytest.mark.parametrize("page", PAGES + GENERATED)
def test_page_in_a_browser_with_the_network_cut(page, width, scheme, browser, address):
    with Visit(browser, address, width=width, scheme=scheme) as visit:
        tab = visit.open(f"{page}.html")
        assert visit.outside == []
        assert visit.errors == []
        tab.evaluate(pdf.EVERY_FIGURE)  # fails when one is broken
        assert tab.evaluate(SIDEWAYS) <= 1
        assert tab.evaluate("() => document.documentElement.dataset.theme") == scheme
        tab.evaluate("() => document.querySelectorAll('details').forEach(fold => { fold.open = true })")
        assert tab.evaluate(TOO_WIDE) == []
        assert tab.evaluate(HIGHER) == []
        assert serious(tab) == []


# A page on which axe-core finds faults, what it cannot tell, and what is right.
FAULTY = """<html><head><title>Faulty</title></head><body style="background: rgb(250 250 250)">
  <main><h1>One</h1><p style="color: #999">pale</p><p style="color: hsl(0 0% 20%); opacity: 0.9">dark</p>
  <div style="background: linear-gradient(red, blue)"><p>on a gradient</p></div>
  <div style="background: rgb(0 0 0 / 50%); mix-blend-mode: multiply"><p style="color: #fffd">mixed</p></div>
  <p style="color: #777; text-shadow: 0 0 3px black">shadow</p>
  <p style="color: color(srgb 0.5 0.6 0.5)">new</p>
  <img src="data:,"><input><a href="#">link <span style="color: silver">in it</span></a><table><th>x</table>
</main></body></html>"""


def test_axe_finds_with_faster_colors_what_it_finds_by_itself(browser):
    tab = browser.new_page()
    tab.set_content(FAULTY)
    found = []
    for axe in (Axe(), quick_axe()):
        found.append(axe.run(tab, options={}).response)
        tab.set_content(FAULTY)
    assert all(found[0][kind] for kind in ("violations", "incomplete", "passes"))
    contrast = [rule for rule in found[0]["violations"] if rule["id"] == "color-contrast"]
    assert len(contrast[0]["nodes"]) >= 3
    for kind in ("violations", "incomplete", "passes", "inapplicable"):
        assert found[0][kind] == found[1][kind]
    assert any(line.startswith("color-contrast: ") for line in serious(tab))
    tab.close()


def test_the_network_is_cut_and_what_is_asked_of_it_is_noted(browser, address, monkeypatch):
    """Of a server that does answer."""
    monkeypatch.setenv("NO_PROXY", "localhost")
    elsewhere = f"{address.replace('127.0.0.1', 'localhost')}index.html"
    assert urlopen(elsewhere).status == 200
    with Visit(browser, address) as visit:
        with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
            visit.page.goto(elsewhere)
        assert visit.outside == [elsewhere]


def test_what_a_page_keeps_is_forgotten_by_the_next_visit(browser, address):
    for _ in range(2):
        with Visit(browser, address) as visit:
            tab = visit.open("book/intro.html")
            assert tab.evaluate("() => localStorage.getItem('kept')") is None
            tab.evaluate("() => localStorage.setItem('kept', '1')")


def luminance(color):
    red, green, blue = (int(part) for part in color[color.index("(") + 1 : -1].split(",")[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def test_dark_mode_turns_the_page_dark_and_the_text_light(browser, address):
    style = "() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color] }"
    with Visit(browser, address, scheme="dark") as visit:
        background, text = visit.open(f"{CHAPTERS[0]}.html").evaluate(style)
    assert luminance(background) < 0.2
    assert luminance(text) > 0.6


@pytest.mark.parametrize("page", ["book/glossary", "book/zoo", "book/teaching"])
def test_a_table_of_two_columns_fits_a_phone(page, browser, address):
    wide = """() => [...document.querySelectorAll("article table")]
      .filter((table) => table.rows[0].cells.length === 2)
      .map((table) => table.parentElement.scrollWidth - table.parentElement.clientWidth)"""
    with Visit(browser, address, width=390) as visit:
        beyond = visit.open(f"{page}.html").evaluate(wide)
        assert beyond
        assert max(beyond) <= 0


SEARCHED = "#search-results :text('Search finished')"  # until then results are listed one by one


def test_search_finds_a_chapter_offline(browser, address):
    with Visit(browser, address) as visit:
        tab = visit.open("search.html?q=bisector")
        tab.wait_for_selector(SEARCHED, timeout=10_000)
        found = tab.eval_on_selector_all("#search-results li a", "links => links.map(link => link.href)")
        assert any("book/perceptron_boundary" in link for link in found)
        assert visit.outside == []


@pytest.mark.parametrize(
    ("word", "first"),
    [("LayerNorm", "cheat_sheet"), ("Adafactor", "rosetta"), ("GradScaler", "cheat_sheet")],
)
def test_search_begins_with_what_is_looked_up(word, first, browser, address):
    with Visit(browser, address) as visit:
        tab = visit.open(f"search.html?q={word}")
        tab.wait_for_selector(SEARCHED, timeout=10_000)
        found = tab.eval_on_selector_all("#search-results li a", "links => links.map(link => link.pathname)")
        assert f"book/{first}" in found[0]


@pytest.mark.parametrize("word", ["claim", "notebook"])
def test_search_shows_text_of_the_articles_and_not_of_the_menus(word, browser, address):
    """Both words also stand in menus and in the line that says how to run a chapter."""
    with Visit(browser, address) as visit:
        tab = visit.open(f"search.html?q={word}")
        tab.wait_for_selector(SEARCHED, timeout=10_000)
        tab.wait_for_load_state("networkidle")
        hits = tab.locator("#search-results li:has(.context)").all()
        assert len(hits) >= len(CHAPTERS)
        for hit in hits:
            page = urlparse(hit.locator("a").get_attribute("href")).path.removesuffix(".html")
            (article,) = elements(page, "article")
            text = re.sub(r'<p class="run-this-chapter">.*?</p>|<[^>]+>', "", article)
            assert words(hit.locator(".context").text_content()) in words(text)
        assert visit.errors == []


@each_chapter
def test_predictions_are_asked_kept_told_and_forgotten(page, browser, address):
    notebook = notebooks.read(ROOT / f"{page}.ipynb")
    text = "\n\n".join(source for _, source in notebooks.markdown(notebook))
    told = re.findall(r"<summary>Answer to prediction (\d+)</summary>\n\n\*\*\(([a-z])\)", text)
    answers = {int(number): letter for number, letter in told}
    with Visit(browser, address) as visit:
        tab = visit.open(f"{page}.html")
        assert tab.locator('fieldset:has(input[name^="prediction"]) legend').count() == len(answers)
        assert tab.locator(".predictions li").count() == len(answers)
        assert tab.locator(".verdict").count() == 0
        tab.locator(f'fieldset input[name="prediction-1"]:not([value="{answers[1]}"])').first.check()
        tab.locator(f'fieldset input[name="prediction-2"][value="{answers[2]}"]').check()

        tab = visit.open(f"{page}.html")
        heading = tab.locator(".predictions h2").inner_text()
        assert heading == f"Your predictions: 1 of {len(answers)} right"
        first, second, *others = tab.locator(".predictions li").all_inner_texts()
        assert first.startswith("You predicted")
        assert ". It is (" + answers[1] in first
        assert second.startswith(f"You predicted ({answers[2]}")
        assert second.endswith(": right.")
        assert all(line.startswith("You have not predicted.") for line in others)
        assert {line.split()[1] for line in tab.locator(".verdict").all_text_contents()} == {"predicted"}
        assert tab.locator(".verdict").count() == 2

        tab.get_by_role("button", name="Predict again").click()
        assert tab.locator(".verdict").count() == tab.locator("fieldset input:checked").count() == 0
        tab = visit.open(f"{page}.html")
        assert tab.locator("fieldset input:checked").count() == 0
        assert visit.errors == []


@each_chapter
def test_a_quiz_replies_at_once_and_remembers(page, browser, address):
    notebook = notebooks.read(ROOT / f"{page}.ipynb")
    text = "\n\n".join(source for _, source in notebooks.markdown(notebook))
    told = re.findall(r"<summary>Answers to quiz \d+</summary>\n\n((?:- .*\n)*)", text)
    right = [re.search(r"\*\*\(([a-d])\)\*\* Right", replies)[1] for replies in told]
    with Visit(browser, address) as visit:
        tab = visit.open(f"{page}.html")
        replies = tab.get_by_role("status").filter(has_text=re.compile(r"^\(.\) (Right|No)\. \w"))
        assert tab.locator("details:visible", has_text="Answers to quiz").count() == 0
        for number, letter in enumerate(right, 1):
            assert replies.count() == number - 1
            options = tab.locator(f'input[name="quiz-{number}"]')
            for value in options.evaluate_all("inputs => inputs.map(input => input.value)"):
                options.and_(tab.locator(f'[value="{value}"]')).check()
                verdict = "Right." if value == letter else "No."
                assert replies.nth(number - 1).inner_text().startswith(f"({value}) {verdict} ")
            options.and_(tab.locator(f'[value="{letter}"]')).check()
        assert tab.locator(".predictions h2").inner_text().startswith("Your predictions: 0 of ")

        tab = visit.open(f"{page}.html")
        assert [text[4:10] for text in replies.all_inner_texts()] == ["Right."] * len(right)
        assert tab.locator('input[name^="quiz"]:checked').count() == len(right)
        assert visit.errors == []


def test_progress_is_shown_saved_and_forgotten(browser, address):
    with Visit(browser, address) as visit:
        tab = visit.open("book/intro.html")
        assert tab.locator("#your-progress").inner_text() == ""
        for page in CHAPTERS[:2]:
            tab = visit.open(f"{page}.html")
            asked = tab.locator("fieldset.question").count()
            exercises = tab.locator(".solved").count()
            total = asked + exercises
            tab.locator('input[name="prediction-1"]').first.check()
            tab.locator('input[name="quiz-1"]').first.check()
            mark = tab.locator("nav.bd-links .current > .progress-made")
            assert mark.text_content() == f" 2/{total}"
            assert mark.get_attribute("aria-label") == f": 2 of {total} questions and exercises done"
        tab.locator(".solved input").first.check()
        assert mark.text_content() == f" 3/{total}"

        tab = visit.open("book/intro.html")
        assert tab.locator("nav.bd-links .progress-made").count() == 2
        lines = tab.locator("#your-progress li").all_inner_texts()
        assert len(lines) == 2
        assert lines[1].endswith(f": 3 of {total} questions and exercises done")
        with tab.expect_download() as saved:
            tab.get_by_role("button", name="Save it as a file").click()
        assert saved.value.suggested_filename == "my-progress.json"
        told = json.loads(Path(saved.value.path()).read_text(encoding="utf-8"))
        kinds = {
            key.split()[0]: value for key, value in told.items() if key.endswith(f"{Path(page).name}.html")
        }
        assert kinds.keys() == {"asked", "predictions", "exercises", "solved"}
        assert (kinds["asked"], kinds["exercises"]) == (asked, exercises)
        assert set(kinds["predictions"]) == {"1", "quiz 1"}
        assert list(kinds["solved"].values()) == [True]

        tab.get_by_role("button", name="Forget it all").click()
        assert tab.locator("#your-progress").inner_text() == ""
        assert tab.locator("nav.bd-links .progress-made").count() == 0
        tab = visit.open(f"{CHAPTERS[1]}.html")
        assert tab.locator("fieldset input:checked, .solved input:checked").count() == 0
        assert visit.errors == []


@each_chapter
def test_what_was_solved_is_ticked_by_keys_kept_and_taken_back(page, browser, address):
    text = "\n".join(source for _, source in notebooks.markdown(notebooks.read(ROOT / f"{page}.ipynb")))
    names = re.findall(r"^\*\*(\d+\. [^*]+)\*\* \(.*\[solution\]", text, re.MULTILINE)
    with Visit(browser, address) as visit:
        tab = visit.open(f"{page}.html")
        boxes = tab.get_by_role("checkbox", name="I solved it")
        assert boxes.count() == len(names)
        for number, name in enumerate(names):
            box = tab.get_by_role("checkbox", name=f"I solved it: {name}", exact=True)
            assert not box.is_checked()
            assert "I solved it" in box.locator("xpath=..").inner_text()
            if number % 2:
                box.focus()
                tab.keyboard.press("Space")
        tab = visit.open(f"{page}.html")
        assert [box.is_checked() for box in boxes.all()] == [bool(n % 2) for n in range(len(names))]
        for box in boxes.all():
            box.uncheck()
        tab = visit.open(f"{page}.html")
        assert tab.locator(".solved input:checked, .current > .progress-made").count() == 0
        assert visit.errors == []


MORE_THAN_ASKED = json.dumps({f"quiz {number}": "a" for number in range(99)})


@pytest.mark.parametrize(
    "value", [MORE_THAN_ASKED, "{", "3", "[]", '"<b>"', "null", "-1", '{"1": "<img src=x onerror=alert(1)>"}']
)
def test_what_is_kept_may_be_anything(value, browser, address):
    page = CHAPTERS[1].removeprefix("book/")
    with Visit(browser, address) as visit:
        tab = visit.open("book/intro.html")
        for kind in ("predictions", "asked", "solved", "exercises"):
            tab.evaluate("([key, value]) => localStorage.setItem(key, value)", [f"{kind} {page}.html", value])
        visit.open("book/intro.html")
        tab = visit.open(f"{CHAPTERS[1]}.html")
        tab.locator('input[name="quiz-1"]').first.check()
        tab.locator(".solved input").first.check()
        mark = tab.locator("nav.bd-links .current > .progress-made").text_content()
        done, total = map(int, mark.split("/"))
        assert 2 <= done <= total == tab.locator("fieldset.question, .solved").count()
        assert tab.locator("article img[src=x]").count() == 0
        assert visit.errors == []


def test_without_scripts_questions_and_answers_are_text(browser, address):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{address}{CHAPTERS[1]}.html")
    assert tab.locator("fieldset, .solved").count() == 0
    assert tab.locator("blockquote", has_text="Predict 1.").locator("li").count() >= 2
    assert tab.locator("summary", has_text="Answer to prediction 1").count() == 1
    assert tab.locator("blockquote", has_text="Quiz 1.").locator("li").count() >= 3
    assert tab.locator("details", has_text="Answers to quiz 1").locator("li").count() >= 3
    context.close()


def test_there_is_one_search_field_in_sight(browser, address):
    with Visit(browser, address) as visit:
        tab = visit.open(f"{CHAPTERS[0]}.html")
        assert tab.locator("input[type=search]:visible, .search-button-field:visible").count() == 1


def test_a_script_that_is_not_the_sites_does_not_run(browser, address):
    inject = """source => {
        const script = document.createElement("script");
        script.textContent = source;
        document.head.append(script);
        return window.intruder ?? null;
    }"""
    with Visit(browser, address) as visit:
        tab = visit.open(f"{CHAPTERS[0]}.html")
        assert tab.evaluate(inject, "window.intruder = 1") is None
        assert any("Content Security Policy" in error for error in visit.errors)


REACHABLE = """() => {
    const all = document.querySelectorAll("a[href], button, input, summary, select, textarea, [onclick]");
    const inSight = element => element.checkVisibility({visibilityProperty: true, opacityProperty: true});
    const firstOfItsGroup = radio => radio === document.querySelector(`input[name="${radio.name}"]`);
    const stops = element => element.type !== "radio" || firstOfItsGroup(element);
    const reachable = [...all].filter(e => inSight(e) && e.getClientRects().length && stops(e));
    reachable.forEach((element, index) => { element.dataset.reach = index });
    return reachable.map(element => element.outerHTML.slice(0, 120));
}"""
FOCUSED = "() => document.activeElement === document.body ? 'end' : document.activeElement.dataset.reach"


@pytest.mark.parametrize("page", [TOC["root"], CHAPTERS[0], "book/claims", "search"])
def test_tab_reaches_everything_that_can_be_clicked_and_then_the_end(page, browser, address):
    with Visit(browser, address) as visit:
        tab = visit.open(f"{page}.html")
        wanted = tab.evaluate(REACHABLE)
        tab.evaluate("() => document.activeElement.blur()")
        reached = []
        while "end" not in reached:
            assert len(reached) < 1000, "the focus is caught"
            tab.keyboard.press("Tab")
            reached.append(tab.evaluate(FOCUSED))
        missed = [text for index, text in enumerate(wanted) if str(index) not in reached]
        assert missed == []
