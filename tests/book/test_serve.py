"""`make serve`: the next free port answers, a changed source is built, and what PORT may be."""

import glob
import os
import re
import signal
import site
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from time import sleep
from urllib.request import urlopen

import pytest

from tools.build import notebooks, serve


@contextmanager
def served(folder, *arguments):
    """Serve a book of one page in a copy of the repository; yield the port that is said."""
    (folder / "_build" / "html").mkdir(parents=True)
    (folder / "_build" / "html" / "index.html").write_text("a book")
    programs = folder / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    (programs / "jupyter-book").write_text('#!/bin/sh\necho "$@" >> built\n')
    (programs / "jupyter-book").chmod(0o755)
    path = os.pathsep.join([str(folder), *site.getsitepackages()])
    process = subprocess.Popen(
        [programs / "python", "-m", "tools.build.serve", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "NO_PROXY": serve.HOST},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # which a job in the background ignores
    )
    try:
        said = process.stderr.readline()
        yield re.search(r"Serving on http://127\.0\.0\.1:(\d+)$", said)[1]
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors


def until(seconds, what):
    """Return the first answer that is neither empty nor an error."""
    for _ in range(seconds):
        with suppress(OSError):
            if answer := what():
                return answer
        sleep(1)
    raise TimeoutError


def test_the_next_free_port_answers_and_a_changed_source_is_built(copy_of_repository, monkeypatch):
    monkeypatch.setenv("NO_PROXY", serve.HOST)

    def built():
        os.utime(copy_of_repository / "book" / "_static" / "book.css")
        return (copy_of_repository / "built").read_text()

    with socket.create_server((serve.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with served(copy_of_repository, str(port)) as other:
            assert int(other) in range(port + 1, port + 100)
            page = until(30, lambda: urlopen(f"http://{serve.HOST}:{other}", timeout=30).read())
            assert b"a book" in page
            assert until(60, built).startswith("build .")


def test_a_free_port_is_taken_itself():
    with socket.create_server((serve.HOST, 0)) as once:
        port = once.getsockname()[1]
    assert serve.free_port(port) == port


def test_no_port_at_all_is_said_in_a_line(monkeypatch):
    def taken(address):
        raise OSError

    monkeypatch.setattr(socket, "create_server", taken)
    with pytest.raises(SystemExit, match="no port from 65500 on is free"):
        serve.free_port(65500)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "80a", "", "8000.0"])
def test_a_port_that_is_none_is_named(port, monkeypatch):
    monkeypatch.setattr(serve.Server, "serve", lambda *arguments, **options: pytest.fail("serves"))
    with pytest.raises(
        SystemExit, match=re.escape(f"PORT must be a whole number from 1 to 65535, got {port!r}")
    ):
        serve.main(port)


def test_every_pattern_of_sources_matches_and_the_pages_are_among_them(root):
    watched = {pattern: glob.glob(pattern, root_dir=root, recursive=True) for pattern in serve.SOURCES}
    assert [pattern for pattern, found in watched.items() if not found] == []
    names = {name for found in watched.values() for name in found}
    assert {"book/intro.md", "book/references.bib", "book/rosetta.json", "book/_static/book.css"} <= names
    assert {path.relative_to(root).as_posix() for path in notebooks.chapters()} <= names
