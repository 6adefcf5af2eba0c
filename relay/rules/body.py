"""Renders the body of a chat: constants stay as they are, every template is filled, the result is checked."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from relay.depth import OWN, value_exceeds
from relay.errors import Permanent
from relay.model import frozen
from relay.rules import parts
from relay.rules.encode import check_text, check_texts, encode, require_shallow_text
from relay.rules.missing import join
from relay.rules.parts import TemplatePart, failed
from relay.rules.scope import Scope
from relay.rules.shape import check_name, check_shape
from relay.rules.template import Read, Template, describe, is_template

_PLACE: Final = "chat"


@frozen
class Drawn:
    """A rendered body: its JSON text, and what is looked for in Cargo's list when the answer does not come."""

    text: str
    trigger_type: str
    name: str | None
    agent_uuid: str | None


class Body(Protocol):
    """The templates of one rule's chat, compiled."""

    def render(self, scope: Scope) -> Drawn:
        """Raises `Permanent` (code `render`) whose message begins with the place, as `chat.trigger.meta.tags`."""
        ...


def compile_body(mapping: Mapping[str, Any], *, read: Read | None = None) -> Body:
    """A body, compiled. `mapping` has passed the checks at load. `read` gives the tree of its `name`'s template."""
    part = parts.compile_part(mapping, _PLACE)
    if read is not None and is_open(mapping.get("name")):
        part = parts.Object({**part.items, "name": parts.compile_part(mapping["name"], f"{_PLACE}.name", read)})
    return _Loose(part) if _is_loose(mapping) else _Framed(part)


class _Framed:
    """A body whose shape is known: its text is made once, and only what is open is encoded for each event."""

    __slots__ = ("_agent", "_fills", "_frame", "_name", "_name_at", "_texts", "_type")

    def __init__(self, part: Any) -> None:
        items = part.items if isinstance(part, parts.Object) else part
        trigger = items["trigger"]
        self._texts = list(parts.texts(part))
        self._fills = [text.fill for text in self._texts]
        self._frame = parts.frame(part)
        self._name = name = items.get("name")
        self._name_at = self._texts.index(name) if isinstance(name, TemplatePart) else None
        self._agent = items.get("agentUuid")
        self._type = (trigger.items if isinstance(trigger, parts.Object) else trigger)["type"]

    def render(self, scope: Scope) -> Drawn:
        """As `Body.render` says."""
        values = [fill(scope) for fill in self._fills]
        name = self._name
        if self._name_at is not None:
            name = values[self._name_at]
            _require(check_name({"name": name}))
        try:  # for an integer the encoder takes as long as for a whole document
            text = self._frame % tuple([str(value) if type(value) is int else encode(value) for value in values])
            _check(text, values)
        except Exception as error:  # noqa: BLE001 - an iterator of a template may raise anything
            pairs = zip(self._texts, values, strict=True)
            leaves = (leaf for one, value in pairs for leaf in _leaves(value, one.place))
            raise _locate(leaves, error) from None
        return Drawn(text, self._type, name, self._agent)


class _Loose:
    """A body whose shape itself hangs on a template, so that it is checked for every event."""

    __slots__ = ("_part",)

    def __init__(self, part: Any) -> None:
        self._part = part

    def render(self, scope: Scope) -> Drawn:
        """As `Body.render` says."""
        body = parts.fill(self._part, scope)
        _require(check_shape(body))
        try:
            text = encode(body)
            _check(text, body)
        except Exception as error:  # noqa: BLE001 - an iterator of a template may raise anything
            raise _locate(_leaves(body, _PLACE), error) from None
        return Drawn(text, body["trigger"]["type"], body.get("name"), body.get("agentUuid"))


def render_text(template: Template, scope: Scope, place: str) -> str | None:
    """A template as text, None when it is blank. Raises `Permanent` as `Body.render` does."""
    value = TemplatePart(template, place).fill(scope)
    if value is None:
        return None
    try:
        text = value if isinstance(value, str) else encode(value)
        check_text(text)
    except Exception as error:  # noqa: BLE001 - an iterator of a template may raise anything
        raise failed(place, describe(error)) from None
    return str(text) if text.strip() else None


def place_of(root: str, path: tuple[str | int, ...]) -> str:
    """`chat.trigger.meta.tags[0]` of a path."""
    return root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def is_open(value: Any) -> bool:
    """Whether a value is known only when rendered."""
    return isinstance(value, str) and is_template(value)


def _is_loose(mapping: Mapping[str, Any]) -> bool:
    asked: list[Any] = []

    def ask(value: Any) -> bool:
        if is_open(value):
            asked.append(value)
        return is_open(value)

    return bool([*check_shape(mapping, ask), *asked])


def _require(findings: Iterable[tuple[tuple[str | int, ...], str]]) -> None:
    for path, message in findings:
        raise failed(place_of(_PLACE, path), message)


def _check(text: str, value: Any) -> None:
    require_shallow_text(text)
    if "\\u0000" in text:
        check_texts(value)
    check_text(text)


def _locate(leaves: Iterable[tuple[str, Any]], error: Exception) -> Permanent:
    """The error with the place of the first leaf that is at fault."""
    return failed(next((place for place, leaf in leaves if not _is_sound(leaf)), _PLACE), describe(error))


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """What is inside of a value, in order, each with its place; a value that nests too deeply is a leaf itself."""
    pending = [(place, value)]
    if value_exceeds(value, OWN):
        yield pending.pop()
    while pending:
        place, value = pending.pop()
        if isinstance(value, dict):
            yield place, list(value)
            pending += reversed([(join(place, key), item) for key, item in value.items()])
        elif isinstance(value, list):
            pending += reversed([(f"{place}[{index}]", item) for index, item in enumerate(value)])
        else:
            yield place, value


def _is_sound(value: Any) -> bool:
    try:
        check_texts(value)
        encode(value)
    except Exception:  # noqa: BLE001 - it is told already; only its place is looked for
        return False
    return True
