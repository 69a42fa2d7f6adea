"""Every public function names the argument it refuses, and leaves everything but its result alone."""

import importlib
import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

import course_lib
from course_lib.models import Perceptron
from course_lib.training import History

mpl.use("Agg")

NAN, INF = math.nan, math.inf
X = torch.tensor([[3.0, 2.0], [1.0, 1.0], [4.0, 1.0]], dtype=torch.float64)
Y = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
WEIGHT, BIAS = torch.tensor([0.8, 0.4], dtype=torch.float64), torch.tensor(-2.2, dtype=torch.float64)


def points():
    return {"X": X.clone(), "y": Y.clone()}


def classifier():
    return {"weight": WEIGHT.clone(), "bias": BIAS.clone()}


def training():
    model = Perceptron(dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return {"model": model, "optimizer": optimizer, "n_epochs": 2, "batch_size": 2, **points()}


def history(n_epochs=5):
    parameters = {"linear.weight": torch.ones(n_epochs, 1, 2), "linear.bias": -torch.ones(n_epochs, 1)}
    return History(torch.ones(n_epochs, dtype=torch.float64), parameters)


RECTANGLE = {"xlim": (0.0, 5.0), "ylim": (0.0, 3.0)}

# Arguments that each public function accepts; a test changes one of them.
VALID = {
    "data.two_points": lambda: {"dtype": torch.float32},
    "data.separable": lambda: {"n_samples": 6, "n_features": 2, "margin": 0.5, "offset": 1.0, "seed": 0},
    "geometry.angle": lambda: {"weight": WEIGHT.clone()},
    "geometry.angle_between": lambda: {"u": WEIGHT.clone(), "v": X[1].clone()},
    "geometry.augment": lambda: {"X": X.clone(), "constant": 1.0},
    "geometry.bisector": lambda: {"p": X[0].clone(), "q": X[1].clone()},
    "geometry.boundary_segment": lambda: {**classifier(), **RECTANGLE},
    "geometry.max_margin": points,
    "geometry.signed_distance": lambda: {"X": X.clone(), **classifier()},
    "models.Perceptron": lambda: {"n_features": 2, "seed": 0, "dtype": torch.float32},
    "optimum.logistic_objective": lambda: {**points(), **classifier(), "weight_decay": 0.1, "penalty": "l2"},
    "optimum.logistic_optimum": lambda: {**points(), "weight_decay": 0.1, "penalty": "l1"},
    "penalties.decay_groups": lambda: {"module": nn.Linear(2, 1), "weight_decay": 0.1},
    "penalties.soft_threshold": lambda: {"x": X.clone(), "threshold": 1.5},
    "plotting.boundaries": lambda: {
        **points(),
        "classifiers": {"line": (WEIGHT.clone(), BIAS.clone())},
        **RECTANGLE,
    },
    "plotting.curves": lambda: {
        "series": {"a": (X[:, 0].clone(), Y.clone())},
        "references": {"r": 0.5},
        "xlabel": "x",
        "ylabel": "y",
        "xscale": "linear",
    },
    "plotting.drift": lambda: {
        "histories": {"run": history()},
        **points(),
        "epochs": [1, 3],
        "classifiers": {"line": (WEIGHT.clone(), BIAS.clone())},
        **RECTANGLE,
    },
    "plotting.panels": lambda: {"n_rows": 1, "height": 2.0},
    "scratch.logistic_descent": lambda: {
        **points(),
        "lr": 0.1,
        "n_steps": 3,
        "weight_decay": 0.1,
        "start": torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64),
        "record": [1, 3],
    },
    "tables.table": lambda: {"rows": [{"lambda": 0.1, "angle": 2.0}, {"lambda": 0.2, "angle": 3.0}]},
    "training.train": training,
}


def bad(function, argument, error, *values, match=None):
    """One case a value: `function` refuses it for `argument`, with a message that names `match`."""
    match = rf"\b{argument}\b" if match is None else match
    return [
        pytest.param(function, argument, value, error, match, id=f"{function}-{argument}-{error.__name__}")
        for value in values
    ]


def not_positive(function, argument):
    return [
        *bad(function, argument, ValueError, 0.0, -1.0, NAN, INF),
        *bad(function, argument, TypeError, True, "1", None, [1.0]),
    ]


def negative(function, argument):
    return [
        *bad(function, argument, ValueError, -0.1, NAN, INF),
        *bad(function, argument, TypeError, True, "0.1", None, [0.1]),
    ]


def not_a_count(function, argument, *too_small):
    return [
        *bad(function, argument, ValueError, *too_small),
        *bad(function, argument, TypeError, 2.0, True, "3", [3]),
    ]


