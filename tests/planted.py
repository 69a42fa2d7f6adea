"""Models with one planted fault each, what is to be found in them, and clean ones."""

import functools
from functools import partial

import torch
from torch import nn

from course_lib.groups import decay_groups
from course_lib.optimizers import SGDW
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

    def forward(self, words):
        return self.head(self.table(words))


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


class Swin(nn.Module):
    def __init__(self):
        super().__init__()
        self.relative_position_bias_table = nn.Parameter(torch.zeros(9, 4))


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


class FlatParameter(nn.Parameter):
    """As it was called in older versions of torch."""


def flat_by_its_class():
    model = linear()
    model.weight = FlatParameter(torch.ones(4, 4))
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
    "biases of positions": (
        lambda: ungrouped(Swin()),
        [("note", "decayed position or token", ("relative_position_bias_table",))],
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
        [
            ("note", "tied embedding: rows without a gradient fade", ("table.weight",)),
            ("note", "tied", ("table.weight",)),
        ],
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
    "of a flat class": (lambda: ungrouped(flat_by_its_class()), [("warning", "flattened", W)]),
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
