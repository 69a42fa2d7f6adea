"""The labs on their pages, in a browser with the network cut: moved by controls, read by what they show."""

from urllib.parse import parse_qsl

import pytest

from course_lib.conventions import KNOBS
from tests.benches import Bench
from tests.browsing import SIDEWAYS, SITE, Visit
from tests.javascript import MOVES, NO_FIGURE, PLACES, SMALL, script

pytestmark = pytest.mark.site
ON_PAGES = [*PLACES.items(), *SMALL.items()]
each_lab = pytest.mark.parametrize(
    ("name", "page"), ON_PAGES, ids=[f"{name} on {page}" for name, page in ON_PAGES]
)

# To another address of the page, until it has heard of it.
GO = """link => link === location.hash || new Promise(done => {
    addEventListener("hashchange", () => done(), { once: true });
    location.hash = link;
})"""
SHOWN = "() => document.activeElement.getAttribute('aria-valuetext')"


@each_lab
def test_lab_shows_what_is_computed_at_each_setting_of_its_controls(name, page, browser, address):
    assert len(MOVES[name]) >= 50
    with Visit(browser, address) as visit:
        bench = Bench(visit.open(f"{page}.html"), name)
        assert bench.facts() == bench.expected()
        now = dict(bench.given["settings"])
        left = {control for setting in MOVES[name] for control in setting} & bench.kinds.keys()
        for setting, (moved, told) in zip(MOVES[name], bench.move_all(MOVES[name]), strict=True):
            now |= {control: setting[control] for control in moved}
            left -= set(moved)
            assert told == bench.expected(now), setting
        assert left == set(), "never shown"
        bench.press("Reset")
        assert bench.facts() == bench.expected()
        assert visit.errors == []


@each_lab
def test_an_address_opens_a_setting_and_is_written_by_the_controls(name, page, browser, address):
    with Visit(browser, address) as visit:
        bench = Bench(visit.open(f"{page}.html"), name)
        reached = {control: value for control, value in MOVES[name][7].items() if bench.move(control, value)}
        told, link = bench.facts(), bench.tab.evaluate("() => location.hash")
        assert link.startswith(f"#{name}?")
        bench.press("Copy link")
        bench.root.locator(".lab-said", has_text="The address of this setting").wait_for(timeout=5000)
    with Visit(browser, address) as visit:
        bench = Bench(visit.open(f"{page}.html{link}"), name)
        assert bench.facts() == told == bench.expected(reached)
        assert bench.said == ""
        bench.tab.evaluate(f"() => {{ location.hash = '{name}?' }}")
        assert bench.facts() == bench.expected()


@pytest.mark.parametrize(("name", "page"), PLACES.items())
def test_a_lab_opens_when_the_address_asks_for_it_and_not_before_it_is_near(name, page, browser, address):
    with Visit(browser, address, width=390) as visit:
        tab = visit.open(f"{page}.html")
        lab = tab.locator(f'.lab[data-lab="{name}"]')
        far = lab.evaluate("lab => lab.parentElement.getBoundingClientRect().top > 2.1 * innerHeight")
        tab.evaluate(f"async () => {{ {9 * 'await new Promise(requestAnimationFrame);'} }}")
        assert lab.evaluate("lab => lab.matches('.lab-on')") is not far
        tab.evaluate(GO, f"#{name}?")
        assert lab.evaluate("lab => lab.matches('.lab-on')")
        assert lab.is_visible()


BAD = ["x=1", "{}=", "{}=<img src=x onerror=alert(1)>", "{}=1e999", "{}=%22%3E"]


# From one look at the clock to the next more goes by than a lab computes at a stretch.
SLOW = "() => { let now = 0; performance.now = () => (now += 30); }"


def test_a_lab_on_a_busy_machine_shows_the_same(browser, address):
    with Visit(browser, address) as visit:
        tab = visit.open(f"{PLACES['landscape']}.html")
        tab.evaluate(SLOW)
        bench = Bench(tab, "landscape")
        assert bench.facts() == bench.expected()
        assert visit.errors == []


@each_lab
def test_a_bad_address_gives_the_default_and_says_so(name, page, browser, address):
    """When the page is opened, and when it is there."""
    first, *later = (f"#{name}?{bad.format(next(iter(MOVES[name][0])))}" for bad in BAD)
    with Visit(browser, address) as visit:
        bench = Bench(visit.open(f"{page}.html{first}"), name)
        assert_default_and_said(bench)
        for link in later:
            bench.move_all([MOVES[name][7]])
            assert bench.facts() != bench.expected()
            assert bench.said == ""
            bench.tab.evaluate(GO, link)
            assert_default_and_said(bench)
        assert visit.errors == []


def assert_default_and_said(bench):
    assert bench.facts() == bench.expected()
    assert bench.said.startswith("The address asks for what this lab does not have")
    assert bench.root.locator("img").count() == 0


