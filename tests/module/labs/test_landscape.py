"""The lab on landscapes, against torch's paths, eigenvalues and minimizers of other kinds."""

from functools import cache, partial
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch.autograd.functional import hessian

from course_lib import labs
from course_lib.data import curved_points
from course_lib.landscape import descent_paths
from tests.javascript import close, counted, moved, script

OPTIONS = ("lr", "momentum", "dampening", "nesterov", "weight_decay")
SCALES = {
    "MSELoss": F.mse_loss,
    "L1Loss": F.l1_loss,
    "HuberLoss": F.huber_loss,
    "SmoothL1Loss": F.smooth_l1_loss,
    "valley": lambda prediction, target: F.mse_loss(prediction, target) / 2,
}


def fitted(loss, condition_number, **_):
    """Return the points of a lab on a landscape, as columns."""
    if loss != "valley":
        return curved_points(torch.float64)
    X = torch.tensor([[1.0], [-1.0]], dtype=torch.float64) * condition_number**0.5
    return X, 2 * X + 2


def walked(settings, n_steps):
    """Return the path of torch, by course_lib."""
    X, y = fitted(**settings)
    options = {name: settings[name] for name in OPTIONS} | {"loss_fn": SCALES[settings["loss"]]}
    line = torch.nn.Linear(1, 1, dtype=torch.float64)
    return descent_paths(line, X, y, settings["start"][0], n_steps=n_steps, **options)[0].numpy()


@cache
def lowest(loss, condition_number, decay):
    """Return where loss + penalty is lowest."""
    X, y = (column[:, 0].numpy() for column in fitted(loss, condition_number))
    Z = np.stack([X, np.ones_like(X)], axis=1)
    if loss == "L1Loss":
        return lowest_l1(Z, y, decay)
    scale, width = (
        (2 if loss == "MSELoss" else 1) / len(Z),
        1 if "1Loss" in loss or "Huber" in loss else np.inf,
    )
    inside, signs = np.full(len(Z), True), np.zeros(len(Z))
    for _ in range(50):  # Newton's method: where it stays, the slope is zero
        H = scale * Z[inside].T @ Z[inside] + decay * np.eye(2)
        theta = np.linalg.solve(H, scale * (Z[inside].T @ y[inside] - Z.T @ signs))
        before, errors = inside, Z @ theta - y
        inside = abs(errors) < width
        signs = np.where(inside, 0, np.sign(errors))
        if (inside == before).all():
            return theta
    raise AssertionError("Newton's method does not stay")


def lowest_l1(Z, y, decay):
    """Return the lowest line through two points, or what the dual problem says of which points it touches."""
    if not decay:
        pairs = (np.array(pair) for pair in combinations(range(len(Z)), 2))
        return min(
            (np.linalg.solve(Z[pair], y[pair]) for pair in pairs), key=lambda line: abs(Z @ line - y).mean()
        )
    most = 1 / len(Z)
    dual = minimize(
        lambda a: (((Z.T @ a) ** 2).sum() / 2 / decay - a @ y, Z @ (Z.T @ a) / decay - y),
        np.zeros(len(Z)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-most, most)] * len(Z),
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000, "maxfun": 100_000},
    ).x
    touched = abs(dual) < 0.999 * most
    pull = most * np.sign(np.where(touched, 0, dual)) @ Z
    zeros = np.zeros((touched.sum(),) * 2)
    equations = np.block([[decay * np.eye(2), -Z[touched].T], [Z[touched], zeros]])
    return np.linalg.solve(equations, np.concatenate([pull, y[touched]]))[:2]


def lowest_of(settings):
    return lowest(settings["loss"], settings["condition_number"], settings["weight_decay"])


def curvatures(settings):
    """Return the eigenvalues of the second derivatives of the bare loss, where loss + penalty is lowest."""
    X, y = fitted(**settings)
    loss = partial(SCALES[settings["loss"]], target=y)
    theta = torch.tensor(lowest_of(settings))
    return torch.linalg.eigvalsh(hessian(lambda theta: loss(X * theta[0] + theta[1]), theta)).numpy()


