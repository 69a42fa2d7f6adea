"""A browser, and the built site at an address."""

import functools
import http.server
import os
import threading

import pytest

from tests.browsing import SITE
from tools.chromium import chromium, path_of_chromium


@pytest.fixture(scope="module")
def address():
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(SITE))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    if path_of_chromium() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs a browser: install chromium")
        pytest.skip("no Chromium or Chrome on the PATH: tests in a browser are skipped")
    with chromium() as instance:
        yield instance
