"""Which build of torch the set-up takes: with a card and without, with an index that answers or hangs."""

import os
import socket
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter

import pytest

from tools.build import cpu_torch

PIN = "3.2.1"
WANTED = f"{PIN}+cpu"


def wheel(folder, version):
    """Write a package that is called torch and holds nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"torch-{version}.dist-info"
    with zipfile.ZipFile(folder / f"torch-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


class Dripping(Silent):
    """Answer a byte at a time, each soon enough, for a minute."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(300):
                self.wfile.write(b" ")
                if self.server.stopping.wait(0.2):
                    break
        except OSError:
            pass


@contextmanager
def serving(handler):
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.stopping = threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """PyTorch's index of CPU builds, with the pinned version."""
    wheel(tmp_path / "index" / "torch", WANTED)
    with serving(partial(Silent, directory=tmp_path / "index")) as address:
        monkeypatch.setattr(cpu_torch, "INDEX", address)
        yield address


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A Linux machine without a card and without torch, whose package index has only a build with CUDA."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    wheel(tmp_path / "wheels", PIN)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "nothing").as_uri())
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "site-packages"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(cpu_torch, "DRIVER", tmp_path / "proc")
    monkeypatch.setattr(cpu_torch, "installed", lambda: None)
    monkeypatch.setattr("sys.platform", "linux")
    (tmp_path / "requirements.txt").write_text(f"numpy==1.2\ntorch=={PIN}\n")
    return tmp_path


def choose(machine, choice):
    """Return what was installed, and the exit status."""
    try:
        status = cpu_torch.main(choice, machine / "requirements.txt")
    except SystemExit as stop:
        status = stop.code
    installed = machine.glob("site-packages/torch-*.dist-info")
    return [path.name.removeprefix("torch-").removesuffix(".dist-info") for path in installed], status or 0


def plug_in(machine, kind):
    if kind == "nvidia-smi":
        (machine / "bin").mkdir()
        (machine / "bin" / kind).write_text("#!/bin/sh\n")
        (machine / "bin" / kind).chmod(0o755)
    else:
        (machine / "proc").mkdir()


CARDS = pytest.mark.parametrize("card", ["nvidia-smi", "the driver"])


@pytest.mark.parametrize("choice", ["auto", "cpu"])
def test_without_a_card_the_cpu_build_is_installed(machine, index, choice, capfd):
    assert choose(machine, choice) == ([WANTED], 0)
    assert "CUDA" not in capfd.readouterr().out


@CARDS
def test_with_a_card_nothing_is_installed_and_one_line_tells_the_size(machine, index, card, capfd):
    plug_in(machine, card)
    assert choose(machine, "auto") == ([], 0)
    (line,) = capfd.readouterr().out.splitlines()
    assert "has an NVIDIA card" in line
    assert "2.7 GB to download" in line


@CARDS
def test_with_a_card_the_cpu_build_can_be_insisted_on(machine, index, card):
    plug_in(machine, card)
    assert choose(machine, "cpu") == ([WANTED], 0)


@pytest.mark.parametrize("card", [False, True])
def test_cuda_leaves_torch_to_the_package_index_and_asks_nobody(machine, monkeypatch, card, capfd):
    monkeypatch.setattr(cpu_torch, "pip", lambda *arguments, **options: pytest.fail("asks"))
    if card:
        plug_in(machine, "nvidia-smi")
    assert choose(machine, "cuda") == ([], 0)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("platform", ["darwin", "win32"])
@pytest.mark.parametrize("choice", ["auto", "cpu", "cuda"])
def test_elsewhere_than_on_linux_the_package_index_has_cpu_builds(machine, monkeypatch, platform, choice):
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(cpu_torch, "pip", lambda *arguments, **options: pytest.fail("asks"))
    assert choose(machine, choice) == ([], 0)


@contextmanager
def hanging():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@contextmanager
def closed():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    yield address


SILENCES = pytest.mark.parametrize(
    "silence", [closed, hanging, partial(serving, Dripping)], ids=["closed", "hangs", "drips"]
)


@SILENCES
def test_an_index_that_does_not_answer_costs_seconds_and_one_line(machine, monkeypatch, silence, capfd):
    with silence() as address:
        monkeypatch.setattr(cpu_torch, "INDEX", address)
        monkeypatch.setattr(cpu_torch, "SECONDS", 1)
        start = perf_counter()
        assert choose(machine, "auto") == ([], 0)
        seconds = perf_counter() - start
    (line,) = capfd.readouterr().out.splitlines()
    assert "cannot be reached" in line
    assert "2.7 GB to download" in line
    assert seconds < 30


def test_who_insists_on_the_cpu_build_gets_no_other(machine, monkeypatch, capfd):
    monkeypatch.setenv("PIP_RETRIES", "0")
    with closed() as address:
        monkeypatch.setattr(cpu_torch, "INDEX", address)
        assert choose(machine, "cpu") == ([], 1)
    assert f"No matching distribution found for torch=={WANTED}" in capfd.readouterr().err


@pytest.mark.parametrize("pin", ["3.2", "2.1", "3.2.2"])
def test_no_other_version_than_the_pinned_one_is_taken(machine, index, pin, capfd):
    (machine / "requirements.txt").write_text(f"torch=={pin}\n")
    assert choose(machine, "auto") == ([], 0)
    assert "has none for this Python" in capfd.readouterr().out


@pytest.mark.parametrize("choice", ["auto", "cpu"])
def test_where_the_package_index_has_the_cpu_build_no_other_is_asked(machine, monkeypatch, choice, capfd):
    wheel(machine / "wheels", WANTED)
    monkeypatch.setattr(cpu_torch, "INDEX", "asks")
    assert choose(machine, choice) == ([], 0)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("choice", "present"), [("auto", PIN), ("auto", WANTED), ("cpu", WANTED), ("cuda", WANTED)]
)
def test_what_is_installed_already_stays(machine, index, monkeypatch, choice, present, capfd):
    monkeypatch.setattr(cpu_torch, "installed", lambda: present)
    assert choose(machine, choice) == ([], 0)
    assert capfd.readouterr().out == ""


def test_who_insists_has_the_other_build_replaced(machine, index, monkeypatch):
    monkeypatch.setattr(cpu_torch, "installed", lambda: PIN)
    assert choose(machine, "cpu") == ([WANTED], 0)


def test_installed_is_torch_as_the_environment_has_it(monkeypatch):
    assert cpu_torch.installed() == version("torch")
    monkeypatch.setattr(cpu_torch, "version", version_of_nothing)
    assert cpu_torch.installed() is None


def version_of_nothing(name):
    raise PackageNotFoundError(name)


def test_requirements_without_torch_need_none(machine, monkeypatch):
    (machine / "requirements.txt").write_text("torch-optimizer==0.3.0\nmutmut==3.8.1\n")
    monkeypatch.setattr(cpu_torch, "pip", lambda *arguments, **options: pytest.fail("asks"))
    assert choose(machine, "auto") == ([], 0)


def test_another_word_is_refused(machine):
    assert choose(machine, "gpu") == ([], "TORCH must be auto, cpu or cuda, got 'gpu'")
