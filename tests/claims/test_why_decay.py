"""One test a claim of book/why_decay.ipynb; its docstring is the claim, word for word."""

import numpy as np
import torch
from numpy.polynomial.legendre import legvander

from course_lib.data import noisy_sine
from course_lib.optimum import least_squares_optimum
from tests.refuting import being, refuted_by, times

SAMPLES = range(1, 11)


def features(X):
    return torch.from_numpy(legvander(X[:, 0].numpy(), 12)[:, 1:])


def held_out_losses(weight_decays, n_samples):
    """Return the mean squared error on other points, of each sample and decay."""
    X_held, y_held = noisy_sine(2000, seed=0)
    losses = []
    for seed in SAMPLES:
        X, y = noisy_sine(n_samples, seed=seed)
        models = [least_squares_optimum(features(X), y, weight_decay) for weight_decay in weight_decays]
        outputs = torch.stack([model.output(features(X_held)) for model in models])
        losses.append((outputs - y_held).square().mean(dim=(1, 2)))
    return torch.stack(losses)


@refuted_by(least_squares_optimum, weight_decay=times(0.001))
@refuted_by(least_squares_optimum, weight_decay=times(1000))
@refuted_by(noisy_sine, noise=times(0.01))
def test_valley():
    """A polynomial of degree 12 that is fitted to 15 noisy points has a valley of held-out loss: on ten of ten samples λ = 0.1 is better than λ = 0.000001 and better than λ = 10."""
    tiny, best, large = held_out_losses([0.000001, 0.1, 10.0], n_samples=15).T
    assert (best < tiny).all()
    assert (best < large).all()


def layer(n_in, n_out, generator):
    bound = n_in**-0.5
    draws = torch.rand(10, n_in + 1, n_out, generator=generator, dtype=torch.float64)
    weight, bias = (bound * (2 * draws - 1)).split([n_in, 1], dim=1)
    return weight.clone().requires_grad_(), bias.clone().requires_grad_()


def held_out_losses_of_networks(weight_decay):
    X, y = map(torch.stack, zip(*(noisy_sine(15, seed=seed) for seed in SAMPLES), strict=True))
    X_held, y_held = noisy_sine(2000, seed=0)
    generator = torch.Generator().manual_seed(0)
    w1, b1, w2, b2 = parameters = [*layer(1, 32, generator), *layer(32, 1, generator)]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.97, weight_decay=weight_decay)
    for _ in range(3000):
        optimizer.zero_grad()
        (torch.tanh(X @ w1 + b1) @ w2 + b2 - y).square().mean(dim=(1, 2)).sum().backward()
        optimizer.step()
    with torch.no_grad():
        return (torch.tanh(X_held @ w1 + b1) @ w2 + b2 - y_held).square().mean(dim=(1, 2)).numpy()


@refuted_by(torch.optim.SGD, weight_decay=times(0))
@refuted_by(torch.optim.SGD, weight_decay=times(30))
def test_network_valley():
    """A network of 32 tanh units that SGD trains on the same points has one, too: on ten samples the median and the worst held-out loss are lower with λ = 0.003 than with none, and lower than with λ = 0.1."""
    none, best, large = map(held_out_losses_of_networks, (0.0, 0.003, 0.1))
    for typical in (np.median, np.max):
        assert typical(best) < typical(none)
        assert typical(best) < typical(large)


@refuted_by(noisy_sine, n_samples=being(100))
@refuted_by(noisy_sine, noise=times(4))
def test_enough_data():
    """With 1,000 points there is nothing to gain: on ten of ten samples no λ lowers the held-out loss of the polynomial by 1 %."""
    losses = held_out_losses([0.0, *np.logspace(-6, 1, 43)], n_samples=1000)
    assert (losses.min(dim=1).values > 0.99 * losses[:, 0]).all()
