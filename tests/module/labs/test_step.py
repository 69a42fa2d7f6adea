"""The lab on steps, against torch's optimizers by autograd."""

import re
from functools import partial
from inspect import signature
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch_optimizer

from course_lib import labs
from course_lib.optimizers import SGDW, ProximalSGD
from course_lib.penalties import l1_penalty, l2_penalty, soft_threshold
from tests.javascript import close, counted, moved, script

OPTIMIZERS = {
    "SGD": torch.optim.SGD,
    "penalty": torch.optim.SGD,
    "SGDW": SGDW,
    "SGDW without lr": partial(SGDW, decay_times_lr=False),
    "L1 subgradient": torch.optim.SGD,
    "L1 proximal": ProximalSGD,
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "tilt": torch_optimizer.SGDW,
}
PENALTIES = {"penalty": l2_penalty, "L1 subgradient": l1_penalty}
CURVATURE = torch.tensor([[2.0, 0.6], [0.6, 1.0]], dtype=torch.float64)
MINIMUM, DOWN = torch.tensor([[3.0, 0.4], [-1.0, -0.1]], dtype=torch.float64)
NUMBER = r"\u2212?(\d{1,3}\.\d{4}|\d{1,3}(\u202f\d{3})+)"
PAIR = rf"\({NUMBER}, {NUMBER}\)"


def loss_of_two_weights(w, setting, t):
    """Return the loss of the lab on steps, whose gradient it names, in step t = 1, 2, ..."""
    scale, kind = setting["gradient_scale"], setting["gradient"]
    if kind == "quadratic":
        away = w - MINIMUM
        return scale / 2 * (away @ CURVATURE @ away)
    signs = {"zero": 0, "constant": 1, "alternating": 1 if t % 2 else -1}
    return scale * signs[kind] * (w @ DOWN)


def stepped(rule, setting, weight_decay=None):
    """Return the weights after 0, 1, ... steps of torch's optimizers, up to one above 1e9, by autograd."""
    w = torch.nn.Parameter(torch.tensor(setting["start"][0], dtype=torch.float64))
    kind, momentum = OPTIMIZERS[rule], {"momentum": setting["momentum"]}
    shrunk = rule == "L1 proximal" and setting["momentum"] > 0  # which ProximalSGD does not have
    kind = torch.optim.SGD if shrunk else kind
    optimizer = kind([w], lr=setting["lr"], **momentum if "momentum" in signature(kind).parameters else {})
    (group,) = optimizer.param_groups
    path = [w.detach().clone()]
    while len(path) <= setting["n_steps"] and path[-1].abs().max() <= 1e9:
        t = len(path)
        changed = setting["change_at"] and t >= setting["change_at"]
        decay = setting["later_weight_decay" if changed else "weight_decay"]
        decay = decay if weight_decay is None else weight_decay
        group["weight_decay"] = 0.0 if shrunk or rule in PENALTIES else decay
        penalty = PENALTIES[rule]([w], decay) if rule in PENALTIES else 0.0
        optimizer.zero_grad()
        (loss_of_two_weights(w, setting, t) + penalty).backward()
        optimizer.step()
        if shrunk:
            w.data = soft_threshold(w.data, setting["lr"] * decay)
        path.append(w.detach().clone())
    return torch.stack(path).numpy()


WALKS = {
    "default": {},
    "bowl": {"gradient": "quadratic", "weight_decay": 0.5, "lr": 0.05},
    "bowl, momentum": {"gradient": "quadratic", "weight_decay": 0.3, "lr": 0.03, "momentum": 0.9},
    "faint bowl": {"gradient": "quadratic", "gradient_scale": 0.002, "weight_decay": 0.1, "start": [-1, 2]},
    "steep bowl": {"gradient": "quadratic", "gradient_scale": 1000.0, "weight_decay": 0.1, "lr": 0.01},
    "constant": {"gradient": "constant", "weight_decay": 0.7, "momentum": 0.5, "change_at": 77},
    "alternating": {"gradient": "alternating", "gradient_scale": 30.0, "momentum": 0.8},
    "growing": {"weight_decay": 2.5, "lr": 1.0, "change_at": 9, "later_weight_decay": 0.003},
}


