"""The built pages arrive at once: few bytes, one style sheet, no script that paint waits for, drawn icons."""

import re

import pytest
from PIL import Image

from tests.browsing import SITE, Visit
from tools import ROOT
from tools.build import light, notebooks
from tools.measure import weight

pytestmark = pytest.mark.site

CHAPTERS = [path.relative_to(ROOT).with_suffix("").as_posix() for path in notebooks.chapters()]
EVERY = sorted(path for path in SITE.rglob("*.html") if path != SITE / "index.html")
ICON = re.compile(r'class="[^"]*\b(?:fas|fa-solid)\b[^"]*"')
STYLES = ROOT / "book" / "_static" / "icons.css"
# What the theme writes by its classes in the color of the text: their boxes, and what is drawn in them.
DRAWN = """() => {
  const icons = [...document.querySelectorAll('.fas, .fa-solid')].filter((icon) => icon.checkVisibility());
  return icons.map((icon) => {
    const style = getComputedStyle(icon, '::before');
    const drawn = style.maskImage.startsWith('url("data:image/svg');
    return [icon.className, parseFloat(style.width), drawn, style.backgroundColor];
  });
}"""


def text(path):
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", weight.pages())
def test_a_page_weighs_little_and_the_next_one_less(page, browser, address):
    (requests, first), (next_requests, then) = weight.visit(browser, address, page)
    assert first <= 350_000
    assert then <= 120_000
    assert requests <= 30
    assert next_requests <= 10


def test_no_script_is_waited_for_and_all_pages_share_one_style_sheet():
    sheets = set()
    for path in EVERY:
        page = text(path)
        for tag in re.findall(r"<script\b[^>]* src=[^>]*>", page):
            assert " defer" in tag, f"{path}: {tag}"
        (sheet,) = re.findall(r'<link\b[^>]*rel="stylesheet"[^>]*href="([^"]*)"', page)
        assert (path.parent / sheet).is_file() or path.name == "404.html"
        sheets.add(sheet.rpartition("/")[2])
    assert len(sheets) == 1


def test_the_style_sheet_imports_nothing_and_finds_what_it_names():
    (sheet,) = (SITE / "_static").glob("style-*.css")
    assert "@import" not in text(sheet)
    named = re.findall(r'url\("?(?!data:)([^")]+)"?\)', re.sub(r'url\("data:[^"]*"\)', "", text(sheet)))
    assert any(name.endswith(".woff2") for name in named)
    assert [name for name in named if not (sheet.parent / name).is_file()] == []


def test_figures_keep_their_place_and_all_but_the_first_of_a_page_wait():
    for path in EVERY:
        figures = re.findall(r'<img\b[^>]*src="[^"]*_images/[^>]*>', text(path))
        assert ['loading="lazy"' in figure for figure in figures] == [n > 0 for n in range(len(figures))]
        for figure in figures:
            source, width, height = re.search(
                r'src="([^"]*)".* width="(\d+)" height="(\d+)"', figure
            ).groups()
            if source.endswith(".png"):
                with Image.open(path.parent / source) as image:
                    assert image.size == (int(width), int(height))
            else:
                assert f'width="{width}" height="{height}"' in text(path.parent / source)


def test_every_icon_is_drawn_and_no_icon_font_is_shipped():
    names = {
        name for path in EVERY for tag in ICON.findall(text(path)) for name in re.findall(r"fa-[\w-]+", tag)
    }
    assert len(names) > 10
    assert names - {"fa-solid", "fa-lg"} <= set(
        re.findall(r"^\.(fa-[\w-]+) \{ --icon", text(STYLES), re.MULTILINE)
    )
    assert [path for path in EVERY if "fontawesome" in text(path)] == []
    assert list(SITE.rglob("fa-*")) == []


@pytest.mark.parametrize("forced", ["none", "active"])
@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
def test_icons_stand_out_from_their_ground(width, scheme, forced, browser, address):
    with Visit(browser, address, width=width, scheme=scheme) as visit:
        tab = visit.open(f"{CHAPTERS[0]}.html")
        tab.emulate_media(forced_colors=forced, color_scheme=scheme)
        ground = tab.evaluate("() => getComputedStyle(document.body).backgroundColor")
        icons = tab.evaluate(DRAWN)
        assert len(icons) > 4
        assert [
            icon for icon in icons if icon[1] < 10 or not icon[2] or icon[3] in (ground, "rgba(0, 0, 0, 0)")
        ] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_there_before_the_first_paint(scheme, browser, address):
    """Without the site's scripts, and before a reader has chosen."""
    context = browser.new_context(color_scheme=scheme)
    context.route("**/*.js*", lambda route: route.abort())
    tab = context.new_page()
    tab.goto(f"{address}{CHAPTERS[0]}.html")
    assert (
        tab.evaluate("() => ({ ...document.documentElement.dataset })").items()
        >= {"mode": "auto", "theme": scheme}.items()
    )
    context.close()


def test_addresses_in_a_style_sheet_move_with_it(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "basic.css").write_text("a { b: url(file.png) }")
    (tmp_path / "deep" / "x.css").write_text(
        '@import "../basic.css";\nc { d: url("../e.svg"); f: url(data:g) }'
    )
    name = light.joined((tmp_path / "deep" / "x.css",), tmp_path)
    assert (tmp_path / name).read_text() == (
        'a { b: url("file.png") }\nc { d: url("e.svg"); f: url(data:g) }'
    )
