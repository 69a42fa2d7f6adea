"""`make test` itself: what it has to notice, what it collects, and which files of tests there are."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from itertools import accumulate
from time import process_time
from types import ModuleType, SimpleNamespace

import nbformat
import pytest

from tools.build import notebooks
from tools.verify import mutants_of_labs

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# A book in miniature: one function, its tests, a page and two notebooks. The module is made long enough for
# a branch to be less than a half percent of it.
MODULE = '''"""A module in miniature."""


def sign(x: float) -> int:
    """Return the sign.

    >>> sign(-2.0)
    -1
    """
    result = 1
    if x < 0:
        result = -1
    return result


'''
TESTS = """import pytest

from course_lib.sign import sign


def test_minus():
    assert sign(-3.0) == -1


def test_plus():
    assert sign(3.0) == 1


@pytest.mark.xfail
def test_size():
    assert sign(-5.0) == -5


@pytest.mark.site
def test_page():
    assert sign(-7.0) < 0
"""
MODULE_FILE, TEST_FILE = "course_lib/sign.py", "tests/book/test_sign.py"
BUILT = "_build/jupyter_execute/book"
FAULTS = {
    "an unused import": ("lint", MODULE_FILE, "\n\n\ndef", "\n\nimport os\n\n\ndef"),
    "code out of form": ("lint", MODULE_FILE, "x < 0", "x<0"),
    "a wrong type": ("lint", MODULE_FILE, "-> int", "-> str"),
    "no type": ("lint", MODULE_FILE, "(x: float) -> int", "(x)"),
    "a test that fails": ("unit tests", TEST_FILE, "sign(3.0) == 1", "sign(3.0) == 2"),
    "an example that fails": ("unit tests", MODULE_FILE, "    -1\n    ", "    1\n    "),
    "a branch never taken": ("unit tests", TEST_FILE, "assert sign(3.0) == 1", "pass"),
    "a failure that is expected and missing": ("unit tests", TEST_FILE, "== -5", "== -1"),
    "a warning": ("unit tests", TEST_FILE, "== 1\n", '== 1\n    __import__("warnings").warn("")\n'),
    "an unknown mark": ("unit tests", TEST_FILE, "mark.xfail", "mark.xfial"),
    "an output of the first notebook": ("notebooks", "book/a.ipynb", '"1\\n"', '"2\\n"'),
    "an output of the last notebook": ("notebooks", "book/z.ipynb", '"1\\n"', '"2\\n"'),
    "a figure drawn otherwise": ("notebooks", "book/z.ipynb", r"\"BBBB\"", r"\"CCCC\""),
    "a page that fails": ("site", TEST_FILE, "sign(-7.0) < 0", "sign(-7.0) > 0"),
}
# One of each stage that has workers: starting them takes longer than all that they do here.
BY_WORKERS = {"a branch never taken", "an output of the last notebook", "a page that fails"}


# What mypy found out about Python itself, which it would find out anew for each book in miniature.
MYPY_CACHE = tempfile.TemporaryDirectory()


def make(folder, *arguments, workers="1"):
    """Run make as a newcomer's shell would; 0 workers are none beside pytest itself."""
    inherited = ("PYTEST_", "MAKE", "MFLAGS", "COV_", "COVERAGE_", "PYTHONPATH")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(inherited)}
    environment |= {"PYTEST_XDIST_AUTO_NUM_WORKERS": workers, "MYPY_CACHE_DIR": MYPY_CACHE.name}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def miniature(tmp_path, root):
    for name in ("Makefile", "pyproject.toml", "biome.json"):
        shutil.copy(root / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for folder in ("course_lib", "tests/book", "book", BUILT):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "course_lib" / "__init__.py").write_text('"""A package in miniature."""\n')
    (tmp_path / MODULE_FILE).write_text(MODULE + "".join(f"N{i} = {i}\n" for i in range(300)))
    (tmp_path / TEST_FILE).write_text(TESTS)
    for name in ("a", "z"):
        nbformat.write(notebook(figure="AAAA"), tmp_path / "book" / f"{name}.ipynb")
        nbformat.write(notebook(figure="BBBB"), tmp_path / BUILT / f"{name}.ipynb")
    return tmp_path


def notebook(figure):
    """Return a notebook that draws BBBB; another machine may have stored another figure: see redrawn.py."""
    source = 'print(1)\ndisplay({"text/plain": "a figure", "image/png": "BBBB"}, raw=True)'
    shown = {"text/plain": "a figure", "image/png": figure}
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="1\n"),
        nbformat.v4.new_output("display_data", data=shown),
    ]
    cell = nbformat.v4.new_code_cell(source, outputs=outputs, execution_count=1)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})


