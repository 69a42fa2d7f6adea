"""The record of `make rosetta`, and the reference that it measures against."""

import html
import json
import re

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso, Ridge

from course_lib import optimizers
from course_lib.conventions import KNOBS
from course_lib.optimum import logistic_optimum
from tools import rosetta

RECORD = json.loads(rosetta.RECORD.read_text(encoding="utf-8"))
FITTED = [name for name, knob in KNOBS.items() if knob.check == "make rosetta"]


def test_every_knob_of_make_rosetta_has_a_check_and_a_record_and_no_other_has():
    assert set(FITTED) == set(rosetta.CHECKS) == set(RECORD["knobs"])


@pytest.mark.parametrize("name", FITTED)
def test_what_was_measured_is_what_the_knob_says_now(name):
    measured = RECORD["knobs"][name]
    knob = KNOBS[name]
    assert (measured["formula"], measured["bias"]) == (knob.formula, knob.bias), "run make rosetta"
    assert 0 <= measured["difference"] <= knob.tolerance


def test_recorded_versions_are_those_that_are_pinned():
    assert RECORD["versions"] == rosetta.pins()


@pytest.mark.parametrize("name", ["rosetta-requirements.txt", "rosetta-constraints.txt"])
def test_every_line_is_an_exact_pin(name, root):
    lines = (root / "tools" / name).read_text().splitlines()
    pinned = [line for line in lines if re.fullmatch(r"[\w.-]+==[\w.]+", line)]
    assert pinned == [line for line in lines if not line.startswith("#")]
    assert len(pinned) > 10


def test_shared_pins_are_those_of_the_book(root):
    book = dict(re.findall(r"^([\w.-]+)==(\S+)", (root / "requirements.txt").read_text(), re.MULTILINE))
    shared = set(book) & set(rosetta.pins())
    assert {"torch", "numpy", "scikit-learn", "scipy"} <= shared
    assert {name: rosetta.pins()[name] for name in shared} == {name: book[name] for name in shared}


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
        expected = np.append(model.coef_, model.intercept_)
        optimum = rosetta.optimum("squared_error", A, y, penalized=free, **found)
        np.testing.assert_allclose(optimum, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_reference_is_logistic_optimum_on_the_log_loss(penalty, decay_bias):
    A, y = rosetta.data(80, "log_loss")
    X, labels = torch.from_numpy(A[:, :-1]), torch.from_numpy(y)
    weight, bias = logistic_optimum(X, labels, 0.05, penalty=penalty, decay_bias=decay_bias)
    penalized = [1, 1, 1, 1, 1, decay_bias]
    optimum = rosetta.optimum("log_loss", A, y, penalized=penalized, **{penalty: 0.05})
    np.testing.assert_allclose(optimum, torch.cat([weight, bias[None]]), rtol=0, atol=1e-10)


@pytest.mark.site
def test_page_shows_every_knob_and_every_optimizer_that_does_not_shrink(root):
    page = (root / "_build" / "html" / "book" / "rosetta.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]+>|\s", "", page))
    knobs = [part for name, knob in KNOBS.items() for part in (name.partition(".")[2], knob.objective)]
    others = [
        part
        for library in RECORD["optimizers"].values()
        for optimizer in library.items()
        for part in optimizer
        if optimizer[1] != "shrinks"
    ]
    for shown in (*knobs, *others, *RECORD["versions"].values(), RECORD["date"]):
        assert shown.replace(" ", "") in text, shown
