"""What goes into the rules and what comes out, as frozen records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from relay.model import Failure, frozen


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """A rule as the operator wrote it.

    `sources` and `types` are names or globs (`*`, `?`, `[...]`, case-sensitive); empty takes any, `types` also
    events without a type. `when` is a bare expression, `chat` the body of `POST /ai/chats` whose strings are
    templates, `message` the template of the first message. `on_unknown` is `park` or `retry`.
    """

    name: str
    sources: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    when: str | None = None
    chat: Mapping[str, Any] = field(default_factory=dict)
    message: str | None = None
    stop: bool = False
    on_unknown: str = "park"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a rule and what would be right.

    `path` leads to the value inside the rule's mapping, as `("chat", "trigger", "meta", "tags")`; `line` counts from
    1 inside that scalar.
    """

    path: tuple[str | int, ...]
    line: int
    message: str


@frozen
class Rendered:
    """One rule that wants one event, and the chat it asks for.

    `body` is compact JSON text without the stamp, None when rendering failed (then `failure` says where and why).
    `message` is None when the rule has none or when it came out blank.
    """

    rule: str
    body: str | None
    message: str | None = None
    trigger_type: str = "connector"
    name: str | None = None
    agent_uuid: str | None = None
    on_unknown: str = "park"
    failure: Failure | None = None


class Reason(StrEnum):
    """Why a rule did or did not want an event."""

    MATCHED = "matched"
    SOURCE = "source"
    TYPE = "type"
    WHEN = "when"
    ERROR = "error"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one rule made of one event. `why` is for people; `rendered` is set when it matched."""

    rule: str
    matched: bool
    reason: Reason
    why: str
    rendered: Rendered | None = None
