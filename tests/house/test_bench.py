"""`make bench`, at sizes too small to tell anything: every row is measured, and is a ratio or a time."""

import json
import re
import subprocess
import sys

from tools.measure import labs


def test_every_row_is_measured(root):
    command = [sys.executable, "-m", "tools.measure.bench", "1000"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    head, *rows = run.stdout.splitlines()
    assert head.split() == ["what", "measured"]
    measured = [re.fullmatch(r" *(\S.*?) +(\d+(?:\.\d+)?) (times|ms)", row) for row in rows]
    assert all(measured), run.stdout
    assert all(float(row[2]) > 0 for row in measured if row[3] == "times"), run.stdout
    kinds = (
        "import",
        "scratch",
        "max_margin",
        "2 lambdas x",
        "sweep",
        "a map of",
        "1000 paths of",
        "networks",
    )
    assert {kind for kind in kinds if kind in run.stdout} == set(kinds)


def test_the_longest_task_of_a_control_is_one_of_its_page_that_draws_or_runs_a_script():
    names = ("CrRendererMain", "Compositor")
    events = [
        {"name": "thread_name", "pid": 7, "tid": thread, "args": {"name": name}}
        for thread, name in enumerate(names)
    ]

    def task(thread, start, milliseconds, *within):
        took = {"dur": 2000 * milliseconds, "tdur": 1000 * milliseconds}
        events.append({"name": "RunTask", "pid": 7, "tid": thread, "ts": start} | took)
        events.extend({"name": name, "pid": 7, "tid": thread, "ts": start + 1} for name in within)

    def mark(start, text):
        events.append({"name": f"lab {text}", "pid": 7, "tid": 0, "ts": start})

    task(0, 0, 99, "Layout")  # before the first control
    mark(10_000, "lr")
    task(0, 20_000, 3, "EventDispatch")
    task(1, 20_000, 90, "Paint")  # of another thread
    task(0, 100_000, 12, "FireAnimationFrame", "Layout")
    task(0, 200_000, 80)  # what looks at the page
    task(0, 400_000, 5, "TimerFire")
    mark(500_000, labs.BETWEEN)
    task(0, 510_000, 99, "EventDispatch")
    mark(700_000, "start")
    task(0, 710_000, 7, "Paint")
    assert labs.longest_tasks(json.dumps({"traceEvents": events[::-1]})) == {"lr": 12, "start": 7}
