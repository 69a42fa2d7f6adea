"""The models of the book: a torch module, and a linear model as its weight and bias."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from course_lib import _arguments
from course_lib._arguments import Array

__all__ = ["LinearModel", "Perceptron"]


class Perceptron(nn.Module):
    r"""One linear unit with a sigmoid: :math:`p(x) = \sigma(w \cdot x + b)`.

    The weights start as ``nn.Linear`` draws them after ``torch.manual_seed(seed)``.

    Parameters
    ----------
    n_features : int, default=2
        Number of inputs.
    seed : int, default=0
        Seed of the initial weights; the global generator is left as it was.
    dtype : torch.dtype, default=torch.float32
        Type of the parameters. The draw itself is made in float32, so that a float64 model starts
        where the float32 model starts.

    Attributes
    ----------
    linear : nn.Linear
        ``linear.weight`` has shape (1, n_features), ``linear.bias`` shape (1,).

    Raises
    ------
    ValueError, TypeError
        If `n_features` is not a positive integer, `seed` not an integer of at least 0, or `dtype` not
        a floating torch dtype.

    References
    ----------
    The model of PyTorch forum thread 112517.

    Examples
    --------
    >>> import torch
    >>> from course_lib.models import Perceptron
    >>> model = Perceptron(seed=0)
    >>> model(torch.tensor([[3.0, 2.0], [1.0, 1.0]])).shape
    torch.Size([2])
    """

    def __init__(self, n_features: int = 2, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        n_features = _arguments.count("n_features", n_features)
        seed = _arguments.count("seed", seed, minimum=0)
        _arguments.floating("dtype", dtype)
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach the GPUs' too
            self.linear = nn.Linear(n_features, 1, device="cpu", dtype=torch.float32).to(dtype)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return the probability of label 1, shape (n_samples,), for X of shape (n_samples, n_features)."""
        return torch.sigmoid(self.linear(X)).squeeze(-1)


class LinearModel(NamedTuple):
    r"""A weight and a bias: the output is :math:`w \cdot x + b`.

    As a classifier it says 1 where that is positive. It unpacks: ``weight, bias = model``.

    Attributes
    ----------
    weight : Tensor of shape (n_features,) or (n_features, n_outputs)
    bias : Tensor of shape () or (n_outputs,)

    Examples
    --------
    >>> import torch
    >>> from course_lib.models import LinearModel
    >>> model = LinearModel.of(torch.tensor([0.8, 0.4, -2.2]))
    >>> model.output([[3.0, 2.0], [1.0, 1.0]])
    tensor([ 1., -1.])
    """

    weight: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def of(cls, source: nn.Module | Array) -> LinearModel:
        """Return that of a module with one linear layer of one output, or of a vector (w, b), detached.

        Raises
        ------
        ValueError, TypeError
            If `source` is another module, or no vector of two finite numbers or more.
        """
        if isinstance(source, nn.Module):
            layers = [part for part in source.modules() if isinstance(part, nn.Linear)]
            if len(layers) != 1 or layers[0].out_features != 1 or layers[0].bias is None:
                raise ValueError(
                    f"source must have one linear layer, of one output and with a bias, got {source!r}"
                )
            return cls(layers[0].weight[0].detach().clone(), layers[0].bias[0].detach().clone())
        theta = _arguments.finite("source", source, ndim=1).detach()
        if len(theta) < 2:
            raise ValueError(f"source must have a weight and a bias, got {theta.tolist()}")
        return cls(theta[:-1], theta[-1])

    @property
    def theta(self) -> torch.Tensor:
        """The weight and then the bias, shape (n_features + 1,) or (n_features + 1, n_outputs)."""
        return torch.cat([self.weight, self.bias[None]])

    def output(self, X: Array) -> torch.Tensor:
        r"""Return :math:`w \cdot x + b` for each row of X, shape (n_samples, n_features)."""
        X = _arguments.finite("X", X, ndim=2).to(self.weight)
        _arguments.features(X, self.weight)
        return X @ self.weight + self.bias

    def probability(self, X: Array) -> torch.Tensor:
        r"""Return the probability of label 1, :math:`\sigma(w \cdot x + b)`, for each row of X."""
        return self.output(X).sigmoid()
