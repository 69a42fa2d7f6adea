"""What the labs share: a script, an address, and the rules in JavaScript, against those that they repeat."""

import json
import re
import subprocess
import sys
from functools import partial
from html import unescape

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_lib import labs, rules
from tests.javascript import MOVES, NO_FIGURE, PLACES, close, script

ALL = {name: getattr(labs, name) for name in labs.__all__ if name != "Lab"}
each_lab = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


DIRECTIONS = {
    "sgd": {},
    "sgd with momentum": {"momentum": 0.9},
    "sgd with dampening": {"momentum": 0.8, "dampening": 0.4},
    "sgd with dampening alone": {"dampening": 0.4},
    "sgd with Nesterov": {"momentum": 0.9, "nesterov": True},
    "adam": {},
    "adam with short memory": {"betas": [0.5, 0.6], "eps": 1e-3},
}
DESCENT = """(() => {
  let [theta, state] = [start, null];
  const path = [];
  for (const gradient of gradients) {
    [theta, state] = %s(theta, gradient, state, (g, s) => %s(g, s, direction), options);
    path.push(theta);
  }
  return path;
})()"""


@pytest.mark.parametrize("step", ["coupled", "decoupled", "proximal", "proximal with norm 2"])
@pytest.mark.parametrize("name", DIRECTIONS)
def test_rules_in_javascript_are_the_rules(name, step):
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=4), random.normal(size=(500, 4))
    direction = DIRECTIONS[name] | ({"betas": tuple(DIRECTIONS[name]["betas"])} if "short" in name else {})
    options = {"lr": 0.05, "weight_decay": [0.1, 0.3, 0.0, 2.0]} | ({"norm": 2} if "norm 2" in step else {})
    function, rule = name.split()[0], step.split()[0]
    theta, state, path = start, None, []
    for gradient in gradients:
        theta, state = getattr(rules, rule)(
            theta,
            gradient,
            state,
            partial(getattr(rules, function), **direction),
            **options | {"weight_decay": np.array(options["weight_decay"])},
        )
        path.append(theta)
    found = script()(
        DESCENT % (rule, function),
        start=start.tolist(),
        gradients=gradients.tolist(),
        direction=DIRECTIONS[name],
        options=options,
    )
    close(found, path)


def test_contour_of_a_cone_is_a_circle():
    us, vs = np.linspace(-2, 2, 81).tolist(), np.linspace(-1.5, 2, 71).tolist()
    cone = np.hypot(np.array(us), np.array(vs)[:, None]).tolist()
    pieces = np.array(script()("contour(cone, us, vs, 1)", cone=cone, us=us, vs=vs))
    np.testing.assert_allclose(np.hypot(*pieces.reshape(-1, 2).T), 1, atol=1e-3)
    lengths = np.hypot(*(pieces[:, 1] - pieces[:, 0]).T)
    assert lengths.sum() == pytest.approx(2 * np.pi, rel=1e-3)
    saddle = script()("contour([[0, 1], [1, 0]], [0, 1], [0, 1], 0.5)")
    assert len(saddle) == 2
    assert {tuple(end) for piece in saddle for end in piece} == {(0.5, 0), (0, 0.5), (1, 0.5), (0.5, 1)}


def test_axes_have_round_numbers():
    run = script()
    for low, high in [(0, 4), (-2.5, 2.5), (0, 1), (-90, 90), (0, 137), (0.2, 0.3), (-5, 8)]:
        ticks = np.array(run("axisTicks([low, high], false)", low=low, high=high))
        (step,) = set(np.diff(ticks).round(9))
        assert step / 10 ** np.floor(np.log10(step)) in (1, 2, 5)
        np.testing.assert_allclose(ticks / step, np.round(ticks / step), atol=1e-9)
        assert low <= ticks[0] < low + step
        assert high - step < ticks[-1] <= high
        assert 3 <= len(ticks) <= 6
    tenfolds = {(1, 1e7): [1, 100, 1e4, 1e6], (1e-3, 10): [1e-3, 0.01, 0.1, 1, 10], (1e-3, 100): None}
    for (low, high), expected in tenfolds.items():
        found = run("axisTicks([low, high], true)", low=low, high=high)
        np.testing.assert_allclose(found, expected or [1e-3, 0.01, 0.1, 1, 10, 100])
    numbers = [1e-6, 1e-4, 1e-3, -0.5, 0, 2000, 1000, 1e4, 1e12]
    told = ["10⁻⁶", "10⁻⁴", "0.001", "−0.5", "0", "2000", "1000", "10⁴", "10¹²"]
    assert run("numbers.map(power)", numbers=numbers) == told


