import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import parity as module
from course_lib import rules, scratch
from course_lib.optimizers import SGDW
from course_lib.parity import TOLERANCE, Run, grid, parity
from course_lib.scratch import linear_descent

RUNS = grid()
ROWS = {runs[0].rule: runs for runs in (RUNS[first : first + 12] for first in range(0, 288, 12))}


def test_the_tolerances_are_a_few_hundred_units_of_rounding():
    for dtype, tolerance in TOLERANCE.items():
        assert 100 < tolerance / torch.finfo(dtype).eps < 500


def test_the_grid_is_complete():
    memories = ["μ=0", "μ=0.9", "μ=0.9 nesterov", "μ=0.9 τ=0.5"]
    rules = [f"{name} {memory}" for name in ("SGD", "SGDW") for memory in memories]
    rules += [f"{name} {memory}" for name in ("Adam", "AdamW") for memory in ("β1=0", "β1=0.9")]
    assert list(ROWS) == [f"{rule} λ={decay}" for rule in rules for decay in ("0", "0.1")]
    setups = [
        (dtype, reduction, size)
        for dtype in ("float32", "float64")
        for reduction in ("mean", "sum")
        for size in ("1", "7", "all")
    ]
    assert all([run.setup for run in runs] == setups for runs in ROWS.values())
    assert all({run.rule for run in runs} == {rule} for rule, runs in ROWS.items())
    assert len(set(RUNS)) == len(RUNS) == 288
    assert grid() == RUNS
    assert {run.betas for run in RUNS} == {(0.0, 0.999), (0.9, 0.999)}


def test_the_names_of_a_run_are_its_settings():
    run = Run("SGD", 0.9, dampening=0.5, weight_decay=0.1, dtype=torch.float32, reduction="sum", batch_size=7)
    assert (run.rule, run.setup) == ("SGD μ=0.9 τ=0.5 λ=0.1", ("float32", "sum", "7"))
    run = Run("AdamW", betas=(0.5, 0.9), weight_decay=0.01)
    assert (run.rule, run.setup) == ("AdamW β1=0.5 λ=0.01", ("float64", "mean", "all"))
    assert Run("SGDW", 0.8, nesterov=True).rule == "SGDW μ=0.8 nesterov λ=0"


def test_no_run_of_the_grid_has_settings_that_mean_nothing():
    for run in RUNS:
        if run.nesterov:
            assert run.momentum > 0
            assert run.dampening == 0
        if run.dampening:
            assert run.momentum > 0
        if run.optimizer.startswith("SGD"):
            assert run.betas == Run().betas
        else:
            assert (run.momentum, run.nesterov, run.dampening) == (0, False, 0)
        assert run.betas[1] == 0.999


def test_another_decay_makes_other_rows():
    runs = grid([0.3])
    assert [run.rule for run in runs[::12]] == [rule.replace("λ=0.1", "λ=0.3") for rule in list(ROWS)[1::2]]
    assert {run.weight_decay for run in runs} == {0.3}
    assert grid(torch.tensor([0.0, 0.5]))[12].weight_decay == 0.5


def test_a_run_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Run().momentum = 0.9


@pytest.fixture
def compared(monkeypatch):
    """What `parity` hands to `compare`: by hand and by torch."""
    pairs = []

    def compare(a, b, compare=module.compare):
        pairs.append((np.asarray(a), np.asarray(b)))
        return compare(a, b)

    monkeypatch.setattr(module, "compare", compare)
    return pairs


@pytest.mark.parametrize("rule", ROWS)
def test_every_run_of_a_row_agrees_at_every_step_on_a_path_that_moves_and_stays_of_order_one(rule, compared):
    assert len(ROWS[rule]) == 12
    too_large = {}
    for run in ROWS[rule]:
        found = parity(run)
        if found.max_abs > TOLERANCE[run.dtype]:
            too_large[run.setup] = found.max_abs
        by_hand, by_torch = compared.pop()
        assert found == module.compare(by_hand, by_torch)
        compared.clear()
        assert by_hand.shape == by_torch.shape == (60, 4, 2)
        assert by_hand.dtype == by_torch.dtype == np.dtype(run.setup[0])
        assert 1 < np.abs(by_torch).max() < 10
        assert (np.abs(by_torch[-1] - by_torch[0]).max(axis=1) > 1e-2).all()
        assert (np.diff(by_torch, axis=0) != 0).any(axis=(1, 2)).all()
    assert too_large == {}


