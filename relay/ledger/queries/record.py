"""Records moves of dispatches: applies those whose fence is current, keeps the outcome of those that lost their lease.

A chat that exists is never dropped. A chat that comes late is adopted if the dispatch can still take it, and is noted
as a duplicate otherwise. While another replica is sending the same dispatch, a late chat stays in the row of its
attempt; the move of that replica finds it there.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from relay.ledger.engine.sql import Found, Row, padded, run
from relay.ledger.queries import counters, orphans
from relay.ledger.queries.keys import queue
from relay.ledger.queries.outbox import Fresh
from relay.ledger.queries.plan import Plan
from relay.ledger.queries.rows import about_of, dispatch_of, plan_of
from relay.ledger.queries.work import news
from relay.ledger.schema import attempts, dispatches, work
from relay.ledger.terms import Terms
from relay.model import MOVES, Chat, Due, Failure, Move, ParkReason, Record, Recorded, State, frozen, tell
from relay.slots import Offer

Turn = list[tuple[int, Move]]
Rows = Mapping[str, Found]

_UNSENT: Final = frozenset({State.READY, State.HELD, State.WAITING, State.CHECKING, State.PARKED})
"""The states in which a dispatch without a chat can still adopt a late one."""

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


@frozen
class Recording:
    """A move, the places that the publisher offers for its results, and the call slot for the message that follows.

    `next_call` takes the fence of the next claim.
    """

    move: Move
    publishing: Offer[Due] | None = None
    next_call: Offer[int] | None = None


@frozen
class RecordAnswer:
    """What was done with a move, and what was committed under this replica's lease for the offers of its recording."""

    record: Record
    deliveries: Sequence[Due] = ()
    fences: Sequence[int] = ()


def record(
    conn: Connection, now: int, recordings: Sequence[Recording], *, terms: Terms, fresh: Fresh | None = None
) -> list[RecordAnswer]:
    """Apply moves in order. `fresh` caches their results. Raises ValueError for a move that the states do not allow."""
    moves = [recording.move for recording in recordings]
    for move in moves:
        _check(move)
    going_on = {index for index, recording in enumerate(recordings) if _goes_on(recording)}
    paused = counters.paused_or_none(conn) if going_on and terms.spacing is None else None
    answers: dict[int, RecordAnswer] = {}
    for turn in _turns(moves):
        plan = Plan(now)
        next_claims = (
            {}
            if paused is None
            else {
                moves[index].dispatch_id: _next_claim(moves[index], now, paused, terms)
                for index, _ in turn
                if index in going_on
            }
        )
        recorded = _record(conn, plan, turn, next_claims)
        offers = {
            move.dispatch_id: publishing.count
            for index, move in turn
            if (publishing := recordings[index].publishing) is not None
        }
        leased = plan.write(conn, terms, offers)
        for index, move in turn:
            fences = [plan.claimed[move.dispatch_id]] if move.dispatch_id in plan.claimed else ()
            answers[index] = RecordAnswer(recorded[index], leased.get(move.dispatch_id, ()), fences)
        if fresh is not None and terms.publish:
            fresh.keep([result for result in plan.results if result.dispatch_id not in leased])
    return [answers[index] for index in range(len(moves))]


def _goes_on(recording: Recording) -> bool:
    """Whether the worker offers to send the first message as soon as the move is committed."""
    move = recording.move
    return recording.next_call is not None and move.was is State.SENDING and move.to is State.MESSAGING


def _next_claim(move: Move, now: int, paused: int, terms: Terms) -> Row:
    """The columns of the claim that follows a move to `messaging`, as `claim` would set them."""
    return {
        "due_at": None,
        "lease_until": now + terms.lease,
        "owner": terms.owner,
        "fence": move.fence + 1,
        "number": 1,
        "first_attempt_at": now,
        "paused_before": paused,
        "started_at": now,
    }


def _check(move: Move) -> None:
    if move.to not in MOVES.get(move.was, ()):
        raise ValueError(f"dispatch {move.dispatch_id}: no move leads from {move.was} to {move.to}")


