"""What a turn of the watch over problems sees in the ledger itself, whichever replica's trouble it was.

What another replica may see and this one cannot is not ended by it: so no problem opens and closes by turns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select

from relay.ledger.engine.sql import Found, constant, is_alone
from relay.ledger.queries import browse, counters
from relay.ledger.queries.draft import ProblemDraft
from relay.ledger.queries.problems import hash_of
from relay.ledger.schema import dispatches, results, work
from relay.ledger.schema import outbox as outbox_rows
from relay.model import ParkReason, ProblemKey, ProblemKind, Sighting, State, Watched, frozen
from relay.rules import missing_path
from relay.telemetry import DETAIL

SOON: Final = 3_000
"""Milliseconds within which a replica that lives tells of what went wrong: it does every second."""
SETTLED: Final = 10_000
"""Milliseconds within which a replica settles what an exchange did not take."""
_FIRST_DUE: Final = select(func.min(work.c.due_at)).where(work.c.due_at <= bindparam("now"))
_IS_PARKED: Final = (
    dispatches.c.state == constant(State.PARKED.value),
    dispatches.c.state != constant(State.DONE.value),  # the condition of the partial index
)
CALM: Final = 120_000
"""Milliseconds without a pause after which sending goes on, also if there is nothing to send."""
_GROUP: Final = (
    func.count().label("many"),
    func.min(dispatches.c.updated_at).label("first"),
    func.max(dispatches.c.updated_at).label("last"),
    func.max(dispatches.c.id).label("dispatch_id"),
    func.max(dispatches.c.event_id).label("event_id"),
)
_PARKED: Final = (
    select(dispatches.c.rule, dispatches.c.park, *_GROUP)
    .where(*_IS_PARKED, dispatches.c.park != ParkReason.LOOP.value)  # a loop is a problem of its own kind
    .group_by(dispatches.c.rule, dispatches.c.park)
)
_RENDER: Final = "render"
_STARTING: Final = 10_000
_LATELY: Final = 20_000
_DAY: Final = 86_400_000
_FAILED: Final = (
    select(dispatches.c.rule, dispatches.c.failure_code, dispatches.c.failure_message, *_GROUP)
    .where(
        dispatches.c.state == constant(State.FAILED.value),
        dispatches.c.state != constant(State.DONE.value),  # the condition of the partial index
        dispatches.c.updated_at > bindparam("since"),
        dispatches.c.updated_at <= bindparam("until"),
    )
    .group_by(dispatches.c.rule, dispatches.c.failure_code, dispatches.c.failure_message)
    .limit(1_000)
)
_TRIED: Final = (
    select(outbox_rows.c.result_id)
    .where(outbox_rows.c.destination == "", outbox_rows.c.tries > 0)
    .limit(bindparam("most"))
    .subquery()
)
_TRIED_AT: Final = select(results.c.id).join(_TRIED, _TRIED.c.result_id == results.c.id).limit(1)
_ALL_TRIED: Final = select(func.count()).select_from(_TRIED)
_MANY: Final = 10_000
"""Results that are looked through for one of an exchange. Where more wait, it is taken to have one."""


@frozen
class Untold:
    """Dispatches that are parked or have failed, grouped as problems are, as they were `at` that time."""

    at: int
    parked: Sequence[Found]
    failed: Sequence[Found]


def find_untold(conn: Connection, now: int, *, running: int) -> Untold:
    """What no replica may have told of. It reads all that is parked, so it is no part of a transaction that writes.

    Of failures it reads the latest ones, at the start those of a day. On SQLite no other process writes, so that there
    are none to look for later.
    """
    starting = running < _STARTING
    window = {"since": now - (_DAY if starting else _LATELY), "until": now - SOON}
    failed = () if is_alone(conn) and not starting else conn.execute(_FAILED, window).mappings().all()
    return Untold(now, conn.execute(_PARKED).mappings().all(), failed)


def look(draft: ProblemDraft, watched: Watched, untold: Untold | None) -> None:
    """Look for what the ledger shows by itself, and for what is over."""
    _look_at_pauses(draft)
    _look_at_backlog(draft, watched.backlog)
    _look_at_silence(draft, watched)
    if untold is not None:
        _look_at_parked(draft, untold)
        _look_at_failed(draft, untold)
        _look_at_results(draft)
    draft.end_what_is_over(watched)


def _look_at_pauses(draft: ProblemDraft) -> None:
    """A pause that ends is a trial: what was open goes on over it, until a chat was made or none is paused for long.

    An open circuit is closed for one dispatch at a time, and a replica with a new token ends the pause of another one
    that has the old one still. Else an outage of an hour were told as many.
    """
    pauses = counters.current(draft.conn, draft.now)
    for reason, since in pauses.items():
        draft.last(ProblemKey(ProblemKind.CARGO, code=reason), since)
    has_sent = draft.has_made and not pauses
    draft.end(
        ProblemKind.CARGO,
        lambda row: row["code"] in pauses or not (has_sent or row["last_at"] <= draft.now - CALM),
    )


def _look_at_backlog(draft: ProblemDraft, most: int | None) -> None:
    """While nothing is sent, nothing waits for its turn: a backlog then neither begins nor ends.

    It is over at once when nothing is due; else when no replica finds it too long, whose `alerts.backlog` may differ.
    """
    key = ProblemKey(ProblemKind.BACKLOG)
    if counters.read(draft.conn, "paused_since"):
        return draft.confirm(key)
    first = draft.conn.execute(_FIRST_DUE, {"now": draft.now}).scalar()
    if first is not None and most is not None and draft.now - first > most:
        return draft.last(key, first)
    return draft.end(ProblemKind.BACKLOG, lambda row: first is not None and draft.is_fresh(row))


def _look_at_silence(draft: ProblemDraft, watched: Watched) -> None:
    """A silence is over with an event, or when no replica expects one any more.

    Whether it has begun counts from the start of this relay at the earliest; one that has begun goes on over that, and
    while its source is paused.
    """
    silent = {row["source"] for row in draft.rows.values() if row["kind"] == ProblemKind.SILENCE}
    if not watched.expect and not silent:
        return
    last = browse.last_events(draft.conn, draft.now, sources=tuple({*watched.expect, *silent}))
    paused = browse.paused(draft.conn, draft.now)
    for source, most in watched.expect.items():
        key = ProblemKey(ProblemKind.SILENCE, source)
        since = max(last.get(source, 0), draft.now - watched.running)
        if draft.now - since > most and source not in paused:
            draft.last(key, since)
        elif draft.now - last.get(source, 0) > most:
            draft.confirm(key)
    draft.end(ProblemKind.SILENCE, lambda row: last.get(row["source"], 0) < row["last_at"] and draft.is_fresh(row))


def _look_at_parked(draft: ProblemDraft, untold: Untold) -> None:
    """End what is parked no more, and count what nobody told of: the replica that parked it may have died."""
    groups = {(group["rule"], group["park"]): group for group in untold.parked}
    # What was parked after the look is not among them.
    draft.end(ProblemKind.PARKED, lambda row: (row["rule"], row["code"]) in groups or row["last_at"] > untold.at)
    for (rule, reason), group in groups.items():
        _tell_for_the_dead(draft, ProblemKey(ProblemKind.PARKED, rule=rule, code=reason), group)


def _look_at_failed(draft: ProblemDraft, untold: Untold) -> None:
    """Count failures that nobody told of."""
    for group in untold.failed:
        key = ProblemKey(ProblemKind.FAILURES, rule=group["rule"], code=group["failure_code"])
        if group["failure_code"] == _RENDER:
            if group["failure_message"] is None:
                continue  # it was erased meanwhile, and with it what was missing
            detail = missing_path(group["failure_message"])
            key = replace(key, detail=detail and detail[:DETAIL])
        _tell_for_the_dead(draft, key, group)


def _tell_for_the_dead(draft: ProblemDraft, key: ProblemKey, group: Mapping[Any, Any]) -> None:
    """Count what no replica has told of within the time in which one that lives does."""
    if hash_of(key) in draft.rows or group["last"] > draft.now - SOON:
        return
    found = draft.latest(key)
    if found is None or (found["resolved_at"] or 0) < group["last"]:
        first, last = draft.now - group["first"], draft.now - group["last"]
        draft.see(Sighting(key, group["many"], first, last, None, group["event_id"], group["dispatch_id"]))


def _look_at_results(draft: ProblemDraft) -> None:
    """End what an exchange did not take when nothing that was tried waits for it any more.

    That one result was taken proves nothing: another one waits at another replica, or with another routing key. What
    was counted just now may wait for its settlement.
    """
    draft.end(
        ProblemKind.BROKER,
        lambda row: (
            row["until"] is not None or row["last_at"] > draft.now - SETTLED or _waits_for(draft, row["detail"])
        ),
    )


def _waits_for(draft: ProblemDraft, exchange: str | None) -> bool:
    most = {"most": _MANY}
    found = _TRIED_AT.where(results.c.exchange.is_(None) if exchange is None else results.c.exchange == exchange)
    if draft.conn.execute(found, most).first() is not None:
        return True
    return int(draft.conn.execute(_ALL_TRIED, most).scalar_one()) >= _MANY
