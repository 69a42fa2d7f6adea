"""Write the exact version of all that a file of requirements brings with it here.

python -m tools.build.lock [requirements.txt constraints.txt]
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement

from tools import ROOT

HEADER = "# Written by tools/build/lock.py from the tested environment: what {} brings with it.\n"
# These differ by platform: torch's CUDA build brings them, its CPU build does not.
COMPANIONS = re.compile(r"(nvidia|cuda|triton)\b")


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(requirements="requirements.txt"):
    """Return the lines of the constraints for the running environment."""
    direct = re.findall(r"^([\w.-]+)==", (ROOT / requirements).read_text(), re.MULTILINE)
    versions, seen, waiting = {}, set(), [(normalized(name), "") for name in direct]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or COMPANIONS.match(name):
            continue
        seen.add((name, extra))
        try:
            found = distribution(name)
        except PackageNotFoundError:  # needed on another platform only
            continue
        versions[name] = found.version
        for requirement in map(Requirement, found.requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(normalized(requirement.name), wanted) for wanted in ("", *requirement.extras)]
    for name in direct:
        del versions[normalized(name)]
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


if __name__ == "__main__":
    requirements, constraints = sys.argv[1:] or ("requirements.txt", "constraints.txt")
    lines = locked(requirements)
    (ROOT / constraints).write_text(HEADER.format(requirements) + "\n".join(lines) + "\n")
    print(f"{constraints} pins {len(lines)} packages")
