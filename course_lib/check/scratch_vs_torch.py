"""The exercises of *How equal is "the same"?*"""

import torch

from course_lib._checking import exercise

__all__ = ["parity_report", "percent_error", "checked_gradient", "ulps", "mended_run"]


def _runs(rng):
    n_steps, features = int(rng.integers(4, 12)), int(rng.integers(1, 5))
    a = torch.from_numpy(rng.normal(size=(n_steps, features)))
    b = a.clone()
    start = int(rng.integers(1, n_steps - 1))
    tolerance = float(10 ** rng.uniform(-8, -3))
    b[start + 1 :] += torch.from_numpy(rng.normal(size=(n_steps - start - 1, features))) * 1e3 * tolerance
    b[start, rng.integers(0, features)] += 1.5 * tolerance * rng.choice([-1.0, 1.0])
    b[: int(rng.integers(0, start))] += 0.9 * tolerance * float(rng.choice([-1.0, 1.0]))
    return {"a": a, "b": b, "tolerance": tolerance}


def _largest(a, b):
    return float((a - b).abs().max())


def _first(a, b, tolerance):
    return int(((a - b).abs() > tolerance).any(dim=1).nonzero()[0])


def _rows_where(beyond):
    """Return the first row in which something is true, 0 if there is none."""
    return int(beyond.any(dim=1).int().argmax())


@exercise(
    cases=[
        {
            "a": torch.tensor([[1.0, 2.0], [0.9, 1.8], [0.8, 1.7]]).double(),
            "b": torch.tensor([[1.0, 2.0], [0.9, 1.8], [0.8, 1.6]]).double(),
            "tolerance": 1e-6,
        },
        {
            "a": torch.tensor([[1.0], [0.5], [-4.0], [0.3]]).double(),
            "b": torch.tensor([[1.0], [0.25], [-5.0], [0.3]]).double(),
            "tolerance": 0.25,
        },
    ],
    draw=_runs,
    wrong={
        "The difference is right. The step is where it is largest, not the first beyond the tolerance.": (
            lambda a, b, tol: (_largest(a, b), int((a - b).abs().amax(dim=1).argmax()))
        ),
        "The difference is right. Steps count from 0.": (
            lambda a, b, tol: (_largest(a, b), _first(a, b, tol) + 1)
        ),
        "The difference is right. A step counts when it is above the tolerance; at it is not above.": (
            lambda a, b, tol: (_largest(a, b), _rows_where((a - b).abs() >= tol))
        ),
        "The difference is right. The tolerance is absolute; isclose adds rtol, relative to b, of its own.": (
            lambda a, b, tol: (_largest(a, b), _rows_where(~torch.isclose(a, b, atol=tol)))
        ),
        "The difference is right. The step is by a norm or sum of the row: a single entry has to be above.": (
            lambda a, b, tol: (_largest(a, b), _rows_where((a - b).norm(dim=1, keepdim=True) > tol))
        ),
        "The difference is right. The step is by a mean over the row: a single entry has to be above.": (
            lambda a, b, tol: (_largest(a, b), _rows_where((a - b).abs().mean(dim=1, keepdim=True) > tol))
        ),
        "The difference is right. The step is the first with all entries above. One is enough.": (
            lambda a, b, tol: (
                _largest(a, b),
                _rows_where(((a - b).abs() > tol).all(dim=1, keepdim=True)),
            )
        ),
        "The difference is right. The step is by a signed difference: a negative one counts, too.": (
            lambda a, b, tol: (_largest(a, b), _rows_where(a - b > tol))
        ),
        "The difference is right. The tolerance is absolute, not a part of each entry.": (
            lambda a, b, tol: (_largest(a, b), _rows_where((a - b).abs() > tol * b.abs()))
        ),
        "The step is right. This is the difference there; ask for the largest of all steps.": (
            lambda a, b, tol: (
                float((a - b)[_first(a, b, tol)].abs().max()),
                _first(a, b, tol),
            )
        ),
        "The difference is right. The step is the last that agrees.": (
            lambda a, b, tol: (_largest(a, b), _first(a, b, tol) - 1)
        ),
        "The difference is right. The step is the first that is not equal to the last bit; ask for more.": (
            lambda a, b, tol: (_largest(a, b), _first(a, b, 0.0))
        ),
        "This is the largest signed difference: a negative one may be larger.": (
            lambda a, b, tol: (float((a - b).max()), _first(a, b, tol))
        ),
        "This is the mean difference, in which a single large one hides.": (
            lambda a, b, tol: (float((a - b).abs().mean()), _first(a, b, tol))
        ),
        "This is the difference at the end. A run may come back.": (
            lambda a, b, tol: (float((a - b)[-1].abs().max()), _first(a, b, tol))
        ),
        "This is the largest relative difference, which a weight near zero makes huge.": (
            lambda a, b, tol: (float(((a - b).abs() / b.abs()).max()), _first(a, b, tol))
        ),
        "This is the difference of the largest entries, not the largest difference of entries.": (
            lambda a, b, tol: (abs(float(a.max() - b.max())), _first(a, b, tol))
        ),
        "This is the length of the difference, a norm over all entries.": (
            lambda a, b, tol: (float((a - b).norm()), _first(a, b, tol))
        ),
        "First the difference, then the step: they are the other way round.": (
            lambda a, b, tol: (_first(a, b, tol), _largest(a, b))
        ),
    },
    hints=[
        "One number over all entries, and one row.",
        "(a - b).abs().max() is the first.",
        "((a - b).abs() > tolerance).any(dim=1) says which steps are beyond; nonzero() finds them.",
    ],
)
def parity_report(a, b, tolerance):
    """Return how far two runs are apart, a row of parameters a step: the
    largest difference, and the first step with one above tolerance."""
    difference = (a - b).abs()
    beyond = (difference > tolerance).any(dim=1).nonzero()
    return difference.max().item(), beyond[0].item()


