"""Changes that change nothing that can be seen: the scores of both kinds of mutants leave them out."""

from tools import ROOT

LIST = ROOT / "tools" / "verify" / "harmless_changes.txt"


def harmless(file):
    """Return the changes of a file that are listed as such: its name, and what they make of a line."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line.startswith(f"{file}: ")}
