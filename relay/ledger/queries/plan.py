"""The changes of a batch of moves, collected row by row and written table by table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, update

from relay.ledger.engine.sql import Row, padded, run, write_many
from relay.ledger.queries import outbox
from relay.ledger.queries.rows import encode, failure_row
from relay.ledger.queries.work import IS_ATTEMPT, kind_of
from relay.ledger.schema import attempts, dispatches, work
from relay.ledger.terms import Terms
from relay.model import LIVE, Failure, Move, Result, State

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
_WORK_COLUMNS: Final = (
    *("state", "due_at", "look_at", "lease_until", "owner", "number", "attempts", "first_attempt_at"),
    *("paused_before", "last_ended_at", "looks", "doubt"),
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
        failure_code=bindparam("failure_code"),
        failure_status=bindparam("failure_status"),
        failure_message=bindparam("failure_message"),
        updated_at=bindparam("now"),
    )
)
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
    attempts: list[Row] = field(default_factory=list)
    work: list[Row] = field(default_factory=list)
    revived: list[Row] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    dispatches: list[Row] = field(default_factory=list)
    duplicates: list[Row] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def keep_attempt(self, move: Move) -> None:
        """Store the attempt's outcome and chat in its row, whether or not the move is applied."""
        if move.attempt and (move.verdict is not None or move.chat is not None):
            self.attempts.append(
                {
                    "of": move.dispatch_id,
                    "in_run": move.run,
                    "as_kind": kind_of(move.was),
                    "at": move.attempt,
                    "ended": self.now,
                    "to_verdict": move.verdict and str(move.verdict),
                    **failure_row(move.failure),
                    "chat_uuid": move.chat and move.chat.uuid,
                }
            )

    def apply(
        self, move: Move, row: Mapping[Any, Any], *, duplicates: Sequence[str] | None = None, revive: bool = False
    ) -> None:
        """Apply a move to its row of `work`.

        `revive` inserts the row, which a parked dispatch does not have. `duplicates` replaces the stored list; None
        leaves it unchanged.
        """
        after = _after(move, row, self.now)
        if move.to in LIVE:
            (self.revived if revive else self.work).append(after)
        elif not revive:
            self.over.append(move.dispatch_id)
        if move.to not in LIVE or move.chat is not None:
            self.dispatches.append(_dispatch_row(move, after, duplicates, self.now))
        self.results.extend(move.results)

    def add_duplicates(self, dispatch_id: str, uuids: Sequence[str]) -> None:
        """Store the whole list of chats that were made for a dispatch beside its own."""
        self.duplicates.append({"of": dispatch_id, "others": encode(list(uuids)), "now": self.now})

    def write(self, conn: Connection, terms: Terms) -> None:
        """Write all changes.

        `work` comes before `dispatches`, the order in which every operation locks the two tables.
        """
        write_many(conn, _WORK, [_prefixed(row) for row in self.work])
        write_many(conn, _REVIVED, self.revived)
        if self.over:
            run(conn, _OVER, {"ids": padded(self.over)})
        write_many(conn, _ATTEMPT, self.attempts)
        write_many(conn, _DISPATCH, self.dispatches)
        write_many(conn, _DUPLICATES, self.duplicates)
        outbox.enqueue(conn, self.now, self.results, terms)


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
        "attempts": row["attempts"] - (move.uncounted and move.was is State.SENDING),
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
        after |= {"number": 0, "first_attempt_at": None, "paused_before": 0}
    return after


def _is_untried(move: Move, after: Row) -> bool:
    """Whether no attempt remains once this one is given back, so that the time until giving up starts anew."""
    return bool(after["number"] == 1 if move.was is State.MESSAGING else after["attempts"] == 0)


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
        **failure_row(failure),
        "now": now,
    }
