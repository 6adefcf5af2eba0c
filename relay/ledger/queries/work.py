"""The work to do at Cargo: claims under a lease and a fence, expired leases, doubts."""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.sql import ClauseElement

from relay.ledger.engine.sql import Found, Row, padded, run, scalar, write_many
from relay.ledger.engine.vault import vault_of
from relay.ledger.queries import admit, counters, fair, orphans, rule_pauses
from relay.ledger.queries.keys import queue
from relay.ledger.queries.rows import NEWS, claim_of, legible
from relay.ledger.schema import attempts, dispatches, events, leases, outbox, slots, work
from relay.ledger.terms import Terms
from relay.model import Claim, Doubt, State, Verdict, Withheld, frozen

Rows = Mapping[str, Found]
Withhold = Callable[[Connection, int, Sequence[Found], Rows, Terms], tuple[Sequence[Found], Sequence[Withheld]]]
"""Decides which claimed rows go to Cargo, and moves the others on. Given with them are their rows of `NEWS`."""

SOON: Final = 1_000
"""Milliseconds from the sweep of an expired lease to the first search for its chat."""
SET_BACK: Final = 600_000
"""Milliseconds by which a clock is set back for it to matter: longer than any result waits for its next try."""
LONGEST_PUBLISHING: Final = 120_000
"""Milliseconds. A delivery's lease that ends later than this from now comes from a clock that was set back since."""

_NEWS: Final = (
    select(*NEWS)
    .join(events, events.c.id == dispatches.c.event_id)
    .where(dispatches.c.id.in_(bindparam("ids", expanding=True)))
)
_IS_MESSAGE: Final = or_(work.c.state == literal(State.MESSAGING.value), work.c.follows)
_IS_FIRST_MESSAGE: Final = and_(work.c.state == literal(State.MESSAGING.value), not_(work.c.follows))
"""In the chat that the dispatch has made: it does not count in `attempts`, as making the chat and following do."""
_IS_FIRST: Final = work.c.first_attempt_at.is_(None)


def _claim_of(due: Select[Any]) -> ClauseElement:
    """Claim the first of these rows of `work` that no other transaction claims."""
    first = due.cte("due")
    return (
        update(work)
        .where(work.c.dispatch_id.in_(select(first.c.dispatch_id)))
        .values(
            state=case((_IS_MESSAGE, State.MESSAGING.value), else_=State.SENDING.value),
            due_at=None,
            lease_until=bindparam("until"),
            owner=bindparam("by"),
            fence=work.c.fence + 1,
            number=work.c.number + 1,
            attempts=work.c.attempts + case((_IS_FIRST_MESSAGE, 0), else_=1),
            first_attempt_at=func.coalesce(work.c.first_attempt_at, bindparam("now")),
            paused_before=case((_IS_FIRST, bindparam("paused")), else_=work.c.paused_before),
            started_at=bindparam("now"),
            held_by=None,
        )
        .returning(*(work.c[name] for name in ("dispatch_id", "run", "state", "fence", "number", "attempts")))
        .returning(
            *(work.c.first_attempt_at, work.c.paused_before, work.c.doubt, work.c.queue, work.c.follows),
            *(work.c.priority, work.c.expires_at),
        )
    )


