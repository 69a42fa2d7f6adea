"""Write constraints.txt: the exact version of everything in this environment beside the direct pins."""

import re
from importlib.metadata import distributions

from tools import ROOT

HEADER = (
    "# Written by `make lock` from the tested environment. Constrains what requirements.txt brings with it.\n"
)
# torch's own companions differ by platform (its CUDA build brings more), so pip may choose those.
FREE = {"pip", "course-lib"}


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def locked():
    """Return the lines of constraints.txt for the running environment."""
    direct = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    skipped = FREE | {normalized(name) for name in direct}
    found = {normalized(dist.metadata["Name"]): dist.version for dist in distributions()}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name not in skipped]


if __name__ == "__main__":
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(locked()) + "\n")
    print(f"constraints.txt pins {len(locked())} packages")
