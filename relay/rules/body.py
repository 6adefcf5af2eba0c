"""Renders the body of a chat: constants stay as they are, every template is filled, the result is checked."""

from collections.abc import Iterator, Mapping
from typing import Any

from relay.errors import Permanent
from relay.rules.encode import check_size, check_text, check_texts, encode
from relay.rules.scope import Scope
from relay.rules.shape import check_shape
from relay.rules.template import Template, describe, is_template

Part = Any
"""A constant, a Template, or a dict or list with a Template somewhere inside."""


class Body:
    """The templates of one rule's chat, compiled. `mapping` has passed the checks at load."""

    __slots__ = ("_part", "_place")

    def __init__(self, mapping: Mapping[str, Any], place: str = "chat") -> None:
        self._part = _compile(mapping)
        self._place = place

    def render(self, scope: Scope) -> tuple[str, Mapping[str, Any]]:
        """The JSON text and the body it says.

        Raises `Permanent` (code `render`) whose message begins with the place, as `chat.trigger.meta.tags`.
        """
        body = _fill(self._part, scope, self._place)
        for path, message in check_shape(body):
            raise _error(place_of(self._place, path), message)
        try:
            text = encode(body)
            if "\\u0000" in text or not text.isascii():
                check_texts(body)
            check_size(text)
        except Exception as error:  # noqa: BLE001 - an iterator of a template may raise anything
            raise self._locate(body, error) from None
        return text, body

    def _locate(self, body: Any, error: Exception) -> Permanent:
        for place, part in _leaves(body, self._place):
            try:
                check_texts(part)
                encode(part)
            except Exception as own:  # noqa: BLE001 - the same as above, now with its place
                return _error(place, describe(own))
        return _error(self._place, describe(error))


def render_text(template: Template, scope: Scope, place: str) -> str | None:
    """A template as text, None when it is blank. Raises `Permanent` as `Body.render` does."""
    value = _fill(template, scope, place)
    if value is None:
        return None
    try:
        text = value if isinstance(value, str) else encode(value)
        check_text(text)
        check_size(text)
    except Exception as error:  # noqa: BLE001 - an iterator of a template may raise anything
        raise _error(place, describe(error)) from None
    return str(text) if text.strip() else None


def place_of(root: str, path: tuple[str | int, ...]) -> str:
    """`chat.trigger.meta.tags[0]` of a path."""
    return root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _compile(value: Any) -> Part:
    if isinstance(value, str):
        return Template(value) if is_template(value) else value
    if isinstance(value, Mapping):
        return {key: _compile(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_compile(item) for item in value]
    return value


def _fill(part: Part, scope: Scope, place: str) -> Any:
    if isinstance(part, Template):
        try:
            return part.render(scope)
        except Permanent as error:
            raise _error(place, str(error)) from None
    if isinstance(part, dict):
        return {key: _fill(item, scope, f"{place}.{key}") for key, item in part.items()}
    if isinstance(part, list):
        return [_fill(item, scope, f"{place}[{index}]") for index, item in enumerate(part)]
    return part


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{place}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{place}[{index}]")
    else:
        yield place, value


def _error(place: str, message: str) -> Permanent:
    return Permanent(f"{place}: {message}", code="render")