def not_points(function, *, plane=False):
    """X that is not finite, not a matrix, or does not match y, which has three entries."""
    return [
        *bad(function, "X", ValueError, X[:2], X[0], X[None], torch.ones(0, 2), torch.ones(3, 0)),
        *bad(function, "X", ValueError, X * NAN, X / 0, *([torch.ones(3, 1)] if plane else [])),
        *bad(function, "X", TypeError, "X", None, [[1.0, 2.0], [1.0]], X + 1j),
    ]


def not_labels(function):
    return [
        *bad(function, "y", ValueError, Y[:2], Y[:, None], torch.ones(0), 1.0),
        *bad(function, "y", ValueError, 2 * Y, 2 * Y - 1, Y / 2, [0, 1, 2], Y * NAN, [0.0, 1.0, INF]),
        *bad(function, "y", TypeError, "y", None, Y + 1j),
    ]


def not_a_line(function):
    return [
        *bad(function, "weight", ValueError, [0.0, 0.0], [1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]], 1.0, []),
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


CASES = [
    *bad("data.two_points", "dtype", TypeError, "float32", float, torch.int64, torch.complex64, None),
    *not_a_count("data.separable", "n_samples", 1, 0, -3),
    *not_a_count("data.separable", "n_features", 0, -3),
    *not_positive("data.separable", "margin"),
    *negative("data.separable", "offset"),
    *not_a_count("data.separable", "seed", -1),
    *bad("data.separable", "dtype", TypeError, "float32", float, torch.int64, torch.complex64, None),
    *bad("geometry.angle", "weight", ValueError, [1.0, 2.0, 3.0], [1.0], 1.0, [], [[1.0, 0.0], [0.0, 0.0]]),
    *bad("geometry.angle", "weight", ValueError, [NAN, 1.0], [1.0, INF]),
    *bad("geometry.angle", "weight", TypeError, "weight", None, [1.0, 1j]),
    *bad("geometry.angle_between", "u", ValueError, [1.0, 2.0, 3.0], [0.0, 0.0], 1.0, [], [NAN, 1.0]),
    *bad("geometry.angle_between", "v", ValueError, [1.0, 2.0, 3.0], [0.0, 0.0], 1.0, [], [1.0, INF]),
    *bad("geometry.angle_between", "u", TypeError, "u", None),
    *bad("geometry.angle_between", "v", TypeError, "v", None),
    *bad("geometry.augment", "X", ValueError, X[0], X[None], X * NAN, X / 0, torch.ones(0, 2)),
    *bad("geometry.augment", "X", TypeError, "X", None),
    *not_positive("geometry.augment", "constant"),
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
    *not_a_count("models.Perceptron", "n_features", 0, -3),
    *not_a_count("models.Perceptron", "seed", -1),
    *bad("models.Perceptron", "dtype", TypeError, torch.int64),
    *not_points("optimum.logistic_objective"),
    *not_labels("optimum.logistic_objective"),
    *bad("optimum.logistic_objective", "weight", ValueError, [1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]], 1.0, []),
    *bad("optimum.logistic_objective", "weight", ValueError, [NAN, 1.0], [1.0, INF]),
    *bad("optimum.logistic_objective", "weight", TypeError, "weight", None),
    *not_a_bias("optimum.logistic_objective"),
    *negative("optimum.logistic_objective", "weight_decay"),
    *bad("optimum.logistic_objective", "penalty", ValueError, "l3", "L2", 2, None),
    *not_points("optimum.logistic_optimum"),
    *not_labels("optimum.logistic_optimum"),
    *bad(
        "optimum.logistic_optimum", "y", ValueError, [1, 1, 1], [0, 0, 0], match="y must contain both labels"
    ),
    *not_positive("optimum.logistic_optimum", "weight_decay"),
    *bad("optimum.logistic_optimum", "penalty", ValueError, "l3", "L2", 2, None),
    *bad("penalties.decay_groups", "module", TypeError, "linear", None, torch.ones(2), [torch.ones(2)]),
    *bad("penalties.decay_groups", "module", ValueError, nn.ReLU(), frozen()),
    *negative("penalties.decay_groups", "weight_decay"),
    *bad("penalties.soft_threshold", "x", ValueError, [NAN, 1.0], -INF, []),
    *bad("penalties.soft_threshold", "x", TypeError, "x", None, [1j]),
    *negative("penalties.soft_threshold", "threshold"),
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
    *bad("plotting.curves", "series", ValueError, {}, {"a": ([1, 2], [1, 2, 3])}),
    *bad(
        "plotting.curves", "series", ValueError, {"a": ([NAN], [1])}, {"a": ([], [])}, match="x of 'a' must"
    ),
    *bad(
        "plotting.curves",
        "series",
        ValueError,
        {"a": ([1], [INF])},
        {"a": ([1], [[1]])},
        match="y of 'a' must",
    ),
    *bad("plotting.curves", "series", TypeError, {"a": ("x", [1])}, match="x of 'a' must"),
    *bad(
        "plotting.curves", "references", ValueError, {"r": NAN}, {"r": INF}, match=r"references\['r'\] must"
    ),
    *bad(
        "plotting.curves", "references", TypeError, {"r": "1"}, {"r": True}, match=r"references\['r'\] must"
    ),
    *bad("plotting.curves", "xscale", ValueError, "cubic", None, 1),
    *not_points("plotting.drift", plane=True),
    *not_labels("plotting.drift"),
    *not_a_rectangle("plotting.drift"),
    *bad("plotting.drift", "histories", ValueError, {}),
    *bad("plotting.drift", "histories", ValueError, {"a": history(9), "b": history(3)}, match="stay below 3"),
    *bad("plotting.drift", "epochs", ValueError, [], [-1, 2], [3, 2], [1, 1], [1, 5]),
    *bad("plotting.drift", "epochs", TypeError, [1.5], [True], ["1"]),
    *bad("plotting.drift", "classifiers", ValueError, {"a": ([0.0, 0.0], 1.0)}, match="weight must not be"),
    *not_a_count("plotting.panels", "n_rows", 0, -1),
    *not_positive("plotting.panels", "height"),
    *not_points("scratch.logistic_descent"),
    *not_labels("scratch.logistic_descent"),
    *not_positive("scratch.logistic_descent", "lr"),
    *not_a_count("scratch.logistic_descent", "n_steps", 0, -1),
    *negative("scratch.logistic_descent", "weight_decay"),
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
    *bad("tables.table", "rows", ValueError, [], [{"a": 1}, {"b": 1}], [{"a": 1}, {"a": 1, "b": 2}]),
    *bad("tables.table", "rows", TypeError, [1], "ab", [["a", 1]], {"a": 1}),
    *bad("training.train", "model", TypeError, "model", None, torch.ones(2), torch.sigmoid),
    *bad("training.train", "optimizer", TypeError, "SGD", None, 0.1, torch.optim.SGD),
    *bad("training.train", "optimizer", ValueError, torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)),
    *bad("training.train", "X", ValueError, X[:2], X * NAN, X / 0, torch.ones(0, 2)),
    *bad("training.train", "X", TypeError, "X", None),
    *bad("training.train", "y", ValueError, Y[:2], Y * NAN, [0.0, 1.0, INF], torch.ones(0)),
    *bad("training.train", "y", TypeError, "y", None),
    *not_a_count("training.train", "n_epochs", 0, -1),
    *not_a_count("training.train", "batch_size", 0, -1),
]


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


