"""Parameter groups: which parameters of a model are decayed, and why."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from course_lib import _arguments

__all__ = ["Reason", "decay_groups", "decay_reasons"]


def decay_groups(
    module: nn.Module,
    weight_decay: float,
    *,
    decays: Callable[[str, nn.Parameter], bool | None] | None = None,
) -> list[dict[str, Any]]:
    r"""Split a module's parameters into a group that is decayed and one that is not.

    By default weights are decayed (matrices, kernels, embeddings); biases, the gains of normalization
    layers, positions, tokens, scales and other vectors are not. `decay_reasons` has the whole rule, and
    says of each parameter which part of it decided.

    Parameters
    ----------
    module : nn.Module
        Its trainable parameters are split; frozen ones are left out, shared ones appear once.
    weight_decay : float
        :math:`\lambda \ge 0`, handed to the optimizer as it is: torch.optim.SGD then minimizes
        :math:`J = \text{loss} + \tfrac{\lambda}{2}\|w\|^2` with the bias free (there is a 1/2; the
        step multiplies by lr).
    decays : callable, optional
        ``decays(name, parameter)`` returns True or False for a parameter that is to be decayed or not,
        and None for all others: these are judged as by default.

    Returns
    -------
    list of dict
        Parameter groups for any torch optimizer: first the decayed, then the free. A group without
        parameters is left out.

    Raises
    ------
    TypeError
        If `module` is not an ``nn.Module``, `weight_decay` not a number or `decays` not callable, or
        it answers neither True nor False nor None.
    ValueError
        If `weight_decay` is negative or not finite, `module` has no trainable parameter, or one of which
        cannot be said what it is: a lazy one before the first forward pass, or one that was flattened.

    References
    ----------
    torch.optim documentation, "Per-parameter options".

    Examples
    --------
    >>> import torch
    >>> from course_lib.groups import decay_groups
    >>> groups = decay_groups(torch.nn.Linear(2, 1), weight_decay=0.2)
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.2), (1, 0.0)]
    >>> optimizer = torch.optim.SGD(groups, lr=1.0)
    """
    weight_decay = _arguments.number("weight_decay", weight_decay)
    judged = _judged(module, decays)
    decayed = [parameter for _, parameter, reason in judged if reason.decays]
    free = [parameter for _, parameter, reason in judged if not reason.decays]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


@dataclass(frozen=True)
class Reason:
    """What `decay_reasons` says about one parameter.

    Attributes
    ----------
    decays : bool
        Whether it is decayed.
    why : str
        The part of the rule that decided.
    basis : {"choice", "mark", "argument", "convention"}
        What that rests on: the caller's `decays`; a mark of the model's author; an argument, where this
        book shows that the other answer is wrong; or only a convention of the field.
    """

    decays: bool
    why: str
    basis: Literal["choice", "mark", "argument", "convention"]


def decay_reasons(
    module: nn.Module, *, decays: Callable[[str, nn.Parameter], bool | None] | None = None
) -> dict[str, Reason]:
    r"""Say of each trainable parameter whether it is decayed, and why.

    The first of these that applies decides. Only step 4 is an argument; steps 3 and 5 to 10 are what the
    field does, with somebody who does it.

    1. What `decays` answers.
    2. Free is what the model's author marked: a parameter whose ``_no_weight_decay`` is true (Mamba), or
       whose name, as seen from some module around it, is in that module's ``no_weight_decay()`` (timm; a
       ``*`` stands for anything).
    3. Free is what makes biases of positions: something with "position" (or "attention") and "bias" in
       the same part of its name, and Swin V2's "cpb" (Swin, LeViT).
    4. Free is any other bias. Argument: it has to hold an offset.
    5. Decayed is the weight of a linear, convolutional, recurrent or attention layer of torch, whatever
       its shape, and what a parametrization holds in its place. (The lengths of a ``weight_norm`` are no
       gains: their squares sum to that of the weight.)
    6. Free is what a normalization owns, that is a class whose name, or that of a class it derives from,
       ends in "Norm" (BERT). A gain that is free can undo the decay of the weight behind it.
    7. Free is what is called a position (timm's vision transformers).
    8. Decayed is any other embedding of torch.
    9. Free is what is called a token (timm), a scale, shift, gain or temperature (Swin V2, XCiT), the
       logarithm ``A_log`` or another rate of a recurrence, and ``D`` beside it (Mamba, RWKV).
    10. Free is a vector: at most one of its dimensions is longer than 1 (RWKV). All else is decayed.

    A parameter with several owners is free if one of them leaves it free.

    Parameters
    ----------
    module : nn.Module
        Frozen parameters are left out, shared ones appear once.
    decays : callable, optional
        ``decays(name, parameter)`` returns True or False, or None for "as by default".

    Returns
    -------
    dict of Reason
        By name, in the order of ``module.named_parameters()``: ``decays``, ``why`` and ``basis``.

    Raises
    ------
    TypeError
        If `module` is not an ``nn.Module``, `decays` not callable, or it or ``no_weight_decay()``
        answers something else.
    ValueError
        If `module` has no trainable parameter, was scripted, or has a lazy parameter without a shape yet or
        one that was flattened (by FullyShardedDataParallel) and that only step 10 could have judged.

    References
    ----------
    The precedents are ``no_weight_decay`` in huggingface/pytorch-image-models, ``_no_weight_decay`` in
    state-spaces/mamba, ``no_weight_decay_keywords`` in microsoft/Swin-Transformer,
    ``exclude_from_weight_decay`` in google-research/bert, ``configure_optimizers`` in BlinkDL/RWKV-LM.

    Examples
    --------
    >>> from torch import nn
    >>> from course_lib.groups import decay_reasons
    >>> model = nn.Sequential(nn.Embedding(9, 4), nn.LayerNorm([3, 4]), nn.Linear(4, 1))
    >>> for name, reason in decay_reasons(model).items():
    ...     print(f"{name}: {reason.decays}, {reason.why} ({reason.basis})")
    0.weight: True, rows of Embedding (convention)
    1.weight: False, gain of a normalization (convention)
    1.bias: False, bias: has to hold an offset (argument)
    2.weight: True, weight of Linear (convention)
    2.bias: False, bias: has to hold an offset (argument)
    >>> decay_reasons(model, decays=lambda name, parameter: False if name == "0.weight" else None)["0.weight"]
    Reason(decays=False, why='answer of decays', basis='choice')
    """
    return {name: reason for name, _, reason in _judged(module, decays)}


_TABLES = nn.Embedding, nn.EmbeddingBag
_LAYERS = (
    *(nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd),
    *(nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention),
)
_WEIGHT = r"(in_proj_|[qkv]_proj_)?weight(_[ih][hr](_l\d+(_reverse)?)?)?(_orig|_g|_v)?"
_NORMALIZATION = r"(?i)norm(\dd|act|gated|fp\d+|s\d\w?)*$"
_BIAS = {"bias", "biases"}
_POSITION = {"pos", "posemb", "position", "positional", "positions", "wpe"}
_FREE = {
    "token": {"token", "tokens"},
    "scale, shift or temperature": {"gain", "gamma", "scale", "scaling", "shift", "temperature"},
    "rate of a recurrence": {"log", "logs", "time"},
}
_MATRIX = {"emb", "embed", "embedding", "embeddings", "kernel", "proj", "projection", "weight"}
_BEFORE = "make the groups before FSDP wraps it, with use_orig_params=True"


def _default(name: str, owner: nn.Module, attribute: str, shape: torch.Size, flattened: bool) -> Reason:
    """Return what steps 3 to 10 of the rule say."""
    classes = [each.__name__ for each in type(owner).__mro__]
    around = [_words(part) for part in _bare(name).split(".") if not part.isdigit()][-3:]
    own = around[-1] if around else set()
    if any("cpb" in words or (words & _BIAS and words & (_POSITION | {"attention"})) for words in around):
        return Reason(False, "makes biases of positions", "convention")
    if own & _BIAS:
        return Reason(False, "bias: has to hold an offset", "argument")
    if _is_weight(owner, attribute, _LAYERS):
        return Reason(True, f"weight of {classes[0]}", "convention")
    if any(re.search(_NORMALIZATION, each) for each in classes):
        return Reason(False, "gain of a normalization", "convention")
    if _POSITION & _words(classes[0]).union(*around):
        return Reason(False, "position", "convention")
    if _is_weight(owner, attribute, _TABLES):
        return Reason(True, f"rows of {classes[0]}", "convention")
    for why, words in _FREE.items():
        if own & words and not own & _MATRIX:
            return Reason(False, why, "convention")
    if attribute == "D" and hasattr(owner, "A_log"):
        return Reason(False, "skip of a state-space model", "convention")
    if flattened:
        raise ValueError(f"module was flattened, and {name!r} does not show its shape any more: {_BEFORE}")
    if sum(size > 1 for size in shape) <= 1:
        return Reason(False, "vector: one dimension at most is longer than 1", "convention")
    return Reason(True, "matrix: two dimensions or more are longer than 1", "convention")


def _words(name: str) -> set[str]:
    """Return the words of a name, be it my_name or MyName."""
    return {word.lower() for word in re.findall("[A-Z]?[a-z]+", name)}


def _is_weight(owner: nn.Module, attribute: str, layers: tuple[type[nn.Module], ...]) -> bool:
    return isinstance(owner, layers) and re.fullmatch(_WEIGHT, attribute) is not None


def _judged(
    module: nn.Module, decays: Callable[[str, nn.Parameter], bool | None] | None
) -> list[tuple[str, nn.Parameter, Reason]]:
    """Return every trainable parameter with its name and what is to be said about it."""
    _arguments.module("module", module)
    choice = (lambda *_: None) if decays is None else _arguments.function("decays", decays)
    _check_shapes(module)
    trainable = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    if not trainable:
        raise ValueError(f"module must have a trainable parameter, got none in {module!r}")
    homes, marks = _homes(module), _marks(module)
    flattened = any(
        _is_weight(owner, attribute, _LAYERS + _TABLES) and parameter.ndim == 1
        for owner in module.modules()
        for attribute, parameter in owner.named_parameters(recurse=False)
    )

    def judge(name: str, parameter: nn.Parameter) -> Reason:
        with _arguments.within("decays"):
            answer = choice(name, parameter)
            if answer is not None:
                answer = _arguments.flag(f"the answer for {name!r}, unless None,", answer)
                return Reason(answer, "answer of decays", "choice")
        if parameter in marks:
            return Reason(False, marks[parameter], "mark")
        reasons = [_default(*home, parameter.shape, flattened) for home in homes[parameter]]
        return min(reasons, key=lambda reason: reason.decays)

    return [(name, parameter, judge(name, parameter)) for name, parameter in trainable]


def _check_shapes(module: nn.Module) -> None:
    """Raise where neither owner nor shape of a parameter says what it is."""
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise ValueError("module was scripted, which hides its classes: make the groups before")
    for name, parameter in module.named_parameters():
        if is_lazy(parameter):
            raise ValueError(f"module has no shape for {name!r} yet: run a forward pass first")
        if getattr(parameter, "_is_flat_param", False):  # torch.distributed.fsdp.FlatParameter
            raise ValueError(f"module was flattened, many parameters into {name!r}: {_BEFORE}")


def _homes(module: nn.Module) -> dict[nn.Parameter, list[tuple[str, nn.Module, str]]]:
    """Return where each parameter lives: its full name, its owner, and its name there.

    What a parametrization holds lives where the weight does that it makes.
    """
    homes: dict[nn.Parameter, list[tuple[str, nn.Module, str]]] = {}
    for path, owner in module.named_modules():
        for attribute, parameter in owner.named_parameters(recurse=False, remove_duplicate=False):
            home = f"{path}.{attribute}".lstrip("."), owner, attribute
            if isinstance(owner, ParametrizationList):
                outer, _, made = f".{path}".rpartition(".parametrizations.")
                home = f"{outer}.{made}".lstrip("."), module.get_submodule(outer.lstrip(".")), made
            homes.setdefault(parameter, []).append(home)
    return homes


def _marks(module: nn.Module) -> dict[nn.Parameter, str]:
    """Return the parameters that their author marked as free, and how."""
    marks = {p: "_no_weight_decay" for p in module.parameters() if getattr(p, "_no_weight_decay", False)}
    for part in module.modules():
        mark = f"no_weight_decay() of {type(part).__name__}"
        with _arguments.within(f"module: {mark}"):
            names = getattr(part, "no_weight_decay", ())
            names = names() if callable(names) else names
            for pattern in [names] if isinstance(names, str) else names:
                for name, parameter in part.named_parameters(remove_duplicate=False):
                    if fnmatchcase(_bare(name), pattern):
                        marks[parameter] = mark
    return marks


def _bare(name: str) -> str:
    """Return a name without the wrappers in it."""
    return re.sub(r"_(fsdp_wrapped_module|checkpoint_wrapped_module|orig_mod)\.", "", name)
