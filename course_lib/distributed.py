"""The same training on several processes, as torch does it."""

from __future__ import annotations

import copy
import os
import pickle
import socket
import tempfile
from datetime import timedelta
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.multiprocessing.spawn import spawn

from course_lib import _arguments
from course_lib._arguments import Array, Loss

__all__ = ["data_parallel"]


def data_parallel(
    model: nn.Module,
    X: Array,
    y: Array,
    *,
    lr: float,
    n_steps: int,
    weight_decay: float = 0.0,
    n_processes: int = 2,
    loss_fn: Loss = F.binary_cross_entropy,
) -> nn.Module:
    r"""Train copies of a model with SGD in several processes, each on its share of the rows.

    It is torch's own machinery: a process group (gloo) on this machine and DistributedDataParallel, which
    averages the gradients of the processes before every step. Process r takes the r-th of `n_processes`
    consecutive shares of the rows, all of them at every step. In a script, call it under
    ``if __name__ == "__main__":``, as each process imports the script anew.

    Parameters
    ----------
    model : nn.Module
        Its state is where every process starts. It is not modified.
    X : Tensor or array of shape (n_samples, n_features)
    y : Tensor or array of shape (n_samples,) or (n_samples, n_targets)
        X and y are taken as `course_lib.training.train` takes them.
    lr : float
        :math:`\eta > 0`.
    n_steps : int
    weight_decay : float, default=0.0
        :math:`\lambda \ge 0` of torch.optim.SGD in every process: a penalty with a 1/2, multiplied by lr
        in the step, bias included.
    n_processes : int, default=2
        At most one a row.
    loss_fn : callable, default=F.binary_cross_entropy
        ``loss_fn(prediction, target)`` of a share returns a scalar. It has to be a function that another
        process can import.

    Returns
    -------
    nn.Module
        A copy of `model` with the parameters that every process holds after the last step.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range, `loss_fn` cannot be sent to another process or fails there,
        or the parameters stop being finite.

    References
    ----------
    torch.nn.parallel.DistributedDataParallel, documentation.

    Examples
    --------
    >>> from course_lib.data import two_points
    >>> from course_lib.models import Perceptron
    >>> from course_lib.distributed import data_parallel
    >>> trained = data_parallel(Perceptron(), *two_points(), lr=1.0, n_steps=101)
    >>> [round(w, 3) for w in trained.linear.weight[0].tolist()]
    [3.26, -0.427]
    """
    _arguments.module("model", model)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"model must have a trainable parameter, got none in {model!r}")
    X, y = _arguments.rows(X, y, _arguments.dtype_of(model))
    lr = _arguments.number("lr", lr, strict=True)
    weight_decay = _arguments.number("weight_decay", weight_decay)
    n_steps = _arguments.count("n_steps", n_steps)
    n_processes = _arguments.count("n_processes", n_processes)
    if n_processes > len(X):
        raise ValueError(f"n_processes must be at most one a row, {len(X)}, got {n_processes} for this X")
    _arguments.function("loss_fn", loss_fn)
    try:
        pickle.dumps(loss_fn)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"loss_fn must be importable by another process, got {loss_fn!r}") from error
    with tempfile.TemporaryDirectory() as folder:
        # By file, because tensors handed to a process as arguments would be one memory shared by all.
        torch.save((model, X.detach(), y.detach()), Path(folder) / "start.pt")
        arguments = (n_processes, folder, lr, weight_decay, n_steps, loss_fn)
        with _arguments.within("loss_fn(model(X), y) in a process"):
            spawn(_process, arguments, nprocs=n_processes)
        trained = copy.deepcopy(model)
        trained.load_state_dict(torch.load(Path(folder) / "end.pt"))
    if not all(torch.isfinite(parameter).all() for parameter in trained.parameters()):
        reason = f"lr = {lr:g} lets the parameters grow without bound"
        raise ValueError(
            f"{reason}; a smaller one may help, unless model, X, y, loss_fn or weight_decay is at fault"
        )
    return trained


def _process(
    rank: int,
    n_processes: int,
    folder: str,
    lr: float,
    weight_decay: float,
    n_steps: int,
    loss_fn: Loss,
) -> None:
    torch.set_num_threads(1)
    model, X, y = torch.load(Path(folder) / "start.pt", weights_only=False)
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=n_processes,
        timeout=timedelta(seconds=60),
    )
    replica = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(replica.parameters(), lr=lr, weight_decay=weight_decay)
    X, y = X.tensor_split(n_processes)[rank], y.tensor_split(n_processes)[rank]
    for _ in range(n_steps):
        optimizer.zero_grad()
        prediction = replica(X)
        loss_fn(prediction, _arguments.targets(loss_fn, prediction, y)).backward()
        optimizer.step()
    if rank == 0:
        torch.save(model.state_dict(), Path(folder) / "end.pt")
    del replica  # before its group: as the last to know the group, it can wait forever for its threads
    torch.distributed.destroy_process_group()
