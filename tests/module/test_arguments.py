from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import _arguments


def test_finite_returns_a_floating_tensor_itself():
    for dtype in (torch.float16, torch.float32, torch.float64):
        values = torch.tensor([1.0, -2.0], dtype=dtype)
        assert _arguments.finite("values", values) is values


def test_finite_keeps_the_type_of_a_floating_array():
    assert _arguments.finite("values", np.array([1.0, 2.0], dtype=np.float32)).dtype == torch.float32
    assert _arguments.finite("values", np.array([1.0, 2.0])).dtype == torch.float64


@pytest.mark.parametrize("values", [[1, 0, 2], np.array([1, 0, 2]), torch.tensor([1, 0, 2]), [1.0, 0.0, 2.0]])
def test_finite_turns_lists_and_integers_into_float64(values):
    expected = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(_arguments.finite("values", values), expected, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i2", "i8", "u1", "?"])
def test_finite_takes_either_byte_order(kind):
    native = np.array([[1, 0], [3, 1]], dtype="=" + kind)
    for order in "<>":
        found = _arguments.finite("values", native.astype(native.dtype.newbyteorder(order)))
        assert torch.equal(found, _arguments.finite("values", native))


def test_finite_lets_pass_what_is_empty_or_complex_only_where_told():
    assert _arguments.finite("values", torch.ones(0, 2), empty=True).shape == (0, 2)
    values = torch.tensor([1j, 2])
    assert _arguments.finite("values", values, imaginary=True) is values
    for part in (complex(0, float("nan")), complex(float("inf"), 0)):
        with pytest.raises(ValueError, match="values must be finite"):
            _arguments.finite("values", torch.tensor([1j, part]), imaginary=True)


def doubled(values):
    return 2 * _arguments.finite("values", values)


def test_finite_lets_pass_what_is_not_known_yet():
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert torch.equal(torch.func.vmap(doubled)(rows), 2 * rows)


def test_finite_is_compiled():
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    torch._dynamo.reset()
    assert torch.equal(torch.compile(doubled, fullgraph=True, backend="eager")(rows), 2 * rows)


@pytest.mark.parametrize("value", [True, False])
def test_a_condition_is_known_unless_torch_computes_it_later(value, monkeypatch):
    def in_a_row(row):
        assert _arguments.known(row > 0, otherwise=not value) is not value
        return row

    condition = torch.tensor(value)
    assert _arguments.known(condition, otherwise=not value) is value
    torch.func.vmap(in_a_row)(torch.full((2,), float(value)))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert _arguments.known(condition, otherwise=not value) is not value


def test_finite_copies_an_array():
    array = np.array([1.0, 2.0])
    _arguments.finite("values", array)[0] = 5.0
    assert array.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "ndim", "error", "message"),
    [
        ([1.0, float("nan")], None, ValueError, "values must be finite"),
        ([1.0, float("inf")], None, ValueError, "values must be finite"),
        ([1.0, -float("inf")], None, ValueError, "values must be finite"),
        ([], None, ValueError, r"values must not be empty, got shape \(0,\)"),
        (torch.ones(0, 2), 2, ValueError, r"values must not be empty, got shape \(0, 2\)"),
        (torch.ones(2, 0), 2, ValueError, r"values must not be empty, got shape \(2, 0\)"),
        (1.0, 1, ValueError, r"values must have 1 dimension\(s\), got shape \(\)"),
        ([[1.0]], 1, ValueError, r"values must have 1 dimension\(s\), got shape \(1, 1\)"),
        ([1.0], 0, ValueError, r"values must have 0 dimension\(s\), got shape \(1,\)"),
        ([1j], None, TypeError, "values must be an array of real numbers"),
        (torch.tensor([1j]), None, TypeError, "values must be an array of real numbers"),
        ("1.0", None, TypeError, "values must be an array of real numbers"),
        (None, None, TypeError, "values must be an array of real numbers"),
        ([[1.0], [1.0, 2.0]], None, TypeError, "values must be an array of real numbers"),
    ],
)
def test_finite_refuses(values, ndim, error, message):
    with pytest.raises(error, match=message):
        _arguments.finite("values", values, ndim)


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.int64(3)])
def test_number_returns_a_float(value):
    returned = _arguments.number("step", value)
    assert type(returned) is float
    assert returned == 3.0


