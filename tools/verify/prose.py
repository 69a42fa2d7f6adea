"""Checked prose: what a text states is bound to the name under which a cell prints it.

A number or a word that states a result has behind it, in a comment that readers do not see, the name of what
is stated: `-14.05°<!-- 10^6: angle -->`. The name is that under which a cell of the same section, or of the
chapter, prints the value: the row and the column of a table, what stands before the number on its line, or a
named series of a figure. The value has to round to the number, or contain the word.

What may stand without a name:

- a number that is a setting in the code of its section or of the one before, or names a row or column there;
- a number in a formula that is a whole number or a fraction;
- a number in a claim, when the claim's own test has it;
- a number word (two, seven, a hundred) that is such a setting, or counts what the section shows: the items of
  a list, rows of a table, panels or series of a figure;
- a number of somebody else, marked `<!-- given -->`, and a word that follows from the algebra of the text,
  marked `<!-- exact -->`. Tests count both and cap them.

Multiples and shares in words (twice, half, a tenth) always want a name or a mark. So do directions: clockwise
everywhere, rises, falls, faster and others in what stands under a figure.
"""

import ast
import math
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

from tools.build import notebooks
from tools.verify import claims

COMMENT = re.compile(r"<!--\s*(.*?)\s*-->")
MARKS = ("given", "exact")
HEADING = re.compile(r"^##? ", re.MULTILINE)
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PYTHON_BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
LINK_TARGET = re.compile(r"\]\([^)]*\)|<https?://[^>]*>|https?://\S+|\{\w+\}`[^`]*`")
EXPRESSION = re.compile(r"\$\$.*?\$\$|\$[^$]+\$|``.*?``|`[^`]+`", re.DOTALL)
REFERENCE = re.compile(
    r"\b(?:figures?|chapters?|algorithm|predictions?) \d+(?:(?:,| and|, and| to) \d+)*"
    r"|\*\*Predict \d+\.|^\*\d+ minutes\."
    r"|^\*\*\d\. [^*]+\*\* \((?:\d+ minutes|open-ended)",
    re.IGNORECASE | re.MULTILINE,
)
HINTS = re.compile(r"<summary>Hints</summary>.*?</details>", re.DOTALL)  # formulas: readers alone check them
ITEM_NUMBER = re.compile(r"^ *\d+\. ", re.MULTILINE)
LIST_ITEM = re.compile(r"^(?:[-*]|\d+\.) ", re.MULTILINE)
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

