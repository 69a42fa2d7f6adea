"""One test a claim of book/lambda_and_batch_size.ipynb; its docstring is the claim, word for word."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from torch.nn.utils import parameters_to_vector

from course_lib.data import augment
from course_lib.distributed import data_parallel
from course_lib.models import Perceptron
from course_lib.optimizers import SGDW
from course_lib.optimum import logistic_objective, logistic_optimum
from course_lib.penalties import l2_penalty
from course_lib.probe import coast
from course_lib.scratch import logistic_descent, logistic_sweep
from course_lib.training import train
from tests.refuting import being, plus, refuted_by, times

M, LR, LAM = 1096, 0.05, 0.1
classification = partial(
    make_classification,
    n_features=4,
    n_informative=3,
    n_redundant=1,
    n_clusters_per_class=1,
    flip_y=0.05,
)
X, y = classification(n_samples=M, random_state=7)
y = y.astype(float)
X_t, y_t = torch.from_numpy(X), torch.from_numpy(y)

# The chapter's ten draws: rows and labels to train on and held out; and the first 1024 side by side.
DRAWS = [
    (X_train, y_train.astype(float), X_held, y_held.astype(float))
    for X_one, y_one in (classification(n_samples=1372, random_state=seed) for seed in range(1, 11))
    for X_train, X_held, y_train, y_held in [train_test_split(X_one, y_one, train_size=M, random_state=0)]
]
ROWS = torch.stack([augment(draw[0][:1024]) for draw in DRAWS])
LABELS = torch.stack([torch.from_numpy(draw[1][:1024]) for draw in DRAWS])
SUM = partial(F.binary_cross_entropy, reduction="sum")
assert_equal = partial(torch.testing.assert_close, rtol=0, atol=1e-12)


def turned_round(rows):
    return rows[::-1]


def torch_path(
    n_epochs,
    *,
    lr=LR,
    weight_decay=LAM,
    loss_fn=F.binary_cross_entropy,
    batch_size=None,
    rows=M,
    kind=torch.optim.SGD,
):
    """Weights and bias after each epoch from zero, of SGD unless another kind is named."""
    model = Perceptron(4, dtype=torch.float64)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = kind(model.parameters(), lr=lr, weight_decay=weight_decay)
    settings = {"n_epochs": n_epochs, "batch_size": batch_size, "loss_fn": loss_fn}
    history = train(model, X_t[:rows], y_t[:rows], optimizer, **settings)
    return torch.cat([history["linear.weight"][:, 0], history["linear.bias"]], dim=1)


def ten_paths(batch_size, *, n_epochs=40, rows=ROWS, labels=LABELS, kind=torch.optim.SGD, **settings):
    """Parameters of all draws after each epoch from zero, as rows of one tensor; gradients by hand."""
    theta, path = torch.zeros(len(rows), 5, dtype=torch.float64), []
    optimizer = kind([theta], **settings)
    for _ in range(n_epochs):
        for Z, target in zip(rows.split(batch_size, dim=1), labels.split(batch_size, dim=1), strict=True):
            wrong = torch.sigmoid(Z @ theta[..., None]) - target[..., None]
            theta.grad = (Z.mT @ wrong)[..., 0] / batch_size
            optimizer.step()
        path.append(theta.clone())
    return torch.stack(path)


def posted_program(n_epochs, X=X, y=y):
    """The question's loop: the division by m comes last and hits the penalty."""
    Z, theta, path = np.column_stack([X, np.ones(M)]), np.zeros(5), []
    for _ in range(n_epochs):
        gradient = Z.T @ (1 / (1 + np.exp(-Z @ theta)) - y) + LAM * theta
        theta = theta - LR * gradient / M
        path.append(theta)
    return np.array(path)


@refuted_by(logistic_descent, weight_decay=times(1.001))
@refuted_by(torch.optim.SGD, weight_decay=times(1.001))
def test_lambda_over_m():
    """The posted scratch program and torch differ by lambda/m against lambda alone: with that corrected on either side they agree to 1e-12 after each of 1000 epochs."""
    posted, in_torch = posted_program(1000), torch_path(1000).numpy()
    assert abs(posted - in_torch).max() > 0.1
    assert_equal(torch_path(1000, weight_decay=LAM / M).numpy(), posted)
    assert_equal(logistic_descent(X, y, lr=LR, n_steps=1000, weight_decay=LAM), in_torch)


