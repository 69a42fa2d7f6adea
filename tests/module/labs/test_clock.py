"""The lab on the clock, against torch's optimizers and schedulers."""

import math
from decimal import ROUND_HALF_UP, Decimal
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from course_lib import labs
from course_lib.optimizers import SGDW
from course_lib.probe import coast
from tests.javascript import close, counted, moved, script


def scheduled(optimizer, schedule, n):
    """Return a scheduler of torch for n steps."""
    torch_lr, warm = torch.optim.lr_scheduler, math.ceil(n / 10)
    if schedule == "constant":
        return torch_lr.ConstantLR(optimizer, factor=1.0)
    if schedule == "cosine":
        return torch_lr.CosineAnnealingLR(optimizer, T_max=n)
    if schedule == "linear":
        return torch_lr.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=n)
    up = torch_lr.LinearLR(optimizer, start_factor=1 / warm, total_iters=warm - 1)
    down = torch_lr.CosineAnnealingLR(optimizer, T_max=n - warm)
    return torch_lr.SequentialLR(optimizer, [up, down], milestones=[warm])


def two(lab):
    """Return the settings of the lab on the clock, and those with the larger batch."""
    setting, times = lab.settings, {"1": 1, "sqrt k": lab.settings["k"] ** 0.5, "k": lab.settings["k"]}
    larger = {
        "batch_size": setting["batch_size"] * setting["k"],
        "lr": setting["lr"] * times[setting["lr_times"]],
        "weight_decay": setting["weight_decay"] * times[setting["weight_decay_times"]],
    }
    return setting, setting | larger


def maker(setting):
    """Return what makes torch's optimizer, or SGDW, of parameters."""
    kinds = {
        "SGD": torch.optim.SGD,
        "AdamW": torch.optim.AdamW,
        "without lr": partial(SGDW, decay_times_lr=False),
    }
    return partial(kinds[setting["optimizer"]], lr=setting["lr"], weight_decay=setting["weight_decay"])


def faded(setting):
    """Return a weight after each step in float64, the same in bfloat16, and the lr of each step."""
    n = setting["n_epochs"] * len(DataLoader(range(setting["n_samples"]), setting["batch_size"]))
    weights = [torch.nn.Parameter(torch.ones(1, dtype=dtype)) for dtype in (torch.float64, torch.bfloat16)]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    optimizer = maker(setting)(weights)
    scheduler, path = scheduled(optimizer, setting["schedule"], n), []
    for _ in range(n):
        path.append([optimizer.param_groups[0]["lr"], *(weight.item() for weight in weights)])
        optimizer.step()
        scheduler.step()
    lrs, exact, kept = np.array([*path, [0, *(weight.item() for weight in weights)]]).T
    if setting["optimizer"] == "SGD":
        kept = stepped_in_bfloat16(lrs[:-1], setting["weight_decay"])
    return exact, kept, lrs[:-1]


def stepped_in_bfloat16(lrs, weight_decay):
    """Return a weight in bfloat16 after each step of SGD that rounds what it stores.

    Torch's own rounds lr as well, on a CPU, and for a single weight the product, too.
    """
    weight, path = torch.ones(1, dtype=torch.bfloat16), [1.0]
    for lr in lrs:
        gradient = (weight_decay * weight.double()).to(torch.bfloat16)
        weight = (weight.double() - lr * gradient.double()).to(torch.bfloat16)
        path.append(weight.item())
    return np.array(path)


CLOCKS = [
    {"optimizer": optimizer, "schedule": schedule} | setting
    for optimizer in ("SGD", "AdamW", "without lr")
    for schedule in ("constant", "cosine", "linear", "warm-up, cosine")
    for setting in (
        {"lr": 0.1, "weight_decay": 0.03, "lr_times": "k", "n_samples": 1000},
        {"lr": 0.8, "weight_decay": 0.005, "weight_decay_times": "k", "n_samples": 999, "n_epochs": 9},
        {
            "lr": 0.3,
            "weight_decay": 0.06,
            "lr_times": "sqrt k",
            "weight_decay_times": "sqrt k",
            "n_epochs": 1,
        },
        {"lr": 1.0, "weight_decay": 0.9, "lr_times": "k", "k": 2, "n_samples": 150, "n_epochs": 2},
    )
]


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("setting", CLOCKS, ids=lambda setting: " ".join(map(str, setting.values())))
def test_weights_of_the_clock_lab_are_those_of_torch(setting):
    lab = labs.clock(**setting)
    drawn = [line.get_xydata() for ax in plt.gcf().axes for line in ax.lines[:2]]
    for i, (run, one) in enumerate(zip(script("clock").run(lab), two(lab), strict=True)):
        exact, kept, lrs = faded(one)
        steps = [step for step, *_ in run["path"]]
        every = math.ceil(len(lrs) / 240)
        assert steps == [0, *range(every, len(lrs), every), len(lrs)]
        assert run["steps"] == len(lrs)
        close([weight for _, weight, _ in run["path"]], exact[steps])
        assert [weight for *_, weight in run["path"]] == kept[steps].tolist()
        assert run["moved"] == (np.diff(kept) != 0).nonzero()[0].max(initial=-1) + 1
        decays = np.ones(len(lrs)) if setting["optimizer"] == "without lr" else lrs
        close(run["area"], decays.sum() * one["weight_decay"])
        last = (np.maximum(abs(exact), abs(kept)) <= 1).cumprod().sum() - 1
        for path, figure in ((exact, drawn[i]), (kept, drawn[2 + i])):
            at = np.rint(figure[:, 0] * len(lrs) / one["n_epochs"]).astype(int)
            assert at.tolist() == [*range(0, last, every), last]
            close(figure[:, 1], path[at])


