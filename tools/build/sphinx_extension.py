"""What the book adds to Sphinx.

- Every build builds all pages; what executed notebooks gave is kept.
- A chapter is executed again when a module of course_lib that it imports has changed; chapters are
  executed side by side, before Sphinx reads the pages.
- `{claims}` draws the ledger of claims.
- `{rosetta}` and `{idle-optimizers}` draw what `make rosetta` measured.
- `{zoo}` draws a part of what `make zoo` measured.
- `{lab}` shows a lab on a page of Markdown, and {setting} links to one of its settings.
- `{teaching}` draws what a teacher plans with, counted in the chapters.
- Formulas are MathML in the page, and no script sets them; pages are painted before scripts run.
- Every chapter's page says how to run it and offers a notebook with course_lib inside.
- Every page has a description and every table a name; there is a page for addresses without one.
"""

import shutil
from pathlib import Path

from tools.build import directives, executing, formulas, light, pack, pages, site

SEARCH_ORDER = Path(__file__).with_name("search_order.js")


def forget(app):
    """Remove what an earlier build read and wrote, but not what it executed: each build is a first one.

    Sphinx would keep pages, images and what was done to them, and lose their entries in the search index.
    """
    for folder in (app.outdir, app.doctreedir):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)


def finish(app, exception):
    if exception is None and app.builder.format == "html":
        pack.write_all(app.outdir / "colab")
        if app.builder.name == "html":  # and not for paper
            light.finish(app.outdir)
        site.finish(app.outdir, app.config.html_title, f"{app.config.root_doc}.html")


def setup(app):
    forget(app)
    app.config.html_search_scorer = str(SEARCH_ORDER)
    app.add_directive("claims", directives.Ledger)
    app.add_directive("rosetta", directives.Rosetta)
    app.add_directive("idle-optimizers", directives.IdleOptimizers)
    app.add_directive("zoo", directives.Zoo)
    app.add_directive("lab", directives.Lab)
    app.add_directive("large-sweep", directives.LargeSweep)
    app.add_directive("teaching", directives.Teaching)
    app.add_role("setting", directives.setting)
    app.add_html_math_renderer("mathml", (formulas.inline, None), (formulas.displayed, None))
    app.set_translator("html", pages.Translator)
    app.connect("env-before-read-docs", executing.execute_missing)
    app.connect("source-read", executing.fingerprint)
    app.connect("doctree-read", pages.first_column_names_rows)
    app.connect("doctree-read", pages.folded_code_says_what_it_shows)
    app.connect("html-collect-pages", pages.not_found)
    app.connect("html-page-context", pages.describe)
    app.connect("html-page-context", pages.search_script)
    app.connect("html-page-context", pages.needed_scripts, priority=900)
    app.connect("html-page-context", pages.run_line, priority=900)
    app.connect("html-page-context", pages.without_thebe, priority=900)
    app.connect("html-page-context", pages.reachable)
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": False}  # V8, behind formulas, does not fork
