"""Behind sweeps: the file in which rows are kept, and what tells one version of a function from another."""

from __future__ import annotations

import hashlib
import inspect
import json
import marshal
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

APPLICATION = 0x57444558  # "WDEX", in the head of each file, so that no other is taken for one
TABLES = """
    CREATE TABLE sweep (fit TEXT, settings TEXT, metrics TEXT);
    CREATE TABLE rows (version TEXT, settings TEXT, seed INTEGER, metrics TEXT, seconds REAL, error TEXT,
        PRIMARY KEY (version, settings, seed));
"""
UNSHARED = 2  # a version of marshal that does not note what else holds a constant
Task = tuple[dict[str, Any], int]
Outcome = tuple[dict[str, float], float, str | None]  # metrics, seconds, error


class Store:
    """The rows of one version of a function in a SQLite file. Each call of `add` is one transaction."""

    def __init__(self, file: str | os.PathLike[str], fit: Callable[..., Any], names: Sequence[str]) -> None:
        self.file = os.fspath(file)
        self.version = version_of(fit)
        self.lock = threading.Lock()  # joblib asks for tasks in another thread than it hands in results
        with self._named():
            self.connection = sqlite3.connect(self.file, timeout=60, check_same_thread=False)
            try:
                self._open(_name(fit), json.dumps(sorted(names)))
            except BaseException:
                self.connection.close()
                raise

    def close(self) -> None:
        self.connection.close()

    def _open(self, fit: str, names: str) -> None:
        self.connection.isolation_level = None  # transactions are begun here
        with self._transaction():
            (application,) = self.connection.execute("PRAGMA application_id").fetchone()
            (n_tables,) = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if application == 0 and n_tables == 0:
                for statement in TABLES.split(";")[:-1]:
                    self.connection.execute(statement)
                self.connection.execute(f"PRAGMA application_id = {APPLICATION}")
                self.connection.execute("INSERT INTO sweep VALUES (?, ?, NULL)", (fit, names))
            elif application != APPLICATION:
                raise ValueError(f"file {self.file} is a database of something else")
            held = self.connection.execute("SELECT fit, settings FROM sweep").fetchone()
        if held != (fit, names):
            raise ValueError(
                f"file {self.file} is of another sweep, "
                f"of {held[0]} over {held[1]}, not of {fit} over {names}"
            )

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say which file an error of SQLite is about."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OSError(f"file {self.file}: {error}; rows that it has already stay in it") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"file {self.file} is not one of a sweep: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self.lock, self._named():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                self.connection.rollback()
                raise

    def get(self, task: Task) -> Outcome | None:
        """Return what the file holds for a task, if it does."""
        with self.lock, self._named():
            found = self.connection.execute(
                "SELECT metrics, seconds, error FROM rows WHERE version = ? AND settings = ? AND seed = ?",
                self._key(task),
            ).fetchone()
        return None if found is None else (json.loads(found[0]), found[1], found[2])

    def add(self, rows: Iterable[tuple[Task, Outcome]]) -> None:
        """Add rows, all or none; those that the file has already must be the same."""
        with self._transaction():
            for task, (metrics, seconds, error) in rows:
                if error is None:
                    self._same_names(task, metrics)
                row = (*self._key(task), json.dumps(metrics), seconds, error)
                added = self.connection.execute("INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?, ?, ?)", row)
                if not added.rowcount:
                    self._same(task, row)

    def _same_names(self, task: Task, metrics: Mapping[str, float]) -> None:
        (held,) = self.connection.execute("SELECT metrics FROM sweep").fetchone()
        if held is None:
            self.connection.execute("UPDATE sweep SET metrics = ?", (json.dumps(sorted(metrics)),))
        elif json.loads(held) != sorted(metrics):
            raise ValueError(
                f"fit must return the same metrics every time, {held}, "
                f"got {sorted(metrics)} for {_words(task)}"
            )

    def _same(self, task: Task, row: Sequence[Any]) -> None:
        held = self.connection.execute(
            "SELECT metrics, error FROM rows WHERE version = ? AND settings = ? AND seed = ?", row[:3]
        ).fetchone()
        if held != (row[3], row[5]):
            raise ValueError(
                f"fit must depend on its settings and seed alone: for {_words(task)} file {self.file} holds "
                f"{held[1] or held[0]}, and it now gave {row[5] or row[3]}"
            )

    def _key(self, task: Task) -> tuple[str, str, int]:
        setting, seed = task
        return self.version, json.dumps(setting, sort_keys=True), seed


def _words(task: Task) -> str:
    setting, seed = task
    return ", ".join(f"{name} = {value!r}" for name, value in {**setting, "seed": seed}.items())


def _name(fit: Any) -> str:
    return str(getattr(_unwrapped(fit), "__qualname__", type(fit).__qualname__))


def _unwrapped(fit: Any) -> Any:
    return _unwrapped(fit.func) if isinstance(fit, partial) else fit


def version_of(fit: Callable[..., Any]) -> str:
    """Return a digest of the source of a function, and of all that it names in its own module.

    Functions and classes of that module count by their source, numbers, texts and arrays by what they are,
    and what is imported by its name.
    """
    parts: list[str] = []
    _collect(fit, getattr(_unwrapped(fit), "__module__", None), parts, set())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _collect(thing: Any, module: str | None, parts: list[str], seen: set[int]) -> None:
    """Add what tells a thing from another version of it; `seen` are those that may lead back here."""
    if id(thing) in seen:
        return
    if isinstance(thing, partial):
        _collect([thing.func, thing.args, thing.keywords], module, parts, seen)
    elif isinstance(thing, MethodType):
        _collect([thing.__func__, thing.__self__], module, parts, seen)
    elif isinstance(thing, ModuleType):
        parts.append(thing.__name__)
    elif isinstance(thing, FunctionType | type):
        seen.add(id(thing))
        named = f"{thing.__module__}.{thing.__qualname__}"
        own = thing.__module__ == module
        parts.append(named if not own else _source(thing))
        if own and isinstance(thing, FunctionType):
            _collect(_named_by(thing), module, parts, seen)
    elif isinstance(thing, Mapping):
        for name, value in sorted(thing.items(), key=lambda item: repr(item[0])):
            parts.append(repr(name))
            _collect(value, module, parts, seen)
    elif isinstance(thing, list | tuple):
        for value in thing:
            _collect(value, module, parts, seen)
    else:
        parts.append(_in_text(thing))
        if type(thing).__module__ == module:
            seen.add(id(thing))
            _collect([type(thing), getattr(thing, "__dict__", None)], module, parts, seen)


def _source(thing: FunctionType | type) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # what was typed or made has none
        code = getattr(thing, "__code__", None)
        return repr(thing) if code is None else marshal.dumps(code.replace(co_filename=""), UNSHARED).hex()


def _named_by(function: FunctionType) -> dict[str, Any]:
    """Return the variables from outside that a function, or one inside it, uses."""
    names, codes = set(), [function.__code__]
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    outside = {name: function.__globals__[name] for name in names & set(function.__globals__)}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return outside | {name: cell.cell_contents for name, cell in cells}


def _in_text(value: Any) -> str:
    """Return what tells a number, a text or an array from another; of anything else, what it is."""
    if isinstance(value, torch.Tensor):
        numbers = value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy()
        return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(numbers.tobytes()).hexdigest()}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, int | float | complex | str | bytes | np.generic | None):
        return repr(value)
    return type(value).__qualname__
