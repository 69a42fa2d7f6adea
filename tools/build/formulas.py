"""Formulas, turned into MathML while the book is built: browsers set them by themselves.

temml reads the TeX: vendor/temml.min.js is the file of that name of the npm package temml 0.13.5.
"""

import re
from functools import cache
from html import escape
from pathlib import Path

from docutils import nodes
from py_mini_racer import MiniRacer

TEMML = Path(__file__).parent / "vendor" / "temml.min.js"
# Temml states twice what is displayed; browsers that know MathML Core want the attribute alone.
STATED_AGAIN = ' class="tml-display" style="display:block math;"'
TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[^\\]", re.DOTALL)
OPENING, CLOSING = {"{", r"\begin", r"\left"}, {"}", r"\end", r"\right"}
GAPS = {r"\quad", r"\qquad"}


@cache
def engine():
    engine = MiniRacer()
    engine.eval(TEMML.read_text(encoding="utf-8"))
    return engine


def mathml(tex, *, display=False):
    """Return a formula of TeX as MathML that carries its source; what temml cannot read is an error."""
    settings = {"displayMode": display, "annotate": True, "throwOnError": True}
    formula = engine().call("temml.renderToString", tex, settings).replace(STATED_AGAIN, "")
    return formula.replace("<math", f'<math alttext="{escape(" ".join(tex.split()))}"', 1)


def at_gaps(tex):
    """Return the parts of a formula between its gaps, each quad or qquad, and those gaps in between."""
    depth, pieces = 0, [""]
    for token in TOKEN.findall(tex):
        depth += (token in OPENING) - (token in CLOSING)
        if token in GAPS and depth == 0:
            pieces += [token, ""]
        else:
            pieces[-1] += token
    return pieces


def on_its_own(tex):
    """Return a displayed formula as MathML: one with gaps in parts, which wrap like words."""
    if len(pieces := at_gaps(tex)) == 1:
        return mathml(tex, display=True)
    return "".join(
        f'<span class="{piece[1:]}"> </span>' if piece in GAPS else part(piece) for piece in pieces
    )


def part(tex):
    formula = mathml(tex.strip(), display=True).replace('display="block"', 'displaystyle="true"', 1)
    return f'<span class="part">{formula}</span>'


def inline(writer, node):
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def displayed(writer, node):
    writer.body.append(writer.starttag(node, "div", "", CLASS="formula"))
    writer.body.append(on_its_own(node.astext()) + "</div>\n")
    raise nodes.SkipNode
