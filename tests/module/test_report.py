"""Reports as they are shown, what is refused, and the command line."""

import html
import importlib
import math
import os
import re
import runpy
import subprocess
import sys
import types

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as schedules

from course_lib import probe, report
from course_lib._findings import Finding
from course_lib.report import decay_report
from tests.planted import FAULTS, SGD, AdamW, W, grouped, planted


@pytest.mark.parametrize(("decay", "shown"), [(1e-3, "69,314"), (0.6, "115"), (1.0, "69"), (30.0, "1.94")])
def test_steps_are_whole_numbers_from_a_hundred_on(decay, shown):
    model = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=decay)
    table = decay_report(model, optimizer).table()
    line = dict(zip(table.head, table.rows[0], strict=True))
    assert (line["parameters"], line["half-life"]) == ("weight", shown)


def test_chapters_find_coast_here():
    assert report.coast is probe.coast


# What is shown.


class Long(nn.Module):
    def __init__(self):
        super().__init__()
        self.a_name_that_is_long_and_goes_on_for_ever = nn.ModuleList(nn.Linear(300, 300) for _ in range(4))
        self.another_of_them_that_is_as_long_as_the_first = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 1))


def test_a_report_has_a_line_for_like_parameters_and_fits_a_screen():
    model = Long()
    optimizer = AdamW(model.parameters(), lr=1.23456e-5)
    report = decay_report(model, optimizer, n_samples=10**6, batch_size=7, n_steps=10**6)
    lines = str(report).splitlines()
    assert max(map(len, lines)) <= 100
    table, *rest = str(report).split("\n\n")
    assert table == str(report.table())
    head, first, *others = table.splitlines()
    assert head.split() == [
        *("parameters", "n", "numbers", "group", "lr", "lambda", "decay", "half-life", "epochs", "left")
    ]
    assert len(others) == 1 + 2
    assert len(head) == 100
    assert first.startswith("a_name_that_…ever.0.weight ")
    assert "epochs" not in str(decay_report(model, optimizer, n_steps=5).table())
    assert first.split()[1:] == ["5", "360k", "0", "1.23e-05", "0.1", "decoupled", "561,452", "3.93", "0.291"]
    assert len(rest) == len(report.findings) > 0
    assert rest[0].startswith("1. warning: decayed bias: a_name_that_is_long_and_goes_on_for_ever.0.bias,")
    assert re.search(r"bias, \S+ and 3 more ", " ".join(rest[0].split()))
    assert len(re.findall(r"\.bias", rest[0].partition(" and 3 more")[0])) == 3
    assert (
        'Shown in "Why does the boundary drift?". Write: AdamW(decay_groups(model, 0.1), lr=1.23456e-05)'
        in rest[0]
    )
    assert repr(report) == str(report)


@pytest.mark.parametrize(
    ("names", "listed"),
    [("abc", "a, b, c"), ("abcd", "a, b, c and 1 more"), ("abcdef", "a, b, c and 3 more")],
)
def test_a_finding_is_told_in_lines_that_fit_and_break_at_spaces_alone(names, listed):
    fits, short, long = f"{'a' * 50} {'b' * 46}", "c" * 50, f"{'d' * 30}-{'e' * 40}"
    finding = Finding("note", "what", tuple(names), f"{fits} {short} {long}", "where", "fix")
    told = str(report.Report(planted("a bias").rows, (finding,))).split("\n\n")[1].split("\n   ")
    assert told == [f"1. note: what: {listed}", fits, short, long, 'Shown in "where". Write: fix']


def test_a_name_is_shortened_only_where_the_table_would_be_too_wide():
    def table(name):
        model = nn.Module()
        model.register_parameter(name, nn.Parameter(torch.ones(2, 2)))
        return decay_report(model, SGD(model.parameters())).table()

    room = 100 - len(str(table("w")).splitlines()[0]) + len("parameters")
    assert table("w" * room).rows[0][0] == "w" * room
    assert re.fullmatch("w+…w+", shortened := table("w" * (room + 1)).rows[0][0])
    assert len(shortened) == room


def test_what_is_frozen_has_no_half_life_and_nothing_is_left_of_it():
    model = nn.Linear(2, 1, bias=False).requires_grad_(False)
    table = decay_report(model, AdamW(model.parameters()), n_samples=7, batch_size=2, n_steps=5).table()
    line = dict(zip(table.head, table.rows[0], strict=True))
    assert [line[name] for name in ("decay", "half-life", "epochs", "left")] == ["frozen", "-", "-", "-"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999"), (1000, "1k"), (2000, "2k"), (10**6, "1M"), (3_500_000, "3.5M"), (10**10, "10G")],
)
def test_numbers_are_counted_in_words_of_the_field(count, text):
    model = nn.Module()
    model.weight = nn.Parameter(torch.empty(count, device="meta"))
    assert decay_report(model, SGD(model.parameters())).table().rows[0][2] == text


