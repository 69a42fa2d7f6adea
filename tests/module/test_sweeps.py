"""Sweeps: the same rows wherever they are computed, none lost and none twice, whatever is killed."""

import json
import math
import multiprocessing
import os
import random
import re
import resource
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
import threadpoolctl
import torch
from joblib._parallel_backends import AutoBatchingMixin

from course_lib.sweeps import Row, Sweep, _pools, sweep

GRID = {"lr": [0.1, 0.3, 1.0], "optimizer": ["SGD", "Adam"]}
SEEDS = range(4)


def fit(lr, optimizer, seed):
    """Something whose last bits depend on how many threads add it up."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(40_000, generator=generator)
    return {"loss": lr * (X @ X).item() / 7, "other": float(len(optimizer)) * X.sum().item()}


def counted(lr, seed, *, notes):
    """Write down that it was called, in one call of the system."""
    with open(notes, "a") as file:
        file.write(f"{lr} {seed}\n")
    time.sleep(0.005)
    return {"loss": lr / 3 + seed}


def numbers(found):
    return [(row.settings, row.seed, row.metrics, row.error) for row in found.rows]


def rows_of(file):
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT * FROM rows").fetchall()


def test_rows_are_the_calls_setting_by_setting_and_seed_by_seed():
    found = sweep(fit, GRID, seeds=SEEDS, n_jobs=1)
    calls = [(lr, name, seed) for lr in GRID["lr"] for name in GRID["optimizer"] for seed in SEEDS]
    assert [(*row.settings.values(), row.seed) for row in found.rows] == calls
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert [row.metrics for row in found.rows] == [fit(*call) for call in calls]
    torch.set_num_threads(threads)
    assert all(row.seconds > 0 and row.error is None for row in found.rows)


def test_two_processes_and_a_file_give_the_same_bit_for_bit(tmp_path):
    alone = numbers(sweep(fit, GRID, seeds=SEEDS, n_jobs=1))
    assert numbers(sweep(fit, GRID, seeds=SEEDS, n_jobs=2, file=tmp_path / "a.db")) == alone
    assert numbers(sweep(fit, GRID, seeds=SEEDS, n_jobs=1, file=tmp_path / "a.db")) == alone
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert numbers(sweep(fit, GRID, seeds=SEEDS, n_jobs=None)) == alone


def threads(seed, x):
    return {"threads": torch.get_num_threads()}


def test_a_run_has_one_thread_and_the_caller_as_many_as_before():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    found = sweep(threads, {"x": [1]}, seeds=[0], n_jobs=1)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert found.rows[0].metrics == {"threads": 1}


def test_threads_of_what_was_loaded_meanwhile_are_limited_too(monkeypatch):
    class Controller:
        def __init__(self):
            found.append("loaded_meanwhile" in sys.modules)

        def limit(self, limits):
            return nullcontext()

    found = []
    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", Controller)
    with monkeypatch.context() as loaded:
        for _ in range(2):
            sweep(threads, {"x": [1]}, seeds=[0, 1], n_jobs=1)
            loaded.setitem(sys.modules, "loaded_meanwhile", None)
    _pools.cache_clear()
    assert found[-1]


def test_settings_may_be_a_list_such_as_random_draws():
    draws = [{"lr": np.float64(0.25), "optimizer": "SGD"}, {"optimizer": "Adam", "lr": torch.tensor(0.5)}]
    found = sweep(fit, draws, seeds=[3], n_jobs=1)
    assert [row.settings for row in found.rows] == [
        {"lr": 0.25, "optimizer": "SGD"},
        {"lr": 0.5, "optimizer": "Adam"},
    ]
    assert {type(row.settings["lr"]) for row in found.rows} == {float}
    for metric in found.rows[0].metrics:
        assert [row[:2] for row in found.summary(metric).rows] == [("0.25", "SGD"), ("0.5", "Adam")]


def test_the_order_of_the_settings_makes_no_other_run(tmp_path):
    names = "lr", "optimizer"
    for order in (names, names[::-1]):
        grid = {name: GRID[name] for name in order}
        found = sweep(other, grid, seeds=[0], file=tmp_path / "a.db", n_jobs=-(2**31))
        assert [set(row.settings) for row in found.rows] == 6 * [{*names}]
    assert len(rows_of(tmp_path / "a.db")) == 6


def test_nothing_is_computed_twice(tmp_path):
    file, notes = tmp_path / "a.db", tmp_path / "notes"
    call = partial(counted, notes=str(notes))
    sweep(call, {"lr": [0.1]}, seeds=range(3), file=file, n_jobs=1)
    found = sweep(call, {"lr": [0.1, 0.2]}, seeds=range(4), file=file, n_jobs=1)
    again = sweep(call, {"lr": [0.2, 0.1]}, seeds=[3, 1], file=file, n_jobs=1)
    assert len(notes.read_text().splitlines()) == 8 == len(set(notes.read_text().splitlines()))
    assert [row.metrics["loss"] for row in again.rows] == [0.2 / 3 + 3, 0.2 / 3 + 1, 0.1 / 3 + 3, 0.1 / 3 + 1]
    assert set(map(repr, again.rows)) < set(map(repr, found.rows)), "with the time that it took then"


def patient(lr, seed, *, file, notes):
    """Some of many short runs wait until all before them are kept, of which one may be under way."""
    with open(notes, "a") as opened:
        opened.write(".")
        number = opened.tell()
    if 75 <= number < 80:
        end = time.monotonic() + 10
        while len(rows_of(file)) < number - 1:
            assert time.monotonic() < end, "runs that are done are not kept yet"
            time.sleep(0.01)
    return {"loss": lr * seed}


def test_a_run_is_kept_before_the_next_but_few_begin(tmp_path, monkeypatch):
    """However short the runs are: left to itself, joblib then hands over many at once."""
    monkeypatch.setattr(AutoBatchingMixin, "compute_batch_size", lambda self: 50)
    file, notes = tmp_path / "a.db", tmp_path / "notes"
    run = partial(patient, file=file, notes=notes)
    found = sweep(run, {"lr": [0.1]}, seeds=range(300), file=file, n_jobs=2)
    assert notes.read_text() == 300 * "."
    assert [row.error for row in found.rows if row.error] == []


# What is killed. Processes are copies of one that has imported torch, which takes seconds, already.


@pytest.fixture
def start():
    multiprocessing.set_forkserver_preload(
        ["course_lib.sweeps", "joblib", "tqdm", "tests.module.test_sweeps"]
    )
    started = []

    def start(function, *arguments):
        process = multiprocessing.get_context("forkserver").Process(target=function, args=arguments)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


MANY = {"lr": [0.1, 0.2, 0.3, 0.4, 0.5]}


def sweep_many(file, notes):
    sweep(partial(counted, notes=notes), MANY, seeds=range(40), file=file, n_jobs=1)


def test_a_sweep_that_is_killed_goes_on_and_loses_nothing(tmp_path, start):
    file, notes = str(tmp_path / "a.db"), str(tmp_path / "notes")
    before, killed, longest = [], 0, 0.5
    while True:
        process = start(sweep_many, file, notes)
        process.join(random.uniform(0.05, longest))
        killed += process.is_alive()
        process.kill()
        process.join()
        rows = rows_of(file) if os.path.exists(file) else []
        assert set(before) <= set(rows), "a row is lost, or another"
        longest += 0.1 * (rows == before)  # on a machine so busy that it did nothing yet
        before = rows
        if process.exitcode == 0:
            break
    assert killed >= 3
    assert len(rows) == len({row[1:3] for row in rows}) == 200
    calls = Path(notes).read_text().splitlines()
    assert len(set(calls)) == 200
    assert len(calls) <= 200 + killed, "but for the run that was under way"


def test_two_sweeps_on_one_file_share_the_work(tmp_path, start):
    file, notes = str(tmp_path / "a.db"), str(tmp_path / "notes")
    processes = [start(sweep_many, file, notes) for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(rows_of(file)) == 200
    assert 200 <= len(Path(notes).read_text().splitlines()) < 240
    found = sweep(partial(counted, notes=notes), MANY, seeds=range(40), file=file, n_jobs=1)
    assert [row.metrics["loss"] for row in found.rows] == [lr / 3 + s for lr in MANY["lr"] for s in range(40)]


def deadly(x, seed, *, folder, always):
    """Kill the process that runs it, for x = 3, once or always."""
    mark = os.path.join(folder, f"died-{seed}")
    if x == 3 and (always or not os.path.exists(mark)):
        open(mark, "w").close()
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    return {"loss": x + seed}


def test_a_worker_that_is_killed_costs_no_row(tmp_path):
    call = partial(deadly, folder=str(tmp_path), always=False)
    found = sweep(call, {"x": range(6)}, seeds=range(2), file=tmp_path / "a.db", n_jobs=2)
    assert [row.metrics["loss"] for row in found.rows] == [x + seed for x in range(6) for seed in range(2)]
    assert len(rows_of(tmp_path / "a.db")) == 12


def test_a_run_that_always_kills_its_process_ends_the_sweep_and_the_others_stay(tmp_path):
    call = partial(deadly, folder=str(tmp_path), always=True)
    with pytest.raises(RuntimeError, match=r"^fit: its process died before a run was done"):
        sweep(call, {"x": range(6)}, seeds=[0], file=tmp_path / "a.db", n_jobs=2)
    kept = {json.loads(row[1])["x"] for row in rows_of(tmp_path / "a.db")}
    assert kept <= {0, 1, 2, 4, 5}


def slow(lr, optimizer, seed):
    time.sleep(0.1)
    return fit(lr, optimizer, seed)


def test_dask_gives_the_same_bit_for_bit_and_survives_a_worker(tmp_path, start):
    from dask.distributed import Client, LocalCluster

    alone = [row.metrics for row in sweep(fit, GRID, seeds=range(6), n_jobs=1).rows]
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "protocol": "tcp://"}
    with LocalCluster(**settings, dashboard_address=None) as cluster, Client(cluster) as client:
        first, *_ = client.run(os.getpid).values()
        file = tmp_path / "a.db"
        with joblib.parallel_config(backend="dask"):
            killer = start(kill_later, str(file), first)
            found = sweep(slow, GRID, seeds=range(6), file=file)
        killer.join()
        assert killer.exitcode == 0, "the worker was killed before the sweep was done"
        assert first not in client.run(os.getpid).values()
    assert [row.metrics for row in found.rows] == alone
    assert len(rows_of(file)) == len(alone)


def kill_later(file, process):
    """Kill a process when the first five rows are there, and say whether that was in the middle."""
    while True:
        time.sleep(0.02)
        if os.path.exists(file):
            with closing(sqlite3.connect(file)) as connection:
                try:
                    (n,) = connection.execute("SELECT count(*) FROM rows").fetchone()
                except sqlite3.OperationalError:
                    continue
            if n >= 5:
                os.kill(process, signal.SIGKILL)
                sys.exit(n > 25)


# What fails


def failing(x, seed):
    if x == 1 and seed == 2:
        raise ZeroDivisionError("a bad setting")
    return {"loss": math.nan if x == 2 else x + seed, "accuracy": 0.5 if x < 2 else -math.inf}


def test_what_raises_or_diverges_is_a_row_with_its_error(tmp_path):
    found = sweep(failing, {"x": [0, 1, 2, 3]}, seeds=range(3), file=tmp_path / "a.db", n_jobs=1)
    errors = [row.error for row in found.rows]
    raised = "ZeroDivisionError: a bad setting"
    assert errors == [*[None] * 5, raised, *["loss is nan, accuracy is -inf"] * 3, *["accuracy is -inf"] * 3]
    assert all((row.error is None) == bool(row.metrics) for row in found.rows)
    assert found.values("loss").tolist() == [[0, 1, 2], [1, 2, math.inf], *[[math.inf] * 3] * 2]
    again = sweep(failing, {"x": [0, 1, 2, 3]}, seeds=range(3), file=tmp_path / "a.db", n_jobs=1)
    assert again == found


def returning(x, seed, *, what):
    return what[x] if isinstance(what, list) else what


@pytest.mark.parametrize("what", [None, 0.5, {}, {1: 0.5}, {"loss": "low"}, {"loss": [0.5, 0.6]}, [("a", 1)]])
def test_what_is_no_metrics_is_refused(what):
    with pytest.raises(TypeError, match=r"^fit must return a dict of metrics to numbers, got "):
        sweep(partial(returning, what=what), {"x": [0]}, seeds=[0], n_jobs=1)


def test_other_metrics_than_before_are_refused_and_the_rows_stay(tmp_path):
    call = partial(returning, what=[{"loss": 1.0}, {"loss": 2.0, "accuracy": 0.5}])
    message = r"fit must return the same metrics every time, .*, got .* for x = \d, seed = 0"
    with pytest.raises(ValueError, match=message):
        sweep(call, {"x": [0, 1]}, seeds=[0], file=tmp_path / "a.db", n_jobs=1)
    assert len(rows_of(tmp_path / "a.db")) == 1


def drifting(x, seed, *, notes):
    """It depends on how often it was called."""
    return {"loss": counted(x, seed, notes=notes)["loss"] + len(Path(notes).read_text().splitlines())}


def test_other_values_for_the_same_run_are_noticed_when_asked_for(tmp_path):
    call = partial(drifting, notes=str(tmp_path / "notes"))
    how = {"seeds": range(3), "file": tmp_path / "a.db", "n_jobs": 1}
    sweep(call, {"x": [1, 2]}, **how)
    sweep(call, {"x": [1, 2]}, **how)
    message = (
        r"fit must depend on its settings and seed alone: for x = \d, seed = \d file .*a\.db holds "
        r'\{"loss": [\d.]+\}, and it now gave \{"loss": [\d.]+\}$'
    )
    with pytest.raises(ValueError, match=message):
        sweep(call, {"x": [1, 2]}, **how, verify=1)
    assert len(rows_of(tmp_path / "a.db")) == 6
    steady = {**how, "file": tmp_path / "b.db"}
    notes = tmp_path / "more"
    for verify in (0, 2, 100):
        sweep(partial(counted, notes=str(notes)), {"lr": [1, 2]}, **steady, verify=verify)
    assert len(notes.read_text().splitlines()) == 6 + 2 + 6


def its_thread(x, seed):
    return {"thread": threading.get_ident()}


def test_runs_are_done_and_verified_where_n_jobs_says(tmp_path):
    with joblib.parallel_config(backend="threading", n_jobs=2):
        for verify in (0, 1):
            how = {"file": tmp_path / "a.db", "n_jobs": 1, "verify": verify}
            found = sweep(its_thread, {"x": [1]}, seeds=[0], **how)
            assert found.rows[0].metrics == its_thread(1, 0)


def until_full(file, notes):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
    try:
        sweep_many(file, notes)
    except OSError as error:
        os._exit(10 if str(error).startswith(f"file {file}: ") and "stay in it" in str(error) else 11)


def test_a_full_disk_is_named_and_the_rows_stay(tmp_path, start):
    file, notes = str(tmp_path / "a.db"), str(tmp_path / "notes")
    process = start(until_full, file, notes)
    process.join()
    assert process.exitcode == 10
    assert 20 < len(rows_of(file)) < 200
    sweep_many(file, notes)
    assert len(rows_of(file)) == 200


def other(lr, optimizer, seed):
    return {"loss": 1.0}


class Called:
    def __call__(self, lr, optimizer, seed):
        return {"loss": 1.0}


def test_a_file_of_another_sweep_or_of_something_else_is_refused(tmp_path):
    file = tmp_path / "a.db"
    sweep(fit, GRID, seeds=[0], file=file, n_jobs=1)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"a\.db is of another sweep, of fit over .*, not of other over "):
        sweep(other, GRID, seeds=[0], file=file, n_jobs=1)
    with pytest.raises(ValueError, match=r"a\.db is of another sweep, of fit over .*optimizer.*, not of fit"):
        sweep(partial(fit, optimizer="SGD"), {"lr": [1.0]}, seeds=[0], file=file, n_jobs=1)
    with pytest.raises(ValueError, match=r"a\.db is of another sweep, of fit over .*, not of Called over "):
        sweep(Called(), GRID, seeds=[0], file=file, n_jobs=1)
    assert file.read_bytes() == before
    text = tmp_path / "notes.txt"
    text.write_text("a page of text, which is longer than the head of a database" * 20)
    with pytest.raises(ValueError, match=r"file .*notes\.txt is not one of a sweep"):
        sweep(fit, GRID, seeds=[0], file=text, n_jobs=1)
    theirs = tmp_path / "theirs.db"
    with closing(sqlite3.connect(theirs)) as connection:
        connection.execute("CREATE TABLE rows (a, b)")
    with pytest.raises(ValueError, match=r"file .*theirs\.db is a database of something else"):
        sweep(fit, GRID, seeds=[0], file=theirs, n_jobs=1)
    with pytest.raises(OSError, match=r"file .*missing/a\.db: "):
        sweep(fit, GRID, seeds=[0], file=tmp_path / "missing" / "a.db", n_jobs=1)


def test_another_version_is_computed_anew_and_the_old_rows_stay(tmp_path, monkeypatch):
    file = tmp_path / "a.db"
    call = {"settings": {"x": [0]}, "seeds": [0], "file": file, "n_jobs": 1}
    sweep(partial(returning, what={"loss": 1.0}), **call)
    found = sweep(partial(returning, what={"loss": 2.0}), **call)
    assert found.rows[0].metrics == {"loss": 2.0}
    assert len(rows_of(file)) == 2
    assert sweep(partial(returning, what={"loss": 1.0}), **call).rows[0].metrics == {"loss": 1.0}


# Many at once


def at_once(lr, seed):
    if isinstance(lr, list) and 0.3 in lr:
        raise ValueError("one of them")
    time.sleep(0.02)
    return {"loss": np.array(lr) / 3 + np.array(seed)}


def test_runs_that_are_done_together_are_rows_like_others(tmp_path):
    how = {"seeds": range(5), "file": tmp_path / "a.db", "n_jobs": 1}
    start = time.perf_counter()
    found = sweep(at_once, {"lr": [0.1, 0.2]}, **how, together=3)
    assert 0 < sum(row.seconds for row in found.rows) < time.perf_counter() - start
    assert found.values("loss").tolist() == [[lr / 3 + seed for seed in range(5)] for lr in (0.1, 0.2)]
    failed = sweep(at_once, {"lr": [0.3]}, **how, together=5)
    assert [row.error for row in failed.rows] == ["ValueError: one of them"] * 5
    for what in ({"loss": 1.0}, {"loss": [1.0]}, {"loss": [1.0, 2.0], "accuracy": [1.0]}, None):
        with pytest.raises(TypeError, match=r"^fit must return a dict of metrics to 2 numbers, got "):
            sweep(partial(returning, what=what), {"x": [0, 1]}, seeds=[0], n_jobs=1, together=2)


def test_progress_is_shown_only_when_asked_for(capfd, tmp_path):
    sweep(other, GRID, seeds=[0], n_jobs=1)
    assert capfd.readouterr() == ("", "")
    how = {"seeds": [0], "file": tmp_path / "a.db", "n_jobs": 1}
    sweep(other, {**GRID, "lr": [0.1]}, **how)
    sweep(other, GRID, **how, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert " 2/6 " in err
    assert re.search(r" 6/6 \[.*[ \d](run/s|s/run)\]", err)


# The table


def table_of(losses, **names):
    """Return a sweep whose setting k has these losses, a seed each."""
    settings = [dict(zip(names, values, strict=True)) for values in zip(*names.values(), strict=True)]
    return Sweep(
        tuple(
            Row(setting, seed, {"loss": loss} if loss < math.inf else {}, 1.0)
            for setting, runs in zip(settings, losses, strict=True)
            for seed, loss in enumerate(runs)
        )
    )


def test_the_best_has_the_lowest_median_and_failures_count_as_infinite():
    found = table_of([[3, 3, 3], [1.23456, 2, 9], [0, math.inf, math.inf]], lr=[1, 2, 3])
    assert found.best("loss") == {"lr": 2}
    summary = found.summary("loss")
    assert summary.caption == "loss"
    assert str(summary).split("\n")[0].split() == ["lr", "median", "lowest", "highest", "failed"]
    assert str(summary).split("\n")[3].split() == ["3", "inf", "0", "inf", "2"]
    assert summary.rows[1] == ("2", "2", "1.235", "9", "0")
    assert table_of([[3]], lr=[1]).summary("loss").rows == (("1", "3", "3", "3", "0"),)


def test_floats_of_a_grid_are_shown_short_and_found_as_they_are_written():
    found = table_of(
        [[1], [2], [3]], lr=[0.1 * rate for rate in (0.0316228, 0.1, 0.316228)], kind=["a", "b", "b"]
    )
    assert [row[:2] for row in found.summary("loss").rows] == [
        ("0.00316228", "a"),
        ("0.01", "b"),
        ("0.0316228", "b"),
    ]
    assert found.settings[1]["lr"] != 0.01
    assert found.where(lr=0.01).values("loss").tolist() == [[2]]
    assert found.where(lr=0.01, kind="b").rows == found.where(lr=0.01).rows
    for wanted in ({"lr": 0.01001}, {"lr": 0.01, "kind": "a"}, {"lr": "a"}, {"other": 0.01}):
        with pytest.raises(ValueError, match=r"settings: no row has .*, the first has \{'lr': 0.00316"):
            found.where(**wanted)


def test_one_standard_error_is_that_of_the_best():
    losses = [
        [1.0, 3.0],
        [0.9, 2.9],
        [2.0, 3.7],
        [3.0, 3.2],
    ]  # means 2, 1.9, 2.85, 3.1; an error of 1
    found = table_of(losses, lam=[0.1, 1.0, 100.0, 10.0])
    assert found.one_standard_error("loss", "lam") == 100.0
    for edge, largest in ([[1, 3], [3, 3.2]], 1.0), ([[1, 3], [3, 3]], 2.0), ([[1, 1], [2, 2]], 1.0):
        assert table_of(edge, lam=[1.0, 2.0]).one_standard_error("loss", "lam") == largest
    with pytest.raises(ValueError, match=r"^seeds: a standard error needs two or more$"):
        table_of([[1.0], [2.0]], lam=[1, 2]).one_standard_error("loss", "lam")


def test_a_curve_and_a_chart_are_sorted_and_want_nothing_else_to_differ():
    found = table_of([[5, 6, 7], [1, 2, 9], [3, 3, 4], [0, 1, 5]], lr=[2, 1, 2, 1], lam=[0.1, 0.1, 0.0, 0.0])
    x, runs = found.where(lr=1).curve("loss", "lam")
    assert (x.tolist(), runs.tolist()) == ([0.0, 0.1], [[0, 1], [1, 2], [5, 9]])
    assert found.where(lam=0.1).curve("loss", "lr")[0].dtype == float
    x, y, medians = found.chart("loss", "lr", "lam")
    assert (x.tolist(), y.tolist(), medians.tolist()) == ([1, 2], [0.0, 0.1], [[1, 3], [2, 6]])
    three = r"got \[(\{'lr': \d, 'lam': [\d.]+\}(, )?){3}\]"
    message = (
        rf"^name: settings must differ in '\w+' alone, {three}: keep one value of each other by `where`$"
    )
    for call in (lambda: found.curve("loss", "lr"), lambda: found.curve("loss", "nonsense")):
        with pytest.raises(ValueError, match=message):
            call()
    rest = table_of([[1]] * 5, lr=[1, 1, 2, 2, 3], lam=[0.0, 0.1, 0.0, 0.1, 0.0])
    with pytest.raises(ValueError, match=rf"^x, y: settings must be a grid of 'lr' and 'lam', {three}$"):
        rest.chart("loss", "lr", "lam")
    with pytest.raises(ValueError, match="metric 'nonsense' is in no row"):
        found.values("nonsense")
    with pytest.raises(ValueError, match=r"settings: no row has \{'lr': 7\}"):
        found.where(lr=7)


def test_a_frame_has_a_row_a_run(monkeypatch):
    class Pandas:
        DataFrame = list

    monkeypatch.setitem(sys.modules, "pandas", Pandas)
    (row,) = Sweep((Row({"lr": 1}, 0, {"loss": 2.0}, 0.5),)).to_frame()
    assert row == {"lr": 1, "seed": 0, "loss": 2.0, "seconds": 0.5, "error": None}
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError):
        table_of([[1.0]], lr=[1]).to_frame()


# Bad input


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (None, TypeError, "settings must be a dict of sequences, or a sequence of dicts"),
        ("lr", TypeError, "settings must be a dict of sequences, or a sequence of dicts"),
        ({}, ValueError, "settings must have something to vary"),
        ([], ValueError, "settings must have something to vary"),
        ([{}], ValueError, "settings must have something to vary"),
        ([0.1], TypeError, "settings must be dicts, got 0.1 among them"),
        ({"lr": 0.1}, TypeError, r"settings\['lr'\] must be a sequence"),
        ({"lr": "0.1"}, TypeError, r"settings\['lr'\] must be a sequence"),
        ({"lr": []}, ValueError, r"settings\['lr'\] must not be empty"),
        ({"lr": [0.1, math.nan]}, ValueError, r"settings\['lr'\] must be finite"),
        ([{"lr": 0.1}, {"lr": math.inf}], ValueError, r"settings\['lr'\] must be finite, got inf"),
        ({"lr": [(0.9, 0.95)]}, TypeError, r"settings\['lr'\] must be numbers, strings"),
        ({"lr": [1.0, 2.0, 1.0]}, ValueError, "settings must differ"),
        ({1: [0.1]}, ValueError, "settings must be named by strings"),
        ({"seed": [0.1]}, ValueError, "settings must be named by strings, and none of them 'seed'"),
        ([{"lr": 1.0}, {"x": 1.0}], ValueError, "settings must all have the same names"),
        ({"x": [0.1]}, TypeError, "fit must take x and seed by name"),
        ({"x": [0.1], "y": [0.1]}, TypeError, "fit must take x, y and seed by name"),
    ],
)
def test_settings_that_are_no_grid_are_refused(settings, error, message):
    with pytest.raises(error, match=f"^{message}"):
        sweep(partial(counted, notes="-"), settings, seeds=[0], n_jobs=1)


LOCK = None


def test_a_function_that_no_other_process_can_have_is_refused():
    lock = threading.Lock()

    def holding(lr, seed):
        return {"loss": lock}

    with pytest.raises(TypeError, match="fit must be picklable, to reach other processes"):
        sweep(holding, {"lr": [0.1]}, seeds=[0], n_jobs=1)


def test_functions_without_a_signature_or_a_source_are_taken():
    largest = sys.float_info.max
    found = sweep(dict, {"lr": [0.1, largest]}, seeds=[5], n_jobs=1)
    assert [row.metrics for row in found.rows] == [{"lr": 0.1, "seed": 5.0}, {"lr": largest, "seed": 5.0}]
    with pytest.raises(TypeError, match=r"^fit must return a dict of metrics to numbers, got None$"):
        sweep(partial(dict.update, {}), {"lr": [0.1]}, seeds=[5], n_jobs=1)


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("n_jobs", 0, ValueError),
        ("n_jobs", 1.5, TypeError),
        ("n_jobs", -(2**31) - 1, ValueError),
        ("seeds", [], ValueError),
        ("seeds", [1, 1], ValueError),
        ("seeds", [-1], ValueError),
        ("seeds", 3, TypeError),
        ("file", 3, TypeError),
        ("fit", None, TypeError),
    ],
)
def test_other_arguments_are_refused_by_name(argument, value, error):
    arguments = {"fit": other, "settings": GRID, "seeds": [0], "n_jobs": 1, argument: value}
    with pytest.raises(error, match=rf"^{argument}"):
        sweep(**arguments)
