"""Many runs of one function, over settings and seeds, kept in a file as they come."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import pickle
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from course_lib import _arguments
from course_lib.tables import Table, table

__all__ = ["Row", "Sweep", "sweep"]

Setting: TypeAlias = dict[str, Any]
Task: TypeAlias = tuple[Setting, int]
Outcome: TypeAlias = tuple[dict[str, float], float, str | None]  # metrics, seconds, error
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One run.

    Attributes
    ----------
    settings : dict
    seed : int
    metrics : dict of str to float
        Empty where the run failed.
    seconds : float
        What the run took.
    error : str or None
        Why it failed: what it raised, or which metric is not finite.
    """

    settings: Setting
    seed: int
    metrics: dict[str, float]
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class Sweep:
    """What `sweep` returns: a tidy table, one row a run, setting by setting and each seed by seed.

    A metric is a loss: lower is better; of an accuracy, return what is missing to 1. A run that failed counts
    as infinite.

    Attributes
    ----------
    rows : tuple of Row

    Examples
    --------
    >>> from course_lib.sweeps import Row, Sweep
    >>> found = Sweep(tuple(Row({"lr": lr}, n, {"loss": lr + n}, 0.1) for lr in (1, 2) for n in (0, 1)))
    >>> found.summary("loss")
    lr  median  lowest  highest  failed
     1     1.5       1        2       0
     2     2.5       2        3       0
    >>> found.best("loss")
    {'lr': 1}
    """

    rows: tuple[Row, ...]

    @property
    def settings(self) -> list[Setting]:
        """Each setting once, in the order of the rows."""
        found: list[Setting] = []
        for row in self.rows:
            if not found or row.settings != found[-1]:
                found.append(row.settings)
        return found

    def where(self, **settings: Any) -> Sweep:
        """Return the rows with these settings; floats that differ by rounding alone are equal.

        Raises
        ------
        ValueError
            If there is none.
        """
        kept = tuple(
            row
            for row in self.rows
            if all(
                name in row.settings and _same(row.settings[name], value) for name, value in settings.items()
            )
        )
        if not kept:
            raise ValueError(f"settings: no row has {settings}, the first has {self.rows[0].settings}")
        return Sweep(kept)

    def values(self, metric: str) -> Floats:
        """Return a metric, shape (n_settings, n_seeds), infinite where the run failed.

        Raises
        ------
        ValueError
            If no run has it.
        """
        if not any(metric in row.metrics for row in self.rows):
            raise ValueError(f"metric {metric!r} is in no row")
        values = [row.metrics.get(metric, math.inf) for row in self.rows]
        return np.array(values).reshape(len(self.settings), -1)

    def best(self, metric: str) -> Setting:
        """Return the setting whose median is lowest; `one_standard_error` goes by means, and may differ."""
        return self.settings[int(np.median(self.values(metric), axis=1).argmin())]

    def curve(self, metric: str, name: str) -> tuple[Floats, Floats]:
        """Return what `curves` draws: the values of one setting, and a row a seed.

        Raises
        ------
        ValueError
            If another setting differs, too; `where` keeps the rows with one value of it.
        """
        others = {tuple(v for n, v in setting.items() if n != name) for setting in self.settings}
        if len(others) != 1 or any(name not in setting for setting in self.settings):
            given = f"got {self.settings[:3]}: keep one value of each other by `where`"
            raise ValueError(f"name: settings must differ in {name!r} alone, {given}")
        x = np.array([setting[name] for setting in self.settings], dtype=float)
        order = np.argsort(x)
        return x[order], self.values(metric)[order].T

    def chart(self, metric: str, x: str, y: str) -> tuple[Floats, Floats, Floats]:
        """Return what `contours` draws: two settings, and the medians, (n_y, n_x).

        Raises
        ------
        ValueError
            If another setting differs, too, or the rows are no grid of these two.
        """
        xs, ys = (np.unique([float(setting[name]) for setting in self.settings]) for name in (x, y))
        if len(xs) * len(ys) != len(self.settings):
            raise ValueError(f"x, y: settings must be a grid of {x!r} and {y!r}, got {self.settings[:3]}")
        columns = [self.where(**{x: value}).curve(metric, y)[1] for value in xs]
        return xs, ys, np.median(columns, axis=1).T

    def one_standard_error(self, metric: str, name: str) -> float:
        r"""Return the largest value of a setting whose mean is close to the lowest.

        It is at most one standard error, :math:`s / \sqrt{n}` of the n runs of the best, above the lowest
        mean. Where all values saw the same seeds, their differences seed by seed can tell more.

        Raises
        ------
        ValueError
            If another setting differs, too, or there are fewer than two seeds.

        References
        ----------
        T. Hastie, R. Tibshirani and J. Friedman, "The Elements of Statistical Learning", section 7.10.
        """
        x, runs = self.curve(metric, name)
        if len(runs) < 2:
            raise ValueError("seeds: a standard error needs two or more")
        means = runs.mean(axis=0)
        best = means.argmin()
        error = runs[:, best].std(ddof=1) / math.sqrt(len(runs))
        return float(x[means <= means[best] + error].max())

    def summary(self, metric: str) -> Table:
        """Return one line a setting: the median over the seeds, the lowest, the highest, how many failed."""
        names = list(self.settings[0])
        formats = {**dict.fromkeys(names, "{}"), **dict.fromkeys(("median", "lowest", "highest"), "{:.4g}")}
        lines = [
            (
                *map(_short, setting.values()),
                np.median(runs),
                runs.min(),
                runs.max(),
                int(np.isinf(runs).sum()),
            )
            for setting, runs in zip(self.settings, self.values(metric), strict=True)
        ]
        return table({**formats, "failed": "{}"}, lines, caption=metric)

    def to_frame(self) -> Any:
        """Return the rows as a pandas.DataFrame; raise an ImportError where there is no pandas."""
        pandas = importlib.import_module("pandas")
        return pandas.DataFrame(
            [
                {**row.settings, "seed": row.seed, **row.metrics, "seconds": row.seconds, "error": row.error}
                for row in self.rows
            ]
        )


