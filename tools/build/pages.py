"""What a page gets while it is written: names and headings of tables, how to run it, a description."""

import re
import textwrap
from html import escape

from docutils import nodes
from sphinx.writers.html5 import HTML5Translator

from tools.build import home

THEBE = re.compile(
    r'<script type="text/x-thebe-config">.*?</script>\s*<script>kernelName = .*?</script>', re.DOTALL
)
# What a page has in its body where it needs a script: not all have it, and some scripts none needs as yet.
NEEDED_WHERE = {
    "filter.js": "searchable",
    "ask.js": "<blockquote",
    "solved.js": "solutions/",
    "copy.js": "<pre",
    "copybutton.js": "<pre",
    "clipboard.min.js": "<pre",
    "design-tabs.js": "sd-tab-set",
    "togglebutton.js": r'class="(?:[^"]* )?(?:toggle|dropdown)[" ]',
}


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


def folded_code_says_what_it_shows(app, doctree):
    """Name folded code by its first line, which folds it on Colab, too."""
    for cell in doctree.findall(lambda node: "prompt_show" in getattr(node, "attributes", {})):
        title = re.match(r"# @title (.+)", cell.astext())
        if title:
            cell["prompt_show"], cell["prompt_hide"] = f"Show code: {title[1]}", f"Hide code: {title[1]}"


def run_line(app, pagename, templatename, context, doctree):
    """Say under a chapter's title how to run it; its menu offers the same notebook for download."""
    if doctree is None or not app.env.doc2path(pagename).endswith(".ipynb"):
        return
    packed = context["pathto"](f"colab/{pagename.removeprefix('book/')}.ipynb", 1)
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


def needed_scripts(app, pagename, templatename, context, doctree):
    """Leave out the scripts that a page has nothing for."""
    body = context.get("body", "")
    idle = {name for name, sign in NEEDED_WHERE.items() if not re.search(sign, body)}
    context["script_files"] = [
        file for file in context["script_files"] if str(file.filename).rpartition("/")[2] not in idle
    ]


def not_found(app):
    """Draw the page that is shown for an address without one, as GitHub Pages does."""
    title = "There is no such page"
    first = f'<a href="{app.config.root_doc}.html">first page</a>'
    body = f"<h1>{title}</h1><p>The contents, the search or the {first} may help.</p>"
    yield "404", {"title": title, "body": body}, "page.html"


def without_thebe(app, pagename, templatename, context, doctree):
    """Drop what belongs to sphinx-thebe, which Jupyter Book always loads: it points to another server."""
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context[kind] if "thebe" not in f"{file} {vars(file)}".lower()]
    if "body" in context:
        context["body"] = THEBE.sub("", context["body"])


def reachable(app, pagename, templatename, context, doctree):
    """Let the keyboard scroll tables, and the names of folds and the items of lists be heard."""
    if "body" in context:
        container = '<div class="pst-scrollable-table-container"'
        for box in (container, '<div class="output text_html"'):
            context["body"] = context["body"].replace(box, f'{box} tabindex="0"')
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
        context["body"] = context["body"].replace('<summary aria-label="Toggle hidden content">', "<summary>")
