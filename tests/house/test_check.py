"""`make check` finds the tests of what has changed, runs them, and fails when one of them does."""

import subprocess

import pytest

import course_lib
from tools.build import notebooks
from tools.verify import check


def test_every_module_has_a_file_of_tests_its_docstrings_and_the_cases_of_its_name():
    for module in set(course_lib.__all__) - {"labs"}:
        (whole, _), (shared, case) = check.tests_of(f"course_lib/{module}.py")
        assert whole == [f"tests/module/test_{module}.py", f"course_lib/{module}.py"]
        assert (shared, case) == (check.OF_EVERY_MODULE, f"{module}.")


def test_a_lab_has_a_file_of_tests_and_what_labs_share_is_tested_with_all():
    for name in set(course_lib.labs.__all__) - {"Lab"}:
        tests = [f"tests/module/labs/test_{name}.py"]
        assert check.tests_of(f"course_lib/labs/javascript/{name}.js") == [(tests, "")]
        of_tests, docstrings, (shared, case) = check.tests_of(f"course_lib/labs/_{name}.py")
        assert (of_tests, docstrings) == ((tests, ""), ([f"course_lib/labs/_{name}.py"], ""))
        assert (shared, case) == (check.OF_EVERY_MODULE, f"labs.{name}")
    for shared in ("__init__.py", "javascript/kit.js", "javascript/kit.css", "javascript/rules.js"):
        assert check.tests_of(f"course_lib/labs/{shared}") == [(["tests/module/labs"], "")]


def test_what_stands_behind_a_module_is_tested_with_it_and_what_stands_behind_all_is_not():
    assert check.importers("_solvers") == ["geometry", "optimum"]
    assert "geometry." in [case for _, case in check.tests_of("course_lib/_solvers.py")]
    assert check.importers("_arguments") == []
    ((tests, _),) = check.tests_of("course_lib/_arguments.py")
    assert "tests/module/test_arguments.py" in tests


@pytest.mark.parametrize("chapter", notebooks.chapters(), ids=lambda path: path.stem)
def test_a_chapter_is_executed_and_its_claims_are_tested(chapter, root):
    commands, untested = check.plan([chapter.relative_to(root).as_posix()])
    claims, pages, executed = commands
    assert claims[-1] == f"tests/claims/test_{chapter.stem}.py"
    assert pages[-2:] == ["-k", chapter.stem]
    assert executed[-1] == f"book/{chapter.stem}.ipynb"
    assert "--nbval" in executed
    assert untested == []


def test_every_shared_file_of_tests_exists(root):
    assert all((root / tests).exists() for tests in check.OF_EVERY_MODULE + check.OF_EVERY_CHAPTER)


def test_what_no_test_belongs_to_is_said(tmp_path):
    (tmp_path / "tests" / "house").mkdir(parents=True)
    assert check.plan(["tools/build/new.py", "book/new.md"], tmp_path) == (
        [],
        ["tools/build/new.py", "book/new.md"],
    )


def test_changed_are_files_that_are_new_or_other_but_not_those_removed(tmp_path):
    def git(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=b", *arguments], cwd=tmp_path, check=True
        )

    git("init", "-q")
    for name in ("kept", "other", "gone"):
        (tmp_path / name).write_text(name)
    git("add", ".")
    git("commit", "-q", "-m", "first")
    (tmp_path / "other").write_text("else")
    (tmp_path / "new").write_text("new")
    (tmp_path / "gone").unlink()
    assert sorted(check.changed(tmp_path)) == ["new", "other"]


@pytest.mark.parametrize(("status", "failed"), [(0, False), (1, True), (5, False)])
def test_a_command_that_fails_makes_it_fail_and_one_without_cases_does_not(
    status, failed, monkeypatch, capsys
):
    class Run:
        returncode = 0

    def run(command, **_):
        Run.returncode = status if "tests/module/test_data.py" in command else 0
        return Run

    monkeypatch.setattr(subprocess, "run", run)
    assert check.main(["course_lib/data.py"]) == failed
    shown = capsys.readouterr().out
    assert ("Failed:\npytest" in shown) == failed
    assert "Left out" in shown
