"""Renders the body of a chat: constants stay as they are, every template is filled, the result is checked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from relay.errors import Permanent
from relay.rules.encode import check_text, check_texts, encode
from relay.rules.missing import join
from relay.rules.scope import Scope
from relay.rules.shape import check_name, check_shape
from relay.rules.template import Template, clean, describe, is_template


class Body:
    """The templates of one rule's chat, compiled. `mapping` has passed the checks at load."""

    __slots__ = ("_check", "_part", "_place")

    def __init__(self, mapping: Mapping[str, Any], place: str = "chat") -> None:
        self._part = _compile(mapping, place)
        self._place = place
        self._check = check_shape if _is_loose(mapping) else check_name

    def render(self, scope: Scope) -> tuple[str, Mapping[str, Any]]:
        """The JSON text and the body it says.

        Raises `Permanent` (code `render`) whose message begins with the place, as `chat.trigger.meta.tags`.
        """
        body = _fill(self._part, scope)
        for path, message in self._check(body):
            raise _error(place_of(self._place, path), message)
        try:
            text = encode(body)
            if "\\u0000" in text:
                check_texts(body)
            check_text(text)
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
    value = _Text(template, place).fill(scope)
    if value is None:
        return None
    try:
        text = value if isinstance(value, str) else encode(value)
        check_text(text)
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


class _Open:
    """A part that is known only when it is filled."""

    __slots__ = ()

    def fill(self, scope: Scope) -> Any:
        """Its value."""
        raise NotImplementedError


class _Text(_Open):
    __slots__ = ("_place", "_template")

    def __init__(self, template: Template, place: str) -> None:
        self._template = template
        self._place = place

    def fill(self, scope: Scope) -> Any:
        try:
            return self._template.fill(scope)
        except Permanent as error:
            raise _error(self._place, str(error)) from None


class _Object(_Open):
    __slots__ = ("_items", "_open")

    def __init__(self, items: Mapping[str, Any]) -> None:
        self._items = dict(items)
        self._open = [(key, item) for key, item in items.items() if isinstance(item, _Open)]

    def fill(self, scope: Scope) -> dict[str, Any]:
        made = self._items.copy()
        for key, item in self._open:
            made[key] = item.fill(scope)
        return made


class _List(_Open):
    __slots__ = ("_items",)

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items

    def fill(self, scope: Scope) -> list[Any]:
        return [_fill(item, scope) for item in self._items]


def _compile(value: Any, place: str) -> Any:
    """What gives the value when it is filled; the value itself where it is constant."""
    if isinstance(value, str):
        return _Text(Template(value), place) if is_template(value) else value
    if isinstance(value, Mapping):
        items = {key: _compile(item, f"{place}.{key}") for key, item in value.items()}
        return _Object(items) if _holds_open(items.values()) else items
    if isinstance(value, list | tuple):
        parts = [_compile(item, f"{place}[{index}]") for index, item in enumerate(value)]
        return _List(parts) if _holds_open(parts) else parts
    return value


def _holds_open(parts: Iterable[Any]) -> bool:
    return any(isinstance(part, _Open) for part in parts)


def _fill(part: Any, scope: Scope) -> Any:
    return part.fill(scope) if isinstance(part, _Open) else part


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
