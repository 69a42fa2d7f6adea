"""Reports on models with planted faults and on clean ones: all is found, nothing is invented or touched."""

import functools
import html
import importlib
import math
import os
import random
import runpy
import subprocess
import sys
import time
import types
from functools import partial

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor, Replicate, init_device_mesh
from torch.optim import lr_scheduler as schedules

from course_lib import _findings, probe, report
from course_lib.groups import decay_groups
from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.report import decay_report

AdamW = partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1)
SGD = partial(torch.optim.SGD, lr=0.1, weight_decay=0.01)


def grouped(model, make=AdamW):
    """An optimizer that decays what the book would decay."""
    groups = decay_groups(model, 0.1)
    return make(groups)


@functools.cache
def planted(name):
    """Return the report on a model with a fault."""
    make, _ = FAULTS[name]
    return decay_report(*make())


def found(model, optimizer, **settings):
    """Return what a report finds: severity, what, and the parameters."""
    return [(f.severity, f.what, f.parameters) for f in decay_report(model, optimizer, **settings).findings]


def row_of(model, optimizer, name="weight", **settings):
    (row,) = (row for row in decay_report(model, optimizer, **settings).rows if name in row.names)
    return row


def test_chapters_find_coast_here():
    assert report.coast is probe.coast


# Models with one fault each: what makes model and optimizer, and what is to be found.


class RMSNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale_by = nn.Parameter(torch.ones(4))


class Clip(nn.Module):
    def __init__(self):
        super().__init__()
        self.image = nn.Linear(4, 2, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(2.6))


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)
        self.gate = nn.Parameter(torch.ones(4))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(9, 4)
        self.head = nn.Linear(4, 9, bias=False)
        self.head.weight = self.table.weight


class Lora(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Linear(4, 4, bias=False).requires_grad_(False)
        self.lora_A = nn.Linear(4, 2, bias=False)
        self.lora_B = nn.Linear(2, 4, bias=False)


class Marked(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)

    def no_weight_decay(self):
        return ["linear.weight"]


class Vit(nn.Module):
    def __init__(self):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 4, 4))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.flat_param = nn.Parameter(torch.ones(20))


def lost_bias():
    model = nn.Linear(2, 1)
    return model, AdamW([model.weight])


def held_twice():
    model = nn.Linear(2, 1, bias=False)
    return model, [AdamW([model.weight]), SGD([model.weight], weight_decay=0)]


def held_twice_in_one():
    model = nn.Linear(2, 1, bias=False)
    optimizer = AdamW([model.weight])
    optimizer.param_groups[0]["params"].append(model.weight)
    return model, optimizer


def exchanged_head():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    optimizer = AdamW(model.parameters())
    model[1] = nn.Linear(2, 3, bias=False)
    return model, optimizer


def exchanged_with_names():
    model = nn.Linear(2, 1, bias=False)
    optimizer = AdamW([("old.weight", nn.Parameter(torch.ones(1, 2)))])
    return model, [AdamW(model.parameters()), optimizer]


def frozen(*, gradient):
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    optimizer = AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    model[0].requires_grad_(False)
    optimizer.zero_grad(set_to_none=not gradient)
    return model, optimizer


def ungrouped(model, make=AdamW):
    return model, make(model.parameters())


def one_forgotten():
    model = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(3))
    groups = [
        {"params": [model[0].weight, model[2].weight]},
        {"params": [model[1].weight], "weight_decay": 0.0},
    ]
    return model, AdamW(groups)


def other_for_the_head():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    groups = [{"params": [model[0].weight]}, {"params": [model[1].weight], "weight_decay": 0.3}]
    return model, AdamW(groups)


class Ignoring(torch.optim.SGD):
    """It has a weight_decay, and does not use it."""

    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            p.sub_(self.param_groups[0]["lr"] * p.grad)


class Growing(Ignoring):
    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            p.mul_(1 + self.param_groups[0]["lr"] * self.param_groups[0]["weight_decay"])


class Unmakeable(torch.optim.SGD):
    def __init__(self, model, lr):
        super().__init__(model.parameters(), lr, weight_decay=0.1)


def linear(dtype=None):
    return nn.Linear(4, 4, bias=False, dtype=dtype)


def flagged():
    model = linear()
    model.weight._is_flat_param = True
    return model


def sharded_rows():
    model = linear()
    model.weight = nn.Parameter(torch.ones(16))  # as FSDP leaves it with use_orig_params
    return model


