"""The built site, opened in a browser with the network cut, and looked at by axe-core."""

from functools import cache

from axe_playwright_python.sync_playwright import Axe

from tools import ROOT
from tools.chromium import chromium

SITE = ROOT / "_build" / "html"
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


def offline():
    """A browser that reaches this machine alone, for as long as it is used."""
    return chromium(OFFLINE)


class Visit:
    """A page opened with the network cut: what it asked for, and what it complained of.

    Visits of a width and a scheme share what the browser has loaded; what a page keeps is forgotten.
    """

    def __init__(self, browser, address, *, width=1300, scheme="light"):
        self.address, self.outside, self.errors = address, [], []
        self.page = shared_context(browser, width, scheme).new_page()
        self.page.on("request", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)

    def _note(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.outside.append(request.url)

    def open(self, page):
        self.page.goto(f"{self.address}{page}", wait_until="load")
        return self.page

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.page.url.startswith(self.address):
            self.page.evaluate("() => localStorage.clear()")
        self.page.close()


@cache
def shared_context(browser, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
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