def _predictions(rng):
    n = int(rng.integers(2, 12))
    target = torch.from_numpy(rng.uniform(0.5, 3.0, size=n) * rng.choice([-1.0, 1.0], size=n))
    return {"prediction": target + torch.from_numpy(rng.normal(size=n)), "target": target}


@exercise(
    cases=[
        {"prediction": torch.tensor([1.1, 8.0]).double(), "target": torch.tensor([1.0, 10.0]).double()},
        {"prediction": torch.tensor([-1.1, 8.0]).double(), "target": torch.tensor([-1.0, 10.0]).double()},
    ],
    draw=_predictions,
    wrong={
        "This is a share. Percent are 100 times as many.": lambda p, t: ((p - t) / t).abs().mean(),
        "It is divided by the prediction. It has to be the target.": (
            lambda p, t: 100 * ((p - t) / p).abs().mean()
        ),
        "The sizes are missing: errors of both signs cancel.": lambda p, t: 100 * ((p - t) / t).mean(),
        "A target below zero turns the sign: take the size of the whole fraction.": (
            lambda p, t: 100 * ((p - t).abs() / t).mean()
        ),
        "This is the mean error in units of the mean target: each row has a target of its own.": (
            lambda p, t: 100 * (p - t).abs().mean() / t.abs().mean()
        ),
        "This is a sum over the rows. It has to be their mean.": lambda p, t: 100 * ((p - t) / t).abs().sum(),
        "These are squares. It has to be sizes.": lambda p, t: 100 * (((p - t) / t) ** 2).mean(),
        "This is the root of a mean of squares. It has to be a mean of sizes.": (
            lambda p, t: 100 * (((p - t) / t) ** 2).mean() ** 0.5
        ),
        "This is the symmetric one, which divides by the mean of both.": (
            lambda p, t: 100 * (2 * (p - t).abs() / (p.abs() + t.abs())).mean()
        ),
        "This is the largest of them. It has to be their mean.": lambda p, t: 100 * ((p - t) / t).abs().max(),
        "This is the median of them.": lambda p, t: 100 * ((p - t) / t).abs().median(),
    },
    hints=[
        "Each row has an error in units of its own target.",
        "Their sizes, their mean, times 100.",
    ],
)
def percent_error(prediction, target):
    """Return the mean absolute percentage error, in percent."""
    return 100 * ((prediction - target) / target).abs().mean()