_CLAIM: Final = _claim_of(fair.due())
_CLAIM_OF: Final = _claim_of(fair.due(bindparam("source")))
_PACED: Final = update(work).where(work.c.dispatch_id == bindparam("of")).values(started_at=bindparam("at"))
_ENDED: Final = insert(attempts)
_OPEN: Final = ("dispatch_id", "run", "state", "follows", "number", "started_at")
"""The columns that say which attempt is open."""
_IS_UNTRIED: Final = case((_IS_FIRST_MESSAGE, work.c.number), else_=work.c.attempts) == 1
_RETURN: Final = (
    update(work)
    .where(work.c.dispatch_id.in_(bindparam("ids", expanding=True)))
    .values(
        state=case((_IS_MESSAGE, work.c.state), else_=State.READY.value),
        due_at=bindparam("now"),
        lease_until=None,
        owner=None,
        attempts=work.c.attempts - case((_IS_FIRST_MESSAGE, 0), else_=1),
        first_attempt_at=case((_IS_UNTRIED, None), else_=work.c.first_attempt_at),
        paused_before=case((_IS_UNTRIED, 0), else_=work.c.paused_before),
        started_at=None,
    )
)
IS_ATTEMPT: Final = (
    (attempts.c.dispatch_id == bindparam("of"))
    & (attempts.c.run == bindparam("in_run"))
    & (attempts.c.kind == bindparam("as_kind"))
    & (attempts.c.number == bindparam("at"))
)
"""The row of one attempt."""
_IS_SENDING: Final = work.c.state == literal(State.SENDING.value)
_MOMENT: Final = bindparam("now", type_=BigInteger)
_LEASE_END: Final = case((work.c.lease_until < _MOMENT, work.c.lease_until), else_=_MOMENT)
_SWEEP: Final = (
    update(work)
    .where(work.c.dispatch_id.in_(bindparam("ids", expanding=True)))
    .values(
        state=case((_IS_SENDING, State.CHECKING.value), else_=work.c.state),
        look_at=case((_IS_SENDING, bindparam("soon", type_=BigInteger))),
        looks=case((_IS_SENDING, 0), else_=work.c.looks),
        last_ended_at=case((_IS_SENDING, _LEASE_END), else_=work.c.last_ended_at),
        due_at=case((_IS_SENDING, None), else_=_LEASE_END + bindparam("settle", type_=BigInteger)),
        doubt=case((_IS_SENDING, work.c.doubt), else_=True),
        lease_until=None,
        owner=None,
        started_at=None,
    )
)
_FIRST_STARTS: Final = (
    select(attempts.c.dispatch_id, func.min(attempts.c.started_at).label("first"))
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


@frozen
class Claimed:
    """The claims of one caller, and what became of dispatches that were due and do not go."""

    claims: Sequence[Claim] = ()
    withheld: Sequence[Withheld] = ()


def claim(
    conn: Connection, now: int, asks: Sequence[int], *, terms: Terms, turns: fair.Turns, withhold: Withhold
) -> list[Claimed]:
    """Claim dispatches that are due, those with the longest wait and the highest priority first.

    No two replicas claim the same row. When more are due than are claimed, sources take `turns`.

    Each of `asks` is the limit of one caller, who gets one answer. Claims nothing during a global pause.
    """
    counter_values = counters.snapshot(conn)
    if counter_values["paused_since"]:
        return [Claimed() for _ in asks]
    most, first = sum(asks), 0
    if terms.spacing is not None:
        first = counters.next_start(conn, now, terms.spacing)
        most = min(most, counters.startable(first, now, terms.spacing))
    paused = counter_values["paused"]
    rows = _take(conn, now, most, paused, terms, turns)
    news_rows = news(conn, [row["dispatch_id"] for row in rows])
    orphans.drop_work(conn, [row["dispatch_id"] for row in rows if row["dispatch_id"] not in news_rows])
    complete = admit.hold_again(conn, now, [row for row in rows if row["dispatch_id"] in news_rows], news_rows)
    complete = rule_pauses.hold_claimed(conn, complete, news_rows, terms)
    claimed, withheld = withhold(conn, now, complete, news_rows, terms)
    starts = [counters.start_after(first, turn, now, terms.spacing) for turn in range(len(claimed))]
    if terms.spacing is not None and claimed:
        counters.take_starts(conn, first, len(claimed), terms.spacing)
    write_many(conn, _PACED, _paced(now, claimed, starts))
    taken = queue.messages(conn, {row["queue"] for row in claimed if row["follows"] and row["doubt"]})
    claims = iter(_claims(now, claimed, news_rows, starts, paused, terms, taken))
    answers = [Claimed(list(islice(claims, limit))) for limit in asks]
    return [Claimed(answers[0].claims, withheld), *answers[1:]] if withheld else answers


def _take(conn: Connection, now: int, most: int, paused: int, terms: Terms, turns: fair.Turns) -> list[Found]:
    if most <= 0:
        return []
    values = {"now": now, "until": now + terms.lease, "by": terms.owner, "paused": paused}
    shares = turns.share(conn, now, most)
    if shares is None:
        rows = run(conn, _CLAIM, values | {"most": most})
    else:
        rows = [
            row
            for source, share in shares.items()
            for row in run(conn, _CLAIM_OF, values | {"source": source, "most": share})
        ]
    turns.note(is_full=len(rows) == most)
    return sorted(rows, key=lambda row: str(row["dispatch_id"]))


def _paced(now: int, claimed: Sequence[Found], starts: Sequence[int]) -> list[Row]:
    """The starts of attempts that wait for their turn under the rate."""
    return [{"of": row["dispatch_id"], "at": now + start} for row, start in zip(claimed, starts, strict=True) if start]


def kind_of(state: str, *, follows: bool) -> str:
    """The kind of the attempts that are made in this state; `follows` says that it is in the chat of a thread."""
    return "follow" if follows else "message" if state == State.MESSAGING else "chat"


def _claims(
    now: int,
    claimed: Sequence[Found],
    news_rows: Rows,
    starts: Sequence[int],
    paused: int,
    terms: Terms,
    taken: Mapping[bytes, tuple[str, ...]],
) -> list[Claim]:
    return [
        claim_of(
            row,
            news_rows[row["dispatch_id"]],
            lease=terms.lease,
            waited=_waited(row, now, paused),
            start_in=start,
            taken=taken.get(row["queue"], ()),
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


def give_back(conn: Connection, now: int, *, keep: Collection[tuple[str, int]], terms: Terms) -> int:
    """Release the claims of this replica, except those in `keep`: a dispatch with its fence. Returns how many.

    The dispatches are as if they had not been claimed, but for the rows of their attempts, which are inserted as ended.
    """
    own_claims = select(work.c.fence, *(work.c[name] for name in _OPEN)).where(
        work.c.lease_until.is_not(None), work.c.owner == terms.owner
    )
    locked = conn.execute(own_claims.order_by(work.c.dispatch_id).with_for_update()).mappings().all()
    unused = [row for row in locked if (row["dispatch_id"], row["fence"]) not in keep]
    if unused:
        end_attempts(conn, unused, ended_at=now, verdict=Verdict.RETRYABLE)
        put_back(conn, now, [row["dispatch_id"] for row in unused])
    return len(unused)


def put_back(conn: Connection, now: int, ids: Sequence[str]) -> None:
    """Make claimed dispatches due, as if they had not been claimed. The rows are locked."""
    run(conn, _RETURN, {"ids": padded(ids), "now": now})


def end_attempts(conn: Connection, rows: Sequence[Found], *, ended_at: int | None, verdict: Verdict | None) -> None:
    """Insert the rows of the attempts that are open in these rows of `work`. `ended_at` is None when it is unknown."""
    ended: list[Row] = [
        {
            "dispatch_id": row["dispatch_id"],
            "run": row["run"],
            "kind": kind_of(row["state"], follows=row["follows"]),
            "number": row["number"],
            "started_at": row["started_at"],
            "ended_at": ended_at,
            "verdict": verdict and str(verdict),
        }
        for row in rows
        if row["started_at"] is not None
    ]
    write_many(conn, _ENDED, ended)


def sweep(conn: Connection, now: int, *, terms: Terms) -> int:
    """End expired leases, and leases that are too long because the clock was set back. Returns how many claims.

    Also deletes rows in `checking` that have no event, because `doubts` only reads.
    """
    orphans.drop_unseen(conn, now)
    stuck = outbox.c.lease_until > now + LONGEST_PUBLISHING
    conn.execute(update(outbox).where(stuck).values(due_at=now, lease_until=None))
    over = or_(work.c.lease_until <= now, work.c.lease_until > now + 2 * terms.lease)
    return _end_leases(conn, now, over, terms)


def pull_in(conn: Connection, now: int) -> None:
    """Make due what was due by a clock that has been set back since, and would wait until that time comes again.

    A dispatch that is `ready` is due as it becomes so; a result that could not be told waits for minutes at most.
    """
    ahead = (work.c.state == State.READY.value, work.c.due_at > now)
    conn.execute(update(work).where(*ahead).values(due_at=now))
    stuck = (outbox.c.lease_until.is_(None), outbox.c.due_at > now + SET_BACK)
    conn.execute(update(outbox).where(*stuck).values(due_at=now))


def void(conn: Connection, now: int, *, terms: Terms) -> int:
    """End every lease and grant, and make due what is. Returns how many claims.

    Only for a ledger that no other process can be using.
    """
    pull_in(conn, now)
    conn.execute(delete(leases))
    conn.execute(delete(slots))
    conn.execute(update(outbox).where(outbox.c.lease_until.is_not(None)).values(due_at=now, lease_until=None))
    return _end_leases(conn, now, work.c.lease_until.is_not(None), terms)


def _end_leases(conn: Connection, now: int, over: Any, terms: Terms) -> int:
    """End claims: `sending` becomes `checking`, `messaging` becomes due with a doubt. Returns how many.

    The search for a chat starts soon, because a chat may be found at once. A message is due only after `terms.settle`,
    because until then Cargo may still carry out the call, and a missing message proves nothing.
    """
    chosen = select(*(work.c[name] for name in _OPEN)).where(over).order_by(work.c.dispatch_id)
    rows = conn.execute(chosen.with_for_update(skip_locked=True)).mappings().all()
    end_attempts(conn, rows, ended_at=None, verdict=None)
    ids = [row["dispatch_id"] for row in rows]
    if ids:
        run(conn, _SWEEP, {"ids": padded(ids), "now": now, "soon": now + SOON, "settle": terms.settle})
    return len(ids)


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
    rows = run(conn, _FIRST_STARTS, {"ids": padded(ids)}) if ids else ()
    return {row["dispatch_id"]: row["first"] for row in rows}


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
