"""Formulas: all of them are MathML, in a font that has their signs, and no script sets them."""

import re
from html import unescape
from unicodedata import name, normalize

import pytest
from fontTools.ttLib import TTFont
from py_mini_racer import JSEvalException

from tests.browsing import SITE, Visit
from tools import ROOT
from tools.build import math_font, notebooks
from tools.build.formulas import mathml, on_its_own

CHAPTERS = [path.relative_to(ROOT).with_suffix("").as_posix() for path in notebooks.chapters()]
FORMULA = re.compile(r"<math\b.*?</math>", re.DOTALL)
SOURCE = re.compile(r"<annotation[^>]*>(.*?)</annotation>", re.DOTALL)
SET = re.compile(r'<div class="formula"[^>]*>.*?</div>|<math\b.*?</math>', re.DOTALL)
GAP = re.compile(r"\\q?quad\b")
WRITTEN = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$(?!\$)(.+?)(?<!\\)\$", re.DOTALL)
DISPLAYED = re.compile(r'<div class="[^"]*\bformula"[^>]*>(.*?)</div>', re.DOTALL)
GAP = re.compile(r"\\q?quad\b")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


def formulas(path):
    return FORMULA.findall(path.read_text(encoding="utf-8"))


def plain(tex):
    return " ".join(tex.split())


def sources(html):
    return [unescape(source) for source in SOURCE.findall(html)]


def test_a_formula_carries_its_source():
    formula = mathml(r"a < \tfrac{1}{2}\,b")
    assert formula.startswith(r'<math alttext="a &lt; \tfrac{1}{2}\,b"><semantics>')
    assert SOURCE.findall(formula) == [r"a &lt; \tfrac{1}{2}\,b"]
    assert '<math alttext="x" display="block">' in mathml("x", display=True)


@pytest.mark.parametrize(
    ("tex", "parts"),
    [
        (r"a = b, \qquad c = d", ["a = b,", "c = d"]),
        (r"a \quad\text{and}\quad \{b\}", ["a", r"\text{and}", r"\{b\}"]),
        (r"\left( a \leftarrow b \right) \quad c", [r"\left( a \leftarrow b \right)", "c"]),
        (r"\left( a \quad b \right)", [r"\left( a \quad b \right)"]),
        (r"a = \text{b\quad c}", [r"a = \text{b\quad c}"]),
        (r"\begin{cases} a \quad b \\ c \end{cases}", [r"\begin{cases} a \quad b \\ c \end{cases}"]),
    ],
)
def test_a_displayed_formula_comes_apart_at_its_gaps_and_nowhere_else(tex, parts):
    html = on_its_own(tex)
    assert sources(html) == parts
    assert html.count('display="block"') == (len(parts) == 1)
    assert html.count('displaystyle="true"') == (len(parts) if len(parts) > 1 else 0)
    assert re.findall(r'<span class="(q?quad)"> </span>', html) == [
        gap[1:] for gap in GAP.findall(tex)[: len(parts) - 1]
    ]


@pytest.mark.parametrize("tex", [r"\nosuch{x}", r"\frac{1}{2", "x_"])
def test_what_is_no_formula_stops_the_build(tex):
    with pytest.raises(JSEvalException, match="ParseError"):
        mathml(tex)


@pytest.mark.site
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_formula_of_a_chapter_is_in_its_page_with_its_source(chapter):
    written = [
        plain(GAP.sub(" ", next(filter(None, found))))
        for _, text in notebooks.markdown(notebooks.read(ROOT / f"{chapter}.ipynb"))
        for found in WRITTEN.findall(CODE.sub("", text))
    ]
    html = (SITE / f"{chapter}.html").read_text(encoding="utf-8")
    set_ = [plain(GAP.sub(" ", " ".join(sources(formula)))) for formula in SET.findall(html)]
    assert len(written) > 10
    assert sorted(set_) == sorted(written)


@pytest.mark.site
def test_no_page_waits_for_a_script_to_set_its_formulas():
    for path in SITE.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "mathjax.js" not in text.lower()
        assert not re.search(r'class="math|window\.MathJax|temml-error', text), path
    assert not (SITE / "_static" / "mathjax").exists()


def test_what_stands_in_for_the_font_has_letters_as_high():
    """Else lines would break elsewhere, and the page move, when the font arrives."""
    font = TTFont(math_font.FONT)
    ratio = font["OS/2"].sxHeight / font["head"].unitsPerEm
    css = (ROOT / "book" / "_static" / "book.css").read_text(encoding="utf-8")
    (rule,) = re.findall(r"^math \{.*$", css, re.MULTILINE)
    assert float(re.search(r"font-size-adjust: ([\d.]+)", rule)[1]) == pytest.approx(ratio, abs=5e-4)


@pytest.mark.site
def test_the_font_has_every_sign_of_every_formula():
    """A letter that stands alone is another sign: the slanted one."""
    has = set(map(chr, TTFont(math_font.FONT).getBestCmap()))
    slanted = {
        normalize("NFKC", sign) for sign in has if "MATHEMATICAL ITALIC" in name(sign, "") or sign == "ℎ"
    }
    needed, alone = set(), set()
    for path in SITE.rglob("*.html"):
        for formula in formulas(path):
            text = re.sub(r"<[^>]+>", "", SOURCE.sub("", formula))
            alone |= set(re.findall(r"<mi>(\w)</mi>", formula)) - {"ℓ"}  # which has one form
            needed |= set(unescape(text)) - {"\n", "\u2061", "\u200b"}  # breaks, and what cannot be seen
    assert len(needed) > 50
    assert needed <= has
    assert {normalize("NFKC", letter) for letter in alone} <= slanted


@pytest.mark.site
def test_the_font_is_there_and_is_small(browser, address):
    assert math_font.FONT.stat().st_size < 30_000
    with Visit(browser, address) as visit:
        tab = visit.open(f"{CHAPTERS[0]}.html")
        assert tab.evaluate(
            "() => document.fonts.ready.then(() => document.fonts.check('16px \"STIX Two Math\"'))"
        )


def comes_true(tab, expression):
    """Wait until it is so; Playwright's own way to wait needs eval, which the policy of the site forbids."""
    for _ in range(100):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(50)
    pytest.fail(f"it does not come true: {expression}")


@pytest.mark.site
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_keyboard_stops_at_the_formulas_that_scroll_and_only_there(chapter, browser, address):
    with Visit(browser, address, width=160) as visit:
        tab = visit.open(f"{chapter}.html")
        tab.evaluate("() => document.querySelectorAll('details').forEach(fold => { fold.open = true })")
        boxes = """[...document.querySelectorAll('.formula')].map(
            (box) => [box.tabIndex, box.scrollWidth > box.clientWidth])"""
        comes_true(tab, f"{boxes}.every(([stop, scrolls]) => (stop === 0) === scrolls)")
        assert tab.evaluate(f"{boxes}.some(([stop]) => stop === 0) === {boxes}.length > 0")
        tab.set_viewport_size({"width": 1300, "height": 900})
        comes_true(tab, f"{boxes}.every(([stop, scrolls]) => stop === -1 && !scrolls)")
        assert tab.locator("math[tabindex], math [tabindex]").count() == 0