W = ("weight",)
FAULTS = {
    "a bias": (lambda: ungrouped(nn.Linear(2, 1)), [("warning", "decayed bias", ("bias",))]),
    "biases": (
        lambda: ungrouped(nn.LSTM(2, 2)),
        [("warning", "decayed bias", ("bias_ih_l0", "bias_hh_l0"))],
    ),
    "a bias under SGD": (lambda: ungrouped(nn.Linear(2, 1), SGD), [("warning", "decayed bias", ("bias",))]),
    "LayerNorm": (
        lambda: ungrouped(nn.LayerNorm(4)),
        [("warning", "decayed bias", ("bias",)), ("warning", "decayed gain", W)],
    ),
    "BatchNorm": (
        lambda: ungrouped(nn.BatchNorm1d(4)),
        [("warning", "decayed bias", ("bias",)), ("warning", "decayed gain", W)],
    ),
    "a norm by hand": (lambda: ungrouped(RMSNorm()), [("warning", "decayed gain", ("scale_by",))]),
    "a gate": (lambda: ungrouped(Gated()), [("warning", "decayed gain", ("gate",))]),
    "temperature": (
        lambda: ungrouped(Clip()),
        [("warning", "decayed temperature or scale", ("logit_scale",))],
    ),
    "PReLU": (lambda: ungrouped(nn.PReLU()), [("warning", "decayed temperature or scale", W)]),
    "an author's mark": (
        lambda: ungrouped(Marked()),
        [("warning", "decayed against the author", ("linear.weight",))],
    ),
    "positions": (
        lambda: ungrouped(Vit()),
        [
            ("note", "decayed position or token", ("pos_embed",)),
            ("note", "decayed position or token", ("cls_token",)),
        ],
    ),
    "lost": (lost_bias, [("error", "in no optimizer", ("bias",))]),
    "two optimizers": (held_twice, [("error", "held twice", W)]),
    "twice in a group": (held_twice_in_one, [("error", "held twice", W)]),
    "an old head": (
        exchanged_head,
        [
            ("error", "in no optimizer", ("1.weight",)),
            ("warning", "not in the model", ("param_groups[0]['params'][1]",)),
        ],
    ),
    "an old head with its name": (
        exchanged_with_names,
        [("warning", "not in the model", ("old.weight",))],
    ),
    "frozen with zeros": (
        partial(frozen, gradient=True),
        [("warning", "frozen, and decays on", ("0.weight",))],
    ),
    "frozen with None": (
        partial(frozen, gradient=False),
        [("note", "frozen, and does not decay", ("0.weight",))],
    ),
    "tied": (
        lambda: ungrouped(Tied()),
        [("note", "embedding: unseen rows fade", ("table.weight",)), ("note", "tied", ("table.weight",))],
    ),
    "embedding": (
        lambda: ungrouped(nn.Embedding(3, 2)),
        [("note", "embedding: unseen rows fade", W)],
    ),
    "sparse, refused": (
        lambda: ungrouped(nn.Embedding(3, 2, sparse=True), SGD),
        [("error", "sparse embedding", W)],
    ),
    "sparse, decayed": (
        lambda: ungrouped(nn.Embedding(3, 2, sparse=True), partial(SGDW, lr=0.1, weight_decay=0.1)),
        [("note", "sparse embedding", W)],
    ),
    "flat": (
        lambda: ungrouped(Flat()),
        [("warning", "decayed gain", ("flat_param",)), ("warning", "flattened", ("flat_param",))],
    ),
    "flagged": (lambda: ungrouped(flagged()), [("warning", "flattened", W)]),
    "a weight in one row": (lambda: ungrouped(sharded_rows()), [("warning", "flattened", W)]),
    "LoRA": (
        lambda: ungrouped(Lora()),
        [
            ("note", "frozen, and does not decay", ("base.weight",)),
            ("note", "LoRA", ("lora_A.weight", "lora_B.weight")),
        ],
    ),
    "too much": (
        lambda: ungrouped(linear(), partial(SGD, lr=2.0, weight_decay=0.5)),
        [("error", "lr times lambda is 1 or more", W)],
    ),
    "bfloat16": (
        lambda: ungrouped(linear(torch.bfloat16)),
        [("warning", "rounds away", W)],
    ),
    "float16": (
        lambda: ungrouped(linear(torch.float16), partial(AdamW, lr=1e-3)),
        [("warning", "rounds away", W)],
    ),
    "float32": (
        lambda: ungrouped(linear(), partial(AdamW, lr=1e-8)),
        [("warning", "rounds away", W)],
    ),
    "one forgotten": (one_forgotten, [("warning", "like parameters, unlike decay", ("1.weight",))]),
    "another for the head": (other_for_the_head, [("note", "like parameters, unlike decay", ("0.weight",))]),
    "ignored": (
        lambda: ungrouped(linear(), partial(Ignoring, lr=0.1, weight_decay=0.1)),
        [("error", "weight_decay does nothing", W)],
    ),
    "growing": (
        lambda: ungrouped(linear(), partial(Growing, lr=0.1, weight_decay=0.1)),
        [("error", "weight_decay is not a decay", W)],
    ),
    "unmakeable": (
        lambda: (lambda model: (model, Unmakeable(model, 0.1)))(linear()),
        [("warning", "not measured", W)],
    ),
    "Adam": (
        lambda: ungrouped(linear(), partial(torch.optim.Adam, weight_decay=0.1)),
        [("note", "the decay is divided by the gradient", W)],
    ),
    "without lr": (
        lambda: ungrouped(linear(), partial(SGDW, lr=0.1, weight_decay=0.1, decay_times_lr=False)),
        [("note", "the decay does not follow lr", W)],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_nothing_else(name):
    assert [(f.severity, f.what, f.parameters) for f in planted(name).findings] == FAULTS[name][1]


def test_a_sharded_parameter_is_told():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        mesh, model = init_device_mesh("cpu", (1,)), linear()
        model.weight = nn.Parameter(DTensor.from_local(torch.ones(4, 4), mesh, [Replicate()]))
        assert found(*ungrouped(model)) == [("note", "sharded", W)]
    finally:
        dist.destroy_process_group()


def test_every_rule_has_a_model_with_its_fault():
    """Schedules and normalizations have tests of their own."""
    rows = [planted(name).rows for name in FAULTS]
    used = {rule.__name__ for rule in _findings.RULES if any(list(rule(each)) for each in rows)}
    others = {"ends_in_zero", "scale_invariant"}
    assert used | others == {rule.__name__ for rule in _findings.RULES}


CLEAN = {
    "Linear": lambda: nn.Linear(4, 2),
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2)
    ),
    "GroupNorm": lambda: nn.Sequential(nn.Conv1d(2, 4, 1), nn.GroupNorm(2, 4), nn.PReLU()),
    "transformer": lambda: nn.TransformerEncoderLayer(4, 2, 8),
    "LSTM": lambda: nn.LSTM(2, 3, num_layers=2),
    "attention": lambda: nn.MultiheadAttention(4, 2),
    "CLIP": Clip,
    "gate": Gated,
    "norm by hand": RMSNorm,
    "marked": Marked,
    "vision transformer": Vit,
    "weight_norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 2)),
    "one output": lambda: nn.Linear(1, 1),
}


