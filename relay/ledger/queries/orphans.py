"""Rows that belong to nothing any more: told and taken away by whoever meets them, so that no turn dies of them.

No operation leaves any: what adds to an event and what prunes it lock the event first. They come from outside, from a
restore of single tables or a hand in the database.
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
"""Of a row of work: its dispatch and its event are there."""

_WORK: Final = delete(work).where(work.c.dispatch_id.in_(bindparam("ids", expanding=True)))
_UNSEEN: Final = delete(work).where(work.c.look_at <= bindparam("now"), ~OWNED).returning(work.c.dispatch_id)
_FAILED: Final = (
    update(dispatches)
    .where(dispatches.c.id.in_(bindparam("ids", expanding=True)))
    .values(state=State.FAILED.value, failure_code="orphan", failure_message="its event is not in the ledger")
)
_OUTBOX: Final = delete(outbox).where(outbox.c.result_id == bindparam("of"), outbox.c.destination == bindparam("at"))


def drop_work(conn: Connection, dispatch_ids: Sequence[str]) -> None:
    """Take work away that cannot be done, since its dispatch or its event is not there."""
    if dispatch_ids:
        run(conn, _WORK, {"ids": padded(dispatch_ids)})
        _end(conn, dispatch_ids)


def drop_unseen(conn: Connection, now: int) -> None:
    """The same for what would be looked for now, which is otherwise only read."""
    _end(conn, [row["dispatch_id"] for row in run(conn, _UNSEEN, {"now": now})])


def _end(conn: Connection, dispatch_ids: Sequence[str]) -> None:
    """One that has no event left can neither be sent nor shown: it ends, so that nobody takes it for live."""
    for dispatch_id in dispatch_ids:
        log.error("ledger.orphan", table="work", dispatch_id=dispatch_id, what="its dispatch or event is gone: removed")
    if dispatch_ids:
        run(conn, _FAILED, {"ids": padded(dispatch_ids)})


def drop_deliveries(conn: Connection, rows: Iterable[Found]) -> None:
    """Take deliveries away of which the result is not there."""
    gone: list[Row] = [{"of": row["result_id"], "at": row["destination"]} for row in rows]
    write_many(conn, _OUTBOX, gone)
    for row in gone:
        log.error(
            "ledger.orphan",
            table="outbox",
            result_id=row["of"],
            destination=row["at"] or None,
            what="its result is gone: removed",
        )


def tell_chat(move: Move) -> None:
    """A chat that came so late that its dispatch was pruned: this line is all that is left of it."""
    log.error(
        "ledger.orphan",
        table="dispatches",
        dispatch_id=move.dispatch_id,
        chat_uuid=move.chat and move.chat.uuid,
        what="a chat was made for a dispatch that is gone: it is kept nowhere",
    )
