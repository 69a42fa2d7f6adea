"""The checkers: each accepts what is right, in any style, and says of what is wrong what it is."""

import re
import threading
import time
from copy import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from course_lib import _calling, check
from course_lib._calling import TooLongError, Watch, call
from course_lib._checking import EXERCISES, Verdict
from tests.right_answers import MORE_RIGHT, RIGHT
from tools.build import exercises

NAMES = sorted(RIGHT)
STYLES = [(name, style) for name in NAMES for style in RIGHT[name]]
WRONG = [
    pytest.param(name, sentence, id=f"{name}-{number}")
    for name in NAMES
    for number, sentence in enumerate(getattr(check, name).wrong)
]
SLOW = {"free_bias_optimum": 90}  # of a thousand instances: its three styles search for what they find


def answer_of(function):
    """Return a function as a reader writes one: with lines of its own."""

    def answer(*arguments):
        return function(*arguments)

    return answer


@pytest.mark.no_cover
@pytest.mark.parametrize(("name", "style"), STYLES)
def test_a_right_answer_is_right_on_a_thousand_random_instances(name, style):
    """Each of three styles on its own third of them."""
    seed = list(RIGHT[name]).index(style)
    n_random = SLOW.get(name, 1000) // 3 + 1
    verdict = getattr(check, name)(RIGHT[name][style], n_random=n_random, seed=seed)
    assert verdict, verdict
    assert (verdict.status, verdict.shown) == ("right", None)


@pytest.mark.parametrize(("name", "answer"), MORE_RIGHT, ids=[name for name, _ in MORE_RIGHT])
def test_a_right_answer_of_another_kind_is_right(name, answer):
    verdict = getattr(check, name)(answer)
    assert verdict, verdict


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_is_right_and_its_three_styles_are_three(name):
    assert getattr(check, name)(getattr(check, name).reference)
    assert len({*RIGHT[name].values(), getattr(check, name).reference}) == 4


@pytest.mark.parametrize(("name", "sentence"), WRONG)
def test_a_wrong_answer_with_a_name_gets_it(name, sentence):
    exercise = getattr(check, name)
    verdict = exercise(answer_of(exercise.wrong[sentence]))
    assert not verdict
    assert verdict.says.startswith(sentence), verdict


@pytest.fixture
def float64():
    """Torch makes float64, for as long as a test runs."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize(("name", "sentence"), WRONG)
def test_a_wrong_answer_that_a_reader_computes_in_float64_gets_its_name(name, sentence, float64):
    """What is rounded to float32 on its way is nobody's answer: the name would never be said."""
    exercise = getattr(check, name)
    answer = exercise.wrong[sentence]

    def in_float32(*arguments):
        torch.set_default_dtype(torch.float32)
        try:
            return answer(*arguments)
        finally:
            torch.set_default_dtype(torch.float64)

    exercise = copy(exercise)
    exercise.wrong = {**exercise.wrong, sentence: in_float32}
    verdict = exercise(answer_of(answer))
    assert verdict.says.startswith(sentence), verdict


def changed(result, change):
    """Return a result with all its numbers changed."""
    if isinstance(result, dict):
        return {name: change(value) for name, value in result.items()}
    if isinstance(result, tuple | list) and not (result and isinstance(result[0], dict)):
        return type(result)(changed(part, change) for part in result)
    if isinstance(result, list):
        return [{**group, "weight_decay": change(group["weight_decay"])} for group in result]
    return change(result)


def nan(value):
    return value * float("nan")


def column(value):
    return value[:, None] if isinstance(value, torch.Tensor) and value.ndim else torch.tensor([[value]])


def prints(exercise):
    def answer(*arguments):
        print("the answer", exercise.reference(*arguments))

    return answer


def raises(exercise):
    def answer(*arguments):
        return exercise.reference(*arguments) / {}["nothing"]

    return answer


def says_nothing(exercise):
    def answer(*arguments):
        exercise.reference(*arguments)

    return answer


