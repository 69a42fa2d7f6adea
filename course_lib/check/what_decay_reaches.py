"""The exercises of *What does decay reach in your model?*"""

import copy
from math import exp, log

import torch
from torch import nn

from course_lib._checking import DifferentError, exercise

__all__ = ["decay_for_half", "decay_of_checkpoint", "groups_with_traps", "fading_rows", "reached"]


@exercise(
    cases=[{"lr": 0.1, "n_steps": 1}, {"lr": 2e-3, "n_steps": 3000}],
    draw=lambda rng: {"lr": float(10 ** rng.uniform(-3, -0.5)), "n_steps": int(rng.integers(7, 300))},
    wrong={
        "Close: ln 2 / (n_steps * lr) is right for many small steps only.": (lambda lr, n: log(2) / (n * lr)),
        "This is what is lost in a step. Divide it by lr.": lambda lr, n: 1 - 0.5 ** (1 / n),
        "It is multiplied by lr, where it has to be divided.": lambda lr, n: (1 - 0.5 ** (1 / n)) * lr,
        "A half is spread over the steps evenly: but each takes its part of what is left.": (
            lambda lr, n: 0.5 / (n * lr)
        ),
        "This leaves 1/e, and not a half.": (lambda lr, n: (1 - exp(-1 / n)) / lr),
        "The power is n_steps. It has to be 1 / n_steps: what is left after one step.": (
            lambda lr, n: (1 - 0.5**n) / lr
        ),
        "A half ** 1 is divided by n_steps: the power binds closer than the division.": (
            lambda lr, n: (1 - 0.5 / n) / lr
        ),
        "This is 1 / (lr * n_steps), after which about 1/e is left, and not a half.": lambda lr, n: (
            1 / (lr * n)
        ),
        "This is what is left after a step. What is lost is 1 minus it.": lambda lr, n: 0.5 ** (1 / n) / lr,
        "This makes weights grow: it is 2, where 1/2 has to be.": lambda lr, n: (1 - 2 ** (1 / n)) / lr,
        "This leaves a quarter.": lambda lr, n: (1 - 0.25 ** (1 / n)) / lr,
        "One step is missing: there are n_steps of them, not n_steps - 1.": (
            lambda lr, n: (1 - 0.5 ** (1 / (n - 1))) / lr if n > 1 else 0.0
        ),
        "One step too many: there are n_steps of them, not n_steps + 1.": (
            lambda lr, n: (1 - 0.5 ** (1 / (n + 1))) / lr
        ),
    },
    hints=[
        "What is left of a weight after one step, and what after n_steps?",
        "(1 - lr * decay) ** n_steps has to be 1/2.",
        "So 1 - lr * decay is 0.5 ** (1 / n_steps).",
    ],
)
def decay_for_half(lr, n_steps):
    """Return the weight_decay with which AdamW leaves half of a weight
    whose gradient is zero, after n_steps at this learning rate."""
    return (1 - 0.5 ** (1 / n_steps)) / lr


def _checkpoints(rng):
    rows, width = int(rng.integers(3, 9)), int(rng.integers(1, 5))
    lr, n_steps = float(10 ** rng.uniform(-3, -1)), int(rng.integers(10, 400))
    decay = float(rng.uniform(0.05, 0.6)) / (lr * n_steps)
    before = torch.from_numpy(rng.normal(size=(rows, width)))
    unused = torch.tensor(rng.permutation(rows)[: int(rng.integers(1, rows - 1))] % rows)
    after = before + torch.from_numpy(rng.normal(size=(rows, width)))
    after[unused] = before[unused] * (1 - lr * decay) ** n_steps
    return {"before": before, "after": after, "unused": unused, "lr": lr, "n_steps": n_steps}


def _left(before, after):
    return float(after.norm() / before.norm())


