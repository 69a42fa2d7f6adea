"""One test a claim of book/what_decay_reaches.ipynb; its docstring is the claim, word for word."""

import os
import socket
from functools import cache, partial
from math import exp, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.utils import clip_grad_norm_

from course_lib.penalties import l1_penalty, l2_penalty
from course_lib.probe import coast
from course_lib.report import decay_report
from tests.refuting import being, refuted_by, times

THREAD = {"lr": 2e-3, "weight_decay": 0.01}
ONE = torch.ones(1, dtype=torch.float64)
WITH_DECAY = [torch.optim.SGD, torch.optim.AdamW, torch.optim.Adam, torch.optim.RMSprop, torch.optim.Adagrad]


def left_of(optimizer, start=ONE, n_steps=1, **settings):
    return coast(partial(optimizer, **settings), start, n_steps=n_steps)


@refuted_by(torch.optim.AdamW, lr=times(1.1))
@refuted_by(coast, n_steps=times(2))
def test_frozen_words_faded_by_the_decay():
    """A gradient of zero under AdamW with lr 2e-3 and a decay of 0.01 leaves 94.2 percent of a weight after 3,000 steps, as the numbers quoted from the thread say."""
    left = left_of(torch.optim.AdamW, n_steps=3000, **THREAD)[-1].item()
    assert round(100 * left, 1) == 94.2
    before = [0.0368, 0.0221, 0.0158, -0.0219, 0.0152, 0.0262]
    after = [0.0347, 0.0208, 0.0149, -0.0207, 0.0143, 0.0247]
    for b, a in zip(before, after, strict=True):
        assert abs(b * left - a) <= 5e-5 * (1 + left)


@refuted_by(coast, gradient=being("zero"))
@refuted_by(coast, gradient=being("none"))
def test_none_is_skipped_zero_is_not():
    """SGD, AdamW, Adam, RMSprop and Adagrad with a decay leave a parameter without a gradient alone, and move one whose gradient is zero."""
    for optimizer in WITH_DECAY:
        make = partial(optimizer, lr=0.1, weight_decay=0.1)
        assert coast(make, ONE, gradient="none").item() == 1
        assert coast(make, ONE, gradient="zero").item() != 1


@refuted_by(torch.optim.Adam, weight_decay=being(0))
@refuted_by(torch.optim.Adam, eps=being(1e-6))
def test_adam_moves_by_lr_whatever_lambda_is():
    """With a gradient of zero, Adam's first step moves a weight of 1 by lr to within 1 percent, for a decay of 1e-6 as for one of 1."""
    for decay in (1e-6, 1.0):
        moved = 1 - left_of(torch.optim.Adam, lr=2e-3, weight_decay=decay).item()
        assert moved == pytest.approx(2e-3, rel=0.01 + 1e-9)


@refuted_by(torch.optim.AdamW, lr=times(8))
@refuted_by(torch.optim.AdamW, weight_decay=being(0))
def test_bfloat16_has_no_small_decay():
    """AdamW with an lr of 1e-3 and a decay of 1 moves no weight that is a bfloat16 number from 1 to 2, and every one in float32."""
    weights = 1 + torch.arange(129) / 128
    assert torch.equal(weights.bfloat16().float(), weights)
    settings = {"lr": 1e-3, "weight_decay": 1.0}
    assert torch.equal(left_of(torch.optim.AdamW, weights.bfloat16(), **settings)[0], weights.bfloat16())
    assert (left_of(torch.optim.AdamW, weights, **settings)[0] != weights).all()


@refuted_by(torch.optim.AdamW, weight_decay=times(1.01))
def test_unseen_rows_fade():
    """Dense AdamW multiplies a row of an embedding that never occurs by 1 − lr · decay in every step."""
    words = nn.Embedding(3, 2, dtype=torch.float64)
    start = words.weight[2].detach().clone()
    optimizer = torch.optim.AdamW(words.parameters(), lr=0.1, weight_decay=0.5)
    for step in range(1, 51):
        optimizer.zero_grad()
        words(torch.tensor([0, 1])).square().sum().backward()
        optimizer.step()
        torch.testing.assert_close(words.weight[2].detach(), start * (1 - 0.05) ** step, rtol=1e-12, atol=0)