def in_place(exercise):
    """The result is right, and every tensor among the arguments is moved."""

    def answer(*arguments):
        result = exercise.reference(*arguments)
        for value in arguments:
            for tensor in value.parameters() if isinstance(value, torch.nn.Module) else [value]:
                if isinstance(tensor, torch.Tensor):
                    tensor.data.add_(1)
        return result

    return answer


def on_the_result(change):
    def operator(exercise):
        return lambda *arguments: changed(exercise.reference(*arguments), change)

    return operator


def endless(exercise):
    def answer(*arguments):
        while True:
            pass

    return answer


def remembers(exercise):
    calls = []

    def answer(*arguments):
        calls.append(1)
        return changed(exercise.reference(*arguments), lambda value: value + 0.37 * len(calls) ** 2)

    return answer


OPERATORS = {
    "prints": (prints, "It prints the answer .* and returns nothing: write `return`, not `print`."),
    "returns nothing": (says_nothing, "It returns nothing .None.: is a `return` missing"),
    "raises": (raises, r"It raises KeyError in line \d+, `return exercise.reference.*nothing"),
    "in place": (in_place, "Your argument was changed: "),
    "NaN": (on_the_result(nan), "It returns NaN"),
    "infinity": (on_the_result(lambda value: value + float("inf")), "It returns infinity"),
    "twice": (on_the_result(lambda value: 2 * value), "factor of 2.000: is there a 1/2|instead of|1/2|2"),
    "a third": (on_the_result(lambda value: value / 3), "factor of 0.333"),
    "the other sign": (on_the_result(lambda value: -value), "sign|way round|for -|negative|points from"),
    "wrong shape": (on_the_result(column), "It returns a tensor of shape .* instead of"),
    "a string": (on_the_result(str), "It returns .* instead of"),
    "float32": (
        on_the_result(lambda value: torch.as_tensor(value, dtype=torch.float64).float()),
        "right in float32 only",
    ),
    "close": (on_the_result(lambda value: value * (1 + 3e-6)), "close, but not right to rounding"),
    "random": (remembers, "another result for the same arguments"),
}
# What an operator does not spoil, or what is said instead.
EXCEPTIONS = (
    {
        ("in place", name): None
        for name in NAMES
        if not any(
            isinstance(value, torch.Tensor | torch.nn.Module)
            for value in next(getattr(check, name).instances()).values()
        )
    }
    | {
        # Of numbers alone, and of whole ones in tensors, torch makes float32.
        ("float32", name): None
        for name in NAMES
        if not any(
            value.is_floating_point()
            if isinstance(value, torch.Tensor)
            else isinstance(value, torch.nn.Module | list)
            for value in next(getattr(check, name).instances()).values()
        )
    }
    | {
        ("float32", "ulps"): None,
        ("close", "free_bias_optimum"): None,
        ("close", "adam_first_step"): None,
        ("NaN", "groups_with_traps"): "NaN",
    }
)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("name", NAMES)
def test_a_spoiled_answer_is_rejected_and_told_what_it_does(name, operator):
    exercise = getattr(check, name)
    spoil, message = OPERATORS[operator]
    if EXCEPTIONS.get((operator, name), "") is None:
        pytest.skip("does not spoil it")
    verdict = exercise(spoil(exercise))
    assert not verdict
    assert re.search(message, verdict.says), verdict


@pytest.mark.parametrize("name", NAMES)
def test_an_endless_loop_ends(name, monkeypatch):
    exercise = getattr(check, name)
    monkeypatch.setattr(exercise, "seconds", 0.05)
    start = time.monotonic()
    verdict = exercise(endless(exercise))
    assert time.monotonic() - start < 5
    assert verdict.says.startswith("It is still running after 0.05 seconds")


def test_ten_wrong_answers_or_more_are_known_of_each():
    for name in NAMES:
        spoiled = sum(EXCEPTIONS.get((operator, name), "") is not None for operator in OPERATORS)
        assert len(getattr(check, name).wrong) >= 8
        assert len(getattr(check, name).wrong) + spoiled >= 18


