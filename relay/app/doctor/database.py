"""Judges the ledger: its clock, its disk, its size, its indexes."""

from typing import Final

from relay.app.doctor.line import Found, act, look, ok
from relay.model import LedgerHealth
from relay.units import iso, show

_MIB: Final = 1 << 20
_DAY: Final = 86_400_000
_OFF: Final = 2_000
_FAR_OFF: Final = 30_000
"""Milliseconds by which a clock is off: worth a look; senders' times and Cargo's list do not fit any more."""
_LITTLE: Final = 256 * _MIB


def show_size(count: float) -> str:
    """Bytes for people, in MiB or GiB."""
    return f"{count / 1024 / _MIB:.1f} GiB" if count >= 1024 * _MIB else f"{count / _MIB:.1f} MiB"


def judge_clock(of: str, off: float) -> Found:
    """A clock that is `off` by so many milliseconds from this machine's."""
    if abs(off) < _OFF:
        return [ok(f"this machine's and {of} are within {show(_OFF)}")]
    side = "ahead of" if off > 0 else "behind"
    what = f"this machine's clock is {show(abs(off))} {side} {of}"
    if abs(off) < _FAR_OFF:
        return [look(what, "have NTP keep both")]
    return [act(what, "set it by NTP: signatures that carry a time are refused, and chats are looked for in vain")]


def judge_disk(folder: str, free: int, whole: int, size: int) -> Found:
    """The disk of a SQLite ledger of this size."""
    what = f"{show_size(free)} of {show_size(whole)} are free in {folder}"
    if free < max(_LITTLE, whole // 50):
        return [act(what, "make room: on a full disk nothing is accepted (503)")]
    if free < max(size, whole // 10):
        return [look(what, "make room: `relay erase` and `relay rekey` rewrite the ledger, which takes its size again")]
    return [ok(what)]


def judge_size(health: LedgerHealth, retain: int, free: int | None) -> Found:
    """The size, and what it comes to when the oldest events are `retain` ms old. `free` is None where not known."""
    what = f"{health.server}, {show_size(health.size)}"
    if health.oldest is None:
        return [ok(f"{what}, no events")]
    age = max(0, health.now - health.oldest)
    what += f", the oldest event is of {iso(health.oldest)}"
    used = health.size - health.spare
    if age < _DAY or age > retain * 0.9:
        return [ok(what + (", too new to tell how it grows" if age < _DAY else ", as old as `ledger.retain` keeps it"))]
    grown = used * retain / age
    what += f", it grows by some {show_size(used * _DAY / age)} a day to some {show_size(grown)} at `ledger.retain`"
    if free is not None and grown - health.size > free:
        return [act(f"{what}, more than the disk has", "lower `ledger.retain`, or take a larger disk")]
    return [ok(what)]


def judge_schema(health: LedgerHealth) -> Found:
    """The steps of the schema and its indexes."""
    if health.pending:
        return [act(f"the schema lacks {', '.join(health.pending)}", "run `relay migrate`, or serve with --migrate")]
    found: list[tuple[str, str]] = []
    if health.missing:
        found.append(
            (f"missing: {', '.join(health.missing)}", "make them as `relay migrate --sql` prints for a new one")
        )
    if health.broken:
        found.append((f"invalid: {', '.join(health.broken)}", f"REINDEX INDEX CONCURRENTLY {health.broken[0]};"))
    lines = [act(what, todo) for what, todo in found]
    if health.bloated:
        todo = "VACUUM these tables, and see why autovacuum does not keep up (long transactions hold it up)"
        lines.append(look(f"most rows are dead in {', '.join(health.bloated)}", todo))
    return lines or [ok("all are there and valid")]