OPTIMIZERS = [
    optimizer
    for optimizer in vars(torch.optim).values()
    if isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer)
]


def step_on_two_rows_of_three(optimizer, **settings):
    """Return an embedding before and after a step with a sparse gradient."""
    words = nn.Embedding(3, 2, sparse=True)
    before = words.weight.detach().clone()
    made = optimizer(words.parameters(), lr=0.1, **settings)
    words(torch.tensor([0, 1])).square().sum().backward()
    made.step()
    return before, words.weight.detach()


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@refuted_by(nn.Embedding, sparse=being(False))
def test_sparse_gradients_do_not_decay():
    """No optimizer of torch takes a sparse gradient together with a decay; without one SparseAdam leaves rows that do not occur as they are."""
    assert {torch.optim.SGD, torch.optim.AdamW, torch.optim.SparseAdam} <= set(OPTIMIZERS)
    for optimizer in OPTIMIZERS:
        refused = None
        try:
            step_on_two_rows_of_three(optimizer, weight_decay=0.1)
        except (RuntimeError, TypeError, ValueError) as error:
            refused = str(error)
        assert refused, optimizer
    before, after = step_on_two_rows_of_three(torch.optim.SparseAdam)
    assert torch.equal(after[2], before[2])
    assert not torch.equal(after[:2], before[:2])


def language(seed):
    generator = torch.Generator().manual_seed(seed)
    X = torch.multinomial((1 / torch.arange(1.0, 201)).expand(2000, -1), 8, True, generator=generator)
    score = torch.randn(200, generator=generator)
    return X, (score[X].sum(dim=1) > 0).float()


