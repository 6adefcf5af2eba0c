"""How the ledger's database stands, as `relay doctor` asks it."""

from collections.abc import Mapping
from dataclasses import field

from relay.model.frozen import frozen


@frozen
class LedgerHealth:
    """Sizes are bytes, times milliseconds since the epoch.

    - `server` names the database and its version. `now` is its clock, which on SQLite is this machine's.
    - `size` is what tables and indexes take, `spare` the part of it that is free inside a SQLite file.
    - `oldest` is when the oldest event was received, None without events.
    - `pending` are the steps of the schema that lack. `missing` and `broken` are indexes, `bloated` tables of which
      most rows are dead.
    - `last` has when the newest event of each asked source was received.
    - `recent` has how many of the newest `looked_at` dispatches each rule made; the oldest of them is of `since`.
    - `skipped` has the rules that matched and skipped events within the last 24 hours, as those in the shadow do.
    """

    server: str
    now: int
    size: int
    spare: int
    oldest: int | None
    pending: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    bloated: tuple[str, ...] = ()
    last: Mapping[str, int] = field(default_factory=dict)
    recent: Mapping[str, int] = field(default_factory=dict)
    looked_at: int = 0
    since: int | None = None
    skipped: frozenset[str] = frozenset()