@each_lab
def test_lab_works_from_a_file_and_by_the_keyboard_alone(name, page, browser):
    context = browser.new_context(viewport={"width": 320, "height": 700})
    tab = context.new_page()
    tab.goto((SITE / f"{page}.html").as_uri())
    bench = Bench(tab, name)
    assert bench.facts() == bench.expected()
    assert tab.evaluate(SIDEWAYS) <= 1
    stops = """root => [...root.querySelectorAll("input, select, button, [tabindex='0']")]
        .filter(stop => stop.checkVisibility()).map((stop, i) => (stop.dataset.stop = String(i)))"""
    wanted = bench.root.evaluate(stops)
    bench.root.evaluate("root => { root.tabIndex = -1; root.focus() }")
    for stop in wanted:
        tab.keyboard.press("Tab")
        assert tab.evaluate("() => document.activeElement.dataset.stop") == stop
        shown = tab.evaluate(SHOWN)
        for key in ("ArrowLeft", "ArrowRight", "ArrowRight") * bool(shown):
            tab.keyboard.press(key)
            tab.evaluate("() => new Promise(requestAnimationFrame)")
        assert not shown or tab.evaluate(SHOWN) != shown
        for _ in range(2 * bool(shown)):
            tab.keyboard.press("ArrowLeft")
    context.close()


NOTHING_IS_NEAR = "window.IntersectionObserver = class { observe() {} unobserve() {} disconnect() {} };"


@each_lab
def test_a_lab_that_computes_nothing_moves_no_page_by_opening_late(name, page, browser, address):
    context = browser.new_context()
    context.add_init_script(NOTHING_IS_NEAR)
    tab = context.new_page()
    tab.goto(f"{address}{page}.html", wait_until="load")
    assert tab.locator(f'.lab-on[data-lab="{name}"]').count() == (name == "converter")
    context.close()


@each_lab
def test_a_sentence_and_a_figure_stand_where_no_scripts_run_and_in_print(name, page, browser, address):
    def shown(tab):
        lab = f'.lab[data-lab="{name}"]'
        places = [lab, f"{lab} + .lab-instead", f".cell_output:has({lab}) img"]
        return [tab.locator(place).is_visible() for place in places]

    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{address}{page}.html")
    drawn = name not in NO_FIGURE and (name, page) not in SMALL.items()
    assert shown(tab) == [False, True, drawn]
    context.close()
    with Visit(browser, address) as visit:
        tab = visit.open(f"{page}.html")
        Bench(tab, name)
        assert shown(tab) == [True, False, False]
        tab.emulate_media(media="print")
        assert shown(tab) == [False, True, drawn]


# Before the next picture is drawn.
PRESS_TWICE = """point => { for (const key of ["ArrowLeft", "ArrowLeft"])
    point.dispatchEvent(new KeyboardEvent("keydown", { key })) }"""
POINTS = {"boundary": 2, "landscape": 1, "step": 1}


def place(point):
    """Return where the middle of a point is on the screen."""
    box = point.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@each_lab
def test_a_point_goes_where_mouse_and_keys_take_it_and_where_its_address_says(name, page, browser, address):
    with Visit(browser, address) as visit:
        bench = Bench(visit.open(f"{page}.html"), name)
        points, first, moved = bench.root.locator(".handle"), bench.facts(), []
        assert points.count() == POINTS.get(name, 0)
        told = bench.move("n_steps", 1) and bench.facts()  # which remembers the start
        for i, point in enumerate(points.all()):
            point.scroll_into_view_if_needed()
            (x, y), frame = place(point), bench.root.locator("svg .frame").first.bounding_box()
            to = frame["x"] + frame["width"] * (0.3 + 0.4 * i), frame["y"] + frame["height"] * 0.2
            bench.tab.mouse.move(x, y)
            bench.tab.mouse.down()
            bench.tab.mouse.move(*to, steps=5)
            bench.tab.mouse.up()
            bench.tab.mouse.move(5, 5)  # which takes it along no more
            dragged = bench.facts()
            assert dragged != told
            assert place(point) == pytest.approx(to, abs=5)
            moved.append((hash_of(bench), i, dragged, numbers(point)))
            across, up = numbers(point)
            for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowUp"):
                point.press(key)
            bench.facts()
            assert numbers(point) == pytest.approx([across + 0.1, up - 0.1])
            point.evaluate(PRESS_TWICE)
            bench.facts()
            assert numbers(point) == pytest.approx([across - 0.1, up - 0.1])
            moved.append((hash_of(bench), i, bench.facts(), numbers(point)))
        bench.press("Reset")
        assert bench.facts() == first
        assert visit.errors == []
    if moved:
        with Visit(browser, address) as visit:
            bench = Bench(visit.open(f"{page}.html{moved[0][0]}"), name)
            for link, i, told, at in moved:
                bench.tab.evaluate(GO, link)
                assert bench.facts() == told
                assert numbers(points.nth(i)) == at
                assert told == bench.expected(setting_of(bench, link))
            assert visit.errors == []


