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
from tests.benches import COME
from tests.browsing import SITE
from tests.javascript import PLACES, SMALL
from tools.chromium import chromium

GOALS = {1: 16, 4: 50}  # milliseconds, by how many times slower the browser is
REPEATS = 3
SETTINGS = 12
CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline", "blink.user_timing"]
ANSWERS = {"EventDispatch", "FireAnimationFrame", "TimerFire", "Layout", "PrePaint", "Paint", "Commit"}
KEYS = ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown") * (SETTINGS // 4)
MOVABLE = "input, select, .handle"


PATIENCE = 500  # milliseconds: what is still to be computed then comes in slices like those before

# What the page does itself, so that nothing but the lab is at work: each move is a task, and the next one
# comes when all is computed and drawn, or after some time.
SETTLED = f"""async (root) => {{
  const end = performance.now() + {PATIENCE};
  do await new Promise(requestAnimationFrame);
  while (!root.matches(".lab-on:not([data-busy])") && performance.now() < end);
  await new Promise((done) => setTimeout(done));
}}"""
MOVE = f"""async (control, values) => {{
  const settled = {SETTLED};
  for (const value of values) {{
    if (control.matches("[type=checkbox]")) control.click();
    else if (control.matches(".handle"))
      control.dispatchEvent(new KeyboardEvent("keydown", {{ key: value }}));
    else {{
      control.value = value;
      control.dispatchEvent(new Event(control.matches("select") ? "change" : "input"));
    }}
    await settled(control.closest(".lab"));
  }}
}}"""
MARK = "text => performance.mark(`lab ${text}`)"
BETWEEN = "between two controls"


def values(control):
    """Return what a control is moved to."""
    kind = control.evaluate("control => control.type ?? 'point'")
    if kind == "select-one":
        options = control.evaluate("control => [...control.options].map(option => option.value)")
        return [options[(i + 1) % len(options)] for i in range(SETTINGS)]
    if kind == "range":
        largest = int(control.get_attribute("max"))
        return [round(i * largest / (SETTINGS - 1)) for i in range(SETTINGS)]
    return KEYS if kind == "point" else [str(i + 1) for i in range(SETTINGS)]


def longest_tasks(trace):
    """Return by control the milliseconds of the longest task of the page that runs a script or draws."""
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
    marks = sorted((event["ts"], event["name"]) for event in main if event["name"].startswith("lab "))
    times = {}
    for task in (tasks[i] for i in answers if i >= 0):
        before = bisect(marks, (task["ts"],))
        control = marks[before - 1][1].removeprefix("lab ") if before else BETWEEN
        times[control] = max(times.get(control, 0), task.get("tdur", 0) / 1000)
    times.pop(BETWEEN, None)
    return times


def measured(browser, name, page, slower):
    """Return each control of a lab and its longest task."""
    tab = browser.new_page(viewport={"width": 1300, "height": 900})
    tab.goto((SITE / f"{page}.html").as_uri())
    root = tab.locator(f'.lab[data-lab="{name}"]')
    root.evaluate(COME)
    root.and_(tab.locator(":not([data-busy])")).wait_for()
    tab.context.new_cdp_session(tab).send("Emulation.setCPUThrottlingRate", {"rate": slower})
    browser.start_tracing(page=tab, categories=CATEGORIES)
    for control in root.locator(MOVABLE).all():
        if control.is_hidden():
            continue
        control.scroll_into_view_if_needed()
        label = control.evaluate("control => control.id || control.getAttribute('aria-label')")
        tab.evaluate(MARK, label.removeprefix(f"{name}-"))
        control.evaluate(MOVE, values(control))
        tab.evaluate(MARK, BETWEEN)
        root.get_by_role("button", name="Reset").click()
        root.evaluate(SETTLED)
    times = longest_tasks(browser.stop_tracing())
    tab.close()
    return times


def main(*wanted):
    times = {}
    with chromium() as browser:
        for slower in GOALS:
            for name, page in [*PLACES.items(), *SMALL.items()]:
                for _ in range(REPEATS * (not wanted or name in wanted)):
                    for control, time in measured(browser, name, page, slower).items():
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
