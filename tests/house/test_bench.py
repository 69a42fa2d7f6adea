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


def test_the_longest_task_of_a_lab_is_one_of_its_page_that_draws_or_runs_a_script():
    names = ("CrRendererMain", "Compositor")
    events = [
        {"name": "thread_name", "pid": 7, "tid": thread, "args": {"name": name}}
        for thread, name in enumerate(names)
    ]

    def task(thread, start, milliseconds, *within):
        took = {"dur": 2000 * milliseconds, "tdur": 1000 * milliseconds}
        events.append({"name": "RunTask", "pid": 7, "tid": thread, "ts": start} | took)
        events.extend({"name": name, "pid": 7, "tid": thread, "ts": start + 1} for name in within)

    task(0, 0, 3, "EventDispatch")
    task(1, 0, 90, "Paint")  # of another thread
    task(0, 100_000, 12, "FireAnimationFrame", "Layout")
    task(0, 200_000, 80)  # what looks at the page
    task(0, 400_000, 5, "TimerFire")
    assert labs.longest_task(json.dumps({"traceEvents": events[::-1]})) == 12
