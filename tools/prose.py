"""Checked prose: every decimal number in a chapter's text is computed somewhere.

A number in a Markdown cell counts as checked when, rounded to the digits quoted, it equals a number
that a cell of the same notebook prints, or one that stands in the test of one of the chapter's
claims. A number that is given and not computed is marked where it stands: `0.5<!-- given -->`.
"""

import ast
import re
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from tools import notebooks

# A sign counts only where a number starts, so that "a-0.5" or "1-0.5" are not read as negative.
NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>(?<![\d)\]}])[-\u2212])?(?P<digits>\d+\.\d+)(?:e(?P<exponent>[-+]?\d+))?(?![\d])"
)
GIVEN = re.compile(r"<!--\s*given\s*-->")
LINK_TARGET = re.compile(r"\]\([^)]*\)|<https?://[^>]*>|https?://\S+")


def numbers(text):
    """Yield (as written, value, number of decimals) for every decimal number in a text."""
    for match in NUMBER.finditer(text):
        sign = "-" if match["sign"] else ""
        value = Decimal(f"{sign}{match['digits']}e{match['exponent'] or 0}")
        yield match, value, _decimals(value)


def _decimals(value):
    return max(0, -value.as_tuple().exponent)


def unchecked(notebook, claims_file=None):
    """Return (cell index, number as written) for every decimal in the prose that nothing computes."""
    known = computed(notebook, claims_file)
    return [
        (index, number)
        for index, source in notebooks.markdown(notebook)
        for number in unchecked_in(source, known)
    ]


def computed(notebook, claims_file=None):
    """Return (value, number of decimals) of every number that is printed or stands in a claim's test."""
    printed = {(value, decimals) for text in _outputs(notebook) for _, value, decimals in numbers(text)}
    return printed.union(_asserted(claims_file))


def unchecked_in(source, known):
    """Yield the decimals of a text, as written, that agree with none of the known numbers."""
    prose = LINK_TARGET.sub("]", _without_code_blocks(source))
    for match, value, decimals in numbers(prose):
        given = GIVEN.match(prose, match.end())
        if not given and not any(_agrees(value, decimals, *candidate) for candidate in known):
            yield match[0]


def _agrees(quoted, decimals, computed, computed_decimals):
    """Return whether a computed number, which must have as many digits, rounds to the quoted one."""
    if computed_decimals < decimals:
        return False
    return computed.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP) == quoted


def _without_code_blocks(source):
    return re.sub(r"^```.*?^```", "", source, flags=re.MULTILINE | re.DOTALL)


def _outputs(notebook):
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield output.get("text", "")
            yield output.get("data", {}).get("text/plain", "")


def _asserted(path):
    """Yield the decimal literals of a file of claims, outside its docstrings."""
    if path is None or not Path(path).exists():
        return
    text = Path(path).read_text(encoding="utf-8")
    negated = set()
    for node in ast.walk(ast.parse(text)):  # breadth first: a sign comes before what it negates
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            negated.add(node.operand)
            literal = "-" + (ast.get_source_segment(text, node.operand) or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, float) and node not in negated:
            literal = ast.get_source_segment(text, node) or ""
        else:
            continue
        if re.fullmatch(r"-?\d+\.\d+(e[-+]?\d+)?", literal):
            value = Decimal(literal)
            yield value, _decimals(value)
