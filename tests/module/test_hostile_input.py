"""Every argument of every public function, spoiled in every way: refused by its name, or answered rightly."""

import copy
import dataclasses
import importlib
import math
import re
import signal
from contextlib import contextmanager, nullcontext

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import RendererAgg
from mpmath import mp
from torch import nn

from course_lib import distributed, plotting
from tests.hostile import Change, arguments_of, hostile
from tests.oracles import ORACLES, real_parts, squares
from tests.valid_arguments import VALID, X

pytestmark = pytest.mark.no_cover

SECONDS = 5  # of work that a call may take; by the clock, on a machine that is busy otherwise,
ASLEEP = 20  # times as many
EXTREME = re.compile(r"\de[+-]?\d|zero|negative")  # numbers with which matplotlib may have to struggle

# Looked at for NaN, infinity, errors and warnings only: nothing computed, or tested against torch elsewhere.
NO_ORACLE = {
    "data.curved_points",
    "data.two_points",
    "distributed.data_parallel",
    "labs.boundary",
    "labs.clock",
    "labs.landscape",
    "parity.grid",
    "parity.parity",
    "plotting.arrows",
    "plotting.boundaries",
    "plotting.drift",
    "plotting.level_sets",
    "plotting.panels",
    "plotting.points",
    "plotting.small_multiples",
    "labs.step",
    "labs.overfitting",
    "labs.converter",
    "networks.train_networks",
    "sweeps.sweep",
}

# Infinity is the right answer where float64, or the dtype, has none: their docstrings say so.
MAY_BE_INFINITE = {
    "landscape.loss_grid",
    "metrics.compare",
    "metrics.mape",
    "penalties.l1_penalty",
    "penalties.l2_penalty",
}
# Like torch's optimizers they take parameters as they are, and do not look at what becomes of them.
HAND_ON = {"optimizers.ProximalSGD", "optimizers.SGDW", "groups.decay_groups", "networks.train_networks"}
# Torch's own words, which do not name `params`.
TORCH_SAYS = {
    "params": "optimizer got an empty parameter list|optimizer contains a parameter group with duplicate",
}

# Other valid arguments, under which a function takes another way.
VARIANTS = {
    "geometry.max_margin": [{"count_bias": True}],
    "landscape.descent_paths": [{"loss_fn": squares}],
    "landscape.loss_grid": [{"loss_fn": nn.HuberLoss()}, {"loss_fn": squares}],
    "optimizers.ProximalSGD": [{"norm": 2}],
    "probe.coast": [{"start": [X, X[0]], "gradient": "none"}],
    "optimizers.SGDW": [
        {"norm": 1, "nesterov": False},
        {"decay_times_lr": False, "momentum": 0.0, "nesterov": False},
    ],
    "optimum.least_squares_optimum": [{"decay_bias": False}],
    "optimum.logistic_objective": [{"penalty": "l1", "decay_bias": True}],
    "optimum.logistic_optimum": [{"penalty": "l2"}, {"penalty": "l2", "decay_bias": True}],
    "penalties.l1_penalty": [{"weight_decay": 0.0}],
    "penalties.l2_penalty": [{"weight_decay": 0.0}],
    "scratch.linear_descent": [{"optimizer": "AdamW", "momentum": 0.0, "nesterov": False}],
    "scratch.logistic_descent": [{"decay_bias": False}],
    "training.train": [{"loss_fn": F.mse_loss}, {"loss_fn": squares}],
}


def function_named(name):
    module, function = name.split(".")
    return getattr(importlib.import_module(f"course_lib.{module}"), function)


CASES = [
    pytest.param(name, argument, variant, id=f"{name}-{argument}" + (f"-{number}" if number else ""))
    for name in VALID
    for number, variant in enumerate([{}, *VARIANTS.get(name, [])])
    for argument in arguments_of(function_named(name))
]
plt.close("all")


class TooLongError(BaseException):
    """It is not an Exception, which course_lib would catch, and name an argument."""


class ReachedError(BaseException):
    """All checks have let the arguments pass."""


@contextmanager
def time_limit():
    def stop(*_):
        raise TooLongError

    clocks = (
        (signal.SIGPROF, signal.ITIMER_PROF, SECONDS),
        (signal.SIGALRM, signal.ITIMER_REAL, ASLEEP * SECONDS),
    )
    before = [signal.signal(number, stop) for number, _, _ in clocks]
    for _, timer, seconds in clocks:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(clocks, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def spoil(function, argument, value, variant):
    torch.default_generator.manual_seed(0)  # torch.manual_seed would take the time of many a call
    arguments = {**arguments_of(function), **variant}
    if isinstance(value, Change):
        value = value(arguments[argument])
    elif isinstance(value, list):
        value = [copy.deepcopy(part) if isinstance(part, torch.Tensor) else part for part in value]
    arguments[argument] = value
    return arguments


def finished(result, draws):
    """Return what to look at: where an optimizer goes, and a figure only if it can be drawn."""
    if isinstance(result, torch.optim.Optimizer):
        parameters = [parameter for group in result.param_groups for parameter in group["params"]]
        for _ in range(2):
            for parameter in parameters:
                parameter.grad = torch.ones_like(parameter)
            result.step()
        return [parameter.detach() for parameter in parameters]
    if draws:
        plt.gcf().set_layout_engine("none")  # which makes room for letters, of which there are none
        plt.gcf().set_dpi(10)
        plt.gcf().canvas.draw()
    return result


def numbers_in(result):
    if isinstance(result, torch.Tensor):
        yield real_parts(result).detach().double().numpy()
    elif isinstance(result, (float, int, np.floating)):
        yield np.array(float(result))
    elif isinstance(result, np.ndarray) and result.dtype != object:
        yield result
    elif isinstance(result, nn.Module):
        yield from numbers_in(list(result.parameters()))
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        yield from numbers_in([getattr(result, field.name) for field in dataclasses.fields(result)])
    elif isinstance(result, dict):
        yield from numbers_in(list(result.values()))
    elif isinstance(result, (list, tuple)):
        for part in result:
            yield from numbers_in(part)


def precision(values):
    """Return the coarsest floating dtype among them."""
    dtypes = [v.dtype for v in values if isinstance(v, torch.Tensor) and v.is_floating_point()]
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps, default=torch.float64)