def check(folder, **options):
    """Run `make test` on a book that is built; return its exit status and the last stage it came to."""
    run = make(folder, "-o", "book", "test", **options)
    stages = re.findall(r"^== (.*)$", run.stdout, re.MULTILINE)
    return run.returncode, stages[-1].split(":")[0], run.stdout + run.stderr


def test_make_test_passes_where_nothing_is_wrong(miniature):
    status, stage, said = check(miniature)
    assert (status, stage) == (0, "site"), said


@pytest.mark.parametrize("fault", FAULTS)
def test_make_test_notices(fault, miniature):
    stage_expected, name, right, wrong = FAULTS[fault]
    text = (miniature / name).read_text()
    assert text.count(right) == 1
    (miniature / name).write_text(text.replace(right, wrong))
    status, stage, said = check(miniature, workers="1" if fault in BY_WORKERS else "0")
    assert status != 0, said
    assert stage.startswith(stage_expected), said


def commands(root, *arguments):
    """Return the commands that make would run, without the settings before them, as lists of words."""
    made = ("-o", ".venv/ready", "-o", ".venv-lowest/ready")
    text = make(root, "-n", *made, *arguments).stdout.replace("\\\n", "")
    found = re.findall(r"(?:^|[;&|(] *|[A-Z_]+=\S+ )(\.venv[\w-]*/bin/[^;&|\n]*)", text, re.MULTILINE)
    return [shlex.split(command) for command in found]


COLLECT = """
import json, sys, pytest
for stage in json.loads(sys.argv[1]):
    if status := pytest.main(stage):
        sys.exit(status)
    print("the next stage", flush=True)
"""


def collected(root, *stages):
    """Return for each stage the tests that it selects, and how many it leaves out.

    One process collects for all of them: what they import takes longer than to look for tests in it.
    """
    told = ["--collect-only", "--quiet", "--no-cov", "-n0", "--assert=plain"]
    stages = [[*stage[stage.index("pytest") + 1 :], *told] for stage in stages]
    command = [sys.executable, "-c", COLLECT, json.dumps(stages)]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    *said, _ = run.stdout.split("the next stage\n")
    left_out = [re.search(r"(\d+) deselected", text) for text in said]
    selected = [{line for line in text.splitlines() if "::" in line} for text in said]
    return zip(selected, (int(found[1]) if found else 0 for found in left_out), strict=True)


def test_every_test_is_run_by_a_stage_of_make_test(root):
    """What one of its two stages leaves out, and no more, the other one takes."""
    units, books, site = (command for command in commands(root, "test") if "pytest" in command)
    assert {"--nbval", "--no-loadscope-reorder"} <= set(books)  # or those with most cells would come first
    (in_units, left_out), (in_site, _) = collected(root, units, site)
    assert not in_units & in_site
    assert len(in_site) == left_out
    run = {test.partition("::")[0] for test in in_units | in_site}
    modules = (root / "course_lib").rglob("*.py")
    examples = {path for path in modules if ">>> " in path.read_text(encoding="utf-8")}
    there = {*(root / "tests").rglob("test_*.py"), *examples}
    assert run == {path.relative_to(root).as_posix() for path in there}


def test_make_lowest_builds_the_package_and_runs_every_module_and_chapter(root):
    setuptools, wheel, units, books = commands(root, "lowest")
    assert [command[0] for command in (setuptools, wheel, units, books)] == [".venv-lowest/bin/python"] * 4
    assert {"install", "--target"} <= set(setuptools)
    assert {"wheel", "--no-build-isolation", "."} <= set(wheel)
    assert {"tests/claims", "tests/module"} <= set(units)
    assert not {"-k", "-m", "--ignore"} & set(units[3:] + books[3:])
    assert {"--nbval", "book"} <= set(books)


def rooms(house):
    """Return the files of tests that the map names, room by room."""
    parts = re.findall(
        r"^ {6}(module|book|house)/ (.*?)(?=^ {6}\w+/|^ {4}\w)", house, re.DOTALL | re.MULTILINE
    )
    return {room: re.findall(r"\btest_\w+\.py\b", text) for room, text in parts}


def its_test(module):
    """Return the file of tests of a module, if it has one."""
    name, room = module.stem.lstrip("_"), "module/labs" if module.parent.name == "labs" else "module"
    if (
        name in ("init__", "solvers", "linear", "drawing", "checking", "calling")
        or module.parent.name == "check"
    ):
        return None
    return f"tests/{room}/test_{name}.py"


def test_every_module_and_chapter_has_its_tests_and_the_map_names_the_others(root):
    """So that a file of tests that goes is missed. Users of some private modules test them."""
    house = re.search(
        r"^## The map.*?^## ", (root / "CONTRIBUTING.md").read_text(), re.DOTALL | re.MULTILINE
    )[0]
    expected = {its_test(path) for path in (root / "course_lib").rglob("*.py")} - {None}
    expected |= {"tests/module/test_check.py"}
    expected |= {f"tests/claims/test_{chapter.stem}.py" for chapter in notebooks.chapters(root)}
    expected |= {f"tests/{room}/{name}" for room, names in rooms(house).items() for name in names}
    assert {path.relative_to(root).as_posix() for path in (root / "tests").rglob("test_*.py")} == expected


