"""Encrypts stored values with the present key of a vault, in turns, so that no writer waits long.

Values that are encrypted with it already are skipped, so an interrupted run is simply started again. Rows are locked in
the order of their ids, as everywhere, and read under the lock, so that a concurrent write is not overwritten.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from pydantic_core import from_json, to_json
from sqlalchemy import Column, ColumnElement, Connection, LargeBinary, Table, and_, func, literal, or_, select, update

from relay.ledger.engine.commit import Store
from relay.ledger.engine.sql import Found, Row
from relay.ledger.engine.vault import MARK, Locked, Vault
from relay.ledger.queries.rows import SEALED, WITHIN
from relay.ledger.schema import dispatches, events, kept, learned, results

MOST: Final = 100
"""Rows that are written in one turn, each with a body of up to `http.max_body`."""
STRIDE: Final = 2_000
"""Rows that one turn examines, so that a turn is short even when nothing is left to do."""

Progress = Callable[[str, int, int], None]
"""Receives the table's name, how many of its rows were examined, and how many it has."""


@dataclass(slots=True)
class Rekeyed:
    """The numbers of rows that were encrypted again, by table, and of rows that could not be read, by reason."""

    changed: Counter[str] = field(default_factory=Counter)
    locked: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table and its sealed columns; `key` holds the ids of its rows."""

    table: Table
    key: Column[str]
    columns: tuple[str, ...]


PARTS: Final = (
    SealedTable(learned, learned.c.source, ("secret",)),
    SealedTable(kept, kept.c.id, ("request", "body")),
    SealedTable(events, events.c.id, ("raw", "data", "skips")),
    SealedTable(dispatches, dispatches.c.id, SEALED),
    SealedTable(results, results.c.id, ("data",)),
)


async def rekey(store: Store, vault: Vault, progress: Progress) -> Rekeyed:
    """Encrypt the whole ledger again. Raises Unavailable; the turns before it are committed."""
    done = Rekeyed()
    for part in PARTS:
        await _rekey_part(store, vault, part, done, progress)
    return done


async def _rekey_part(store: Store, vault: Vault, part: SealedTable, done: Rekeyed, progress: Progress) -> None:
    name, seen = part.table.name, 0
    total = await store.read(partial(_count, part=part))
    after: str | None = ""
    while after is not None:
        if seen < total:
            progress(name, seen, total)
        turn = await store.write(partial(_turn, part=part, vault=vault, after=after))
        done.changed[name] += turn.changed
        done.locked += turn.locked
        after, seen = turn.after, seen + turn.seen
    progress(name, total, total)


def _count(conn: Connection, _now: int, *, part: SealedTable) -> int:
    return int(conn.execute(select(func.count()).select_from(part.table)).scalar_one())


@dataclass(slots=True)
class _Turn:
    """The outcome of a turn. The next one begins after the id `after`; None at the end of the table."""

    after: str | None
    seen: int = 0
    changed: int = 0
    locked: Counter[str] = field(default_factory=Counter)


def _turn(conn: Connection, _now: int, *, part: SealedTable, vault: Vault, after: str) -> _Turn:
    last_of_stride = select(part.key).where(part.key > after).order_by(part.key).offset(STRIDE - 1).limit(1)
    end = conn.execute(last_of_stride).scalar()
    outdated = select(part.key.label("row"), *(part.table.c[name] for name in part.columns)).where(
        part.key > after, *([] if end is None else [part.key <= end]), _is_other(part, vault)
    )
    rows = conn.execute(outdated.order_by(part.key).limit(MOST).with_for_update()).mappings().all()
    turn = _Turn(rows[-1]["row"]) if len(rows) == MOST else _Turn(end, STRIDE)
    for row in rows:
        try:
            renewed = _renewed(part, vault, row)
        except Locked as error:
            turn.locked[error.why] += 1
        else:
            conn.execute(update(part.table).where(part.key == row["row"]).values(renewed))
            turn.changed += 1
    return turn


def _is_other(part: SealedTable, vault: Vault) -> ColumnElement[bool]:
    """Whether a row needs a new encryption: it has another key or none, or, when the vault has no key, it has any."""
    if part.table is results:
        begin = MARK if vault.key_id is None else ""
        return or_(*(and_(_has(f'"{name}":"{begin}'), ~_has(f'"{name}":"{vault.head}')) for name in WITHIN))
    return or_(*(_begins_otherwise(part.table.c[name], vault) for name in part.columns))


def _has(text: str) -> ColumnElement[bool]:
    """Whether the JSON of a result contains this text. It matches no string's content, where quotes are escaped."""
    return results.c.data.contains(text, autoescape=True)


def _begins_otherwise(column: Column[Any], vault: Vault) -> ColumnElement[bool]:
    other = _start(column, vault.head) != _text(column, vault.head)
    return other if vault.key_id else and_(other, _start(column, MARK) == _text(column, MARK))


def _start(column: Column[Any], text: str) -> ColumnElement[Any]:
    return func.substr(column, 1, len(text))


def _text(column: Column[Any], text: str) -> ColumnElement[Any]:
    return literal(text.encode() if isinstance(column.type, LargeBinary) else text)


def _renewed(part: SealedTable, vault: Vault, row: Found) -> Row:
    if part.table is results:
        data = from_json(row["data"])
        texts = {name: text for name in WITHIN if (text := data.get(name))}
        renewed = {name: vault.renew(text, f"results.{name}", row["row"]) for name, text in texts.items()}
        return {"data": to_json(data | renewed).decode()}
    return {name: vault.renew(row[name], f"{part.table.name}.{name}", row["row"]) for name in part.columns}
