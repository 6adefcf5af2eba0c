"""What rules have used of their budgets: read and written by the part that asks Cargo for credits."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from relay.ledger.engine.sql import run
from relay.ledger.engine.writes import Writes
from relay.ledger.queries import watch
from relay.ledger.queries.admission import Book, budget, places
from relay.ledger.schema import dispatches
from relay.ledger.terms import Terms
from relay.model import Ids, ProblemKey, ProblemKind, Sighting, Sightings, Spending

_LOOK_BACK: Final = 31 * 86_400_000
"""Milliseconds for which a dispatch may have waited before its chat was made. Ids begin with the time they are made."""

_CHATS: Final = select(dispatches.c.chat_uuid, dispatches.c.trigger_type).where(
    dispatches.c.id >= bindparam("first"),
    dispatches.c.rule == bindparam("of_rule"),
    dispatches.c.chat_uuid.is_not(None),
    dispatches.c.updated_at >= bindparam("since"),
)


def measure(
    conn: Connection,
    now: int,
    *,
    rule: str,
    plan: Mapping[str, Any],
    credits_used: float | None,
    ids: Ids,
    terms: Terms,
) -> Spending:
    """What is used of a budget, with what Cargo says of its credits, if it was asked.

    A level that is reached is noted only once, so its problem is opened and told by the same commit: a replica that
    dies after it owes nothing.
    """
    [place] = places(rule, {"budget": plan})
    book = Book.load(conn, [place])
    known = book.get(place)
    spending, value = budget.measure(plan, known, credits_used, now)
    if value != (known or {}):
        book.put(rule, {place: (value, budget.expiry(plan, now))})
        with Writes(conn) as writes:
            book.write(writes)
    if spending.raised is not None:
        key = ProblemKey(ProblemKind.BUDGET, rule=rule, code=spending.raised)
        seen = Sightings((Sighting(key, lasts=spending.until - now),))
        watch.turn(conn, now, sightings=seen, watched=None, ids=ids, terms=terms)
    return spending


def chats_since(conn: Connection, _now: int, *, rule: str, since: int) -> Mapping[str, str]:
    """The chats that a rule has made since then: their uuids and the types of their triggers."""
    stamp = f"{max(0, since - _LOOK_BACK):012x}"
    values = {"first": f"{stamp[:8]}-{stamp[8:]}", "of_rule": rule, "since": since}
    return {row["chat_uuid"]: row["trigger_type"] for row in run(conn, _CHATS, values)}
