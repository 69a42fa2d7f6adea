"""The package as a whole: what an import costs, and what every public name owes its reader."""

import importlib
import inspect
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser

import numpydoc.docscrape
import pytest
import torch
import torch.nn.functional as F

import course_lib
from tests.valid_arguments import UNCHECKED, public_name

MODULES = [importlib.import_module(f"course_lib.{name}") for name in course_lib.__all__]
PUBLIC = [getattr(module, name) for module in MODULES for name in module.__all__]
FUNCTIONS = [thing for thing in PUBLIC if inspect.isfunction(thing)]
each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)


def fresh_python(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )


def test_importing_does_nothing():
    numerical = ", ".join(f"course_lib.{name}" for name in course_lib.__all__ if name != "plotting")
    run = fresh_python(
        f"import torch, sys; before = torch.get_rng_state(), torch.get_default_dtype()\n"
        f"import {numerical}\n"
        f"assert torch.equal(before[0], torch.get_rng_state()) and before[1] == torch.get_default_dtype()\n"
        f"print([name for name in ('matplotlib', 'sklearn', 'scipy', 'pandas') if name in sys.modules])"
    )
    assert run.stdout == "[]\n"
    assert run.stderr == ""


def test_the_package_itself_loads_its_modules_on_demand():
    run = fresh_python(
        "import sys, course_lib; print('torch' in sys.modules); print(course_lib.geometry.__name__);"
        "print(set(course_lib.__all__) <= set(dir(course_lib)))"
    )
    assert run.stdout.split() == ["False", "course_lib.geometry", "True"]
    with pytest.raises(AttributeError, match="nonsense"):
        course_lib.nonsense  # noqa: B018


def test_every_module_is_listed(root):
    files = {path.stem for path in (root / "course_lib").glob("*.py") if not path.stem.startswith("_")}
    packages = {path.parent.name for path in (root / "course_lib").glob("*/__init__.py")}
    assert files | packages == set(course_lib.__all__)


def test_labs_are_loaded_on_demand():
    run = fresh_python(
        "import sys; from course_lib import labs; print(set(labs.__all__) <= set(dir(labs)));"
        "labs.clock; print(sorted(name for name in sys.modules if name.startswith('course_lib.labs.')))"
    )
    assert run.stdout == "True\n['course_lib.labs._clock', 'course_lib.labs._lab']\n"
    with pytest.raises(AttributeError, match="nonsense"):
        course_lib.labs.nonsense  # noqa: B018


def test_numerical_modules_never_import_plotting(root):
    for path in (root / "course_lib").glob("*.py"):
        if path.stem not in ("plotting", "_drawing", "_style", "__init__"):
            text = path.read_text()
            assert "_style" not in text, path.name
            assert "_drawing" not in text, path.name
            assert "plotting" not in text, path.name
            assert "matplotlib" not in text, path.name
            assert "print(" not in re.sub(r"^ *(>>>|\.\.\.) .*$", "", text, flags=re.MULTILINE), path.name


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_all_lists_what_is_public(module):
    defined = {
        name
        for name, thing in inspect.getmembers(module, callable)
        if not name.startswith("_")
        and f"{getattr(thing, '__module__', '')}.".startswith(f"{module.__name__}.")
    }
    assert defined == {name for name in module.__all__ if callable(getattr(module, name))}


@each_function
def test_docstring_names_every_argument_and_has_an_example(function):
    doc = numpydoc.docscrape.FunctionDoc(function)
    documented = {name.strip("*") for item in doc["Parameters"] for name in item.name.split(", ")}
    assert documented == set(inspect.signature(function).parameters)
    assert doc["Summary"]
    assert doc["Returns"]
    assert ">>>" in "\n".join(doc["Examples"])


def documented_arguments(thing):
    """Yield the name and the type, as documented, of each argument of a function or class."""
    of_a_class = inspect.isclass(thing)
    doc = numpydoc.docscrape.ClassDoc(thing) if of_a_class else numpydoc.docscrape.FunctionDoc(thing)
    for item in doc["Parameters"]:
        for name in item.name.split(", "):
            yield name.strip("*"), item.type


CALLABLE = [thing for thing in PUBLIC if callable(thing)]


