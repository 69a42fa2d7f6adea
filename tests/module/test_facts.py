"""What a report knows of each parameter, against numbers by hand; nothing of the caller's is touched."""

import math
import random
import threading
import time
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as schedules

from course_lib import _facts
from course_lib.groups import Reason, decay_groups
from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.report import decay_report
from tests.planted import SGD, AdamW, Ignoring, W, found, grouped, planted, row_of

# Numbers, against those by hand.


def test_what_is_not_in_the_model_has_no_owner():
    assert [row.owner for row in planted("an old head").rows] == ["Linear", "Linear", ""]


def test_a_setting_that_is_a_list_may_stay_one():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.2)
    optimizer.param_groups[0]["betas"] = [0.8, 0.9]
    for row in decay_report(model, optimizer).rows:
        assert (row.problem, row.decay.rate) == ("", pytest.approx(0.02, 1e-9))
    assert optimizer.param_groups[0]["betas"] == [0.8, 0.9]


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


class ByNorm(Ignoring):
    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            assert not p.grad.is_sparse or p.grad.sparse_dim() == 1  # whole rows
            p.mul_(1 - self.param_groups[0]["lr"] * self.param_groups[0]["weight_decay"] * p.grad.norm())


@pytest.mark.parametrize(
    ("maker", "taken"),
    [
        (partial(SGDW, lr=0.1, weight_decay=0.5), 0.05),
        (partial(ProximalSGD, lr=0.2, weight_decay=0.5), 0.1),
        (partial(torch.optim.SGD, lr=0.1), 0.0),
        (partial(ByNorm, lr=0.1, weight_decay=0.5), 0.1),
    ],
)
def test_what_a_sparse_step_takes_of_a_row_that_its_gradient_leaves_out(maker, taken):
    model = nn.Embedding(9, 4, sparse=True, _weight=torch.ones(9, 4))
    (row,) = decay_report(model, maker(model.parameters())).rows
    assert row.unseen == pytest.approx(taken, abs=1e-12)
    optimizer = maker(model.parameters())
    model(torch.tensor([0])).sum().backward()
    optimizer.step()
    torch.testing.assert_close(model.weight[1:], torch.full((8, 4), 1 - taken))


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_an_optimizer_that_takes_no_sparse_gradient_says_why(kind):
    model = nn.Embedding(9, 4, sparse=True)
    optimizer = kind(model.parameters(), lr=0.1, weight_decay=0.5)
    (row,) = decay_report(model, optimizer).rows
    model(torch.tensor([0])).sum().backward()
    with pytest.raises(RuntimeError) as failure:
        optimizer.step()
    assert row.unseen == f"{kind.__name__}: {failure.value}"


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


MORE_SCHEDULES = {
    "warm-up and cosine": SCHEDULES["warm-up and cosine"][0],
    "a cycle of lr and momentum": lambda o: schedules.OneCycleLR(o, 0.05, N + 1),
    "restarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 30),
    "triangles": lambda o: schedules.CyclicLR(o, 0.01, 0.05, step_size_up=20),
    "a chain": lambda o: schedules.ChainedScheduler(
        [schedules.ConstantLR(o), schedules.ExponentialLR(o, 0.99)]
    ),
    "two": lambda o: [schedules.StepLR(o, 50, 0.5), schedules.ConstantLR(o)],
}


@pytest.mark.parametrize("name", MORE_SCHEDULES)
def test_what_is_left_is_what_training_without_a_gradient_leaves(name):
    model = nn.Linear(2, 1, bias=False).double()
    optimizer = SGD(model.parameters(), momentum=0.8, nesterov=True)
    scheduler = MORE_SCHEDULES[name](optimizer)
    row = row_of(model, optimizer, n_steps=N, scheduler=scheduler)
    start = model.weight.detach().clone()
    for _ in range(N):
        model.weight.grad = torch.zeros_like(start)
        optimizer.step()
        for each in scheduler if isinstance(scheduler, list) else [scheduler]:
            each.step()
    torch.testing.assert_close(model.weight.detach(), row.left * start, rtol=1e-9, atol=0)


