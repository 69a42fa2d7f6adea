"""The front page's pictures: what is stored is what is drawn, small, and legible on a phone."""

import re
from xml.etree import ElementTree

import pytest
import torch

from course_lib._style import CONCEPTS, looks
from course_lib.data import two_points
from course_lib.geometry import angle, bisector
from tools import ROOT
from tools.build import pictures

SVG = "{http://www.w3.org/2000/svg}"
NARROW = 390 - 60  # CSS pixels that a phone leaves to the picture of a card
each = pytest.mark.parametrize("name", pictures.PICTURES)


def stored(name):
    return (pictures.FOLDER / f"{name}.svg").read_text(encoding="utf-8")


@each
def test_what_is_stored_is_what_is_drawn(name):
    assert pictures.PICTURES[name]() == stored(name)


@each
def test_it_is_small_and_loads_nothing(name):
    assert len(stored(name)) <= 4000
    assert set(re.findall(r"https?://[^\"]*", stored(name))) == {"http://www.w3.org/2000/svg"}


@each
def test_letters_are_11_pixels_or_more_on_a_phone_and_all_is_inside(name):
    root = ElementTree.fromstring(stored(name))
    width, height = float(root.get("width")), float(root.get("height"))
    assert root.get("viewBox") == f"0 0 {width:.0f} {height:.0f}"
    assert float(root.get("font-size")) * NARROW / width >= 11
    assert len(root.findall(f"{SVG}text")) >= 1
    for text in root.findall(f"{SVG}text"):
        long, x = 0.6 * float(root.get("font-size")) * len(text.text), float(text.get("x"))
        left = x - long if text.get("text-anchor") == "end" else x
        assert left >= 0, text.text
        assert left + long <= width, text.text
        assert 10 <= float(text.get("y")) <= height - 4, text.text


@each
def test_it_stands_on_white_in_the_colors_of_the_figures(name):
    root = ElementTree.fromstring(stored(name))
    ground = root.find(f"{SVG}rect")
    assert (ground.get("fill"), ground.get("width")) == ("#fff", root.get("width"))
    drawn = {line.get("stroke") for line in root.findall(f"{SVG}polyline")}
    variant = looks("lines", ["one", "another"], "L2")["another"]
    colors = [*(look.color for look in CONCEPTS.values()), variant.color, "0.75"]
    assert drawn <= {pictures.to_hex(color) for color in colors}


@each
def test_the_front_page_shows_it(name):
    assert f"_static/{name}.svg" in (ROOT / "book" / "intro.md").read_text(encoding="utf-8")


def test_the_readme_shows_the_drift_near_its_top():
    assert "(book/_static/drift.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")[:800]


def test_motion_is_left_out_where_it_is_not_wanted_and_ends_with_all_in_sight():
    style = ElementTree.fromstring(stored("drift")).find(f"{SVG}style").text
    frames, motion = style.split("@media(prefers-reduced-motion:no-preference)")
    assert "animation" not in frames
    assert "infinite" not in motion
    assert "forwards" not in motion
    assert re.findall(r"(\w+%?|from)\{", frames.partition("{")[2]) == ["from", "40%"], "it ends as it stands"


def test_the_drift_ends_past_the_bisector():
    points, _ = two_points(torch.float64)
    root = ElementTree.fromstring(stored("drift"))
    lines = [line.get("points").split() for line in root.findall(f"{SVG}polyline")]
    slants = []
    for ends in lines:
        (x1, y1), (x2, y2) = (tuple(map(float, end.split(","))) for end in ends)
        slants.append(angle(torch.tensor([y2 - y1, x2 - x1])).item() % 180)
    expected, *drifting = ((slant + 90) % 180 - 90 for slant in slants)
    assert expected == pytest.approx(angle(bisector(*points)[0]).item(), abs=0.1)
    assert drifting == sorted(drifting, reverse=True)
    assert drifting[0] < expected
    assert drifting[-1] == pytest.approx(-13.60, abs=0.1)
