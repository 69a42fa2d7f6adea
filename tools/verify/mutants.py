"""What `make mutants` found: the score of each module, and every change that tests did not notice, but could.

    python -m tools.verify.mutants FILE

Writes it into a file, too, and exits with 1 when the tests noticed fewer than LEAST of all such changes, or
the list of those that are harmless holds another.
"""

import sys
from collections import Counter
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

from tools.verify.harmless import harmless

LEAST = 0.98
NOTICED = {"killed", "timeout", "segfault"}
HARMLESS = "harmless"


def statuses(path):
    """Return the status of each mutant of a module."""
    data = SourceFileMutationData(path=path)
    data.load()
    found = {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items()}
    return {
        name: HARMLESS if status == "survived" and shows_nothing(name, path) else status
        for name, status in found.items()
    }


def change(name, path):
    """Return the lines that a mutant takes out, and those that it puts in."""
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    return [[line[1:].strip() for line in lines if line.startswith(sign)] for sign in "-+"]


def shows_nothing(name, path):
    """Return whether a change that no test has noticed is listed as harmless."""
    _, after = change(name, path)
    return bool(after) and {f"{path}: {line}" for line in after} <= harmless(path)


def score(counts):
    noticed, total = sum(counts[status] for status in NOTICED), counts.total() - counts[HARMLESS]
    more = f"; {counts[HARMLESS]} more change nothing that can be seen" if counts[HARMLESS] else ""
    return f"{noticed} of {total}, {100 * noticed / total:.1f} %{more}", noticed / total


def wrongly_listed(found):
    """Return what is listed as harmless, and is none of the changes that no test has noticed."""
    unnoticed = (
        (name, path) for path, mutants in found.items() for name in mutants if mutants[name] == HARMLESS
    )
    seen = {f"{path}: {line}" for name, path in unnoticed for line in change(name, path)[1]}
    return sorted(set().union(*map(harmless, found)) - seen)


def report(found):
    """Return what is to be known of the statuses of each module, as lines, and whether that is good."""
    counts = {path: Counter(mutants.values()) for path, mutants in found.items()}
    text, share = score(sum(counts.values(), Counter()))
    lines = [
        f"Noticed by the tests: {text}",
        *(f"{path}: {score(count)[0]}" for path, count in counts.items()),
    ]
    for path, mutants in found.items():
        for name, status in mutants.items():
            if status not in NOTICED | {HARMLESS}:
                before, after = change(name, path)
                lines += ["", f"{name} ({status})", *(f"    - {line}" for line in before)]
                lines += [f"    + {line}" for line in after]
    wrong = wrongly_listed(found)
    for line in wrong:
        lines += ["", line, "    is listed as harmless, but a test notices it, or it is no change"]
    return lines, share >= LEAST and not wrong


if __name__ == "__main__":
    lines, good = report({path: statuses(path) for path in sorted(walk_mutatable_files())})
    print(*lines, sep="\n")
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(not good)