@exercise(
    cases=[
        {
            "before": torch.tensor([[1.0, -2.0], [3.0, 1.0]]).double(),
            "after": torch.tensor([[0.81, -1.62], [9.0, 7.0]]).double(),
            "unused": torch.tensor([0]),
            "lr": 0.2,
            "n_steps": 2,
        }
    ],
    draw=_checkpoints,
    wrong={
        "All rows are read. Those with a gradient have moved by it, too: take the unused ones.": (
            lambda b, a, u, lr, n: (1 - _left(b, a) ** (1 / n)) / lr
        ),
        "The rows that were used are read. Only the others show the decay alone.": (
            lambda b, a, u, lr, n: (1 - _left(_others(b, u), _others(a, u)) ** (1 / n)) / lr
        ),
        "Close: -log(left) / (n_steps * lr) is its value for small steps.": (
            lambda b, a, u, lr, n: -log(_left(b[u], a[u])) / (n * lr)
        ),
        "What is lost is spread evenly over the steps: but each takes its part of what is left.": (
            lambda b, a, u, lr, n: (1 - _left(b[u], a[u])) / (n * lr)
        ),
        "This is lr * weight_decay. Divide it by lr.": lambda b, a, u, lr, n: (
            1 - _left(b[u], a[u]) ** (1 / n)
        ),
        "This is what all steps together have taken. How much is one?": (
            lambda b, a, u, lr, n: (1 - _left(b[u], a[u])) / lr
        ),
        "Before and after are the other way round.": (
            lambda b, a, u, lr, n: (1 - _left(a[u], b[u]) ** (1 / n)) / lr
        ),
        "This is the ratio of squares: a root is missing.": (
            lambda b, a, u, lr, n: (1 - _left(b[u], a[u]) ** (2 / n)) / lr
        ),
        "What is left ** 1 is divided by n_steps: the power binds closer than the division.": (
            lambda b, a, u, lr, n: (1 - _left(b[u], a[u]) / n) / lr
        ),
        "It is negative: what is lost in a step is 1 minus what is left.": (
            lambda b, a, u, lr, n: (_left(b[u], a[u]) ** (1 / n) - 1) / lr
        ),
        "This is the part that is left after a step. What is lost is 1 minus it.": (
            lambda b, a, u, lr, n: _left(b[u], a[u]) ** (1 / n) / lr
        ),
        "It is multiplied by lr, where it has to be divided.": (
            lambda b, a, u, lr, n: (1 - _left(b[u], a[u]) ** (1 / n)) * lr
        ),
    },
    tolerance=1e-8,
    hints=[
        "Which rows show what decay alone has done?",
        "For each of them, after / before is (1 - lr * weight_decay) ** n_steps.",
        "A quotient of norms uses all entries at once. Then take the root of order n_steps.",
    ],
)
def decay_of_checkpoint(before, after, unused, lr, n_steps):
    """Return AdamW's weight_decay, read off an embedding at two moments
    n_steps apart. The rows in unused had a gradient of zero."""
    left = after[unused].norm() / before[unused].norm()
    return (1 - left ** (1 / n_steps)) / lr


def _others(table, unused):
    kept = torch.ones(len(table), dtype=torch.bool)
    kept[unused] = False
    return table[kept]


class Trap(nn.Module):
    """A small model in which names, shapes and frozen layers mislead."""

    def __init__(self, width, n_words, rng):
        super().__init__()
        self.words = nn.Embedding(n_words, width)
        self.bias_net = nn.Linear(width, width)  # a matrix with bias in its name
        self.norm = nn.LayerNorm([2, width])  # a gain with two dimensions
        self.single = nn.Linear(1, 1)  # a weight with one entry
        self.frozen = nn.Linear(width, width).requires_grad_(False)
        self.head = nn.Linear(width, n_words, bias=False)
        self.again = self.bias_net  # the same layer under another name
        if rng.integers(0, 2):
            self.head.weight = self.words.weight  # tied: an embedding and a linear layer at once


def _model(rng):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(rng.integers(2**31)))
        model = Trap(int(rng.integers(2, 5)), int(rng.integers(3, 7)), rng).double()
    return {"model": model, "weight_decay": float(rng.uniform(0.05, 0.5))}