def tensors_in(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, nn.Module):
        yield from value.parameters()
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from tensors_in(part)


def difference(found, expected, dtype):
    """Say how a result differs from the right one, if it does by more than rounding in the coarsest dtype."""
    held = found.dtype if isinstance(found, torch.Tensor) and found.is_floating_point() else torch.float64
    info, least = torch.finfo(dtype), torch.finfo(held).smallest_normal
    largest = torch.finfo(held).max
    found, expected = (
        np.asarray(v.detach().double() if isinstance(v, torch.Tensor) else v, dtype=object)
        for v in (found, expected)
    )
    if found.shape != expected.shape:
        return f"the shape {found.shape} instead of {expected.shape}"
    size = max((abs(e) for e in expected.flat if abs(e) <= largest), default=0)
    for f, e in zip(found.flat, expected.flat, strict=True):
        if math.isinf(f) and f * e > 0 and abs(e) > min(largest, info.max) * (1 - 100 * info.eps):
            continue
        rounding = max(1e-9, 40 * info.eps) * size + 40 * mp.mpf(least)
        if not abs(mp.mpf(float(f)) - e) <= rounding:
            return f"{float(f)!r} instead of {mp.nstr(mp.mpf(e), 8)}"
    return None


def outcome(name, function, argument, what, names, value, variant):
    """Return what is wrong about a call, or None."""
    try:
        with time_limit():
            result = function(**spoil(function, argument, value, variant))
            result = finished(result, name.startswith("plotting.") and EXTREME.search(what))
    except TooLongError:
        return f"takes more than {SECONDS} s"
    except ReachedError:
        return None
    except Exception as error:
        return complaint(error, argument, names)
    if name not in HAND_ON:
        for numbers in numbers_in(result):
            if np.isnan(numbers).any():
                return "returns NaN"
            if np.isinf(numbers).any() and name not in MAY_BE_INFINITE:
                return "returns infinity"
    if name in NO_ORACLE:
        return None
    twin = spoil(function, argument, value, variant)
    if not (name in HAND_ON and any(not t.isfinite().all() for t in tensors_in(twin))):
        dtype = precision([*tensors_in(twin), *tensors_in(result)])
        try:
            with mp.workdps(60):
                for found, expected in ORACLES[name](result, **twin):
                    if wrong := difference(found, expected, dtype):
                        return f"returns {wrong}"
        except Exception as error:
            return f"returns what is not right: {error!r}"
    return None


def complaint(error, argument, names):
    if re.search(TORCH_SAYS.get(argument, "$^"), str(error)):
        return None
    if not isinstance(error, (ValueError, TypeError)):
        return f"raises {type(error).__name__}: {str(error)[:100]}"
    if isinstance(error.__cause__, Warning):
        return f"would warn: {error.__cause__}"
    # "a" is an article too, unless it begins the sentence.
    if not any(re.search(rf"^{name}\b" if name == "a" else rf"\b{name}\b", str(error)) for name in names):
        return f"does not name it: {str(error)[:100]!r}"
    return None


def test_every_function_has_an_oracle_or_is_known_to_have_none():
    assert set(ORACLES) == set(VALID) - NO_ORACLE


@pytest.fixture
def _quick(monkeypatch, tmp_path):
    """Figures without style and letters take a third of the time; no process starts; files may be made."""

    def reached(*_, **__):
        raise ReachedError

    monkeypatch.setattr(plotting, "style", nullcontext)
    monkeypatch.setattr(RendererAgg, "draw_text", lambda *_, **__: None)
    monkeypatch.setattr(RendererAgg, "get_text_width_height_descent", lambda *_, **__: (1.0, 1.0, 0.2))
    monkeypatch.setattr(distributed, "spawn", reached)
    monkeypatch.chdir(tmp_path)
    in_processes = joblib.Parallel
    monkeypatch.setattr(joblib, "Parallel", lambda n_jobs, **how: in_processes(1, **how))


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(("name", "argument", "variant"), CASES)
def test_a_spoiled_argument_is_refused_by_name_or_answered_rightly(name, argument, variant):
    function = function_named(name)
    valid = {**arguments_of(function), **variant}[argument]
    complaints = []
    for what, names, value in hostile(argument, valid):
        wrong = outcome(name, function, argument, what, names, value, variant)
        if wrong:
            complaints.append(f"{name}: {argument}, {what}: {wrong}")
        plt.close("all")
    assert not complaints, "\n".join(complaints)


@pytest.mark.usefixtures("ready_processes")
def test_what_fails_in_a_process_is_named():
    function = function_named("distributed.data_parallel")
    with pytest.raises(ValueError, match=r"^loss_fn\(model\(X\), y\) in a process: "):
        function(**spoil(function, "X", torch.ones(3, 1), {"n_processes": 1}))