def hash_of(bench):
    return bench.tab.evaluate("() => location.hash")


def numbers(point):
    """Return what a point says of itself, across and up."""
    text = point.get_attribute("aria-valuetext").replace("\N{MINUS SIGN}", "-")
    return [float(number) for number in text.split(",")]


def setting_of(bench, link):
    """Return what the address of a setting says, as V8 reads it."""
    read, data = "control(name, data).read(text)", bench.given["data"]
    return {
        name: script(bench.name)(read, name=name, text=text, data=data)
        for name, text in parse_qsl(link.partition("?")[2])
    }


def test_a_point_is_dragged_by_the_mouse(browser, address):
    with Visit(browser, address) as visit:
        bench = Bench(visit.open(f"{PLACES['boundary']}.html"), "boundary")
        bench.facts()
        point = bench.root.locator('.handle[aria-label="point called 0"]')
        point.scroll_into_view_if_needed()
        box, plane = point.bounding_box(), bench.root.locator("svg .frame").first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        bench.tab.mouse.move(x, y)
        bench.tab.mouse.down()
        bench.tab.mouse.move(x + plane["width"] / 4, y - plane["height"] * 2 / 3, steps=5)  # to (2, 3)
        bench.tab.mouse.up()
        told = bench.facts()
        assert told == bench.expected({"X": [[3, 2], [2, 3]]})
        assert told["angle of the bisector"] == told["limit without decay"]
        assert visit.errors == []


def test_axes_follow_the_setting(browser, address):
    with Visit(browser, address) as visit:
        bench = Bench(visit.open(f"{PLACES['clock']}.html"), "clock")
        ticks = """root => [...root.querySelectorAll("svg .tick")].map(tick => tick.textContent)"""
        for setting, last_epoch, least in (
            ({}, "20", "0"),
            ({"n_epochs": 100}, "100", "0"),
            ({"lr": 1, "weight_decay": 1, "lr_times": "k"}, "100", "\N{MINUS SIGN}1"),
        ):
            for control, value in setting.items():
                bench.move(control, value)
            bench.facts()
            shown = bench.root.evaluate(ticks)
            assert last_epoch in shown
            assert least in shown
            assert shown.count("0") >= 4
            assert ("100" in shown) == (last_epoch == "100")
            assert ("\N{MINUS SIGN}1" in shown) == (least != "0")


def test_a_typed_number_is_computed_with_or_said_to_be_wrong(browser, address):
    with Visit(browser, address) as visit:
        bench = Bench(visit.open(f"{PLACES['converter']}.html"), "converter")
        field, first = bench.root.locator("#converter-n_samples"), bench.expected()
        wrong = "n_samples must be a number above 0, at most 1e+15"
        for typed in ("1,000", "0", "-5", "1e99", "many", "1 2", "<b>"):
            field.fill(typed)
            why = wrong + ", without a comma" * ("," in typed)
            assert bench.facts() == {"not computed": why}
            assert field.get_attribute("aria-invalid") == "true"
            assert bench.root.locator("#converter-n_samples-wrong").inner_text() == why
            field.fill("1000")
            assert bench.facts() == first
        for typed, read in {"0,5": 0.5, " 80 ": 80.0, "2.5e2": 250.0, "1000,25": 1000.25, "": None}.items():
            field.fill(typed)
            assert bench.facts() == bench.expected({"n_samples": read})
            assert field.input_value() == typed
            assert field.get_attribute("aria-invalid") == "false"
        field.fill("many")
        bench.move("target", "torch.AdamW.weight_decay")  # which does not ask for it
        assert field.is_hidden()
        assert next(iter(bench.facts())) == "no result"
        bench.press("Reset")
        assert bench.facts() == first
        assert visit.errors == []


def test_converter_is_swapped_and_finds_knobs_by_their_library(browser, address):
    with Visit(browser, address) as visit:
        bench = Bench(visit.open(f"{PLACES['converter']}.html"), "converter")
        first = bench.facts()
        bench.press("Swap from and to")
        assert bench.facts()["result"] == "sklearn.LogisticRegression.C = 1"
        assert bench.root.locator("#converter-value").input_value() == "0.001"
        bench.press("Swap from and to")
        assert bench.facts() == first
        groups = bench.root.locator("#converter-target optgroup")
        titles = groups.evaluate_all("groups => groups.map(group => group.label)")
        assert len(titles) == len(set(titles)) == len({name.partition(".")[0] for name in KNOBS})
        names = bench.root.locator("#converter-target option").evaluate_all(
            "all => all.map(one => one.value)"
        )
        assert names == [*KNOBS]
