"""The repository: what it must hold, and what it must not say."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest

from tools.build import home, lock, lowest

REQUIRED = [
    *("_config.yml", "_toc.yml", "requirements.txt", "constraints.txt", "pyproject.toml", "Makefile"),
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "LICENSE-TEXT"),
    *(".gitignore", ".ci/run", "setup.cfg", "MANIFEST.in", "tests/house/test_suite.py"),
    *("book/intro.md", "book/references.bib"),
    *(".github/workflows/book.yml", ".github/workflows/weekly.yml", ".github/dependabot.yml"),
]
# What Colab's runtime ships; the package's lower bounds have to admit it.
COLAB = {
    "torch": "2.11.0",
    "numpy": "2.0.2",
    "scikit-learn": "1.6.1",
    "matplotlib": "3.10.0",
    "scipy": "1.16.3",
    "setuptools": "75.2.0",
    "joblib": "1.5.3",
    "threadpoolctl": "3.1.0",  # at least: its scikit-learn needs it
    "tqdm": "4.67.3",
}


def numbers(text):
    return tuple(int(part) for part in text.split("."))


def test_the_house_is_complete(root):
    assert [name for name in REQUIRED if not (root / name).is_file()] == []


def test_every_direct_pin_is_exact_and_installed(root):
    lines = (root / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    for pin in pins:
        name, _, pinned = pin.partition("==")
        assert pinned, pin
        assert version(name).split("+")[0] == pinned, pin


def test_everything_else_that_is_installed_is_pinned_too(root):
    pinned = set((root / "constraints.txt").read_text().splitlines())
    installed_by_hand = [line for line in lock.locked() if line not in pinned]
    assert installed_by_hand == []


def test_lower_bounds_admit_colab(root):
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    needed = settings["project"]["dependencies"] + settings["build-system"]["requires"]
    bounds = dict(dependency.split(">=") for dependency in needed)
    assert set(bounds) == set(COLAB)
    for name, bound in bounds.items():
        assert numbers(bound) <= numbers(COLAB[name]), name
    assert settings["project"]["requires-python"] == ">=3.11"


def test_no_address_that_a_stranger_could_register(root):
    if home.read():
        pytest.skip("the public address is set")
    files = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True)
    names = files.stdout.splitlines() if files.returncode == 0 else REQUIRED
    cited = (
        "athms/mad-lab|BlinkDL/RWKV-LM|fabioseel/receptive-fields|facebookresearch/deit|google-research/bert|"
        "huggingface/diffusers|huggingface/transformers|jettify/pytorch-optimizer|karpathy/minGPT|"
        "majumderb/rezero|marin-community/marin|mlfoundations/open_clip|open-mmlab/mmsegmentation|"
        "PilotLeoYan/inside-deep-learning|pytorch/pytorch|pytorch/torchtitan|scikit-learn/scikit-learn|"
        "SMC-AAU-CPH/SPIS|state-spaces/mamba|stipub/stixfonts"
    )
    allowed = re.compile(rf"github\.com/(OWNER/REPO|<owner>/<repo>|\{{|\\|somebody/a-fork|({cited})[/)])")
    for name in names:
        path = root / name
        if path.suffix in (".png", ".ico", ".woff2") or not path.is_file() or name.startswith("tests/"):
            continue
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"github\.com/|github\.io/|mybinder\.org", text):
            place = text[match.start() : match.start() + 60]
            assert allowed.match(place) or "github.io/{" in place or name == "tools/build/home.py", (
                f"{name}: {place}"
            )


def test_lowest_versions_are_the_bounds_and_torch_stays_at_its_pin(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    bounds = dict(dependency.split(">=") for dependency in project["dependencies"])
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (root / "requirements.txt").read_text(), re.MULTILINE))
    expected = pinned | bounds | {"torch": pinned["torch"]}
    assert dict(re.findall(r"^([\w-]+)==(\S+)$", lowest.lowest(root), re.MULTILINE)) == expected


def test_lowest_build_is_the_bound(root):
    (bound,) = tomllib.loads((root / "pyproject.toml").read_text())["build-system"]["requires"]
    name, _, lowest_version = bound.partition(">=")
    assert lowest.lowest_build(root) == f"{name}=={lowest_version}\n"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_alone_lists_every_command(root, environment_of):
    run = subprocess.run(
        ["make"], cwd=root, env=environment_of(root), capture_output=True, text=True, check=True
    )
    listed = run.stdout
    phony = re.search(r"^\.PHONY: (.*)$", (root / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert [line.split()[1] for line in listed.splitlines()] == phony


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("command", ["book", "lowest", "rosetta", "zoo"])
def test_too_old_a_python_gets_one_line_that_says_so(command, copy_of_repository, environment_of):
    old = copy_of_repository / "old-python"
    pretend = "import sys; sys.version_info = (3, 10, 4); exec(sys.argv[1])"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{pretend}" "$2"\n')
    old.chmod(0o755)
    run = subprocess.run(
        ["make", command, "PYTHON=./old-python"],
        cwd=copy_of_repository,
        env=environment_of(copy_of_repository),
        capture_output=True,
        text=True,
    )
    said = [line for line in run.stderr.splitlines() if not line.startswith("make")]
    assert run.returncode != 0
    assert len(said) == 1
    assert "needs Python 3.11 or newer, and ./old-python is 3.10" in said[0]
    assert not list(copy_of_repository.glob(".venv*"))


def test_contributing_maps_every_module(root):
    """Those of check are the chapters."""
    text = (root / "CONTRIBUTING.md").read_text()
    for folder in ("course_lib", "tools"):
        for path in {*(root / folder).rglob("*.py")} - {*(root / "course_lib" / "check").iterdir()}:
            assert path.name == "__init__.py" or path.name in text, path
