"""One test a claim of book/lambda_and_batch_size.ipynb; its docstring is the claim, word for word."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from torch.nn.utils import parameters_to_vector

from course_lib.models import Perceptron
from course_lib.optimizers import coast
from course_lib.optimum import logistic_optimum
from course_lib.parallel import data_parallel
from course_lib.scratch import logistic_cost, logistic_descent
from course_lib.training import train

M, LR, LAM = 1096, 0.05, 0.1
X, y = make_classification(
    n_samples=M,
    n_features=4,
    n_informative=3,
    n_redundant=1,
    n_clusters_per_class=1,
    flip_y=0.05,
    random_state=7,
)
y = y.astype(float)
X_t, y_t = torch.from_numpy(X), torch.from_numpy(y)
SUM = partial(F.binary_cross_entropy, reduction="sum")
assert_equal = partial(torch.testing.assert_close, rtol=0, atol=1e-12)


def torch_path(
    n_epochs,
    *,
    lr=LR,
    weight_decay=LAM,
    loss_fn=F.binary_cross_entropy,
    batch_size=None,
    rows=M,
    kind=torch.optim.SGD,
):
    """Weights and bias after each epoch from zero, of SGD unless another kind is named."""
    model = Perceptron(4, dtype=torch.float64)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = kind(model.parameters(), lr=lr, weight_decay=weight_decay)
    settings = {"n_epochs": n_epochs, "batch_size": batch_size, "loss_fn": loss_fn}
    history = train(model, X_t[:rows], y_t[:rows], optimizer, **settings)
    return torch.cat([history["linear.weight"][:, 0], history["linear.bias"]], dim=1)


def posted_program(n_epochs):
    """The question's loop: the division by m comes last and hits the penalty."""
    Z, theta, path = np.column_stack([X, np.ones(M)]), np.zeros(5), []
    for _ in range(n_epochs):
        gradient = Z.T @ (1 / (1 + np.exp(-Z @ theta)) - y) + LAM * theta
        theta = theta - LR * gradient / M
        path.append(theta)
    return torch.from_numpy(np.array(path))


def test_lambda_over_m():
    """The posted scratch program and torch differ by lambda/m against lambda and by nothing else: with that corrected on either side their parameters agree to 1e-12 after each of 1000 epochs."""
    posted, in_torch = posted_program(1000), torch_path(1000)
    assert (posted - in_torch).abs().max() > 0.1
    assert_equal(torch_path(1000, weight_decay=LAM / M), posted)
    assert_equal(torch.from_numpy(logistic_descent(X, y, lr=LR, n_steps=1000, weight_decay=LAM)), in_torch)


def test_one_step():
    """In the answer's example torch steps from 1 to 4.1 and its bias to 1.9; dividing the decay by the batch size would give 4.15."""
    stepped = {}
    for weight_decay in (1.0, 1.0 / 2):
        line = torch.nn.Linear(1, 1)
        for parameter in line.parameters():
            torch.nn.init.ones_(parameter)
        optimizer = torch.optim.SGD(line.parameters(), lr=0.1, weight_decay=weight_decay)
        predictions = line(torch.tensor([[2.0], [4.0]]))
        assert predictions.flatten().tolist() == [3, 5]
        loss = F.mse_loss(predictions, torch.tensor([[7.0], [11.0]]))
        loss.backward()
        assert [loss.item(), line.weight.grad.item(), line.bias.grad.item()] == [26, -32, -10]
        optimizer.step()
        stepped[weight_decay] = [line.weight.item(), line.bias.item()]
    assert stepped[1.0] == pytest.approx([4.1, 1.9])
    assert stepped[0.5][0] == pytest.approx(4.15)


def test_reported_cost():
    """After the answer's repair the reported loss without penalty can rise at every epoch while the objective falls at every epoch."""
    start = posted_program(1000)[-1]
    path = logistic_descent(X, y, lr=LR, n_steps=200, weight_decay=LAM, start=start)
    reported, objective = logistic_cost(X, y, path), logistic_cost(X, y, path, weight_decay=LAM)
    assert all(before < after for before, after in pairwise(reported))
    assert all(before > after for before, after in pairwise(objective))


def test_own_measure():
    """Of the weights trained for 1000 epochs with lambda and with lambda/m, each has the lower objective by the penalty it was trained with."""
    strong, weak = torch_path(1000)[-1], posted_program(1000)[-1]
    for winner, loser, weight_decay in ((strong, weak, LAM), (weak, strong, LAM / M)):
        won, lost = (logistic_cost(X, y, theta, weight_decay=weight_decay) for theta in (winner, loser))
        assert won < lost


