"""The record of `make rosetta`, and the reference that it measures against."""

import html
import json
import re
import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from docutils.core import publish_doctree
from docutils.parsers.rst.directives import register_directive
from myst_parser.docutils_ import Parser
from sklearn.linear_model import Lasso, Ridge

from course_lib import optimizers
from course_lib.conventions import KNOBS, LIBRARIES
from course_lib.labs import boundary
from course_lib.optimum import logistic_optimum
from tools.build import directives
from tools.measure import rosetta

RECORD = json.loads(rosetta.RECORD.read_text(encoding="utf-8"))
FITTED = [name for name, knob in KNOBS.items() if knob.check == "make rosetta"]


def test_every_knob_of_make_rosetta_has_a_check_and_a_record_and_no_other_has():
    assert set(FITTED) == set(rosetta.CHECKS) == set(RECORD["knobs"])


@pytest.mark.parametrize("name", FITTED)
def test_what_was_measured_is_what_the_knob_says_now(name):
    measured = RECORD["knobs"][name]
    found = {key: measured[key] for key in ("difference", "doubled")}
    assert measured == rosetta.row(KNOBS[name]) | found, "run make rosetta"
    assert measured["difference"] >= 0
    assert rosetta.holds(measured)


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "mean loss"},
        {"penalty": "l1"},
        {"beside": "Lion"},
        {"losses": {"squared_error": 0.5}},
        {"factor": 2.0},
        {"inverse": True},
        {"times": ("lr",)},
        {"per": ("lr",)},
        {"bias": "free"},
        {"bias_is_a_choice": False},
        {"tolerance": 1e-7},
        {"check": "make test"},
    ],
)
def test_no_change_of_a_row_goes_unnoticed(change):
    knob = KNOBS["optax.adamw.weight_decay"]
    assert rosetta.row(replace(knob, **change)) != rosetta.row(knob)


@pytest.mark.parametrize(
    ("difference", "doubled", "expected"),
    [
        (1e-9, 0.1, True),
        (1e-8, 0.1, True),
        (2e-8, 0.1, False),
        (1e-9, 1e-8, False),
        (float("nan"), 0.1, False),
        (1e-9, float("nan"), False),
    ],
)
def test_a_fit_holds_if_it_agrees_and_would_not_with_twice_the_value(difference, doubled, expected):
    measured = {"difference": difference, "doubled": doubled, "tolerance": 1e-8}
    assert rosetta.holds(measured) == expected


def test_recorded_versions_are_those_that_are_pinned():
    assert RECORD["versions"] == rosetta.pins()


@pytest.mark.parametrize("name", ["rosetta-requirements.txt", "rosetta-constraints.txt"])
def test_every_line_is_an_exact_pin(name, root):
    lines = (root / "tools" / "measure" / name).read_text().splitlines()
    pinned = [line for line in lines if re.fullmatch(r"[\w.-]+==[\w.]+", line)]
    assert pinned == [line for line in lines if not line.startswith("#")]
    assert len(pinned) > 10


def test_shared_pins_are_those_of_the_book(root):
    book = dict(re.findall(r"^([\w.-]+)==(\S+)", (root / "requirements.txt").read_text(), re.MULTILINE))
    shared = set(book) & set(rosetta.pins())
    assert {"torch", "numpy", "scikit-learn", "scipy"} <= shared
    assert {name: rosetta.pins()[name] for name in shared} == {name: book[name] for name in shared}


@pytest.mark.parametrize("library", ["torch", "torch_optimizer", "course_lib"])
def test_verdicts_are_those_of_the_optimizers_that_are_installed(library):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in make rosetta
        assert rosetta.measure_optimizers(library) == RECORD["optimizers"][library], "run make rosetta"


def test_every_optimizer_of_the_book_shrinks():
    names = {name for name in optimizers.__all__ if isinstance(getattr(optimizers, name), type)}
    assert RECORD["optimizers"]["course_lib"] == dict.fromkeys(names, "shrinks")


def test_the_optimizer_known_to_tilt_tilts():
    assert RECORD["optimizers"]["torch_optimizer"]["SGDW"].startswith("tilts: ")


