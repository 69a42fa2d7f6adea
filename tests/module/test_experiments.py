"""What a report finds out by running a model: weights before a normalization, a penalty in the loss."""

from collections import namedtuple
from dataclasses import make_dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.penalties import l1_penalty, l2_penalty
from course_lib.report import decay_report
from tests.planted import SGD, AdamW, found, grouped


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


def test_a_vector_in_front_of_a_normalization_is_none_of_them_and_what_follows_is_looked_at():
    torch.manual_seed(0)
    norm = nn.LayerNorm(4, elementwise_affine=False)
    linears = [nn.Linear(4, 4, bias=False) for _ in range(2)]
    model = nn.Sequential(nn.LayerNorm(4), norm, linears[0], norm, linears[1])
    marks = [row.marks for row in decay_report(model, SGD(model.parameters()), inputs=torch.randn(8, 4)).rows]
    assert marks == [(), (), ("scale-invariant",), ()]


def test_each_weight_is_doubled_and_changed_otherwise_in_a_copy():
    class Recording(nn.Linear):
        def forward(self, x):
            ratios.append(self.weight / given)
            return super().forward(x)

    ratios, model = [], Recording(3, 2, bias=False)
    given = model.weight.detach().clone()
    decay_report(model, SGD(model.parameters()), inputs=torch.ones(1, 3))
    before, doubled, changed = ratios
    assert (before == 1).all()
    assert (doubled == 2).all()
    assert 1 < changed.min() < changed.max() < 2
    assert torch.equal(model.weight, given)


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


# A penalty in the loss.


class Wrapped(nn.Module):
    """A network whose output comes in another form."""

    def __init__(self, form):
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 1))
        self.form = form

    def forward(self, x):
        return self.form(self.net(x))


Pair = namedtuple("Pair", ["logits", "others"])
Frozen = make_dataclass("Frozen", ["logits"], frozen=True)
FORMS = {
    "tensor": (lambda z: z, lambda out: out),
    "tuple": (lambda z: (z, 3), lambda out: out[0]),
    "list": (lambda z: ["more", [z]], lambda out: out[1][0]),
    "dict": (lambda z: {"logits": z}, lambda out: out["logits"]),
    "named": (lambda z: Pair(logits=z, others=None), lambda out: out.logits),
    "dataclass": (Frozen, lambda out: out.logits),
}
X, Y = torch.linspace(-1, 1, 32).reshape(8, 4) ** 3, torch.linspace(0, 1, 8)[:, None]
WHAT = "a penalty in the loss and a decay"
PENALTIES = {
    "none": (lambda parameters: 0.0, (0.0, 0.0)),
    "L2": (lambda parameters: l2_penalty(parameters, 0.02), (0.02, 0.0)),
    "L2 without a half": (lambda parameters: sum(0.02 * p.square().sum() for p in parameters), (0.04, 0.0)),
    "L1": (lambda parameters: l1_penalty(parameters, 0.03), (0.0, 0.03)),
    "both": (lambda parameters: l1_penalty(parameters, 0.03) + l2_penalty(parameters, 0.02), (0.02, 0.03)),
    "another": (lambda parameters: sum(p.pow(4).sum() for p in parameters), (0.0, 0.0)),
    "a reward": (lambda parameters: -sum(p.square().sum() for p in parameters), (0.0, 0.0)),
}


def penalized(model, read, penalty, names):
    """A loss with a penalty on some parameters."""
    parameters = dict(model.named_parameters())
    dtype = next(model.parameters()).dtype

    def loss():
        return F.mse_loss(read(model(X.to(dtype))), Y.to(dtype)) + penalty(
            [parameters[name] for name in names]
        )

    return loss


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize(
    ("form", "dtype"), [*((form, torch.float32) for form in FORMS), ("tensor", torch.float64)]
)
def test_a_penalty_in_the_loss_is_measured(form, penalty, dtype):
    make, read = FORMS[form]
    model = Wrapped(make).to(dtype)
    add, expected = PENALTIES[penalty]
    names = ["net.0.weight", "net.3.weight"]
    report = decay_report(model, grouped(model), loss=penalized(model, read, add, names))
    for row in report.rows:
        pulls = expected if row.names[0] in names else (0.0, 0.0)
        assert (row.l2, row.l1) == pytest.approx(pulls, rel=1e-4, abs=0)
    both = [f for f in report.findings if f.what == WHAT]
    assert [f.parameters for f in both] == ([tuple(names)] if any(expected) else [])
    for finding in both:
        said = {"times the weight": expected[0], "times its sign": expected[1]}
        added = " and ".join(f"{number:g} {what}" for what, number in said.items() if number)
        assert finding.why == (
            f"The loss adds {added} to the gradient of net.0.weight, and AdamW decays it by 0.1 besides."
        )


