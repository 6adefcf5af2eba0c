"""Ends dispatches that an event cancels while they are held (`delay` with `unless`)."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from sqlalchemy import Connection

from relay.ledger.engine.sql import Found
from relay.ledger.queries import record
from relay.ledger.queries.keys import cancel_key, cancel_keys, delay
from relay.ledger.queries.rows import about_of, dispatch_of
from relay.ledger.queries.versions import versions_of
from relay.ledger.queries.work import news
from relay.ledger.terms import Terms
from relay.model import Dispatch, Entry, Failure, Move, State, tell


def cancel(conn: Connection, now: int, entries: Sequence[Entry], *, terms: Terms) -> dict[str, list[Dispatch]]:
    """Cancel what these new entries, which are inserted already, say; of their own batch only what came before them.

    The keys are locked (`keys.decide`). Returns the cancelled ones by the event that cancelled them.
    """
    cancelled = {}
    later = {dispatch.id for entry in entries for dispatch in entry.dispatches}
    for entry in entries:
        if entry.cancels or entry.former_cancels:
            cancelled[entry.event.id] = _cancel(conn, now, entry, later, terms)
        later -= {dispatch.id for dispatch in entry.dispatches}
    return cancelled


def _cancel(conn: Connection, now: int, entry: Entry, spared: AbstractSet[str], terms: Terms) -> list[Dispatch]:
    rows = delay.find(conn, cancel_keys(entry), spared)
    if entry.former_cancels:
        rows = _decided_so(conn, rows, entry)
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


def _decided_so(conn: Connection, rows: Sequence[Found], entry: Entry) -> list[Found]:
    """The rows without those under the key of a former version of their rule that another version has decided."""
    under = {cancel_key(rule, key) for rule, key in entry.cancels}
    former = {(cancel_key(rule, key), version) for rule, key, version in entry.former_cancels}
    versions = versions_of(conn, [row["dispatch_id"] for row in rows])
    return [
        row
        for row in rows
        if row["cancel_key"] in under or (row["cancel_key"], versions.get(row["dispatch_id"])) in former
    ]
