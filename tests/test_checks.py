from itertools import product

import numpy as np
import pytest
import torch

from course_lib import _checks


def test_finite_returns_a_floating_tensor_itself():
    for dtype in (torch.float16, torch.float32, torch.float64):
        values = torch.tensor([1.0, -2.0], dtype=dtype)
        assert _checks.finite("values", values) is values


def test_finite_keeps_the_type_of_a_floating_array():
    assert _checks.finite("values", np.array([1.0, 2.0], dtype=np.float32)).dtype == torch.float32
    assert _checks.finite("values", np.array([1.0, 2.0])).dtype == torch.float64


@pytest.mark.parametrize("values", [[1, 0, 2], np.array([1, 0, 2]), torch.tensor([1, 0, 2]), [1.0, 0.0, 2.0]])
def test_finite_turns_lists_and_integers_into_float64(values):
    expected = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(_checks.finite("values", values), expected, rtol=0, atol=0)


def test_finite_copies_an_array():
    array = np.array([1.0, 2.0])
    _checks.finite("values", array)[0] = 5.0
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
        _checks.finite("values", values, ndim)


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.int64(3)])
def test_number_returns_a_float(value):
    returned = _checks.number("step", value)
    assert type(returned) is float
    assert returned == 3.0


def test_number_may_equal_its_minimum_unless_strict():
    assert _checks.number("step", 0) == 0.0
    assert _checks.number("step", -2.0, minimum=-2.0) == -2.0
    assert _checks.number("step", 1e-300, strict=True) == 1e-300
    with pytest.raises(ValueError, match=r"step must be finite and > 0, got 0"):
        _checks.number("step", 0, strict=True)
    with pytest.raises(ValueError, match=r"step must be finite and >= 0, got -1e-300"):
        _checks.number("step", -1e-300)


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
        _checks.number("step", value, minimum=-float("inf"))


@pytest.mark.parametrize("value", [3, np.int32(3), np.uint8(3)])
def test_count_returns_an_int(value):
    returned = _checks.count("steps", value)
    assert type(returned) is int
    assert returned == 3


def test_count_may_equal_its_minimum():
    assert _checks.count("steps", 1) == 1
    assert _checks.count("steps", 0, minimum=0) == 0
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        _checks.count("steps", 0)
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        _checks.count("steps", -1, minimum=0)


@pytest.mark.parametrize("value", [2.0, True, "2", None, [2], np.float64(2)])
def test_count_refuses_what_is_not_an_integer(value):
    with pytest.raises(TypeError, match="steps must be an integer"):
        _checks.count("steps", value)


def test_samples_gives_labels_the_type_of_the_points():
    for dtype in (torch.float32, torch.float64):
        X, y = _checks.samples(torch.ones(2, 3, dtype=dtype), [0, 1])
        assert X.dtype == y.dtype == dtype
        assert y.tolist() == [0.0, 1.0]


def test_samples_accepts_boolean_labels():
    assert _checks.samples(torch.ones(2, 1), torch.tensor([True, False]))[1].tolist() == [1.0, 0.0]


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
        _checks.samples(X, y)


def test_two_classes_wants_both_labels():
    _checks.two_classes(torch.tensor([0.0, 1.0, 1.0]))
    for label, n_samples in product((0, 1), (1, 3)):
        with pytest.raises(ValueError, match=f"y must contain both labels, got only {label}"):
            _checks.two_classes(torch.full((n_samples,), float(label)))


def test_rows_keeps_labels_and_makes_lists_tensors():
    X, y = _checks.rows([[1, 2], [3, 4]], torch.tensor([0, 1]))
    assert X.dtype == torch.float64
    assert y.dtype == torch.int64


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
        _checks.rows(X, y)


def test_module_takes_torchs_modules_only():
    linear = torch.nn.Linear(1, 1)
    assert _checks.module("model", linear) is linear
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module, got 3"):
        _checks.module("model", 3)


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0], [2.0, 1.0]])
def test_axis_increases(values):
    assert _checks.axis("xs", [1, 2]).tolist() == [1, 2]
    with pytest.raises(ValueError, match="xs must increase and have two values"):
        _checks.axis("xs", values)


@pytest.mark.parametrize("error", [TypeError, ValueError, RuntimeError, AttributeError, KeyError])
def test_within_names_where_an_error_came_from(error):
    expected = TypeError if error is TypeError else ValueError
    with (
        pytest.raises(expected, match=r"^series\['a'\]: .*too long") as raised,
        _checks.within("series['a']"),
    ):
        raise error("too long")
    assert isinstance(raised.value.__cause__, error)


def test_interval_wants_two_increasing_numbers():
    assert _checks.interval("xlim", (0, 2.5)).tolist() == [0.0, 2.5]
    for limits in ([1.0, 1.0], [2.0, 1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match="xlim must be two increasing numbers"):
            _checks.interval("xlim", limits)


@pytest.mark.parametrize("values", [[1, 3], (1, 3), range(1, 4, 2), np.array([1, 3]), torch.tensor([1, 3])])
def test_counts_takes_sequences_of_every_kind(values):
    assert _checks.counts("record", values) == [1, 3]
    assert _checks.counts("epochs", [0, 2], minimum=0) == [0, 2]


@pytest.mark.parametrize("values", [None, 3, torch.tensor(3), [1.5], [True], ["1"], np.array([1.0])])
def test_counts_refuses_what_is_no_sequence_of_integers(values):
    with pytest.raises(TypeError, match="record must be"):
        _checks.counts("record", values)


@pytest.mark.parametrize("value", ["", "SUM", None, 1, np.array(["sum", "mean"])])
def test_choice_lists_what_may_be_chosen(value):
    assert _checks.choice("reduction", "sum", ("mean", "sum")) == "sum"
    with pytest.raises(ValueError, match='reduction must be "mean" or "sum", got'):
        _checks.choice("reduction", value, ("mean", "sum"))
    with pytest.raises(ValueError, match='reduction must be "mean", "none" or "sum", got'):
        _checks.choice("reduction", value, ("mean", "none", "sum"))


@pytest.mark.parametrize("size", [5e-324, 1e-308, 0.75, 1.0, 3.0, 1e308])
def test_a_power_of_two_divides_exactly(size):
    unit = _checks.power_of_two(size)
    assert unit <= size < 2 * unit or unit == 2.0**1023
    assert size / unit * unit == size


@pytest.mark.parametrize("loss_fn", [torch.nn.functional.mse_loss, torch.nn.HuberLoss()])
def test_targets_that_a_loss_would_broadcast_are_refused(loss_fn):
    _checks.targets(loss_fn, torch.Size([3, 1]), torch.ones(3, 1))
    _checks.targets(torch.nn.functional.cross_entropy, torch.Size([3, 2]), torch.ones(3))
    with pytest.raises(ValueError, match=r"y must have the shape of the predictions, \(3, 1\), got \(3,\)"):
        _checks.targets(loss_fn, torch.Size([3, 1]), torch.ones(3))


def test_a_mapping_may_be_empty_only_where_told():
    assert _checks.mapping("series", {}, empty=True) == {}
    assert _checks.mapping("series", {"a": 1}) == {"a": 1}
    with pytest.raises(ValueError, match=r"^series must not be empty$"):
        _checks.mapping("series", {})