def test_mean_keeps():
    """With a mean loss and a learning rate proportional to the batch size, SGD ends with weights of the same length for batches of 32 to 1024, to 1 %; with lambda divided by the batch size their length changes by more than half."""
    lengths = []
    for batch_size in (32, 256, 1024):
        settings = {"lr": 0.001 * batch_size, "batch_size": batch_size, "rows": 1024}
        lengths.append(
            [
                torch_path(60, weight_decay=decay, **settings)[-1, :4].norm().item()
                for decay in (LAM, 32 * LAM / batch_size)
            ]
        )
    mean, divided = zip(*lengths, strict=True)
    assert max(mean) / min(mean) < 1.01
    assert max(divided) / min(divided) > 1.5


def test_sum_divides():
    """For SGD, a summed loss with decay lambda takes, with a learning rate divided by the batch size, the very steps of a mean loss with lambda divided by the batch size."""
    settings = {"batch_size": 64, "rows": 1024}
    summed = torch_path(5, lr=LR / 64, weight_decay=LAM, loss_fn=SUM, **settings)
    assert_equal(summed, torch_path(5, lr=LR, weight_decay=LAM / 64, **settings))


def accumulated(kind, **settings):
    """Parameters after 50 steps from zero on the sum of four equal micro-batches' means."""
    model = Perceptron(4, dtype=torch.float64)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = kind(model.parameters(), **settings)
    for _ in range(50):
        optimizer.zero_grad()
        for X_part, y_part in zip(X_t.chunk(4), y_t.chunk(4), strict=True):
            F.binary_cross_entropy(model(X_part), y_part).backward()
        optimizer.step()
    return parameters_to_vector(model.parameters()).detach()


def test_accumulation():
    """For SGD, adding up the mean losses of four equal micro-batches without dividing by four is a learning rate times four and a decay divided by four."""
    theta = accumulated(torch.optim.SGD, lr=LR, weight_decay=LAM)
    assert_equal(theta, torch_path(50, lr=4 * LR, weight_decay=LAM / 4)[-1])
    assert (theta - torch_path(50)[-1]).abs().max() > 0.01


def test_accumulation_adam():
    """If the summed means of four equal micro-batches are not divided by four, then, but for an eps divided by four, Adam sees a decay divided by four and AdamW no change."""
    for kind, divided, needed in (
        (torch.optim.Adam, 4, True),
        (torch.optim.AdamW, 1, False),
    ):
        forgotten = accumulated(kind, lr=LR, weight_decay=LAM)
        seen = partial(kind, eps=1e-8 / 4)
        assert_equal(forgotten, torch_path(50, weight_decay=LAM / divided, kind=seen)[-1])
        right = torch_path(50, kind=kind)[-1]
        assert ((forgotten - right).abs().max() > 0.01) == needed
        assert needed or (forgotten - right).abs().max() < 1e-6


def test_unequal_micro_batches():
    """Weighting the mean loss of each micro-batch by its share of the rows gives the gradient of the whole batch; dividing by their number does not if one of them is smaller."""

    def gradient(micro_batch_size, weight):
        model = Perceptron(4, dtype=torch.float64)
        parts = list(zip(X_t[:60].split(micro_batch_size), y_t[:60].split(micro_batch_size), strict=True))
        for X_part, y_part in parts:
            (weight(len(y_part), len(parts)) * F.binary_cross_entropy(model(X_part), y_part)).backward()
        return parameters_to_vector([parameter.grad for parameter in model.parameters()])

    whole = gradient(60, lambda rows, parts: 1)
    for micro_batch_size, equal in ((15, True), (16, False)):
        assert_equal(gradient(micro_batch_size, lambda rows, parts: rows / 60), whole)
        off = (gradient(micro_batch_size, lambda rows, parts: 1 / parts) - whole).norm() / whole.norm()
        assert off < 1e-12 if equal else off > 0.005


def in_two_processes(loss_fn, lr, weight_decay):
    start = Perceptron(4, dtype=torch.float64)
    for parameter in start.parameters():
        torch.nn.init.zeros_(parameter)
    settings = {"lr": lr, "weight_decay": weight_decay, "n_steps": 100, "n_processes": 2}
    trained = data_parallel(start, X_t, y_t, loss_fn=loss_fn, **settings)
    return parameters_to_vector(trained.parameters()).detach()


def test_data_parallel():
    """Two processes with equal shares of a mean loss end with the parameters of one process, and the decay counts once."""
    found = in_two_processes(F.binary_cross_entropy, LR, LAM)
    assert_equal(found, torch_path(100)[-1])
    assert (found - torch_path(100, weight_decay=2 * LAM)[-1]).abs().max() > 0.01


def test_data_parallel_sum():
    """For SGD with a summed loss, two processes act like one with half the learning rate and twice the decay."""
    found = in_two_processes(SUM, LR / M, LAM * M)
    assert_equal(found, torch_path(100, lr=LR / M / 2, weight_decay=2 * LAM * M, loss_fn=SUM)[-1])


