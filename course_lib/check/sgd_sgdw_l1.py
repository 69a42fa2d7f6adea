"""The exercises of *One lambda, five different steps*."""

from math import exp, log1p

import torch

from course_lib._checking import exercise

__all__ = [
    "sgdw_step",
    "sgdw_momentum_step",
    "proximal_step",
    "adam_first_step",
    "mended_step",
    "decay_at_rest",
]


def _tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def _normal(rng):
    return torch.from_numpy(rng.normal(size=rng.integers(1, 8)))


def _start(rng):
    w = _normal(rng)
    lr, decay = rng.uniform(0.05, 0.6, size=2)
    return {
        "w": w,
        "gradient": torch.from_numpy(rng.normal(size=len(w))),
        "lr": float(lr),
        "weight_decay": float(decay),
    }


IDLE = {"w": _tensor(1.0, -1.5), "gradient": _tensor(0.0, 0.0), "lr": 0.1, "weight_decay": 0.5}
PULLED = {"w": _tensor(1.0, -1.5), "gradient": _tensor(0.4, 2.0), "lr": 0.1, "weight_decay": 0.5}


@exercise(
    cases=[IDLE, PULLED],
    draw=_start,
    wrong={
        "Shrunk after the step: the step shrinks, too. Decay the weight that the step starts from.": (
            lambda w, g, lr, decay: (1 - lr * decay) * (w - lr * g)
        ),
        "Shrunk after the step, and not multiplied by lr.": lambda w, g, lr, decay: (
            (1 - decay) * (w - lr * g)
        ),
        "This is an L1 decay: every weight moves by the same amount. Here it shrinks in proportion.": (
            lambda w, g, lr, decay: w - lr * g - lr * decay * w.sign()
        ),
        "Every weight moves by lr * weight_decay in one direction, whatever its sign: that is no decay.": (
            lambda w, g, lr, decay: w - lr * g - lr * decay
        ),
        "Divided by 1 + lr * weight_decay: that is the proximal step, which shrinks after it.": (
            lambda w, g, lr, decay: (w - lr * g) / (1 + lr * decay)
        ),
        "The weights decay, and the gradient is forgotten.": lambda w, g, lr, decay: (1 - lr * decay) * w,
        "Shrunk twice, before and after the step.": (
            lambda w, g, lr, decay: (1 - lr * decay) * ((1 - lr * decay) * w - lr * g)
        ),
        "The decay is in twice: (1 - lr * weight_decay) has no square.": (
            lambda w, g, lr, decay: (1 - lr * decay) ** 2 * w - lr * g
        ),
        "The step shrinks, and the weights do not.": lambda w, g, lr, decay: w - (1 - lr * decay) * lr * g,
        "The gradient decays instead of the weights.": lambda w, g, lr, decay: w - lr * g - lr * decay * g,
        "Shrunk by a power of e: close to the step only where lr * weight_decay is small.": (
            lambda w, g, lr, decay: exp(-lr * decay) * w - lr * g
        ),
        "This is the change. Return the weights after it.": (
            lambda w, g, lr, decay: -lr * g - lr * decay * w
        ),
    },
    hints=[
        "Where no gradient is left, what becomes of the weights?",
        "They shrink by the factor 1 - lr * weight_decay. Then comes the step along the gradient.",
        "The step is lr * gradient. It is taken off the shrunk weights, and does not shrink itself.",
    ],
)
def sgdw_step(w, gradient, lr, weight_decay):
    """Return the weights after one step of SGDW."""
    return (1 - lr * weight_decay) * w - lr * gradient


def _with_momentum(rng):
    arguments = _start(rng)
    velocity = torch.from_numpy(rng.normal(size=len(arguments["w"])))
    momentum = float(rng.uniform(0.3, 0.95))
    order = ("w", "gradient", "velocity", "lr", "momentum", "weight_decay")
    arguments |= {"velocity": velocity, "momentum": momentum}
    return {name: arguments[name] for name in order}


MOVING = {
    "w": _tensor(1.0, -1.5),
    "gradient": _tensor(0.0, 0.0),
    "velocity": _tensor(1.0, 0.0),
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 0.5,
}


def _momentum_step(w, g, v, lr, mu, decay, *, coupled=False, fresh=1.0, after=False, times_lr=True):
    shrink = lr * decay if times_lr else decay
    v = mu * v + fresh * (g + coupled * decay * w)
    if after:
        return (w - lr * v) * (1 - shrink), v
    return (1 - shrink * (not coupled)) * w - lr * v, v


