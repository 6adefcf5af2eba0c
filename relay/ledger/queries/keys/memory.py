"""What rules remember of their keys: one row per rule, key and rendered key, until it expires."""

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import BigInteger, Connection, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from relay.ledger.engine.sql import Columns, Found, Upsert, is_alone, padded, run, upsert
from relay.ledger.engine.writes import Writes
from relay.ledger.schema import dispatches, rule_keys
from relay.model import ENDED, State, frozen

_ROWS: Final = select(rule_keys).where(
    rule_keys.c.hash.in_(bindparam("hashes", expanding=True)), rule_keys.c.expires_at > bindparam("now")
)
_ENDS: Final = select(dispatches.c.id, dispatches.c.state, dispatches.c.chat_uuid).where(
    dispatches.c.id.in_(bindparam("ids", expanding=True))
)
_NUMBERS: Final = (
    select(func.unnest(bindparam("numbers", type_=ARRAY(BigInteger))).label("number")).order_by("number").subquery()
)
_ALL: Final = int.from_bytes(b"RelaKeys")
"""The number that stands for all keys. Whoever locks some shares it first."""
_MOST: Final = 1_000
"""Keys that one transaction locks one by one. The server has room for some ten thousand locks of all transactions
(`max_locks_per_transaction`), and refuses what would be more."""
_LOCK: Final = select(
    func.pg_advisory_xact_lock_shared(literal(_ALL, BigInteger)), func.pg_advisory_xact_lock(_NUMBERS.c.number)
)
_LOCK_ALL: Final = select(func.pg_advisory_xact_lock(literal(_ALL, BigInteger)))
WITHOUT_CHAT: Final = ENDED - {State.DONE}
_KEPT: Final = ("rule", "value", "dispatch_id", "expires_at")

FOREVER: Final = 1 << 62
"""The expiry of a row that is deleted by what ends it."""


@frozen
class KeyRow:
    """What is remembered of one rendered key. Its key decides what `value` and `dispatch_id` are."""

    rule: str
    expires_at: int
    value: str | None = None
    dispatch_id: str | None = None


@frozen
class KnownKey:
    """What was remembered. `is_free` says that its dispatch has ended without a chat, `is_parked` that it is parked."""

    value: str | None
    dispatch_id: str | None
    is_free: bool
    is_parked: bool = False


def compact(value: Any) -> str:
    """The JSON text of a value that is remembered."""
    return to_json(value).decode()


def lock(conn: Connection, hashes: Sequence[bytes]) -> None:
    """Lock keys until the transaction ends, in the order of the numbers that stand for them.

    By number, because a key that is new has no row to lock. Equal numbers of two keys only wait. For very many all are
    locked by one number.
    """
    if is_alone(conn):
        return
    numbers = {int.from_bytes(each[:8], "big", signed=True) for each in hashes}
    if len(numbers) > _MOST:
        run(conn, _LOCK_ALL)
    else:
        run(conn, _LOCK, {"numbers": tuple(numbers)})


def hash_of(name: str, rule: str, key: str) -> bytes:
    """The identity of a rendered key."""
    return digest_of(rule, key) + name.encode()


def digest_of(rule: str, key: str) -> bytes:
    """What the hashes of a rule's keys with the same text begin with; the length keeps the parts apart.

    So their rows lie side by side: an event touches one page of the table, and not one for each of its keys.
    """
    return sha256(f"{len(rule)} {rule} {key}".encode("utf-8", "surrogatepass")).digest()


class Memory:
    """The rows of a batch's keys, locked until the transaction ends."""

    def __init__(self, known: Mapping[bytes, KnownKey]) -> None:
        self._known = dict(known)
        self._changed: dict[bytes, KeyRow] = {}

    @classmethod
    def load(cls, conn: Connection, now: int, hashes: Sequence[bytes]) -> "Memory":
        """Lock these keys, in their order, and read what is remembered of them."""
        lock(conn, hashes)
        return cls.read(conn, now, hashes)

    @classmethod
    def read(cls, conn: Connection, now: int, hashes: Sequence[bytes]) -> "Memory":
        """What is remembered of these keys, which are not locked: another transaction may change it."""
        rows = run(conn, _ROWS, {"hashes": padded(hashes), "now": now})
        ids = sorted({row["dispatch_id"] for row in rows if row["dispatch_id"] is not None})
        ends = {row["id"]: row for row in (run(conn, _ENDS, {"ids": padded(ids)}) if ids else ())}
        return cls({row["hash"]: _known(row, ends.get(row["dispatch_id"])) for row in rows})

    def get(self, place: bytes) -> KnownKey | None:
        return self._known.get(place)

    def put(self, place: bytes, row: KeyRow) -> None:
        """Remember a row: the next dispatch of the batch sees it."""
        self._changed[place] = row
        self._known[place] = KnownKey(row.value, row.dispatch_id, is_free=False)

    def write(self, conn: Connection) -> None:
        with Writes(conn) as writes:
            writes.insert(_put(conn.dialect.name), columns_of(sorted(self._changed.items()), _KEPT))


def columns_of(rows: Sequence[tuple[bytes, KeyRow]], names: Sequence[str]) -> Columns:
    """Rows by the hashes of their keys, as they are inserted; in order of the hashes, because that locks them."""
    return {"hash": [place for place, _ in rows]} | {name: [getattr(row, name) for _, row in rows] for name in names}


@cache
def _put(dialect: str) -> Upsert:
    """Made once, because the statement itself is what it is prepared under."""
    put = upsert(dialect, rule_keys)
    return put.on_conflict_do_update(
        index_elements=[rule_keys.c.hash], set_={name: put.excluded[name] for name in _KEPT}
    )


def _known(row: Found, end: Found | None) -> KnownKey:
    is_free = end is not None and end["state"] in WITHOUT_CHAT and end["chat_uuid"] is None
    is_parked = end is not None and end["state"] == State.PARKED.value
    return KnownKey(row["value"], row["dispatch_id"], is_free, is_parked)
