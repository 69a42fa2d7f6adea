"""Change the labs' JavaScript on purpose, one token at a time, and see whether a test in V8 notices.

    python -m tools.verify.mutants_of_labs [COUNT] [NAME ...]

With a count, so many changes of each file are drawn. What draws is left out: a browser looks at it, not V8.
"""

import contextlib
import io
import re
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random

import pytest

from course_lib.labs import _lab
from tests import javascript
from tools import ROOT

LEAST = 0.95
SKIPPED = re.compile(r"//[^\n]*|/\*.*?\*/|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|=>", re.DOTALL)
TOKEN = re.compile(
    r"===|!==|<=|>=|&&|\|\||\*\*|\?\?|[-+*/]=|(?<= )[-+*/<>](?= )|\bMath\.\w+|\b\d+(?:\.\d+)?\b"
)
OTHER = {
    **{"===": "!==", "!==": "===", "<=": "<", ">=": ">", "<": "<=", ">": ">=", "&&": "||", "||": "&&"},
    **{"+": "-", "-": "+", "*": "/", "/": "*", "**": "*", "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*="},
    **{"Math.min": "Math.max", "Math.max": "Math.min", "Math.exp": "Math.expm1", "Math.sqrt": "Math.abs"},
    **{"Math.abs": "Number", "Math.log": "Math.log1p", "Math.round": "Math.floor", "Math.floor": "Math.ceil"},
}


def mutants(text):
    """Yield (line, old, new, changed text) for every token that can be another."""
    end = re.search(r"^define\(", text, re.MULTILINE)
    hidden = SKIPPED.sub(lambda match: "\0" * len(match[0]), text)
    for token in TOKEN.finditer(hidden, 0, end.start() if end else len(text)):
        old = token[0]
        new = str(float(old) + 1).removesuffix(".0") if old[0].isdigit() else OTHER.get(old)
        if new:
            line = text.count("\n", 0, token.start()) + 1
            yield line, old, new, text[: token.start()] + new + text[token.end() :]


def noticed(name):
    """Return whether a test of a script fails; those of the rules are among the tests of what labs share."""
    javascript.script.cache_clear()
    _lab.text.cache_clear()
    tests = ROOT / "tests" / "module" / "labs" / f"test_{'lab' if name == 'rules' else name}.py"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return pytest.main(["-x", "-q", "-p", "no:nbval", "-p", "no:cacheprovider", str(tests)]) != 0


def survivors(path, count):
    """Yield, for each change of a script or for so many of them, what is printed of it if no test notices."""
    original = path.read_text(encoding="utf-8")
    if noticed(path.stem):
        sys.exit(f"{path.stem}: a test fails as it is")
    changes = list(mutants(original))
    chosen = Random(0).sample(range(len(changes)), min(count, len(changes)))
    for line, old, new, text in (changes[i] for i in sorted(chosen)):
        path.write_text(text, encoding="utf-8")
        where = original.splitlines()[line - 1].strip()
        yield None if noticed(path.stem) else f"{path.name}:{line}: {old} -> {new}: {where}"
    path.write_text(original, encoding="utf-8")


def main(*words):
    names = [word for word in words if not word.isdecimal()] or ["rules", *javascript.PLACES]
    count = next((int(word) for word in words if word.isdecimal()), sys.maxsize)
    folder = Path(shutil.copytree(_lab.FOLDER, tempfile.mkdtemp(), dirs_exist_ok=True))
    _lab.FOLDER = javascript.FOLDER = folder
    least = 1.0
    for name in names:
        found = []
        for survivor in survivors(folder / f"{name}.js", count):
            found.append(survivor is None)
            if survivor:
                print(survivor, flush=True)
        share = sum(found) / len(found)
        least = min(least, share)
        print(f"{name}.js: {sum(found)} of {len(found)} mutants were noticed: {share:.1%}", flush=True)
    return least < LEAST


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(*sys.argv[1:]))
