"""Renders the body of a chat: constants stay as they are, every template is filled, the result is checked."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from relay.errors import Permanent
from relay.rules.encode import check_size, check_text, check_texts, encode
from relay.rules.missing import join
from relay.rules.scope import Scope
from relay.rules.shape import check_name, check_shape
from relay.rules.template import Template, clean, describe, is_template

Part = Any
"""A constant, a Template, or a dict or list with a Template somewhere inside."""


class Body:
    """The templates of one rule's chat, compiled. `mapping` has passed the checks at load."""

    __slots__ = ("_check", "_part", "_place")

    def __init__(self, mapping: Mapping[str, Any], place: str = "chat") -> None:
        self._part = _compile(mapping)
        self._place = place
        self._check = check_shape if _is_loose(mapping) else check_name

    def render(self, scope: Scope) -> tuple[str, Mapping[str, Any]]:
        """The JSON text and the body it says.

        Raises `Permanent` (code `render`) whose message begins with the place, as `chat.trigger.meta.tags`.
        """
        body = _fill(self._part, scope, self._place)
        for path, message in self._check(body):
            raise _error(place_of(self._place, path), message)
        try:
            text = encode(body)
            if "\\u0000" in text:
                check_texts(body)
            check_text(text)
            check_size(text)
        except Exception as error:  # noqa: BLE001 - an iterator of a template may raise anything
            raise self._locate(body, error) from None
        return text, body

    def _locate(self, body: Any, error: Exception) -> Permanent:
        place = self._place
        with suppress(RecursionError):
            place = next((place for place, part in _leaves(body, place) if not _is_sound(part)), place)
        return _error(place, describe(error))


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


def is_open(value: Any) -> bool:
    """Whether a value is known only when rendered."""
    return isinstance(value, str) and is_template(value)


def _is_loose(mapping: Mapping[str, Any]) -> bool:
    """Whether the shape itself hangs on a template, so that it must be checked for every event."""
    asked: list[Any] = []

    def ask(value: Any) -> bool:
        if is_open(value):
            asked.append(value)
        return is_open(value)

    return bool([*check_shape(mapping, ask), *asked])


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
            return part.fill(scope)
        except Permanent as error:
            raise _error(place, str(error)) from None
    if isinstance(part, dict):
        return {key: _fill(item, scope, f"{place}.{key}") for key, item in part.items()}
    if isinstance(part, list):
        return [_fill(item, scope, f"{place}[{index}]") for index, item in enumerate(part)]
    return part


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield place, list(value)
        for key, item in value.items():
            yield from _leaves(item, join(place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{place}[{index}]")
    else:
        yield place, value


def _is_sound(value: Any) -> bool:
    try:
        check_texts(value)
        encode(value)
    except Exception:  # noqa: BLE001 - it is told already; only its place is looked for
        return False
    return True


def _error(place: str, message: str) -> Permanent:
    return Permanent(clean(f"{place}: {message}"), code="render")
