"""The shape of the body of `POST /ai/chats`, as Cargo's API reference has it (docs.getcargo.ai/api-reference).

The same walk serves at load, where strings that are templates are still open, and after rendering, where nothing is.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from relay.rules.check import suggest
from relay.rules.encode import check_text
from relay.rules.missing import word

Path = tuple[str | int, ...]
Finding = tuple[Path, str]
Open = Callable[[Any], bool]

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_KEYS: Final = frozenset({"trigger", "name", "agentUuid", "releaseUuid"})
_OF_VARS: Final = re.compile(r"\s*\{\{-?\s*vars\.(\w+)\s*-?\}\}\s*")


@dataclass(frozen=True, slots=True)
class _Fields:
    """Fields of a trigger type beside `type`: `must` are uuids it needs, `may` uuids that may be null or absent."""

    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    other: frozenset[str] = frozenset()


_TRIGGERS: Final = {
    "connector": _Fields(must=frozenset({"connectorUuid"}), other=frozenset({"meta"})),
    "workflow": _Fields(must=frozenset({"uuid", "nodeUuid"}), may=frozenset({"runUuid"})),
    "chat": _Fields(must=frozenset({"uuid"}), may=frozenset({"agentUuid", "messageUuid"})),
    "web_extension": _Fields(other=frozenset({"url"})),
    "draft": _Fields(),
    "app": _Fields(),
    "schedule": _Fields(),
}


def closed(_: Any) -> bool:
    """After rendering nothing is open."""
    return False


def check_shape(body: Any, is_open: Open = closed) -> Iterator[Finding]:
    """What Cargo would refuse, with the path inside the body. Values for which `is_open` holds are not looked at."""
    if not isinstance(body, Mapping):
        yield (), f"it is {word(body)}; write the body of POST /ai/chats, at least its trigger"
        return
    for key in body.keys() - _KEYS:
        yield (key,), f'Cargo\'s chats have no "{key}"{suggest(str(key), _KEYS) or _known(_KEYS)}'
    for key in ("agentUuid", "releaseUuid"):
        if key in body:
            yield from _check_uuid(body[key], (key,), is_open)
    yield from check_name(body)
    if "trigger" not in body:
        yield (), "it has no trigger; add one, as trigger: {type: connector, connectorUuid: ...}"
    elif not is_open(body["trigger"]):
        yield from _check_trigger(body["trigger"], is_open)


def with_vars(body: Mapping[str, Any], vars: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002 - the configuration's word
    """The body with the constants of the configuration in it, where a value of it or of its trigger is one alone."""

    def put(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: put(item) for key, item in value.items() if key != "meta"}
        found = _OF_VARS.fullmatch(value) if isinstance(value, str) else None
        return value if found is None else vars.get(found[1], value)

    return {key: put(value) for key, value in body.items()}


def is_lone(text: str) -> bool:
    """Whether a template can be one of which `with_vars` knows the value: one expression, and blanks."""
    return text.count("{{") == 1 and text.strip().startswith("{{") and text.rstrip().endswith("}}")


def check_name(body: Mapping[str, Any]) -> Iterator[Finding]:
    """The one field whose kind a template can change while all else is constant."""
    name = body.get("name", "")
    if not isinstance(name, str):
        yield ("name",), f"it is {word(name)}; a chat's name is text{_cure(name)}"


def _check_trigger(trigger: Any, is_open: Open) -> Iterator[Finding]:
    if not isinstance(trigger, Mapping):
        yield ("trigger",), f"it is {word(trigger)}; write {{type: connector, connectorUuid: ...}}"
        return
    yield from _check_meta(trigger.get("meta", {}), is_open)
    kind = trigger.get("type")
    if is_open(kind):
        return
    if not isinstance(kind, str) or kind not in _TRIGGERS:
        what = "it has no type" if kind is None else f"there is no trigger type {kind!r}{suggest(str(kind), _TRIGGERS)}"
        yield ("trigger", "type"), f"{what}{_known(_TRIGGERS)}"
        return
    yield from _check_fields(trigger, kind, _TRIGGERS[kind], is_open)


def _check_fields(trigger: Mapping[str, Any], kind: str, fields: _Fields, is_open: Open) -> Iterator[Finding]:
    for key in sorted(fields.must - trigger.keys()):
        yield ("trigger",), f"a {kind} trigger needs {key}"
    for key in sorted(fields.must & trigger.keys()):
        yield from _check_uuid(trigger[key], ("trigger", key), is_open)
    for key in sorted(fields.may & trigger.keys()):
        if trigger[key] is not None:
            yield from _check_uuid(trigger[key], ("trigger", key), is_open)
    known = fields.must | fields.may | fields.other | {"type", "meta"}
    for key in trigger.keys() - known:
        if near := suggest(str(key), known):
            yield ("trigger", key), f'a {kind} trigger has no "{key}"{near}'


def _check_meta(meta: Any, is_open: Open) -> Iterator[Finding]:
    if is_open(meta):
        return
    if not isinstance(meta, Mapping):
        yield ("trigger", "meta"), f"it is {word(meta)}; it must be an object"
    elif "relay" in meta:
        yield ("trigger", "meta", "relay"), "Relay writes this key itself, to find the chat again; take another"


def is_uuid(text: str) -> bool:
    """Whether a text is what Cargo takes as a uuid."""
    return _UUID.fullmatch(text) is not None


def _check_uuid(value: Any, path: Path, is_open: Open) -> Iterator[Finding]:
    if not is_open(value) and not (isinstance(value, str) and is_uuid(value)):
        what = f"it is {word(value)}" if not isinstance(value, str) else "it is not a uuid"
        yield path, f"{what}; a uuid looks like 3c90c3cc-0d44-4b50-8888-8dd25736052a"


def check_constants(value: Any, path: Path = ()) -> Iterator[Finding]:
    """What JSON cannot say in the constant parts of a body."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                yield path, f"its key {key!r} is {word(key)}; quote it"
            elif "{{" in key:
                yield (*path, key), "keys are no templates; only values are"
            yield from check_constants(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from check_constants(item, (*path, index))
    else:
        yield from _check_scalar(value, path)


def _check_scalar(value: Any, path: Path) -> Iterator[Finding]:
    if isinstance(value, str):
        try:
            check_text(value)
        except ValueError as error:
            yield path, str(error)
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, "it is not a number that JSON has"
    elif value is not None and not isinstance(value, bool | int | float):
        yield path, f"it is {word(value)}, which JSON does not have; quote it"


def _cure(value: Any) -> str:
    return "; add | string to the template" if isinstance(value, int | float) else ""


def _known(words: Mapping[str, Any] | frozenset[str]) -> str:
    return "; known are " + ", ".join(sorted(words))
