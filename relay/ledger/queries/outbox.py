"""Results and their deliveries: put in with the commit that made them, leased, settled, followed."""

import json
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_, update

from relay.ledger.engine.sql import Columns, Found, Row, insert_many, is_alone, keep_first, padded, run, write_many
from relay.ledger.engine.vault import vault_of
from relay.ledger.queries import counters, orphans
from relay.ledger.queries.rows import encode, result_columns, result_of
from relay.ledger.schema import outbox, results
from relay.ledger.terms import Terms
from relay.model import Due, Result, Settled

LEASE: Final = 60_000
"""Milliseconds for which a due delivery is a publisher's."""
CHUNK: Final = 2_000
"""Results that get their cursors in one transaction."""

_BY_IDS: Final = select(results).where(results.c.id.in_(bindparam("ids", expanding=True)))
_OVER: Final = delete(outbox).where(outbox.c.result_id == bindparam("of"), outbox.c.destination == bindparam("at"))
_RETRY: Final = (
    update(outbox)
    .where(outbox.c.result_id == bindparam("of"), outbox.c.destination == bindparam("at"))
    .values(due_at=bindparam("due"), lease_until=None, tries=outbox.c.tries + 1, error=bindparam("why"))
)
_READY: Final = (
    select(outbox.c.result_id, outbox.c.destination)
    .where(outbox.c.due_at <= bindparam("now"))
    .order_by(outbox.c.due_at, outbox.c.result_id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .cte("ready")
)
_LEASE: Final = (
    update(outbox)
    .where(tuple_(outbox.c.result_id, outbox.c.destination).in_(select(_READY.c.result_id, _READY.c.destination)))
    .values(due_at=bindparam("until"), lease_until=bindparam("until"))
    .returning(outbox.c.result_id, outbox.c.destination, outbox.c.tries, outbox.c.created_at)
)
_AFTER: Final = (
    select(results).where(results.c.position > bindparam("after")).order_by(results.c.position).limit(bindparam("most"))
)


class Fresh:
    """Results that this replica put into the ledger lately, so that they need not be read again to be told.

    They never change, and only what the ledger hands out is looked up here: what a rollback took back does no harm.
    """

    def __init__(self, most: int = 1_000) -> None:
        self._most = most
        self._results: dict[str, Result] = {}

    def keep(self, told: Sequence[Result]) -> None:
        """Remember these; the oldest go when there are too many."""
        for result in told:
            self._results[result.id] = result
        for oldest in list(islice(self._results, max(0, len(self._results) - self._most))):
            del self._results[oldest]

    def take(self, ids: Iterable[str]) -> dict[str, Result]:
        """Those of them that are known, which are then forgotten."""
        return {key: self._results.pop(key) for key in ids if key in self._results}


def enqueue(conn: Connection, now: int, told: Sequence[Result], terms: Terms) -> None:
    """Keep results and make their deliveries due. One that is there already (same id) is left as it is.

    Where this connection writes alone, the order of inserts is that of commits, so the cursor is given at once.
    """
    if not told:
        return
    pairs = sorted(zip(_positions(conn, len(told)), told, strict=True), key=lambda pair: pair[1].id)
    columns = {
        **result_columns([result for _, result in pairs], now, vault_of(conn)),
        "position": [position for position, _ in pairs],
    }
    insert_many(conn, keep_first(results, conn.dialect.name), columns)
    if terms.publish:
        _make_due(conn, now, told)


def _positions(conn: Connection, count: int) -> Sequence[int | None]:
    if not is_alone(conn):
        return [None] * count
    top = counters.read(conn, "position")
    counters.write(conn, "position", top + count)
    return range(top + 1, top + 1 + count)


def _make_due(conn: Connection, now: int, told: Sequence[Result]) -> None:
    due = sorted((result.id, destination) for result in told for destination in _destinations(result))
    columns: Columns = {
        "result_id": [result_id for result_id, _ in due],
        "destination": [destination for _, destination in due],
        "created_at": [now] * len(due),
        "due_at": [now] * len(due),
    }
    insert_many(conn, keep_first(outbox, conn.dialect.name), columns)


def _destinations(result: Result) -> list[str]:
    exchange = [""] if result.routing_key is not None else []
    return [*exchange, result.reply_to] if result.reply_to else exchange


def _by_place(row: Row) -> tuple[str, str]:
    return row["of"], row["at"]


def due(conn: Connection, now: int, asks: Sequence[int], *, fresh: Fresh) -> list[list[Due]]:
    """Lease what is due, oldest first, and share it among those who asked."""
    rows = run(conn, _LEASE, {"now": now, "until": now + LEASE, "most": sum(asks)})
    ids = {row["result_id"] for row in rows}
    told = fresh.take(ids)
    told |= _results(conn, ids - told.keys())
    orphans.drop_deliveries(conn, [row for row in rows if row["result_id"] not in told])
    known = [row for row in rows if row["result_id"] in told]
    oldest_first = sorted(known, key=lambda row: (row["created_at"], row["result_id"]))
    leased = (_due(row, told[row["result_id"]], now) for row in oldest_first)
    return [list(islice(leased, ask)) for ask in asks]


def _due(row: Found, result: Result, now: int) -> Due:
    return Due(result=result, destination=row["destination"], tries=row["tries"], age=now - row["created_at"])


def _results(conn: Connection, ids: Collection[str]) -> dict[str, Result]:
    found = run(conn, _BY_IDS, {"ids": padded(sorted(ids))}) if ids else ()
    return {row["id"]: result_of(row, vault_of(conn)) for row in found}


def settle(conn: Connection, now: int, batch: Sequence[Settled]) -> list[None]:
    """Delete what is confirmed or given up, put off the rest."""
    over = [{"of": one.result_id, "at": one.destination} for one in batch if one.confirmed or one.undeliverable]
    write_many(conn, _OVER, sorted(over, key=_by_place))
    again = [
        {"of": one.result_id, "at": one.destination, "due": now + one.retry_in, "why": one.error}
        for one in batch
        if not (one.confirmed or one.undeliverable)
    ]
    write_many(conn, _RETRY, sorted(again, key=_by_place))
    _give_up(conn, [one for one in batch if one.undeliverable])
    return [None] * len(batch)


def _give_up(conn: Connection, lost: Sequence[Settled]) -> None:
    for one in lost:
        mine = results.c.id == one.result_id
        known = conn.execute(select(results.c.undeliverable).where(mine).with_for_update()).scalar()
        gone = {*json.loads(known or "[]"), one.destination}
        conn.execute(update(results).where(mine).values(undeliverable=encode(sorted(gone))))


def sequence(conn: Connection, _now: int, asks: Sequence[None]) -> list[bool]:
    """Give cursors to a chunk of committed results, one transaction after the other; True when more are left."""
    if is_alone(conn):
        return [False] * len(asks)
    unsequenced = results.c.position.is_(None)
    if conn.execute(select(results.c.id).where(unsequenced).limit(1)).first() is None:
        return [False] * len(asks)
    top = counters.lock(conn, "position")
    order = func.row_number().over(order_by=(results.c.created_at, results.c.id)).label("turn")
    chunk = (
        select(results.c.id, order)
        .where(unsequenced)
        .order_by(results.c.created_at, results.c.id)
        .limit(CHUNK)
        .cte("chunk")
    )
    given = conn.execute(update(results).where(results.c.id == chunk.c.id).values(position=top + chunk.c.turn)).rowcount
    counters.write(conn, "position", top + given)
    return [given == CHUNK] * len(asks)


def follow(conn: Connection, _now: int, *, after: int, limit: int) -> list[tuple[int, Result]]:
    """Results past a cursor, in order."""
    rows = run(conn, _AFTER, {"after": after, "most": limit})
    return [(row["position"], result_of(row, vault_of(conn))) for row in rows]


def latest(conn: Connection, _now: int) -> int:
    """The cursor given last."""
    return counters.read(conn, "position")
