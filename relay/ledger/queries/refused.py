"""Refused requests: their metadata, and for some time the whole request if it can be verified again."""

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
from relay.model import LOCKED, Kept, RefusalGroup, Rejection, RejectionView

MOST: Final = 1_000
"""Refused requests that are kept per source, and also whole requests among them."""
SPACE: Final = 64 << 20
"""Bytes of whole bodies per source."""
AT_ONCE: Final = 32
"""Whole requests that are deleted in one turn: a database takes long to free the pages of large bodies."""

_SOME: Final = 500
"""Ids in one statement: databases limit the number of parameters."""
_SAME: Final = ("id", "at", "source", "status", "reason", "hint", "remote", "size", "digest")
"""The fields of a rejection that are stored unchanged in columns of the same name."""
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

_COUNT_GROUPS: Final = (
    select(rejections.c.source, rejections.c.reason, func.count(), func.max(rejections.c.at))
    .group_by(rejections.c.source, rejections.c.reason)
    .order_by(func.max(rejections.c.at).desc(), rejections.c.source, rejections.c.reason)
)
_COUNT_KEPT: Final = (
    select(rejections.c.source, rejections.c.reason, func.count())
    .select_from(kept.join(rejections, rejections.c.id == kept.c.id))
    .where(kept.c.expires_at > bindparam("now"))
    .group_by(rejections.c.source, rejections.c.reason)
)


def reject(conn: Connection, _now: int, batch: Sequence[Rejection]) -> list[None]:
    """Keep refused requests, whole ones included, up to the limits per source.

    Above a limit, the oldest requests of the address that has most of them are deleted.
    """
    ordered = sorted(batch, key=lambda rejection: rejection.id)
    vault = vault_of(conn)
    kept_rows = [
        _kept_row(rejection, rejection.kept, vault)
        for rejection in ordered
        if rejection.kept and len(rejection.kept.body) <= SPACE
    ]
    write_many(conn, keep_first(rejections, conn.dialect.name), [_row(rejection) for rejection in ordered])
    write_many(conn, keep_first(kept, conn.dialect.name), kept_rows)
    # Whole requests first: `_trim` spares the metadata of those that remain.
    for source in sorted({row["source"] for row in kept_rows}):
        _make_room(conn, source)
    for source in sorted({rejection.source for rejection in batch}):
        _trim(conn, source)
    return [None] * len(batch)


def weigh(rejection: Rejection) -> int:
    """The approximate number of bytes that a refused request holds until it is committed."""
    return len(rejection.kept.body) if rejection.kept else 0


def _make_room(conn: Connection, source: str) -> None:
    """Delete whole requests of a source above `MOST` and `SPACE`."""
    count, size = conn.execute(_KEPT_SIZE, {"source": source}).one()
    if count > MOST or (size or 0) > SPACE:
        rows = [(row[0], row[1], row[2]) for row in conn.execute(_KEPT, {"source": source})]
        _delete(conn, kept, surplus(rows, most=MOST, space=SPACE))


def _trim(conn: Connection, source: str) -> None:
    """Delete metadata of a source above `MOST`, but none that belongs to a whole request."""
    if conn.execute(_COUNT, {"source": source}).scalar_one() > MOST:
        rows = [(row[0], row[1], 0) for row in conn.execute(_ALL, {"source": source})]
        _delete(conn, rejections, surplus(rows, most=MOST, space=0))


def _delete(conn: Connection, table: Table, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), _SOME):
        conn.execute(delete(table).where(table.c.id.in_(ids[start : start + _SOME])))


def _row(rejection: Rejection) -> Row:
    return {name: getattr(rejection, name) for name in _SAME} | {"headers": encode(dict(rejection.headers))}


def _kept_row(rejection: Rejection, whole: Kept, vault: Vault) -> Row:
    """A row of `kept`.

    Its JSON is ASCII, because urls and headers may hold bytes that are not text and must be restored as signed.
    """
    request = json.dumps([whole.method, whole.url, dict(whole.headers)])
    return {
        "id": rejection.id,
        "source": rejection.source,
        "size": len(whole.body),
        "expires_at": whole.expires_at,
        "request": vault.seal_text(request, "kept.request", rejection.id),
        "body": vault.seal(whole.body, "kept.body", rejection.id),
    }


def groups(conn: Connection, now: int, *, source: str | None, most: int) -> list[RefusalGroup]:
    """All groups, the one that was refused last first, those of `source` with their newest requests."""
    whole = {(row[0], row[1]): row[2] for row in conn.execute(_COUNT_KEPT, {"now": now})}
    counted = [(row[0], row[1], row[2]) for row in conn.execute(_COUNT_GROUPS)]
    return [
        RefusalGroup(
            name,
            reason,
            count,
            whole.get((name, reason), 0),
            tuple(views(conn, now, source=name, reason=reason, limit=most)) if source in (None, name) else (),
        )
        for name, reason, count in counted
    ]


def views(
    conn: Connection, now: int, *, source: str | None, limit: int, reason: str | None = None
) -> list[RejectionView]:
    """Refused requests, newest first."""
    joined = rejections.outerjoin(kept, (kept.c.id == rejections.c.id) & (kept.c.expires_at > now))
    query = select(rejections, kept.c.expires_at).select_from(joined)
    if source is not None:
        query = query.where(rejections.c.source == source)
    if reason is not None:
        query = query.where(rejections.c.reason == reason)
    newest = query.order_by(rejections.c.at.desc(), rejections.c.id.desc()).limit(limit)
    return [_view(row) for row in conn.execute(newest).mappings()]


def _view(row: RowMapping) -> RejectionView:
    event_ids = None if row["readmitted"] is None else tuple(json.loads(row["readmitted"]))
    return RejectionView(_rejection(row), row["expires_at"], event_ids)


def page(conn: Connection, now: int, *, source: str, limit: int, after: str | None) -> list[Rejection]:
    """The whole requests of a source that have not expired, oldest first.

    A request that cannot be decrypted comes without its `kept` part; its `hint` says why.
    """
    unexpired = (
        select(rejections, kept.c.expires_at, kept.c.request, kept.c.body)
        .join(kept, kept.c.id == rejections.c.id)
        .where(kept.c.source == source, kept.c.id > (after or ""), kept.c.expires_at > now)
        .order_by(kept.c.id)
        .limit(limit)
    )
    vault = vault_of(conn)
    return [_whole(row, vault) for row in conn.execute(unexpired).mappings()]


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
    """Delete the whole of a refused request and store the events that it became, unless some are stored already."""
    unmarked = (rejections.c.id == rejection_id, rejections.c.readmitted.is_(None))
    conn.execute(delete(kept).where(kept.c.id == rejection_id))
    conn.execute(update(rejections).where(*unmarked).values(readmitted=encode(list(event_ids))))


def expire(conn: Connection, now: int) -> int:
    """Delete expired whole requests, at most `AT_ONCE`. Returns how many."""
    expired = select(kept.c.id).where(kept.c.expires_at <= now).limit(AT_ONCE)
    return conn.execute(delete(kept).where(kept.c.id.in_(expired))).rowcount