def test_clock_lab_follows_a_weight_up_to_its_bound_and_a_million_steps():
    setting = {"n_samples": 80_000, "batch_size": 8, "n_epochs": 100, "lr": 0.01, "weight_decay": 0.001}
    lab = labs.clock(**setting, optimizer="without lr")
    first, second = script("clock").run(lab)
    assert [first["steps"], second["steps"]] == [10**6, 125_000]
    np.testing.assert_allclose(second["path"][-1][1], (1 - 0.001) ** 125_000, rtol=1e-9)
    assert first["path"][-1][::2] == [10**6, 1.0]
    assert 0 <= first["path"][-1][1] < 1e-300
    for k, sign in ((8, 1), (10, -1)):  # of the weight that is beyond
        lab = labs.clock(lr=1.0, weight_decay=1.0, lr_times="k", k=k, n_epochs=3)
        exact, kept, _ = faded(two(lab)[1])
        _, grown = script("clock").run(lab)
        for column, path in ((1, exact), (2, kept)):
            beyond = (abs(path) > 1e6).argmax()
            assert np.sign(path[beyond]) == sign
            assert grown["path"][-1][column] == path[beyond] == grown["path"][beyond][column]


def test_bfloat16_in_javascript_is_that_of_torch():
    random = np.random.default_rng(0)
    values = random.normal(size=4000) * 10.0 ** random.integers(-42, 38, size=4000)
    patterns = torch.arange(0x7F7F, dtype=torch.int16)
    bfloats = patterns.view(torch.bfloat16).double()
    ties = (bfloats[:-1] + bfloats[1:]) / 2
    beside = [ties * (1 + sign * 2.0**-22) for sign in (-1, 1)]
    for numbers in (torch.from_numpy(values), bfloats, -ties, *beside):
        found = script("clock")("numbers.map(bfloat16)", numbers=numbers.tolist())
        assert list(map(float, found)) == numbers.to(torch.bfloat16).double().tolist()
    assert script("clock")("[bfloat16(3.4e38), bfloat16(-3.4e38)].map(String)") == ["Infinity", "-Infinity"]


def test_axes_of_the_clock_lab_hold_a_weight_that_changes_its_sign():
    run, first = script("clock"), labs.clock().settings
    for setting, least in (
        ({}, 0),
        ({"lr": 1, "weight_decay": 1}, 0),  # to zero in one step
        ({"lr": 1, "weight_decay": 1, "lr_times": "sqrt k"}, -1),
        ({"weight_decay": 1, "optimizer": "without lr", "weight_decay_times": "k", "n_epochs": 7}, -1),
    ):
        settings = first | setting
        found = run("lab.plots.map((plot) => plot(settings)).map(({ x, y }) => [x, y])", settings=settings)
        assert found == 2 * [[[0, settings["n_epochs"]], [least, 1]]]


def test_times_of_the_clock_lab_are_short():
    times = [0, 0.12345, 999.4, 1000, 123_456, math.inf]
    told = ["0", "0.123", "999", counted(1000), counted(123_000), "none"]
    assert script("clock")("times.map((x) => amount(x ?? Infinity))", times=[*times[:-1], None]) == told


def plain(number, digits=4):
    """Return a number with so many digits as JavaScript writes it; of two, the one further from zero."""
    if number == 0:
        return "0"
    exact = Decimal(number)
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() + 1 - digits), ROUND_HALF_UP).normalize()
    if rounded.adjusted() >= -6:
        return f"{rounded:f}"
    mantissa, exponent = f"{rounded:e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def amount(number):
    if not 0 <= number < math.inf:
        return "none"
    text = plain(number, digits=3)
    return text if number < 1000 else counted(int(text))


