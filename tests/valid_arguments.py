"""Valid arguments of every public function, for the tests that spoil one of them."""

import math
import re

import matplotlib.pyplot as plt
import torch
from torch import nn

from course_lib.models import Perceptron
from course_lib.optimizers import SGDW
from course_lib.parity import Run
from course_lib.plotting import curves
from course_lib.training import History

NAN, INF = math.nan, math.inf
X = torch.tensor([[3.0, 2.0], [1.0, 1.0], [4.0, 1.0]], dtype=torch.float64)
Y = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
WEIGHT, BIAS = torch.tensor([0.8, 0.4], dtype=torch.float64), torch.tensor(-2.2, dtype=torch.float64)


def points():
    return {"X": X.clone(), "y": Y.clone()}


def classifier():
    return {"weight": WEIGHT.clone(), "bias": BIAS.clone()}


def training():
    model = Perceptron(dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    settings = {"n_epochs": 2, "batch_size": 2, "scheduler": None, "record": "step"}
    return {"model": model, "optimizer": optimizer, **settings, **points()}


def reported():
    model = nn.Linear(2, 1).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.0, weight_decay=0.1)
    settings = {"n_samples": 7, "batch_size": 2, "n_steps": 3, "inputs": X.clone()}
    return {"model": model, "optimizer": optimizer, "loss": lambda: model(X).square().mean(), **settings}


def history(n_epochs=5):
    parameters = {"linear.weight": torch.ones(n_epochs, 1, 2), "linear.bias": -torch.ones(n_epochs, 1)}
    return History(torch.ones(n_epochs, dtype=torch.float64), parameters)


def a_run(lr, seed):
    return {"loss": 1.0}


RECTANGLE = {"xlim": (0.0, 5.0), "ylim": (0.0, 3.0)}


def public_name(thing):
    """Return the name under which course_lib offers what may stand behind an underscore: labs.clock."""
    return re.sub(r"^course_lib\.|\b_\w+\.", "", f"{thing.__module__}.{thing.__name__}")


# Nothing to call: what a knob says is tested in test_conventions, and the settings of a run by what takes it.
DATA = {
    "conventions.KNOBS",
    "conventions.Knob",
    "metrics.Agreement",
    "parity.Run",
    "probe.Decay",
    "report.Report",
    "parity.TOLERANCE",
    "groups.Reason",
    "training.History",
    "tables.Table",
    "models.LinearModel",
    "labs.Lab",
    "networks.Networks",
    "sweeps.Row",
    "sweeps.Sweep",
    "check.hint",
}
# They check nothing, as their module says: those do that are made of them.
UNCHECKED = {"rules.adam", "rules.coupled", "rules.decoupled", "rules.proximal", "rules.sgd"}

