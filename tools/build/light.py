"""What makes pages arrive at once: one style sheet, scripts and figures after the paint, drawn icons."""

import re
import shutil
from functools import cache
from pathlib import Path

from PIL import Image

from tools.build import style_sheet

ICON_FONT = re.compile(r'\s*<(?:link|script)\b[^>]*"[^"]*vendor/fontawesome/[^>]*>(?:</script>)?')
UNUSED = re.compile(
    r"\s*<script>DOCUMENTATION_OPTIONS\.pagename = .*?</script>"
)  # for books in several versions
# Asked for early, scripts take the way from what is painted.
HURRIED = re.compile(r'\s*<link rel="preload" as="script"[^>]*>')
WAITED_FOR = re.compile(r"<script(?=[^>]* src=)(?![^>]* defer)")
IMAGE = re.compile(r'<img\b[^>]*? src="([^"]*_images/[^"]*)"[^>]*?(?=\s*/?>)')
VIEW_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
# Elements that change nothing, most of those of a page: what has the color of the code around it (operators
# are given it), words of code in a line, names in a signature, the paragraph that is all of a cell.
PLAIN = [
    (re.compile(r"<pre><span></span>"), "<pre>"),
    (re.compile(r'<span class="(?:n|nn|nx|o|p|pm|w)">([^<]*)</span>'), r"\1"),
    (re.compile(r'<span class="pre">([^<]*)</span>'), r"\1"),
    (re.compile(r'<span class="n">([^<]*)</span>'), r"\1"),
    (re.compile(r"(<t[dh]\b[^>]*>)<p>((?:(?!</?p\b).)*)</p>\s*(?=</t[dh]>)", re.DOTALL), r"\1\2"),
]
# What the theme's scripts do to a page that has arrived and lays all of it out: they look at one box after
# the other (scroll.js does when it comes near), and at sections that the contents follow: is one hidden?
LAYS_ALL_OUT = {
    "pydata-sphinx-theme.js": (
        re.compile(r'document\.querySelectorAll\("pre, [^"]*"\)\.forEach\(\(e=>{e\.tabIndex=[^}]*}\)\)'),
        "void 0",
    ),
    "bootstrap.js": (re.compile(r"\b\w+\((\w+)\)(?=&&\(this\._targetLinks\.set)"), r"\1"),
}
THEME = re.compile(r'<script data-cfasync="false">.*?</script>', re.DOTALL)
BEFORE_PAINT = f"<script>\n{Path(__file__).with_name('before_paint.js').read_text(encoding='utf-8')}</script>"


def finish(folder):
    """Make every page light, and remove what none asks for: the icon font, and the templates of the theme."""
    static = folder / "_static"
    shutil.rmtree(static / "vendor" / "fontawesome")
    for template in static.glob("*.html"):
        template.unlink()
    for name, (laying, instead) in LAYS_ALL_OUT.items():
        unburden(static / "scripts" / name, laying, instead)
    pages = {path: light(path.read_text(encoding="utf-8"), path) for path in folder.rglob("*.html")}
    for path, page in style_sheet.shared(pages, static).items():
        path.write_text(page, encoding="utf-8")


def unburden(script, laying, instead):
    """Put something else in the place of what a script of the theme does once."""
    text, count = laying.subn(instead, script.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"{script.name} was expected to lay a page out at one place, not {count}")
    script.write_text(text, encoding="utf-8")


def light(page, path):
    """Return a page that is painted, in its theme, before scripts have run and figures are here."""
    page = THEME.sub(lambda _: BEFORE_PAINT, page)
    for unwanted in (ICON_FONT, UNUSED, HURRIED):
        page = unwanted.sub("", page)
    for element, content in PLAIN:
        page = element.sub(content, page)
    return with_sizes(WAITED_FOR.sub("<script defer", page), path)


def with_sizes(page, path):
    """Return a page that keeps a place for each figure, and loads all but the first when they are near."""
    seen = []

    def sized(match):
        seen.append(match[1])
        width, height = size(path.parent / match[1])
        lazy = ' loading="lazy"' if len(seen) > 1 else ""
        return f'{match[0]} width="{width}" height="{height}"{lazy}'

    return IMAGE.sub(sized, page)


@cache
def size(path):
    """Return the width and the height of a figure in pixels."""
    if path.suffix == ".svg":
        return tuple(
            round(float(side)) for side in VIEW_BOX.search(path.read_text(encoding="utf-8")).groups()
        )
    with Image.open(path) as figure:
        return figure.size