@refuted_by(torch.optim.SGD, weight_decay=times(1.01))
def test_one_step():
    """In the answer's example torch steps from 1 to 4.1 and its bias to 1.9; dividing the decay by the rows would give 4.15."""
    stepped = {}
    for weight_decay in (1.0, 1.0 / 2):
        line = torch.nn.Linear(1, 1)
        for parameter in line.parameters():
            torch.nn.init.ones_(parameter)
        optimizer = torch.optim.SGD(line.parameters(), lr=0.1, weight_decay=weight_decay)
        predictions = line(torch.tensor([[2.0], [4.0]]))
        assert predictions.flatten().tolist() == [3, 5]
        loss = F.mse_loss(predictions, torch.tensor([[7.0], [11.0]]))
        loss.backward()
        assert [loss.item(), line.weight.grad.item(), line.bias.grad.item()] == [26, -32, -10]
        optimizer.step()
        stepped[weight_decay] = [line.weight.item(), line.bias.item()]
    assert stepped[1.0] == pytest.approx([4.1, 1.9])
    assert stepped[0.5][0] == pytest.approx(4.15)


@refuted_by(logistic_sweep, weight_decays=times(0.5))
@refuted_by(logistic_sweep, weight_decays=plus(0.01))
def test_hardly_decayed():
    """Over ten draws the posted scratch program ends with weights 1.5 to 2.2 times as long as torch's, and as long as without decay to 0.2 %."""
    for X_one, y_one, *_ in DRAWS:
        posted = np.linalg.norm(posted_program(1000, X_one, y_one)[-1, :4])
        in_torch, free = np.linalg.norm(
            logistic_sweep(X_one, y_one, [LAM, 0.0], lr=LR, n_steps=1000)[:, :4], axis=1
        )
        assert 1.5 < posted / in_torch < 2.2
        assert posted == pytest.approx(free, rel=0.002)


@refuted_by(logistic_descent, weight_decay=times(0.001))
@refuted_by(logistic_objective, weight_decay=being(0.0))
def test_reported_cost():
    """After the answer's repair the reported loss can rise at every epoch while the objective falls at every epoch; from the posted program's weights on it does in ten of ten draws."""
    for X_one, y_one, *_ in DRAWS:
        start = posted_program(1000, X_one, y_one)[-1]
        path = logistic_descent(X_one, y_one, lr=LR, n_steps=300, weight_decay=LAM, start=start)
        path = np.vstack([start, path])
        assert (np.diff(logistic_objective(X_one, y_one, path)) > 0).all()
        assert (np.diff(logistic_objective(X_one, y_one, path, LAM, decay_bias=True)) < 0).all()


@refuted_by(logistic_sweep, result=turned_round)
def test_own_measure():
    """Of the weights trained with lambda and with lambda/m, each has the lower objective by its own penalty, in ten of ten draws."""
    for X_one, y_one, *_ in DRAWS:
        strong, weak = logistic_sweep(X_one, y_one, [LAM, LAM / M], lr=LR, n_steps=1000)
        for winner, loser, weight_decay in ((strong, weak, LAM), (weak, strong, LAM / M)):
            won, lost = (
                logistic_objective(X_one, y_one, theta, weight_decay, decay_bias=True)
                for theta in (winner, loser)
            )
            assert won < lost


@refuted_by(logistic_sweep, n_steps=being(300))
@refuted_by(logistic_objective, weight_decay=plus(0.01))
def test_no_gain():
    """On the chapter's data decay brings nothing: in eight of ten draws none of eight lambdas up to 0.1 has a lower held-out loss than no decay, and in the other two the gain is below 0.001."""
    decays = [1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, LAM]
    gains = []
    for X_one, y_one, X_held, y_held in DRAWS:
        minima = logistic_sweep(X_one, y_one, [0.0, *decays], lr=1.0, n_steps=3000)
        weight, bias = logistic_optimum(X_one, y_one, LAM, decay_bias=True)
        np.testing.assert_allclose(minima[-1], [*weight, bias], rtol=0, atol=1e-9)
        free, *decayed = logistic_objective(X_held, y_held, minima)
        gains.append(free - min(decayed))
    assert len(decays) == 8
    assert sum(gain < 0 for gain in gains) == 8
    assert max(gains) < 0.001


