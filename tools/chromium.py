"""The browser that prints the book and in which it is tested: Chromium or Chrome, where there is one."""

import shutil
import sys
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def path_of_chromium():
    """Return where Chromium or Chrome is, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def needed_chromium():
    """Return where Chromium or Chrome is; without one, end and say so."""
    return path_of_chromium() or sys.exit("This needs Chromium or Chrome on the PATH")


@contextmanager
def chromium(*flags):
    """A browser, for as long as it is used."""
    needed_chromium()
    with sync_playwright() as playwright:
        browser = launched(playwright, *flags)
        yield browser
        browser.close()


def launched(playwright, *flags):
    return playwright.chromium.launch(executable_path=needed_chromium(), args=[*FLAGS, *flags])
