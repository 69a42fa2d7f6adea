import copy
import io
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import make_classification
from torch import nn

from course_lib.data import two_points
from course_lib.models import Perceptron
from course_lib.training import History, train

GENERATOR = torch.Generator().manual_seed(0)
X_NOISY = torch.randn(10, 2, generator=GENERATOR)
Y_NOISY = torch.rand(10, generator=GENERATOR).round()

FORUM_PLAIN = {10: (1.025895, 0.244191, -1.883433), 50: (2.461806, -0.193342, -4.194410)}
FORUM_PLAIN[100] = (3.260059, -0.427059, -5.460096)
FORUM_DECAYED = {10: (0.587424, 0.043760, -0.615516), 100: (0.594178, -0.012646, -0.619469)}


def hand_loop(model, optimizer, batches, loss_fn, n_epochs):
    """Return each epoch's batch losses, and a copy of the parameters after each epoch."""
    losses, states = [], []
    for _ in range(n_epochs):
        losses.append([])
        for X, y in batches:
            optimizer.zero_grad()
            loss = loss_fn(model(X), y)
            losses[-1].append(loss.item())
            loss.backward()
            optimizer.step()
        states.append({name: p.detach().clone() for name, p in model.named_parameters()})
    return losses, states


def assert_same_path(history, states):
    assert set(history.parameters) == set(states[0])
    for name, path in history.parameters.items():
        assert torch.equal(path, torch.stack([state[name] for state in states]))


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.2}, {"momentum": 0.9}])
def test_full_batch_training_equals_a_hand_loop_bit_for_bit(options):
    model, twin = Perceptron(seed=1), Perceptron(seed=1)
    history = train(
        model, X_NOISY, Y_NOISY, torch.optim.SGD(model.parameters(), lr=0.5, **options), n_epochs=20
    )
    losses, states = hand_loop(
        twin,
        torch.optim.SGD(twin.parameters(), lr=0.5, **options),
        [(X_NOISY, Y_NOISY)],
        F.binary_cross_entropy,
        20,
    )
    assert_same_path(history, states)
    expected = torch.tensor(losses, dtype=torch.float64).squeeze(1)
    torch.testing.assert_close(history.loss, expected, rtol=1e-15, atol=0)


def test_mini_batches_equal_a_hand_loop_bit_for_bit_with_a_smaller_last_batch():
    """The epoch's loss is the mean over samples: a batch of 2 counts half as much as one of 4."""
    model, twin = Perceptron(seed=1), Perceptron(seed=1)
    batches = [(X_NOISY[:4], Y_NOISY[:4]), (X_NOISY[4:8], Y_NOISY[4:8]), (X_NOISY[8:], Y_NOISY[8:])]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.5)
    history = train(model, X_NOISY, Y_NOISY, optimizer, n_epochs=15, batch_size=4)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.5, momentum=0.5)
    losses, states = hand_loop(twin, optimizer, batches, F.binary_cross_entropy, 15)
    assert_same_path(history, states)
    expected = [(4 * first + 4 * second + 2 * last) / 10 for first, second, last in losses]
    torch.testing.assert_close(history.loss, torch.tensor(expected, dtype=torch.float64), rtol=1e-15, atol=0)


def test_another_module_loss_and_optimizer_equal_a_hand_loop_bit_for_bit():
    model, twin = two_layers(), two_layers()
    target = X_NOISY.prod(dim=1, keepdim=True)
    history = train(
        model, X_NOISY, target, torch.optim.Adam(model.parameters(), lr=0.01), loss_fn=F.mse_loss, n_epochs=12
    )
    losses, states = hand_loop(
        twin, torch.optim.Adam(twin.parameters(), lr=0.01), [(X_NOISY, target)], F.mse_loss, 12
    )
    assert_same_path(history, states)
    expected = torch.tensor(losses, dtype=torch.float64).squeeze(1)
    torch.testing.assert_close(history.loss, expected, rtol=1e-15, atol=0)


def test_history_has_one_entry_an_epoch():
    model = two_layers()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    history = train(
        model, X_NOISY, torch.ones(10, 1), optimizer, loss_fn=F.mse_loss, n_epochs=7, batch_size=3
    )
    assert history.loss.shape == (7,)
    assert history.loss.dtype == torch.float64
    shapes = {name: tuple(path.shape) for name, path in history.parameters.items()}
    assert shapes == {"0.weight": (7, 4, 2), "0.bias": (7, 4), "2.weight": (7, 1, 4), "2.bias": (7, 1)}
    assert not any(path.requires_grad for path in history.parameters.values())


def test_history_has_101_epochs_by_default():
    model = Perceptron()
    assert len(train(model, *two_points(), torch.optim.SGD(model.parameters(), lr=1.0)).loss) == 101


