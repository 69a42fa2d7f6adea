import numpy as np
import pytest
import torch
import torch.nn.functional as F

from course_lib import scratch
from course_lib.data import two_points
from course_lib.optimum import logistic_optimum
from course_lib.penalties import l2_penalty
from course_lib.scratch import logistic_cost, logistic_descent, logistic_sweep

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(30, 4, dtype=torch.float64, generator=GENERATOR)
Y = torch.rand(30, dtype=torch.float64, generator=GENERATOR).round()
START = [0.5, -1.0, 2.0, 0.0, -0.25]


def torch_path(start, *, lr, weight_decay, decay_bias, n_steps=200):
    """Return the weights and the bias after each step of torch.optim.SGD on the mean cross-entropy."""
    theta = torch.tensor(start, dtype=torch.float64)
    weight, bias = theta[:-1].clone().requires_grad_(), theta[-1:].clone().requires_grad_()
    groups = [{"params": [weight]}, {"params": [bias], "weight_decay": weight_decay if decay_bias else 0.0}]
    optimizer = torch.optim.SGD(groups, lr=lr, weight_decay=weight_decay)
    path = []
    for _ in range(n_steps):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(X @ weight + bias, Y).backward()
        optimizer.step()
        path.append(torch.cat([weight, bias]).detach().numpy())
    return np.array(path)


@pytest.mark.parametrize(
    ("weight_decay", "decay_bias"), [(0.0, True), (0.0, False), (0.1, True), (0.1, False)]
)
@pytest.mark.parametrize("start", [None, START])
def test_descent_equals_torch_sgd_step_by_step(start, weight_decay, decay_bias):
    options = {"lr": 0.7, "weight_decay": weight_decay, "decay_bias": decay_bias}
    found = logistic_descent(X, Y, n_steps=200, start=start, **options)
    expected = torch_path([0.0] * 5 if start is None else start, **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_descent_does_not_decay_unless_told_and_then_decays_the_bias_too():
    plain, decayed = (
        logistic_descent(X, Y, lr=0.7, n_steps=5),
        logistic_descent(X, Y, lr=0.7, n_steps=5, weight_decay=0.1),
    )
    np.testing.assert_array_equal(plain, logistic_descent(X, Y, lr=0.7, n_steps=5, weight_decay=0.0))
    explicit = logistic_descent(X, Y, lr=0.7, n_steps=5, weight_decay=0.1, decay_bias=True)
    np.testing.assert_array_equal(decayed, explicit)


def test_first_step_of_the_two_points_in_closed_form():
    """From zero both points pull by 1/2: w = lr/4 (x_1 - x_2), b = 0."""
    found = logistic_descent(*two_points(), lr=2.0, n_steps=1)
    np.testing.assert_allclose(found, [[1.0, 0.5, 0.0]], rtol=0, atol=1e-15)


@pytest.mark.parametrize("record", [[1], [50], [1, 2, 3], [7, 20, 50], range(5, 51, 5), np.array([3, 4])])
def test_record_picks_the_steps_counted_from_one(record):
    every = logistic_descent(X, Y, lr=0.7, n_steps=50, weight_decay=0.1)
    found = logistic_descent(X, Y, lr=0.7, n_steps=50, weight_decay=0.1, record=record)
    assert every.shape == (50, 5)
    np.testing.assert_array_equal(found, every[np.array(record) - 1])


def test_descent_resumes_from_where_it_stopped():
    whole = logistic_descent(X, Y, lr=0.7, n_steps=60, weight_decay=0.1)
    rest = logistic_descent(X, Y, lr=0.7, n_steps=20, weight_decay=0.1, start=whole[39])
    np.testing.assert_allclose(rest, whole[40:], rtol=0, atol=1e-15)


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("weight_decay", [0.05, 0.5])
def test_descent_converges_to_the_optimum(weight_decay, decay_bias):
    options = {"weight_decay": weight_decay, "decay_bias": decay_bias}
    found = logistic_descent(X, Y, lr=1.0, n_steps=3000, record=[3000], **options)
    weight, bias = logistic_optimum(X, Y, weight_decay, decay_bias=decay_bias)
    np.testing.assert_allclose(found[0], np.append(weight, bias), rtol=0, atol=1e-13)


def test_saturated_points_neither_warn_nor_move_the_parameters():
    start = [1e4, 0.0, -2e4]
    found = logistic_descent(*two_points(), lr=1.0, n_steps=3, start=start)
    np.testing.assert_array_equal(found, [start] * 3)


def test_descent_is_in_float64_whatever_comes_in():
    X32, y32 = two_points(torch.float32)
    found = logistic_descent(X32, y32, lr=0.3, n_steps=10)
    assert found.dtype == np.float64
    for inputs in ((X32.double(), y32.double()), (X32.numpy(), y32.numpy()), (X32.tolist(), [1, 0])):
        np.testing.assert_array_equal(found, logistic_descent(*inputs, lr=0.3, n_steps=10))


def test_divergence_raises_instead_of_returning_infinity():
    """With lr * lambda = 10 a step multiplies the parameters by about -9."""
    with pytest.raises(ValueError, match="lr = 1 lets the parameters grow without bound"):
        logistic_descent(*two_points(), lr=1.0, n_steps=3000, weight_decay=10.0, record=[3000])


THETAS = torch.randn(7, 5, dtype=torch.float64, generator=GENERATOR)


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1, 3.0])
def test_cost_is_torchs_mean_cross_entropy_plus_half_lambda_norm_squared(weight_decay, decay_bias):
    for theta in THETAS:
        weight, bias = theta[:-1], theta[-1]
        penalized = [weight, bias] if decay_bias else [weight]
        expected = F.binary_cross_entropy_with_logits(X @ weight + bias, Y)
        expected += l2_penalty(penalized, weight_decay)
        found = logistic_cost(X, Y, theta, weight_decay=weight_decay, decay_bias=decay_bias)
        assert found.shape == ()
        assert found == pytest.approx(expected.item(), rel=0, abs=1e-13)


