"""Hostile values: for any valid argument, those that a careless caller would give instead of it."""

import dataclasses
import inspect
import math
from collections.abc import Mapping
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import nn

from tests.valid_arguments import VALID, public_name

NAN, INF = math.nan, math.inf
HUGE, TINY, LEAST = 1e308, 1e-308, 5e-324
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

WRONG_TYPES = {
    "None": None,
    "a string": "nonsense",
    "an object": object(),
    "a ragged list": [[1.0, 2.0], [1.0]],
    "a complex number": 1j,
    "a class": dict,
    "a function": math.sqrt,
    "an array": np.ones(3),
    "a tensor": torch.ones(2, 2, 2),
}

# What is None unless given, and is not among the valid arguments: something to spoil.
WHEN_NONE = {
    "ax": lambda: plt.figure().add_subplot(),
    "batch_size": lambda: 2,
    "classifiers": lambda: {"line": (torch.tensor([0.8, 0.4]), -2.2)},
    "decays": lambda: lambda name, parameter: True,
    "file": lambda: 1.0,  # a path is among the tests of sweeps
    "inputs": lambda: torch.ones(3, 2),
    "n_samples": lambda: 7,
    "n_steps": lambda: 3,
    "scheduler": lambda: 1.0,  # a scheduler of the optimizer is among the tests of training
}


def arguments_of(function):
    """Return the valid arguments of a function by name, with the defaults of those left out."""
    given = VALID[public_name(function)]()
    left_out = {name: default for name, default in _defaults(function).items() if name not in given}
    return {**given, **left_out}


@cache
def _defaults(function):
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is not each.VAR_KEYWORD}


def hostile(name, value):
    """Yield, for a valid argument, (what is wrong, names one of which an error must hold, hostile value)."""
    if value is None:
        value = WHEN_NONE[name]()
    for what, names, spoiled in _spoiled(value):
        yield what, {name, *names}, spoiled


def _spoiled(value):
    for what, wrong in WRONG_TYPES.items():
        yield what, (), wrong
    for what, spoiled in _of_its_kind(value):
        yield what, (), spoiled
    yield from _in_parts(value)


def _of_its_kind(value):
    if isinstance(value, torch.Tensor):
        return _tensors(value.detach())
    if isinstance(value, bool):
        return _named(not value, 0, 1, 1.0, NAN, [True], "yes", np.True_, torch.tensor(True))
    if isinstance(value, int):
        return [("that as a float", float(value)), *_named(True, -1, 0, NAN, INF, int(HUGE), 2**63, [value])]
    if isinstance(value, float):
        return _numbers(value)
    if isinstance(value, str):
        return _named("", b"bytes", 1, NAN, True, ["a"], value.upper())
    if isinstance(value, torch.dtype):
        return _named(*FLOATS, torch.int64, torch.bool, torch.complex64, float)
    if isinstance(value, nn.Module) and list(value.parameters()):
        return _modules(value)
    if isinstance(value, torch.optim.Optimizer):
        return _optimizers(value)
    if isinstance(value, Axes):
        return _named(1, plt, [value], value.figure)
    if isinstance(value, Mapping):
        return [("empty", {}), ("a list of its items", list(value.items())), ("NaN", NAN)]
    if isinstance(value, (tuple, list)):
        kind, one_more = type(value), (*value, *value[-1:])
        return [
            ("empty", kind()),
            ("one less", value[:-1]),
            ("one more", kind(one_more)),
            ("one dimension more", [value]),
            ("reversed", value[::-1]),
            ("a number", 1.0),
            ("NaN", NAN),
            ("infinity", INF),
        ]
    if callable(value):
        return _callables()
    if dataclasses.is_dataclass(value):
        return _named(type(value), dataclasses.asdict(value))
    raise AssertionError(f"no hostile values for {value!r}")


def _named(*values):
    return [(repr(value), value) for value in values]


