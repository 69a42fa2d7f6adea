"""`make bench`, at sizes too small to tell anything: every row is measured, and is a ratio or a time."""

import re
import subprocess
import sys


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