@exercise(
    cases=[MOVING],
    draw=_with_momentum,
    wrong={
        "This is torch's SGD: the decay is in the gradient, so the velocity remembers it. Keep it outside.": (
            lambda *a: _momentum_step(*a, coupled=True)
        ),
        "Shrunk after the step: the step shrinks, too.": lambda *a: _momentum_step(*a, after=True),
        "The gradient enters the velocity times 1 - momentum: torch has no such factor without dampening.": (
            lambda w, g, v, lr, mu, decay: _momentum_step(w, g, v, lr, mu, decay, fresh=1 - mu)
        ),
        "The weights move by the old velocity. Renew it first.": (
            lambda w, g, v, lr, mu, decay: ((1 - lr * decay) * w - lr * v, mu * v + g)
        ),
        "The weights move by the gradient alone: where is the velocity?": (
            lambda w, g, v, lr, mu, decay: ((1 - lr * decay) * w - lr * g, mu * v + g)
        ),
        "Your velocity holds the learning rate. torch's does not: lr multiplies it in the step.": (
            lambda w, g, v, lr, mu, decay: ((1 - lr * decay) * w - mu * v - lr * g, mu * v + lr * g)
        ),
        "Your velocity is the step itself, with lr and a minus in it. torch's gathers gradients alone.": (
            lambda w, g, v, lr, mu, decay: ((1 - lr * decay) * w + mu * v - lr * g, mu * v - lr * g)
        ),
        "Your velocity holds lr and the decay. torch's has no lr, and the decay stays outside.": (
            lambda w, g, v, lr, mu, decay: (
                w - mu * v - lr * (g + decay * w),
                mu * v + lr * (g + decay * w),
            )
        ),
        "This is Nesterov's step: it looks ahead once more.": (
            lambda w, g, v, lr, mu, decay: (
                (1 - lr * decay) * w - lr * (g + mu * (mu * v + g)),
                mu * v + g,
            )
        ),
        "The velocity decays instead of the weights.": (
            lambda w, g, v, lr, mu, decay: (w - lr * (mu * v + g) * (1 - lr * decay), mu * v + g)
        ),
        "First the weights, then the velocity: they are the other way round.": (
            lambda *a: _momentum_step(*a)[::-1]
        ),
        "The weights are right. Return the new velocity, not the old one.": (
            lambda w, g, v, lr, mu, decay: (_momentum_step(w, g, v, lr, mu, decay)[0], v)
        ),
    },
    hints=[
        "Two lines: the velocity first, the weights then. In which of them stands the decay?",
        "velocity = momentum * velocity + gradient, with nothing of the decay in it.",
        "Then the weights shrink by 1 - lr * weight_decay, and lr * velocity is taken off.",
    ],
)
def sgdw_momentum_step(w, gradient, velocity, lr, momentum, weight_decay):
    """Return the weights and the velocity after a step of SGDW
    with momentum, without dampening, decay times lr."""
    velocity = momentum * velocity + gradient
    return (1 - lr * weight_decay) * w - lr * velocity, velocity


def _soft(w, by):
    return w.sign() * (w.abs() - by).clamp(min=0)


@exercise(
    cases=[
        {"w": _tensor(1.0, -1.5, 0.02), "gradient": _tensor(0.0, 0.0, 0.0), "lr": 0.1, "weight_decay": 0.5},
        {"w": _tensor(0.06, 0.3), "gradient": _tensor(0.4, -1.0), "lr": 0.1, "weight_decay": 0.5},
    ],
    draw=_start,
    wrong={
        "No weight becomes zero: the threshold is missing, and small weights jump to the other side.": (
            lambda w, g, lr, decay: (w - lr * g) - lr * decay * (w - lr * g).sign()
        ),
        "This is a step along a subgradient of the penalty, which makes no zeros.": (
            lambda w, g, lr, decay: w - lr * g - lr * decay * w.sign()
        ),
        "Shrunk before the step: a weight that was zero is moved off it again.": (
            lambda w, g, lr, decay: _soft(w, lr * decay) - lr * g
        ),
        "The threshold is weight_decay. It has to be lr * weight_decay.": (
            lambda w, g, lr, decay: _soft(w - lr * g, decay)
        ),
        "Small weights become zero, the others do not shrink: that is a hard threshold.": (
            lambda w, g, lr, decay: torch.where((w - lr * g).abs() > lr * decay, w - lr * g, 0.0)
        ),
        "Weights of the other sign become zero: what is shrunk is their size.": (
            lambda w, g, lr, decay: (w - lr * g - lr * decay).clamp(min=0)
        ),
        "The sign is lost.": lambda w, g, lr, decay: ((w - lr * g).abs() - lr * decay).clamp(min=0),
        "This is the proximal step of L2: it divides. That of L1 takes off, and stops at zero.": (
            lambda w, g, lr, decay: (w - lr * g) / (1 + lr * decay)
        ),
        "This is what is cut off. Return what is left.": (
            lambda w, g, lr, decay: (w - lr * g).clip(-lr * decay, lr * decay)
        ),
        "The sign here is that of the weight before the step. The step may turn it.": (
            lambda w, g, lr, decay: w.sign() * ((w - lr * g).abs() - lr * decay).clamp(min=0)
        ),
        "The gradient is forgotten.": lambda w, g, lr, decay: _soft(w, lr * decay),
    },
    hints=[
        "Two moves: a step of SGD without any decay, then shrink what came out.",
        "Shrinking takes lr * weight_decay off the size of each weight. What if there is less than that?",
        "w.sign() * (w.abs() - threshold).clamp(min=0) stops at zero.",
    ],
)
def proximal_step(w, gradient, lr, weight_decay):
    """Return the weights after a step of SGD, then the proximal map
    of L1 with lr times weight_decay."""
    w = w - lr * gradient
    return w.sign() * (w.abs() - lr * weight_decay).clamp(min=0)