def _in_parts(value):
    """Yield containers in which one part is hostile."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            part = getattr(value, field.name)
            if part is not None:
                for what, names, spoiled in _spoiled(part):
                    part_of = dataclasses.replace(value, **{field.name: spoiled})
                    yield f"{field.name}: {what}", (field.name, *names), part_of
    elif isinstance(value, Mapping):
        for key, part in value.items():
            for what, names, spoiled in _spoiled(part):
                yield f"[{key!r}]: {what}", names, {**value, key: spoiled}
    elif isinstance(value, (tuple, list)):
        for index, part in enumerate(value):
            for what, names, spoiled in _spoiled(part):
                parts = [*value[:index], spoiled, *value[index + 1 :]]
                yield f"[{index}]: {what}", names, type(value)(parts)


def _numbers(value):
    return [
        *_named(NAN, INF, -INF, -value, 0, 0.0, -0.0, 1, HUGE, -HUGE, TINY, LEAST, 10**400),
        *_named(True, str(value), [value], np.float16(value), np.float32(value), np.int64(3)),
        ("a tensor", torch.tensor(value)),
        ("a tensor of two", torch.tensor([value, value])),
        ("NaN as a tensor", torch.tensor(NAN)),
    ]


def _with_one(tensor, number):
    spoiled = tensor.clone()
    spoiled.view(-1)[0] = number
    return spoiled


def _tensors(tensor):
    tensor = tensor.contiguous()
    largest = tensor.double().abs().max()
    unit = tensor.double() / (largest if largest > 0 else 1.0)
    shapes = [
        ("one dimension more", tensor[None]),
        ("a last dimension more", tensor[..., None]),
        ("empty", torch.ones(0)),
        ("a number", 1.0),
    ]
    if tensor.ndim > 0:
        shapes += [
            ("one dimension less", tensor[0]),
            ("one row less", tensor[:-1]),
            ("one row more", torch.cat([tensor, tensor[-1:]])),
            ("one column less", tensor[..., :-1]),
            ("one column more", torch.cat([tensor, tensor[..., -1:]], dim=-1)),
            ("no rows", tensor[:0]),
            ("no columns", tensor[..., :0]),
            ("transposed", tensor.mT if tensor.ndim > 1 else tensor.flip(0)),
        ]
    sizes = [
        ("negative", -tensor),
        ("zeros", torch.zeros_like(tensor)),
        ("zeros with a sign", -torch.zeros_like(tensor)),
        ("the same everywhere", torch.ones_like(tensor)),
        ("scaled to 1e308", unit * HUGE),
        ("scaled to -1e308", -unit * HUGE),
        ("1e308 everywhere", torch.full_like(unit, HUGE)),
        ("1e308 in one entry", _with_one(tensor.double(), HUGE)),
        ("scaled to 1e160", unit * 1e160),
        ("scaled to 1e-160", unit * 1e-160),
        ("scaled to 1e-308", unit * TINY),
        ("1e-308 in one entry", _with_one(tensor.double(), TINY)),
        ("5e-324 everywhere", torch.full_like(unit, LEAST)),
        ("3e38 in float32", (unit * 3e38).float()),
        ("1e-38 in float32", (unit * 1e-38).float()),
        ("6e4 in float16", (unit * 6e4).half()),
        ("1e-7 in float16", (unit * 1e-7).half()),
    ]
    dtypes = [
        ("int64", tensor.round().long()),
        ("uint8", tensor.abs().round().byte()),
        ("bool", tensor > tensor.double().mean()),
        ("float16", tensor.half()),
        ("bfloat16", tensor.bfloat16()),
        ("float32", tensor.float()),
        ("float64", tensor.double()),
        ("complex", tensor + 1j),
        ("carrying a gradient", tensor.double().clone().requires_grad_()),
        ("a list", tensor.tolist()),
        ("an array", tensor.numpy()),
        ("a big-endian array", tensor.numpy().astype(tensor.numpy().dtype.newbyteorder(">"))),
        ("an array of objects", np.array([object()] * 3)),
        ("an array of strings", np.array(["a", "b", "c"])),
    ]
    for what, number in (("NaN", NAN), ("infinity", INF), ("-infinity", -INF)):
        if tensor.is_floating_point():
            yield f"{what} in one entry", _with_one(tensor, number)
    yield from shapes + sizes + dtypes


class Change:
    """What is to be done to a valid argument, where another could not stand in its place."""

    def __init__(self, change):
        self.change = change

    def __call__(self, valid):
        changed = self.change(valid)
        return valid if changed is None else changed


def _modules(module):
    n_features = next(module.parameters()).shape[-1]

    def fill(number, dtype=torch.float64):
        @Change
        @torch.no_grad()
        def change(module):
            for parameter in module.to(dtype).parameters():
                parameter.fill_(number)

        return change

    return [
        ("without parameters", nn.Tanh()),
        ("its class", type(module)),
        ("frozen", Change(lambda module: module.requires_grad_(False))),
        ("with a feature more", nn.Linear(n_features + 1, 1).double()),
        ("with two outputs", nn.Linear(n_features, 2).double()),
        ("NaN in its parameters", fill(NAN)),
        ("infinity in its parameters", fill(INF)),
        ("1e308 in its parameters", fill(HUGE)),
        ("zeros in its parameters", fill(0.0)),
        ("1e-308 in its parameters", fill(TINY)),
        ("3e38 in its parameters", fill(3e38, torch.float32)),
        ("1e-38 in its parameters", fill(1e-38, torch.float32)),
        *((str(dtype), Change(lambda module, dtype=dtype: module.to(dtype))) for dtype in FLOATS),
    ]


def _optimizers(optimizer):
    def setting(name, value):
        @Change
        def change(optimizer):
            optimizer.param_groups[0][name] = value

        return f"{name}: {value!r}", change

    wrong = (NAN, INF, HUGE, None, "0.1", 1j, [0.1], torch.tensor([0.1, 0.2]), torch.tensor(NAN))
    return [
        ("its class", type(optimizer)),
        ("on other parameters", torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)),
        *(setting("lr", value) for value in (*wrong, -0.1, 0.0, LEAST, True)),
        *(setting(name, value) for name in ("weight_decay", "momentum") for value in (*wrong, -1e9)),
    ]


def _callables():
    return [
        ("of no argument", lambda: torch.zeros(())),
        ("returning None", lambda *_: None),
        ("returning a number", lambda *_: 1.0),
        ("returning a string", lambda *_: "loss"),
        ("returning NaN", lambda p, t: (p * NAN).mean()),
        ("returning infinity", lambda p, t: (p.square() + 1).mean() * INF),
        ("returning a vector", lambda p, t: p - t),
        ("returning one entry", lambda p, t: (p - t).square().mean()[None]),
        ("returning a complex number", lambda p, t: (p - t).square().mean() * 1j),
        ("returning an integer", lambda p, t: torch.tensor(1)),
        ("returning what has no gradient", lambda p, t: (p.detach() - t).square().mean()),
        ("calling item()", lambda p, t: torch.tensor((p - t).square().mean().item())),
        ("calling numpy()", lambda p, t: torch.tensor((p - t).numpy().mean())),
        ("returning 1e308", lambda p, t: (p - t).square().mean() * HUGE),
    ]
