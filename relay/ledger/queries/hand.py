"""What a person does to dispatches by hand: retry, cancel, replay; and to sources: pause."""

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
    """The next run of a dispatch that ended without a chat or is parked. Raises NotFound, Conflict."""
    row, live = _lock(conn, dispatch_id)
    state = State(live["state"] if live is not None else row["state"])
    if state not in _WITHOUT_CHAT | {State.PARKED}:
        raise Conflict(
            f"dispatch {dispatch_id} is {state}: only one that ended without a chat, or is parked, is retried"
        )
    sent = _last_sent(conn, row, state)
    to = State.READY if sent is None else State.CHECKING
    anew = {} if rendered is None else _rendering(rendered, vault_of(conn))
    conn.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch_id)
        .values(run=row["run"] + 1, state=None, park=None, attempts=0, updated_at=now, **failure_row(None), **anew)
    )
    conn.execute(insert(work).values(_next_run(conn, now, row, to, sent)))
    again = conn.execute(select(dispatches).where(dispatches.c.id == dispatch_id)).mappings().one()
    return dispatch_from(legible(again, vault_of(conn)), to)


def _lock(conn: Connection, dispatch_id: str) -> tuple[RowMapping, RowMapping | None]:
    """The rows of a dispatch. Its event is locked first, as by whoever prunes it: either comes first as a whole."""
    owner = select(dispatches.c.event_id).where(dispatches.c.id == dispatch_id).scalar_subquery()
    if conn.execute(select(events.c.id).where(events.c.id == owner).with_for_update()).first() is None:
        raise _missing(dispatch_id)
    live = conn.execute(select(work).where(work.c.dispatch_id == dispatch_id).with_for_update()).mappings().first()
    row = conn.execute(select(dispatches).where(dispatches.c.id == dispatch_id).with_for_update()).mappings().first()
    if row is None:
        raise _missing(dispatch_id)
    return row, live


def _missing(dispatch_id: str) -> NotFound:
    return NotFound(f"there is no dispatch {dispatch_id} in the ledger (it may have been pruned)")


def _next_run(conn: Connection, now: int, row: RowMapping, to: State, sent: int | None) -> dict[str, Any]:
    """A row of work; one that begins with a look waits from now on, not from its next call.

    A person who was shown chats that may be the one, and retries all the same, has decided.
    """
    looks = to is State.CHECKING
    return {
        "dispatch_id": row["id"],
        "run": row["run"] + 1,
        "state": to.value,
        "due_at": None if looks else now,
        "look_at": now if looks else None,
        "first_attempt_at": now if looks else None,
        "paused_before": counters.paused_total(conn, now) if looks else 0,
        "last_ended_at": sent,
        "doubt": looks and row["failure_code"] == UNSTAMPED,
        "fence": now,  # above any that a row of this dispatch had
    }


def _last_sent(conn: Connection, row: RowMapping, state: State) -> int | None:
    """When the last call that may have left a chat ended; None when there surely is no chat.

    An attempt whose end is not known had ended when its lease did, before the dispatch was parked.
    """
    last = select(func.max(func.coalesce(attempts.c.ended_at, row["updated_at"])))
    mine = last.where(attempts.c.dispatch_id == row["id"], attempts.c.kind == "chat")
    if state is State.CANCELLED:
        mine = mine.where(_may_have_left_one())
    elif state is not State.PARKED:
        mine = mine.where(attempts.c.chat_uuid.is_not(None))
    ended: int | None = conn.execute(mine).scalar()
    return ended


def _may_have_left_one() -> ColumnElement[bool]:
    """An attempt that made a chat, or of which it is not known."""
    verdict = attempts.c.verdict
    return or_(attempts.c.chat_uuid.is_not(None), verdict.is_(None), verdict == Verdict.UNKNOWN.value)


def _rendering(rendered: Dispatch, vault: Vault) -> dict[str, Any]:
    names = ("trigger_type", "agent_uuid", "on_unknown")
    kept = {name: sealed(vault, rendered.id, name, getattr(rendered, name)) for name in SEALED}
    return kept | {name: getattr(rendered, name) for name in names}


def cancel(conn: Connection, now: int, *, dispatch_id: str, terms: Terms) -> Dispatch:
    """End it, or, while its outcome is open, ask for its end. Raises NotFound, Conflict."""
    row, live = _lock(conn, dispatch_id)
    told = legible(row, vault_of(conn))
    state = State(live["state"] if live is not None else row["state"])
    if live is not None and state in _OPEN:
        conn.execute(update(work).where(work.c.dispatch_id == dispatch_id).values(cancelling=True))
        return dispatch_from(told, state)
    if state is not State.PARKED and state not in _CANCELLABLE:
        why = "its chat exists" if state in LIVE | {State.DONE} else f"it has ended as {state}"
        raise Conflict(f"dispatch {dispatch_id} cannot be cancelled: {why}")
    _end(conn, now, row, live, state, terms)
    return dispatch_from(told, State.CANCELLED)


def _end(
    conn: Connection, now: int, row: RowMapping, live: Mapping[Any, Any] | None, state: State, terms: Terms
) -> None:
    told = news(conn, [row["id"]])[row["id"]]
    made = row["attempts"] if live is None else live["attempts"]
    result = tell.failed(about_of(told), dispatch_of(told), _CANCELLED, attempts=made, now=now)
    if live is not None:
        move = Move(row["id"], row["run"], state, State.CANCELLED, live["fence"], failure=_CANCELLED, results=(result,))
        record.record(conn, now, [move], terms=terms)
        return
    ended = {"state": State.CANCELLED.value, "park": None, "updated_at": now, **failure_row(_CANCELLED)}
    conn.execute(update(dispatches).where(dispatches.c.id == row["id"]).values(ended))
    outbox.enqueue(conn, now, [result], terms)


def extend(
    conn: Connection, now: int, *, event_id: str, entry: Entry, again: bool, terms: Terms
) -> list[tuple[str, str]]:
    """Add the dispatches of a replay whose rules have not made, and will not make, a chat. Raises NotFound."""
    held = conn.execute(select(events.c.id).where(events.c.id == event_id).with_for_update()).first()
    if held is None:
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
    """Rules that made, or may have made, or may still make, a chat of this event."""
    without = [state.value for state in _WITHOUT_CHAT]
    cancelled = dispatches.c.state == State.CANCELLED.value
    unsure = exists().where(attempts.c.dispatch_id == dispatches.c.id, attempts.c.kind == "chat", _may_have_left_one())
    may = or_(
        func.coalesce(dispatches.c.state, "").not_in(without),
        dispatches.c.duplicates.is_not(None),
        cancelled & unsure,
    )
    return frozenset(conn.execute(select(dispatches.c.rule).where(dispatches.c.event_id == event_id, may)).scalars())


def pause_source(conn: Connection, now: int, *, name: str, paused: bool) -> None:
    """Pause or resume a source."""
    if paused:
        conn.execute(keep_first(paused_sources, conn.dialect.name), {"name": name, "paused_at": now})
    else:
        conn.execute(delete(paused_sources).where(paused_sources.c.name == name))
