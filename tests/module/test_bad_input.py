"""Every public function names the argument it refuses, and leaves everything but its result alone."""

import importlib
import inspect
import types
import typing
from typing import Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

import course_lib
from course_lib.optimizers import SGDW
from course_lib.parity import Run
from course_lib.training import History
from tests.valid_arguments import DATA, INF, NAN, RECTANGLE, UNCHECKED, VALID, X, Y, history

mpl.use("Agg")


def bad(function, argument, error, *values, match=None):
    """One case a value: `function` refuses it, and says so: `argument` first, or what has `match`."""
    match = rf"^(\w+ and |no conversion .*)?{argument}\b" if match is None else match
    return [
        pytest.param(function, argument, value, error, match, id=f"{function}-{argument}-{error.__name__}")
        for value in values
    ]


# What every argument refuses, by what it is annotated as, and by its name where that says more.
ABOVE_ZERO = {"lr", "eps", "margin", "constant"}
ZERO_OR_MORE = {
    "weight_decay",
    "momentum",
    "dampening",
    "threshold",
    "offset",
    "noise",
    "value",
    "seed",
    "change_at",
    "verify",
}
LR_MAY_BE_ZERO = {"optimizers.ProximalSGD", "optimizers.SGDW"}


def refused(function, argument, kind, default):
    """Yield (error, values) for an argument of a kind, None aside where it is the default."""
    none = [None] * (default is not None)
    if kind is bool:
        yield TypeError, [1, 0.0, "no", *none]
    elif kind is int:
        yield TypeError, [2.0, True, "3", [3]]
        yield ValueError, [-1] if argument in ZERO_OR_MORE else [0, -1]
    elif kind is float:
        yield TypeError, [True, "1", [1.0], *none]
        yield ValueError, [NAN, INF]
        if argument in ABOVE_ZERO and function not in LR_MAY_BE_ZERO:
            yield ValueError, [0.0, -1.0]
        elif argument in ABOVE_ZERO | ZERO_OR_MORE:
            yield ValueError, [-0.1]
    elif kind is torch.dtype:
        yield TypeError, ["float32", float, torch.int64, torch.complex64, *none]
    elif typing.get_origin(kind) is Literal:
        yield ValueError, ["nonsense", "", 3, *none]
    elif kind is str and default is not None:
        yield TypeError, [1, None]


def derived():
    for name in VALID:
        module, function = name.split(".")
        called = getattr(importlib.import_module(f"course_lib.{module}"), function)
        annotated = called.__init__ if inspect.isclass(called) else called
        hints = typing.get_type_hints(annotated, localns={"History": History})
        for argument, parameter in inspect.signature(called).parameters.items():
            kind = hints.get(argument)
            if isinstance(kind, types.UnionType) and parameter.default is None:
                kind, *_ = typing.get_args(kind)
            for error, values in refused(name, argument, kind, parameter.default):
                yield from bad(name, argument, error, *values)


def not_a_decay(function):
    """The settings that every optimizer of the course has."""
    return [
        *bad(function, "params", ValueError, [], match="optimizer got an empty parameter list"),
        *bad(function, "params", ValueError, [X.clone().requires_grad_() * 2], match="non-leaf Tensor"),
        *bad(function, "params", TypeError, X, match="params argument given to the optimizer"),
        *bad(function, "params", TypeError, 5, None, match="params must be tensors, or dicts of tensors"),
        *bad(function, "params", TypeError, [None], match="optimizer can only optimize Tensors"),
        *bad(
            function, "params", TypeError, [X.long()], match="params must be floating or complex, got torch"
        ),
        *bad(function, "lr", ValueError, torch.tensor(-0.1), torch.tensor([NAN])),
        *bad(function, "lr", TypeError, torch.tensor([0.1, 0.2]), torch.tensor(True), 0.1j),
        *bad(function, "norm", ValueError, 0, 3, 1.5, True, "2", "l1", None, NAN),
        *bad(function, "maximize", TypeError, 1, "no", None),
    ]


def not_points(function, *, plane=False):
    """X that is not finite, not a matrix, or does not match y, which has three entries."""
    return [
        *bad(function, "X", ValueError, X[:2], X[0], X[None], torch.ones(0, 2), torch.ones(3, 0)),
        *bad(function, "X", ValueError, X * NAN, X / 0, *([torch.ones(3, 1)] if plane else [])),
        *bad(function, "X", TypeError, "X", None, [[1.0, 2.0], [1.0]], X + 1j),
    ]


def run_of(n_epochs, weight):
    """Return a record of five losses, and of a perceptron's weights that are all the same."""
    parameters = {
        "linear.weight": torch.full((n_epochs, 1, 2), weight),
        "linear.bias": torch.ones(n_epochs, 1),
    }
    return History(torch.ones(5, dtype=torch.float64), parameters)


def not_labels(function):
    return [
        *bad(function, "y", ValueError, Y[:2], Y[:, None], torch.ones(0), 1.0),
        *bad(function, "y", ValueError, 2 * Y, 2 * Y - 1, Y / 2, [0, 1, 2], Y * NAN, [0.0, 1.0, INF]),
        *bad(function, "y", TypeError, "y", None, Y + 1j),
    ]