@refuted_by(torch.optim.SGD, lr=being(0.016))
@refuted_by(torch.optim.SGD, weight_decay=being(LAM))
def test_mean_keeps():
    """Over ten draws, with a mean loss and a learning rate proportional to the batch size, SGD ends with weights of the same length to 1 % for batches of 16 to 1024; with lambda divided by the batch size they get longer by more than half."""
    lengths = []
    for batch_size in (16, 64, 256, 1024):
        settings = {"lr": 0.001 * batch_size, "n_epochs": 60}
        for decay in (LAM, 16 * LAM / batch_size):
            theta = ten_paths(batch_size, weight_decay=decay, **settings)[-1]
            lengths.append(theta[:, :4].norm(dim=1))
    mean, divided = torch.stack(lengths[::2]), torch.stack(lengths[1::2])
    assert mean.shape == (4, 10)
    assert (mean.amax(dim=0) < 1.01 * mean.amin(dim=0)).all()
    assert (divided[-1] > 1.5 * divided[0]).all()


@refuted_by(torch.optim.SGD, weight_decay=plus(0.001))
def test_sum_divides():
    """For SGD, a summed loss with decay lambda takes, with a learning rate divided by the batch size, the very steps of a mean loss with lambda divided by the batch size."""
    settings = {"batch_size": 64, "rows": 1024}
    summed = torch_path(5, lr=LR / 64, weight_decay=LAM, loss_fn=SUM, **settings)
    assert_equal(summed, torch_path(5, lr=LR, weight_decay=LAM / 64, **settings))


def accumulated(kind, *, divide_by=1, penalty=0.0, **settings):
    """Parameters after 50 steps from zero on the sum of four equal micro-batches' means and penalties."""
    model = Perceptron(4, dtype=torch.float64)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = kind(model.parameters(), **settings)
    for _ in range(50):
        optimizer.zero_grad()
        for X_part, y_part in zip(X_t.chunk(4), y_t.chunk(4), strict=True):
            loss = F.binary_cross_entropy(model(X_part), y_part) / divide_by
            (loss + l2_penalty(model.parameters(), penalty)).backward()
        optimizer.step()
    return parameters_to_vector(model.parameters()).detach()


@refuted_by(torch.optim.SGD, weight_decay=plus(0.001))
def test_accumulation():
    """For SGD, adding up the means of four equal micro-batches without dividing is a learning rate times four and a decay divided by four."""
    theta = accumulated(torch.optim.SGD, lr=LR, weight_decay=LAM)
    assert_equal(theta, torch_path(50, lr=4 * LR, weight_decay=LAM / 4)[-1])
    assert (theta - torch_path(50)[-1]).abs().max() > 0.01


@refuted_by(torch.optim.Adam, weight_decay=plus(0.01))
@refuted_by(torch.optim.AdamW, eps=plus(1e-5))
def test_accumulation_adam():
    """If the summed means of four equal micro-batches are not divided, then, but for an eps divided by four, Adam sees a decay divided by four and AdamW no change."""
    for kind, divided, needed in (
        (torch.optim.Adam, 4, True),
        (torch.optim.AdamW, 1, False),
    ):
        forgotten = accumulated(kind, lr=LR, weight_decay=LAM)
        seen = partial(kind, eps=1e-8 / 4)
        assert_equal(forgotten, torch_path(50, weight_decay=LAM / divided, kind=seen)[-1])
        right = torch_path(50, kind=kind)[-1]
        assert ((forgotten - right).abs().max() > 0.01) == needed
        assert needed or (forgotten - right).abs().max() < 1e-6


@refuted_by(F.binary_cross_entropy, reduction=being("sum"))
def test_unequal_micro_batches():
    """Weighting the mean of each micro-batch by its share of the rows gives the gradient of the whole batch; dividing by their number does not if one of them is smaller."""

    def gradient(micro_batch_size, weight):
        model = Perceptron(4, dtype=torch.float64)
        parts = list(zip(X_t[:60].split(micro_batch_size), y_t[:60].split(micro_batch_size), strict=True))
        for X_part, y_part in parts:
            (weight(len(y_part), len(parts)) * F.binary_cross_entropy(model(X_part), y_part)).backward()
        return parameters_to_vector([parameter.grad for parameter in model.parameters()])

    whole = gradient(60, lambda rows, parts: 1)
    for micro_batch_size, equal in ((15, True), (16, False)):
        assert_equal(gradient(micro_batch_size, lambda rows, parts: rows / 60), whole)
        off = (gradient(micro_batch_size, lambda rows, parts: 1 / parts) - whole).norm() / whole.norm()
        assert off < 1e-12 if equal else off > 0.005