def _slopes(rng):
    n = int(rng.integers(1, 6))
    matrix = torch.from_numpy(rng.normal(size=(n, n)))
    cubic = torch.from_numpy(rng.normal(size=n))
    return {
        "loss": lambda w: w @ matrix @ w / 2 + (cubic * w**3).sum(),
        "w": torch.from_numpy(rng.normal(size=n)),
        "h": float(10 ** rng.uniform(-3, -1)),
    }


def _moved(loss, w, h):
    return torch.stack([loss(w + step) for step in h * torch.eye(len(w), dtype=w.dtype)])


def _drifting(loss, w, h):
    slopes, w = torch.zeros_like(w), w.clone()
    for i in range(len(w)):
        w[i] += h
        above = loss(w)
        w[i] -= 2 * h
        slopes[i] = (above - loss(w)) / (2 * h)
    return slopes


@exercise(
    cases=[
        {
            "loss": lambda w: (w**2).sum() / 2 + w[0] ** 3,
            "w": torch.tensor([1.0, -2.0]).double(),
            "h": 1e-3,
        }
    ],
    draw=_slopes,
    wrong={
        "This is a difference forward: its error falls with h, that of a central one with h * h.": (
            lambda loss, w, h: (_moved(loss, w, h) - loss(w)) / h
        ),
        "This is a difference backward: its error falls with h, that of a central one with h * h.": (
            lambda loss, w, h: (loss(w) - _moved(loss, w, -h)) / h
        ),
        "It is divided by h. From w - h to w + h it is 2 * h.": (
            lambda loss, w, h: (_moved(loss, w, h) - _moved(loss, w, -h)) / h
        ),
        "It is divided by 2 and multiplied by h: brackets are missing.": (
            lambda loss, w, h: (_moved(loss, w, h) - _moved(loss, w, -h)) / 2 * h
        ),
        "It is not divided by 2 * h.": lambda loss, w, h: _moved(loss, w, h) - _moved(loss, w, -h),
        "The sign is the other way round.": (
            lambda loss, w, h: (_moved(loss, w, -h) - _moved(loss, w, h)) / (2 * h)
        ),
        "All entries move at once: this is the slope along (1, 1, ...). Move one at a time.": (
            lambda loss, w, h: torch.full_like(w, float(loss(w + h) - loss(w - h)) / (2 * h))
        ),
        "This is a second difference, the curvature.": (
            lambda loss, w, h: (_moved(loss, w, h) - 2 * loss(w) + _moved(loss, w, -h)) / h**2
        ),
        "The step is h / 2, and the division by 2 * h.": (
            lambda loss, w, h: (_moved(loss, w, h / 2) - _moved(loss, w, -h / 2)) / (2 * h)
        ),
        "This is exact, as by autograd or more points. Central differences, which check it, err by h * h.": (
            lambda loss, w, h: torch.func.grad(loss)(w)
        ),
        "Each entry moves by h times its own size. The step is h for all.": (
            lambda loss, w, h: torch.stack(
                [
                    (loss(w + step) - loss(w - step)) / (2 * step.abs().sum())
                    for step in h * torch.diag(w.abs())
                ]
            )
        ),
        "An entry that has moved does not come back before the next one does.": _drifting,
        "Only the first entry moves; the others stay zero: is the loop left too early?": (
            lambda loss, w, h: (
                (_moved(loss, w, h) - _moved(loss, w, -h)) / (2 * h) * (torch.arange(len(w)) == 0)
            )
        ),
        "This is the sum of both sides, not their difference.": (
            lambda loss, w, h: (_moved(loss, w, h) + _moved(loss, w, -h)) / (2 * h)
        ),
    },
    tolerance=1e-8,
    hints=[
        "The slope in one entry: how much does the loss change from a bit before to a bit after?",
        "(loss(w + step) - loss(w - step)) / (2 * h), where step is h in one entry and 0 elsewhere.",
    ],
)
def checked_gradient(loss, w, h):
    """Return the gradient of loss(w) by central differences of step h:
    move one entry of w at a time, up and down by h."""
    slopes = torch.zeros_like(w)
    for i in range(len(w)):
        step = torch.zeros_like(w)
        step[i] = h
        slopes[i] = (loss(w + step) - loss(w - step)) / (2 * h)
    return slopes


