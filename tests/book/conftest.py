"""A browser, and the built site at an address."""

import os

import pytest
from playwright.sync_api import sync_playwright

from tests.browsing import SITE, offline
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
    if path_of_chromium() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs a browser: install chromium")
        pytest.skip("no Chromium or Chrome on the PATH: tests in a browser are skipped")
    with offline(playwright) as instance:
        yield instance