def test_every_optimizer_has_a_verdict_and_a_reason_unless_it_shrinks():
    verdicts = [found for library in RECORD["optimizers"].values() for found in library.values()]
    assert len(verdicts) > 150
    for found in verdicts:
        assert re.fullmatch(r"shrinks|(tilts|does not decay|not run): [\w ,.-]+", found), found


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([[0.9, -1.8, 0.0], [0.8, -1.7, 0.0]], "shrinks"),
        ([[1.0, -2.0, 0.0], [0.8, -1.7, 0.0]], "shrinks"),
        ([[0.9, -1.8, 0.0], [0.95, -1.7, 0.0]], "shrinks"),
        ([[1.0, -2.0, 0.0], [1.0, -2.0, 0.0]], "does not decay"),
        ([[0.9, -2.0, 0.0], [0.8, -2.0, 0.0]], "shrinks some"),
        ([[0.9, -2.1, 0.0], [0.8, -1.7, 0.0]], "tilts"),
        ([[0.9, -1.8, -0.1], [0.8, -1.7, 0.0]], "tilts"),
        ([[float("nan")] * 3] * 2, "tilts"),
    ],
)
def test_verdict(path, expected):
    assert rosetta.verdict(torch.tensor([1.0, -2.0, 0.0]), torch.tensor(path)) == expected


class Subtracting(torch.optim.SGD):
    """What torch_optimizer's SGDW does."""

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.add_(-group["lr"] * group["weight_decay"])


def test_the_test_of_optimizers_catches_decay_that_does_not_know_the_sign():
    assert rosetta.idle_verdict("Subtracting", Subtracting) == "tilts"
    assert rosetta.idle_verdict("SGD", torch.optim.SGD) == "shrinks"
    assert rosetta.idle_verdict("Rprop", torch.optim.Rprop) == "not run: has no weight_decay"


