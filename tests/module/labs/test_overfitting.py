"""The lab on overfitting, against the optimum."""

import math
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from numpy.polynomial.legendre import legvander

from course_lib import labs
from course_lib.data import noisy_sine
from course_lib.optimum import least_squares_optimum
from tests.javascript import moved, script

SINES = [  # and to which share they agree
    ({"degree": 12, "n_samples": 15, "noise": 0.3, "seed": 5}, 1e-9),
    ({"degree": 12, "n_samples": 12, "noise": 0.3, "seed": 1}, 1e-9),
    ({"degree": 15, "n_samples": 8, "noise": 1.0, "seed": 9}, 1e-9),
    ({"degree": 1, "n_samples": 3, "noise": 0.0, "seed": 20}, 1e-9),
    ({"degree": 6, "n_samples": 1000, "noise": 0.2, "seed": 13}, 1e-9),
    ({"degree": 15, "n_samples": 16, "noise": 0.3, "seed": 3}, 1e-5),  # a condition number of a million
]


def lambdas():
    return script("overfitting")("control('weight_decay').values")


class Polynomial:
    """What the lab on overfitting is about; of centered features the shortest (w, b) has the shortest w."""

    def __init__(self, degree, n_samples, noise, seed):
        self.X, self.y = noisy_sine(n_samples, noise=noise, seed=seed)
        self.X_held, self.y_held = noisy_sine(2000, noise=noise, seed=0)
        self.degree, self.center = degree, 0.0
        self.center = self.features(self.X).mean(dim=0)

    def features(self, X):
        return torch.from_numpy(legvander(X[:, 0].numpy(), self.degree)[:, 1:]) - self.center

    def fit(self, weight_decay):
        return least_squares_optimum(self.features(self.X), self.y, weight_decay)

    def losses(self, weight_decay):
        model, sets = self.fit(weight_decay), ((self.X, self.y), (self.X_held, self.y_held))
        return [float((model.output(self.features(X)) - y).square().mean()) for X, y in sets]

    def effective_parameters(self, weight_decay):
        """Return by how much predictions follow their own targets: each target alone is a column of them."""
        n_samples = len(self.X)
        targets = torch.eye(n_samples, dtype=torch.float64)
        model = least_squares_optimum(self.features(self.X), targets, weight_decay / n_samples)
        return float(model.output(self.features(self.X)).trace())