def not_a_line(function):
    return [
        *bad(function, "weight", ValueError, [0.0, 0.0], [1.0], [1.0, 2.0, 3.0], torch.eye(2), 1.0, []),
        *bad(function, "weight", ValueError, [NAN, 1.0], [INF, 1.0]),
        *bad(function, "weight", TypeError, "weight", None),
        *not_a_bias(function),
    ]


def not_a_bias(function):
    return [
        *bad(function, "bias", ValueError, NAN, INF, [1.0], [1.0, 2.0]),
        *bad(function, "bias", TypeError, "bias", None),
    ]


def not_a_rectangle(function):
    return [
        case
        for limit in RECTANGLE
        for case in (
            *bad(function, limit, ValueError, (1.0, 1.0), (2.0, 1.0), (NAN, 1.0), (0.0, INF), 1.0, ()),
            *bad(function, limit, TypeError, "01", None),
        )
    ]


def frozen():
    return nn.Linear(2, 1).requires_grad_(False)


# What an argument refuses beyond that; of a new function it stands in the tests of its module.
PARTICULAR = [
    *bad("conventions.convert", "value", ValueError, -0.1, NAN, INF),
    *bad("conventions.convert", "value", TypeError, True, "0.1", None, [0.1]),
    *(
        case
        for knob in ("source", "target")
        for case in (
            *bad("conventions.convert", knob, ValueError, "torch.SGD", "", "sklearn.Lasso.alpha"),
            *bad("conventions.convert", knob, TypeError, None, 0.1, torch.optim.SGD),
        )
    ),
    *bad("conventions.convert", "loss", ValueError, "mse", "log_loss"),
    *bad("conventions.convert", "loss", TypeError, 1, True),
    *bad("conventions.convert", "decay_bias", ValueError, True),
    *bad("conventions.convert", "n_samples", ValueError, None),
    *(
        case
        for size in ("n_samples", "batch_size", "lr", "target_std")
        for case in (
            *bad("conventions.convert", size, ValueError, 0.0, -1.0, NAN, INF),
            *bad("conventions.convert", size, TypeError, True, "1", [1.0]),
        )
    ),
    *(
        case
        for share in ("momentum", "dampening", "l1_ratio")
        for case in (
            *bad("conventions.convert", share, ValueError, -0.1, 1.1, NAN, INF),
            *bad("conventions.convert", share, TypeError, True, "0.1", [0.1]),
        )
    ),
    *bad("data.curved_points", "seed", ValueError, 2**32, 2**70),
    *bad("data.separable", "n_samples", ValueError, 1),
    *bad("networks.train_networks", "y", ValueError, [0, 2, 10_000], match="from 0 to 9999$"),
    *bad("data.separable", "margin", ValueError, 0.0),
    *bad("data.separable", "dtype", TypeError, torch.int64, "float64"),
    *bad(
        "data.separable", "offset", ValueError, 1e30, match="margin = .* is lost in rounding to torch.float"
    ),
    *bad("data.noisy_sine", "seed", ValueError, 2**32, 2**70),
    *bad("geometry.angle", "weight", ValueError, [1.0, 2.0, 3.0], [1.0], 1.0, [], [[1.0, 0.0], [0.0, 0.0]]),
    *bad("geometry.angle", "weight", ValueError, [NAN, 1.0], [1.0, INF]),
    *bad("geometry.angle", "weight", TypeError, "weight", None, [1.0, 1j]),
    *bad("geometry.angle_between", "u", ValueError, [1.0, 2.0, 3.0], [0.0, 0.0], 1.0, [], [NAN, 1.0]),
    *bad("geometry.angle_between", "v", ValueError, [1.0, 2.0, 3.0], [0.0, 0.0], 1.0, [], [1.0, INF]),
    *bad("geometry.angle_between", "u", TypeError, "u", None),
    *bad("geometry.angle_between", "v", TypeError, "v", None),
    *bad("data.augment", "X", ValueError, X[0], X[None], X * NAN, X / 0, torch.ones(0, 2)),
    *bad("data.augment", "X", TypeError, "X", None),
    *bad("geometry.bisector", "p", ValueError, X[1], [1.0], X, 1.0, [], [NAN, 1.0], [INF, 1.0]),
    *bad("geometry.bisector", "q", ValueError, X[0], [1.0], X, 1.0, [], [NAN, 1.0], [INF, 1.0]),
    *bad("geometry.bisector", "p", TypeError, "p", None),
    *bad("geometry.bisector", "q", TypeError, "q", None),
    *not_a_line("geometry.boundary_segment"),
    *not_a_rectangle("geometry.boundary_segment"),
    *not_points("geometry.max_margin"),
    *not_labels("geometry.max_margin"),
    *bad("geometry.max_margin", "y", ValueError, [1, 1, 1], [0, 0, 0], match="y must contain both labels"),
    *bad("geometry.max_margin", "X", ValueError, [[1, 1], [2, 2], [3, 3]], match="X and y must be separable"),
    *bad("geometry.signed_distance", "X", ValueError, X[0], X * NAN, X / 0, torch.ones(0, 2)),
    *bad("geometry.signed_distance", "X", TypeError, "X", None),
    *not_a_line("geometry.signed_distance"),
    *(
        case
        for function in ("metrics.compare", "metrics.ulp_distance")
        for argument in ("a", "b")
        for case in (
            *bad(function, argument, ValueError, X[0], X.T, X[None], 1.0, [], X * NAN, X / 0),
            *bad(function, argument, TypeError, X.float(), X.bfloat16(), X.long(), X + 1j, X > 2),
            *bad(function, argument, TypeError, "a", None, X.long().tolist(), [[1.0, 2.0], [1.0]]),
        )
    ),
    *(
        case
        for argument in ("prediction", "target")
        for case in (
            *bad("metrics.mape", argument, ValueError, X[0], X.T, X[None], 1.0, [], X * NAN, X / 0),
            *bad("metrics.mape", argument, TypeError, "a", None, X + 1j, [[1.0, 2.0], [1.0]]),
        )
    ),
    *[
        case
        for axis in ("xs", "ys")
        for case in (
            *bad("landscape.loss_grid", axis, ValueError, [], [1.0], [1.0, 1.0], [2.0, 1.0], [[0.0, 1.0]]),
            *bad("landscape.loss_grid", axis, ValueError, [0.0, NAN], [0.0, INF]),
            *bad("landscape.loss_grid", axis, TypeError, None, "axis", [0.0, 1j]),
        )
    ],
    *[
        case
        for function in ("landscape.loss_grid", "landscape.descent_paths")
        for case in (
            *bad(function, "model", TypeError, None, "model", torch.ones(2)),
            *bad(function, "model", ValueError, nn.Tanh()),
            *bad(function, "X", ValueError, X[:2], X * NAN, X / 0, X[:0]),
            *bad(function, "X", TypeError, None, "X", X + 1j),
            *bad(function, "y", ValueError, Y, match="y must have the shape of the predictions"),
            *bad(function, "y", ValueError, Y[:2, None], Y[:, None] * NAN),
            *bad(function, "y", TypeError, None, "y"),
            *bad(function, "loss_fn", TypeError, None, "mse", 3),
            *bad(function, "loss_fn", ValueError, lambda prediction, target: prediction - target),
        )
    ],
    *bad("landscape.loss_grid", "directions", ValueError, torch.eye(3)[:2], torch.eye(2) * NAN),
    *bad("landscape.loss_grid", "origin", ValueError, [1.0], [1.0, NAN], [[1.0, 2.0]]),
    *bad("landscape.descent_paths", "start", ValueError, [1.0], 1.0, [1.0, NAN], []),
    *bad("landscape.descent_paths", "start", TypeError, None, "start"),
    *bad("landscape.descent_paths", "lr", ValueError, 0.0, -0.1, NAN, INF, [0.1, 0.0]),
    *bad("landscape.descent_paths", "lr", TypeError, None, "0.1"),
    *bad("landscape.descent_paths", "momentum", ValueError, -0.1, NAN, [[0.9]]),
    *bad("landscape.descent_paths", "momentum", TypeError, None, "0.9"),
    *bad("landscape.descent_paths", "dampening", ValueError, -0.1, INF),
    *bad("landscape.descent_paths", "weight_decay", ValueError, -0.1, NAN),
    *bad("landscape.descent_paths", "nesterov", TypeError, 1.0, "yes", None),
    *bad("landscape.descent_paths", "nesterov", ValueError, True, [True, True]),
    *bad("landscape.filter_directions", "model", TypeError, None, "model"),
    *bad("landscape.filter_directions", "model", ValueError, nn.Tanh()),
    *bad("metrics.mape", "zeros", ValueError, "raise", match="target must not be 0 anywhere, got 0 in 3 of"),
    *not_a_decay("optimizers.ProximalSGD"),
    *not_a_decay("optimizers.SGDW"),
    *bad("optimizers.SGDW", "momentum", ValueError, 0.0, match="nesterov needs momentum above 0"),
    *bad("optimizers.SGDW", "dampening", ValueError, 0.1, match="no dampening, got momentum=0.9"),
    *bad("probe.coast", "make_optimizer", TypeError, "SGD", None, 0.1, lambda params: None),
    *bad(
        "probe.coast",
        "make_optimizer",
        ValueError,
        lambda params: SGDW(params, lr=-1.0),
        match=r"^make_optimizer: lr must be finite and >= 0, got -1\.0$",
    ),
    *bad(
        "probe.coast",
        "make_optimizer",
        ValueError,
        lambda params: torch.optim.SparseAdam(params),
        match=r"^the step of what make_optimizer returns: SparseAdam does not support dense gradients",
    ),
    *bad("probe.probe", "make_optimizer", TypeError, "SGD", None, 0.1, lambda params: None, lambda: SGDW),
    *bad("probe.probe", "make_optimizer", ValueError, lambda params: SGDW(params, lr=-1.0)),
    *bad("report.decay_report", "model", TypeError, "model", None, torch.ones(2), torch.sigmoid),
    *bad("report.decay_report", "optimizer", TypeError, "SGD", None, 0.1, torch.optim.SGD, [None]),
    *bad("report.decay_report", "optimizer", ValueError, [], ()),
    *bad("report.decay_report", "scheduler", TypeError, "cosine", 0.1, lambda step: 1.0),
    *bad("report.decay_report", "n_samples", TypeError, 2.0, True, "3"),
    *bad("report.decay_report", "n_samples", ValueError, 0, -1, None),
    *bad("report.decay_report", "batch_size", TypeError, 2.0, True, "3"),
    *bad("report.decay_report", "batch_size", ValueError, 0, -1, None),
    *bad("report.decay_report", "n_steps", TypeError, 2.0, True, "3"),
    *bad("report.decay_report", "n_steps", ValueError, 0, -1),
    *bad("report.decay_report", "inputs", ValueError, torch.ones(3, 5), X.float()),
    *bad("report.decay_report", "inputs", TypeError, {"z": X}, (X, X), "X", 1.0),
    *bad("probe.coast", "start", ValueError, [NAN, 1.0], -INF, [], [X, X * NAN], (X, X[:0])),
    *bad("probe.coast", "start", TypeError, "start", None, [X, "start"], [X, None]),
    *bad("probe.coast", "gradient", ValueError, "ones", "None", "", None, 0, True),
    *bad("optimum.least_squares_optimum", "X", ValueError, X[0], X * NAN, torch.ones(0, 2)),
    *bad("optimum.least_squares_optimum", "X", TypeError, "X", None),
    *bad(
        "optimum.least_squares_optimum",
        "y",
        ValueError,
        Y[:2],
        Y * NAN,
        1.0,
        torch.ones(3, 1, 1),
        torch.ones(3, 0),
    ),
    *not_points("optimum.logistic_objective"),
    *not_labels("optimum.logistic_objective"),
    *bad(
        "optimum.logistic_objective",
        "theta",
        ValueError,
        1.0,
        [1.0, 2.0],
        torch.ones(2, 2),
        torch.ones(1, 1, 3),
    ),
    *bad("optimum.logistic_objective", "theta", ValueError, [NAN, 1.0, 1.0], [1.0, INF, 1.0], []),
    *bad("optimum.logistic_objective", "theta", ValueError, [1.0], match="^theta must have 3 entries"),
    *bad("optimum.logistic_objective", "theta", TypeError, "theta", None),
    *not_points("optimum.logistic_optimum"),
    *not_labels("optimum.logistic_optimum"),
    *bad(
        "optimum.logistic_optimum", "y", ValueError, [1, 1, 1], [0, 0, 0], match="y must contain both labels"
    ),
    *bad("distributed.data_parallel", "model", TypeError, "model", None, torch.ones(2), torch.sigmoid),
    *bad("distributed.data_parallel", "model", ValueError, nn.ReLU(), frozen()),
    *bad("distributed.data_parallel", "X", ValueError, X[:2], X * NAN, X / 0, torch.ones(0, 2), 1.0),
    *bad("distributed.data_parallel", "X", TypeError, "X", None),
    *bad("distributed.data_parallel", "y", ValueError, Y[:2], Y * NAN, [0.0, 1.0, INF], torch.ones(0), 1.0),
    *bad("distributed.data_parallel", "y", TypeError, "y", None),
    *bad("distributed.data_parallel", "n_processes", ValueError, 4),
    *bad("distributed.data_parallel", "loss_fn", TypeError, "mse", None, lambda prediction, target: 0.0),
    *bad("parity.grid", "weight_decays", ValueError, 0.1, [], [[0.1]], [0.1, -0.1], [NAN], [INF]),
    *bad("parity.grid", "weight_decays", TypeError, "0.1", None, ["a"], [0.1j]),
    *bad("parity.parity", "run", TypeError, None, "SGD", {"optimizer": "SGD"}, Run),
    *(
        case
        for settings, error, match in (
            ({"optimizer": "sgd"}, ValueError, "^run: optimizer must be"),
            ({"momentum": -0.1}, ValueError, "^run: momentum must be"),
            ({"momentum": 0.9, "dampening": NAN}, ValueError, "^run: dampening must be"),
            ({"nesterov": True}, ValueError, "^run: nesterov needs momentum"),
            ({"betas": (0.9, 1.0)}, ValueError, "^run: betas must be"),
            ({"weight_decay": -0.1}, ValueError, "^run: weight_decay must be"),
            ({"reduction": "none"}, ValueError, "^run: reduction must be"),
            ({"batch_size": 0}, ValueError, "batch_size must be"),
            ({"batch_size": 2.0}, TypeError, "batch_size must be"),
            ({"dtype": torch.float16}, ValueError, "dtype of run must be"),
            ({"dtype": "float32"}, ValueError, "dtype of run must be"),
        )
        for case in bad("parity.parity", "run", error, Run(**settings), match=match)
    ),
    *(
        case
        for function in ("groups.decay_groups", "groups.decay_reasons")
        for case in (
            *bad(function, "module", TypeError, "linear", None, torch.ones(2), [torch.ones(2)]),
            *bad(function, "module", ValueError, nn.ReLU(), frozen(), nn.LazyLinear(1)),
            *bad(function, "decays", TypeError, "weight", 1, lambda: True, lambda name, parameter: "yes"),
            *bad(function, "decays", ValueError, lambda name, parameter: {}[name]),
        )
    ),
    *(
        case
        for penalty in ("penalties.l1_penalty", "penalties.l2_penalty")
        for case in (
            *bad(penalty, "parameters", ValueError, [], {}, [X, X * NAN], [X / 0], [X * (1 + 1j) / 0]),
            *bad(penalty, "parameters", TypeError, None, 1.0, "ab", [None], [X, [1.0]], {"w": X}),
        )
    ),
    *bad("penalties.soft_threshold", "x", ValueError, [NAN, 1.0], -INF, [complex(0, INF)]),
    *bad("penalties.soft_threshold", "x", TypeError, "x", None, [[1.0], [1.0, 2.0]]),
    *(
        case
        for function in (
            *(
                "plotting.arrows",
                "plotting.boundaries",
                "plotting.contours",
                "plotting.curves",
                "plotting.drift",
            ),
            *("plotting.fits", "plotting.level_sets", "plotting.points"),
        )
        for case in (
            *bad(
                function,
                "concept",
                ValueError,
                "",
                "L3",
                1,
                0.5,
                ["L2"],
                match='^concept must be "no decay", ',
            ),
            *bad(
                function,
                "concept",
                ValueError,
                {"nobody": "L2"},
                match=r"^concept must be for names of \w+, ",
            ),
        )
    ),
    *bad("plotting.curves", "concept", ValueError, {"a": "L3"}, {"a": 1}, match=r"concept\['a'\] must be "),
    *(
        case
        for function in ("plotting.arrows", "plotting.level_sets", "plotting.points")
        for case in bad(function, "ax", TypeError, None, "ax", 1, plt, mpl.figure.Figure())
    ),
    *bad("plotting.curves", "ax", TypeError, "ax", 1, plt, mpl.figure.Figure()),
    *(
        case
        for function, argument in (
            ("plotting.arrows", "vectors"),
            ("plotting.level_sets", "sets"),
            ("plotting.points", "positions"),
        )
        for case in (
            *bad(function, argument, ValueError, {}),
            *bad(function, argument, TypeError, None, [X], X),
        )
    ),
    *(
        case
        for vector, error in (
            (X, ValueError),
            (X[:1], ValueError),
            (([0, 0], [1]), ValueError),
            (([0, 0, 0], [1, 1, 1]), ValueError),
            ((0.0, 1.0), ValueError),
            (([0, 0], []), ValueError),
            (([0, 0], [NAN, 1]), ValueError),
            (([INF, 0], [1, 1]), ValueError),
            (1.0, TypeError),
            (None, TypeError),
            ("ab", TypeError),
            (([0, 0], "b"), TypeError),
            (([0, 0], None), TypeError),
            (([0, 0], [1j, 0]), TypeError),
        )
        for case in bad("plotting.arrows", "vectors", error, {"a": vector}, match=r"vectors\['a'\] must")
    ),
    *not_points("plotting.boundaries", plane=True),
    *not_labels("plotting.boundaries"),
    *not_a_rectangle("plotting.boundaries"),
    *bad(
        "plotting.boundaries", "classifiers", ValueError, {"a": ([0.0, 0.0], 1.0)}, match="weight must not be"
    ),
    *bad(
        "plotting.boundaries",
        "classifiers",
        ValueError,
        {"a": ([1.0, 0.0], NAN)},
        match="bias must be finite",
    ),
    *bad("plotting.boundaries", "classifiers", ValueError, {}, match="probability must be a name of classif"),
    *bad("plotting.boundaries", "probability", ValueError, "nobody", 1, ["line"], True),
    *(
        case
        for axis in ("x", "y")
        for case in (
            *bad(
                "plotting.contours",
                axis,
                ValueError,
                [1.0],
                [1.0, 1.0],
                [2.0, 1.0],
                [NAN, 1.0],
                [],
                1.0,
                [[1, 2]],
            ),
            *bad("plotting.contours", axis, TypeError, "x", None),
            *bad(
                "plotting.contours",
                f"{axis}scale",
                ValueError,
                "log",
                match=f"^{axis} must be above 0 on a log",
            ),
            *bad("plotting.contours", f"{axis}scale", ValueError, "cubic", None, 1),
        )
    ),
    *bad("plotting.contours", "values", ValueError, torch.ones(3, 2), torch.ones(6), torch.ones(2, 4), 1.0),
    *bad("plotting.contours", "values", ValueError, torch.ones(2, 3) * NAN, torch.ones(2, 3) / 0),
    *bad("plotting.contours", "values", TypeError, "values", None),
    *bad(
        "plotting.contours",
        "paths",
        ValueError,
        {"a": X[0, :1]},
        {"a": X.T},
        match=r"paths\['a'\] must have 2 ",
    ),
    *bad("plotting.contours", "paths", ValueError, {"a": X * NAN}, {"a": []}, match=r"paths\['a'\] must"),
    *bad("plotting.contours", "paths", TypeError, {"a": "b"}, {"a": None}, match=r"paths\['a'\] must"),
    *bad("plotting.contours", "paths", TypeError, [X], X),
    *bad("plotting.contours", "levels", ValueError, 1, 0, -1, 101, 7.5, [1.0], [2.0, 1.0], [0.0, NAN], True),
    *bad("plotting.contours", "levels", TypeError, "7", None),
    *bad("plotting.contours", "minimum", ValueError, 0, X, [1.0], [NAN, 1.0], []),
    *bad("plotting.contours", "minimum", TypeError, None, "yes"),
    *bad("plotting.contours", "zlabel", TypeError, 1, None),
    *bad("plotting.panels", "n_rows", ValueError, 151, match="n_rows x height must be at most 300 inches"),
    *bad("plotting.curves", "series", ValueError, {}, {"a": ([1, 2], [1, 2, 3])}),
    *bad(
        "plotting.curves",
        "series",
        ValueError,
        {"a": ([1, 1e308], [1, 2])},
        match="x must be at most .* drawn",
    ),
    *bad("plotting.curves", "series", ValueError, {"a": ([1, 2], [0, -1])}, match="must be above 0 on a log"),
    *bad(
        "plotting.curves",
        "series",
        ValueError,
        {"a": ([NAN], [1])},
        {"a": ([], [])},
        match=r"series\['a'\]: x must",
    ),
    *bad(
        "plotting.curves",
        "series",
        ValueError,
        {"a": ([1], [INF])},
        {"a": ([1], [[[1]]])},
        {"a": ([1, 2], [[1], [2]])},
        match=r"series\['a'\]: y must",
    ),
    *bad("plotting.curves", "series", TypeError, {"a": ("x", [1])}, match=r"series\['a'\]: x must"),
    *(
        case
        for argument in ("references", "xreferences")
        for case in (
            *bad(
                "plotting.curves",
                argument,
                ValueError,
                {"r": NAN},
                {"r": INF},
                match=rf"{argument}\['r'\] must",
            ),
            *bad(
                "plotting.curves",
                argument,
                TypeError,
                {"r": "1"},
                {"r": True},
                match=rf"{argument}\['r'\] must",
            ),
            *bad("plotting.curves", argument, TypeError, [0.5], 0.5),
        )
    ),
    *bad(
        "plotting.curves",
        "references",
        ValueError,
        {"r": 0.0},
        match=r"references\['r'\] must be finite and > 0",
    ),
    *bad("plotting.curves", "xscale", ValueError, "cubic", None, 1),
    *bad("plotting.curves", "yscale", ValueError, "cubic", "symlog", "", None, 1, True),
    *bad("plotting.drift", "histories", ValueError, {"a": run_of(4, 1.0)}, match="must fit a line an epoch"),
    *bad("plotting.drift", "histories", ValueError, {"a": run_of(5, 0.0)}, match="weight must not be zero"),
    *not_points("plotting.drift", plane=True),
    *not_labels("plotting.drift"),
    *not_a_rectangle("plotting.drift"),
    *bad("plotting.drift", "histories", ValueError, {}),
    *bad("plotting.drift", "histories", ValueError, {"a": history(9), "b": history(3)}, match="stay below 3"),
    *bad("plotting.drift", "epochs", ValueError, [], [-1, 2], [3, 2], [1, 1], [1, 5]),
    *bad("plotting.drift", "epochs", TypeError, [1.5], [True], ["1"]),
    *bad("plotting.drift", "classifiers", ValueError, {"a": ([0.0, 0.0], 1.0)}, match="weight must not be"),
    *bad("plotting.fits", "X", ValueError, X, X[:, 0], X[:2, :1], X[:, :1] * NAN, X[:0, :1], X[:, :1, None]),
    *bad("plotting.fits", "X", TypeError, "X", None, X[:, :1] + 1j),
    *bad("plotting.fits", "y", ValueError, X, Y, Y[:2, None], Y[:, None] / 0, 1.0),
    *bad("plotting.fits", "y", TypeError, "y", None, Y[:, None] + 1j),
    *bad("plotting.fits", "models", TypeError, None, [(1, 2)], X),
    *(
        case
        for model, error in (
            ((1, 2, 3), ValueError),
            ((1,), ValueError),
            ((), ValueError),
            (([1, 2],), ValueError),
            (([1, 2], 3), ValueError),
            ((NAN, 1), ValueError),
            ((1, INF), ValueError),
            (1.0, TypeError),
            (None, TypeError),
            ("12", TypeError),
            ((1, "2"), TypeError),
            ((1, 2j), TypeError),
            (lambda: X, TypeError),
            (lambda x: None, TypeError),
            (lambda x: x.T, ValueError),
            (lambda x: x[1:], ValueError),
            (lambda x: x.sum(), ValueError),
            (lambda x: x / 0, ValueError),
        )
        for case in bad("plotting.fits", "models", error, {"b": model}, match=r"models\['b'\]")
    ),
    *bad("plotting.heatmap", "values", ValueError, X[0], -X, X * NAN, X / 0, X[:0], 1.0),
    *bad("plotting.heatmap", "values", ValueError, X[:2], X.T, match="rows must be 2 names"),
    *bad("plotting.heatmap", "values", ValueError, X[:, :1], match="columns must be 1 names"),
    *bad("plotting.heatmap", "values", TypeError, "values", None, X + 1j),
    *bad("plotting.heatmap", "rows", ValueError, [], ["a"], "ab", [("a", "b"), "c", "d"], [(), (), ()]),
    *bad("plotting.heatmap", "rows", TypeError, None, 3, [1, 2, 3], [("a", 1)] * 3),
    *bad("plotting.heatmap", "columns", ValueError, [], ["a"], "abc", ["a", ("b", "c")], [(), ()]),
    *bad("plotting.heatmap", "columns", TypeError, None, 2, [1, 2], [("a", 1)] * 2),
    *(
        case
        for pair, error in (
            ((3, 1.0), ValueError),
            ((True, 1.0), ValueError),
            ((2, 0.0), ValueError),
            ((2, [1.0, -1.0]), ValueError),
            ((2, NAN), ValueError),
            ((2, []), ValueError),
            ((2,), ValueError),
            ((2, "1"), TypeError),
            (2, TypeError),
        )
        for case in bad("plotting.level_sets", "sets", error, {"a": pair}, match=r"sets\['a'\]: ")
    ),
    *bad(
        "plotting.panels",
        "height",
        ValueError,
        0.4,
        -1.0,
        NAN,
        INF,
        match="^height must be finite and >= 0.5",
    ),
    *bad("plotting.panels", "height", TypeError, True, "1", None, [1.0]),
    *bad("plotting.points", "positions", ValueError, {"a": X.T}, {"a": 1.0}, match=r"positions\['a'\] must"),
    *bad("plotting.points", "positions", TypeError, {"a": None}, {"a": "b"}, match=r"positions\['a'\] must"),
    *bad("plotting.small_multiples", "draw", TypeError, None, "curves"),
    *bad("plotting.small_multiples", "draw", TypeError, lambda: None, match=r"^draw with settings\['a'\]: "),
    *bad("plotting.small_multiples", "settings", ValueError, {}),
    *bad("plotting.small_multiples", "settings", TypeError, None, [{}]),
    *bad("plotting.small_multiples", "settings", TypeError, {"a": {}}, {"a": 1}, match=r"settings\['a'\]"),
    *bad("plotting.small_multiples", "settings", TypeError, {"a": {"xlabel": "x"}}, match=r"settings\['a'\]"),
    *bad("plotting.small_multiples", "height", ValueError, 0.0, NAN),
    *bad("scratch.linear_descent", "X", ValueError, X[0], X[None], X[:0], X * NAN, X / 0, X[:, :0]),
    *bad("scratch.linear_descent", "X", TypeError, "X", None, X + 1j, X.half(), X.bfloat16()),
    *bad("scratch.linear_descent", "Y", ValueError, Y, Y[:2, None], Y[:, None] * NAN, Y[:0, None], 1.0),
    *bad("scratch.linear_descent", "Y", TypeError, "Y", None, Y[:, None] + 1j),
    *bad("scratch.linear_descent", "start", ValueError, X, X[:2, :1], X[:, 0], X[:, :1] * NAN, 0.0, []),
    *bad("scratch.linear_descent", "start", TypeError, "start", None),
    *bad("scratch.linear_descent", "lr", ValueError, 1e300, match="lr = 1e[+]300 lets the parameters grow"),
    *bad("scratch.linear_descent", "optimizer", ValueError, "sgd", "RMSprop", "", None, torch.optim.SGD),
    *bad("scratch.linear_descent", "optimizer", ValueError, "Adam", match="momentum and dampening belong to"),
    *bad("scratch.linear_descent", "momentum", ValueError, 0.0, match="nesterov needs momentum above 0"),
    *bad("scratch.linear_descent", "dampening", ValueError, 0.1, match="nesterov needs .* no dampening"),
    *bad("scratch.linear_descent", "betas", ValueError, (0.9, 1.0), (-0.1, 0.9), (NAN, 0.9), (0.9, INF)),
    *bad("scratch.linear_descent", "betas", ValueError, (0.8, 0.999), match="betas and eps belong to Adam"),
    *bad("scratch.linear_descent", "betas", TypeError, 0.9, None, (0.9,), (0.9, 0.9, 0.9), ("0.9", 0.9)),
    *bad("scratch.linear_descent", "eps", ValueError, 0.0, match="eps must be finite and > 0"),
    *bad("scratch.linear_descent", "eps", ValueError, 1e-7, match="betas and eps belong to Adam"),
    *not_points("scratch.logistic_descent"),
    *not_labels("scratch.logistic_descent"),
    *bad(
        "scratch.logistic_descent",
        "start",
        ValueError,
        [0.0, NAN, 0.0],
        [INF, 0.0, 0.0],
        [[0.0, 0.0, 0.0]],
        0.0,
    ),
    *bad("scratch.logistic_descent", "start", TypeError, "start"),
    *bad("scratch.logistic_descent", "record", ValueError, [], [0, 1], [2, 1], [1, 1], [1, 4]),
    *not_points("scratch.logistic_sweep"),
    *bad("scratch.logistic_sweep", "X", TypeError, X.bfloat16()),
    *not_labels("scratch.logistic_sweep"),
    *bad("scratch.logistic_sweep", "weight_decays", ValueError, 0.1, [], [[0.1]], [0.1, -0.1], [NAN], [INF]),
    *bad("scratch.logistic_sweep", "weight_decays", TypeError, "0.1", None, ["a"], [0.1j]),
    *bad("tables.table", "formats", ValueError, {}),
    *bad(
        "tables.table", "formats", TypeError, None, "ab", [("a", "{}")], {"a": 1, "b": 2}, {1: "{}", 2: "{}"}
    ),
    *bad("tables.table", "rows", ValueError, [], [(1,)], [(1, 2), (1, 2, 3)], [(1, [2])]),
    *bad("tables.table", "rows", TypeError, 1, "ab", ["ab"], {"a": 1}, [1], [{"a": 1, "b": 2}]),
    *bad("tables.table", "caption", TypeError, 1, None),
    *bad("training.train", "model", TypeError, "model", None, torch.ones(2), torch.sigmoid),
    *bad("training.train", "optimizer", TypeError, "SGD", None, 0.1, torch.optim.SGD),
    *bad("training.train", "optimizer", ValueError, torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)),
    *bad("training.train", "X", ValueError, X[:2], X * NAN, X / 0, torch.ones(0, 2)),
    *bad("training.train", "X", TypeError, "X", None),
    *bad("training.train", "y", ValueError, Y[:2], Y * NAN, [0.0, 1.0, INF], torch.ones(0)),
    *bad("training.train", "y", TypeError, "y", None),
    *bad("training.train", "loss_fn", TypeError, "mse", None, 3),
    *bad("training.train", "scheduler", ValueError, "cosine", 0.1, lambda step: 1.0),
]