def test_a_cycle_of_momentum_leaves_a_decoupled_decay_alone():
    model = nn.Linear(2, 1, bias=False)
    for make, n_steps in ((torch.optim.AdamW, 12_000), (partial(SGDW, momentum=0.9), N)):
        optimizer = make(model.parameters(), lr=0.01, weight_decay=0.1)
        scheduler = schedules.OneCycleLR(optimizer, 0.01, n_steps, pct_start=0.5, anneal_strategy="linear")
        row = row_of(model, optimizer, n_steps=n_steps, scheduler=scheduler)
        lrs = np.interp(range(n_steps), [0, n_steps / 2 - 1, n_steps - 1], [0.0004, 0.01, 0.0004e-4])
        assert row.left == pytest.approx(np.prod(1 - 0.1 * lrs), 1e-9)


def test_a_long_cycle_of_a_momentum_that_sees_the_decay_is_left_open():
    model = nn.Linear(2, 1, bias=False)
    optimizer = SGD(model.parameters(), momentum=0.9)
    scheduler = schedules.OneCycleLR(optimizer, 0.05, 10_001)
    assert row_of(model, optimizer, n_steps=10_001, scheduler=scheduler).left is None
    scheduler = schedules.CosineAnnealingLR(optimizer, 10_001)
    assert row_of(model, optimizer, n_steps=10_001, scheduler=scheduler).left is not None


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
    for factor, expected in ((0.0, [finding]), (0.001, [])):
        scheduler = schedules.StepLR(optimizer, N - 1, factor)
        assert found(model, optimizer, n_steps=N, scheduler=scheduler) == expected
    optimizer = SGDW(model.parameters(), 0.01, weight_decay=0.1, decay_times_lr=False)
    scheduler = schedules.CosineAnnealingLR(optimizer, N - 1)
    assert finding not in found(model, optimizer, n_steps=N, scheduler=scheduler)


def test_the_largest_lr_of_a_schedule_counts():
    """The first lr of this cycle is a 25th."""
    model = nn.Linear(2, 1, bias=False)
    optimizer = SGD(model.parameters(), lr=0.1, weight_decay=0.2)
    scheduler = schedules.OneCycleLR(optimizer, 10.0, 20, cycle_momentum=False)
    report = decay_report(model, optimizer, n_steps=10, scheduler=scheduler)
    assert (report.rows[0].lr, optimizer.param_groups[0]["lr"]) == (10.0, pytest.approx(0.4))
    (finding,) = report.findings
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
    assert (row.decay.kind, row.half_life, row.left, row.peak) == ("L1", None, None, None)
    row = row_of(model, SGD(model.parameters(), weight_decay=0.0))
    assert (row.half_life, row.left, row.decays) == (None, None, False)


def test_a_long_schedule_of_what_has_no_formula_is_left_open():
    model = nn.Linear(2, 1, bias=False)
    optimizer = ProximalSGD(model.parameters(), lr=0.1, weight_decay=0.1, norm=2)
    scheduler = schedules.LinearLR(optimizer, 1.0, 0.5, 5)
    assert row_of(model, optimizer, n_steps=10_001, scheduler=scheduler).left is None
    assert row_of(model, optimizer, n_steps=10_001).left == pytest.approx(1.01**-10_001, 1e-6)


def test_many_steps_without_a_schedule_are_not_gone_through():
    model = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-9, weight_decay=1e-3)
    assert row_of(model, optimizer, n_steps=10**12).left == pytest.approx(math.exp(-1), 1e-3)


@pytest.fixture
def few_steps(monkeypatch):
    """Let what is longer than nine steps be too long to run."""
    monkeypatch.setattr(_facts, "STEPS_TO_RUN", 9)


def test_a_long_schedule_of_a_decay_that_is_small_has_its_formula(few_steps):
    model = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-4)
    row = row_of(model, optimizer, n_steps=20, scheduler=schedules.StepLR(optimizer, 10, 0.5))
    assert 1 - row.left == pytest.approx(1.5e-7, 1e-6)


