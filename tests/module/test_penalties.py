import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.data import separable
from course_lib.models import Perceptron
from course_lib.optimum import logistic_optimum
from course_lib.penalties import l1_penalty, l2_penalty, soft_threshold

X_GRID = torch.linspace(-5, 5, 101, dtype=torch.float64)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0, 2.5])
def test_soft_threshold_minimizes_its_proximal_objective(threshold):
    """A function of curvature 1 lies above its value at the minimizer by half the squared distance."""
    x, z = X_GRID[:, None], torch.linspace(-8, 8, 1601, dtype=torch.float64)

    def objective(z):
        return threshold * z.abs() + (z - x) ** 2 / 2

    found = soft_threshold(x, threshold)
    assert (objective(z) >= objective(found) + (z - found) ** 2 / 2 - 1e-12).all()


def test_soft_threshold_is_exactly_zero_up_to_the_threshold_and_nowhere_else():
    threshold = 0.7
    x = torch.tensor([-0.7, -0.69, 0.0, 0.2, 0.7], dtype=torch.float64)
    assert (soft_threshold(x, threshold) == 0).all()
    outside = torch.tensor([-0.7000001, 0.7000001, 4.0], dtype=torch.float64)
    moved = soft_threshold(outside, threshold)
    assert moved.sign().tolist() == [-1.0, 1.0, 1.0]
    torch.testing.assert_close(outside - moved, threshold * outside.sign(), rtol=0, atol=1e-15)


def test_soft_threshold_of_zero_changes_nothing():
    assert torch.equal(soft_threshold(X_GRID, 0.0), X_GRID)


def test_soft_threshold_is_non_expansive():
    moved = soft_threshold(X_GRID, 1.3)
    assert ((moved[:, None] - moved).abs() <= (X_GRID[:, None] - X_GRID).abs() + 1e-15).all()


def test_soft_threshold_has_slope_one_outside_and_zero_inside():
    x = torch.tensor([-3.0, -0.5, 0.4, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: soft_threshold(x, 1.0), x)
    (slope,) = torch.autograd.grad(soft_threshold(x, 1.0).sum(), x)
    assert slope.tolist() == [1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 4)])
def test_soft_threshold_keeps_shape_and_dtype(shape):
    for dtype in (torch.float16, torch.float32, torch.float64):
        moved = soft_threshold(torch.ones(shape, dtype=dtype), 0.25)
        assert torch.equal(moved, torch.full(shape, 0.75, dtype=dtype))


def test_gradient_step_then_soft_threshold_of_lr_times_lambda_stays_at_the_l1_optimum():
    X, y = separable(30, 5, seed=2)
    lr, decay = 0.7, 0.05
    weight, bias = logistic_optimum(X, y, decay, penalty="l1")
    assert (weight == 0).any()
    assert (weight != 0).any()
    weight.requires_grad_()
    (slope,) = torch.autograd.grad(F.binary_cross_entropy_with_logits(X @ weight + bias, y), weight)
    moved = soft_threshold(weight.detach() - lr * slope, lr * decay)
    torch.testing.assert_close(moved, weight.detach(), rtol=0, atol=1e-12)


VALUES = [torch.tensor([1.0, -1.5, 0.0], dtype=torch.float64), torch.tensor([[2.0]], dtype=torch.float64)]


def leaves():
    return [value.clone().requires_grad_() for value in VALUES]


@pytest.mark.parametrize("weight_decay", [0.0, 0.2, 3])
@pytest.mark.parametrize(
    ("penalty", "value", "slope"),
    [
        (l2_penalty, (1 + 1.5**2 + 2**2) / 2, lambda p: p),
        (l1_penalty, 1 + 1.5 + 2, torch.sign),
    ],
)
def test_value_and_gradient_of_a_penalty_by_hand(penalty, value, slope, weight_decay):
    """The gradient of L1 at 0 is 0."""
    parameters = leaves()
    found = penalty(parameters, weight_decay)
    assert found.shape == ()
    assert found.item() == pytest.approx(weight_decay * value, rel=1e-15)
    found.backward()
    for parameter, start in zip(parameters, VALUES, strict=True):
        assert torch.equal(parameter.grad, weight_decay * slope(start))
        assert torch.equal(parameter.detach(), start)


@pytest.mark.parametrize("penalty", [l1_penalty, l2_penalty])
def test_a_penalty_takes_a_tensor_a_sequence_or_a_generator(penalty):
    weight, bias = VALUES
    expected = penalty(weight, 0.3) + penalty(bias, 0.3)
    for parameters in (
        VALUES,
        tuple(VALUES),
        iter(VALUES),
        (p for p in VALUES),
        {"w": weight, "b": bias}.values(),
    ):
        torch.testing.assert_close(penalty(parameters, 0.3), expected, rtol=1e-15, atol=0)
    model = nn.Linear(3, 2)
    both = penalty(model.weight, 0.3) + penalty(model.bias, 0.3)
    torch.testing.assert_close(penalty(model.parameters(), 0.3), both)
    assert penalty(torch.tensor(-2.0), 0.5).item() == 1.0