def in_two_processes(loss_fn, lr, weight_decay):
    start = Perceptron(4, dtype=torch.float64)
    for parameter in start.parameters():
        torch.nn.init.zeros_(parameter)
    settings = {"lr": lr, "weight_decay": weight_decay, "n_steps": 100, "n_processes": 2}
    trained = data_parallel(start, X_t, y_t, loss_fn=loss_fn, **settings)
    return parameters_to_vector(trained.parameters()).detach()


@refuted_by(data_parallel, weight_decay=times(1.01))
def test_data_parallel():
    """Two processes with equal shares of a mean loss end with the parameters of one process, and the decay counts once."""
    found = in_two_processes(F.binary_cross_entropy, LR, LAM)
    assert_equal(found, torch_path(100)[-1])
    assert (found - torch_path(100, weight_decay=2 * LAM)[-1]).abs().max() > 0.01


@refuted_by(data_parallel, n_processes=being(1))
def test_data_parallel_sum():
    """For SGD with a summed loss, two processes act like one with half the learning rate and twice the decay."""
    found = in_two_processes(SUM, LR / M, LAM * M)
    assert_equal(found, torch_path(100, lr=LR / M / 2, weight_decay=2 * LAM * M, loss_fn=SUM)[-1])


@refuted_by(torch.optim.SGD, weight_decay=times(1.01))
@refuted_by(torch.optim.SGD, momentum=being(0.1))
def test_moving_average():
    """Under SGD with decay the parameters are an exponential moving average of -gradient/lambda with a time scale of 1/(lr lambda) steps."""
    lr, tau = 0.05, 1 / (0.05 * LAM)
    model = Perceptron(4, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, weight_decay=LAM)
    average = parameters_to_vector(model.parameters()).detach()
    for _ in range(4):
        for X_part, y_part in zip(X_t.split(8), y_t.split(8), strict=True):
            optimizer.zero_grad()
            F.binary_cross_entropy(model(X_part), y_part).backward()
            gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
            average = average + (-gradient / LAM - average) / tau
            optimizer.step()
            assert_equal(average, parameters_to_vector(model.parameters()).detach())


def distance(theta, reference):
    return (theta - reference).norm(dim=-1) / reference.norm(dim=-1)


@refuted_by(torch.optim.SGD, weight_decay=being(0.0))
@refuted_by(torch.optim.SGD, lr=being(0.02))
def test_linear_scaling():
    """Over ten draws, SGD with a batch 8 times as large, 8 times the learning rate and the same lambda is within 1 % of the small-batch path from the fifth of 40 epochs on; three rules that change lambda end more than 20 % away."""
    small = ten_paths(16, lr=0.02, weight_decay=LAM)

    def from_small(times_lr, times_lam):
        large = ten_paths(8 * 16, lr=0.02 * times_lr, weight_decay=LAM * times_lam)
        return distance(large, small)

    scaled = from_small(8, 1)
    assert scaled.shape == (40, 10)
    assert scaled[4:].max() < 0.01 < scaled[0].min()
    for times_lr, times_lam in ((8, 8), (1, 8), (8**0.5, 8**0.5)):
        assert from_small(times_lr, times_lam)[-1].min() > 0.2


@refuted_by(torch.optim.SGD, momentum=being(0.9))
def test_same_objective():
    """With lambda and learning rate untouched, a batch 8 times as large takes 8 times as many epochs for the same path, to 3 % over ten draws."""
    small = ten_paths(16, lr=0.02, weight_decay=LAM)
    patient = ten_paths(8 * 16, lr=0.02, weight_decay=LAM, n_epochs=8 * 40)
    assert distance(patient[7::8], small).max() < 0.03
    assert distance(patient[:40], small).max() > 0.5


