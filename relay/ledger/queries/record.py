"""Moves of dispatches: applied under their fence, or, when the lease was lost, kept for what they are worth.

A chat that exists is never dropped. When it comes late it is adopted if the dispatch can still take it, else noted as
a duplicate; while another replica is just sending, it waits in the row of its attempt, and what that replica records
then meets it there.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from relay.ledger.engine.sql import Found, padded, run
from relay.ledger.queries import orphans
from relay.ledger.queries.outbox import Fresh
from relay.ledger.queries.plan import Plan
from relay.ledger.queries.rows import about_of, dispatch_of
from relay.ledger.queries.work import news
from relay.ledger.schema import attempts, dispatches, work
from relay.ledger.terms import Terms
from relay.model import LEGAL, Chat, Failure, Move, ParkReason, Recorded, State, tell

Turn = list[tuple[int, Move]]
Rows = Mapping[str, Found]

_UNSENT: Final = frozenset({State.READY, State.WAITING, State.CHECKING, State.PARKED})
"""Where a dispatch that has no chat can still take one that comes late."""

_WORK: Final = (
    select(work)
    .where(work.c.dispatch_id.in_(bindparam("ids", expanding=True)))
    .order_by(work.c.dispatch_id)
    .with_for_update()
)
_PRESENT: Final = (
    select(dispatches.c.id, dispatches.c.run, dispatches.c.state, dispatches.c.chat_uuid, dispatches.c.duplicates)
    .add_columns(dispatches.c.attempts)
    .where(dispatches.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(dispatches.c.id)
    .with_for_update()
)
_KEPT: Final = select(attempts.c.dispatch_id, attempts.c.chat_uuid, attempts.c.ended_at).where(
    attempts.c.dispatch_id.in_(bindparam("ids", expanding=True)), attempts.c.chat_uuid.is_not(None)
)


def record(
    conn: Connection, now: int, moves: Sequence[Move], *, terms: Terms, fresh: Fresh | None = None
) -> list[Recorded]:
    """Apply moves in their order; `fresh` learns what is to be told. Raises ValueError for one that no state allows."""
    for move in moves:
        _check(move)
    answers: dict[int, Recorded] = {}
    for turn in _turns(moves):
        plan = Plan(now)
        answers |= _record(conn, plan, turn)
        plan.write(conn, terms)
        if fresh is not None and terms.publish:
            fresh.keep(plan.results)
    return [answers[index] for index in range(len(moves))]


def _check(move: Move) -> None:
    if move.to not in LEGAL[move.was] or move.to in {State.CREATED, State.SENDING}:
        raise ValueError(f"dispatch {move.dispatch_id}: no move leads from {move.was} to {move.to}")


def _turns(moves: Sequence[Move]) -> Iterator[Turn]:
    """Groups in which no dispatch comes twice, in key order."""
    left = list(enumerate(moves))
    while left:
        first: dict[str, tuple[int, Move]] = {}
        later: Turn = []
        for index, move in left:
            if move.dispatch_id in first:
                later.append((index, move))
            else:
                first[move.dispatch_id] = (index, move)
        yield [first[dispatch_id] for dispatch_id in sorted(first)]
        left = later


def _record(conn: Connection, plan: Plan, turn: Turn) -> dict[int, Recorded]:
    rows = _read(conn, _WORK, [move.dispatch_id for _, move in turn], "dispatch_id")
    fits = [(index, move) for index, move in turn if _fits(rows.get(move.dispatch_id), move)]
    late = [(index, move) for index, move in turn if not _fits(rows.get(move.dispatch_id), move)]
    return _record_fitting(conn, plan, fits, rows) | _record_late(conn, plan, late, rows)


def _read(conn: Connection, statement: Any, ids: Sequence[str], key: str) -> dict[str, Found]:
    found = run(conn, statement, {"ids": padded(ids)}) if ids else ()
    return {row[key]: row for row in found}


def _fits(row: Found | None, move: Move) -> bool:
    return row is not None and (row["fence"], row["run"], row["state"]) == (move.fence, move.run, move.was)


def _record_fitting(conn: Connection, plan: Plan, turn: Turn, rows: Rows) -> dict[int, Recorded]:
    kept = _kept(conn, [move.dispatch_id for _, move in turn if _has_past(move, rows[move.dispatch_id])])
    changed = [move.dispatch_id for _, move in turn if _is_ending(move, rows[move.dispatch_id])]
    told = news(conn, sorted({*kept, *changed}))
    answers = {}
    for index, move in turn:
        row = rows[move.dispatch_id]
        chats = [chat for chat in kept[move.dispatch_id] if move.chat is None or chat.uuid != move.chat.uuid]
        answers[index] = Recorded.DUPLICATED if chats and move.chat else Recorded.APPLIED
        final = move
        about = told.get(move.dispatch_id)  # an orphan is told with what its worker knows
        if chats and move.chat is None and about:
            final = _with_chat(move, chats[0], about, row, plan.now)
            answers[index] = Recorded.ADOPTED
        elif about and _is_ending(move, row):
            final = _cancelled(move, about, row, plan.now)
        plan.keep_attempt(move)
        plan.apply(final, row, duplicates=_others(final, kept[move.dispatch_id]))
    return answers


def _has_past(move: Move, row: Found) -> bool:
    """Only after more than one attempt can an earlier one have left a chat."""
    return move.was in {State.SENDING, State.CHECKING} and (row["number"] > 1 or row["run"] > 1)


def _kept(conn: Connection, ids: Sequence[str]) -> defaultdict[str, list[Chat]]:
    """Chats that came late and wait in the rows of their attempts."""
    kept: defaultdict[str, list[Chat]] = defaultdict(list)
    for row in conn.execute(_KEPT, {"ids": padded(ids)}) if ids else ():
        kept[row.dispatch_id].append(Chat(row.chat_uuid, created_at=row.ended_at))
    return kept


def _others(move: Move, kept: Sequence[Chat]) -> list[str] | None:
    """The chats beside the one that it has now, which may have been one of them until now; None when none is kept."""
    uuids = dict.fromkeys(chat.uuid for chat in kept)
    return [uuid for uuid in uuids if move.chat is None or uuid != move.chat.uuid] if kept else None


def _is_ending(move: Move, row: Found) -> bool:
    """A cancel was asked for meanwhile, and there surely is no chat."""
    unsent = move.to in {State.WAITING, State.READY} or move.park is ParkReason.GAVE_UP
    return bool(row["cancelling"]) and unsent


def _with_chat(move: Move, chat: Chat, told: Found, row: Mapping[Any, Any], now: int) -> Move:
    """The move to take for a chat that it did not bring itself, or not in the run that the dispatch is in now."""
    dispatch, found = dispatch_of(told), move.reconciled
    result = tell.created(about_of(told), dispatch, chat, attempts=row["attempts"], reconciled=found, now=now)
    to = State.DONE if dispatch.message is None else State.MESSAGING
    return replace(move, to=to, chat=chat, failure=None, park=None, due_in=0, uncounted=False, results=(result,))


def _cancelled(move: Move, told: Found, row: Found, now: int) -> Move:
    failure = Failure("cancelled", "cancelled by a person")
    result = tell.failed(about_of(told), dispatch_of(told), failure, attempts=row["attempts"], now=now)
    return replace(move, to=State.CANCELLED, failure=failure, park=None, due_in=None, results=(result,))


def _record_late(conn: Connection, plan: Plan, turn: Turn, rows: Rows) -> dict[int, Recorded]:
    made = [move.dispatch_id for _, move in turn if move.chat]
    present, told = _read(conn, _PRESENT, made, "id"), news(conn, made)
    answers = {}
    for index, move in turn:
        plan.keep_attempt(move)
        found = present.get(move.dispatch_id)
        if move.chat is None:
            answers[index] = Recorded.LATE
        elif found is None or move.dispatch_id not in told:
            orphans.tell_chat(move)
            answers[index] = Recorded.LATE
        else:
            answers[index] = _take_late(plan, move, move.chat, found, told[found["id"]], rows.get(found["id"]))
    return answers


def _take_late(plan: Plan, move: Move, chat: Chat, found: Found, told: Found, row: Found | None) -> Recorded:
    """A chat of an attempt whose lease was lost, perhaps of an earlier run: it is told as one of the present run."""
    others = json.loads(found["duplicates"] or "[]")
    if chat.uuid == found["chat_uuid"] or chat.uuid in others:
        return Recorded.LATE
    state = found["state"] if row is None else row["state"]
    if found["chat_uuid"] is None and state in _UNSENT:
        base = _revived(found, plan.now) if row is None else row
        plan.apply(_with_chat(move, chat, told, base, plan.now), base, revive=row is None)
        return Recorded.ADOPTED
    if found["chat_uuid"] is None and state == State.SENDING:
        return Recorded.LATE
    plan.add_duplicates(move.dispatch_id, [*others, chat.uuid])
    return Recorded.DUPLICATED


def _revived(found: Found, now: int) -> Mapping[Any, Any]:
    """A row of work for a parked dispatch, its fence above any it had."""
    return {
        "dispatch_id": found["id"],
        "run": found["run"],
        "fence": now,
        "number": 0,
        "attempts": found["attempts"],
        "first_attempt_at": None,
        "paused_before": 0,
        "last_ended_at": None,
        "looks": 0,
        "cancelling": False,
    }