def test_mutants_are_made_of_every_numerical_module_and_met_by_its_tests(root):
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["mutmut"]
    assert settings["source_paths"] == ["course_lib"]
    of_exercises = {"check/*", "_calling.py", "_checking.py"}
    of_figures = {"_drawing.py", "_style.py", "plotting.py", "tables.py", "labs/*"}
    spared = {"__init__.py"} | of_exercises | of_figures
    assert set(settings["do_not_mutate"]) == {f"course_lib/{name}" for name in spared}
    assert settings["pytest_add_cli_args_test_selection"] == ["tests/module"]
    assert not {"--ignore", "--deselect"} & {
        word.partition("=")[0] for word in settings["pytest_add_cli_args"]
    }


def pretend(names, monkeypatch):
    """Let modules be there, with things in them: mutmut is installed elsewhere."""
    for name, things in names.items():
        for part in accumulate(name.split("."), "{}.{}".format):
            monkeypatch.setitem(sys.modules, part, sys.modules.get(part) or ModuleType(part))
        vars(sys.modules[name]).update(things)


HARMLESS = {"listed": "---\n+++\n- one\n+ two, which shows nothing"}
OTHER = "---\n+++\n- one\n+ two"


class Found:
    """What mutmut would tell of 1000 mutants of a module, and of one more that is harmless."""

    def __init__(self, path):
        codes = ["survived"] * self.left + ["killed"] * (998 - self.left) + ["timeout", "segfault"]
        counted = {f"mutant {number}": code for number, code in enumerate(codes)}
        self.exit_code_by_key = counted | dict.fromkeys(HARMLESS, "survived")

    def load(self):
        pass


@pytest.mark.parametrize(
    ("left", "more", "status"),
    [
        (0, "", 0),
        (20, "", 0),
        (21, "", 1),
        (900, "", 1),
        (0, "a module: two\n  A test notices it.\n", 1),
        (0, "another: three\n  It is none of these modules.\n", 0),
    ],
)
def test_mutants_fail_below_the_score_that_is_promised_and_by_a_list_that_is_wrong(
    left, more, status, root, tmp_path, monkeypatch, capsys
):
    assert "fewer than 98 % of the changes" in (root / "CONTRIBUTING.md").read_text().replace("\n", " ")
    names = {
        "mutmut.mutation.data": {"SourceFileMutationData": type("Told", (Found,), {"left": left})},
        "mutmut.mutation.diff_apply": {"get_diff_for_mutant": lambda name, path: HARMLESS.get(name, OTHER)},
        "mutmut.stats": {
            "status_by_exit_code": {word: word for word in ("survived", "killed", "timeout", "segfault")}
        },
        "mutmut.utils.file_utils": {"walk_mutatable_files": lambda: ["a module"]},
    }
    pretend(names, monkeypatch)
    monkeypatch.setattr("tools.verify.harmless.LIST", tmp_path / "harmless.txt")
    (tmp_path / "harmless.txt").write_text("a module: two, which shows nothing\n  It is not used.\n" + more)
    monkeypatch.setattr(sys, "argv", ["mutants", str(tmp_path / "survivors.txt")])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("tools.verify.mutants", run_name="__main__")
    assert int(stop.value.code) == status
    said = capsys.readouterr().out
    assert said == (tmp_path / "survivors.txt").read_text()
    assert f"Noticed by the tests: {1000 - left} of 1000, " in said
    assert said.count("; 1 more change nothing that can be seen\n") == 2
    wrong = "a module: two\n    is listed as harmless, but a test notices it, or it is no change\n"
    assert (wrong in said) == more.startswith("a module")
    assert said.count("(survived)\n    - one\n    + two\n") == left


def test_what_stops_the_mutants_of_labs_before_their_first_change_is_said(tmp_path, monkeypatch):
    def no_test(options, plugins):
        print("test_clock.py is broken")
        return pytest.ExitCode.INTERNAL_ERROR

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(mutants_of_labs._lab, "FOLDER", mutants_of_labs._lab.FOLDER)
    monkeypatch.setattr(mutants_of_labs.javascript, "FOLDER", mutants_of_labs.javascript.FOLDER)
    monkeypatch.setattr(mutants_of_labs.pytest, "main", no_test)
    with pytest.raises(SystemExit, match=r"^test_clock\.py is broken\n$"):
        mutants_of_labs.main("1", "clock")


