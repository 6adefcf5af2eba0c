"""What a claim may not start now, although it is due: it is held again, in the same commit."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, update

from relay.ledger.engine.sql import Found, Row, write_many
from relay.ledger.queries.keys import schedule
from relay.ledger.queries.rows import plan_of
from relay.ledger.schema import work
from relay.model import HeldBy, State

UNBEGUN: Final[Mapping[str, Any]] = {
    "state": State.HELD.value,
    "lease_until": None,
    "owner": None,
    "number": work.c.number - 1,
    "attempts": work.c.attempts - 1,
    "first_attempt_at": None,
    "paused_before": 0,
    "started_at": None,
}
"""The columns of a row that is held again, as if its first call had not been claimed."""
_HOLD: Final = (
    update(work)
    .where(work.c.dispatch_id == bindparam("of"))
    .values(
        {
            **UNBEGUN,
            "held_by": bindparam("by"),
            "due_at": bindparam("until"),
            # The time for which it is closed does not count for `expires`.
            "expires_at": work.c.expires_at + bindparam("shift"),
        }
    )
)


def hold_again(conn: Connection, now: int, claimed: Sequence[Found], news_rows: Mapping[str, Found]) -> list[Found]:
    """Of rows of `work` that were claimed, those that may start. The others are held until their schedule opens.

    Only a first attempt is held: what has begun goes on, and what a person retries goes when they say so.
    """
    begun, held = [], list[Row]()
    for row in claimed:
        until = _opens_at(now, row, news_rows[row["dispatch_id"]])
        if until > now:
            held.append({"of": row["dispatch_id"], "by": HeldBy.SCHEDULE.value, "until": until, "shift": until - now})
        else:
            begun.append(row)
    write_many(conn, _HOLD, held)
    return begun


def is_first(row: Found) -> bool:
    """Whether it is the first call of the run: those that were given back, or held again, were none.

    The first message in a chat that the dispatch has made is a further call.
    """
    return bool(row["attempts"] == 1 and (row["follows"] or row["state"] == State.SENDING.value))


def renews_chat(row: Found) -> bool:
    """Whether it is the first call to make a chat in place of that of its thread, which it found gone."""
    return bool(row["state"] == State.SENDING.value and row["number"] == 1 and row["attempts"] > 1)


def _opens_at(now: int, row: Found, news_row: Found) -> int:
    if news_row["plan"] is None or row["run"] > 1 or not is_first(row):
        return now
    plan = plan_of(news_row).get("schedule")
    return now if plan is None else schedule.opens_at(plan, now)
