"""What rules remember of the keys that decide at the claim: rows of `rule_keys`, locked until the transaction ends."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, Self

from sqlalchemy import Connection, bindparam, insert, select

from relay.ledger.engine.sql import Found, Upsert, padded, run, upsert
from relay.ledger.engine.writes import Writes
from relay.ledger.queries.keys.memory import KeyRow, columns_of, compact
from relay.ledger.schema import rule_keys

_OF: Final = rule_keys.c.hash.in_(bindparam("hashes", expanding=True))
_READ: Final = select(rule_keys.c.hash, rule_keys.c.value).where(_OF).order_by(rule_keys.c.hash)
LOCKED: Final = _READ.with_for_update()
_NEW: Final = insert(rule_keys)
_NAMES: Final = ("rule", "value", "expires_at")


class Book:
    """Values by hash. A row that is not there yet cannot be locked: two replicas may both insert it.

    Then the database refuses the second one, and its transaction runs again (`relay.ledger.engine.faults.is_again`).
    """

    def __init__(self, rows: Iterable[Found] = ()) -> None:
        self._known: dict[bytes, Any] = {row["hash"]: json.loads(row["value"]) for row in rows}
        self._stored = frozenset(self._known)
        self._changed: dict[bytes, KeyRow] = {}

    @classmethod
    def load(cls, conn: Connection, hashes: Sequence[bytes]) -> Self:
        """Lock these keys in the order of their hashes, and read them."""
        return cls(run(conn, LOCKED, {"hashes": padded(hashes)}) if hashes else ())

    @classmethod
    def read(cls, conn: Connection, hashes: Sequence[bytes]) -> Self:
        """What is remembered of these keys, which are not locked: another transaction may change it."""
        return cls(run(conn, _READ, {"hashes": padded(hashes)}) if hashes else ())

    def get(self, place: bytes) -> Any:
        return self._known.get(place)

    def put(self, rule: str, changes: Mapping[bytes, tuple[Any, int]]) -> None:
        """Remember values until their times: the next dispatch of the batch sees them."""
        for place, (value, expires_at) in changes.items():
            self._known[place] = value
            self._changed[place] = KeyRow(rule, expires_at, compact(value))

    def write(self, writes: Writes) -> None:
        ordered = sorted(self._changed.items())
        new = [(place, row) for place, row in ordered if place not in self._stored]
        known = [(place, row) for place, row in ordered if place in self._stored]
        writes.insert(_NEW, columns_of(new, _NAMES))
        writes.insert(_over(writes.conn.dialect.name), columns_of(known, _NAMES))


@cache
def _over(dialect: str) -> Upsert:
    """The insert of a value over one that is there, and locked."""
    put = upsert(dialect, rule_keys)
    return put.on_conflict_do_update(
        index_elements=[rule_keys.c.hash], set_={name: put.excluded[name] for name in _NAMES}
    )
