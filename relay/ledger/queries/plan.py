"""The changes of a batch of moves, collected row by row and written table by table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, update

from relay.ledger.engine.sql import Row, padded
from relay.ledger.engine.writes import Writes
from relay.ledger.queries import days, outbox
from relay.ledger.queries.keys import queue
from relay.ledger.queries.rows import encode, failure_row
from relay.ledger.queries.work import IS_ATTEMPT, kind_of
from relay.ledger.schema import attempts, dispatches, work
from relay.ledger.terms import Terms
from relay.model import LIVE, Due, Failure, Move, Result, State

_ATTEMPT: Final = (
    update(attempts)
    .where(IS_ATTEMPT)
    .values(
        ended_at=func.coalesce(attempts.c.ended_at, bindparam("ended")),
        verdict=func.coalesce(bindparam("to_verdict"), attempts.c.verdict),
        failure_code=bindparam("failure_code"),
        failure_status=bindparam("failure_status"),
        failure_message=bindparam("failure_message"),
        chat_uuid=bindparam("chat_uuid"),
    )
)
_ENDED: Final = insert(attempts)
_WORK_COLUMNS: Final = (
    *("state", "due_at", "look_at", "lease_until", "owner", "number", "attempts", "first_attempt_at"),
    *("paused_before", "started_at", "last_ended_at", "looks", "doubt", "fence", "follows", "expires_at"),
)
_WORK: Final = (
    update(work)
    .where(work.c.dispatch_id == bindparam("of"))
    .values({name: bindparam(f"to_{name}") for name in _WORK_COLUMNS})
)
_DISPATCH: Final = (
    update(dispatches)
    .where(dispatches.c.id == bindparam("of"))
    .values(
        state=bindparam("to_state"),
        chat_uuid=func.coalesce(bindparam("to_chat"), dispatches.c.chat_uuid),
        chat_agent=func.coalesce(bindparam("to_agent"), dispatches.c.chat_agent),
        reconciled=or_(dispatches.c.reconciled, bindparam("to_reconciled")),
        duplicates=func.nullif(func.coalesce(bindparam("others"), dispatches.c.duplicates), "[]"),
        attempts=bindparam("to_attempts"),
        park=bindparam("to_park"),
        cause=bindparam("to_cause"),
        cause_event=bindparam("to_cause_event"),
        failure_code=bindparam("failure_code"),
        failure_status=bindparam("failure_status"),
        failure_message=bindparam("failure_message"),
        updated_at=bindparam("now"),
    )
)
_FORGET: Final = update(dispatches).where(dispatches.c.id == bindparam("of")).values(chat_uuid=None, chat_agent=None)
_DUPLICATES: Final = (
    update(dispatches)
    .where(dispatches.c.id == bindparam("of"))
    .values(duplicates=bindparam("others"), updated_at=bindparam("now"))
)
_REVIVED: Final = insert(work)
_OVER: Final = delete(work).where(work.c.dispatch_id.in_(bindparam("ids", expanding=True)))


@dataclass(slots=True)
class Plan:
    """Rows to write at `now`. `write` executes one statement per kind of change; rows must be added in key order."""

    now: int
    ended: list[Row] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)
    work: list[Row] = field(default_factory=list)
    revived: list[Row] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    dispatches: list[Row] = field(default_factory=list)
    duplicates: list[Row] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    gone: list[queue.Member] = field(default_factory=list)
    """Members of queues that have ended."""
    said: dict[str, str] = field(default_factory=dict)
    """The uuids of messages that were said, by dispatch."""
    forgotten: list[Row] = field(default_factory=list)
    stopped: list[queue.Member] = field(default_factory=list)
    """Members of queues that were parked."""
    claimed: dict[str, int] = field(default_factory=dict)
    """The fences of claims that follow at once, by dispatch."""

    def end_attempt(self, move: Move, started_at: int) -> None:
        """Store the attempt that is open in the row of `work`, with its outcome and chat."""
        self.ended.append(
            {
                "dispatch_id": move.dispatch_id,
                "run": move.run,
                "kind": kind_of(move.was, follows=move.follows),
                "number": move.attempt,
                "started_at": started_at,
                "ended_at": self.now,
                "verdict": move.verdict and str(move.verdict),
                **failure_row(move.failure),
                "chat_uuid": move.chat and move.chat.uuid,
            }
        )

    def update_attempt(self, move: Move) -> None:
        """Store the outcome and chat of an attempt whose lease ended before, whether or not the move is applied."""
        if move.attempt and (move.verdict is not None or move.chat is not None):
            self.attempts.append(
                {
                    "of": move.dispatch_id,
                    "in_run": move.run,
                    "as_kind": kind_of(move.was, follows=move.follows),
                    "at": move.attempt,
                    "ended": self.now,
                    "to_verdict": move.verdict and str(move.verdict),
                    **failure_row(move.failure),
                    "chat_uuid": move.chat and move.chat.uuid,
                }
            )

    def apply(
        self,
        move: Move,
        row: Mapping[Any, Any],
        *,
        duplicates: Sequence[str] | None = None,
        revive: bool = False,
        next_claim: Row | None = None,
    ) -> None:
        """Apply a move to its row of `work`.

        `revive` inserts the row, which a parked dispatch does not have. `duplicates` replaces the stored list; None
        leaves it unchanged. `next_claim` are the columns of a claim that follows at once.
        """
        after = _after(move, row, self.now)
        if next_claim is not None:
            after |= next_claim
            self.claimed[move.dispatch_id] = next_claim["fence"]
        if move.to in LIVE:
            if revive:
                self.revived.append(after | {"source": row["source"]})
            else:
                self.work.append(after)
        elif not revive:
            self.over.append(move.dispatch_id)
        if move.to not in LIVE and row["queue"] is not None:
            (self.stopped if move.to is State.PARKED else self.gone).append((row["queue"], move.dispatch_id))
        if move.to not in LIVE or move.chat is not None:
            self.dispatches.append(_dispatch_row(move, after, duplicates, self.now))
        if move.message_uuid is not None:
            self.said[move.dispatch_id] = move.message_uuid
        if move.forgets:
            self.forgotten.append({"of": move.dispatch_id})
        self.results.extend(move.results)

    def add_duplicates(self, dispatch_id: str, uuids: Sequence[str]) -> None:
        """Store the whole list of chats that were made for a dispatch beside its own."""
        self.duplicates.append({"of": dispatch_id, "others": encode(list(uuids)), "now": self.now})

    def write(self, conn: Connection, terms: Terms, offers: Mapping[str, int]) -> dict[str, list[Due]]:
        """Write all changes. Returns the deliveries that are born leased, by dispatch.

        `offers` are the places that the publisher offers for the results of a dispatch.
        """
        # `work` comes before `dispatches`, the order in which every operation locks the two tables. Where these writes
        # share a statement, `record` has locked the rows of `work` already.
        with Writes(conn) as writes:
            writes.change(_WORK, [_prefixed(row) for row in self.work])
            writes.insert_rows(_REVIVED, self.revived)
            if self.over:
                writes.run(_OVER, {"ids": padded(self.over)})
            writes.insert_rows(_ENDED, self.ended)
            writes.change(_ATTEMPT, self.attempts)
            for statement, rows in days.split(conn, _DISPATCH, dispatches.c.id, self.dispatches, "of"):
                writes.change(statement, rows)
            writes.change(_DUPLICATES, self.duplicates)
            writes.change(_FORGET, self.forgotten)
            deliveries = outbox.enqueue(writes, self.now, self.results, terms, offers)
        queue.leave(conn, self.now, self.gone, self.stopped, self.said)
        return deliveries


def _prefixed(row: Row) -> Row:
    return {"of": row["dispatch_id"]} | {f"to_{name}": row[name] for name in _WORK_COLUMNS}


def _after(move: Move, row: Mapping[Any, Any], now: int) -> Row:
    """The row of `work` after the move."""
    after = {
        **row,
        "state": str(move.to),
        "due_at": None,
        "look_at": None,
        "lease_until": None,
        "owner": None,
        "started_at": None,
        "attempts": row["attempts"] - (move.uncounted and (row["follows"] or move.was is State.SENDING)),
        "doubt": move.doubt,
    }
    if move.uncounted and _is_untried(move, after):
        after |= {"first_attempt_at": None, "paused_before": 0}
    when = now + (move.due_in or 0)
    if move.to is State.CHECKING:
        again = move.was is State.CHECKING
        after |= {
            "look_at": when,
            "looks": row["looks"] + 1 if again else 0,
            "last_ended_at": row["last_ended_at"] if again else now,
        }
    elif move.to is not State.HELD:
        after["due_at"] = when
    if move.to is State.MESSAGING and move.was is not State.MESSAGING:
        # A chat that exists does not expire any more, however long its message waits.
        after |= {"number": 0, "first_attempt_at": None, "paused_before": 0, "expires_at": None}
    if move.to is State.READY and move.was is State.MESSAGING:
        # The chat of its thread is gone. The dispatch has begun all the same: `first_attempt_at` and `attempts` stay,
        # so that no key judges, holds or ends it again, and the time until giving up is counted from its first call.
        after |= {"number": 0, "follows": False}
    return after


def _is_untried(move: Move, after: Row) -> bool:
    """Whether no attempt remains once this one is given back, so that the time until giving up starts anew."""
    is_first_message = move.was is State.MESSAGING and not after["follows"]
    return bool(after["number"] == 1 if is_first_message else after["attempts"] == 0)


def _dispatch_row(move: Move, after: Row, duplicates: Sequence[str] | None, now: int) -> Row:
    failure: Failure | None = move.failure
    return {
        "of": move.dispatch_id,
        "to_state": None if move.to in LIVE else str(move.to),
        "to_chat": move.chat and move.chat.uuid,
        "to_agent": move.chat and move.chat.agent_uuid,
        "to_reconciled": move.reconciled,
        "others": None if duplicates is None else encode(list(duplicates)),
        "to_attempts": after["attempts"],
        "to_park": move.park and str(move.park),
        "to_cause": move.cause,
        "to_cause_event": move.cause_event,
        **failure_row(failure),
        "now": now,
    }