def _adam_start(rng):
    """Return gradients beside which Adam's eps is next to nothing, with the decay and without."""
    while True:
        arguments = _start(rng)
        w, gradient = arguments["w"], arguments["gradient"]
        arguments["w"] = w + w.sign()
        with_decay = gradient + arguments["weight_decay"] * arguments["w"]
        if min(gradient.abs().min(), with_decay.abs().min()) > 0.1:
            return {**arguments, "decoupled": bool(rng.integers(0, 2))}


@exercise(
    cases=[
        {**PULLED, "decoupled": True},
        {**PULLED, "decoupled": False},
    ],
    draw=_adam_start,
    wrong={
        "The two are the other way round: decoupled is AdamW.": (
            lambda w, g, lr, decay, dec: _adam(w, g, lr, decay, not dec)
        ),
        "This is AdamW in both cases. Adam's L2 is in the gradient, and is divided with it.": (
            lambda w, g, lr, decay, dec: _adam(w, g, lr, decay, True)
        ),
        "This is Adam with L2 in both cases. AdamW decays outside of the division.": (
            lambda w, g, lr, decay, dec: _adam(w, g, lr, decay, False)
        ),
        "This is SGD: the gradient is not divided by its size.": (
            lambda w, g, lr, decay, dec: w - lr * g - lr * decay * w
        ),
        "In your AdamW the decay is not multiplied by lr.": (
            lambda w, g, lr, decay, dec: _adam(w, g, lr, decay / lr if dec else decay, dec)
        ),
        "In your Adam the decay is multiplied by lr before it joins the gradient.": (
            lambda w, g, lr, decay, dec: _adam(w, g, lr, decay if dec else lr * decay, dec)
        ),
        "AdamW shrinks after the step here. It shrinks the weights that the step starts from.": (
            lambda w, g, lr, decay, dec: (
                (1 - lr * decay) * _adam(w, g, lr, 0.0, True) if dec else _adam(w, g, lr, decay, False)
            )
        ),
        "The moments are not corrected: in the first step divide them by 1 - beta.": (
            lambda w, g, lr, decay, dec: _adam(w, g, lr, decay, dec, step=0.1 / 0.001**0.5)
        ),
        "The first moment is not corrected: in the first step divide it by 1 - beta1.": (
            lambda w, g, lr, decay, dec: _adam(w, g, lr, decay, dec, step=0.1)
        ),
        "The second moment is not corrected: in the first step divide it by 1 - beta2.": (
            lambda w, g, lr, decay, dec: _adam(w, g, lr, decay, dec, step=1 / 0.001**0.5)
        ),
        "Adam's decay is twice what it should be: the gradient of its penalty is weight_decay * w.": (
            lambda w, g, lr, decay, dec: _adam(w, g, lr, decay if dec else 2 * decay, dec)
        ),
        "With decoupled, the decay is in the gradient as well: AdamW has it outside alone.": (
            lambda w, g, lr, decay, dec: _adam(w, g + dec * decay * w, lr, decay, dec)
        ),
        "It is divided by the square of the gradient: a root is missing.": (
            lambda w, g, lr, decay, dec: _adam(w, g, lr, decay, dec, power=2)
        ),
        "No decay at all.": lambda w, g, lr, decay, dec: _adam(w, g, lr, 0.0, dec),
    },
    tolerance=1e-5,
    hints=[
        "In its first step Adam's direction is the gradient divided by its size: what is left of it?",
        "The sign is left. With L2 it is the sign of gradient + weight_decay * w.",
        "AdamW takes the sign of the gradient alone, and shrinks w by 1 - lr * weight_decay.",
    ],
)
def adam_first_step(w, gradient, lr, weight_decay, decoupled):
    """Return the weights after the first step of AdamW (decoupled),
    or of Adam with L2, without eps."""
    if decoupled:
        return (1 - lr * weight_decay) * w - lr * gradient.sign()
    return w - lr * (gradient + weight_decay * w).sign()


