"""What pages draw: the ledger of claims, records of what was measured, a lab, what a teacher plans with."""

import ast
import json
import re
from dataclasses import replace

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.util.nodes import nested_parse_with_titles

from tools import ROOT
from tools.build import notebooks, teaching, zoo
from tools.verify import claims


class Ledger(Directive):
    """Every claim of every chapter, with the test that computes it, and what is often heard instead."""

    def run(self):
        heard, ledger = [], []
        for chapter in notebooks.chapters():
            tests_path = claims.tests_of(chapter)
            tests = {test.name: test for test in claims.claim_tests(tests_path)}
            tests_name = tests_path.relative_to(ROOT).as_posix()
            notebook = notebooks.read(chapter)
            ledger += [f"## {notebooks.title(notebook)}", ""]
            ledger += [f"From {{doc}}`{chapter.stem}`; the tests are in `{tests_name}`.", ""]
            for claim in claims.claims(notebook):
                ledger += [f"({claim.id})=", f"**{claim.id}**: {claim.sentence}", ""]
                if claim.heard:
                    heard += [f"- “{claim.heard}” But: [{claim.id}](#{claim.id})"]
                    ledger += [f"> Often heard: “{claim.heard}”", ""]
                if claim.test_name in tests:
                    ledger += [f":::{{dropdown}} {claim.test_name}", "```python"]
                    ledger += [tests[claim.test_name].source, "```", ":::", ""]
        return drawn(self, ["## Often heard, and at most half true", "", *heard, "", *ledger])


def drawn(directive, lines):
    """Return the nodes of a directive that stands for lines of Markdown."""
    section = nodes.section()
    section.document = directive.state.document
    text = StringList("\n".join(lines).splitlines(), directive.name)
    nested_parse_with_titles(directive.state, text, section)
    return section.children


class Rosetta(Directive):
    """Every knob of course_lib.conventions, by library, with what its check allows or has measured."""

    def run(self):
        from course_lib.conventions import KNOBS, LIBRARIES

        record = measured()
        lines = []
        for library in dict.fromkeys(name.partition(".")[0] for name in KNOBS):
            rows = {}
            for name, knob in KNOBS.items():
                if name.partition(".")[0] == library:
                    rows.setdefault(knob_cells(knob, record["knobs"]), []).append(name.partition(".")[2])
            lines += [f"### {LIBRARIES.get(library, library)}", ""]
            lines += [table_row("knob", "lambda in $J$", "bias", "off by", "it minimizes, or does")]
            lines += [table_row(*5 * ["---"])]
            for cells, names in rows.items():
                lines += [table_row(", ".join(f"`{name}`" for name in names), *cells)]
            lines += [""]
        versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        lines += [f"`make rosetta` last ran on {record['date']}, with Python {record['python']}, {versions}."]
        return drawn(self, lines)


class LargeSweep(Directive):
    """The best lambda of each optimizer at each learning rate, as `make sweep` found it."""

    def run(self):
        record = json.loads((ROOT / "book" / "sweep.json").read_text(encoding="utf-8"))
        names = list(record["losses"])
        lines = [table_row("share of the largest lr", *names), table_row(*["---"] * (len(names) + 1))]
        for place, rate in enumerate(record["rates"]):
            lines += [table_row(f"{rate:.2g}", *(best_cell(record, name, place) for name in names))]
        cost = f"It took {record['seconds']} seconds of one core, on {record['machine']}."
        lines += ["", f"`make sweep` last ran on {record['date']}: {record['runs']:,} networks, of which "]
        lines[-1] += f"{record['failed']} diverged. {cost}"
        return drawn(self, lines)


def best_cell(record, name, place):
    """Return the decay with the lowest loss at one learning rate, and that loss."""
    times = 100 if name == "AdamW" else 1
    losses = [row[place] for row in record["losses"][name]]
    lowest = min(range(len(losses)), key=lambda row: (losses[row] is None, losses[row]))
    return f"{times * record['decays'][lowest]:.2g} ({losses[lowest]:.2f})"


def measured():
    """Return the record of `make rosetta`."""
    return json.loads((ROOT / "book" / "rosetta.json").read_text(encoding="utf-8"))


