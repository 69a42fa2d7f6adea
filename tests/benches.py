"""A lab on its page: moved by its controls, read by what it shows, and what it has to show."""

import json
from functools import cache

from course_lib import labs
from tests.javascript import script

KINDS = """(root, name) => Object.fromEntries([...root.querySelectorAll("input, select")].map(
  (control) => [control.id.slice(name.length + 1), control.type]))"""
# A lab opens when its place comes near.
COME = """async (root) => {
  root.parentElement.scrollIntoView();
  for (const start = performance.now(); !root.matches(".lab-on"); ) {
    if (performance.now() - start > 30000) throw new Error("the lab has not opened for 30 seconds");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}"""
# What the lab tells, once all of it is computed.
FACTS = """async (root) => {
  const start = performance.now();
  while (!root.matches(".lab-on:not([data-busy])")) {
    if (performance.now() - start > 30000) throw new Error("the lab is busy for 30 seconds");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await new Promise(requestAnimationFrame);
  return [...root.querySelectorAll(".lab-facts > div")].map(
    (fact) => [fact.querySelector("dt").textContent, fact.querySelector("dd").textContent]);
}"""
# As Playwright moves a control: a box is clicked, all else is filled, and tells so by its events.
MOVE_ALL = f"""async (root, steps) => {{
  const told = [];
  for (const step of steps) {{
    const controls = Object.entries(step).map(([id, value]) => [document.getElementById(id), value]);
    const moved = [];
    for (const [control, value] of controls) {{
      if (!control.checkVisibility() || control.disabled) continue;
      moved.push(control.id);
      const holds = control.type === "checkbox" ? "checked" : "value";
      if (control[holds] === value) continue;
      if (holds === "checked") control.click();
      else {{
        control.value = value;
        for (const event of ["input", "change"]) control.dispatchEvent(new Event(event, {{ bubbles: true }}));
      }}
      if (control[holds] !== value) throw new Error(`${{control.id}} does not take ${{value}}`);
    }}
    told.push([moved, await ({FACTS})(root)]);
  }}
  return told;
}}"""


@cache
def computed(name, settings, data):
    """Return what a lab tells in V8; settings and data are JSON."""
    return script(name).facts(labs.Lab(name, json.loads(settings), json.loads(data)))


class Bench:
    """A lab on its page, as a reader moves and reads it."""

    def __init__(self, tab, name):
        self.tab, self.name = tab, name
        self.root = tab.locator(f'.lab[data-lab="{name}"]')
        self.root.evaluate(COME)
        self.given = self.root.evaluate("root => JSON.parse(root.dataset.given)")
        self.kinds = self.root.evaluate(KINDS, name)

    def facts(self):
        """Return what the lab tells, once all of it is computed."""
        return dict(self.root.evaluate(FACTS))

    def expected(self, setting=()):
        """Return what it has to tell: the same as in V8, which is compared with course_lib."""
        settings = json.dumps(self.given["settings"] | dict(setting))
        return computed(self.name, settings, json.dumps(self.given["data"]))

    def move(self, setting, value):
        """Move a control until it shows a value; return whether it is shown, and can be moved."""
        control = self.root.locator(f"#{self.name}-{setting}")
        if control.is_hidden():
            return False
        by_kind = {"checkbox": control.set_checked, "select-one": control.select_option}
        by_kind.get(self.kinds[setting], control.fill)(self.held(setting, value))
        return True

    def held(self, setting, value):
        """Return what the element of a control holds where it shows a value."""
        kind = self.kinds[setting]
        if kind == "range":
            return str(script(self.name)("control(name).values", name=setting).index(value))
        if kind == "select-one":
            return value if isinstance(value, str) else json.dumps(value)
        return value if kind == "checkbox" else "" if value is None else str(value)

    def move_all(self, settings):
        """Move the controls to one setting after another, within the page; return what is told at each.

        That is a list of the controls that were shown, and could be moved, and the facts.
        """
        steps = [
            {f"{self.name}-{name}": self.held(name, value) for name, value in setting.items()}
            for setting in (
                {name: value for name, value in setting.items() if name in self.kinds} for setting in settings
            )
        ]
        return [
            ([control.removeprefix(f"{self.name}-") for control in moved], dict(facts))
            for moved, facts in self.root.evaluate(MOVE_ALL, steps)
        ]

    def press(self, name):
        self.root.get_by_role("button", name=name).click()

    @property
    def said(self):
        return self.root.locator(".lab-said").inner_text()