def test_a_penalty_without_a_decay_is_no_finding():
    model = nn.Linear(4, 1)
    loss = penalized(model, lambda out: out, PENALTIES["L2"][0], ["weight"])
    free = torch.optim.SGD(model.parameters(), lr=0.1)
    assert found(model, free, loss=loss) == []
    assert decay_report(model, free, loss=loss).rows[0].l2 == pytest.approx(0.02)
    assert [what for _, what, _ in found(model, grouped(model), loss=loss)] == [WHAT]


def test_a_frozen_weight_has_no_penalty():
    model = nn.Linear(4, 1)
    loss = penalized(model, lambda out: out, PENALTIES["L2"][0], ["weight"])
    for parameter in (model.weight, model.bias):
        parameter.requires_grad_(False)
        assert decay_report(model, AdamW(model.parameters()), loss=loss).rows[0].l2 == 0


@pytest.mark.parametrize(("context", "size"), [(torch.no_grad(), 0.02), (torch.device("meta"), 2e4)])
def test_a_model_has_one_with_gradients_off_and_with_another_default_device(context, size):
    model = nn.Linear(4, 1)
    loss = penalized(model, lambda out: out, lambda parameters: l2_penalty(parameters, size), ["weight"])
    with context:
        report = decay_report(model, grouped(model), loss=loss)
    assert report.rows[0].l2 == pytest.approx(size)


MODEL = nn.Linear(4, 1)
REFUSED = [
    (5, TypeError, r"^loss must be a function that returns the loss of a batch, got 5$"),
    (lambda: MODEL(X) and 3.0, ValueError, r"^loss: loss\(\): Boolean value of Tensor"),
    (lambda: 3.0, TypeError, r"^loss: loss\(\): must return a tensor with one number, got 3\.0$"),
    (lambda: MODEL(X), TypeError, r"one number, got torch\.Size\(\[8, 1\]\)$"),
    (lambda: MODEL(X).sum().backward(), TypeError, r"one number, got None$"),
    (lambda: MODEL.weight.sum(), ValueError, r"^loss: loss\(\): must call the model, and it does not$"),
    (lambda: MODEL(X).sum().detach(), ValueError, r"^loss: loss\(\): element 0 of tensors does not require"),
    (lambda: 1 / 0, ValueError, r"^loss: loss\(\): division by zero$"),
]


@pytest.mark.parametrize(("loss", "error", "match"), REFUSED)
def test_a_loss_that_is_none_is_refused(loss, error, match):
    with pytest.raises(error, match=match):
        decay_report(MODEL, AdamW(MODEL.parameters()), loss=loss)
    assert MODEL.weight.grad is None
    assert not MODEL._forward_hooks


def test_a_loss_needs_values():
    model = nn.Linear(4, 1, device="meta")
    with pytest.raises(ValueError, match=r"^loss needs a model with values, and it has parameters on the me"):
        decay_report(model, AdamW(model.parameters()), loss=lambda: model(X).sum())


def test_gradients_stay_what_they_are_when_a_loss_goes_backward():
    model = nn.Linear(4, 1)
    model(X).sum().backward()
    kept = [(parameter.grad, parameter.grad.clone()) for parameter in model.parameters()]

    def loss():
        total = model(X).sum() + l2_penalty(model.weight, 0.02)
        total.backward()
        return total

    with pytest.raises(
        ValueError, match=r"^loss: loss\(\): Trying to backward through the graph a second ti"
    ):
        decay_report(model, AdamW(model.parameters()), loss=loss)
    for parameter, (gradient, numbers) in zip(model.parameters(), kept, strict=True):
        assert parameter.grad is gradient
        assert torch.equal(gradient, numbers)


def test_a_loss_is_computed_as_in_use_but_for_normalizations():
    seen = {}
    model = Wrapped(lambda z: z)
    for name, module in model.net.named_children():
        module.register_forward_pre_hook(lambda module, _, name=name: seen.update({name: module.training}))
    decay_report(model, grouped(model), loss=penalized(model, lambda out: out, lambda _: 0.0, []))
    assert seen == {"0": False, "1": True, "2": False, "3": False}
