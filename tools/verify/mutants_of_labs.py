"""Change the labs' JavaScript on purpose, one token at a time, and see whether a test in V8 notices.

    python -m tools.verify.mutants_of_labs [NAME ...]

What draws is left out: a browser looks at it, not V8.
"""

import contextlib
import io
import re
import shutil
import sys
import tempfile
from pathlib import Path

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
    """Return whether a test of a script fails."""
    javascript.script.cache_clear()
    _lab.text.cache_clear()
    tests = ROOT / "tests" / "module" / "labs" / f"test_{name}.py"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return pytest.main(["-x", "-q", "-p", "no:nbval", "-p", "no:cacheprovider", str(tests)]) != 0


def main(*names):
    folder = Path(shutil.copytree(_lab.FOLDER, tempfile.mkdtemp(), dirs_exist_ok=True))
    _lab.FOLDER = javascript.FOLDER = folder
    killed, total = 0, 0
    for name in names or ["rules", *javascript.PLACES]:
        path, case = folder / f"{name}.js", name
        original = path.read_text(encoding="utf-8")
        if noticed(case):
            sys.exit(f"{name}: a test fails as it is")
        for line, old, new, text in mutants(original):
            path.write_text(text, encoding="utf-8")
            total += 1
            if noticed(case):
                killed += 1
            else:
                where = original.splitlines()[line - 1].strip()
                print(f"{name}.js:{line}: {old} -> {new}: {where}", flush=True)
        path.write_text(original, encoding="utf-8")
    print(f"{killed} of {total} mutants of the labs were noticed: {killed / total:.1%}")
    return killed / total < LEAST


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(*sys.argv[1:]))
