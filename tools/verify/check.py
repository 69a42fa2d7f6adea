"""What a contributor runs after an edit: lint, types, and the tests of what has changed.

Which those are follows from the names, as tests mirror what they test:

    python -m tools.verify.check [FILE ...]
"""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

from tools import ROOT

OF_EVERY_MODULE = [
    f"tests/module/test_{name}.py" for name in ("bad_input", "devices", "formulas", "hostile_input")
]
OF_EVERY_CHAPTER = [
    f"tests/book/test_{name}.py" for name in ("claims", "figures", "notebooks", "prose", "reading")
]
LINT = [
    ["ruff", "check", "."],
    ["ruff", "format", "--check", "."],
    ["biome", "ci", "--log-level=warn"],
    ["mypy"],
]
PYTEST = ["pytest", "-q", "--no-header", "-n", "auto", "--dist", "worksteal"]
TESTS = [*PYTEST, "-p", "no:nbval", "-m", "not site", "--doctest-modules"]
NOTEBOOKS = [*PYTEST, "--nbval", "--nbval-cell-timeout=300"]


def changed(root=ROOT):
    """Return the files that differ from the last commit and are still there."""
    status = ["git", "status", "--porcelain", "--untracked-files=all", "--no-renames"]
    lines = subprocess.run(status, cwd=root, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line[3:] for line in lines if (root / line[3:]).exists()]


def tests_of(file, root=ROOT):
    """Return the tests of a file: (files, the name of the cases, or "" for all of them)."""
    path = Path(file)
    if path.name.startswith("test_"):
        return [([file], "")]
    if path.parts[:2] == ("course_lib", "labs"):
        lab = path.stem.lstrip("_")
        its_tests = f"tests/module/labs/test_{lab}.py"
        if not (root / its_tests).exists():
            return [(["tests/module/labs"], "")]
        of_python = [([file], ""), (OF_EVERY_MODULE, f"labs.{lab}")] * (path.suffix == ".py")
        return [([its_tests], ""), *of_python]
    if path.parts[0] == "course_lib":
        found = [f"tests/module/test_{path.stem.lstrip('_')}.py", file]
        modules = [path.stem] if not path.stem.startswith("_") else importers(path.stem, root)
        return [(found, ""), *((OF_EVERY_MODULE, f"{module}.") for module in modules)]
    if path.suffix == ".ipynb":
        return [([f"tests/claims/test_{path.stem}.py"], ""), (OF_EVERY_CHAPTER, path.stem)]
    if path.parts[0] == "book":
        return [([f"tests/book/test_{path.stem}.py"], ""), (["tests/book/test_prose.py"], path.stem)]
    if path.parts[0] == "tools":
        rooms = [*(root / "tests" / "book").glob("test_*.py"), *(root / "tests" / "house").glob("test_*.py")]
        users = [test for test in rooms if path.stem in test.read_text(encoding="utf-8")]
        return [([test.relative_to(root).as_posix() for test in users], "")]
    return [(["tests/house/test_repository.py"], "")]


def importers(name, root=ROOT):
    """Return the public modules of course_lib that import one of its others, but of what all do, none."""
    found = []
    for path in sorted((root / "course_lib").glob("[a-z]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        found += [path.stem] * any(name == alias.name for node in imports for alias in node.names)
    return found if len(found) < 8 else []


def plan(files, root=ROOT):
    """Return the commands that test these files, and those of them that no test belongs to."""
    whole, named, untested = set(), {}, []
    for file in files:
        groups = [([t for t in tests if (root / t).exists()], case) for tests, case in tests_of(file, root)]
        for tests, case in groups:
            (named.setdefault(case, set()) if case else whole).update(tests)
        if not any(tests for tests, _ in groups):
            untested.append(file)
    notebooks = [file for file in files if file.endswith(".ipynb")]
    commands = [[*TESTS, *sorted(whole)]] * bool(whole)
    commands += [
        [*TESTS, *sorted(tests - whole), "-k", case] for case, tests in named.items() if tests - whole
    ]
    return commands + [[*NOTEBOOKS, *notebooks]] * bool(notebooks), untested


def main(files):
    start, environment = time.monotonic(), {**os.environ, "OMP_NUM_THREADS": "1"}
    commands, untested = plan(files or changed())
    failed = []
    for program, *arguments in LINT + commands:
        shown = " ".join(
            [program, *(argument for argument in arguments if "/" in argument or argument == ".")]
        )
        print(f"== {shown}", flush=True)
        run = subprocess.run([Path(sys.executable).parent / program, *arguments], cwd=ROOT, env=environment)
        failed += [shown] * (run.returncode not in (0, 5))  # 5: no case has that name
    print(f"\nChecked in {time.monotonic() - start:.0f} s. " + ("Failed:" if failed else "All passed."))
    print(*failed, sep="\n")
    if untested:
        print("No test of its own:", *untested)
    print("Left out: other modules and chapters, branch coverage, the built pages. `make test` runs all.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
