"""The record of `make zoo`, its page, and the field that searches it."""

import html
import json
import re
import typing
import warnings
from dataclasses import asdict

import pytest
import torch
from torch import nn

from course_lib import probe
from tests.browsing import SITE, Visit
from tools.build import zoo as page_of
from tools.measure import architectures, rosetta, zoo

pytestmark = pytest.mark.no_cover

RECORD = json.loads(zoo.RECORD.read_text(encoding="utf-8"))
EVERY = page_of.optimizers(RECORD)
DISPUTED = [(name, same) for name, model in RECORD["architectures"].items() for same in model["disputed"]]


@pytest.mark.parametrize("library", ["torch", "torch_optimizer", "course_lib"])
def test_what_was_found_of_installed_optimizers_is_found_again(library):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in make zoo
        found = zoo.measure_optimizers(library)
    recorded = RECORD["optimizers"][library]
    assert said(found, "kind", "momentum", "scheduled") == said(recorded, "kind", "momentum", "scheduled")
    for key in ("rate", "long_run"):
        measured = {name: about[key] for name, about in found.items() if key in about}
        expected = {name: about[key] for name, about in recorded.items() if key in about}
        assert measured == pytest.approx(expected, rel=0.01)


def said(found, *keys):
    return {name: [about.get(key) for key in keys] for name, about in found.items()}


def test_page_knows_the_kinds_that_probe_finds():
    assert set(page_of.KINDS) == {*typing.get_args(probe.Kind), zoo.NOT_PROBED}


def test_every_library_has_optimizers_and_what_was_not_probed_has_a_reason():
    assert set(RECORD["optimizers"]) == set(zoo.LIBRARIES)
    assert all(RECORD["optimizers"].values())
    assert all(about["note"] for *_, about in EVERY if about["kind"] == zoo.NOT_PROBED)


def test_versions_and_settings_are_those_of_now():
    assert RECORD["versions"] == zoo.pins()
    assert RECORD["settings"] == zoo.adapters.SETTINGS
    shared = set(zoo.pins()) & set(rosetta.pins())
    assert len(shared) >= 8
    assert {name: zoo.pins()[name] for name in shared} == {name: rosetta.pins()[name] for name in shared}


def test_kinds_of_disagreement_are_those_of_now_and_each_is_met_with_each_verdict():
    assert RECORD["kinds"] == {name: asdict(kind) for name, kind in architectures.KINDS.items()}
    assert {same["kind"] for _, same in DISPUTED} == set(RECORD["kinds"])
    assert {about["verdict"] for about in RECORD["kinds"].values()} == {"argument", "convention", "open"}


def test_every_architecture_was_looked_at_by_every_rule():
    assert list(RECORD["architectures"]) == list(architectures.ARCHITECTURES)
    for model in RECORD["architectures"].values():
        assert list(model["decayed"]) == list(architectures.RULES)
        assert max(model["decayed"].values()) == model["decayed"]["everything"]


def without_libraries(monkeypatch):
    """Leave the rules that need nothing but torch."""
    rules = {name: architectures.RULES[name] for name in ("everything", "ndim >= 2", "decay_groups")}
    monkeypatch.setattr(architectures, "RULES", rules)
    monkeypatch.setattr(architectures, "SELECTIVE", ["ndim >= 2", "decay_groups"])


def test_lstm_of_the_record_is_found_again(monkeypatch):
    without_libraries(monkeypatch)
    with torch.device("meta"):
        found = architectures.look_at(architectures.lstm())
    recorded = RECORD["architectures"]["LSTM (torch)"]
    assert found["decayed"] == {rule: recorded["decayed"][rule] for rule in architectures.RULES}
    assert (found["tensors"], found["disputed"]) == (recorded["tensors"], [])


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        self.logit_scale = nn.Parameter(torch.ones(4, 1, 1))
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def test_disagreements_are_grouped_and_counted(monkeypatch):
    without_libraries(monkeypatch)
    found = architectures.look_at(Model())
    assert found["decayed"] == {"everything": 22, "ndim >= 2": 16, "decay_groups": 12}
    (same,) = found["disputed"]
    assert (same["kind"], same["decayed_by"], same["parameters"]) == ("temperature", "ndim >= 2", 4)


