"""Training on several processes beside the same steps in this one.

Processes that import torch by themselves, as those of a reader do, take seconds: they are started once here,
and in the example of the docstring.
"""

import copy
import math
import os
import random
import tempfile
import threading
from datetime import timedelta
from functools import partial
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import distributed
from course_lib.data import separable
from course_lib.distributed import data_parallel
from course_lib.models import Perceptron

assert_near = partial(torch.testing.assert_close, rtol=0, atol=1e-12)
X, Y = separable(6, 2, seed=4)


def spread(model):
    """In evaluation mode, and somewhere that depends on no generator."""
    for parameter in model.parameters():
        parameter.data = torch.linspace(-1, 0.5, parameter.numel()).reshape_as(parameter).to(parameter)
    return model.eval()


def network():
    """With a frozen parameter, and a gradient of the caller's."""
    layers = nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1), nn.Sigmoid(), nn.Flatten(0)
    model = nn.Sequential(*layers).double()
    model[0].bias.requires_grad_(False)
    model[0].weight.grad = torch.ones_like(model[0].weight)
    return spread(model)


def two_outputs():
    return spread(nn.Linear(2, 2).double())


def in_one_process(model, loss_of, *, lr, n_steps, weight_decay=0.0):
    """Return the state of a copy of `model` after steps down `loss_of` and the penalty, written out."""
    model = copy.deepcopy(model)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for _ in range(n_steps):
        penalty = weight_decay / 2 * sum(parameter.square().sum() for parameter in trainable)
        gradients = torch.autograd.grad(loss_of(model) + penalty, trainable)
        for parameter, gradient in zip(trainable, gradients, strict=True):
            parameter.data -= lr * gradient
    return model.state_dict()


def state_of_this_process():
    """Whatever a caller would notice."""
    return {
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "generators": (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())),
        "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "folder": os.getcwd(),
        "files": os.listdir(tempfile.gettempdir()),
        "group": torch.distributed.is_initialized(),
        "gradients": torch.is_grad_enabled(),
    }


@pytest.mark.parametrize(
    ("make_model", "y", "loss_fn", "n_processes", "weight_decay"),
    [
        (network, Y, F.binary_cross_entropy, 2, 0.1),
        (two_outputs, X.flip(1), partial(F.smooth_l1_loss, beta=2.0), 3, 0.0),
    ],
    ids=["two-processes", "three-processes"],
)
def test_equal_shares_are_the_whole_batch_in_one_process(
    make_model, y, loss_fn, n_processes, weight_decay, tmp_path, monkeypatch, request
):
    """And the calling process, the model and the data are left as they were."""
    if n_processes == 3:
        request.getfixturevalue("ready_processes")
        forkserver.ensure_running()  # it keeps a file of its own
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model, settings = make_model(), {"lr": 0.7, "n_steps": 20, "weight_decay": weight_decay}
    state, gradients = copy.deepcopy(model.state_dict()), [p.grad for p in model.parameters()]
    points, targets, outside = X.clone().requires_grad_(), y.clone(), state_of_this_process()
    trained = data_parallel(model, points, targets, n_processes=n_processes, loss_fn=loss_fn, **settings)

    expected = in_one_process(model, lambda m: loss_fn(m(X), y), **settings)
    assert_near(dict(trained.state_dict()), dict(expected))
    assert type(trained) is type(model)
    assert [p.requires_grad for p in trained.parameters()] == [p.requires_grad for p in model.parameters()]
    assert not trained.training
    assert not model.training

    assert state_of_this_process() == outside
    assert_near(dict(model.state_dict()), dict(state), atol=0)
    assert all(p.grad is gradient for p, gradient in zip(model.parameters(), gradients, strict=True))
    assert torch.equal(points, X)
    assert points.grad is None
    assert torch.equal(targets, y)


