"""Write constraints.txt: the exact version of all that requirements.txt brings with it here."""

import re
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement

from tools import ROOT

HEADER = "# Written by `make lock` from the tested environment: what requirements.txt brings with it.\n"
# These differ by platform: torch's CUDA build brings them, its CPU build does not.
COMPANIONS = re.compile(r"(nvidia|cuda|triton)\b")


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def locked():
    """Return the lines of constraints.txt for the running environment."""
    direct = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    versions, waiting = {}, [normalized(name) for name in direct]
    while waiting:
        name = waiting.pop()
        if name in versions or COMPANIONS.match(name):
            continue
        try:
            found = distribution(name)
        except PackageNotFoundError:  # needed on another platform only
            continue
        versions[name] = found.version
        for requirement in map(Requirement, found.requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(normalized(requirement.name))
    for name in direct:
        del versions[normalized(name)]
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


if __name__ == "__main__":
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(locked()) + "\n")
    print(f"constraints.txt pins {len(locked())} packages")
