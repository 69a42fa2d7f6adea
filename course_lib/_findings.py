"""Behind `report`: what to look at in what decay reaches, one small function a rule.

A rule gets what is known of each parameter and yields findings. To add one, write it under `@rule`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from course_lib._facts import Row

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

BOUNDARY = "Why does the boundary drift?"
BATCH = "Why does my scratch code disagree with PyTorch?"
STEPS = "One lambda, five different steps"
REACH = "What does decay reach in your model?"


@dataclass(frozen=True)
class Finding:
    """Something to look at: see `course_lib.report.Report`."""

    severity: Severity
    what: str
    parameters: tuple[str, ...]
    why: str
    where: str
    fix: str


Rule = Callable[[Sequence[Row]], Iterator[Finding]]
RULES: list[Rule] = []


def rule(function: Rule) -> Rule:
    """Put a function among the rules."""
    RULES.append(function)
    return function


def findings_of(rows: Sequence[Row]) -> list[Finding]:
    """Return what all rules find, worst first."""
    found = [finding for each in RULES for finding in each(rows)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _names(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(row.names[0] for row in rows)


def _about(
    rows: Sequence[Row], severity: Severity, what: str, why: str, where: str, fix: str
) -> Iterator[Finding]:
    """Yield one finding about all rows, if there are any."""
    if rows:
        yield Finding(severity, what, _names(rows), why, where, fix)


def _by(rows: Sequence[Row], key: Callable[[Row], object]) -> list[list[Row]]:
    """Return the rows that have a key in common, for each key."""
    groups: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return list(groups.values())


def _freed(same: Sequence[Row], rows: Sequence[Row]) -> str:
    """Return what frees some rows: all groups anew, where they would keep their lr and weight_decay."""
    row, held = same[0], [each for each in rows if each.groups]
    rules = {(each.optimizer, each.lr) for each in held}
    if row.decay is not None and "built in" in row.decay.note:
        return f"another optimizer for it: no setting of {row.optimizer} changes what it takes"
    if len(rules) == len({each.weight_decay for each in held if each.in_decay}) == 1:
        lr = "" if row.lr is None else f", lr={row.lr:g}"
        return f"{row.optimizer}(decay_groups(model, {row.weight_decay or 0:g}){lr})"
    names = {name for each in same for name in each.groups}
    beside = [each.reason for each in held if names.intersection(each.groups)]
    group = f"group {', '.join(sorted(names))}"
    if any(reason is None or reason.decays for reason in beside):
        return f"a group of their own, with weight_decay=0.0 and the lr of {group}"
    return f"weight_decay=0.0 in {group}"


def _better_free(
    same_kind: Sequence[Row], rows: Sequence[Row], what: str, why: str, where: str
) -> Iterator[Finding]:
    """Warn of decayed parameters, those of each setting together, and say how to free them."""
    for same in _by(same_kind, lambda row: (row.optimizer, row.lr, row.weight_decay)):
        yield from _about(same, "warning", what, why, where, _freed(same, rows))


def _is_bias(row: Row) -> bool:
    return row.reason is not None and row.reason.why.startswith("bias")


def _is_gain(row: Row) -> bool:
    return row.reason is not None and row.reason.why.startswith("gain of")


def _is_scale(row: Row) -> bool:
    """Whether a parameter is a number whose value is meant: a temperature, a scale."""
    if row.reason is None or row.reason.decays or row.reason.basis != "convention" or _is_gain(row):
        return False
    return row.reason.why.startswith(("scale", "rate", "skip")) or all(size == 1 for size in row.shape)


def _is_position(row: Row) -> bool:
    return row.reason is not None and row.reason.why in ("position", "token", "makes biases of positions")


@rule
def untrained(rows: Sequence[Row]) -> Iterator[Finding]:
    """A parameter that no optimizer holds."""
    lost = [row for row in rows if row.trainable and not row.groups]
    yield from _about(
        lost,
        "error",
        "in no optimizer",
        "They are part of the model and want a gradient, but no group holds them: they never train or decay.",
        STEPS,
        "optimizer.add_param_group({'params': [...]}), or requires_grad_(False) where that is meant",
    )


@rule
def held_twice(rows: Sequence[Row]) -> Iterator[Finding]:
    """A parameter in two groups, or twice in one."""
    yield from _about(
        [row for row in rows if len(row.groups) > 1],
        "error",
        "held twice",
        "Each place takes a step of its own: they move twice and decay twice.",
        STEPS,
        "groups = decay_groups(model, weight_decay)  # holds every parameter once",
    )


@rule
def foreign(rows: Sequence[Row]) -> Iterator[Finding]:
    """A parameter of the optimizer that is not in the model."""
    yield from _about(
        [row for row in rows if not row.in_model],
        "warning",
        "not in the model",
        "The optimizer holds them, the model does not: a layer or the model was exchanged or copied.",
        STEPS,
        "make the optimizer after the model is complete",
    )


@rule
def unmeasured(rows: Sequence[Row]) -> Iterator[Finding]:
    """An optimizer whose decay could not be measured."""
    for same in _by([row for row in rows if row.problem], lambda row: (row.optimizer, row.problem)):
        why = f"A fresh {same[0].optimizer} of the same settings did not run: {same[0].problem}"
        yield from _about(
            same, "warning", "not measured", why, STEPS, "probe(make_optimizer), with a maker of yours"
        )


@rule
def no_decay(rows: Sequence[Row]) -> Iterator[Finding]:
    """A weight_decay that does nothing, or something else."""
    for same in _by([row for row in rows if row.decay and row.weight_decay], lambda row: row.decay):
        decay = same[0].decay
        if decay is None or decay.kind not in ("none", "not a decay"):
            continue
        what = "weight_decay does nothing" if decay.kind == "none" else "weight_decay is not a decay"
        yield from _about(same, "error", what, str(decay), STEPS, f"another optimizer than {decay.optimizer}")


@rule
def too_much(rows: Sequence[Row]) -> Iterator[Finding]:
    """A step that takes all of the weight, or more."""
    much = [row for row in rows if row.peak is not None and row.peak >= 1]
    for same in _by(much, lambda row: (row.peak, row.lr, row.weight_decay)):
        peak = same[0].peak or 0.0
        end = "nothing is left" if peak == 1 else "the sign turns" if peak <= 2 else "the weights grow"
        why = f"The largest step takes {peak:.3g} of every weight, so that {end}."
        fix = f"weight_decay={(same[0].weight_decay or 0.0) / peak / 100:.1g} or less"
        yield from _about(same, "error", "lr times lambda is 1 or more", why, STEPS, fix)


@rule
def decayed_bias(rows: Sequence[Row]) -> Iterator[Finding]:
    """A decayed bias."""
    biases = [row for row in rows if row.decays and _is_bias(row)]
    why = "A bias has to hold an offset, and decay pulls it to zero. By convention, too, it is free."
    yield from _better_free(biases, rows, "decayed bias", why, BOUNDARY)


@rule
def decayed_gain(rows: Sequence[Row]) -> Iterator[Finding]:
    """A decayed gain of a normalization, or another vector."""
    gains = [
        row
        for row in rows
        if row.decays
        and not _is_scale(row)
        and (_is_gain(row) or (len(row.shape) == 1 and row.reason and row.reason.why.startswith("vector")))
    ]
    why = "By convention gains are free: they start at 1, and weights around them undo what decay does."
    yield from _better_free(gains, rows, "decayed gain", why, STEPS)


@rule
def decayed_scale(rows: Sequence[Row]) -> Iterator[Finding]:
    """A decayed temperature or scale."""
    scales = [row for row in rows if row.decays and _is_scale(row)]
    why = "Its value is meant, and zero is no natural place for it; a decay turns it down for ever."
    yield from _better_free(scales, rows, "decayed temperature or scale", why, REACH)


@rule
def decayed_position(rows: Sequence[Row]) -> Iterator[Finding]:
    """A decayed position or token, of which the field has no common opinion."""
    for same in _by([row for row in rows if row.decays and _is_position(row)], lambda row: row.reason):
        why = f"Some leave them free ({same[0].reason.why}), others do not." if same[0].reason else ""
        yield from _about(same, "note", "decayed position or token", why, STEPS, _freed(same, rows))


@rule
def decayed_against_the_author(rows: Sequence[Row]) -> Iterator[Finding]:
    """A decay where the model's author wants none."""
    marked = [row for row in rows if row.decays and row.reason and row.reason.basis == "mark"]
    for same in _by(marked, lambda row: (row.reason, row.optimizer, row.lr, row.weight_decay)):
        why = f"The model says that they are free: {same[0].reason.why}." if same[0].reason else ""
        yield from _about(same, "warning", "decayed against the author", why, STEPS, _freed(same, rows))


