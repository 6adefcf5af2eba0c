"""A dispatch (one rule matched by one event), the claim to work on it, and the moves between its states."""

from typing import Final

from relay.model.chat import Chat
from relay.model.frozen import frozen
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

    `body` is the JSON text for `POST /ai/chats` without the stamp, None when rendering failed (`failure` says why).
    `trigger_type` is the body's `trigger.type`. `on_unknown` is `park` or `retry`. In the state `held` it is not
    claimed until a window, order, limit or budget of its rule releases it.
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
    """A dispatch that a replica has claimed, with the data of its event that results need.

    - `state` is `sending` or `messaging` (`checking` inside a Doubt).
    - `fence` is the fencing token. The lease ends `lease` milliseconds after the claim was requested.
    - `attempt` is the number of the attempt whose row was committed with the claim, counted from 1 within a run and
      a kind of attempt (chat or message).
    - `attempts` is the number of attempts of this run to create the chat, including this one.
    - `waited` is the milliseconds since the run's first attempt, without global pauses.
    - `start_in` is the milliseconds to wait before the call, so that all replicas together keep `cargo.rate`.
    - `chat_uuid` is the chat, in `messaging`.
    - `doubt` says in `messaging` that an earlier message may have arrived. In `checking` it says that a person saw
      chats that may be the right one and has decided to send all the same.
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
    dispatches does not use up the attempts of one.
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
