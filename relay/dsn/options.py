"""Parses libpq's `options`: the command line of a server process."""

import re
from typing import Final

from relay.dsn.fault import DsnFault

_WORD: Final = re.compile(r"(?:\\.|[^\s\\])+")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(?:\.[A-Za-z_][A-Za-z0-9_$]*)*")


def parse_options(text: str) -> tuple[dict[str, str], str]:
    r"""The settings (`-c name=value`, `-cname=value`, `--name=value`), and the other words unchanged.

    The other words are for proxies of providers (`endpoint=...`, `reference=...`). A blank in a value is written as
    `\ `. Raises DsnFault.
    """
    words = _WORD.findall(text)
    settings: dict[str, str] = {}
    rest: list[str] = []
    while words:
        word = words.pop(0)
        if word == "-c":
            if not words:
                raise DsnFault("has `options` that end in -c: write -c name=value there")
            word = f"-c{words.pop(0)}"
        if word.startswith(("-c", "--")):
            name, value = _setting(word[2:])
            settings[name] = value
        elif word.startswith("-"):
            raise DsnFault("has `options` other than -c name=value: Relay gives the server only settings")
        else:
            rest.append(word)
    return settings, " ".join(rest)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = re.sub(r"\\(.)", r"\1", text).partition("=")
    name = name.replace("-", "_").lower()
    if not equals or not _NAME.fullmatch(name):
        raise DsnFault("has `options` with a -c that is not name=value: write -c name=value there")
    return name, value
