"""Firefox, and WebKit, the one engine of iPhones, with the network cut: where they are installed."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from selenium.webdriver import ActionChains, Keys, WebKitGTK, WebKitGTKOptions
from selenium.webdriver.common.proxy import Proxy
from selenium.webdriver.webkitgtk.service import Service

NOWHERE = "127.0.0.1", 9  # where nothing answers
SIZE = 390, 844
SECONDS = 60
LIBRARIES = (Path("/usr/lib"), Path("/usr/libexec"))


def path_of_firefox():
    return shutil.which("firefox-esr") or shutil.which("firefox")


def path_of_webkit():
    """Return where WebKit's small browser is, or None; besides it needs a driver, and a display."""
    if not shutil.which("WebKitWebDriver") or not shutil.which("Xvfb"):
        return None
    found = (path for folder in LIBRARIES for path in folder.glob("**/webkit2gtk-4.1/MiniBrowser"))
    return next(map(str, found), None)


@contextmanager
def firefox(playwright):
    """Yield a page of Firefox, with a list of its complaints."""
    proxies = {"http": NOWHERE, "ssl": NOWHERE}
    preferences = {"network.proxy.type": 1}
    for kind, (host, port) in proxies.items():
        preferences |= {f"network.proxy.{kind}": host, f"network.proxy.{kind}_port": port}
    browser = playwright.firefox.launch(
        channel="moz-firefox", executable_path=path_of_firefox(), firefox_user_prefs=preferences
    )
    page = browser.new_context(viewport=dict(zip(("width", "height"), SIZE, strict=True))).new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda told: page.complaints.append(told.text) if told.type == "error" else None)
    yield page
    browser.close()


@contextmanager
def display():
    """Yield the environment of programs that draw on a screen that nobody sees."""
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1600x1200x24"]
    process = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        number = pipe.readline().strip()
    yield {**os.environ, "DISPLAY": f":{number}"}
    process.terminate()
    process.wait()


@contextmanager
def webkit(_):
    """Yield a page of WebKit, which needs no Playwright and answers to some of what Playwright's pages do."""
    options = WebKitGTKOptions()
    options.binary_location = path_of_webkit()
    options.add_argument("--automation")
    there = "{}:{}".format(*NOWHERE)
    options.proxy = Proxy({"proxyType": "MANUAL", "httpProxy": there, "sslProxy": there})
    with display() as environment:
        driver = WebKitGTK(options=options, service=Service(shutil.which("WebKitWebDriver"), env=environment))
        driver.set_window_size(*SIZE)
        driver.set_script_timeout(SECONDS)
        yield Page(driver)
        driver.quit()


class Page:
    """A page of WebKit, whose driver hears of no complaints: see `console_of_webkit`."""

    CALL = """const given = [...arguments], done = given.pop();
        const call = async () => (%s)(...given);
        const fine = found => done([true, JSON.stringify(found ?? null)]);
        call().then(fine, error => done([false, `${error}`]));"""

    def __init__(self, driver):
        self.driver, self.keyboard = driver, self

    def goto(self, address):
        self.driver.get(address)

    def evaluate(self, function, *given):
        fine, value = self.driver.execute_async_script(self.CALL % function, *given)
        assert fine, value
        return json.loads(value)  # the driver sorts what an object holds

    def screenshot(self):
        return self.driver.get_screenshot_as_png()

    def locator(self, selector):
        return Part(partial(self.driver.find_element, "css selector", selector), self)

    def press(self, key):
        names = {f"Arrow{way}": f"ARROW_{way.upper()}" for way in ("Left", "Right", "Up", "Down")}
        ActionChains(self.driver).send_keys(getattr(Keys, names.get(key, key.upper()))).perform()


class Part:
    """An element of a page, found anew each time."""

    def __init__(self, find, page):
        self.find, self.page = find, page

    def evaluate(self, function, *given):
        return self.page.evaluate(function, self.find(), *given)


def console_of_webkit(addresses, last):
    """Return what WebKit writes on its console until each of some pages has said its last words."""
    option = "--enable-write-console-messages-to-stdout=true"
    addresses = list(addresses)
    command = [path_of_webkit(), option, *addresses]
    with display() as environment, tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, env=environment, stderr=output)
        for _ in range(SECONDS):
            time.sleep(1)
            output.seek(0)
            lines = output.read().splitlines()
            if sum(last in line for line in lines) == len(addresses):
                break
        process.kill()
        process.wait()
    return [line for line in lines if "CONSOLE " in line]
