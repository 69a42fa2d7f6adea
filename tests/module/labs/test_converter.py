"""The converter, against `convert`."""

import math
import re
from dataclasses import replace
from itertools import product
from random import Random

import pytest

from course_lib import conventions, labs
from course_lib.conventions import KNOBS, LOSSES, convert
from tests.javascript import conversions, moved, script


def outcome_of(*names, **told):
    """Return what `convert` answers, or its error."""
    try:
        return convert(*names, **told)
    except ValueError as error:
        return str(error)


SIGNS = {
    "|w|_1": "‖w‖₁",
    "|w|_21": "‖w‖₂₁",
    "|w|^2": "‖w‖²",
    "|leaves|_1": "‖leaves‖₁",
    "|leaves|^2": "‖leaves‖²",
}
SIGNS |= {
    "|(w, b)|_1": "‖(w, b)‖₁",
    "|(w, b)|^2": "‖(w, b)‖²",
    "^2": "²",
    "sum ": "Σ ",
    "eta ": "η ",
}
SIGNS |= {" - ": " − ", "-loglike": "−loglike"}
REFERENCES = {
    "l2": ("mean loss + (λ/2) ‖w‖²", "reference.lambda"),
    "l1": ("mean loss + λ ‖w‖₁", "reference.l1"),
    "l21": ("mean loss + λ Σⱼ ‖wⱼ‖", "reference.l21"),
    "AdamW": ("w −= lr λ w in each step, beside an adaptive step", "torch.AdamW.weight_decay"),
    "Lion": ("w −= lr λ w in each step, beside the sign of a momentum", "paper.Lion.lambda"),
    "Muon": (
        "w −= lr λ w in each step, beside a momentum whose singular values are made equal",
        "torch.Muon.weight_decay",
    ),
    "Adafactor": (
        "w −= lr λ w in each step, beside a step in proportion to the weights",
        "torch.Adafactor.weight_decay",
    ),
}


def in_signs(text):
    for ascii_text, sign in SIGNS.items():
        text = text.replace(ascii_text, sign)
    return re.sub(r"\blambda\b", "λ", text)


def numeral(number):
    return repr(float(f"{number:.10g}")).removesuffix(".0")


def described(knob, formula, decay_bias):
    kind = {None: knob.bias, True: "decayed", False: "free"}[decay_bias]
    bias = f"the bias is {kind}{'' if kind == knob.bias else ', not by default'}"
    bias = {"none": "it has no bias", "either": "the bias is as on the other side"}.get(knob.bias, bias)
    return f"{in_signs(knob.objective)}; λ = {in_signs(formula)}; {bias}"


def told_of_a_conversion(lab):
    """Return what the converter has to tell."""
    told, found = lab.settings, outcome_of(**lab.settings)
    pair = [KNOBS[told["source"]], KNOBS[told["target"]]]
    formulas, decay_bias = [knob.formula for knob in pair], told["decay_bias"]
    try:
        conventions._check_penalties(*pair)
        conventions._check_bias(*pair, decay_bias)
    except ValueError:
        decay_bias = None
    if len({knob.bias for knob in pair} - {"none", "either"}) < 2 and all(
        knob.bias_is_a_choice or knob.bias in ("none", "either") for knob in pair
    ):
        decay_bias = None  # the form does not ask
    facts = {"no result": found}
    if isinstance(found, float):
        names = (
            "n_samples",
            "n_outputs",
            "batch_size",
            "lr",
            "momentum",
            "dampening",
            "l1_ratio",
            "target_std",
        )
        sizes = conventions._quantities(**{name: told[name] for name in names})
        loss = conventions._loss(*pair, told["loss"], told["n_outputs"], sizes)
        formulas = [knob._formula(knob._entries(told["n_outputs"])[loss]) for knob in pair]
        does, reference = REFERENCES[pair[0].beside or pair[0].penalty]
        size = convert(**told | {"target": reference, "loss": loss, "decay_bias": None})
        meaning = f"{does}, with λ = {numeral(size)}" if size else "no penalty"
        facts = {"result": f"{told['target']} = {numeral(found)}", "both mean": meaning}
    for word, knob, formula in zip(("from", "to"), pair, formulas, strict=True):
        facts[f"{word} {knob.name}"] = described(knob, formula, decay_bias)
    call = script("converter")("call(settings, data)", settings=told, data=lab.data)
    assert eval(call, {"convert": outcome_of}) == found
    return facts | {"in Python": call}


def test_converter_lab_tells_at_each_setting_what_course_lib_computes():
    for lab in moved(labs.converter):
        assert script("converter").facts(lab) == told_of_a_conversion(lab), lab.settings


OUTCOMES = """cases.map((settings) => {
  try {
    const found = convert(settings, data);
    return Number.isFinite(found) ? found : String(found);
  } catch ({ message }) { return message; }
})"""


@pytest.mark.no_cover
@pytest.mark.parametrize("complete", [True, False], ids=["complete", "incomplete"])
def test_converter_answers_for_all_pairs_of_knobs_and_losses_what_convert_does_in_the_same_words(complete):
    random, drawn = Random(1), [*conversions(2000)]
    rare = {"value": [5e-324, 1e-300, 1e15, math.inf], "lr": [5e-324, 1e15], "n_samples": [5e-324, 1e15]}
    cases = []
    for source, target, loss in product(KNOBS, KNOBS, [None, *LOSSES]):
        told = random.choice(drawn) | {"source": source, "target": target, "loss": loss}
        if complete:
            told |= {
                name: told[name] or 0.3
                for name in ("n_samples", "batch_size", "lr", "l1_ratio", "target_std")
            }
            told["value"] = random.uniform(0, 10)
        else:
            told |= {name: random.choice(few) for name, few in rare.items() if random.random() < 0.1}
            told["value"] = 1.0 if told["value"] == math.inf and not KNOBS[source].inverse else told["value"]
        cases.append(told)
    found = script("converter")(OUTCOMES, cases=cases, data=labs.converter().data)
    for told, answer in zip(cases, found, strict=True):
        expected = outcome_of(**told)
        answer = answer if isinstance(answer, str) and answer != "Infinity" else float(answer)
        assert answer == expected, told


