"""Results and their deliveries: inserted by the commit that makes them, then leased, settled and followed."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select, tuple_, update

from relay.ledger.engine.sql import Columns, Found, Row, by_index, is_alone, keep_first, padded, run, write_many
from relay.ledger.engine.vault import vault_of
from relay.ledger.engine.writes import Writes
from relay.ledger.queries import counters, orphans
from relay.ledger.queries.rows import encode, result_columns, result_of
from relay.ledger.schema import counters as counter_rows
from relay.ledger.schema import outbox, results
from relay.ledger.terms import Terms
from relay.model import Due, Result, Settled

LEASE: Final = 60_000
"""Milliseconds for which a publisher holds a delivery."""
Place = tuple[str, str]
"""The id of a result and its destination: the key of a delivery."""
CHUNK: Final = 2_000
"""Results that get their cursors in one transaction."""

_BY_IDS: Final = select(results).where(results.c.id.in_(bindparam("ids", expanding=True)))
_OVER: Final = delete(outbox).where(outbox.c.result_id == bindparam("of"), outbox.c.destination == bindparam("at"))
_RETRY: Final = (
    update(outbox)
    .where(outbox.c.result_id == bindparam("of"), outbox.c.destination == bindparam("at"))
    .values(due_at=bindparam("due"), lease_until=None, owner=None, tries=outbox.c.tries + 1, error=bindparam("why"))
)
_RETURN: Final = (
    update(outbox)
    .where(outbox.c.result_id == bindparam("of"), outbox.c.destination == bindparam("at"))
    .values(due_at=bindparam("due"), lease_until=None, owner=None)
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
    .values(due_at=bindparam("until"), lease_until=bindparam("until"), owner=bindparam("by"))
    .returning(outbox.c.result_id, outbox.c.destination, outbox.c.tries, outbox.c.created_at)
)
_TOP: Final = select(
    select(counter_rows.c.value).where(counter_rows.c.name == "position").scalar_subquery().label("counted"),
    select(func.max(results.c.position)).where(results.c.position.is_not(None)).scalar_subquery().label("highest"),
)
_NO_OFFERS: Final[Mapping[str, int]] = {}
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


def enqueue(
    writes: Writes, now: int, new_results: Sequence[Result], terms: Terms, offers: Mapping[str, int] = _NO_OFFERS
) -> dict[str, list[Due]]:
    """Insert results and their deliveries. A result whose id exists already is left unchanged.

    `offers` are the places that this replica's publisher offers for the results of a dispatch. When all deliveries of
    the dispatch fit, they are born leased: they need not be looked for, and are returned by dispatch.
    """
    if not new_results:
        return {}
    # Positions follow the order of the results; the inserts follow their ids, as every lock on several rows does.
    positions = _positions(writes.conn, len(new_results))
    pairs = sorted(zip(positions, new_results, strict=True), key=lambda pair: pair[1].id)
    columns = {
        **result_columns([result for _, result in pairs], now, vault_of(writes.conn)),
        "position": [position for position, _ in pairs],
    }
    writes.insert(keep_first(results, writes.conn.dialect.name), columns)
    return _make_due(writes, now, new_results, terms, offers) if terms.publish else {}


def _positions(conn: Connection, count: int) -> Sequence[int | None]:
    """Cursors for new results.

    On SQLite, with its one writer, inserts happen in the order of commits, so a cursor can be given at once. Where
    others write too, a transaction that inserts first may commit last: `sequence` gives the cursors after the commit.
    """
    if not is_alone(conn):
        return [None] * count
    top = latest(conn, 0)
    return range(top + 1, top + 1 + count)


def _make_due(
    writes: Writes, now: int, new_results: Sequence[Result], terms: Terms, offers: Mapping[str, int]
) -> dict[str, list[Due]]:
    deliveries = [Due(result, place, tries=0, age=0) for result in new_results for place in _destinations(result)]
    leased: defaultdict[str, list[Due]] = defaultdict(list)
    for delivery in deliveries:
        if delivery.result.dispatch_id is not None:
            leased[delivery.result.dispatch_id].append(delivery)
    born = {dispatch_id: dues for dispatch_id, dues in leased.items() if len(dues) <= offers.get(dispatch_id, 0)}
    in_order = sorted(deliveries, key=lambda delivery: (delivery.result.id, delivery.destination))
    is_leased = [delivery.result.dispatch_id in born for delivery in in_order]
    columns: Columns = {
        "result_id": [delivery.result.id for delivery in in_order],
        "destination": [delivery.destination for delivery in in_order],
        "created_at": [now] * len(in_order),
        "due_at": [now + LEASE if leased else now for leased in is_leased],
        "lease_until": [now + LEASE if leased else None for leased in is_leased],
        "owner": [terms.owner if leased else None for leased in is_leased],
    }
    writes.insert(keep_first(outbox, writes.conn.dialect.name), columns)
    return born


def _destinations(result: Result) -> list[str]:
    exchange = [""] if result.routing_key is not None else []
    return [*exchange, result.reply_to] if result.reply_to else exchange


def _by_place(row: Row) -> tuple[str, str]:
    return row["of"], row["at"]


def due(conn: Connection, now: int, asks: Sequence[int], *, terms: Terms, fresh: Fresh) -> list[list[Due]]:
    """Lease deliveries that are due, oldest first. Each of `asks` is the limit of one caller, who gets one list."""
    rows = run(conn, _LEASE, {"now": now, "until": now + LEASE, "most": sum(asks), "by": terms.owner})
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


def give_back(conn: Connection, now: int, *, keep: Collection[Place], terms: Terms) -> int:
    """Make the deliveries due that this replica has leased, except those in `keep`. Returns how many."""
    leased = select(outbox.c.result_id, outbox.c.destination).where(
        outbox.c.lease_until.is_not(None), outbox.c.owner == terms.owner
    )
    locked = conn.execute(leased.order_by(outbox.c.result_id, outbox.c.destination).with_for_update())
    unused = [{"of": row[0], "at": row[1], "due": now} for row in locked if (row[0], row[1]) not in keep]
    write_many(conn, _RETURN, unused)
    return len(unused)


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
    by_index(conn)
    rows = run(conn, _AFTER, {"after": after, "most": limit})
    return [(row["position"], result_of(row, vault_of(conn))) for row in rows]


def latest(conn: Connection, _now: int) -> int:
    """The last cursor that was given, 0 before the first.

    On SQLite that is the highest one in use, or the counter when pruning has deleted higher ones.
    """
    [row] = run(conn, _TOP)
    return int(max(row["counted"], row["highest"] or 0))


def keep_top(conn: Connection) -> None:
    """Store the last cursor that was given, before results are deleted: it must never be given again."""
    if is_alone(conn):
        counters.write(conn, "position", latest(conn, 0))