def test_every_public_function_is_in_these_tables():
    public = {
        f"{module}.{name}"
        for module in course_lib.__all__
        for name in importlib.import_module(f"course_lib.{module}").__all__
    }
    assert set(VALID) == public - {"training.History"}
    assert {case.values[0] for case in CASES} == set(VALID)


@pytest.mark.parametrize(("function", "argument", "value", "error", "match"), CASES)
def test_bad_argument_is_refused_by_name(function, argument, value, error, match):
    with pytest.raises(error, match=match):
        call(function, {**VALID[function](), argument: value})


@pytest.mark.parametrize("function", VALID)
def test_valid_call_modifies_no_argument(function):
    arguments = VALID[function]()
    before = [tensor.clone() for tensor in tensors_in(arguments)]
    call(function, arguments)
    for tensor, copy in zip(tensors_in(arguments), before, strict=True):
        assert torch.equal(tensor, copy)


@pytest.mark.parametrize("function", VALID)
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
        "geometry.augment",
        "geometry.bisector",
        "geometry.max_margin",
        "geometry.signed_distance",
        "optimum.logistic_objective",
        "optimum.logistic_optimum",
        "penalties.soft_threshold",
    ],
)
def test_result_has_the_dtype_of_the_arguments(function, dtype):
    arguments = {
        name: value.to(dtype) if isinstance(value, torch.Tensor) else value
        for name, value in VALID[function]().items()
    }
    assert {tensor.dtype for tensor in tensors_in(call(function, arguments))} == {dtype}


@pytest.mark.parametrize("function", ["data.two_points", "data.separable", "models.Perceptron"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_result_has_the_dtype_asked_for(function, dtype):
    result = call(function, {**VALID[function](), "dtype": dtype})
    tensors = result.parameters() if isinstance(result, nn.Module) else result
    assert {tensor.dtype for tensor in tensors} == {dtype}
