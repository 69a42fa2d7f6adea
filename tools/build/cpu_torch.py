"""Install torch's CPU build where no other is of use; the set-up does this before all other packages.

python -m tools.build.cpu_torch [auto|cpu|cuda [requirements.txt]]

auto: on Linux without an NVIDIA card, if PyTorch's own index offers the pinned version. cpu: insist on it.
cuda: leave torch to the package index. On macOS and Windows the package index has CPU builds anyway.
"""

import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

INDEX = "https://download.pytorch.org/whl/cpu"
DRIVER = Path("/proc/driver/nvidia")
SECONDS = 15  # that an index may take to answer


def pip(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], **options)


def installed():
    try:
        return version("torch")
    except PackageNotFoundError:
        return None


def has_card():
    return shutil.which("nvidia-smi") is not None or DRIVER.exists()


def is_offered(wanted, *index):
    """Return whether pip finds that version: where it is configured to look, or with another index."""
    look = ["index", "versions", "torch", *index]
    try:
        answer = pip(*look, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return wanted in answer.stdout.replace(",", " ").split()


def main(choice="auto", requirements="requirements.txt"):
    if choice not in ("auto", "cpu", "cuda"):
        sys.exit(f"TORCH must be auto, cpu or cuda, got {choice!r}")
    pin = re.search(r"^torch==(\S+)$", Path(requirements).read_text(), re.MULTILINE)
    if pin is None or choice == "cuda" or sys.platform != "linux":
        return
    wanted = f"{pin[1]}+cpu"
    if installed() == wanted or is_offered(wanted):  # then pip takes it without our help
        return
    if choice == "auto":
        if installed() == pin[1]:
            return
        if has_card():
            return announce("this machine has an NVIDIA card")
        if not is_offered(wanted, "--index-url", INDEX):
            return announce("PyTorch's index of CPU builds cannot be reached, or has none for this Python")
    install = pip("install", "--quiet", "--no-deps", "--index-url", INDEX, f"torch=={wanted}")
    sys.exit(install.returncode)


def announce(why):
    print(
        f"torch: {why}. What comes now has CUDA on most Linux machines: 2.7 GB to download, "
        "4.6 GB installed. TORCH=cpu insists on the CPU build, of 0.2 GB and 0.8 GB."
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
