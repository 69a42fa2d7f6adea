"""What kind of decay an optimizer has, found by running it on a few numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from course_lib import _arguments
from course_lib._arguments import Array
from course_lib._probe import (
    N_STEPS,
    SCALES,
    SIGNS,
    WEIGHTS,
    Trial,
    bench,
    near,
    of_the_weight,
    shape_of,
    some,
    take_step,
)

__all__ = ["Decay", "coast", "probe"]

Kind = Literal[
    "coupled",
    "coupled and divided by the size of the gradient",
    "decoupled times lr",
    "decoupled without lr",
    "cautious",
    "L1",
    "towards another point than zero",
    "none",
    "not a decay",
]
SAID: dict[Kind, str] = {
    "coupled": "{0} has a {1} decay: as a part of its gradient every weight shrinks",
    "coupled and divided by the size of the gradient": "{0} has a decay that is {1}",
    "decoupled times lr": "{0} has a decay that is {1}: beside its step every weight shrinks",
    "decoupled without lr": "{0} has a decay that is {1}: beside its step every weight shrinks",
    "cautious": "{0} has a {1} decay: a weight shrinks only where its gradient lets it",
    "L1": "{0} has an {1} decay: every weight moves towards zero",
    "towards another point than zero": "{0} pulls every weight {1}",
    "none": "{0} has no decay",
    "not a decay": "What {0} makes of weight_decay is {1}",
}
OF = {"L1": "", "towards another point than zero": " of the way"}


@dataclass(frozen=True)
class Decay:
    r"""What `probe` found out about the decay of an optimizer.

    Attributes
    ----------
    kind : str
        "coupled": added to the gradient, so that momentum sees it. "coupled and divided by the size of the
        gradient": what an adaptive optimizer makes of that. "decoupled times lr", "decoupled without lr":
        weights shrink beside the step. (Where there is no momentum and no division, coupled is the same as
        decoupled, and is called so unless the optimizer has a momentum that can be switched on.) "cautious":
        only where the gradient moves the weight towards zero, too. "L1": by an amount, not by a share.
        "towards another point than zero", "none", "not a decay".
    rate : float or None
        What the first step takes (the first that takes something), at the optimizer's own lr and
        weight_decay, as a share of the weight (of the distance to the other point; with "L1" as an amount).
        None where it depends on the gradient.
    long_run : float or None
        The same for a step in the long run, after momentum has gathered it.
    momentum : bool or None
        Whether momentum sees the decay. None where there is none.
    scheduled : bool or None
        Whether half the lr makes the decay another, so that a schedule of lr is one of the decay, too.
    lr, weight_decay : float or None
        The optimizer's own, at which the rates were measured; None where its groups have no such number.
    optimizer : str
        The name of its class.
    note : str
        What else was seen, in words.
    """

    kind: Kind
    rate: float | None
    long_run: float | None
    momentum: bool | None
    scheduled: bool | None
    lr: float | None
    weight_decay: float | None
    optimizer: str
    note: str = ""

    def __str__(self) -> str:
        parts = [SAID[self.kind].format(self.optimizer, self.kind)]
        if self.rate is not None and self.kind != "none":
            given = [
                f"{name} {value:g}"
                for name in ("lr", "weight_decay")
                if (value := getattr(self, name)) is not None
            ]
            parts[0] += f", by {self.rate:.3g}{OF.get(self.kind, ' of itself')} in a step"
            parts[0] += f" at {' and '.join(given)}" * bool(given)
        if self.momentum:
            parts.append(f"momentum makes it {self.long_run:.3g}" if self.long_run else "momentum sees it")
        if self.scheduled is not None:
            parts.append(
                "a schedule of lr scales it" if self.scheduled else "a schedule of lr leaves it alone"
            )
        return "; ".join([*parts, *([self.note] if self.note else [])]) + "."


def coast(
    make_optimizer: Callable[[list[nn.Parameter]], Optimizer],
    start: Array | list[torch.Tensor],
    *,
    n_steps: int = 1,
    gradient: Literal["zero", "none"] = "zero",
) -> Any:  # a Tensor, or a list of them
    r"""Return what an optimizer does to parameters on which the loss does not depend.

    With a gradient of zero nothing but the decay is left. It must bring every parameter closer to zero,
    whatever its sign, and leave a zero alone. With no gradient at all, which is what backward() leaves in a
    parameter that took no part, torch's optimizers skip it: not even the decay is left.

    Parameters
    ----------
    make_optimizer : callable
        ``make_optimizer(parameters)``, of a list, returns a torch optimizer. What its ``weight_decay`` means
        is what one wants to find out: is it multiplied by lr, does it know the sign; a bias is a parameter
        like any other. (A 1/2 in a penalty cannot be seen: only its derivative acts.)
    start : Tensor, or list of Tensor
        One parameter of any shape, or several, each of its own shape; finite.
    n_steps : int, default=1
    gradient : {"zero", "none"}, default="zero"
        What every parameter finds in ``parameter.grad`` before each step: zeros, or None.

    Returns
    -------
    Tensor of shape (n_steps, \*start.shape), or list of such Tensor
        The parameters after each step.

    Raises
    ------
    ValueError, TypeError
        If `start` is not finite, `n_steps` not a positive integer, `gradient` unknown, or `make_optimizer`
        not callable, fails or returns no optimizer, or one whose step fails.

    Examples
    --------
    >>> import torch
    >>> from course_lib.probe import coast
    >>> coast(lambda params: torch.optim.SGD(params, lr=0.1, weight_decay=0.5), [1.0, -2.0, 0.0]).tolist()
    [[0.95, -1.9, 0.0]]
    """
    _arguments.function("make_optimizer", make_optimizer)
    several = isinstance(start, list | tuple) and any(isinstance(part, torch.Tensor) for part in start)
    parts: Any = start if several else [start]
    starts = [_arguments.finite("start", part, imaginary=True) for part in parts]
    n_steps = _arguments.count("n_steps", n_steps)
    _arguments.choice("gradient", gradient, ("zero", "none"))
    parameters = [nn.Parameter(part.detach().clone()) for part in starts]
    with _arguments.within("make_optimizer"):
        optimizer = make_optimizer(parameters)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"make_optimizer must return a torch.optim.Optimizer, got {optimizer!r}")

    def closure() -> Any:  # a Tensor, where the annotations of torch's optimizers ask for a float
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter) if gradient == "zero" else None
        return starts[0].new_zeros(())

    paths: list[list[torch.Tensor]] = [[] for _ in parameters]
    for _ in range(n_steps):
        closure()  # for an optimizer that does not call it
        with _arguments.within("the step of what make_optimizer returns"):
            take_step(optimizer, closure)
        for path, parameter in zip(paths, parameters, strict=True):
            path.append(parameter.detach().clone())
    stacked = [torch.stack(path) for path in paths]
    return stacked if several else stacked[0]


def probe(make_optimizer: Callable[[list[nn.Parameter]], Optimizer]) -> Decay:
    r"""Find out by experiment what kind of decay an optimizer has.

    Two optimizers differ in nothing but their decay; what one moves a weight more than the other is the
    decay's part. It is looked at over several steps, with gradients of three sizes and of either sign, with
    half the lr, on weights of both signs and two sizes, and far from where they started. No name is read.
    With lr :math:`\eta`, :math:`\lambda` and a momentum :math:`\mu`, a decoupled decay is expected to take
    a share r of the weight in a step, a coupled one R in the long run:

    .. math:: r = \eta\lambda, \qquad R = \frac{\eta\lambda}{1 - \mu}

    The answer holds what was measured instead.

    Parameters
    ----------
    make_optimizer : callable
        ``make_optimizer(parameters)``, of a list, returns a fresh torch optimizer with the lr and the
        ``weight_decay`` of interest. It is called many times, with a vector and a matrix if the optimizer
        takes both, in float64 if it can. Other values of lr and ``weight_decay`` are written into its
        ``param_groups``; where that changes nothing, or there is no such number, the note says so. What
        :math:`\lambda` means is what is found out, whether it is multiplied by lr, too; a 1/2 in a penalty
        cannot be seen, and a bias is a parameter like any other.

    Returns
    -------
    Decay
        ``kind``, ``rate`` and more; as a text it is one sentence. With a ``weight_decay`` of 0 the kind is
        what it would be, at a rate of 0.

    Raises
    ------
    ValueError, TypeError
        If `make_optimizer` is not callable, fails, or returns no optimizer, or one whose step fails or gives
        numbers that are not finite.

    See Also
    --------
    coast : what is left of the weights after some steps without a gradient.

    Examples
    --------
    >>> import torch
    >>> from course_lib.probe import probe
    >>> found = probe(lambda params: torch.optim.AdamW(params, lr=0.1, weight_decay=0.5))
    >>> found.kind, round(found.rate, 6), found.momentum, found.scheduled
    ('decoupled times lr', 0.05, False, True)
    >>> probe(lambda params: torch.optim.Adam(params, lr=0.1, weight_decay=0.5)).kind
    'coupled and divided by the size of the gradient'
    >>> print(probe(torch.optim.Rprop))
    Rprop has no decay; there is no weight_decay in its groups.
    """
    _arguments.function("make_optimizer", make_optimizer)
    found = bench(make_optimizer)
    parts = [_Verdict(found, part).decay() for part in range(len(found.shapes))]
    decay = parts[-1]
    if parts[0].kind != decay.kind:
        return replace(decay, note="; ".join(filter(None, [decay.note, f"on vectors: {parts[0].kind}"])))
    return decay


class _Verdict(Trial):
    """What the decay of one parameter on the bench turns out to be."""

    def decay(self) -> Decay:
        """Say what the decay is."""
        if some(pulls := self._pulls()):
            self._look_at_the_rest()
            return self._kind(pulls)
        self.before, self.rest = [torch.full_like(WEIGHTS, 3.0)], torch.full_like(WEIGHTS, 3.0)
        if some(pulls := self._pulls()):
            self.notes.append("that is where they started")
            return self._kind(pulls)
        self.before, self.rest = [], 0 * WEIGHTS
        given = self.own["weight_decay"] is not None
        self.notes.append(
            "another weight_decay in param_groups changes nothing"
            if given
            else "there is no weight_decay in its groups"
        )
        self.built_in = True
        if some(pulls := self._pulls()):
            self.notes.append("what it takes is built in")
            return self._kind(pulls)
        return self._found("none", 0.0, momentum=None)

    def _pulls(self) -> dict[float, torch.Tensor]:
        return {scale: self.pull(scale, [WEIGHTS] * N_STEPS) for scale in SCALES}

    def _look_at_the_rest(self) -> None:
        """Note what shrinks a weight without a gradient and without weight_decay."""
        try:
            moves = self.moves(0.0, [WEIGHTS], **self.given() | {"weight_decay": 0.0})
        except ValueError:
            self.notes.append("without a gradient its step fails or is not finite")
            return
        shape, slope = shape_of(of_the_weight(moves)[0])
        if shape == "in proportion" and slope < 0:
            self.notes.append(f"it takes {-slope:.3g} of the weight even with weight_decay 0")

    def _kind(self, pulls: dict[float, torch.Tensor]) -> Decay:
        """Say what pulls on weights that are held in place."""
        means = {scale: of_the_weight(pull) for scale, pull in pulls.items()}
        size, scale, rtol = float(means[1.0].abs().max()), 1.0, 0.01
        if not all(near(mean, means[1.0], size, 0.02) for mean in means.values()):
            late = {scale: mean[N_STEPS // 2 :] for scale, mean in means.items()}
            left = float(late[100.0].abs().sum() / late[0.01].abs().sum())
            if not 0.5 < left < 2:
                return self._divided(late)
            self.notes.append(f"gradients 10,000 times as large leave {left:.2g} of it")
            scale, rtol = 100.0, 0.1
        total = means[scale].sum(dim=0)
        shape, number = shape_of(total, rtol)
        if shape == "towards a point":
            if not self.before:
                self.rest = torch.full_like(WEIGHTS, number)
                self.notes.append(f"that is {number:.3g}")
            return self._measured("towards another point than zero")
        if shape in ("constant", "otherwise"):
            moves = ", ".join(f"{move:.3g}" for move in (total / N_STEPS).tolist())
            return self._no_decay(
                f"at lr {self.settings['lr']:g} it moves the weights 1, -1, 2, -2 by {moves}"
            )
        if number > 0:
            return self._no_decay("it makes weights grow")
        if shape == "by sign":
            return self._measured("L1")
        tenth = of_the_weight(self.pull(scale, [WEIGHTS / 10] * N_STEPS)).sum(dim=0)
        if float((tenth * total).sum()) < 0:
            return self._no_decay("small weights grow")
        doubled = of_the_weight(self.pull(scale, [2 * WEIGHTS] * N_STEPS)).sum(dim=0)
        grown = float(doubled.abs().sum() / total.abs().sum())
        if abs(grown - 1) < 0.05:
            return self._no_decay("twice the weights leave it as it is")
        if abs(grown - 2) > 0.1:
            self.notes.append(f"twice the weights make it {grown:.2g} times as large")
        agree = WEIGHTS * SIGNS > 0
        for where, others in (("agree", ~agree), ("disagree", agree)):
            if near(pulls[1.0][:, others], 0, size, 1e-6):
                self.notes.append(f"that is where the signs of weight and gradient {where}")
                return self._measured("cautious")
        if self.momentum() or (self.switched_off and self.momentum(momentum=0.9)):
            return self._measured("coupled")
        return self._measured("decoupled times lr" if self.scheduled() else "decoupled without lr")

    def _divided(self, means: dict[float, torch.Tensor]) -> Decay:
        """Say what depends on the size of the gradient."""
        large, middle, small = (float(means[scale].abs().mean()) for scale in (100.0, 1.0, 0.01))
        if (means[0.01] * (WEIGHTS - self.rest)[::2]).sum() > 0:
            return self._no_decay("it makes weights grow")
        if not large <= middle <= small > large:
            return self._no_decay(
                f"with gradients of 0.01, 1 and 100 it is {small:.2g}, {middle:.2g}, {large:.2g}"
            )
        self.notes.append(f"gradients 10,000 times as large leave {large / small:.2g} of it")
        kind: Kind = "coupled and divided by the size of the gradient"
        ones, twos = means[100.0].abs().unflatten(-1, (2, 2)).mean(dim=-1).unbind(-1)
        if self.before:
            kind = "towards another point than zero"
        elif ones.any() and near(twos, ones, ones, 0.02):
            kind = "L1"
        return self._found(kind, momentum=self.momentum(), scheduled=self.scheduled())

    def _no_decay(self, note: str) -> Decay:
        self.notes.append(note)
        return self._found("not a decay", momentum=None, scheduled=self.scheduled())

    def _measured(self, kind: Kind) -> Decay:
        momentum = self.momentum()
        rate, long_run = self.rates(kind, momentum)
        return self._found(kind, rate, long_run=long_run, momentum=momentum, scheduled=self.scheduled())

    def _found(self, kind: Kind, rate: float | None = None, **more: Any) -> Decay:
        if self.without_gradient():
            self.notes.append("a weight that has no gradient is moved, too")
        notes = "; ".join(dict.fromkeys(self.notes))
        more = {"long_run": rate, "momentum": False, "scheduled": None, **self.own} | more
        return Decay(kind=kind, rate=rate, optimizer=self.name, note=notes, **more)