@pytest.mark.parametrize(
    ("name", "decay", "group"),
    [("a bias", "decoupled", "0"), ("lost", "-", "none"), ("two optimizers", "decoupled", "0.0+1.0"),
     ("frozen with None", "frozen", "0"), ("ignored", "none", "0"),
("growing", "not a decay", "0"), ("unmakeable", "unknown", "0"),
     ("Adam", "divided", "0"), ("without lr", "without lr", "0")],
)  # fmt: skip
def test_the_table_names_the_decay_and_the_group(name, decay, group):
    report = planted(name)
    cells = [dict(zip(report.table().head, row, strict=True)) for row in report.table().rows]
    assert (decay, group) in [(row["decay"], row["group"]) for row in cells]


def test_a_notebook_shows_a_table_and_a_list():
    report = planted("LayerNorm")
    page = report._repr_html_()
    assert page.count("<table") == page.count("<caption>What decay reaches</caption>") == 1
    assert page.count("<li>") == page.count("</li><li>") + 1 == len(report.findings) > 1
    for finding in report.findings:
        for text in (finding.what, finding.why, finding.where, finding.fix, *finding.parameters[:3]):
            assert html.escape(text) in page
    model = nn.Linear(2, 1)
    assert decay_report(model, grouped(model))._repr_html_().endswith("<p>Nothing to look at.</p>")


def test_a_frame_has_a_line_for_each_parameter(monkeypatch):
    frames = types.SimpleNamespace(DataFrame=list)
    monkeypatch.setitem(sys.modules, "pandas", frames)
    weight, bias = decay_report(*FAULTS["a bias"][0](), n_steps=2).to_frame()
    assert weight["names"] == W
    assert not {"decay", "reason"} & set(weight)
    assert (bias["decays"], bias["kind"], bias["why"]) == (
        True,
        "decoupled times lr",
        "bias: has to hold an offset",
    )
    assert bias["left"] == pytest.approx(0.999**2)
    lost = planted("lost").to_frame()[1]
    assert lost["kind"] is None
    old = planted("an old head").to_frame()[-1]
    assert old["why"] is None
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pandas"):
        planted("a bias").to_frame()


# What is refused.


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"n_samples": 5}, ValueError, "^n_samples and batch_size must come together, got 5 and None$"),
        ({"batch_size": 5}, ValueError, "^n_samples and batch_size must come together, got None and 5$"),
        (
            {"scheduler": "cosine"},
            TypeError,
            "^scheduler must be a torch.*LRScheduler, got 'cosine'",
        ),
        ({"optimizer": []}, ValueError, "^optimizer must not be empty$"),
        ({"optimizer": [None]}, TypeError, "^optimizer must be a torch.optim.optimizer.Optimizer, got None$"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, error, match):
    model = nn.Linear(2, 1)
    with pytest.raises(error, match=match):
        decay_report(**{"model": model, "optimizer": AdamW(model.parameters())} | settings)


def test_a_scheduler_has_to_belong_to_the_optimizer_and_to_end(monkeypatch):
    model = nn.Linear(2, 1)
    optimizer, other = AdamW(model.parameters()), AdamW(model.parameters())
    scheduler = schedules.StepLR(optimizer, 5)
    with pytest.raises(ValueError, match=r"^scheduler must be made on optimizer, got <"):
        decay_report(model, other, n_steps=5, scheduler=scheduler)
    with pytest.raises(ValueError, match=r"^scheduler needs n_steps"):
        decay_report(model, optimizer, scheduler=scheduler)
    with pytest.raises(ValueError, match=r"^n_steps must be at most 10,000,000 with a scheduler, got 1000"):
        decay_report(model, optimizer, n_steps=10_000_001, scheduler=scheduler)
    with pytest.raises(TypeError, match=r"^n_steps must be an integer, got 2\.5$"):
        decay_report(model, optimizer, n_steps=2.5, scheduler=scheduler)
    monkeypatch.setattr(report, "MOST_STEPS", 5)
    assert decay_report(model, optimizer, n_steps=5, scheduler=scheduler).rows[0].left < 1
    plateau = schedules.ReduceLROnPlateau(optimizer)
    with pytest.raises(TypeError, match=r"^scheduler: ReduceLROnPlateau: .*missing .*: 'metrics'$"):
        decay_report(model, optimizer, n_steps=5, scheduler=plateau)


def test_a_lazy_model_is_refused():
    model = nn.LazyLinear(1)
    with pytest.raises(ValueError, match=r"^model has no shape for 'weight' yet: run a forward pass first$"):
        decay_report(model, SGD(model.parameters()))


