"""The built pages on paper: nothing is cut, and the answers stand at the end."""

import re

import pytest

from tests.browsing import SITE, Visit
from tools import ROOT
from tools.build import handout, notebooks, pdf
from tools.measure import weight

pytestmark = pytest.mark.site

CHAPTERS = [path.relative_to(ROOT).with_suffix("").as_posix() for path in notebooks.chapters()]
API = [page for page in weight.pages() if page.startswith("book/api/")]
PAGES = [*CHAPTERS, *(f"book/{name}" for name in ("cheat_sheet", "rosetta", "claims", "glossary")), *API]
WIDTH = round((210 - 2 * 17) / 25.4 * 96)  # of A4 between its margins, in CSS pixels
CUT = """() => {
  const boxes = [...document.querySelectorAll("article :is(pre, table, img, svg, .formula, math, fieldset)")];
  const shown = boxes.filter((box) => box.checkVisibility() && box.getBoundingClientRect().width > 1);
  const cut = shown.filter((box) => box.getBoundingClientRect().right > innerWidth + 1
    || (getComputedStyle(box).overflowX !== "visible" && box.scrollWidth > box.clientWidth + 1));
  return [shown.length, cut.map((box) => box.tagName + ": " + box.textContent.trim().slice(0, 60))];
}"""


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_cut_on_paper(page, browser, address):
    with Visit(browser, address, width=WIDTH) as visit:
        tab = visit.open(f"{page}.html")
        tab.emulate_media(media="print")
        shown, cut = tab.evaluate(CUT)
        assert shown > 3
        assert cut == []
        assert not tab.locator(
            ".bd-sidebar-primary, .bd-header-article, .prev-next-footer"
        ).first.is_visible()


def title_of(page):
    title = notebooks.read(ROOT / f"{page}.ipynb").cells[0].source.splitlines()[0].removeprefix("# ")
    return re.sub(r'"(.*?)"', "“\\1”", title)


@pytest.mark.parametrize("page", CHAPTERS)
def test_answers_stand_at_the_end_on_paper(page, browser, address):
    text = "\n\n".join(source for _, source in notebooks.markdown(notebooks.read(ROOT / f"{page}.ipynb")))
    answers = re.findall(r"<summary>(Answers? to (?:prediction|quiz) \d+)</summary>", text)
    assert len(answers) > 4
    with Visit(browser, address) as visit:
        tab = visit.open(f"{page}.html")
        for name in ("prediction-1", "quiz-1"):
            tab.locator(f'input[name="{name}"]').first.check()
        tab.emulate_media(media="print")
        for _ in range(2):
            tab.evaluate("() => dispatchEvent(new Event('beforeprint'))")
            assert (
                tab.locator("article > section > section.answers:last-child h4").all_inner_texts() == answers
            )
            assert not any(line.is_visible() for line in tab.locator(".verdict, .reply").all())
            assert tab.locator(".answer summary").count() == 0
            assert tab.locator("article > section").evaluate("chapter => chapter.style.page") == "chapter-0"
            title = re.search(r"content: (.*); font", tab.locator("style.titles").text_content())[1]
            assert re.fullmatch(r'"(?:\d\. )?(.*)"', title)[1] == title_of(page)
            assert all(len(told) > 20 for told in tab.locator(".answer").all_inner_texts())
            assert not any(
                fold.is_visible() for fold in tab.locator("details", has_text="Answer to pred").all()
            )
        tab.evaluate("() => dispatchEvent(new Event('afterprint'))")
        assert tab.locator(".answers, .answered-below, style.titles").count() == 0
        assert visit.errors == []


def test_a_printed_page_has_its_structure_an_outline_and_a_language(browser, tmp_path):
    pdf.printed(browser, SITE / f"{CHAPTERS[0]}.html", tmp_path / "page.pdf")
    found = (tmp_path / "page.pdf").read_bytes()
    assert found.startswith(b"%PDF")
    for part in (b"/StructTreeRoot", b"/Outlines", b"/Lang (en", b"/Title", b"/Subtype /Link"):
        assert part in found
    assert len(re.findall(rb"/Type /Page\b", found)) > 3


NAMES = [path.stem for path in notebooks.chapters()]


@pytest.mark.parametrize("name", NAMES)
def test_a_handout_asks_all_that_the_chapter_asks_and_tells_only_teachers(name):
    cells = notebooks.read(ROOT / "book" / f"{name}.ipynb").cells
    source = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    pages = [handout.handout(name, answers=answers).select_one("article") for answers in (False, True)]
    students, teachers = (" ".join(page.get_text().split()) for page in pages)
    assert pages[0].select("#exercises .cell_output") == []
    asked = re.findall(r"^> \*\*((?:Predict|Quiz) \d+\.)\*\*|^\*\*(\d\. [^*]+)\*\* \(", source, re.MULTILINE)
    assert len(asked) > 4
    for question, exercise in asked:
        assert students.count(question or exercise) == 1
        assert teachers.count(question or exercise) == 1
    for told in re.findall(r"<summary>(Answers? to .*|Hints)</summary>", source):
        assert told not in students
        assert told in teachers
    for reply in (" Right. ", " No. ", "solution", "Hints", "not attempted yet", "Show code"):
        assert reply not in students
    solutions = ROOT / "book" / "solutions" / f"{name}.ipynb"
    solved = solutions.read_text(encoding="utf-8").count("assert check.") if solutions.exists() else 0
    assert teachers.count("assert check.") == solved


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_to_hand_out_asks_the_same_and_tells_only_teachers(name, tmp_path, monkeypatch):
    monkeypatch.setattr(handout, "FOLDER", tmp_path)
    handout.write_notebooks(name)
    places = [tmp_path / who / f"{name}.ipynb" for who in ("students", "teachers")]
    students, teachers = (notebooks.read(place) for place in places)
    assert [cell.source for cell in teachers.cells if cell.cell_type == "code"] == [
        cell.source for cell in students.cells if cell.cell_type == "code"
    ]
    source, told = (
        "\n\n".join(text for _, text in notebooks.markdown(each)) for each in (students, teachers)
    )
    assert len(re.findall(r"<summary>Answers? to ", told)) > 4
    questions = re.compile(r"^> \*\*(?:Predict|Quiz) \d+\.|^\*\*\d\. [^*]+\*\* \([^;)]*", re.MULTILINE)
    assert questions.findall(source) == questions.findall(told)
    for reply in ("Answer to", "Answers to", "**(a)** Right", "[solution]"):
        assert reply not in source
    assert source.count("<details>") == source.count("</details>")
    solved = tmp_path / "teachers" / "solutions" / f"{name}.ipynb"
    assert solved.exists() == (ROOT / "book" / "solutions" / f"{name}.ipynb").exists()
    assert not (tmp_path / "students" / "solutions").exists()
    assert "SOURCES = {" in notebooks.first_code_cell(students).source


def test_a_handout_leads_nowhere_on_this_machine_and_leaves_no_page_behind(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(handout, "FOLDER", tmp_path)
    found = handout.print_handout(browser, CHAPTERS[1].removeprefix("book/"), answers=True).read_bytes()
    assert found.startswith(b"%PDF")
    assert b"file:" not in found
    assert len(re.findall(rb"/Type /Page\b", found)) > 2
    assert not (SITE / "book" / "handout.html").exists()


def test_without_a_browser_it_says_so_before_anything_is_built(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(pdf, "single_page", pytest.fail)
    with pytest.raises(SystemExit, match="Chromium or Chrome"):
        pdf.make()