@pytest.mark.parametrize("name", NAMES)
def test_instances_are_of_several_sizes_and_always_the_same(name):
    exercise = getattr(check, name)
    drawn = [list(exercise.instances(20)) for _ in range(2)]
    assert repr(drawn[0]) == repr(drawn[1]) or name in ("checked_gradient", "groups_with_traps", "reached")
    sizes = {
        repr([np.shape(part) for part in each.values() if isinstance(part, torch.Tensor)])
        + repr([part for part in each.values() if isinstance(part, torch.nn.Module)])
        for each in drawn[0]
    }
    numbers = {repr([part for part in each.values() if isinstance(part, int | float)]) for each in drawn[0]}
    assert max(len(sizes), len(numbers)) > 3


def sgdw(w, gradient, lr, weight_decay):
    return (1 - lr * weight_decay) * w - lr * gradient


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda w, g, lr, d: (1 - d) * w - lr * g, "weight_decay is not multiplied by lr"),
        (lambda w, g, lr, d: (1 - lr * d) * w - lr * lr * g, "gradient is multiplied by lr once too often"),
        (lambda w, g, lr, d: (1 - 2 * lr * d) * w - lr * g, r"for 2 \* weight_decay instead of weight_decay"),
        (lambda w, g, lr, d: (1 - lr * d / 2) * w - lr * g, "for weight_decay / 2 instead of weight_decay"),
        (lambda w, g, lr, d: (1 + lr * d) * w - lr * g, "for -weight_decay instead of weight_decay"),
        (lambda w, g, lr, d: (1 - lr * d) * w + lr * g, "for -gradient instead of gradient"),
        (lambda w, g, lr, d: w - lr * g, "As if weight_decay were 0"),
        (lambda w, g, lr, d: (1 - lr * lr * d) * w - lr * g, "multiplied by lr once too often"),
        (lambda w, g, lr, d: (1 - 2 * lr * d) * (w - lr * g), "Two things at once. Shrunk after the step"),
        (lambda w, g, lr, d: sgdw(w, g, lr, d)[None], r"shape \(1, 2\) .* The numbers are right"),
        (lambda w, g, lr, d: sgdw(w, g, lr, d).sum(), "single number .* sum of what is expected"),
        (lambda w, g, lr, d: sgdw(w, g, lr, d).mean(), "single number .* mean of what is expected"),
        (lambda w, g, lr, d: sgdw(w, g, lr, d).round(), "whole numbers"),
        (lambda w, g, lr, d: sgdw(w, g, lr, d).bfloat16(), "float32 only, or coarser"),
        (lambda w, g, lr, d: sgdw(w, g, lr, d).abs(), "signs are the other way round"),
        (lambda w, g, lr, d: sgdw(w, g, lr, d) + 0j, "It returns complex numbers"),
        (lambda w, g, lr, d: sgdw, "a function instead of a tensor"),
        (lambda w, g, lr, d: (x for x in w), "a generator instead of a tensor"),
        (lambda w, g, lr, d: sgdw(w, g, lr, d) + w.sin(), "The value is wrong"),
        (lambda w, g, lr, d: sgdw(w, g, lr, d).numpy().astype("float32"), "right in float32 only"),
        (lambda w, g, lr, d: 0 * w, "It is zero, whatever the arguments"),
        (lambda w, g, lr, d: w - g - d * w, "As if lr were 1"),
        (lambda w, g, lr, d: True, "True or False instead of a tensor"),
        (lambda w, g, lr, d: (w, w), "a tuple of 2 instead of a tensor"),
        (lambda w, g, lr, d: [[0.1, 0.2], [0.3]], "a list of 2 instead of a tensor"),
        (lambda w, g, lr, d: torch.nn.Linear(2, 1), "a model instead of a tensor"),
        (lambda w, g: w, "It raises TypeError"),
        (lambda w, g, lr, d: exit(), "It raises SystemExit"),
        (sgdw(torch.ones(2), torch.ones(2), 0.1, 0.1), "the function itself, got a tensor of shape"),
        (0.95, "the function itself, got a single number: check.sgdw_step.sgdw_step."),
    ],
)
def test_what_a_wrong_step_is_told(answer, message):
    verdict = check.sgdw_step(answer)
    assert not verdict
    assert re.search(message, verdict.says), verdict


