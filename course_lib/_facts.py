"""Behind `report`: what is true of each parameter of a model, without a change to anything."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from course_lib import _arguments
from course_lib._experiments import penalty_in, scale_invariant
from course_lib._probe import WEIGHTS, bench, number_in, on_cpu, same_random_numbers, set_in_groups
from course_lib.groups import Reason, _default, _homes, _marks
from course_lib.probe import Decay, _Verdict

SHARES = ("coupled", "decoupled times lr", "decoupled without lr")  # kinds that take a share, at any gradient
OF_SCHEDULES = {"params", "param_names", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"}
FLAGS = {"foreach": None, "fused": None, "capturable": False, "differentiable": False}
MOMENTA = {"momentum", "betas"}
CYCLED = {"weight_decay"} | MOMENTA
NO_PULL = 0.0, 0.0
SINGLE = ("not a decay", "towards another point than zero")  # kinds that are found anew for each group
OF_SETTINGS = ("built in", "goes from", "even with weight_decay 0")  # notes of one lr and weight_decay
STEPS_TO_RUN = 10_000  # of all groups, where there is no formula


@dataclass(frozen=True)
class Row:
    """What decay does to one parameter: see `course_lib.report.Report`."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    owner: str
    groups: tuple[str, ...] = ()
    optimizer: str | None = None
    lr: float | None = None
    weight_decay: float | None = None
    decay: Decay | None = None
    idle: float | None = None
    without_gradient: float = 0.0
    half_life: float | None = None
    time_constant: float | None = None
    half_life_epochs: float | None = None
    time_constant_epochs: float | None = None
    left: float | None = None
    peak: float | None = None
    unseen: float | str | None = None
    l2: float = 0.0
    l1: float = 0.0
    ends_in_zero: bool = False
    in_model: bool = True
    trainable: bool = True
    has_gradient: bool = False
    reason: Reason | None = None
    marks: tuple[str, ...] = ()
    problem: str = ""

    @property
    def in_decay(self) -> bool:
        """Whether its group makes smaller what has a gradient."""
        if self.decay is None or self.decay.kind in ("none", "not a decay"):
            return False
        return bool(self.decay.weight_decay) if self.decay.rate is None else self.decay.rate != 0

    @property
    def decays(self) -> bool:
        """Whether it has a gradient, will get one, or needs none, in such a group."""
        return self.in_decay and (self.trainable or self.has_gradient or self.without_gradient != 0)


