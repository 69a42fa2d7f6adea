"""A browser, and the built site at an address."""

import os

import pytest

from tests.browsing import SITE, offline
from tools.chromium import path_of_chromium
from tools.measure import weight


@pytest.fixture(scope="module")
def address():
    with weight.served(SITE) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    if path_of_chromium() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs a browser: install chromium")
        pytest.skip("no Chromium or Chrome on the PATH: tests in a browser are skipped")
    with offline() as instance:
        yield instance