@pytest.mark.parametrize("make", [AdamW, SGD, partial(SGD, momentum=0.9), partial(SGDW, lr=0.1)])
@pytest.mark.parametrize("name", CLEAN)
def test_nothing_is_found_in_a_clean_model(name, make):
    model = CLEAN[name]()
    found = decay_report(model, grouped(model, make), n_samples=10, batch_size=3, n_steps=5)
    assert found.findings == ()
    assert str(found).endswith("\n\nNothing to look at.")


def test_two_optimizers_that_share_a_model_are_clean():
    model = nn.Sequential(
        nn.Linear(4, 4, bias=False), nn.Embedding(3, 4).requires_grad_(False), nn.Linear(4, 4)
    )
    optimizers = [
        torch.optim.Muon([model[0].weight], lr=0.1, weight_decay=0.2),
        AdamW(decay_groups(model[2], 0.1)),
    ]
    report = decay_report(model, optimizers)
    assert report.findings == ()
    assert [row.groups for row in report.rows] == [("0.0",), (), ("1.0",), ("1.1",)]


def test_a_frozen_part_outside_the_optimizer_is_clean():
    model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1))
    assert found(model, grouped(model)) == []


# Numbers, against those by hand.


def test_half_lives_are_those_by_hand():
    model = nn.Linear(2, 1)
    report = decay_report(model, grouped(model), n_samples=1000, batch_size=48, n_steps=100)
    weight, bias = report.rows
    assert (weight.lr, weight.weight_decay, weight.groups, weight.optimizer) == (0.01, 0.1, ("0",), "AdamW")
    assert weight.half_life == pytest.approx(math.log(2) / -math.log(0.999), 1e-9)
    assert weight.time_constant == pytest.approx(1000, 1e-9)
    assert weight.half_life_epochs == pytest.approx(weight.half_life / 21, 1e-12)
    assert weight.time_constant_epochs == pytest.approx(1000 / 21, 1e-9)
    assert weight.left == pytest.approx(0.999**100, 1e-12)
    assert weight.idle == pytest.approx(0.001, 1e-9)
    assert (weight.decays, bias.decays) == (True, False)
    assert (bias.half_life, bias.time_constant, bias.half_life_epochs) == (None, None, None)
    assert (bias.left, bias.idle) == (1.0, 0.0)


def test_momentum_shortens_the_half_life():
    model = nn.Linear(2, 1, bias=False)
    row = row_of(model, SGD(model.parameters(), momentum=0.9), n_steps=40)
    assert row.time_constant == pytest.approx(100, 1e-6)
    w, v = 1.0, 0.0
    for _ in range(40):
        v = 0.9 * v + 0.01 * w
        w -= 0.1 * v
    assert row.left == pytest.approx(w, 1e-9)
    long = row_of(model, SGD(model.parameters(), momentum=0.9), n_steps=100_000)
    assert long.left == pytest.approx(0.99**100_000, 1e-6, abs=1e-300)


def test_adam_without_a_gradient_moves_by_lr():
    model = nn.Linear(2, 1, bias=False)
    row = row_of(model, torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-4), n_steps=10)
    assert row.idle == pytest.approx(0.01, 1e-3)
    assert (row.half_life, row.time_constant, row.left, row.decays) == (None, None, None, True)