@dataclass(frozen=True)
class Group:
    """A parameter group, what a fresh optimizer of its settings does, and its lr in each step."""

    name: str
    optimizer: Optimizer
    settings: dict[str, Any]
    lr: float | None
    lrs: NDArray[np.float64] | None  # of n_steps
    cycled: list[dict[str, Any]]  # what else a schedule may change, in the first of them
    changed: set[str]  # what of that it does change, in all of them
    n_steps: int | None
    verdicts: dict[Any, Decay]  # of all groups
    steps_to_run: int
    known: dict[int, dict[str, Any]] = field(default_factory=dict)  # facts by number of dimensions
    trials: dict[int, _Verdict] = field(default_factory=dict)

    def make(self, parameters: list[nn.Parameter]) -> Optimizer:
        """Return a fresh optimizer of these settings."""
        kind = type(self.optimizer)
        known = inspect.signature(kind).parameters
        settings = {name: _copied(value) for name, value in self.settings.items()}
        made: Optimizer = kind(parameters, **{name: v for name, v in settings.items() if name in known})
        for group in made.param_groups:
            group.update(settings)
        return made

    def facts(self, ndim: int) -> dict[str, Any]:
        """Return what it does to parameters of as many dimensions, or why that is not known."""
        if ndim not in self.known:
            try:
                self.known[ndim] = self._numbers(self.decay(ndim), ndim)
            except (ValueError, TypeError) as error:
                self.known[ndim] = {"problem": str(error).removeprefix("make_optimizer: ")}
        return self.known[ndim]

    def _numbers(self, decay: Decay, ndim: int) -> dict[str, Any]:
        trial = self.trial(ndim)
        rate = decay.long_run if decay.kind in SHARES else None
        ends_in_zero, peak = False, 1.0
        if self.lrs is not None and self.lr and decay.scheduled:
            ends_in_zero, peak = bool(self.lrs[-1] < 1e-3 * self.lrs.max()), float(self.lrs.max() / self.lr)
        return {
            "decay": decay,
            "idle": 0.0 - float(trial.moves(0.0, [WEIGHTS], **trial.given())[0, 0]),
            "without_gradient": trial.without_gradient(),
            "half_life": (math.log(0.5) / math.log1p(-rate) if rate < 1 else 0.0) if rate else None,
            "time_constant": 1 / rate if rate else None,
            "left": self.left(decay, ndim),
            "peak": None if decay.rate is None or decay.kind not in SHARES else peak * decay.rate,
            "ends_in_zero": ends_in_zero,
        }

    def unseen_rows(self) -> float | str:
        """Return what a step takes of a row that a sparse gradient does not have, or why it cannot step."""
        try:
            with on_cpu(), torch.enable_grad(), same_random_numbers():
                table = nn.Parameter(torch.ones(2, 4, dtype=torch.float64))
                optimizer = self.make([table])
                table.grad = torch.tensor([[1.0] * 4, [0.0] * 4], dtype=torch.float64).to_sparse(1)
                optimizer.step()
        except Exception as error:
            return f"{type(self.optimizer).__name__}: {error}"
        return 1 - float(table.detach()[1, 0])

    def trial(self, ndim: int) -> _Verdict:
        """Return a trial on a parameter of as many dimensions."""
        if ndim not in self.trials:
            shape = (8,) if ndim < 2 else (2, 4, *[1] * (ndim - 2))
            self.trials[ndim] = _Verdict(bench(self.make, [(shape,)]), 0)
        return self.trials[ndim]

    def decay(self, ndim: int) -> Decay:
        """Return what kind of decay there is, found once for all lr and weight_decay."""
        numbers = ("lr", "weight_decay")
        others = sorted((name, repr(value)) for name, value in self.settings.items() if name not in numbers)
        key = type(self.optimizer), ndim, tuple(others), self.lr is None
        trial = self.trial(ndim)
        if key not in self.verdicts:
            self.verdicts[key] = trial.decay()
        decay = self.verdicts[key]
        own = trial.own
        if own == {"lr": decay.lr, "weight_decay": decay.weight_decay}:
            return decay
        if decay.kind in SINGLE or any(words in decay.note for words in OF_SETTINGS):
            return trial.decay()
        measured = decay.kind in (*SHARES, "L1", "cautious")
        rate, long_run = trial.rates(decay.kind, decay.momentum) if measured else (decay.rate, decay.rate)
        if trial.notes:
            trial.notes.clear()
            return trial.decay()
        return replace(decay, rate=rate, long_run=long_run, lr=own["lr"], weight_decay=own["weight_decay"])

    def left(self, decay: Decay, ndim: int) -> float | None:
        """Return what share of a weight is left after all steps, if no gradient comes."""
        if self.n_steps is None or decay.kind not in SHARES or decay.rate is None or decay.long_run is None:
            return None
        linear = self._is_linear(decay, ndim) and not self.changed & (
            CYCLED if decay.momentum else {"weight_decay"}
        )
        if self.n_steps <= self.steps_to_run and (decay.momentum or not linear):
            return self._run(ndim)
        if self.lrs is None or (linear and not decay.scheduled):
            return float((1 - decay.long_run) ** self.n_steps)
        return float(np.prod(1 - decay.long_run * self.lrs / (self.lr or 1.0))) if linear else None

    def _is_linear(self, decay: Decay, ndim: int) -> bool:
        """Return whether every step takes a share, and with half the lr exactly half."""
        if "it acts in" in decay.note:
            return False
        if not decay.scheduled or not self.lr:
            return True
        half = replace(self, settings=self.settings | {"lr": self.lr / 2}, trials={}).trial(ndim)
        return math.isclose(2 * half.rates(decay.kind, False)[0], decay.rate or 0.0, rel_tol=1e-6)

    def _run(self, ndim: int) -> float:
        """Take all steps, without a gradient."""
        with on_cpu(), torch.enable_grad(), same_random_numbers():
            parameter = nn.Parameter(torch.ones((1,) * max(ndim, 1), dtype=torch.float64))
            optimizer = self.make([parameter])
            for step in range(self.n_steps or 0):
                if self.lrs is not None:
                    set_in_groups(optimizer, {"lr": float(self.lrs[step])})
                    for group in optimizer.param_groups:
                        group.update(self.cycled[step])
                parameter.grad = torch.zeros_like(parameter)
                with _arguments.within(f"the step of {type(optimizer).__name__}"):
                    optimizer.step()
        return float(parameter.detach().reshape(()))


