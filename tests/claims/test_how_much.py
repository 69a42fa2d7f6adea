"""One test a claim of book/how_much.ipynb; its docstring is the claim, word for word."""

from functools import partial

import numpy as np
import pytest
import torch
from numpy.polynomial.legendre import legvander
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

from course_lib.conventions import convert
from course_lib.data import noisy_sine
from course_lib.networks import train_networks
from course_lib.optimum import least_squares_optimum
from course_lib.sweeps import sweep
from tests.refuting import being, refuted_by, times

DIGITS = load_digits()
IMAGES, LABELS = torch.tensor(DIGITS.data / 16, dtype=torch.float32), torch.tensor(DIGITS.target)
LARGEST = {"SGD": 1.0, "momentum": 0.32, "Adam": 0.1, "AdamW": 0.1}


def sample(seed, n_samples):
    """As the chapter draws it: rows to train on, a fifth of them mislabeled, and a thousand others."""
    generator = torch.Generator().manual_seed(seed)
    order, n_wrong = torch.randperm(len(IMAGES), generator=generator), n_samples // 5
    y = LABELS[order[:n_samples]]
    y[:n_wrong] = (y[:n_wrong] + torch.randint(1, 10, (n_wrong,), generator=generator)) % 10
    return IMAGES[order[:n_samples]], y, IMAGES[order[-1000:]], LABELS[order[-1000:]]


def ten(n_samples=200):
    samples = [sample(seed, n_samples) for seed in range(10)]
    return map(torch.stack, zip(*samples, strict=True))


X, Y, *_ = ten()


def losses(optimizer, lr, decays, *, n_steps=600, batch_size=25, hidden=16, n_samples=200):
    """Return the held-out losses of ten networks for each of some decays, shape (n_decays, 10)."""
    seeds, n = list(range(10)) * len(decays), len(decays)
    how = {"optimizer": "SGD", "momentum": 0.9} if optimizer == "momentum" else {"optimizer": optimizer}
    X, y, X_held, y_held = (each[seeds] for each in ten(n_samples))
    (networks,) = train_networks(
        X,
        y,
        hidden=[hidden],
        lr=lr,
        weight_decay=torch.tensor(decays).repeat_interleave(10),
        seeds=seeds,
        n_steps=n_steps,
        batch_size=batch_size,
        **how,
    )
    return networks.losses(X_held, y_held).view(n, 10)


@refuted_by(train_networks, weight_decay=times(0.01))
@refuted_by(train_networks, weight_decay=times(10))
@refuted_by(train_networks, optimizer=being("AdamW"), momentum=being(0.0))
def test_one_lambda_for_all_that_is_coupled():
    """At the largest learning rate of each, λ = 0.005 has a lower median held-out loss over ten samples than 0.0001 and than 0.05, for SGD, for SGD with momentum and for Adam with L2."""
    for optimizer in ("SGD", "momentum", "Adam"):
        small, best, large = losses(optimizer, LARGEST[optimizer], [0.0001, 0.005, 0.05]).median(dim=1)[0]
        assert best < small
        assert best < large


@refuted_by(train_networks, optimizer=being("AdamW"))
@refuted_by(train_networks, optimizer=being("Adam"))
def test_adamw_counts_in_other_units():
    """At a learning rate of 0.1 AdamW is better with λ = 0.3 than with 0.005, and Adam with L2 is worse, on ten of ten samples."""
    for optimizer, larger_is_better in (("AdamW", True), ("Adam", False)):
        small, large = losses(optimizer, 0.1, [0.005, 0.3])
        assert ((large < small) == larger_is_better).all()


@refuted_by(train_networks, lr=times(0.1))
@refuted_by(train_networks, weight_decay=times(10))
def test_lambda_does_not_go_with_one_over_lr():
    """With a learning rate ten times as large, the λ of before is better than a tenth of it for SGD with momentum, Adam with L2 and AdamW, on ten of ten samples."""
    before = {"momentum": 0.01, "Adam": 0.01, "AdamW": 0.3}  # good ones at a tenth of the largest rate
    for optimizer, decay in before.items():
        at_tenth = losses(optimizer, LARGEST[optimizer] / 10, [decay, 10 * decay])
        assert (at_tenth[0] < at_tenth[1]).all()
        same, tenth = losses(optimizer, LARGEST[optimizer], [decay, decay / 10])
        assert (same < tenth).all()


@refuted_by(train_networks, n_steps=being(2400))
@refuted_by(train_networks, n_steps=being(150))
def test_a_short_run_wants_no_decay():
    """After 150 steps of AdamW at a learning rate of 0.01, λ = 0.3 is worse than none on ten of ten samples, and after 2,400 steps it is better on ten of ten."""
    for n_steps, better in ((150, False), (2400, True)):
        none, decayed = losses("AdamW", 0.01, [0.0, 0.3], n_steps=n_steps)
        assert ((decayed < none) == better).all()