def one_step(h, settings):
    """Return the matrix of a step along an eigenvector, in distance and velocity."""
    lr, mu, h = settings["lr"], settings["momentum"], h + settings["weight_decay"]
    fresh = 1 - settings["dampening"] * (mu > 0)
    if settings["nesterov"]:
        return np.array([[1 - lr * h * (1 + mu), -lr * mu**2], [h, mu]])
    return np.array([[1 - lr * fresh * h, -lr * mu], [fresh * h, mu]])


def factor(h, settings):
    return abs(np.linalg.eigvals(one_step(h, settings))).max()


def largest_lr(h, settings):
    """Return the limits of chapter 4."""
    mu, h = settings["momentum"], h + settings["weight_decay"]
    fresh = 1 - settings["dampening"] * (mu > 0)
    return 2 * (1 + mu) / ((1 + 2 * mu) * h if settings["nesterov"] else fresh * h)


def shown(value):
    text = f"{value:.4f}" if abs(value) < 1000 else counted(int(float(f"{value:.3e}")))
    return "0.0000" if text == "-0.0000" else text


@cache
def first_landscape():
    return labs.landscape()


def landscape_at(**setting):
    """Return the lab at a setting, without a figure."""
    first = first_landscape()
    return labs.Lab(first.name, first.settings | setting, first.data)


ROLLING = [
    {},
    {"lr": 0.97},
    {"lr": 1.0, "n_steps": 400},  # which diverges
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 2.0},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 2.0},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.8},
    {"lr": 0.03, "dampening": 0.5},  # which does nothing without momentum
    {"lr": 0.02, "momentum": 0.5, "dampening": 0.9, "weight_decay": 0.01, "start": [[-4.9, 7.3]]},
]


@pytest.mark.parametrize("setting", ROLLING, ids=str)
@pytest.mark.parametrize("loss", SCALES)
def test_path_of_the_landscape_lab_is_that_of_torch(loss, setting):
    slow = {"lr": setting.get("lr", 0.1) / 10} if loss == "valley" else {}
    lab = landscape_at(**{"loss": loss, "condition_number": 30.0} | setting | slow)
    path = "descentPath(pointsOf(settings, data), settings)"
    found = np.array(script("landscape")(path, settings=lab.settings, data=lab.data))
    path = walked(lab.settings, 1000)
    within = 1 + np.flatnonzero(np.hypot(*path.T) <= 1e6)[-1]
    assert len(found) == min(within + 1, 1001)
    assert (np.linalg.norm(found[:within], axis=1) <= 1e6).all()
    close(found, path[: len(found)])


DECAYS = (0.0, 0.01, 0.3, 0.4, 0.6, 0.8, 2.5, 10.0)  # lines that touch two, one and no points with an L1 loss


@pytest.mark.parametrize("loss", SCALES)
def test_lowest_points_of_the_landscape_lab(loss):
    for decay in DECAYS:
        lab = landscape_at(loss=loss, condition_number=17.0, weight_decay=decay)
        lowest_point = "bottom(pointsOf(settings, data), settings.loss, settings.weight_decay)"
        found = script("landscape")(lowest_point, settings=lab.settings, data=lab.data)
        close(found["theta"], lowest(loss, 17.0, decay))
        close(found["curvatures"], curvatures(lab.settings), atol=1e-11)


def test_loss_of_the_landscape_lab_bends_as_torch_says_where_its_pieces_meet():
    for error in (-1.0, -0.999, 1.0, 1.001):
        run, theta = script("landscape"), torch.tensor([0.0, error], dtype=torch.float64)
        zero = torch.zeros(1, dtype=torch.float64)
        bends = hessian(lambda theta, zero=zero: F.huber_loss(theta[1:], zero), theta).diagonal()
        found = run("curvaturesAt([[0, 0]], 'HuberLoss', theta)", theta=theta.tolist())
        assert found == sorted(bends.tolist())


RULES = [
    {"weight_decay": 0.0},
    {"weight_decay": 0.7},
    {"dampening": 0.6, "weight_decay": 0.7},
    {"nesterov": True, "momentum": 0.3},
    {"nesterov": True, "momentum": 0.3, "weight_decay": 3.0},
]


