"""What Lighthouse says of every page of the table of contents, as a phone with a slow network opens it.

python -m tools.measure.lighthouse [PAGE ...]

Pages are compressed on their way. How fast they are is measured only where the machine is free when it
begins, as the median of three runs. The record is written when all pages were looked at; of single ones it is
only said, with what they lack.
"""

import io
import json
import os
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path
from statistics import median

from tools import ROOT
from tools.chromium import needed_chromium
from tools.measure.weight import COMPRESSED_ALREADY, SITE, Quiet, on_its_way, pages, served

PROGRAM = ROOT / "_build" / "lighthouse" / "node_modules" / ".bin" / "lighthouse"
RECORD = ROOT / "tools" / "measure" / "lighthouse.json"
CATEGORIES = ("accessibility", "best-practices", "seo")
TIMES = {"first paint": "first-contentful-paint", "largest paint": "largest-contentful-paint"}
RUNS = 3


class Compressing(Quiet):
    """Sends files as a server does that compresses, over connections that stay open."""

    protocol_version = "HTTP/1.1"

    def send_head(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file() or path.suffix in COMPRESSED_ALREADY:
            return super().send_head()
        content = on_its_way(path)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        self.end_headers()
        return io.BytesIO(content)


def report(address, categories=CATEGORIES):
    """Return the report of one run, with the settings of a phone."""
    command = [PROGRAM, address, "--quiet", "--output=json", f"--only-categories={','.join(categories)}"]
    flags = "--chrome-flags=--headless=new --no-sandbox --disable-gpu"
    environment = os.environ | {"CHROME_PATH": needed_chromium()}
    run = subprocess.run([*command, flags], env=environment, check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def points(run, category):
    return round(100 * run["categories"][category]["score"])


def speed(runs):
    """Return the points and seconds of the median run."""
    middle = sorted(runs, key=lambda run: points(run, "performance"))[len(runs) // 2]
    seconds = {name: middle["audits"][audit]["numericValue"] / 1000 for name, audit in TIMES.items()}
    return {"performance": points(middle, "performance")} | {k: round(s, 2) for k, s in seconds.items()}


def falls_short(run):
    """Return the audits in which a page falls short, of those that count."""
    references = [audit for category in run["categories"].values() for audit in category["auditRefs"]]
    counted = {audit["id"]: run["audits"][audit["id"]]["score"] for audit in references if audit["weight"]}
    return sorted(name for name, score in counted.items() if score is not None and score < 0.9)


def measured(asked):
    """Return the record of some pages; print what is found of each."""
    found, powers, is_free = {}, [], os.getloadavg()[0] < os.cpu_count() / 2
    with served(SITE, Compressing) as address:
        for page in asked:
            run = report(f"{address}{page}.html")
            found[page] = {category: points(run, category) for category in CATEGORIES}
            powers.append(run["environment"]["benchmarkIndex"])
            if is_free:
                found[page] |= speed([report(f"{address}{page}.html", ["performance"]) for _ in range(RUNS)])
            print(page, *found[page].values(), *falls_short(run), flush=True)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "form factor": run["configSettings"]["formFactor"],
        "throttling": run["configSettings"]["throttlingMethod"],
        "benchmark index": round(median(powers)),
        "Lighthouse": run["lighthouseVersion"],
        "Chromium": run["environment"]["hostUserAgent"].partition("Chrome/")[2].partition(".")[0],
        "pages": found,
    }


def main(names):
    record = measured(names or pages())
    if not names:
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