@refuted_by(train_networks, weight_decay=times(0.1))
@refuted_by(train_networks, batch_size=being(5))
def test_small_batches_want_less():
    """In 75 epochs of AdamW at a learning rate of 0.032, λ = 0.1 is better than 0.32 in batches of 5 and worse in batches of 100, on ten of ten samples."""
    for batch_size, better in ((100, False), (5, True)):
        small, large = losses(
            "AdamW", 0.032, [0.1, 0.32], n_steps=75 * 200 // batch_size, batch_size=batch_size
        )
        assert ((small < large) == better).all()


def over_tau(epochs, n_samples, batch_size):
    """Return the losses for time scales in epochs, of 75 epochs of AdamW."""
    steps = n_samples // batch_size
    decays = [1 / (0.032 * tau * steps) for tau in epochs]
    how = {"n_steps": 75 * steps, "batch_size": batch_size, "n_samples": n_samples}
    return losses("AdamW", 0.032, decays, **how)


@refuted_by(train_networks, weight_decay=times(4))
@refuted_by(train_networks, weight_decay=times(0.25))
def test_more_data_wants_less():
    """In 75 epochs of AdamW at a learning rate of 0.032, in batches of 25, a time scale of 12 epochs has a lower median held-out loss than one of 6 and than one of 48, with 50, with 200 and with 775 rows, over ten samples."""
    for n_samples in (50, 200, 775):
        short, middle, long = over_tau([6, 12, 48], n_samples, 25).quantile(0.5, dim=1)
        assert middle < short
        assert middle < long


@refuted_by(train_networks, weight_decay=times(4))
@refuted_by(train_networks, weight_decay=times(0.25))
def test_the_clock_is_not_all():
    """With 775 rows in batches of 96, which are eight steps an epoch as with 200 rows in batches of 25, a time scale of 48 epochs is better than one of 12 on ten of ten samples; with the 200 rows it is worse in the median."""
    assert 775 // 96 == 200 // 25 == 8
    middle, long = over_tau([12, 48], 775, 96)
    assert (long < middle).all()
    middle, long = over_tau([12, 48], 200, 25).quantile(0.5, dim=1)
    assert long > middle


@refuted_by(train_networks, hidden=being([16]))
@refuted_by(train_networks, weight_decay=being(0.01))
def test_fewer_units_are_no_cure():
    """Without decay, SGD with momentum ends at a higher median held-out loss with 4 hidden units than with 16, and at a lower one with 64, on ten samples; with λ = 0.01 the 16 units are better than without it, on ten of ten."""
    few, some, many = (losses("momentum", 0.1, [0.0], hidden=hidden)[0] for hidden in (4, 16, 64))
    assert few.median() > some.median() > many.median()
    assert (losses("momentum", 0.1, [0.01])[0] < some).all()


# The polynomial


def features(X):
    return torch.from_numpy(legvander(X[:, 0].numpy(), 12)[:, 1:])


def points(seed, n_samples=20):
    X, y = noisy_sine(n_samples, seed=seed)
    return features(X), y


HELD_OUT = points(0, n_samples=2000)
LAMBDAS = np.logspace(-5, 1, 13)


def error(A, y, weight_decay, held=HELD_OUT):
    model = least_squares_optimum(A, y, weight_decay)
    return (model.output(held[0]) - held[1]).square().mean().item()


def by_folds(A, y):
    """Return the mean loss of each lambda over five folds, and over the first of them."""
    found = [
        [error(A[kept], y[kept], lam, (A[out], y[out])) for lam in LAMBDAS] for kept, out in KFold(5).split(A)
    ]
    return np.mean(found, axis=0), np.array(found[0])


@refuted_by(noisy_sine, n_samples=being(14))
@refuted_by(least_squares_optimum, weight_decay=times(3))
def test_a_round_number_is_good_enough():
    """Over 30 samples the polynomial's median loss is lower with λ = 0.056 than with 0.028 and with 0.112, and each of these costs no more than 12 percent."""
    samples = [points(seed + 1) for seed in range(30)]
    half, best, twice = (np.median([error(*s, lam) for s in samples]) for lam in (0.028, 0.056, 0.112))
    assert best < half < (1 + 12 / 100) * best
    assert best < twice < (1 + 12 / 100) * best


@refuted_by(least_squares_optimum, weight_decay=being(0.05))
def test_folds_beat_one_split():
    """On 30 samples of 20 rows the median loss and the worst loss are lower when five folds choose λ than when one split does."""
    samples = [points(seed + 1) for seed in range(30)]
    five, one = (
        np.array([error(*s, LAMBDAS[by_folds(*s)[how].argmin()]) for s in samples]) for how in (0, 1)
    )
    assert np.median(five) < np.median(one)
    assert five.max() < one.max()