def _turns(moves: Sequence[Move]) -> Iterator[Turn]:
    """Split moves into groups that contain no dispatch twice, each in key order, which is the order of locks.

    Moves of the same dispatch keep their order: the second one needs the state that the first one writes.
    """
    remaining = list(enumerate(moves))
    while remaining:
        first: dict[str, tuple[int, Move]] = {}
        later: Turn = []
        for index, move in remaining:
            if move.dispatch_id in first:
                later.append((index, move))
            else:
                first[move.dispatch_id] = (index, move)
        yield [first[dispatch_id] for dispatch_id in sorted(first)]
        remaining = later


def _record(conn: Connection, plan: Plan, turn: Turn, next_claims: Mapping[str, Row]) -> dict[int, Record]:
    rows = _read(conn, _WORK, [move.dispatch_id for _, move in turn], "dispatch_id")
    fits = [(index, move) for index, move in turn if _fits(rows.get(move.dispatch_id), move)]
    late = [(index, move) for index, move in turn if not _fits(rows.get(move.dispatch_id), move)]
    return _record_fitting(conn, plan, fits, rows, next_claims) | _record_late(conn, plan, late, rows)


def _read(conn: Connection, statement: Any, ids: Sequence[str], key: str) -> dict[str, Found]:
    rows = run(conn, statement, {"ids": padded(ids)}) if ids else ()
    return {row[key]: row for row in rows}


def _fits(row: Found | None, move: Move) -> bool:
    return row is not None and (row["fence"], row["run"], row["state"]) == (move.fence, move.run, move.was)


def _record_fitting(
    conn: Connection, plan: Plan, turn: Turn, rows: Rows, next_claims: Mapping[str, Row]
) -> dict[int, Record]:
    kept = _kept(conn, [move.dispatch_id for _, move in turn if _has_past(move, rows[move.dispatch_id])])
    changed = [move.dispatch_id for _, move in turn if _is_ending(move, rows[move.dispatch_id])]
    news_rows = news(conn, sorted({*kept, *changed}))
    answers = {}
    for index, move in turn:
        row = rows[move.dispatch_id]
        chats = [chat for chat in kept[move.dispatch_id] if move.chat is None or chat.uuid != move.chat.uuid]
        how = Recorded.DUPLICATED if chats and move.chat else Recorded.APPLIED
        final = move
        news_row = news_rows.get(move.dispatch_id)  # None for an orphan, whose move is applied as it came
        if chats and move.chat is None and news_row:
            final = _with_chat(move, chats[0], news_row, row, plan.now)
            how = Recorded.ADOPTED
        elif news_row and _is_ending(move, row):
            final = _cancelled(move, news_row, row, plan.now)
        if row["started_at"] is not None:
            plan.end_attempt(move, row["started_at"])
        else:
            plan.update_attempt(move)
        next_claim = next_claims.get(move.dispatch_id) if final is move else None
        plan.apply(final, row, duplicates=_others(final, kept[move.dispatch_id]), next_claim=next_claim)
        answers[index] = Record(how, final)
    return answers


def _has_past(move: Move, row: Found) -> bool:
    """Whether there was more than one attempt, so that an earlier one may have left a chat."""
    return move.was in {State.SENDING, State.CHECKING} and (row["number"] > 1 or row["run"] > 1)


def _kept(conn: Connection, ids: Sequence[str]) -> defaultdict[str, list[Chat]]:
    """Late chats in the rows of their attempts, by dispatch id."""
    kept: defaultdict[str, list[Chat]] = defaultdict(list)
    for row in run(conn, _KEPT, {"ids": padded(ids)}) if ids else ():
        kept[row["dispatch_id"]].append(Chat(row["chat_uuid"], created_at=row["ended_at"]))
    return kept


def _others(move: Move, kept: Sequence[Chat]) -> list[str] | None:
    """The duplicates after the move: the kept chats without the dispatch's own. None when no chat is kept."""
    uuids = dict.fromkeys(chat.uuid for chat in kept)
    return [uuid for uuid in uuids if move.chat is None or uuid != move.chat.uuid] if kept else None