UNITS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty")
CARDINALS = {word: number for number, word in enumerate(UNITS + TEENS, 2)}
CARDINALS |= {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
POWERS = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SHARES = {"third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "tenth": 10, "hundredth": 100, "thousandth": 1000}
SHARES |= {"millionth": 10**6}
MULTIPLES = {"twice": 2, "half": Fraction(1, 2), "double": 2, "doubles": 2, "halves": Fraction(1, 2)}
ANY_CARDINAL = "|".join(CARDINALS)
TIMES = re.compile(
    r"\b(?P<word>twice|doubles?|halves|(?<!other )(?<!second )(?<!first )(?<!each )(?<!that )half(?! true))\b"
    rf"|\b(?P<many>a|one|{ANY_CARDINAL}) (?P<part>{'|'.join(SHARES)})s?(?=\0* (?:of|as)\b|\0*[,.;:)])"
    rf"|\b(?P<factor>{ANY_CARDINAL}|a (?P<power>{'|'.join(POWERS)})) times\b",
    re.IGNORECASE,
)
CARDINAL = re.compile(
    rf"\b(?:(?P<many>a|one|{ANY_CARDINAL}) )?(?P<power>{'|'.join(POWERS)})\b|\b(?P<word>{ANY_CARDINAL})\b",
    re.IGNORECASE,
)
TURN = re.compile(r"\b(?:anti-?|counter-?)?clockwise\b", re.IGNORECASE)
DIRECTION = re.compile(
    r"\b(?:rises?|rising|falls?|falling|grows?|growing|shrinks?|shrinking"
    r"|faster|slower|longer|shorter|larger|smaller|higher|lower|wider|narrower|steeper|flatter|fewer)\b",
    re.IGNORECASE,
)
NEAR = Fraction(1, 10)  # how far off "twice" or "a tenth" may be


@dataclass(frozen=True)
class Number:
    """A number as written, its value, and the unit of its last digit, 0 where it is exact."""

    text: str
    value: Fraction
    unit: Fraction = Fraction(0)
    percent: bool = False
    start: int = 0
    end: int = 0
    kind: str = "figure"  # or "word", or "multiple": twice, half, ten times

    def is_among(self, known):
        """Return whether it is one of some numbers, rounded to its digits; a percentage also as a share."""
        if self.kind == "multiple":
            return any(abs(other.value - self.value) <= NEAR * self.value for other in known)
        quoted = [(self.value, self.unit)] + [(self.value / 100, self.unit / 100)] * self.percent
        return any(rounds_to(other, *pair) for other in known for pair in quoted)


@dataclass(frozen=True)
class Printed:
    """What a cell prints under a name."""

    name: str
    text: str
    only_words: bool = False  # of several numbers under a name none is meant

    @property
    def numbers(self):
        return [] if self.only_words else numbers(self.text)


def rounds_to(known, value, unit):
    """Return whether a known number, which must have as many digits, rounds to a multiple of a unit."""
    if unit == 0:
        return known.value == (rounded(value, known.unit) if 0 < known.unit <= Fraction(1, 1000) else value)
    return known.unit <= unit and rounded(known.value, unit) == value


def rounded(value, unit):
    """Return the multiple of a unit that is nearest to a value, away from zero when halfway."""
    steps = math.floor(abs(value) / unit + Fraction(1, 2))
    return (-steps if value < 0 else steps) * unit


# Numbers in a text


def numbers(text, *, counts_in=None):
    """Return the numbers of a text in its order; but for decimals only where `counts_in` shows them."""
    found = []
    readers = ((POWER, _power), (DECIMAL, _decimal), (FRACTION, _fraction), (COUNT, _count), (TIMES, _times))
    for pattern, read in (*readers, (CARDINAL, _cardinal)):
        if pattern is FRACTION and counts_in is not None:
            text = "".join(a if b != HIDDEN else b for a, b in zip(text, counts_in, strict=True))
        found += [
            replace(read(match), start=match.start(), end=match.end()) for match in pattern.finditer(text)
        ]
        text = hidden(pattern, text)
    return sorted(found, key=lambda number: number.start)


def _power(match):
    exponent = int((match["exponent"] or match["raised"]).translate(SUPERSCRIPTS))
    factor = match["factor"] or "1"
    ten = Fraction(10) ** exponent
    return Number(match[0], Fraction(factor) * ten, ten / 10 ** len(factor.partition(".")[2]))


def _decimal(match):
    mantissa, _, exponent = match["digits"].partition("e")
    ten = Fraction(10) ** int(exponent or 0)
    value = Fraction(mantissa) * ten * (-1 if match["sign"] else 1)
    return Number(
        match[0].strip(), value, ten / 10 ** len(mantissa.partition(".")[2]), bool(match["percent"])
    )


def _fraction(match):
    return Number(match[0], Fraction(int(match["numerator"]), int(match["denominator"])))


def _count(match):
    value = int(match["digits"].replace(",", "")) * (-1 if match["sign"] else 1)
    unit = Fraction(1 if match["percent"] else 0)
    return Number(match[0].strip(), Fraction(value), unit, bool(match["percent"]))


def _times(match):
    if match["word"]:
        value = MULTIPLES[match["word"].lower()]
    elif match["part"]:
        value = Fraction(CARDINALS.get(match["many"].lower(), 1), SHARES[match["part"].lower()])
    else:
        value = POWERS[match["power"].lower()] if match["power"] else CARDINALS[match["factor"].lower()]
    return Number(match[0], Fraction(value), kind="multiple")


def _cardinal(match):
    if match["word"]:
        return Number(match[0], Fraction(CARDINALS[match["word"].lower()]), kind="word")
    many = CARDINALS.get((match["many"] or "a").lower(), 1)
    return Number(match[0], Fraction(many * POWERS[match["power"].lower()]), kind="word")


def hidden(pattern, text):
    return pattern.sub(lambda match: HIDDEN * len(match[0]), text)


def stated(source):
    """Return the numbers that a text states, in its order."""
    text = hidden(
        LINK_TARGET, hidden(CODE_BLOCK, hidden(ITEM_NUMBER, hidden(REFERENCE, hidden(HINTS, source))))
    )
    text = hidden(COMMENT, text)
    return numbers(text, counts_in=hidden(EXPRESSION, text))


# What cells print, and under which names


def printed(cells):
    """Return what cells print, name by name."""
    found = []
    for cell in cells:
        for output in cell.get("outputs", []):
            text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            found += named(text)
    return found


def named(text):
    """Return the values in a text with their names: of a table by row and column, else by line."""
    found, lines = [], text.splitlines()
    while lines:
        table = _table(lines)
        if table:
            found += _in_table(*table)
            lines = lines[len(table) :]
        else:
            found += _in_line(lines.pop(0))
    return found


def _table(lines):
    """Return the rows, split into cells, of a table that begins here, head first; or nothing."""
    rows = []
    for line in lines:
        cells = re.split(r"\s{2,}", line.strip())
        if len(cells) < 2 or (rows and len(cells) != len(rows[0])):
            break
        rows.append(cells)
    return rows if len(rows) > 1 else []


def _in_table(head, *rows):
    for row in rows:
        for depth in range(1, min(4, len(row))):
            for column, cell in zip(head[depth:], row[depth:], strict=True):
                yield Printed(plain(f"{', '.join(row[:depth])}: {column}"), cell)


def _in_line(line):
    name, colon, rest = line.strip().partition(": ")
    if not colon:
        name, rest = "", line.strip()
    else:
        yield Printed(plain(name), rest, only_words=len(numbers(rest)) > 1)
    end = 0
    for number in numbers(rest):
        if number.kind == "figure":
            words = plain(rest[end : number.start].rpartition(", ")[2])
            if words:
                yield Printed(plain(f"{name} {words}"), rest[number.start : number.end])
            end = number.end


def plain(name):
    """Return a name without case, markup and punctuation, as names are compared."""
    return " ".join(re.sub(r"[^\w²|^/+%°-]+", " ", name.replace("\u2212", "-")).casefold().split())


# The check


@dataclass(frozen=True)
class Scope:
    """What a section may state: values by name, in it and in its chapter, settings, and what it shows."""

    near: tuple
    far: tuple
    settings: frozenset
    shown: frozenset = frozenset()

    def values(self, name):
        """Return what is printed under a name, in the section or else in the chapter."""
        wanted = plain(name)
        for place in (self.near, self.far):
            values = [value for value in place if value.name == wanted]
            if values:
                return values
        return []


def problems(source, scope):
    """Return what a text states and neither a name nor a setting bears out, as lines that say so."""
    found, bound = [], set()
    everywhere = numbers(hidden(COMMENT, source))
    for comment in COMMENT.finditer(source):
        number = _number_before(source, comment.start(), everywhere)
        if number:
            bound.add(number.start)
        if comment[1] not in MARKS:
            found += _mismatch(source, comment, number, scope)
    for number in stated(source):
        if number.start not in bound and not _may_stand_alone(number, scope):
            found.append(f"{number.text}: no setting near; what is its name?")
    return found + directions(source, TURN)


def _number_before(source, end, candidates):
    """Return the number that a comment stands behind, with no more than a unit or markup between."""
    before = [number for number in candidates if number.end <= end]
    if before and re.fullmatch(r"[°%$`*_)\]}'\"]*(?: [A-Za-z%]{1,3})?", source[before[-1].end : end]):
        return before[-1]
    return None


def _mismatch(source, comment, number, scope):
    """Return what is wrong with a named number or word, if anything."""
    word = re.search(r"([\w-]+)[*_`]*$", source[: comment.start()])
    target = number.text if number else word and word[1]
    if target is None:
        return [f"{comment[0]} stands behind nothing"]
    values = scope.values(comment[1])
    if not values:
        return [f"{target}: no cell prints {comment[1]!r}"]
    if len({value.text for value in values}) > 1:
        texts = ", ".join(sorted({value.text for value in values}))
        return [f"{target}: {comment[1]!r} is printed more than once, as {texts}"]
    said = values[0]
    fits = number.is_among(said.numbers) if number else _has_word(said.text, target)
    return [] if fits else [f"{target}: {comment[1]!r} is {said.text}"]


def _has_word(text, word):
    return word.casefold().rstrip("s") in {
        part.rstrip("s") for part in re.findall(r"[\w-]+", text.casefold())
    }


def _may_stand_alone(number, scope):
    if number.kind == "multiple":
        return False
    return number.is_among(scope.settings | (scope.shown if number.kind == "word" else frozenset()))


def directions(source, kind=DIRECTION):
    """Return the words of direction in a text that have no name behind them."""
    text = hidden(COMMENT, hidden(EXPRESSION, source))
    return [
        f"{match[0]}: a direction needs the name of what prints it"
        for match in kind.finditer(text)
        if not COMMENT.match(source, match.end())
    ]


def unchecked(notebook, claims_file=None):
    """Return (cell index, problem) for all that a chapter states and no cell bears out."""
    parts = sections(notebook)
    cells = [cell for part in parts for _, cell in part]
    tests = asserted_in(claims_file)
    whole = Scope((), tuple(printed(cells)), inputs_in(cells))
    missing = []
    for before, part in zip([[], *parts], parts, strict=False):
        own = [cell for _, cell in part]
        scope = whole
        if any(cell.get("outputs") for cell in own):
            near = [cell for _, cell in [*before, *part]]
            scope = Scope(tuple(printed(own)), whole.far, inputs_in(near), shown_in(own))
        for position, (index, cell) in enumerate(part):
            if cell.cell_type != "markdown":
                continue
            text, _, ledger = cell.source.partition(claims.HEADING)
            found = problems(text, scope)
            if position and is_figure(part[position - 1][1]):
                found += directions(text.partition("\n\n")[0])
            for claim in claims.claims_in(ledger):
                known = Scope((), (), tests.get(claim.test_name, frozenset()))
                found += unasserted(claim.text, known)
            missing += [(index, problem) for problem in found]
    return missing


def unasserted(sentence, scope):
    """Return the numbers of a claim that its own test does not have."""
    return [
        f"{number.text}: not in the claim's own test"
        for number in stated(sentence)
        if not number.is_among(scope.settings)
    ]


def unchecked_on_page(text, book):
    """Return what a page without cells states and neither its own code nor a name of a chapter bears out."""
    own = [literals(match["code"]) for match in PYTHON_BLOCK.finditer(text)]
    scope = Scope((), book.far, book.settings.union(*own), shown_in_text(text))
    return problems(text, scope)


def book_of(chapters):
    """Return the scope of a page: what all chapters print, and their settings."""
    cells = [cell for notebook in chapters for cell in notebook.cells]
    return Scope((), tuple(printed(cells)), inputs_in(cells))


def marked(text, mark):
    """Return how often a text bears a mark."""
    return sum(comment == mark for comment in COMMENT.findall(text))


def sections(notebook):
    """Return the cells of a notebook with their indices, section by section; a heading begins one."""
    parts = [[]]
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and HEADING.search(cell.source):
            parts.append([])
        parts[-1].append((index, cell))
    return parts


def is_figure(cell):
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def inputs_in(cells):
    """Return the numbers in code, and those that name the rows and columns of printed tables."""
    found = set(settings_in(cells))
    for cell in cells:
        for output in cell.get("outputs", []):
            lines = (output.get("text", "") + output.get("data", {}).get("text/plain", "")).splitlines()
            for k in range(len(lines)):
                head, *rows = _table(lines[k:]) or [[]]
                found.update(*map(numbers, head), *(numbers(row[0]) for row in rows))
    return frozenset(found)


def shown_in(cells):
    """Return the counts of what cells show: items of lists, rows of tables, panels and series of figures."""
    counts = set()
    for cell in cells:
        if cell.cell_type == "markdown":
            counts |= shown_in_text(cell.source)
        for output in cell.get("outputs", []):
            text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            counts |= {count(_table(text.splitlines()[k:])[1:]) for k in range(len(text.splitlines()))}
            panels = re.split(r"^axes \d+", text, flags=re.MULTILINE)[1:]
            counts |= {count(panels), *(count(re.findall(r"^  \S", panel, re.MULTILINE)) for panel in panels)}
    return frozenset(counts)


def shown_in_text(text):
    paragraphs = re.split(r"\n\n(?! )", text)
    rows = [len(re.findall(r"^\|", part, re.MULTILINE)) - 2 for part in paragraphs]
    return frozenset(
        {count(LIST_ITEM.findall(part)) for part in paragraphs} | {number_of(row) for row in rows}
    )


def count(things):
    return number_of(len(things))


def number_of(value):
    return Number(str(value), Fraction(value))


def asserted_in(claims_file):
    """Return the numbers in each claim's test or in what the tests of its file share, by its name."""
    if claims_file is None:
        return {}
    tests, shared = claims.claim_tests(claims_file), frozenset(literals(claims.shared_code(claims_file)))
    return {test.name: shared.union(literals(test.source)) for test in tests}


def settings_in(cells):
    """Return the numbers that stand in the code of cells."""
    codes = [notebooks.plain(cell.source) for cell in cells if cell.cell_type == "code"]
    return frozenset().union(*map(literals, codes))


def literals(code):
    """Return the numbers in code, with their signs, ratios of two, lengths of ranges; none in strings."""
    nodes = list(ast.walk(ast.parse(code)))
    negated = {node.operand for node in nodes if isinstance(node, ast.UnaryOp)}
    found = set()
    for node in nodes:
        if node not in negated:
            with suppress(ValueError, TypeError, ZeroDivisionError):
                found.add(Number(ast.unparse(node), value_of(node)))
    return frozenset(found)


def value_of(node):
    """Return the exact value of a literal, its negative, the ratio or power of two, the length of a range."""
    match node:
        case ast.Constant(value=bool()):
            raise TypeError
        case ast.Constant(value=int() | float()):
            return Fraction(repr(node.value))
        case ast.UnaryOp(op=ast.USub()):
            return -value_of(node.operand)
        case ast.Call(func=ast.Name(id="range")):
            return Fraction(len(range(*(int(value_of(argument)) for argument in node.args))))
        case ast.BinOp(op=ast.Div()):
            return value_of(node.left) / value_of(node.right)
        case ast.BinOp(op=ast.Pow()):
            return value_of(node.left) ** int(value_of(node.right))
    raise TypeError
