"""Optimizers of other libraries that move torch's parameters, for `course_lib.probe`."""

import importlib
import inspect
from functools import cache, partial

import numpy as np
import torch

SETTINGS = {"lr": 0.01, "weight_decay": 0.1}
DECAYS = ("weight_decay", "weight_decay_rate")


class Adapter(torch.optim.Optimizer):
    """An optimizer of one group of parameters, which another library moves."""

    @property
    def group(self):
        (group,) = self.param_groups
        return group

    def arrays(self):
        return [array(parameter) for parameter in self.group["params"]]

    def slopes(self):
        return [array(parameter.grad) for parameter in self.group["params"]]

    @torch.no_grad()
    def step(self, closure=None):
        for parameter, value in zip(self.group["params"], self.moved(), strict=True):
            parameter.copy_(torch.from_numpy(value))


def array(tensor):
    return tensor.detach().numpy().copy()


@cache
def transformation(make, *settings):
    """Return what a function of optax makes of settings, once, so that it is compiled once."""
    import jax

    made = make(**dict(settings))
    return made._replace(update=jax.jit(made.update))


class Optax(Adapter):
    """What a function of optax makes of the settings that the group has in each step."""

    def __init__(self, params, make, names):
        super().__init__(params, {key: SETTINGS[key] for key in names})
        self.make, self.names = make, names
        self.inner = self.transformation().init(self.values())

    def transformation(self):
        return transformation(self.make, *((name, self.group[key]) for key, name in self.names.items()))

    def values(self):
        import jax

        return [jax.numpy.asarray(value) for value in self.arrays()]

    def moved(self):
        import optax

        moves, self.inner = self.transformation().update(self.slopes(), self.inner, self.values())
        return [np.array(value) for value in optax.apply_updates(self.values(), moves)]


class Keras(Adapter):
    """An optimizer of Keras."""

    def __init__(self, params, make):
        import keras

        super().__init__(params, dict(SETTINGS))
        if "learning_rate" not in signature(make):
            raise TypeError("wraps another optimizer")
        self.inner = make(learning_rate=SETTINGS["lr"], weight_decay=SETTINGS["weight_decay"])
        self.variables = [keras.Variable(value, dtype=str(value.dtype)) for value in self.arrays()]
        self.inner.build(self.variables)

    def moved(self):
        import keras

        self.inner.learning_rate, self.inner.weight_decay = self.group["lr"], self.group["weight_decay"]
        for variable, value in zip(self.variables, self.arrays(), strict=True):
            variable.assign(value)
        slopes = [keras.ops.convert_to_tensor(slope) for slope in self.slopes()]
        self.inner.apply(slopes, self.variables)
        return [keras.ops.convert_to_numpy(variable.value) for variable in self.variables]


def of_optax():
    """Return every function of optax and optax.contrib that makes an optimizer of a learning rate."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    public = vars(importlib.import_module("optax.contrib")) | vars(optax)
    found = {}
    for name, make in sorted(public.items()):
        module = getattr(make, "__module__", "")
        here = module == "optax._src.alias" or module.startswith("optax.contrib")
        takes_lr = inspect.isfunction(make) and "learning_rate" in signature(make)
        if here and takes_lr and not name.startswith(("_", "scale_by")):
            decays = [("weight_decay", known) for known in signature(make) if known in DECAYS]
            found[name] = partial(Optax, make=make, names=dict([("lr", "learning_rate"), *decays]))
    return found


def signature(function):
    return inspect.signature(function).parameters


def of_keras():
    """Return every optimizer of Keras."""
    import keras

    base = keras.optimizers.Optimizer
    return {
        name: partial(Keras, make=found)
        for name, found in sorted(vars(keras.optimizers).items())
        if inspect.isclass(found) and issubclass(found, base) and found is not base
    }


def of_transformers():
    """Return the Adafactor of transformers by an lr, by its own (the default), and of its Trainer."""
    from transformers.optimization import Adafactor

    by_lr = partial(Adafactor, relative_step=False, **SETTINGS)
    return {
        "Adafactor": by_lr,
        "Adafactor (relative_step)": partial(Adafactor, weight_decay=SETTINGS["weight_decay"]),
        "Adafactor (Trainer)": partial(by_lr, scale_parameter=False),
    }