def test_a_long_schedule_does_not_matter_where_nothing_follows_it(few_steps):
    model = nn.Linear(2, 1, bias=False)
    for decay in (0.0, 0.1):
        optimizer = SGDW(model.parameters(), 0.01, weight_decay=decay, decay_times_lr=decay == 0)
        row = row_of(model, optimizer, n_steps=20, scheduler=schedules.StepLR(optimizer, 10, 0.5))
        assert row.left == pytest.approx((1 - decay) ** 20, 1e-9)


def test_as_many_steps_are_taken_as_may_be_and_no_more(few_steps):
    model = nn.Linear(2, 1)
    groups = [{"params": [model.weight]}, {"params": [model.bias]}]
    optimizer = ProximalSGD(groups, lr=0.1, weight_decay=0.1, norm=2)
    scheduler = schedules.StepLR(optimizer, 2, 0.5)
    row = row_of(model, optimizer, n_steps=4, scheduler=scheduler)
    assert row.left == pytest.approx(1.01**-2 * 1.005**-2, 1e-9)
    assert row_of(model, optimizer, n_steps=5, scheduler=scheduler).left is None


class Rising(schedules.LRScheduler):
    """It raises weight_decay from step to step, and leaves lr."""

    def get_lr(self):
        for group in self.optimizer.param_groups:
            group["weight_decay"] = 0.1 * (1 + self.last_epoch)
        return self.base_lrs


def test_a_schedule_of_weight_decay_is_taken_step_by_step(few_steps):
    model = nn.Linear(2, 1, bias=False)
    optimizer = AdamW(model.parameters())
    row = row_of(model, optimizer, n_steps=9, scheduler=Rising(optimizer))
    assert row.left == pytest.approx(math.prod(1 - 0.001 * t for t in range(1, 10)), 1e-9)
    assert row_of(model, optimizer, n_steps=10, scheduler=Rising(optimizer)).left is None


def test_a_schedule_that_changes_weight_decay_late_has_no_formula(few_steps):
    class Late(Rising):
        def get_lr(self):
            return super().get_lr() if self.last_epoch >= 12 else self.base_lrs

    model = nn.Linear(2, 1, bias=False)
    optimizer = AdamW(model.parameters())
    row = row_of(model, optimizer, n_steps=12, scheduler=Late(optimizer))
    assert row.left == pytest.approx((1 - 0.001) ** 12, 1e-9)
    assert row_of(model, optimizer, n_steps=13, scheduler=Late(optimizer)).left is None


def test_groups_of_one_kind_are_told_apart_by_their_numbers():
    model = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(3))
    for make, kind in (
        (torch.optim.Adam, "coupled and divided by the size of the gradient"),
        (ProximalSGD, "L1"),
        (Cautious, "cautious"),
        (partial(torch.optim.SGD, momentum=0.9), "coupled"),
    ):
        numbers = [{"lr": 0.1, "weight_decay": 0.2}, {"lr": 0.05}, {"weight_decay": 0.4}]
        groups = [{"params": [layer.weight], **own} for layer, own in zip(model, numbers, strict=True)]
        rows = decay_report(model, make(groups, lr=0.025, weight_decay=0.3)).rows
        assert {row.decay.kind for row in rows} == {kind}
        assert [row.decay.lr for row in rows] == [0.1, 0.05, 0.025]
        assert [row.decay.weight_decay for row in rows] == [0.2, 0.3, 0.4]
        if kind == "coupled and divided by the size of the gradient":
            assert [row.decay.rate for row in rows] == [None] * 3
        else:
            rates = np.array([0.02, 0.015, 0.01])
            assert [row.decay.rate for row in rows] == pytest.approx(rates, 1e-9)
            gathered = 10 if kind == "coupled" else 1
            assert [row.decay.long_run for row in rows] == pytest.approx(gathered * rates, 1e-9)


