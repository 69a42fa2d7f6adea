"""Checked prose: every number in a text is computed, near where it stands.

Numbers are decimals, percentages, powers of ten, fractions, and counts written as figures. One is checked
when a cell of its section, or of the section before, prints a number that rounds to it, or when the test of
one of the chapter's claims names it; a number without a point may also be a setting in the code of such a
cell. Sections that print nothing speak of the whole chapter, and pages without cells of the whole book;
a claim speaks of its own test alone.

In formulas and code only decimals and powers of ten are looked at: the others are parts of an expression.
A number that is given and not computed is marked where it stands: `0.5<!-- given -->`.

What is computed near may round to a wrong number by chance. So the numbers of all texts, section by section,
also stand in tests/numbers.txt, and one that changes has to be acknowledged by

python -m tools.prose        write tests/numbers.txt anew
"""

import ast
import math
import re
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

from tools import ROOT, claims, notebooks

RECORD = ROOT / "tests" / "numbers.txt"
GIVEN = re.compile(r"<!--\s*given\s*-->")
HEADING = re.compile(r"^##? ", re.MULTILINE)
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PYTHON_BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
LINK_TARGET = re.compile(r"\]\([^)]*\)|<https?://[^>]*>|https?://\S+|\{\w+\}`[^`]*`")
EXPRESSION = re.compile(r"\$\$.*?\$\$|\$[^$]+\$|``.*?``|`[^`]+`", re.DOTALL)
REFERENCE = re.compile(r"\b(?:figures?|chapters?|algorithm) \d+(?:(?:,| and|, and| to) \d+)*", re.IGNORECASE)
ITEM_NUMBER = re.compile(r"^ *\d+\. ", re.MULTILINE)
HIDDEN = "\0"
SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")

# A sign counts only where a number starts, so that "a-0.5" or "1-0.5" are not read as negative.
START = r"(?<![\w.,^_\\])(?P<sign>(?<![\d)\]}])[-\u2212])?"
PERCENT = r"(?P<percent> ?\\?%| percent)?"
POWER = re.compile(
    r"(?<![\w.,^])(?:(?P<factor>\d+(?:\.\d+)?) ?(?:·|×|\\cdot|\\times) ?)?10"
    r"(?:\^\{?(?P<exponent>[-\u2212]?\d+)\}?|(?P<raised>[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))"
)
DECIMAL = re.compile(START + r"(?P<digits>\d+\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+)(?!\.?\d)" + PERCENT)
FRACTION = re.compile(r"(?<![\w.,/^])(?P<numerator>\d+)/(?P<denominator>[1-9]\d*)(?![\w/.^])")
COUNT = re.compile(START + r"(?P<digits>\d{1,3}(?:,\d{3})+|\d+)(?![\w⁻⁰¹²³⁴⁵⁶⁷⁸⁹^]|[.,]\d)" + PERCENT)


@dataclass(frozen=True)
class Number:
    """A number as written, its value, and the unit of its last digit, 0 where it is exact."""

    text: str
    value: Fraction
    unit: Fraction = Fraction(0)
    percent: bool = False
    start: int = 0
    end: int = 0

    def is_checked_by(self, known):
        """Return whether it is among known numbers, rounded to its digits; a percentage also as a share."""
        quoted = [(self.value, self.unit)] + [(self.value / 100, self.unit / 100)] * self.percent
        return any(rounds_to(other, *pair) for other in known for pair in quoted)


def rounds_to(known, value, unit):
    """Return whether a known number, which must have as many digits, rounds to a multiple of a unit."""
    if unit == 0:
        return known.value == (rounded(value, known.unit) if 0 < known.unit <= Fraction(1, 1000) else value)
    return known.unit <= unit and rounded(known.value, unit) == value


def rounded(value, unit):
    """Return the multiple of a unit that is nearest to a value, away from zero when halfway."""
    steps = math.floor(abs(value) / unit + Fraction(1, 2))
    return (-steps if value < 0 else steps) * unit


def numbers(text, *, counts_in=None):
    """Return the numbers of a text in its order; fractions and counts only where `counts_in` shows them."""
    found = []
    for pattern, read in ((POWER, _power), (DECIMAL, _decimal), (FRACTION, _fraction), (COUNT, _count)):
        if pattern is FRACTION and counts_in is not None:
            text = "".join(a if b != HIDDEN else b for a, b in zip(text, counts_in, strict=True))
        found += [read(match) for match in pattern.finditer(text)]
        text = pattern.sub(lambda match: HIDDEN * len(match[0]), text)
    return sorted(found, key=lambda number: number.start)


def _power(match):
    exponent = int((match["exponent"] or match["raised"]).translate(SUPERSCRIPTS))
    factor = match["factor"] or "1"
    ten = Fraction(10) ** exponent
    unit = ten / 10 ** len(factor.partition(".")[2])
    return Number(match[0], Fraction(factor) * ten, unit, False, *match.span())


def _decimal(match):
    mantissa, _, exponent = match["digits"].partition("e")
    ten = Fraction(10) ** int(exponent or 0)
    value = Fraction(mantissa) * ten * (-1 if match["sign"] else 1)
    unit = ten / 10 ** len(mantissa.partition(".")[2])
    return Number(match[0].strip(), value, unit, bool(match["percent"]), *match.span())


def _fraction(match):
    value = Fraction(int(match["numerator"]), int(match["denominator"]))
    return Number(match[0], value, Fraction(0), False, *match.span())


