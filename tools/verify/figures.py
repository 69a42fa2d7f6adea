"""Alt texts beside what their figures hold.

A figure of `course_lib.plotting` says in words what its axes hold, and the notebook stores that beside the
picture. Its alt text has to name every axis, panel, series, mark, reference and map, and what shades mean;
say whether a scale is logarithmic; and say of each series, mark, reference and map at least one thing that is
so: where it is, starts or ends, its lowest or highest value, its range, or its way.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from tools.verify import prose

AXES = re.compile(
    r"^axes \d+(?: '(?P<title>.*?)')?: (?:x '(?P<x>.*?)', (?P<rest>.*; y '(?P<y>.*?)', .*)|a table)"
)
WAYS = ("rises", "falls", "level", "turns", "out of sight")


@dataclass(frozen=True)
class Panel:
    title: str
    names: tuple
    logarithmic: bool
    series: tuple  # of (label, what is said of it)


def panels(description):
    """Return what the words of a figure say, panel by panel."""
    found = []
    for line in description.splitlines():
        axes = AXES.match(line)
        if axes:
            logarithmic = bool(re.search(r"(^|', )log, ", axes["rest"] or ""))
            found.append(Panel(axes["title"] or "", (axes["x"] or "", axes["y"] or ""), logarithmic, ()))
        elif found:
            label, _, said = line.strip().rpartition(": ")
            if said == "shown by colors":
                found[-1] = replace(found[-1], names=(*found[-1].names, label))
            else:
                found[-1] = replace(found[-1], series=(*found[-1].series, (label, said)))
    return found


def problems(alt, description):
    """Return what an alt text leaves out or says wrongly of a figure."""
    shown, text = panels(description), plain(alt)
    names = [name for panel in shown for name in (panel.title, *panel.names)]
    missing = [f"it does not name {name!r}" for name in dict.fromkeys(names) if not mentions(text, name)]
    if any(panel.logarithmic for panel in shown) != bool(re.search(r"\blog", text)):
        missing.append(
            "it says log and no scale is" if "log" in text else "it does not say that a scale is log"
        )
    labels = {plain(label) for panel in shown for label, _ in panel.series}
    for label, said in dict.fromkeys(item for panel in shown for item in panel.series):
        if plain(label) not in text:
            missing.append(f"it does not name {label!r}")
        elif not says_something(text, plain(label), labels, said):
            missing.append(f"it says nothing that is so of {label!r}: {said}")
    known = prose.numbers(description)
    for number in prose.numbers(alt):
        if number.kind == "figure" and not whole(number).is_among(known):
            missing.append(f"{number.text}: nothing in the figure")
    return missing


def plain(text):
    return " ".join(re.sub(r"[$\\{}_^]", "", text.replace("\u2212", "-")).casefold().split())


def mentions(text, name):
    """Return whether a text has the words of a name, without its unit."""
    words = re.findall(r"[^\W\d_]{2,}", plain(name.partition("(")[0]))
    return all(word in text for word in words)


def says_something(text, label, labels, said):
    """Return whether one of the places that name a series goes on with a number or a way that is its own."""
    others = "|".join(re.escape(other) for other in sorted(labels - {label}, key=len, reverse=True))
    own = prose.numbers(said)
    for place in re.finditer(re.escape(label), text):
        passage = re.split(others, text[place.end() :])[0] if others else text[place.end() :]
        if any(way in said and way in passage for way in WAYS):
            return True
        if any(whole(number).is_among(own) for number in prose.numbers(passage)):
            return True
    return False


def whole(number):
    """Return a number, a whole one as rounded to its last digit."""
    return replace(number, unit=Fraction(1)) if number.unit == 0 and number.value.denominator == 1 else number
