"""Checkers that say what is wrong with an answer to an exercise, and what it is instead.

An answer is a function. It is tried on fixed and on random arguments, and compared with what is right. The
verdict is true if it is right; else it says, in words, the first thing that is wrong::

    from course_lib import check
    from course_lib.check import hint

    check.sgdw_step(my_function)
    hint.sgdw_step()

There is a module for each chapter, with one declaration an exercise. Nothing of `course_lib` uses them.

What it says of an answer, and a hint:

>>> from course_lib import check
>>> def sgdw_step(w, gradient, lr, weight_decay):
...     return w - lr * gradient - weight_decay * w
>>> check.sgdw_step(sgdw_step)
sgdw_step: not yet right
This is what you get when weight_decay is not multiplied by lr.
  w             [1, -1.5]
  gradient      [0, 0]
  lr            0.1
  weight_decay  0.5
  expected      [0.95, -1.425]
  got           [0.5, -0.75]
>>> check.hint.sgdw_step()
sgdw_step, hint 1 of 3: Where no gradient is left, what becomes of the weights?
"""

import importlib
from typing import Any

from course_lib._checking import Hints

CHAPTERS = (
    "perceptron_boundary",
    "lambda_and_batch_size",
    "sgd_sgdw_l1",
    "loss_landscapes",
    "scratch_vs_torch",
    "what_decay_reaches",
    "how_much",
)

__all__ = ["hint"]


def __getattr__(name: str) -> Any:
    for chapter in CHAPTERS if not name.startswith("_") else ():
        module = importlib.import_module(f"{__name__}.{chapter}")
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(f"there is no exercise {name!r}")


#: Gives the hints of an exercise, one a call: ``hint.sgdw_step()``.
hint = Hints(__getattr__)


def __dir__() -> list[str]:
    modules = (importlib.import_module(f"{__name__}.{chapter}") for chapter in CHAPTERS)
    return sorted(["hint", *(name for module in modules for name in module.__all__)])
