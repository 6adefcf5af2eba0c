"""What would become of an event that came now: the steps of the accept and of a claim. Nothing is locked or kept."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, bindparam, select

from relay.ledger.engine.sql import padded, run
from relay.ledger.queries import counters, rule_pauses
from relay.ledger.queries.admission import NOTHING_TO_SAY, Book, Moment, Stay, is_asked, is_silent, judge, places
from relay.ledger.queries.keys import STEPS, decide_alone, places_of, windows_in
from relay.ledger.queries.keys.memory import Memory
from relay.ledger.queries.keys.window import OpenWindows
from relay.ledger.schema import dispatches
from relay.ledger.terms import Terms
from relay.model import Dispatch, Entry, HeldBy, Hold, Standing, State

_MADE: Final = select(dispatches.c.id, dispatches.c.created_at).where(
    dispatches.c.id.in_(bindparam("ids", expanding=True))
)
_GOING: Final = frozenset({State.READY, State.MESSAGING})


def foresee(conn: Connection, now: int, *, entry: Entry, terms: Terms) -> list[Standing]:
    """How each dispatch of an entry would stand. The entry is not stored."""
    looked_at = [places_of(dispatch, STEPS) for dispatch in entry.dispatches]
    memory = Memory.read(conn, now, sorted({place for of in looked_at for place in of.values()}))
    windows = OpenWindows.load(conn, now, windows_in(looked_at))
    accepted = [_accept(dispatch, memory, windows, now, terms) for dispatch in entry.dispatches]
    return _dated(conn, _claim(conn, now, accepted, terms))


def _accept(dispatch: Dispatch, memory: Memory, windows: OpenWindows, now: int, terms: Terms) -> Standing:
    turn = _turn(dispatch, memory)  # before the steps, which put the dispatch there
    ruling = decide_alone(dispatch, memory, windows, now, terms)
    if ruling.skip is not None:
        return Standing(dispatch.rule, skip=ruling.skip)
    ruled = ruling.dispatch
    waits = ruled.hold is not None and ruled.hold.by in {HeldBy.ORDER, HeldBy.THREAD}
    return Standing(dispatch.rule, ruled, cause=turn if waits else ruled.cause)


def _turn(dispatch: Dispatch, memory: Memory) -> str | None:
    """The dispatch whose turn it is in the queue of this one."""
    queues = [name for name in ("thread", "order") if name in (dispatch.plan or {})]
    known = [memory.get(place) for name in queues for place in places_of(dispatch, {name: STEPS[name]}).values()]
    return next((each.dispatch_id for each in known if each is not None), None)


def _claim(conn: Connection, now: int, accepted: Sequence[Standing], terms: Terms) -> list[Standing]:
    """What a paused rule and the keys that decide at the claim make of those that would go now."""
    going = [each.dispatch for each in accepted if each.dispatch is not None and each.dispatch.state in _GOING]
    if not going:
        return list(accepted)
    paused = rule_pauses.current(conn, now)
    hashes = {place for each in going if each.plan is not None for place in places(each.rule, each.plan)}
    book = Book.read(conn, sorted(hashes))
    at = counters.latest_start(now, terms)
    claimed = {each.id: _judge(rule_pauses.hold_back(each, paused), book, now, at) for each in going}
    return [
        each if each.dispatch is None else replace(each, dispatch=claimed.get(each.dispatch.id, each.dispatch))
        for each in accepted
    ]


def _judge(dispatch: Dispatch, book: Book, now: int, at: int) -> Dispatch:
    if dispatch.state is State.MESSAGING and is_silent(dispatch):
        return _stayed(dispatch, NOTHING_TO_SAY)
    if dispatch.plan is None or dispatch.state not in _GOING or not is_asked(dispatch.plan):
        return dispatch
    moment = Moment(now, at, dispatch.run, is_fresh=True, follows=dispatch.state is State.MESSAGING)
    stay, _ = judge(book, dispatch.rule, dispatch.plan, moment)
    return dispatch if stay is None else _stayed(dispatch, stay)


def _stayed(dispatch: Dispatch, stay: Stay) -> Dispatch:
    if stay.to is not State.HELD:
        return replace(dispatch, state=stay.to, failure=stay.failure)
    by = HeldBy(stay.failure.code)
    return replace(dispatch, state=State.HELD, hold=replace(dispatch.hold or Hold(), by=by, until=stay.until))


def _dated(conn: Connection, found: Sequence[Standing]) -> list[Standing]:
    """With the times at which the dispatches that are named as causes were made."""
    causes = sorted({each.cause for each in found if each.cause is not None})
    made = {row["id"]: row["created_at"] for row in (run(conn, _MADE, {"ids": padded(causes)}) if causes else ())}
    return [each if each.cause is None else replace(each, since=made.get(each.cause)) for each in found]
