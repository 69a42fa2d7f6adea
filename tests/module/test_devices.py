"""Every public function works on the device of its arguments, whatever torch's default device is.

The default device of these tests is "meta", whose tensors have no values: a tensor that is made without
the device of an argument, or without naming the CPU, meets values there that it lacks.
"""

import importlib

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from tests.valid_arguments import VALID

# Processes of their own have a default device of their own, and runs their own time.
CALLS = [(f, {}) for f in VALID if f not in ("distributed.data_parallel", "sweeps.sweep")]
CALLS += [
    ("geometry.max_margin", {"count_bias": True}),
    ("landscape.descent_paths", {"loss_fn": nn.functional.l1_loss}),
    ("landscape.loss_grid", {"directions": None, "origin": None}),
    ("landscape.loss_grid", {"loss_fn": lambda prediction, y: (prediction - y).pow(4).mean()}),
    ("landscape.loss_grid", {"model": nn.Sequential(nn.Linear(2, 1, bias=False)).double()}),
    ("training.train", {"y": torch.tensor([1, 0, 1])}),
    ("training.train", {"X": [[3.0, 2.0], [1.0, 1.0], [4.0, 1.0]], "y": [True, False, True]}),
    ("optimum.logistic_optimum", {"penalty": "l2", "decay_bias": True}),
    ("scratch.linear_descent", {"optimizer": "AdamW", "momentum": 0.0, "nesterov": False}),
]


def call(function, arguments):
    module, name = function.split(".")
    return getattr(importlib.import_module(f"course_lib.{module}"), name)(**arguments)


def values_in(result):
    """Yield the tensors and arrays in a result, and what it holds beside them."""
    if isinstance(result, nn.Module):
        result = dict(result.named_parameters())
    elif hasattr(result, "__dataclass_fields__"):
        result = vars(result)
    if isinstance(result, dict):
        for value in result.values():
            yield from values_in(value)
    elif isinstance(result, list | tuple):
        for value in result:
            yield from values_in(value)
    else:
        yield result


@pytest.fixture(autouse=True)
def _figures_closed():
    yield
    plt.close("all")


@pytest.mark.parametrize(("function", "changes"), CALLS)
def test_the_default_device_makes_no_difference(function, changes):
    torch.manual_seed(0)  # for the models among the arguments
    expected = list(values_in(call(function, VALID[function]() | changes)))
    torch.manual_seed(0)
    arguments = VALID[function]() | changes
    with torch.device("meta"):
        found = list(values_in(call(function, arguments)))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        if isinstance(other, torch.Tensor):
            assert (one.device, one.dtype) == (other.device, other.dtype)
            assert torch.equal(one, other)
        elif isinstance(other, np.ndarray) and other.dtype != object:
            np.testing.assert_array_equal(one, other)
        elif isinstance(other, float | int | str | bool):
            assert one == other
