"""Every claim is tested as it stands, and once more for each thing that would refute it."""

import pytest

from tests.refuting import in_words, refuted


@pytest.fixture(autouse=True)
def _without_what_takes_time(ready_processes, no_cover):
    """Their processes need not import torch anew, and coverage is held by the tests of the modules alone."""


def pytest_generate_tests(metafunc):
    cases = [None, *getattr(metafunc.function, "refutations", [])]
    names = ["holds", *(f"refuted by {in_words(case)}" for case in cases[1:])]
    metafunc.fixturenames.append("refutation")
    metafunc.parametrize("refutation", cases, ids=names)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    refutation = pyfuncitem.callspec.params["refutation"]
    if refutation is None:
        return (yield)
    with refuted(refutation):
        try:
            yield
        except AssertionError:
            return True
    pytest.fail(f"the claim still holds with {in_words(refutation)}")
