"""Behind `probe`: an optimizer on a bench, where weights are held in place and gradients are chosen."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from course_lib import _arguments

# Every weight meets a gradient of either sign, so that the mean over both leaves what the weight alone does.
# In parameters they have another order, so that a matrix of gradients does not leave out that of the weights.
WEIGHTS = torch.tensor([1.0, 1.0, -1.0, -1.0, 2.0, 2.0, -2.0, -2.0], dtype=torch.float64)
SIGNS = torch.tensor([1.0, -1.0] * 4, dtype=torch.float64)
SIZES = torch.tensor([[1.0, 0.5], [0.5, 2.0], [2.0, 1.0]], dtype=torch.float64)  # of gradients, step by step
SCALES = (1.0, 0.01, 100.0)
LARGEST_LR = 1e-3  # for what a step makes of the largest gradients to stay below the weights
N_STEPS = 12  # RAdam divides from its sixth step on
LONG_RUN = 30
ORDER = torch.tensor([0, 3, 5, 6, 1, 2, 7, 4])
BACK = ORDER.argsort()
Shapes = tuple[tuple[int, ...], ...]
BOTH: tuple[Shapes, ...] = (((8,), (2, 4)), ((2, 4),), ((8,),))  # a vector and a matrix, or what it takes


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Let every run draw the same numbers, and leave the generators as they were."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.default_generator.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


def on_cpu() -> AbstractContextManager[object]:
    """Return a context whose tensors are on the CPU. Torch's own sees every call and doubles their time."""
    return nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")


@dataclass(frozen=True)
class Bench:
    """Fresh optimizers of one kind, on parameters of some shapes that all hold the same eight numbers."""

    make_optimizer: Callable[[list[nn.Parameter]], Optimizer]
    shapes: Shapes
    dtype: torch.dtype
    sparse: bool = False
    known: dict[Any, torch.Tensor] = field(default_factory=dict, repr=False, compare=False)

    def optimizer(self, start: torch.Tensor) -> tuple[list[nn.Parameter], Optimizer]:
        """Return parameters that hold `start`, and an optimizer of them."""
        start = start.to(self.dtype)
        parameters = [nn.Parameter(start[ORDER].reshape(shape)) for shape in self.shapes]
        with _arguments.within("make_optimizer"):
            optimizer = self.make_optimizer(list(parameters))
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"make_optimizer must return a torch.optim.Optimizer, got {optimizer!r}")
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if not held.issuperset(map(id, parameters)):
            raise ValueError(
                "make_optimizer must return a fresh optimizer of the parameters that it is given"
            )
        return parameters, optimizer

    def run(
        self, scale: float, places: Sequence[torch.Tensor], quiet_end: bool = False, **settings: float
    ) -> torch.Tensor:
        """Return how far each step moves each parameter, shape (n_steps, n_parameters, 8).

        Before step t the weights are set to places[t]. The gradients have the size `scale`, or are zero in
        the last step where there is a quiet end. What has been run already is not run again.
        """
        held = tuple(tuple(place.tolist()) for place in places)
        key = scale, held, quiet_end, tuple(sorted(settings.items()))
        if key not in self.known:
            self.known[key] = self._run(scale, places, quiet_end, settings)
        return self.known[key]

    @torch.enable_grad()
    def _run(
        self, scale: float, places: Sequence[torch.Tensor], quiet_end: bool, settings: dict[str, float]
    ) -> torch.Tensor:
        moves = []
        with same_random_numbers(), on_cpu():
            parameters, optimizer = self.optimizer(places[0])
            set_in_groups(optimizer, settings)
            for step, place in enumerate(places):
                last = quiet_end and step == len(places) - 1
                sizes = SIZES[step % len(SIZES)].repeat_interleave(2).repeat(2)
                gradient = SIGNS * sizes * (0.0 if last else scale)
                moves.append(self._step(parameters, optimizer, place.to(self.dtype), gradient.to(self.dtype)))
        return torch.stack(moves).double()

    def _step(
        self,
        parameters: list[nn.Parameter],
        optimizer: Optimizer,
        place: torch.Tensor,
        gradient: torch.Tensor,
    ) -> torch.Tensor:
        weights, slopes = place[ORDER], gradient[ORDER]
        for parameter in parameters:
            parameter.data.copy_(weights.view_as(parameter))

        def closure() -> Any:  # a Tensor, where the annotations of torch's optimizers ask for a float
            for parameter in parameters:
                slope = slopes.clone().view_as(parameter)
                parameter.grad = slope.to_sparse() if self.sparse else slope
            return gradient.new_zeros(())

        closure()  # for an optimizer that does not call it
        with _arguments.within(f"make_optimizer: the step of {type(optimizer).__name__}"):
            take_step(optimizer, closure)
        after = torch.stack([parameter.detach().reshape(-1)[BACK] for parameter in parameters])
        if not after.isfinite().all():
            raise ValueError(
                f"make_optimizer: a step of {type(optimizer).__name__} from weights of 1 and 2 gives {after}"
            )
        return after - place


