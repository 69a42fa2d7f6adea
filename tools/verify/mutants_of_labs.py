"""Change the labs' JavaScript on purpose, one token at a time, and see whether a test in V8 notices.

    python -m tools.verify.mutants_of_labs [COUNT] [NAME ...]

With a count, so many changes of each file are drawn. What draws is left out: a browser looks at it, not V8.
A test is run once V8 answers it otherwise than before the change: until then it cannot fail.
"""

import contextlib
import io
import re
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random
from time import perf_counter

import pytest
from py_mini_racer import JSEvalException

from course_lib.labs import _lab
from tests import javascript
from tools import ROOT
from tools.verify.harmless import harmless

LEAST = 0.95
SHARED = ("rules",)
MEMORY = 10**9  # bytes that V8 may take
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
    """Yield (changed text, its changed line, what was there before) for every token that can be another."""
    end = re.search(r"^define\(", text, re.MULTILINE)
    hidden = SKIPPED.sub(lambda match: "\0" * len(match[0]), text)
    for token in TOKEN.finditer(hidden, 0, end.start() if end else len(text)):
        old = token[0]
        new = str(float(old) + 1).removesuffix(".0") if old[0].isdigit() else OTHER.get(old)
        if new:
            changed = text[: token.start()] + new + text[token.end() :]
            line = text.count("\n", 0, token.start())
            yield changed, changed.splitlines()[line].strip(), f"{old} in line {line + 1}"


class Mutants:
    """A plugin of pytest: it runs the tests of a script as it is, and then with one change after another."""

    def __init__(self, path, count):
        self.path, self.count, self.failed = path, count, False
        self.possible, self.noticed, self.unnoticed = set(), [], []  # each as the list of the harmless has it

    def pytest_runtestloop(self, session):
        original = self.path.read_text(encoding="utf-8")
        tests = [test for _, *test in sorted(self.tests(session.items), key=lambda test: test[0])]
        changes = [(text, f"{self.path.name}: {line}", was) for text, line, was in mutants(original)]
        self.possible = {line for _, line, _ in changes}
        for i in sorted(Random(0).sample(range(len(changes)), min(self.count, len(changes)))):
            text, line, was = changes[i]
            self.path.write_text(text, encoding="utf-8")
            javascript.close_all()
            found = self.noticed if any(self.notices(*test) for test in tests) else self.unnoticed
            found.append((line, was))
        self.path.write_text(original, encoding="utf-8")
        return True

    def tests(self, items):
        """Yield each test that asks V8: how long it takes, itself, and what it asks and is answered."""
        for item in items:
            start = perf_counter()
            with noting() as answers:
                if not self.passes(item):
                    sys.exit(f"{item.name} fails as it is")
            if answers:
                yield perf_counter() - start, item, answers

    def notices(self, item, answers):
        """Return whether a test fails now."""
        try:
            if all(asked(name, code) == answer for name, code, answer in answers):
                return False
        except JSEvalException:  # an error, or no end
            return True
        return not self.passes(item)

    def passes(self, item):
        self.failed = False
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self.failed

    def pytest_runtest_logreport(self, report):
        self.failed |= report.failed


@contextlib.contextmanager
def noting():
    """Note what tests ask V8: of which script, the code, and the answer."""
    answers, ask = [], javascript.Script.ask

    def noted(script, code):
        answers.append((script.name, code, ask(script, code)))
        return answers[-1][-1]

    javascript.Script.ask = noted
    yield answers
    javascript.Script.ask = ask


def asked(name, code):
    return javascript.script(name).ask(code, max_memory=MEMORY)


def report(name, plugin):
    """Print what became of the changes of a script; return the share that was noticed, 0 for a wrong list."""
    known = harmless(f"{name}.js")
    survivors = [(line, was) for line, was in plugin.unnoticed if line not in known]
    wrong = known - plugin.possible | known & {line for line, _ in plugin.noticed}
    for line, was in survivors:
        print(f"{line}\n  no test notices it; it was {was}")
    for line in sorted(wrong):
        print(f"{line}\n  is listed as harmless, but a test notices it, or it is no change")
    seen, count = len(plugin.noticed), len(plugin.noticed) + len(survivors)
    print(f"{name}.js: {seen} of {count} mutants were noticed: {seen / count:.1%}", end="; ")
    print(f"{len(plugin.unnoticed) - len(survivors)} more change nothing that can be seen", flush=True)
    return 0 if wrong else seen / count


def main(*words):
    names = [word for word in words if not word.isdecimal()] or [*SHARED, *javascript.PLACES]
    count = next((int(word) for word in words if word.isdecimal()), sys.maxsize)
    _lab.FOLDER = javascript.FOLDER = Path(
        shutil.copytree(_lab.FOLDER, tempfile.mkdtemp(), dirs_exist_ok=True)
    )
    shares = []
    for name in names:
        plugin = Mutants(_lab.FOLDER / f"{name}.js", count)
        tests = ROOT / "tests" / "module" / "labs" / f"test_{'lab' if name in SHARED else name}.py"
        options = ["-q", "-s", "--tb=line", "-p", "no:nbval", "-p", "no:cacheprovider"]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = pytest.main([*options, str(tests)], plugins=[plugin])
        if code > pytest.ExitCode.TESTS_FAILED:
            sys.exit(said.getvalue())
        shares.append(report(name, plugin))
    return min(shares) < LEAST


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(*sys.argv[1:]))