def _decays(result, model, weight_decay):
    """Return the decay of each trainable parameter by its name, as the groups have it."""
    if not isinstance(result, list | tuple) or not all(isinstance(group, dict) for group in result):
        raise DifferentError("Return a list of groups: dicts with 'params' and 'weight_decay'.")
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = {}
    for group in result:
        if not {"params", "weight_decay"} <= group.keys():
            raise DifferentError("Each group needs 'params' and 'weight_decay'.")
        if isinstance(group["params"], set):
            raise DifferentError("torch takes no set of parameters, which has no order: make it a list.")
        for parameter in group["params"]:
            if isinstance(parameter, tuple):  # with its name, as torch takes it, too
                parameter = parameter[-1]
            name = names.get(parameter) if isinstance(parameter, torch.Tensor) else None
            if name is None:
                raise DifferentError("A group holds what is no parameter of the model: names, or copies?")
            if name in found:
                raise DifferentError(
                    f"{name} is in the groups twice: it has two names, but is one parameter."
                )
            found[name] = group["weight_decay"]
    for parameter, name in names.items():
        if not parameter.requires_grad and name in found:
            raise DifferentError(f"{name} is frozen: leave it out of the groups.")
        if parameter.requires_grad and name not in found:
            raise DifferentError(f"{name} is in no group: it would never train.")
    return found


def _groups(decays):
    """Return the function that makes groups by a rule, decays(model, name, parameter)."""

    def groups(model, weight_decay):
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        decayed = [p for name, p in named if decays(model, name, p)]
        free = [p for name, p in named if not decays(model, name, p)]
        return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]

    return groups


def _is_linear_weight(model, name, parameter):
    return any(parameter is part.weight for part in model.modules() if isinstance(part, nn.Linear))


@exercise(
    cases=[],
    draw=_model,
    view=_decays,
    wrong={
        "All is decayed, biases and gains included.": _groups(lambda model, name, p: True),
        "Nothing is decayed.": _groups(lambda model, name, p: False),
        "You decayed by shape: this gain has two dimensions, and it is no matrix of a linear layer.": (
            _groups(lambda model, name, p: p.ndim >= 2)
        ),
        "You decayed what is not called bias: gains, the embedding. And bias_net is a layer.": (
            _groups(lambda model, name, p: "bias" not in name)
        ),
        "You decayed all but the biases: gains and embedding, too.": (
            _groups(lambda model, name, p: not name.endswith("bias"))
        ),
        "You decayed the biases of the linear layers, too.": (
            _groups(
                lambda model, name, p: any(
                    p is q
                    for part in model.modules()
                    if isinstance(part, nn.Linear)
                    for q in part.parameters()
                )
            )
        ),
        "You decayed the biases, and left the weights.": (
            _groups(lambda model, name, p: name.endswith("bias"))
        ),
        "The two groups are the other way round.": (
            _groups(lambda model, name, p: not _is_linear_weight(model, name, p))
        ),
        "The layer with one entry is a linear layer, too.": (
            _groups(lambda model, name, p: _is_linear_weight(model, name, p) and p.numel() > 1)
        ),
        "bias_net is a linear layer, whatever its name.": (
            _groups(lambda model, name, p: _is_linear_weight(model, name, p) and "bias" not in name)
        ),
        "You left the embedding free where it is the head's weight, too: tied, it is a linear layer's.": (
            _groups(lambda model, name, p: _is_linear_weight(model, name, p) and name != "words.weight")
        ),
        "You decayed the embedding as well, where it is not the head's weight.": (
            _groups(lambda model, name, p: _is_linear_weight(model, name, p) or name == "words.weight")
        ),
    },
    hints=[
        "A name and a shape may mislead. What does the layer say that owns the parameter?",
        "Collect the weights of all nn.Linear in model.modules(), and go through model.parameters() once.",
        "A tied weight has two owners: that it is a linear layer's decides. Frozen ones stay out.",
    ],
)
def groups_with_traps(model, weight_decay):
    """Return parameter groups, two or more. In them weights of linear layers,
    tied or not, decay, and the rest does not. Leave frozen ones out."""
    linear = {m.weight for m in model.modules() if isinstance(m, nn.Linear)}
    trained = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trained if p in linear]
    free = [p for p in trained if p not in linear]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]


