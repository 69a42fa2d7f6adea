"""`make home`: one place holds the public address, one command writes it everywhere."""

import subprocess
import sys

import pytest
import yaml

from tools.build import home, notebooks

ADDRESS = "https://github.com/somebody/a-fork"


def first_code_cell(path):
    return next(cell.source for cell in notebooks.read(path).cells if cell.cell_type == "code")


def written(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_writes_every_place(copy_of_repository):
    home.write(ADDRESS, copy_of_repository)
    config = yaml.safe_load((copy_of_repository / "_config.yml").read_text())
    assert config["repository"]["url"] == ADDRESS == home.read(copy_of_repository)
    assert config["launch_buttons"]["colab_url"] == "https://colab.research.google.com"
    assert config["html"]["use_repository_button"] is True
    for chapter in notebooks.chapters(copy_of_repository):
        assert first_code_cell(chapter) == home.setup_cell(ADDRESS)
        path = f"somebody/a-fork/blob/main/book/{chapter.name}"
        assert (
            f"https://colab.research.google.com/github/{path}"
            in (copy_of_repository / "README.md").read_text()
        )
    citation = yaml.safe_load((copy_of_repository / "CITATION.cff").read_text())
    assert citation["repository-code"] == ADDRESS


def test_unset_restores_every_byte(copy_of_repository):
    home.write("", copy_of_repository)
    before = written(copy_of_repository)
    home.write(ADDRESS, copy_of_repository)
    assert written(copy_of_repository) != before
    home.write("", copy_of_repository)
    assert written(copy_of_repository) == before


def test_set_twice_is_set_once(copy_of_repository):
    home.write("https://github.com/other/name", copy_of_repository)
    home.write(ADDRESS, copy_of_repository)
    first = written(copy_of_repository)
    home.write(ADDRESS, copy_of_repository)
    assert written(copy_of_repository) == first
    shipped = [content for path, content in first.items() if path.parts[0] != "tests"]
    assert not any(b"other/name" in content for content in shipped)


def test_the_repository_agrees_with_its_own_address(copy_of_repository):
    before = written(copy_of_repository)
    home.write(home.read(copy_of_repository), copy_of_repository)
    assert written(copy_of_repository) == before


@pytest.mark.parametrize(
    "address",
    [
        "github.com/a/b",
        "http://github.com/a/b",
        "https://github.com/a",
        "https://github.com/a/b/c",
        'https://x"y',
        "--help",
    ],
)
def test_refuses_what_is_no_address(copy_of_repository, address):
    before = written(copy_of_repository)
    with pytest.raises(ValueError, match="home must look like"):
        home.write(address, copy_of_repository)
    assert written(copy_of_repository) == before


def test_command_line(copy_of_repository, environment_of):
    def run(*arguments):
        command = [sys.executable, "-m", "tools.build.home", *arguments]
        environment = environment_of(copy_of_repository)
        return subprocess.run(
            command, cwd=copy_of_repository, env=environment, capture_output=True, text=True
        )

    assert run(f"{ADDRESS}.git").stdout == f"home is now {ADDRESS}\n"
    assert run("--unset").stdout == "home is now unset\n"
    assert run("nonsense").returncode != 0
    assert "home must look like" in run("nonsense").stderr
    assert "https://github.com/OWNER/REPO" in run().stderr