def test_values_of_sliders_are_round_and_evenly_spaced():
    run = script()
    tens = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8]
    assert run("logspace(1, 30)") == [*tens, 10, 12, 15, 20, 25, 30]
    assert run("logspace(0.01, 0.08)") == [0.01, 0.012, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08]
    assert run("logspace(1e-5, 1)")[-1] == 1
    assert len(run("logspace(1e-5, 1)")) == 51
    assert run("linspace(-2, 1, 4)") == [-2, -1, 0, 1]
    assert run("linspace(0, 0.3, 4)") == [0, 0.1, 0.2, 0.3]


def test_numbers_are_read_and_written_as_people_do():
    run = script()
    texts = ["1e3", "5.", ".5", "-2.5E-1", "+7", "1e", ".", "1 2", "0x1", "", "Infinity", "1_0", "--1"]
    assert run("texts.map(numeral)", texts=texts) == [1000, 5, 0.5, -0.25, 7, *8 * [None]]
    commas = {
        "0,5": "0.5",
        "1000,25": "1000.25",
        "1,000": "1,000",
        "12,345,678": "12,345,678",
        "0,500": "0.500",
    }
    assert run("texts.map(pointed)", texts=[*commas]) == [*commas.values()]
    assert run("[0.123456, 12345678, 1e-7, 0, 2.50].map(plain)") == ["0.1235", "12350000", "1e-7", "0", "2.5"]
    assert run("[-0.004, -0.006, 1.239, 0].map(fixed(2))") == ["0.00", "−0.01", "1.24", "0.00"]
    assert run("[-0.4, -3].map(fixed(0))") == ["0", "−3"]
    assert run("[7, 999, 1000, 1234567].map(counted)") == ["7", "999", "1\u202f000", "1\u202f234\u202f567"]


def test_each_lab_has_a_page_and_settings_to_move_it_to():
    assert set(MOVES) == set(PLACES) == set(ALL)


@each_lab
def test_notebook_gets_one_script_and_the_first_setting(make):
    lab = make()
    page = lab._repr_html_()
    assert page.count("<script>") == page.count("</script>") == 1
    given = json.loads(unescape(re.search("data-given='(.*?)'", page)[1]))
    assert given == {"settings": lab.settings, "data": lab.data}
    assert len(page.encode()) <= 60_000
    assert repr(lab).startswith(f"Lab(name='{make.__name__}'")
    assert len(plt.get_fignums()) == (make.__name__ not in NO_FIGURE)


@each_lab
def test_what_an_address_holds_is_what_it_was_written_of(make):
    lab, run = make(), script(make.__name__)
    for name, value in lab.settings.items():
        read = "control(name, data).read(control(name, data).write(value))"
        assert run(read, name=name, value=value, data=lab.data) == value


@each_lab
@pytest.mark.parametrize(
    "text", ["", " ", "NaN", "Infinity", "-1e99", "1e99", "0x1", "<b>", "__proto__", "1,2,3"]
)
def test_an_address_with_anything_else_is_not_read(make, text):
    read = "controlsOf(lab, data).map(({ read }) => read(text) === undefined)"
    found = script(make.__name__)(read, text=text, data=make().data)
    assert found == [True] * len(found)


def test_a_process_that_has_used_v8_ends_well(root):
    loop = "(() => { let a = 0; for (let i = 0; i < 1e7; i += 1) a += i % 7; return a; })()"
    lines = f"script('clock')('{loop}'); close_all(); script('clock')('{loop}'); print('done')"
    command = [sys.executable, "-c", f"from tests.javascript import close_all, script; {lines}"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert (run.stdout, run.stderr, run.returncode) == ("done\n", "", 0)