def _neighbors(rng):
    a = torch.from_numpy(rng.uniform(0.1, 900.0, size=rng.integers(1, 6))).float()
    off = torch.from_numpy(rng.integers(0, 40, size=len(a))).int()
    return {"a": a, "b": (a.view(torch.int32) + off).view(torch.float32)}


def _step_at(x):
    return (torch.nextafter(x, torch.full_like(x, torch.inf)) - x).double()


@exercise(
    cases=[
        {
            "a": torch.tensor([1.0, 2.0]),
            "b": torch.tensor([1.0 + 2**-23, 2.0 - 3 * 2**-23]),
        },
        {
            "a": torch.tensor([2.0 - 2**-23, 4.0 + 2**-21]),
            "b": torch.tensor([2.0 + 2**-22, 4.0 - 2**-22]),
        },
    ],
    draw=_neighbors,
    wrong={
        "These are differences in units of eps, which is right between 1 and 2 only.": (
            lambda a, b: (a - b).abs().double() / 2**-23
        ),
        "The sign has to go: how many steps, whatever the direction.": (
            lambda a, b: b.view(torch.int32) - a.view(torch.int32)
        ),
        "These are units of the smaller number. Beyond a power of two a step is twice as long: count.": (
            lambda a, b: (a.double() - b.double()).abs() / _step_at(torch.minimum(a, b))
        ),
        "These are units of the larger number. Below a power of two a step is half as long: count.": (
            lambda a, b: (a.double() - b.double()).abs() / _step_at(torch.maximum(a, b))
        ),
        "These are units of a alone. Across a power of two the steps differ: count.": (
            lambda a, b: (a.double() - b.double()).abs() / _step_at(a)
        ),
        "These are units of b alone. Across a power of two the steps differ: count.": (
            lambda a, b: (a.double() - b.double()).abs() / _step_at(b)
        ),
        "The sign has to go: take the size.": lambda a, b: a.view(torch.int32) - b.view(torch.int32),
        "One too many: equal numbers are 0 steps apart.": (
            lambda a, b: (a.view(torch.int32) - b.view(torch.int32)).abs() + 1
        ),
        "One too few: neighbors are 1 step apart.": (
            lambda a, b: (a.view(torch.int32) - b.view(torch.int32)).abs() - 1
        ),
        "These are plain differences, not counted.": lambda a, b: (a - b).abs(),
        "These are relative differences in units of eps: off by up to 2 within a power of two.": (
            lambda a, b: ((a - b).abs() / b).double() / 2**-23
        ),
        "This is eps of float64; the numbers are float32.": lambda a, b: (a - b).abs().double() / 2**-52,
        "This is half of the steps.": (lambda a, b: (a.view(torch.int32) - b.view(torch.int32)).abs() / 2),
        "This is the largest of them. Return one for each pair.": (
            lambda a, b: (a.view(torch.int32) - b.view(torch.int32)).abs().max().expand(len(a))
        ),
    },
    hints=[
        "As whole numbers, the bits of two neighbors differ by 1.",
        "a.view(torch.int32) reads the bits of float32 as whole numbers.",
    ],
)
def ulps(a, b):
    """Return how many steps of float32 lie between the entries of a and
    b, which are positive: 0 if they are equal, 1 if neighbors."""
    return (a.view(torch.int32) - b.view(torch.int32)).abs()


def _gradients(rng):
    n_steps, features = int(rng.integers(3, 9)), int(rng.integers(1, 5))
    lr, momentum, dampening = rng.uniform(0.1, 0.9, size=3)
    return {
        "w": torch.from_numpy(rng.normal(size=features)),
        "gradients": torch.from_numpy(rng.normal(size=(n_steps, features))),
        "lr": float(lr),
        "momentum": float(momentum),
        "dampening": float(dampening),
    }


def _dampened(w, gradients, lr, momentum, dampening):
    velocity = torch.zeros_like(w)
    for gradient in gradients:
        velocity = momentum * velocity + (1 - dampening) * gradient
        w = w - lr * velocity
    return w


def _from_moving(w, gradients, lr, momentum, dampening, moves):
    velocity = torch.zeros_like(w)
    for gradient in gradients:
        dampened = momentum * velocity + (1 - dampening) * gradient
        velocity = torch.where(moves(velocity), dampened, gradient)
        w = w - lr * velocity
    return w


