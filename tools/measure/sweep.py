"""Chapter 7's maps on a finer grid, and the record of it that a page shows.

python -m tools.measure.sweep

The networks are the chapter's: its own cell is executed. Every run is kept in _build/sweep.db: what was
interrupted goes on there.
"""

import json
import os
import platform
import re
from datetime import date
from functools import partial

import numpy as np

from course_lib.sweeps import sweep
from tools import ROOT
from tools.build import notebooks

RECORD, FILE = ROOT / "book" / "sweep.json", ROOT / "_build" / "sweep.db"
RATES = np.logspace(-2, 0, 9).round(4).tolist()  # as shares of the largest
DECAYS = np.logspace(-4.5, -0.5, 9).round(7).tolist()
# The arguments of the chapter's `fit`, the largest learning rate, and how many times as large the decays are.
OPTIMIZERS = {
    "SGD": ({"optimizer": "SGD"}, 1.0, 1),
    "SGD with momentum": ({"optimizer": "SGD", "momentum": 0.9}, 0.32, 1),
    "Adam with L2": ({"optimizer": "Adam"}, 0.1, 1),
    "AdamW": ({"optimizer": "AdamW"}, 0.1, 100),
}


def chapter_fit():
    """Return the function that trains the chapter's networks, as its cells define it."""
    cells = {cell["id"]: cell.source for cell in notebooks.read(ROOT / "book" / "how_much.ipynb").cells}
    names = {"__name__": "__main__"}
    exec(cells["imports"] + "\n" + cells["digits"], names)
    return names["fit"]


def medians(optimizer, rates=RATES, decays=DECAYS, **how):
    """Return the median losses by decay and rate, None where infinite, and the runs."""
    settings, largest, times = OPTIMIZERS[optimizer]
    grid = {"lr": [largest * rate for rate in rates], "weight_decay": [times * decay for decay in decays]}
    found = sweep(partial(chapter_fit(), **settings), grid, seeds=range(10), together=90, **how)
    _, _, losses = found.chart("loss", "lr", "weight_decay")
    rounded = [[round(loss, 3) if loss < np.inf else None for loss in row] for row in losses.tolist()]
    return rounded, found.rows


def main():
    FILE.parent.mkdir(exist_ok=True)
    losses, runs = {}, []
    for optimizer in OPTIMIZERS:
        losses[optimizer], rows = medians(optimizer, file=FILE, progress=True)
        runs += rows
    record = {
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "seconds": round(sum(row.seconds for row in runs)),
        "runs": len(runs),
        "failed": sum(row.error is not None for row in runs),
        "rates": RATES,
        "decays": DECAYS,
        "losses": losses,
    }
    RECORD.write_text(written(record), encoding="utf-8")


def written(record):
    """Return a record as text, a row of numbers a line."""
    text = json.dumps(record, indent=1)
    return re.sub(r"\[\s+((?:[\d.e-]+|null)(?:,\s+(?:[\d.e-]+|null))*)\s+\]", one_line, text) + "\n"


def one_line(rows):
    return "[" + " ".join(rows[1].split()) + "]"


if __name__ == "__main__":
    main()