def test_moving_average():
    """Under SGD with decay the parameters are an exponential moving average of -gradient/lambda, begun at the start and with a time scale of 1/(lr lambda) steps."""
    lr, tau = 0.05, 1 / (0.05 * LAM)
    model = Perceptron(4, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, weight_decay=LAM)
    average = parameters_to_vector(model.parameters()).detach()
    for _ in range(4):
        for X_part, y_part in zip(X_t.split(8), y_t.split(8), strict=True):
            optimizer.zero_grad()
            F.binary_cross_entropy(model(X_part), y_part).backward()
            gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
            average = average + (-gradient / LAM - average) / tau
            optimizer.step()
            assert_equal(average, parameters_to_vector(model.parameters()).detach())


def distances(small, large):
    return ((large - small).norm(dim=1) / small.norm(dim=1)).tolist()


def test_linear_scaling():
    """On data like the chapter's, SGD with a batch 8 times as large, 8 times the learning rate and the same lambda stays within 1 % of the small-batch path, and rules that change lambda end more than 20 % away."""
    small = torch_path(40, lr=0.02, batch_size=16, rows=1024)

    def from_small(times_lr, times_lam):
        settings = {"lr": 0.02 * times_lr, "weight_decay": LAM * times_lam}
        return distances(small, torch_path(40, batch_size=128, rows=1024, **settings))

    assert max(from_small(8, 1)[4:]) < 0.01
    for times_lr, times_lam in ((8, 8), (1, 8), (8**0.5, 8**0.5)):
        assert from_small(times_lr, times_lam)[-1] > 0.2


def test_same_objective():
    """With lambda and learning rate untouched, a batch 8 times as large takes 8 times as many epochs for the same path, to 2 %."""
    small = torch_path(40, lr=0.02, batch_size=16, rows=1024)
    patient = torch_path(320, lr=0.02, batch_size=128, rows=1024)[7::8]
    assert max(distances(small, patient)) < 0.02


def test_adamw_clock():
    """Under AdamW a weight without gradient keeps the same share of itself an epoch if lr times lambda grows like the batch size."""

    def left(batch_size, lr, weight_decay):
        adamw = partial(torch.optim.AdamW, lr=lr, weight_decay=weight_decay)
        return coast(adamw, torch.ones(1, dtype=torch.float64), n_steps=5 * 1024 // batch_size)[-1].item()

    small = left(16, 0.02, LAM)
    for times_lr, times_lam in ((8**0.5, 8**0.5), (1, 8), (8, 1)):
        assert left(128, 0.02 * times_lr, LAM * times_lam) == pytest.approx(small, rel=0.01)
    assert left(128, 0.02, LAM) > small + 0.2


def test_adamw_model():
    """Keeping AdamW's clock does not keep its model: on data like the chapter's, 8 times lambda with a batch 8 times as large keeps the clock and ends more than 40 % away from the small-batch result."""
    settings = {"rows": 1024, "lr": 0.02, "kind": torch.optim.AdamW}
    small = torch_path(40, batch_size=16, **settings)
    same_clock = torch_path(40, batch_size=128, weight_decay=8 * LAM, **settings)
    assert distances(small, same_clock)[-1] > 0.4


def test_mlp_batch():
    """scikit-learn's MLPClassifier divides its alpha by the rows of the mini-batch, so that its penalty depends on the batch size."""

    def pull(alpha, batch_size):
        """What alpha changes in the weights' first step, which takes one mini-batch."""
        settings = {"solver": "sgd", "momentum": 0.0, "shuffle": False, "learning_rate_init": LR}
        weights = []
        for decay in (alpha, 0.0):
            mlp = MLPClassifier((), alpha=decay, batch_size=batch_size, random_state=0, **settings)
            mlp.partial_fit(X[:batch_size], y[:batch_size], classes=[0, 1])
            weights.append(mlp.coefs_[0][:, 0])
        return weights[0] - weights[1]

    assert (np.abs(pull(1.0, 16)) > 1e-4).all()
    np.testing.assert_allclose(pull(1.0, 16) * 16, pull(1.0, 64) * 64, rtol=1e-9)
    np.testing.assert_allclose(pull(1.0, 16), pull(4.0, 64), rtol=1e-9)


def test_bias_out():
    """For LogisticRegression the solver decides about the bias: by default liblinear penalizes it, lbfgs does not."""
    for solver, decay_bias in (("liblinear", True), ("lbfgs", False)):
        fit = LogisticRegression(C=1 / (M * LAM), solver=solver, tol=1e-10, max_iter=10_000).fit(X, y)
        weight, bias = logistic_optimum(X_t, y_t, LAM, decay_bias=decay_bias)
        np.testing.assert_allclose(fit.coef_[0], weight, rtol=0, atol=1e-6)
        assert fit.intercept_[0] == pytest.approx(bias.item(), abs=1e-6)
        other, _ = logistic_optimum(X_t, y_t, LAM, decay_bias=not decay_bias)
        assert (torch.from_numpy(fit.coef_[0]) - other).abs().max() > 1e-3