def table_row(*cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def knob_cells(knob, records):
    """Return what a row says of a knob beside its name."""
    off_by = f"≤\N{NO-BREAK SPACE}{power_of_ten(knob.tolerance)}"
    if knob.name in records:
        off_by = power_of_ten(records[knob.name]["difference"])
    kind = {"l2": "", "decoupled": f" ({knob.beside}'s)"}.get(knob.penalty, f" ({knob.penalty})")
    bias = f"{knob.bias}\\*" if knob.bias_is_a_choice else knob.bias
    return formulas(knob) + kind, bias, off_by, f"`{knob.objective}`"


def formulas(knob):
    """Return the formulas of a knob, each with its losses where they differ, or need a number of outputs."""
    losses = {}
    for loss, formula in knob.formulas.items():
        losses.setdefault(formula, []).append(loss)
    if len(losses) == 1 and not any(" of " in loss for loss in knob.formulas):
        return f"`{knob.formula}`"
    return "; ".join(f"{', '.join(names)}: `{formula}`" for formula, names in losses.items())


def power_of_ten(number):
    """Return a number of one digit, such as 4e-08, as text that does not break: 4·10⁻⁸."""
    digit, exponent = f"{number:.0e}".split("e")
    power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if digit == "1" else f"{digit}·{power}"


class IdleOptimizers(Directive):
    """What every optimizer does to parameters whose gradient is zero."""

    def run(self):
        record = measured()
        lines = []
        for library, verdicts in record["optimizers"].items():
            shrinking = sum(verdict == "shrinks" for verdict in verdicts.values())
            version = record["versions"].get(library.replace("_", "-"), "")
            title = f"**{library}** {version}".strip()
            lines += [f"{title}: {shrinking} of {len(verdicts)} shrink every weight.", ""]
            for verdict in sorted(set(verdicts.values()) - {"shrinks"}, key=worst_first):
                names = ", ".join(f"`{name}`" for name, found in verdicts.items() if found == verdict)
                lines += [f"- {verdict}: {names}"]
            lines += [""]
        return drawn(self, lines)


def worst_first(verdict):
    kinds = ("tilts", "shrinks some", "does not decay", "not run")
    return kinds.index(verdict.partition(":")[0]), verdict


class Zoo(Directive):
    """A part of the zoo, named by its argument; the long tables can be searched."""

    required_arguments = 1

    def run(self):
        (part,) = self.arguments
        found = drawn(self, zoo.PARTS[part](zoo.measured()))
        if part.startswith("every"):
            for table in found:
                table["classes"].append("searchable")
        return found


class Teaching(Directive):
    """What a teacher plans with: the overview of all chapters, or the chapter that the argument names."""

    required_arguments = 1

    def run(self):
        return drawn(self, teaching.lines(self.arguments[0]))


def setting(name, rawtext, text, lineno, inliner, options=None, content=None):
    """A link to a lab's setting, which an address keeps: `words <chapter#lab?weight_decay=0.2>`."""
    words, page, fragment = re.fullmatch(r"(.+) <(\w+)#(.+)>", text).groups()
    env = inliner.document.settings.env
    place = env.app.builder.get_relative_uri(env.docname, f"book/{page}")
    return [nodes.reference(rawtext, words, refuri=f"{place}#{fragment}", internal=True)], []


class Options(dict):
    """Takes any option: a Python literal, or else a string."""

    def __missing__(self, name):
        return literal


def literal(text):
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


class Lab(Directive):
    """A lab, by its name; options are the arguments of its function. What it draws is left out.

    The content is what stands there where no scripts run, in place of the lab's own sentence.
    """

    required_arguments = 1
    has_content = True
    option_spec = Options(weight_decay=literal)  # an empty one would let no options be read

    def run(self):
        import matplotlib.pyplot as plt

        from course_lib import labs

        figures = set(plt.get_fignums())
        lab = getattr(labs, self.arguments[0])(**self.options)
        for figure in set(plt.get_fignums()) - figures:
            plt.close(figure)
        if self.content:
            lab = replace(lab, instead=" ".join(self.content))
        return [nodes.raw("", lab._repr_html_(), format="html")]
