"""Print requirements.txt with the lowest versions that pyproject.toml admits; torch stays at its pin.

python -m tools.build.lowest [build]

build: print the lowest version of what builds course_lib instead.
"""

import re
import sys
import tomllib

from tools import ROOT


def lowest(root=ROOT):
    """Return the text of requirements.txt with the lower bounds of course_lib's dependencies as pins."""
    dependencies = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    bounds = dict(dependency.split(">=") for dependency in dependencies)
    text = (root / "requirements.txt").read_text()
    for name in bounds.keys() - {"torch"}:
        text = re.sub(rf"^{name}==.*$", f"{name}=={bounds[name]}", text, flags=re.MULTILINE)
    return text


def lowest_build(root=ROOT):
    """Return the only requirement of the build, as a pin."""
    (requirement,) = tomllib.loads((root / "pyproject.toml").read_text())["build-system"]["requires"]
    return requirement.replace(">=", "==") + "\n"


if __name__ == "__main__":
    print(lowest_build() if sys.argv[1:] == ["build"] else lowest(), end="")
