"""What CI runs, with programs that only write down how they were called: each failure has to be its own."""

import os
import re
import shutil
import subprocess
from itertools import product

import pytest
import yaml

COMMANDS = ["make book", "make test"]
BROWSERS = {  # programs, and the packages that have them
    "chromium": "chromium",
    "firefox-esr": "firefox-esr",
    "WebKitWebDriver": "webkit2gtk-driver",
    "Xvfb": "xvfb",
}
PRETENDED = ("make", "pip", "pytest", "apt-get", *BROWSERS)
PRETEND = """#!/bin/sh
line="${0##*/} $*"
echo "$line" >> "$CALLS"
[ "$line" != "$FAILS" ]
"""


def workflows(root):
    """Yield the name and the content of every workflow; `on:` is read as true."""
    for path in sorted((root / ".github" / "workflows").iterdir()):
        content = yaml.safe_load(path.read_text())
        yield path.name, content | {"on": content.pop(True)}


@pytest.fixture
def calls(tmp_path, root):
    """Return a function: the exit status of a job's scripts, and what they called, of which one may fail."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in PRETENDED:
        (programs / name).write_text(PRETEND)
        (programs / name).chmod(0o755)
    for name in ("bash", "sh", "env", "dirname"):
        (programs / name).symlink_to(shutil.which(name))

    def run(scripts, fails="", without=()):
        log = tmp_path / "calls"
        log.write_text("")
        for name in without:
            (programs / name).unlink()
        environment = {"PATH": str(programs), "CALLS": str(log), "FAILS": fails}
        for script in scripts:  # as GitHub runs them: one after the other, until one fails
            command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]
            status = subprocess.run(command, cwd=root, env=environment).returncode
            if status:
                break
        return status, log.read_text().splitlines()

    return run


def filled(text, variant):
    return re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda place: variant[place[1]], text)


def scripts(job):
    """Yield what each variant of a job runs."""
    matrix = job.get("strategy", {}).get("matrix", {})
    texts = [step["run"] for step in job["steps"] if "run" in step]
    for values in product(*matrix.values()):
        yield [filled(text, dict(zip(matrix, values, strict=True))) for text in texts]


def check_that_no_failure_is_lost(calls, job_scripts, expected):
    assert calls(job_scripts) == (0, expected)
    for number, call in enumerate(expected):
        status, made = calls(job_scripts, fails=call)
        assert status != 0, call
        assert made == expected[: number + 1]


def test_ci_runs_the_two_commands_and_loses_no_failure(calls, root):
    assert os.access(root / ".ci" / "run", os.X_OK)
    check_that_no_failure_is_lost(calls, [".ci/run"], COMMANDS)


@pytest.mark.parametrize("without", [*([program] for program in BROWSERS), [*BROWSERS]], ids=str)
def test_ci_installs_the_browsers_that_are_missing(calls, without):
    status, made = calls([".ci/run"], without=without)
    assert status == 0
    update, install, *commands = made
    assert update == "apt-get update -qq"
    assert install.startswith("apt-get install ")
    assert {*BROWSERS.values()}.intersection(install.split()) == {BROWSERS[program] for program in without}
    assert commands == COMMANDS


@pytest.mark.parametrize("fails", ["update -qq", "install -y -qq --no-install-recommends xvfb"])
def test_ci_ends_where_no_browser_can_be_installed(calls, fails):
    status, made = calls([".ci/run"], without=["Xvfb"], fails=f"apt-get {fails}")
    assert status != 0
    assert made[-1] == f"apt-get {fails}"


def test_the_book_is_built_and_tested_as_ci_does(calls, root):
    (job,) = (content["jobs"]["book"] for name, content in workflows(root) if name == "book.yml")
    (job_scripts,) = scripts(job)
    check_that_no_failure_is_lost(calls, job_scripts, [*COMMANDS, "make forms"])


def test_the_lowest_versions_are_tested_beside_it(calls, root):
    (job,) = (content["jobs"]["lowest"] for name, content in workflows(root) if name == "book.yml")
    (job_scripts,) = scripts(job)
    check_that_no_failure_is_lost(calls, job_scripts, ["make lowest"])


def test_the_module_is_installed_and_tested_on_every_python(calls, root):
    (job,) = (content["jobs"]["module"] for name, content in workflows(root) if name == "book.yml")
    assert job["strategy"]["matrix"] == {"python": ["3.11", "3.12", "3.13"]}
    for job_scripts in scripts(job):
        expected = ["pip install . pytest", "pytest --doctest-modules --pyargs course_lib"]
        check_that_no_failure_is_lost(calls, job_scripts, expected)


def test_every_week_mutants_vulnerabilities_and_links_are_looked_at(calls, root):
    (weekly,) = (content for name, content in workflows(root) if name == "weekly.yml")
    variants = scripts(weekly["jobs"]["weekly"])
    for job_scripts, command in zip(variants, ("audit", "links", "mutants"), strict=True):
        check_that_no_failure_is_lost(calls, job_scripts, [f"make {command}"])
    assert weekly["on"]["schedule"]


def test_every_change_is_built_and_only_main_is_published(root):
    (book,) = (content for name, content in workflows(root) if name == "book.yml")
    assert book["on"] == {"push": {"branches": ["main"]}, "pull_request": None, "workflow_dispatch": None}
    assert book["jobs"]["publish"]["needs"] == ["book", "lowest"]
    on_main = "github.ref == 'refs/heads/main'"
    assert book["jobs"]["publish"]["if"] == on_main
    conditions = [(step["if"], step["uses"].partition("@")[0]) for step in steps(book) if "if" in step]
    assert conditions == [(on_main, "actions/upload-pages-artifact")]


def steps(content):
    return [step for job in content["jobs"].values() for step in job["steps"]]


def test_no_step_and_no_job_may_fail_in_silence(root):
    known = {"uses", "with", "run", "if", "id"}
    for name, content in workflows(root):
        assert not [step for step in steps(content) if step.keys() - known], name
        for job in content["jobs"].values():
            assert "continue-on-error" not in job, name
            assert "if" not in job or job is content["jobs"].get("publish"), name


def test_actions_are_pinned_by_commit_and_keep_no_credentials(root):
    for name, content in workflows(root):
        for step in steps(content):
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"]), f"{name}: {step}"
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False, name
    for path in (root / ".github" / "workflows").iterdir():
        pins = re.findall(r"uses: .*", path.read_text())
        assert all(re.search(r"  # v\d+\.\d+\.\d+$", pin) for pin in pins), path.name


def test_actions_may_read_and_the_one_that_publishes_may_write_pages(root):
    for name, content in workflows(root):
        assert content["permissions"] == {"contents": "read"}, name
        granted = {key: job["permissions"] for key, job in content["jobs"].items() if "permissions" in job}
        assert granted in ({}, {"publish": {"pages": "write", "id-token": "write"}}), name