@rule
def frozen(rows: Sequence[Row]) -> Iterator[Finding]:
    """Frozen parameters that decay on, or never will."""
    held = [row for row in rows if not row.trainable and row.in_decay]
    yield from _about(
        [row for row in held if row.has_gradient and not row.without_gradient],
        "warning",
        "frozen, and decays on",
        "requires_grad is False, but .grad still holds a tensor, and an optimizer looks at nothing else.",
        REACH,
        "optimizer.zero_grad(set_to_none=True)",
    )
    for same in _by([row for row in held if row.without_gradient], lambda row: row.optimizer):
        why = f"{same[0].optimizer} moves a weight that has no gradient, too."
        fix = "hand the optimizer only what is to learn"
        yield from _about(same, "warning", "frozen, and decays on", why, REACH, fix)
    yield from _about(
        [row for row in held if not row.decays],
        "note",
        "frozen, and does not decay",
        "The optimizer skips what has no gradient, decay and all.",
        REACH,
        "nothing, if they are meant to stay; else requires_grad_(True)",
    )


@rule
def unlike(rows: Sequence[Row]) -> Iterator[Finding]:
    """Like parameters with different decays."""
    held = [row for row in rows if row.groups and row.trainable and row.reason]
    for alike in _by(
        held, lambda row: (row.optimizer, row.owner, row.names[0].rpartition(".")[2], row.reason)
    ):
        sets = sorted(_by(alike, lambda row: row.weight_decay), key=len)
        if len(sets) > 1:
            said = ", ".join(f"{len(same)} with {same[0].weight_decay or 0:g}" for same in reversed(sets))
            like = f"{alike[0].names[0].rpartition('.')[2]} of {alike[0].owner}"
            why = f"Parameters that are the {like} have several values of weight_decay: {said}."
            fix = "groups = decay_groups(model, weight_decay), unless that is meant"
            rare = [row for same in sets[:-1] for row in same]
            severity: Severity = "note" if all(same[0].weight_decay for same in sets) else "warning"
            yield from _about(rare, severity, "like parameters, unlike decay", why, STEPS, fix)