def _copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    return copy.copy(value) if isinstance(value, list | dict) else value


def groups_of(
    optimizers: Sequence[Optimizer], schedulers: Sequence[LRScheduler], n_steps: int | None
) -> list[tuple[Group, list[torch.Tensor], list[str] | None]]:
    """Return every group with its parameters, and their names if it has them."""
    found = []
    steps_to_run = STEPS_TO_RUN // sum(len(optimizer.param_groups) for optimizer in optimizers)
    verdicts: dict[Any, Decay] = {}
    for number, optimizer in enumerate(optimizers):
        mine = [scheduler for scheduler in schedulers if scheduler.optimizer is optimizer]
        path = schedule(optimizer, mine, n_steps) if mine and n_steps is not None else None
        for index, group in enumerate(optimizer.param_groups):
            for name in ("lr", "weight_decay"):
                _check_number(group, name)
            lr = base_lr(group)
            settings = {name: value for name, value in group.items() if name not in OF_SCHEDULES}
            settings |= {flag: value for flag, value in FLAGS.items() if flag in settings}
            settings |= {"lr": lr} if lr is not None else {}
            name = f"{number}.{index}" if len(optimizers) > 1 else str(index)
            lrs, cycled, changed = path[index] if path else (None, [], set())
            known = Group(
                name, optimizer, settings, lr, lrs, cycled, changed, n_steps, verdicts, steps_to_run
            )
            found.append((known, list(group["params"]), group.get("param_names")))
    return found


def _check_number(group: dict[str, Any], name: str) -> None:
    """Raise where a setting is neither a finite number nor left open."""
    number = number_in(group, name)
    if number is None and group.get(name) is not None:
        raise TypeError(f"optimizer must have a number as {name}, got {group[name]!r}")
    if number is not None and not math.isfinite(number):
        raise ValueError(f"optimizer must have a finite {name}, got {group[name]!r}")


def base_lr(group: dict[str, Any]) -> float | None:
    """Return the lr that a schedule scales, where one has left it, or the lr."""
    for name in ("max_lr", "initial_lr", "lr"):
        if (lr := number_in(group, name)) is not None:
            return lr
    return None


def schedule(
    optimizer: Optimizer, schedulers: Sequence[LRScheduler], n_steps: int
) -> list[tuple[NDArray[np.float64], list[dict[str, Any]], set[str]]]:
    """Return the lr of each group in the next steps, what else may change in the first, and what does."""
    stand = Optimizer.__new__(Optimizer)
    groups = [{name: _copied(value) for name, value in g.items()} for g in optimizer.param_groups]
    idle: Any = lambda closure=None: None  # noqa: E731
    idle._wrapped_by_lr_sched = True
    own = {"param_groups": [{**group, "params": []} for group in groups], "step": idle, "_opt_called": True}
    stand.__dict__ |= copy.copy(optimizer.__dict__) | own
    names = ", ".join(type(scheduler).__name__ for scheduler in schedulers)
    lrs = np.empty((len(groups), n_steps))
    cycled: list[list[dict[str, Any]]] = [[] for _ in groups]
    changed: list[set[str]] = [set() for _ in groups]
    with _arguments.within(f"scheduler: {names}"):
        following = [copy.deepcopy(scheduler, {id(optimizer): stand}) for scheduler in schedulers]
        for step in range(n_steps):
            for i, group in enumerate(stand.param_groups):
                lrs[i, step] = number_in(group, "lr") or 0.0
                now = {name: group[name] for name in CYCLED if name in group}
                changed[i] |= {name for name in now if now[name] != groups[i].get(name)}
                if step < STEPS_TO_RUN:
                    cycled[i].append(now)
            for scheduler in following:
                scheduler.step()
    return list(zip(lrs, cycled, changed, strict=True))


