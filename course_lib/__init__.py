"""Penalties, optimizers and geometry behind *Weight Decay by Experiment*.

Import what you need from its modules, each of which is one concept::

    from course_lib.geometry import max_margin
    from course_lib.groups import decay_groups
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

__all__ = [
    "check",
    "conventions",
    "data",
    "distributed",
    "geometry",
    "groups",
    "labs",
    "landscape",
    "metrics",
    "models",
    "networks",
    "optimizers",
    "optimum",
    "parity",
    "penalties",
    "plotting",
    "probe",
    "report",
    "rules",
    "scratch",
    "sweeps",
    "tables",
    "training",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
