import dataclasses
import math
import struct
from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_percentage_error

from course_lib.metrics import Agreement, compare, mape, ulp_distance

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
LARGEST = 2**63 - 1
GENERATOR = torch.Generator().manual_seed(5)
A = torch.randn(40, 3, dtype=torch.float64, generator=GENERATOR)
B = A + 0.1 * torch.randn(40, 3, dtype=torch.float64, generator=GENERATOR)


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


def stepped(start, n_steps, direction=math.inf):
    """Return the value n_steps neighbors away from start, by torch.nextafter."""
    value = start.clone()
    for _ in range(n_steps):
        value = torch.nextafter(value, torch.full_like(value, direction))
    return value


def starts(dtype):
    """Return zero and values of every magnitude of the dtype, both signs: subnormal ones to the largest."""
    info = torch.finfo(dtype)
    sizes = [0.0, info.smallest_normal * info.eps, info.smallest_normal / 2, info.smallest_normal, 0.1]
    sizes += [1 - info.eps, 1.0, 3.0, info.max / 4]
    return torch.tensor([sign * size for size in sizes for sign in (1, -1)], dtype=dtype)


@pytest.mark.parametrize("shape", [(120,), (40, 3)])
def test_mape_is_scikit_learns_with_its_epsilon_as_a_fraction(shape):
    prediction, target = A.reshape(shape).clone(), B.reshape(shape).clone()
    target[3] = 0
    for t in (B.reshape(shape), target):
        found = mape(prediction, t, percent=False, zeros="epsilon")
        assert found == pytest.approx(mean_absolute_percentage_error(t, prediction), rel=1e-14, abs=0)


@pytest.mark.parametrize("size", [0.0, 5e-324, 1e-300, 2.0**-53, 2.0**-52, 2.0**-51])
def test_epsilon_is_that_of_float64_and_counts_below_it_only(size):
    found = mape([1e-3, 1.0], [size, 1.0], percent=False, zeros="epsilon")
    expected = mean_absolute_percentage_error([size, 1.0], [1e-3, 1.0])
    assert found == pytest.approx(expected, rel=1e-15)
    assert found == pytest.approx(abs(1e-3 - size) / max(size, 2.0**-52) / 2, rel=1e-15)


@pytest.mark.parametrize("zeros", ["absolute", "epsilon", "raise"])
def test_mape_without_zeros_is_the_mean_relative_error_for_every_rule(zeros):
    expected = np.mean(np.abs(A.numpy() - B.numpy()) / np.abs(B.numpy()))
    assert mape(A, B, percent=False, zeros=zeros) == pytest.approx(expected, rel=1e-14)
    assert mape(A, B, zeros=zeros) == pytest.approx(100 * expected, rel=1e-14)


def test_mape_by_hand_in_percent_unless_told():
    """Errors of 1/2, 1/4 and 0 of a negative, a positive and a repeated target."""
    assert mape([-1.0, 5.0, 8.0], [-2.0, 4.0, 8.0]) == 25.0
    assert mape([-1.0, 5.0, 8.0], [-2.0, 4.0, 8.0], percent=True) == 25.0
    assert mape([-1.0, 5.0, 8.0], [-2.0, 4.0, 8.0], percent=False) == 0.25


def test_where_the_target_is_zero_the_entry_counts_the_prediction():
    assert mape([-0.5, 3.0], [0.0, 4.0], percent=False) == (0.5 + 0.25) / 2
    assert mape([-0.5, 3.0], [-0.0, 4.0], percent=False) == (0.5 + 0.25) / 2
    assert mape([0.0, 3.0], [0.0, 3.0]) == 0.0
    assert mape([-0.5], [0.0]) == mape([-0.5], [0.0], zeros="absolute") == 50.0


@pytest.mark.parametrize(("target", "n_zeros"), [([0.0, 1.0, 2.0], 1), ([0.0, 1.0, -0.0], 2), ([0, 0, 0], 3)])
def test_zero_targets_that_may_not_be_are_counted(target, n_zeros):
    with pytest.raises(ValueError, match=f"^target must not be 0 anywhere, got 0 in {n_zeros} of 3 entries$"):
        mape([1.0, 1.0, 1.0], target, zeros="raise")


