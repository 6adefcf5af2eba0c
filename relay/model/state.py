"""The states of an event and of a dispatch, and which state may follow which, as the reference tells ("States")."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
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


MOVES: Final[Mapping[State, AbstractSet[State]]] = {
    State.READY: {State.PARKED, State.SUPPRESSED, State.EXPIRED, State.CANCELLED},
    State.HELD: {State.FAILED, State.SUPERSEDED, State.EXPIRED, State.CANCELLED},
    State.SENDING: {
        *(State.READY, State.WAITING, State.CHECKING, State.MESSAGING),
        *(State.DONE, State.FAILED, State.PARKED),
    },
    State.WAITING: {State.CANCELLED},
    State.CHECKING: {State.CHECKING, State.WAITING, State.MESSAGING, State.DONE, State.PARKED},
    State.MESSAGING: {
        *(State.MESSAGING, State.READY, State.DONE, State.PARKED),
        *(State.FAILED, State.SUPPRESSED, State.EXPIRED, State.CANCELLED),
    },
}
"""Where a `Move` may lead: the ledger records no other. What changes a state without one is in `NEXT`.

`sending` leads to `ready` when a claim is given back before its call began. `messaging` ends otherwise than as `done`
only where it goes on in the chat of an earlier dispatch (`thread`): it leads to `ready` when that chat is gone.
"""

_ADOPTS: Final = frozenset({State.MESSAGING, State.DONE})
"""The chat of an attempt that was given up came after all."""
_WITHHELD: Final = frozenset({State.HELD, State.PARKED, State.SUPPRESSED, State.EXPIRED})
"""A claim met it, and a key of its rule or a pause does not let it go."""

NEXT: Final[Mapping[State, AbstractSet[State]]] = {
    State.READY: {*MOVES[State.READY], State.SENDING, *_WITHHELD, *_ADOPTS},
    State.HELD: {*MOVES[State.HELD], State.READY, State.SENDING, *_WITHHELD, *_ADOPTS},
    State.SENDING: MOVES[State.SENDING],
    State.WAITING: {State.SENDING, *_WITHHELD, *_ADOPTS},
    State.CHECKING: MOVES[State.CHECKING],
    State.MESSAGING: {*MOVES[State.MESSAGING], *_WITHHELD} - {State.CANCELLED},
    State.PARKED: _ADOPTS,
}
"""The states in which a later commit may leave a dispatch without a person.

No dispatch is ever stored as `created`: one commit moves it on and puts `chat.created` into the outbox. A `held` or
`waiting` one that is due is claimed as a `ready` one is. One that is `waiting` is withheld only where its attempt was
given back, because Cargo refused the token.
"""

_CANCEL: Final = frozenset({State.CANCELLED})
_RUN: Final = frozenset({State.READY, State.HELD, State.MESSAGING, State.CHECKING})
"""Where a run by hand begins: `checking` when a chat may exist, else as the key of its `order` or `thread` says."""

BY_HAND: Final[Mapping[State, AbstractSet[State]]] = {
    **dict.fromkeys((State.READY, State.WAITING, State.SENDING, State.CHECKING, State.MESSAGING), _CANCEL),
    State.HELD: _CANCEL | {State.READY},
    State.PARKED: _CANCEL | _RUN,
    **dict.fromkeys((State.FAILED, State.EXPIRED, State.SUPERSEDED, State.SUPPRESSED, State.CANCELLED), _RUN),
}
"""Where a retry or a cancel may lead.

While a call is under way or its outcome is open, a cancel waits until it is known that there is no chat. In `messaging`
it ends only what waits to go on in the chat of an earlier dispatch.
"""

LIVE: Final = frozenset(
    {State.READY, State.HELD, State.SENDING, State.WAITING, State.CHECKING, State.CREATED, State.MESSAGING}
)
"""States with a row of `work`. They count against the high-water mark."""

ENDED: Final = frozenset(State) - LIVE - {State.PARKED}
"""States that end a dispatch. `parked` is published as a result too, but is no end."""
