"""What the page for teachers says of each chapter: counted in the chapter itself, so that it cannot drift."""

import re
from dataclasses import dataclass

from tools import ROOT
from tools.build import exercises, notebooks
from tools.verify import claims

HEAD = re.compile(r"^\*(\d+) minutes\. You need:? (.+)\*$", re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
QUESTION = re.compile(r"^> \*\*Predict (\d+)\.\*\*", re.MULTILINE)
ANSWER = re.compile(r"<summary>Answer to prediction (\d+)</summary>")
QUIZ = re.compile(r"^> \*\*Quiz \d+\.\*\*", re.MULTILINE)
EXERCISE = re.compile(
    r"^\*\*\d\. ([^*]+)\*\* \((?:(\d+) minutes, (\w+); \[solution\]\((.+?)\)|open-ended)\)", re.M
)
LAB = re.compile(r"^labs\.\w+\(", re.MULTILINE)
LEVELS = ("easy", "medium", "hard", "open-ended")
IN_CLASS = {"prediction": 5, "quiz": 3, "lab": 10}  # minutes to plan with: nobody has measured them

# The claim that an answer to an exercise needs, or could have found.
CLAIM_OF = {
    "signed_distances": "midpoint",
    "penalized_loss": "weights-only",
    "widest_line": "two-svms",
    "line_of_training": "drift-limit",
    "free_bias_optimum": "bias-decayed",
    "from_textbook": "lambda-over-m",
    "from_sum": "sum-divides",
    "accumulated_gradient": "unequal-micro-batches",
    "half_life_in_epochs": "adamw-clock",
    "loss_weights": "data-parallel",
    "sgdw_step": "same-step",
    "sgdw_momentum_step": "momentum-differs",
    "proximal_step": "no-zeros",
    "adam_first_step": "adam-divides",
    "mended_step": "one-line-test",
    "decay_at_rest": "schedule-multiplier",
    "penalized_grid": "decayed-path-has-its-own-landscape",
    "lr_limit": "critical-learning-rate",
    "critical_momentum": "momentum-can-slow-down",
    "ridge_alpha": "ridge-alpha-has-the-outputs-in-it",
    "fastest_lr": "decay-lowers-the-limit",
    "parity_report": "stable-runs-forget-rounding",
    "percent_error": "mape-is-not-symmetric",
    "checked_gradient": "central-differences-of-a-quadratic",
    "ulps": "equal-operations-are-equal-bits",
    "mended_run": "wall-sees-a-planted-mistake",
    "decay_for_half": "a-schedule-leaves-by-its-area",
    "decay_of_checkpoint": "frozen-words-faded-by-the-decay",
    "groups_with_traps": "the-report-names-each-trap",
    "fading_rows": "unseen-rows-fade",
    "reached": "none-is-skipped-zero-is-not",
    "decay_for_epochs": "more-data-wants-less",
    "one_standard_error": "a-round-number-is-good-enough",
    "floor_width": "a-round-number-is-good-enough",
    "losses_by_folds": "folds-beat-one-split",
    "decay_of_stopping": "early-stopping-is-ridge-within-a-factor",
}

WEEK = (
    ("why_decay", "perceptron_boundary"),
    ("lambda_and_batch_size", "scratch_vs_torch"),
    ("sgd_sgdw_l1",),
    ("loss_landscapes",),
    ("what_decay_reaches", "how_much"),
)


@dataclass(frozen=True)
class Exercise:
    title: str
    minutes: int = 0
    level: str = "open-ended"
    solution: str = ""


@dataclass(frozen=True)
class Chapter:
    """A chapter as a teacher plans with it. `settled` says where each prediction is."""

    name: str
    title: str
    minutes: int
    needs: str
    settled: tuple[str, ...]
    n_quizzes: int
    has_lab: bool
    exercises: tuple[Exercise, ...]
    claims: tuple[claims.Claim, ...]

    def of_level(self, *levels):
        return [exercise for exercise in self.exercises if exercise.level in levels]

    @property
    def in_class(self):
        """Minutes for the predictions, the quiz, the lab and the easy exercises."""
        asked = IN_CLASS["prediction"] * len(self.settled) + IN_CLASS["quiz"] * self.n_quizzes
        easy = sum(exercise.minutes for exercise in self.of_level("easy"))
        return asked + IN_CLASS["lab"] * self.has_lab + easy

    @property
    def at_home(self):
        """Minutes to read the chapter and to do the other exercises, but for the open-ended ones."""
        return self.minutes + sum(exercise.minutes for exercise in self.exercises if exercise.level != "easy")


def chapters(root=ROOT):
    """Return what is found in each chapter."""
    return [chapter(path) for path in notebooks.chapters(root)]


def chapter(path):
    notebook = notebooks.read(path)
    text = "\n\n".join(source for _, source in notebooks.markdown(notebook))
    code = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    minutes, needs = HEAD.search(text).groups()
    return Chapter(
        path.stem,
        notebooks.title(notebook),
        int(minutes),
        needs.rstrip("."),
        tuple(settled(text)),
        len(QUIZ.findall(text)),
        bool(LAB.search(code)),
        tuple(map(exercise, EXERCISE.finditer(text))),
        tuple(claims.claims(notebook)),
    )


def exercise(match):
    title, minutes, level, solution = match.groups()
    return Exercise(title, int(minutes), level, solution) if minutes else Exercise(title)


def settled(text):
    """Yield each prediction with the section that answers it, in the order of the answers."""
    asked = {match[1]: section_at(text, match.start()) for match in QUESTION.finditer(text)}
    for match in ANSWER.finditer(text):
        section = section_at(text, match.start())
        place = "in" if section == asked[match[1]] else "before"
        yield f"prediction {match[1]} {place} *{section}*"


def section_at(text, place):
    """Return the heading under which a place of a text stands."""
    return COMMENT.sub("", HEADING.findall(text[:place])[-1])


def overview(found):
    """Return the table of all chapters."""
    yield "| chapter | minutes in class | at home | predictions | quiz | exercises | claims | often heard |"
    yield "| --- " * 8 + "|"
    for each in found:
        heard = sum(claim.heard is not None for claim in each.claims)
        asked = len(each.settled), each.n_quizzes, len(each.exercises)
        cells = map(str, (each.in_class, each.at_home, *asked, len(each.claims), heard))
        yield f"| {{doc}}`{each.name}` | {' | '.join(cells)} |"
    yield ""
    asked, quiz, lab = (IN_CLASS[what] for what in ("prediction", "quiz", "lab"))
    yield (
        f"*In class* is a budget: {asked} minutes for a prediction (ask, let them commit, settle it), {quiz} "
        f"for a question of the quiz, {lab} for the lab where there is one, and the easy exercises. "
        "*At home* is to read the chapter and to do the others, but for the open-ended one."
    )


def week(found):
    """Return the table of five sessions."""
    of = {each.name: each for each in found}
    yield "| session | chapters | minutes in class | at home, after it |"
    yield "| --- " * 4 + "|"
    for number, planned in enumerate(WEEK, 1):
        names = [name for name in planned if name in of]  # a fork may leave chapters out
        links = ", ".join(f"{{doc}}`{name}`" for name in names)
        in_class, at_home = (
            sum(getattr(of[name], place) for name in names) for place in ("in_class", "at_home")
        )
        yield f"| {number} | {links} | {in_class} | {at_home} |"


def facts(each):
    """Return what a chapter takes, asks and refutes."""
    yield f"*Takes for granted*: {each.needs}."
    yield ""
    yield f"*Time*: {each.in_class} minutes in class, {each.at_home} at home."
    yield ""
    yield "*Stop and ask*, where the chapter settles it:"
    yield ""
    yield from (f"- {prediction}" for prediction in each.settled)
    if each.exercises:
        yield ""
        yield "*Exercises*:"
        yield ""
        for level in LEVELS:
            if of_level := each.of_level(level):
                yield f"- {level}: {', '.join(map(linked, of_level))}"
    yield from mistakes(each)
    yield ""
    yield "*What is often heard, and the claim that refutes it*:"
    yield ""
    for claim in each.claims:
        if claim.heard:
            yield f"- “{claim.heard}” [{claim.id}](#{claim.id})"


def mistakes(each):
    """Return a fold with the wrong answers that have a name, by exercise: what the checkers reply to them."""
    declared = exercises.declared(each.name)
    if not declared:
        return
    yield from ("", "<details>", "<summary>Wrong answers, and what the checkers reply</summary>")
    for name, checker in declared.items():
        claim = CLAIM_OF[name]
        yield from ("", f"`{name}`, on [{claim}](#{claim}):", "", *(f"- {reply}" for reply in checker.wrong))
    yield from ("", "</details>")


PARTS = {"overview": overview, "week": week}


def linked(exercise):
    """Return an exercise as a link to its solution, with its minutes."""
    if not exercise.minutes:
        return exercise.title
    return f"[{exercise.title}]({exercise.solution}) ({exercise.minutes} minutes)"


def lines(part):
    """Return a part of the page as lines of Markdown: the overview, the week, or a chapter."""
    if part in PARTS:
        return [*PARTS[part](chapters())]
    return [*facts(chapter(ROOT / "book" / f"{part}.ipynb"))]