def _words(rng):
    rows = int(rng.integers(4, 12))
    return {
        "tokens": torch.from_numpy(rng.integers(0, rows, size=(int(rng.integers(1, 4)), 3))),
        "n_words": rows,
        "lr": float(rng.uniform(0.01, 0.5)),
        "weight_decay": float(rng.uniform(0.1, 0.9)),
    }


def _fading(tokens, n_words, in_batch, absent):
    left = torch.full((n_words,), absent, dtype=torch.float64)
    left[tokens.unique()] = in_batch
    return left


@exercise(
    cases=[{"tokens": torch.tensor([[0, 2, 2]]), "n_words": 4, "lr": 0.1, "weight_decay": 0.5}],
    draw=_words,
    wrong={
        "Words that are not in the batch stay here. Their gradient is zero, not None: they fade, too.": (
            lambda t, n, lr, decay: _fading(t, n, 1 - lr * decay, 1.0)
        ),
        "Only words that are not in the batch fade here. Decay asks no gradient.": (
            lambda t, n, lr, decay: _fading(t, n, 1.0, 1 - lr * decay)
        ),
        "Nothing fades: AdamW decays whatever the gradient.": lambda t, n, lr, decay: torch.ones(n).double(),
        "weight_decay is not multiplied by lr.": (
            lambda t, n, lr, decay: _fading(t, n, 1 - decay, 1 - decay)
        ),
        "This is what is lost. Return what is left.": (
            lambda t, n, lr, decay: _fading(t, n, lr * decay, lr * decay)
        ),
        "A power of e is close, but a step multiplies by 1 - lr * weight_decay.": (
            lambda t, n, lr, decay: torch.exp(_fading(t, n, -lr * decay, -lr * decay))
        ),
        "It is divided by 1 + lr * weight_decay: AdamW multiplies.": (
            lambda t, n, lr, decay: _fading(t, n, 1 / (1 + lr * decay), 1 / (1 + lr * decay))
        ),
        "Words fade once for each time that they are in the batch: decay comes once a step.": (
            lambda t, n, lr, decay: (1 - lr * decay) ** torch.bincount(t.flatten(), minlength=n).double()
        ),
        "It grows: the sign of the decay is the other way round.": (
            lambda t, n, lr, decay: _fading(t, n, 1 + lr * decay, 1 + lr * decay)
        ),
        "The decay is shared among the words: each has all of it.": (
            lambda t, n, lr, decay: _fading(t, n, 1 - lr * decay / n, 1 - lr * decay / n)
        ),
    },
    hints=[
        "No token picks some row of nn.Embedding. What is the gradient of that row: zero, or None?",
        "Zero. And AdamW shrinks whatever has a gradient, zero or not.",
    ],
)
def fading_rows(tokens, n_words, lr, weight_decay):
    """Return which part of each word's row the decay of one step of
    AdamW leaves, if nn.Embedding (not sparse) looks up these tokens."""
    left = 1 - lr * weight_decay
    return torch.full((n_words,), left, dtype=torch.float64)


class Partly(nn.Module):
    """A small model of which a loss uses a part, and of which a part is frozen."""

    def __init__(self, width, n_words, rng):
        super().__init__()
        self.words = nn.Embedding(n_words, width)
        self.norm = nn.LayerNorm(width)
        self.unused = nn.Linear(width, width)
        self.frozen = nn.Linear(width, width).requires_grad_(False)
        self.head = nn.Linear(width, 2)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.from_numpy(rng.normal(size=parameter.shape)))

    def forward(self, tokens):
        return self.head(self.frozen(self.norm(self.words(tokens))))


def _training(rng):
    width, n_words = int(rng.integers(2, 5)), int(rng.integers(3, 7))
    model = Partly(width, n_words, rng).double()
    tokens = torch.from_numpy(rng.integers(0, n_words, size=2))
    lr, decay, other = (float(number) for number in rng.uniform(0.1, 0.6, size=3))
    kind = [torch.optim.AdamW, torch.optim.SGD][rng.integers(0, 2)]
    other *= int(rng.integers(0, 2))

    def make(model):
        matrices = [p for p in model.parameters() if p.ndim == 2]
        vectors = [p for p in model.parameters() if p.ndim != 2]
        groups = [
            {"params": matrices, "weight_decay": decay},
            {"params": vectors, "weight_decay": other},
        ]
        return kind(groups, lr=lr)

    return {"model": model, "loss": lambda model: model(tokens).square().mean(), "make": make}


