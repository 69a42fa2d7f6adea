"""The built site, opened in a browser with the network cut, and looked at by axe-core."""

import os
from functools import cache

import pytest
from axe_playwright_python.sync_playwright import Axe

from tools import ROOT
from tools.chromium import launched

SITE = ROOT / "_build" / "html"
SIDEWAYS = "() => document.documentElement.scrollWidth - window.innerWidth"  # pixels
# Headings that make room for the # that shows at the pointer only: it can take a line of its own.
HIGHER = """() => [...document.querySelectorAll(".bd-article :is(h1, h2, h3, h4, h5, h6, dt) > .headerlink")]
  .filter((link) => link.getClientRects().length > 0).map((link) => link.parentElement.textContent)"""
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
HEIGHT = 900
WHOLE = """() => {
  document.documentElement.classList.remove("sections-wait");
  return document.body.offsetHeight;
}"""


def needed(path, name, packages):
    """Skip a test where a browser is missing; in CI that fails."""
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs {name}: install {packages}")
        pytest.skip(f"no {name} is found: install {packages}")


def offline(playwright):
    """Return a browser that reaches this machine alone."""
    return launched(playwright, OFFLINE)


class Visit:
    """A page opened with the network cut: what it asked for, and what it complained of.

    Visits of a width and a scheme share what the browser has loaded, and its tab: to start one takes as long
    as to show a page in it. What a page keeps is forgotten, and what a test has set of the tab.
    """

    def __init__(self, browser, address, *, width=1300, scheme="light"):
        self.address, self.outside, self.errors = address, [], []
        self._context = shared_context(browser, width, scheme)
        self.page = self._context.pages[0] if self._context.pages else self._context.new_page()
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self.page.emulate_media(media="screen", color_scheme=scheme, forced_colors="none")
        self._hears = {"request": self._note, "pageerror": self._hear, "console": self._hear_console}
        for event, listener in self._hears.items():
            self.page.on(event, listener)

    def _note(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.outside.append(request.url)

    def _hear(self, error):
        self.errors.append(str(error))

    def _hear_console(self, message):
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, page, *, whole=True):
        """Return the tab with a page in it; where it is not to be whole, what is far down is not laid out."""
        self.page.goto(f"{self.address}{page}", wait_until="load")
        if whole:
            self.page.evaluate(WHOLE)
        return self.page

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        there = self.page.url.startswith(self.address)
        if there:
            self.page.evaluate("() => { localStorage.clear(); sessionStorage.clear() }")
        for event, listener in self._hears.items():
            self.page.remove_listener(event, listener)
        if there and not failure:
            self.page.goto("about:blank")
        else:
            self.page.close()


@cache
def shared_context(browser, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
    context.add_init_script(f"localStorage.setItem('mode', '{scheme}')")
    return context


# All rules are run; but axe-core does not describe, which takes most of its time, what passes.
ONLY_WHAT_FAILS = {"resultTypes": ["violations"]}

# Compiled for old browsers, axe-core keeps the parts of each color in WeakMaps, and it reads the text of each
# color anew: two thirds of its time. Properties and a table of what was read give the same.
AS_PROPERTIES = """class {
  key = Symbol();
  has(object) { return Object.hasOwn(object, this.key); }
  get(object) { return object[this.key]; }
  set(object, value) { object[this.key] = value; }
  add(object) { object[this.key] = true; }
}"""
READ_ONCE = """
const { Color } = axe.commons.color, read = Color.prototype.parseString, known = new Map();
Color.prototype.parseString = function (text) {
  if (!known.has(text)) known.set(text, read.call(new Color(0, 0, 0, 0), text));
  const { r, g, b, alpha } = known.get(text);
  return Object.assign(this, { r, g, b, alpha });
};
"""


def quick_axe():
    """Return axe-core with faster colors."""
    axe = Axe()
    script = f"{axe.axe_script}; {READ_ONCE}"
    axe.axe_script = f"((WeakMap, WeakSet) => {{ {script} }})({AS_PROPERTIES}, {AS_PROPERTIES})"
    return axe


def serious(tab):
    """Return what axe-core calls serious or critical on a page as it is shown, one line a place."""
    tab.add_style_tag(content="* { animation: none !important; transition: none !important }")
    return [
        f"{violation['id']}: {node['target']} {node['html'][:120]} {node['failureSummary']}"
        for violation in quick_axe().run(tab, options=ONLY_WHAT_FAILS).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
