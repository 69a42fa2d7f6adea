"""Networks trained at once: each is what torch's own layers and optimizers make of it alone."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.networks import Networks, train_networks
from tests.valid_arguments import VALID

assert_near = partial(torch.testing.assert_close, rtol=1e-11, atol=1e-12)
GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(3, 20, 4, generator=GENERATOR, dtype=torch.float64)
Y = torch.randint(3, (3, 20), generator=GENERATOR)
LR, DECAY = torch.tensor([0.03, 0.1, 0.2]), torch.tensor([0.0, 0.3, 1.0])


def alone(run, hidden, make_optimizer, decay, *, n_steps, batch_size, schedule, decay_bias=False):
    """Return the parameters of one network, trained by torch as anybody would."""
    generator = torch.Generator().manual_seed(run)
    sizes = [4, *hidden, 3]
    layers = [nn.Linear(a, b, dtype=torch.float64) for a, b in pairwise(sizes)]
    for layer in layers:
        n_in, n_out = layer.in_features, layer.out_features
        start = ((2 * torch.rand((n_in + 1) * n_out, generator=generator) - 1) / math.sqrt(n_in)).double()
        layer.weight.data = start[: n_in * n_out].view(n_in, n_out).T.clone()
        layer.bias.data = start[n_in * n_out :].clone()
    model = nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])
    weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
    groups = [
        {"params": weights, "weight_decay": decay},
        {"params": biases, "weight_decay": decay * decay_bias},
    ]
    optimizer = make_optimizer(groups, lr=LR[run].item())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    batches = []
    while len(batches) < n_steps:
        order = torch.randperm(20, generator=generator)
        batches += [batch for batch in order.split(batch_size) if len(batch) == batch_size]
    for batch in batches[:n_steps]:
        optimizer.zero_grad()
        F.cross_entropy(model(X[run, batch]), Y[run, batch]).backward()
        optimizer.step()
        if schedule == "cosine":
            scheduler.step()
    return torch.cat([part.flatten() for layer in layers for part in (layer.weight.T, layer.bias)])


OPTIMIZERS = {
    "SGD": (torch.optim.SGD, {}),
    "momentum": (partial(torch.optim.SGD, momentum=0.9), {"optimizer": "SGD", "momentum": 0.9}),
    "Adam": (partial(torch.optim.Adam, betas=(0.8, 0.95)), {"betas": (0.8, 0.95)}),
    "AdamW": (partial(torch.optim.AdamW, eps=1e-3), {"eps": 1e-3}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    ("hidden", "batch_size", "schedule", "decay_bias"),
    [((5,), 6, "cosine", False), ((), 20, "constant", True), ((4, 3), 20, "cosine", True)],
)
def test_each_network_is_what_torch_makes_of_it_alone(name, hidden, batch_size, schedule, decay_bias):
    make_optimizer, own = OPTIMIZERS[name]
    how = {"n_steps": 40, "batch_size": batch_size, "schedule": schedule, "decay_bias": decay_bias}
    settings = {"optimizer": name, "hidden": hidden, "lr": LR, "weight_decay": DECAY, **own}
    (networks,) = train_networks(X, Y, seeds=range(3), **settings, **how)
    for run, decay in enumerate(DECAY.tolist()):
        expected = alone(run, hidden, make_optimizer, decay, **how)
        torch.testing.assert_close(networks.theta[run], expected, rtol=1e-6, atol=1e-7)  # of float32's lr


def test_the_company_makes_no_difference_but_rounding():
    how = {"n_steps": 30, "batch_size": 7, "optimizer": "SGDW", "momentum": 0.9}
    (all_of_them,) = train_networks(X, Y, lr=LR, weight_decay=DECAY, seeds=[5, 6, 7], **how)
    for run in range(3):
        own = {"lr": LR[run], "weight_decay": DECAY[run].item(), "seeds": [5 + run]}
        (one,) = train_networks(X[run], Y[run], **own, **how)
        assert_near(one.theta[0], all_of_them.theta[run])


def test_what_is_one_for_all_is_used_by_all():
    how = {"n_steps": 5, "lr": 0.1, "batch_size": 5}
    (shared,) = train_networks(X[0], Y[0], weight_decay=DECAY, seeds=[4], **how)
    repeated = {"X": X[:1].expand(3, -1, -1), "y": Y[:1].expand(3, -1)}
    (own,) = train_networks(**repeated, weight_decay=DECAY, seeds=[4, 4, 4], **how)
    assert torch.equal(shared.theta, own.theta)
    assert not torch.equal(shared.theta[0], shared.theta[1])


def test_records_are_where_a_shorter_run_of_the_same_schedule_would_be():
    how = {"lr": 0.1, "weight_decay": 0.1, "seeds": [0, 1], "batch_size": 6, "schedule": "constant"}
    kept = train_networks(X[0], Y[0], n_steps=9, record=[2, 5, 9], **how)
    assert len(kept) == 3
    for networks, n_steps in zip(kept, (2, 5, 9), strict=True):
        assert torch.equal(networks.theta, train_networks(X[0], Y[0], n_steps=n_steps, **how)[0].theta)
        assert not networks.theta.requires_grad


def test_losses_are_those_of_each_network():
    (networks,) = train_networks(X, Y, lr=LR, weight_decay=DECAY, seeds=range(3), n_steps=3)
    for run, ((w1, _), (_, _)) in enumerate([networks.layers()] * 3):
        first, second = ((weight[run], bias[run, 0]) for weight, bias in networks.layers())
        logits = torch.relu(X[run] @ first[0] + first[1]) @ second[0] + second[1]
        assert_near(networks.logits(X)[run], logits)
        assert_near(networks.losses(X, Y)[run], F.cross_entropy(logits, Y[run]))
        assert w1.shape == (3, 4, 64)
    assert_near(networks.losses(X[0], Y[0])[0], networks.losses(X, Y)[0])


def test_it_computes_in_the_dtype_of_the_data():
    how = {"lr": 0.1, "weight_decay": 0.1, "seeds": [0], "n_steps": 3}
    (single,) = train_networks(X.float(), Y, **how)
    (double,) = train_networks(X, Y, **how)
    assert (single.theta.dtype, double.theta.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.theta.double(), double.theta, rtol=1e-4, atol=1e-5)


def test_networks_are_trained_by_adamw_in_full_batch_with_a_cosine_and_free_biases_unless_told():
    how = {"lr": LR, "weight_decay": DECAY, "seeds": [3], "n_steps": 8}
    explicit = {"hidden": (64,), "optimizer": "AdamW", "betas": (0.9, 0.999), "eps": 1e-8, "batch_size": 20}
    explicit |= {"schedule": "cosine", "decay_bias": False, "record": [8]}
    for own, told in (({}, explicit), ({"optimizer": "SGD"}, {"momentum": 0.0})):
        default, same = (train_networks(X, Y, **{**how, **own, **more}) for more in ({}, told))
        assert len(default) == len(same) == 1
        assert torch.equal(default[0].theta, same[0].theta)


def test_what_diverges_does_not_touch_the_others():
    how = {"weight_decay": 0.0, "optimizer": "SGD", "n_steps": 30}
    (networks,) = train_networks(X, Y, lr=[0.1, 1e30, 0.1], seeds=range(3), **how)
    (without,) = train_networks(X[2], Y[2], lr=0.1, seeds=[2], **how)
    assert not networks.theta[1].isfinite().all()
    assert_near(networks.theta[2], without.theta[0])


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("X", [torch.ones(3), torch.ones(1, 1, 3, 2), torch.ones(3, 3, 2), torch.ones(3, 2) * math.nan]),
        ("y", [torch.ones(2), torch.tensor([0.5, 1, 1]), torch.tensor([-1, 0, 1]), [0, 1, 10**6]]),
        ("hidden", [[0], [-1]]),
        ("lr", [0.0, -0.1, [0.1, 0.0], [0.1, 0.1, 0.1], [[0.1]], math.inf]),
        ("weight_decay", [-0.1, [0.1] * 3, [[0.1]], math.nan]),
        ("seeds", [[], [-1], [0, 1, 2]]),
        ("batch_size", [4]),
        ("momentum", [0.5]),
        ("betas", [(0.9, 1.0), (-0.1, 0.9)]),
        ("record", [[], [0], [4], [2, 1], [1, 1]]),
    ],
)
def test_bad_arguments_are_refused_by_name(argument, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"\b{argument}\b"):
            train_networks(**{**VALID["networks.train_networks"](), argument: value})


@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        ("lr", 0.0, "lr must be > 0, got 0"),
        ("weight_decay", -0.1, "weight_decay must be >= 0, got -0.1"),
        ("y", [0, 1], r"X and y must have as many rows, and a class each, got shapes \(3, 2\) and \(2,\)"),
    ],
)
def test_a_refusal_says_how_small_a_number_may_be_and_which_shapes_do_not_fit(argument, value, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        train_networks(**{**VALID["networks.train_networks"](), argument: value})


def test_a_refusal_says_for_how_many_networks_each_argument_is():
    settings = {"lr": [0.1] * 4, "weight_decay": [0.1] * 5, "seeds": range(6), "n_steps": 1}
    numbers = "X for 3, y for 2, lr for 4, weight_decay for 5, seeds for 6"
    with pytest.raises(ValueError, match=f"^all must be for one network or for as many, got {numbers}$"):
        train_networks(X, Y[:2], **settings)


def test_betas_are_two_numbers():
    for betas in (0.9, (0.9,), [0.9, 0.99]):
        with pytest.raises(TypeError, match="betas"):
            train_networks(**{**VALID["networks.train_networks"](), "betas": betas})


def test_a_linear_model_has_no_hidden_layer():
    (networks,) = train_networks(X[0], Y[0], hidden=(), lr=0.1, weight_decay=0.0, seeds=[0], n_steps=1)
    assert networks.sizes == (4, 3)
    assert isinstance(networks, Networks)
