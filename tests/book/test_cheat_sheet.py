"""The cheat sheet: its code runs, does what its headings promise, and says where the book shows it.

After each answer the promise of its first line is asserted in the page's own namespace. A page on which a
recipe has been spoilt must break its promise: `SABOTAGES` lists ways to spoil one.
"""

import copy
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge
from torch import nn

from course_lib.data import separable
from course_lib.optimizers import ProximalSGD
from tools import ROOT
from tools.build import notebooks

pytestmark = pytest.mark.no_cover

TEXT = (ROOT / "book/cheat_sheet.md").read_text(encoding="utf-8")
CODE = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
BLOCKS = CODE.findall(TEXT)
LAM = 0.01


@pytest.fixture(autouse=True)
def _in_float64():
    """So that a promise is not kept, nor broken, by rounding."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def answers(text):
    """Return what stands before the first answer, and the text of each answer by its promise."""
    start, *parts = re.split(r"^(?=\*\*… )", re.sub(r"^## .*$", "", text, flags=re.MULTILINE), flags=re.M)
    return start, {re.match(r"\*\*… (.*?)\*\*", part, re.DOTALL)[1].rstrip("."): part for part in parts}


ANSWERS = answers(TEXT)[1]


def held(optimizer, model):
    """Return (lr, weight_decay) by name of parameter; every parameter of the model once, and no other."""
    groups = {p: group for group in optimizer.param_groups for p in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(groups)
    assert set(groups) == set(model.parameters())
    return {name: (groups[p]["lr"], groups[p]["weight_decay"]) for name, p in model.named_parameters()}


def weights_alone(lr, weight_decay):
    """Return what `held` says of the page's model when layers 0 and 3 have their weights decayed."""
    names = ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"]
    return {n: (lr, weight_decay if n in ("0.weight", "3.weight") else 0.0) for n in names}


def parameters(model):
    return [p.detach().clone() for p in model.parameters()]


def stepped(optimizer, model, gradients, **changes):
    """Return the parameters that a first step of an optimizer with these settings makes of the model's."""
    twin = copy.deepcopy(model)
    twins = dict(zip(model.parameters(), twin.parameters(), strict=True))
    groups = [
        {**group, **changes, "params": [twins[p] for p in group["params"]]}
        for group in optimizer.param_groups
    ]
    for p, gradient in zip(twin.parameters(), gradients, strict=True):
        p.grad = gradient.clone()
    type(optimizer)(groups).step()
    return parameters(twin)


def gradients_of(model, page, penalty=lambda model: 0.0):
    """Return the gradients of the mean squared error plus a penalty."""
    loss = F.mse_loss(model(page["X"]), page["y"]) + penalty(model)
    return torch.autograd.grad(loss, list(model.parameters()))


def rest(kind, weight_decay, *, n_steps, **settings):
    """Return where an optimizer carries a logistic regression whose minimum is near."""
    X, y = separable(64, 4, seed=5)
    y = torch.where(torch.arange(64) % 8 == 0, 1 - y, y)
    weight = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    optimizer = kind([weight], weight_decay=weight_decay, **settings)
    for _ in range(n_steps):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(X @ weight, y).backward()
        optimizer.step()
    return weight.detach()


