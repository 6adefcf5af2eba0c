"""A dispatch (one rule matched by one event), the claim to work on it, and the moves between its states."""

from collections.abc import Mapping
from typing import Any, Final

from relay.model.chat import Chat
from relay.model.frozen import frozen
from relay.model.hold import Hold
from relay.model.labels import Labels, Outlet
from relay.model.result import About, Result
from relay.model.state import ParkReason, State
from relay.model.word import Word


@frozen
class Failure:
    """The reason of a failure. `code` is one of the codes in the reference, `status` Cargo's HTTP status, if any."""

    code: str
    message: str
    status: int | None = None


UNSTAMPED: Final = "unstamped"
"""The code of a failure that a person must decide: Cargo returns no stamp, so a chat's absence cannot be proved."""

LOCKED: Final = "locked"
"""The code for values that are encrypted with a key that is not configured."""


@frozen
class Dispatch:
    """A chat to make. Work, retries and results are per dispatch.

    `body` is the JSON text for `POST /ai/chats` without the stamp, None when rendering failed (`failure` says why) and
    while its events are gathered. `follow` is said in place of `message` in a chat that exists already; blank, it says
    nothing there. `trigger_type` is the body's `trigger.type`. `on_unknown` is `park` or `retry`. In the state `held`
    it waits for a key of its rule, or for the end of its rule's pause (`HeldBy`). `plan` has what the keys of its rule
    have rendered, by their names, until it is accepted. `cause` is the id of the dispatch that ended it, `cause_event`
    of the event that did. `hold` is its place among those of its keys, while it is accepted. `labels` are those that
    its rule gives it, None for none; `outlet` is where its results go, None for the result exchange. `rule_version` is
    the hash of the version of the rule that decided it.
    """

    id: str
    event_id: str
    source: str
    rule: str
    body: str | None
    message: str | None = None
    trigger_type: str = "connector"
    name: str | None = None
    agent_uuid: str | None = None
    on_unknown: str = "park"
    failure: Failure | None = None
    state: State = State.READY
    run: int = 1
    plan: Mapping[str, Any] | None = None
    cause: str | None = None
    cause_event: str | None = None
    hold: Hold | None = None
    follow: str | None = None
    labels: Labels | None = None
    outlet: Outlet | None = None
    rule_version: str | None = None


@frozen
class Claim:
    """A dispatch that a replica has claimed, with the data of its event that results need.

    - `state` is `sending` or `messaging` (`checking` inside a Doubt).
    - `fence` is the fencing token. The lease ends `lease` milliseconds after the claim was requested.
    - `attempt` is the number of the attempt whose start was committed with the claim, counted from 1 within a run and
      a kind of attempt (chat, message or follow-up).
    - `attempts` is the number of attempts of this run to create the chat or to go on in that of its thread, including
      this one.
    - `waited` is the milliseconds since the run's first attempt, without global pauses.
    - `start_in` is the milliseconds to wait before the call, so that all replicas together keep `cargo.rate`.
    - `chat_uuid` is the chat, in `messaging`.
    - `doubt` says in `messaging` that an earlier message may have arrived. In `checking` it says that a person saw
      chats that may be the right one and has decided to send all the same.
    - `follows` says that the message goes on in the chat of an earlier dispatch (`thread`). `began_at` is then the
      start of the first attempt to say it, by the ledger's clock, and `taken` the uuids of messages of others.
    - `locked` is the reason why the body, the message and the name cannot be decrypted; None when they can.
    """

    dispatch: Dispatch
    state: State
    fence: int
    lease: int
    attempt: int
    attempts: int
    waited: int
    about: About
    chat_uuid: str | None = None
    agent_uuid: str | None = None
    doubt: bool = False
    start_in: int = 0
    locked: str | None = None
    follows: bool = False
    began_at: int = 0
    taken: tuple[str, ...] = ()


@frozen
class Withheld:
    """A dispatch that was due and does not go to Cargo, as a key of its rule says.

    `to` is `expired`, or `parked`, `suppressed` or `held` (by `loop`, `limit`, `budget`); `failure` says why. `until`
    is when a held one is due, in milliseconds since the epoch. `key` is the rendered key of a loop, which is open again
    when it was quiet for `quiet` ms; `counted` says that its problem was opened by the same commit.
    """

    dispatch: Dispatch
    to: State
    failure: Failure
    until: int | None = None
    key: str | None = None
    quiet: int | None = None
    counted: bool = False


class Verdict(Word):
    """How an attempt ended, for the timeline and the metrics."""

    CREATED = "created"
    SENT = "sent"
    RETRYABLE = "retryable"
    DENIED = "denied"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"


@frozen
class Move:
    """The consequence of one attempt, or of one search for a chat: the next state and its results, in one commit.

    It is applied only while `fence`, `was` and `run` are those of the row of `work`. The attempt's outcome (when
    `verdict` is set) and a chat are stored even when it is not applied. `due_in` is milliseconds until the next step,
    None when the state has none. `took` is the milliseconds of the call. `results` enter the outbox in the same commit.
    `doubt` replaces the doubt of the row. `uncounted` gives the attempt back, because trouble that concerns all
    dispatches does not use up the attempts of one. `cause` and `cause_event` say what ended it, as in a dispatch.
    `message_uuid` is that of the message which was said. `follows` is that of the claim. `forgets` says that the
    dispatch has no chat any more.
    """

    dispatch_id: str
    run: int
    was: State
    to: State
    fence: int
    attempt: int = 0
    verdict: Verdict | None = None
    took: int = 0
    failure: Failure | None = None
    chat: Chat | None = None
    reconciled: bool = False
    due_in: int | None = None
    park: ParkReason | None = None
    results: tuple[Result, ...] = ()
    doubt: bool = False
    uncounted: bool = False
    cause: str | None = None
    cause_event: str | None = None
    message_uuid: str | None = None
    follows: bool = False
    forgets: bool = False


class Recorded(Word):
    """What the ledger did with a Move.

    - `applied`: the move was applied.
    - `late`: the lease was lost, and only the attempt's outcome was stored.
    - `adopted`: the dispatch took a chat of an attempt whose lease was lost, and published it.
    - `duplicated`: the dispatch has another chat; one of the two is recorded as its duplicate.
    """

    APPLIED = "applied"
    LATE = "late"
    ADOPTED = "adopted"
    DUPLICATED = "duplicated"


@frozen
class Record:
    """A move as it was recorded.

    `move` differs from the one that was asked for where the ledger knew more: that an earlier attempt has made a chat,
    which is adopted, or that a person has cancelled the dispatch meanwhile.
    """

    how: Recorded
    move: Move


@frozen
class Doubt:
    """A dispatch in `checking`: an attempt to create its chat has an unknown outcome. The claim's state is `checking`.

    Times are milliseconds by the database's clock. `at` is when it was read. `first_attempt_at` is the start of the
    first attempt of any run. `ended_ago` is the time since the last attempt, or its lease, ended. `looks` is the number
    of searches for its chat so far.
    """

    claim: Claim
    at: int
    first_attempt_at: int
    ended_ago: int
    looks: int