@pytest.mark.parametrize("seed", [1, 5, 20, 2**32 - 1])
@pytest.mark.parametrize("n_samples", [3, 15, 1000])
def test_noisy_sine_of_the_overfitting_lab_is_that_of_the_data(n_samples, seed):
    found = script("overfitting")(
        "Object.values(noisySine(n_samples, { noise: 0.3, seed })).map((column) => [...column])",
        n_samples=n_samples,
        seed=seed,
    )
    X, y = noisy_sine(n_samples, seed=seed)
    np.testing.assert_array_equal(found[0], X[:, 0])
    np.testing.assert_allclose(found[1], y[:, 0], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(("setting", "share"), SINES, ids=str)
def test_fit_of_the_overfitting_lab_is_the_optimum(setting, share):
    run, polynomial = script("overfitting"), Polynomial(**setting)
    expression = """LAMBDAS.map((decay) => {
        const training = prepared(noisySine(setting.n_samples, setting), setting.degree);
        const [w, b] = leastSquaresOptimum(training, decay);
        return [w, b, effectiveParameters(training, decay)];
    })"""
    for weight_decay, (w, b, effective) in zip(lambdas(), run(expression, setting=setting), strict=True):
        weight, bias = polynomial.fit(weight_decay)
        wanted = [*weight[:, 0], bias.item() - polynomial.center @ weight[:, 0]]
        np.testing.assert_allclose([*w, b], wanted, rtol=share, atol=share * float(weight.norm()))
        if setting["n_samples"] < 20:
            np.testing.assert_allclose(effective, polynomial.effective_parameters(weight_decay), rtol=1e-8)


@pytest.mark.parametrize(("setting", "share"), SINES, ids=str)
def test_losses_of_the_overfitting_lab_are_those_of_the_optimum(setting, share):
    polynomial = Polynomial(**setting)
    found = script("overfitting")("finished(lab.run(setting)).losses", setting=setting)
    wanted = [polynomial.losses(weight_decay) for weight_decay in lambdas()]
    np.testing.assert_allclose(found, wanted, rtol=share, atol=1e-15)


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_directions_of_the_overfitting_lab_are_those_of_the_svd(scale):
    given = scale * np.random.default_rng(0).normal(size=(5, 8))
    run, orthogonalized = script("overfitting"), "orthogonalized(given)"
    columns, rotation = map(np.array, run(orthogonalized, given=given.tolist()))
    np.testing.assert_allclose(rotation @ given, columns, rtol=1e-12, atol=1e-12 * scale)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(5), atol=1e-12)
    sizes = np.sort(np.linalg.norm(columns, axis=1))[::-1]
    np.testing.assert_allclose(sizes, np.linalg.svd(given, compute_uv=False), rtol=1e-12)
    np.testing.assert_allclose(
        columns @ columns.T, np.diag(np.diag(columns @ columns.T)), atol=1e-12 * scale**2
    )
    for share, rank in ((1e-12, 2), (1e-14, 1), (0, 1)):  # below 1e-13 of the largest: taken for zero
        columns, _ = run(orthogonalized, given=[[scale, 0], [0, share * scale]])
        assert len(columns) == rank
    assert run(orthogonalized, given=[[0, 0], [0, 0]]) == [[], []]
    assert run(orthogonalized, given=[[scale, 0], [0, scale]])[0] == [[scale, 0], [0, scale]]


def test_decays_of_the_overfitting_lab_reach_from_none_to_10():
    assert lambdas()[:2] == [0, 1e-6]
    assert lambdas()[-1] == 10
    assert (np.diff(lambdas()) > 0).all()
    labs.overfitting()
    above, below = plt.gcf().axes
    np.testing.assert_array_equal(below.lines[0].get_xdata(), lambdas()[1:])
    plane, valley = script("overfitting")("lab.plots.map(({ x, y }) => [x, y])")
    assert plane == [[-1, 1], list(above.get_ylim())]
    assert valley == [[lambdas()[1], lambdas()[-1]], list(below.get_ylim())]


@cache
def polynomial_and_bottom(*setting):
    polynomial = Polynomial(*setting)
    return polynomial, min((polynomial.losses(decay)[1], decay) for decay in lambdas())


def rounded(value):
    if not 1e-6 <= value <= 1e6:
        return "above 10⁶" if value > 1 else "below 10⁻⁶"
    return np.format_float_positional(float(f"{value:.4g}"), trim="-")


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("setting", "share"), SINES[:4], ids=str)
def test_figure_of_the_overfitting_lab_shows_the_fit_and_its_losses(setting, share, weight_decay):
    lab = labs.overfitting(**setting, weight_decay=weight_decay)
    polynomial, (above, below) = Polynomial(**setting), plt.gcf().axes
    sine, fitted = above.lines
    name = "L2" if weight_decay else "no decay"
    assert [line.get_label() for line in above.lines] == ["sine", name]
    assert fitted.get_color().lower() == lab.data["looks"][name]["color"]
    np.testing.assert_allclose(sine.get_ydata(), np.sin(np.pi * sine.get_xdata()), atol=1e-12)
    at = torch.tensor(np.array(fitted.get_xdata()))[:, None]
    wanted = polynomial.fit(weight_decay).output(polynomial.features(at))[:, 0]
    np.testing.assert_allclose(fitted.get_ydata(), wanted, rtol=1e-6, atol=1e-6 * wanted.abs().max())
    np.testing.assert_array_equal(above.collections[0].get_offsets()[:, 0], polynomial.X[:, 0])
    held, training = (
        line.get_ydata() for line in below.lines if line.get_label() in ("held-out loss", "training loss")
    )
    losses = [polynomial.losses(decay) for decay in lambdas()[1:]]
    np.testing.assert_allclose(np.stack([training, held], axis=1), losses, rtol=share, atol=1e-15)
    marked = {text.get_text() for text in below.texts}
    assert marked == {word for word, there in (("noise", setting["noise"]), ("0.1", weight_decay)) if there}
    assert set(lab.data["looks"]) == {"no decay", "L2", "reference", "training"}


