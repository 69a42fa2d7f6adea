"""Rules as torch optimizers: SGDW and proximal SGD."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any, Literal

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from course_lib import _arguments
from course_lib.penalties import _towards_zero

__all__ = ["SGDW", "ProximalSGD"]


class _Decaying(Optimizer):
    """A torch optimizer whose groups are checked and whose step updates one parameter at a time."""

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self._check(defaults)
        if not isinstance(params, Iterable):
            raise TypeError(f"params must be tensors, or dicts of tensors and settings, got {params!r}")
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Fill in, as torch does, what a state saved by another optimizer does not have."""
        super().__setstate__(state)
        self.defaults.pop("differentiable", None)  # a setting of torch's own optimizers, put there by it
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with settings of its own, which are checked like the others."""
        _arguments.mapping("param_group", param_group)
        self._check({**self.defaults, **param_group})
        super().add_param_group(param_group)
        for parameter in self.param_groups[-1]["params"]:
            if not (parameter.is_floating_point() or parameter.is_complex()):
                self.param_groups.pop()
                raise TypeError(f"params must be floating or complex, got {parameter.dtype}")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take one step; `closure`, if given, computes the gradients anew and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        """Move a parameter of this group by one step, in place."""

    def _check(self, group: dict[str, Any]) -> None:
        lr = group["lr"]
        _arguments.number("lr", lr.item() if isinstance(lr, torch.Tensor) and lr.numel() == 1 else lr)
        _arguments.number("weight_decay", group["weight_decay"])
        norm = group["norm"]
        if isinstance(norm, bool) or not isinstance(norm, Real) or norm not in (1, 2):
            raise ValueError(f"norm must be 1 or 2, got {norm!r}")
        _arguments.flag("maximize", group["maximize"])


class SGDW(_Decaying):
    r"""SGD with decoupled decay: shrink the parameters, then take the step of torch.optim.SGD.

    .. math:: \theta \leftarrow (1 - \eta\lambda)\,\theta, \qquad
        \theta \leftarrow \theta - \eta\,d

    where d is the gradient or, with momentum :math:`\mu` and dampening :math:`\tau`, what torch makes of
    it: :math:`v \leftarrow \mu v + (1 - \tau)\,g` (:math:`v = g` the first time) and :math:`d = v`, or
    :math:`d = g + \mu v` with Nesterov. The gradient is that of the bare loss at the parameters before
    they shrink, so momentum never sees the decay.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor), or of dict
        As in torch; every setting below can differ by group.
    lr : float or Tensor of one element, default=1e-3
        :math:`\eta \ge 0`.
    momentum : float, default=0.0
        :math:`\mu \ge 0`.
    dampening : float, default=0.0
        :math:`\tau`, at least 0.
    weight_decay : float, default=0.0
        :math:`\lambda \ge 0`, multiplied by lr unless `decay_times_lr` is False. There is no 1/2 here,
        as there is no penalty: without momentum the step is that of torch.optim.SGD with the same
        ``weight_decay``, which descends the loss plus :math:`\tfrac{\lambda}{2}\|\theta\|^2`; with
        momentum it comes to rest where that does with :math:`\lambda(1 - \mu)/(1 - \tau)`. The bias is
        decayed unless a group keeps it out.
    nesterov : bool, default=False
    norm : {2, 1}, default=2
        With 1 every parameter moves towards zero by :math:`\eta\lambda` and stops there, as in
        `course_lib.penalties.soft_threshold`: a complex one along its own direction.
    decay_times_lr : bool, default=True
        False: the factor is :math:`1 - \lambda` (or the shift :math:`\lambda`), whatever the learning
        rate.
    maximize : bool, default=False
        Ascend the objective; the decay shrinks all the same.

    Raises
    ------
    ValueError, TypeError
        If a setting is out of its range, or `nesterov` comes without momentum or with dampening.

    Notes
    -----
    The paper multiplies :math:`\lambda` by a schedule alone and not by the base learning rate
    :math:`\alpha`; with :math:`\eta_t = \alpha s_t`, its :math:`\lambda` is :math:`\alpha` times the one
    here.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from course_lib.optimizers import SGDW
    >>> w = torch.nn.Parameter(torch.tensor([1.0, -1.5]))
    >>> w.grad = torch.zeros(2)
    >>> SGDW([w], lr=0.1, weight_decay=0.1).step()
    >>> w.data
    tensor([ 0.9900, -1.4850])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        norm: Literal[1, 2] = 2,
        decay_times_lr: bool = True,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "norm": norm,
            "decay_times_lr": decay_times_lr,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        momentum = _arguments.number("momentum", group["momentum"])
        dampening = _arguments.number("dampening", group["dampening"])
        if _arguments.flag("nesterov", group["nesterov"]) and (momentum == 0 or dampening != 0):
            raise ValueError(
                f"nesterov needs momentum above 0 and no dampening, got momentum={momentum:g} "
                f"and dampening={dampening:g}"
            )
        _arguments.flag("decay_times_lr", group["decay_times_lr"])

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        lr = float(group["lr"])
        decay = float(group["weight_decay"]) * (lr if group["decay_times_lr"] else 1)
        if decay != 0:
            _shrink(parameter, decay, group["norm"])
        parameter.add_(self._direction(parameter, gradient, group), alpha=-lr)

    def _direction(
        self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]
    ) -> torch.Tensor:
        """Return what torch.optim.SGD makes of the gradient, and keep its momentum."""
        gradient = -gradient if group["maximize"] else gradient
        momentum = group["momentum"]
        if momentum == 0:
            return gradient
        state = self.state[parameter]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = gradient.detach().clone()
        else:
            state["momentum_buffer"].mul_(momentum).add_(gradient, alpha=1 - float(group["dampening"]))
        buffer = state["momentum_buffer"]
        return gradient.add(buffer, alpha=momentum) if group["nesterov"] else buffer


