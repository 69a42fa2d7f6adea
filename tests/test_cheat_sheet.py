"""The cheat sheet: its code runs, and each of its lines says where the book shows it."""

import re
from pathlib import Path

import pytest
import torch

from tools import ROOT, notebooks

TEXT = (ROOT / "book/cheat_sheet.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
ANSWERS = re.split(r"^(?=\*\*… )", re.sub(r"^## .*$", "", TEXT, flags=re.MULTILINE), flags=re.MULTILINE)[1:]


def test_the_page_runs_from_top_to_bottom(capsys):
    with torch.random.fork_rng():
        exec(compile("".join(BLOCKS), "cheat_sheet.md", "exec"), {})
    assert "data loss" in capsys.readouterr().out


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_its_lines_fit_the_page(block):
    assert [line for line in block.splitlines() if len(line) > 79] == []


@pytest.mark.parametrize("answer", ANSWERS, ids=[answer[4:40] for answer in ANSWERS])
def test_every_answer_links_to_where_a_chapter_shows_it(answer):
    links = re.findall(r"\]\((\w+\.ipynb)#", answer)
    chapters = [Path(path).name for path in notebooks.chapters()]
    assert links
    assert set(links) <= set(chapters)


def test_every_chapter_is_linked():
    for path in notebooks.chapters():
        assert f"({path.name}#" in TEXT