@rule
def rounded_away(rows: Sequence[Row]) -> Iterator[Finding]:
    """A decay that is smaller than the spacing of the parameter's dtype."""
    lost = [row for row in rows if row.peak and row.peak < 1 and _rounds(1 - row.peak, row.dtype)]
    for same in _by(lost, lambda row: (row.dtype, row.peak)):
        why = f"A step takes {same[0].peak:.2g} of a weight, and in {same[0].dtype} 1 less that rounds to 1."
        fix = "keep the parameters in float32, and compute under torch.autocast"
        yield from _about(same, "warning", "rounds away", why, REACH, fix)


def _rounds(factor: float, dtype: str) -> bool:
    """Return whether a factor is 1 in a dtype."""
    return bool(torch.tensor(factor, dtype=getattr(torch, dtype), device="cpu") == 1)


@rule
def flattened(rows: Sequence[Row]) -> Iterator[Finding]:
    """Parameters of which neither name nor shape says what they are."""
    yield from _about(
        [row for row in rows if "flattened" in row.marks],
        "warning",
        "flattened",
        "Many parameters lie in one vector: groups cannot tell weights from biases and gains any more.",
        REACH,
        "make the groups before FSDP wraps the model, with use_orig_params=True",
    )
    yield from _about(
        [row for row in rows if "sharded" in row.marks],
        "note",
        "sharded",
        "Each process decays its part; that is the same, entry by entry, but a norm of the part is not.",
        BATCH,
        "nothing for a decay; clip by torch.nn.utils.clip_grad_norm_, which knows of shards",
    )


