"""What would refute a claim: one function, or optimizer, that does something else."""

import functools
import inspect
import sys
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np
import torch


def refuted_by(function, **changes):
    """Say of a claim's test what would make it fail: this function with another argument or `result`.

    Each change is a function of what the argument, by its name, or the result is. An argument that the test
    leaves out has its default. The claim is tested once as it is and once for each such line.
    """

    def mark(test):
        test.refutations = [(function, changes), *getattr(test, "refutations", [])]
        return test

    return mark


def in_words(refutation):
    function, changes = refutation
    return f"{function.__qualname__}: " + ", ".join(
        f"{name} {change.__name__}" for name, change in changes.items()
    )


def times(factor):
    """Return what multiplies a number, an array or all numbers in a tuple, list or dict."""
    return _elementwise(f"x {factor!r}", lambda value: value * factor)


def plus(term):
    """Return what adds to a number, an array or all numbers in a tuple, list or dict."""
    return _elementwise(f"+ {term!r}", lambda value: value + term)


def being(value):
    """Return what puts `value` in the place of anything."""

    def change(_):
        return value

    change.__name__ = f"= {value!r}"
    return change


def _elementwise(name, function):
    def change(value):
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(change, value))
        if isinstance(value, tuple | list):
            return type(value)(map(change, value))
        if isinstance(value, dict):
            return {key: change(entry) for key, entry in value.items()}
        if isinstance(value, bool) or not isinstance(
            value, int | float | np.ndarray | np.generic | torch.Tensor
        ):
            raise TypeError(f"no number to change in {value!r}")
        return function(value)

    change.__name__ = name
    return change


@contextmanager
def refuted(refutation):
    """Let every module use the changed function in the place of the right one."""
    function, changes = refutation
    with ExitStack() as stack:
        if inspect.isclass(function):
            stack.enter_context(mock.patch.object(function, "__init__", _changed(function.__init__, changes)))
        else:
            changed = _changed(function, changes)
            for module in list(sys.modules.values()):
                if getattr(module, "__dict__", {}).get(function.__name__) is function:
                    stack.enter_context(mock.patch.object(module, function.__name__, changed))
        yield


def _changed(function, changes):
    of_arguments = {name: change for name, change in changes.items() if name != "result"}
    signature = inspect.signature(function) if of_arguments else None  # not every function of torch has one

    @functools.wraps(function)
    def changed(*args, **kwargs):
        if of_arguments:
            call = signature.bind(*args, **kwargs)
            call.apply_defaults()
            call.arguments |= {name: change(call.arguments[name]) for name, change in of_arguments.items()}
            args, kwargs = call.args, call.kwargs
        result = function(*args, **kwargs)
        return changes["result"](result) if "result" in changes else result

    return changed
