"""What the pages of the zoo draw of the record of `make zoo`: lines of Markdown."""

import json
from collections import Counter

from tools import ROOT


def measured():
    """Return the record of `make zoo`."""
    return json.loads((ROOT / "book" / "zoo.json").read_text(encoding="utf-8"))


def row(*cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def table(heads, rows):
    return [row(*heads), row(*["---"] * len(heads)), *(row(*cells) for cells in rows), ""]


def code(names):
    return ", ".join(f"`{name}`" for name in names)


KINDS = (  # as `course_lib.probe` names them, in the order of the page
    "not a decay",
    "towards another point than zero",
    "L1",
    "cautious",
    "decoupled without lr",
    "decoupled times lr",
    "coupled",
    "coupled and divided by the size of the gradient",
    "none",
    "not probed",
)


def optimizers(record):
    """Return library, name and what was found of every optimizer, by kind, then library, then name."""
    found = [
        (library, name, about)
        for library, members in record["optimizers"].items()
        for name, about in members.items()
    ]
    return sorted(found, key=lambda one: KINDS.index(one[2]["kind"]))


def kinds(record):
    """How many optimizers of each library have which kind of decay."""
    every, rows = optimizers(record), []
    for kind in KINDS:
        having = Counter(library for library, _, about in every if about["kind"] == kind)
        if having:
            where = ", ".join(f"{library} {count}" for library, count in having.items())
            rows += [(kind, having.total(), where)]
    decaying = sum(about["kind"] not in ("none", "not a decay", "not probed") for *_, about in every)
    probed = sum(about["kind"] != "not probed" for *_, about in every)
    said = (
        f"The weight decay of {len(every)} optimizers in {len(record['optimizers'])} libraries, measured: "
        f"{probed} could be probed, {decaying} decay."
    )
    settings = " and ".join(f"{name} {value:g}" for name, value in record["settings"].items())
    return [
        said + f" Each has its own defaults, but {settings}.",
        "",
        *table(("decay", "optimizers", "of them in"), rows),
    ]


def namesakes(record):
    """The names that mean one kind of decay in one library and another in another."""
    same = {}
    for library, name, about in optimizers(record):
        if about["kind"] != "not probed":
            same.setdefault(name.lower().replace("_", ""), []).append((library, name, about))
    rows = []
    for _, members in sorted(same.items()):
        found = {}
        for library, _, about in members:
            found.setdefault(about["kind"], []).append(library)
        if len(found) > 1:
            names = dict.fromkeys(name for _, name, _ in members)
            rows += [(code(names), "; ".join(f"{kind}: {', '.join(where)}" for kind, where in found.items()))]
    return [f"{len(rows)} names stand for more than one kind.", "", *table(("name", "decay"), rows)]


def every_optimizer(record):
    """A row for every optimizer."""
    heads = "optimizer", "decay", "a step takes", "lr scales it", "library", "seen, too"
    rows = [
        (
            f"`{name}`",
            about["kind"],
            takes(about),
            yes(about.get("scheduled")),
            library,
            about.get("note", ""),
        )
        for library, name, about in optimizers(record)
    ]
    return table(heads, rows)


def takes(about):
    """Return what a step takes of a weight, as measured."""
    if "rate" not in about:
        return "momentum sees it" if about.get("momentum") else ""
    return f"{about['rate']:g}" + (
        f", in the long run {about['long_run']:g}" if about.get("momentum") else ""
    )


def yes(value):
    return {None: "", True: "yes", False: "no"}[value]


def architectures(record):
    """How many parameters each rule leaves free in each architecture."""
    models = record["architectures"]
    (_, *rules) = next(iter(models.values()))["decayed"]
    rows = []
    for name, model in models.items():
        everything, *decayed = model["decayed"].values()
        rows += [(name, f"{everything:,}", *(f"{everything - count:,}" for count in decayed))]
    alike = sum(not model["disputed"] for model in models.values())
    said = f"What five rules decay in {len(models)} architectures: in {alike} the four that select agree."
    return [said, "", *table(("architecture", "parameters", *(f"`{rule}`" for rule in rules)), rows)]


def verdicts(record):
    """What kinds of parameters the rules disagree on, and what is to be said about it."""
    rows = []
    for kind, about in record["kinds"].items():
        where = {
            name: sum(same["parameters"] for same in model["disputed"] if same["kind"] == kind)
            for name, model in record["architectures"].items()
        }
        source = f"[{about['source']}]({about['address']})"
        models, parameters = sum(map(bool, where.values())), sum(where.values())
        rows += [(kind, f"**{about['verdict']}**", f"{about['why']} ({source})", models, f"{parameters:,}")]
    return table(("kind of parameter", "verdict", "why", "models", "parameters"), rows)


def every_disagreement(record):
    """A row for like parameters of an architecture on which the rules disagree."""
    heads = "architecture", "names", "decayed by", "kind", "verdict", "parameters", "owner", "shape"
    rows = [
        (
            name,
            f"`{same['names']}`",
            f"`{same['decayed_by']}`",
            same["kind"],
            "[{verdict}]({address})".format_map(record["kinds"][same["kind"]]),
            f"{same['parameters']:,}",
            f"`{same['owner']}`",
            " × ".join(map(str, same["shape"])) or "one number",
        )
        for name, model in record["architectures"].items()
        for same in model["disputed"]
    ]
    return table(heads, rows)


def date(record):
    """When and with what it was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return [f"`make zoo` last ran on {record['date']}, with Python {record['python']}, {versions}."]


PARTS = {
    part.__name__.replace("_", "-"): part
    for part in (kinds, namesakes, every_optimizer, architectures, verdicts, every_disagreement, date)
}