@pytest.mark.parametrize(
    ("batch_size", "n_steps", "expected"),
    [(1, 30, 30), (1, 31, 45), (7, 30, 30), (7, 4, 6), (None, 5, 5), (99, 5, 5), (14, 5, 6)],
)
def test_the_last_epoch_is_completed(batch_size, n_steps, expected, compared):
    parity(Run(batch_size=batch_size), n_steps=n_steps)
    assert [len(path) for path in compared[0]] == [expected, expected]


def test_data_and_start_depend_on_the_seed_alone(compared):
    first, again, other = (parity(Run(), seed=seed) for seed in (3, 3, 0))
    assert first == again != other
    assert parity(Run()) == first
    assert np.abs(compared[0][1] - compared[2][1]).max() > 0.1


def test_the_data_are_of_order_one_and_linear_but_for_noise():
    X, Y, start = module._problem(3)
    residuals = Y - (Z := torch.cat([X, torch.ones(15, 1)], dim=1)) @ torch.linalg.lstsq(Z, Y).solution
    assert 0.05 < residuals.square().mean().sqrt() < 0.15
    assert all(1 < tensor.abs().max() < 5 for tensor in (X, Y, start))


def test_both_dtypes_train_on_the_same_data(compared):
    parity(Run(dtype=torch.float32))
    parity(Run(dtype=torch.float64))
    np.testing.assert_allclose(compared[0][1], compared[1][1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("momentum", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_torch_with_weights_multiplied_is_the_sgdw_of_the_course(momentum, compared):
    """With the data of the module, which are private, and the groups of torch."""
    run = Run("SGDW", weight_decay=0.1, batch_size=7, **momentum)
    parity(run)
    X, Y, start = module._problem(3)
    model = torch.nn.Linear(3, 2, dtype=torch.float64)
    model.weight.data, model.bias.data = start[:-1].T.clone(), start[-1].clone()
    groups = [{"params": [model.weight], "weight_decay": 0.1}, {"params": [model.bias]}]
    optimizer = SGDW(groups, lr=module.LR, **momentum)
    for _ in range(20):
        for rows in (slice(0, 7), slice(7, 14), slice(14, 15)):
            optimizer.zero_grad()
            torch.nn.MSELoss()(model(X[rows]), Y[rows]).backward()
            optimizer.step()
    end = torch.cat([model.weight.T, model.bias[None]]).detach().numpy()
    np.testing.assert_allclose(end, compared[0][1][-1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("optimizer", ["SGD", "SGDW"])
def test_on_a_sum_sgd_takes_the_steps_of_the_mean_and_a_smaller_decay(optimizer, compared):
    """Of batches that are all of one size, its learning rate makes up for the larger gradient."""
    for weight_decay, reduction in ((0.0, "mean"), (0.0, "sum"), (3.0, "mean"), (90.0, "sum")):
        parity(Run(optimizer, 0.9, weight_decay=weight_decay, reduction=reduction))
    ends = [by_torch for _, by_torch in compared]
    np.testing.assert_allclose(ends[0], ends[1], rtol=0, atol=1e-13)
    np.testing.assert_allclose(ends[2], ends[3], rtol=0, atol=1e-13)


@pytest.mark.parametrize("optimizer", ["Adam", "AdamW"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_first_step_of_adam_is_its_rate_whatever_the_reduction(optimizer, reduction, compared):
    parity(Run(optimizer, reduction=reduction), n_steps=1)
    *_, start = module._problem(3)
    np.testing.assert_allclose(np.abs(compared[0][1] - start.numpy()), 0.01, rtol=1e-6)


SGD, ADAM = rules.sgd, rules.adam


def damped_first_step(G, V, **options):
    return SGD(G, np.zeros_like(G) if V is None else V, **options)


def without_bias_correction(G, state, *, betas, eps):
    _, (t, M, S) = ADAM(G, state, betas=betas, eps=eps)
    return M / (np.sqrt(S) + eps), (t, M, S)


def settings_of_its_own(**changes):
    """Return a `linear_descent` some of whose settings are computed from those it is given."""

    def changed(*data, **options):
        return linear_descent(*data, **options | {name: change(options) for name, change in changes.items()})

    return module, "linear_descent", changed


OWN = settings_of_its_own
PLAIN = {"momentum": lambda _: 0.0, "dampening": lambda _: 0.0, "nesterov": lambda _: False}
DECAYED = list(ROWS)[1::2]
# What is broken by hand, and the rows that have to show it: those with all of the first words and none of
# the second.
BROKEN = {
    "the first step is dampened": ((scratch, "sgd", damped_first_step), ["τ"], []),
    "no dampening": (OWN(dampening=lambda _: 0.0), ["τ"], []),
    "dampening": (OWN(dampening=lambda _: 0.5), ["SGD", "μ=0.9"], ["τ", "nesterov"]),
    "no Nesterov": (OWN(nesterov=lambda _: False), ["nesterov"], []),
    "Nesterov": (OWN(nesterov=lambda _: True), ["μ=0.9"], ["τ", "nesterov"]),
    "no momentum": (OWN(**PLAIN), ["μ=0.9"], []),
    "the biases are decayed": (OWN(decay_bias=lambda _: True), [], []),
    "no decay": (OWN(weight_decay=lambda _: 0.0), [], []),
    "a penalty without the 1/2": (OWN(weight_decay=lambda o: 2 * o["weight_decay"]), [], []),
    "a decay not multiplied by lr": (OWN(weight_decay=lambda o: o["weight_decay"] / o["lr"]), ["W"], []),
    "coupled Adam": (OWN(optimizer=lambda _: "Adam"), ["AdamW"], []),
    "decoupled Adam": (OWN(optimizer=lambda _: "AdamW"), ["Adam"], ["AdamW"]),
    "coupled SGD": (OWN(optimizer=lambda _: "SGD"), ["SGDW", "μ=0.9"], []),
    "decoupled SGD": (OWN(optimizer=lambda _: "SGDW"), ["SGD", "μ=0.9"], ["SGDW"]),
    "no bias correction": ((scratch, "adam", without_bias_correction), ["Adam"], []),
    "another beta1": (OWN(betas=lambda o: (0.5, 0.999)), ["Adam"], []),
    "another beta2": (OWN(betas=lambda o: (o["betas"][0], 0.9)), ["Adam"], []),
    "the other reduction": (
        OWN(reduction=lambda o: {"mean": "sum", "sum": "mean"}[o["reduction"]], lr=lambda o: o["lr"] / 100),
        [],
        [],
    ),
}


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (error, rule)
        for error, (_, words, others) in BROKEN.items()
        for rule in DECAYED
        if all(word in rule for word in words) and not any(word in rule for word in others)
    ],
)
def test_a_broken_rule_is_seen_by_orders_of_magnitude(error, rule, monkeypatch):
    monkeypatch.setattr(*BROKEN[error][0])
    for run in ROWS[rule][::5]:
        gap = parity(run).max_abs
        assert gap > 20 * TOLERANCE[run.dtype], (run, gap)
        if run.dtype == torch.float64:
            assert gap > 1e9 * TOLERANCE[run.dtype], (run, gap)


@st.composite
def runs(draw):
    """Draw a run that is not on the grid."""
    optimizer = draw(st.sampled_from(["SGD", "SGDW", "Adam", "AdamW"]))
    memory = {}
    if optimizer in ("SGD", "SGDW"):
        memory["momentum"] = draw(st.just(0.0) | st.floats(0.01, 0.95))
        memory["nesterov"] = memory["momentum"] > 0 and draw(st.booleans())
        memory["dampening"] = 0.0 if memory["nesterov"] else draw(st.floats(0.0, 1.0))
    else:
        memory["betas"] = draw(st.floats(0.0, 0.95)), draw(st.floats(0.95, 0.999))
    return Run(
        optimizer,
        **memory,
        weight_decay=draw(st.floats(0.0, 1.0)),
        dtype=draw(st.sampled_from([*TOLERANCE])),
        reduction=draw(st.sampled_from(["mean", "sum"])),
        batch_size=draw(st.none() | st.integers(1, 20)),
    )


@given(run=runs(), n_steps=st.integers(1, 60))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_runs_between_those_of_the_grid_agree_too(run, n_steps):
    assert parity(run, n_steps=n_steps).max_abs <= TOLERANCE[run.dtype]