@pytest.mark.parametrize("n_samples", [50, 80])
def test_reference_is_ridge_and_lasso_on_squares(n_samples):
    A, y = rosetta.data(n_samples, "squared_error")
    free = [1, 1, 1, 1, 1, 0]
    ridge = Ridge(alpha=0.3 * n_samples / 2).fit(A[:, :-1], y)
    lasso = Lasso(alpha=0.6 / 2, tol=1e-14, max_iter=10_000).fit(A[:, :-1], y)
    for found, model in [({"l2": 0.3}, ridge), ({"l1": 0.6}, lasso)]:
        expected = np.append(model.coef_, model.intercept_)[:, None]
        optimum = rosetta.optimum("squared_error", A, y, penalized=free, **found)
        np.testing.assert_allclose(optimum, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("n_outputs", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("loss", "function", "divides_by_the_rows"),
    [("squared_error", F.mse_loss, False), ("log_loss", F.binary_cross_entropy_with_logits, True)],
)
def test_reference_takes_the_means_of_torch(loss, function, divides_by_the_rows, n_outputs):
    A, y = (torch.from_numpy(array) for array in rosetta.data(20, loss, n_outputs))
    f, weights = A[:, :n_outputs], torch.linspace(0.2, 3.0, 20, dtype=torch.float64)
    torch.testing.assert_close(rosetta.mean_loss(loss, f, y), function(f, y), rtol=1e-14, atol=0)
    shares = weights / (20 if divides_by_the_rows else weights.sum())
    weighted = function(f, y, weight=weights[:, None].expand_as(y))
    torch.testing.assert_close(rosetta.mean_loss(loss, f, y, shares), weighted, rtol=1e-14, atol=0)


@pytest.mark.parametrize("n_outputs", [2, 3, 5])
def test_reference_takes_the_mean_of_torch_over_rows_for_the_cross_entropy(n_outputs):
    A, y = (torch.from_numpy(array) for array in rosetta.data(20, "cross_entropy", n_outputs))
    f, labels, weight = A[:, :n_outputs], y.argmax(1), torch.linspace(0.2, 3.0, n_outputs).double()
    found = rosetta.mean_loss("cross_entropy", f, y)
    torch.testing.assert_close(found, F.cross_entropy(f, labels), rtol=1e-14, atol=0)
    found = rosetta.mean_loss("cross_entropy", f, y, weight[labels] / weight[labels].sum())
    torch.testing.assert_close(found, F.cross_entropy(f, labels, weight=weight), rtol=1e-14, atol=0)


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_reference_is_logistic_optimum_on_the_log_loss(penalty, decay_bias):
    A, y = rosetta.data(80, "log_loss")
    X, labels = torch.from_numpy(A[:, :-1]), torch.from_numpy(y[:, 0])
    weight, bias = logistic_optimum(X, labels, 0.05, penalty=penalty, decay_bias=decay_bias)
    penalized = [1, 1, 1, 1, 1, decay_bias]
    optimum = rosetta.optimum("log_loss", A, y, penalized=penalized, **{penalty: 0.05})
    np.testing.assert_allclose(optimum[:, 0], torch.cat([weight, bias[None]]), rtol=0, atol=1e-10)


def page(root):
    return (root / "_build" / "html" / "book" / "rosetta.html").read_text(encoding="utf-8")


def plain(fragment):
    """Return what a reader sees of a piece of HTML, without blanks."""
    return html.unescape(re.sub(r"<[^>]+>|\s", "", fragment))


def codes(cell):
    return {plain(code) for code in re.findall(r"<code.*?</code>", cell, re.DOTALL)}


@pytest.mark.site
@pytest.mark.parametrize("name", KNOBS)
def test_page_shows_what_each_knob_stands_for_in_one_row(name, root):
    knob, (library, _, rest) = KNOBS[name], name.partition(".")
    (section,) = [
        part
        for part in page(root).split("<h3>")
        if plain(part).startswith(plain(LIBRARIES.get(library, library)) + "#")
    ]
    cells = re.compile(r"<t[dh]\b.*?</t[dh]>", re.DOTALL)
    rows = [cells.findall(row) for row in re.findall(r"<tr.*?</tr>", section, re.DOTALL)]
    formulas, shown = {plain(formula) for formula in knob.formulas.values()}, {plain(knob.objective)}
    ((_, cell, bias, off_by, _),) = [
        row
        for row in rows
        if row and plain(rest) in codes(row[0]) and (codes(row[1]), codes(row[4])) == (formulas, shown)
    ]
    kind = {"l2": "", "l1": "(l1)", "l21": "(l21)"}.get(knob.penalty, f"({knob.beside}'s)")
    assert plain(cell.rpartition("</code>")[2]).replace("’", "'") == kind
    assert plain(bias) == knob.bias + "*" * knob.bias_is_a_choice
    assert re.fullmatch(r"≤?(\d·)?10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", plain(off_by))


@pytest.mark.site
def test_page_shows_the_formulas_of_the_reference(root):
    formulas = " ".join(re.findall(r'<annotation encoding="application/x-tex">(.*?)<', page(root), re.DOTALL))
    for part in (
        r"\text{mean loss}",
        r"\frac{\lambda}{2}\|w\|^2",
        r"\ell_1\|w\|_1",
        r"\ell_{21}\sum_j\|w_j\|",
    ):
        assert part in html.unescape(formulas), part


@pytest.mark.site
def test_page_shows_every_optimizer_that_does_not_shrink(root):
    text = plain(page(root))
    others = [
        part
        for library in RECORD["optimizers"].values()
        for optimizer in library.items()
        for part in optimizer
        if optimizer[1] != "shrinks"
    ]
    for shown in (*others, *RECORD["versions"].values(), RECORD["date"]):
        assert shown.replace(" ", "") in text, shown


def test_a_page_of_markdown_shows_a_lab_with_the_options_of_its_directive():
    text = "```{lab} boundary\n:weight_decay: 0.2\n:penalty: L1\n:decay_bias: False\n:n_steps: 7\n```\n"
    register_directive("lab", directives.Lab)
    (shown,) = publish_doctree(text, parser=Parser()).children
    given = json.loads(html.unescape(re.search("data-given='(.*?)'", shown.astext())[1]))
    assert given["settings"] == boundary(weight_decay=0.2, penalty="L1", decay_bias=False, n_steps=7).settings
    assert shown["format"] == "html"
    assert '<p class="lab-instead">Where scripts run, here is a lab.' in shown.astext()
    assert len(plt.get_fignums()) == 1  # that of the line before; the page draws none
    plt.close("all")
    text = "```{lab} boundary\n:small: True\n\nThe picture\nshows it.\n```\n"
    (shown,) = publish_doctree(text, parser=Parser()).children
    assert '"small":true' in shown.astext()
    assert '<p class="lab-instead">The picture shows it.</p>' in shown.astext()
