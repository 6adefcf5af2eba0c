"""Ends dispatches that an event cancels while they are held (`delay` with `unless`)."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from relay.errors import RelayError
from relay.ledger.engine.sql import Found
from relay.ledger.queries import record
from relay.ledger.queries.keys import cancel_key, cancel_keys, delay
from relay.ledger.queries.keys.memory import lock
from relay.ledger.queries.rows import about_of, dispatch_of
from relay.ledger.queries.versions import versions_of
from relay.ledger.queries.work import news
from relay.ledger.terms import Terms
from relay.model import Dispatch, Entry, Failure, Move, State, tell

MOST: Final = 500
"""Dispatches of other commits that one transaction cancels: each takes a millisecond or two, and others wait."""


class TooMany(RelayError):
    """An event cancels more than `MOST` dispatches: `cancel_some` of them first."""


def cancel(conn: Connection, now: int, entries: Sequence[Entry], *, terms: Terms) -> dict[str, list[Dispatch]]:
    """Cancel what these new entries, which are inserted already, say; of their own batch only what came before them.

    The keys are locked (`keys.decide`). Returns the cancelled ones by the event that cancelled them. Raises TooMany.
    """
    cancelled: dict[str, list[Dispatch]] = {}
    own = {dispatch.id for entry in entries for dispatch in entry.dispatches}
    room = MOST
    later = {dispatch.id for entry in entries for dispatch in entry.dispatches}
    for entry in entries:
        if entry.cancels or entry.former_cancels:
            rows = _find(conn, entry, later)
            room -= sum(row["dispatch_id"] not in own for row in rows)
            if room < 0:
                raise TooMany
            cancelled[entry.event.id] = _end(conn, now, entry, rows, terms)
        later -= {dispatch.id for dispatch in entry.dispatches}
    return cancelled


def cancel_some(conn: Connection, now: int, entries: Sequence[Entry], *, terms: Terms) -> dict[str, list[Dispatch]]:
    """Cancel at most `MOST` of what these entries say, which are not stored yet. Returns as `cancel`."""
    for entry in entries:
        found = delay.look(conn, cancel_keys(entry)) if entry.cancels or entry.former_cancels else ()
        chosen = _decided_so(conn, found, entry)[:MOST]
        if not chosen:
            continue
        lock(conn, sorted({*cancel_keys(entry), *({row["queue"] for row in chosen} - {None})}))
        rows = delay.find_some(conn, sorted(row["dispatch_id"] for row in chosen))
        if ended := _end(conn, now, entry, rows, terms):
            return {entry.event.id: ended}
    return {}


def _find(conn: Connection, entry: Entry, spared: AbstractSet[str]) -> Sequence[Found]:
    return _decided_so(conn, delay.find(conn, cancel_keys(entry), spared), entry)


def _end(conn: Connection, now: int, entry: Entry, rows: Sequence[Found], terms: Terms) -> list[Dispatch]:
    news_rows = news(conn, [row["dispatch_id"] for row in rows])
    moves, dispatches = [], []
    for row in rows:
        if (news_row := news_rows.get(row["dispatch_id"])) is None:
            continue
        event = entry.event
        failure = Failure(
            State.CANCELLED.value, f"event {event.id} ({event.type or event.source}) came first (delay.unless)"
        )
        dispatch = replace(dispatch_of(news_row), cause_event=event.id)
        dispatches.append(dispatch)
        result = tell.failed(about_of(news_row), dispatch, failure, attempts=0, now=now)
        was = State(row["state"])
        moves.append(
            Move(
                *(dispatch.id, row["run"], was, State.CANCELLED, row["fence"]),
                failure=failure,
                results=(result,),
                cause_event=event.id,
            )
        )
    record.record(conn, now, [record.Recording(move) for move in moves], terms=terms)
    return dispatches


def _decided_so(conn: Connection, rows: Sequence[Found], entry: Entry) -> Sequence[Found]:
    """The rows without those under the key of a former version of their rule that another version has decided."""
    if not entry.former_cancels:
        return rows
    under = {cancel_key(rule, key) for rule, key in entry.cancels}
    former = {(cancel_key(rule, key), version) for rule, key, version in entry.former_cancels}
    versions = versions_of(conn, [row["dispatch_id"] for row in rows])
    return [
        row
        for row in rows
        if row["cancel_key"] in under or (row["cancel_key"], versions.get(row["dispatch_id"])) in former
    ]
