"""Behind `report`: what a model shows when it runs, without a change to it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from course_lib import _arguments
from course_lib._probe import same_random_numbers


def scale_invariant(model: nn.Module, inputs: Any) -> set[str]:
    """Return the weights whose size the output does not show: twice the weight, and it stays the same.

    That the output depends on the weight at all is seen by another change, of every other number.
    """
    if any(tensor.is_meta for tensor in model.parameters()):
        raise ValueError("inputs need a model with values, and it has parameters on the meta device")
    args, kwargs = ((), dict(inputs)) if isinstance(inputs, dict) else (inputs, {})
    args = args if isinstance(args, tuple) else (args,)
    buffers = dict(model.named_buffers())
    seen = []

    def outputs(name: str, weight: torch.Tensor) -> torch.Tensor:
        state = {name: weight} | {key: buffer.clone() for key, buffer in buffers.items()}
        with same_random_numbers(), _arguments.within("inputs: model(inputs)"):
            result = torch.func.functional_call(model, state, args, kwargs)
        found = [part.double().reshape(-1) for part in _tensors(result) if part.is_floating_point()]
        if not found:
            raise ValueError(f"inputs must give an output with floating numbers, got {type(result).__name__}")
        return torch.cat(found)

    with torch.no_grad(), _measuring(model):
        for name, weight in model.named_parameters():
            if weight.ndim < 2 or not weight.is_floating_point():
                continue
            draws = torch.rand(weight.shape, generator=torch.Generator("cpu").manual_seed(0), device="cpu")
            before = outputs(name, weight)
            doubled, changed = outputs(name, 2 * weight), outputs(name, weight * (1 + draws.to(weight)))
            if (doubled - before).norm() < 0.01 * (changed - before).norm():
                seen.append(name)
    return set(seen)


def penalty_in(model: nn.Module, loss: Callable[[], torch.Tensor]) -> dict[str, tuple[float, float]]:
    """Return what a penalty in a loss adds to the gradients: how many times the weight, and its sign.

    The output of the model is cut from its parameters, so that what still reaches them is a penalty.
    """
    if any(tensor.is_meta for tensor in model.parameters()):
        raise ValueError("loss needs a model with values, and it has parameters on the meta device")
    trainable = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if not trainable:
        return {}
    called = []

    def cut(module: nn.Module, args: Any, output: Any) -> Any:
        called.append(module)
        return _detached(output)

    with _untouched(model), torch.enable_grad(), same_random_numbers():
        hook = model.register_forward_hook(cut)
        try:
            with _arguments.within("loss: loss()"):
                total = loss()
                if not isinstance(total, torch.Tensor) or total.numel() != 1:
                    got = getattr(total, "shape", total)
                    raise TypeError(f"must return a tensor with one number, got {got!r}")
                if not called:
                    raise ValueError("must call the model, and it does not")
                weights = list(trainable.values())
                gradients = torch.autograd.grad(total.reshape(()), weights, allow_unused=True)
        finally:
            hook.remove()
    pairs = zip(trainable.items(), gradients, strict=True)
    return {name: _pull(weight.detach(), g) for (name, weight), g in pairs if g is not None}


def _pull(weight: torch.Tensor, gradient: torch.Tensor) -> tuple[float, float]:
    """Return c and d where a gradient is c times the weight plus d times its sign, or zeros."""
    tolerance = torch.finfo(gradient.dtype).eps ** 0.5
    columns, g = (
        torch.stack([weight, weight.sign()], -1).double().reshape(-1, 2),
        gradient.double().reshape(-1),
    )
    for used in ([True, False], [False, True], [True, True]):
        mask = torch.tensor(used, device=g.device)
        found = torch.linalg.lstsq(columns[:, mask], g[:, None]).solution.flatten()
        if (found > 0).all() and (columns[:, mask] @ found - g).norm() <= tolerance * g.norm():
            both = torch.zeros(2, dtype=torch.float64, device=g.device).masked_scatter(mask, found)
            return float(both[0]), float(both[1])
    return 0.0, 0.0


def _detached(value: Any) -> Any:
    """Return an output that no gradient passes."""
    if isinstance(value, torch.Tensor):
        return value.detach().requires_grad_(value.requires_grad)
    if isinstance(value, MutableMapping):
        found = copy.copy(value)
        for key, part in value.items():
            found[key] = _detached(part)
        return found
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_detached, value))
    if isinstance(value, list | tuple):
        return type(value)(map(_detached, value))
    if is_dataclass(value) and not isinstance(value, type):
        found = copy.copy(value)
        for field in fields(value):
            object.__setattr__(found, field.name, _detached(getattr(value, field.name)))
        return found
    return value


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Let a model compute as when it is measured, with gradients and buffers that nobody needs."""
    gradients = [(weight, weight.grad) for weight in model.parameters()]
    buffers = [(module, dict(module._buffers)) for module in model.modules()]
    try:
        for weight, _ in gradients:
            weight.grad = None
        for module, own in buffers:
            module._buffers.update({name: None if b is None else b.clone() for name, b in own.items()})
        with _measuring(model):
            yield
    finally:
        for weight, gradient in gradients:
            weight.grad = gradient
        for module, own in buffers:
            module._buffers.update(own)


@contextmanager
def _measuring(model: nn.Module) -> Iterator[None]:
    """Let every module compute as when it is used, but normalizations by the batch, as when they learn."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = isinstance(module, _NormBase)
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
