"""What a chapter sets on a line of its own as a formula is what the functions it speaks of compute."""

import re
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import brentq

from course_lib import conventions, data, optimum, penalties, rules, scratch
from tests.formulas import Values, statements, value
from tools.build import notebooks

DISPLAYED = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
VECTOR = re.compile(r"-?\([^()]*,[^()]*\)$")
X2, Y2 = data.two_points(torch.float64)


def first_weight(v):
    """Of the perceptron's two points, after a step."""
    start = np.array([v["theta"], 0.3, -0.4])
    v["z_1"], v["z_2"], v["gamma_1"], v["gamma_2"] = 3, -1, start @ [3, 2, 1], -start.sum()
    return scratch.logistic_descent(X2.numpy(), Y2.numpy(), lr=v["eta"], n_steps=1, start=start)[0, 0]


def breaking_decay(v):
    """Where the boundary passes through the second point."""
    del v

    def logit(weight_decay):
        w, b = optimum.logistic_optimum(X2, Y2, weight_decay, decay_bias=True)
        return (X2[1] @ w + b).item()

    return brentq(logit, 0.1, 0.5, xtol=1e-12)


def one_step(v):
    v["tau"] = 1 / (v["eta"] * v["lambda_"])
    theta, g = np.array([v["theta"]]), np.array([v["g"]])
    return rules.coupled(theta, g, None, rules.sgd, lr=v["eta"], weight_decay=v["lambda_"])[0].item()


def shrunk(v):
    """The weight of a line through points whose loss has the curvature h, about a*."""
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64) * (v["h"] / 2) ** 0.5
    return optimum.least_squares_optimum(x, v["a_s"] * x[:, 0], v["lambda_"]).weight.item()


def on_a_bowl(curvature, v, momentum=0.0, n_steps=2):
    """Return the distances from the minimum of a bowl before and after steps of SGD."""
    theta, velocity, path = np.array([v["theta"] - v["theta_s"]]), None, []
    direction = partial(rules.sgd, momentum=momentum)
    for _ in range(n_steps):
        path.append(theta.item())
        step = {"lr": v["eta"], "weight_decay": 0.0}
        theta, velocity = rules.coupled(theta, curvature * theta, velocity, direction, **step)
    return [*path, theta.item()]


def contracted(v):
    v["theta_n"] = on_a_bowl(v["H"], v, n_steps=1)[-1] + v["theta_s"]


def with_momentum(v):
    v["d_o"], v["d"], after = on_a_bowl(v["ell"], v, momentum=v["mu"])
    return after


def of_the_product(v):
    """Both weights of a product that should be 1, after a step with decay."""
    w = torch.tensor([v["w_1"], v["w_2"]], dtype=torch.float64, requires_grad=True)
    error = w.prod() - 1
    v["e"] = error.item()
    (gradient,) = torch.autograd.grad(error**2 / 2, w)
    return rules.coupled(w.detach(), gradient, None, rules.sgd, lr=v["eta"], weight_decay=v["lambda_"])[0]


def difference_of_squares(v):
    w_1, w_2 = of_the_product(v).tolist()
    v["q"] = (1 - v["eta"] * v["lambda_"]) ** 2 - (v["eta"] * v["e"]) ** 2
    return w_1**2 - w_2**2


def share_of_the_difference(v):
    before = v["w_1"] ** 2 - v["w_2"] ** 2
    return difference_of_squares(v) / before


def regression_loss(v):
    v["E"] = v["W"] * v["X"] - v["Y"]
    error = F.mse_loss(torch.tensor(v["W"] * v["X"]), torch.tensor(v["Y"]))
    return (error + penalties.l2_penalty(torch.tensor(v["W"]), v["lambda_"])).item()


def slope(name, v):
    W, b = (torch.tensor(v[part], dtype=torch.float64, requires_grad=True) for part in "Wb")
    error = W * v["X"] + b - v["Y"]
    v["E"] = error.item()
    objective = F.mse_loss(error, torch.zeros_like(error)) + penalties.l2_penalty(W, v["lambda_"])
    return torch.autograd.grad(objective, {"W": W, "b": b}[name])[0].item()


def converted(v):
    v["n"], v["k"] = 7, 3
    source, target = "torch.SGD.weight_decay", "sklearn.Ridge.alpha"
    return conventions.convert(v["lambda_"], source, target, n_samples=7, n_outputs=3, decay_bias=False)