def take_step(optimizer: Optimizer, closure: Callable[[], Any]) -> None:
    """Take a step, also of an optimizer of one's own whose step takes no closure."""
    if inspect.signature(optimizer.step).parameters:
        optimizer.step(closure)
    else:
        optimizer.step()


def set_in_groups(optimizer: Optimizer, settings: dict[str, float]) -> None:
    """Change settings in all groups that have them as numbers."""
    for group in optimizer.param_groups:
        for name, value in settings.items():
            if number_in(group, name) is not None:
                old = group[name]
                group[name] = torch.full_like(old, value) if isinstance(old, torch.Tensor) else value


def number_in(group: dict[str, Any], name: str) -> float | None:
    """Return a setting of a group as a number, or None where it is not one."""
    value = group.get(name)
    if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_meta:
        value = value.item()
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None


def bench(
    make_optimizer: Callable[[list[nn.Parameter]], Optimizer], layouts: Sequence[Shapes] = BOTH
) -> Bench:
    """Return a bench on which the optimizer runs: of the first shapes that it takes, in float64 if it can."""
    errors = []
    for dtype in (torch.float64, torch.float32):
        for shapes in layouts:
            for sparse in (False, True):
                found = Bench(make_optimizer, shapes, dtype, sparse)
                try:
                    found.run(1.0, [WEIGHTS, WEIGHTS])
                    return found
                except (ValueError, TypeError) as error:
                    errors.append(error)
    raise errors[0]


def of_the_weight(moves: torch.Tensor) -> torch.Tensor:
    """Return the mean over both signs of the gradient: what happens to the weights 1, -1, 2, -2."""
    mean: torch.Tensor = moves.unflatten(-1, (4, 2)).mean(dim=-1)
    return mean


def near(a: torch.Tensor, b: torch.Tensor | float, size: torch.Tensor | float, rtol: float = 0.01) -> bool:
    """Return whether all entries agree within a share of a size."""
    return bool(((a - b).abs() <= rtol * size).all())


def shape_of(pull: torch.Tensor, rtol: float = 0.01) -> tuple[str, float]:
    """Say how a pull on the weights 1, -1, 2, -2 depends on them, with the number that belongs to it."""
    weights, size = WEIGHTS[::2], float(pull.abs().max())
    slope = float((pull * weights).sum() / (weights * weights).sum())
    shift = float(pull.mean())
    if near(pull, slope * weights, size, rtol):
        return "in proportion", slope
    if near(pull, pull[0] * weights.sign(), size, rtol):
        return "by sign", float(pull[0])
    if near(pull, shift, size, rtol):
        return "constant", shift
    if near(pull, slope * weights + shift, size, rtol):
        return "towards a point", -shift / slope
    return "otherwise", size