def test_number_may_equal_its_minimum_unless_strict():
    assert _arguments.number("step", 0) == 0.0
    assert _arguments.number("step", -2.0, minimum=-2.0) == -2.0
    assert _arguments.number("step", 1e-300, strict=True) == 1e-300
    with pytest.raises(ValueError, match=r"step must be finite and > 0, got 0"):
        _arguments.number("step", 0, strict=True)
    with pytest.raises(ValueError, match=r"step must be finite and >= 0, got -1e-300"):
        _arguments.number("step", -1e-300)


@pytest.mark.parametrize(("take", "above"), [(_arguments.number, 3.1), (_arguments.count, 4)])
def test_number_and_count_may_equal_their_maximum(take, above):
    assert take("step", 3, maximum=3) == 3
    with pytest.raises(ValueError, match=rf"^step must be at most 3, got {above}$"):
        take("step", above, maximum=3)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (-float("inf"), ValueError),
        (True, TypeError),
        (np.True_, TypeError),
        ("1", TypeError),
        (1j, TypeError),
        (None, TypeError),
        ([1.0], TypeError),
    ],
)
def test_number_refuses(value, error):
    with pytest.raises(error, match="step must be"):
        _arguments.number("step", value, minimum=-float("inf"))


@pytest.mark.parametrize("value", [3, np.int32(3), np.uint8(3)])
def test_count_returns_an_int(value):
    returned = _arguments.count("steps", value)
    assert type(returned) is int
    assert returned == 3


def test_count_may_equal_its_minimum():
    assert _arguments.count("steps", 1) == 1
    assert _arguments.count("steps", 0, minimum=0) == 0
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        _arguments.count("steps", 0)
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        _arguments.count("steps", -1, minimum=0)


def test_count_may_be_the_largest_integer_of_torch_and_no_more():
    assert _arguments.count("steps", 2**63 - 1) == 2**63 - 1
    for value in (2**63, 2**70):
        with pytest.raises(ValueError, match=rf"^steps must be below 2\*\*63, got {value}$"):
            _arguments.count("steps", value)


@pytest.mark.parametrize("value", [2.0, True, "2", None, [2], np.float64(2)])
def test_count_refuses_what_is_not_an_integer(value):
    with pytest.raises(TypeError, match="steps must be an integer"):
        _arguments.count("steps", value)


def test_samples_gives_labels_the_type_of_the_points():
    for dtype in (torch.float32, torch.float64):
        X, y = _arguments.samples(torch.ones(2, 3, dtype=dtype), [0, 1])
        assert X.dtype == y.dtype == dtype
        assert y.tolist() == [0.0, 1.0]


def test_samples_accepts_boolean_labels():
    assert _arguments.samples(torch.ones(2, 1), torch.tensor([True, False]))[1].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (torch.ones(3, 2), [0, 1], "X and y must have one row and one label per sample, got 3 and 2"),
        (torch.ones(3), [0, 1, 1], "X must have 2"),
        (torch.ones(2, 2), [[0, 1]], "y must have 1"),
        (torch.ones(2, 2), [-1, 1], r"y must hold only the labels 0 and 1, got \[-1.0, 1.0\]"),
        (torch.ones(2, 2), [0.5, 1], r"y must hold only the labels 0 and 1, got \[0.5, 1.0\]"),
        (torch.tensor([[1.0], [float("nan")]]), [0, 1], "X must be finite"),
        (torch.ones(2, 2), [0, float("nan")], "y must be finite"),
    ],
)
def test_samples_refuses(X, y, message):
    with pytest.raises(ValueError, match=message):
        _arguments.samples(X, y)