def sweep(
    fit: Callable[..., Mapping[str, Any]],
    settings: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]],
    *,
    seeds: Iterable[int],
    file: str | os.PathLike[str] | None = None,
    n_jobs: int | None = -1,
    together: int = 1,
    verify: int = 0,
    progress: bool = False,
) -> Sweep:
    """Run a function over a grid of settings and over seeds, and keep every run.

    Joblib runs it: on the cores, or on Dask, Ray or Spark inside ``joblib.parallel_config(backend="dask")``.
    Each run is kept in `file` as soon as it is done. A sweep that was interrupted, even killed, goes on there
    when it is called again, and computes nothing twice; two sweeps on one file share the work. Every run
    gets one thread, so that its numbers do not depend on where it runs.

    Parameters
    ----------
    fit : callable
        ``fit(**setting, seed=seed)`` returns a dict of metrics, such as ``{"loss": 0.4}``. It depends on
        nothing but its arguments. What it raises, or returns as infinite or NaN, is the row's error.
    settings : dict of str to sequence, or sequence of dict
        A grid, the values of each setting; or the settings themselves, such as random draws
        (``sklearn.model_selection.ParameterSampler``). Values are numbers, strings, bools or None.
    seeds : sequence of int
    file : str or path, optional
        A SQLite file, which is made when it is missing; in memory when None. Its table ``rows`` has a row a
        run, under the run's settings, its seed and a digest of the source of `fit` and of what `fit` names
        in its own module: when that changes, the runs are done anew, and the old rows stay.
    n_jobs : int or None, default=-1
        How many runs at once, as joblib counts: -1 is one a core. None: what ``parallel_config`` says.
    together : int, default=1
        When above 1, `fit` gets this many runs at once: a list of values for each setting, and of seeds; and
        it returns a list of values for each metric. In the last bits these may depend on the company.
    verify : int, default=0
        So many runs that `file` has already are done again, and have to give the same.
    progress : bool, default=False
        Whether tqdm shows on stderr how far it is, and how long it will take.

    Returns
    -------
    Sweep

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, `fit` cannot be sent to another process, returns something else
        than metrics or other metrics than before, or gives other values for the same setting and seed; or
        `file` is of another sweep.
    OSError
        If `file` cannot be written; RuntimeError, if processes die and no run gets done. The rows stay.

    Examples
    --------
    >>> from course_lib.sweeps import sweep
    >>> def fit(weight_decay, seed):
    ...     return {"loss": (weight_decay - 0.1) ** 2 + 0.001 * seed}
    >>> found = sweep(fit, {"weight_decay": [0.01, 0.1, 1.0]}, seeds=range(3), n_jobs=1)
    >>> found.best("loss"), len(found.rows)
    ({'weight_decay': 0.1}, 9)
    """
    from tqdm import tqdm

    from course_lib._results import Store

    _arguments.function("fit", fit)
    chosen = _chosen(settings)
    tasks = list(product(chosen, _distinct(seeds)))
    _takes(fit, chosen[0])
    _reaches_others(fit)
    progress = _arguments.flag("progress", progress)
    together = _arguments.count("together", together)
    verify = _arguments.count("verify", verify, minimum=0)
    if n_jobs is not None and _arguments.count("n_jobs", n_jobs, minimum=-(2**31)) == 0:
        raise ValueError("n_jobs must not be 0")
    if file is not None and not isinstance(file, str | os.PathLike):
        raise TypeError(f"file must be a path, got {file!r}")

    store = Store(":memory:" if file is None else file, fit, list(chosen[0]))
    try:
        done = [task for task in tasks if store.get(task) is not None]
        again = random.SystemRandom().sample(done, min(verify, len(done)))
        for rows in _outcomes(fit, again, n_jobs, together):
            store.add(rows)
        with tqdm(total=len(tasks), initial=len(done), unit="run", disable=not progress) as bar:
            while waiting := [task for task in tasks if store.get(task) is None]:
                added = 0
                try:
                    for rows in _outcomes(fit, waiting, n_jobs, together, store.get):
                        store.add(rows)
                        added += len(rows)
                        bar.update(len(rows))
                except BrokenProcessPool as error:
                    if not added:
                        raise RuntimeError(f"fit: its process died before a run was done: {error}") from error
        outcomes = [outcome for task in tasks if (outcome := store.get(task)) is not None]
    finally:
        store.close()
    rows = zip(tasks, outcomes, strict=True)
    return Sweep(tuple(Row(setting, seed, *outcome) for (setting, seed), outcome in rows))