N, WARM = 400, 50
SCHEDULES = {
    "warm-up": (
        lambda o: schedules.LambdaLR(o, lambda t: min(1.0, t / WARM)),
        lambda t, lr: lr * min(1.0, t / WARM),
    ),
    "cosine": (
        lambda o: schedules.CosineAnnealingLR(o, N),
        lambda t, lr: lr * (1 + math.cos(math.pi * t / N)) / 2,
    ),
    "warm-up and cosine": (
        lambda o: schedules.SequentialLR(
            o,
            [schedules.LinearLR(o, 0.1, 1.0, WARM), schedules.CosineAnnealingLR(o, N - WARM)],
            milestones=[WARM],
        ),
        lambda t, lr: (
            lr * (0.1 + 0.9 * t / WARM if t < WARM else (1 + math.cos(math.pi * (t - WARM) / (N - WARM))) / 2)
        ),
    ),
    "one cycle": (
        lambda o: schedules.OneCycleLR(
            o, [0.01, 0.01], N, pct_start=0.25, anneal_strategy="linear", cycle_momentum=False
        ),
        lambda t, lr: 0.01 * np.interp(t, [0, N / 4 - 1, N - 1], [1 / 25, 1, 1 / 25e4]),
    ),
    "steps": (
        lambda o: schedules.StepLR(o, 100, 0.1),
        lambda t, lr: lr * 0.1 ** (t // 100),
    ),
}
MAKERS = {
    "AdamW": (torch.optim.AdamW, lambda lr, lam: lr * lam),
    "SGD": (torch.optim.SGD, lambda lr, lam: lr * lam),
    "SGDW": (partial(SGDW, momentum=0.9), lambda lr, lam: lr * lam),
    "SGDW without lr": (partial(SGDW, decay_times_lr=False), lambda lr, lam: lam),
    "proximal": (partial(ProximalSGD, norm=2), lambda lr, lam: 1 - 1 / (1 + lr * lam)),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("maker", MAKERS)
def test_what_is_left_after_a_schedule_is_the_product_by_hand(maker, schedule):
    (make, share), (schedule, lr_at) = MAKERS[maker], SCHEDULES[schedule]
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    groups = [{"params": [model[0].weight]}, {"params": [model[1].weight], "lr": 0.02, "weight_decay": 0.2}]
    optimizer = make(groups, lr=0.01, weight_decay=0.1)
    rows = decay_report(model, optimizer, n_steps=N, scheduler=schedule(optimizer)).rows
    for row, lr, lam in zip(rows, (0.01, 0.02), (0.1, 0.2), strict=True):
        left = math.prod(1 - share(lr_at(t, lr), lam) for t in range(N))
        assert row.left == pytest.approx(left, 1e-9)


def test_what_is_left_is_what_training_without_a_gradient_leaves():
    model = nn.Linear(2, 1, bias=False).double()
    optimizer = SGD(model.parameters(), momentum=0.9, nesterov=True)
    scheduler = SCHEDULES["warm-up and cosine"][0](optimizer)
    row = row_of(model, optimizer, n_steps=N, scheduler=scheduler)
    start = model.weight.detach().clone()
    for _ in range(N):
        model.weight.grad = torch.zeros_like(start)
        optimizer.step()
        scheduler.step()
    torch.testing.assert_close(model.weight.detach(), row.left * start, rtol=1e-9, atol=0)


def test_a_schedule_goes_on_from_where_it_is():
    model = nn.Linear(2, 1, bias=False)
    optimizer = AdamW(model.parameters())
    scheduler = SCHEDULES["cosine"][0](optimizer)
    for _ in range(N // 2):
        optimizer.step()
        scheduler.step()
    row = row_of(model, optimizer, n_steps=N // 2, scheduler=scheduler)
    lrs = [SCHEDULES["cosine"][1](t, 0.01) for t in range(N // 2, N)]
    assert row.left == pytest.approx(math.prod(1 - 0.1 * lr for lr in lrs), 1e-9)
    assert row.lr == 0.01


def test_a_schedule_that_ends_in_0_takes_the_decay_with_it():
    model = nn.Linear(2, 1, bias=False)
    finding = ("note", "the schedule ends in 0", W)
    optimizer = AdamW(model.parameters())
    scheduler = schedules.CosineAnnealingLR(optimizer, N - 1)
    assert found(model, optimizer, n_steps=N, scheduler=scheduler) == [finding]
    assert found(model, optimizer, n_steps=N // 2, scheduler=scheduler) == []
    optimizer = SGDW(model.parameters(), 0.01, weight_decay=0.1, decay_times_lr=False)
    scheduler = schedules.CosineAnnealingLR(optimizer, N - 1)
    assert finding not in found(model, optimizer, n_steps=N, scheduler=scheduler)


def test_the_largest_lr_of_a_schedule_counts():
    """The first lr of this cycle is a 25th."""
    model = nn.Linear(2, 1, bias=False)
    optimizer = SGD(model.parameters(), lr=0.1, weight_decay=0.2)
    scheduler = schedules.OneCycleLR(optimizer, 10.0, 20, cycle_momentum=False)
    (finding,) = decay_report(model, optimizer, n_steps=10, scheduler=scheduler).findings
    assert (finding.what, finding.why) == (
        "lr times lambda is 1 or more",
        "The largest step takes 2 of every weight, so that the sign turns.",
    )
    report = decay_report(model, SGD(model.parameters(), lr=10.0, weight_decay=0.1))
    assert "so that nothing is left" in str(report)
    report = decay_report(model, SGD(model.parameters(), lr=10.0, weight_decay=0.3))
    assert "so that the weights grow" in str(report)
    assert report.rows[0].half_life == 0


def test_what_takes_no_share_has_no_half_life():
    model = nn.Linear(2, 1, bias=False)
    row = row_of(model, ProximalSGD(model.parameters(), lr=0.1, weight_decay=0.1), n_steps=10)
    assert (row.decay.kind, row.half_life, row.left) == ("L1", None, None)
    row = row_of(model, SGD(model.parameters(), weight_decay=0.0))
    assert (row.half_life, row.left, row.decays) == (None, None, False)


def test_a_long_schedule_of_what_has_no_formula_is_left_open():
    model = nn.Linear(2, 1, bias=False)
    optimizer = ProximalSGD(model.parameters(), lr=0.1, weight_decay=0.1, norm=2)
    scheduler = schedules.LinearLR(optimizer, 1.0, 0.5, 5)
    assert row_of(model, optimizer, n_steps=10_001, scheduler=scheduler).left is None
    assert row_of(model, optimizer, n_steps=10_001).left == pytest.approx(1.01**-10_001, 1e-6)


def test_groups_of_one_kind_are_told_apart_by_their_numbers():
    model = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(3))
    for make, kind in (
        (torch.optim.Adam, "coupled and divided by the size of the gradient"),
        (ProximalSGD, "L1"),
        (partial(torch.optim.SGD, momentum=0.9), "coupled"),
    ):
        groups = [{"params": [layer.weight], "lr": 0.1 / 2**i} for i, layer in enumerate(model)]
        rows = decay_report(model, make(groups, weight_decay=0.2)).rows
        assert {row.decay.kind for row in rows} == {kind}
        assert [row.decay.lr for row in rows] == [0.1, 0.05, 0.025]
        if kind != "coupled and divided by the size of the gradient":
            assert [row.decay.rate for row in rows] == pytest.approx([0.02, 0.01, 0.005], 1e-9)


def test_a_decay_of_its_making_is_measured_in_every_group():
    class Made(Ignoring):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(1 - 0.5 * group["lr"])

    model = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(2))
    groups = [{"params": [layer.weight], "lr": 0.1 / 2**i} for i, layer in enumerate(model)]
    rows = decay_report(model, Made(groups, lr=0.1), n_steps=10).rows
    assert [row.decay.rate for row in rows] == pytest.approx([0.05, 0.025], 1e-9)
    assert [row.left for row in rows] == pytest.approx([0.95**10, 0.975**10], 1e-9)


def test_an_optimizer_may_have_no_lr():
    class Keyless(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"weight_decay": 0.1})

        @torch.no_grad()
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p.mul_(1 - self.param_groups[0]["weight_decay"])

    model = nn.Linear(2, 1, bias=False)
    report = decay_report(model, Keyless(model.parameters()), n_steps=3)
    (row,) = report.rows
    assert (row.lr, row.decay.kind, row.left) == (None, "decoupled without lr", pytest.approx(0.9**3, 1e-9))
    assert report.table().rows[0][4] == "-"


# Normalizations, by experiment.


class Invariant(nn.Module):
    """Of its weights, the first two are seen by a normalization alone; the last is of no use."""

    def __init__(self, norm):
        super().__init__()
        self.before = nn.Linear(4, 4, bias=False)
        self.norm = norm
        self.after, self.unused = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)

    def forward(self, x):
        return {"logits": [self.after(self.norm(self.before(x)))], "rows": len(x)}


NORMS = {
    "BatchNorm": lambda: nn.BatchNorm1d(4, affine=False),
    "LayerNorm": lambda: nn.LayerNorm(4, elementwise_affine=False),
    "RMSNorm": lambda: nn.RMSNorm(4, elementwise_affine=False),
    "nothing": nn.Tanh,
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("norm", NORMS)
def test_weights_in_front_of_a_normalization_are_found_by_experiment(norm, training):
    torch.manual_seed(0)
    model = Invariant(NORMS[norm]()).train(training)
    expected = [] if norm == "nothing" else [("note", "scale-invariant", ("before.weight",))]
    for inputs in (torch.randn(8, 4), (torch.randn(8, 4),), {"x": torch.randn(8, 4)}):
        assert found(model, AdamW(model.parameters()), inputs=inputs) == expected


def test_each_channel_in_front_of_a_normalization_counts():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.InstanceNorm2d(3), nn.Conv2d(3, 2, 2, bias=False)
    )
    expected = [("note", "scale-invariant", ("0.weight",))]
    assert found(model, AdamW(model.parameters()), inputs=torch.randn(2, 1, 6, 6)) == expected


@pytest.mark.parametrize(
    ("model", "inputs", "match"),
    [
        (
            nn.Linear(2, 1),
            torch.ones(3, 5),
            r"^inputs: model\(inputs\): mat1 and mat2 shapes cannot be multipl",
        ),
        (nn.Linear(2, 1), "text", r"^inputs: model\(inputs\): "),
        (
            nn.Linear(2, 1, device="meta"),
            torch.ones(3, 2),
            "^inputs need a model with values, and it has para",
        ),
    ],
)
def test_inputs_that_a_model_does_not_take_are_refused(model, inputs, match):
    with pytest.raises((ValueError, TypeError), match=match):
        decay_report(model, AdamW(model.parameters()), inputs=inputs)


def test_an_output_without_numbers_is_refused():
    class Words(nn.Linear):
        def forward(self, x):
            return "word"

    model = Words(2, 1)
    with pytest.raises(ValueError, match=r"^inputs must give an output with floating numbers, got str$"):
        decay_report(model, AdamW(model.parameters()), inputs=torch.ones(1, 2))


# Nothing of the caller's is touched.


def everything(model, optimizer, scheduler):
    """Return all that a report must leave alone, as bytes and objects that can be compared."""
    tensors = [*model.parameters(), *model.buffers()]
    return {
        "values": [(id(t), t._version, t.detach().numpy().tobytes()) for t in tensors],
        "gradients": [None if t.grad is None else (id(t.grad), t.grad.numpy().tobytes()) for t in tensors],
        "modes": [module.training for module in model.modules()],
        "needs": [t.requires_grad for t in tensors],
        "state": repr(optimizer.state_dict()),
        "defaults": repr(optimizer.defaults),
        "groups": [
            (id(group), list(group), list(map(id, group["params"]))) for group in optimizer.param_groups
        ],
        "scheduler": repr(scheduler.state_dict()),
        "generators": [torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()],
        "dtype": torch.get_default_dtype(),
        "gradients on": torch.is_grad_enabled(),
    }


class Drawing(nn.Sequential):
    """It draws numbers when it computes, and stops where it is told to."""

    fails = False

    def forward(self, x):
        random.random()
        if self.fails:
            raise RuntimeError("stop")
        return super().forward(x + torch.rand(()) + np.random.rand())


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_nothing_of_the_callers_is_touched(training, fails):
    torch.manual_seed(0)
    model = Drawing(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2)).train(training)
    model[2].train(not training)
    optimizer = AdamW(decay_groups(model, 0.1))
    scheduler = schedules.OneCycleLR(optimizer, 0.1, 50)
    for _ in range(3):
        model(torch.randn(8, 4)).sum().backward()
        optimizer.step()
        scheduler.step()
    hooked, inputs = [], torch.randn(8, 4)
    optimizer.register_step_pre_hook(lambda *_: hooked.append(1))
    before = everything(model, optimizer, scheduler)
    model.fails = fails
    settings = {"n_samples": 9, "batch_size": 2, "n_steps": 20, "scheduler": scheduler, "inputs": inputs}
    if fails:
        with pytest.raises(ValueError, match=r"^inputs: model\(inputs\): stop$"):
            decay_report(model, optimizer, **settings)
    else:
        assert decay_report(model, optimizer, **settings).rows[0].marks == ("scale-invariant",)
    after = everything(model, optimizer, scheduler)
    assert {name for name in after if after[name] != before[name]} == set()
    assert not hooked


def test_a_scheduler_that_fails_leaves_all_as_it_was():
    model = nn.Linear(2, 1)
    optimizer = AdamW(model.parameters())
    scheduler = schedules.LambdaLR(optimizer, lambda step: 1 / (3 - step))
    before = everything(model, optimizer, scheduler)
    with pytest.raises(ValueError, match=r"^scheduler: LambdaLR: division by zero$"):
        decay_report(model, optimizer, n_steps=5, scheduler=scheduler)
    assert everything(model, optimizer, scheduler) == before


def test_an_lr_that_is_a_tensor_stays_what_it_is():
    model = nn.Linear(2, 1, bias=False)
    lr = torch.tensor(0.01)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.1)
    scheduler = schedules.StepLR(optimizer, 1, 0.5)
    row = row_of(model, optimizer, n_steps=3, scheduler=scheduler)
    assert row.left == pytest.approx(math.prod(1 - 0.001 / 2**t for t in range(3)), 1e-6)
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == pytest.approx(0.01)


def test_a_billion_parameters_on_the_meta_device_take_seconds_and_no_memory():
    with torch.device("meta"):
        layers = [nn.TransformerEncoderLayer(2048, 16, 8192) for _ in range(20)]
        model = nn.Sequential(nn.Embedding(50_000, 2048), *layers)
    optimizer = grouped(model)
    began = time.perf_counter()
    scheduler = schedules.CosineAnnealingLR(optimizer, 20_000)
    report = decay_report(model, optimizer, n_steps=20_000, scheduler=scheduler)
    assert time.perf_counter() - began < 10
    assert sum(math.prod(row.shape) for row in report.rows) > 1e9
    assert {finding.severity for finding in report.findings} == {"note"}
    assert all(p.is_meta for p in model.parameters())


# What is shown.


class Long(nn.Module):
    def __init__(self):
        super().__init__()
        self.a_name_that_is_long_and_goes_on_for_ever = nn.ModuleList(nn.Linear(300, 300) for _ in range(4))
        self.another_of_them_that_is_as_long_as_the_first = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 1))


