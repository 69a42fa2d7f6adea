"""What the book adds to Sphinx.

- Every build builds all pages; what executed notebooks gave is kept.
- A chapter is executed again when a module of course_lib that it imports has changed; chapters are
  executed side by side, before Sphinx reads the pages.
- `{claims}` draws the ledger of claims.
- `{rosetta}` and `{idle-optimizers}` draw what `make rosetta` measured.
- Every chapter's page says how to run it and offers a notebook with course_lib inside.
- Every page has a description and every table a name; there is a page for addresses without one.
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
import textwrap
from contextlib import suppress
from html import escape
from pathlib import Path

import nbformat
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from sphinx.util.nodes import nested_parse_with_titles
from sphinx.writers.html5 import HTML5Translator

from tools import ROOT
from tools.build import home, notebooks, pack, site
from tools.verify import claims


def forget(app):
    """Remove what an earlier build read and wrote, but not what it executed: each build is a first one.

    Sphinx would keep pages, images and what was done to them, and lose their entries in the search index.
    """
    for folder in (app.outdir, app.doctreedir):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)


def fingerprint(app, docname, source):
    """Make what a notebook's outputs depend on part of the key under which jupyter-cache keeps them."""
    if app.env.doc2path(docname).endswith(".ipynb"):
        notebook = nbformat.reads(source[0], as_version=4)
        notebook.metadata.kernelspec["depends_on"] = depends_on(notebook)
        source[0] = nbformat.writes(notebook)