def around_the_edge(lambdas, losses, cost):
    medians = losses.quantile(0.5, dim=0)
    left = right = int(medians.argmin())
    while medians[left - 1] <= (1 + cost) * medians.min():
        left -= 1
    while medians[right + 1] <= (1 + cost) * medians.min():
        right += 1
    return torch.log10(lambdas[right] / lambdas[left])


def moved_once(loss, w, h):
    slopes = torch.zeros_like(w)
    for step in h * torch.eye(len(w), dtype=w.dtype):
        slopes[step != 0] = (loss(w + step) - loss(w - step)) / (2 * h)
        return slopes


def bowl(X):
    Z = torch.cat([X, X.new_ones(len(X), 1)], dim=1)
    return 2 * Z.T @ Z / len(Z)


def frozen(model):
    return next(p for p in model.parameters() if not p.requires_grad)


def with_more(groups, extra):
    """Return groups of which the last has more parameters."""
    return [*groups[:-1], {**groups[-1], "params": [*groups[-1]["params"], *extra]}]


OTHERS = {
    "wrong first, and an error later": (
        "signed_distances",
        lambda X, w, b: (X[:, 0] * w[0] + X[:, 1] * w[1] + b) / w.square().sum(),
        r"It raises IndexError in line \d+",
    ),
    "wrong first, and another shape later": (
        "widest_line",
        lambda p, q: (torch.tensor([0.8, 0.5]).double(), -2.2),
        r"of shape \(2,\) instead of a tensor of shape \(.*\). This is number 1 of 2.",
    ),
    "too few parameters": ("signed_distances", lambda X, w: X @ w, "^It raises TypeError: .*2 positional"),
    "near, and entries near zero": (
        "proximal_step",
        lambda *a: check.proximal_step.reference(*a) + 3e-9,
        "It is close, but not right to rounding: .* float32",
    ),
    "near, by an identity matrix of float32": (
        "fastest_lr",
        lambda X, decay: (
            2 / torch.linalg.eigvalsh(bowl(X) + decay * torch.eye(X.shape[1] + 1))[[0, -1]].sum()
        ),
        "It is close, but not right to rounding: .* torch.eye",
    ),
    "near, as far as a search goes": (
        "free_bias_optimum",
        lambda *a: check.free_bias_optimum.reference(*a) * (1 + 1e-3),
        "It is close, but not right to rounding",
    ),
    "left too early": (
        "signed_distances",
        lambda X, w, b: torch.cat([(X[:1] @ w + b) / w.norm(), X.new_zeros(len(X) - 1)]),
        "Only the first entry is right, the others are zero",
    ),
    "true and false": (
        "signed_distances",
        lambda X, w, b: X @ w + b > 0,
        "True and False instead of numbers",
    ),
    "a tensor of the right length for a pair": (
        "sgdw_momentum_step",
        lambda w, g, v, lr, mu, d: w,
        r"It returns a tensor of shape \(2,\) instead of a tuple of 2",
    ),
    "b, then w": (
        "widest_line",
        lambda p, q: check.widest_line.reference(p, q)[::-1],
        "What it returns is in the other order",
    ),
    "half precision of numbers": (
        "from_textbook",
        lambda strength, n: torch.tensor(2 * strength / n).half(),
        "right in float32 only, or coarser",
    ),
    "float32 where a search is let pass": (
        "free_bias_optimum",
        lambda *a: check.free_bias_optimum.reference(*a).float(),
        "right in float32 only",
    ),
    "float32 in between, and whole numbers at times": (
        "fading_rows",
        lambda t, n, lr, d: torch.tensor([1.0 if i in t else 1 - lr * d for i in range(n)]).double(),
        "Only words that are not in the batch fade here",
    ),
    "divided once too often": (
        "from_textbook",
        lambda strength, n: 2 * strength / n**2,
        "right answer for strength / n_samples instead of strength",
    ),
    "in the other order": (
        "sgdw_step",
        lambda w, g, decay, lr: (1 - lr * decay) * w - lr * g,
        "lr and weight_decay have changed places",
    ),
    "hard-coded": (
        "from_textbook",
        lambda strength, n: 2 * strength / 1096,
        "As if n_samples were 1096 always",
    ),
    "two mistakes": (
        "accumulated_gradient",
        lambda w, batches: sum(X.T @ (X @ w - y) / len(X) for X, y in batches) / len(batches),
        "Two things at once. This is the mean of the micro-batches' means.* 0.500: is there a 1/2",
    ),
    "two mistakes in a pair": (
        "from_sum",
        lambda lr, decay, n: (-lr / n, -decay * n),
        "Two things at once. The other way round: .* The sign is the other way round",
    ),
    "a small factor": (
        "percent_error",
        lambda p, t: ((p - t) / t).abs().mean() / 1e4,
        r"Off by a factor of 1.00e-06",
    ),
    "torch has not implemented it": (
        "sgdw_step",
        lambda w, g, lr, decay: nn.Module()(w),
        "It raises NotImplementedError in line .* missing the required",
    ),
    "isclose": (
        "parity_report",
        lambda a, b, tol: ((a - b).abs().max(), int((~torch.isclose(a, b, atol=tol)).any(1).int().argmax())),
        "The tolerance is absolute; isclose adds rtol",
    ),
    "a tolerance of one's own": (
        "parity_report",
        lambda a, b, tol: ((a - b).abs().max(), int(((a - b).abs() > 1e-6).any(1).int().argmax())),
        "As if tolerance were 1e-06 always",
    ),
    "a step of one's own": (
        "checked_gradient",
        lambda loss, w, h: check.checked_gradient.reference(loss, w, 1e-3),
        "As if h were 0.001 always",
    ),
    "autograd": (
        "checked_gradient",
        lambda loss, w, h: torch.autograd.functional.jacobian(loss, w),
        "This is exact, as by autograd",
    ),
    "a loop that is left": ("checked_gradient", moved_once, "is the loop left too early"),
    "spacing": (
        "ulps",
        lambda a, b: (
            (a.double() - b.double()).abs() / torch.from_numpy(np.spacing(torch.minimum(a, b).numpy()))
        ),
        "These are units of the smaller number",
    ),
    "batches that fit": (
        "half_life_in_epochs",
        lambda lr, d, n, batch: np.log(0.5) / np.log1p(-lr * d) / (n // batch + 1),
        "Where the batches fit, n_samples // batch_size [+] 1 is one step too many",
    ),
    "an exponential": (
        "sgdw_step",
        lambda w, g, lr, d: w * np.exp(-lr * d) - lr * g,
        "Shrunk by a power of e",
    ),
    "a logarithm": ("decay_at_rest", lambda lr, d: -np.log1p(-d) / lr, "A logarithm is right"),
    "one over e": (
        "decay_for_half",
        lambda lr, n: (1 - np.exp(-1 / n)) / lr,
        "This leaves 1/e, and not a half",
    ),
    "brackets": ("decay_at_rest", lambda lr, d: d / (lr * 1 - d), "Brackets are missing"),
    "a logarithm of norms": (
        "decay_of_checkpoint",
        lambda b, a, u, lr, n: -(a[u].norm() / b[u].norm()).log() / (n * lr),
        "Close: -log",
    ),
    "C of a classifier": (
        "ridge_alpha",
        lambda decay, n: 1 / (n * decay),
        "This is C of scikit-learn's class",
    ),
    "round the edge of the grid": ("floor_width", around_the_edge, "The value is wrong|It raises"),
    "frozen, and free": (
        "groups_with_traps",
        lambda model, d: with_more(check.groups_with_traps.reference(model, d), [frozen(model)]),
        "frozen.weight is frozen: leave it out",
    ),
    "a set": (
        "groups_with_traps",
        lambda model, d: [{"params": set(model.parameters()), "weight_decay": d}],
        "torch takes no set of parameters",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_other_wrong_answers_are_told(case):
    name, answer, message = OTHERS[case]
    verdict = getattr(check, name)(answer)
    assert verdict.status == "not yet right"
    assert re.search(message, verdict.says), verdict
    assert " at 0x" not in repr(verdict)


def test_an_answer_that_is_right_at_times_is_told_so():
    def answer(w, gradient, lr, weight_decay):
        return sgdw(w, gradient, lr, weight_decay) if len(w) < 6 else w

    verdict = check.sgdw_step(answer)
    n_right = sum(len(each["w"]) < 6 for each in check.sgdw_step.instances())
    assert f"It is right on {n_right} of 22 instances; not on this one:" in verdict.says


@pytest.mark.parametrize("name", NAMES)
def test_an_untouched_stub_fails_nothing(name):
    exercise = getattr(check, name)
    names = ", ".join(exercise.parameters)
    bodies = ["...", "pass", "return", '"""What to do."""', "raise NotImplementedError"]
    for body in bodies:
        space = {}
        exec(f"def answer({names}):\n    {body}", space)
        assert exercise(space["answer"]).status == "not attempted yet", body
    assert exercise(...).status == exercise(None).status == "not attempted yet"


@pytest.mark.parametrize("name", [name for name in NAMES if getattr(check, name).given])
def test_a_stub_with_a_bug_is_not_an_attempt_in_a_notebook(name):
    """Where torch is imported in another cell, its functions are called by other operations."""
    space = {"torch": torch}
    exec(exercises.stub(getattr(check, name)).rpartition("\n\n\n")[0], space)
    assert getattr(check, name)(space[name]).status == "not attempted yet"


def test_a_bug_that_is_given_is_not_an_attempt():
    def mended_step(weights, gradient, lr, weight_decay):
        step = gradient
        if weight_decay != 0:
            step = step + weight_decay
        return weights - lr * step

    exercise = check.mended_step
    assert exercise(exercise.given).status == "not attempted yet"
    assert not exercise(mended_step)


@pytest.mark.parametrize("name", NAMES)
def test_hints_give_a_little_more_each_time_and_begin_again(name, monkeypatch):
    exercise = getattr(check, name)
    monkeypatch.setattr(exercise, "_n_hints_given", 0)
    given = [getattr(check.hint, name)() for _ in range(len(exercise.hints) + 1)]
    assert [each.text for each in given] == [*exercise.hints, exercise.hints[0]]
    assert repr(given[1]) == f"{name}, hint 2 of {len(exercise.hints)}: {exercise.hints[1]}"


@pytest.mark.parametrize("name", NAMES)
def test_no_message_holds_the_line_that_is_right(name):
    exercise = getattr(check, name)
    for sentence in exercise.wrong:
        assert "return" not in sentence.replace("It returns", "").lower() or "Return" in sentence


def test_each_exercise_is_found_by_its_name():
    assert sorted(EXERCISES) == NAMES == sorted(set(dir(check)) - {"hint"})
    with pytest.raises(AttributeError, match="there is no exercise 'nonsense'"):
        check.nonsense  # noqa: B018
    with pytest.raises(AttributeError, match="there is no exercise 'nonsense'"):
        check.hint.nonsense  # noqa: B018
    assert repr(check.sgdw_step) == "check.sgdw_step(answer)"


def test_a_verdict_is_text_in_a_terminal_and_a_table_in_a_notebook():
    verdict = check.sgdw_step(lambda w, g, lr, d: w < lr)
    assert repr(verdict).splitlines()[0] == "sgdw_step: not yet right"
    page = verdict._repr_html_()
    assert page.startswith('<div class="check" role="status"><p><strong>sgdw_step: not yet right</strong>')
    assert '<tr><th scope="row">lr</th><td style="text-align: left">0.1</td></tr>' in page
    escaped = Verdict("a", "not yet right", "is 1 < 2", {"<b>": "<i>"})._repr_html_()
    assert "1 &lt; 2" in escaped
    assert "<b>" not in escaped
    assert Verdict("a", "right")._repr_html_().count("<") == 6


def test_a_loop_is_remarked_where_none_is_needed():
    grids = RIGHT["penalized_grid"]
    assert check.penalized_grid(grids["loop"]).says == "It has a loop. Can you do without?"
    assert check.penalized_grid(grids["vectorized"]).says == ""
    assert check.penalized_grid(partial(grids["loop"])).says == ""  # whose lines are not seen


def test_numbers_that_look_alike_are_shown_until_they_differ():
    shown = check.decay_for_half(lambda lr, n: (1 - 0.5 ** (1 / n)) / lr * (1 + 1e-8)).shown
    assert shown["expected"] != shown["got"]
    shown = check.ulps(lambda a, b: a - b).shown
    assert (shown["a"], shown["b"]) == ("[1, 2]", "[1.0000001, 1.9999996]")


def test_what_is_shown_beside_a_problem_is_short_and_names_no_place_in_memory():
    shown = check.reached(in_place(check.reached)).shown
    assert (shown["loss"], shown["make"]) == ("a function", "a function")
    assert shown["expected"].startswith("words.weight: 0.1797, ")
    assert check.sgdw_step(in_place(check.sgdw_step)).shown["expected"] == "[0.95, -1.425]"


def test_a_grid_that_is_turned_over_is_told_so():
    turned = check.penalized_grid(lambda *arguments: check.penalized_grid.reference(*arguments).T)
    assert turned.says.endswith("instead of a tensor of shape (3, 2). Turned over (`.T`), it is right.")


def test_an_answer_that_fails_when_it_is_asked_again_is_wrong():
    calls = []

    def answer(w, gradient, lr, weight_decay):
        calls.append(1)
        if len(calls) > 22:
            raise ValueError
        return w.cos()

    assert check.sgdw_step(answer).says.startswith("The value is wrong.")


def first(model):
    return next(model.parameters())


def test_one_number_is_no_pair_and_float32_of_numbers_alone_is_right():
    assert "a single number instead of a tuple of 2" in check.from_sum(lambda lr, d, n: lr * n).says
    assert check.from_sum(lambda lr, d, n: torch.tensor([lr * n, d / n]))
    assert not check.from_sum(lambda lr, d, n: torch.tensor([lr * n, d / n]).bfloat16() * 1.1)


def test_float32_is_right_where_tensors_hold_whole_numbers_alone():
    assert check.fading_rows(lambda tokens, n, lr, d: torch.full((n,), 1 - lr * d))
    assert "lost" in check.fading_rows(lambda tokens, n, lr, d: torch.full((n,), lr * d)).says
    assert "float32 only" in check.sgdw_step(lambda w, g, lr, d: sgdw(w, g, lr, d).float()).says


def test_one_tensor_is_no_pair_of_tensors_and_two_in_a_stack_are():
    right = check.sgdw_momentum_step.reference
    alone = check.sgdw_momentum_step(lambda *arguments: right(*arguments)[0])
    assert alone.says == "It returns a tensor of shape (2,) instead of a tuple of 2."
    assert check.sgdw_momentum_step(lambda *arguments: torch.stack(right(*arguments)))
    assert check.sgdw_momentum_step(lambda *arguments: np.stack(right(*arguments)))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda model, d: list(model.parameters()), "Return a list of groups"),
        (lambda model, d: [{"params": []}], "Each group needs 'params' and 'weight_decay'"),
        (lambda model, d: [{"params": 5, "weight_decay": d}], "cannot be read: TypeError"),
        (lambda model, d: [{"params": ["words"], "weight_decay": d}], "no parameter of the model"),
        (
            lambda model, d: [{"params": [first(model).clone()], "weight_decay": d}],
            "no parameter of the model",
        ),
        (lambda model, d: [{"params": 2 * [first(model)], "weight_decay": d}], "in the groups twice"),
        (lambda model, d: [{"params": [first(model)], "weight_decay": d}], "is in no group"),
        (
            lambda model, d: [
                *check.groups_with_traps.reference(model, d),
                {"params": [frozen(model)], "weight_decay": d},
            ],
            "frozen.weight is frozen: leave it out",
        ),
    ],
)
def test_groups_that_are_none_are_told_why(answer, message):
    assert message in check.groups_with_traps(answer).says


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda model, loss, make: [0.1], "Return a dict: of each parameter, by its name"),
        (lambda model, loss, make: {"words.weight": 0.1}, "norm.weight is not in the dict"),
    ],
)
def test_parts_without_names_are_told_what_is_missing(answer, message):
    assert message in check.reached(answer).says