def test_two_classes_wants_both_labels():
    _arguments.two_classes(torch.tensor([0.0, 1.0, 1.0]))
    for label, n_samples in product((0, 1), (1, 3)):
        with pytest.raises(ValueError, match=f"y must contain both labels, got only {label}"):
            _arguments.two_classes(torch.full((n_samples,), float(label)))


def test_rows_keeps_labels_and_makes_lists_tensors():
    X, y = _arguments.rows([[1, 2], [3, 4]], torch.tensor([0, 1]))
    assert X.dtype == torch.float64
    assert y.dtype == torch.int64


@pytest.mark.parametrize("y", [[0, 2], np.array([0, 2], dtype=np.int32), [True, False], torch.tensor([1, 0])])
def test_rows_keeps_labels_whatever_they_come_in(y):
    found = _arguments.rows([[1.0], [2.0]], y, torch.float32)[1]
    assert found.tolist() == list(y)
    assert not found.is_floating_point()


def test_rows_gives_numbers_of_arrays_the_dtype_and_leaves_tensors_alone():
    double, indices = torch.ones(2, 1, dtype=torch.float64), torch.tensor([[1], [0]])
    for X in ([[1], [2]], np.ones((2, 1)), np.ones((2, 1), dtype=int), torch.tensor([[True], [False]])):
        assert _arguments.rows(X, [0.5, 1.0], torch.float32)[0].dtype == torch.float32
    assert _arguments.rows(double, [0.5, 1.0], torch.float32)[0] is double
    assert _arguments.rows(indices, [0.5, 1.0], torch.float32)[0] is indices
    assert _arguments.rows(double, [0.5, 1.0], torch.float32)[1].dtype == torch.float32
    assert _arguments.rows(double, np.ones(2))[1].dtype == torch.float64
    with pytest.raises(ValueError, match=r"^X in torch\.float16 must be finite"):
        _arguments.rows([1e5, 1.0], [0, 1], torch.float16)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([1.0, 2.0], [1.0], r"as many rows, got shapes \(2,\) and \(1,\)"),
        (3.0, [1.0], "X must have one row a sample, got the number 3"),
        ([1.0], [float("nan")], "y must be finite"),
    ],
)
def test_rows_names_what_does_not_match(X, y, message):
    with pytest.raises(ValueError, match=message):
        _arguments.rows(X, y)


def test_module_takes_torchs_modules_only():
    linear = torch.nn.Linear(1, 1)
    assert _arguments.module("model", linear) is linear
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module, got 3"):
        _arguments.module("model", 3)


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0], [2.0, 1.0]])
def test_axis_increases(values):
    assert _arguments.axis("xs", [1, 2]).tolist() == [1, 2]
    with pytest.raises(ValueError, match="xs must increase and have two values"):
        _arguments.axis("xs", values)


@pytest.mark.parametrize("error", [TypeError, ValueError, RuntimeError, AttributeError, KeyError])
def test_within_names_where_an_error_came_from(error):
    expected = TypeError if error is TypeError else ValueError
    with (
        pytest.raises(expected, match=r"^series\['a'\]: .*too long") as raised,
        _arguments.within("series['a']"),
    ):
        raise error("too long")
    assert isinstance(raised.value.__cause__, error)