def _by_torch(w, gradients, lr, momentum, dampening, skipped=0, **how):
    parameter = torch.nn.Parameter(w.clone())
    optimizer = torch.optim.SGD([parameter], lr=lr, momentum=momentum, dampening=dampening, **how)
    for gradient in gradients[skipped:]:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


@exercise(
    cases=[
        {
            "w": torch.tensor([1.0, -2.0]).double(),
            "gradients": torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]).double(),
            "lr": 0.1,
            "momentum": 0.9,
            "dampening": 0.5,
        },
        {
            "w": torch.tensor([1.0, -2.0]).double(),
            "gradients": torch.tensor([[0.0, 0.0], [1.0, 2.0], [1.0, 1.0]]).double(),
            "lr": 0.1,
            "momentum": 0.9,
            "dampening": 0.5,
        },
    ],
    draw=_gradients,
    given=_dampened,
    wrong={
        "The first gradient is dampened still. torch takes it whole.": _dampened,
        "The dampening is gone. torch dampens each gradient but the first.": (
            lambda w, g, lr, mu, tau: _dampened(w, g, lr, mu, 0.0)
        ),
        "A velocity of zero is taken for the first step. The first gradient may be zero: count the steps.": (
            lambda w, g, lr, mu, tau: _from_moving(w, g, lr, mu, tau, torch.any)
        ),
        "An entry of zero is taken for the first step. Count the steps.": (
            lambda w, g, lr, mu, tau: _from_moving(w, g, lr, mu, tau, lambda velocity: velocity != 0)
        ),
        "This is the first step alone: is the loop left too early?": lambda w, g, lr, mu, tau: w - lr * g[0],
        "Now the first gradient is lost. It is the first velocity.": (
            lambda w, g, lr, mu, tau: _by_torch(w, g, lr, mu, tau, skipped=1)
        ),
        "The first gradient moves the weights, and the velocity forgets it.": (
            lambda w, g, lr, mu, tau: _dampened(w - lr * g[0], g[1:], lr, mu, tau)
        ),
        "The first gradient is in the velocity twice: whole, and dampened once more.": (
            lambda w, g, lr, mu, tau: _by_torch(w, torch.cat([(mu + 1 - tau) * g[:1], g[1:]]), lr, mu, tau)
        ),
        "The second gradient is not dampened, either. Only the first is taken whole.": (
            lambda w, g, lr, mu, tau: _by_torch(w, torch.cat([g[:1], g[1:2] / (1 - tau), g[2:]]), lr, mu, tau)
        ),
        "Momentum and dampening have changed places.": lambda w, g, lr, mu, tau: _by_torch(w, g, lr, tau, mu),
        "Dampening takes 1 - dampening off here; it has to leave that.": (
            lambda w, g, lr, mu, tau: _by_torch(w, g, lr, mu, 1 - tau)
        ),
        "This is an average: 1 - momentum in the place of 1 - dampening.": (
            lambda w, g, lr, mu, tau: _by_torch(w, g, lr, mu, mu)
        ),
        "All is multiplied by 1 - dampening, the velocity before, too.": (
            lambda w, g, lr, mu, tau: _by_torch(w, g, lr, mu * (1 - tau), tau)
        ),
        "The weights move by the velocity of the step before. Renew it first.": (
            lambda w, g, lr, mu, tau: _by_torch(w, g[:-1], lr, mu, tau)
        ),
        "The sign has changed: the weights climb.": (
            lambda w, g, lr, mu, tau: _by_torch(w, g, lr, mu, tau, maximize=True)
        ),
    },
    hints=[
        "Run it beside torch.optim.SGD and compare after each step. Which is the first that differs?",
        "The very first. By what does torch multiply the first gradient? Its documentation has an `if`.",
        "By 1: the first velocity is the gradient itself. Only later ones are dampened.",
    ],
)
def mended_run(w, gradients, lr, momentum, dampening):
    """Return w after a step of SGD for each row of gradients,
    as torch's SGD would do it. Mend the bug."""
    velocity = torch.zeros_like(w)
    for step, gradient in enumerate(gradients):
        fresh = gradient if step == 0 else (1 - dampening) * gradient
        velocity = momentum * velocity + fresh
        w = w - lr * velocity
    return w