@pytest.mark.parametrize("decay_bias", [False, True])
def test_cost_of_many_vectors_is_that_of_each(decay_bias):
    options = {"weight_decay": 0.1, "decay_bias": decay_bias}
    found = logistic_cost(X, Y, THETAS, **options)
    assert found.shape == (7,)
    np.testing.assert_allclose(
        found, [logistic_cost(X, Y, theta, **options) for theta in THETAS], rtol=0, atol=1e-15
    )
    assert logistic_cost(X, Y, THETAS[:1], **options).shape == (1,)


def test_cost_decays_nothing_unless_told_and_then_the_bias_too():
    plain = logistic_cost(X, Y, START)
    assert plain == logistic_cost(X, Y, START, weight_decay=0.0)
    by_default = logistic_cost(X, Y, START, weight_decay=0.4)
    assert by_default == logistic_cost(X, Y, START, weight_decay=0.4, decay_bias=True)
    assert by_default - plain == pytest.approx(0.2 * sum(value**2 for value in START), rel=1e-14)


def test_cost_by_hand():
    """At theta = (1, 0, -1) the rows of the two points have z theta = 2 and 0."""
    found = logistic_cost(*two_points(), [1.0, 0.0, -1.0], weight_decay=0.5)
    assert found == pytest.approx((np.log1p(np.exp(-2)) + np.log(2)) / 2 + 0.25 * 2, rel=1e-15)


@pytest.mark.parametrize("size", [1e4, 1e10])
def test_cost_of_a_large_logit_neither_overflows_nor_vanishes(size):
    right, wrong = logistic_cost([[1.0], [1.0]], [1, 1], [[size, 0.0], [-size, 0.0]])
    assert right == 0
    assert wrong == size
    assert logistic_cost([[1.0]], [1], [40.0, 0.0]) == pytest.approx(np.exp(-40), rel=1e-15, abs=0)


