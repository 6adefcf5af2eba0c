"""A dispatch (one rule matched by one event), the claim to work on it, and the moves between its states."""

from typing import Final

from relay.model.chat import Chat
from relay.model.frozen import frozen
from relay.model.result import About, Result
from relay.model.state import ParkReason, State
from relay.model.word import Word


@frozen
class Failure:
    """Why something did not work. `code` is one of the codes enumerated in the reference, `status` Cargo's."""

    code: str
    message: str
    status: int | None = None


UNSTAMPED: Final = "unstamped"
"""The code of a failure that only a person can clear up: Cargo carries no stamp back, so absence cannot be proved."""

LOCKED: Final = "locked"
"""The code of what is encrypted with a key that is not here."""


@frozen
class Dispatch:
    """The chat to be made: the unit of work, of retry and of result.

    `body` is the JSON text for `POST /ai/chats` without the stamp, None when rendering failed (then `failure`).
    `trigger_type` is the body's `trigger.type`; `on_unknown` is `park` or `retry`. `held` keeps it from being
    claimed until a window, order, limit or budget of its rule lets it go.
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


@frozen
class Claim:
    """A dispatch taken for work, with what its results need of its event.

    `state` is `sending` or `messaging` (`checking` inside a Doubt). `fence` is the fencing token; the lease ends
    `lease` milliseconds after the claim was asked for. `attempt` is the number of the attempt whose row was
    committed with the claim (it counts from 1 within a run and a state). `attempts` are those made so far in this
    run to create the chat, this one included. `waited` is the milliseconds since the run's first attempt, without
    global pauses.
    `start_in` is the milliseconds to wait before the call, so that `cargo.rate` is kept over all replicas.
    In `messaging`, `chat_uuid` is the chat and `doubt` says that an earlier message may have arrived. In `checking`,
    `doubt` says that a person was shown chats that may be the one, and wants it sent all the same.
    `locked` says why the body, the message and the name cannot be read (they are encrypted); None when they can.
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
    """What follows from one attempt or one look: the next state, told and kept in one commit.

    It is applied only while `fence` is still that of the work row (`was` and `run` are checked too); the
    attempt's outcome (when `verdict` is set) and a chat are kept even when it is not. `due_in` is milliseconds
    until the next step, None when the state has none. `results` enter the outbox with the same commit.
    `settled` says that nothing is unknown any more (clears `doubt`); `uncounted` gives the attempt back, because
    global trouble burns no attempts.
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


class Recorded(Word):
    """What the ledger did with a Move.

    `late`: the lease had been lost and nothing but the attempt was kept. `adopted`: the lease had been lost, the
    chat's uuid was kept and told all the same. `duplicated`: another chat is already known for this dispatch; this
    one is recorded as its duplicate.
    """

    APPLIED = "applied"
    LATE = "late"
    ADOPTED = "adopted"
    DUPLICATED = "duplicated"


@frozen
class Doubt:
    """A dispatch in `checking`: an attempt to create its chat has an unknown outcome. The claim's state is `checking`.

    Times in milliseconds, by the database's clock: `at` is when it was read, `first_attempt_at` is of the first attempt
    of any run; `ended_ago` is since the last attempt ended or its lease ran out; `looks` taken so far.
    """

    claim: Claim
    at: int
    first_attempt_at: int
    ended_ago: int
    looks: int
