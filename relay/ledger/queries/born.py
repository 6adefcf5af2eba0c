"""Dispatches that are born claimed: committed as `sending` together with their event, and handed to the worker at once.

They save a second transaction and a second read. It happens only when a claim that ran now would take the same rows:
nothing older is due, nothing is paused, the rate allows it, and so do the keys of their rules. One that does not go is
left to a claim, which says what becomes of it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count, islice
from typing import Any, Final, Self

from sqlalchemy import Connection, Text, func, insert, select
from sqlalchemy.sql import ClauseElement

from relay.ledger.engine.sql import Found, Row, is_alone, padded
from relay.ledger.engine.writes import Writes
from relay.ledger.queries import counters
from relay.ledger.queries.admission import LOCKED, Book, Moment, is_asked, judge, places
from relay.ledger.queries.turn import turn_columns
from relay.ledger.schema import counters as counter_rows
from relay.ledger.schema import work
from relay.ledger.terms import Terms
from relay.model import Claim, Dispatch, Entry, Event, State, frozen

Offered = tuple[int, Sequence[Entry]]
"""The call slots that are offered to one delivery, and its new entries."""
Candidate = tuple[Event, Dispatch]


@frozen
class Born:
    """Claims on new dispatches, one list for each offer. `paused` is the total of past pauses, in milliseconds.

    `book` has what the keys of their rules remember of them, to be written with them.
    """

    by_offer: Sequence[Sequence[Claim]]
    paused: int = 0
    book: Book | None = None

    def by_dispatch(self) -> dict[str, Claim]:
        return {claim.dispatch.id: claim for claims in self.by_offer for claim in claims}


NONE: Final = Born(())

_COUNTER: Final = select(counter_rows.c.value)
_STATE: Final = (
    select(func.min(work.c.due_at)).where(work.c.due_at.is_not(None)).scalar_subquery().label("first_due"),
    _COUNTER.where(counter_rows.c.name == "paused_since").scalar_subquery().label("paused_since"),
    _COUNTER.where(counter_rows.c.name == "paused").scalar_subquery().label("paused"),
)
_PLAIN: Final = select(*_STATE)
_ROW: Final = LOCKED.subquery()
_WITH_BOOK: Final = select(
    *_STATE,
    select(func.json_agg(func.json_build_array(func.encode(_ROW.c.hash, "hex"), _ROW.c.value)))
    .scalar_subquery()
    .cast(Text)
    .label("book"),
)


@frozen
class Question:
    """What decides whether new dispatches may be claimed: the first due time of `work`, the pauses, their keys.

    It is read in the round trip of the identities. On SQLite, which has none, the keys are read when they are needed.
    """

    query: ClauseElement
    parameters: Row

    @classmethod
    def about(cls, conn: Connection, entries: Sequence[Entry]) -> Self:
        hashes = () if is_alone(conn) else _hashes(_ready(entries))
        return cls(_WITH_BOOK, {"hashes": padded(hashes)}) if hashes else cls(_PLAIN, {})


@frozen
class Answered:
    """The row of a question's query, and the keys; None where they are yet to be read."""

    state: Found
    book: Book | None

    @classmethod
    def read(cls, conn: Connection, row: Found) -> Self:
        if is_alone(conn):
            return cls(row, None)
        pairs = json.loads(row.get("book") or "[]")
        return cls(row, Book({"hash": bytes.fromhex(place), "value": value} for place, value in pairs))


_WORK: Final = insert(work)


def claim_new(conn: Connection, now: int, offers: Sequence[Offered], terms: Terms, answer: Answered | None) -> Born:
    """Claim new dispatches that are ready, as many as each offer has slots. None when other work is due first.

    `answer` is None when nothing was asked, because nothing is offered.
    """
    candidates = [list(islice(_ready(entries), slots)) for slots, entries in offers]
    nothing = Born([()] * len(offers))
    if answer is None or not any(candidates):
        return nothing
    state = answer.state
    if state["paused_since"] or (state["first_due"] is not None and state["first_due"] <= now):
        return nothing
    book = Book.load(conn, _hashes(chain(*candidates))) if answer.book is None else answer.book
    first, most = 0, sum(map(len, candidates))
    if terms.spacing is not None:
        first = counters.next_start(conn, now, terms.spacing)
        most = min(most, counters.startable(first, now, terms.spacing))
    at = counters.latest_start(now, terms)
    going = [[pair for pair in pairs if _goes(book, pair[1], now, at)] for pairs in _cut(candidates, most)]
    if terms.spacing is not None:
        counters.take_starts(conn, first, sum(map(len, going)), terms.spacing)
    turns = count()
    claims = [
        [
            _claim(event, dispatch, counters.start_after(first, next(turns), now, terms.spacing), terms)
            for event, dispatch in pairs
        ]
        for pairs in going
    ]
    return Born(claims, state["paused"], book)


def _cut(candidates: Sequence[Sequence[Candidate]], most: int) -> Iterator[Sequence[Candidate]]:
    """The first `most` of them all."""
    for pairs in candidates:
        yield pairs[:most]
        most -= len(pairs[:most])


def _goes(book: Book, dispatch: Dispatch, now: int, at: int) -> bool:
    """Whether the keys of its rule let a new dispatch go. They remember it only then."""
    if dispatch.plan is None or not is_asked(dispatch.plan):
        return True
    stay, changes = judge(book, dispatch.rule, dispatch.plan, Moment(now, at, dispatch.run, is_fresh=True))
    if stay is None:
        book.put(dispatch.rule, changes)
    return stay is None


def _hashes(candidates: Iterable[Candidate]) -> Sequence[bytes]:
    """The keys that decide about dispatches, in order."""
    return sorted({place for _, each in candidates if each.plan for place in places(each.rule, each.plan)})


def _ready(entries: Sequence[Entry]) -> Iterator[Candidate]:
    for entry in entries:
        for dispatch in entry.dispatches:
            if dispatch.state is State.READY:
                yield entry.event, dispatch


def _claim(event: Event, dispatch: Dispatch, start_in: int, terms: Terms) -> Claim:
    return Claim(
        dispatch,
        State.SENDING,
        fence=1,
        lease=terms.lease,
        attempt=1,
        attempts=1,
        waited=0,
        about=event.about(),
        agent_uuid=dispatch.agent_uuid,
        start_in=start_in,
    )


def insert_work(writes: Writes, now: int, claims: Sequence[Claim], paused: int, terms: Terms) -> None:
    """Insert the rows of `work` as a first claim leaves them."""
    most = len(claims)
    columns: dict[str, Sequence[Any]] = {
        "dispatch_id": [claim.dispatch.id for claim in claims],
        "run": [claim.dispatch.run for claim in claims],
        "state": [str(claim.state) for claim in claims],
        "lease_until": [now + terms.lease] * most,
        "owner": [terms.owner] * most,
        "fence": [claim.fence for claim in claims],
        "number": [claim.attempt for claim in claims],
        "attempts": [claim.attempts for claim in claims],
        "first_attempt_at": [now] * most,
        "paused_before": [paused] * most,
        "started_at": [now + claim.start_in for claim in claims],
    }
    writes.insert(_WORK, turn_columns([claim.dispatch for claim in claims], now) | columns)
