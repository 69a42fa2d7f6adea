"""How long a lab keeps its page busy without a break after a control has moved, in Chromium.

python -m tools.measure.labs [NAME ...]

On the built pages every control is moved through a dozen settings, at full speed and at a quarter
of it, three times. What counts is the longest task of the main thread, in time of the processor: a
reader's machine does nothing else. The table has the median of the three, in milliseconds.
"""

import json
import sys
from bisect import bisect
from statistics import median

from course_lib.tables import table
from tests.browsing import SITE
from tests.javascript import PLACES, SMALL
from tools.chromium import chromium

GOALS = {1: 16, 4: 50}  # milliseconds, by how many times slower the browser is
REPEATS = 3
SETTINGS = 12
CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline"]
ANSWERS = {"EventDispatch", "FireAnimationFrame", "TimerFire", "Layout", "PrePaint", "Paint", "Commit"}
KEYS = ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown") * (SETTINGS // 4)
MOVABLE = "input, select, .handle"


def moves(control):
    """Yield functions that move a control, one for each setting."""
    kind = control.evaluate("control => control.type ?? 'point'")
    if kind == "checkbox":
        yield from SETTINGS * [control.click]
    elif kind == "select-one":
        options = control.evaluate("control => [...control.options].map(option => option.value)")
        for i in range(SETTINGS):
            yield lambda i=i: control.select_option(options[(i + 1) % len(options)])
    elif kind == "range":
        largest = int(control.get_attribute("max"))
        for i in range(SETTINGS):
            yield lambda i=i: control.fill(str(round(i * largest / (SETTINGS - 1))))
    elif kind == "text":
        for i in range(SETTINGS):
            yield lambda i=i: control.fill(str(i + 1))
    else:
        for key in KEYS:
            yield lambda key=key: control.press(key)


def settle(tab, root):
    """Wait until all is computed and drawn."""
    root.and_(tab.locator(".lab-on:not([data-busy])")).wait_for()
    tab.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def longest_task(trace):
    """Return the milliseconds of the longest task of the page's main thread that runs a script or draws."""
    events = json.loads(trace)["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    main = [event for event in events if (event["pid"], event["tid"]) in threads]
    tasks = sorted((event for event in main if event["name"] == "RunTask"), key=lambda task: task["ts"])
    starts = [task["ts"] for task in tasks]
    answers = {bisect(starts, event["ts"]) - 1 for event in main if event["name"] in ANSWERS}
    return max(tasks[i].get("tdur", 0) for i in answers if i >= 0) / 1000


def measured(browser, name, page, slower):
    """Yield each control of a lab and its longest task."""
    tab = browser.new_page(viewport={"width": 1300, "height": 900})
    tab.goto((SITE / f"{page}.html").as_uri())
    root = tab.locator(f'.lab[data-lab="{name}"]')
    settle(tab, root)
    tab.context.new_cdp_session(tab).send("Emulation.setCPUThrottlingRate", {"rate": slower})
    for control in root.locator(MOVABLE).all():
        if control.is_hidden():
            continue
        label = control.evaluate("control => control.id || control.getAttribute('aria-label')")
        control.scroll_into_view_if_needed()
        browser.start_tracing(page=tab, categories=CATEGORIES)
        for move in moves(control):
            move()
            settle(tab, root)
        yield label.removeprefix(f"{name}-"), longest_task(browser.stop_tracing())
        root.get_by_role("button", name="Reset").click()
        settle(tab, root)
    tab.close()


def main(*wanted):
    times = {}
    with chromium() as browser:
        for slower in GOALS:
            for name, page in [*PLACES.items(), *SMALL.items()]:
                for _ in range(REPEATS * (not wanted or name in wanted)):
                    for control, time in measured(browser, name, page, slower):
                        times.setdefault((name, page, control), {}).setdefault(slower, []).append(time)
    rows = [[*what, *(median(runs) for runs in speeds.values())] for what, speeds in times.items()]
    print(
        table(
            {"lab": "{}", "page": "{}", "control": "{}", "full speed": "{:.1f}", "a quarter": "{:.1f}"}, rows
        )
    )
    over = [
        row for row in rows if any(time > goal for time, goal in zip(row[3:], GOALS.values(), strict=True))
    ]
    print(
        f"{len(over)} of {len(rows)} controls take more than "
        + " or ".join(f"{goal} ms" for goal in GOALS.values())
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