def depends_on(notebook):
    """Return a digest of the files, beside its own, that a notebook's outputs depend on."""
    paths = [*notebooks.modules_used(notebook), ROOT / "requirements.txt", ROOT / "constraints.txt"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def execute_missing(app, env, docnames):
    """Execute, one notebook a core, what the cache lacks: Sphinx would do so one page after another."""
    paths = [path for name in docnames if (path := env.doc2path(name)).endswith(".ipynb")]
    if env.mystnb_config.execution_mode == "cache":
        asyncio.run(execute_all(paths, env.mystnb_config))


async def execute_all(paths, config):
    cache = get_cache(config.execution_cache_path)
    cores = asyncio.Semaphore(os.cpu_count())
    await asyncio.gather(*(execute(path, config, cache, cores) for path in paths))


async def execute(path, config, cache, cores):
    """Execute a notebook into the cache, unless it is there; one that fails is left to myst-nb to report."""
    notebook = notebooks.read(path)
    notebook.metadata.kernelspec["depends_on"] = depends_on(notebook)
    with suppress(KeyError):
        return cache.match_cache_notebook(notebook)
    async with cores:
        with suppress(CellExecutionError, CellTimeoutError):
            await notebooks.client(notebook, path, config.execution_timeout).async_execute()
            cache.cache_notebook_bundle(CacheBundleIn(notebook, path), check_validity=False, overwrite=True)


THEBE = re.compile(
    r'<script type="text/x-thebe-config">.*?</script>\s*<script>kernelName = .*?</script>', re.DOTALL
)


class Ledger(Directive):
    """Every claim of every chapter, with the test that computes it, and what is often heard instead."""

    def run(self):
        heard, ledger = [], []
        for chapter in notebooks.chapters():
            tests_path = claims.tests_of(chapter)
            tests = {test.name: test for test in claims.claim_tests(tests_path)}
            tests_name = tests_path.relative_to(ROOT).as_posix()
            notebook = notebooks.read(chapter)
            ledger += [f"## {notebooks.title(notebook)}", ""]
            ledger += [f"From {{doc}}`{chapter.stem}`; the tests are in `{tests_name}`.", ""]
            for claim in claims.claims(notebook):
                ledger += [f"({claim.id})=", f"**{claim.id}**: {claim.sentence}", ""]
                if claim.heard:
                    heard += [f"- “{claim.heard}” But: [{claim.id}](#{claim.id})"]
                    ledger += [f"> Often heard: “{claim.heard}”", ""]
                if claim.test_name in tests:
                    ledger += [f":::{{dropdown}} {claim.test_name}", "```python"]
                    ledger += [tests[claim.test_name].source, "```", ":::", ""]
        return drawn(self, ["## Often heard, and at most half true", "", *heard, "", *ledger])


def drawn(directive, lines):
    """Return the nodes of a directive that stands for lines of Markdown."""
    section = nodes.section()
    section.document = directive.state.document
    text = StringList("\n".join(lines).splitlines(), directive.name)
    nested_parse_with_titles(directive.state, text, section)
    return section.children


LIBRARIES = {
    "reference": "The reference",
    "textbook": "Textbooks",
    "written": "Written into the loss",
    "torch": "PyTorch",
    "course_lib": "This book",
    "paper": "The papers on decoupled decay and on Lion",
    "sklearn": "scikit-learn",
    "keras": "Keras",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
}


class Rosetta(Directive):
    """Every knob of course_lib.conventions, by library, with what its check allows or has measured."""

    def run(self):
        from course_lib.conventions import KNOBS

        record = measured()
        lines = []
        for library in dict.fromkeys(name.partition(".")[0] for name in KNOBS):
            rows = {}
            for name, knob in KNOBS.items():
                if name.partition(".")[0] == library:
                    rows.setdefault(knob_cells(knob, record["knobs"]), []).append(name.partition(".")[2])
            lines += [f"### {LIBRARIES.get(library, library)}", ""]
            lines += [table_row("knob", "lambda in $J$", "bias", "off by", "it minimizes, or does")]
            lines += [table_row(*5 * ["---"])]
            for cells, names in rows.items():
                lines += [table_row(", ".join(f"`{name}`" for name in names), *cells)]
            lines += [""]
        versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        lines += [f"`make rosetta` last ran on {record['date']}, with Python {record['python']}, {versions}."]
        return drawn(self, lines)


def measured():
    """Return the record of `make rosetta`."""
    return json.loads((ROOT / "book" / "rosetta.json").read_text(encoding="utf-8"))


def table_row(*cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def knob_cells(knob, records):
    """Return what a row says of a knob beside its name."""
    off_by = f"≤\N{NO-BREAK SPACE}{power_of_ten(knob.tolerance)}"
    if knob.name in records:
        off_by = power_of_ten(records[knob.name]["difference"])
    kind = {"l2": "", "decoupled": f" ({knob.beside}'s)"}.get(knob.penalty, f" ({knob.penalty})")
    bias = f"{knob.bias}\\*" if knob.bias_is_a_choice else knob.bias
    return formulas(knob) + kind, bias, off_by, f"`{knob.objective}`"


def formulas(knob):
    """Return the formulas of a knob, each with its losses where they differ, or need a number of outputs."""
    losses = {}
    for loss, formula in knob.formulas.items():
        losses.setdefault(formula, []).append(loss)
    if len(losses) == 1 and not any(" of " in loss for loss in knob.formulas):
        return f"`{knob.formula}`"
    return "; ".join(f"{', '.join(names)}: `{formula}`" for formula, names in losses.items())


def power_of_ten(number):
    """Return a number of one digit, such as 4e-08, as text that does not break: 4·10⁻⁸."""
    digit, exponent = f"{number:.0e}".split("e")
    power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if digit == "1" else f"{digit}·{power}"


class IdleOptimizers(Directive):
    """What every optimizer does to parameters whose gradient is zero."""

    def run(self):
        record = measured()
        lines = []
        for library, verdicts in record["optimizers"].items():
            shrinking = sum(verdict == "shrinks" for verdict in verdicts.values())
            version = record["versions"].get(library.replace("_", "-"), "")
            title = f"**{library}** {version}".strip()
            lines += [f"{title}: {shrinking} of {len(verdicts)} shrink every weight.", ""]
            for verdict in sorted(set(verdicts.values()) - {"shrinks"}, key=worst_first):
                names = ", ".join(f"`{name}`" for name, found in verdicts.items() if found == verdict)
                lines += [f"- {verdict}: {names}"]
            lines += [""]
        return drawn(self, lines)


def worst_first(verdict):
    kinds = ("tilts", "shrinks some", "does not decay", "not run")
    return kinds.index(verdict.partition(":")[0]), verdict


class Translator(HTML5Translator):
    """Writes tables that say what they show: the title of their section, and what each heading is of."""

    def starttag(self, node, tagname, *arguments, **attributes):
        if tagname == "table":
            attributes["aria-label"] = heading_over(node)
        elif tagname == "th":
            attributes["scope"] = "col" if isinstance(node.parent.parent, nodes.thead) else "row"
        return super().starttag(node, tagname, *arguments, **attributes)


def heading_over(node):
    """Return the title of the section in which a node stands."""
    if isinstance(node, nodes.section):
        return node.next_node(nodes.title).astext()
    return heading_over(node.parent)


def first_column_names_rows(app, doctree):
    """Make the cells of every table's first column headings of their rows."""
    for group in doctree.findall(nodes.tgroup):
        group.next_node(nodes.colspec)["stub"] = 1


def run_line(app, pagename, templatename, context, doctree):
    """Say under a chapter's title how to run it; its menu offers the same notebook for download."""
    if doctree is None or not app.env.doc2path(pagename).endswith(".ipynb"):
        return
    packed = context["pathto"](f"colab/{Path(pagename).name}.ipynb", 1)
    rocket = " Or open it there directly with the rocket button above." if home.read() else ""
    line = (
        f'<p class="run-this-chapter">Run it: <a href="{packed}" download>download this chapter as a '
        "notebook that carries its module inside</a> and upload it to Colab, or open it in any Jupyter "
        f"that has torch, scikit-learn and matplotlib.{rocket}</p>"
    )
    context["body"] = re.sub(r"(</h1>)", lambda match: match[1] + line, context["body"], count=1)
    for group in context["header_buttons"]:
        for button in group.get("buttons", []):
            if button.get("label") == "download-source-button":
                button |= {"url": packed, "tooltip": "Download notebook"}


def describe(app, pagename, templatename, context, doctree):
    """Give a page a description: its first paragraph, or else its title."""
    sections = [] if doctree is None else doctree.findall(nodes.section)
    paragraphs = (child for section in sections for child in section if isinstance(child, nodes.paragraph))
    title = context.get("title", "Where to find what")
    text = next((paragraph.astext() for paragraph in paragraphs), f"{title} in {app.config.html_title}")
    content = escape(textwrap.shorten(text, 160, placeholder=" …"))
    context["metatags"] = f'{context.get("metatags", "")}<meta name="description" content="{content}" />'


def search_script(app, pagename, templatename, context, doctree):
    """Let the search page show text of the articles alone."""
    if pagename == "search":
        app.add_js_file("search.js")


def not_found(app):
    """Draw the page that is shown for an address without one, as GitHub Pages does."""
    title = "There is no such page"
    first = f'<a href="{app.config.root_doc}.html">first page</a>'
    body = f"<h1>{title}</h1><p>The contents, the search or the {first} may help.</p>"
    yield "404", {"title": title, "body": body}, "page.html"


def without_thebe(app, pagename, templatename, context, doctree):
    """Drop the scripts of sphinx-thebe, which Jupyter Book always loads: they point to another server."""
    context["script_files"] = [
        script for script in context["script_files"] if "thebe" not in f"{script} {vars(script)}".lower()
    ]
    if "body" in context:
        context["body"] = THEBE.sub("", context["body"])


def reachable(app, pagename, templatename, context, doctree):
    """Let the keyboard scroll tables; give the entries of the bibliography, a list, the role of its items."""
    if "body" in context:
        container = '<div class="pst-scrollable-table-container"'
        context["body"] = context["body"].replace(container, f'{container} tabindex="0"')
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def finish(app, exception):
    if exception is None and app.builder.format == "html":
        pack.write_all(app.outdir / "colab")
        site.finish(app.outdir, app.config.html_title, f"{app.config.root_doc}.html")


def setup(app):
    forget(app)
    app.add_directive("claims", Ledger)
    app.add_directive("rosetta", Rosetta)
    app.add_directive("idle-optimizers", IdleOptimizers)
    app.set_translator("html", Translator)
    app.connect("env-before-read-docs", execute_missing)
    app.connect("source-read", fingerprint)
    app.connect("doctree-read", first_column_names_rows)
    app.connect("html-collect-pages", not_found)
    app.connect("html-page-context", describe)
    app.connect("html-page-context", search_script)
    app.connect("html-page-context", run_line, priority=900)
    app.connect("html-page-context", without_thebe, priority=900)
    app.connect("html-page-context", reachable)
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
