"""What a report finds in models with planted faults, and that it invents nothing."""

from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor, Replicate, init_device_mesh

from course_lib import _findings
from course_lib.groups import decay_groups
from course_lib.optimizers import SGDW
from course_lib.report import decay_report
from tests.planted import CLEAN, FAULTS, SGD, AdamW, W, found, grouped, linear, planted, ungrouped


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
    """Schedules, normalizations and penalties have tests of their own."""
    rows = [planted(name).rows for name in FAULTS]
    used = {rule.__name__ for rule in _findings.RULES if any(list(rule(each)) for each in rows)}
    others = {"ends_in_zero", "scale_invariant", "penalized"}
    assert used | others == {rule.__name__ for rule in _findings.RULES}


def test_a_softmax_over_a_tied_table_gives_every_row_a_gradient():
    (model, optimizer), words = FAULTS["tied"][0](), torch.tensor([0, 1])
    nn.functional.cross_entropy(model(words), words).backward()
    assert (model.table.weight.grad != 0).any(dim=1).all()
    fade = decay_report(model, optimizer).findings[0]
    assert "has the gradient of its layer" in fade.why
    assert fade.fix.startswith("nothing, if a softmax")


def test_tables_that_are_tied_to_each_other_alone_have_no_gradient_of_a_layer():
    model = nn.ModuleList([nn.Embedding(3, 2), nn.Embedding(3, 2)])
    model[1].weight = model[0].weight
    assert [what for _, what, _ in found(*ungrouped(model))] == ["embedding: unseen rows fade", "tied"]


def fixes(model, *groups, make=torch.optim.AdamW):
    return {f.what: f.fix for f in decay_report(model, make(groups, lr=0.01)).findings}


def test_what_to_write_keeps_the_decay_of_the_other_groups():
    """AdamW decays a group that does not say what its weight_decay is."""
    model = nn.Sequential(nn.Linear(2, 2), nn.RMSNorm(2))
    weights, others = ([p for p in model.parameters() if (p.ndim > 1) == large] for large in (True, False))
    forgotten = fixes(model, {"params": weights, "weight_decay": 0.1}, {"params": others})
    assert forgotten == dict.fromkeys(["decayed bias", "decayed gain"], "weight_decay=0.0 in group 1")
    head = {"params": model[1].parameters(), "weight_decay": 0.3}
    mixed = fixes(model, {"params": model[0].parameters(), "weight_decay": 0.1}, head)["decayed bias"]
    assert mixed == "a group of their own, with weight_decay=0.0 and the lr of group 0"
    slower = fixes(
        model,
        {"params": model[0].parameters(), "weight_decay": 0.01},
        {**head, "weight_decay": 0.01, "lr": 0.001},
    )
    assert slower["decayed gain"] == "weight_decay=0.0 in group 1"
    both = fixes(model, {"params": model[0].parameters(), "weight_decay": 0.1}, {**head, "lr": 0.001})
    assert both["decayed gain"] == "weight_decay=0.0 in group 1"
    free = [
        {"params": [model[0].weight, model[0].bias]},
        {"params": model[1].parameters(), "weight_decay": 0.0},
    ]
    assert fixes(model, *free) == {"decayed bias": "AdamW(decay_groups(model, 0.01), lr=0.01)"}


def test_what_to_write_names_no_lr_where_there_is_none_and_no_setting_where_none_matters():
    class Keyless(torch.optim.Optimizer):
        def __init__(self, params, share=lambda group: group["weight_decay"], **settings):
            super().__init__(params, {"share": share, **settings})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(1 - group["share"](group))

    model = nn.Linear(2, 1)
    for settings, line in (
        ({"weight_decay": 0.1}, "Keyless(decay_groups(model, 0.1))"),
        ({"share": lambda _: 0.1}, "another optimizer for it: no setting of Keyless changes what it takes"),
    ):
        (found, *_) = decay_report(model, Keyless(model.parameters(), **settings)).findings
        assert (found.what, found.fix) == ("decayed bias", line)


@pytest.mark.parametrize("n_tables", [1, 2])
def test_what_to_write_of_a_table_can_be_copied(n_tables):
    model = nn.ModuleList([nn.Linear(2, 2, bias=False), *(nn.Embedding(3, 2) for _ in range(n_tables))])
    line = fixes(model, {"params": model.parameters()})["embedding: unseen rows fade"]
    decayed, free = eval(line, {"decay_groups": decay_groups, "model": model, "weight_decay": 0.1})
    assert decayed == {"params": [model[0].weight], "weight_decay": 0.1}
    assert free == {"params": [table.weight for table in model[1:]], "weight_decay": 0.0}


def test_what_is_decayed_alike_is_found_together_whatever_its_group():
    model = nn.ModuleList(nn.Linear(2, 1) for _ in range(3))
    decays = zip(model, (0.1, 0.1, 0.3), strict=True)
    groups = [{"params": layer.parameters(), "weight_decay": decay} for layer, decay in decays]
    alike, other = (f for f in decay_report(model, AdamW(groups)).findings if f.what == "decayed bias")
    assert (alike.parameters, other.parameters) == (("0.bias", "1.bias"), ("2.bias",))
    assert alike.fix == "a group of their own, with weight_decay=0.0 and the lr of group 0, 1"


def test_rounding_is_that_of_the_parameter_on_any_default_device():
    model, optimizer = FAULTS["bfloat16"][0]()
    with torch.device("meta"):
        assert found(model, optimizer) == FAULTS["bfloat16"][1]


@pytest.mark.no_cover
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
