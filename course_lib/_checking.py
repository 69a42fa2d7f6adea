"""Exercises and what checks their answers: the engine behind `course_lib.check`.

An exercise is one declaration: a function that is right, on which arguments it is tried, and the wrong ones
that have a name. What a reader gets of it is the function without its body.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from html import escape
from itertools import combinations, product
from numbers import Number
from types import CodeType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from course_lib._calling import SECONDS, Outcome, Watch, call

N_RANDOM = 20  # instances that an answer is tried on beside the fixed ones
FACTORS = {2.0: "2 * {0}", 0.5: "{0} / 2", -1.0: "-{0}", 0.0: "{0} = 0"}
NEVER = "As if {0} were 0: does it count where it should?"
FOR = "This is the right answer for {0} instead of {1}."
FLOAT32 = float(np.finfo(np.float32).eps)

Arguments = dict[str, Any]
EXERCISES: dict[str, Exercise] = {}


@dataclass(frozen=True)
class Verdict:
    """What a checker says of an answer. It is true if the answer is right.

    Attributes
    ----------
    name : str
        The exercise.
    status : {"right", "not yet right", "not attempted yet"}
    says : str
        What is wrong, or what remains to be said.
    shown : dict of str to str
        The arguments at which it is wrong, what was expected there, and what was got.
    """

    name: str
    status: str
    says: str = ""
    shown: Mapping[str, str] | None = None

    def __bool__(self) -> bool:
        return self.status == "right"

    def __repr__(self) -> str:
        shown = self.shown or {}
        width = max(map(len, shown), default=0)
        lines = [f"  {key:{width}}  {value}" for key, value in shown.items()]
        return "\n".join([f"{self.name}: {self.status}", *[self.says] * bool(self.says), *lines])

    def _repr_html_(self) -> str:
        shown = self.shown or {}
        lines = (
            f'<tr><th scope="row">{escape(name)}</th><td style="text-align: left">{escape(value)}</td></tr>'
            for name, value in shown.items()
        )
        first = f"<strong>{escape(self.name)}: {self.status}</strong>"
        says = f"<br>{escape(self.says)}" * bool(self.says)
        rows = f'<table class="dataframe"><tbody>{"".join(lines)}</tbody></table>' * bool(shown)
        return f'<div class="check" role="status"><p>{first}{says}</p>{rows}</div>'


@dataclass(frozen=True)
class Hint:
    """One of an exercise's hints."""

    name: str
    number: int
    of: int
    text: str

    def __repr__(self) -> str:
        return f"{self.name}, hint {self.number} of {self.of}: {self.text}"


class Hints:
    """Gives the hints of exercises, by their names; `find` finds one that is not imported yet."""

    def __init__(self, find: Callable[[str], Any]) -> None:
        self._find = find

    def __getattr__(self, name: str) -> Callable[[], Hint]:
        exercise: Exercise = EXERCISES.get(name) or self._find(name)
        return exercise.hint


class DifferentError(Exception):
    """Says how an answer differs from what is expected, where that is no matter of a number."""


