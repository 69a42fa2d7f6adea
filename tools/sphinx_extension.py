"""What the book adds to Sphinx.

- A chapter is executed again when a module of course_lib that it imports has changed.
- `{claims}` draws the ledger of claims.
- Every chapter's page says how to run it and offers a notebook with course_lib inside.
"""

import hashlib
import json
import re
from pathlib import Path

import nbformat
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.util.nodes import nested_parse_with_titles

from tools import ROOT, claims, home, notebooks, pack


def fingerprint(app, docname, source):
    """Make the modules that a notebook imports part of what its page depends on.

    Sphinx reads a page again when a noted dependency is newer than it; the digest in the kernel's
    metadata enters the key under which jupyter-cache keeps the outputs.
    """
    if not app.env.doc2path(docname).endswith(".ipynb"):
        return
    notebook = nbformat.reads(source[0], as_version=4)
    used = [*notebooks.modules_used(notebook), ROOT / "requirements.txt", ROOT / "constraints.txt"]
    digest = hashlib.sha256()
    for path in used:
        app.env.note_dependency(str(path))
        digest.update(path.read_bytes())
    content = json.loads(source[0])
    content["metadata"]["kernelspec"]["depends_on"] = digest.hexdigest()
    source[0] = json.dumps(content)


class Ledger(Directive):
    """Every claim of every chapter, with the test that computes it."""

    def run(self):
        env = self.state.document.settings.env
        lines = []
        for chapter in notebooks.chapters():
            tests_path = claims.tests_of(chapter)
            for path in (chapter, tests_path):
                env.note_dependency(str(path))
            tests = {test.name: test for test in claims.claim_tests(tests_path)}
            tests_name = tests_path.relative_to(ROOT).as_posix()
            notebook = notebooks.read(chapter)
            lines += [f"## {notebooks.title(notebook)}", ""]
            lines += [f"From {{doc}}`{chapter.stem}`; the tests are in `{tests_name}`.", ""]
            for claim in claims.claims(notebook):
                lines += [f"({claim.id})=", f"**{claim.id}**: {claim.sentence}", ""]
                if claim.test_name in tests:
                    lines += [f":::{{dropdown}} {claim.test_name}", "```python"]
                    lines += [tests[claim.test_name].source, "```", ":::", ""]
        section = nodes.section()
        section.document = self.state.document
        nested_parse_with_titles(self.state, StringList("\n".join(lines).splitlines(), "ledger"), section)
        return section.children


def run_line(app, pagename, templatename, context, doctree):
    """Say under a chapter's title how to run it."""
    if doctree is None or not app.env.doc2path(pagename).endswith(".ipynb"):
        return
    up = "../" * pagename.count("/")
    packed = f"{up}colab/{Path(pagename).name}.ipynb"
    button = " Or open it there directly with the rocket button above." if home.read() else ""
    line = (
        f'<p class="run-this-chapter">Run it: <a href="{packed}" download>download this chapter as a '
        "notebook that carries its module inside</a> and upload it to Colab, or open it in any Jupyter "
        f"that has torch, scikit-learn and matplotlib.{button}</p>"
    )
    context["body"] = re.sub(r"(</h1>)", lambda match: match[1] + line, context["body"], count=1)


def without_thebe(app, pagename, templatename, context, doctree):
    """Drop the scripts of sphinx-thebe, which Jupyter Book always loads: they point to another server."""
    context["script_files"] = [
        script for script in context["script_files"] if "thebe" not in f"{script} {vars(script)}".lower()
    ]


def write_packed(app, exception):
    if exception is None and app.builder.format == "html":
        pack.write_all(Path(app.outdir) / "colab")


def setup(app):
    app.add_directive("claims", Ledger)
    app.connect("source-read", fingerprint)
    app.connect("html-page-context", run_line)
    app.connect("html-page-context", without_thebe, priority=900)
    app.connect("build-finished", write_packed)
    own_source = b"".join(path.read_bytes() for path in sorted((ROOT / "tools").glob("*.py")))
    return {
        "env_version": hashlib.sha256(own_source).hexdigest(),  # another extension: read every page again
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
