"""The record of `make sweep`, and the page that shows it."""

import json

import numpy as np
import pytest
from docutils.core import publish_doctree
from docutils.parsers.rst.directives import register_directive
from myst_parser.docutils_ import Parser

from tools.build import directives
from tools.measure import sweep

RECORD = json.loads(sweep.RECORD.read_text(encoding="utf-8"))


def test_the_record_is_of_the_grid_as_it_is_now():
    assert (RECORD["rates"], RECORD["decays"]) == (sweep.RATES, sweep.DECAYS), "run make sweep"
    assert list(RECORD["losses"]) == list(sweep.OPTIMIZERS)
    for losses in RECORD["losses"].values():
        assert (len(losses), {len(row) for row in losses}) == (len(sweep.DECAYS), {len(sweep.RATES)})
    assert RECORD["runs"] == len(sweep.OPTIMIZERS) * len(sweep.RATES) * len(sweep.DECAYS) * 10
    assert sweep.RECORD.read_text(encoding="utf-8") == sweep.written(RECORD)


@pytest.mark.parametrize("optimizer", sweep.OPTIMIZERS)
def test_what_is_recorded_is_found_again(optimizer):
    """At two learning rates and two decays."""
    rates, decays = [6, 8], [2, 5]
    found, runs = sweep.medians(
        optimizer, [sweep.RATES[k] for k in rates], [sweep.DECAYS[k] for k in decays], n_jobs=1
    )
    assert len(runs) == 40
    assert all(run.error is None for run in runs)
    recorded = RECORD["losses"][optimizer]
    for row, decay in zip(found, decays, strict=True):
        assert row == pytest.approx([recorded[decay][rate] for rate in rates], rel=0.05)


def test_the_page_shows_the_best_of_each_column():
    register_directive("large-sweep", directives.LargeSweep)
    text = publish_doctree("```{large-sweep}\n```\n", parser=Parser()).astext()
    losses = [row[-1] for row in RECORD["losses"]["AdamW"]]
    lowest = min(loss for loss in losses if loss is not None)
    assert f"{100 * sweep.DECAYS[losses.index(lowest)]:.2g} ({lowest:.2f})" in text
    assert f"{RECORD['runs']:,} networks" in text
    assert RECORD["date"] in text


@pytest.mark.parametrize("optimizer", sweep.OPTIMIZERS)
def test_decay_gains_where_the_learning_rate_is_too_large(optimizer):
    """As the page says of short runs, of the best learning rate and of those that overfit."""
    smallest, *others = np.array(RECORD["losses"][optimizer], dtype=float)
    best = np.fmin(smallest, np.nanmin(others, axis=0))
    assert smallest[0] < 1.02 * best[0]
    assert smallest.min() < 1.02 * best.min()
    assert smallest[-1] > 1.15 * best[-1]
