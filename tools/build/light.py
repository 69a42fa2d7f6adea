"""What makes pages arrive at once: one style sheet, scripts and figures after the paint, drawn icons."""

import hashlib
import re
import shutil
from functools import cache
from urllib.parse import urlparse

from PIL import Image

ICON_FONT = re.compile(r'\s*<(?:link|script)\b[^>]*"[^"]*vendor/fontawesome/[^>]*>(?:</script>)?')
UNUSED = re.compile(
    r"\s*<script>DOCUMENTATION_OPTIONS\.pagename = .*?</script>"
)  # for books in several versions
WAITED_FOR = re.compile(r"<script(?=[^>]* src=)(?![^>]* defer)")
STYLE_SHEET = re.compile(r'\s*<link\b(?=[^>]*rel="stylesheet")[^>]*href="([^"]*)"[^>]*>')
IMPORT = re.compile(r'@import "([^"]*)";')
ADDRESS = re.compile(r'url\(["\']?(?!data:|["\'])([^"\')]+)["\']?\)')
IMAGE = re.compile(r'<img\b[^>]*? src="([^"]*_images/[^"]*)"[^>]*?(?=\s*/?>)')
VIEW_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
THEME = re.compile(r'<script data-cfasync="false">.*?</script>', re.DOTALL)
THEME_BEFORE_PAINT = """\
<script>
    const mode = localStorage.getItem("mode") || "auto";
    const dark = mode === "dark" || (mode === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    Object.assign(document.documentElement.dataset, { mode, theme: dark ? "dark" : "light" });
  </script>"""


def finish(folder):
    """Make every page light, and remove what none asks for: the icon font, and the templates of the theme."""
    static = folder / "_static"
    shutil.rmtree(static / "vendor" / "fontawesome")
    for template in static.glob("*.html"):
        template.unlink()
    for path in folder.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        path.write_text(light(page, path, static), encoding="utf-8")


def light(page, path, static):
    """Return a page that is painted, in its theme, before scripts have run and figures are here."""
    page = UNUSED.sub("", ICON_FONT.sub("", THEME.sub(THEME_BEFORE_PAINT, page)))
    return with_sizes(with_one_style_sheet(WAITED_FOR.sub("<script defer", page), path, static), path)


def with_one_style_sheet(page, path, static):
    """Return a page that asks for all its style sheets in one file."""
    sheets = tuple((path.parent / urlparse(href).path).resolve() for href in STYLE_SHEET.findall(page))
    if not sheets:
        return page
    up = "../" * len(path.relative_to(static.parent).parents[1:])
    one = f'\n    <link rel="stylesheet" href="{up}{static.name}/{joined(sheets, static.resolve())}" />'
    first, *others = STYLE_SHEET.finditer(page)
    for link in reversed(others):
        page = page[: link.start()] + page[link.end() :]
    return page[: first.start()] + one + page[first.end() :]


@cache
def joined(sheets, static):
    """Write style sheets as one into a folder, and return its name."""
    text = "\n".join(flat(sheet, static) for sheet in sheets)
    name = f"style-{hashlib.sha256(text.encode()).hexdigest()[:8]}.css"
    (static / name).write_text(text, encoding="utf-8")
    return name


def flat(sheet, static):
    """Return the text of a style sheet with what it imports, its addresses as seen from a folder above."""

    def moved(match):
        return f'url("{(sheet.parent / match[1]).resolve().relative_to(static).as_posix()}")'

    text = ADDRESS.sub(moved, sheet.read_text(encoding="utf-8"))
    return IMPORT.sub(lambda match: flat((sheet.parent / match[1]).resolve(), static), text)


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