def session_of(names, broken):
    """Return a session of pytest in which some tests fail, and what it runs, with what it would run next."""
    session, order = SimpleNamespace(testsfailed=0), []

    def protocol(item, nextitem):
        order.append((item.nodeid, nextitem and nextitem.nodeid))
        session.testsfailed += item.nodeid in broken

    hook = SimpleNamespace(pytest_runtest_protocol=protocol)
    session.items = [SimpleNamespace(nodeid=name, config=SimpleNamespace(hook=hook)) for name in names]
    return session, order


@pytest.mark.parametrize(
    ("changed", "tests", "broken", "code", "run"),
    [
        ("m.x_f__mutmut_1", "abc", "", 0, "ba"),  # c alone takes more than a tenth of the time of all
        ("m.x_f__mutmut_1", "", "", 0, "ba"),  # all of them
        ("m.x_f__mutmut_1", "ca", "c", 0, "a"),
        ("m.x_f__mutmut_1", "abc", "b", 1, "b"),
        ("m.x_f__mutmut_1", "c", "c", 1, "c"),
        (None, "abc", "", 0, "abc"),
        (None, "", "c", 1, "abc"),
    ],
)
def test_a_change_meets_its_tests_until_one_fails_or_they_are_enough(
    changed, tests, broken, code, run, mutate, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    durations = {"a": 2.0, "b": 1.0, "c": 300.0}
    session, order = session_of(durations, broken)
    names = mutate(durations)
    start = process_time()
    assert names["Collected"](session).run_tests(mutant_name=changed, tests=[*tests]) == code
    assert "".join(name for name, _ in order) == run
    assert [after for _, after in order[:-1]] == [*run[1:]]
    assert code or order[-1][1] is None
    assert len(names["limited"]) == (len(run) if changed else 0)
    for name, (soft, _) in zip(run, names["limited"], strict=False):
        least = 10 * durations[name] + 29
        assert min(start + least, 1000) <= soft <= min(process_time() + least + 1, 1000)
    kept = [path.read_text() for path in tmp_path.iterdir()]
    assert kept == ([f"{changed} {run}\n"] if code and changed else [])


def test_tests_that_have_noticed_like_changes_come_first(mutate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    likeliest = mutate({})["likeliest"]
    duration = dict.fromkeys(["a[1 2]", "b", "c", "d"], 1.0) | {"e": 100.0}
    noticed = [("m.x_f__mutmut_2", "c"), ("m.x_g__mutmut_1", "b"), ("n.x_f__mutmut_1", "a[1 2]")]

    def order(mutant, **changes):
        return likeliest(["a[1 2]", "b", "c", "d"], mutant, noticed, duration | changes)

    assert order("m.x_f__mutmut_1") == ["c", "b", "a[1 2]", "d"]
    assert order("n.x_g__mutmut_1") == ["a[1 2]", "b", "c", "d"]
    assert order("m.x_f__mutmut_1", c=20.0) == ["b", "a[1 2]", "d"]
    assert order("m.x_f__mutmut_1", c=10.0) == ["b", "c"]  # 11 of 113 seconds


def test_what_has_noticed_one_change_meets_the_next_like_it_first(mutate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    durations = {"slow [a b]": 2.0, "quick": 1.0, "others": 100.0}
    runner = mutate(durations)["Collected"]
    for number, expected in enumerate([["quick", "slow [a b]"], ["slow [a b]"]]):
        session, order = session_of(durations, {"slow [a b]"})
        runner(session).run_tests(mutant_name=f"m.x_f__mutmut_{number}", tests=durations)
        assert [name for name, _ in order] == expected


def test_a_change_is_not_tried_without_a_test_that_meets_it(mutate):
    with pytest.raises(ValueError, match=r"not collected: \['lost'\]"):
        mutate({"lost": 0.1})["Collected"](SimpleNamespace(items=[]))


@pytest.fixture
def mutate(monkeypatch):
    """Return a function: the names of the runner of mutants, where mutmut knows how long tests take."""
    limited = []

    def names(durations):
        one = type("One", (), {})
        known = {
            "mutmut.__main__": {"cli": None},
            "mutmut.configuration": {"config": None},
            "mutmut.runners.harness": {"PytestRunner": one},
            "mutmut.state": {"state": lambda: SimpleNamespace(duration_by_test=durations)},
            "mutmut.utils.file_utils": {"change_cwd": None},
            "mutmut.workers": {"isolation": SimpleNamespace(ForkServerRunner=one)},
        }
        pretend(known, monkeypatch)
        monkeypatch.setattr("resource.getrlimit", lambda kind: (1000, 1000))
        monkeypatch.setattr("resource.setrlimit", lambda kind, limits: limited.append(limits))
        return runpy.run_module("tools.verify.mutate") | {"limited": limited}

    return names