def test_a_call_that_ends_when_its_time_does_leaves_nothing_behind(monkeypatch):
    """Of many, some are stopped, and no stop arrives afterwards."""
    monkeypatch.setattr(_calling, "LOOKS", 0.005)

    def counts(n):
        return sum(number * 0.5 for number in range(n))

    stopped = 0
    with Watch(0.003) as watch:
        for n in range(1000, 1_000_000, 25_000):
            right = counts(n)
            try:
                given = watch(counts, n)
            except TooLongError:
                stopped += 1
            else:
                assert given == right
    assert 0 < stopped < 40
    time.sleep(0.2)
    counts(100_000)


def test_an_import_is_let_finish(tmp_path, monkeypatch):
    """Half a module would stay behind, and break what comes later."""
    monkeypatch.syspath_prepend(tmp_path)
    slow = "import time\nend = time.monotonic() + 0.4\nwhile time.monotonic() < end: pass\nWHOLE = True\n"
    (tmp_path / "slow_to_import.py").write_text(slow)

    def answer():
        import slow_to_import

        return slow_to_import.WHOLE

    with Watch(0.1) as watch:
        assert watch(answer)


def test_an_answer_that_traces_its_gradient_is_right():
    def answer(w, gradient, lr, weight_decay):
        return torch.nn.Parameter(w) * (1 - lr * weight_decay) - lr * gradient

    assert check.sgdw_step(answer)