class Exercise:
    """An exercise, called with an answer: see `exercise`."""

    def __init__(
        self,
        reference: Callable[..., Any],
        *,
        cases: Sequence[Arguments],
        draw: Callable[[np.random.Generator], Arguments],
        wrong: Mapping[str, Callable[..., Any]],
        hints: Sequence[str],
        given: Callable[..., Any] | None,
        view: Callable[..., Any],
        remark: Callable[[Any], str],
        tolerance: float,
    ) -> None:
        self.reference, self.given = reference, given
        self.name, self.__doc__ = reference.__name__, reference.__doc__
        self.parameters = list(inspect.signature(reference).parameters)
        self.cases, self.draw, self.wrong, self.hints = cases, draw, wrong, hints
        self.view, self.remark, self.tolerance = view, remark, tolerance
        self.seconds = SECONDS
        self._n_hints_given = 0
        EXERCISES[self.name] = self

    def __repr__(self) -> str:
        return f"check.{self.name}(answer)"

    def hint(self) -> Hint:
        """Return the next hint, and after the last one the first again."""
        number = self._n_hints_given % len(self.hints)
        self._n_hints_given += 1
        return Hint(self.name, number + 1, len(self.hints), self.hints[number])

    def instances(self, n_random: int = N_RANDOM, *, seed: int = 0) -> Iterator[Arguments]:
        """Yield the fixed arguments, and random ones."""
        yield from self.cases
        for number in range(n_random):
            yield self.draw(np.random.default_rng([seed, number]))

    def _solved(self, n_random: int, seed: int) -> Iterator[tuple[Arguments, Any]]:
        return ((each, self.expected(each)) for each in self.instances(n_random, seed=seed))

    @cached_property
    def _usual(self) -> list[tuple[Arguments, Any]]:
        return list(self._solved(N_RANDOM, 0))

    def __call__(self, answer: Any, *, n_random: int = N_RANDOM, seed: int = 0) -> Verdict:
        """Return what is to be said of an answer."""
        if self._untouched(answer):
            return Verdict(self.name, "not attempted yet")
        if not callable(answer):
            given = f"It has to be the function itself, got {_kind(answer)}: check.{self.name}({self.name})"
            return Verdict(self.name, "not yet right", given)
        usual = (n_random, seed) == (N_RANDOM, 0)
        with Watch(self.seconds) as watch:
            return self._judged(answer, self._usual if usual else self._solved(n_random, seed), watch)

    def _judged(self, answer: Any, solved: Iterable[tuple[Arguments, Any]], watch: Watch) -> Verdict:
        tried: list[_Try] = []
        for arguments, expected in solved:
            outcome = call(answer, arguments, watch)
            if outcome.missing:
                return Verdict(self.name, "not attempted yet", "It raises NotImplementedError.")
            tried.append(self._compared(arguments, expected, outcome))
            if tried[-1].problem:
                break
        first = next((each for each in tried[-1:] if each.problem), None)
        first = first or next((each for each in tried if not each.right), None)
        if first is None:
            return Verdict(self.name, "right", self.remark(answer))
        says = first.problem or self._named(answer, tried, watch)
        if not first.problem and (n_right := sum(each.right for each in tried)):
            says += f" It is right on {n_right} of {len(tried)} instances; not on this one:"
        return Verdict(self.name, "not yet right", says, self._shown(first))

    def _untouched(self, answer: Any) -> bool:
        if answer is None or answer is ...:
            return True
        code = getattr(answer, "__code__", None)
        stubs = [compile("", "", "exec")] + ([self.given.__code__] if self.given else [])
        return code is not None and any(_operations(code) == _operations(stub) for stub in stubs)

    def expected(self, arguments: Arguments) -> Any:
        """Return what is right, as it is compared."""
        return self._viewed(call(self.reference, arguments))

    def _viewed(self, outcome: Outcome) -> Any:
        if outcome.error:
            raise DifferentError(outcome.error)
        return self.view(outcome.result, **outcome.arguments)

    def _compared(self, arguments: Arguments, expected: Any, outcome: Outcome) -> _Try:
        got: Any = outcome.result
        if outcome.error:
            return _Try(arguments, expected, got, outcome.error)
        if got is None and expected is not None:
            printed = f"It prints {_short(outcome.printed)} and returns nothing: write `return`, not `print`."
            nothing = "It returns nothing (None): is a `return` missing?"
            return _Try(arguments, expected, got, printed if outcome.printed.strip() else nothing)
        try:
            got = self.view(got, **outcome.arguments)
            return _Try(arguments, expected, got, "", _same(got, expected, self._tolerance(arguments, got)))
        except DifferentError as difference:
            return _Try(arguments, expected, got, str(difference))
        except Exception as error:
            kind = f"It returns {_kind(got)}, which cannot be read: {type(error).__name__}: {error}"
            return _Try(arguments, expected, got, kind)

    def _tolerance(self, arguments: Arguments, got: Any) -> float:
        """Return how far off a result may be: of mere numbers torch.tensor makes float32, which is right.

        Of tensors of float64 it is not, whatever approximation is let pass.
        """
        rough = _roughness(got)
        if not rough:
            return self.tolerance
        mere = all(isinstance(each, int | float | torch.Tensor) for each in arguments.values())
        if mere and not any(map(_is_floating, arguments.values())):
            return max(self.tolerance, 20 * min(rough, FLOAT32))
        return min(self.tolerance, FLOAT32 / 100)

    def _named(self, answer: Callable[..., Any], tried: list[_Try], watch: Watch) -> str:
        """Return what a wrong answer is instead."""
        rough = min((_roughness(each.got) for each in tried if not _whole(each.got)), default=0.0)
        tolerance = max(self.tolerance, min(20 * rough, 0.01))
        if rough and all(_same(each.got, each.expected, 20 * rough) for each in tried):
            return "It is right in float32 only, or coarser: the arguments are float64. What rounds them?"

        def matches(function: Callable[..., Any]) -> bool:
            try:
                given = ((each, self._viewed(call(function, each.arguments, watch))) for each in tried)
                return all(_same(each.got, wrong, tolerance) for each, wrong in given)
            except Exception:
                return False

        for sentence, function in self.wrong.items():
            if matches(function):
                return sentence
        if not any(_flat(each.got).any() for each in tried):
            return "It is zero, whatever the arguments."
        whole = [_whole(each.got) and not _whole(each.expected) for each in tried]
        if all(whole):
            return "It returns whole numbers: is a `//`, `int` or an integer tensor in it?"
        flat = [(_flat(each.got), _flat(each.expected)) for each in tried]
        got, expected = (np.concatenate(side) for side in zip(*flat, strict=True))
        factor = float(got @ expected / (expected @ expected)) if expected.any() else 0.0
        close = np.allclose(got, factor * expected, rtol=0, atol=tolerance * np.abs(got).max())
        if close and abs(factor - 1) > 1e-3:
            return _of_a_factor(factor)
        for sentence, function in self._substituted(self.reference):
            if matches(function):
                return sentence
        near = all(_same(each.got, each.expected, max(1e-4, 100 * self.tolerance)) for each in tried)
        if not near and np.allclose(np.abs(got), np.abs(expected), rtol=tolerance):
            return "Some signs are the other way round; the sizes are right."
        if any(len(b) > 1 for _, b in flat) and all(
            np.allclose(a[:1], b[:1]) and not a[1:].any() for a, b in flat
        ):
            return "Only the first entry is right, the others are zero: is the loop left too early?"
        for name, wrong in self.wrong.items():
            for sentence, function in [*_multiplied(wrong), *self._substituted(wrong)]:
                if matches(function):
                    return f"Two things at once. {name} {sentence}"
        again = call(answer, tried[0].arguments, watch)
        try:
            if not _same(self.view(again.result, **again.arguments), tried[0].got, tolerance):
                return "It gives another result for the same arguments: what does it remember, or draw?"
        except Exception:
            pass
        if near:
            return (
                "It is close, but not right to rounding: is there an approximation, an early stop, "
                "or float32, as torch.tensor and torch.eye make it?"
            )
        return "The value is wrong."

    def _substituted(self, function: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
        """Yield what a function is with one of its arguments changed, and the sentence for it."""

        def with_argument(name: str, change: Callable[[Arguments], Any]) -> Callable[..., Any]:
            def changed(*values: Any) -> Any:
                arguments = dict(zip(self.parameters, values, strict=True))
                return function(*{**arguments, name: change(arguments)}.values())

            return changed

        def swapped(name: str, other: str) -> Callable[..., Any]:
            def changed(*values: Any) -> Any:
                arguments = dict(zip(self.parameters, values, strict=True))
                return function(*{**arguments, name: arguments[other], other: arguments[name]}.values())

            return changed

        example = next(self.instances())
        real = [name for name in self.parameters if type(example[name]) is float]
        numbers = [name for name in self.parameters if type(example[name]) in (int, float)]
        arrays = [name for name in self.parameters if _is_floating(example[name])]
        for name in real + arrays:
            for factor, text in FACTORS.items():
                instead = FOR.format(text.format(name), name)
                sentence = instead if factor else NEVER.format(name)
                yield sentence, with_argument(name, lambda a, n=name, f=factor: f * a[n])  # type: ignore[misc]
        for name in real:
            yield f"As if {name} were 1: is it used?", with_argument(name, lambda a: 1.0)
        for name in numbers:
            sentence = f"As if {name} were {example[name]:g} always: is it used?"
            yield sentence, with_argument(name, lambda a, n=name: example[n])  # type: ignore[misc]
        for name, other in product(real + arrays, numbers):
            if name != other:
                missing, more = (FOR.format(f"{name} {sign} {other}", name) for sign in "/*")
                if _multiplies(self, name, other):
                    missing = f"This is what you get when {name} is not multiplied by {other}."
                    more = f"This is what you get when {name} is multiplied by {other} once too often."
                yield missing, with_argument(name, lambda a, n=name, o=other: a[n] / a[o])  # type: ignore[misc]
                yield more, with_argument(name, lambda a, n=name, o=other: a[n] * a[o])  # type: ignore[misc]
        for name, other in combinations(numbers, 2):
            yield f"{name} and {other} have changed places.", swapped(name, other)

    def _shown(self, tried: _Try) -> dict[str, str]:
        return _apart(tried.arguments) | _apart({"expected": tried.expected, "got": tried.got})


@dataclass(frozen=True)
class _Try:
    """An answer's result for some arguments."""

    arguments: Arguments
    expected: Any
    got: Any
    problem: str = ""
    right: bool = False


def exercise(
    *,
    cases: Sequence[Arguments],
    draw: Callable[[np.random.Generator], Arguments],
    wrong: Mapping[str, Callable[..., Any]],
    hints: Sequence[str],
    given: Callable[..., Any] | None = None,
    view: Callable[..., Any] = lambda result, **_: result,
    remark: Callable[[Any], str] = lambda answer: "",
    tolerance: float = 1e-9,
) -> Callable[[Callable[..., Any]], Exercise]:
    """Make an exercise of the function that is its answer.

    Parameters
    ----------
    cases : list of dict
        Arguments by name on which an answer is tried first, and shown.
    draw : callable
        ``draw(rng)`` returns random arguments, of several sizes.
    wrong : dict
        Functions that are wrong, by the sentence that says what they are. The first that gives what an
        answer gives, on all instances, names it. Answers that are right for another value of one argument
        (twice it, without lr) need not be among them.
    hints : list of str
        From a nudge to almost the line.
    given : callable, optional
        What the reader finds in the place of an empty function: one with a bug in it.
    view : callable, optional
        ``view(result, **arguments)`` makes of what is returned what is compared; it may raise
        DifferentError with a sentence.
    remark : callable, optional
        ``remark(answer)`` says something more of a right answer, or "".
    tolerance : float, default=1e-9
        The largest difference, as a part of the largest number of the result.
    """

    def declare(reference: Callable[..., Any]) -> Exercise:
        return Exercise(
            reference,
            cases=cases,
            draw=draw,
            wrong=wrong,
            hints=hints,
            given=given,
            view=view,
            remark=remark,
            tolerance=tolerance,
        )

    return declare


def _operations(code: CodeType) -> list[tuple[str, str]]:
    """Return what a function does, whatever its name, docstring and place.

    Where a module is imported, CPython calls its functions by other operations, and jumps are longer.
    """
    left_out = ("RESUME", "NOP", "CACHE", "COPY_FREE_VARS", "PUSH_NULL")
    found = ((each.opname.replace("METHOD", "ATTR"), each) for each in dis.get_instructions(code))
    jumps = {*dis.hasjrel, *dis.hasjabs}
    return [
        (name, "" if each.opcode in jumps else str(each.argval))
        for name, each in found
        if name not in left_out
    ]


def has_loop(function: Any) -> bool:
    """Return whether a function's own lines loop, in a comprehension or openly."""
    waiting, names = [getattr(function, "__code__", None)], set()
    while waiting:
        if code := waiting.pop():
            names |= {each.opname for each in dis.get_instructions(code)}
            waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
    return any("FOR_ITER" in name or "BACKWARD" in name for name in names)


def _number(value: Any) -> NDArray[Any] | None:
    """Return a number, or an array of numbers, as an array; None if it is something else."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return value.double().numpy() if value.dtype in (torch.bfloat16, torch.float16) else value.numpy()
    if isinstance(value, bool | str | dict | set) or value is None or callable(value):
        return None
    if isinstance(value, Number) and not isinstance(value, int | float | complex | np.number):
        value = float(value)  # type: ignore[arg-type]  # a Fraction or a Decimal
    try:
        array = np.array([_number(part) for part in value] if isinstance(value, list | tuple) else value)
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind in "iufc" else None


def _same(got: Any, expected: Any, tolerance: float) -> bool:
    """Return whether the numbers are the same; raise DifferentError where they cannot be compared.

    A dict is what a `view` has made: its keys are those that are expected.
    """
    if isinstance(expected, tuple):
        one = isinstance(got, torch.Tensor | np.ndarray) and got.ndim <= np.asarray(_number(expected[0])).ndim
        if not isinstance(got, list | tuple | torch.Tensor | np.ndarray) or one or len(got) != len(expected):
            raise DifferentError(f"It returns {_kind(got)} instead of {_kind(expected)}.")
        pairs = []
        for number, pair in enumerate(zip(got, expected, strict=True), 1):
            try:
                pairs.append(_same(*pair, tolerance))
            except DifferentError as difference:
                kinds, wanted_kinds = ([_kind(part) for part in side] for side in (got, expected))
                if kinds != wanted_kinds and kinds == wanted_kinds[::-1]:
                    raise DifferentError("What it returns is in the other order.") from None
                raise DifferentError(f"{difference} This is number {number} of {len(got)}.") from None
        return all(pairs)
    if isinstance(expected, dict):
        pairs = [_same(got[key], expected[key], tolerance) for key in expected]
        return all(pairs)
    found, wanted = _number(got), np.asarray(_number(expected))
    if found is None:
        raise DifferentError(f"It returns {_kind(got)} instead of {_kind(expected)}.")
    if found.shape != wanted.shape:
        raise DifferentError(f"It returns {_kind(got)} instead of {_kind(expected)}.{_turned(found, wanted)}")
    if not np.isfinite(wanted).all():
        return False
    if found.dtype.kind == "b":
        raise DifferentError("It returns True and False instead of numbers.")
    if found.dtype.kind == "c":
        raise DifferentError("It returns complex numbers.")
    if not np.isfinite(found).all():
        where = f" in entry {int(np.flatnonzero(~np.isfinite(found))[0])}" if found.ndim else ""
        raise DifferentError(f"It returns {'NaN' if np.isnan(found).any() else 'infinity'}{where}.")
    size = np.abs(wanted).max(initial=0) or 1.0
    return bool(np.abs(found - wanted).max(initial=0) <= tolerance * size)


def _turned(found: NDArray[Any], wanted: NDArray[Any]) -> str:
    """Say what is right about the numbers when the shape is wrong."""
    if found.T.shape == wanted.shape and np.allclose(found.T, wanted):
        return " Turned over (`.T`), it is right."
    if found.size == wanted.size and np.allclose(found.ravel(), wanted.ravel()):
        return " The numbers are right."
    if found.size == 1 and np.allclose(found, wanted.sum()):
        return " It is the sum of what is expected."
    if found.size == 1 and np.allclose(found, wanted.mean()):
        return " It is the mean of what is expected."
    return ""


@cache
def _multiplies(exercise: Exercise, name: str, other: str) -> bool:
    """Return whether some number of the result has one argument times the other in it."""
    drawn = exercise.draw(np.random.default_rng(0))

    def effect(factor: int) -> Any:
        arguments = {**drawn, other: factor * drawn[other]}
        moved = {**arguments, name: 1.001 * arguments[name]}
        return _flat(exercise.expected(moved)) - _flat(exercise.expected(arguments))

    once, thrice = effect(1), effect(3)
    same = once.shape == thrice.shape
    return same and bool((np.isclose(thrice, 3 * once, rtol=1e-6) & (once != 0)).any())


def _of_a_factor(factor: float) -> str:
    if abs(factor + 1) < 1e-6:
        return "The sign is the other way round."
    half = ": is there a 1/2?" if any(abs(abs(factor) - known) < 1e-6 for known in (0.5, 2.0)) else "."
    text = f"{factor:.3f}" if 0.01 < abs(factor) < 1e4 else f"{factor:.2e}"
    return f"Off by a factor of {text}{half}"


def _multiplied(function: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield what a function is with its result doubled, halved or negated, and the sentence for it."""

    def multiplied(factor: float, *arguments: Any) -> Any:
        result = function(*arguments)
        if isinstance(result, tuple):
            return tuple(factor * part for part in result)
        return factor * result

    for factor in (2.0, 0.5, -1.0):
        yield _of_a_factor(factor), partial(multiplied, factor)


def _roughness(value: Any) -> float:
    """Return the precision of the coarsest tensor or array in a result; 0 for float64 and for numbers."""
    if isinstance(value, dict):
        return max(map(_roughness, value.values()), default=0.0)
    if isinstance(value, list | tuple):
        return max(map(_roughness, value), default=0.0)
    if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float64:
        return float(torch.finfo(value.dtype).eps)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f" and value.itemsize < 8:
        return float(np.finfo(value.dtype).eps)
    parts = np.abs(_flat(value))
    rounded = parts.size and (parts == parts.astype(np.float32)).all() and (parts != np.rint(parts)).any()
    return FLOAT32 if rounded else 0.0


def _is_floating(value: Any) -> bool:
    """Return whether a value is a tensor that float32 would round."""
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _whole(value: Any) -> bool:
    """Return whether a result has whole numbers alone."""
    return not (_flat(value) % 1).any()


def _flat(value: Any) -> NDArray[Any]:
    """Return all the numbers of a result in one row."""
    if isinstance(value, dict):
        return _flat(tuple(value.values()))
    if isinstance(value, list | tuple):
        return np.concatenate([np.zeros(0), *map(_flat, value)])
    array = _number(value)
    return np.zeros(0) if array is None or array.dtype.kind == "c" else array.astype(float).ravel()


def _kind(value: Any) -> str:
    """Return what kind of thing a value is, with its shape."""
    if isinstance(value, torch.Tensor | np.ndarray):
        what = "a tensor" if isinstance(value, torch.Tensor) else "an array"
        return f"{what} of shape {tuple(value.shape)}" if value.ndim else "a single number"
    if isinstance(value, bool):
        return "True or False"
    if isinstance(value, int | float | np.number):
        return "a single number"
    if value is None:
        return "None"
    if isinstance(value, tuple | list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, nn.Module):
        return "a model"
    return f"a {type(value).__name__}"


def _short(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 2] + " …"


def _apart(values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as they are shown, with as many digits as it takes to see which of them differ."""
    written = [{name: _written(value, digits) for name, value in values.items()} for digits in (4, 8, 12, 17)]
    return max(written, key=lambda each: len(set(each.values())))


def _written(value: Any, digits: int = 4) -> str:
    """Return a value as it is shown: rounded, and no longer than a line or two."""
    if isinstance(value, dict):
        text = ", ".join(f"{key}: {_written(part, digits)}" for key, part in value.items())
    elif isinstance(value, tuple | list):
        text = ", ".join(_written(part, digits) for part in value)
        text = f"({text})" if isinstance(value, tuple) else f"[{text}]"
    elif isinstance(value, torch.Tensor | np.ndarray | np.generic):
        array = _number(value)
        text = str(value) if array is None else _written(array.tolist(), digits)
    elif callable(value) and not isinstance(value, nn.Module):
        text = _kind(value)
    else:
        text = f"{value:.{digits}g}" if isinstance(value, float) else str(value)
        text = _kind(value) if " at 0x" in text else text
    return _short(text, 160)
