"""The labs' JavaScript in V8, so that tests can call it beside the Python that it repeats."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from random import Random

import numpy as np
from py_mini_racer import MiniRacer

from course_lib.conventions import KNOBS, LOSSES, convert
from course_lib.labs import Lab
from course_lib.labs._lab import FOLDER

SECONDS = 60  # that V8 may take

# Without a page `define` only notes the lab; the work of a lab is done at once.
HARNESS = """
define = (lab) => { globalThis.lab = lab; };
const finished = (work) => { let found; for (const step of work) found = step; return found; };
const control = (name, data) => controlsOf(lab, data).find((control) => control.name === name);
"""

# The page on which each lab stands, and the settings that its controls are moved to there.
PLACES = {
    "boundary": "book/perceptron_boundary",
    "clock": "book/lambda_and_batch_size",
    "landscape": "book/loss_landscapes",
    "step": "book/sgd_sgdw_l1",
    "overfitting": "book/why_decay",
    "converter": "book/rosetta",
}
# Small forms of labs, and their pages.
SMALL = {"boundary": "book/intro"}
# Labs without a figure, and why.
NO_FIGURE = {"converter": "there is nothing to draw: the tables of its page say all that it knows"}


def conversions(count):
    """Yield settings of the converter, each named in the order in which controls show others."""
    random, knobs = Random(0), [*KNOBS]
    for _ in range(count):
        source = random.choice(knobs)
        kind = KNOBS[source].penalty, KNOBS[source].beside
        kin = [name for name, knob in KNOBS.items() if (knob.penalty, knob.beside) == kind]
        yield {
            "source": source,
            "target": random.choice(kin if random.random() < 0.9 else knobs),
            "value": random.choice([0.0, 3e-5, 0.1, 0.5, 7.0]),
            "decay_bias": random.choice([None, False, True]),
            "loss": random.choice([*LOSSES[:3], *9 * [None]]),
            "n_outputs": random.choice([1, 1, 2, 3]),
            "n_samples": random.choice([80.0, 500.0, 1000.0, None]),
            "batch_size": random.choice([8.0, 32.0, None]),
            "lr": random.choice([0.01, 1e-5, 0.3, None]),
            "momentum": random.choice([0.0, 0.9]),
            "dampening": random.choice([0.0, 0.5]),
            "l1_ratio": random.choice([0.25, 0.5, 1.0, None]),
            "target_std": random.choice([0.4, 2.5, None]),
        }


def refused(told):
    try:
        convert(**told)
    except ValueError:
        return True
    return False


DESCENT = {
    "loss": "MSELoss",
    "condition_number": 100,
    "lr": 0.1,
    "momentum": 0,
    "dampening": 0,
    "nesterov": False,
    "weight_decay": 0,
    "n_steps": 100,
    "bare": False,
}
MOVES = {
    "boundary": [
        {"weight_decay": decay, "penalty": penalty, "decay_bias": bias, "n_steps": steps}
        for decay in (0.001, 0.005, 0.02, 0.08)
        for penalty in ("L2", "L1")
        for bias in (True, False)
        for steps in (1, 10, 100, 300)
    ],
    "clock": [
        {
            "optimizer": optimizer,
            "schedule": schedule,
            "lr": lr,
            "weight_decay": decay,
            "batch_size": rows,
            "n_epochs": epochs,
            "k": k,
            "lr_times": lr_times,
            "weight_decay_times": decay_times,
        }
        for schedule, rows, epochs in (
            ("constant", 16, 5),
            ("cosine", 32, 8),
            ("linear", 64, 20),
            ("warm-up, cosine", 8, 2),
        )
        for optimizer, lr, decay, k, lr_times, decay_times in (
            ("SGD", 0.02, 0.1, 8, "k", "1"),
            ("SGD", 0.1, 0.05, 4, "k", "k"),
            ("SGD", 0.5, 0.012, 64, "sqrt k", "sqrt k"),
            ("SGD", 0.6, 1, 4, "k", "1"),
            ("SGD", 1e-5, 0.0005, 16, "1", "k"),
            ("AdamW", 0.001, 0.01, 8, "1", "1"),
            ("AdamW", 0.02, 0.1, 8, "1", "k"),
            ("AdamW", 0.03, 0.2, 16, "sqrt k", "sqrt k"),
            ("AdamW", 0.8, 1, 2, "sqrt k", "1"),
            ("AdamW", 0.1, 0, 4, "k", "k"),
            ("without lr", 0.5, 0.003, 4, "k", "1"),
            ("without lr", 0.02, 0.0005, 32, "1", "k"),
            ("without lr", 0.001, 1, 2, "1", "k"),
        )
    ],
    "landscape": [
        DESCENT | {"loss": loss, "weight_decay": decay} | rule
        for rule in (
            {"lr": 0.1, "momentum": 0.9, "nesterov": True, "n_steps": 1000},
            {"momentum": 0.9, "dampening": 0.8, "n_steps": 1},
            {"lr": 0.01},
        )
        for loss in ("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss")
        for decay in (0, 0.5, 10)
    ]
    + [
        DESCENT | {"loss": "valley", "condition_number": kappa, "bare": kappa == 1} | rule
        for rule in (
            {"lr": 0.03, "momentum": 0.67, "n_steps": 40},
            {"lr": 10, "momentum": 0.99, "weight_decay": 10, "dampening": 0.9, "n_steps": 8},
            {"lr": 0.001, "momentum": 0.5, "weight_decay": 0.01, "n_steps": 200},
        )
        for kappa in (1, 100, 1000)
    ]
    + [
        DESCENT | {"lr": 1, "n_steps": 1000},
        DESCENT | {"lr": 0.8, "momentum": 0.2, "weight_decay": 0.5, "nesterov": True, "n_steps": 10},
        DESCENT | {"momentum": 0.2, "nesterov": True, "dampening": 0.1},
        DESCENT | {"nesterov": True},
        DESCENT | {"loss": "valley", "lr": 0.02},  # the limit
        DESCENT | {"loss": "HuberLoss", "lr": 10, "momentum": 0.5, "weight_decay": 0.1, "n_steps": 6},
        DESCENT | {"loss": "L1Loss", "lr": 10, "weight_decay": 10, "n_steps": 20},
    ],
    "step": [
        {
            "left": left,
            "right": right,
            "gradient": gradient,
            "gradient_scale": scale,
            "weight_decay": decay,
            "lr": lr,
            "momentum": momentum,
            "n_steps": steps,
            "change_at": change,
            "later_weight_decay": later,
        }
        for left, right in (
            ("SGD", "penalty"),
            ("SGD", "SGDW"),
            ("SGDW", "SGDW without lr"),
            ("L1 subgradient", "L1 proximal"),
            ("Adam", "AdamW"),
            ("tilt", "tilt"),
        )
        for gradient, scale, decay, lr, momentum, steps, change, later in (
            ("zero", 1, 0.1, 0.1, 0, 1, 0, 0),
            ("zero", 1, 2.5, 1, 0, 100, 0, 0),
            ("zero", 1, 1, 0.5, 0, 30, 0, 0),
            ("alternating", 1000, 1, 0.01, 0.5, 100, 0, 0),
            ("alternating", 0.001, 0.3, 0.02, 0.9, 100, 50, 3),
            ("quadratic", 1, 1, 0.1, 0, 200, 0, 0),
            ("quadratic", 1000, 0.1, 0.1, 0.95, 100, 0, 0),
            ("quadratic", 1, 0.5, 0.05, 0.9, 200, 50, 0),
            ("constant", 100, 0, 0.001, 0.99, 60, 10, 0.0001),
        )
    ],
    "overfitting": [
        {"weight_decay": decay, "degree": degree, "n_samples": n_samples, "noise": noise, "seed": seed}
        for degree, n_samples, noise, seed in (
            (12, 15, 0.3, 5),
            (12, 10, 0.3, 1),
            (15, 16, 0.3, 3),  # hardly to be told from a singular system
            (15, 3, 0.5, 20),
            (1, 3, 0, 2),
            (3, 1000, 1, 7),
            (15, 1000, 0.05, 13),
            (9, 100, 0, 8),
            (5, 30, 0.65, 11),
        )
        for decay in (0, 1e-6, 1e-4, 0.1, 0.5, 10)
    ],
    "converter": [*conversions(65), [*conversions(157)][-1]],
}


# V8 has a time limit only where no event loop runs, and a browser runs one in the tests' own thread.
WORKER = ThreadPoolExecutor(max_workers=1)
OPEN = []


class Script:
    """The functions of a lab and of what the labs share."""

    def __init__(self, name=None):
        self.name, self.context = name, WORKER.submit(MiniRacer).result()
        OPEN.append(self.context)
        self._eval(source("rules") + source("kit") + HARNESS)
        if name:
            self._eval(source(name))

    def _eval(self, code, **limits):
        return WORKER.submit(self.context.eval, code, timeout_sec=SECONDS, **limits).result()

    def ask(self, code, **limits):
        """Return the answer as text, which the tools compare."""
        return self._eval(f"JSON.stringify({code})", **limits)

    def __call__(self, expression, **values):
        """Return the value of an expression of JavaScript in which these values have names."""
        names = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
        return json.loads(self.ask(f"(() => {{ {names} return {expression}; }})()"))

    def run(self, lab):
        """Return all that the work of a lab finds at its setting."""
        return self("finished(lab.run(settings, data))", settings=lab.settings, data=lab.data)

    def facts(self, lab):
        """Return what the lab tells at its setting, as a dict of texts."""
        facts = "formOf(lab, data).facts(settings, lab.run && finished(lab.run(settings, data)), data)"
        return {what: text for what, text, *_ in self(facts, settings=lab.settings, data=lab.data)}


def source(name):
    return (FOLDER / f"{name}.js").read_text(encoding="utf-8")


script = cache(Script)


def close_all():
    """Close all scripts, in the thread that has opened them: when another does, the process breaks down."""
    script.cache_clear()
    while OPEN:
        WORKER.submit(OPEN.pop().close).result()


threading._register_atexit(close_all)  # atexit itself comes when that thread has ended


close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)


def moved(make):
    """Yield a lab at each setting that its controls are moved to."""
    first = make()
    for setting in MOVES[first.name]:
        yield Lab(first.name, first.settings | setting, first.data)


def counted(number):
    """Return a count as the labs write it."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
