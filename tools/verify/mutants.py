"""What `make mutants` found: the score of each module, and every change that no test noticed.

    python -m tools.verify.mutants FILE

Writes it into a file, too, and exits with 1 when the tests noticed fewer than LEAST of all changes.
"""

import sys
from collections import Counter
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

LEAST = 0.98
NOTICED = {"killed", "timeout", "segfault"}


def statuses(path):
    """Return the status of each mutant of a module."""
    data = SourceFileMutationData(path=path)
    data.load()
    return {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items()}


def change(name, path):
    """Return the lines that differ, without the context around them."""
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    return [f"    {line[0]} {line[1:].strip()}" for line in lines if line.startswith(("+", "-"))]


def score(counts):
    noticed = sum(counts[status] for status in NOTICED)
    return f"{noticed} of {counts.total()}, {100 * noticed / counts.total():.1f} %", noticed / counts.total()


def report(found):
    """Return what is to be known of the statuses of each module, as lines, and the share noticed."""
    counts = {path: Counter(mutants.values()) for path, mutants in found.items()}
    text, share = score(sum(counts.values(), Counter()))
    lines = [
        f"Noticed by the tests: {text}",
        *(f"{path}: {score(count)[0]}" for path, count in counts.items()),
    ]
    for path, mutants in found.items():
        for name, status in mutants.items():
            if status not in NOTICED:
                lines += ["", f"{name} ({status})", *change(name, path)]
    return lines, share


if __name__ == "__main__":
    lines, share = report({path: statuses(path) for path in sorted(walk_mutatable_files())})
    print(*lines, sep="\n")
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(share < LEAST)
