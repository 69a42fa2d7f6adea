"""Serve the built book, rebuild it when a source changes, and reload the page."""

import subprocess
import sys
from pathlib import Path

from livereload import Server

from tools import ROOT


def build():
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    subprocess.run([jupyter_book, "build", ".", "--keep-going", "--quiet"], cwd=ROOT)


if __name__ == "__main__":
    server = Server()
    for pattern in (
        "book/*.ipynb",
        "book/*.md",
        "book/_static/*",
        "course_lib/*.py",
        "_config.yml",
        "_toc.yml",
    ):
        server.watch(str(ROOT / pattern), build)
    server.serve(root=str(ROOT / "_build/html"), host="127.0.0.1", port=8000)
