"""What is done to the pages once they are built: a policy for their scripts, small mends, lighter figures."""

import base64
import hashlib
import html
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlparse

from PIL import Image

from tools.build import home

INLINE_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
HANDLER = re.compile(r'\son\w+="([^"]*)"')
CHARSET = re.compile(r'<meta charset="utf-8" ?/>')
TITLE_TWICE = re.compile(r"<title>(.+) &#8212; \1</title>")
LAYOUT_TABLE = re.compile(r'(<table(?: style="[^"]*")?) (class="indextable)')
OPENED_NOTEBOOK = re.compile(r'(<a href="[^"]*\.ipynb") target="_blank"')
RELATIVE = re.compile(r'\b(href|src|action|data-content_root)="(?![a-z]+:|[#/])')
INDEX = """\
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta http-equiv="refresh" content="0; url={first}" />
    <meta name="description" content="{title}" />
    <title>{title}</title>
  </head>
  <body><a href="{first}">{title}</a></body>
</html>
"""


def finish(folder, title, first):
    """Mend every page and give it its policy, lead to the first one, and make the figures lighter."""
    (folder / "index.html").write_text(INDEX.format(title=html.escape(title), first=first), encoding="utf-8")
    pages = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}
    handlers = {handler for page in pages.values() for handler in HANDLER.findall(page)}
    for path, page in pages.items():
        page = TITLE_TWICE.sub(r"<title>\1</title>", page)
        page = LAYOUT_TABLE.sub(r'\1 role="presentation" \2', page)
        page = OPENED_NOTEBOOK.sub(r"\1 download", page)
        if path == folder / "404.html":
            page = from_anywhere(page, urlparse(home.published(home.read())).path)
        path.write_text(with_policy(page, handlers), encoding="utf-8")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lighten, (folder / "_images").glob("*.png")))


def from_anywhere(page, root):
    """Return a page whose links start at the root of the site: it is shown under every address."""
    return RELATIVE.sub(rf'\1="{root}', page)


def with_policy(page, handlers):
    """Return a page that runs the site's scripts and its own inline ones, and loads from the site alone."""
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy(page, handlers)}" />'
    return CHARSET.sub(lambda match: f"{match[0]}\n    {meta}", page, count=1)


def policy(page, handlers):
    """Return the Content-Security-Policy that a page needs: a digest stands for each inline script.

    The handlers are those of all pages: a search reads other pages, and browsers then ask its own policy.
    Tables, labs and formulas carry styles, so inline ones are allowed; `file:` is for a copy on disk.
    """
    scripts = INLINE_SCRIPT.findall(page) + [html.unescape(handler) for handler in handlers]
    hashes = sorted({digest(script) for script in scripts})
    here = "'self' file:"
    rules = {
        "default-src": "'none'",
        "script-src": " ".join([here, "'unsafe-hashes'", *hashes]),
        "style-src": f"{here} 'unsafe-inline'",
        "img-src": f"{here} data:",
        "font-src": f"{here} data:",
        "connect-src": here,
        "form-action": here,
        "base-uri": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


def digest(script):
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def lighten(path):
    """Reduce a figure to the 256 colors that fit it best: a third of the bytes, no difference in sight."""
    with Image.open(path) as figure:
        colors = figure.convert("RGB").quantize(
            256, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
        )
    colors.save(path, optimize=True)