def test_descent_lowers_the_cost_at_every_step_and_ends_at_its_minimum():
    options = {"weight_decay": 0.1, "decay_bias": False}
    costs = logistic_cost(X, Y, logistic_descent(X, Y, lr=1.0, n_steps=300, **options), **options)
    assert (np.diff(costs[:50]) < 0).all()
    best = torch.cat([part.reshape(-1) for part in logistic_optimum(X, Y, 0.1)])
    assert costs[-1] == pytest.approx(logistic_cost(X, Y, best, **options), rel=0, abs=1e-13)


DECAYS = [0.0, 0.001, 0.05, 0.3, 1.0, 0.02, 0.3]


def descents(weight_decays, **options):
    """One run of `logistic_descent` after the other: what a sweep has to return."""
    n_steps = options["n_steps"]
    runs = [logistic_descent(X, Y, weight_decay=w, record=[n_steps], **options) for w in weight_decays]
    return np.concatenate(runs)


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize(("lr", "n_steps"), [(0.7, 1), (0.7, 200), (0.05, 40)])
def test_sweep_equals_the_descent_of_each_run(lr, n_steps, decay_bias):
    options = {"lr": lr, "n_steps": n_steps, "decay_bias": decay_bias}
    found = logistic_sweep(X, Y, DECAYS, **options)
    assert found.dtype == np.float64
    assert found.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(found, descents(DECAYS, **options), rtol=0, atol=1e-12)


def test_sweep_decays_the_bias_unless_told():
    np.testing.assert_array_equal(
        logistic_sweep(X, Y, DECAYS, lr=0.7, n_steps=9),
        logistic_sweep(X, Y, DECAYS, lr=0.7, n_steps=9, decay_bias=True),
    )


@pytest.mark.parametrize("chunk", [1, 30, 31, 60, 90, 179, 180, 209, 210, 2**17])
def test_sweep_in_chunks_of_any_size(monkeypatch, chunk):
    """With 30 rows a chunk holds from one run to all seven; one smaller than a run takes it alone."""
    monkeypatch.setattr(scratch, "CHUNK", chunk)
    sizes = []
    monkeypatch.setattr(
        torch, "mm", lambda a, b, mm=torch.mm, **out: (sizes.append(b.shape[1]), mm(a, b, **out))[1]
    )
    options = {"lr": 0.7, "n_steps": 50, "decay_bias": False}
    np.testing.assert_allclose(
        logistic_sweep(X, Y, DECAYS, **options), descents(DECAYS, **options), rtol=0, atol=1e-12
    )
    assert max(sizes) == min(max(1, chunk // 30), 7)


def test_sweep_of_one_run():
    options = {"lr": 0.7, "n_steps": 30}
    found = logistic_sweep(X, Y, [0.2], **options)
    assert found.shape == (1, 5)
    np.testing.assert_allclose(found, descents([0.2], **options), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float16, 1e-2), (torch.float32, 1e-5), (torch.float64, 1e-12)]
)
def test_sweep_is_in_the_dtype_of_the_rows(dtype, atol):
    """Whatever that of the labels and of the decays."""
    found = logistic_sweep(X.to(dtype), Y, torch.tensor(DECAYS, dtype=torch.float64), lr=0.7, n_steps=20)
    assert found.dtype == torch.empty(0, dtype=dtype).numpy().dtype
    np.testing.assert_allclose(found, descents(DECAYS, lr=0.7, n_steps=20), rtol=0, atol=atol)


def test_a_sweep_in_bfloat16_is_refused_by_name():
    with pytest.raises(TypeError, match=r"X must have a dtype that NumPy has, got torch\.bfloat16"):
        logistic_sweep(X.bfloat16(), Y, DECAYS, lr=0.7, n_steps=1)


@pytest.mark.parametrize("chunk", [1, 2**17])
def test_a_sweep_of_which_one_run_diverges_is_refused(monkeypatch, chunk):
    """With lr * lambda = 10 a step multiplies the parameters by about -9."""
    monkeypatch.setattr(scratch, "CHUNK", chunk)
    for decays in ([0.1, 10.0], [10.0, 0.1]):
        with pytest.raises(ValueError, match="lr = 1 lets the parameters grow without bound"):
            logistic_sweep(X, Y, decays, lr=1.0, n_steps=400)
