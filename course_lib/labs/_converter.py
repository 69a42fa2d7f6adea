"""The Rosetta stone: a form for `conventions.convert`."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any

from course_lib import _arguments, conventions
from course_lib.conventions import KNOBS, LIBRARIES, PENALIZED, Knob, convert
from course_lib.labs._lab import Lab

LARGEST = 1e15  # that a field for a number takes: whole numbers are exact up to there


def converter(
    *,
    value: float = 1.0,
    source: str = "sklearn.LogisticRegression.C",
    target: str = "torch.SGD.weight_decay",
    loss: str | None = None,
    decay_bias: bool | None = False,
    n_samples: float | None = 1000.0,
    n_outputs: int = 1,
    batch_size: float | None = None,
    lr: float | None = None,
    momentum: float = 0.0,
    dampening: float = 0.0,
    l1_ratio: float | None = None,
    target_std: float | None = None,
) -> Lab:
    """Show a form that turns the value of one knob into that of another, or says why there is none.

    It does what `conventions.convert` does, in the same words, and asks for what the two knobs need. Is there
    a 1/2, is lambda multiplied by lr, is the bias in: the form says it of both knobs, as `conventions.KNOBS`
    has it. There is nothing to draw.

    Parameters
    ----------
    value : float, default=1.0
        Like all of these an argument of `conventions.convert`, which has to have an answer; no number is
        above 1e15.
    source : str, default="sklearn.LogisticRegression.C"
    target : str, default="torch.SGD.weight_decay"
    loss : str, optional
    decay_bias : bool or None, default=False
    n_samples : float or None, default=1000.0
    n_outputs : int, default=1
    batch_size : float, optional
    lr : float, optional
    momentum : float, default=0.0
    dampening : float, default=0.0
    l1_ratio : float, optional
    target_std : float, optional

    Returns
    -------
    Lab

    Raises
    ------
    ValueError, TypeError
        Those of `conventions.convert`, and if a number is larger.

    Examples
    --------
    >>> from course_lib.labs import converter
    >>> lab = converter(value=0.1, source="keras.L2.l2", target="torch.SGD.weight_decay")
    >>> lab.settings["source"]
    'keras.L2.l2'
    """
    names: dict[str, Any] = {"source": source, "target": target, "loss": loss, "decay_bias": decay_bias}
    sizes: dict[str, Any] = {
        "n_samples": n_samples,
        "batch_size": batch_size,
        "lr": lr,
        "target_std": target_std,
    }
    shares: dict[str, Any] = {"momentum": momentum, "dampening": dampening, "l1_ratio": l1_ratio}
    convert(value, **names, n_outputs=n_outputs, **sizes, **shares)
    reals = {name: None if real is None else float(real) for name, real in {**sizes, **shares}.items()}
    numbers = {"value": float(value), "n_outputs": int(n_outputs)} | reals
    for name, number in numbers.items():
        _arguments.number(name, number or 0, maximum=LARGEST)
    return Lab(
        "converter",
        names | numbers,
        _tables() | {"largest": LARGEST},
        "Where scripts run, a form stands here. In Python, course_lib.conventions.convert does the same; "
        "what each knob stands for is in the tables of the Rosetta stone.",
    )


def _tables() -> Any:  # dict
    """Return what `convert` looks up, as JSON has it: knobs by the titles of their libraries, and words."""
    parts = [part for part in fields(Knob) if part.name not in ("name", "tolerance", "check")]
    libraries: dict[str, dict[str, Any]] = {}
    for name, knob in KNOBS.items():
        prefix = name.partition(".")[0]
        told = {part.name: getattr(knob, part.name) for part in parts}
        libraries.setdefault(LIBRARIES.get(prefix, prefix), {})[name] = {
            part.name: told[part.name] for part in parts if told[part.name] != part.default
        }
    defaults = {part.name: part.default for part in parts if part.default is not MISSING}
    words = {"losses": conventions.LOSSES, "penalized": PENALIZED, "steps": conventions.STEPS}
    return json.loads(json.dumps({"libraries": libraries, "defaults": defaults, **words}, default=dict))