def test_groups_are_told_apart_by_their_momentum_and_by_their_optimizer():
    model = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(4))
    (a, b, c, d) = ([layer.weight] for layer in model)
    heavy = SGD([{"params": a, "momentum": 0.9}, {"params": b}])
    ignoring = Ignoring([{"params": c}, {"params": d, "weight_decay": 0.2}], lr=0.1, weight_decay=0.01)
    decays = [row.decay for row in decay_report(model, [heavy, ignoring]).rows]
    assert [(decay.kind, decay.momentum) for decay in decays] == [
        *(("coupled", True), ("coupled", False), ("none", None), ("none", None))
    ]
    assert [decay.rate for decay in decays] == pytest.approx([0.001, 0.001, 0.0, 0.0], 1e-9)


class Needing(torch.optim.SGD):
    def __init__(self, params, lr, weight_decay):
        super().__init__(params, lr, weight_decay=weight_decay)


def test_what_an_optimizer_asks_for_is_what_its_group_has():
    model = nn.Linear(2, 1, bias=False)
    row = row_of(model, Needing(model.parameters(), 0.1, 0.2))
    assert (row.problem, row.decay.rate) == ("", pytest.approx(0.02, 1e-9))
    row = row_of(model, torch.optim.AdamW(model.parameters(), 0.1, weight_decay=0.2, capturable=True))
    assert (row.problem, row.decay.rate) == ("", pytest.approx(0.02, 1e-9))


def test_a_problem_is_told_in_the_words_of_the_optimizer():
    assert planted("unmakeable").rows[0].problem == "'list' object has no attribute 'parameters'"


def test_what_the_author_marked_says_so():
    (row,) = planted("an author's mark").rows
    assert row.reason == Reason(False, "no_weight_decay() of Marked", "mark")


class Cautious(Ignoring):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(1 - group["lr"] * group["weight_decay"] * (p.grad * p > 0).double())


@pytest.mark.parametrize("base", [SGDW, ProximalSGD, Cautious])
def test_what_kind_of_decay_it_is_is_found_once_for_all_groups(base):
    made = []

    class Counted(base):
        def __init__(self, params, **settings):
            super().__init__(params, **settings)
            made.append(self)

    def made_for(n_groups):
        model = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(n_groups))
        numbers = [{"lr": 0.1 / 2**i, "weight_decay": 0.2 / 3**i} for i in range(n_groups)]
        groups = [{"params": [layer.weight], **own} for layer, own in zip(model, numbers, strict=True)]
        optimizer = Counted(groups)
        made.clear()
        decay_report(model, optimizer)
        return len(made)

    assert made_for(3) < 2 * made_for(1)


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
    note = "another weight_decay in param_groups changes nothing; what it takes is built in"
    assert [row.decay.note for row in rows] == [f"{note}; a weight that has no gradient is moved, too"] * 2


def test_an_optimizer_may_have_no_lr():
    class Keyless(torch.optim.Optimizer):
        def __init__(self, params, lr=1.0):
            super().__init__(params, {"weight_decay": 0.1 * lr})

        @torch.no_grad()
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p.mul_(1 - self.param_groups[0]["weight_decay"])

    model = nn.Linear(2, 1, bias=False)
    report = decay_report(model, Keyless(model.parameters()), n_steps=3)
    (row,) = report.rows
    assert (row.lr, row.decay.kind, row.left) == (None, "decoupled without lr", pytest.approx(0.9**3, 1e-9))
    assert report.table().rows[0][4] == "-"


def test_a_decay_in_some_steps_is_taken_step_by_step():
    class Third(Ignoring):
        @torch.no_grad()
        def step(self, closure=None):
            (p,) = self.param_groups[0]["params"]
            self.state[p]["t"] = self.state[p].get("t", 0) + 1
            if self.state[p]["t"] % 3 == 0:
                p.mul_(1 - self.param_groups[0]["lr"] * self.param_groups[0]["weight_decay"])

    model = nn.Linear(2, 1, bias=False)
    row = row_of(model, Third(model.parameters(), lr=0.1, weight_decay=0.1), n_steps=31)
    assert row.left == pytest.approx(0.99**10, 1e-9)
    assert row.time_constant == pytest.approx(300, 1e-6)