@pytest.mark.usefixtures("ready_processes")
def test_unequal_shares_descend_the_mean_of_the_means():
    """Five rows on two processes: three for the first, two for the second, each row of which counts more."""
    model, settings = Perceptron(dtype=torch.float64), {"lr": 0.7, "n_steps": 20, "weight_decay": 0.1}
    points, labels = X[:5], Y[:5]

    def mean_of_means(m):
        shares = slice(3), slice(3, 5)
        return sum(F.binary_cross_entropy(m(points[rows]), labels[rows]) for rows in shares) / 2

    trained = data_parallel(model, points, labels, **settings)
    assert_near(dict(trained.state_dict()), dict(in_one_process(model, mean_of_means, **settings)))
    whole = in_one_process(model, lambda m: F.binary_cross_entropy(m(points), labels), **settings)
    assert (trained.linear.weight - whole["linear.weight"]).abs().max() > 1e-3


@pytest.fixture
def _no_processes(monkeypatch):
    monkeypatch.setattr(distributed, "spawn", lambda *_, **__: pytest.fail("started processes"))


def a_loss_of_this_function():
    def local_loss(prediction, target):
        return F.mse_loss(prediction, target)

    return local_loss


@pytest.mark.usefixtures("_no_processes")
@pytest.mark.parametrize(
    ("loss_fn", "name"),
    [
        (lambda prediction, target: F.mse_loss(prediction, target), "<lambda>"),
        (a_loss_of_this_function(), "local_loss"),
        (partial(F.mse_loss, weight=threading.Lock()), "mse_loss"),
    ],
)
def test_a_loss_that_cannot_be_sent_is_refused_before_any_process_starts(loss_fn, name):
    with pytest.raises(TypeError, match=f"loss_fn must be importable by another process, got .*{name}"):
        data_parallel(Perceptron(), X, Y, lr=0.1, n_steps=1, loss_fn=loss_fn)


@pytest.mark.usefixtures("_no_processes")
@pytest.mark.parametrize(
    ("argument", "value", "error", "match"),
    [
        ("n_processes", 7, ValueError, "n_processes must be at most one a row, 6, got 7"),
        ("model", nn.ReLU(), ValueError, "model must have a trainable parameter"),
        ("model", Perceptron().requires_grad_(False), ValueError, "model must have a trainable parameter"),
        ("y", Y[:5], ValueError, r"X and y must have as many rows, got shapes \(6, 2\) and \(5,\)"),
        ("loss_fn", "mse", TypeError, "loss_fn must be callable, got 'mse'"),
    ],
)
def test_a_bad_argument_is_refused_before_any_process_starts(argument, value, error, match):
    with pytest.raises(error, match=match):
        data_parallel(**{"model": Perceptron(), "X": X, "y": Y, "lr": 0.1, "n_steps": 1, argument: value})


def test_as_many_processes_as_rows_and_the_defaults_are_let_through(monkeypatch):
    asked = []

    def spawn(function, arguments, nprocs):
        asked.append((nprocs, *arguments[2:]))
        torch.save(Perceptron().state_dict(), os.path.join(arguments[1], "end.pt"))

    monkeypatch.setattr(distributed, "spawn", spawn)
    data_parallel(Perceptron(), X, Y, lr=0.1, n_steps=5, n_processes=6)
    data_parallel(Perceptron(), X, Y, lr=0.1, n_steps=5)
    assert asked == [(n, 0.1, 0.0, 5, F.binary_cross_entropy) for n in (6, 2)]


def test_divergence_raises_instead_of_returning_nan(monkeypatch):
    def diverged(process, arguments, nprocs):
        state = {name: tensor * math.nan for name, tensor in model.state_dict().items()}
        torch.save(state, Path(arguments[1]) / "end.pt")

    model = Perceptron(dtype=torch.float64)
    monkeypatch.setattr(distributed, "spawn", diverged)
    with pytest.raises(ValueError, match="lr = 3 lets the parameters grow without bound"):
        data_parallel(model, X, Y, lr=3.0, n_steps=1)


