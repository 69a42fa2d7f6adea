"""One style sheet for all pages, without the rules that none of them can use."""

import hashlib
import re
from functools import cache
from itertools import pairwise
from urllib.parse import urlparse

import tinycss2

LINK = re.compile(r'\s*<link\b(?=[^>]*rel="stylesheet")[^>]*href="([^"]*)"[^>]*>')
IMPORT = re.compile(r'@import "([^"]*)";')
ADDRESS = re.compile(r'url\(["\']?(?!data:|["\'])([^"\')]+)["\']?\)')
WORD = re.compile(r"[\w-]+")
# Where a script puts an element in, a browser looks again at the whole section, since the one may concern any
# element; as it is used here it concerns what the other does.
NARROWED = {"legend+*": "legend+label"}
PARSED = {"skip_comments": True, "skip_whitespace": True}


def shared(pages, static):
    """Write the style sheet into a folder, and return the pages, by path, with it instead of all others."""
    scripts = [path.read_text(encoding="utf-8") for path in static.rglob("*.js")]
    words = frozenset(word for text in (*pages.values(), *scripts) for word in WORD.findall(text))
    return {path: linked(page, path, static, words) for path, page in pages.items()}


def linked(page, path, static, words):
    """Return a page that asks for all its style sheets in one file."""
    sheets = tuple((path.parent / urlparse(href).path).resolve() for href in LINK.findall(page))
    if not sheets:
        return page
    up = "../" * len(path.relative_to(static.parent).parents[1:])
    name = joined(sheets, static.resolve(), words)
    one = f'\n    <link rel="stylesheet" href="{up}{static.name}/{name}" />'
    first, *others = LINK.finditer(page)
    for link in reversed(others):
        page = page[: link.start()] + page[link.end() :]
    return page[: first.start()] + one + page[first.end() :]


@cache
def joined(sheets, static, words):
    """Write what is used of style sheets as one into a folder, and return its name."""
    text = used("\n".join(flat(sheet, static) for sheet in sheets), words)
    name = f"style-{hashlib.sha256(text.encode()).hexdigest()[:8]}.css"
    (static / name).write_text(text, encoding="utf-8")
    return name


def flat(sheet, static):
    """Return the text of a style sheet with what it imports, its addresses as seen from a folder above."""

    def moved(match):
        return f'url("{(sheet.parent / match[1]).resolve().relative_to(static).as_posix()}")'

    text = ADDRESS.sub(moved, sheet.read_text(encoding="utf-8"))
    return IMPORT.sub(lambda match: flat((sheet.parent / match[1]).resolve(), static), text)


def used(text, words):
    """Return a style sheet without the selectors whose classes and ids are not among some words.

    Where a word ends in a hyphen, a script makes names of it: all that begin so are kept.
    """
    stems = tuple(word for word in words if re.search(r"\w-$", word))

    def can_match(selector):
        return all(name in words or name.startswith(stems) for name in names(selector))

    def kept(rule):
        if rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports"):
            body = "".join(map(kept, tinycss2.parse_rule_list(rule.content, **PARSED)))
            return f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{body}}}" if body else ""
        if rule.type == "at-rule":
            return rule.serialize()
        selectors = [tinycss2.serialize(part).strip() for part in parts(rule.prelude) if can_match(part)]
        selectors = [NARROWED.get(selector, selector) for selector in selectors]
        return f"{','.join(selectors)}{{{tinycss2.serialize(rule.content).strip()}}}" if selectors else ""

    return "".join(map(kept, tinycss2.parse_stylesheet(text, **PARSED)))


def parts(prelude):
    """Return the selectors of a rule: what stands between its commas."""
    found = [[]]
    for token in prelude:
        if token == ",":
            found.append([])
        else:
            found[-1].append(token)
    return found


def names(selector):
    """Yield the classes and ids that what it selects must have or be in, but not those in `:not(...)`."""
    for before, token in pairwise([None, *selector]):
        if token.type == "hash" or (token.type == "ident" and before == "."):
            yield token.value
