"""The parts of a body: constants as they are, and what is known only when it is filled."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from relay.errors import Permanent
from relay.rules.encode import encode
from relay.rules.scope import Scope
from relay.rules.template import Read, Template, clean, describe, is_template


class OpenPart(ABC):
    """A part that is known only when it is filled."""

    __slots__ = ()

    @abstractmethod
    def fill(self, scope: Scope) -> Any:
        """Its value."""


class TemplatePart(OpenPart):
    """One template. `place` names it for people, as `chat.trigger.meta.tags`."""

    __slots__ = ("_evaluate", "place")

    def __init__(self, template: Template, place: str) -> None:
        self._evaluate = template.evaluate
        self.place = place

    def fill(self, scope: Scope) -> Any:
        """Its value. Raises `Permanent` (code `render`) that begins with the place."""
        try:
            return self._evaluate(scope)
        except Exception as error:  # noqa: BLE001 - an expression may raise anything; its dispatch fails with the reason
            raise failed(self.place, describe(error)) from None


class Object(OpenPart):
    """An object with something open in it."""

    __slots__ = ("_open", "items")

    def __init__(self, items: Mapping[str, Any]) -> None:
        self.items = dict(items)
        self._open = [(key, item) for key, item in items.items() if isinstance(item, OpenPart)]

    def fill(self, scope: Scope) -> dict[str, Any]:
        """A copy with all of it filled."""
        return self.items | {key: item.fill(scope) for key, item in self._open}


class List(OpenPart):
    """A list with something open in it."""

    __slots__ = ("items",)

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def fill(self, scope: Scope) -> list[Any]:
        """A copy with all of it filled."""
        return [fill(item, scope) for item in self.items]


def compile_part(value: Any, place: str, read: Read | None = None) -> Any:
    """What gives the value when it is filled; the value itself where it is constant.

    `read` gives the tree of a text, where it is another than the text says by itself.
    """
    if isinstance(value, str):
        return TemplatePart(Template(value, read), place) if is_template(value) else value
    if isinstance(value, Mapping):
        items = {key: compile_part(item, f"{place}.{key}") for key, item in value.items()}
        return Object(items) if _holds_open(items.values()) else items
    if isinstance(value, list | tuple):
        parts = [compile_part(item, f"{place}[{index}]") for index, item in enumerate(value)]
        return List(parts) if _holds_open(parts) else parts
    return value


def fill(part: Any, scope: Scope) -> Any:
    """The value of a part."""
    return part.fill(scope) if isinstance(part, OpenPart) else part


def texts(part: Any) -> Iterator[TemplatePart]:
    """The templates in a part, in the order of `frame`."""
    if isinstance(part, TemplatePart):
        yield part
    elif isinstance(part, Object):
        for item in part.items.values():
            yield from texts(item)
    elif isinstance(part, List):
        for item in part.items:
            yield from texts(item)


def frame(part: Any) -> str:
    """The JSON text of a part, with `%s` for each template and any other `%` doubled."""
    if isinstance(part, TemplatePart):
        return "%s"
    if isinstance(part, Object):
        return "{" + ",".join(f"{_constant(key)}:{frame(item)}" for key, item in part.items.items()) + "}"
    if isinstance(part, List):
        return "[" + ",".join(frame(item) for item in part.items) + "]"
    return _constant(part)


def failed(place: str, message: str) -> Permanent:
    """What is wrong with a body, and where."""
    return Permanent(clean(f"{place}: {message}"), code="render")


def _constant(value: Any) -> str:
    return encode(value).replace("%", "%%")


def _holds_open(parts: Iterable[Any]) -> bool:
    return any(isinstance(part, OpenPart) for part in parts)
