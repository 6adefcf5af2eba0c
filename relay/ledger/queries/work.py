"""The work to do at Cargo: claims under a lease and a fence, expired leases, doubts."""

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
"""Milliseconds from the sweep of an expired lease to the first search for its chat."""

LONGEST_PUBLISHING: Final = 120_000
"""Milliseconds. A delivery's lease that ends later than this from now comes from a clock that was set back since."""

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
IS_ATTEMPT: Final = (
    (attempts.c.dispatch_id == bindparam("of"))
    & (attempts.c.run == bindparam("in_run"))
    & (attempts.c.kind == bindparam("as_kind"))
    & (attempts.c.number == bindparam("at"))
)
"""The row of one attempt."""
_NOT_BEGUN: Final = (
    update(attempts)
    .where(IS_ATTEMPT, attempts.c.ended_at.is_(None))
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
    """Claim dispatches that are due, oldest first. No two replicas claim the same row.

    Each of `asks` is the limit of one caller, who gets one list. Claims nothing during a global pause.
    """
    counter_values = counters.snapshot(conn)
    if counter_values["paused_since"]:
        return [[] for _ in asks]
    most, first = sum(asks), 0
    if terms.spacing is not None:
        first = counters.next_start(conn, now, terms.spacing)
        most = min(most, counters.startable(first, now, terms.spacing))
    paused = counter_values["paused"]
    rows = _take(conn, now, most, paused, terms)
    news_rows = news(conn, [row["dispatch_id"] for row in rows])
    orphans.drop_work(conn, [row["dispatch_id"] for row in rows if row["dispatch_id"] not in news_rows])
    claimed = [row for row in rows if row["dispatch_id"] in news_rows]
    starts = [_start(first, turn, now, terms) for turn in range(len(claimed))]
    if terms.spacing is not None and claimed:
        counters.take_starts(conn, first, len(claimed), terms.spacing)
    _open_attempts(conn, now, claimed, starts)
    claims = iter(_claims(now, claimed, news_rows, starts, paused, terms))
    return [list(islice(claims, limit)) for limit in asks]


def _take(conn: Connection, now: int, most: int, paused: int, terms: Terms) -> list[Found]:
    if most <= 0:
        return []
    values = {"now": now, "most": most, "until": now + terms.lease, "by": terms.owner, "paused": paused}
    return sorted(run(conn, _CLAIM, values), key=lambda row: str(row["dispatch_id"]))


def _start(first: int, turn: int, now: int, terms: Terms) -> int:
    return 0 if terms.spacing is None else counters.start_in(first, turn, now, terms.spacing)


def _open_attempts(conn: Connection, now: int, claimed: Sequence[Found], starts: Sequence[int]) -> None:
    """Insert the rows of the attempts with the claim, so that no call is ever made without a row of it."""
    rows = [
        {
            "dispatch_id": row["dispatch_id"],
            "run": row["run"],
            "kind": kind_of(row["state"]),
            "number": row["number"],
            "started_at": now + start,
        }
        for row, start in zip(claimed, starts, strict=True)
    ]
    write_many(conn, _OPEN, rows)


def kind_of(state: str) -> str:
    """The kind of the attempts that are made in this state."""
    return "message" if state == State.MESSAGING else "chat"


def _claims(
    now: int, claimed: Sequence[Found], news_rows: Rows, starts: Sequence[int], paused: int, terms: Terms
) -> list[Claim]:
    return [
        claim_of(
            row, news_rows[row["dispatch_id"]], lease=terms.lease, waited=_waited(row, now, paused), start_in=start
        )
        for row, start in zip(claimed, starts, strict=True)
    ]


def news(conn: Connection, ids: Sequence[str]) -> dict[str, Found]:
    """Rows with the columns of `NEWS`, by dispatch id. Dispatches that are missing, or have no event, are left out.

    The rows are `legible`: one that cannot be decrypted must not keep others from being claimed.
    """
    rows, vault = run(conn, _NEWS, {"ids": padded(ids)}) if ids else (), vault_of(conn)
    return {row["id"]: legible(row, vault) for row in rows}


def _waited(row: Mapping[Any, Any], now: int, paused: int) -> int:
    """Milliseconds since the first attempt of the run, without global pauses. `paused` is their total up to now."""
    return max(0, now - int(row["first_attempt_at"]) - (paused - int(row["paused_before"])))


def give_back(conn: Connection, now: int, *, keep: Collection[str], terms: Terms) -> int:
    """Release the claims of this replica, except those of the dispatches in `keep`. Returns how many.

    The dispatches are as if they had not been claimed. The rows of their attempts stay and are ended.
    """
    own_claims = select(work.c.dispatch_id).where(work.c.lease_until.is_not(None), work.c.owner == terms.owner)
    locked = own_claims.order_by(work.c.dispatch_id).with_for_update()
    ids = sorted(set(conn.execute(locked).scalars()) - set(keep))
    released = run(conn, _RETURN, {"ids": padded(ids), "now": now}) if ids else ()
    ended_attempts = [
        {
            "of": row["dispatch_id"],
            "in_run": row["run"],
            "as_kind": kind_of(row["state"]),
            "at": row["number"],
            "now": now,
        }
        for row in released
    ]
    write_many(conn, _NOT_BEGUN, ended_attempts)
    return len(ended_attempts)


def sweep(conn: Connection, now: int, *, terms: Terms) -> int:
    """End expired leases, and leases that are too long because the clock was set back. Returns how many claims.

    Also deletes rows in `checking` that have no event, because `doubts` only reads.
    """
    orphans.drop_unseen(conn, now)
    stuck = outbox.c.lease_until > now + LONGEST_PUBLISHING
    conn.execute(update(outbox).where(stuck).values(due_at=now, lease_until=None))
    over = or_(work.c.lease_until <= now, work.c.lease_until > now + 2 * terms.lease)
    return _end_leases(conn, now, over, terms)


def void(conn: Connection, now: int, *, terms: Terms) -> int:
    """End every lease and grant. Returns how many claims.

    Only for a ledger that no other process can be using.
    """
    conn.execute(delete(leases))
    conn.execute(delete(slots))
    conn.execute(update(outbox).where(outbox.c.lease_until.is_not(None)).values(due_at=now, lease_until=None))
    return _end_leases(conn, now, work.c.lease_until.is_not(None), terms)


def _end_leases(conn: Connection, now: int, over: Any, terms: Terms) -> int:
    """End claims: `sending` becomes `checking`, `messaging` becomes due with a doubt. Returns how many.

    The search for a chat starts soon, because a chat may be found at once. A message is due only after `terms.settle`,
    because until then Cargo may still carry out the call, and a missing message proves nothing.
    """
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
    """Dispatches in `checking` whose next look is due, oldest first."""
    rows = conn.execute(_DOUBTS, {"now": now, "most": limit}).mappings().all()
    ids = [row["dispatch_id"] for row in rows]
    news_rows, first_starts = news(conn, ids), _first_starts(conn, ids)
    paused = counters.paused_total(conn, now)
    complete = [row for row in rows if row["dispatch_id"] in news_rows]
    return [_doubt(row, news_rows[row["dispatch_id"]], first_starts, now, paused) for row in complete]


def _first_starts(conn: Connection, ids: Sequence[str]) -> dict[str, int]:
    """The start of the first attempt of any run, by dispatch id.

    Of any run, because a retry by hand must find a chat that an earlier run may have made.
    """
    return {row[0]: row[1] for row in conn.execute(_FIRST_STARTS, {"ids": padded(ids)})} if ids else {}


def _doubt(row: Found, news_row: Found, first_starts: Mapping[str, int], now: int, paused: int) -> Doubt:
    begun = row["first_attempt_at"] is not None
    return Doubt(
        claim=claim_of(row, news_row, lease=0, waited=_waited(row, now, paused) if begun else 0),
        at=now,
        first_attempt_at=first_starts.get(row["dispatch_id"], now),
        ended_ago=max(0, now - (row["last_ended_at"] or now)),
        looks=row["looks"],
    )


def wake(conn: Connection, now: int, *, terms: Terms) -> int | None:
    """Milliseconds until the next row can be claimed; None when there is none, or during a global pause."""
    first = scalar(conn, _NEXT)
    counter_values = counters.snapshot(conn)
    if first is None or counter_values["paused_since"]:
        return None
    ready = first - now
    if terms.spacing is not None:
        ready = max(ready, counter_values["pace"] // 1_000 - now - counters.AHEAD)
    return max(0, int(ready))
