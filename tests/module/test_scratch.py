import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import scratch
from course_lib.data import separable, two_points
from course_lib.optimizers import SGDW
from course_lib.optimum import logistic_objective, logistic_optimum
from course_lib.scratch import linear_descent, logistic_descent, logistic_sweep

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(30, 4, dtype=torch.float64, generator=GENERATOR)
Y = torch.rand(30, dtype=torch.float64, generator=GENERATOR).round()
START = [0.5, -1.0, 2.0, 0.0, -0.25]
FAR = [[1e154, -1e154], [0.0, 1.0]]


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
    assert found.dtype == torch.float64
    for inputs in ((X32.double(), y32.double()), (X32.numpy(), y32.numpy()), (X32.tolist(), [1, 0])):
        np.testing.assert_array_equal(found, logistic_descent(*inputs, lr=0.3, n_steps=10))


def test_divergence_raises_instead_of_returning_infinity():
    """With lr * lambda = 10 a step multiplies the parameters by about -9."""
    with pytest.raises(ValueError, match="lr = 1 lets the parameters grow without bound"):
        logistic_descent(*two_points(), lr=1.0, n_steps=3000, weight_decay=10.0, record=[3000])


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
    assert found.dtype == torch.float64
    assert found.is_contiguous()
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
    assert found.dtype == dtype
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


TARGETS = torch.randn(30, 2, dtype=torch.float64, generator=GENERATOR)
THETA = torch.randn(5, 2, dtype=torch.float64, generator=GENERATOR)
PROBLEM = (X, TARGETS, THETA)
OPTIMIZERS = {"SGD": torch.optim.SGD, "SGDW": SGDW, "Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}
RULES = [
    *[
        {"optimizer": optimizer, **memory}
        for optimizer in ("SGD", "SGDW")
        for memory in (
            {},
            {"dampening": 0.3},
            {"momentum": 0.8},
            {"momentum": 0.8, "nesterov": True},
            {"momentum": 0.8, "dampening": 0.3},
            {"momentum": 0.8, "dampening": 1.0},
        )
    ],
    *[
        {"optimizer": optimizer, **memory}
        for optimizer in ("Adam", "AdamW")
        for memory in ({}, {"betas": (0.0, 0.99)}, {"betas": (0.5, 0.9), "eps": 0.1})
    ],
]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: "-".join(map(str, rule.values())))


def torch_linear_path(
    X,
    Y,
    start,
    *,
    lr,
    n_epochs,
    batch_size=None,
    optimizer="SGD",
    weight_decay=0.0,
    decay_bias=False,
    reduction="mean",
    **options,
):
    """Return the weights and the biases after each step of autograd and an optimizer."""
    weight, bias = start[:-1].clone().requires_grad_(), start[-1].clone().requires_grad_()
    groups = [{"params": [weight]}, {"params": [bias], "weight_decay": weight_decay if decay_bias else 0.0}]
    optimizer = OPTIMIZERS[optimizer](groups, lr=lr, weight_decay=weight_decay, **options)
    path = []
    for _ in range(n_epochs):
        for x, y in zip(X.split(batch_size or len(X)), Y.split(batch_size or len(X)), strict=True):
            optimizer.zero_grad()
            F.mse_loss(x @ weight + bias, y, reduction=reduction).backward()
            optimizer.step()
            path.append(torch.cat([weight, bias[None]]).detach().numpy())
    return np.array(path)


@each_rule
@pytest.mark.parametrize(("reduction", "lr"), [("mean", 0.05), ("sum", 0.002)])
@pytest.mark.parametrize(("weight_decay", "decay_bias"), [(0.0, False), (0.2, False), (0.2, True)])
@pytest.mark.parametrize("batch_size", [None, 8])
def test_linear_descent_equals_torch_step_by_step(rule, reduction, lr, weight_decay, decay_bias, batch_size):
    options = {"lr": lr, "n_epochs": 6, "batch_size": batch_size, "reduction": reduction}
    options |= {"weight_decay": weight_decay, "decay_bias": decay_bias, **rule}
    found = linear_descent(*PROBLEM, **options)
    expected = torch_linear_path(*PROBLEM, **options)
    assert found.shape == ((6 if batch_size is None else 24), 5, 2)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@st.composite
