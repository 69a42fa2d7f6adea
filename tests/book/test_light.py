"""The built pages arrive at once: few bytes, one style sheet, no script that paint waits for, drawn icons."""

import json
import re
from functools import cache
from types import SimpleNamespace

import pytest
import tinycss2
from PIL import Image

from tests.browsing import SITE, Visit
from tools import ROOT
from tools.build import light, notebooks, pages, style_sheet
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
        assert 'as="script"' not in page
        (sheet,) = re.findall(r'<link\b[^>]*rel="stylesheet"[^>]*href="([^"]*)"', page)
        assert (path.parent / sheet).is_file() or path.name == "404.html"
        sheets.add(sheet.rpartition("/")[2])
    assert len(sheets) == 1


@pytest.mark.parametrize(
    ("body", "needed"),
    [
        ("<p>", set()),
        ('<table class="searchable table">', {"filter.js"}),
        ("<blockquote>", {"ask.js"}),
        ('<a href="solutions/how_much.html#e1">', {"solved.js"}),
        ("<pre>", {"copy.js", "copybutton.js", "clipboard.min.js"}),
        ('<div class="sd-tab-set docutils">', {"design-tabs.js"}),
        ('<div class="admonition dropdown">', {"togglebutton.js"}),
        ('<div class="toggle docutils">', {"togglebutton.js"}),
        ('<a class="dropdown-item dropdown-toggle">', set()),
    ],
)
def test_a_page_asks_for_the_scripts_that_it_needs(body, needed):
    names = [*pages.NEEDED_WHERE, "reader.js", None]
    context = {"body": body, "script_files": [SimpleNamespace(filename=name) for name in names]}
    pages.needed_scripts(None, "page", "page.html", context, None)
    assert {file.filename for file in context["script_files"]} == needed | {"reader.js", None}


def test_scripts_are_asked_for_where_they_have_something_to_do():
    asked = {path: set(re.findall(r'src="[^"]*?([\w.-]+\.js)\?', text(path))) for path in EVERY}
    counts = {name: sum(name in names for names in asked.values()) for name in pages.NEEDED_WHERE}
    assert counts["togglebutton.js"] == counts["design-tabs.js"] == 0
    assert {name for name, count in counts.items() if 0 < count < len(EVERY)} == (
        pages.NEEDED_WHERE.keys() - {"togglebutton.js", "design-tabs.js"}
    )


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


