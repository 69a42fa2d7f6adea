"""What makes another version of a function; the file is tested by sweeps."""

import importlib
import random
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

from course_lib._results import version_of


def function(x, seed):
    return {"loss": helper(x) + seed}


def helper(x):
    return function(x - 1, 0) if x > 9 else x


FUNCTIONS = [
    function,
    partial(function, x=torch.arange(3)),
    partial(function, x={"b": [1.0], "a": np.ones(2)}),
]


def test_a_version_is_the_same_in_another_process():
    command = "from tests.module import test_results as t; print(*map(t.version_of, t.FUNCTIONS))"
    run = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [version_of(made) for made in FUNCTIONS]
    assert len(set(run.stdout.split())) == len(FUNCTIONS)


def test_a_version_is_the_same_whoever_else_holds_a_constant_of_the_function():
    names = {}
    exec("def fit(x, seed): return x * 12.345 + seed", names)
    before = version_of(names["fit"])
    held = [*names["fit"].__code__.co_consts]
    assert version_of(names["fit"]) == before
    assert 12.345 in held


def version(text, name="fit", module="a_module"):
    """Return the version of a function that a text defines."""
    names = {"__name__": module, "partial": partial, "np": np, "torch": torch}
    exec(compile(text, "<text>", "exec"), names)
    return version_of(names[name])


BASE = """
STEPS, DATA, WORDS = 100, np.arange(3), {"a": [torch.ones(2)], 1: 2}
def helper(x): return helper(x - 1) if x > 9 else x + 1
class Kind:
    def __init__(self, n): self.n = n
    def __call__(self, x, seed): return self.n
    def method(self, x, seed): return self.n + 1
KIND = Kind(3)
KIND.itself = KIND
def inner(n):
    def fit(x, seed): return n
    return fit
closed = inner(4)
def fit(x, seed):
    def deeper(): return helper(x) + STEPS
    def later(): return DATA.sum() + WORDS["a"][0]
    return deeper() + later() + KIND.n + np.sin(x)
part = partial(fit, x=5)
bound = KIND.method
UNUSED = 1
"""


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("x + 1", "x + 2", {"fit", "part"}),
        ("= 100", "= 101", {"fit", "part"}),
        ("arange(3)", "arange(3.0)", {"fit", "part"}),
        ("ones(2)", "zeros(2)", {"fit", "part"}),
        ("Kind(3)", "Kind(2)", {"fit", "part", "KIND", "bound"}),
        ("1: 2", "1: 3", {"fit", "part"}),
        ("self.n + 1", "self.n + 2", {"bound"}),
        ("inner(4)", "inner(5)", {"closed"}),
        ("np.sin", "np.cos", {"fit", "part"}),
        ("x=5", "x=6", {"part"}),
        ("UNUSED = 1", "UNUSED = 2", set()),
    ],
)
def test_a_version_changes_with_what_the_function_names(old, new, names):
    assert old in BASE
    for name in ("fit", "part", "closed", "KIND", "bound"):
        changed = version(BASE, name) != version(BASE.replace(old, new), name)
        assert changed == (name in names), name


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 1}, {"b": 1, "a": 1}, True),
        ({"a": 1}, {"b": 1}, False),
        ([1], [1, 1], False),
        (object(), object(), True),
        (object(), random.Random(), False),
    ],
)
def test_an_argument_that_is_held_counts_by_what_it_is(one, other, same):
    assert (version_of(partial(function, x=one)) == version_of(partial(function, x=other))) == same


def test_what_is_imported_counts_by_its_name():
    def using(library, name="helper"):
        names = {"__name__": "a_library"}
        exec(library, names)
        code = {"__name__": "a_module", "helper": names[name]}
        exec("def fit(x, seed): return helper(x)", code)
        return version_of(code["fit"])

    library = "N = 1\ndef helper(x): return x + N\ndef another(x): return x + N\nclass Kind: pass"
    assert using(library) == using(library.replace("N = 1", "N = 2")) == using(library.replace("+", "-"))
    assert len({using(library, name) for name in ("helper", "another", "Kind")}) == 3


def test_a_class_counts_by_its_name_where_there_is_no_source():
    text = "class A: pass\nclass B: pass\nkind = A\ndef fit(x, seed): return kind"
    assert version(text) == version(text) != version(text.replace("kind = A", "kind = B"))


OF_A_FILE = """
class Kind:
    __slots__ = ()
    def method(self): return 1  # as a start
KIND = Kind()
def helper(x): return x + 2  # and more
def fit(x, seed): return {"loss": helper(x) + KIND.method()}
"""


@pytest.mark.parametrize("old", ["nothing", "return 1", "as a start", "x + 2", "and more"])
def test_what_stands_in_a_file_counts_by_its_source(old, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    versions = []
    for name, text in {"first": OF_A_FILE, "second": OF_A_FILE.replace(old, "2 * 3")}.items():
        module = f"{tmp_path.name}_{name}"
        (tmp_path / f"{module}.py").write_text(text)
        versions.append(version_of(importlib.import_module(module).fit))
        sys.modules.pop(module)
    assert (versions[0] == versions[1]) == (old == "nothing")
