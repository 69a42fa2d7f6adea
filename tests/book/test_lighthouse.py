"""The record of `make lighthouse`: of every page, in its form, as CONTRIBUTING.md tells it."""

import gzip
import json
import re
from urllib.request import Request, urlopen

import pytest

from tools.measure import lighthouse, weight

RECORD = json.loads(lighthouse.RECORD.read_text(encoding="utf-8"))
PAGES = RECORD["pages"]


def test_the_record_has_every_page_of_the_table_of_contents_in_its_form():
    assert list(PAGES) == weight.pages(), "run make lighthouse"
    expected = [{*lighthouse.CATEGORIES}, {*lighthouse.CATEGORIES, "performance", *lighthouse.TIMES}]
    assert [set(found) for found in PAGES.values()] in [[form] * len(PAGES) for form in expected]
    assert (RECORD["form factor"], RECORD["throttling"]) == ("mobile", "simulate")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", RECORD["date"])


@pytest.mark.parametrize("category", lighthouse.CATEGORIES)
def test_every_page_has_all_points_that_do_not_depend_on_the_machine(category):
    assert {page: found[category] for page, found in PAGES.items() if found[category] != 100} == {}


def test_where_speed_is_recorded_every_page_is_fast():
    for found in PAGES.values():
        assert found.get("performance", 95) >= 95
        assert found.get("first paint", 1.5) <= 1.5


def test_contributing_tells_when_and_by_what(root):
    text = " ".join((root / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    assert (
        f"On {RECORD['date']} Lighthouse {RECORD['Lighthouse']} with Chromium {RECORD['Chromium']} gave"
        in text
    )


def test_the_lock_is_of_the_version_that_was_used(root):
    folder = root / "tools" / "measure"
    (named,) = json.loads((folder / "lighthouse-package.json").read_text())["dependencies"].items()
    packages = json.loads((folder / "lighthouse-package-lock.json").read_text())["packages"]
    assert named == ("lighthouse", packages["node_modules/lighthouse"]["version"])
    assert named[1] == RECORD["Lighthouse"]
    assert all("integrity" in package for name, package in packages.items() if name)


def report(score, paint, title):
    reference = {
        "performance": [
            {"id": "title", "weight": 1},
            {"id": "note", "weight": 0},
            {"id": "none", "weight": 3},
        ]
    }
    audits = {audit: {"numericValue": paint} for audit in lighthouse.TIMES.values()}
    audits |= {"title": {"score": title}, "note": {"score": 0}, "none": {"score": None}}
    categories = {name: {"score": score, "auditRefs": audits} for name, audits in reference.items()}
    return {"categories": categories, "audits": audits}


def test_speed_is_that_of_the_median_run():
    runs = [report(0.7, 3000, 1), report(0.99, 800, 1), report(0.96, 1234, 0.8)]
    assert lighthouse.speed(runs) == {"performance": 96, "first paint": 1.23, "largest paint": 1.23}
    assert [lighthouse.falls_short(run) for run in runs] == [[], [], ["title"]]


@pytest.mark.parametrize(("load", "runs"), [(0.1, 1 + lighthouse.RUNS), (99.0, 1)])
def test_speed_is_measured_only_where_the_machine_is_free(load, runs, monkeypatch):
    asked = []

    def told(address, categories=lighthouse.CATEGORIES):
        asked.append(address)
        found = report(1, 900, 1) | {
            "configSettings": {"formFactor": "mobile", "throttlingMethod": "simulate"},
            "lighthouseVersion": "1.2.3",
            "environment": {"hostUserAgent": "HeadlessChrome/7.0.1 Safari", "benchmarkIndex": 12.4},
        }
        found["categories"] = {name: {"score": 1, "auditRefs": []} for name in categories}
        return found

    monkeypatch.setattr(lighthouse, "report", told)
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    record = lighthouse.measured(["book/intro"])
    assert len(asked) == runs
    assert asked[0].endswith("/book/intro.html")
    assert ("performance" in record["pages"]["book/intro"]) == (runs > 1)
    assert (record["Lighthouse"], record["Chromium"], record["benchmark index"]) == ("1.2.3", "7", 12)


def test_files_come_compressed_and_whole(tmp_path):
    (tmp_path / "page.html").write_text("<p>often</p>" * 100)
    (tmp_path / "figure.png").write_bytes(bytes(range(256)))
    with weight.served(tmp_path, lighthouse.Compressing) as address:
        for name, encoding in (("page.html", "gzip"), ("figure.png", None)):
            with urlopen(Request(f"{address}{name}", headers={"Accept-Encoding": "gzip"})) as answer:
                content = answer.read()
            assert answer.headers["Content-Encoding"] == encoding
            assert int(answer.headers["Content-Length"]) == len(content)
            assert (gzip.decompress(content) if encoding else content) == (tmp_path / name).read_bytes()