@rule
def embeddings(rows: Sequence[Row]) -> Iterator[Finding]:
    """Tables of which a batch sees only some rows."""
    tables = [row for row in rows if row.decays and row.trainable and "embedding" in row.marks]
    dense = [row for row in tables if "sparse" not in row.marks]
    for same in _by(dense, lambda row: (row.decay, row.left, "tied to a layer" in row.marks)):
        left = f", and {same[0].left:.3g} of one that never comes is left" if same[0].left is not None else ""
        takes = f"a step takes {same[0].idle or 0:.3g} of it{left}"
        what = "embedding: unseen rows fade"
        why = f"A row that is not in the batch has a gradient of zero: {takes}."
        which = f"in {names}" if len(names := _names(same)) > 1 else f"== {names[0]!r}"
        fix = f"decay_groups(model, weight_decay, decays=lambda name, _: False if name {which} else None)"
        if "tied to a layer" in same[0].marks:
            what = "tied embedding: rows without a gradient fade"
            why = (
                f"A row that is not in the batch has the gradient of its layer; where that is zero, {takes}."
            )
            fix = f"nothing, if a softmax gives every row a gradient; else {fix}"
        yield from _about(same, "note", what, why, REACH, fix)
    for same in _by(
        [row for row in rows if row.unseen is not None and row.weight_decay], lambda row: row.unseen
    ):
        unseen = same[0].unseen
        if isinstance(unseen, str):
            why = f"A step with a sparse gradient fails: {unseen}"
            yield from _about(
                same, "error", "sparse embedding", why, REACH, "weight_decay=0.0 for it, or sparse=False"
            )
        else:
            why = f"Its gradient is sparse; of a row that is not in the batch a step takes {unseen:.3g}."
            yield from _about(same, "note", "sparse embedding", why, REACH, "nothing, if that is meant")


@rule
def tied(rows: Sequence[Row]) -> Iterator[Finding]:
    """A parameter with several names."""
    for row in rows:
        if len(row.names) > 1:
            why = f"{' and '.join(row.names)} are one parameter: it decays once, for all of its uses."
            yield from _about([row], "note", "tied", why, REACH, "nothing; but hold it in one group only")


@rule
def lora(rows: Sequence[Row]) -> Iterator[Finding]:
    """Factors of a low rank, whose zero is the model before."""
    factors = [row for row in rows if row.decays and "lora_" in row.names[0].lower()]
    yield from _about(
        factors,
        "note",
        "LoRA",
        "A decay of the factors pulls their product to zero, and so the model to what it was before.",
        REACH,
        "nothing, if that is meant; else weight_decay=0.0",
    )


@rule
def scale_invariant(rows: Sequence[Row]) -> Iterator[Finding]:
    """Weights in front of a normalization."""
    yield from _about(
        [row for row in rows if row.decays and "scale-invariant" in row.marks],
        "note",
        "scale-invariant",
        "Twice the weight gives the same output: a decay makes the function no simpler, it sets how large a "
        "step is beside the weight.",
        REACH,
        "nothing; but tune lr and weight_decay together",
    )


@rule
def penalized(rows: Sequence[Row]) -> Iterator[Finding]:
    """A penalty in the loss, and a decay."""
    twice = [row for row in rows if row.decays and (row.l2 or row.l1)]
    for same in _by(twice, lambda row: (row.optimizer, row.weight_decay)):
        row = max(same, key=lambda row: math.prod(row.shape))
        pulls = {"times the weight": row.l2, "times its sign": row.l1}
        added = " and ".join(f"{number:.3g} {what}" for what, number in pulls.items() if number)
        why = (
            f"The loss adds {added} to the gradient of {row.names[0]}, and {row.optimizer} decays it by "
            f"{row.weight_decay or 0:g} besides."
        )
        fix = "weight_decay=0.0, or a loss without the penalty"
        yield from _about(same, "warning", "a penalty in the loss and a decay", why, STEPS, fix)


@rule
def divided(rows: Sequence[Row]) -> Iterator[Finding]:
    """A decay that an adaptive optimizer divides."""
    kinds = {
        "coupled and divided by the size of the gradient": "the decay is divided by the gradient",
        "decoupled without lr": "the decay does not follow lr",
        "towards another point than zero": "the decay does not lead to zero",
    }
    for same in _by([row for row in rows if row.decays], lambda row: row.decay):
        decay = same[0].decay
        if decay is not None and decay.kind in kinds:
            fix = (
                "torch.optim.AdamW, if each weight is to shrink by the same share"
                if decay.rate is None
                else "nothing, if that is meant"
            )
            yield from _about(same, "note", kinds[decay.kind], str(decay), STEPS, fix)


@rule
def ends_in_zero(rows: Sequence[Row]) -> Iterator[Finding]:
    """A schedule that takes the decay with it."""
    ending = [row for row in rows if row.ends_in_zero and row.decays]
    yield from _about(
        ending,
        "note",
        "the schedule ends in 0",
        "The decay is multiplied by lr: towards the end of the schedule neither moves a weight.",
        REACH,
        "nothing; but choose weight_decay by what is left at the end, not by lr times lambda",
    )
