"""A browser, and the built site at an address."""

import pytest
from playwright.sync_api import sync_playwright

from tests.browsing import SITE, needed, offline
from tools.chromium import path_of_chromium
from tools.measure import weight


@pytest.fixture(scope="session")
def address():
    with weight.served(SITE) as address:
        yield address


@pytest.fixture(scope="session")
def playwright():
    """What drives Chromium and Firefox: it can run once in a process."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright):
    needed(path_of_chromium(), "Chromium or Chrome", "chromium")
    with offline(playwright) as instance:
        yield instance