def _is_ending(move: Move, row: Found) -> bool:
    """Whether the dispatch was marked to be cancelled meanwhile and certainly has no chat."""
    unsent = move.to in {State.WAITING, State.READY} or move.park is ParkReason.GAVE_UP
    return bool(row["cancelling"]) and unsent


def _with_chat(move: Move, chat: Chat, news_row: Found, row: Mapping[Any, Any], now: int) -> Move:
    """The move that adopts a chat which another attempt made, or an earlier run of the dispatch."""
    dispatch, about = dispatch_of(news_row), about_of(news_row)
    result = tell.created(about, dispatch, chat, attempts=row["attempts"], reconciled=move.reconciled, now=now)
    to = State.DONE if dispatch.message is None else State.MESSAGING
    return replace(move, to=to, chat=chat, failure=None, park=None, due_in=0, uncounted=False, results=(result,))


def _cancelled(move: Move, news_row: Found, row: Found, now: int) -> Move:
    failure = Failure("cancelled", "cancelled by a person")
    result = tell.failed(about_of(news_row), dispatch_of(news_row), failure, attempts=row["attempts"], now=now)
    return replace(move, to=State.CANCELLED, failure=failure, park=None, due_in=None, results=(result,))


def _record_late(conn: Connection, plan: Plan, turn: Turn, rows: Rows) -> dict[int, Record]:
    with_chat = [move.dispatch_id for _, move in turn if move.chat]
    # The dispatches are locked before their news are read, so that `prune` cannot delete them in between.
    present, news_rows = _read(conn, _PRESENT, with_chat, "id"), news(conn, with_chat)
    answers = {}
    for index, move in turn:
        plan.update_attempt(move)
        dispatch_row = present.get(move.dispatch_id)
        news_row = news_rows.get(move.dispatch_id)
        if move.chat is None:
            answers[index] = Record(Recorded.LATE, move)
        elif dispatch_row is None or news_row is None:
            orphans.tell_chat(move)
            answers[index] = Record(Recorded.LATE, move)
        else:
            answers[index] = _take_late(plan, move, move.chat, dispatch_row, news_row, rows.get(move.dispatch_id))
    return answers


def _take_late(plan: Plan, move: Move, chat: Chat, dispatch_row: Found, news_row: Found, row: Found | None) -> Record:
    """Take a chat of an attempt whose lease was lost. The attempt may belong to an earlier run than the present one.

    `row` is the row of `work`, None when the dispatch is not live. A chat that is adopted is published as a result of
    the present run.
    """
    others = json.loads(dispatch_row["duplicates"] or "[]")
    if chat.uuid == dispatch_row["chat_uuid"] or chat.uuid in others:
        return Record(Recorded.LATE, move)
    state = dispatch_row["state"] if row is None else row["state"]
    if dispatch_row["chat_uuid"] is None and state in _UNSENT:
        base = _revived(dispatch_row, news_row, plan.now) if row is None else row
        final = _with_chat(move, chat, news_row, base, plan.now)
        plan.apply(final, base, revive=row is None)
        return Record(Recorded.ADOPTED, final)
    # Another replica is sending: its call may make a chat too, so its move decides which chat is the duplicate.
    if dispatch_row["chat_uuid"] is None and state == State.SENDING:
        return Record(Recorded.LATE, move)
    plan.add_duplicates(move.dispatch_id, [*others, chat.uuid])
    return Record(Recorded.DUPLICATED, move)


def _revived(dispatch_row: Found, news_row: Found, now: int) -> Mapping[Any, Any]:
    """A row of `work` for a parked dispatch. Its fence, the time in milliseconds, is above any former one."""
    return {
        "dispatch_id": dispatch_row["id"],
        "source": news_row["source"],
        "run": dispatch_row["run"],
        "fence": now,
        "number": 0,
        "attempts": dispatch_row["attempts"],
        "first_attempt_at": None,
        "paused_before": 0,
        "started_at": None,
        "last_ended_at": None,
        "looks": 0,
        "cancelling": False,
        "queue": queue.of(news_row["rule"], plan_of(news_row)),
        "follows": False,
        "expires_at": None,
    }
