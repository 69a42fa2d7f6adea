"""Formulas, turned into MathML while the book is built: browsers set them by themselves.

temml reads the TeX: vendor/temml.min.js is the file of that name of the npm package temml 0.13.5.
"""

from functools import cache
from html import escape
from pathlib import Path

from docutils import nodes
from py_mini_racer import MiniRacer

TEMML = Path(__file__).parent / "vendor" / "temml.min.js"
# Temml states twice what is displayed; browsers that know MathML Core want the attribute alone.
STATED_AGAIN = ' class="tml-display" style="display:block math;"'


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


def inline(writer, node):
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def displayed(writer, node):
    writer.body.append(writer.starttag(node, "div", "", CLASS="formula"))
    writer.body.append(mathml(node.astext(), display=True) + "</div>\n")
    raise nodes.SkipNode