def test_history_is_indexed_by_parameter_name():
    parameters = {"weight": torch.ones(3, 2)}
    assert History(torch.zeros(3), parameters)["weight"] is parameters["weight"]


def test_history_is_a_copy_that_later_training_leaves_alone():
    model = Perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    history = train(model, *two_points(), optimizer, n_epochs=3)
    before = copy.deepcopy(history.parameters)
    train(model, *two_points(), optimizer, n_epochs=3)
    for name, path in before.items():
        assert torch.equal(history[name], path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_model_is_trained_in_place_and_ends_at_the_last_entry(dtype):
    model = Perceptron(dtype=dtype)
    history = train(model, *two_points(dtype), torch.optim.SGD(model.parameters(), lr=1.0), n_epochs=5)
    for name, parameter in model.named_parameters():
        assert history[name].dtype == dtype
        assert torch.equal(history[name][-1], parameter)
        assert not torch.equal(history[name][0], parameter)


def test_loss_is_taken_before_the_step_and_without_the_optimizers_penalty():
    model = Perceptron(dtype=torch.float64)
    X, y = two_points(torch.float64)
    start = F.binary_cross_entropy(model(X), y).item()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.2)
    history = train(model, X, y, optimizer, n_epochs=6)
    z = X @ history["linear.weight"].squeeze(1).T + history["linear.bias"].T
    after = F.softplus((1 - 2 * y[:, None]) * z).mean(dim=0)
    expected = torch.cat([torch.tensor([start], dtype=torch.float64), after[:-1]])
    torch.testing.assert_close(history.loss, expected, rtol=0, atol=1e-14)


def test_a_batch_larger_than_the_data_is_the_full_batch():
    paths = []
    for batch_size in (None, 10, 11):
        model = Perceptron()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        history = train(model, X_NOISY, Y_NOISY, optimizer, n_epochs=4, batch_size=batch_size)
        paths.append(history["linear.weight"])
    assert torch.equal(paths[0], paths[1])
    assert torch.equal(paths[0], paths[2])


def test_what_the_optimizer_does_not_hold_is_recorded_and_stays():
    model = Perceptron()
    start = model.linear.bias.detach().clone()
    history = train(model, *two_points(), torch.optim.SGD([model.linear.weight], lr=1.0), n_epochs=4)
    assert torch.equal(history["linear.bias"], start.expand(4, 1))
    assert not torch.equal(history["linear.weight"][0], history["linear.weight"][3])


def test_gradients_left_over_from_before_do_not_count():
    model, twin = Perceptron(), Perceptron()
    model(torch.ones(1, 2)).sum().backward()
    paths = [
        train(m, *two_points(), torch.optim.SGD(m.parameters(), lr=1.0), n_epochs=2)["linear.weight"]
        for m in (model, twin)
    ]
    assert torch.equal(*paths)


def test_optimizer_of_another_model_is_refused():
    model, other = Perceptron(), Perceptron()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="optimizer must hold parameters of model"):
        train(model, *two_points(), torch.optim.SGD(other.parameters(), lr=1.0))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("lr", [0.0, math.nan, math.inf])
def test_any_group_with_a_learning_rate_not_positive_or_not_finite_is_refused(lr):
    model = Perceptron()
    groups = [{"params": [model.linear.weight]}, {"params": [model.linear.bias], "lr": lr}]
    with pytest.raises(ValueError, match="optimizer's lr must be finite and > 0"):
        train(model, *two_points(), torch.optim.SGD(groups, lr=1.0))


def test_divergence_raises_instead_of_returning_nan():
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e3)
    with pytest.raises(
        ValueError, match=r"optimizer: the loss is (inf|nan) at epoch \d+; a smaller lr may help"
    ):
        train(model, X_NOISY, Y_NOISY[:, None], optimizer, loss_fn=F.mse_loss)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_raises_in_its_own_epoch(value):
    model = Perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(ValueError, match=f"optimizer: the loss is {value} at epoch 0"):
        train(model, *two_points(), optimizer, loss_fn=lambda p, y: value * p.sum(), n_epochs=1)


def test_an_error_of_the_loss_function_itself_is_named():
    model = Perceptron()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

    def refuse(prediction, target):
        raise RuntimeError("of its own")

    with pytest.raises(ValueError, match=r"loss_fn\(model\(X\), y\): of its own"):
        train(model, *two_points(), optimizer, loss_fn=refuse)


@pytest.mark.parametrize(("weight_decay", "known"), [(0.0, FORUM_PLAIN), (0.2, FORUM_DECAYED)])
def test_forum_run_is_reproduced(weight_decay, known):
    model = Perceptron(seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=weight_decay)
    history = train(model, *two_points(), optimizer)
    for epoch, theta in known.items():
        found = torch.cat([history["linear.weight"][epoch, 0], history["linear.bias"][epoch]])
        torch.testing.assert_close(found, torch.tensor(theta), rtol=0, atol=5e-6)