class Trial:
    """One parameter of an optimizer on the bench, with and without its decay."""

    def __init__(self, bench: Bench, part: int) -> None:
        self.bench, self.part = bench, part
        parameters, optimizer = bench.optimizer(WEIGHTS)
        self.name = type(optimizer).__name__
        group = next(g for g in optimizer.param_groups if any(p is parameters[part] for p in g["params"]))
        self.own = {name: number_in(group, name) for name in ("lr", "weight_decay")}
        self.switched_off = number_in(group, "momentum") == 0
        lr = self.own["lr"]
        lr = lr if lr is not None and 1e-6 <= lr <= LARGEST_LR else LARGEST_LR
        self.settings = {"lr": lr, "weight_decay": 0.1}
        self.before: list[
            torch.Tensor
        ] = []  # where the weights are in a first step, if not where they are held
        self.rest = 0 * WEIGHTS  # where the decay comes to rest
        self.built_in = False
        self.notes: list[str] = []

    def moves(self, scale: float, places: list[torch.Tensor], **settings: Any) -> torch.Tensor:
        """Return what each step moves the parameter."""
        path = self.bench.run(scale, [*self.before, *places], **settings)
        return path[len(self.before) :, self.part]

    def pull(self, scale: float, places: list[torch.Tensor], **settings: Any) -> torch.Tensor:
        """Return the decay's part of each step: what is not there without it, or on weights of zero."""
        settings = self.settings | settings
        if self.built_in:
            without = self.moves(scale, [0 * place for place in places], **settings)
        else:
            without = self.moves(scale, places, **settings | {"weight_decay": 0.0})
        return self.moves(scale, places, **settings) - without

    def given(self) -> dict[str, float]:
        """Return the optimizer's own settings, as far as it has them."""
        return {name: value for name, value in self.own.items() if value is not None}

    def without_gradient(self) -> float:
        """Return what a step takes of a weight of 1 whose gradient is None; nothing where the step fails."""
        with same_random_numbers(), on_cpu(), torch.enable_grad():
            parameters, optimizer = self.bench.optimizer(WEIGHTS)
            set_in_groups(optimizer, self.given())
            with suppress(Exception):
                take_step(optimizer, lambda: torch.zeros(()))
        return 1.0 - float(parameters[self.part].detach().reshape(-1)[BACK][0])

    def momentum(self, **settings: float) -> bool:
        """Return whether a decay that is over still moves weights that rest, without a gradient."""
        slow = {"lr": self.settings["lr"] / 100}  # for a share of the step itself not to count
        places = [WEIGHTS] * N_STEPS + [self.rest]
        pulls = of_the_weight(self.pull(1.0, places, quiet_end=True, **slow | settings))
        return not near(pulls[-1], 0, float(pulls.abs().max()), 1e-3)

    def scheduled(self) -> bool:
        """Return whether half the lr makes another decay."""
        half = {"lr": self.settings["lr"] / 2}
        if self.own["lr"] is None:
            self.notes.append("there is no lr in its groups that could be changed")
        elif torch.equal(*(self.moves(1.0, [WEIGHTS] * N_STEPS, **self.settings | lr) for lr in ({}, half))):
            self.notes.append("another lr in param_groups changes nothing")
        whole, part = (self.pull(0.01, [WEIGHTS] * N_STEPS, **lr).abs().mean() for lr in ({}, half))
        left = float(part / whole)
        if abs(left - 0.5) > 0.05 and abs(left - 1) > 0.05:
            self.notes.append(f"half the lr leaves {left:.2g} of it")
        return abs(left - 1) > 0.05

    def rates(self, kind: str, momentum: bool | None) -> tuple[float, float]:
        """Measure at the optimizer's own settings what a first step takes, and one in the long run."""
        own = self.given()
        held = WEIGHTS * (1 if kind != "L1" else 10 * max(1.0, *map(abs, own.values())))
        pulls = of_the_weight(self.pull(1.0, [held] * (LONG_RUN if momentum else N_STEPS), **own))
        met = 2 if kind == "cautious" else 1  # of two gradients, one lets it act
        shares = [met * float(pull[1] - pull[0]) / 2 for pull in pulls]
        acting = [share != 0 for share in shares]
        begin = acting.index(True) if any(acting) else 0
        if momentum:
            return shares[begin], limit(shares[-3:])
        if not all(acting[begin:]):
            if any(acting):
                self.notes.append(f"it acts in {sum(acting)} of {N_STEPS} steps, and this is the mean")
            return (sum(shares) / N_STEPS,) * 2
        least, most = min(shares[begin:]), max(shares[begin:])
        if most - least > 0.02 * abs(shares[begin]):
            self.notes.append(f"in {N_STEPS} steps that goes from {least:.3g} to {most:.3g}")
        return (shares[begin],) * 2


def some(pulls: dict[float, torch.Tensor]) -> bool:
    """Return whether there is more than rounding."""
    return not all(near(of_the_weight(pull), 0, 1.0, 1e-12) for pull in pulls.values())


def limit(last: Sequence[float]) -> float:
    """Return where a sequence goes whose differences shrink by a factor, by Aitken's formula."""
    bend = (last[2] - last[1]) - (last[1] - last[0])
    return last[2] if abs(bend) <= 1e-9 * abs(last[2]) else last[2] - (last[2] - last[1]) ** 2 / bend
