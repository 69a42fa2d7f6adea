"""The page for teachers: what it counts, its plans, its links into the labs, and its code."""

import re
from urllib.parse import parse_qsl

import pytest
from bs4 import BeautifulSoup

from course_lib import check
from tests.benches import Bench
from tests.browsing import SITE, Visit
from tests.javascript import PLACES
from tools import ROOT
from tools.build import exercises, notebooks, teaching
from tools.verify import claims

TEXT = (ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
PAGE = SITE / "book" / "teaching.html"
CHAPTERS = teaching.chapters()
FOLD = re.compile(r"<details>.*?</details>", re.DOTALL)
SETTINGS = re.findall(r"\{setting\}`[^`]+ <(\w+)#(\w+)\?([^>`]+)>`", TEXT)
SECTIONS = dict(re.findall(r"^### (.+)\n\n((?:(?!^##).*\n)*)", TEXT, re.MULTILINE))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_what_is_counted_is_all_that_the_chapter_has(chapter):
    path = ROOT / "book" / f"{chapter.name}.ipynb"
    text = "\n".join(source for _, source in notebooks.markdown(notebooks.read(path)))
    assert len(chapter.settled) == text.count("> **Predict ") > 1
    assert chapter.n_quizzes == text.count("> **Quiz ") > 2
    declared = exercises.declared(chapter.name)  # an exercise may have two
    assert bool(declared) <= len(chapter.of_level("easy", "medium", "hard")) <= len(declared)
    assert len(chapter.exercises) == len(re.findall(r"^\*\*\d\. ", text, re.MULTILINE))
    assert len(chapter.claims) == len(claims.claim_tests(claims.tests_of(path)))
    assert chapter.has_lab == (f"book/{chapter.name}" in PLACES.values())


def test_minutes_are_added_up():
    done = [teaching.Exercise("A", 5, "easy", "a.ipynb#a"), teaching.Exercise("B", 15, "hard", "a.ipynb#b")]
    claim = claims.Claim("c", "So it is.", "It is not.")
    chapter = teaching.Chapter(
        "a", "A", 30, "", ("", ""), 3, True, (*done, teaching.Exercise("C")), (claim, claims.Claim("d", ""))
    )
    assert (chapter.in_class, chapter.at_home) == (2 * 5 + 3 * 3 + 10 + 5, 30 + 15)
    assert [*teaching.overview([chapter])][2] == "| {doc}`a` | 34 | 45 | 2 | 3 | 3 | 2 | 1 |"
    said = [*teaching.facts(chapter)]
    assert said[2] == "*Time*: 34 minutes in class, 45 at home."
    assert [line for line in said if line.startswith(("- easy", "- medium", "- hard", "- open", "- “"))] == [
        "- easy: [A](a.ipynb#a) (5 minutes)",
        "- hard: [B](a.ipynb#b) (15 minutes)",
        "- open-ended: C",
        "- “It is not.” [c](#c)",
    ]


def test_a_prediction_is_placed_by_the_section_that_answers_it():
    text = "# A\n\n> **Predict 1.** ?\n\n## B\n\n> **Predict 2.** ?\n\n"
    text += "".join(f"<summary>Answer to prediction {number}</summary>\n\n" for number in (2, 1))
    assert [*teaching.settled(text)] == ["prediction 2 in *B*", "prediction 1 before *B*"]


def test_every_chapter_has_its_goals_its_first_sight_and_its_facts():
    titles = [
        title
        for title in SECTIONS
        if "```{teaching}" in SECTIONS[title] and "*Show first*" in SECTIONS[title]
    ]
    assert titles == [chapter.title for chapter in CHAPTERS]
    for chapter in CHAPTERS:
        section = SECTIONS[chapter.title]
        assert f"```{{teaching}} {chapter.name}\n" in section
        assert "*Afterwards students can*" in section
        assert ("{setting}" in section) != ("no lab" in section)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_wrong_answers_are_those_that_the_checkers_know(chapter):
    said = "\n".join(teaching.facts(chapter))
    (fold,) = FOLD.findall(said) or [""]
    declared = exercises.declared(chapter.name).values()
    found = re.findall(r"^`(\w+)`, on \[([\w-]+)\]\(#\2\):$", fold, re.MULTILINE)
    assert [name for name, _ in found] == [exercise.name for exercise in declared]
    assert dict(found).items() <= teaching.CLAIM_OF.items()
    replies = [reply for exercise in declared for reply in exercise.wrong]
    assert re.findall(r"^- (.+)$", fold, re.MULTILINE) == replies
    assert len(replies) >= 10 * len(declared)


def test_every_exercise_is_on_a_claim_and_no_other_has_one():
    declared = [name for chapter in CHAPTERS for name in exercises.declared(chapter.name)]
    assert sorted(teaching.CLAIM_OF) == sorted(declared)
    assert set(teaching.CLAIM_OF.values()) <= {claim.id for chapter in CHAPTERS for claim in chapter.claims}


@pytest.mark.site
def test_each_reply_stands_on_the_page_as_it_is_said():
    def words(text):
        return " ".join(re.findall(r"\w+", text))

    text = words(BeautifulSoup(PAGE.read_text(encoding="utf-8"), "html.parser").get_text())
    for chapter in CHAPTERS:
        for exercise in exercises.declared(chapter.name).values():
            for reply in exercise.wrong:
                assert words(reply) in text


def test_the_lecture_lasts_an_hour_and_a_half_and_asks_what_there_is():
    plan = SECTIONS["One lecture"]
    assert sum(map(int, re.findall(r"^\| (\d+) \|", plan, re.MULTILINE))) == 90
    settled = {chapter.name: " ".join(chapter.settled) for chapter in CHAPTERS}
    asked = re.findall(r"\]\((\w+)\.ipynb\): predictions? ([\d, and]+)", plan)
    assert len(asked) == 4
    for name, numbers in asked:
        for number in re.findall(r"\d", numbers):
            assert f"prediction {number} " in settled[name]


def test_the_week_has_every_chapter_once_in_sessions_that_can_be_held():
    found = {chapter.name: chapter for chapter in CHAPTERS}
    assert sorted(name for session in teaching.WEEK for name in session) == sorted(found)
    for session in teaching.WEEK:
        assert 45 <= sum(found[name].in_class for name in session) <= 100


def test_its_code_grades_a_namespace():
    names = {}
    exec(re.search(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)[1], names)
    points = names["WORTH"]

    def undecayed(w, gradient, lr, weight_decay):
        return w - lr * gradient

    right = {name: getattr(check, name).reference for name in points}
    wrong = right | {"sgdw_step": undecayed}
    for answers, worth in ((right, sum(points.values())), (wrong, points["signed_distances"]), ({}, 0)):
        earned, verdicts = names["graded"](answers, seed=3)
        assert earned == worth
        assert list(verdicts) == list(points)
    assert names["graded"](wrong, seed=3)[1]["sgdw_step"].says


def value(text):
    """Return a setting as the labs' Python has it."""
    try:
        return float(text)
    except ValueError:
        return {"true": True, "false": False}.get(text, text)


@pytest.mark.site
@pytest.mark.parametrize(("page", "name", "query"), SETTINGS)
def test_a_link_to_a_lab_opens_it_at_its_setting(page, name, query, browser, address):
    asked = {key: text if key.endswith("_times") else value(text) for key, text in parse_qsl(query)}
    with Visit(browser, address) as visit:
        tab = visit.open("book/teaching.html")
        link = tab.locator(f'a[href="{page}.html#{name}?{query}"]')
        assert link.count() == 1
        link.click()
        bench = Bench(tab, name)
        assert bench.facts() == bench.expected(asked)
        assert bench.said == ""
        assert visit.errors == []
