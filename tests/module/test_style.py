"""Concepts are told apart by everybody, in both themes, and every series gets its look from one of them."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from course_lib._style import ALIASES, CONCEPTS, DASHES, INK, MAP, NEUTRAL, looks
from tests.colors import NO_GREEN, NO_RED, contrast, in_dark_theme, lab, luminance

VARIANTS = [look for name in CONCEPTS for look in looks("series", "abcd", name).values()]
NEUTRALS = list(looks("series", "abcdefg").values())


@pytest.mark.parametrize("look", [*VARIANTS, *NEUTRALS], ids=str)
def test_lines_have_a_contrast_of_3_to_1_in_both_themes(look):
    assert contrast(look.color, "white") >= 3
    assert contrast(in_dark_theme(look.color), in_dark_theme("white")) >= 3


def test_letters_have_a_contrast_of_5_to_1_in_both_themes_on_white_and_on_a_map():
    for shade in ("white", *(MAP(k) for k in (0.0, 0.5, 1.0))):
        assert contrast(INK, shade) >= 5
        assert contrast(in_dark_theme(INK), in_dark_theme(shade)) >= 5


@pytest.mark.parametrize("seen_by", [np.eye(3), NO_GREEN, NO_RED], ids=["all", "no green", "no red"])
@pytest.mark.parametrize("theme", [to_rgb, in_dark_theme], ids=["light", "dark"])
def test_concepts_stay_apart_in_color_and_always_in_dashes(seen_by, theme):
    chosen = [look for name, look in CONCEPTS.items() if name != "reference"]
    for one, other in itertools.combinations(chosen, 2):
        assert np.linalg.norm(lab(theme(one.color), seen_by) - lab(theme(other.color), seen_by)) >= 10
    assert len({str(look.dashes) for look in CONCEPTS.values()}) == len(CONCEPTS)
    assert len({look.marker for look in [*CONCEPTS.values(), NEUTRAL]}) == len(CONCEPTS) + 1


def test_what_is_no_concept_looks_like_none():
    concepts = list(CONCEPTS.values())
    for look in NEUTRALS:
        assert to_rgb(look.color) not in {to_rgb(concept.color) for concept in concepts}
        assert look.dashes != CONCEPTS["reference"].dashes


def test_the_map_grows_evenly_darker_and_never_dark():
    lightness = [lab(MAP(k), np.eye(3))[0] for k in np.linspace(0, 1, 33)]
    steps = -np.diff(lightness)
    assert steps.min() > 0.7 * steps.mean()
    assert steps.max() < 1.3 * steps.mean()
    assert lightness[-1] > 75


def test_a_series_looks_like_the_concept_that_is_given_or_that_it_is_called():
    found = looks("series", ["no decay", "SGDW", "lr 0.1", "small batch"], {"lr 0.1": "heavy ball"})
    assert found == {
        "no decay": CONCEPTS["no decay"],
        "SGDW": CONCEPTS["decoupled decay"],
        "lr 0.1": CONCEPTS["momentum"],
        "small batch": NEUTRAL,
    }
    assert set(ALIASES.values()) <= set(CONCEPTS)


@pytest.mark.parametrize("concept", [*CONCEPTS, None])
def test_several_of_one_concept_differ_in_lightness_and_dashes_and_keep_their_hue(concept):
    """The first looks like the concept."""
    found = list(looks("series", ["a", "b", "c", "d"], concept).values())
    assert found[0] == (CONCEPTS[concept] if concept else NEUTRAL)
    assert len({str(look.dashes) for look in found}) == 4
    light = [luminance(look.color) for look in found]
    assert light in (sorted(light), sorted(light, reverse=True))
    assert len(set(light)) == 4
    share = [np.array(to_rgb(look.color)) / max(*to_rgb(look.color), 1e-9) for look in found[1:]]
    np.testing.assert_allclose(share, share[:1] * 3, atol=1e-9)


def test_more_series_than_dash_patterns_have_looks():
    found = looks("series", map(str, range(len(DASHES) + 2)), "L2").values()
    assert len({look.color for look in found}) == len(DASHES) + 2


def test_a_look_in_a_browser_is_that_of_a_figure_for_a_line_of_two_pixels():
    assert looks("lines", ["no decay"])["no decay"].svg == {"color": "#000000", "dashes": ""}
    assert looks("lines", ["L2"])["L2"].svg == {"color": "#0072b2", "dashes": "14 3 3 3"}
    assert looks("lines", ["reference"])["reference"].svg == {"color": "#595959", "dashes": "2 3"}
