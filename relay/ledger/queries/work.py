"""What is to be done at Cargo: claims under a lease and a fence, leases that ran out, doubts."""

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, bindparam, case, delete, func, insert, literal, or_, select, update

from relay.ledger.engine.sql import Found, padded, run, scalar, write_many
from relay.ledger.engine.vault import vault_of
from relay.ledger.queries import counters, orphans
from relay.ledger.queries.rows import NEWS, claim_of, legible
from relay.ledger.schema import attempts, dispatches, events, leases, outbox, slots, work
from relay.ledger.terms import Terms
from relay.model import Claim, Doubt, State, Verdict

Rows = Mapping[str, Found]

SOON: Final = 1_000
"""Milliseconds until the first look for a chat whose lease ran out."""

LONGEST_PUBLISHING: Final = 120_000
"""Milliseconds past which the lease of a delivery is no honest one."""

_NEWS: Final = (
    select(*NEWS)
    .join(events, events.c.id == dispatches.c.event_id)
    .where(dispatches.c.id.in_(bindparam("ids", expanding=True)))
)
_DUE: Final = (
    select(work.c.dispatch_id)
    .where(work.c.due_at <= bindparam("now"))
    .order_by(work.c.due_at, work.c.dispatch_id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_IS_MESSAGE: Final = work.c.state == literal(State.MESSAGING.value)
_IS_FIRST: Final = work.c.first_attempt_at.is_(None)
_CLAIM: Final = (
    update(work)
    .where(work.c.dispatch_id.in_(select(_DUE.c.dispatch_id)))
    .values(
        state=case((_IS_MESSAGE, work.c.state), else_=State.SENDING.value),
        due_at=None,
        lease_until=bindparam("until"),
        owner=bindparam("by"),
        fence=work.c.fence + 1,
        number=work.c.number + 1,
        attempts=work.c.attempts + case((_IS_MESSAGE, 0), else_=1),
        first_attempt_at=func.coalesce(work.c.first_attempt_at, bindparam("now")),
        paused_before=case((_IS_FIRST, bindparam("paused")), else_=work.c.paused_before),
    )
    .returning(*(work.c[name] for name in ("dispatch_id", "run", "state", "fence", "number", "attempts")))
    .returning(work.c.first_attempt_at, work.c.paused_before, work.c.doubt)
)
_OPEN: Final = insert(attempts)
_IS_UNTRIED: Final = case((_IS_MESSAGE, work.c.number), else_=work.c.attempts) == 1
_RETURN: Final = (
    update(work)
    .where(work.c.dispatch_id.in_(bindparam("ids", expanding=True)))
    .values(
        state=case((_IS_MESSAGE, work.c.state), else_=State.READY.value),
        due_at=bindparam("now"),
        lease_until=None,
        owner=None,
        attempts=work.c.attempts - case((_IS_MESSAGE, 0), else_=1),
        first_attempt_at=case((_IS_UNTRIED, None), else_=work.c.first_attempt_at),
        paused_before=case((_IS_UNTRIED, 0), else_=work.c.paused_before),
    )
    .returning(*(work.c[name] for name in ("dispatch_id", "run", "state", "number")))
)
_NOT_BEGUN: Final = (
    update(attempts)
    .where(
        attempts.c.dispatch_id == bindparam("of"),
        attempts.c.run == bindparam("in_run"),
        attempts.c.kind == bindparam("as_kind"),
        attempts.c.number == bindparam("at"),
        attempts.c.ended_at.is_(None),
    )
    .values(ended_at=bindparam("now"), verdict=Verdict.RETRYABLE.value)
)
_FIRST_STARTS: Final = (
    select(attempts.c.dispatch_id, func.min(attempts.c.started_at))
    .where(attempts.c.dispatch_id.in_(bindparam("ids", expanding=True)), attempts.c.kind == "chat")
    .group_by(attempts.c.dispatch_id)
)
_NEXT: Final = select(func.min(work.c.due_at)).where(work.c.due_at.is_not(None))
_DOUBTS: Final = (
    select(work)
    .where(work.c.look_at <= bindparam("now"), orphans.OWNED)
    .order_by(work.c.look_at)
    .limit(bindparam("most"))
)


def claim(conn: Connection, now: int, asks: Sequence[int], *, terms: Terms) -> list[list[Claim]]:
    """Take what is due, oldest first, each row once over all replicas, and share it among those who asked."""
    known = counters.snapshot(conn)
    if known["paused_since"]:
        return [[] for _ in asks]
    most, first = sum(asks), 0
    if terms.spacing is not None:
        first = counters.next_start(conn, now, terms.spacing)
        most = min(most, counters.startable(first, now, terms.spacing))
    paused = known["paused"]
    rows = _take(conn, now, most, paused, terms)
    found = news(conn, [row["dispatch_id"] for row in rows])
    orphans.drop_work(conn, [row["dispatch_id"] for row in rows if row["dispatch_id"] not in found])
    taken = [row for row in rows if row["dispatch_id"] in found]
    starts = [_start(first, turn, now, terms) for turn in range(len(taken))]
    if terms.spacing is not None and taken:
        counters.take_starts(conn, first, len(taken), terms.spacing)
    _open_attempts(conn, now, taken, starts)
    claims = iter(_claims(now, taken, found, starts, paused, terms))
    return [list(islice(claims, ask)) for ask in asks]


def _take(conn: Connection, now: int, most: int, paused: int, terms: Terms) -> list[Found]:
    if most <= 0:
        return []
    values = {"now": now, "most": most, "until": now + terms.lease, "by": terms.owner, "paused": paused}
    return sorted(run(conn, _CLAIM, values), key=lambda row: str(row["dispatch_id"]))


def _start(first: int, turn: int, now: int, terms: Terms) -> int:
    return 0 if terms.spacing is None else counters.start_in(first, turn, now, terms.spacing)


def _open_attempts(conn: Connection, now: int, taken: Sequence[Found], starts: Sequence[int]) -> None:
    rows = [
        {
            "dispatch_id": row["dispatch_id"],
            "run": row["run"],
            "kind": kind_of(row["state"]),
            "number": row["number"],
            "started_at": now + start,
        }
        for row, start in zip(taken, starts, strict=True)
    ]
    write_many(conn, _OPEN, rows)


def kind_of(state: str) -> str:
    """The kind of the attempts made in this state."""
    return "message" if state == State.MESSAGING else "chat"


def _claims(
    now: int, taken: Sequence[Found], found: Rows, starts: Sequence[int], paused: int, terms: Terms
) -> list[Claim]:
    return [
        claim_of(row, found[row["dispatch_id"]], lease=terms.lease, waited=_waited(row, now, paused), start_in=start)
        for row, start in zip(taken, starts, strict=True)
    ]


def news(conn: Connection, ids: Sequence[str]) -> dict[str, Found]:
    """The columns of `NEWS` by dispatch id, legible: what is locked must not keep others from being claimed.

    One that is not there, or whose event is not, is left out.
    """
    found, vault = run(conn, _NEWS, {"ids": padded(ids)}) if ids else (), vault_of(conn)
    return {row["id"]: legible(row, vault) for row in found}


def _waited(row: Mapping[Any, Any], now: int, paused: int) -> int:
    return max(0, now - int(row["first_attempt_at"]) - (paused - int(row["paused_before"])))


def give_back(conn: Connection, now: int, *, keep: Collection[str], terms: Terms) -> int:
    """Return what this replica has claimed, but for the dispatches in `keep`, as if it never had; how many.

    The rows of their attempts stay, ended by this.
    """
    mine = select(work.c.dispatch_id).where(work.c.lease_until.is_not(None), work.c.owner == terms.owner)
    chosen = mine.order_by(work.c.dispatch_id).with_for_update()
    ids = sorted(set(conn.execute(chosen).scalars()) - set(keep))
    given = run(conn, _RETURN, {"ids": padded(ids), "now": now}) if ids else ()
    rows = [
        {"of": row["dispatch_id"], "in_run": row["run"], "as_kind": kind_of(row["state"]), "at": row["number"]}
        for row in given
    ]
    write_many(conn, _NOT_BEGUN, [{**row, "now": now} for row in rows])
    return len(rows)


def sweep(conn: Connection, now: int, *, terms: Terms) -> int:
    """End the leases that ran out, and those that a clock set back has made longer than any may be.

    What cannot be looked for any more is dropped here, since `doubts` only reads.
    """
    orphans.drop_unseen(conn, now)
    stuck = outbox.c.lease_until > now + LONGEST_PUBLISHING
    conn.execute(update(outbox).where(stuck).values(due_at=now, lease_until=None))
    over = or_(work.c.lease_until <= now, work.c.lease_until > now + 2 * terms.lease)
    return _end_leases(conn, now, over, terms)


def void(conn: Connection, now: int, *, terms: Terms) -> int:
    """End every lease and grant: nobody else can be at work on this ledger. Gives how many claims that ended."""
    conn.execute(delete(leases))
    conn.execute(delete(slots))
    conn.execute(update(outbox).where(outbox.c.lease_until.is_not(None)).values(due_at=now, lease_until=None))
    return _end_leases(conn, now, work.c.lease_until.is_not(None), terms)


def _end_leases(conn: Connection, now: int, over: Any, terms: Terms) -> int:
    """A chat may be found at once; what was said counts as unsaid only when Cargo has had its time to settle."""
    chosen = select(work.c.dispatch_id).where(over).with_for_update(skip_locked=True).cte("over")
    sending = work.c.state == State.SENDING.value
    ended = case((work.c.lease_until < now, work.c.lease_until), else_=now)
    swept = (
        update(work)
        .where(work.c.dispatch_id.in_(select(chosen.c.dispatch_id)))
        .values(
            state=case((sending, State.CHECKING.value), else_=work.c.state),
            look_at=case((sending, now + SOON)),
            looks=case((sending, 0), else_=work.c.looks),
            last_ended_at=case((sending, ended), else_=work.c.last_ended_at),
            due_at=case((sending, None), else_=ended + terms.settle),
            doubt=case((sending, work.c.doubt), else_=True),
            lease_until=None,
            owner=None,
        )
    )
    return len(conn.execute(swept.returning(work.c.dispatch_id)).all())


def doubts(conn: Connection, now: int, *, limit: int) -> list[Doubt]:
    """Rows in `checking` whose next look is due."""
    rows = conn.execute(_DOUBTS, {"now": now, "most": limit}).mappings().all()
    ids = [row["dispatch_id"] for row in rows]
    found, firsts = news(conn, ids), _first_starts(conn, ids)
    paused = counters.paused_total(conn, now)
    known = [row for row in rows if row["dispatch_id"] in found]
    return [_doubt(row, found[row["dispatch_id"]], firsts, now, paused) for row in known]


def _first_starts(conn: Connection, ids: Sequence[str]) -> dict[str, int]:
    """When the first attempt of any run began: a retry by hand must find what an earlier run may have made."""
    return {row[0]: row[1] for row in conn.execute(_FIRST_STARTS, {"ids": padded(ids)})} if ids else {}


def _doubt(row: Found, found: Found, firsts: Mapping[str, int], now: int, paused: int) -> Doubt:
    begun = row["first_attempt_at"] is not None
    return Doubt(
        claim=claim_of(row, found, lease=0, waited=_waited(row, now, paused) if begun else 0),
        at=now,
        first_attempt_at=firsts.get(row["dispatch_id"], now),
        ended_ago=max(0, now - (row["last_ended_at"] or now)),
        looks=row["looks"],
    )


def wake(conn: Connection, now: int, *, terms: Terms) -> int | None:
    """Milliseconds until the next row can be claimed; None when there is none, or all sending is paused."""
    first = scalar(conn, _NEXT)
    known = counters.snapshot(conn)
    if first is None or known["paused_since"]:
        return None
    ready = first - now
    if terms.spacing is not None:
        ready = max(ready, known["pace"] // 1_000 - now - counters.AHEAD)
    return max(0, int(ready))