def test_a_report_has_a_line_for_like_parameters_and_fits_a_screen():
    model = Long()
    optimizer = AdamW(model.parameters(), lr=1.23456e-5)
    report = decay_report(model, optimizer, n_samples=10**6, batch_size=7, n_steps=10**9)
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 100
    table, *rest = str(report).split("\n\n")
    assert table == str(report.table())
    assert len(table.splitlines()) == 1 + 2 + 2
    assert table.splitlines()[1].split()[1:4] == ["5", "360k", "0"]
    assert rest[0].startswith("1. warning: decayed bias: a_name_that_is_long_and_goes_on_for_ever.0.bias,")
    assert "and 3 more" in rest[0].replace("\n   ", " ")
    assert (
        'Shown in "Why does the boundary drift?". Write: AdamW(decay_groups(model, 0.1), lr=1.23456e-05)'
        in rest[0]
    )
    assert repr(report) == str(report)


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999"), (2000, "2k"), (3_500_000, "3.5M"), (10**10, "10G")]
)
def test_numbers_are_counted_in_words_of_the_field(count, text):
    model = nn.Module()
    model.weight = nn.Parameter(torch.empty(count, device="meta"))
    assert decay_report(model, SGD(model.parameters())).table().rows[0][2] == text


@pytest.mark.parametrize(
    ("name", "decay", "group"),
    [("a bias", "decoupled", "0"), ("lost", "-", "none"), ("two optimizers", "decoupled", "0.0+1.0"),
     ("frozen with None", "frozen", "0"), ("ignored", "none", "0"), ("unmakeable", "unknown", "0"),
     ("Adam", "divided", "0"), ("without lr", "without lr", "0")],
)  # fmt: skip
def test_the_table_names_the_decay_and_the_group(name, decay, group):
    report = planted(name)
    cells = [dict(zip(report.table().head, row, strict=True)) for row in report.table().rows]
    assert (decay, group) in [(row["decay"], row["group"]) for row in cells]


