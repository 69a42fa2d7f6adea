"""Shared by all tests: no window, and the repository's root."""

import multiprocessing
import os
import shutil
from functools import partial

import matplotlib
import pytest

from tools import ROOT

matplotlib.use("Agg")


@pytest.fixture
def root():
    return ROOT


@pytest.fixture(scope="session")
def copy_into():
    """Return a function that copies the project's own files into a folder, where a test may change them."""
    ignore = shutil.ignore_patterns(
        ".git", ".venv*", "_build", "mutants", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
    )
    return lambda folder: shutil.copytree(ROOT, folder / "repository", ignore=ignore)


@pytest.fixture
def copy_of_repository(tmp_path, copy_into):
    """A copy of the project's own files."""
    return copy_into(tmp_path)


@pytest.fixture(scope="session")
def environment_of():
    """Return a function: the environment for a process that uses the project in another folder."""

    def environment(folder):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "MAKE", "MFLAGS"))}
        return kept | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}

    return environment


@pytest.fixture
def ready_processes(monkeypatch):
    """Let `data_parallel` start copies of a process that has imported torch, which takes seconds, already."""
    from torch.multiprocessing import start_processes

    from course_lib import distributed

    multiprocessing.set_forkserver_preload(["course_lib.distributed", "torch._dynamo"])
    monkeypatch.setattr(distributed, "spawn", partial(start_processes, start_method="forkserver"))