# Those that cost no seconds; test_distributed looks at the other.
QUICK = [function for function in VALID if function != "distributed.data_parallel"]


@pytest.fixture(autouse=True)
def _figures_closed():
    yield
    plt.close("all")


def call(function, arguments):
    module, name = function.split(".")
    return getattr(importlib.import_module(f"course_lib.{module}"), name)(**arguments)


def tensors_in(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, History):
        yield from tensors_in([value.loss, value.parameters])
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)


def test_every_public_function_has_valid_arguments():
    public = {
        f"{module}.{name}"
        for module in course_lib.__all__
        for name in importlib.import_module(f"course_lib.{module}").__all__
    }
    assert set(VALID) == public - DATA - UNCHECKED


@pytest.mark.parametrize(("function", "argument", "value", "error", "match"), [*derived(), *PARTICULAR])
def test_bad_argument_is_refused_by_name(function, argument, value, error, match):
    with pytest.raises(error, match=match):
        call(function, {**VALID[function](), argument: value})


@pytest.mark.parametrize("function", QUICK)
def test_valid_call_modifies_no_argument(function):
    arguments = VALID[function]()
    before = [tensor.clone() for tensor in tensors_in(arguments)]
    call(function, arguments)
    for tensor, copy in zip(tensors_in(arguments), before, strict=True):
        assert torch.equal(tensor, copy)