def test_a_notebook_shows_two_tables():
    page = planted("LayerNorm")._repr_html_()
    assert page.count("<table") == 2
    for text in ("<caption>What decay reaches</caption>", "<caption>What to look at</caption>"):
        assert text in page
    assert html.escape('How equal is "the same"?') in planted("bfloat16")._repr_html_()
    model = nn.Linear(2, 1)
    assert decay_report(model, grouped(model))._repr_html_().endswith("<p>Nothing to look at.</p>")


def test_a_frame_has_a_line_for_each_parameter(monkeypatch):
    frames = types.SimpleNamespace(DataFrame=list)
    monkeypatch.setitem(sys.modules, "pandas", frames)
    weight, bias = decay_report(*FAULTS["a bias"][0](), n_steps=2).to_frame()
    assert weight["names"] == W
    assert (bias["decays"], bias["kind"], bias["why"]) == (
        True,
        "decoupled times lr",
        "bias: has to hold an offset",
    )
    assert bias["left"] == pytest.approx(0.999**2)
    lost = planted("lost").to_frame()[1]
    assert lost["kind"] is None
    old = planted("an old head").to_frame()[-1]
    assert old["why"] is None
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pandas"):
        planted("a bias").to_frame()


def test_the_book_shows_what_a_finding_says_it_shows(root):
    import nbformat

    titles = {
        nbformat.read(path, 4).cells[0].source.splitlines()[0].removeprefix("# ")
        for path in (root / "book").glob("*.ipynb")
    }
    chapters = {value for name, value in vars(_findings).items() if name.isupper() and isinstance(value, str)}
    assert chapters <= titles
    for name in FAULTS:
        for finding in planted(name).findings:
            assert finding.where in chapters
            assert finding.severity in _findings.SEVERITIES
            assert all((finding.what, finding.why, finding.fix, finding.parameters))