def _adam(w, g, lr, decay, decoupled, step=1.0, power=1):
    if not decoupled:
        g = g + decay * w
    direction = step * g / g.abs() ** power
    return (1 - lr * decay * decoupled) * w - lr * direction


def _tilting(w, gradient, lr, weight_decay):
    step = gradient
    if weight_decay != 0:
        step = step + weight_decay
    return w - lr * step


@exercise(
    cases=[IDLE, PULLED],
    draw=_start,
    given=_tilting,
    wrong={
        "It still adds weight_decay itself to each weight's gradient, whatever the weight.": _tilting,
        "Now it is an L1 penalty: the sign of the weight, without its size.": (
            lambda w, g, lr, decay: w - lr * (g + decay * w.sign())
        ),
        "The size of the weight without its sign: negative weights grow.": (
            lambda w, g, lr, decay: w - lr * (g + decay * w.abs())
        ),
        "The decay multiplies the gradient. It has to multiply the weight.": (
            lambda w, g, lr, decay: w - lr * (g + decay * g)
        ),
        "It takes the decay off: weights grow.": lambda w, g, lr, decay: w - lr * (g - decay * w),
        "The square of the weight is its penalty, not the slope of it.": (
            lambda w, g, lr, decay: w - lr * (g + decay * w * w)
        ),
        "Shrunk after the step: the step shrinks, too.": lambda w, g, lr, decay: (
            (1 - lr * decay) * (w - lr * g)
        ),
        "This is the gradient with its decay. Return the weights after the step.": (
            lambda w, g, lr, decay: g + decay * w
        ),
        "The bug is gone, and the decay with it.": lambda w, g, lr, decay: w - lr * g,
        "The gradient is lost.": lambda w, g, lr, decay: w - lr * decay * w,
        "Divided by 1 + lr * weight_decay: that is the proximal step.": (
            lambda w, g, lr, decay: (w - lr * g) / (1 + lr * decay)
        ),
    },
    hints=[
        "Let the gradient be zero. Where does a weight of 0 go?",
        "A decay is in proportion to the weight. Which line should hold w, and does not?",
    ],
)
def mended_step(w, gradient, lr, weight_decay):
    """Return weights after a step of SGD with L2. Mend the bug."""
    step = gradient
    if weight_decay != 0:
        step = step + weight_decay * w
    return w - lr * step


@exercise(
    cases=[{"lr": 0.1, "weight_decay": 0.01}, {"lr": 0.5, "weight_decay": 0.4}],
    draw=lambda rng: {"lr": float(rng.uniform(0.05, 0.6)), "weight_decay": float(rng.uniform(0.02, 0.4))},
    wrong={
        "This is right where weights shrink before the step. Here what the step has added shrinks, too.": (
            lambda lr, decay: decay / lr
        ),
        "It is handed on unchanged. torch multiplies it by lr, the package does not.": lambda lr, decay: (
            decay
        ),
        "It is multiplied by lr, where it has to be divided.": lambda lr, decay: lr * decay,
        "lr stands above, where it has to stand below.": lambda lr, decay: lr * decay / (1 - decay),
        "1 - weight_decay stands above, where it has to stand below.": (
            lambda lr, decay: decay * (1 - decay) / lr
        ),
        "It is divided by 1 + weight_decay. The package multiplies by 1 - weight_decay.": (
            lambda lr, decay: decay / (lr * (1 + decay))
        ),
        "The package's factor is 1 - weight_decay. There is no lr in it.": (
            lambda lr, decay: decay / (lr * (1 - lr * decay))
        ),
        "Brackets are missing: all of 1 - weight_decay is multiplied by lr.": (
            lambda lr, decay: decay / (lr - decay)
        ),
        "It is not divided by lr.": lambda lr, decay: decay / (1 - decay),
        "Twice too much: the gradient of torch's penalty is weight_decay * w, without a 2.": (
            lambda lr, decay: 2 * decay / (lr * (1 - decay))
        ),
        "A logarithm is right for steps without end. At rest a single one has to change nothing.": (
            lambda lr, decay: -log1p(-decay) / lr
        ),
    },
    hints=[
        "At rest a step changes nothing: w is (w - lr * gradient) * (1 - weight_decay).",
        "Solve it for the gradient: it is a multiple of w.",
        "torch's SGD rests where the gradient is minus its weight_decay times w. Compare the two.",
    ],
)
def decay_at_rest(lr, weight_decay):
    """A package multiplies w by 1 - weight_decay after each step of SGD.
    Return the weight_decay with which torch's SGD rests where it does."""
    return weight_decay / (lr * (1 - weight_decay))
