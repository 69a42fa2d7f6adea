"""What people reported in public, rebuilt in small: `decay_report` names the cause."""

import pytest
import torch
from torch import nn

from course_lib.report import decay_report


class Muon(torch.optim.Optimizer):
    """It takes zeros where there is no gradient, and decays."""

    def __init__(self, parameters, lr=0.02, weight_decay=0.1):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                gradient = torch.zeros_like(p) if p.grad is None else p.grad
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(gradient.sign(), alpha=-group["lr"])


class SignSGD(torch.optim.Optimizer):
    """It accepts a weight_decay, and does not use it."""

    def __init__(self, parameters, lr=1e-3, weight_decay=0.0):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(p.grad.sign(), alpha=-group["lr"])


class Block(nn.Module):
    """A layer of a language model."""

    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(4), nn.Linear(4, 4)


class Mamba(nn.Module):
    def __init__(self):
        super().__init__()
        self.in_proj = nn.Linear(4, 8, bias=False)
        self.A_log, self.D = nn.Parameter(torch.zeros(8, 2)), nn.Parameter(torch.ones(8))


class Vit(nn.Module):
    def __init__(self):
        super().__init__()
        self.reg_token = nn.Parameter(torch.zeros(1, 4, 8))
        self.head = nn.Linear(8, 2, bias=False)


class Lora(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Linear(4, 4, bias=False).requires_grad_(False)
        self.lora_A, self.lora_B = nn.Linear(4, 2, bias=False), nn.Linear(2, 4, bias=False)


def zeroed_words():
    words = nn.Embedding(6, 4)
    words(torch.arange(6)).sum().backward()
    words.weight.grad[:5] = 0
    return words, torch.optim.AdamW(words.parameters(), lr=2e-3, weight_decay=0.01)


def half_precision():
    model = nn.Linear(4, 4, bias=False).bfloat16()
    return model, torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)


def sign_sgd():
    model = nn.Linear(4, 4, bias=False)
    return model, SignSGD(model.parameters(), weight_decay=0.01)


def register_token():
    model = Vit()
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)


def one_group():
    model = Block()
    return model, torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01)


def flattened_by_fsdp():
    model = nn.Module()
    model._fsdp_wrapped_module = nn.Module()
    model._fsdp_wrapped_module.register_parameter("_flat_param", nn.Parameter(torch.ones(28)))
    free = [p for p in model.parameters() if p.ndim < 2]
    return model, torch.optim.AdamW([{"params": free, "weight_decay": 0.0}], lr=1e-3)


def lora():
    model = Lora()
    learning = [p for p in model.parameters() if p.requires_grad]
    return model, torch.optim.AdamW(learning, lr=5e-5, weight_decay=0.01)


def radam():
    model = nn.Linear(4, 4, bias=False)
    return model, torch.optim.RAdam(model.parameters(), lr=1e-3, weight_decay=0.01)


def state_space():
    model = Mamba()
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)


def sparse_table():
    model = nn.Embedding(9, 4, sparse=True)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-4)


def forgotten_head():
    model = nn.ModuleDict({"bert": nn.Linear(4, 4, bias=False), "crf": nn.Linear(4, 2, bias=False)})
    return model, torch.optim.AdamW(model["bert"].parameters(), lr=1e-3, weight_decay=0.01)


def muon_without_gradients():
    model = nn.Sequential(nn.Linear(4, 4, bias=False).requires_grad_(False), nn.Linear(4, 4, bias=False))
    return model, Muon(model.parameters())


REPORTS = {
    "huggingface/diffusers 1009": (zeroed_words, "embedding: unseen rows fade", {"weight"}),
    "Nerogar/OneTrainer 996": (half_precision, "rounds away", {"weight"}),
    "kozistr/pytorch_optimizer 517": (sign_sgd, "weight_decay does nothing", {"weight"}),
    "huggingface/pytorch-image-models 2712": (register_token, "decayed position or token", {"reg_token"}),
    "verl-project/verl 5070": (one_group, "decayed gain", {"norm.weight"}),
    "mlfoundations/open_clip 358": (
        flattened_by_fsdp,
        "flattened",
        {"_fsdp_wrapped_module._flat_param"},
    ),
    "unslothai/unsloth 5747": (lora, "LoRA", {"lora_A.weight", "lora_B.weight"}),
    "pytorch/pytorch 88836": (radam, "the decay is divided by the gradient", {"weight"}),
    "athms/mad-lab 5": (state_space, "decayed temperature or scale", {"A_log", "D"}),
    "pytorch/pytorch 30402": (sparse_table, "sparse embedding", {"weight"}),
    "zjunlp/HVPNeT 5": (forgotten_head, "in no optimizer", {"crf.weight"}),
    "KellerJordan/Muon 54": (muon_without_gradients, "frozen, and decays on", {"0.weight"}),
}


@pytest.mark.parametrize("report", REPORTS)
def test_the_cause_of_a_public_report_is_named(report):
    make, what, parameters = REPORTS[report]
    named = {}
    for finding in decay_report(*make()).findings:
        named.setdefault(finding.what, set()).update(finding.parameters)
    assert named.get(what) == parameters


def test_an_optimizer_that_moves_what_has_no_gradient_is_told():
    report = decay_report(*muon_without_gradients())
    frozen, learning = report.rows
    assert frozen.decays
    assert frozen.without_gradient == pytest.approx(0.02 * 0.1)
    assert learning.decay.note == "a weight that has no gradient is moved, too"
    (finding,) = report.findings
    assert finding.why == "Muon moves a weight that has no gradient, too."


def test_a_frozen_weight_is_told_once_whatever_keeps_it_moving():
    model, optimizer = muon_without_gradients()
    model[0].weight.grad = torch.zeros(4, 4)
    (finding,) = decay_report(model, optimizer).findings
    assert finding.why == "Muon moves a weight that has no gradient, too."


class Needing(torch.optim.SGD):
    """It fails where there is no gradient."""

    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            p.sub_(self.param_groups[0]["lr"] * (p.grad + self.param_groups[0]["weight_decay"] * p))


def test_an_optimizer_that_fails_without_a_gradient_moves_nothing_then():
    model = nn.Linear(4, 4, bias=False)
    (row,) = decay_report(model, Needing(model.parameters(), lr=0.1, weight_decay=0.1)).rows
    assert row.idle == pytest.approx(0.1 * 0.1)
    assert row.without_gradient == 0
    assert row.problem == ""
