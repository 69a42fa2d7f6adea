"""What `make mutants` found: the score of each module, and every change that no test noticed.

python -m tools.verify.mutants

Exits with 1 when the tests noticed fewer than LEAST of all changes.
"""

import sys
from collections import Counter

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

LEAST = 0.95
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


if __name__ == "__main__":
    found = {path: statuses(path) for path in sorted(walk_mutatable_files())}
    for path, mutants in found.items():
        for name, status in mutants.items():
            if status not in NOTICED:
                print(f"{name} ({status})", *change(name, path), sep="\n")
    counts = {path: Counter(mutants.values()) for path, mutants in found.items()}
    for path, count in counts.items():
        print(f"{path}: {score(count)[0]}")
    text, share = score(sum(counts.values(), Counter()))
    print(f"\nNoticed by the tests: {text}")
    sys.exit(share < LEAST)
