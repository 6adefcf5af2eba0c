"""What goes into the rules and what comes out, as frozen records."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from relay.model import Failure, Labels, Outlet, Skip, frozen


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """A rule as the operator wrote it.

    `sources` and `types` are names or globs (`*`, `?`, `[...]`, case-sensitive); empty takes any, `types` also
    events without a type. `when` is a bare expression, `chat` the body of `POST /ai/chats` whose strings are
    templates, `message` the template of the first message, `follow` that of later ones (`thread`). `on_unknown` is
    `park` or `retry`. `keys` are the values of the other keys by name, as `relay.rules.keys` has them.
    """

    name: str
    sources: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    when: str | None = None
    chat: Mapping[str, Any] = field(default_factory=dict)
    message: str | None = None
    follow: str | None = None
    stop: bool = False
    on_unknown: str = "park"
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a rule and what would be right.

    `path` leads to the value inside the rule's mapping, as `("chat", "trigger", "meta", "tags")`; `line` counts from
    1 inside that scalar.
    """

    path: tuple[str | int, ...]
    line: int
    message: str
    warn: bool = False


@frozen
class Rendered:
    """One rule that wants one event, and the chat it asks for.

    `body` is compact JSON text without the stamp, None when rendering failed (then `failure` says where and why), and
    where it is rendered when a window closes. `message` is None when the rule has none or when it came out blank,
    likewise `follow`. `plan` has what the steps of its keys in the ledger need, by the key's name; None when there are
    none. `labels` and `outlet` are what its results carry and where they go, also where it failed.
    """

    rule: str
    body: str | None
    message: str | None = None
    trigger_type: str = "connector"
    name: str | None = None
    agent_uuid: str | None = None
    on_unknown: str = "park"
    failure: Failure | None = None
    plan: Mapping[str, Any] | None = None
    follow: str | None = None
    labels: Labels | None = None
    outlet: Outlet | None = None

    def fail(self, why: str) -> "Rendered":
        """The same without a chat; `why` begins with the place of the fault."""
        failure = Failure("render", f"rule {self.rule}: {why}")
        return replace(
            self, body=None, message=None, follow=None, name=None, agent_uuid=None, failure=failure, plan=None
        )


@frozen
class Matched:
    """What rules make of one event: the chats that are asked for, and the rules that skipped it.

    `cancels` are pairs of a rule and the key of what the event cancels while that rule holds it. `former_cancels` name
    the version of a rule besides that is not in force any more.
    """

    rendered: tuple[Rendered, ...]
    skips: tuple[Skip, ...] = ()
    cancels: tuple[tuple[str, str], ...] = ()
    former_cancels: tuple[tuple[str, str, str], ...] = ()


class Reason(StrEnum):
    """Why a rule did or did not want an event."""

    MATCHED = "matched"
    SOURCE = "source"
    TYPE = "type"
    WHEN = "when"
    ERROR = "error"
    STOPPED = "stopped"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one rule made of one event. `why` is for people.

    `conditions` are the terms of `when` as `relay.rules.explain.Term.document` gives them, `keys` what each key of the
    rule found, by name; both only where the event has come so far. `rendered` is set when the chat was rendered, also
    where `skip` then withheld it.
    """

    rule: str
    matched: bool
    reason: Reason
    why: str
    rendered: Rendered | None = None
    conditions: tuple[Mapping[str, Any], ...] = ()
    keys: Mapping[str, Any] = field(default_factory=dict)
    skip: Skip | None = None
