"""Serve the built book, rebuild it when a source changes, and reload the page.

python -m tools.build.serve [PORT]

Where the port is taken the next free one is served.
"""

import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from livereload import Server

from tools import ROOT

HOST = "127.0.0.1"
SOURCES = (
    "book/**",
    "course_lib/**/*.py",
    "course_lib/labs/javascript/*",
    "tests/claims/*.py",
    "_config.yml",
    "_toc.yml",
)


def build():
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    subprocess.run([jupyter_book, "build", ".", "--keep-going", "--quiet"], cwd=ROOT)


def free_port(first):
    """Return the first port from there on that nobody listens to, of a hundred."""
    for port in range(first, min(first + 100, 65536)):
        with suppress(OSError), socket.create_server((HOST, port)):
            return port
    sys.exit(f"no port from {first} on is free")


def main(port="8000"):
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        sys.exit(f"PORT must be a whole number from 1 to 65535, got {port!r}")
    server = Server()
    for pattern in SOURCES:
        server.watch(str(ROOT / pattern), build)
    server.serve(root=str(ROOT / "_build/html"), host=HOST, port=free_port(int(port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