def test_a_decay_may_be_another_for_each_number_of_dimensions():
    class Sparing(Ignoring):
        @torch.no_grad()
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p.mul_(1 - self.param_groups[0]["lr"] ** 2 / p.ndim)

    model = nn.Conv2d(1, 1, 2)
    optimizer = Sparing(model.parameters(), lr=0.1, weight_decay=0.1)
    scheduler = schedules.StepLR(optimizer, 10, 0.5)
    weight, bias = decay_report(model, optimizer, n_steps=20, scheduler=scheduler).rows
    assert (weight.decay.rate, bias.decay.rate) == pytest.approx((0.0025, 0.01), 1e-9)
    assert weight.left == pytest.approx(0.9975**10 * 0.999375**10, 1e-9)
    assert bias.left == pytest.approx(0.99**10 * 0.9975**10, 1e-9)


def test_an_optimizer_that_fails_later_is_told():
    class Tired(Ignoring):
        @torch.no_grad()
        def step(self, closure=None):
            (p,) = self.param_groups[0]["params"]
            self.state[p]["step"] = self.state[p].get("step", 0) + 1
            if self.state[p]["step"] > 50:
                raise RuntimeError("enough")
            p.mul_(1 - self.param_groups[0]["lr"] ** 2 * self.param_groups[0]["weight_decay"])

    model = nn.Linear(2, 1, bias=False)
    report = decay_report(model, Tired(model.parameters(), lr=0.1, weight_decay=0.1), n_steps=60)
    assert report.rows[0].problem == "the step of Tired: enough"
    assert [finding.what for finding in report.findings] == ["not measured"]


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
@pytest.mark.parametrize("by_loss", [False, True])
def test_nothing_of_the_callers_is_touched(by_loss, training, fails):
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
    settings = {"n_samples": 9, "batch_size": 2, "n_steps": 20, "scheduler": scheduler}
    settings |= {"loss": lambda: model(inputs).sum()} if by_loss else {"inputs": inputs}
    if fails:
        with pytest.raises(ValueError, match=r"^(inputs: model\(inputs\)|loss: loss\(\)): stop$"):
            decay_report(model, optimizer, **settings)
    else:
        marks = () if by_loss else ("scale-invariant",)
        assert decay_report(model, optimizer, **settings).rows[0].marks == marks
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
    several = [schedules.StepLR(optimizer, 9), scheduler]
    with pytest.raises(ValueError, match=r"^scheduler: StepLR, LambdaLR: division by zero$"):
        decay_report(model, optimizer, n_steps=5, scheduler=several)


class Zeroing(schedules.StepLR):
    """It sets the parameters to zero whenever it is asked for lr."""

    def get_lr(self):
        for group in self.optimizer.param_groups:
            for p in group["params"]:
                p.data.zero_()
        return super().get_lr()


def test_a_scheduler_finds_no_parameter_that_it_could_change():
    model = nn.Linear(2, 1)
    optimizer = AdamW(model.parameters())
    scheduler = Zeroing(optimizer, 9)
    nn.init.ones_(model.weight)
    optimizer.step = lambda closure=None: None  # which torch would warn of
    decay_report(model, optimizer, n_steps=5, scheduler=scheduler)
    assert model.weight.tolist() == [[1.0, 1.0]]


def test_a_list_in_a_group_stays_what_it_is_and_what_cannot_be_copied_is_handed_on():
    class Noting(Ignoring):
        def step(self, closure=None):
            super().step(closure)
            self.param_groups[0]["seen"].append(1)

    model = nn.Linear(2, 1)
    optimizer = Noting(model.parameters(), lr=0.1, weight_decay=0.1)
    optimizer.param_groups[0] |= {"seen": [], "lock": threading.Lock()}
    assert {row.problem for row in decay_report(model, optimizer).rows} == {""}
    assert optimizer.param_groups[0]["seen"] == []


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
    began = time.process_time()
    scheduler = schedules.CosineAnnealingLR(optimizer, 20_000)
    report = decay_report(model, optimizer, n_steps=20_000, scheduler=scheduler)
    assert time.process_time() - began < 10
    assert sum(math.prod(row.shape) for row in report.rows) > 1e9
    assert {finding.severity for finding in report.findings} == {"note"}
    assert all(p.is_meta for p in model.parameters())