def _parts(result, model, loss, make):
    if not isinstance(result, dict):
        raise DifferentError("Return a dict: of each parameter, by its name, the part that is taken off.")
    names = [name for name, _ in model.named_parameters()]
    if missing := [name for name in names if name not in result]:
        raise DifferentError(f"{missing[0]} is not in the dict: what is not reached loses a part of 0.")
    return {name: result[name] for name in names}


def _lost(before, after):
    return 1 - after.norm() / before.norm()


def _stepped(gradients, part=_lost, n_steps=1):
    """Return the function that makes steps with these gradients, and looks at what came of each parameter."""

    def answer(model, loss, make):
        before, model = dict(model.named_parameters()), copy.deepcopy(model)
        optimizer = make(model)
        gradients(model, loss)
        for _ in range(n_steps):
            optimizer.step()
        return {name: part(before[name], p).item() for name, p in model.named_parameters()}

    return answer


def _nothing(model, loss):
    (0 * loss(model)).backward()


def _zeros(model, loss, frozen=False):
    for parameter in model.parameters():
        if frozen or parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)


def _of_groups(value):
    """Return the function that reads off an optimizer's groups what it promises."""

    def answer(model, loss, make):
        groups = make(model).param_groups
        promised = {p: value(group) for group in groups for p in group["params"]}
        return {name: promised[p] for name, p in model.named_parameters()}

    return answer


@exercise(
    cases=[],
    draw=_training,
    view=_parts,
    wrong={
        "What the loss does not use has no gradient: None, and the optimizer passes by. You gave it zero.": (
            _stepped(_zeros)
        ),
        "All lose lr * weight_decay of their group here. What is frozen or unused has no gradient: None.": (
            _stepped(lambda model, loss: _zeros(model, loss, frozen=True))
        ),
        "The gradient is in it, too. Multiply the loss by 0: what still moves, decay has moved.": (
            _stepped(lambda model, loss: loss(model).backward())
        ),
        "This is what is left. Return the part that is taken off.": (
            _stepped(_nothing, lambda before, after: after.norm() / before.norm())
        ),
        "This says which are reached. Return the part that each loses.": (
            _stepped(_nothing, lambda before, after: (before != after).any().double())
        ),
        "No parameter has a gradient, so none is reached: a backward pass is missing.": (
            _stepped(lambda model, loss: None)
        ),
        "This is the weight_decay of each group, reached or not. Make a step, and look.": (
            _of_groups(lambda group: group["weight_decay"])
        ),
        "This is how far each has moved. Divide it by its length.": (
            _stepped(_nothing, lambda before, after: (after - before).norm())
        ),
        "This is what two steps take off, or what the square loses: make one, and take the length.": (
            _stepped(_nothing, n_steps=2)
        ),
        "It is negative: what is lost is before minus after.": (
            _stepped(_nothing, lambda before, after: -_lost(before, after))
        ),
        "Divided by what is left. Divide by what was there before.": (
            _stepped(_nothing, lambda before, after: before.norm() / after.norm() - 1)
        ),
    },
    hints=[
        "Where the gradient is zero, only the decay moves. How do you make it zero, and leave None alone?",
        "(0 * loss(model)).backward() does. Keep what the parameters were, and make one step.",
        "Work on copy.deepcopy(model). Each loses 1 - after.norm() / before.norm().",
    ],
)
def reached(model, loss, make):
    """Return, by its name, which part of each parameter decay takes off in
    a step of the optimizer make(model), trained by loss(model)."""
    before, model = dict(model.named_parameters()), copy.deepcopy(model)
    optimizer = make(model)
    (0 * loss(model)).backward()
    optimizer.step()
    named = model.named_parameters()
    left = {name: p.norm() / before[name].norm() for name, p in named}
    return {name: 1 - part.item() for name, part in left.items()}