@pytest.mark.parametrize("setting", RULES, ids=str)
@pytest.mark.parametrize("loss", ["MSELoss", "HuberLoss", "valley"])
def test_map_of_the_landscape_lab_is_that_of_the_eigenvalues(loss, setting):
    lab = landscape_at(loss=loss, **setting)
    run, hs = script("landscape"), curvatures(lab.settings)
    lrs, momenta = run("LRS"), run("MOMENTA")
    assert (lrs[0], lrs[-1]) == pytest.approx((1e-3, 10))
    assert (momenta[0], momenta[-1]) == (0, 0.99)
    cells = [[lab.settings | {"lr": lr, "momentum": momentum} for lr in lrs] for momentum in momenta]
    expected = [[max(factor(h, cell) for h in hs) for cell in row] for row in cells]
    # Where two eigenvalues nearly coincide, both sides keep half of the digits.
    found = np.array(run.run(lab)["rates"])
    np.testing.assert_allclose(found, expected, rtol=3e-8)
    assert np.mean(abs(found / expected - 1) < 1e-11) > 0.9
    for momentum in momenta:
        settings = lab.settings | {"momentum": momentum}
        limit = run("largestLr(h, settings)", h=hs[1], settings=settings)
        close(limit, largest_lr(hs[1], settings))
        for lr, stable in ((0.999 * limit, True), (1.001 * limit, False)):
            assert (factor(hs[1], settings | {"lr": lr}) < 1) == stable


def test_an_l1_loss_and_what_torch_refuses_have_no_map_in_the_landscape_lab():
    run = script("landscape")
    for setting in ({"loss": "L1Loss"}, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}):
        found = run.run(landscape_at(**setting))
        assert "rates" not in found
        assert (found["path"] is None) == ("nesterov" in setting)


def test_numbers_of_the_landscape_lab_are_short():
    numbers = [0.12346, -0.00001, 999.99, -1234.0, 1234567.0]
    told = ["0.1235", "0.0000", "999.9900", "\N{MINUS SIGN}" + counted(1234), counted(1235000)]
    assert script("landscape")("numbers.map(amount)", numbers=numbers) == told


def test_each_level_of_the_landscape_lab_has_its_shade():
    run = script("landscape")
    levels = [0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1]
    assert run("factors.map(shade)", factors=levels) == run("SHADES")
    assert run("factors.map(shade)", factors=[level + 1e-9 for level in levels]) == [
        *run("SHADES")[1:],
        "none",
    ]


def test_lines_of_the_landscape_lab_lie_where_the_value_is_equal():
    for loss in ("MSELoss", "L1Loss", "valley"):
        lab = landscape_at(loss=loss, condition_number=4.0, weight_decay=0.5)
        X, y = fitted(**lab.settings)
        found = script("landscape").run(lab)
        for decay, pieces in ((0.5, found["lines"]), (0.0, found["bareLines"])):

            def value(thetas, decay=decay, X=X, y=y, loss=loss):
                each = [SCALES[loss](X * weight + bias, y) for weight, bias in thetas]
                return torch.stack(each).numpy() + decay / 2 * (np.asarray(thetas) ** 2).sum(axis=1)

            floor = value([lowest(loss, 4.0, decay)])
            corners = [(weight, bias) for weight in (-5, 8) for bias in (-5, 8)]
            step = np.sqrt(value(corners).max() - floor) / 12
            ends = np.array(pieces)[:, :, ::-1].reshape(-1, 2)  # weight, bias
            levels = np.sqrt(np.maximum(value(ends) - floor, 0)) / step
            assert abs(levels - levels.round()).max() < 0.08
            assert set(levels.round()) == set(range(1, 12))