@refuted_by(convert, n_samples=times(4))
@refuted_by(least_squares_optimum, weight_decay=times(4))
def test_ridgecv_chooses_the_same():
    """RidgeCV chooses the λ that five folds written out choose, on ten of ten samples, when its alphas are converted for the rows of a fold."""
    alphas = [
        convert(lam, "reference.lambda", "sklearn.Ridge.alpha", loss="squared_error", n_samples=16)
        for lam in LAMBDAS
    ]
    model = RidgeCV(alphas, cv=KFold(5), scoring="neg_mean_squared_error")
    for seed in range(10):
        A, y = points(seed + 1)
        assert model.fit(A.numpy(), y.numpy().ravel()).alpha_ == alphas[by_folds(A, y)[0].argmin()]


@refuted_by(least_squares_optimum, weight_decay=times(2))
@refuted_by(least_squares_optimum, weight_decay=times(0.5))
def test_early_stopping_is_ridge_within_a_factor():
    """Descent that is stopped at time 1/λ has at most 1.69 times the risk of ridge regression, and for some noise and λ more than 1.6 times."""
    generator, ratios = torch.Generator().manual_seed(0), []
    A = (
        torch.randn(30, 3, generator=generator, dtype=torch.float64)
        @ torch.logspace(0, -3, 3).diag().double()
    )
    A -= A.mean(dim=0)
    curvature, directions = torch.linalg.eigh(2 / 30 * A.T @ A)
    for lam in np.logspace(-7, 1, 50):
        ridge = torch.stack(
            [least_squares_optimum(A, row[:, None], lam).weight.flatten() for row in torch.eye(30).double()],
            1,
        )
        keeps = 1 - torch.exp(-curvature / lam)
        descent = directions @ torch.diag(keeps / curvature) @ directions.T @ (2 / 30 * A.T)
        truth = torch.randn(3, generator=generator, dtype=torch.float64)
        for noise in (0.0, 0.1, 10.0):
            stopped, penalized = (
                (map_ @ A @ truth - truth).square().sum() + noise**2 * map_.square().sum()
                for map_ in (descent, ridge)
            )
            ratios.append((stopped / penalized).item())
    assert 1.6 < max(ratios) <= 1.69


def linear_risk(n_features, weight_decay, seed):
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(40, 100, generator=generator, dtype=torch.float64)
    truth = torch.randn(100, generator=generator, dtype=torch.float64) / 10
    y = A @ truth + 0.5 * torch.randn(40, generator=generator, dtype=torch.float64)
    weight, _ = least_squares_optimum(A[:, :n_features], y[:, None], weight_decay)
    missed = truth.clone()
    missed[:n_features] -= weight.flatten()
    return missed.square().sum().item() + 0.25


@refuted_by(least_squares_optimum, weight_decay=times(0))
def test_the_right_decay_tames_double_descent():
    """With 39 features, as many as the rows less one for the bias, a linear model without decay has more than five times the held-out loss of one with λ = 3, on ten of ten samples; with that λ the median falls from 20 features to 39 and to 100."""
    peak = [linear_risk(39, 0.0, seed) for seed in range(10)]
    few, tamed, all_of_them = ([linear_risk(n, 3.0, seed) for seed in range(10)] for n in (20, 39, 100))
    assert all(high > 5 * low for high, low in zip(peak, tamed, strict=True))
    assert np.median(few) > np.median(tamed) > np.median(all_of_them)


# The tools


def counted(lr, seed, *, calls):
    with open(calls, "a") as file:
        file.write(f"{lr} {seed}\n")
    return {"loss": lr / 3 + seed}


@pytest.mark.usefixtures("refutation")
@refuted_by(sweep, file=being(None))
def test_each_run_is_done_once(tmp_path):
    """A sweep that is called again with more settings does only the new runs, and its rows are those of one that did all at once."""
    calls, whole = tmp_path / "calls", {"lr": [0.1, 0.2, 0.3]}
    call = partial(counted, calls=str(calls))
    how = {"seeds": range(4), "n_jobs": 1}
    sweep(call, {"lr": [0.2]}, file=tmp_path / "runs.db", **how)
    found = sweep(call, whole, file=tmp_path / "runs.db", **how)
    lines = calls.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 12
    again = sweep(call, whole, **how)
    assert np.array_equal(found.values("loss"), again.values("loss"))


@refuted_by(train_networks, lr=lambda lr: lr if isinstance(lr, float) else [1.001 * each for each in lr])
def test_together_is_the_same_as_alone():
    """Networks that are trained together end where each of them ends alone, to 1e-10 in float64."""
    rates, how = [0.01, 0.03, 0.1], {"hidden": [16], "weight_decay": 0.1, "n_steps": 100, "batch_size": 25}
    (together,) = train_networks(X[:3].double(), Y[:3], lr=rates, seeds=range(3), **how)
    for run, lr in enumerate(rates):
        (alone,) = train_networks(X[run].double(), Y[run], lr=lr, seeds=[run], **how)
        torch.testing.assert_close(together.theta[run], alone.theta[0], rtol=0, atol=1e-10)