@pytest.mark.parametrize("setting", WALKS.values(), ids=WALKS)
def test_walk_of_the_step_lab_is_that_of_torch(setting):
    lab = labs.step(**setting, n_steps=500)
    for rule in OPTIMIZERS:
        both = labs.Lab("step", lab.settings | {"left": rule, "right": rule}, lab.data)
        (path,) = script("step").run(both).values()
        close(path, stepped(rule, lab.settings), err_msg=rule)
        assert len(path) == 501 or rule not in ("Adam", "AdamW")


@pytest.mark.parametrize("name", ["bowl, momentum", "growing", "alternating"])
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_figure_of_the_step_lab_shows_the_walk_of_torch(rule, name):
    lab = labs.step(**WALKS[name], left=rule, right=rule)
    path = stepped(rule, lab.settings)
    plane, time, *_ = plt.gcf().axes
    (line,) = (line for line in plane.lines if line.get_label() == rule)
    close(np.transpose(line.get_data()), path)
    close(time.lines[0].get_data(), [range(len(path)), np.linalg.norm(path, axis=1)])


def test_step_lab_shows_what_chapter_3_says():
    lab = labs.step(weight_decay=0.5, lr=0.02, momentum=0.8, gradient="quadratic", n_steps=200)

    def facts(left, right, **setting):
        moved = lab.settings | {"left": left, "right": right} | setting
        return script("step").facts(labs.Lab("step", moved, lab.data))

    def weights(rule, other, **setting):
        return facts(rule, other, **setting)[f"{rule}: weights"]

    gap, adam = "largest gap of the paths", ("Adam", "AdamW")
    assert facts("SGD", "SGDW")[gap] == "0.6460"
    assert facts("SGD", "SGDW", momentum=0.0)[gap] == "none"
    for momentum in (0.0, 0.5, 0.8, 0.95):
        assert facts("SGD", "penalty", momentum=momentum)[gap] == "none"
    assert weights(*adam, gradient_scale=1e-3) == "(0.0124, 0.0046)"
    assert weights(*adam, gradient_scale=1e3) == "(2.9569, 0.4005)"
    assert len({weights("AdamW", "Adam", gradient_scale=scale) for scale in (1e-3, 1.0, 1e3)}) == 1
    for decay, zeros in ((1.0, 1), (0.5, 1), (0.4, 0), (0.1, 0)):
        told = facts("L1 subgradient", "L1 proximal", momentum=0.0, weight_decay=decay)
        assert told["L1 subgradient: exact zeros"] == "0 of 2"
        assert told["L1 proximal: exact zeros"] == f"{zeros} of 2"
    assert weights("tilt", "SGD", gradient="zero", n_steps=1) == "(0.9900, \N{MINUS SIGN}1.5100)"
    for pair in (("SGD", "SGDW"), ("SGDW", "SGD")):
        assert weights(*pair, change_at=100) == "(3.0000, 0.4000)"


@pytest.mark.parametrize("change_at", [1, 2, 3])
def test_step_lab_tells_of_a_decay_that_changes_in_the_first_steps(change_at):
    lab = labs.step(weight_decay=0.1, change_at=change_at, later_weight_decay=0.3, n_steps=2)
    assert script("step").facts(lab) == told_of_steps(lab)


def test_levels_and_plane_of_the_step_lab():
    run = script("step")
    for height in (0.25, 8):
        line = np.array(run("level(height)", height=height))
        close(line[0], line[-1])
        assert (np.ptp(line, axis=0) > np.sqrt(height)).all()
        for point in line:
            w = torch.tensor(point, dtype=torch.float64)
            close(loss_of_two_weights(w, {"gradient": "quadratic", "gradient_scale": 1}, 1), height)
    corners = [[-2, -2], [4, -2], [4, 2], [-2, 2]]
    assert all(run('control("start").read(text)', text=f"{x},{y}") == [[x, y]] for x, y in corners)
    for x, y in corners:
        labs.step(start=[x, y])
        for text in (f"{1.01 * x},{y}", f"{x},{1.01 * y}"):
            assert run('control("start").read(text) ?? null', text=text) is None
    looks = labs.step().data["looks"]
    ours, theirs = looks["SGD"]
    assert run("lookOf('SGD', { left: 'SGD', right: 'SGDW' }, looks)", looks=looks) == ours
    assert run("lookOf('Adam', { left: 'SGD', right: 'Adam' }, looks)", looks=looks) == theirs != ours
    assert run("lookOf('SGD', { left: 'SGD', right: 'Adam' }, looks)", looks=looks) == ours
    assert run("lookOf('SGD', { left: 'SGD', right: 'SGD' }, looks)", looks=looks) == ours


