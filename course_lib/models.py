"""The torch models of the book; each is initialized from a seed and leaves the global generator alone."""

from __future__ import annotations

import torch
from torch import nn

from course_lib import _arguments

__all__ = ["Perceptron"]


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