def test_an_object_and_a_method_may_be_answers():
    class Step:
        def __call__(self, w, gradient, lr, weight_decay):
            return self.step(w, gradient, lr, weight_decay)

        def step(self, w, gradient, lr, weight_decay):
            return np.asarray(sgdw(w, gradient, lr, weight_decay))

    assert check.sgdw_step(Step())
    assert check.sgdw_step(Step().step)


def test_who_waits_is_given_longer_than_who_computes():
    def wait(seconds):
        time.sleep(seconds)
        return seconds

    def sleep_for_ever():
        while True:
            time.sleep(0.05)

    def compute_for_ever():
        while True:
            pass

    with Watch(0.05) as watch:
        assert call(wait, {"seconds": 0.2}, watch).result == 0.2
        began = time.monotonic()
        slept = call(sleep_for_ever, {}, watch)
        assert 0.5 <= time.monotonic() - began < 10
        worked = time.process_time()
        computed = call(compute_for_ever, {}, watch)
        assert 0.05 <= time.process_time() - worked < 0.4
    assert slept.error == computed.error
    assert slept.error.startswith("It is still running after 0.05 seconds")


def test_who_catches_the_stop_is_stopped_again():
    def stubborn():
        end = time.process_time() + 2
        try:
            while time.process_time() < end:
                pass
        except BaseException:
            pass
        while time.process_time() < end:
            pass

    with Watch(0.05) as watch:
        assert call(stubborn, {}, watch).error.startswith("It is still running")


def test_a_check_starts_one_thread_which_ends_with_it(monkeypatch):
    started = []

    class Recorded(threading.Thread):
        def start(self):
            started.append(self)
            super().start()

    monkeypatch.setattr(threading, "Thread", Recorded)
    assert not check.sgdw_step(lambda w, gradient, lr, weight_decay: w + 1)
    (thread,) = started
    thread.join(10)
    assert not thread.is_alive()