def test_every_icon_has_its_part_of_their_picture():
    styles = text(STYLES)
    parts = [int(left) // 24 for left in re.findall(r"%3Cg transform='translate\((\d+)\)'%3E", styles)]
    assert parts == [int(number) for number in re.findall(r"^\.fa-.* --icon: (\d+);", styles, re.MULTILINE)]
    assert parts == [*range(len(parts))]
    assert f"viewBox='0 0 {24 * len(parts)} 24'" in styles
    assert f"* var(--icon) / {len(parts) - 1}) / {100 * len(parts)}% 100%" in styles


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


MIDDLES = """() => [...document.querySelectorAll(".bd-header-article :is(.fas, .fa-solid)")]
  .filter((icon) => icon.checkVisibility()).map((icon) => icon.getBoundingClientRect())
  .map(({ top, bottom }) => (top + bottom) / 2)"""


@pytest.mark.parametrize("width", [390, 1300])
def test_icons_of_the_header_stand_in_a_row(width, browser, address):
    with Visit(browser, address, width=width) as visit:
        middles = visit.open(f"{CHAPTERS[0]}.html").evaluate(MIDDLES)
    assert len(middles) > 3
    assert max(middles) - min(middles) < 0.5


def test_a_heading_at_the_pointer_shows_its_link_and_stays_as_high(browser, address):
    with Visit(browser, address, width=320) as visit:
        heading = visit.open("book/how_much.html").locator("h2", has_text="Predict first")
        before, link = heading.bounding_box(), heading.locator(".headerlink")
        assert not link.is_visible()
        heading.hover()
        assert link.is_visible()
        assert heading.bounding_box()["height"] == before["height"]


# Where the words in a field begin and end, and the sign before them and the keys behind them.
FIELD = """() => {
  const form = [...document.querySelectorAll('form.bd-search')].findLast((form) => form.checkVisibility());
  const parts = ['input', '.fa-solid', '.search-button__kbd-shortcut'];
  const [input, icon, keys] = parts.map((part) => form.querySelector(part));
  const style = getComputedStyle(input), brush = document.createElement('canvas').getContext('2d');
  brush.font = style.font;
  const left = input.getBoundingClientRect().left + parseFloat(style.paddingLeft);
  const end = keys?.checkVisibility() ? keys.getBoundingClientRect().left : window.innerWidth;
  return [icon.getBoundingClientRect().right, left, left + brush.measureText(input.placeholder).width, end];
}"""


@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize("page", [CHAPTERS[0], "search"])
def test_the_words_in_a_field_of_search_stand_beside_its_signs(page, width, browser, address):
    with Visit(browser, address, width=width) as visit:
        tab = visit.open(f"{page}.html")
        if page != "search":
            tab.keyboard.press("Control+k")
        places = tab.evaluate(FIELD)
    assert places == sorted(places)


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


LONG = [*CHAPTERS, "book/claims", "book/rosetta", "book/api/runs"]
# Whether the last paragraph of a page is laid out, as it is when a page has come to rest.
END = "article section > :is(p, dl):not(:empty)"
RESTED = "for (let frames = 0; frames < 20; frames++) await new Promise(requestAnimationFrame);"
IS_LAID_OUT = f"""async (comes) => {{
  const last = [...document.querySelectorAll("{END}")].at(-1);
  if (comes) last.scrollIntoView();
  {RESTED}
  return last.checkVisibility({{ contentVisibilityAuto: true }});
}}"""


@pytest.mark.parametrize("page", LONG)
def test_what_is_far_down_is_laid_out_when_the_reader_moves(page, browser, address):
    with Visit(browser, address, width=390) as visit:
        tab = visit.open(f"{page}.html", whole=False)
        assert [tab.evaluate(IS_LAID_OUT, comes) for comes in (False, True)] == [False, True]
        assert visit.open(f"{page}.html").evaluate(IS_LAID_OUT, False)


def test_nothing_waits_where_an_address_asks_for_a_place(browser, address):
    """Or Firefox ends up to 240 pixels away from it."""
    with Visit(browser, address, width=390) as visit:
        tab = visit.open(f"{CHAPTERS[1]}.html#nowhere", whole=False)
        assert tab.evaluate(IS_LAID_OUT, False)


FOLLOWED = """(place) => {
  [...document.links].find(({ hash, pathname }) => hash === place && pathname === location.pathname).click();
}"""
# How many pixels below the window's edge a place is when the page has come to rest, and what is too many.
PLACED = f"""async (place) => {{
  {RESTED}
  const isAtEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 1;
  const {{ top }} = document.getElementById(place.slice(1)).getBoundingClientRect();
  return [top, isAtEnd ? innerHeight : 100];
}}"""
LAST_IN_CONTENTS = "() => [...document.querySelectorAll('article section[id]')].at(-1).id"


WAYS = ["link", "address", "opened"]


def arrive(tab, address, way):
    """Go to the last place in a page's contents; return how far below the edge it is, and what is too far."""
    tab.goto(address)
    place = f"#{tab.evaluate(LAST_IN_CONTENTS)}"
    if way == "link":
        tab.evaluate(FOLLOWED, place)
    elif way == "address":
        tab.evaluate("(place) => { location.hash = place; }", place)
    else:
        tab.goto("about:blank")
        tab.goto(f"{address}{place}")
    return tab.evaluate(PLACED, place)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize("page", LONG)
def test_a_way_to_a_place_far_down_ends_there(page, width, way, browser, address):
    with Visit(browser, address, width=width) as visit:
        below, too_far = arrive(visit.page, f"{address}{page}.html", way)
        assert 0 <= below < too_far


TO_THE_MIDDLE = f"""async () => {{
  scrollTo(0, document.documentElement.scrollHeight / 2);
  {RESTED}
}}"""
# What stands highest in the window, and how high.
READ = f"""async () => {{
  {RESTED}
  const texts = [...document.querySelectorAll("article :is(p, li, dd)")];
  const place = (text) => text.getBoundingClientRect().top;
  const first = texts.find((text) => place(text) > 0);
  return [first.textContent, Math.round(place(first))];
}}"""


@pytest.mark.parametrize("way", ["reloaded", "back"])
@pytest.mark.parametrize("page", LONG)
def test_who_comes_back_to_a_page_finds_what_was_read(page, way, browser, address):
    with Visit(browser, address, width=390) as visit:
        tab = visit.open(f"{page}.html", whole=False)
        tab.evaluate(TO_THE_MIDDLE)
        text_before, place_before = tab.evaluate(READ)
        if way == "reloaded":
            tab.reload()
        else:
            visit.open("book/glossary.html")
            tab.go_back()
        text_after, place_after = tab.evaluate(READ)
        assert text_after == text_before
        assert abs(place_after - place_before) < 100


def test_the_end_of_a_page_is_one_key_away(browser, address):
    with Visit(browser, address, width=390) as visit:
        tab = visit.open(f"{CHAPTERS[1]}.html", whole=False)
        tab.keyboard.press("End")
        assert tab.evaluate(IS_LAID_OUT, False)
        below = tab.evaluate("() => document.documentElement.scrollHeight - innerHeight - scrollY")
        assert below == pytest.approx(0, abs=1)


# The colors of code, of a name and of a sign in it, as if they were elements.
COLORS = """() => {
  const pre = document.querySelector(".highlight pre");
  const parts = ["n", "nn", "nx", "p", "pm", "w"].map((name) => {
    const part = pre.appendChild(document.createElement("span"));
    part.className = name;
    return part;
  });
  return [pre, ...parts].map((part) => getComputedStyle(part).color);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_and_signs_have_the_color_of_the_code_around_them(scheme, browser, address):
    """And so need no elements."""
    for path in EVERY:
        assert '<span class="n">' not in text(path)
    with Visit(browser, address, scheme=scheme) as visit:
        assert len(set(visit.open(f"{CHAPTERS[0]}.html").evaluate(COLORS))) == 1


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        (
            "pydata-sphinx-theme.js",
            'a();document.querySelectorAll("pre, b").forEach((e=>{e.tabIndex=0}));b()',
            "a();void 0;b()",
        ),
        ("bootstrap.js", "Bt(t)&&(this._targetLinks.set(a,b))", "t&&(this._targetLinks.set(a,b))"),
    ],
)
def test_a_theme_that_lays_pages_out_otherwise_is_noticed(name, text, left, tmp_path):
    script = tmp_path / name
    script.write_text(text)
    light.unburden(script, *light.LAYS_ALL_OUT[name])
    assert script.read_text() == left
    with pytest.raises(ValueError, match=f"{name} was expected .* not 0"):
        light.unburden(script, *light.LAYS_ALL_OUT[name])


def test_addresses_in_a_style_sheet_move_with_it(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "basic.css").write_text("a { b: url(file.png) }")
    (tmp_path / "deep" / "x.css").write_text(
        '@import "../basic.css";\nc { d: url("../e.svg"); f: url(data:g) }'
    )
    name = style_sheet.joined((tmp_path / "deep" / "x.css",), tmp_path, frozenset())
    assert (tmp_path / name).read_text() == 'a{b: url("file.png")}c{d: url("e.svg"); f: url(data:g)}'


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        (".here{a:b}.gone{a:b}", ".here{a:b}"),
        ("p .gone,p > .here:hover{a:b}", "p > .here:hover{a:b}"),
        (".here.gone{a:b}#gone{a:b}#here{a:b}", "#here{a:b}"),
        ("#here:not(.gone){a:b}:is(.gone,p){a:b}", "#here:not(.gone){a:b}:is(.gone,p){a:b}"),
        ("@media print{.gone{a:b}}@supports (a:b){.gone{a:b}.here{a:b}}", "@supports (a:b){.here{a:b}}"),
        ("@font-face{a:b}/* gone */ @keyframes gone{to{a:b}}", "@font-face{a:b}@keyframes gone{to{a:b}}"),
        (".made-of-parts{a:b}.made{a:b}.--a{a:b}", ".made-of-parts{a:b}"),
        ('a[href=".gone"]::after{b:".gone"}', 'a[href=".gone"]::after{b:".gone"}'),
    ],
)
def test_a_style_sheet_is_left_what_can_be_used(rules, left):
    assert style_sheet.used(rules, {"here", "made-", "-", "---"}) == left


def selectors(rules):
    """Return every selector of a style sheet, whatever media it is for."""
    found = set()
    for rule in rules:
        if rule.type == "qualified-rule":
            found |= {tinycss2.serialize(part).strip() for part in style_sheet.parts(rule.prelude)}
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports"):
            found |= selectors(
                tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            )
    return found


def selectors_of(sheets):
    return selectors(tinycss2.parse_stylesheet("\n".join(map(text, sheets)), True, True))


@cache
def left_out():
    """Return the selectors that the theme and the book have, and the one style sheet has not."""
    (one,) = (SITE / "_static").glob("style-*.css")
    others = {*(SITE / "_static").rglob("*.css")} - {one}
    return sorted(selectors_of(others) - selectors_of([one]) - style_sheet.NARROWED.keys())


# All is open, and an element counts as being in any state that a reader can bring it into.
SELECTED = r"""(selectors) => {
  document.querySelectorAll('dialog, .dropdown-menu').forEach((part) => part.classList.add('show'));
  document.querySelectorAll('details, dialog').forEach((part) => { part.open = true });
  const state = /::[\w-]+|:(?:hover|active|focus|focus-visible|focus-within|visited|target)(?![\w-])/g;
  const not = (part) => part.replace(state, ':not(*)');
  const known = selectors.filter((selector) => CSS.supports(`selector(${selector})`));
  return known.filter((selector) => document.querySelector(
    selector.replace(/:not\([^)]*\)/g, not).replace(state, ':is(*)')
  ));
}"""


@pytest.mark.parametrize("page", [CHAPTERS[2], "book/api/rules", "book/glossary"])
@pytest.mark.parametrize(("selector", "narrowed"), style_sheet.NARROWED.items())
def test_a_narrowed_rule_selects_what_it_did(selector, narrowed, page, browser, address):
    with Visit(browser, address) as visit:
        tab = visit.open(f"{page}.html")
        assert tab.locator(f":is({selector}):not({narrowed})").count() == 0
        assert tab.locator(f":is({narrowed}):not({selector})").count() == 0


def test_a_button_that_copies_comes_with_its_code(browser, address):
    with Visit(browser, address) as visit:
        tab = visit.open(f"{CHAPTERS[1]}.html")
        buttons, blocks = tab.locator(".copybtn"), tab.locator("div.highlight pre")
        assert buttons.count() < blocks.count() / 2
        block = tab.locator("div.cell_input pre:visible").last
        block.scroll_into_view_if_needed()
        block.hover()
        tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
        button = block.locator("xpath=following-sibling::button")
        button.click()
        assert tab.evaluate("navigator.clipboard.readText()") == block.text_content().rstrip("\n")
        assert button.get_attribute("data-tooltip") == "Copied!"
        assert visit.errors == visit.outside == []


# An element under every heading, as scripts put some in; style is worked out at once.
PUT_IN = """() => {
  for (const heading of document.querySelectorAll("article section > :first-child")) {
    heading.after(document.createElement("p"));
  }
  return [document.body.offsetHeight, document.querySelectorAll("article *").length];
}"""


@pytest.mark.parametrize("page", [*CHAPTERS, "book/zoo", "book/zoo_of_architectures", "book/api/rules"])
def test_what_a_script_puts_in_has_few_elements_looked_at_again(page, browser, address):
    with Visit(browser, address) as visit:
        tab = visit.open(f"{page}.html")
        for _ in range(10):  # a busy browser may begin to record when all is over
            browser.start_tracing(page=tab, categories=["devtools.timeline"])
            _, elements = tab.evaluate(PUT_IN)
            events = json.loads(browser.stop_tracing())["traceEvents"]
            seen = [e["args"].get("elementCount", 0) for e in events if e["name"] == "UpdateLayoutTree"]
            if seen:
                break
    assert 0 < sum(seen) < elements / 4


@pytest.mark.parametrize("page", ["book/intro", *CHAPTERS[:2], "book/rosetta", "book/api/rules", "search"])
@pytest.mark.parametrize("width", [390, 1300])
def test_no_rule_that_was_left_out_selects_anything(width, page, browser, address):
    assert len(left_out()) > 1000
    assert {".form-floating", ".sd-progress"} & {*left_out()}
    with Visit(browser, address, width=width) as visit:
        assert visit.open(f"{page}.html").evaluate(SELECTED, left_out()) == []
