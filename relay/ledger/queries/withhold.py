"""Lets claimed dispatches go to Cargo, or parks, ends or holds them, as the keys of their rules say at the claim."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, update

from relay.ledger.engine.sql import Found, write_many
from relay.ledger.engine.writes import Writes
from relay.ledger.queries import counters, record, watch, work
from relay.ledger.queries.admission import (
    NOTHING_TO_SAY,
    Book,
    Moment,
    Plan,
    Stay,
    is_asked,
    is_silent,
    judge,
    places,
)
from relay.ledger.queries.admit import is_first, renews_chat
from relay.ledger.queries.expire import TOO_LATE
from relay.ledger.queries.rows import about_of, dispatch_of, plan_of
from relay.ledger.schema import work as work_rows
from relay.ledger.terms import Terms
from relay.model import (
    Move,
    ParkReason,
    ProblemKey,
    ProblemKind,
    Result,
    Sighting,
    Sightings,
    State,
    Withheld,
    new_id,
    tell,
)
from relay.telemetry import DETAIL

_HOLD: Final = (
    update(work_rows)
    .where(work_rows.c.dispatch_id == bindparam("of"))
    .values(state=State.HELD.value, held_by=bindparam("by"), due_at=bindparam("until"))
)
_LATE: Final = Stay(State.EXPIRED, TOO_LATE)


def withhold(
    conn: Connection, now: int, claimed: Sequence[Found], news: Mapping[str, Found], terms: Terms
) -> tuple[Sequence[Found], Sequence[Withheld]]:
    """The claimed rows of `work` that go, and what became of the others.

    Only the first call of a run is judged; further calls of it always go (a chat in place of one that is gone counts).
    Keys are locked in the order of their hashes, after the rows of `work`, which no one waits for who holds a key.
    """
    stays = {row["dispatch_id"]: NOTHING_TO_SAY for row in claimed if _says_nothing(row, news[row["dispatch_id"]])}
    stays |= {row["dispatch_id"]: _LATE for row in claimed if _is_late(row, now)}
    plans = {
        row["dispatch_id"]: plan
        for row in claimed
        if row["dispatch_id"] not in stays and (plan := _plan(row, news[row["dispatch_id"]])) is not None
    }
    if not plans and not stays:
        return claimed, ()
    rules = {dispatch_id: news[dispatch_id]["rule"] for dispatch_id in plans}
    book = Book.load(conn, sorted({place for each, plan in plans.items() for place in places(rules[each], plan)}))
    for row in sorted(claimed, key=lambda row: (-row["priority"], row["dispatch_id"])):
        if (plan := plans.get(row["dispatch_id"])) is None:
            continue
        at = counters.latest_start(now, terms)
        is_fresh, follows = row["number"] == 1, bool(row["follows"])
        moment = Moment(now, at, row["run"], is_fresh=is_fresh, follows=follows, renews=renews_chat(row))
        rule = rules[row["dispatch_id"]]
        stay, changes = judge(book, rule, plan, moment)
        book.put(rule, changes)
        if stay is not None:
            stays[row["dispatch_id"]] = stay
    with Writes(conn) as writes:
        book.write(writes)
    withheld = [row for row in claimed if row["dispatch_id"] in stays]
    if not withheld:
        return claimed, ()
    return [row for row in claimed if row["dispatch_id"] not in stays], _move_on(
        conn, now, withheld, stays, news, terms
    )


def _is_late(row: Found, now: int) -> bool:
    """Whether it has waited too long. Once a first call has begun it is not asked any more."""
    is_over = row["expires_at"] is not None and row["expires_at"] <= now
    return is_over and row["first_attempt_at"] == now and is_first(row)


def _says_nothing(row: Found, news_row: Found) -> bool:
    """Whether it is to go on in the chat of its thread without a word. What cannot be decrypted is not blank."""
    return bool(row["follows"]) and is_first(row) and not news_row.get("locked") and is_silent(dispatch_of(news_row))


def _plan(row: Found, news_row: Found) -> Plan | None:
    """What decides about the call that is claimed; None where nothing does."""
    if news_row["plan"] is None or not (is_first(row) or renews_chat(row)):
        return None
    plan = plan_of(news_row)
    if renews_chat(row):  # it has begun: only the budget looks at it, which counts chats
        plan = {name: plan[name] for name in ("budget",) if name in plan}
    return plan if is_asked(plan) else None


def _move_on(
    conn: Connection,
    now: int,
    rows: Sequence[Found],
    stays: Mapping[str, Stay],
    news: Mapping[str, Found],
    terms: Terms,
) -> list[Withheld]:
    """Take the claims back, and move the dispatches on. `rows` are in the order of their ids."""
    work.put_back(conn, now, [row["dispatch_id"] for row in rows])
    held = [
        {"of": row["dispatch_id"], "by": stay.failure.code, "until": stay.until}
        for row in rows
        if (stay := stays[row["dispatch_id"]]).to is State.HELD
    ]
    write_many(conn, _HOLD, held)
    moves = [_move(row, stays[row["dispatch_id"]], news[row["dispatch_id"]], now) for row in rows]
    ending = [record.Recording(move) for move in moves if move.to is not State.HELD]
    record.record(conn, now, ending, terms=terms)
    found = [_told(move, stays[move.dispatch_id], news[move.dispatch_id]) for move in moves]
    if loops := tuple(_sighting(each) for each in found if each.counted):
        watch.turn(conn, now, sightings=Sightings(loops), watched=None, ids=new_id, terms=terms)
    return found


def _told(move: Move, stay: Stay, news_row: Found) -> Withheld:
    dispatch = dispatch_of(news_row)
    if stay.park is not ParkReason.LOOP:
        return Withheld(dispatch, move.to, stay.failure, stay.until)
    loop = plan_of(news_row)["loop"]
    return Withheld(dispatch, move.to, stay.failure, stay.until, loop["key"], loop["trips"][1], counted=stay.begins)


def _sighting(withheld: Withheld) -> Sighting:
    """The first one that a loop's key parks: its replica may die before it tells, and nobody else knows the key."""
    dispatch = withheld.dispatch
    key = ProblemKey(ProblemKind.LOOP, rule=dispatch.rule, detail=(withheld.key or "")[:DETAIL])
    return Sighting(key, lasts=withheld.quiet, event_id=dispatch.event_id, dispatch_id=dispatch.id)


def _move(row: Found, stay: Stay, news_row: Found, now: int) -> Move:
    return Move(
        row["dispatch_id"],
        row["run"],
        State.MESSAGING if row["follows"] else State.READY,
        stay.to,
        row["fence"],
        failure=stay.failure,
        park=stay.park,
        results=_results(stay, news_row, now),
    )


def _results(stay: Stay, news_row: Found, now: int) -> tuple[Result, ...]:
    about, dispatch = about_of(news_row), dispatch_of(news_row)
    if stay.park is not None:
        return (tell.parked(about, dispatch, stay.park, stay.failure, attempts=0, now=now),)
    if stay.to is State.HELD:
        return ()
    return (tell.failed(about, dispatch, stay.failure, attempts=0, now=now),)
