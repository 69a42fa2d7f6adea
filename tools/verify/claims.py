"""The ledger of claims: a sentence in a chapter, and the one test that computes it.

A chapter `book/NAME.ipynb` closes with "What you can now claim", a list of `- **id**: sentence`. Under a
claim that contradicts a common belief stands what is said instead, `    - *Often heard:* sentence`.
The file `tests/claims/test_NAME.py` holds, for each, `test_<id with underscores>` whose docstring is
that sentence.
"""

import ast
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

from tools import ROOT
from tools.build import notebooks

HEADING = "## What you can now claim"
ITEM = re.compile(
    r"^- \*\*(?P<id>[^*]+)\*\*: (?P<sentence>.+)$(\n +- \*Often heard:\* (?P<heard>.+)$)?", re.MULTILINE
)


@dataclass(frozen=True)
class Claim:
    id: str
    sentence: str
    heard: str | None = None

    @property
    def text(self):
        return f"{self.sentence} {self.heard or ''}"

    @property
    def test_name(self):
        return "test_" + self.id.replace("-", "_")


@dataclass(frozen=True)
class ClaimTest:
    name: str
    sentence: str
    source: str
    line: int


def claims(notebook):
    """Return the claims of a chapter, in its order."""
    text = "\n".join(source for _, source in notebooks.markdown(notebook))
    _, found, section = text.partition(HEADING)
    if not found:
        return []
    return claims_in(re.split(r"^## ", section, flags=re.MULTILINE)[0])


def claims_in(text):
    """Return the claims of a text, in its order."""
    return [Claim(match["id"], match["sentence"].strip(), match["heard"]) for match in ITEM.finditer(text)]


def tests_of(chapter, root=ROOT):
    """Return the path of the tests of a chapter's claims."""
    return Path(root) / "tests" / "claims" / f"test_{Path(chapter).stem}.py"


def claim_tests(path):
    """Return the tests in a file of claims, in its order; none where there is no such file."""
    if not Path(path).exists():
        return []
    text = Path(path).read_text(encoding="utf-8")
    return [
        ClaimTest(
            node.name, _one_line(ast.get_docstring(node)), ast.get_source_segment(text, node), node.lineno
        )
        for node in ast.parse(text).body
        if _is_test(node)
    ]


def shared_code(path):
    """Return the code in a file of claims that belongs to no single test."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not _is_test(node)]
    return ast.unparse(tree)


def _is_test(node):
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def _one_line(docstring):
    return " ".join(inspect.cleandoc(docstring or "").split())