def test_pitfall_a_target_of_zero_turns_a_tiny_error_into_a_huge_percentage():
    """The same predictions, off by 1e-17 and by 1e-3, with the epsilon rule and with the absolute one."""
    epsilon = {"percent": False, "zeros": "epsilon"}
    assert mape([1e-17, 1.0], [0.0, 1.0], **epsilon) == pytest.approx(0.0225, abs=5e-5)
    assert mape([1e-3, 1.0], [0.0, 1.0], **epsilon) == pytest.approx(2.3e12, rel=0.03)
    assert mape([1e-17, 1.0], [0.0, 1.0], percent=False) == 5e-18
    assert mape([1e-3, 1.0], [0.0, 1.0], percent=False) == 5e-4


def test_pitfall_a_target_of_almost_zero_is_no_better():
    """A sine that crosses zero, with noise of 1e-16: the error is relative to values of about 1e-16."""
    time = torch.linspace(0, 1, 101, dtype=torch.float64)[1:]
    target = torch.sin(2 * torch.pi * time)
    found = compare(target + 1e-16, target)
    assert 0 < found.smallest_target < 1e-15
    assert found.max_abs < 3e-16
    assert found.mape > 1e-3


def test_pitfall_mape_is_not_symmetric():
    assert mape([150.0], [100.0]) == 50.0
    assert mape([100.0], [150.0]) == pytest.approx(100 / 3, rel=1e-15)


def test_pitfall_the_mean_hides_one_bad_coordinate_that_compare_points_at():
    target = torch.ones(100, 1000, dtype=torch.float64)
    prediction = target.clone()
    prediction[41, 7] = 1.001
    assert mape(prediction, target, percent=False) == pytest.approx(1e-8, rel=1e-10)
    found = compare(prediction, target)
    assert found.where == (41, 7)
    assert found.max_abs == pytest.approx(1e-3, rel=1e-12)
    assert (found.n_different, found.equal) == (1, False)


def test_pitfall_near_zero_a_tiny_difference_is_many_ulps():
    found = compare(f64(1e-15, 1.0), f64(-1e-15, 1.0))
    assert found.max_abs == 2e-15
    assert found.max_ulp > 8e18


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_mape_computes_in_float64_whatever_comes_in(dtype):
    prediction, target = A.to(dtype), B.to(dtype)
    found = mape(prediction, target)
    assert isinstance(found, float)
    assert found == mape(prediction.double(), target.double())
    assert found == mape(prediction.double(), target)
    assert found == mape(prediction.double().numpy(), target.double().tolist())


def test_mape_of_scalars_and_integers():
    assert mape(torch.tensor(3.0), torch.tensor(4.0)) == 25.0
    assert mape(3, 4) == 25.0
    assert mape(torch.tensor([3, 4]), torch.tensor([4, 4])) == 12.5


def test_mape_that_overflows_is_infinite_and_never_nan():
    assert mape([1.0], [5e-324]) == math.inf


@pytest.mark.parametrize("n", [1, 2, 3])
def test_mape_that_overflows_only_on_the_way_is_finite(n):
    assert mape([1e308] * n, [-1e308] * n) == pytest.approx(200)
    assert mape([1.5e308] + [1.0] * n, [1.0] * (n + 1), percent=False) == pytest.approx(1.5e308 / (n + 1))
    assert mape([1e308] * n, [1.0] * n, percent=False) == pytest.approx(1e308)


@pytest.mark.parametrize("direction", [math.inf, -math.inf])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_steps", [0, 1, 2, 7, 100])
def test_k_steps_to_the_neighbor_are_k_ulps(dtype, n_steps, direction):
    """From every magnitude, in either direction: through subnormal values, and across zero."""
    start = starts(dtype)
    end = stepped(start, n_steps, direction)
    found = ulp_distance(start, end)
    assert found.dtype == torch.int64
    assert found.tolist() == [n_steps] * len(start)
    assert ulp_distance(end, start).tolist() == [n_steps] * len(start)