def test_a_new_kind_of_disagreement_stops_the_zoo():
    with pytest.raises(LookupError, match=r"^no kind of disagreement has layer\.novelty of Strange$"):
        architectures.kind_of("Strange", "layer.novelty")


def disputed(architecture, names):
    return {
        rule
        for name, same in DISPUTED
        if name == architecture and names in same["names"]
        for rule in same["decayed_by"].split(", ")
    }


def test_what_the_page_tells_is_so():
    kinds = {
        library: next(about["kind"] for name, about in found.items() if name.lower() == "adam")
        for library, found in RECORD["optimizers"].items()
        if library in ("torch", "keras", "optax")
    }
    divided = "coupled and divided by the size of the gradient"
    assert kinds == {"torch": divided, "keras": "decoupled times lr", "optax": "none"}
    adafactor = RECORD["optimizers"]["transformers"]
    assert adafactor["Adafactor (relative_step)"]["kind"] == "decoupled without lr"
    scaled = "twice the weights make it 4 times as large"
    assert [scaled in about.get("note", "") for about in adafactor.values()] == [True, True, False]
    assert adafactor["Adafactor (Trainer)"]["rate"] == pytest.approx(0.01 * 0.1)
    assert "ndim >= 2" in disputed("gpt-oss", "proj_bias")
    assert "Trainer" not in disputed("gpt-oss", "proj_bias")
    assert "Trainer" in disputed("Swin V2", "cpb_mlp")
    assert "Trainer" not in disputed("Swin V2 (transformers)", "continuous_position_bias_mlp")
    assert disputed("Mamba", "norm_f") == {"Trainer"}
    assert disputed("Mamba", "norm.weight") == set()
    assert "timm" in disputed("XCiT", "temperature")
    assert RECORD["architectures"]["GPT-2 with LoRA"]["disputed"] == []


def rows_of_pages():
    """Return the rows of each table of both pages, as texts of cells."""
    pages = (SITE / "book" / "zoo.html", SITE / "book" / "zoo_of_architectures.html")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    return [
        [
            [
                html.unescape(re.sub(r"<[^>]+>", "", cell)).strip()
                for cell in re.findall(r"<t[dh]\b.*?</t[dh]>", row, re.S)
            ]
            for row in re.findall(r"<tr.*?</tr>", table, re.S)
        ]
        for table in re.findall(r"<table.*?</table>", text, re.S)
    ]


@pytest.mark.site
def test_pages_show_every_row_of_the_record():
    kinds, _, every, models, verdicts, disagreements = rows_of_pages()
    for kind, count, *_ in kinds[1:]:
        assert int(count) == sum(about["kind"] == kind for *_, about in EVERY)
    assert [[row[0], row[1], row[4]] for row in every[1:]] == [
        [name, about["kind"], library] for library, name, about in EVERY
    ]
    assert [row[0] for row in models[1:]] == list(RECORD["architectures"])
    for row in models[1:]:
        everything, *decayed = RECORD["architectures"][row[0]]["decayed"].values()
        numbers = [int(cell.replace(",", "")) for cell in row[1:]]
        assert numbers == [everything, *(everything - count for count in decayed)]
    assert [row[:2] for row in verdicts[1:]] == [
        [k, about["verdict"]] for k, about in RECORD["kinds"].items()
    ]
    assert len(disagreements) - 1 == len(DISPUTED)


@pytest.mark.site
def test_field_leaves_the_rows_that_have_all_words(browser, address):
    with Visit(browser, address) as visit:
        tab = visit.open("book/zoo.html")
        field, said = tab.get_by_label("Find in this table:").first, tab.locator(".filter output").first
        assert tab.locator(".filter").count() == 1
        assert said.inner_text() == f"{len(EVERY)} of {len(EVERY)} rows"
        field.fill("KERAS adam")
        expected = [name for library, name, _ in EVERY if library == "keras" and "adam" in name.lower()]
        shown = tab.locator("table.searchable").first.locator("tbody tr:visible th")
        assert [name.strip() for name in shown.all_inner_texts()] == expected
        assert said.inner_text() == f"{len(expected)} of {len(EVERY)} rows"
        field.fill("")
        assert said.inner_text() == f"{len(EVERY)} of {len(EVERY)} rows"
        assert visit.errors == visit.outside == []
