"""The chapter before the puzzles: a polynomial fitted to noisy points."""

from __future__ import annotations

import torch
from numpy.polynomial.legendre import legvander

from course_lib import _arguments
from course_lib.data import noisy_sine
from course_lib.labs._lab import Lab, looks_of
from course_lib.models import LinearModel
from course_lib.optimum import least_squares_optimum


def overfitting(
    *,
    weight_decay: float = 0.0,
    degree: int = 12,
    n_samples: int = 15,
    noise: float = 0.3,
    seed: int = 5,
) -> Lab:
    r"""Show a polynomial fitted to noisy points of a sine, and its losses over the decay.

    The features are the Legendre polynomials of x from degree 1 on, and the fit is the minimizer of the
    mean squared error :math:`+ \tfrac{\lambda}{2}\|w\|^2`, as `optimum.least_squares_optimum` finds it. Where
    many are as good, which only a decay of 0 allows, it is the one with the shortest w, to which small
    decays lead. The held-out loss is the mean squared error on ``noisy_sine(2000, noise=noise, seed=0)``.

    Parameters
    ----------
    weight_decay : float, default=0.0
        :math:`\lambda`, at most 10, of torch.optim.SGD beside ``mse_loss``: there is a 1/2 before the penalty
        and none before the squares, nothing is multiplied by lr, and the bias is not decayed.
    degree : int, default=12
        1 to 15.
    n_samples : int, default=15
        Points to learn from, 3 to 1,000.
    noise : float, default=0.3
        Its standard deviation, at most 1.
    seed : int, default=5
        Of the points, 1 to 20: they are ``noisy_sine(n_samples, noise=noise, seed=seed)``.

    Returns
    -------
    Lab
        A figure of the setting is drawn, too.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.

    Examples
    --------
    >>> from course_lib.labs import overfitting
    >>> overfitting(weight_decay=0.1).settings["degree"]
    12
    """
    from course_lib.plotting import curves, fits, panels  # which loads matplotlib

    weight_decay = _arguments.number("weight_decay", weight_decay, maximum=10)
    degree = _arguments.count("degree", degree, maximum=15)
    n_samples = _arguments.count("n_samples", n_samples, minimum=3, maximum=1000)
    noise = _arguments.number("noise", noise, maximum=1)
    seed = _arguments.count("seed", seed, maximum=20)
    X, y = noisy_sine(n_samples, noise=noise, seed=seed)
    X_held, y_held = noisy_sine(2000, noise=noise, seed=0)

    def powers(X: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(legvander(X[:, 0].numpy(), degree)[:, 1:])

    def fit(decay: float) -> LinearModel:
        # Centered, so that the bias, which is free, does not count as a weight where decay is 0.
        center = powers(X).mean(dim=0)
        weight, bias = least_squares_optimum(powers(X) - center, y, decay)
        return LinearModel(weight, bias - center @ weight)

    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    lambdas = [float(f"{step}e{power}") for power in range(-6, 1) for step in steps] + [10.0]
    models = [fit(decay) for decay in lambdas]
    losses = {
        name: (lambdas, [float((model.output(powers(X)) - y).square().mean()) for model in models])
        for name, X, y in (("held-out loss", X_held, y_held), ("training loss", X, y))
    }
    shown = fit(weight_decay)
    name = "L2" if weight_decay else "no decay"
    _, (above, below) = panels(2)
    fits(
        X,
        y,
        {"sine": lambda x: torch.sin(torch.pi * x), name: lambda x: shown.output(powers(x))},
        concept={"sine": "reference"},
        ax=above,
    )
    above.set_ylim(-2.5, 2.5)
    curves(
        losses,
        xlabel="λ",
        ylabel="mean squared error",
        concept={"held-out loss": "L2"},
        references={"noise": noise**2} if noise > 0.01 else None,
        xreferences={f"{weight_decay:g}": weight_decay} if weight_decay >= lambdas[0] else None,
        minima=True,
        xscale="log",
        yscale="log",
        ax=below,
    )
    below.set_ylim(1e-3, 100)
    return Lab(
        "overfitting",
        {
            "weight_decay": weight_decay,
            "degree": degree,
            "n_samples": n_samples,
            "noise": noise,
            "seed": seed,
        },
        {"looks": looks_of(("no decay", "L2", "reference", "training"))},
    )