def right(decay_words, X, y, n_steps=500):
    """The share of held-out sentences that each of ten models gets right, trained with a decay of 1."""
    generator, rows = torch.Generator().manual_seed(0), torch.arange(10)[:, None, None]
    words = (0.1 * torch.randn(10, 201, 8, generator=generator)).requires_grad_()
    weight = (0.1 * torch.randn(10, 8, generator=generator)).requires_grad_()
    groups = [{"params": [words], "weight_decay": decay_words}, {"params": [weight], "weight_decay": 1.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01)

    def logits(X):
        return torch.einsum("rsd,rd->rs", words[rows, X].sum(dim=2), weight)

    for _ in range(n_steps):
        batch = torch.randint(1000, (20,), generator=generator)
        optimizer.zero_grad()
        (F.binary_cross_entropy_with_logits(logits(X[:, batch]), y[:, batch]) * 10).backward()
        optimizer.step()
    return ((logits(X[:, 1000:]) > 0) == (y[:, 1000:] > 0)).float().mean(dim=1)


@refuted_by(right, decay_words=times(0))
def test_decayed_words_cost():
    """On ten of ten languages a decay of 1 on all parameters gets fewer held-out sentences right than one that leaves the words out."""
    X, y = map(torch.stack, zip(*map(language, range(10)), strict=True))
    assert (right(1.0, X, y) < right(0.0, X, y)).all()


@refuted_by(F.layer_norm, eps=being(0.1))
def test_before_a_normalization_size_is_nothing():
    """Half of a weight before a normalization gives the same output, to 1e-6."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(10, 20, generator=generator, dtype=torch.float64)
    weight = torch.randn(20, generator=generator, dtype=torch.float64)
    whole, half = (F.layer_norm(X @ w, (10,), eps=1e-7) for w in (weight, 0.5 * weight))
    assert (whole - half).abs().max() <= 1e-6


def turns(weight_decay=0.1, lr=0.1, n_steps=2000):
    """The root mean square of the angle of a step, in the second half of each of ten runs."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(10, 200, 20, generator=generator, dtype=torch.float64)
    true, noise = torch.randn(10, 20, generator=generator), torch.randn(10, 200, generator=generator)
    y = (torch.einsum("rsf,rf->rs", X, true.double()) + noise > 0).double()
    weight = (torch.randn(10, 20, generator=generator, dtype=torch.float64) / sqrt(20)).requires_grad_()
    optimizer, squares = torch.optim.SGD([weight], lr=lr, weight_decay=weight_decay), []
    for step in range(n_steps):
        batch, before = torch.randint(200, (10,), generator=generator), weight.detach().clone()
        z = F.layer_norm(torch.einsum("rsf,rf->rs", X[:, batch], weight), (10,))
        optimizer.zero_grad()
        (F.binary_cross_entropy_with_logits(3 * z, y[:, batch]) * 10).backward()  # each run has its own mean
        optimizer.step()
        if step >= n_steps / 2:
            cosine = F.cosine_similarity(before, weight.detach(), dim=1)
            squares.append(cosine.clamp(max=1).acos() ** 2)
    return torch.stack(squares).mean(dim=0).sqrt()


@refuted_by(torch.optim.SGD, weight_decay=times(1.1))
@refuted_by(torch.optim.SGD, lr=times(0.9))
def test_decay_sets_the_angle_of_a_step():
    """Before a normalization, SGD with lr 0.1 and a decay of 0.1 turns the weight by √(2 · lr · decay) a step in the end, to within 2 percent on ten of ten runs."""
    expected = sqrt(2 * 0.1 * 0.1)
    assert ((turns() / expected - 1).abs() < 0.02).all()


@cache
def samples():
    """Ten orders of the digits, whose images have length 1."""
    digits = load_digits()
    images, labels = F.normalize(torch.tensor(digits.data).float(), dim=1), torch.tensor(digits.target)
    generators = [torch.Generator().manual_seed(seed) for seed in range(10)]
    order = torch.stack([torch.randperm(len(labels), generator=generator) for generator in generators])
    return images, labels, order


def by_cosine(decay_scale, images, labels, order, n_steps=500):
    """The held-out loss of ten classifiers by cosines with a learnt temperature."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(10, 64, 10, generator=generator).requires_grad_()
    scale = torch.full((10, 1, 1), 10.0, requires_grad=True)
    groups = [{"params": [weight], "weight_decay": 0.1}, {"params": [scale], "weight_decay": decay_scale}]
    optimizer = torch.optim.AdamW(groups, lr=0.01)

    def loss(rows):
        z = scale * images[rows] @ F.normalize(weight, dim=1)
        return F.cross_entropy(z.mT, labels[rows], reduction="none").mean(dim=1)

    for _ in range(n_steps):
        optimizer.zero_grad()
        loss(order[:, torch.randint(1000, (100,), generator=generator)]).sum().backward()
        optimizer.step()
    return loss(order[:, 1000:]).detach()


@refuted_by(by_cosine, decay_scale=times(0.3))
def test_a_decayed_temperature_costs():
    """On ten of ten samples a decay of 0.1 on the temperature alone raises the held-out loss by a quarter or more."""
    free, decayed = (by_cosine(decay, *samples()) for decay in (0.0, 0.1))
    assert (decayed >= 1.25 * free).all()


@refuted_by(torch.optim.AdamW, weight_decay=times(0.5))
def test_lora_is_pulled_to_the_start():
    """Decay alone takes a model with LoRA to the pre-trained weights, its product by (1 − lr · decay)² a step, and a model that is trained whole to zero."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((16, 16), (2, 16), (16, 2))
    pretrained, A, B = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
    make = partial(torch.optim.AdamW, lr=0.1, weight_decay=0.1)
    As, Bs, Ws = coast(make, [A, B, pretrained + B @ A], n_steps=2000)
    powers = 0.99 ** (2.0 * torch.arange(1, 2001, dtype=torch.float64))
    torch.testing.assert_close(Bs @ As, powers[:, None, None] * (B @ A), rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(pretrained + Bs[-1] @ As[-1], pretrained)
    assert Ws[-1].norm() < 1e-7


@refuted_by(torch.optim.AdamW, weight_decay=times(2))
def test_tied_weights_decay_once():
    """A weight with two names is multiplied by 1 − lr · decay once a step, not twice."""
    words, out = nn.Embedding(5, 3, dtype=torch.float64), nn.Linear(3, 5, bias=False, dtype=torch.float64)
    out.weight = words.weight
    before = words.weight.detach().clone()
    model = nn.ModuleList([words, out])
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    words.weight.grad = torch.zeros_like(before)
    optimizer.step()
    torch.testing.assert_close(out.weight.detach(), before * (1 - 0.05), rtol=1e-12, atol=0)


SCHEDULES = [
    partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
    partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=1000),
    partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.01, total_steps=1001),
]


