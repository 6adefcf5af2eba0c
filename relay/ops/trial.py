"""The JSON of a dry run (`POST /api/try`): what every rule does with each event of a delivery."""

from typing import Any, Literal

from pydantic import Field

from relay.model import State
from relay.ops.wire import HeldBack, Moment, OpenDocument, Skip, Wire


class Condition(Wire):
    """One term of `when`, and how it is `joined` to the term before it: `and`, `or`, null for the first.

    `holds` is null when the term cannot be evaluated, for the reason in `error`. `values` are the paths in the term and
    their values, `missing` the paths that have no value.
    """

    condition: str
    joined: str | None = None
    holds: bool | None = None
    values: dict[str, Any] = Field(default_factory=dict)
    missing: list[str] = Field(default_factory=list)
    error: str | None = None


class Cause(Wire):
    """The dispatch that caused an end."""

    dispatch_id: str


class Now(Wire):
    """What the ledger would say to the dispatch if the event came now; nothing is stored.

    `state` is what the dispatch would be after a claim at this moment, null where `skip` says why there would be none.
    `why` says why it would end or park, `by` is the dispatch that has the key, `since` when that was made, `held` what
    would hold it, `chatUuid` the chat in which it would go on.
    """

    state: State | None
    skip: Skip | None
    why: str | None
    by: Cause | None
    since: Moment | None
    held: HeldBack | None
    chat_uuid: str | None


class Verdict(OpenDocument):
    """What one rule does with an event: whether it matches, why it does not, and the body for Cargo.

    `reason` is `matched`, `source`, `type`, `when`, `error`, `stopped` or `skipped` (then `skip` says why).
    `conditions` are the terms of `when`, `keys` what each of the rule's other keys made of the event. `follow` is what
    a `thread` says in place of `message` where it goes on, null where that is the same. `now` is null where the rule
    makes no dispatch, and where the ledger was not asked: it is not, while a source hides values, for a delivery or a
    rule of somebody's whose role is not `admin`, who could try so which values were seen.
    """

    rule: str
    matched: bool
    reason: str | None = None
    why: str | None = None
    conditions: list[Condition] = Field(default_factory=list)
    keys: dict[str, Any] = Field(default_factory=dict)
    skip: Skip | None = None
    body: Any = None
    message: str | None = None
    follow: str | None = None
    failure: Any = None
    now: Now | None = None


class Tried(OpenDocument):
    """One event of a delivery with the verdict of every rule."""

    event: dict[str, Any]
    rules: list[Verdict]


class Trial(OpenDocument):
    """The outcome of a dry run. Nothing was stored or sent."""

    events: list[Tried]


class Explained(Wire):
    """What the rules whose source and type fit made of an event of the past, in their order.

    `asOf` is `then` for the rules as they were when it was decided, `now` for those in force where those of then are
    not kept any more. Unlike in a dry run, `skip` also has what the ledger decided (`unchanged`, `stale`).
    """

    as_of: Literal["then", "now"]
    rules: list[Verdict]
