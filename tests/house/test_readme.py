"""Every command of README.md and CONTRIBUTING.md exists, and the block without make does what make does."""

import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter

import pytest

NEEDS_MAKE = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
PAGES = ("README.md", "CONTRIBUTING.md")


def code(text):
    """Return the spans and the lines of code of a page, without comments."""
    parts = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^    (.*)$", text, re.MULTILINE)
    return [re.sub(" +#.*", "", part) for part in parts]


def make(folder, *arguments, environment):
    command = ["make", "--dry-run", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True)


def commands(text):
    """Return what make would run in an environment, without settings and with each line as words."""
    found = re.findall(
        r"(?:^|[;&|(] *|[A-Z_]+=\S+ )(\S*python3? .*|\.venv/bin/[^;&|\n]*)", text, re.MULTILINE
    )
    return [shlex.split(command) for command in found]


@NEEDS_MAKE
@pytest.mark.parametrize("page", PAGES)
def test_every_make_command_exists(page, root, environment_of):
    called = [part.split()[1:] for part in code((root / page).read_text()) if re.match(r"make .", part)]
    assert len(called) >= 3
    for arguments in called:
        arguments = [word.removesuffix("=...") + "=x" * word.endswith("=...") for word in arguments]
        run = make(root, *arguments, environment=environment_of)
        assert run.returncode == 0, run.stderr
        assert [word for word in arguments if "=" not in word], "names what to make"


@pytest.mark.parametrize("page", PAGES)
def test_every_tool_that_is_called_exists(page, root):
    called = re.findall(r"python -m tools\.(\w+\.\w+)", (root / page).read_text())
    assert called
    assert [name for name in called if not (root / "tools" / f"{name.replace('.', '/')}.py").is_file()] == []


def without_make(root):
    (block,) = re.findall(
        r"^Without `make`.*?:\n\n((?:    .*\n)+)", (root / "README.md").read_text(), re.MULTILINE
    )
    return [shlex.split(line) for line in block.splitlines()]


def kind(command):
    return (*command[:3], *(word for word in command if word in ("-r", "--editable", "--nbval")))


@NEEDS_MAKE
def test_without_make_the_same_is_run(copy_of_repository, environment_of):
    """Each line is one of make's, in its order, with some options left out; and none of make's is missing."""
    run = make(copy_of_repository, "book", "test", environment=environment_of)
    text = run.stdout.replace(
        "$(find _build/elsewhere -name '*.ipynb' | sort -R)", "book"
    )  # copies, in a random order
    ours, theirs = without_make(copy_of_repository), commands(text)
    left = iter(theirs)
    for line in ours:
        assert any(not Counter(line) - Counter(other) for other in left), f"make runs no {shlex.join(line)}"
    check_of_python = ("python3", "-c")
    assert {kind(other) for other in theirs if kind(other)[:2] != check_of_python} == set(map(kind, ours))


def test_nothing_else_is_given_to_be_typed(root):
    """Every line of code that is no Python, and every span of more words than one, is tested above."""
    text = (root / "README.md").read_text()
    example = re.search(r"(?:^    .*\n)*    >>>.*\n(?:^    .*\n)*", text, re.MULTILINE)[0]
    parts = [part for part in code(text.replace(example, "")) if " " in part]
    known = {shlex.join(line) for line in without_make(root)} | {"pip install ."}
    assert [part for part in parts if not part.startswith("make ") and part not in known] == []


def test_the_module_is_installed_as_it_says(copy_of_repository, tmp_path):
    assert "    pip install .\n" in (copy_of_repository / "README.md").read_text()
    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--target", str(tmp_path / "site")]
    command = [sys.executable, "-m", "pip", "install", ".", *offline]
    subprocess.run(command, cwd=copy_of_repository, check=True)
    assert (tmp_path / "site" / "course_lib" / "geometry.py").is_file()


def test_the_example_runs(root):
    subprocess.run([sys.executable, "-m", "doctest", "README.md"], cwd=root, check=True)