@refuted_by(torch.optim.AdamW, weight_decay=times(1.05))
def test_a_schedule_leaves_by_its_area():
    """After a constant rate, a cosine and a one-cycle schedule of 1,000 steps, what AdamW leaves is exp(−decay · area under lr), to within 1 percent."""
    for schedule in SCHEDULES:
        weight, area = nn.Parameter(ONE.clone()), 0.0
        optimizer = torch.optim.AdamW([weight], lr=0.01, weight_decay=0.2)
        scheduler = schedule(optimizer)
        for _ in range(1000):
            weight.grad = torch.zeros_like(weight)
            area += optimizer.param_groups[0]["lr"]
            optimizer.step()
            scheduler.step()
        assert weight.item() == pytest.approx(exp(-0.2 * area), rel=0.01)


def lengths(max_norm, weight_decay=0.0, penalty=0.0, n_steps=300):
    """Of the weights of ten linear models, after SGD with clipped gradients."""
    images, labels, order = samples()
    generator = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.zeros(64, 10)) for _ in order]
    optimizer = torch.optim.SGD(weights, lr=1.0, weight_decay=weight_decay)
    for _ in range(n_steps):
        rows = order[:, torch.randint(1000, (20,), generator=generator)]
        z = images[rows] @ torch.stack(weights)
        losses = F.cross_entropy(z.mT, labels[rows], reduction="none").mean(1)
        optimizer.zero_grad()
        (losses.sum() + l2_penalty(weights, penalty)).backward()
        for weight in weights:
            clip_grad_norm_(weight, max_norm)
        optimizer.step()
    return torch.stack(weights).detach().norm(dim=(1, 2))


@refuted_by(lengths, max_norm=times(10))
@refuted_by(lengths, max_norm=times(0.2))
@refuted_by(lengths, penalty=times(0.3))
def test_clipping_spares_the_decay():
    """On ten of ten samples SGD with gradients clipped to 0.05 ends with weights half as long or shorter under `weight_decay` as under the same penalty in the loss; clipped to 0.5, where nothing is clipped, they are equal."""
    for max_norm in (0.05, 0.5):
        in_optimizer, in_loss = lengths(max_norm, weight_decay=0.01), lengths(max_norm, penalty=0.01)
        assert len(in_loss) == 10
        if max_norm == 0.5:
            torch.testing.assert_close(in_optimizer, in_loss, rtol=1e-5, atol=0)
            torch.testing.assert_close(lengths(torch.inf, penalty=0.01), in_loss, rtol=0, atol=0)
        else:
            assert (in_optimizer <= in_loss / 2).all()


def unseen(n_batches, n_accumulated, lr, weight_decay):
    """What is left of a weight that no batch sees."""
    weights = nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = torch.optim.AdamW([weights], lr=lr, weight_decay=weight_decay)
    for batch in range(1, n_batches + 1):
        weights[0].backward()
        if batch % n_accumulated == 0:
            optimizer.step()
            optimizer.zero_grad()
    return weights[1].item()


