"""Logs and deletes rows whose parent row is missing, wherever one is found, so that none makes a whole turn fail.

Relay's operations leave no such rows: those that add to an event, and those that prune it, lock the event first. They
come from outside, from a restore of single tables or from manual changes in the database.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, update

from relay.ledger.engine.sql import Found, Row, padded, run, write_many
from relay.ledger.schema import dispatches, events, outbox, work
from relay.model import Move, State
from relay.telemetry import get_log

log = get_log()

OWNED: Final[ColumnElement[bool]] = exists().where(
    dispatches.c.id == work.c.dispatch_id, events.c.id == dispatches.c.event_id
)
"""Whether a row of `work` has its dispatch and its event."""

_WORK: Final = delete(work).where(work.c.dispatch_id.in_(bindparam("ids", expanding=True)))
_UNSEEN: Final = delete(work).where(work.c.look_at <= bindparam("now"), ~OWNED).returning(work.c.dispatch_id)
_FAILED: Final = (
    update(dispatches)
    .where(dispatches.c.id.in_(bindparam("ids", expanding=True)))
    .values(state=State.FAILED.value, failure_code="orphan", failure_message="its event is not in the ledger")
)
_OUTBOX: Final = delete(outbox).where(outbox.c.result_id == bindparam("of"), outbox.c.destination == bindparam("at"))


def drop_work(conn: Connection, dispatch_ids: Sequence[str]) -> None:
    """Delete rows of `work` whose dispatch or event is missing."""
    if dispatch_ids:
        run(conn, _WORK, {"ids": padded(dispatch_ids)})
        _end(conn, dispatch_ids)


def drop_unseen(conn: Connection, now: int) -> None:
    """The same for rows in `checking` whose look is due: `doubts` only reads them."""
    _end(conn, [row["dispatch_id"] for row in run(conn, _UNSEEN, {"now": now})])


def _end(conn: Connection, dispatch_ids: Sequence[str]) -> None:
    """End dispatches that have no event. They can be neither sent nor shown, and must not count as live."""
    for dispatch_id in dispatch_ids:
        log.error("ledger.orphan", table="work", dispatch_id=dispatch_id, what="its dispatch or event is gone: removed")
    if dispatch_ids:
        run(conn, _FAILED, {"ids": padded(dispatch_ids)})


def drop_deliveries(conn: Connection, rows: Iterable[Found]) -> None:
    """Delete deliveries whose result is missing."""
    orphaned: list[Row] = [{"of": row["result_id"], "at": row["destination"]} for row in rows]
    write_many(conn, _OUTBOX, orphaned)
    for row in orphaned:
        log.error(
            "ledger.orphan",
            table="outbox",
            result_id=row["of"],
            destination=row["at"] or None,
            what="its result is gone: removed",
        )


def tell_chat(move: Move) -> None:
    """Log a chat that came after its dispatch was pruned: this line is the only trace of it."""
    log.error(
        "ledger.orphan",
        table="dispatches",
        dispatch_id=move.dispatch_id,
        chat_uuid=move.chat and move.chat.uuid,
        what="a chat was made for a dispatch that is gone: it is kept nowhere",
    )
