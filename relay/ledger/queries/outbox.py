"""Results and their deliveries: inserted by the commit that makes them, then leased, settled and followed."""

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
"""Milliseconds for which a publisher holds a delivery."""
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
    """A cache of the results that this replica inserted lately, so that they need not be read again to be published.

    Results never change. A result whose insert was rolled back does no harm here: only results that the ledger hands
    out are looked up.
    """

    def __init__(self, most: int = 1_000) -> None:
        self._most = most
        self._results: dict[str, Result] = {}

    def keep(self, new_results: Sequence[Result]) -> None:
        """Add results. Drops the oldest above the cache's size."""
        for result in new_results:
            self._results[result.id] = result
        for oldest in list(islice(self._results, max(0, len(self._results) - self._most))):
            del self._results[oldest]

    def take(self, ids: Iterable[str]) -> dict[str, Result]:
        """Remove and return the cached ones of these results, by id."""
        return {key: self._results.pop(key) for key in ids if key in self._results}


def enqueue(conn: Connection, now: int, new_results: Sequence[Result], terms: Terms) -> None:
    """Insert results and their deliveries. A result whose id exists already is left unchanged."""
    if not new_results:
        return
    # Positions follow the order of the results; the inserts follow their ids, as every lock on several rows does.
    positions = _positions(conn, len(new_results))
    pairs = sorted(zip(positions, new_results, strict=True), key=lambda pair: pair[1].id)
    columns = {
        **result_columns([result for _, result in pairs], now, vault_of(conn)),
        "position": [position for position, _ in pairs],
    }
    insert_many(conn, keep_first(results, conn.dialect.name), columns)
    if terms.publish:
        _make_due(conn, now, new_results)


def _positions(conn: Connection, count: int) -> Sequence[int | None]:
    """Cursors for new results.

    On SQLite, with its one writer, inserts happen in the order of commits, so a cursor can be given at once. Where
    others write too, a transaction that inserts first may commit last: `sequence` gives the cursors after the commit.
    """
    if not is_alone(conn):
        return [None] * count
    top = counters.read(conn, "position")
    counters.write(conn, "position", top + count)
    return range(top + 1, top + 1 + count)


def _make_due(conn: Connection, now: int, new_results: Sequence[Result]) -> None:
    places = sorted((result.id, destination) for result in new_results for destination in _destinations(result))
    columns: Columns = {
        "result_id": [result_id for result_id, _ in places],
        "destination": [destination for _, destination in places],
        "created_at": [now] * len(places),
        "due_at": [now] * len(places),
    }
    insert_many(conn, keep_first(outbox, conn.dialect.name), columns)


def _destinations(result: Result) -> list[str]:
    exchange = [""] if result.routing_key is not None else []
    return [*exchange, result.reply_to] if result.reply_to else exchange


def _by_place(row: Row) -> tuple[str, str]:
    return row["of"], row["at"]


def due(conn: Connection, now: int, asks: Sequence[int], *, fresh: Fresh) -> list[list[Due]]:
    """Lease deliveries that are due, oldest first. Each of `asks` is the limit of one caller, who gets one list."""
    rows = run(conn, _LEASE, {"now": now, "until": now + LEASE, "most": sum(asks)})
    ids = {row["result_id"] for row in rows}
    results_by_id = fresh.take(ids)
    results_by_id |= _results(conn, ids - results_by_id.keys())
    orphans.drop_deliveries(conn, [row for row in rows if row["result_id"] not in results_by_id])
    deliveries = [row for row in rows if row["result_id"] in results_by_id]
    oldest_first = sorted(deliveries, key=lambda row: (row["created_at"], row["result_id"]))
    leased = (_due(row, results_by_id[row["result_id"]], now) for row in oldest_first)
    return [list(islice(leased, limit)) for limit in asks]


def _due(row: Found, result: Result, now: int) -> Due:
    return Due(result=result, destination=row["destination"], tries=row["tries"], age=now - row["created_at"])


def _results(conn: Connection, ids: Collection[str]) -> dict[str, Result]:
    rows = run(conn, _BY_IDS, {"ids": padded(sorted(ids))}) if ids else ()
    return {row["id"]: result_of(row, vault_of(conn)) for row in rows}


def settle(conn: Connection, now: int, batch: Sequence[Settled]) -> list[None]:
    """Delete the deliveries that are confirmed or given up, and schedule the others again."""
    over = [
        {"of": settled.result_id, "at": settled.destination}
        for settled in batch
        if settled.confirmed or settled.undeliverable
    ]
    # Rows are written in the order of their keys, so that two replicas cannot deadlock.
    write_many(conn, _OVER, sorted(over, key=_by_place))
    retries = [
        {"of": settled.result_id, "at": settled.destination, "due": now + settled.retry_in, "why": settled.error}
        for settled in batch
        if not (settled.confirmed or settled.undeliverable)
    ]
    write_many(conn, _RETRY, sorted(retries, key=_by_place))
    _give_up(conn, [settled for settled in batch if settled.undeliverable])
    return [None] * len(batch)


def _give_up(conn: Connection, undeliverable: Sequence[Settled]) -> None:
    for settled in undeliverable:
        is_result = results.c.id == settled.result_id
        # Locked, because the list is read, extended and written back.
        noted = conn.execute(select(results.c.undeliverable).where(is_result).with_for_update()).scalar()
        destinations = {*json.loads(noted or "[]"), settled.destination}
        conn.execute(update(results).where(is_result).values(undeliverable=encode(sorted(destinations))))


def sequence(conn: Connection, _now: int, asks: Sequence[None]) -> list[bool]:
    """Give cursors to a chunk of committed results. Returns True to each caller when more may be left."""
    if is_alone(conn):
        return [False] * len(asks)
    unsequenced = results.c.position.is_(None)
    if conn.execute(select(results.c.id).where(unsequenced).limit(1)).first() is None:
        return [False] * len(asks)
    # The lock lets one transaction at a time give cursors, so that a cursor is never visible before a lower one.
    top = counters.lock(conn, "position")
    order = func.row_number().over(order_by=(results.c.created_at, results.c.id)).label("turn")
    chunk = (
        select(results.c.id, order)
        .where(unsequenced)
        .order_by(results.c.created_at, results.c.id)
        .limit(CHUNK)
        .cte("chunk")
    )
    numbered = update(results).where(results.c.id == chunk.c.id).values(position=top + chunk.c.turn)
    count = conn.execute(numbered).rowcount
    counters.write(conn, "position", top + count)
    return [count == CHUNK] * len(asks)


def follow(conn: Connection, _now: int, *, after: int, limit: int) -> list[tuple[int, Result]]:
    """Results after a cursor, in the order of their cursors, each with its own."""
    rows = run(conn, _AFTER, {"after": after, "most": limit})
    return [(row["position"], result_of(row, vault_of(conn))) for row in rows]


def latest(conn: Connection, _now: int) -> int:
    """The last cursor that was given, 0 before the first."""
    return counters.read(conn, "position")