@refuted_by(unseen, n_accumulated=times(2))
@refuted_by(torch.optim.AdamW, weight_decay=times(1.01))
def test_accumulation_decays_once_a_step():
    """Over 400 micro-batches AdamW multiplies a weight without a gradient by (1 − lr · decay)^400, and by (1 − lr · decay)^100 if four are accumulated."""
    assert unseen(400, 1, lr=0.01, weight_decay=0.1) == pytest.approx((1 - 0.01 * 0.1) ** 400, 1e-12)
    assert unseen(400, 4, lr=0.01, weight_decay=0.1) == pytest.approx((1 - 0.01 * 0.1) ** 100, 1e-12)


def measured(rank, folder, flat):
    """Write down how many dimensions the parameters of a small model have in one of two processes."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
    if flat:
        model = FullyShardedDataParallel(model, device_id=torch.device("cpu"))
    dimensions = sorted({parameter.ndim for parameter in model.parameters()})
    Path(folder, f"{rank}.txt").write_text(str(dimensions))
    del model  # before its group
    torch.distributed.destroy_process_group()


def dimensions(*, flat=True):
    """How many dimensions parameters have in each of two processes, flattened by FSDP or as they are."""
    with TemporaryDirectory() as folder:
        arguments = (measured, (folder, flat))
        torch.multiprocessing.start_processes(*arguments, nprocs=2, start_method="forkserver")
        return [Path(folder, f"{rank}.txt").read_text() for rank in range(2)]


@refuted_by(dimensions, flat=being(False))
def test_flattened_parameters_are_all_one_dimensional():
    """In two processes under FSDP's default flattening every parameter has one dimension, so `p.ndim < 2` is true of matrices, too."""
    assert dimensions() == ["[1]", "[1]"]


@refuted_by(l1_penalty, weight_decay=times(1.01))
@refuted_by(l2_penalty, weight_decay=times(1.01))
@refuted_by(torch.optim.AdamW, weight_decay=being(0))
def test_a_penalty_in_the_loss_is_found():
    """`decay_report` finds a penalty in the loss beside a decay, and tells how much of the weight or of its sign it adds to the gradient."""
    torch.manual_seed(0)
    model, x = nn.Linear(3, 2).double(), torch.randn(5, 3, dtype=torch.float64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)

    def loss():
        return model(x).square().mean() + l2_penalty(model.weight, 0.02) + l1_penalty(model.bias, 0.03)

    report = decay_report(model, optimizer, loss=loss)
    weight, bias = report.rows
    assert (weight.l2, weight.l1) == pytest.approx((0.02, 0), rel=1e-6, abs=1e-12)
    assert (bias.l2, bias.l1) == pytest.approx((0, 0.03), rel=1e-6, abs=1e-12)
    named = {finding.what: finding.parameters for finding in report.findings}
    assert named.get("a penalty in the loss and a decay") == ("weight", "bias")


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(1000, 32)
        self.norm = nn.LayerNorm(32)
        self.hidden = nn.Linear(32, 32)
        self.out = nn.Linear(32, 1000, bias=False)
        self.out.weight = self.words.weight
        self.logit_scale = nn.Parameter(torch.tensor(2.6))
        self.old = nn.Linear(32, 32).requires_grad_(False)


@refuted_by(torch.optim.AdamW, weight_decay=being(0.0))
def test_the_report_names_each_trap():
    """`decay_report` names each trap of the small model: the biases, the gain, the temperature, the embedding, the tied weight and the frozen layer."""
    model = Tagger()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    named = {name for finding in decay_report(model, optimizer).findings for name in finding.parameters}
    assert named == {
        *("norm.bias", "hidden.bias", "norm.weight", "logit_scale", "words.weight"),
        *("old.weight", "old.bias"),
    }