class ProximalSGD(_Decaying):
    r"""SGD with a proximal step: descend the loss, then shrink; the optimum's zeros are exact.

    .. math:: \theta \leftarrow \operatorname{prox}_{\eta\lambda\Omega}(\theta - \eta\,g)

    which for :math:`\Omega = \|\theta\|_1` moves every parameter towards zero by :math:`\eta\lambda` and
    stops there, and for :math:`\Omega = \tfrac12\|\theta\|^2` divides by :math:`1 + \eta\lambda`. In full
    batch, and with a small enough lr, it converges to the minimum of :math:`\text{loss} + \lambda\,\Omega`.

    Parameters
    ----------
    params : iterable of Tensor, of (str, Tensor), or of dict
        As in torch; every setting below can differ by group.
    lr : float or Tensor of one element, default=1e-3
        :math:`\eta \ge 0`.
    weight_decay : float, default=0.0
        :math:`\lambda \ge 0`: no 1/2 with norm 1, a 1/2 with norm 2; the step multiplies it by lr. The
        bias is decayed unless a group keeps it out.
    norm : {1, 2}, default=1
        With 1 a complex parameter moves along its own direction.
    maximize : bool, default=False
        Ascend the objective; the parameters shrink all the same.

    Raises
    ------
    ValueError, TypeError
        If a setting is out of its range.

    Notes
    -----
    There is no momentum that a schedule could move: torch's OneCycleLR and CyclicLR need
    ``cycle_momentum=False``.

    References
    ----------
    J. Duchi and Y. Singer, "Efficient Online and Batch Learning Using Forward Backward Splitting", JMLR
    10, 2009.

    Examples
    --------
    >>> import torch
    >>> from course_lib.optimizers import ProximalSGD
    >>> w = torch.nn.Parameter(torch.tensor([1.0, -1.5, 0.005]))
    >>> w.grad = torch.zeros(3)
    >>> ProximalSGD([w], lr=0.1, weight_decay=0.1).step()
    >>> w.data
    tensor([ 0.9900, -1.4900,  0.0000])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1e-3,
        weight_decay: float = 0.0,
        *,
        norm: Literal[1, 2] = 1,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "norm": norm, "maximize": maximize})

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        lr = float(group["lr"])
        parameter.add_(gradient, alpha=lr if group["maximize"] else -lr)
        decay = lr * float(group["weight_decay"])
        if decay == 0:
            return
        if group["norm"] == 1:
            _shrink(parameter, decay, 1)
        else:
            parameter.div_(1 + decay)


def _shrink(parameter: torch.Tensor, decay: float, norm: Literal[1, 2]) -> None:
    """Shrink in place: by a factor for norm 2, by a constant and no further than zero for norm 1."""
    if norm == 2:
        parameter.mul_(1 - decay)
    else:
        parameter.copy_(_towards_zero(parameter, decay))