def _outcomes(
    fit: Callable[..., Any],
    tasks: list[Task],
    n_jobs: int | None,
    together: int,
    known: Callable[[Task], object] = lambda task: None,
) -> Iterator[list[tuple[Task, Outcome]]]:
    """Yield what the runs of some tasks gave, as they are done, but for what is known when their turn comes.

    Their order is random, so that two sweeps on one file are seldom at the same.
    """
    from joblib import Parallel, delayed

    parts = [tasks[first : first + together] for first in range(0, len(tasks), together)]
    random.SystemRandom().shuffle(parts)
    left = ([task for task in part if known(task) is None] for part in parts)
    calls = (delayed(_run)(fit, part, together > 1) for part in left if part)
    yield from Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator_unordered")(calls)


def _run(fit: Callable[..., Any], tasks: list[Task], together: bool) -> list[tuple[Task, Outcome]]:
    """Run some tasks, one or together, on one thread."""
    start, found, error = perf_counter(), None, None
    with _pools(len(sys.modules)).limit(limits=1):
        try:
            found = fit(**_together(tasks)) if together else fit(**tasks[0][0], seed=tasks[0][1])
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
    seconds = (perf_counter() - start) / len(tasks)
    if error is not None:
        return [(task, ({}, seconds, error)) for task in tasks]
    metrics = _metrics(found, len(tasks), together)
    return [(task, _outcome(each, seconds)) for task, each in zip(tasks, metrics, strict=True)]