def trainings(draw):
    """Draw data of any small shape and any settings, with a learning rate that is stable for them."""
    n_samples, n_features, n_targets = (draw(st.integers(1, most)) for most in (12, 4, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shapes = (n_samples, n_features), (n_samples, n_targets), (n_features + 1, n_targets)
    X, Y, start = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    options = {
        "optimizer": draw(st.sampled_from([*OPTIMIZERS])),
        "batch_size": draw(st.none() | st.integers(1, n_samples + 2)),
        "n_epochs": draw(st.integers(1, 3)),
        "weight_decay": draw(st.just(0.0) | st.floats(1e-3, 1.0)),
        "decay_bias": draw(st.booleans()),
        "reduction": draw(st.sampled_from(["mean", "sum"])),
    }
    lr = draw(st.floats(1e-3, 0.2))
    if options["optimizer"] in ("SGD", "SGDW"):
        curvature = 2 * (X.square().sum().item() + n_samples)
        options["lr"] = lr / curvature if options["reduction"] == "sum" else lr * n_targets / curvature
        options["momentum"] = draw(st.just(0.0) | st.floats(0.01, 0.95))
        options["nesterov"] = options["momentum"] > 0 and draw(st.booleans())
        options["dampening"] = 0.0 if options["nesterov"] else draw(st.floats(0.0, 1.0))
    else:
        options["lr"] = lr
        options["betas"] = draw(st.floats(0.0, 0.95)), draw(st.floats(0.9, 0.999))
        options["eps"] = draw(st.sampled_from([1e-8, 1e-3]))
    return (X, Y, start), options


@given(training=trainings())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_linear_descent_equals_torch_for_any_shape_and_settings(training):
    problem, options = training
    found = linear_descent(*problem, **options)
    expected = torch_linear_path(*problem, **options)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_one_step_by_hand():
    """Rows (1, 1) and (2, 1), errors 0.5 - 2 and 1 - 4 in the one target: G = (-7.5, -4.5)."""
    rows, targets, start = [[1.0], [2.0]], [[2.0], [4.0]], [[0.5], [0.0]]
    options = {"lr": 0.1, "n_epochs": 1}
    np.testing.assert_allclose(
        linear_descent(rows, targets, start, **options), [[[1.25], [0.45]]], atol=1e-15
    )
    summed = linear_descent(rows, targets, start, **options, reduction="sum")
    np.testing.assert_allclose(summed, [[[2.0], [0.9]]], atol=1e-15)
    decayed = linear_descent(rows, targets, start, **options, weight_decay=0.4)
    np.testing.assert_allclose(decayed, [[[1.23], [0.45]]], atol=1e-15)


def test_the_mean_is_over_rows_and_targets():
    """A second target, of its own row of zeros, halves the step of the first."""
    rows, targets, start = [[1.0], [2.0]], [[2.0, 0.0], [4.0, 0.0]], [[0.5, 0.0], [0.0, 0.0]]
    found = linear_descent(rows, targets, start, lr=0.1, n_epochs=1)
    np.testing.assert_allclose(found, [[[0.875, 0.0], [0.225, 0.0]]], atol=1e-15)


@pytest.mark.parametrize("optimizer", ["Adam", "AdamW"])
def test_the_first_step_of_adam_is_lr_times_a_sign(optimizer):
    found = linear_descent(*PROBLEM, lr=0.25, n_epochs=1, optimizer=optimizer)[0] - THETA
    gradient = linear_descent(*PROBLEM, lr=1.0, n_epochs=1)[0] - THETA
    np.testing.assert_allclose(found, 0.25 * gradient.sign(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize(("reduction", "lr", "share"), [("mean", 0.3, 30 * 2), ("sum", 0.005, 1)])
def test_linear_descent_converges_to_the_ridge_regression(reduction, lr, share, decay_bias):
    r"""2/N Z'(Z theta - Y) + lambda theta = 0, so (Z'Z + lambda N/2) theta = Z'Y, N = rows times targets."""
    options = {"weight_decay": 0.1, "decay_bias": decay_bias, "reduction": reduction}
    found = linear_descent(*PROBLEM, lr=lr, n_epochs=600, **options)[-1]
    Z = np.column_stack([X, np.ones(30)])
    penalty = np.diag([0.1 * share / 2] * 4 + [0.1 * share / 2 * decay_bias])
    expected = np.linalg.solve(Z.T @ Z + penalty, Z.T @ TARGETS.numpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_without_errors_only_the_weights_shrink_unless_told(optimizer):
    """The targets are what the start predicts, so that all that happens in a step is the decay."""
    Z = torch.cat([X, torch.ones_like(X[:, :1])], dim=1)
    options = {"lr": 0.5, "n_epochs": 1, "weight_decay": 0.25, "optimizer": optimizer}
    kept = 1 - 0.5 * 0.25
    if optimizer == "Adam":
        kept = 1 - 0.5 / THETA.abs().numpy()  # a step of lr, whatever the decay
    expected = THETA.numpy() * kept
    for decay_bias in (False, True):
        found = linear_descent(X, Z @ THETA, THETA, **options, decay_bias=decay_bias)[0]
        np.testing.assert_allclose(found[:-1], expected[:-1], rtol=0, atol=1e-5)
        bias = expected[-1] if decay_bias else THETA[-1]
        if decay_bias or optimizer != "Adam":  # where Adam makes full steps of rounding errors
            np.testing.assert_allclose(found[-1], bias, rtol=0, atol=1e-5)


def test_linear_descent_by_default_is_full_batch_sgd_on_the_mean_without_decay():
    found = linear_descent(*PROBLEM, lr=0.1, n_epochs=5)
    explicit = {"batch_size": 30, "optimizer": "SGD", "weight_decay": 0.0, "decay_bias": False}
    explicit |= {"momentum": 0.0, "dampening": 0.0, "nesterov": False, "reduction": "mean"}
    np.testing.assert_array_equal(found, linear_descent(*PROBLEM, lr=0.1, n_epochs=5, **explicit))
    weights_alone = linear_descent(*PROBLEM, lr=0.1, n_epochs=5, weight_decay=0.5, decay_bias=False)
    np.testing.assert_array_equal(
        linear_descent(*PROBLEM, lr=0.1, n_epochs=5, weight_decay=0.5), weights_alone
    )
    adam = {"lr": 0.1, "n_epochs": 5, "optimizer": "Adam"}
    np.testing.assert_array_equal(
        linear_descent(*PROBLEM, **adam), linear_descent(*PROBLEM, **adam, betas=[0.9, 0.999], eps=1e-8)
    )


def test_batches_are_the_rows_in_their_order_and_the_last_may_be_smaller():
    found = linear_descent(*PROBLEM, lr=0.1, n_epochs=2, batch_size=8)
    theta = THETA
    for step, first in enumerate([0, 8, 16, 24] * 2):
        batch = slice(first, first + 8)
        theta = linear_descent(X[batch], TARGETS[batch], theta, lr=0.1, n_epochs=1)[0]
        np.testing.assert_array_equal(found[step], theta)
    assert len(found) == 8
    np.testing.assert_array_equal(
        linear_descent(*PROBLEM, lr=0.1, n_epochs=2, batch_size=99),
        linear_descent(*PROBLEM, lr=0.1, n_epochs=2),
    )


@each_rule
def test_linear_descent_is_in_the_dtype_of_the_rows_throughout(rule):
    """Whatever that of the targets and of the start."""
    options = {"lr": 0.05, "n_epochs": 20, "batch_size": 8, "weight_decay": 0.1, **rule}
    single = linear_descent(X.float(), TARGETS, THETA, **options)
    double = linear_descent(X, TARGETS, THETA, **options)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    np.testing.assert_array_equal(
        single.numpy(), linear_descent(X.float().numpy(), TARGETS.float(), THETA.float(), **options)
    )
    gap = (single - double).abs().max()
    assert 1e-8 < gap < 1e-4


def test_a_float32_run_resumes_exactly_for_nothing_is_kept_in_float64():
    options = {"lr": 0.05, "weight_decay": 0.1}
    whole = linear_descent(X.float(), TARGETS, THETA, n_epochs=20, **options)
    rest = linear_descent(X.float(), TARGETS, whole[9], n_epochs=10, **options)
    np.testing.assert_array_equal(rest, whole[10:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rule", [{}, {"momentum": 0.9}, {"weight_decay": 1e4, "optimizer": "AdamW"}])
def test_linear_descent_that_diverges_raises_and_does_not_warn(rule, dtype):
    options = {"lr": 9.0, "n_epochs": 400, **rule}
    with pytest.raises(ValueError, match="lr = 9 lets the parameters grow without bound"):
        linear_descent(X.to(dtype), TARGETS, THETA, **options)


@pytest.mark.parametrize(
    ("run", "others"),
    [
        (lambda: logistic_sweep(FAR, [1, 0], [0.0], lr=1.0, n_steps=1), "X or weight_decays"),
        (lambda: logistic_descent(FAR, [1, 0], lr=1.0, n_steps=1), "X, start or weight_decay"),
        (
            lambda: linear_descent(FAR, [[1.0], [2.0]], [[1e200]] * 3, lr=1.0, n_epochs=2),
            "X, Y, start, weight_decay or momentum",
        ),
        (
            lambda: linear_descent([[1.0]], [[1.6e308]], [[8e307], [0.0]], lr=1.0, n_epochs=1),
            "X, Y, start, weight_decay or momentum",
        ),
    ],
)
def test_rows_too_large_for_float64_are_refused_with_all_that_may_be_at_fault(run, others):
    reason = "^lr = 1 lets the parameters grow without bound; a smaller one may help"
    with pytest.raises(ValueError, match=f"{reason}, unless {others} is too large$"):
        run()


def test_a_start_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"^start must have shape \(2, 1\), by X and Y, got \(1, 2\)$"):
        linear_descent([[1.0]], [[0.0]], [[1.0, 2.0]], lr=1.0, n_epochs=1)


def test_decays_of_a_sweep_are_those_of_the_dtype_of_the_rows():
    X, y = separable(20, 2, seed=3, dtype=torch.float32)
    decays = [0.1, 0.2, 0.3]
    found = logistic_sweep(X, y, decays, lr=0.1, n_steps=50)
    assert np.array_equal(found, logistic_sweep(X, y, torch.tensor(decays), lr=0.1, n_steps=50))


def test_descent_lowers_the_objective_at_every_step_and_ends_at_its_minimum():
    path = logistic_descent(X, Y, lr=1.0, n_steps=300, weight_decay=0.1, decay_bias=False)
    values = logistic_objective(X, Y, path, 0.1)
    assert (values[:50].diff() < 0).all()
    assert values[-1] == pytest.approx(
        logistic_objective(X, Y, logistic_optimum(X, Y, 0.1), 0.1).item(), abs=1e-13
    )


def test_what_comes_out_is_of_the_kind_of_the_rows():
    runs = {
        "linear": lambda X: linear_descent(X, X[:, :1], np.ones((5, 1)), lr=0.1, n_epochs=1),
        "logistic": lambda X: logistic_descent(X, Y.numpy(), lr=0.1, n_steps=2),
        "sweep": lambda X: logistic_sweep(X, Y.numpy(), [0.1], lr=0.1, n_steps=2),
    }
    for run in runs.values():
        tensor, array = run(X), run(X.numpy())
        assert isinstance(tensor, torch.Tensor)
        assert isinstance(array, np.ndarray)
        np.testing.assert_array_equal(tensor.numpy(), array)
        assert isinstance(run(X.tolist() if run is not runs["linear"] else X.numpy()), np.ndarray)