@pytest.mark.parametrize("function", QUICK)
def test_valid_call_leaves_the_generator_and_the_default_dtype_alone(function):
    arguments = VALID[function]()
    torch.manual_seed(112517)
    generator_state = torch.get_rng_state()
    call(function, arguments)
    assert torch.equal(torch.get_rng_state(), generator_state)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "function",
    [
        "geometry.angle",
        "geometry.angle_between",
        "data.augment",
        "geometry.bisector",
        "geometry.max_margin",
        "geometry.signed_distance",
        "probe.coast",
        "optimum.logistic_objective",
        "optimum.least_squares_optimum",
        "optimum.logistic_optimum",
        "penalties.l1_penalty",
        "penalties.l2_penalty",
        "penalties.soft_threshold",
    ],
)
def test_result_has_the_dtype_of_the_arguments(function, dtype):
    arguments = {
        name: value.to(dtype) if isinstance(value, torch.Tensor) else value
        for name, value in VALID[function]().items()
    }
    assert {tensor.dtype for tensor in tensors_in(call(function, arguments))} == {dtype}


@pytest.mark.parametrize(
    "function",
    ["data.two_points", "data.curved_points", "data.noisy_sine", "data.separable", "models.Perceptron"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_result_has_the_dtype_asked_for(function, dtype):
    result = call(function, {**VALID[function](), "dtype": dtype})
    tensors = result.parameters() if isinstance(result, nn.Module) else result
    assert {tensor.dtype for tensor in tensors} == {dtype}
