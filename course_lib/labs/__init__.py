"""Figures to play with: each shows one setting at first, and then what the reader makes of it.

A lab is one line in a notebook. It needs no kernel: its numbers are computed in the browser, by the functions
of this package in JavaScript, which the tests hold against each other. Where no scripts run, and in print,
stands a figure of the same setting, or a sentence where there is nothing to draw.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_lib.labs._boundary import boundary
    from course_lib.labs._clock import clock
    from course_lib.labs._converter import converter
    from course_lib.labs._lab import Lab
    from course_lib.labs._landscape import landscape
    from course_lib.labs._overfitting import overfitting
    from course_lib.labs._step import step

__all__ = [
    "Lab",
    "boundary",
    "clock",
    "landscape",
    "step",
    "overfitting",
    "converter",
]


def __getattr__(name: str) -> Any:
    """Load a lab when it is asked for: a notebook carries only its own."""
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}._{name.lower()}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