def _count(match):
    value = int(match["digits"].replace(",", "")) * (-1 if match["sign"] else 1)
    unit = Fraction(1 if match["percent"] else 0)
    return Number(match[0].strip(), Fraction(value), unit, bool(match["percent"]), *match.span())


def quoted(source):
    """Return the numbers that a text states as results, and those that it marks as given."""
    text = hidden(LINK_TARGET, hidden(CODE_BLOCK, hidden(ITEM_NUMBER, hidden(REFERENCE, source))))
    stated, given = [], []
    for number in numbers(text, counts_in=hidden(EXPRESSION, text)):
        (given if GIVEN.match(text, number.end) else stated).append(number)
    return stated, given


def hidden(pattern, text):
    return pattern.sub(lambda match: HIDDEN * len(match[0]), text)


def unchecked(notebook, claims_file=None):
    """Return (cell index, number as written) for every number in a chapter that nothing near it computes."""
    parts = sections(notebook)
    chapter = computed(cell for part in parts for _, cell in part)
    tests, asserted = asserted_in(claims_file)
    missing = []
    for before, part in zip([[], *parts], parts, strict=False):
        prints = any(cell.get("outputs") for _, cell in part)
        printed, settings = computed(cell for _, cell in [*before, *part]) if prints else chapter
        for index, cell in part:
            if cell.cell_type == "markdown":
                text, _, ledger = cell.source.partition(claims.HEADING)
                missing += [(index, text) for text in unchecked_in(text, printed | asserted, settings)]
                for claim in claims.claims_in(ledger):
                    known = tests.get(claim.test_name, frozenset())
                    missing += [(index, text) for text in unchecked_in(claim.text, known, known)]
    return missing


def unchecked_in(source, results, settings=frozenset()):
    """Return the numbers of a text, as written, that are no result and, but for decimals, no setting."""
    return [
        number.text
        for number in quoted(source)[0]
        if not number.is_checked_by(results if is_decimal(number) else results | settings)
    ]


def is_decimal(number):
    return "." in number.text and not number.percent


def unchecked_on_page(text, book):
    """Return the numbers on a page without cells that no chapter computes and no code of its own sets.

    `book` is what `computed_in_book` returns.
    """
    results, settings = book
    own = [literals(match["code"]) for match in PYTHON_BLOCK.finditer(text)]
    return unchecked_in(text, results, settings.union(*own))


def computed_in_book(chapters):
    """Return the results and the settings of all chapters, given as pairs (notebook, file of claims)."""
    results, settings = set(), set()
    for notebook, claims_file in chapters:
        printed, set_here = computed(notebook.cells)
        results |= printed | asserted_in(claims_file)[1]
        settings |= set_here
    return frozenset(results), frozenset(settings)


def asserted_in(claims_file):
    """Return the numbers in each claim's test or in what the tests of its file share, and all of them."""
    if claims_file is None:
        return {}, frozenset()
    tests, shared = claims.claim_tests(claims_file), frozenset(literals(claims.shared_code(claims_file)))
    by_test = {test.name: shared.union(literals(test.source)) for test in tests}
    return by_test, frozenset().union(*by_test.values())


def sections(notebook):
    """Return the cells of a notebook with their indices, section by section; a heading begins one."""
    parts = [[]]
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and HEADING.search(cell.source):
            parts.append([])
        parts[-1].append((index, cell))
    return parts


def computed(cells):
    """Return the numbers that cells print, and those that stand in their code."""
    printed, settings = set(), set()
    for cell in cells:
        for output in cell.get("outputs", []):
            printed.update(numbers(output.get("text", "") + output.get("data", {}).get("text/plain", "")))
        if cell.cell_type == "code":
            settings.update(literals(notebooks.plain(cell.source)))
    return frozenset(printed), frozenset(settings)


def literals(code):
    """Yield the numbers that stand in code, with their signs, and the ratios of two; not those in strings."""
    nodes = list(ast.walk(ast.parse(code)))
    negated = {node.operand for node in nodes if isinstance(node, ast.UnaryOp)}
    for node in nodes:
        if node not in negated:
            with suppress(ValueError, TypeError, ZeroDivisionError):
                yield Number(ast.unparse(node), value_of(node))


def value_of(node):
    """Return the exact value of a literal, of its negative, or of the ratio or power of two."""
    match node:
        case ast.Constant(value=bool()):
            raise TypeError
        case ast.Constant(value=int() | float()):
            return Fraction(repr(node.value))
        case ast.UnaryOp(op=ast.USub()):
            return -value_of(node.operand)
        case ast.BinOp(op=ast.Div()):
            return value_of(node.left) / value_of(node.right)
        case ast.BinOp(op=ast.Pow()):
            return value_of(node.left) ** int(value_of(node.right))
    raise TypeError


def recorded(root=ROOT):
    """Return the lines of tests/numbers.txt: page, section, and every number in its text."""
    texts = {
        path.stem: "\n\n".join(text for _, text in notebooks.markdown(notebooks.read(path)))
        for path in notebooks.chapters(root)
    }
    texts |= {path.stem: path.read_text(encoding="utf-8") for path in sorted((root / "book").glob("*.md"))}
    lines = []
    for page, text in texts.items():
        for part in re.split(r"^(?=#+ )", text, flags=re.MULTILINE):
            title = part.partition("\n")[0].lstrip("# ")
            found = [number.text for numbers_of_a_kind in quoted(part) for number in numbers_of_a_kind]
            lines += [f"{page} | {title} | {'  '.join(found)}"] * bool(found)
    return lines


if __name__ == "__main__":
    RECORD.write_text("\n".join(recorded()) + "\n", encoding="utf-8")
