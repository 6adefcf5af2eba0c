"""Writing where a phrase reads: a signature into a header, a parameter of the URL or the body."""

import json
import re
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

from relay.depth import BODY, load
from relay.schemes.request import Headers, Request

_HEADER: Final = re.compile(r"""\{\{\s*headers\[\s*["'](.+?)["']\s*\]\s*\}\}""")
_QUERY: Final = re.compile(r"""\{\{\s*query\[\s*["'](.+?)["']\s*\]\s*\}\}""")
_DATA: Final = re.compile(r"\{\{\s*data\.([^\s|}]+)\s*\}\}")


def put(request: Request, phrase: str, value: str) -> Request:
    """The request with `value` where `phrase` finds it. Raises ValueError where nothing can be put."""
    if match := _HEADER.fullmatch(phrase):
        return with_header(request, match[1], value)
    if match := _QUERY.fullmatch(phrase):
        mark = "&" if "?" in request.url else "?"
        return replace(request, url=f"{request.url}{mark}{urlencode({match[1]: value})}")
    if match := _DATA.fullmatch(phrase):
        data = load(request.body or b"{}", BODY)
        set_at(data, match[1].split("."), value)
        return with_body(request, data)
    raise ValueError(f"nothing can be put at {phrase}")


def with_header(request: Request, name: str, value: str) -> Request:
    """The request with one more header, in place of one of the same name."""
    kept = [(key, one) for key, one in request.headers.flat() if key != name.lower()]
    return replace(request, headers=Headers([*kept, (name, value)]))


def with_body(request: Request, data: Any) -> Request:
    """The request with another JSON body."""
    return replace(request, body=json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())


def set_at(data: Any, path: list[str], value: str) -> None:
    """Set a value in a tree, groups being made on the way; `*` means every item. Raises ValueError."""
    key, *rest = path
    if key == "*" and isinstance(data, list):
        for item in data:
            set_at(item, rest, value)
    elif not isinstance(data, dict):
        raise ValueError("the body has another form than this vendor's")
    elif rest:
        set_at(data.setdefault(key, {}), rest, value)
    else:
        data[key] = int(value) if isinstance(data.get(key), int) and value.isdigit() else value