def diverges(X, y, lr, batch_size, n_steps=1500):
    """Return whether SGD on a linear model leaves for infinity."""
    line = nn.Linear(X.shape[1], y.shape[1])
    optimizer = torch.optim.SGD(line.parameters(), lr=lr)
    for _ in range(n_steps * batch_size // len(X)):
        for X_batch, y_batch in zip(X.split(batch_size), y.split(batch_size), strict=True):
            optimizer.zero_grad()
            loss = F.mse_loss(line(X_batch), y_batch)
            if not loss < 1e6:
                return True
            loss.backward()
            optimizer.step()
    return False


def everything_is_decayed(page):
    model, optimizer = page["model"], page["optimizer"]
    assert held(optimizer, model) == {name: (0.1, LAM) for name, _ in model.named_parameters()}
    plain = torch.optim.SGD(model.parameters(), lr=0.1)
    in_loss = gradients_of(model, page, lambda m: LAM / 2 * sum(p.square().sum() for p in m.parameters()))
    by_weight_decay = stepped(optimizer, model, gradients_of(model, page))
    torch.testing.assert_close(by_weight_decay, stepped(plain, model, in_loss), rtol=0, atol=1e-14)


def weights_are_decayed(page):
    model = page["model"]
    assert held(page["optimizer"], model) == weights_alone(0.1, LAM)
    by_hand = torch.optim.SGD(page["groups"], lr=0.1)
    assert held(by_hand, model) == weights_alone(0.1, LAM)
    with_two_dimensions = nn.Sequential(nn.Linear(3, 6), nn.Unflatten(1, (2, 3)), nn.LayerNorm([2, 3]))
    by_hand, others = again(page, "NORMS =", with_two_dimensions)
    assert [p.shape for p in by_hand] == [(6, 3)]
    assert [p.shape for p in others] == [(6,), (2, 3), (2, 3)]
    layers = (nn.GroupNorm(1, 2), nn.BatchNorm1d(2), nn.BatchNorm2d(2), nn.BatchNorm3d(2), nn.RMSNorm(2))
    by_hand, others = again(page, "NORMS =", nn.Sequential(nn.Conv2d(1, 2, 3), *layers))
    assert [p.ndim for p in by_hand] == [4]
    assert len(others) == 1 + 2 * 4 + 1


def again(page, start, model):
    """Run the page's block that begins like this on another model; return its weights and others."""
    block = next(block for block in page["blocks"] if block.startswith(start))
    namespace = {**page, "model": model}
    exec(block, namespace)
    return namespace["weights"], namespace["others"]


def the_penalty_is_the_decay(page):
    """The parameters are those that weight_decay on the same parameters makes in one step."""
    model, old = page["model"], page["old"]
    assert {decay for _, decay in held(page["optimizer"], model).values()} == {0.0}
    groups = [{"params": [old[0].weight, old[3].weight], "weight_decay": LAM}]
    groups += [{"params": [old[0].bias, *old[1].parameters(), old[3].bias]}]
    decaying = torch.optim.SGD(groups, lr=0.1)
    expected = stepped(decaying, old, gradients_of(old, page))
    torch.testing.assert_close(parameters(model), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(page["loss"], F.mse_loss(old(page["X"]), page["y"]))
    squares = old[0].weight.square().sum() + old[3].weight.square().sum()
    torch.testing.assert_close(page["penalty"].item(), LAM / 2 * squares.item())


def the_decay_is_not_clipped(page):
    old = page["old"]
    gradients = gradients_of(old, page)
    norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
    assert norm > 0.1, "nothing would be clipped"
    decays = weights_alone(0.1, LAM).values()
    expected = [
        p - 0.1 * (0.1 / (norm + 1e-6) * g + decay * p)
        for p, g, (_, decay) in zip(parameters(old), gradients, decays, strict=True)
    ]
    torch.testing.assert_close(parameters(page["model"]), expected, rtol=0, atol=1e-12)


def test_clipping_a_penalty_in_the_loss_gives_another_step():
    """Weights 3 and 4, gradient (10, 0), lr 0.1, lambda 1, gradients clipped to 1."""
    ends = []
    for weight_decay in (1.0, 0.0):
        w = nn.Parameter(torch.tensor([3.0, 4.0]))
        optimizer = torch.optim.SGD([w], lr=0.1, weight_decay=weight_decay)
        (10 * w[0] + (1 - weight_decay) / 2 * w.square().sum()).backward()
        nn.utils.clip_grad_norm_([w], max_norm=1.0)
        optimizer.step()
        ends.append(w.tolist())
    assert ends[0] == pytest.approx([2.60, 3.60], abs=5e-3)
    assert ends[1] == pytest.approx([2.904, 3.971], abs=5e-4)


def adam_decays_beside_the_step(page):
    model, optimizer = page["model"], page["optimizer"]
    assert held(optimizer, model) == weights_alone(1e-3, LAM)
    assert_shrinks_beside_the_step(page, 1e-3 * LAM)


def assert_shrinks_beside_the_step(page, share):
    """The decay takes this share of each weight and of nothing else, whatever the gradients are."""
    model, optimizer = page["model"], page["optimizer"]
    for size in (0.0, 1.0, 1000.0):
        gradients = [size * g for g in gradients_of(model, page)]
        ends = [stepped(optimizer, model, gradients, **change) for change in ({}, {"weight_decay": 0.0})]
        for name, p, decayed, plain in zip(
            dict(model.named_parameters()), parameters(model), *ends, strict=True
        ):
            expected = share * p if name in ("0.weight", "3.weight") else torch.zeros_like(p)
            torch.testing.assert_close(plain - decayed, expected, rtol=1e-6, atol=1e-12)


def sgdw_rests_where_sgd_does(page):
    model, optimizer = page["model"], page["optimizer"]
    (weight_decay,) = {decay for _, decay in held(optimizer, model).values() if decay}
    assert held(optimizer, model) == weights_alone(0.1, weight_decay)
    assert_shrinks_beside_the_step(page, 0.1 * weight_decay)
    settings = {"lr": 0.1, "momentum": optimizer.param_groups[0]["momentum"], "n_steps": 3000}
    assert settings["momentum"] == 0.9
    decoupled = rest(type(optimizer), weight_decay, **settings)
    torch.testing.assert_close(decoupled, rest(torch.optim.SGD, LAM, **settings), rtol=0, atol=1e-12)


def zeros_are_exact(page):
    """Of a weight on which the loss does not depend, exactly: with a pull below lambda it is zero."""
    model, optimizer = page["model"], page["optimizer"]
    assert held(optimizer, model) == weights_alone(0.1, LAM)
    w = nn.Parameter(torch.tensor([0.3, -0.2], dtype=torch.float64))
    pull = torch.tensor([0.9 * LAM, 1.1 * LAM], dtype=torch.float64)
    descent = type(optimizer)([w], **{k: optimizer.defaults[k] for k in ("lr", "norm")}, weight_decay=LAM)
    for _ in range(2000):
        w.grad = w.detach() - pull
        descent.step()
    assert w[0] == 0
    assert w[1].item() == pytest.approx(0.1 * LAM)
    assert isinstance(optimizer, ProximalSGD)


def the_model_stays(page):
    """A linear model ends with the large batches where it ends with small ones, to 0.2 percent."""
    assert held(page["optimizer"], page["model"]) == weights_alone(0.04, LAM)
    (group,) = [group for group in page["optimizer"].param_groups if group["weight_decay"]]
    ends = []
    for batch_size, lr, weight_decay in ((15, 0.01, LAM), (60, group["lr"], group["weight_decay"])):
        weight = nn.Parameter(torch.zeros(4, 1))
        optimizer = torch.optim.SGD([weight], lr=lr, weight_decay=weight_decay)
        for _ in range(200):
            for X in page["X"].split(batch_size):
                optimizer.zero_grad()
                (X @ (weight - 1)).square().mean().backward()
                optimizer.step()
        ends.append(weight.detach())
    assert (ends[0] - ends[1]).norm() < 0.002 * ends[0].norm()


def the_step_is_that_of_the_whole_batch(page):
    model, old = page["model"], page["old"]
    assert held(page["optimizer"], model) == weights_alone(0.04, LAM)
    expected = [
        p - lr * (g + decay * p)
        for p, g, (lr, decay) in zip(
            parameters(old), gradients_of(old, page), weights_alone(0.04, LAM).values(), strict=True
        )
    ]
    torch.testing.assert_close(parameters(model), expected, rtol=0, atol=1e-14)
    assert len(page["X"]) % 16, "the last micro-batch is smaller"


def the_factor_of_the_loss_is_undone(page):
    """So it is with SGD, and, by the settings that the text names, with Adam and AdamW."""
    model, c = page["model"], page["c"]
    gradients = gradients_of(model, page)
    scaled = torch.autograd.grad(page["loss"], list(model.parameters()))
    plain = torch.optim.SGD(grouped(model, LAM), lr=0.1)
    assert_same_step(page["optimizer"], plain, model, scaled, gradients)
    for make, factor in ((torch.optim.Adam, c), (torch.optim.AdamW, 1)):
        with_c = make(grouped(model, factor * LAM), lr=0.1, eps=c * 1e-3)
        assert_same_step(with_c, make(grouped(model, LAM), lr=0.1, eps=1e-3), model, scaled, gradients)


def grouped(model, weight_decay):
    free = [p for p in model.parameters() if p.ndim < 2]
    return [
        {"params": [p for p in model.parameters() if p.ndim == 2], "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]


def assert_same_step(optimizer, other, model, gradients, others):
    ends = stepped(optimizer, model, gradients), stepped(other, model, others)
    torch.testing.assert_close(*ends, rtol=0, atol=1e-13)


def test_a_grad_scaler_changes_nothing_clipped_or_not():
    """Clipped before the scaler divides, the step is another."""
    ends = []
    for scaled, clips, unscales in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 1), (1, 1, 0)):
        w = nn.Parameter(torch.tensor([3.0, 4.0]))
        optimizer = torch.optim.SGD([w], lr=0.1, weight_decay=0.5)
        scaler = torch.amp.GradScaler("cpu", init_scale=100.0, enabled=bool(scaled))
        scaler.scale(w[0] * w[1]).backward()
        if unscales:
            scaler.unscale_(optimizer)
        if clips:
            nn.utils.clip_grad_norm_([w], max_norm=1.0)
        scaler.step(optimizer)
        ends.append(w.detach())
    plain, by_scaler, clipped, unscaled_first, wrong = ends
    torch.testing.assert_close(by_scaler, plain)
    torch.testing.assert_close(unscaled_first, clipped)
    assert (wrong - clipped).abs().max() > 0.05


def every_row_is_seen_and_no_batch_is_smaller(page):
    sizes, seen = set(), set()
    for _ in range(50):
        for X_batch, _ in page["loader"]:
            sizes.add(len(X_batch))
            seen |= {tuple(row.tolist()) for row in X_batch}
    assert sizes == {16}
    assert len(page["X"]) % 16
    assert seen == {tuple(row.tolist()) for row in page["X"]}


def ridge_has_the_same_minimum(page):
    X, y = page["X"], page["y"]
    line = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(
        [{"params": [line.weight], "weight_decay": LAM}, {"params": [line.bias]}], lr=0.1
    )
    for _ in range(3000):
        optimizer.zero_grad()
        F.mse_loss(line(X), y).backward()
        optimizer.step()
    found = Ridge(page["alpha"]).fit(X.numpy(), y[:, 0].numpy())
    np.testing.assert_allclose(found.coef_, line.weight.detach()[0], rtol=0, atol=1e-9)


def the_limit_is_the_limit(page):
    X, critical_lr = page["X"], page["critical_lr"]
    for n_outputs in (1, 3):
        y = page["y"].expand(-1, n_outputs)
        limit = critical_lr(X, n_outputs)
        assert not diverges(X, y, 0.95 * limit, len(X))
        assert diverges(X, y, 1.05 * limit, len(X))
    assert page["full_batch"] == critical_lr(X, 1)
    assert page["batches_of_5"] == min(critical_lr(batch, 1) for batch in X.split(5))
    y = page["y"]
    assert not diverges(X, y, 0.95 * page["batches_of_5"], 5)
    assert diverges(X, y, page["full_batch"], 5), "the limit of the whole does not protect a batch"


def the_steps_stay_as_long(page):
    optimizer = page["optimizer"]
    assert held(optimizer, page["model"]).keys() == dict(page["model"].named_parameters()).keys()
    (group,) = optimizer.param_groups
    assert group["momentum"] == 0.9
    w = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    settings = {k: group[k] for k in ("lr", "momentum", "dampening", "nesterov", "weight_decay")}
    long_run = torch.optim.SGD([w], **settings)
    for _ in range(300):
        before, w.grad = w.item(), torch.ones_like(w)
        long_run.step()
    assert before - w.item() == pytest.approx(0.1)


def huber_is_scaled_smooth_l1(page):
    residuals = (page["model"](page["X"]) - page["y"]).abs()
    assert (residuals < 0.5).any()
    assert (residuals > 0.5).any()
    torch.testing.assert_close(page["huber"], page["smooth"])


def the_decay_shrinks(page):
    assert page["shrinks"]
    assert "decoupled times lr" in page["output"]()
    torch.testing.assert_close(page["after"], page["start"] * (1 - 0.1 * 0.5))


def the_report_says_what_is_decayed(page):
    text = page["output"]()
    assert "decayed bias: 0.bias, 1.bias, 3.bias" in text
    assert "half-life" in text
    assert f" {math.log(2) / -math.log1p(-1e-3 * page['lam']):,.0f} " in text


def the_old_rows_stay(page):
    old, new = page["old_rows"], page["new"]
    before = old.weight.detach().clone(), new.detach().clone()
    for _ in range(5):
        page["optimizer"].zero_grad()
        torch.cat([old.weight, new])[[0, 100]].square().sum().backward()
        page["optimizer"].step()
    assert torch.equal(old.weight, before[0])
    assert not torch.equal(new, before[1])
    assert torch.equal(page["words"], torch.cat(before))


def the_comparison_tells_how_far_and_where(page):
    assert "11 entries differ, by at most 1.1e-15 (at (0,)) and 5 ULPs" in page["output"]()


PROMISES = {
    "an L2 penalty (λ/2)‖θ‖² on everything, with plain SGD": everything_is_decayed,
    "the same, but not on biases and normalization layers": weights_are_decayed,
    "the penalty in the loss, where I can log it": the_penalty_is_the_decay,
    "clipped gradients and a decay that is not clipped": the_decay_is_not_clipped,
    "decoupled decay with Adam": adam_decays_beside_the_step,
    "decoupled decay with SGD": sgdw_rests_where_sgd_does,
    "exact zeros": zeros_are_exact,
    "the same regularization when the batch size changes": the_model_stays,
    "gradient accumulation": the_step_is_that_of_the_whole_batch,
    "the same steps with c times the loss": the_factor_of_the_loss_is_undone,
    "no smaller batch at the end of an epoch": every_row_is_seen_and_no_batch_is_smaller,
    "the λ of scikit-learn, or of another library": ridge_has_the_same_minimum,
    "to know which learning rates are possible for a linear model": the_limit_is_the_limit,
    "momentum without changing the length of the steps": the_steps_stay_as_long,
    "a Huber loss instead of SmoothL1": huber_is_scaled_smooth_l1,
    "to know what an optimizer's decay does": the_decay_shrinks,
    "to know what is decayed in my model, and what to look at": the_report_says_what_is_decayed,
    "some rows of an embedding to stay as they are": the_old_rows_stay,
    "to know whether two results are the same": the_comparison_tells_how_far_and_where,
}


def run(text, capsys, asserted=PROMISES):
    """Run a page from top to bottom, and assert after each answer, or after these, what it promises."""
    start, parts = answers(text)
    page = {"blocks": CODE.findall(text), "output": lambda: capsys.readouterr().out}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec("".join(CODE.findall(start)), page)
        for promise, part in parts.items():
            page["old"] = copy.deepcopy(page["model"])
            try:
                exec(compile("".join(CODE.findall(part)), promise, "exec"), page)
                if promise in asserted:
                    PROMISES[promise](page)
            except AssertionError as error:
                raise AssertionError(promise) from error


def test_every_answer_has_a_promise():
    assert list(ANSWERS) == list(PROMISES)


def test_every_answer_keeps_its_promise(capsys):
    run(TEXT, capsys)


# What is wrong, and where: the answer that is spoilt, in the order of the page.
SABOTAGES = [
    ("lr=0.1, weight_decay=lam", "lr=0.1, weight_decay=2 * lam"),
    ("(others if free else weights)", "(weights if free else others)"),
    ("isinstance(layer, NORMS)", "False"),
    (" | nn.BatchNorm2d", ""),
    ('name.endswith("bias") or', ""),
    ("others if free", "others if p.ndim < 2"),
    ('"params": others, "weight_decay": 0.0', '"params": others, "weight_decay": lam'),
    ("SGD(decay_groups(model, lam), lr=0.1)", "SGD(decay_groups(model, lam), lr=0.2)"),
    ("lam / 2 * sum", "lam * sum"),
    ("for w in weights)", "for w in model.parameters())"),
    ("lr=0.1)  # no weight_decay", "lr=0.1, weight_decay=lam)"),
    ("nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.1)", ""),
    (
        "F.mse_loss(model(X), y).backward()",
        "(F.mse_loss(model(X), y) + lam * weights[0].norm()).backward()",
    ),
    ("torch.optim.AdamW(decay_groups", "torch.optim.Adam(decay_groups"),
    ("AdamW(decay_groups(model, lam), lr=1e-3)", "AdamW(groups, lr=1e-3)"),
    ("AdamW(decay_groups(model, lam), lr=1e-3)", "AdamW(weights, lr=1e-3, weight_decay=lam)"),
    ("lam / (1 - 0.9)), lr", "lam), lr"),
    ("SGDW(decay_groups(model, lam / (1 - 0.9)), lr", "SGDW(weights, weight_decay=lam / (1 - 0.9), lr"),
    ("ProximalSGD(decay_groups(model, lam), lr", "ProximalSGD(decay_groups(model, lam), norm=2, lr"),
    ("ProximalSGD(decay_groups(model, lam), lr", "SGDW(decay_groups(model, lam), norm=1, lr"),
    ("lr=0.01 * k", "lr=0.01"),
    ("(model, lam), lr=0.01 * k", "(model, lam * k), lr=0.01 * k"),
    ("(share * F.mse_loss", "(F.mse_loss"),
    ("share = len(X_micro) / len(X)", "share = 1 / 4"),
    ("optimizer.zero_grad()\nfor X_micro", "for X_micro"),
    ("c * F.mse_loss", "F.mse_loss"),
    ("(model, lam * c)", "(model, lam)"),
    ("lr=0.1 / c", "lr=0.1"),
    ("batch_size=16, shuffle=True", "batch_size=16"),
    ("shuffle=True, drop_last=True", "shuffle=True"),
    ("n_samples=60", "n_samples=30"),
    ("2 / (len(X) * n_outputs) * Z", "2 / len(X) * Z"),
    ("2 / (len(X) * n_outputs) * Z", "1 / (len(X) * n_outputs) * Z"),
    ("eigvalsh(hessian)[-1]", "eigvalsh(hessian)[0]"),
    ("min(critical_lr", "max(critical_lr"),
    ("lr=0.1 * (1 - 0.9), momentum", "lr=0.1, momentum"),
    ("0.5 * nn.SmoothL1Loss", "nn.SmoothL1Loss"),
    ("SmoothL1Loss(beta=0.5)", "SmoothL1Loss(beta=1.0)"),
    ("partial(torch.optim.AdamW", "partial(torch.optim.Adam"),
    ("print(probe(made))", "print(made)"),
    ("optimizer = torch.optim.AdamW(model.parameters()", "optimizer = torch.optim.AdamW(weights"),
    ("AdamW([new], lr", "AdamW([new, old_rows.weight.requires_grad_()], lr"),
    ("b = a + 1e-15", "b = a + 1e-16"),
]


@pytest.mark.parametrize(("right", "wrong"), SABOTAGES)
def test_a_spoilt_recipe_breaks_its_promise(right, wrong, capsys):
    """What comes before it on the page is what it was, and has kept its promises above."""
    spoilt = next(promise for promise, part in ANSWERS.items() if right in part)
    with pytest.raises(AssertionError, match=f"^{re.escape(spoilt)}$"):
        run(TEXT.replace(right, wrong, 1), capsys, [spoilt])


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_its_lines_fit_the_page(block):
    assert [line for line in block.splitlines() if len(line) > 79] == []


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
def test_every_answer_links_to_where_a_chapter_shows_it(answer):
    links = re.findall(r"\]\((\w+\.ipynb)#", answer)
    chapters = [Path(path).name for path in notebooks.chapters()]
    assert links
    assert set(links) <= set(chapters)


def test_every_chapter_is_linked():
    for path in notebooks.chapters():
        assert f"({path.name}#" in TEXT
