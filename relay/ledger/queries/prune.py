"""Deletes expired rows, in turns bounded by rows, by bytes and by time, so that no writer waits long.

On PostgreSQL a turn locks the events that it has chosen, then their dispatches, both in the order of their ids, and
then checks the choice again. Operations that add to an event (a retry, a replay, a cancel) lock the event first, and a
late chat locks its dispatch. So either such an operation comes first, and the event is kept, or it finds nothing.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, Table, case, delete, exists, func, or_, select

from relay.ledger.engine.sql import constant, is_alone
from relay.ledger.queries import acts, dead, jobs, problems, rates, refused, sessions, suspects, versions
from relay.ledger.queries import outbox as outbox_queries
from relay.ledger.queries.days import Days
from relay.ledger.queries.keys import once
from relay.ledger.schema import (
    acceptances,
    attempts,
    dispatches,
    events,
    labels,
    leases,
    outbox,
    replicas,
    results,
    rule_keys,
    seen,
    slots,
    work,
)
from relay.ledger.terms import Terms
from relay.model import EventStatus, State, first_id

MOST: Final = 500
"""Rows of one kind that are deleted in one turn, at most."""
_LEAST: Final = 25
_LONG: Final = 0.05
"""Seconds. SQLite has one writer at a time, so that an accept waits as long as a turn takes."""
SPACE: Final = 8 << 20
"""Bytes of bodies that are deleted in one turn: a database touches each page of a large body to free it."""
_STALE: Final = 3_600_000
"""Milliseconds for which a lease or a grant of slots is kept after its end, and a replica after it was seen."""
_ROW: Final = 2_000
"""The approximate size of an event beside its body, in bytes."""
_LOOKED: Final = 4
"""Old events that a turn looks at for each that it may delete: most that it looks at may have to stay."""
_AGAIN: Final = 3_600_000
"""Milliseconds after which many old events that stayed are looked at again."""
_IS_UNMATCHED: Final = events.c.status == constant(EventStatus.UNMATCHED.value)
_NEWEST_UNMATCHED: Final = select(events.c.id).where(_IS_UNMATCHED).order_by(events.c.id.desc())


@dataclass(slots=True)
class Walk:
    """How far the old events of one kind were looked through, those that stay among them.

    The next turn begins at `place`. A walk of a single turn begins anew with each, a longer one an hour after it began.
    """

    place: str = ""
    begun_at: int = 0
    is_long: bool = False
    is_over: bool = True

    def begin(self, now: int) -> None:
        """Begin anew, if that is due."""
        if self.is_over and (not self.is_long or now - self.begun_at >= _AGAIN):
            self.place, self.begun_at, self.is_long = "", now, False

    def go_on(self, place: str | None, end: str) -> None:
        """Go on at `place`; None after the last one, which is before `end`."""
        self.is_over = place is None
        self.is_long = self.is_long or place is not None
        self.place = end if place is None else place


class TurnSize:
    """How many rows of one kind the next turn deletes: on a slow disk fewer, so that a turn stays short.

    On PostgreSQL a turn holds nobody up, and it stays at the most. `walks` are those of the kinds of finished events.
    """

    def __init__(self) -> None:
        self.rows = MOST
        self.walks: defaultdict[str | None, Walk] = defaultdict(Walk)

    @property
    def goes_on(self) -> bool:
        """Whether there are old events that were not looked at yet."""
        return not all(walk.is_over for walk in self.walks.values())

    def note(self, seconds: float) -> None:
        """How long a turn took."""
        if seconds > _LONG:
            self.rows = max(_LEAST, self.rows // 2)
        elif seconds < _LONG / 4:
            self.rows = min(MOST, self.rows * 2)


def prune(conn: Connection, now: int, *, terms: Terms, size: TurnSize, left: Sequence[Days] = ()) -> int:
    """Run one turn of this size, and note how long it took.

    Finished events of the days `left` are not deleted: their partitions are dropped. Returns how many rows were deleted
    of events, seen ids, kept requests, dead letters, problems, acts and minutes.
    """
    began = time.perf_counter()
    own = events.c.source.in_(terms.retain_of)
    turn = _Turn(conn, size.rows)
    moment = now - terms.retain
    others: list[ColumnElement[bool]] = [~own] if terms.retain_of else []
    others += [~days.of(events.c.id) for days in left if days.begin < moment]
    _delete_finished(turn, now, size, None, moment, others)
    for source, retain in terms.retain_of.items():
        _delete_finished(turn, now, size, source, now - retain, [])
    for gone in size.walks.keys() - {None, *terms.retain_of}:
        del size.walks[gone]
    turn.delete_events(_unmatched(conn, now, terms))
    deleted = turn.deleted + _delete_seen(conn, now, size.rows)
    deleted += refused.expire(conn, now) + dead.expire(conn, now, terms=terms)
    deleted += problems.expire(conn, now, terms=terms) + acts.expire(conn, now, terms=terms)
    deleted += rates.expire(conn, now)
    suspects.expire(conn, now)
    sessions.expire(conn, now)
    versions.expire(conn, now, terms=terms)
    jobs.expire(conn, now, terms=terms)
    conn.execute(delete(leases).where(leases.c.until < now - _STALE))
    conn.execute(delete(slots).where(slots.c.until < now - _STALE))
    conn.execute(delete(replicas).where(replicas.c.seen_at < now - _STALE))
    if is_alone(conn):
        size.note(time.perf_counter() - began)
    return deleted


def _delete_finished(
    turn: "_Turn", now: int, size: TurnSize, source: str | None, moment: int, of: Sequence[ColumnElement[bool]]
) -> None:
    """Delete what is finished among the next events older than `moment`: of a source with its own `retain`, or `of`.

    Only so many are looked at, because on SQLite nobody writes meanwhile. Kept ones may be very many: those of a source
    that retains for longer, and parked ones.
    """
    walk = size.walks[source]
    walk.begin(now)
    part = [] if source is None else [events.c.source == source]
    rest = select(events.c.id).where(*part, events.c.id >= walk.place, _before(moment)).order_by(events.c.id)
    end = turn.conn.execute(rest.offset(size.rows * _LOOKED).limit(1)).scalar()
    window = [events.c.id >= walk.place] if end is None else [events.c.id >= walk.place, events.c.id < end]
    walk.is_over = False
    if turn.delete_events(_finished(moment, *part, *of, *window)):
        walk.go_on(end, first_id(moment))


def _before(moment: int) -> ColumnElement[bool]:
    """Whether an event is older than `moment`, in milliseconds, by the primary key."""
    return events.c.id < first_id(moment)


def _finished(moment: int, *of: ColumnElement[bool]) -> Select[tuple[str]]:
    """Events older than `moment` that can be deleted.

    An event is kept while one of its dispatches is live, parked or has changed since `moment` (by a retry or a replay),
    and while one of its results is not delivered yet. `of` limits the choice.
    """
    of_event = dispatches.c.event_id == events.c.id
    live = exists().where(of_event, work.c.dispatch_id == dispatches.c.id)
    parked = exists().where(of_event, dispatches.c.state == State.PARKED.value)
    fresh = exists().where(of_event, dispatches.c.updated_at > moment)
    kept = or_(live, parked, fresh, _is_undelivered())
    return select(events.c.id).where(*of, _before(moment), ~kept).order_by(events.c.id)


def _is_undelivered() -> ColumnElement[bool]:
    return exists().where(results.c.event_id == events.c.id, outbox.c.result_id == results.c.id)


def _unmatched(conn: Connection, now: int, terms: Terms) -> Select[tuple[str]]:
    """Events that matched no rule and are too old or too many."""
    surplus = conn.execute(_NEWEST_UNMATCHED.offset(terms.max_unmatched).limit(1)).scalar()
    old = _before(now - terms.retain_unmatched)
    over = old if surplus is None else old | (events.c.id <= surplus)
    return select(events.c.id).where(_IS_UNMATCHED, over, ~_is_undelivered()).order_by(events.c.id)


class _Turn:
    """Deletes events until the bytes of one turn are used up. `deleted` counts the events."""

    def __init__(self, conn: Connection, most: int) -> None:
        self.conn = conn
        self._most = most
        self._room = SPACE
        self.deleted = 0

    def delete_events(self, candidates: Select[tuple[str]]) -> bool:
        """Delete the first candidates that there is room for. Returns whether that were all of them."""
        if self._room <= 0:
            return False
        ids, is_all = self._choose(candidates)
        if ids:
            self._delete(ids)
        return is_all

    def _delete(self, ids: Sequence[str]) -> None:
        conn = self.conn
        dispatch_ids = select(dispatches.c.id).where(dispatches.c.event_id.in_(ids))
        # While the dispatches exist:
        once.release(conn, dispatches.c.event_id.in_(ids))
        conn.execute(delete(attempts).where(attempts.c.dispatch_id.in_(dispatch_ids)))
        conn.execute(delete(dispatches).where(dispatches.c.event_id.in_(ids)))
        conn.execute(delete(labels).where(labels.c.event_id.in_(ids)))
        outbox_queries.keep_top(conn)
        conn.execute(delete(results).where(results.c.event_id.in_(ids)))
        conn.execute(delete(events).where(events.c.id.in_(ids)))
        self.deleted += len(ids)

    def _choose(self, candidates: Select[tuple[str]]) -> tuple[Sequence[str], bool]:
        """Lock and return the first candidates that there is room for, at least one, and whether these are all."""
        conn = self.conn
        sized = candidates.add_columns(_size(conn)).limit(self._most).with_for_update(of=events, skip_locked=True)
        rows = conn.execute(sized).all()
        sums = accumulate((_ROW + row[1] for row in rows), initial=0)
        ids = [row[0] for row, before in zip(rows, takewhile(lambda total: total < self._room, sums), strict=False)]
        self._room -= sum(_ROW + row[1] for row in rows[: len(ids)])
        is_all = len(ids) == len(rows) < self._most
        if is_alone(conn) or not ids:
            return ids, is_all
        of_events = select(dispatches.c.id).where(dispatches.c.event_id.in_(ids)).order_by(dispatches.c.id)
        conn.execute(of_events.with_for_update())
        # The first query may have read rows that changed before they were locked, so the locked events are read again.
        unchanged = conn.execute(candidates.where(events.c.id.in_(ids)))
        return [row.id for row in unchanged], is_all


def _size(conn: Connection) -> ColumnElement[int]:
    """The approximate size of an event, in bytes: its body, once more if it was parsed, and once for each dispatch.

    The database reads no body for it. SQLite has the length of bytes, and the type of a text, in the header of the row.
    """
    if is_alone(conn):
        raw, parsed = func.length(events.c.raw), func.typeof(events.c.data) != "null"
    else:
        raw, parsed = func.octet_length(events.c.raw), events.c.data.is_not(None)
    dispatch_count = select(func.count()).where(dispatches.c.event_id == events.c.id).scalar_subquery()
    return raw * (1 + case((parsed, 1), else_=0) + dispatch_count)


def _delete_seen(conn: Connection, now: int, most: int) -> int:
    return sum(_delete_expired(conn, now, table, most) for table in (seen, acceptances, rule_keys))


def _delete_expired(conn: Connection, now: int, table: Table, most: int) -> int:
    [key] = table.primary_key
    keys = list(conn.execute(select(key).where(table.c.expires_at <= now).limit(most)).scalars())
    if keys:
        # Checked again: between the two statements another replica may have renewed a key.
        conn.execute(delete(table).where(key.in_(keys), table.c.expires_at <= now))
    return len(keys)