def test_forum_loss_before_the_last_step():
    model = Perceptron(seed=0)
    history = train(model, *two_points(), torch.optim.SGD(model.parameters(), lr=1.0))
    assert math.isclose(history.loss[-1], 0.050781, abs_tol=5e-7)


def test_errors_say_what_is_at_fault_and_what_else_may_be():
    def trained(lr, loss_fn, bias=0.0):
        model = nn.Linear(2, 1)
        model.bias.data.fill_(bias)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        optimizer.param_groups[0]["lr"] = lr
        train(model, X_NOISY, Y_NOISY[:, None], optimizer, loss_fn=loss_fn, n_epochs=1)

    smaller = "a smaller lr may help, unless it is"
    message = (
        rf"^optimizer: the loss is inf at epoch 0; {smaller} loss_fn\(model\(X\), y\) itself that overflows$"
    )
    with pytest.raises(ValueError, match=message):
        trained(1.0, lambda prediction, y: prediction.sum() * 0 + math.inf)
    gradient = r"the gradient of loss_fn\(model\(X\), y\) that overflows"
    with pytest.raises(ValueError, match=rf"^optimizer: weight is no longer finite; {smaller} {gradient}$"):
        trained(3e38, lambda prediction, y: 10 * prediction.sum())
    with pytest.raises(ValueError, match=r"^model must be finite, got NaN or infinity in bias$"):
        trained(1.0, F.mse_loss, bias=math.inf)
    with pytest.raises(TypeError, match=r"^optimizer: "):
        trained(None, F.mse_loss)


@pytest.mark.parametrize(
    "loss_fn", [F.mse_loss, F.poisson_nll_loss, lambda prediction, y: (prediction - y).pow(4).mean()]
)
@pytest.mark.parametrize("y", [Y_NOISY, Y_NOISY.bool().numpy()])
def test_targets_that_the_loss_would_broadcast_are_refused(loss_fn, y):
    model = nn.Linear(2, 1)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(
        ValueError, match=r"y must have the shape of the predictions, \(10, 1\), got \(10,\)$"
    ):
        train(model, X_NOISY, y, optimizer, loss_fn=loss_fn)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def path_of(X, y, *, n_outputs=1, dtype=torch.float32, loss_fn=F.binary_cross_entropy, batch_size=None):
    """The parameters of a model with one probability, or with scores, while it is trained."""
    torch.manual_seed(0)
    model = Perceptron(dtype=dtype) if n_outputs == 1 else nn.Linear(2, n_outputs).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    history = train(model, X, y, optimizer, loss_fn=loss_fn, n_epochs=5, batch_size=batch_size)
    return torch.cat([path.flatten(1) for path in history.parameters.values()], dim=1)


def test_what_scikit_learn_hands_out_trains_a_model_of_any_dtype():
    X, y = make_classification(20, 2, n_informative=2, n_redundant=0, random_state=0)
    assert (X.dtype, y.dtype) == (np.float64, np.int64)
    for dtype in (torch.float16, torch.float32, torch.float64):
        rows, numbers = torch.tensor(X, dtype=dtype), torch.tensor(y, dtype=dtype)
        expected = path_of(rows, numbers, dtype=dtype)
        for batch_size in (None, 20):
            assert torch.equal(path_of(X, y, dtype=dtype, batch_size=batch_size), expected)
        assert torch.equal(path_of(X.tolist(), y.tolist(), dtype=dtype), expected)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int32, torch.int64])
@pytest.mark.parametrize("container", [torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.clone])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss_fn": F.mse_loss},
        {"n_outputs": 2, "loss_fn": F.cross_entropy},
        {"n_outputs": 2, "loss_fn": F.multi_margin_loss, "batch_size": 4},
    ],
)
def test_labels_train_a_model_whatever_they_come_in(settings, container, kind):
    target = Y_NOISY if settings.get("n_outputs", 1) == 1 else Y_NOISY.long()
    expected = path_of(X_NOISY, target, **settings)
    assert torch.equal(path_of(X_NOISY, container(Y_NOISY.to(kind)), **settings), expected)


def test_labels_of_many_outputs_are_numbers_unless_torch_takes_them_for_indices():
    labels = torch.stack([Y_NOISY, 1 - Y_NOISY], dim=1).long()
    settings = {"n_outputs": 2, "loss_fn": F.binary_cross_entropy_with_logits}
    assert torch.equal(path_of(X_NOISY, labels, **settings), path_of(X_NOISY, labels.float(), **settings))
    path_of(X_NOISY, labels, n_outputs=2, loss_fn=F.multilabel_margin_loss)