def test_converter_writes_numbers_as_python_does():
    numbers = [digits * 10.0**k for k in range(-320, 300) for digits in (1.0, 3.5, 1 / 3)]
    assert script("converter")("numbers.map(repr)", numbers=numbers) == [repr(number) for number in numbers]
    assert script("converter")("[0, NaN, Infinity].map(repr)") == ["0.0", "nan", "inf"]


def test_converter_takes_rates_for_equal_where_convert_does():
    sizes = [0.0, 1e-300, 1.0, 1 + 9e-10, 1 + 1.1e-9, 2.0, 1e9 - 1, 1e9, 1e300]
    pairs = [*product(sizes, sizes)]
    assert script("converter")("pairs.map(([a, b]) => isclose(a, b))", pairs=pairs) == [
        math.isclose(a, b) for a, b in pairs
    ]
    assert script("converter")("[isclose(Infinity, Infinity), isclose(1, Infinity)]") == [True, False]


def test_converter_says_in_python_what_is_not_so_by_itself():
    told = labs.converter(target="timm.SGDW.weight_decay", lr=0.1)
    for momentum, rest in ((0.0, ""), (0.5, ", momentum=0.5")):
        assert script("converter").facts(replace(told, settings=told.settings | {"momentum": momentum}))[
            "in Python"
        ] == (
            'convert(1.0, "sklearn.LogisticRegression.C", "timm.SGDW.weight_decay", decay_bias=False, '
            f"n_samples=1000{rest})"
        )


NEEDED = "cases.map((settings) => Object.keys(settings).filter((name) => needs(name, settings, data)))"


def test_converter_asks_for_all_that_can_matter():
    random, drawn = Random(2), [*conversions(3000)]
    found = script("converter")(NEEDED, cases=drawn, data=labs.converter().data)
    for told, needed in zip(drawn, found, strict=True):
        expected = outcome_of(**told)
        for name in set(told) - {"source", "target", "value", *needed}:
            other = random.choice([case for case in drawn[:50] if case[name] is not None])[name]
            if name == "loss" and told["loss"] is None:
                other = None  # it is asked for once it is told
            assert outcome_of(**told | {name: other}) == expected, (name, told)
        if isinstance(expected, str) and " is needed" in expected:
            assert expected.split()[0] in needed


@pytest.mark.parametrize(
    ("source", "target", "needed"),
    [
        ("torch.SGD.weight_decay", "torch.Adam.weight_decay", ""),
        ("torch.AdamW.weight_decay", "paper.AdamW.lambda", "lr"),
        ("torch.SGD.weight_decay", "sklearn.Lasso.alpha", ""),
        ("torch.SGD.weight_decay", "torch.AdamW.weight_decay", ""),
        ("torch.SGD.weight_decay", "sklearn.Ridge.alpha", "decay_bias n_samples n_outputs"),
        ("sklearn.LogisticRegression.C", "reference.lambda", "loss n_samples n_outputs decay_bias"),
        ("sklearn.Lasso.alpha", "sklearn.ElasticNet.alpha (l1 part)", "n_outputs l1_ratio decay_bias"),
        (
            "glmnet.gaussian.lambda (l2 part)",
            "sklearn.SVR.C",
            "decay_bias n_samples n_outputs l1_ratio target_std",
        ),
        ("timm.SGDW.weight_decay", "keras.L2.l2", "decay_bias momentum dampening"),
        ("torch.SGD.weight_decay (sum)", "torch.SGD.weight_decay", "loss n_outputs batch_size"),
    ],
)
def test_converter_asks_for_nothing_else(source, target, needed):
    told = next(conversions(1)) | {"source": source, "target": target, "loss": None, "momentum": 0.9}
    cases = [told, told | {"momentum": 0.0}]
    moving, still = script("converter")(NEEDED, cases=cases, data=labs.converter().data)
    assert set(moving) == set(needed.split())
    assert set(still) == set(needed.split()) - {"dampening"}


def test_swapping_twice_in_the_converter_gives_what_was_there():
    swap = script("converter")
    for told in conversions(300):
        first = swap(
            'lab.actions["Swap from and to"](settings, data)', settings=told, data=labs.converter().data
        )
        found = outcome_of(**told)
        assert (first["source"], first["target"]) == (told["target"], told["source"])
        if isinstance(found, float) and found <= 1e15:
            assert first["value"] == pytest.approx(found, rel=1e-9)
        else:
            assert first["value"] == told["value"]


@pytest.mark.parametrize("name", ["value", "n_samples", "n_outputs", "batch_size", "lr", "target_std"])
def test_converter_refuses_what_its_fields_do_not_take(name):
    with pytest.raises(ValueError, match=f"^{name} must be at most 1e[+]15, got"):
        labs.converter(loss="log_loss", **{name: 10**16 if name == "n_outputs" else 1e16})
    read = "[1e15, 1.1e15].map((x) => control(name, data).read(String(x)) === x)"
    assert script("converter")(read, name=name, data=labs.converter().data) == [True, False]