def test_findings_come_worst_first():
    model = nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 1), nn.Linear(2, 1))
    optimizer = AdamW([*model[0].parameters(), *model[1].parameters()])
    assert [severity for severity, *_ in found(model, optimizer)] == ["error", "warning", "note"]


# What is refused.


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"n_samples": 5}, ValueError, "^n_samples and batch_size must come together, got 5 and None$"),
        ({"batch_size": 5}, ValueError, "^n_samples and batch_size must come together, got None and 5$"),
        (
            {"scheduler": "cosine"},
            TypeError,
            "^scheduler must be a torch.*LRScheduler, got 'cosine'",
        ),
        ({"optimizer": []}, ValueError, "^optimizer must not be empty$"),
        ({"optimizer": [None]}, TypeError, "^optimizer must be a torch.optim.optimizer.Optimizer, got None$"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, error, match):
    model = nn.Linear(2, 1)
    with pytest.raises(error, match=match):
        decay_report(**{"model": model, "optimizer": AdamW(model.parameters())} | settings)


def test_a_scheduler_has_to_belong_to_the_optimizer_and_to_end():
    model = nn.Linear(2, 1)
    optimizer, other = AdamW(model.parameters()), AdamW(model.parameters())
    scheduler = schedules.StepLR(optimizer, 5)
    with pytest.raises(ValueError, match=r"^scheduler must be made on optimizer, got <"):
        decay_report(model, other, n_steps=5, scheduler=scheduler)
    with pytest.raises(ValueError, match=r"^scheduler needs n_steps"):
        decay_report(model, optimizer, scheduler=scheduler)
    with pytest.raises(ValueError, match=r"^n_steps must be at most 10,000,000 with a scheduler, got 1000"):
        decay_report(model, optimizer, n_steps=10_000_001, scheduler=scheduler)
    plateau = schedules.ReduceLROnPlateau(optimizer)
    with pytest.raises(TypeError, match=r"^scheduler: ReduceLROnPlateau: .*missing .*: 'metrics'$"):
        decay_report(model, optimizer, n_steps=5, scheduler=plateau)


