"""What the labs share: their first setting, and their script."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "javascript"
COMMENT = re.compile(r"^ *(?://[^\n]*|/\*\*.*?\*/)\n+", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Lab:
    """A lab with its first setting. A notebook shows it.

    Attributes
    ----------
    name : str
        The function that made it, and its file in the folder ``javascript``.
    settings : dict
        The first setting, by the names that an address of the page takes, too.
    data : dict
        What the lab's script is given besides.
    instead : str
        The sentence that stands there where no scripts run, and in print.
    """

    name: str
    settings: dict[str, Any]
    data: dict[str, Any] = field(repr=False)
    instead: str = field(
        default="Where scripts run, here is a lab. The figure shows its first setting.", repr=False
    )

    def _repr_html_(self) -> str:
        told = {"settings": self.settings, "data": self.data}
        given = json.dumps(told, allow_nan=False, separators=(",", ":"))
        given = escape(given, quote=False).replace("'", "&#x27;")
        return (
            f"<style>{text('kit.css')}</style>\n"
            f'<div class="lab" data-lab="{self.name}" data-given=\'{given}\'></div>\n'
            f'<p class="lab-instead">{escape(self.instead)}</p>\n'
            f"<script>\n{_script(self.name)}</script>"
        )


@cache
def text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    """Return the script of a lab, without its comments."""
    parts = "\n".join(text(f"{part}.js") for part in ("rules", "kit", name))
    return f'(() => {{\n"use strict";\n{COMMENT.sub("", parts)}}})();\n'


def looks_of(names: Iterable[str], concept: str | None = None) -> dict[str, dict[str, str]]:
    """Return colors and dashes by name, of concepts or of lines of one concept, as the browser takes them."""
    from course_lib import _style  # which loads matplotlib

    return {name: look.svg for name, look in _style.looks("names", names, concept).items()}
