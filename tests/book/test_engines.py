"""What matters most, in Firefox and in WebKit, from files and with the network cut."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests import engines
from tests.benches import Bench
from tests.book.test_labs import SHOWN, each_lab
from tests.book.test_light import WAYS, arrive
from tests.book.test_site import CHAPTERS, PAGES, TOO_WIDE, luminance
from tests.browsing import HIGHER, SIDEWAYS, SITE, needed
from tests.javascript import MOVES
from tools.build import pdf

pytestmark = [pytest.mark.site, pytest.mark.filterwarnings("ignore:setting remote_server_addr")]
ENGINES = {
    "Firefox": (engines.firefox, engines.path_of_firefox, "firefox-esr"),
    "WebKit": (engines.webkit, engines.path_of_webkit, "webkit2gtk-driver and xvfb"),
}


@pytest.fixture(scope="module", params=ENGINES)
def opened(request, playwright):
    with engine(request.param)(playwright) as found:
        yield found


@pytest.fixture
def tab(opened):
    opened.complaints = []
    return opened


def engine(name):
    """Return how to open an engine where it is installed, as it has to be in CI."""
    start, path, packages = ENGINES[name]
    needed(path(), name, packages)
    return start


def address(page, query=""):
    return f"{(SITE / page).as_uri()}.html{query}"


# A part of a formula, and where its second part has to be: below or above the first.
MISPLACED = """() => {
    document.querySelectorAll("details").forEach(fold => { fold.open = true });
    const box = element => element.getBoundingClientRect();
    const middle = element => (box(element).top + box(element).bottom) / 2;
    const places = { "mfrac": 1, "msub": 1, "msup": -1 };
    const shown = [...document.querySelectorAll("math")].filter(math => math.checkVisibility());
    const wrong = shown.filter(math => box(math).height < 5);
    for (const [name, way] of Object.entries(places))
        for (const part of shown.flatMap(math => [...math.querySelectorAll(name)])) {
            const [first, second] = part.children;
            if (way * (middle(second) - middle(first)) <= 0) wrong.push(part);
        }
    return wrong.map(part => part.outerHTML.slice(0, 200));
}"""
FONT = """async () => {
    await document.fonts.ready;
    return [...document.fonts].some(font => /STIX/.test(font.family) && font.status === "loaded");
}"""


@pytest.mark.parametrize("page", [*PAGES, "search", "404"])
def test_page_fits_and_its_figures_and_formulas_are_drawn(tab, page):
    tab.goto(address(page))
    assert tab.evaluate(MISPLACED) == []
    assert tab.evaluate(FONT) == tab.evaluate("() => document.querySelector('math') !== null")
    assert tab.evaluate(SIDEWAYS) <= 1
    assert tab.evaluate(TOO_WIDE) == []
    assert tab.evaluate(HIGHER) == []
    tab.evaluate(pdf.EVERY_FIGURE)  # fails when one is broken
    assert tab.complaints == []


# Where the icons of the header are, in pixels.
ICONS = """() => [...document.querySelectorAll(".bd-header-article :is(.fas, .fa-solid)")]
    .filter(icon => icon.checkVisibility()).map(icon => icon.getBoundingClientRect())
    .map(({ left, top, right, bottom }) => [left, top, right, bottom].map(Math.round))"""


def test_icons_stand_in_a_row_neither_cut_nor_beside_a_part_of_another(tab):
    tab.goto(address(CHAPTERS[0]))
    boxes = tab.evaluate(ICONS)
    assert len(boxes) > 4
    middles = [(top + bottom) / 2 for _, top, _, bottom in boxes]
    assert max(middles) - min(middles) <= 1
    shown = np.asarray(Image.open(BytesIO(tab.screenshot())).convert("L"), dtype=float)
    for left, top, right, bottom in boxes:
        ink = np.abs(shown[top:bottom, left:right] - shown[top, left - 3])
        assert ink.max() > 100
        assert ink[:, [0, -1]].max() < 0.3 * ink.max(), (left, right)


# Where Firefox, which does not hold what is seen by itself, ended elsewhere when a page did not.
FAR = ["book/rosetta", "book/loss_landscapes"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("page", FAR)
def test_a_way_to_a_place_far_down_ends_there(tab, page, way):
    below, too_far = arrive(tab, address(page), way)
    assert 0 <= below < too_far


# The results of a search are listed one by one.
FOUND = """async page => {
    for (let i = 0; i < 100; i += 1) {
        const links = [...document.querySelectorAll("#search-results li a")].map(link => link.href);
        if (links.some(link => link.includes(page))) return true;
        await new Promise(done => setTimeout(done, 100));
    }
    return false;
}"""


def test_search_finds_a_chapter(tab):
    tab.goto(address("search", "?q=bisector"))
    assert tab.evaluate(FOUND, "book/perceptron_boundary")


COLORS = """() => {
    const button = document.querySelector(".theme-switch-button");
    for (let i = 0; i < 3 && document.documentElement.dataset.mode !== "%s"; i += 1) button.click();
    const style = getComputedStyle(document.body);
    return [style.backgroundColor, style.color];
}"""


def test_the_page_is_dark_where_that_is_asked_for(tab):
    tab.goto(address(CHAPTERS[0]))
    background, text = tab.evaluate(COLORS % "dark")
    assert luminance(background) < 0.2
    assert luminance(text) > 0.6
    background, text = tab.evaluate(COLORS % "light")
    assert luminance(background) > 0.8
    assert luminance(text) < 0.4


STRANGE = """async () => {
    const refused = new Promise(done => document.addEventListener("securitypolicyviolation",
        event => done(event.effectiveDirective), { once: true }));
    const late = new Promise(done => setTimeout(done, 5000, "nothing"));
    const script = document.createElement("script");
    script.textContent = "window.intruder = 1";
    document.head.append(script);
    return [window.intruder ?? null, await Promise.race([refused, late])];
}"""


def test_a_script_that_is_not_the_sites_does_not_run(tab):
    tab.goto(address(CHAPTERS[0]))
    assert tab.evaluate(STRANGE) == [None, "script-src-elem"]


@each_lab
def test_lab_computes_the_same_and_is_moved_by_keys(tab, name, page):
    tab.goto(address(page))
    bench = Bench(tab, name)
    assert bench.facts() == bench.expected()
    now = dict(bench.given["settings"])
    settings = MOVES[name][::9]
    for setting, (moved, told) in zip(settings, bench.move_all(settings), strict=True):
        now |= {control: setting[control] for control in moved}
        assert told == bench.expected(now), setting
    bench.root.evaluate("root => root.querySelector('input[type=range]')?.focus()")
    if bench.root.evaluate("root => root.contains(document.activeElement)"):
        shown = [tab.evaluate(SHOWN)]
        for key in ("ArrowLeft", "ArrowRight", "ArrowRight"):
            tab.keyboard.press(key)
            shown.append(tab.evaluate(SHOWN))
        assert len(set(shown)) >= 2, shown


@pytest.fixture
def planted(tmp_path):
    """A page that complains."""
    path = tmp_path / "planted.html"
    path.write_text('<script>console.error("planted"); console.log("that is all")</script>')
    return path.as_uri()


@pytest.mark.parametrize("opened", ["Firefox"], indirect=True, scope="module")
def test_what_firefox_complains_of_is_noted(tab, planted):
    tab.goto(planted)
    assert tab.complaints == ["planted"]


def test_webkit_complains_of_none_of_these_pages(planted):
    engine("WebKit")
    told = engines.console_of_webkit([planted], last="that is all")
    assert "CONSOLE ERROR planted" in told[0]
    pages, theme = [*CHAPTERS, *PAGES[:1], "search"], "[PST]: Changed to auto mode"
    told = engines.console_of_webkit(map(address, pages), last=theme)
    assert sum(theme in line for line in told) == len(pages)
    assert [line for line in told if "CONSOLE LOG" not in line] == []