def test_steps_across_zero_and_out_of_the_subnormal_values_are_counted():
    """The starts of the test before do cross both, so that it cannot pass without."""
    for dtype in DTYPES:
        start, smallest = starts(dtype), torch.finfo(dtype).smallest_normal
        end = stepped(start, 100)
        assert ((start < 0) & (end > 0)).any()
        end = stepped(start, 1)
        assert ((start > -2 * smallest) & (start <= -smallest) & (end > -smallest)).any()


@pytest.mark.parametrize("value", [0.0, 5e-324, 2.2e-308, 0.1, 1.0, 1e300])
def test_one_ulp_as_the_standard_library_and_numpy_have_it(value):
    above = math.nextafter(value, math.inf)
    assert ulp_distance(value, above) == 1
    assert ulp_distance(-value, -above) == 1
    assert ulp_distance(value, value + math.ulp(value)) == 1
    assert ulp_distance(value, value + 3 * np.spacing(value)) == 3


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_distance_within_one_power_of_two_is_the_difference_in_units_of_numpys_spacing(dtype):
    values = np.random.default_rng(0).uniform(1, 2, (2, 50)).astype(dtype) * dtype(8)
    expected = np.abs(values[0].astype(np.float64) - values[1]) / np.spacing(dtype(8)).astype(np.float64)
    np.testing.assert_array_equal(ulp_distance(*values).numpy(), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_all_finite_values_of_sixteen_bits_in_their_order_are_one_apart(dtype):
    patterns = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    values = patterns[patterns.isfinite()].double().unique().to(dtype)
    assert (ulp_distance(values[1:], values[:-1]) == 1).all()
    whole = ulp_distance(values[:1], values[-1:])
    assert whole.item() == len(values) - 1


def exact_distance(a, b):
    """The distance of two float64 in Python's integers, which do not overflow."""
    sizes = [struct.unpack("<Q", struct.pack("<d", abs(value)))[0] for value in (a, b)]
    first, second = (-size if value < 0 else size for size, value in zip(sizes, (a, b), strict=True))
    return abs(first - second)


@pytest.mark.parametrize("a", [-1.7e308, -4.0, -1.0, -1e-300, -0.0, 0.0, 5e-324, 1.0, 3.9, 4.0, 1.7e308])
@pytest.mark.parametrize("b", [-1.7e308, -4.1, -1.0, -5e-324, 0.0, 1e-300, 1.0, 1.7e308])
def test_float64_of_any_two_signs_and_sizes_saturates_only_beyond_int64(a, b):
    assert ulp_distance(f64(a), f64(b)).item() == min(exact_distance(a, b), LARGEST)


def test_saturation_begins_at_the_first_distance_that_int64_does_not_hold():
    """From -1 on, 2**63 - 1 steps lead to the value right below 4, and one more to 4."""
    below = math.nextafter(4.0, 0.0)
    below_that = math.nextafter(below, 0.0)
    assert exact_distance(-1.0, below) == LARGEST
    assert ulp_distance(-1.0, below_that).item() == LARGEST - 1
    assert ulp_distance(-1.0, below).item() == LARGEST
    assert ulp_distance(-1.0, 4.0).item() == LARGEST
    assert ulp_distance(4.0, -1.0).item() == LARGEST


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrower_dtypes_never_saturate(dtype):
    largest = torch.tensor(torch.finfo(dtype).max, dtype=dtype)
    expected = 2 * ulp_distance(largest, torch.zeros_like(largest)).item()
    assert ulp_distance(largest, -largest).item() == expected < LARGEST


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_two_zeros_are_equal(dtype):
    zeros = torch.tensor([0.0, -0.0], dtype=dtype)
    assert ulp_distance(zeros, zeros.flip(0)).tolist() == [0, 0]
    assert compare(zeros, zeros.flip(0)).equal


@pytest.mark.parametrize("shape", [(), (1,), (6,), (2, 3), (1, 2, 3)])
def test_distance_has_the_shape_of_its_arguments(shape):
    a = torch.ones(shape)
    found = ulp_distance(a, stepped(a, 2))
    assert found.shape == shape
    assert (found == 2).all()


def test_any_layout_of_memory_and_a_parameter_that_trains():
    a = torch.randn(4, 3)
    expected = ulp_distance(a, -a)
    assert torch.equal(ulp_distance(a.T, -a.T), expected.T)
    assert torch.equal(ulp_distance(torch.nn.Parameter(a), -a), expected)
    negated = torch.complex(torch.zeros_like(a), a).conj().imag
    assert negated.is_neg()
    assert torch.equal(ulp_distance(a, negated), expected)
    assert torch.equal(ulp_distance(a.numpy(), -a), expected)
    assert ulp_distance(torch.ones(1).expand(2, 3), torch.ones(2, 3)).sum() == 0


def test_compare_by_hand():
    target = f64(1.0, 2.0, -4.0, 0.5).reshape(2, 2)
    prediction = target + f64(0.0, 2.0**-51, 2.0**-50, -(2.0**-52)).reshape(2, 2)
    found = compare(prediction, target)
    assert found == Agreement(
        equal=False,
        n_different=3,
        max_abs=2.0**-50,
        max_ulp=4,
        where=(1, 0),
        mape=(2.0**-52 + 2.0**-52 + 2.0**-51) / 4,
        smallest_target=0.5,
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_compare_agrees_with_its_parts(dtype):
    a, b = A.to(dtype), B.to(dtype)
    found = compare(a, b)
    gaps = (a.double() - b.double()).abs().numpy()
    assert found.max_abs == gaps.max()
    assert found.where == np.unravel_index(gaps.argmax(), gaps.shape)
    assert found.max_ulp == ulp_distance(a, b).max()
    assert found.n_different == (a != b).sum()
    assert found.mape == mape(a, b, percent=False)
    assert found.smallest_target == b.abs().min()
    kinds = [type(value) for value in dataclasses.astuple(found)]
    assert kinds == [bool, int, float, int, tuple, float, float]


def test_float32_differences_are_those_of_the_exact_values():
    a, b = torch.tensor([1e8, 0.3]), torch.tensor([0.1, 0.7])
    exact = abs(Fraction(a[0].item()) - Fraction(b[0].item()))
    assert compare(a, b).max_abs == pytest.approx(float(exact), rel=2**-52)
    assert compare(a, b).max_abs != 1e8


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_tensors(dtype):
    a = A.to(dtype)
    found = compare(a, a.clone())
    smallest = a.double().abs().min().item()
    assert found == Agreement(True, 0, 0.0, 0, (0, 0), 0.0, smallest)


def test_one_bit_is_enough_to_differ():
    for dtype in DTYPES:
        a = torch.tensor([0.0, 1.0, 2.0], dtype=dtype)
        tiny = a.clone()
        tiny[0] = torch.nextafter(a[0], a[1])
        found = compare(tiny, a)
        assert (found.equal, found.n_different, found.max_ulp, found.where) == (False, 1, 1, (0,))
        assert found.max_abs == tiny[0].double().item() > 0


def test_where_is_the_first_of_the_largest():
    a = torch.zeros(3, 4)
    b = a.clone()
    b[0, 3], b[1, 2], b[2, 0] = 0.5, 2.0, -2.0
    assert compare(a, b).where == (1, 2)


def test_most_ulps_and_largest_difference_may_be_of_different_entries():
    found = compare(f64(1e-20, 1.0), f64(2e-20, 1.0 + 2**-40))
    assert found.where == (1,)
    assert found.max_ulp == ulp_distance(1e-20, 2e-20).item() > ulp_distance(1.0, 1.0 + 2**-40).item()


def test_compare_is_relative_to_b_and_never_nan():
    assert compare(f64(150.0), f64(100.0)).mape == 0.5
    assert compare(f64(100.0), f64(150.0)).mape == pytest.approx(1 / 3)
    found = compare(f64(0.5, 0.0, 3.0), f64(0.0, 0.0, 4.0))
    assert (found.mape, found.smallest_target) == (0.25, 0.0)
    overflow = compare(f64(1.0, -1e308), f64(5e-324, 1e308))
    assert (overflow.max_abs, overflow.mape, overflow.where) == (math.inf, math.inf, (1,))


def test_scalars():
    found = compare(torch.tensor(1.0), torch.tensor(1.0 + 2**-23))
    assert (found.where, found.max_ulp, found.n_different) == ((), 1, 1)
    assert compare(0.1 + 0.2, 0.3).max_ulp == 1
    assert compare(np.float32(1), torch.tensor(1.0)).equal


def test_flushing_subnormal_values_to_zero_hides_no_difference():
    a, b = torch.tensor([1e-40, 1.0]), torch.tensor([2e-40, 1.0])
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    try:
        assert not compare(a, b).equal
    finally:
        torch.set_flush_denormal(False)


def test_agreement_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        compare(A, B).equal = True


@pytest.mark.parametrize(
    ("a", "b", "line"),
    [
        (f64(1.0, -0.25), f64(1.0, -0.25), "all entries are equal; smallest |target| 0.25"),
        (
            f64(1.0, 2.0),
            f64(1.0, 2.0 + 2**-51),
            "1 entry differs, by at most 4.4e-16 (at (1,)) and 1 ULP; "
            "MAPE 1.1e-16 as a fraction, smallest |target| 1",
        ),
        (
            torch.tensor([[1.0, 2.0]]),
            torch.tensor([[1.5, 4.0]]),
            "2 entries differ, by at most 2 (at (0, 1)) and 8,388,608 ULPs; "
            "MAPE 0.42 as a fraction, smallest |target| 1.5",
        ),
    ],
)
def test_agreement_is_one_line_of_text(a, b, line):
    assert str(compare(a, b)) == line


each_of_two = pytest.mark.parametrize("function", [compare, ulp_distance])


@each_of_two
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("other", DTYPES)
def test_dtypes_must_be_equal(function, dtype, other):
    a, b = torch.ones(2, dtype=dtype), torch.ones(2, dtype=other)
    if dtype == other:
        function(a, b)
    else:
        with pytest.raises(TypeError, match=f"^a and b must have one dtype, got {dtype} and {other}$"):
            function(a, b)


@each_of_two
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_other_dtypes_are_refused_by_name(function, dtype):
    unfit = torch.ones(2).to(dtype)
    with pytest.raises(TypeError, match=f"^a must be float16, bfloat16, float32 or float64, got {dtype}$"):
        function(unfit, unfit)
    with pytest.raises(TypeError, match=r"^b must be float16"):
        function(torch.ones(2), unfit)


@each_of_two
def test_integers_that_are_no_tensor_are_refused_too(function):
    """In float64 2**53 and 2**53 + 1 would be equal."""
    with pytest.raises(TypeError, match=r"^a must be an array of floats, got int64$"):
        function([2**53], [2**53 + 1])
    with pytest.raises(TypeError, match=r"^b must be an array of floats, got bool$"):
        function([1.0], np.array([True]))


@pytest.mark.parametrize("function", [compare, ulp_distance, mape])
@pytest.mark.parametrize("shapes", [((2,), (3,)), ((2,), (2, 1)), ((2,), (1,)), ((1,), ())])
def test_nothing_is_broadcast(function, shapes):
    first, second = (torch.ones(shape) for shape in shapes)
    names = "prediction and target" if function is mape else "a and b"
    with pytest.raises(ValueError, match=rf"^{names} must have one shape, got \({shapes[0][0]},\) and \("):
        function(first, second)


@pytest.mark.parametrize("function", [compare, ulp_distance, mape])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_on_either_side(function, value):
    names = ["prediction", "target"] if function is mape else ["a", "b"]
    for position, name in enumerate(names):
        arguments = [torch.ones(2), torch.ones(2)]
        arguments[position][1] = value
        with pytest.raises(ValueError, match=f"^{name} must be finite"):
            function(*arguments)


@pytest.mark.parametrize("function", [compare, ulp_distance, mape])
def test_nothing_is_modified(function):
    a, b = A.clone(), B.clone()
    a[0], b[0] = -0.0, 0.0
    before = a.clone(), b.clone()
    function(a, b)
    for tensor, copy in zip((a, b), before, strict=True):
        assert torch.equal(tensor.view(torch.int64), copy.view(torch.int64))