def test_paths_of_the_step_lab_have_no_gap_where_they_differ_by_rounding():
    gap = "gap([[size, 0]], [[size + apart * scale, 0]])"
    for size, scale in ((100.0, 100.0), (1.0, 1.0), (1e-3, 1e-3), (1e-5, 1e-3)):  # to be told from 0
        assert script("step")(gap, size=size, apart=0.9e-9, scale=scale) == "none"
        assert script("step")(gap, size=size, apart=1.1e-9, scale=scale) == "0.0000"


def test_step_lab_tells_numbers_at_every_end_of_its_controls():
    first, run = labs.step(), script("step")
    ends = run("lab.controls.map(({ name, values }) => [name, values?.[0], values?.at(-1)])")
    ends = {name: values for name, *values in ends if values[0] is not None}
    for name, (low, high) in ends.items():
        for value in (low, high):
            labs.step(**{name: value})
        for beyond in (low - 1e-4, high + 1):
            with pytest.raises((ValueError, TypeError), match=name):
                labs.step(**{name: beyond})
    corners = [dict(zip(ends, corner, strict=True)) for corner in product(*ends.values())]
    assert len(corners) == 2**7
    for i, corner in enumerate(corners):
        left = list(OPTIMIZERS)[i % 9]
        for gradient in ("constant", "quadratic"):
            setting = first.settings | corner | {"left": left, "right": left, "gradient": gradient}
            (weights, *others) = run.facts(labs.Lab("step", setting, first.data)).values()
            assert re.fullmatch(rf"{PAIR}|diverges: beyond 10⁹ in step [\d\u202f]+", weights), setting
            assert re.fullmatch(PAIR, others[0])
            assert others[1] in ("0 of 2", "1 of 2", "2 of 2")


def told_of_steps(lab):
    """Return what the lab on steps has to tell."""
    setting, facts = lab.settings, {}
    names = list(dict.fromkeys((setting["left"], setting["right"])))
    paths = {name: stepped(name, setting) for name in names}
    for name, path in paths.items():
        last = f"diverges: beyond 10⁹ in step {counted(len(path) - 1)}"
        facts[f"{name}: weights"] = vector(path[-1]) if abs(path[-1]).max() <= 1e9 else last
    for name in names:
        first = setting | {"n_steps": 1}
        facts[f"{name}: decay in step 1"] = vector(stepped(name, first)[1] - stepped(name, first, 0.0)[1])
    for name, path in paths.items():
        facts[f"{name}: exact zeros"] = f"{(path[-1] == 0).sum()} of 2"
    if len(names) > 1:
        one, other = paths.values()
        n = min(len(one), len(other))
        gap = abs(one[:n] - other[:n]).max()
        facts["largest gap of the paths"] = written(gap) if gap > 1e-9 * abs(one[:n]).max() else "none"
    return facts


def vector(weights):
    return f"({', '.join(written(w) for w in weights)})"


def written(w):
    text = counted(round(w)) if abs(w) >= 1000 else f"{w:.4f}"
    return text.replace("-0.0000", "0.0000").replace("-", "\N{MINUS SIGN}")


def test_step_lab_tells_at_each_setting_what_course_lib_computes():
    for lab in moved(labs.step):
        assert script("step").facts(lab) == told_of_steps(lab), lab.settings


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("weight_decay", 3.01),
        ("weight_decay", -0.1),
        ("lr", 0.0009),
        ("lr", 1.01),
        ("momentum", 0.991),
        ("gradient", "noise"),
        ("gradient_scale", 0.0009),
        ("gradient_scale", 1001.0),
        ("n_steps", 0),
        ("n_steps", 1001),
        ("change_at", -1),
        ("change_at", 1001),
        ("later_weight_decay", 3.01),
        ("left", "Adagrad"),
        ("right", ""),
        ("start", [1.0]),
        ("start", [[1.0, 2.0]]),
        ("start", [4.1, 0.0]),
        ("start", [-2.1, 0.0]),
        ("start", [0.0, 2.1]),
        ("start", [0.0, -2.1]),
    ],
)
def test_step_lab_refuses_what_its_controls_do_not_reach(argument, value):
    with pytest.raises(ValueError, match=argument):
        labs.step(**{argument: value})


def test_step_lab_writes_a_thousand_without_decimals():
    told = [script("step")("magnitude(w)", w=w) for w in (999.9, 1000)]
    assert told == ["999.9000", counted(1000)]