@pytest.mark.parametrize("penalty", [l1_penalty, l2_penalty])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_penalty_has_the_dtype_of_the_parameters(penalty, dtype):
    assert penalty([value.to(dtype) for value in VALUES], 0.5).dtype == dtype


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}], ids=str)
def test_descending_the_l2_penalty_is_torchs_weight_decay(settings):
    X, y = separable(20, 3, seed=1)
    coupled, explicit = Perceptron(3, dtype=torch.float64), Perceptron(3, dtype=torch.float64)
    by_torch = torch.optim.SGD(coupled.parameters(), lr=0.3, weight_decay=0.2, **settings)
    by_penalty = torch.optim.SGD(explicit.parameters(), lr=0.3, **settings)
    for _ in range(100):
        by_torch.zero_grad()
        F.binary_cross_entropy(coupled(X), y).backward()
        by_torch.step()
        by_penalty.zero_grad()
        (F.binary_cross_entropy(explicit(X), y) + l2_penalty(explicit.parameters(), 0.2)).backward()
        by_penalty.step()
    for p, q in zip(coupled.parameters(), explicit.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


def test_descending_the_l1_penalty_makes_no_exact_zeros():
    weight = nn.Parameter(torch.tensor([0.25, -0.33], dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for _ in range(101):
        optimizer.zero_grad()
        l1_penalty([weight], 1.0).backward()
        optimizer.step()
    assert (weight != 0).all()
    assert (weight.abs() < 0.1).all()


FUNCTIONS = {
    "l1_penalty": lambda w: l1_penalty([w, w[1:] / 2], 0.3),
    "l2_penalty": lambda w: l2_penalty([w, w[1:] / 2], 0.3),
    "soft_threshold": lambda w: soft_threshold(w, 0.5).sum(),
}
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
ROWS = torch.tensor([[1.0, -1.5, 0.0], [0.25, 2.0, -0.25], [3e38, 3e38, 2.0]])
KINDS = pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])


@each_function
@KINDS
def test_values_and_gradients_of_many_at_once_are_those_of_each(function, dtype):
    """By vmap, and one row overflows on the way."""
    rows, vmap, grad = ROWS.to(dtype), torch.func.vmap, torch.func.grad
    assert torch.equal(vmap(function)(rows), torch.stack([function(row) for row in rows]))
    if dtype.is_complex:  # torch.func.grad is for real numbers
        return
    assert torch.equal(vmap(grad(function))(rows), torch.stack([grad(function)(row) for row in rows]))
    hessian = torch.func.jacrev(grad(function))
    assert torch.equal(vmap(hessian)(rows), torch.stack([hessian(row) for row in rows]))


@each_function
@KINDS
@pytest.mark.parametrize("row", [0, 2])
def test_compiled_in_one_piece_it_changes_neither_value_nor_gradient(function, dtype, row):
    torch._dynamo.reset()
    weight, twin = (ROWS[row].to(dtype).requires_grad_() for _ in range(2))
    found, expected = torch.compile(function, fullgraph=True, backend="aot_eager")(twin), function(weight)
    assert torch.equal(found, expected)
    if not dtype.is_complex:
        expected.backward()
        found.backward()
        assert torch.equal(twin.grad, weight.grad)


def test_compiled_it_takes_another_strength_each_time():
    torch._dynamo.reset()
    compiled = torch.compile(l2_penalty, fullgraph=True, backend="eager")
    for weight_decay in (0.1, 0.3, 0.0, 2.0):
        assert torch.equal(compiled(ROWS[:2], weight_decay), l2_penalty(ROWS[:2], weight_decay))


def test_the_parameters_of_a_model_are_compiled_with_its_loss():
    torch._dynamo.reset()
    model, X = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)), torch.ones(4, 3)

    def objective():
        return (
            model(X).square().mean() + l2_penalty(model.parameters(), 0.1) + l1_penalty(model[0].weight, 0.2)
        )

    assert torch.equal(torch.compile(objective, fullgraph=True, backend="eager")(), objective())


@pytest.mark.parametrize("penalty", [l1_penalty, l2_penalty])
def test_what_has_no_entries_adds_nothing(penalty):
    empty = torch.ones(0, 3, requires_grad=True)
    assert torch.equal(penalty([*VALUES, empty], 0.3), penalty(VALUES, 0.3))
    alone = penalty(empty, 0.3)
    alone.backward()
    assert (alone.item(), empty.grad.shape) == (0.0, (0, 3))
    assert soft_threshold(empty, 0.3).shape == (0, 3)


COMPLEX = torch.tensor([[3 + 4j, -1j, 0], [2, 0.6 - 0.8j, 1e-3 + 1e-3j]], dtype=torch.complex128)