@pytest.mark.parametrize("thing", CALLABLE, ids=lambda thing: thing.__name__)
def test_documented_defaults_are_the_real_ones(thing):
    """`default=...` is evaluated; what is "optional" is None when left out."""
    documented = {}
    for name, kind in documented_arguments(thing):
        if match := re.search(r"default=(.+)$", kind):
            documented[name] = eval(match[1], {"torch": torch, "F": F})
        elif kind.endswith(", optional"):
            documented[name] = None
    assert documented == {
        name: parameter.default
        for name, parameter in inspect.signature(thing).parameters.items()
        if parameter.default is not parameter.empty and name in dict(documented_arguments(thing))
    }


@each_function
def test_docstring_names_its_errors(function):
    raises = bool(numpydoc.docscrape.FunctionDoc(function)["Raises"])
    assert raises == (public_name(function) not in UNCHECKED)


@each_function
def test_a_decay_says_which_lambda_it_is(function):
    if "weight_decay" in inspect.signature(function).parameters:
        doc = inspect.getdoc(function)
        assert "1/2" in doc
        assert "lr" in doc or "learning rate" in doc
        assert "bias" in doc or "free" in doc


@pytest.fixture
def built(copy_of_repository, tmp_path):
    """The sdist and the wheel of a repository, and what git finds in its folder afterwards."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], cwd=copy_of_repository, check=True)
    build = "from setuptools import build_meta as b; b.build_sdist({0!r}); b.build_wheel({0!r})"
    command = [sys.executable, "-c", build.format(str(tmp_path))]
    subprocess.run(command, cwd=copy_of_repository, check=True, capture_output=True)
    status = [*git, "status", "--porcelain"]
    left = subprocess.run(status, cwd=copy_of_repository, check=True, capture_output=True, text=True).stdout
    (sdist,), (wheel,) = tmp_path.glob("*.tar.gz"), tmp_path.glob("*.whl")
    return sdist, wheel, left


def contents(wheel):
    """Return what a wheel holds, by name, and its metadata."""
    with zipfile.ZipFile(wheel) as file:
        texts = {name: file.read(name).decode() for name in file.namelist()}
    (metadata,) = (text for name, text in texts.items() if name.endswith(".dist-info/METADATA"))
    return texts, Parser().parsestr(metadata)


def test_wheel_holds_the_modules_and_sdist_what_builds_it(built, root, tmp_path):
    sdist, wheel, _ = built
    package = root / "course_lib"
    scripts = package / "labs" / "javascript"
    modules = {path.relative_to(root).as_posix() for path in [*package.rglob("*.py"), *scripts.iterdir()]}
    modules |= {"course_lib/py.typed"}
    texts, _ = contents(wheel)
    assert {name for name in texts if ".dist-info/" not in name} == modules
    with tarfile.open(sdist) as file:
        file.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    files = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    others = {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}
    assert {name for name in files if ".egg-info/" not in name} == modules | others
    command = [sys.executable, "-c", "from setuptools.build_meta import build_wheel as b; b('.')"]
    subprocess.run(command, cwd=unpacked, check=True, capture_output=True)
    again, _ = contents(next(unpacked.glob("*.whl")))
    assert again == texts


def test_metadata_says_whose_it_is_and_under_which_license(built, root):
    texts, metadata = contents(built[1])
    citation = (root / "CITATION.cff").read_text()
    assert f"name: {metadata['Author']}\n" in citation
    assert f"version: {metadata['Version']}\n" in citation
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert [name for name in texts if name.endswith("/LICENSE")]
    assert metadata["Keywords"]
    assert metadata.get_payload() == (root / "README.md").read_text()


def test_building_leaves_nothing_that_git_would_add(built):
    assert built[2] == ""


def test_colab_can_build_it(root):
    """Its setuptools is older than 77, which first took `license = "MIT"` and license-files."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert not {"license", "license-files"} & project.keys()


def test_a_type_checker_finds_it_in_another_folder(tmp_path):
    script = tmp_path / "user.py"
    script.write_text("import course_lib\n\nreveal_type(course_lib.__version__)\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, script.name]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MYPYPATH")}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    assert 'Revealed type is "str"' in run.stdout
