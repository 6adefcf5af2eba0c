"""The four numbers of the whole ledger: the clock of global pauses, the pace of calls, the cursor of results."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from relay.ledger.engine.sql import run, scalar
from relay.ledger.schema import counters, pauses
from relay.ledger.terms import Terms

AHEAD: Final = 1_000
"""Milliseconds that a claim may lie before its start."""

_READ: Final = select(counters.c.value).where(counters.c.name == bindparam("counter"))
_ALL: Final = select(counters.c.name, counters.c.value)
_LOCK: Final = _READ.with_for_update()
_WRITE: Final = update(counters).where(counters.c.name == bindparam("counter")).values(value=bindparam("now_is"))


def read(conn: Connection, name: str) -> int:
    return int(scalar(conn, _READ, {"counter": name}))


def lock(conn: Connection, name: str) -> int:
    """The counter's value, nobody else's to change until this transaction ends."""
    return int(scalar(conn, _LOCK, {"counter": name}))


def write(conn: Connection, name: str, value: int) -> None:
    run(conn, _WRITE, {"counter": name, "now_is": value})


def paused_total(conn: Connection, now: int) -> int:
    """Milliseconds of global pauses up to now, the one that is on included."""
    known = snapshot(conn)
    since = known["paused_since"]
    return known["paused"] + (now - since if since else 0)


def snapshot(conn: Connection) -> dict[str, int]:
    """All counters by name."""
    return {row["name"]: row["value"] for row in run(conn, _ALL)}


def pause(conn: Connection, now: int, *, reason: str) -> bool:
    """Pause for a reason; False when it was on. The clock runs from the first reason to the end of the last."""
    since = lock(conn, "paused_since")
    if reason in current(conn, now):
        return False
    conn.execute(insert(pauses), {"reason": reason, "started_at": now})
    if not since:
        write(conn, "paused_since", now)
    return True


def resume(conn: Connection, now: int, *, reason: str) -> bool:
    """End the pause for a reason; False when there was none."""
    since = lock(conn, "paused_since")
    if not conn.execute(delete(pauses).where(pauses.c.reason == reason)).rowcount:
        return False
    if not current(conn, now):
        write(conn, "paused", lock(conn, "paused") + max(0, now - since))
        write(conn, "paused_since", 0)
    return True


def current(conn: Connection, _now: int) -> Mapping[str, int]:
    """The reasons of the pauses that are on, with their starts."""
    return {row.reason: row.started_at for row in conn.execute(select(pauses.c.reason, pauses.c.started_at))}


def pace(conn: Connection, now: int, *, calls: int, terms: Terms) -> int:
    """Take the next starts for `calls` calls; milliseconds until the first of them."""
    if terms.spacing is None or not calls:
        return 0
    first = next_start(conn, now, terms.spacing)
    take_starts(conn, first, calls, terms.spacing)
    return _wait(first, now)


def next_start(conn: Connection, now: int, spacing: float) -> int:
    """The next free start, in microseconds, locked. Unused starts have lapsed.

    One that lies further ahead than a clock that ran on could have put it counts as lapsed, too.
    """
    first = lock(conn, "pace")
    furthest = now * 1_000 + int(max(AHEAD, spacing) * 1_000 * 1_000)
    return max(first, now * 1_000) if first <= furthest else now * 1_000


def take_starts(conn: Connection, first: int, calls: int, spacing: float) -> None:
    write(conn, "pace", first + round(calls * spacing * 1_000))


def start_in(first: int, turn: int, now: int, spacing: float) -> int:
    """Milliseconds until the start of the call number `turn` (from 0)."""
    return _wait(first + round(turn * spacing * 1_000), now)


def startable(first: int, now: int, spacing: float) -> int:
    """How many calls may start within the next second."""
    room = (now + AHEAD) * 1_000 - first
    return 0 if room < 0 else int(room // (spacing * 1_000)) + 1


def _wait(start: int, now: int) -> int:
    return max(0, -(-(start - now * 1_000) // 1_000))
