"""`delay`: a dispatch is held for a time, and events may cancel it meanwhile (`unless`)."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from sqlalchemy import Connection, bindparam, or_, select

from relay.ledger.engine.sql import Found, padded, run
from relay.ledger.queries.keys.memory import KeyRow, KnownKey
from relay.ledger.queries.keys.step import Ruling
from relay.ledger.schema import work
from relay.ledger.terms import Terms
from relay.model import State

_UNDER: Final = work.c.cancel_key.in_(bindparam("hashes", expanding=True))
_QUEUES: Final = select(work.c.queue).where(_UNDER, work.c.queue.is_not(None))
_NOT_BEGUN: Final = (
    or_(work.c.state == State.HELD.value, work.c.state == State.READY.value),
    work.c.first_attempt_at.is_(None),
)
_CANCELLED: Final = (
    select(work)
    .where(_UNDER, work.c.dispatch_id.not_in(bindparam("spared", expanding=True)), *_NOT_BEGUN)
    .order_by(work.c.dispatch_id)
    # One that is locked is being claimed or ended at this moment: the event came too late for it.
    .with_for_update(skip_locked=True)
)
_SOME: Final = select(work.c.dispatch_id, work.c.queue, work.c.cancel_key).where(_UNDER, *_NOT_BEGUN)
_SOME_LOCKED: Final = (
    select(work)
    .where(work.c.dispatch_id.in_(bindparam("ids", expanding=True)), *_NOT_BEGUN)
    .order_by(work.c.dispatch_id)
    .with_for_update(skip_locked=True)
)


def step(ruling: Ruling, plan: Any, known: KnownKey | None, now: int, terms: Terms) -> KeyRow | None:
    """Hold the dispatch; one that waits for others too goes when both are over."""
    ruling.delay(now + plan["for"])
    return None


def queues_under(conn: Connection, hashes: Sequence[bytes]) -> list[bytes]:
    """The queues of dispatches that could be cancelled under these keys."""
    return [row["queue"] for row in run(conn, _QUEUES, {"hashes": padded(hashes)})]


def find(conn: Connection, hashes: Sequence[bytes], spared: AbstractSet[str]) -> list[Found]:
    """Lock and return the rows of `work` to cancel under these keys, without those of the dispatches in `spared`."""
    return list(run(conn, _CANCELLED, {"hashes": padded(hashes), "spared": padded(sorted(spared) or [""])}))


def look(conn: Connection, hashes: Sequence[bytes]) -> Sequence[Found]:
    """What could be cancelled under these keys, not locked: its id, queue and key."""
    return run(conn, _SOME, {"hashes": padded(hashes)})


def find_some(conn: Connection, dispatch_ids: Sequence[str]) -> list[Found]:
    """Lock and return those of these rows of `work` that can still be cancelled."""
    return list(run(conn, _SOME_LOCKED, {"ids": padded(dispatch_ids)})) if dispatch_ids else []