def test_a_loss_of_its_own_may_take_whatever_the_model_returns():
    model = nn.LSTM(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = train(
        model, X_NOISY, Y_NOISY[:, None], optimizer, loss_fn=lambda p, y: F.mse_loss(p[0], y), n_epochs=3
    ).loss
    assert losses[2] < losses[0]


def test_indices_stay_integers_for_an_embedding():
    model = nn.Sequential(nn.Embedding(3, 1), nn.Flatten(0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = train(model, torch.tensor([0, 2]), torch.ones(2), optimizer, loss_fn=F.mse_loss, n_epochs=2)
    unseen, _ = history["0.weight"][:, 1]
    assert torch.equal(history["0.weight"][0, 1], unseen)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"X": X_NOISY.double()}, r"with X in torch\.float64, model\(X\): .*dtype"),
        ({"X": X_NOISY.long()}, r"with X in torch\.int64, model\(X\): .*dtype"),
        ({"y": Y_NOISY.double()}, r"with y in torch\.float64, loss_fn\(model\(X\), y\): .*dtype"),
        ({"X": X_NOISY[:, :1]}, r"model\(X\): mat1 and mat2 shapes cannot be multiplied"),
    ],
)
def test_an_error_names_the_argument_whose_tensor_does_not_suit_the_model(changes, match):
    with pytest.raises(ValueError, match=match):
        path_of(**{"X": X_NOISY, "y": Y_NOISY} | changes)


def test_a_history_is_saved_as_tensors_that_torch_loads_by_default():
    model, file = Perceptron(), io.BytesIO()
    history = train(model, *two_points(), torch.optim.SGD(model.parameters(), lr=1.0), n_epochs=3)
    torch.save(vars(history), file)
    file.seek(0)
    loaded = History(**torch.load(file))
    assert torch.equal(loaded.loss, history.loss)
    assert list(loaded.parameters) == list(history.parameters)
    assert all(torch.equal(loaded[name], path) for name, path in history.parameters.items())


def trained(**options):
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.fill_(0.1), model.bias.fill_(0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5)
    schedule = options.pop("schedule", None)
    if schedule:
        options["scheduler"] = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    rows = X_NOISY, Y_NOISY[:, None]
    history = train(model, *rows, optimizer, loss_fn=F.mse_loss, n_epochs=3, batch_size=4, **options)
    return history, optimizer


def test_every_step_is_recorded_and_every_last_step_of_an_epoch_is_the_epochs():
    steps, epochs = trained(record="step")[0], trained(record="epoch")[0]
    assert len(steps.loss) == 9
    assert all(torch.equal(steps[name][2::3], epochs[name]) for name in ("weight", "bias"))
    shares = torch.tensor([4.0, 4.0, 2.0], dtype=torch.float64) / 10
    torch.testing.assert_close(steps.loss.reshape(3, 3) @ shares, epochs.loss)
    torch.testing.assert_close(epochs.loss, trained()[0].loss, rtol=0, atol=0)


def test_theta_is_all_parameters_of_a_record_in_their_order():
    history = trained(record="step")[0]
    assert history.theta.shape == (9, 3)
    assert torch.equal(history.theta, torch.cat([history["weight"][:, 0], history["bias"]], dim=1))


def test_a_scheduler_is_stepped_after_every_step():
    found, optimizer = trained(schedule=lambda step: 0.5**step, record="step")
    assert optimizer.param_groups[0]["lr"] == 0.2 * 0.5**9
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.fill_(0.1), model.bias.fill_(0.0)
    by_hand = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5)
    for step in range(9):
        rows = slice(step % 3 * 4, step % 3 * 4 + 4)
        by_hand.param_groups[0]["lr"] = 0.2 * 0.5**step
        by_hand.zero_grad()
        F.mse_loss(model(X_NOISY[rows]), Y_NOISY[rows, None]).backward()
        by_hand.step()
    assert torch.equal(found.theta[-1, :2], model.weight[0].detach())


def test_a_scheduler_of_another_optimizer_is_refused():
    model = nn.Linear(2, 1)
    optimizer, other = (torch.optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    for scheduler in (torch.optim.lr_scheduler.ConstantLR(other), lambda step: 1.0, "cosine"):
        with pytest.raises(ValueError, match=r"^scheduler must be one of torch's made on optimizer"):
            train(model, X_NOISY, Y_NOISY[:, None], optimizer, loss_fn=F.mse_loss, scheduler=scheduler)


def test_a_loss_that_is_not_finite_is_named_by_its_step():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e30)
    with pytest.raises(ValueError, match=r"^optimizer: the loss is (inf|nan) at step 1;"):
        train(model, X_NOISY, Y_NOISY[:, None], optimizer, loss_fn=F.mse_loss, batch_size=5, record="step")
