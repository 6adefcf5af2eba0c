"""The states of an event and of a dispatch, and which state may follow which (DESIGN, "Dispatch states")."""

from typing import Final

from relay.model.word import Word


class EventStatus(Word):
    """What became of an event when it came in. `duplicate` is only an answer; a duplicate is not kept."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    UNMATCHED = "unmatched"
    UNREADABLE = "unreadable"


class State(Word):
    """Where a dispatch stands."""

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
    State.READY: frozenset({State.SENDING, State.CANCELLED}),
    State.HELD: frozenset({State.READY, State.SUPERSEDED, State.EXPIRED, State.CANCELLED, State.PARKED}),
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
    State.MESSAGING: frozenset({State.DONE, State.MESSAGING}),
    State.FAILED: frozenset({State.READY}),
    State.EXPIRED: frozenset({State.READY}),
    State.SUPERSEDED: frozenset({State.READY}),
    State.SUPPRESSED: frozenset({State.READY}),
    State.CANCELLED: frozenset({State.READY}),
    State.PARKED: frozenset({State.READY, State.CHECKING, State.CANCELLED}),
    State.DONE: frozenset(),
}
"""`created` is passed through within one commit: the row goes from `sending` to `messaging` or `done` while
`chat.created` enters the outbox. A `waiting` row whose time has come is claimed as if it were `ready`. `sending` goes
back to `ready` when it was claimed and no call was begun."""

LIVE: Final = frozenset(
    {State.READY, State.HELD, State.SENDING, State.WAITING, State.CHECKING, State.CREATED, State.MESSAGING}
)
"""States with a row of due work; they count against the high-water mark."""

ENDED: Final = frozenset(State) - LIVE - {State.PARKED}
"""States that are told as an end. `parked` is told too, as such, but is not an end."""
