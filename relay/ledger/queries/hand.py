"""Actions of a person: retry and cancel a dispatch, replay an event, pause a source."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, exists, func, insert, or_, select, update

from relay.errors import Conflict, NotFound
from relay.ledger.engine.sql import keep_first
from relay.ledger.engine.vault import Vault, vault_of
from relay.ledger.queries import counters, outbox, record
from relay.ledger.queries.browse import dispatch_from
from relay.ledger.queries.inbox import insert_dispatches
from relay.ledger.queries.rows import SEALED, about_of, dispatch_of, failure_row, legible, sealed
from relay.ledger.queries.work import news
from relay.ledger.schema import attempts, dispatches, events, paused_sources, work
from relay.ledger.terms import Terms
from relay.model import ENDED, LIVE, UNSTAMPED, Dispatch, Entry, EventStatus, Failure, Move, State, Verdict, tell

_CANCELLED: Final = Failure("cancelled", "cancelled by a person")
_WITHOUT_CHAT: Final = ENDED - {State.DONE}
_CANCELLABLE: Final = frozenset({State.READY, State.HELD, State.WAITING})
_OPEN: Final = frozenset({State.SENDING, State.CHECKING})


def retry(conn: Connection, now: int, *, dispatch_id: str, rendered: Dispatch | None) -> Dispatch:
    """Start the next run of a dispatch that ended without a chat or is parked. Raises NotFound, Conflict.

    `rendered` replaces what was rendered before. A dispatch whose chat may exist starts in `checking`, so that the chat
    is looked for before another one is made.
    """
    row, live = _lock(conn, dispatch_id)
    state = State(live["state"] if live is not None else row["state"])
    if state not in _WITHOUT_CHAT | {State.PARKED}:
        raise Conflict(
            f"dispatch {dispatch_id} is {state}: only one that ended without a chat, or is parked, is retried"
        )
    sent = _last_sent(conn, row, state)
    to = State.READY if sent is None else State.CHECKING
    rendering = {} if rendered is None else _rendering(rendered, vault_of(conn))
    conn.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch_id)
        .values(run=row["run"] + 1, state=None, park=None, attempts=0, updated_at=now, **failure_row(None), **rendering)
    )
    conn.execute(insert(work).values(_next_run(conn, now, row, to, sent)))
    updated = conn.execute(select(dispatches).where(dispatches.c.id == dispatch_id)).mappings().one()
    return dispatch_from(legible(updated, vault_of(conn)), to)


def _lock(conn: Connection, dispatch_id: str) -> tuple[RowMapping, RowMapping | None]:
    """Lock a dispatch. Returns its rows of `dispatches` and, while it is live, of `work`. Raises NotFound."""
    # The event is locked first, as `prune` does: so one of the two is wholly done before the other begins.
    event_id = select(dispatches.c.event_id).where(dispatches.c.id == dispatch_id).scalar_subquery()
    if conn.execute(select(events.c.id).where(events.c.id == event_id).with_for_update()).first() is None:
        raise _missing(dispatch_id)
    # `work` before `dispatches`, as `record` locks them: another order could deadlock with it.
    live = conn.execute(select(work).where(work.c.dispatch_id == dispatch_id).with_for_update()).mappings().first()
    row = conn.execute(select(dispatches).where(dispatches.c.id == dispatch_id).with_for_update()).mappings().first()
    if row is None:
        raise _missing(dispatch_id)
    return row, live


def _missing(dispatch_id: str) -> NotFound:
    return NotFound(f"there is no dispatch {dispatch_id} in the ledger (it may have been pruned)")


def _next_run(conn: Connection, now: int, row: RowMapping, to: State, sent: int | None) -> dict[str, Any]:
    """The row of `work` of the next run. `sent` is the end of the last call that may have made a chat.

    A run that starts in `checking` counts its waiting time from now, not from its next call. `doubt` is set when a
    person retries after seeing chats that may be the right one: they have decided that it is sent again.
    """
    checking = to is State.CHECKING
    return {
        "dispatch_id": row["id"],
        "run": row["run"] + 1,
        "state": to.value,
        "due_at": None if checking else now,
        "look_at": now if checking else None,
        "first_attempt_at": now if checking else None,
        "paused_before": counters.paused_total(conn, now) if checking else 0,
        "last_ended_at": sent,
        "doubt": checking and row["failure_code"] == UNSTAMPED,
        "fence": now,  # above any fence of an earlier row, so that a replica which still holds one is refused
    }


def _last_sent(conn: Connection, row: RowMapping, state: State) -> int | None:
    """When the last call that may have made a chat ended, in milliseconds; None when there is certainly no chat.

    An attempt without an end had ended by the end of its lease, which was before the dispatch was parked.
    """
    last = select(func.max(func.coalesce(attempts.c.ended_at, row["updated_at"])))
    last_call = last.where(attempts.c.dispatch_id == row["id"], attempts.c.kind == "chat")
    if state is State.CANCELLED:
        last_call = last_call.where(_may_have_made_chat())
    elif state is not State.PARKED:
        last_call = last_call.where(attempts.c.chat_uuid.is_not(None))
    ended_at: int | None = conn.execute(last_call).scalar()
    return ended_at


def _may_have_made_chat() -> ColumnElement[bool]:
    """Whether an attempt made a chat or its outcome is unknown."""
    verdict = attempts.c.verdict
    return or_(attempts.c.chat_uuid.is_not(None), verdict.is_(None), verdict == Verdict.UNKNOWN.value)


def _rendering(rendered: Dispatch, vault: Vault) -> dict[str, Any]:
    plain_names = ("trigger_type", "agent_uuid", "on_unknown")
    sealed_columns = {name: sealed(vault, rendered.id, name, getattr(rendered, name)) for name in SEALED}
    return sealed_columns | {name: getattr(rendered, name) for name in plain_names}


def cancel(conn: Connection, now: int, *, dispatch_id: str, terms: Terms) -> Dispatch:
    """Cancel a dispatch. Raises NotFound, Conflict.

    While the outcome of a call is open, the dispatch is only marked: it is cancelled once it is known to have no chat.
    """
    row, live = _lock(conn, dispatch_id)
    legible_row = legible(row, vault_of(conn))
    state = State(live["state"] if live is not None else row["state"])
    if live is not None and state in _OPEN:
        conn.execute(update(work).where(work.c.dispatch_id == dispatch_id).values(cancelling=True))
        return dispatch_from(legible_row, state)
    if state is not State.PARKED and state not in _CANCELLABLE:
        why = "its chat exists" if state in LIVE | {State.DONE} else f"it has ended as {state}"
        raise Conflict(f"dispatch {dispatch_id} cannot be cancelled: {why}")
    _end(conn, now, row, live, state, terms)
    return dispatch_from(legible_row, State.CANCELLED)


def _end(
    conn: Connection, now: int, row: RowMapping, live: Mapping[Any, Any] | None, state: State, terms: Terms
) -> None:
    news_row = news(conn, [row["id"]])[row["id"]]
    attempts_made = row["attempts"] if live is None else live["attempts"]
    result = tell.failed(about_of(news_row), dispatch_of(news_row), _CANCELLED, attempts=attempts_made, now=now)
    if live is not None:
        move = Move(row["id"], row["run"], state, State.CANCELLED, live["fence"], failure=_CANCELLED, results=(result,))
        record.record(conn, now, [move], terms=terms)
        return
    cancelled = {"state": State.CANCELLED.value, "park": None, "updated_at": now, **failure_row(_CANCELLED)}
    conn.execute(update(dispatches).where(dispatches.c.id == row["id"]).values(cancelled))
    outbox.enqueue(conn, now, [result], terms)


def extend(
    conn: Connection, now: int, *, event_id: str, entry: Entry, again: bool, terms: Terms
) -> list[tuple[str, str]]:
    """Add the dispatches of a replay. Returns the pairs (dispatch id, rule) that were added. Raises NotFound.

    Rules that made, may have made or may still make a chat of this event are left out, unless `again`.
    """
    # The lock keeps `prune` from deleting the event, and another replay from adding the same rules meanwhile.
    event_row = conn.execute(select(events.c.id).where(events.c.id == event_id).with_for_update()).first()
    if event_row is None:
        raise NotFound(f"there is no event {event_id} in the ledger (it may have been pruned)")
    done = frozenset() if again else _rules_with_chat(conn, event_id)
    added = [dispatch for dispatch in entry.dispatches if dispatch.rule not in done]
    insert_dispatches(conn, now, added)
    ids = {dispatch.id for dispatch in added}
    outbox.enqueue(conn, now, [result for result in entry.results if result.dispatch_id in ids], terms)
    if added:
        conn.execute(update(events).where(events.c.id == event_id).values(status=EventStatus.ACCEPTED.value))
    return [(dispatch.id, dispatch.rule) for dispatch in added]


def _rules_with_chat(conn: Connection, event_id: str) -> frozenset[str]:
    """Rules that made, may have made or may still make a chat of this event."""
    states = [state.value for state in _WITHOUT_CHAT]
    cancelled = dispatches.c.state == State.CANCELLED.value
    unsure = exists().where(attempts.c.dispatch_id == dispatches.c.id, attempts.c.kind == "chat", _may_have_made_chat())
    may_have_chat = or_(
        func.coalesce(dispatches.c.state, "").not_in(states),
        dispatches.c.duplicates.is_not(None),
        cancelled & unsure,
    )
    rules = select(dispatches.c.rule).where(dispatches.c.event_id == event_id, may_have_chat)
    return frozenset(conn.execute(rules).scalars())


def pause_source(conn: Connection, now: int, *, name: str, paused: bool) -> None:
    """Pause or resume a source."""
    if paused:
        conn.execute(keep_first(paused_sources, conn.dialect.name), {"name": name, "paused_at": now})
    else:
        conn.execute(delete(paused_sources).where(paused_sources.c.name == name))