@refuted_by(coast, n_steps=times(2))
@refuted_by(torch.optim.AdamW, weight_decay=times(1.1))
def test_adamw_clock():
    """Under AdamW a weight without gradient keeps nearly the same share of itself if lr times lambda grows like the batch size: 0.53 over five epochs, and 0.52 with a batch 8 times as large."""

    def left(batch_size, lr, weight_decay):
        adamw = partial(torch.optim.AdamW, lr=lr, weight_decay=weight_decay)
        return coast(adamw, torch.ones(1, dtype=torch.float64), n_steps=5 * 1024 // batch_size)[-1].item()

    assert left(16, 0.02, LAM) == pytest.approx(0.53, abs=0.005)
    for times_lr, times_lam in ((8**0.5, 8**0.5), (1, 8), (8, 1)):
        assert left(8 * 16, 0.02 * times_lr, LAM * times_lam) == pytest.approx(0.52, abs=0.005)
    assert left(8 * 16, 0.02, LAM) > 0.9


@refuted_by(torch.optim.AdamW, weight_decay=times(1.02))
@refuted_by(torch.optim.AdamW, weight_decay=times(0.97))
def test_bfloat16_still():
    """A step of AdamW with lr times lambda of 1/512 moves no bfloat16 weight that has no gradient; 1/500 moves some."""
    bits = torch.arange(-(2**15), 2**15).to(torch.int16).view(torch.bfloat16)
    every = bits[bits.isfinite()]
    assert len(every) == 2 * 255 * 128

    def moved(rate):
        adamw = partial(torch.optim.AdamW, lr=2**-3, weight_decay=2**3 * rate)
        return (coast(adamw, every)[0] != every).sum()

    assert moved(1 / 512) == 0
    assert moved(1 / 500) > 0


LR_TIMES_8, LAM_TIMES_8 = (8, 1, {}), (1, 8, {})
ROOTS = [(8**0.5, 8**0.5, {}), (8**0.5, 8**0.5, {"betas": (1 - 8 * 0.1, 1 - 8 * 0.001)})]
OTHERS = [LAM_TIMES_8, LR_TIMES_8, (8**0.5, 1, {}), (1, 1, {})]


def adamw_distances(batch_size, lr, weight_decay, flip):
    """How far each rule's large batch ends from the small one: rules x draws, ROOTS first."""
    labels = LABELS
    if flip:
        labels = torch.where(torch.arange(1024) * 7 % 10 < 3, 1 - LABELS, LABELS)

    def end(batch_size, times_lr, times_lam, betas):
        settings = {"lr": lr * times_lr, "weight_decay": weight_decay * times_lam, **betas}
        return ten_paths(batch_size, labels=labels, kind=torch.optim.AdamW, **settings)[-1]

    small = end(batch_size, 1, 1, {})
    return torch.stack([distance(end(8 * batch_size, *rule), small) for rule in ROOTS + OTHERS])


def as_they_are():
    return adamw_distances(16, 0.02, LAM, flip=False)


def three_in_ten_flipped():
    return adamw_distances(4, 0.002, 1.0, flip=True)


@refuted_by(torch.optim.AdamW, weight_decay=being(0.0))
def test_adamw_model():
    """Keeping AdamW's clock does not keep its model: 8 times lambda with a batch 8 times as large ends more than 30 % away, in ten of ten draws, with labels as they are and with three in ten flipped."""
    rows, labels = torch.cat([ROWS, augment(X[:1024])[None]]), torch.cat([LABELS, y_t[None, :1024]])
    settings = {"n_epochs": 5, "kind": torch.optim.AdamW, "lr": 0.02, "weight_decay": LAM}
    beside_ten = ten_paths(16, rows=rows, labels=labels, **settings)[:, 10]
    assert_equal(beside_ten, torch_path(batch_size=16, rows=1024, **settings))
    for distances in (as_they_are(), three_in_ten_flipped()):
        assert distances.shape == (6, 10)
        assert (distances[(ROOTS + OTHERS).index(LAM_TIMES_8)] > 0.3).all()


@refuted_by(torch.optim.AdamW, weight_decay=being(0.0))
def test_adamw_noise():
    """With three labels in ten flipped, an AdamW batch 8 times as large ends closer by the square root rule for lr and lambda, with or without its betas, than by four other rules, in ten of ten draws; with the labels as they are no rule is the closest for more than four."""
    noisy = three_in_ten_flipped()
    assert (noisy[:2].amax(dim=0) < noisy[2:].amin(dim=0)).sum() == 10
    times_closest = as_they_are().argmin(dim=0).bincount(minlength=6)
    assert times_closest.sum() == 10
    assert times_closest.max() == 4


@refuted_by(MLPClassifier, batch_size=being(16))
def test_mlp_batch():
    """scikit-learn's MLPClassifier divides its alpha by the rows of the mini-batch."""

    def pull(alpha, batch_size):
        """What alpha changes in the weights' first step, which takes one mini-batch."""
        settings = {"solver": "sgd", "momentum": 0.0, "shuffle": False, "learning_rate_init": LR}
        weights = []
        for decay in (alpha, 0.0):
            mlp = MLPClassifier((), alpha=decay, batch_size=batch_size, random_state=0, **settings)
            mlp.partial_fit(X[:batch_size], y[:batch_size], classes=[0, 1])
            weights.append(mlp.coefs_[0][:, 0])
        return weights[0] - weights[1]

    assert (np.abs(pull(1.0, 16)) > 1e-4).all()
    np.testing.assert_allclose(pull(1.0, 16) * 16, pull(1.0, 64) * 64, rtol=1e-9)
    np.testing.assert_allclose(pull(1.0, 16), pull(4.0, 64), rtol=1e-9)


@refuted_by(LogisticRegression, C=times(1.01))
@refuted_by(logistic_optimum, weight_decay=times(1.01))
def test_bias_out():
    """For LogisticRegression the solver decides about the bias: by default liblinear penalizes it, lbfgs does not."""
    for solver, decay_bias in (("liblinear", True), ("lbfgs", False)):
        fit = LogisticRegression(C=1 / (M * LAM), solver=solver, tol=1e-10, max_iter=10_000).fit(X, y)
        weight, bias = logistic_optimum(X_t, y_t, LAM, decay_bias=decay_bias)
        np.testing.assert_allclose(fit.coef_[0], weight, rtol=0, atol=1e-6)
        assert fit.intercept_[0] == pytest.approx(bias.item(), abs=1e-6)
        other, _ = logistic_optimum(X_t, y_t, LAM, decay_bias=not decay_bias)
        assert (torch.from_numpy(fit.coef_[0]) - other).abs().max() > 1e-3


@refuted_by(l2_penalty, weight_decay=times(1.01))
@refuted_by(torch.optim.SGD, lr=plus(0.001))
def test_penalty_in_micro_batches():
    """To SGD a penalty in the loss of each of four micro-batches counts once if it is divided by four with the data, and four times if only the data are divided; if nothing is divided, lambda stays and the learning rate is four times as large."""
    sgd = partial(accumulated, torch.optim.SGD)
    assert_equal(sgd(lr=LR, divide_by=4, penalty=LAM / 4), torch_path(50)[-1])
    assert_equal(sgd(lr=LR, divide_by=4, penalty=LAM), torch_path(50, weight_decay=4 * LAM)[-1])
    assert_equal(sgd(lr=LR, penalty=LAM), torch_path(50, lr=4 * LR)[-1])


def step_of(kind, weight_decay, penalty, max_norm=1.0):
    """The weights 3 and 4 after a step on a gradient of length 5 along the first, and on a penalty."""
    w = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    optimizer = kind([w], lr=LR, weight_decay=weight_decay)
    (5 * w[0] + l2_penalty(w, penalty)).backward()
    torch.nn.utils.clip_grad_norm_([w], max_norm)
    optimizer.step()
    return w.detach()


@refuted_by(torch.nn.utils.clip_grad_norm_, max_norm=being(1e9))
@refuted_by(SGDW, weight_decay=times(1.01))
def test_clipped_penalty():
    """A penalty in the loss is clipped with the gradient, the weight_decay of SGD and of SGDW is not."""
    clipped = torch.tensor([3.0 - LR, 4.0], dtype=torch.float64)
    decay = LR * LAM * torch.tensor([3.0, 4.0], dtype=torch.float64)
    for kind in (torch.optim.SGD, SGDW):
        assert (step_of(kind, LAM, 0.0) - (clipped - decay)).abs().max() < 1e-7
        moved = clipped - step_of(kind, 0.0, LAM)
        assert 0 < moved[1] < decay[1] / 4


@refuted_by(l2_penalty, weight_decay=times(1.01))
def test_double_decay():
    """Without clipping, a penalty in the loss beside the same weight_decay is twice that decay to SGD."""
    assert_equal(step_of(torch.optim.SGD, LAM, LAM, 1e9), step_of(torch.optim.SGD, 2 * LAM, 0.0, 1e9))
