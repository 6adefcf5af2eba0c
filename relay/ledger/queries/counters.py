"""The four counters of the ledger: pauses that ended, the present pause, the pace of calls, the cursor of results."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from relay.ledger.engine.sql import run, scalar
from relay.ledger.schema import counters, pauses
from relay.ledger.terms import Terms

AHEAD: Final = 1_000
"""Milliseconds by which a claim may precede the start of its call."""

_READ: Final = select(counters.c.value).where(counters.c.name == bindparam("counter"))
_ALL: Final = select(counters.c.name, counters.c.value)
_LOCK: Final = _READ.with_for_update()
_WRITE: Final = update(counters).where(counters.c.name == bindparam("counter")).values(value=bindparam("now_is"))


def read(conn: Connection, name: str) -> int:
    return int(scalar(conn, _READ, {"counter": name}))


def lock(conn: Connection, name: str) -> int:
    """Read a counter and lock it until this transaction ends."""
    return int(scalar(conn, _LOCK, {"counter": name}))


def write(conn: Connection, name: str, value: int) -> None:
    run(conn, _WRITE, {"counter": name, "now_is": value})


def paused_total(conn: Connection, now: int) -> int:
    """Milliseconds of global pauses up to now, including the present one."""
    values = snapshot(conn)
    since = values["paused_since"]
    return values["paused"] + (now - since if since else 0)


def paused_or_none(conn: Connection) -> int | None:
    """Milliseconds of past global pauses, or None during one."""
    values = snapshot(conn)
    return None if values["paused_since"] else values["paused"]


def snapshot(conn: Connection) -> dict[str, int]:
    """All counters by name."""
    return {row["name"]: row["value"] for row in run(conn, _ALL)}


def pause(conn: Connection, now: int, *, reason: str) -> bool:
    """Pause for a reason. Returns False when it was paused for that reason already.

    Pauses for several reasons count as one, from the start of the first to the end of the last.
    """
    # Every pause and resume takes this lock first, so that two of them cannot both see the first or the last reason.
    since = lock(conn, "paused_since")
    if reason in current(conn, now):
        return False
    conn.execute(insert(pauses), {"reason": reason, "started_at": now})
    if not since:
        write(conn, "paused_since", now)
    return True


def resume(conn: Connection, now: int, *, reason: str) -> bool:
    """End the pause for a reason. Returns False when there was none."""
    since = lock(conn, "paused_since")
    if not conn.execute(delete(pauses).where(pauses.c.reason == reason)).rowcount:
        return False
    if not current(conn, now):
        write(conn, "paused", lock(conn, "paused") + max(0, now - since))
        write(conn, "paused_since", 0)
    return True


def current(conn: Connection, _now: int) -> Mapping[str, int]:
    """The present pauses: reason to start, in milliseconds."""
    return {row.reason: row.started_at for row in conn.execute(select(pauses.c.reason, pauses.c.started_at))}


def pace(conn: Connection, now: int, *, calls: int, terms: Terms) -> int:
    """Reserve the next starts for `calls` calls. Returns the milliseconds until the first start."""
    if terms.spacing is None or not calls:
        return 0
    first = next_start(conn, now, terms.spacing)
    take_starts(conn, first, calls, terms.spacing)
    return _wait(first, now)


def next_start(conn: Connection, now: int, spacing: float) -> int:
    """The next free start, in microseconds since the epoch. Locks the counter.

    Starts in the past that nobody used are lost. A start further ahead than calls can reserve comes from a clock that
    was set back since, and is ignored.
    """
    first = lock(conn, "pace")
    furthest = now * 1_000 + int(max(AHEAD, spacing) * 1_000 * 1_000)
    return max(first, now * 1_000) if first <= furthest else now * 1_000


def take_starts(conn: Connection, first: int, calls: int, spacing: float) -> None:
    """Reserve `calls` starts from `first` on, which `next_start` returned in this transaction."""
    write(conn, "pace", first + round(calls * spacing * 1_000))


def start_after(first: int, turn: int, now: int, spacing: float | None) -> int:
    """Milliseconds until the start of call number `turn`, counted from 0. 0 without a rate."""
    return 0 if spacing is None else _wait(first + round(turn * spacing * 1_000), now)


def startable(first: int, now: int, spacing: float) -> int:
    """How many calls may start within the next second."""
    room = (now + AHEAD) * 1_000 - first
    return 0 if room < 0 else int(room // (spacing * 1_000)) + 1


def latest_start(now: int, terms: Terms) -> int:
    """When the call of a claim starts at the latest, in milliseconds. Under a rate the claim may precede it."""
    return now if terms.spacing is None else now + AHEAD


def _wait(start: int, now: int) -> int:
    """Milliseconds from `now` (milliseconds) to `start` (microseconds), rounded up."""
    return max(0, -(-(start - now * 1_000) // 1_000))