def told_of_a_clock(lab):
    """Return what the lab on the clock has to tell."""
    runs, facts = two(lab), {}
    alone = lab.settings["optimizer"] == "without lr"
    decay, area = ("λ", "λ × steps") if alone else ("lr λ", "λ × area under lr")
    paths = [faded(one) for one in runs]
    batches = [counted(one["batch_size"]) for one in runs]
    per_epoch = [len(DataLoader(range(one["n_samples"]), one["batch_size"])) for one in runs]
    rates = [one["weight_decay"] * (1 if alone else one["lr"]) for one in runs]
    taus = [1 / rate if rate else math.inf for rate in rates]
    halves = []
    for one in runs:
        left = abs(coast(maker(one), torch.ones(1, dtype=torch.float64)).item())
        halves.append(0 if left == 0 else math.inf if left >= 1 else math.log(0.5, left))
    areas = [
        sum(np.ones_like(lrs) if alone else lrs) * one["weight_decay"]
        for one, (*_, lrs) in zip(runs, paths, strict=True)
    ]
    pairs = {
        "batch": batches,
        "steps per epoch": map(counted, per_epoch),
        decay: map(plain, rates),
        f"exp(−{area})": [plain(math.exp(-area)) for area in areas],
        f"1/{decay if alone else f'({decay})'}, steps": map(amount, taus),
        f"1/{decay if alone else f'({decay})'}, epochs": map(amount, np.divide(taus, per_epoch)),
        "half-life, steps": map(amount, halves),
        "half-life, epochs": map(amount, np.divide(halves, per_epoch)),
    }
    facts = {what: " → ".join(both) for what, both in pairs.items()}
    for batch, (exact, kept, _) in zip(batches, paths, strict=True):
        stands, beyond = (
            (np.diff(kept) != 0).nonzero()[0].max(initial=-1) + 1,
            [(abs(path) > 1e6).any() or np.isnan(path).any() for path in (exact, kept)],
        )
        facts[f"left, batch of {batch}"] = "diverges" if beyond[0] else plain(exact[-1])
        facts[f"left in bfloat16, batch of {batch}"] = (
            "diverges"
            if beyond[1]
            else f"{plain(kept[-1])} since step {counted(stands)}"
            if stands
            else "1: no step moves it"
        )
    return {
        what: text if "exp" in what else text.replace("-", "\N{MINUS SIGN}", text.startswith("-"))
        for what, text in facts.items()
    }


def test_clock_lab_tells_at_each_setting_what_course_lib_computes():
    for lab in moved(labs.clock):
        assert script("clock").facts(lab) == told_of_a_clock(lab), lab.settings


BEYOND = {
    "n_samples": (99, 80_001),
    "batch_size": (7, 4097),
    "lr": (9e-6, 1.01),
    "weight_decay": (-0.1, 1.01),
    "n_epochs": (0, 101),
    "k": (1, 65),
}


@pytest.mark.parametrize(("argument", "value"), [(name, value) for name in BEYOND for value in BEYOND[name]])
def test_clock_lab_refuses_what_its_controls_do_not_reach(argument, value):
    with pytest.raises(ValueError, match=argument):
        labs.clock(**{argument: value})
    assert script("clock")("control(name).read(String(value)) ?? null", name=argument, value=value) is None


def test_clock_lab_shows_what_chapter_2_says():
    lab = labs.clock(lr=0.02, weight_decay=0.1)

    def facts(**setting):
        return script("clock").facts(labs.Lab("clock", lab.settings | setting, lab.data))

    def left(told, batch):
        return float(told[f"left, batch of {batch}"])

    keeping = [
        (lr, decay)
        for lr in ("1", "sqrt k", "k")
        for decay in ("1", "sqrt k", "k")
        for told in [facts(lr_times=lr, weight_decay_times=decay)]
        if abs(left(told, 16) / left(told, 128) - 1) < 0.03
    ]
    assert keeping == [("1", "k"), ("sqrt k", "sqrt k"), ("k", "1")]
    falling, shorter = facts(schedule="cosine"), facts(n_epochs=lab.settings["n_epochs"] // 2)
    for batch in (16, 128):
        assert abs(left(falling, batch) - left(shorter, batch)) < 1e-3
    told = facts(lr=1e-3, weight_decay=1e-2)
    assert {told[f"left in bfloat16, batch of {batch}"] for batch in (16, 128)} == {"1: no step moves it"}


def test_clock_lab_draws_a_weight_that_grows_up_to_where_it_exceeds_one():
    lab = labs.clock(lr=1.0, weight_decay=1.0, k=np.int64(64), lr_times="k", weight_decay_times="k")
    (_, small), (_, large) = (line.get_xydata().T for line in plt.gcf().axes[0].lines[:2])
    assert small.tolist() == [1] + [0] * (len(small) - 1)
    assert large.tolist() == [1]
    assert lab._repr_html_()


def test_rows_of_the_clock_lab_double_from_one_end_of_a_slider_to_the_other():
    values = "control(name).values"
    assert script("clock")(values, name="batch_size") == [8 * 2**i for i in range(10)]
    assert script("clock")(values, name="k") == [2, 4, 8, 16, 32, 64]


def test_clock_lab_says_of_a_weight_on_either_side_that_it_diverges():
    for weight, said in ((2e6, "diverges"), (-2e6, "diverges"), (-0.5, "\N{MINUS SIGN}0.5")):
        assert script("clock")("left(weight)", weight=weight) == said
