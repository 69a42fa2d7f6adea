"""Write exercises into the chapters and their solutions, as course_lib.check declares them.

python -m tools.build.exercises

The function that is declared is the solution. Without its body it is what a reader finds in the chapter. The
cell that ends in `check.<name>(<name>)` gets the one, that which ends in `assert check.<name>(<name>)` the
other, and the fold "Hints" in the cell above the former the hints.
"""

import importlib
import inspect
import re
import textwrap

from tools import ROOT
from tools.build import notebooks

STUB = re.compile(r"^check\.(\w+)\(\1\)\Z", re.MULTILINE)
SOLUTION = re.compile(r"^assert check\.(\w+)\(\1\)\Z", re.MULTILINE)
HINTS = re.compile(r"(?<=<summary>Hints</summary>\n\n).*?(?=\n\n</details>)", re.DOTALL)


def declared(chapter):
    """Return the exercises of a chapter by name, if it has any."""
    if not (ROOT / "course_lib" / "check" / f"{chapter}.py").exists():
        return {}
    module = importlib.import_module(f"course_lib.check.{chapter}")
    return {name: getattr(module, name) for name in module.__all__}


def source(function):
    """Return the lines of a function without its decorator, from `def` on, head and body."""
    text = textwrap.dedent(inspect.getsource(function))
    text = text[re.search(r"^def ", text, re.MULTILINE).start() :].rstrip()
    end = re.search(r'\):\n(?:    """.*?"""\n)?', text, re.DOTALL).end()
    return text[:end], text[end:]


def solution(exercise):
    """Return the cell that solves an exercise."""
    head, body = source(exercise.reference)
    return f"{head}{body}\n\n\nassert check.{exercise.name}({exercise.name})"


def stub(exercise):
    """Return the cell in which a reader solves it."""
    head, _ = source(exercise.reference)
    body = source(exercise.given)[1] if exercise.given else "    ..."
    return f"{head}{body}\n\n\ncheck.{exercise.name}({exercise.name})"


def hints(exercise):
    """Return the hints as a list in Markdown."""
    return "\n".join(f"{number}. {hint}" for number, hint in enumerate(exercise.hints, 1))


def written(notebook, exercises):
    """Write the exercises into their cells; return the names of those that have one."""
    found = []
    for above, cell in zip([None, *notebook.cells], notebook.cells, strict=False):
        for pattern, text in ((STUB, stub), (SOLUTION, solution)):
            match = cell.cell_type == "code" and pattern.search(cell.source)
            if match and match[1] not in found:  # a second way is left as it is
                exercise = exercises[match[1]]
                cell.source = text(exercise)
                found.append(exercise.name)
                if pattern is STUB:
                    above.source = HINTS.sub(lambda _, e=exercise: hints(e), above.source)
    return found


def main():
    for path in notebooks.stored():
        notebook = notebooks.read(path)
        if written(notebook, declared(path.stem)):
            notebooks.write(notebook, path)


if __name__ == "__main__":
    main()
