"""How a chapter meets the eye: what is seen first, how much of it, and what it asks."""

import re
from statistics import median

import nbformat
import pytest

from tools import ROOT
from tools.build import notebooks
from tools.verify.prose import is_figure

CHAPTERS = notebooks.chapters()
PUZZLES = [path for path in CHAPTERS if path.stem != "why_decay"]
FOLD = re.compile(r"<details>.*?</details>", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
QUESTION = re.compile(r"^> \*\*Predict (\d+)\.\*\*(.*(?:\n>.*)*)", re.MULTILINE)
OPTION = re.compile(r"^> - \(([a-z])\) ", re.MULTILINE)
ANSWER = re.compile(r"<summary>Answer to prediction (\d+)</summary>\n\n\*\*\(([a-z])\)\*\*")
QUIZ = re.compile(
    r"^> \*\*Quiz (\d+)\.\*\*(.*(?:\n>.*)*)\n\n"
    r"<details>\n<summary>Answers to quiz (\d+)</summary>\n\n((?:- .*\n)*)\n</details>",
    re.MULTILINE,
)
PACE = 100  # words read in a minute, with their code, figures and predictions: that of a reader of chapter 3
TO_DO = re.compile(r"^> \*\*Predict|^\*{1,2}Try it\.|^### Move it yourself", re.MULTILINE)
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
REPLY = re.compile(r"^- \*\*\(([a-z])\)\*\* (Right|No)\. \S", re.MULTILINE)
CAPTION = re.compile(r"^\*\*Figure (\d+)\.(\d+)\.\*\*", re.MULTILINE)


def each(paths):
    return pytest.mark.parametrize("cells", [pytest.param(cells_of(path), id=path.stem) for path in paths])


def cells_of(path):
    return notebooks.read(path).cells


def folded(cell):
    return "hide-input" in cell.metadata.get("tags", [])


def lines(cell):
    return len([line for line in cell.source.splitlines() if line.strip()])


def seen(cell):
    """Return the text of a cell that a reader sees without opening a fold."""
    if cell.cell_type == "markdown":
        return FOLD.sub("", COMMENT.sub("", cell.source))
    printed = [output.get("text", output.get("data", {}).get("text/plain", "")) for output in cell.outputs]
    return "\n".join(["" if folded(cell) else cell.source, *printed * (not is_figure(cell))])


def words(text):
    return sum(any(letter.isalnum() for letter in word) for word in text.split())


def read_and_done(cells):
    """Return how many words are seen in the sections that are read, and in the quiz and the exercises."""
    head, *sections = SECTION.split("\n".join(seen(cell) for cell in cells))
    counts = {False: words(head), True: 0}
    for title, text in zip(sections[::2], sections[1::2], strict=True):
        counts[title in ("Quiz", "Exercises")] += words(title) + words(text)
    return counts[False], counts[True]


def visible_code(cells):
    return [cell for cell in cells if cell.cell_type == "code" and not folded(cell)]


@each(CHAPTERS)
def test_a_picture_stands_within_the_first_150_words(cells):
    before = []
    for cell in cells:
        if cell.cell_type == "code" and is_figure(cell):
            break
        before.append(seen(cell) if cell.cell_type == "markdown" else "" if folded(cell) else cell.source)
    assert len(before) < len(cells)
    assert words("\n".join(before)) <= 150


@each(CHAPTERS)
def test_visible_cells_are_short_and_the_setup_is_folded(cells):
    lengths = [lines(cell) for cell in visible_code(cells)]
    assert max(lengths) <= 20
    assert median(lengths) <= 10
    assert folded(next(cell for cell in cells if cell.cell_type == "code"))


@each(CHAPTERS)
def test_what_is_folded_here_is_folded_on_colab_too(cells):
    for cell in cells:
        if cell.cell_type == "code":
            assert (cell.metadata.get("cellView") == "form") == folded(cell), cell.source
            assert cell.source.startswith("# @title ") == folded(cell), cell.source


@each(PUZZLES)
def test_a_chapter_shows_4500_words_or_less(cells):
    read, _ = read_and_done(cells)
    assert read <= 4500


def test_the_chapter_before_the_puzzles_is_short():
    read, _ = read_and_done(cells_of(CHAPTERS[0]))
    assert read <= 1200


@each(CHAPTERS)
def test_quiz_and_exercises_have_700_words_or_less(cells):
    _, done = read_and_done(cells)
    assert 100 <= done <= 700


def test_words_to_do_are_counted_apart():
    text = "# One\n\nto read\n\n## Quiz\n\n> a b\n\n<details>c</details>\n\n## Exercises\n\nd\n\n## More\n\ne"
    assert read_and_done([nbformat.v4.new_markdown_cell(text)]) == (5, 5)


@each(PUZZLES)
def test_there_is_something_to_do_every_1100_words(cells):
    text = "\n\n".join(seen(cell) for cell in cells).partition("## What you can now claim")[0]
    assert max(map(words, TO_DO.split(text))) <= 1100


@each(CHAPTERS)
def test_what_there_was_to_try_is_done_before_the_claims(cells):
    """The cell asserts each outcome, and prints it."""
    done = [cell for cell in cells if "asked to try" in cell.source]
    assert len(done) <= 1
    for cell in done:
        assert cell.source.count("assert ") >= len(cell.outputs[0].text.splitlines()) / 2


@each(CHAPTERS)
def test_a_quiz_replies_to_every_option(cells):
    source = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    quizzes = QUIZ.findall(source)
    assert 3 <= len(quizzes) == source.count("> **Quiz") <= 5
    numbers = [number for number, *_ in quizzes]
    assert numbers == [told for _, _, told, _ in quizzes] == [str(n) for n in range(1, len(quizzes) + 1)]
    right = []
    for _, question, _, replies in quizzes:
        options = OPTION.findall(question)
        assert [letter for letter, _ in REPLY.findall(replies)] == options == list("abcd"[: len(options)])
        (letter,) = (letter for letter, verdict in REPLY.findall(replies) if verdict == "Right")
        right.append(letter)
        assert len(options) >= 3
        assert words(question) <= 75
    assert len(set(right)) > 1, "always the same letter is right"


@each(CHAPTERS)
def test_each_prediction_has_its_answer_further_down(cells):
    asked, told = [], {}
    for place, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            asked += [(place, int(n), OPTION.findall(rest)) for n, rest in QUESTION.findall(cell.source)]
            told |= {int(n): (place, letter) for n, letter in ANSWER.findall(cell.source)}
    assert len(asked) >= 2
    assert [number for _, number, _ in asked] == list(range(1, len(asked) + 1)) == sorted(told)
    for place, number, options in asked:
        assert options == list("abcdefgh"[: len(options)])
        assert len(options) >= 2
        assert told[number][0] > place
        assert told[number][1] in options
    assert len({letter for _, letter in told.values()}) > 1, "always the same letter is right"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_figures_are_numbered_in_their_order_and_have_a_sentence(path):
    number = CHAPTERS.index(path) if CHAPTERS[0].stem == "why_decay" else CHAPTERS.index(path) + 1
    figures, wanted = [], 0
    for cell in cells_of(path):
        if cell.cell_type == "code":
            assert wanted == 0 or not is_figure(cell), "a figure without a sentence under it"
            wanted += is_figure(cell)
        elif found := CAPTION.findall(cell.source):
            assert len(found) == wanted
            figures, wanted = figures + found, 0
    assert wanted == 0
    assert figures == [(str(number), str(k)) for k in range(1, len(figures) + 1)]
    assert figures


@each(CHAPTERS)
def test_a_chapter_says_how_long_it_takes_and_what_it_needs(cells):
    minutes = re.search(r"^\*(\d+) minutes\. You need:? .+", cells[0].source, re.MULTILINE)[1]
    assert int(minutes) == 5 * round(read_and_done(cells)[0] / PACE / 5)


def test_the_front_page_says_how_long_the_chapters_take():
    minutes = [int(re.search(r"^\*(\d+) minutes", cells_of(path)[0].source, re.M)[1]) for path in CHAPTERS]
    text = " ".join((ROOT / "book" / "intro.md").read_text(encoding="utf-8").split())
    begin, puzzle = re.search(r"(\d+) minutes to begin, then up to (\d+) for each puzzle", text).groups()
    assert [int(begin), int(puzzle)] == [minutes[0], max(minutes[1:])]


def test_no_page_speaks_of_a_monday():
    for path in [*CHAPTERS, *(ROOT / "book").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        assert "Monday" not in text, path.name