FATES = [
    {"lr": 0.9},
    {"lr": 1.0},
    {"lr": 1.5, "momentum": 0.9, "weight_decay": 0.1},
    {"lr": 1.25, "momentum": 0.9, "weight_decay": 1.0},
    {"loss": "HuberLoss", "lr": 2.0},
    {"loss": "HuberLoss", "lr": 2.5},
    {"loss": "HuberLoss", "lr": 0.69, "weight_decay": 3.0},
    {"loss": "L1Loss", "lr": 0.1},
    {"loss": "L1Loss", "lr": 0.1, "weight_decay": 0.3},
    {"loss": "L1Loss", "lr": 0.1, "weight_decay": 10.0},
    {"loss": "L1Loss", "lr": 0.41, "weight_decay": 5.0},
    {"loss": "valley", "lr": 0.0198},
    {"loss": "valley", "lr": 0.0202},
    {"loss": "valley", "lr": 0.02},
    {"loss": "valley", "lr": 0.0143, "momentum": 0.6, "nesterov": True},
    {"loss": "valley", "lr": 0.0147, "momentum": 0.6, "nesterov": True},
]


@pytest.mark.parametrize("setting", FATES, ids=str)
def test_paths_become_what_the_landscape_lab_says(setting):
    lab = landscape_at(**setting)
    said = script("landscape").facts(lab)["in the long run"].split(",")[0].split(":")[0]
    path = walked(lab.settings, 2000)
    away = np.linalg.norm(path - lowest_of(lab.settings), axis=1)
    last = away[-100:].max()
    became = (
        "converges"
        if last < 1e-9
        else "diverges"
        if last > 1e6
        else "hovers about the lowest point"
        if lab.settings["loss"] == "L1Loss"
        else "jumps to and fro forever"
        if np.ptp(away[-100:]) < 1e-9
        else "does not come to rest"
    )
    assert said == became
    assert became in ("converges", "diverges") or 1e-4 < last < 10


def told_of_a_landscape(lab):
    """Return what the lab on a landscape has to tell."""
    settings = lab.settings
    bottom, bare = lowest_of(settings), lowest_of(settings | {"weight_decay": 0})
    here = "({}, {})".format
    facts = {
        "lowest point of the loss": here(*map(shown, bare)),
        "lowest point of loss + penalty": here(*map(shown, bottom)),
    }
    if settings["nesterov"] and (settings["momentum"] == 0 or settings["dampening"]):
        facts = {"no path": "Nesterov needs momentum above 0 and no dampening"} | facts
    else:
        facts |= told_of_a_path(settings, bottom) | told_of_a_pace(settings, bottom)
    return {what: text.replace("-", "\N{MINUS SIGN}") for what, text in facts.items()}


def told_of_a_path(settings, bottom):
    n_steps, (X, y) = settings["n_steps"], fitted(**settings)
    path = walked(settings, n_steps)
    what = f"weight and bias after {counted(n_steps)} step" + "s" * (n_steps > 1)
    (beyond,) = (np.linalg.norm(path, axis=1) > 1e6).nonzero()
    if len(beyond):
        return {what: f"beyond a million since step {beyond[0]}"}
    theta = torch.tensor(path[-1])
    return {
        what: f"({shown(theta[0])}, {shown(theta[1])})",
        "loss there": shown(SCALES[settings["loss"]](X * theta[0] + theta[1], y).item()),
        "penalty there": shown(settings["weight_decay"] / 2 * (theta @ theta).item()),
        "distance to the lowest point": shown(np.linalg.norm(path[-1] - bottom)),
    }


def told_of_a_pace(settings, bottom):
    loss, decay = settings["loss"], settings["weight_decay"]
    X, y = (column[:, 0].numpy() for column in fitted(**settings))
    hs = curvatures(settings)
    rate = max(factor(h, settings) for h in hs)
    bowl = loss in ("MSELoss", "valley")
    ends = (
        {True: "converges", False: "diverges"}
        if bowl
        else {True: "converges, once it is near", False: "does not come to rest"}
    )
    end = ends[bool(rate < 1)] if abs(rate - 1) > 1e-9 else "jumps to and fro forever"
    if loss == "L1Loss" and (abs(X * bottom[0] + bottom[1] - y) < 1e-7).any():
        end = "hovers about the lowest point"
    if not bowl and decay and factor(0.0, settings) > 1:
        end = "diverges: the decay alone is too large"
    if loss == "L1Loss":
        return {"curvatures": "none: an L1 loss is made of planes", "in the long run": end}
    return {
        "curvatures of loss + penalty there": f"{shown(hs[0] + decay)} and {shown(hs[1] + decay)}",
        "factor per step": shown(rate),
        "largest stable lr": shown(largest_lr(hs[1], settings)),
        "in the long run": end,
    }


