"""From what a template gave to JSON text that Cargo and a database can hold."""

import json
from collections.abc import Iterator
from typing import Any, Final

from jinja2 import Undefined

from relay.depth import OWN, TooDeep, text_exceeds, value_exceeds
from relay.rules.missing import word

LIMIT: Final = 1 << 20
"""Bytes of a rendered body or message."""


def encode(value: Any) -> str:
    """Compact JSON text; an iterator (of `map`, `select`) becomes a list.

    Raises ValueError or TypeError for what JSON cannot say (NaN, infinity, an object of Python), TooDeep, and what a
    missing value raises.
    """
    if isinstance(value, str):
        return _ENCODER.encode(value)
    require_shallow(value)
    text = _ENCODER.encode(value)
    require_shallow_text(text)  # an iterator may have held others
    return text


def require_shallow(value: Any) -> None:
    """Raises TooDeep, before anything recurses into the value."""
    if value_exceeds(value, OWN):
        raise TooDeep


def require_shallow_text(text: str) -> None:
    """Raises TooDeep for a JSON text."""
    if text_exceeds(text, OWN):
        raise TooDeep


def check_text(text: str) -> None:
    """Raises ValueError for NUL and lone surrogates, which neither Cargo's JSON nor a text column takes, and past
    1 MiB of UTF-8."""
    if "\x00" in text:
        raise ValueError("it holds a NUL character; take it out with | replace")
    if text.isascii():
        size = len(text)
    else:
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise ValueError("it holds half of a surrogate pair, which is not a character") from None
    if size > LIMIT:
        raise ValueError(f"it would be {size} bytes; at most {LIMIT} (1 MiB) are sent")


def check_texts(value: Any) -> None:
    """`check_text` for every key and text inside a JSON value."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            check_text(item)
        elif isinstance(item, dict):
            pending += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            pending += item


def _unfold(value: Any) -> Any:
    if isinstance(value, Iterator | range):
        items = list(value)
        require_shallow(items)
        return items
    if isinstance(value, Undefined):
        str(value)  # raises with its path, unless missing is allowed here
        return None
    raise TypeError(f"{word(value)} is not a JSON value")


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_unfold)
