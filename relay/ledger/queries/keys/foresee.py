"""What the keys would make of an event that came now: the steps of the accept, of which nothing is locked or kept."""

from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from relay.ledger.engine.sql import padded, run
from relay.ledger.queries.keys import STEPS, decide_alone, places_of, windows_of
from relay.ledger.queries.keys.memory import Memory
from relay.ledger.queries.keys.window import OpenWindows
from relay.ledger.schema import dispatches
from relay.ledger.terms import Terms
from relay.model import Dispatch, Entry, HeldBy, Standing

_MADE: Final = select(dispatches.c.id, dispatches.c.created_at).where(
    dispatches.c.id.in_(bindparam("ids", expanding=True))
)


def foresee(conn: Connection, now: int, *, entry: Entry, terms: Terms) -> list[Standing]:
    """How each dispatch of an entry would stand. The entry is not stored."""
    places = {place for dispatch in entry.dispatches for place in places_of(dispatch, STEPS)}
    memory = Memory.read(conn, now, sorted(places))
    windows = OpenWindows.load(conn, now, sorted(windows_of([entry])))
    found = [_stand(dispatch, memory, windows, now, terms) for dispatch in entry.dispatches]
    causes = sorted({each["cause"] for each in found if each["cause"] is not None})
    made = {row["id"]: row["created_at"] for row in (run(conn, _MADE, {"ids": padded(causes)}) if causes else ())}
    return [Standing(**each, since=made.get(each["cause"])) for each in found]


def _stand(dispatch: Dispatch, memory: Memory, windows: OpenWindows, now: int, terms: Terms) -> dict[str, Any]:
    turn = _turn(dispatch, memory)  # before the steps, which put the dispatch there
    ruling = decide_alone(dispatch, memory, windows, now, terms)
    if ruling.skip is not None:
        return {"rule": dispatch.rule, "dispatch": None, "skip": ruling.skip, "cause": None}
    held_by = ruling.at.by
    cause = turn if held_by in {HeldBy.ORDER, HeldBy.THREAD} else ruling.dispatch.cause
    return {"rule": dispatch.rule, "dispatch": ruling.dispatch, "skip": None, "cause": cause}


def _turn(dispatch: Dispatch, memory: Memory) -> str | None:
    """The dispatch whose turn it is in the queue of this one."""
    queues = [name for name in ("thread", "order") if name in (dispatch.plan or {})]
    known = [memory.get(place) for name in queues for place in places_of(dispatch, {name: STEPS[name]})]
    return next((each.dispatch_id for each in known if each is not None), None)