def test_a_lazy_model_is_refused():
    model = nn.LazyLinear(1)
    with pytest.raises(ValueError, match=r"^model has no shape for 'weight' yet: run a forward pass first$"):
        decay_report(model, SGD(model.parameters()))


@pytest.mark.parametrize("name", ["lr", "weight_decay"])
def test_settings_that_are_no_numbers_are_refused(name):
    model = nn.Linear(2, 1)
    for value, error in (
        (math.nan, ValueError),
        (math.inf, ValueError),
        ("0.1", TypeError),
        ([0.1], TypeError),
    ):
        optimizer = AdamW(model.parameters())
        optimizer.param_groups[0][name] = value
        with pytest.raises(error, match=f"^optimizer must have a (finite|number as) {name}"):
            decay_report(model, optimizer)


# The command line.

MAKERS_FILE = """
import torch
from course_lib.groups import decay_groups

def clean():
    model = torch.nn.Linear(2, 1)
    return model, torch.optim.AdamW(decay_groups(model, 0.1), lr=0.01)

def biased():
    model = torch.nn.Linear(2, 1)
    return model, torch.optim.AdamW(model.parameters(), lr=0.01), {"n_steps": 10}

def divided():
    model = torch.nn.Linear(2, 1, bias=False)
    return model, torch.optim.Adam(model.parameters(), weight_decay=0.1)

def lost():
    model = torch.nn.Linear(2, 1)
    return model, torch.optim.AdamW([model.weight], lr=0.01)

def failing():
    raise RuntimeError("no data\\nhere")

def leaving():
    raise SystemExit(7)

def one():
    return torch.nn.Linear(2, 1)

def wrong():
    return torch.nn.Linear(2, 1), "SGD"

number = 3
"""


@pytest.fixture
def makers(tmp_path, monkeypatch):
    (tmp_path / "makers_of_models.py").write_text(MAKERS_FILE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "makers_of_models"
    sys.modules.pop("makers_of_models", None)


@pytest.mark.parametrize(
    ("maker", "options", "code"),
    [
        ("clean", [], 0),
        ("biased", [], 1),
        ("biased", ["--fail-on", "error"], 0),
        ("biased", ["--fail-on", "note"], 1),
        ("divided", [], 0),
        ("divided", ["--fail-on=note"], 1),
        ("lost", ["--fail-on", "error"], 1),
    ],
)
def test_the_command_prints_the_report_and_tells_by_its_code(makers, capsys, maker, options, code):
    assert report._main([f"{makers}:{maker}", *options]) == code
    out, err = capsys.readouterr()
    model, optimizer, *settings = getattr(importlib.import_module(makers), maker)()
    assert out == f"{decay_report(model, optimizer, **dict(*settings))}\n"
    assert err == ""


@pytest.mark.parametrize(
    ("maker", "message"),
    [
        ("no_such_module:clean", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("{}:nothing", "AttributeError: module '{}' has no attribute 'nothing'"),
        ("{}", "ValueError: must be package.module:function"),
        ("{}:", "ValueError: must be package.module:function"),
        (":clean", "ValueError: must be package.module:function"),
        ("{}:failing", "RuntimeError: no data here"),
        ("{}:leaving", "SystemExit: 7"),
        ("{}:one", "TypeError: must return a model and its optimizer, got Linear"),
        ("{}:wrong", "TypeError: optimizer must be a torch.optim.optimizer.Optimizer, got 'SGD'"),
        ("{}:number", "TypeError: 'int' object is not callable"),
    ],
)
def test_the_command_says_in_one_line_what_it_cannot_do(makers, capsys, maker, message):
    maker = maker.format(makers)
    assert report._main([maker]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"python -m course_lib.report: {maker}: {message.format(makers)}\n")


def test_the_command_knows_its_levels(makers, capsys):
    with pytest.raises(SystemExit) as left:
        report._main([f"{makers}:clean", "--fail-on", "panic"])
    assert left.value.code == 2
    assert "invalid choice: 'panic'" in capsys.readouterr().err


def test_the_file_is_the_command(makers, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [report.__file__, f"{makers}:biased"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(report.__file__, run_name="__main__")
    assert left.value.code == 1
    assert "1. warning: decayed bias: bias" in capsys.readouterr().out


def test_the_command_runs_in_the_folder_of_its_model(makers, tmp_path, root):
    command = [sys.executable, "-m", "course_lib.report", f"{makers}:biased"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (1, "")
    assert "1. warning: decayed bias: bias" in run.stdout