def normal_equations(v):
    v["Z"] = v["D"] = 1.0
    y = torch.tensor([v["Y"]], dtype=torch.float64)
    v["Theta_s"] = optimum.least_squares_optimum([[0.0]], y, v["lambda_"], decay_bias=True).bias.item()


def clipped(v):
    """What SGD with a decay takes of a weight at lr 1, after its gradient was clipped to a share c."""
    v["c"] = 0.3
    w = torch.tensor([v["w"]], dtype=torch.float64, requires_grad=True)
    w.grad = torch.tensor([v["g"]], dtype=torch.float64)
    torch.nn.utils.clip_grad_norm_(w, v["c"] * (abs(v["g"]) + 1e-6))  # torch adds this to the norm
    torch.optim.SGD([w], lr=1.0, weight_decay=v["lambda_"]).step()
    return v["w"] - w.item()


# By chapter and left side: what it is to equal; None where both sides have to be equal then.
CASES = {
    ("perceptron_boundary", r"\theta"): first_weight,
    ("perceptron_boundary", r"\lambda_c"): breaking_decay,
    ("lambda_and_batch_size", r"\theta_{t+1}"): one_step,
    ("sgd_sgdw_l1", r"\theta - \eta\,(g + \lambda\theta)"): one_step,
    ("loss_landscapes", "a"): shrunk,
    ("loss_landscapes", r"\theta_{t+1} - \theta^*"): contracted,
    ("loss_landscapes", "d_{t+1}"): with_momentum,
    ("loss_landscapes", "w_1"): lambda v: of_the_product(v)[0].item(),
    ("loss_landscapes", "w_2"): lambda v: of_the_product(v)[1].item(),
    ("loss_landscapes", "w_1^2 - w_2^2"): difference_of_squares,
    ("loss_landscapes", "q"): share_of_the_difference,
    ("what_decay_reaches", r"c\,g + \lambda w"): clipped,
    ("scratch_vs_torch", "J(W, b)"): regression_loss,
    ("scratch_vs_torch", r"\frac{\partial J}{\partial W}"): partial(slope, "W"),
    ("scratch_vs_torch", r"\frac{\partial J}{\partial b}"): partial(slope, "b"),
    ("scratch_vs_torch", r"\alpha"): converted,
    ("scratch_vs_torch", r"\Bigl(\tfrac{2}{nk} Z^\top Z + \lambda D\Bigr)\,\Theta^*"): normal_equations,
}
# They give a name to something, or speak of vectors; the claims of the chapter test what follows.
DEFINITIONS = {
    "perceptron_boundary": {
        r"\gamma_i", r"\theta(t) \approx \hat\theta \log t", r"\hat\theta", r"\gamma", "G_{ij}",
        r"\lambda\gamma", r"\lambda\gamma_1", r"\lambda\gamma_2",
    },
    "scratch_vs_torch": {"E"},
}  # fmt: skip


def displayed(chapter):
    """Yield the sides of each statement in the formulas of a chapter that stand on a line of their own."""
    for _, source in notebooks.markdown(notebooks.read(chapter)):
        for formula in DISPLAYED.findall(source):
            yield from (
                sides for sides in statements(" ".join(formula.split())) if not VECTOR.match(sides[-1])
            )


STATED = [(path.stem, *sides) for path in notebooks.chapters() for sides in displayed(path)]


def test_every_formula_is_tested_or_known_to_define():
    known = CASES.keys() | {(chapter, name) for chapter, names in DEFINITIONS.items() for name in names}
    assert {(chapter, first) for chapter, first, *rest in STATED if rest} <= known
    assert CASES.keys() <= {(chapter, first) for chapter, first, *_ in STATED}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("chapter", "first", "rest"), [(c, f, r) for c, f, *r in STATED if (c, f) in CASES])
def test_a_formula_is_what_is_computed(chapter, first, rest, seed):
    v = Values(seed)
    for side in rest:
        value(side, v)  # draws a number for each of its names
    computed = CASES[chapter, first](v)
    if computed is None:
        computed = value(first, v)
    for side in rest:
        assert computed == pytest.approx(value(side, v), rel=1e-6), side