def test_class_labels_stay_integers(monkeypatch):
    sent = []

    def receive(process, arguments, nprocs):
        folder = Path(arguments[1])
        model, _, y = torch.load(folder / "start.pt", weights_only=False)
        torch.save(model.state_dict(), folder / "end.pt")
        sent.append(y)

    monkeypatch.setattr(distributed, "spawn", receive)
    data_parallel(two_outputs(), X, Y.long(), lr=0.1, n_steps=1, loss_fn=F.cross_entropy)
    assert torch.equal(sent[0], Y.long())
    assert sent[0].dtype == torch.int64


@pytest.fixture
def alone(monkeypatch):
    """What a process says to the others, who are not there."""
    calls = []
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *args, **kw: calls.append((args, kw)))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: calls.append("left"))
    monkeypatch.setattr(torch.nn.parallel, "DistributedDataParallel", lambda model: model)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: calls.append(n))
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "")  # so that what comes next is undone afterwards
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    return calls


@pytest.mark.parametrize(("rank", "rows"), [(0, slice(3)), (1, slice(3, 5))])
def test_what_a_process_does_by_itself(rank, rows, tmp_path, alone):
    """It meets the others, descends its share of the rows, and saves the result if it is the first."""
    model, shares = network(), []

    def loss_fn(prediction, target):
        shares.append((len(prediction), target))
        return F.binary_cross_entropy(prediction, target)

    torch.save((model, X[:5], Y[:5]), tmp_path / "start.pt")
    distributed._process(rank, 2, str(tmp_path), 0.7, 0.1, 3, loss_fn)
    meeting = {"init_method": f"file://{tmp_path}/meeting", "rank": rank, "world_size": 2}
    assert alone == [1, (("gloo",), meeting | {"timeout": timedelta(seconds=60)}), "left"]
    assert os.environ["GLOO_SOCKET_IFNAME"].startswith("lo")
    assert [size for size, _ in shares] == 3 * [len(Y[:5][rows])]
    assert all(torch.equal(target, Y[:5][rows]) for _, target in shares)
    assert (tmp_path / "end.pt").exists() == (rank == 0)
    if rank == 0:
        expected = in_one_process(
            model,
            lambda m: F.binary_cross_entropy(m(X[rows]), Y[rows]),
            lr=0.7,
            n_steps=3,
            weight_decay=0.1,
        )
        assert_near(dict(torch.load(tmp_path / "end.pt")), dict(expected))


@pytest.mark.usefixtures("alone")
def test_a_process_takes_labels_and_refuses_to_broadcast_them(tmp_path):
    paths = []
    for labels in (Y, Y.long(), Y.bool()):
        torch.save((network(), X, labels), tmp_path / "start.pt")
        distributed._process(0, 1, str(tmp_path), 0.7, 0.1, 3, F.binary_cross_entropy)
        paths.append(dict(torch.load(tmp_path / "end.pt")))
    assert_near(paths[1], paths[0], atol=0)
    assert_near(paths[2], paths[0], atol=0)
    torch.save((two_outputs(), X, torch.tensor([[1, -1]] * 6)), tmp_path / "start.pt")
    distributed._process(0, 1, str(tmp_path), 0.7, 0.1, 3, F.multilabel_margin_loss)
    torch.save((nn.Linear(2, 1).double(), X, Y), tmp_path / "start.pt")
    with pytest.raises(ValueError, match=r"y must have the shape of the predictions, \(6, 1\), got \(6,\)"):
        distributed._process(0, 1, str(tmp_path), 0.7, 0.1, 3, F.poisson_nll_loss)


def test_arrays_become_of_the_dtype_of_the_model(monkeypatch):
    sent = []

    def receive(process, arguments, nprocs):
        folder = Path(arguments[1])
        model, *data = torch.load(folder / "start.pt", weights_only=False)
        torch.save(model.state_dict(), folder / "end.pt")
        sent.extend(data)

    monkeypatch.setattr(distributed, "spawn", receive)
    data_parallel(Perceptron(), X.numpy(), Y.numpy(), lr=0.1, n_steps=1)
    assert [tensor.dtype for tensor in sent] == [torch.float32, torch.float32]
