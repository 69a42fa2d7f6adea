"""Serve the built book, rebuild it when a source changes, and reload the page."""

import subprocess
import sys

from livereload import Server

from tools import ROOT


def build():
    subprocess.run([sys.executable, "-m", "jupyter_book", "build", ".", "--keep-going", "--quiet"], cwd=ROOT)


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
