"""Look at optimizers and architectures as they come, and write book/zoo.json.

Run by `make zoo` in an environment of its own. Every optimizer of some libraries goes through
`course_lib.probe.probe`, with its own defaults but lr and weight_decay. Architectures are made from their
configurations, without weights, on the meta device, and five rules say which of their parameters are decayed.
"""

import inspect
import json
import os
import platform
import re
import warnings
from collections import Counter
from dataclasses import asdict
from datetime import date
from functools import partial
from importlib.metadata import version

import torch

from course_lib.probe import probe
from course_lib.tables import table
from tools import ROOT
from tools.measure import adapters, architectures, rosetta

RECORD = ROOT / "book" / "zoo.json"
REQUIREMENTS = ROOT / "tools" / "measure" / "zoo-requirements.txt"
NOT_PROBED = "not probed"
WHY = {
    "keras.Ftrl": "computes every weight anew from sums of gradients, whatever it was",
    "optax.dpsgd": "wants to be told its noise",
    "optax.schedule_free": "wraps another optimizer",
    "pytorch_optimizer.BSAM": "multiplies gradients by weight_decay, and adds noise to the weights",
    "pytorch_optimizer.DualAdam": "multiplies the gradient, decay and all, by its size, and divides later",
    "pytorch_optimizer.SRMM": "averages weights, beginning with zero, so that its first step shrinks them",
} | dict.fromkeys(
    ["optax.lbfgs", "optax.momo", "optax.momo_adam", "optax.sophia"], "needs the loss, not its gradient alone"
)


def of_torch(library):
    """Return every optimizer of a library that is one of torch's, as a function of parameters."""
    return {name: partial(made, found) for name, found in rosetta.optimizer_classes(library).items()}


def made(optimizer, params):
    """Return an optimizer with its own defaults, but the lr and weight_decay of all."""
    known = inspect.signature(optimizer).parameters
    settings = {key: value for key, value in adapters.SETTINGS.items() if key in known}
    return rosetta.made(optimizer, params, rosetta.needed(optimizer) | settings)


LIBRARIES = {library: partial(of_torch, library) for library in rosetta.MODULES} | {
    "optax": adapters.of_optax,
    "keras": adapters.of_keras,
    "transformers": adapters.of_transformers,
}


def described(name, make_optimizer):
    """Return what `probe` finds of an optimizer, or why it cannot."""
    why = WHY.get(name) or rosetta.WHY.get(name)
    try:
        torch.manual_seed(0)
        found = probe(make_optimizer)
    except Exception as error:
        reason = str(error).rpartition("make_optimizer: ")[2].partition("\n")[0]
        return {"kind": NOT_PROBED, "note": why or reason[:120]}
    said = {key: getattr(found, key) for key in ("kind", "momentum", "scheduled", "note")}
    if name in WHY or (found.kind == "not a decay" and why):
        said["note"] += f"; it {why}"
    if found.kind != "none":
        said |= {key: rounded(getattr(found, key)) for key in ("rate", "long_run")}
    return {key: value for key, value in said.items() if value not in (None, "")}


def rounded(rate):
    return None if rate is None else float(f"{rate:.3g}")


def measure_optimizers(library):
    return {
        name: described(f"{library}.{name}", make_optimizer)
        for name, make_optimizer in LIBRARIES[library]().items()
    }


def pins():
    """Return the pinned packages and their versions."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE))


def show(record):
    for library, found in record["optimizers"].items():
        kinds = Counter(optimizer["kind"] for optimizer in found.values())
        print(f"{library}: {', '.join(f'{kind} {count}' for kind, count in kinds.most_common())}")
    rows = [[name, *model["decayed"].values()] for name, model in record["architectures"].items()]
    print(table(dict.fromkeys(["architecture", *architectures.RULES], "{}"), rows))


def main():
    warnings.simplefilter("ignore")
    os.environ["KERAS_BACKEND"] = "torch"
    architectures.StandIn.install()
    record = {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name).partition("+")[0] for name in pins()},
        "settings": adapters.SETTINGS,
        "optimizers": {library: measure_optimizers(library) for library in LIBRARIES},
        "kinds": {name: asdict(kind) for name, kind in architectures.KINDS.items()},
        "architectures": architectures.measure(),
    }
    show(record)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