def rows_of(
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    schedulers: Sequence[LRScheduler],
    n_steps: int | None,
    steps_per_epoch: float | None,
    inputs: Any,
    loss: Callable[[], torch.Tensor] | None,
) -> list[Row]:
    """Return a row for every parameter of the model, in its order, and for what else the optimizers hold."""
    names: dict[int, list[str]] = {}
    parameters: dict[int, torch.Tensor] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if is_lazy(parameter):
            raise ValueError(f"model has no shape for {name!r} yet: run a forward pass first")
        names.setdefault(id(parameter), []).append(name)
        parameters[id(parameter)] = parameter
    holders: dict[int, list[Group]] = {}
    for group, held, said in groups_of(optimizers, schedulers, n_steps):
        for index, parameter in enumerate(held):
            holders.setdefault(id(parameter), []).append(group)
            if id(parameter) not in parameters:
                parameters[id(parameter)] = parameter
                place = f"param_groups[{group.name}]['params'][{index}]"
                names[id(parameter)] = [said[index] if said else place]
    homes, marks = _homes(model), _marks(model)
    invariant = scale_invariant(model, inputs) if inputs is not None else set()
    penalties = penalty_in(model, loss) if loss is not None else {}
    rows = []
    for key, parameter in parameters.items():
        places = homes.get(parameter, []) if isinstance(parameter, nn.Parameter) else []
        l2, l1 = penalties.get(names[key][0], NO_PULL)
        row = Row(
            names=tuple(names[key]),
            shape=tuple(parameter.shape),
            dtype=str(parameter.dtype).removeprefix("torch."),
            owner=type(places[0][1]).__name__ if places else "",
            in_model=bool(places),
            trainable=parameter.requires_grad,
            has_gradient=parameter.grad is not None,
            reason=_reason(places, parameter, marks),
            groups=tuple(group.name for group in holders.get(key, [])),
            l2=l2,
            l1=l1,
            marks=tuple(_seen(names[key], places, parameter, bool({*names[key]} & invariant))),
        )
        for group in holders.get(key, [])[:1]:
            row = _decayed(row, group, steps_per_epoch)
        rows.append(row)
    return rows


def _reason(places: list[tuple[str, nn.Module, str]], parameter: torch.Tensor, marks: Any) -> Reason | None:
    """Return what `decay_reasons` would say, of frozen ones, too."""
    if parameter in marks:
        return Reason(False, marks[parameter], "mark")
    reasons = [_default(*place, parameter.shape, False) for place in places]
    return min(reasons, key=lambda reason: reason.decays, default=None)


def _seen(
    names: list[str], places: list[tuple[str, nn.Module, str]], parameter: torch.Tensor, invariant: bool
) -> Iterator[str]:
    """Yield what a parameter is, beside its shape."""
    kinds = {type(parameter).__name__, type(parameter.data).__name__}
    layers = (nn.Linear, nn.Embedding, nn.modules.conv._ConvNd)
    flat = any(
        isinstance(owner, layers) and name == "weight" and parameter.ndim == 1 for _, owner, name in places
    )
    if (
        "FlatParameter" in kinds
        or getattr(parameter, "_is_flat_param", False)
        or flat
        or "flat_param" in names[0]
    ):
        yield "flattened"
    if "DTensor" in kinds:
        yield "sharded"
    tables = [isinstance(owner, nn.Embedding | nn.EmbeddingBag) for _, owner, _ in places]
    if any(tables):
        yield "embedding"
        if not all(tables):
            yield "tied to a layer"
        if any(getattr(owner, "sparse", False) for _, owner, _ in places):
            yield "sparse"
    if invariant:
        yield "scale-invariant"


def _decayed(row: Row, group: Group, steps_per_epoch: float | None) -> Row:
    """Return a row with what its group does to it."""
    row = replace(
        row,
        optimizer=type(group.optimizer).__name__,
        lr=group.lr,
        weight_decay=number_in(group.settings, "weight_decay"),
        **group.facts(len(row.shape)),
    )
    if "sparse" in row.marks and row.decay is not None:
        row = replace(row, unseen=group.unseen_rows())
    steps = row.half_life, row.time_constant
    half_life, constant = (n / steps_per_epoch if n is not None and steps_per_epoch else None for n in steps)
    return replace(row, half_life_epochs=half_life, time_constant_epochs=constant)
