"""Calling a function that somebody has just written: what it returns, or what became of it."""

from __future__ import annotations

import copy
import ctypes
import dis
import io
import math
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

SECONDS = 5.0  # that a call may take
LOOKS = 0.1  # seconds between two looks at a call; one that has caught the stop is stopped again
ASLEEP = 10  # times as long may one take that does not compute, or on a machine that is busy otherwise


class TooLongError(BaseException):
    """Raised in a function that takes too long. It is no Exception, which the function might catch."""


@dataclass(frozen=True)
class Outcome:
    """What a call came to.

    Attributes
    ----------
    result : object
        What was returned; None after an error.
    arguments : dict
        The arguments as the call has left them.
    error : str
        What went wrong, or "".
    printed : str
    missing : bool
        Whether it says itself that it is not written yet.
    """

    result: Any
    arguments: dict[str, Any]
    error: str = ""
    printed: str = ""
    missing: bool = False


def call(function: Callable[..., Any], arguments: dict[str, Any], watch: Watch | None = None) -> Outcome:
    """Call a function with copies of arguments, and say what came of it; with a watch, if it may not end."""
    given, out = copy.deepcopy(arguments), io.StringIO()
    result, error, missing = None, "", False
    try:
        with redirect_stdout(out):
            result = watch(function, *given.values()) if watch else function(*given.values())
    except NotImplementedError as raised:
        missing = _raises_itself(raised)
        error = "" if missing else _where(raised, function)
    except TooLongError as raised:
        error = f"{raised}: is there a loop that does not end?"
    except (Exception, SystemExit) as raised:
        error = _where(raised, function)
    if not error:
        changed = [name for name in arguments if not unchanged(arguments[name], given[name])]
        if changed:
            error = f"Your argument was changed: {' and '.join(changed)}. Work on a copy, or without `+=`."
    return Outcome(result, given, error, out.getvalue(), missing)


class Watch:
    """Calls functions, and raises TooLongError in one that takes longer than some seconds.

    Another thread asks the interpreter to raise it in this one. That works wherever CPython does, in Jupyter,
    on Colab and on Windows, and costs nothing meanwhile; a trace function would make every line slower, and
    turn debuggers and coverage off. To start the thread takes longer than most calls, so one serves them all.
    What is inside of one call to C, it does not stop before it returns. An import is let finish, and then
    there is as much time again: half a module would break what comes later.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._thread = seconds, threading.get_ident()
        self._lock, self._over = threading.Lock(), threading.Event()
        self._limits: tuple[float, float] | None = None

    def __enter__(self) -> Watch:
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function returns, if it does so in time."""
        try:
            try:
                self._limits = self._from_now()
                return function(*arguments)
            finally:
                self._settle()
        except TooLongError:
            self._settle()  # which it may have interrupted
            raise TooLongError(f"It is still running after {self._seconds:g} seconds") from None

    def _from_now(self) -> tuple[float, float]:
        """Return when the time is up: in seconds of work, and by the clock."""
        return time.process_time() + self._seconds, time.monotonic() + ASLEEP * self._seconds

    def _settle(self) -> None:
        with self._lock:
            self._limits = None
        for _ in range(10):  # here arrives what was asked for when the function had just returned
            pass

    def _look(self) -> None:
        thread, error = ctypes.c_ulong(self._thread), ctypes.py_object(TooLongError)
        while not self._over.wait(LOOKS):
            with self._lock:
                work, clock = self._limits or (math.inf, math.inf)
                if time.process_time() < work and time.monotonic() < clock:
                    continue
                if _imports(self._thread):
                    self._limits = self._from_now()
                else:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, error)


def _imports(thread: int) -> bool:
    """Return whether the function that a watch has called in a thread is importing something."""
    frame = sys._current_frames().get(thread)
    while frame and frame.f_code is not Watch.__call__.__code__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _where(error: BaseException, function: Callable[..., Any]) -> str:
    """Return an error with the line of the function at which it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    frame = next((frame for frame in reversed(frames) if frame.filename == file), frames[-1])
    if frames[-1].filename == __file__:  # it could not even be called
        return f"It raises {type(error).__name__}: {error}"
    line = f", `{frame.line}`" if frame.line else ""
    return f"It raises {type(error).__name__} in line {frame.lineno}{line}: {error}"


def _raises_itself(error: NotImplementedError) -> bool:
    """Return whether an error comes from a `raise` of the function that was called, not from torch."""
    places = [(frame.f_code, frame.f_lasti) for frame, _ in traceback.walk_tb(error.__traceback__)]
    code, last = places[-1]
    called = next(place for place, _ in places if place.co_filename != __file__)
    return code.co_filename == called.co_filename and dis.opname[code.co_code[last]] == "RAISE_VARARGS"


def unchanged(before: Any, after: Any) -> bool:
    """Return whether an argument is what it was."""
    if isinstance(before, torch.Tensor):
        return before.dtype == after.dtype and torch.equal(before, after)
    if isinstance(before, nn.Module):
        pairs = [list(module.named_parameters()) for module in (before, after)]
        flags = [[(name, p.requires_grad) for name, p in named] for named in pairs]
        return flags[0] == flags[1] and unchanged(before.state_dict(), after.state_dict())
    if isinstance(before, dict):
        return list(before) == list(after) and all(unchanged(before[key], after[key]) for key in before)
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(unchanged, before, after))
    return bool(before == after)
