"""A browser, and the built site at an address."""

import os

import pytest

from tests.browsing import SITE
from tools.chromium import chromium, path_of_chromium
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
    with chromium() as instance:
        yield instance
