"""The documents for users in parts: their blocks of code by language, their relative links, what they quote as code."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(ROOT / page for page in ("README.md", "config/README.md", "config/reference.md"))
TEXT = "\n".join(page.read_text() for page in PAGES)
COMMENT = re.compile(r"(^|\s)#.*$")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_QUOTED = re.compile(r"`([^`\n]+)`")


def blocks(language, text=TEXT):
    """The contents of the fenced blocks of a language, in order."""
    return [code for named, code in _FENCE.findall(text) if named == language]


def section(title, text=TEXT):
    """What stands under a heading, up to the next of its level or above."""
    level, rest = re.search(rf"^(#+) {re.escape(title)}\n(.*)", text, re.MULTILINE | re.DOTALL).groups()
    return re.split(rf"^#{{1,{len(level)}}} (?!#)", re.sub(_FENCE, _mask, rest), maxsplit=1, flags=re.MULTILINE)[0]


def commands(text=TEXT):
    """Every line of the sh blocks as a list of words, without comments and `&`."""
    lines = [COMMENT.sub("", line).strip() for code in blocks("sh", text) for line in code.splitlines()]
    return [shlex.split(line.removesuffix("&")) for line in lines if line]


def links(text):
    """Targets of links inside this repository."""
    return [target for target in _LINK.findall(text) if "://" not in target]


def quoted(text=TEXT):
    """Everything between back-ticks outside fenced blocks."""
    return set(_QUOTED.findall(_FENCE.sub("", text)))


def words(text=TEXT):
    """The words inside back-ticks: `broker.url` and `--id` are one word each."""
    return {word for code in quoted(text) for word in re.split(r"[^\w.\-/{}*$:<>]+", code)}


def _mask(match):
    """A fenced block with its comments kept from being taken for headings."""
    return re.sub(r"^#", " #", match[0], flags=re.MULTILINE)
