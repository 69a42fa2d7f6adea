"""The public address of the repository: read it, or write it everywhere.

python -m tools.build.home https://github.com/OWNER/REPO
python -m tools.build.home --unset

It stands in _config.yml, under `repository: url:`. From there this script writes the launch button,
the setup cell of every notebook, the README's badges and the citation.
"""

import re
import sys
from pathlib import Path

import yaml

from tools import ROOT
from tools.build import notebooks

ADDRESS = re.compile(r"https://github\.com/[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
COLAB = "https://colab.research.google.com"

# %pip is IPython's: it installs into the running kernel. --no-deps leaves torch and numpy as Colab has
# them, and --no-build-isolation fetches no build tools, so that nothing but course_lib is installed.
SETUP = '''\
# @title Set-up
# On Colab this installs course_lib and nothing else; elsewhere, nothing.
import sys
from importlib.util import find_spec

HOME = "{home}"
if find_spec("course_lib") is None:
    if "google.colab" not in sys.modules:
        raise ModuleNotFoundError(
            "This notebook needs course_lib. "
            "Download the notebook that the chapter's page offers: it "
            f"carries it inside. Or run pip install git+{{HOME}}"
        )
    %pip install --quiet --no-deps --no-build-isolation "git+{{HOME}}"'''
SETUP_WITHOUT_HOME = """\
# @title Set-up
# This looks whether course_lib, the module behind the book, is installed.
from importlib.util import find_spec

if find_spec("course_lib") is None:
    raise ModuleNotFoundError(
        "This notebook needs course_lib. "
        "Download the notebook that the chapter's page offers: it "
        "carries it inside. Or run pip install . in the book's folder."
    )"""


def setup_cell(home):
    """Return the source of the first code cell of every notebook."""
    return SETUP.format(home=home) if home else SETUP_WITHOUT_HOME


def published(home):
    """Return where GitHub publishes the pages of a repository, or "" without one."""
    if not home:
        return ""
    owner, name = home.removeprefix("https://github.com/").split("/")
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def read(root=ROOT):
    """Return the address in _config.yml, or "" where none is set."""
    return yaml.safe_load((Path(root) / "_config.yml").read_text())["repository"]["url"]


def write(home, root=ROOT):
    """Write the address (or "") to every place that holds it."""
    if home and not ADDRESS.fullmatch(home):
        raise ValueError(f"home must look like https://github.com/OWNER/REPO, got {home!r}")
    root = Path(root)
    config = root / "_config.yml"
    text = _replace(config, r'^(  url: )".*"$', rf'\1"{home}"')
    text = _replace(config, r'^(  colab_url: )".*"$', rf'\1"{COLAB if home else ""}"', text)
    text = _replace(
        config, r"^(  use_(?:repository|issues)_button: ).*$", rf"\1{str(bool(home)).lower()}", text
    )
    config.write_text(text)

    for path in notebooks.stored(root):
        notebook = notebooks.read(path)
        notebooks.first_code_cell(notebook).source = setup_cell(home)
        notebooks.write(notebook, path)

    readme = root / "README.md"
    block = r"(<!-- home -->\n).*?(<!-- /home -->)"
    readme.write_text(
        _replace(readme, block, lambda match: match[1] + badges(home, root) + match[2], flags=re.S)
    )

    citation = root / "CITATION.cff"
    lines = [line for line in citation.read_text().splitlines() if not line.startswith("repository-code:")]
    citation.write_text("\n".join(lines + [f"repository-code: {home}"] * bool(home)) + "\n")


def badges(home, root=ROOT):
    """Return the README's lines of links to the repository's own places, or nothing."""
    if not home:
        return ""
    place = home.removeprefix("https://github.com/")
    links = [
        f"[![book]({home}/actions/workflows/book.yml/badge.svg)]({home}/actions/workflows/book.yml)",
        f"[Read the book]({published(home)})",
    ]
    for chapter in notebooks.chapters(root):
        path = chapter.relative_to(root).as_posix()
        title = notebooks.title(notebooks.read(chapter))
        links.append(f"[{title} on Colab]({COLAB}/github/{place}/blob/main/{path})")
    return "\n".join(f"- {link}" for link in links) + "\n"


def _replace(path, pattern, replacement, text=None, flags=re.M):
    text, count = re.subn(pattern, replacement, path.read_text() if text is None else text, flags=flags)
    if not count:
        raise ValueError(f"{path.name} has lost the line that `make home` writes: {pattern}")
    return text


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        write("" if sys.argv[1] == "--unset" else sys.argv[1].removesuffix(".git").rstrip("/"))
    except ValueError as error:
        sys.exit(str(error))
    print(f"home is now {read() or 'unset'}")
