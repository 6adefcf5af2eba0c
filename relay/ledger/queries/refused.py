"""Refused requests: what they were, and for a while the whole of those that may be verified again."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, RowMapping, Table, bindparam, delete, exists, func, select, update

from relay.ledger.engine.sql import Row, keep_first, write_many
from relay.ledger.engine.vault import Locked, Vault, vault_of
from relay.ledger.queries.rows import encode
from relay.ledger.queries.share import surplus
from relay.ledger.schema import kept, rejections
from relay.model import LOCKED, Kept, Rejection, RejectionView

MOST: Final = 1_000
"""Refused requests per source, and whole ones among them."""
SPACE: Final = 64 << 20
"""Bytes of whole bodies per source."""
AT_ONCE: Final = 32
"""Whole requests that expire in one turn: a database takes a while to free the pages of large bodies."""

_SOME: Final = 500
"""Ids in one statement: databases bound its parameters."""
_SAME: Final = ("id", "at", "source", "status", "reason", "hint", "remote", "size", "digest")
"""The fields of a rejection that are columns as they are."""
_KEPT_SIZE: Final = select(func.count(), func.sum(kept.c.size)).where(kept.c.source == bindparam("source"))
_KEPT: Final = (
    select(kept.c.id, rejections.c.remote, kept.c.size)
    .select_from(kept.outerjoin(rejections, rejections.c.id == kept.c.id))
    .where(kept.c.source == bindparam("source"))
    .order_by(kept.c.id)
)
_PLAIN: Final = (rejections.c.source == bindparam("source"), ~exists().where(kept.c.id == rejections.c.id))
_COUNT: Final = select(func.count()).where(*_PLAIN)
_ALL: Final = select(rejections.c.id, rejections.c.remote).where(*_PLAIN).order_by(rejections.c.at, rejections.c.id)


def reject(conn: Connection, _now: int, batch: Sequence[Rejection]) -> list[None]:
    """Keep refused requests: of each source the newest, and whole ones as far as there is room.

    Where there is no room, the oldest of the address that has most go.
    """
    ordered = sorted(batch, key=lambda one: one.id)
    vault = vault_of(conn)
    whole = [_kept_row(one, one.kept, vault) for one in ordered if one.kept and len(one.kept.body) <= SPACE]
    write_many(conn, keep_first(rejections, conn.dialect.name), [_row(one) for one in ordered])
    write_many(conn, keep_first(kept, conn.dialect.name), whole)
    for source in sorted({row["source"] for row in whole}):
        _make_room(conn, source)
    for source in sorted({one.source for one in batch}):
        _trim(conn, source)
    return [None] * len(batch)


def weigh(rejection: Rejection) -> int:
    """About the bytes that a refused request holds until it is committed."""
    return len(rejection.kept.body) if rejection.kept else 0


def _make_room(conn: Connection, source: str) -> None:
    count, size = conn.execute(_KEPT_SIZE, {"source": source}).one()
    if count > MOST or (size or 0) > SPACE:
        rows = [(row[0], row[1], row[2]) for row in conn.execute(_KEPT, {"source": source})]
        _delete(conn, kept, surplus(rows, most=MOST, space=SPACE))


def _trim(conn: Connection, source: str) -> None:
    if conn.execute(_COUNT, {"source": source}).scalar_one() > MOST:
        rows = [(row[0], row[1], 0) for row in conn.execute(_ALL, {"source": source})]
        _delete(conn, rejections, surplus(rows, most=MOST, space=0))


def _delete(conn: Connection, table: Table, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), _SOME):
        conn.execute(delete(table).where(table.c.id.in_(ids[start : start + _SOME])))


def _row(one: Rejection) -> Row:
    return {name: getattr(one, name) for name in _SAME} | {"headers": encode(dict(one.headers))}


def _kept_row(one: Rejection, whole: Kept, vault: Vault) -> Row:
    """Its JSON is ASCII: urls and headers may hold bytes that are no text, and must come back as they were signed."""
    request = json.dumps([whole.method, whole.url, dict(whole.headers)])
    return {
        "id": one.id,
        "source": one.source,
        "size": len(whole.body),
        "expires_at": whole.expires_at,
        "request": vault.seal_text(request, "kept.request", one.id),
        "body": vault.seal(whole.body, "kept.body", one.id),
    }


def views(conn: Connection, now: int, *, source: str | None, limit: int) -> list[RejectionView]:
    """Refused requests, newest first."""
    joined = rejections.outerjoin(kept, (kept.c.id == rejections.c.id) & (kept.c.expires_at > now))
    wanted = select(rejections, kept.c.expires_at).select_from(joined)
    if source is not None:
        wanted = wanted.where(rejections.c.source == source)
    newest = wanted.order_by(rejections.c.at.desc(), rejections.c.id.desc()).limit(limit)
    return [_view(row) for row in conn.execute(newest).mappings()]


def _view(row: RowMapping) -> RejectionView:
    became = row["readmitted"]
    return RejectionView(_rejection(row), row["expires_at"], None if became is None else tuple(json.loads(became)))


def page(conn: Connection, now: int, *, source: str, limit: int, after: str | None) -> list[Rejection]:
    """The whole requests of a source that have not expired, oldest first; of one that is locked, only why."""
    wanted = (
        select(rejections, kept.c.expires_at, kept.c.request, kept.c.body)
        .join(kept, kept.c.id == rejections.c.id)
        .where(kept.c.source == source, kept.c.id > (after or ""), kept.c.expires_at > now)
        .order_by(kept.c.id)
        .limit(limit)
    )
    vault = vault_of(conn)
    return [_whole(row, vault) for row in conn.execute(wanted).mappings()]


def _whole(row: RowMapping, vault: Vault) -> Rejection:
    try:
        return _rejection(row, _kept(row, vault))
    except Locked as error:
        return replace(_rejection(row), reason=LOCKED, hint=str(error))


def _rejection(row: RowMapping, whole: Kept | None = None) -> Rejection:
    return Rejection(**{name: row[name] for name in _SAME}, headers=json.loads(row["headers"]), kept=whole)


def _kept(row: RowMapping, vault: Vault) -> Kept:
    method, url, headers = json.loads(vault.open_text(row["request"], "kept.request", row["id"]))
    return Kept(method, url, headers, vault.open(row["body"], "kept.body", row["id"]), row["expires_at"])


def readmit(conn: Connection, _now: int, *, rejection_id: str, event_ids: Sequence[str]) -> None:
    """Mark a refused request as having become these events, unless it is marked already, and drop the whole of it."""
    mine = rejections.c.id == rejection_id
    became = encode(list(event_ids))
    conn.execute(delete(kept).where(kept.c.id == rejection_id))
    conn.execute(update(rejections).where(mine, rejections.c.readmitted.is_(None)).values(readmitted=became))


def expire(conn: Connection, now: int) -> int:
    """Drop whole requests whose time is over; how many."""
    over = select(kept.c.id).where(kept.c.expires_at <= now).limit(AT_ONCE)
    return conn.execute(delete(kept).where(kept.c.id.in_(over))).rowcount
