"""What a visit costs: requests of each page of the built site, and their bytes, compressed as servers do.

python -m tools.measure.weight

The first visit has an empty cache; on the next one the reader comes from the front page, and has met a
formula before, whose font is loaded with the first. What waits until it is near, as figures do, does not
count.
"""

import gzip
import http.server
import threading
from contextlib import contextmanager
from functools import cache, partial
from urllib.parse import unquote, urlparse

import yaml

from tools import ROOT
from tools.chromium import chromium

SITE = ROOT / "_build" / "html"
FORMULAS = SITE / "_static" / "stix-two-math.woff2"
COMPRESSED_ALREADY = {".png", ".woff2"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def served(folder, handler=Quiet):
    """Serve a folder on this machine; give its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def pages():
    """Return the pages of the table of contents, the front page first."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [contents["root"], *(page["file"] for part in contents["parts"] for page in part["chapters"])]


@cache
def on_its_way(path):
    """Return the content of a file as it is sent."""
    content = path.read_bytes()
    return content if path.suffix in COMPRESSED_ALREADY else gzip.compress(content, mtime=0)


def asked(tab, address):
    """Return the files of the site that a page asks for when it is opened."""
    files = set()

    def note(request):
        files.add(SITE / unquote(urlparse(request.url).path).lstrip("/"))

    tab.on("request", note)
    tab.goto(address, wait_until="networkidle")
    tab.remove_listener("request", note)
    return {file for file in files if file.is_file()}


@cache
def needs(browser, address, page):
    """Return the files of the site that a page asks for when nothing is known yet."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    files = asked(context.new_page(), f"{address}{page}.html")
    context.close()
    return files


def visit(browser, address, page):
    """Return (requests, bytes) of a page at the first visit, and after the front page and a formula."""
    first, known = (needs(browser, address, each) for each in (page, pages()[0]))
    then = first - known - {FORMULAS}
    return [(len(files), sum(len(on_its_way(file)) for file in files)) for files in (first, then)]


def main():
    with served(SITE) as address, chromium() as browser:
        print(f"{'page':30} {'first visit':>22} {'after the front page':>22}")
        for page in pages():
            visits = visit(browser, address, page)
            told = (f"{size / 1000:.0f} kB in {count}" for count, size in visits)
            print(f"{page:30}", *(f"{each:>22}" for each in told))


if __name__ == "__main__":
    main()
