"""When dispatches have their turn: the columns of `work` by which they are claimed, held, and end as expired."""

from collections.abc import Sequence
from typing import Any, Final

from relay.ledger.engine.sql import Columns, Row
from relay.model import Dispatch, HeldBy, Hold, State

_HOLD: Final = ("queue", "queue_number", "window_id", "not_before", "cancel_key")


def work_columns(live: Sequence[Dispatch], now: int) -> Columns:
    """Rows of `work` for dispatches that are `held`, or can be claimed from now on."""
    return turn_columns(live, now) | {
        "dispatch_id": [dispatch.id for dispatch in live],
        "run": [dispatch.run for dispatch in live],
        "state": [str(dispatch.state) for dispatch in live],
        "due_at": [_due_at(dispatch.hold) if dispatch.state is State.HELD else now for dispatch in live],
    }


def only_row(columns: Columns) -> Row:
    """The row of columns that were made for one dispatch."""
    return {name: column[0] for name, column in columns.items()}


def turn_columns(live: Sequence[Dispatch], now: int) -> dict[str, Sequence[Any]]:
    """The columns of `work` that say when dispatches have their turn, which wait from `now` on."""
    columns: dict[str, Sequence[Any]] = {"source": [dispatch.source for dispatch in live]}
    if not any(dispatch.plan or dispatch.hold for dispatch in live):
        return columns
    given = [dispatch.plan or {} for dispatch in live]
    columns |= {
        "priority": [plan.get("priority", 5) for plan in given],
        "expires_at": [
            None if start is None or "expires" not in plan else start + plan["expires"]
            for start, plan in zip((_counts_from(dispatch.hold, now) for dispatch in live), given, strict=True)
        ],
    }
    if any(dispatch.hold for dispatch in live):
        holds = [dispatch.hold or Hold() for dispatch in live]
        columns["held_by"] = [None if hold.by is None else str(hold.by) for hold in holds]
        columns["paused_rule"] = [
            dispatch.rule if hold.by is HeldBy.PAUSE else None for dispatch, hold in zip(live, holds, strict=True)
        ]
        columns["follows"] = [hold.chat_uuid is not None for hold in holds]
        columns |= {name: [getattr(hold, name) for hold in holds] for name in _HOLD}
    return columns


def _counts_from(hold: Hold | None, now: int) -> int | None:
    """From when on the time counts for `expires`: not while a delay or a schedule holds it. None in a window."""
    if hold is None:
        return now
    if hold.by is HeldBy.DEBOUNCE:
        return None
    closed = hold.until if hold.by is HeldBy.SCHEDULE else None
    return max(now, hold.not_before or now, closed or now)


def _due_at(hold: Hold | None) -> int | None:
    """When a held dispatch can be claimed; None for one that something else lets go."""
    return None if hold is None or hold.by is HeldBy.DEBOUNCE else hold.until