def pairs(z):
    """Its real and imaginary parts as a leaf of their own."""
    return torch.view_as_real(z).clone().requires_grad_()


@pytest.mark.parametrize(
    ("function", "of_pairs"),
    [
        (lambda z: l2_penalty(z, 0.3), lambda p: l2_penalty(p, 0.3)),
        (lambda z: l1_penalty(z, 0.3), lambda p: 0.3 * torch.linalg.vector_norm(p, dim=-1).sum()),
        (lambda z: l2_penalty([z.conj(), z.real], 0.3), lambda p: l2_penalty([p, p[..., 0]], 0.3)),
    ],
)
def test_the_penalty_of_complex_parameters_is_that_of_their_absolute_values(function, of_pairs):
    """With torch's gradient: what its real and imaginary parts get."""
    z, parts = COMPLEX.clone().requires_grad_(), pairs(COMPLEX)
    found, expected = function(z), of_pairs(parts)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=1e-15, atol=0)
    found.backward()
    expected.backward()
    torch.testing.assert_close(torch.view_as_real(z.grad), parts.grad, rtol=1e-14, atol=0)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_descending_the_l2_penalty_of_complex_parameters_is_torchs_weight_decay(momentum):
    coupled, explicit = (nn.Parameter(COMPLEX.clone()) for _ in range(2))
    by_torch = torch.optim.SGD([coupled], lr=0.3, momentum=momentum, weight_decay=0.2)
    by_penalty = torch.optim.SGD([explicit], lr=0.3, momentum=momentum)
    for _ in range(50):
        coupled.grad = torch.zeros_like(coupled)
        by_torch.step()
        by_penalty.zero_grad()
        l2_penalty(explicit, 0.2).backward()
        by_penalty.step()
    torch.testing.assert_close(coupled, explicit, rtol=0, atol=1e-14)


@pytest.mark.parametrize("threshold", [0.0, 1e-320, 0.7, 1.0, 4.5, 5.0])
def test_soft_threshold_moves_complex_values_along_their_own_direction(threshold):
    """As it would the vectors of their real and imaginary parts: the proximal map of their norm."""
    z = COMPLEX.clone().requires_grad_()
    moved = soft_threshold(z, threshold)
    size = COMPLEX.abs()
    torch.testing.assert_close(moved.abs(), soft_threshold(size, threshold), rtol=1e-15, atol=1e-15)
    torch.testing.assert_close(moved * size, COMPLEX * moved.abs(), rtol=1e-14, atol=1e-15)
    assert torch.equal(moved == 0, size <= threshold)
    moved.abs().square().sum().backward()
    assert z.grad.isfinite().all()
    assert torch.equal(z.grad == 0, size <= threshold)


@pytest.mark.parametrize("shift", [1e-3, 1.0])
def test_soft_threshold_of_complex_values_minimizes_its_proximal_objective(shift):
    found, threshold = soft_threshold(COMPLEX, 0.7), 0.7

    def objective(z):
        return threshold * z.abs() + (z - COMPLEX).abs() ** 2 / 2

    for direction in (1, -1, 1j, -1j, 0.6 + 0.8j):
        assert (objective(found + shift * direction) >= objective(found) + shift**2 / 2 - 1e-12).all()


@pytest.mark.parametrize("penalty", [l1_penalty, l2_penalty])
@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        (None, TypeError, "parameters must be tensors, got None"),
        (1.0, TypeError, r"parameters must be tensors, got 1\.0"),
        (nn.Linear(2, 1), TypeError, r"parameters must be tensors, got Linear\("),
        (
            list(nn.Linear(2, 1).named_parameters()),
            TypeError,
            r"parameters must be tensors, got \('weight', ",
        ),
        ([], ValueError, "parameters must not be empty"),
        ([torch.ones(2), torch.tensor([float("nan")])], ValueError, "parameters must be finite"),
    ],
)
def test_a_penalty_on_no_tensors_is_refused(penalty, parameters, error, match):
    with pytest.raises(error, match=match):
        penalty(parameters, 0.1)


@pytest.mark.parametrize(
    ("penalty", "parameters", "weight_decay", "value", "slope"),
    [
        (l1_penalty, [3e38, -3e38], 0.1, 6e37, [0.1, -0.1]),
        (l2_penalty, [1e20, -2e20], 2e-10, 5e30, [2e10, -4e10]),
    ],
)
def test_a_penalty_that_overflows_only_on_the_way_is_right(penalty, parameters, weight_decay, value, slope):
    parameters = [torch.tensor(parameters, requires_grad=True), torch.zeros(1)]
    found = penalty(parameters, weight_decay)
    found.backward()
    assert found.item() == pytest.approx(value, rel=1e-6)
    torch.testing.assert_close(parameters[0].grad, torch.tensor(slope))
