"""The states of an event and of a dispatch, and which state may follow which (DESIGN, "Dispatch states")."""

from typing import Final

from relay.model.word import Word


class EventStatus(Word):
    """The outcome of an event's intake. `duplicate` appears only in receipts, because a duplicate is not stored."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    UNMATCHED = "unmatched"
    UNREADABLE = "unreadable"


class State(Word):
    """The state of a dispatch."""

    READY = "ready"
    HELD = "held"
    SENDING = "sending"
    WAITING = "waiting"
    CHECKING = "checking"
    CREATED = "created"
    MESSAGING = "messaging"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    PARKED = "parked"


class ParkReason(Word):
    """Why a dispatch waits for a person."""

    UNKNOWN = "unknown"
    GAVE_UP = "gave_up"
    BUDGET = "budget"
    LIMIT = "limit"
    LOOP = "loop"


LEGAL: Final[dict[State, frozenset[State]]] = {
    State.READY: frozenset({State.SENDING, State.HELD, State.PARKED, State.SUPPRESSED, State.CANCELLED, State.EXPIRED}),
    State.HELD: frozenset(
        {
            State.READY,
            State.SENDING,
            State.MESSAGING,
            State.SUPERSEDED,
            State.SUPPRESSED,
            State.EXPIRED,
            State.CANCELLED,
            State.PARKED,
            State.FAILED,
        }
    ),
    State.SENDING: frozenset(
        {
            State.READY,
            State.CREATED,
            State.MESSAGING,
            State.DONE,
            State.WAITING,
            State.FAILED,
            State.CHECKING,
            State.PARKED,
        }
    ),
    State.WAITING: frozenset({State.READY, State.SENDING, State.CANCELLED, State.PARKED}),
    State.CHECKING: frozenset(
        {State.CREATED, State.MESSAGING, State.DONE, State.WAITING, State.PARKED, State.CHECKING}
    ),
    State.CREATED: frozenset({State.MESSAGING, State.DONE}),
    State.MESSAGING: frozenset(
        {
            State.DONE,
            State.MESSAGING,
            State.READY,
            State.FAILED,
            State.SUPPRESSED,
            State.EXPIRED,
            State.CANCELLED,
            State.PARKED,
        }
    ),
    State.FAILED: frozenset({State.READY}),
    State.EXPIRED: frozenset({State.READY}),
    State.SUPERSEDED: frozenset({State.READY}),
    State.SUPPRESSED: frozenset({State.READY}),
    State.CANCELLED: frozenset({State.READY}),
    State.PARKED: frozenset({State.READY, State.CHECKING, State.CANCELLED}),
    State.DONE: frozenset(),
}
"""The states that may follow each state.

No row is ever stored as `created`: one commit moves it from `sending` to `messaging` or `done` and puts `chat.created`
into the outbox. A `waiting` or `held` row that is due is claimed like a `ready` one. `sending` returns to `ready` when
a claim is released before its call began. `messaging` ends otherwise than as `done` only where it goes on in the chat
of an earlier dispatch (`thread`): it returns to `ready` when that chat is gone.
"""

LIVE: Final = frozenset(
    {State.READY, State.HELD, State.SENDING, State.WAITING, State.CHECKING, State.CREATED, State.MESSAGING}
)
"""States with a row of `work`. They count against the high-water mark."""

ENDED: Final = frozenset(State) - LIVE - {State.PARKED}
"""States that end a dispatch. `parked` is published as a result too, but is no end."""
