"""What decay reaches in a model: which parameters, by how much, by which rule, and what to look at.

On the command line, ``python -m course_lib.report package.module:function`` prints the report on what your
function returns: a model, its optimizer and, if wanted, a dict of settings of `decay_report`. It exits with 1
where there is a warning or an error, and with 2 where it cannot tell.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from course_lib import _arguments
from course_lib._facts import Row, rows_of
from course_lib._findings import SEVERITIES, Finding, findings_of
from course_lib.probe import coast as coast  # which stood here first
from course_lib.tables import Table, table

__all__ = ["Report", "decay_report"]

WIDTH = 100
MOST_STEPS = 10_000_000  # of a scheduler, which are taken one by one
SHORT = {
    "coupled and divided by the size of the gradient": "divided",
    "decoupled times lr": "decoupled",
    "decoupled without lr": "without lr",
    "towards another point than zero": "elsewhere",
}
COLUMNS = {
    "parameters": "{}",
    "n": "{}",
    "numbers": "{}",
    "group": "{}",
    "lr": "{:.3g}",
    "lambda": "{:.3g}",
    "decay": "{}",
    "half-life": "{}",
    "epochs": "{}",
    "left": "{:.3g}",
}
CAPTION = "What decay reaches"


@dataclass(frozen=True)
class Report:
    """What `decay_report` found out.

    As a text, and in a notebook, it is a table with one line for like parameters, and what to look at.

    Attributes
    ----------
    rows : tuple
        For each parameter: ``names``, all that it has; ``shape``; ``dtype``; ``owner``, the type of its
        module; ``groups``, the numbers of those that hold it; ``optimizer``; ``lr``, that of the group, or
        what a schedule scales where there is one; ``weight_decay``; ``decay``, as `course_lib.probe.Decay`
        says it (None, and ``problem`` says why, where it could not be measured); ``decays``, whether it is
        reached; ``idle``, what one step with a gradient of zero takes of a weight of 1, and
        ``without_gradient``, what one takes whose gradient is None; ``half_life`` and
        ``time_constant``, the steps until a half and 1/e is left (None where a step takes no fixed share),
        and the same in epochs, ``half_life_epochs`` and ``time_constant_epochs``; ``left``, the share that
        is left after all steps; ``peak``, the largest share that a step takes; ``ends_in_zero``, whether a
        schedule does; ``unseen``, what a step takes of a row that a sparse gradient leaves out; ``l2`` and
        ``l1``, what a penalty in the loss adds to the gradient, times the weight and times its sign;
        ``in_model``; ``trainable``; ``has_gradient``; ``reason``, what `course_lib.groups.decay_reasons`
        says; and ``marks``, such as "embedding", "flattened", "scale-invariant".
    findings : tuple
        Worst first, each with its ``severity`` ("error", "warning" or "note"), ``what``, ``parameters`` (by
        their names), ``why``, ``where`` (the chapter that shows it) and ``fix`` (what to write).
    """

    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]

    def table(self) -> Table:
        """Return one line for each group of like parameters."""
        alike: dict[Any, list[Row]] = {}
        for row in self.rows:
            key = row.owner, row.names[0].rpartition(".")[2], row.groups, row.dtype, row.decay, row.decays
            alike.setdefault(key, []).append(row)
        with_epochs = any(row.half_life_epochs is not None for row in self.rows)
        formats = {name: layout for name, layout in COLUMNS.items() if with_epochs or name != "epochs"}
        cells = [[_line(rows)[name] for name in formats] for rows in alike.values()]
        found = table(formats, cells, caption=CAPTION)
        room = WIDTH - sum(
            2 + max(map(len, column)) for column in zip(*[found.head, *found.rows], strict=True)
        )
        room += 2 + max(len(row[0]) for row in found.rows)
        return Table(
            found.head, tuple((_shortened(name, room), *rest) for name, *rest in found.rows), CAPTION
        )

    def to_frame(self) -> Any:
        """Return the rows as a pandas.DataFrame; raise an ImportError where there is no pandas."""
        pandas = importlib.import_module("pandas")
        names = [field.name for field in fields(Row) if field.name not in ("decay", "reason")]
        records = [
            {name: getattr(row, name) for name in names}
            | {
                "decays": row.decays,
                "kind": row.decay.kind if row.decay else None,
                "why": row.reason.why if row.reason else None,
            }
            for row in self.rows
        ]
        return pandas.DataFrame(records)

    def __str__(self) -> str:
        parts = [str(self.table())]
        for number, finding in enumerate(self.findings, 1):
            lines = [f"{number}. {finding.severity}: {finding.what}: {_listed(finding.parameters)}"]
            lines += [finding.why, f'Shown in "{finding.where}". Write: {finding.fix}']
            first, *others = (textwrap.wrap(line, WIDTH - 3, break_on_hyphens=False) for line in lines)
            text = [*first, *(line for other in others for line in other)]
            parts.append("\n   ".join(text))
        return "\n\n".join([*parts, *([] if self.findings else ["Nothing to look at."])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        items = [
            f"<li><strong>{each.severity}: {escape(each.what)}</strong>: "
            f"{escape(_listed(each.parameters))}<br>{escape(each.why)} "
            f"Shown in <em>{escape(each.where)}</em>. Write: <code>{escape(each.fix)}</code></li>"
            for each in self.findings
        ]
        below = f"<ol>{''.join(items)}</ol>" if items else "<p>Nothing to look at.</p>"
        return f"{self.table()._repr_html_()}\n{below}"


def _line(rows: Sequence[Row]) -> dict[str, object]:
    """Return the line of the table that stands for like parameters."""
    row = rows[0]
    return {
        "parameters": row.names[0],
        "n": len(rows),
        "numbers": _count(sum(math.prod(each.shape) for each in rows)),
        "group": "+".join(row.groups) or "none",
        "lr": row.lr,
        "lambda": row.weight_decay,
        "decay": _kind(row),
        "half-life": _rounded(row.half_life) if row.decays else None,
        "epochs": _rounded(row.half_life_epochs) if row.decays else None,
        "left": row.left if row.decays else None,
    }


def _kind(row: Row) -> str:
    """Return in a word what happens to a parameter."""
    if row.decay is None:
        return "unknown" if row.problem else "-"
    if row.in_decay and not row.decays:
        return "frozen"
    kind = row.decay.kind if row.decays or row.decay.kind == "not a decay" else "none"
    return SHORT.get(kind, kind)


def _rounded(steps: float | None) -> str | None:
    return None if steps is None else f"{steps:,.0f}" if steps >= 100 else f"{steps:.3g}"


def _count(number: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)


def _shortened(name: str, room: int) -> str:
    return name if len(name) <= room else f"{name[: room // 2 - 1]}…{name[len(name) - (room - room // 2) :]}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def decay_report(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    *,
    n_samples: int | None = None,
    batch_size: int | None = None,
    n_steps: int | None = None,
    scheduler: LRScheduler | Sequence[LRScheduler] | None = None,
    inputs: Any = None,
    loss: Callable[[], torch.Tensor] | None = None,
) -> Report:
    r"""Say which parameters of a model are decayed, by how much and by which rule, and what to look at.

    The kind of decay is measured by `course_lib.probe.probe` on fresh optimizers of the same class and
    settings, with a few numbers each. A decay that takes a share r of a weight in a step halves it in

    .. math:: h = \frac{\ln 2}{-\ln(1 - r)}

    steps, and of a weight that no gradient moves the product of all 1 - r is left. Model, optimizer,
    scheduler and random generators are as before, also when an error is raised.

    Parameters
    ----------
    model : nn.Module
        On any device; on the meta device, too, where no memory is needed.
    optimizer : torch.optim.Optimizer, or several
        Those that train the model. What their ``weight_decay`` means is what is found out; a 1/2 in a penalty
        cannot be seen.
    n_samples, batch_size : int, optional
        Both, for half-lives in epochs of :math:`\lceil` n_samples / batch_size :math:`\rceil` steps.
    n_steps : int, optional
        For what is left after as many steps from now on. Where momentum sees the decay, they are taken, up
        to 10,000 of all groups together; beyond that each takes what one takes in the long run.
    scheduler : torch.optim.lr_scheduler.LRScheduler, or several, optional
        Made on `optimizer`; a copy of it takes its step after every step. It needs `n_steps`.
    inputs : object, optional
        What the model takes: a tensor, a tuple of arguments, or a dict of arguments by name. With it weights
        are found whose size the output does not show: each is doubled in a copy, and the outputs compared,
        normalizations by the batch as in training, and all else as in use.
    loss : callable, optional
        Without arguments; calls the model and returns the loss of a batch, before ``backward``. With it a
        penalty is found that pulls on the same parameters as a decay: the output of the model is cut from
        its parameters, and what still reaches them is compared with the weights and their signs.

    Returns
    -------
    Report
        ``rows`` and ``findings``, a table as a text and in a notebook, and ``to_frame()``.

    Raises
    ------
    ValueError, TypeError
        If an argument is of another kind, a parameter has no shape yet, only one of `n_samples` and
        `batch_size` is given, `scheduler` is not one of `optimizer` or fails, comes without `n_steps`,
        `model` fails on `inputs`, or `loss` fails, does not call `model` or is not one number.

    Examples
    --------
    >>> import torch
    >>> from course_lib.report import decay_report
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    >>> report = decay_report(model, optimizer, n_steps=1000)
    >>> [(row.names, round(row.half_life, 1), round(row.left, 3)) for row in report.rows]
    [(('weight',), 692.8, 0.368), (('bias',), 692.8, 0.368)]
    >>> for finding in report.findings:
    ...     print(finding.severity, finding.what, finding.parameters)
    warning decayed bias ('bias',)
    """
    _arguments.module("model", model)
    optimizers = _several("optimizer", optimizer, Optimizer)
    schedulers = [] if scheduler is None else _several("scheduler", scheduler, LRScheduler)
    for each in schedulers:
        if not any(each.optimizer is one for one in optimizers):
            raise ValueError(f"scheduler must be made on optimizer, got {each!r}")
    if n_steps is None and schedulers:
        raise ValueError("scheduler needs n_steps, as it may go on for ever")
    if schedulers and _arguments.count("n_steps", n_steps or 1) > MOST_STEPS:
        raise ValueError(f"n_steps must be at most {MOST_STEPS:,} with a scheduler, got {n_steps!r}")
    if (n_samples is None) != (batch_size is None):
        raise ValueError(f"n_samples and batch_size must come together, got {n_samples!r} and {batch_size!r}")
    epoch = None
    if n_samples is not None and batch_size is not None:
        n_samples, batch_size = (
            _arguments.count("n_samples", n_samples),
            _arguments.count("batch_size", batch_size),
        )
        epoch = -(-n_samples // batch_size)
    n_steps = None if n_steps is None else _arguments.count("n_steps", n_steps)
    if loss is not None and not callable(loss):
        raise TypeError(f"loss must be a function that returns the loss of a batch, got {loss!r}")
    rows = rows_of(model, optimizers, schedulers, n_steps, epoch, inputs, loss)
    return Report(tuple(rows), tuple(findings_of(rows)))


def _several(name: str, value: Any, kind: type) -> list[Any]:
    """Return what is one, or several, of a kind as a list."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    for each in values:
        if not isinstance(each, kind):
            raise TypeError(f"{name} must be a {kind.__module__}.{kind.__name__}, got {each!r}")
    if not values:
        raise ValueError(f"{name} must not be empty")
    return values