@pytest.mark.parametrize("name", ["lr", "weight_decay"])
def test_settings_that_are_no_numbers_are_refused(name):
    model = nn.Linear(2, 1)
    for value, error in (
        (math.nan, ValueError),
        (math.inf, ValueError),
        ("0.1", TypeError),
        ([0.1], TypeError),
    ):
        optimizer = AdamW(model.parameters())
        optimizer.param_groups[0][name] = value
        with pytest.raises(error, match=f"^optimizer must have a (finite|number as) {name}"):
            decay_report(model, optimizer)


# The command line.

MAKERS_FILE = """
import torch
from course_lib.groups import decay_groups

def clean():
    model = torch.nn.Linear(2, 1)
    return model, torch.optim.AdamW(decay_groups(model, 0.1), lr=0.01)

def biased():
    model = torch.nn.Linear(2, 1)
    return model, torch.optim.AdamW(model.parameters(), lr=0.01), {"n_steps": 10}

def divided():
    model = torch.nn.Linear(2, 1, bias=False)
    return model, torch.optim.Adam(model.parameters(), weight_decay=0.1)

def lost():
    model = torch.nn.Linear(2, 1)
    return model, torch.optim.AdamW([model.weight], lr=0.01)

def failing():
    raise RuntimeError("no data\\nhere")

def leaving():
    raise SystemExit(7)

def one():
    return torch.nn.Linear(2, 1)

def wrong():
    return torch.nn.Linear(2, 1), "SGD"

number = 3
"""


@pytest.fixture
def makers(tmp_path, monkeypatch):
    (tmp_path / "makers_of_models.py").write_text(MAKERS_FILE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "makers_of_models"
    sys.modules.pop("makers_of_models", None)


@pytest.mark.parametrize(
    ("maker", "options", "code"),
    [
        ("clean", [], 0),
        ("biased", [], 1),
        ("biased", ["--fail-on", "error"], 0),
        ("biased", ["--fail-on", "note"], 1),
        ("divided", [], 0),
        ("divided", ["--fail-on=note"], 1),
        ("lost", ["--fail-on", "error"], 1),
    ],
)
def test_the_command_prints_the_report_and_tells_by_its_code(makers, capsys, maker, options, code):
    assert report._main([f"{makers}:{maker}", *options]) == code
    out, err = capsys.readouterr()
    model, optimizer, *settings = getattr(importlib.import_module(makers), maker)()
    assert out == f"{decay_report(model, optimizer, **dict(*settings))}\n"
    assert err == ""


@pytest.mark.parametrize(
    ("maker", "message"),
    [
        ("no_such_module:clean", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("{}:nothing", "AttributeError: module '{}' has no attribute 'nothing'"),
        ("{}", "ValueError: must be package.module:function"),
        ("{}:clean:now", "AttributeError: module '{}' has no attribute 'clean:now'"),
        ("{}:", "ValueError: must be package.module:function"),
        (":clean", "ValueError: must be package.module:function"),
        ("{}:failing", "RuntimeError: no data here"),
        ("{}:leaving", "SystemExit: 7"),
        ("{}:one", "TypeError: must return a model and its optimizer, got Linear"),
        ("{}:wrong", "TypeError: optimizer must be a torch.optim.optimizer.Optimizer, got 'SGD'"),
        ("{}:number", "TypeError: 'int' object is not callable"),
    ],
)
def test_the_command_says_in_one_line_what_it_cannot_do(makers, capsys, maker, message):
    maker = maker.format(makers)
    assert report._main([maker]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"python -m course_lib.report: {maker}: {message.format(makers)}\n")


def test_the_command_knows_its_levels(makers, capsys):
    with pytest.raises(SystemExit) as left:
        report._main([f"{makers}:clean", "--fail-on", "panic"])
    assert left.value.code == 2
    assert "invalid choice: 'panic'" in capsys.readouterr().err


def test_the_command_says_what_it_takes(capsys):
    with pytest.raises(SystemExit) as left:
        report._main(["--help"])
    assert left.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert " What decay reaches in a model: which parameters, by how much, by which rule, " in said
    assert (
        " package.module:function returns a model, its optimizer and, if wanted, a dict of settings" in said
    )
    assert "--fail-on {error,warning,note} from here on exit with 1" in said


def test_the_file_is_the_command(makers, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [report.__file__, f"{makers}:biased"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(report.__file__, run_name="__main__")
    assert left.value.code == 1
    assert "1. warning: decayed bias: bias" in capsys.readouterr().out


def test_the_command_runs_in_the_folder_of_its_model(makers, tmp_path, root):
    command = [sys.executable, "-m", "course_lib.report", f"{makers}:biased"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (1, "")
    assert "1. warning: decayed bias: bias" in run.stdout