def test_interval_wants_two_increasing_numbers():
    assert _arguments.interval("xlim", (0, 2.5)).tolist() == [0.0, 2.5]
    for limits in ([1.0, 1.0], [2.0, 1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match="xlim must be two increasing numbers"):
            _arguments.interval("xlim", limits)


@pytest.mark.parametrize("values", [[1, 3], (1, 3), range(1, 4, 2), np.array([1, 3]), torch.tensor([1, 3])])
def test_counts_takes_sequences_of_every_kind(values):
    assert _arguments.counts("record", values) == [1, 3]
    assert _arguments.counts("epochs", [0, 2], minimum=0) == [0, 2]


@pytest.mark.parametrize("values", [None, 3, torch.tensor(3), [1.5], [True], ["1"], np.array([1.0])])
def test_counts_refuses_what_is_no_sequence_of_integers(values):
    with pytest.raises(TypeError, match="record must be"):
        _arguments.counts("record", values)


@pytest.mark.parametrize("value", ["", "SUM", None, 1, np.array(["sum", "mean"])])
def test_choice_lists_what_may_be_chosen(value):
    assert _arguments.choice("reduction", "sum", ("mean", "sum")) == "sum"
    with pytest.raises(ValueError, match='reduction must be "mean" or "sum", got'):
        _arguments.choice("reduction", value, ("mean", "sum"))
    with pytest.raises(ValueError, match='reduction must be "mean", "none" or "sum", got'):
        _arguments.choice("reduction", value, ("mean", "none", "sum"))


@pytest.mark.parametrize("size", [5e-324, 1e-308, 0.75, 1.0, 3.0, 1e308])
def test_a_power_of_two_divides_exactly(size):
    unit = _arguments.power_of_two(size)
    assert unit <= size < 2 * unit or unit == 2.0**1023
    assert size / unit * unit == size


def gaussian(prediction, target):
    return F.gaussian_nll_loss(prediction, target, torch.ones_like(prediction))


def own(prediction, target):
    return (prediction - target).pow(4).mean()


def summed(prediction, target):
    return (prediction - target).abs().sum()


def squeezing(prediction, target):
    return F.binary_cross_entropy_with_logits(prediction[:, 0], target)


def quantiles(prediction, target):
    """One target beside many predictions of it."""
    error = target - prediction
    return torch.maximum(0.3 * error, -0.7 * error).mean()


def gathering(prediction, target):
    return -prediction.log_softmax(1).gather(1, target).mean()


def picking(prediction, target):
    return -prediction.log_softmax(1)[range(len(target)), target].mean()


def weighted(loss_fn):
    """By a weight for each row, of all rows that there are."""
    return lambda prediction, target: (WEIGHTS * loss_fn(prediction, target)).mean()


def mean_of_many(prediction, target):
    return (prediction.mean(1) - target).square().mean()


def deviations(prediction, target):
    """A Gaussian whose width is predicted as well."""
    mean, width = prediction.T
    return (width + ((target[:, 0] - mean) / width.exp()) ** 2).mean()


def cosines(prediction, target):
    return F.cosine_embedding_loss(prediction, prediction.flip(0), target)


TORCHS = [F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss, F.poisson_nll_loss, F.kl_div]
TORCHS += [
    F.hinge_embedding_loss,
    nn.MSELoss(reduction="sum"),
    nn.PoissonNLLLoss(),
    nn.KLDivLoss(reduction="batchmean"),
]
LABELS = torch.tensor([0, 2, 1, 0, 2, 1, 1, 0])
NUMBERS = torch.linspace(0, 1, 8)


def named(loss_fn):
    """Return a name that is the same in every process."""
    return getattr(loss_fn, "__name__", None) or type(loss_fn).__name__


WEIGHTS = torch.linspace(1, 2, 8)


@pytest.mark.parametrize(
    "loss_fn",
    [*TORCHS, gaussian, own, summed, partial(F.poisson_nll_loss, log_input=False), quantiles, squeezing],
    ids=named,
)
@pytest.mark.parametrize(
    "y", [NUMBERS, torch.zeros(8), LABELS, LABELS > 0], ids=["floats", "0", "int", "bool"]
)
def test_one_column_of_predictions_beside_a_vector_of_targets_is_refused(loss_fn, y):
    """Whatever is in it, and either way round; torch would make 8 x 8 of both."""
    shapes = r"y must have the shape of the predictions, \(8, 1\), got \(8,\)$"
    with pytest.raises(ValueError, match=shapes):
        _arguments.targets(loss_fn, torch.zeros(8, 1), y)
    with pytest.raises(ValueError, match=r"\(8,\), got \(8, 1\)$"):
        _arguments.targets(loss_fn, torch.zeros(8), y[:, None])


@pytest.mark.parametrize("loss_fn", [*TORCHS, partial(F.mse_loss, reduction="sum")], ids=named)
@pytest.mark.parametrize(
    ("predicted", "given"), [((8, 3), (8, 1)), ((8, 1), (8, 3)), ((8, 8), (8,))], ids=str
)
def test_no_loss_of_torchs_compares_unequal_shapes(loss_fn, predicted, given):
    with pytest.raises(ValueError, match="y must have the shape of the predictions"):
        _arguments.targets(loss_fn, torch.zeros(predicted), torch.zeros(given))


@pytest.mark.parametrize(
    ("loss_fn", "predicted", "y"),
    [
        (F.cross_entropy, (8, 3), LABELS),
        (F.cross_entropy, (8, 8), LABELS),  # they would fit
        (F.cross_entropy, (1, 3), LABELS[:1]),
        (F.cross_entropy, (8, 3, 5), LABELS[:, None].expand(8, 5)),
        (nn.NLLLoss(), (8, 8), LABELS),
        (F.multi_margin_loss, (8, 8), LABELS),
        (lambda p, y: F.cross_entropy(p, y.long()), (8, 8), LABELS),
        (gathering, (8, 3), LABELS[:, None]),
        (picking, (8, 3), LABELS),
        (picking, (8, 8), LABELS),
        (cosines, (8, 3), 2 * (NUMBERS > 0.5) - 1.0),
        (cosines, (8, 8), 2 * (NUMBERS > 0.5) - 1.0),
        (quantiles, (8, 3), NUMBERS[:, None]),
        (deviations, (8, 2), NUMBERS[:, None]),
        (mean_of_many, (8, 8), NUMBERS),
        (weighted(lambda p, y: (p - y).abs().mean(1)), (8, 3), NUMBERS[:, None]),
        (lambda p, y: (p.mean() - y.mean()) ** 2, (8, 3), NUMBERS),
    ],
)
def test_a_loss_that_takes_other_shapes_gets_its_targets_as_they_are(loss_fn, predicted, y):
    assert torch.equal(_arguments.targets(loss_fn, torch.zeros(predicted), y), y)
    loss_fn(torch.zeros(predicted), y)


@pytest.mark.parametrize("labels", [LABELS > 0, LABELS.int(), LABELS.to(torch.uint8), LABELS], ids=str)
def test_labels_become_numbers_beside_predictions_of_their_shape_and_indices_elsewhere(labels):
    for dtype in (torch.float32, torch.float64):
        found = _arguments.targets(F.mse_loss, torch.zeros(8, dtype=dtype), labels)
        assert (found.dtype, found.tolist()) == (dtype, labels.double().tolist())
    assert _arguments.targets(F.cross_entropy, torch.zeros(8, 3), labels).dtype == torch.int64
    for loss_fn in (F.multilabel_margin_loss, nn.MultiLabelMarginLoss()):
        assert _arguments.targets(loss_fn, torch.zeros(8), labels).dtype == torch.int64


def test_numbers_beside_predictions_of_their_shape_stay_as_they_are():
    y = NUMBERS.double()
    assert _arguments.targets(F.mse_loss, torch.zeros(8), y) is y


def test_what_is_no_tensor_is_left_to_the_loss():
    assert _arguments.targets(own, (torch.zeros(8, 1), None), LABELS) is LABELS


def test_a_mapping_may_be_empty_only_where_told():
    assert _arguments.mapping("series", {}, empty=True) == {}
    assert _arguments.mapping("series", {"a": 1}) == {"a": 1}
    with pytest.raises(ValueError, match=r"^series must not be empty$"):
        _arguments.mapping("series", {})


@pytest.mark.parametrize("loss_fn", [torch.Tensor.dist, torch.zeros(1).dist])
def test_a_loss_written_in_c_may_have_no_module(loss_fn):
    assert getattr(loss_fn, "__module__", None) is None
    y = torch.ones(1)
    assert _arguments.targets(loss_fn, torch.zeros(3, 1), y) is y