def test_landscape_lab_tells_at_each_setting_what_course_lib_computes():
    for lab in moved(labs.landscape):
        assert script("landscape").facts(lab) == told_of_a_landscape(lab), lab.settings


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("condition_number", 0.99),
        ("condition_number", 1001.0),
        ("lr", 0.0009),
        ("lr", 10.1),
        ("momentum", 1.0),
        ("dampening", 1.0),
        ("weight_decay", 10.5),
        ("n_steps", 1001),
        ("start", [6.0, -5.1]),
        ("start", [8.1, 0.0]),
        ("start", [6.0, -3.0, 1.0]),
        ("nesterov", True),  # without momentum
    ],
)
def test_landscape_lab_refuses_what_its_controls_do_not_reach(argument, value):
    with pytest.raises(ValueError, match=argument):
        labs.landscape(**{argument: value})


def test_landscape_lab_shows_what_chapter_4_says():
    lab = labs.landscape(loss="valley", lr=0.02, momentum=0.6, weight_decay=1.0, bare=True)

    def facts(**setting):
        return script("landscape").facts(labs.Lab("landscape", lab.settings | setting, lab.data))

    def end(told):
        (place,) = (text for what, text in told.items() if what.startswith("weight and bias"))
        return np.array(place.strip("()").replace("\N{MINUS SIGN}", "-").split(", "), dtype=float)

    plain = {"loss": "MSELoss", "momentum": 0, "weight_decay": 0}
    first, second, last = (end(facts(**plain, lr=0.6, n_steps=n))[1] for n in (1, 2, 100))
    assert first - last > 1 > 0.3 > abs(second - last)  # past the minimum and back
    assert facts(**plain, lr=1.0)["in the long run"] == "diverges"
    limits = [
        float(facts(**plain | {"weight_decay": decay}, lr=0.1)["largest stable lr"]) for decay in (0, 1, 10)
    ]
    assert limits == sorted(limits, reverse=True)
    bare = facts(momentum=0, weight_decay=0)
    assert bare["in the long run"] == "jumps to and fro forever"
    assert bare["largest stable lr"] == "0.0200"
    rates = [
        float(facts(weight_decay=0, lr=0.03, momentum=momentum)["factor per step"])
        for momentum in (0.5, 0.7, 0.9)
    ]
    assert rates[1] < 0.84 < 0.94 < min(rates[0], rates[2])
    weight, bias = np.array([end(facts(weight_decay=decay)) for decay in (0.1, 10)]).T
    assert bias[1] < 0.2 < 1.8 < weight[1]
    assert float(facts(dampening=0.5)["largest stable lr"]) > float(facts()["largest stable lr"])


def test_landscape_lab_draws_what_is_descended_and_the_bare_loss_beside_it():
    labs.landscape(momentum=0.9, nesterov=True, weight_decay=2.0, bare=True, n_steps=5)
    descended, bare = plt.gcf().axes[:2]
    assert [ax.get_title() for ax in (descended, bare)] == ["loss + penalty", "the loss"]
    (path,) = (line for line in bare.lines if line.get_label() == "Nesterov")
    settings = labs.landscape().settings | {"momentum": 0.9, "nesterov": True, "weight_decay": 2.0}
    np.testing.assert_allclose(np.transpose(path.get_data())[:, ::-1], walked(settings, 5), rtol=1e-6)
    text = repr(plt.figure(1))
    assert "lowest 0.71" in text
    plt.close("all")
    labs.landscape(lr=10.0, weight_decay=10.0)  # a path that is not followed to its end
    (path,) = (line for line in plt.gcf().axes[0].lines if line.get_label() == "plain descent")
    assert len(path.get_xdata()) == 4
