"""The built site, opened in a browser with the network cut."""

from tools import ROOT

SITE = ROOT / "_build" / "html"


class Visit:
    """A page opened with the network cut: what it asked for, and what it complained of."""

    def __init__(self, browser, address, *, width=1300, scheme="light"):
        self.address, self.outside, self.errors = address, [], []
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.context.add_init_script(f"localStorage.setItem('mode', '{scheme}')")
        self.context.route("**/*", self._route)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)

    def _route(self, route):
        if route.request.url.startswith((self.address, "data:", "blob:")):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def open(self, page):
        self.page.goto(f"{self.address}{page}", wait_until="load")
        return self.page

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()