@lru_cache(maxsize=1)
def _pools(n_modules: int) -> Any:
    """Return what limits the threads of all loaded libraries: to look for them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _together(tasks: list[Task]) -> dict[str, list[Any]]:
    """Return a list of values for each setting, and of seeds."""
    columns: dict[str, list[Any]] = {name: [setting[name] for setting, _ in tasks] for name in tasks[0][0]}
    return {**columns, "seed": [seed for _, seed in tasks]}


def _metrics(found: Any, n_runs: int, together: bool) -> list[dict[str, float]]:
    """Return the metrics of each run as floats."""
    wanted = "a dict of metrics to " + (f"{n_runs} numbers" if together else "numbers")
    if not isinstance(found, Mapping) or not found or not all(isinstance(name, str) for name in found):
        raise TypeError(f"fit must return {wanted}, got {found!r}")
    try:
        columns = {
            name: [float(value) for value in (values if together else [values])]
            for name, values in found.items()
        }
    except (TypeError, ValueError) as error:
        raise TypeError(f"fit must return {wanted}, got {found!r}") from error
    if any(len(column) != n_runs for column in columns.values()):
        raise TypeError(f"fit must return {wanted}, got {found!r}")
    return [{name: column[run] for name, column in columns.items()} for run in range(n_runs)]


def _outcome(metrics: dict[str, float], seconds: float) -> Outcome:
    """Return what is kept of a run: its metrics if all are finite, or which is not."""
    wrong = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    return ({}, seconds, ", ".join(wrong)) if wrong else (metrics, seconds, None)


def _chosen(settings: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]]) -> list[Setting]:
    """Return each setting of a grid, or of a list, with values that a file can hold."""
    if isinstance(settings, Mapping):
        columns = {name: _values(name, values) for name, values in settings.items()}
        chosen = [dict(zip(columns, values, strict=True)) for values in product(*columns.values())]
    elif isinstance(settings, str) or not isinstance(settings, Iterable):
        raise TypeError(f"settings must be a dict of sequences, or a sequence of dicts, got {settings!r}")
    else:
        chosen = []
        for setting in settings:
            if not isinstance(setting, Mapping):
                raise TypeError(f"settings must be dicts, got {setting!r} among them")
            chosen.append({name: _plain(name, value) for name, value in setting.items()})
    names = list(chosen[0]) if chosen else []
    if not names:
        raise ValueError(f"settings must have something to vary, got {settings!r}")
    if "seed" in names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"settings must be named by strings, and none of them 'seed', got {names}")
    if any(setting.keys() != set(names) for setting in chosen):
        raise ValueError(f"settings must all have the same names, {names}")
    if len({tuple(map(repr, (setting[name] for name in names))) for setting in chosen}) < len(chosen):
        raise ValueError("settings must differ, got one more than once")
    return [{name: setting[name] for name in names} for setting in chosen]


def _values(name: str, values: Iterable[Any]) -> list[Any]:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"settings[{name!r}] must be a sequence of values, got {values!r}")
    found = [_plain(name, value) for value in values]
    if not found:
        raise ValueError(f"settings[{name!r}] must not be empty")
    return found


def _plain(name: str, value: Any) -> Any:
    """Return a value as Python's own, which JSON can hold."""
    if isinstance(value, np.generic | np.ndarray | torch.Tensor) and value.ndim == 0:
        value = value.item()
    if isinstance(value, int | float) and not abs(value) <= sys.float_info.max:
        raise ValueError(f"settings[{name!r}] must be finite, got {value}")
    if not isinstance(value, int | float | str | bool | None):
        raise TypeError(f"settings[{name!r}] must be numbers, strings, bools or None, got {value!r}")
    return value


def _distinct(seeds: Iterable[int]) -> list[int]:
    found = _arguments.counts("seeds", seeds, minimum=0)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"seeds must be there and differ, got {found}")
    return found


def _same(value: object, wanted: object) -> bool:
    """Return whether two values are equal, floats but for rounding: NumPy's 0.1 * 0.1 is no 0.01."""
    if isinstance(value, float) and isinstance(wanted, float):
        return math.isclose(value, wanted)
    return value == wanted


def _short(value: Any) -> Any:
    """Return a value as a table shows it."""
    return f"{value:.6g}" if isinstance(value, float) else value


def _reaches_others(fit: Callable[..., Any]) -> None:
    """Raise unless a function can be sent to another process, by its name or with its code."""
    import joblib

    with suppress(Exception):
        pickle.dumps(fit)
        return
    try:
        pickle.dumps(joblib.wrap_non_picklable_objects(fit))
    except Exception as error:
        raise TypeError(f"fit must be picklable, to reach other processes, got {fit!r}: {error}") from error


def _takes(fit: Callable[..., Any], setting: Setting) -> None:
    """Raise unless a function takes the settings and a seed, as far as Python knows."""
    try:
        signature = inspect.signature(fit)
    except ValueError:
        return
    try:
        signature.bind(**setting, seed=0)
    except TypeError as error:
        raise TypeError(f"fit must take {', '.join(setting)} and seed by name: {error}") from error