# Arguments that each public function accepts; a test changes one of them.
VALID = {
    "conventions.convert": lambda: {
        "value": 0.4,
        "source": "sklearn.Ridge.alpha",
        "target": "torch.SGD.weight_decay",
        "loss": "squared_error",
        "decay_bias": False,
        "n_samples": 80.5,
        "n_outputs": 3,
        "batch_size": 20.0,
        "lr": 0.1,
        "momentum": 0.5,
        "dampening": 0.5,
        "l1_ratio": 0.5,
        "target_std": 2.0,
    },
    "data.curved_points": lambda: {"dtype": torch.float32, "n_samples": 4, "seed": 0},
    "data.noisy_sine": lambda: {"n_samples": 4, "noise": 0.3, "seed": 0, "dtype": torch.float64},
    "data.two_points": lambda: {"dtype": torch.float32},
    "data.separable": lambda: {"n_samples": 6, "n_features": 2, "margin": 0.5, "offset": 1.0, "seed": 0},
    "labs.step": lambda: {
        "weight_decay": 0.1,
        "lr": 0.1,
        "momentum": 0.5,
        "gradient": "quadratic",
        "gradient_scale": 2.0,
        "n_steps": 3,
        "change_at": 2,
        "later_weight_decay": 0.2,
        "left": "SGD",
        "right": "AdamW",
        "start": WEIGHT.clone(),
    },
    "geometry.angle": lambda: {"weight": WEIGHT.clone()},
    "geometry.angle_between": lambda: {"u": WEIGHT.clone(), "v": X[1].clone()},
    "data.augment": lambda: {"X": X.clone(), "constant": 1.0},
    "geometry.bisector": lambda: {"p": X[0].clone(), "q": X[1].clone()},
    "geometry.boundary_segment": lambda: {**classifier(), **RECTANGLE},
    "geometry.max_margin": points,
    "geometry.signed_distance": lambda: {"X": X.clone(), **classifier()},
    "landscape.loss_grid": lambda: {
        "model": nn.Linear(2, 1, bias=False).double(),
        "X": X.clone(),
        "y": Y[:, None].clone(),
        "xs": torch.linspace(0, 1, 3),
        "ys": torch.linspace(0, 1, 2),
        "directions": torch.eye(2),
        "origin": WEIGHT.clone(),
    },
    "landscape.descent_paths": lambda: {
        "model": nn.Linear(2, 1, bias=False).double(),
        "X": X.clone(),
        "y": Y[:, None].clone(),
        "start": WEIGHT.clone(),
        "lr": 0.01,
        "n_steps": 3,
        "momentum": torch.tensor([0.0, 0.9]),
    },
    "labs.boundary": lambda: {
        "weight_decay": 0.2,
        "penalty": "L1",
        "decay_bias": False,
        "n_steps": 3,
        "X": [[3.0, 2.0], [1.0, 1.0]],
        "small": True,
    },
    "labs.clock": lambda: {"n_samples": 200, "n_epochs": 2, "schedule": "cosine", "weight_decay_times": "k"},
    "labs.landscape": lambda: {
        "loss": "valley",
        "condition_number": 30.0,
        "lr": 0.02,
        "momentum": 0.5,
        "dampening": 0.1,
        "nesterov": False,
        "weight_decay": 0.3,
        "start": [6.0, -3.0],
        "n_steps": 3,
        "bare": True,
    },
    "landscape.filter_directions": lambda: {"model": nn.Linear(2, 1), "seed": 1},
    "metrics.compare": lambda: {"a": X.clone(), "b": X + 0.5},
    "metrics.mape": lambda: {
        "prediction": X.clone(),
        "target": X - 1,
        "percent": False,
        "zeros": "absolute",
    },
    "metrics.ulp_distance": lambda: {"a": X.clone(), "b": X + 0.5},
    "models.Perceptron": lambda: {"n_features": 2, "seed": 0, "dtype": torch.float32},
    "networks.train_networks": lambda: {
        "X": X.clone(),
        "y": torch.tensor([0, 2, 1]),
        "hidden": (2,),
        "optimizer": "AdamW",
        "lr": torch.tensor([0.1, 0.2]),
        "weight_decay": 0.1,
        "seeds": [0, 1],
        "n_steps": 3,
        "batch_size": 2,
        "schedule": "cosine",
        "momentum": 0.0,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "decay_bias": False,
        "record": [1, 3],
    },
    "optimizers.ProximalSGD": lambda: {
        "params": [nn.Parameter(X.clone())],
        "lr": 0.1,
        "weight_decay": 0.1,
        "norm": 1,
        "maximize": False,
    },
    "optimizers.SGDW": lambda: {
        "params": [nn.Parameter(X.clone())],
        "lr": 0.1,
        "momentum": 0.9,
        "dampening": 0.0,
        "weight_decay": 0.1,
        "nesterov": True,
        "norm": 2,
        "decay_times_lr": True,
        "maximize": False,
    },
    "probe.coast": lambda: {
        "make_optimizer": SGDW,
        "start": X.clone(),
        "n_steps": 2,
        "gradient": "zero",
    },
    "probe.probe": lambda: {"make_optimizer": SGDW},
    "report.decay_report": reported,
    "optimum.least_squares_optimum": lambda: {**points(), "weight_decay": 0.1, "decay_bias": True},
    "optimum.logistic_objective": lambda: {
        **points(),
        "theta": torch.ones(2, 3, dtype=torch.float64),
        "weight_decay": 0.1,
        "penalty": "l2",
    },
    "optimum.logistic_optimum": lambda: {**points(), "weight_decay": 0.1, "penalty": "l1"},
    "distributed.data_parallel": lambda: {
        "model": Perceptron(dtype=torch.float64),
        **points(),
        "lr": 0.1,
        "n_steps": 2,
        "weight_decay": 0.1,
        "n_processes": 3,
        "loss_fn": nn.functional.mse_loss,
    },
    "parity.grid": lambda: {"weight_decays": torch.tensor([0.0, 0.1])},
    "parity.parity": lambda: {"run": Run("SGD", weight_decay=0.1, batch_size=7), "n_steps": 3, "seed": 1},
    "groups.decay_groups": lambda: {"module": nn.Linear(2, 1), "weight_decay": 0.1},
    "groups.decay_reasons": lambda: {"module": nn.Linear(2, 1)},
    "penalties.l1_penalty": lambda: {"parameters": X.clone(), "weight_decay": 0.1},
    "penalties.l2_penalty": lambda: {"parameters": X.clone(), "weight_decay": 0.1},
    "penalties.soft_threshold": lambda: {"x": X.clone(), "threshold": 1.5},
    "plotting.arrows": lambda: {
        "vectors": {"a": (X[0].clone(), X[1].clone())},
        "ax": plt.figure().add_subplot(),
        "concept": "momentum",
    },
    "plotting.boundaries": lambda: {
        **points(),
        "classifiers": {"line": (WEIGHT.clone(), BIAS.clone())},
        **RECTANGLE,
        "probability": "line",
        "distances": True,
        "concept": "L2",
    },
    "plotting.contours": lambda: {
        "x": torch.tensor([0.0, 1.0, 3.0]),
        "y": torch.tensor([-1.0, 1.0]),
        "values": torch.arange(6.0).reshape(2, 3),
        "paths": {"a": X.clone()},
        "xlabel": "x",
        "ylabel": "y",
        "zlabel": "z",
        "levels": 5,
        "minimum": torch.tensor([1.0, 0.5]),
        "steps": True,
        "concept": {"a": "L2"},
    },
    "plotting.curves": lambda: {
        "series": {"a": (X[:, 0].clone(), torch.stack([Y, Y + 1.0]))},
        "references": {"r": 0.5},
        "xreferences": {"s": 2.0},
        "minima": True,
        "concept": "L1",
        "xlabel": "x",
        "ylabel": "y",
        "xscale": "linear",
        "yscale": "log",
    },
    "plotting.drift": lambda: {
        "histories": {"run": history()},
        **points(),
        "epochs": [1, 3],
        "classifiers": {"line": (WEIGHT.clone(), BIAS.clone())},
        **RECTANGLE,
        "concept": {"run": "L2"},
    },
    "plotting.fits": lambda: {
        "X": X[:, :1].clone(),
        "y": Y[:, None].clone(),
        "models": {"a": (WEIGHT[:1].clone(), BIAS.clone()), "b": torch.square},
        "concept": {"b": "L2"},
    },
    "plotting.heatmap": lambda: {
        "values": X.clone(),
        "rows": ["a", "b", "c"],
        "columns": [("d", "e"), ("d", "f")],
    },
    "plotting.level_sets": lambda: {
        "sets": {"a": (2, 1.5), "b": (math.inf, torch.tensor([0.5, 1.0]))},
        "ax": plt.figure().add_subplot(),
        "concept": "L2",
    },
    "plotting.panels": lambda: {"n_rows": 1, "height": 2.0},
    "plotting.points": lambda: {
        "positions": {"a": X[0].clone(), "b": X.clone()},
        "ax": plt.figure().add_subplot(),
        "concept": "L2",
    },
    "plotting.small_multiples": lambda: {
        "draw": curves,
        "settings": {"a": {"series": {"c": (X[:, 0].clone(), Y.clone())}}, "b": {"series": {"c": (Y, Y)}}},
        "ncols": 1,
        "height": 2.0,
        "xlabel": "x",
        "ylabel": "y",
    },
    "scratch.linear_descent": lambda: {
        "X": X.clone(),
        "Y": Y[:, None].clone(),
        "start": torch.ones(3, 1, dtype=torch.float64),
        "lr": 0.01,
        "n_epochs": 2,
        "batch_size": 2,
        "optimizer": "SGD",
        "weight_decay": 0.1,
        "decay_bias": True,
        "momentum": 0.9,
        "dampening": 0.0,
        "nesterov": True,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "reduction": "mean",
    },
    "scratch.logistic_descent": lambda: {
        **points(),
        "lr": 0.1,
        "n_steps": 3,
        "weight_decay": 0.1,
        "start": torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64),
        "record": [1, 3],
    },
    "scratch.logistic_sweep": lambda: {
        **points(),
        "weight_decays": torch.tensor([0.0, 0.1]),
        "lr": 0.1,
        "n_steps": 3,
        "decay_bias": False,
    },
    "sweeps.sweep": lambda: {
        "fit": a_run,
        "settings": {"lr": [0.1, 0.2]},
        "seeds": [0, 1],
        "file": None,
        "n_jobs": 1,
        "together": 1,
        "verify": 0,
        "progress": False,
    },
    "tables.table": lambda: {
        "formats": {"lambda": "{}", "angle": "{:.2f}"},
        "rows": [(0.1, 2.0), (0.2, 3.0)],
    },
    "training.train": training,
    "labs.overfitting": lambda: {
        "weight_decay": 0.1,
        "degree": 9,
        "n_samples": 8,
        "noise": 0.2,
        "seed": 3,
    },
    "labs.converter": lambda: VALID["conventions.convert"](),
}