def _main(arguments: Sequence[str] | None = None) -> int:
    """Print the report on what a function makes; return 1 where there is something to look at."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.report", description=__doc__)
    parser.add_argument(
        "maker",
        metavar="package.module:function",
        help="returns a model, its optimizer and, if wanted, a dict of settings of decay_report",
    )
    parser.add_argument("--fail-on", choices=SEVERITIES, default="warning", help="from here on exit with 1")
    given = parser.parse_args(arguments)
    try:
        model, optimizer, settings = _made(given.maker)
        report = decay_report(model, optimizer, **settings)
    except (Exception, SystemExit) as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        sys.stderr.write(f"{parser.prog}: {given.maker}: {message}\n")
        return 2
    sys.stdout.write(f"{report}\n")
    worst = SEVERITIES[: SEVERITIES.index(given.fail_on) + 1]
    return int(any(finding.severity in worst for finding in report.findings))


def _made(maker: str) -> tuple[Any, Any, dict[str, Any]]:
    """Import and call what makes a model and its optimizer."""
    module, colon, name = maker.partition(":")
    if not (module and colon and name):
        raise ValueError("must be package.module:function")
    made = getattr(importlib.import_module(module), name)()
    if not isinstance(made, tuple) or len(made) not in (2, 3):
        raise TypeError(f"must return a model and its optimizer, got {type(made).__name__}")
    return made if len(made) == 3 else (*made, {})


if __name__ == "__main__":
    sys.exit(_main())