@pytest.mark.parametrize("value", [0.0, 9.99e-7, 1e-6, 0.12345, 1e6, 1.001e6])
def test_amounts_of_the_overfitting_lab_are_told_from_a_millionth_to_a_million(value):
    assert script("overfitting")("amount(value)", value=value) == rounded(value)


def told_of_a_polynomial(lab):
    """Return what the lab on overfitting has to tell."""
    weight_decay, *setting = lab.settings.values()
    polynomial, (lowest, best) = polynomial_and_bottom(*setting)
    training, held_out = polynomial.losses(weight_decay)
    return {
        "training loss": rounded(training),
        "held-out loss": rounded(held_out),
        "its lowest": f"{rounded(lowest)} at λ = {best:g}".replace("1e-06", "0.000001"),
        "variance of the noise": f"{lab.settings['noise'] ** 2:.4g}",
        "|w|² of the fit": rounded(float(polynomial.fit(weight_decay).weight.square().sum())),
        "effective parameters": (
            f"{polynomial.effective_parameters(weight_decay):.1f} of {polynomial.degree + 1}"
        ),
    }


def test_overfitting_lab_tells_at_each_setting_what_course_lib_computes():
    for lab in moved(labs.overfitting):
        assert script("overfitting").facts(lab) == told_of_a_polynomial(lab), lab.settings


def test_overfitting_lab_shows_what_chapter_0_says():
    lab = labs.overfitting()

    def number(fact, **setting):
        text = script("overfitting").facts(labs.Lab("overfitting", lab.settings | setting, lab.data))[fact]
        return math.inf if text == "above 10⁶" else 0.0 if text == "below 10⁻⁶" else float(text)

    star = script("overfitting").facts(lab)["its lowest"].split("λ = ")
    decays = [0.0, 1e-4, 1e-2, float(star[1]), 0.3, 1.0, 10.0]
    held, training = (
        [number(f"{which} loss", weight_decay=decay) for decay in decays]
        for which in ("held-out", "training")
    )
    assert np.sign(np.diff(held)).tolist() == [-1, -1, -1, 1, 1, 1]
    assert (np.diff(training) > 0).all()
    assert script("overfitting").facts(labs.overfitting(noise=0.0))["its lowest"].endswith("at λ = 0")
    held = {n: number("held-out loss", n_samples=n) for n in range(3, 16)}
    assert max(held, key=held.get) == lab.settings["degree"] + 1


@pytest.mark.parametrize(
    ("argument", "beyond"),
    [
        ("weight_decay", 10.1),
        ("degree", 16),
        ("n_samples", 2),
        ("n_samples", 1001),
        ("noise", 1.01),
        ("seed", 0),
        ("seed", 21),
    ],
)
def test_overfitting_lab_refuses_what_its_controls_do_not_reach(argument, beyond):
    with pytest.raises(ValueError, match=argument):
        labs.overfitting(**{argument: beyond})


def test_overfitting_lab_takes_what_its_controls_reach():
    for argument, ends in (
        ("degree", (1, 15)),
        ("n_samples", (3, 1000)),
        ("noise", (0, 1)),
        ("seed", (1, 20)),
    ):
        control = script("overfitting")("control(name).values", name=argument)
        assert (control[0], control[-1]) == ends
        for end in ends:
            assert labs.overfitting(**{argument: end}).settings[argument] == end
