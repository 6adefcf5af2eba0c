"""Actions of a person: retry and cancel a dispatch, replay an event, pause a source."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from relay.errors import Conflict, NotFound
from relay.ledger.engine.sql import Found, keep_first
from relay.ledger.engine.vault import Vault, vault_of
from relay.ledger.engine.writes import Writes
from relay.ledger.queries import counters, keys, outbox, record
from relay.ledger.queries.browse import dispatch_from
from relay.ledger.queries.inbox import insert_dispatches
from relay.ledger.queries.keys import memory, once, queue
from relay.ledger.queries.labels import mark_row, replace_labels
from relay.ledger.queries.rows import (
    SEALED,
    about_of,
    dispatch_of,
    failure_row,
    legible,
    plan_of,
    plan_text,
    sealed,
    sealed_skips,
    skips_of,
    skips_text,
)
from relay.ledger.queries.turn import only_row, turn_columns
from relay.ledger.queries.work import news
from relay.ledger.schema import attempts, dispatches, events, paused_sources, work
from relay.ledger.terms import Terms
from relay.model import (
    ENDED,
    ERASED,
    LIVE,
    UNSTAMPED,
    Dispatch,
    Entry,
    EventStatus,
    Failure,
    Hold,
    Move,
    Skip,
    State,
    Verdict,
    Why,
    tell,
)

_CANCELLED: Final = Failure("cancelled", "cancelled by a person")
_WITHOUT_CHAT: Final = ENDED - {State.DONE}
_ON_PURPOSE: Final = frozenset({State.SUPERSEDED, State.SUPPRESSED, State.CANCELLED})
_NOTHING_NEW: Final = frozenset({Why.UNCHANGED, Why.STALE})
_RETRIED: Final = _WITHOUT_CHAT | {State.PARKED, State.HELD}
_CANCELLABLE: Final = frozenset({State.READY, State.HELD, State.WAITING})
_OPEN: Final = frozenset({State.SENDING, State.CHECKING})
_EVENT: Final = (
    select(events.c.id, events.c.unreadable, events.c.skips).where(events.c.id == bindparam("of")).with_for_update()
)


def retry(conn: Connection, now: int, *, dispatch_id: str, rendered: Dispatch | None, terms: Terms) -> Dispatch:
    """Start the next run of a dispatch that ended without a chat, is parked or is held. Raises NotFound, Conflict.

    One that was held goes now, whatever key held it; while its rule is paused that is a Conflict. Where it has the turn
    of its queue it keeps that. Any other waits for its turn where its rule has an `order`. It takes its key of `once`
    where nobody has it. `rendered` replaces what was rendered before. A dispatch whose chat may exist starts in
    `checking`, so that the chat is looked for before another one is made.
    """
    row, live = _lock(conn, dispatch_id)
    if conn.execute(select(events.c.unreadable).where(events.c.id == row["event_id"])).scalar() == ERASED:
        raise Conflict(f"dispatch {dispatch_id} cannot be retried: its event {row['event_id']} was {ERASED}")
    state = State(live["state"] if live is not None else row["state"])
    if state not in _RETRIED:
        raise Conflict(
            f"dispatch {dispatch_id} is {state}: only one that ended without a chat, is parked or is held is retried"
        )
    if live is not None and live["paused_rule"] is not None:
        rule = live["paused_rule"]
        raise Conflict(f"dispatch {dispatch_id} cannot be retried: its rule {rule} is paused: resume the rule")
    sent = None if state is State.HELD else _last_sent(conn, row, state)
    rendering = {} if rendered is None else _rendering(rendered, vault_of(conn))
    plan = plan_of(legible(row, vault_of(conn))) if rendered is None else rendered.plan or {}
    queues = [None if live is None else live["queue"], queue.of(row["rule"], plan)]
    # All at once, because all locks of keys are taken in one order.
    memory.lock(conn, [key for key in (once.of(row["rule"], plan), *queues) if key is not None])
    once.rejoin(conn, now, row["rule"], plan, dispatch_id, looks=sent is not None, terms=terms)
    if live is not None:
        conn.execute(delete(work).where(work.c.dispatch_id == dispatch_id))
        hold = _place(conn, now, row, live, plan)
    else:
        hold = queue.rejoin(conn, now, row["rule"], plan, dispatch_id, waits=sent is None)
    again = replace(dispatch_of(row), run=row["run"] + 1, plan=plan, hold=hold)
    to = _state(hold, looks=sent is not None)
    if "thread" in plan or (live is not None and live["follows"]):
        rendering |= {"chat_uuid": hold and hold.chat_uuid, "chat_agent": hold and hold.chat_agent}
    conn.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch_id)
        .values(
            run=row["run"] + 1,
            state=None,
            park=None,
            cause=None,
            cause_event=None,
            attempts=0,
            updated_at=now,
            **failure_row(None),
            **rendering,
        )
    )
    if rendered is not None:
        replace_labels(conn, row["event_id"])
    conn.execute(insert(work).values(_next_run(conn, now, again, to, sent, row["failure_code"])))
    updated = conn.execute(select(dispatches).where(dispatches.c.id == dispatch_id)).mappings().one()
    return dispatch_from(legible(updated, vault_of(conn)), to)


def _place(conn: Connection, now: int, row: Found, live: Found, plan: Mapping[str, Any]) -> Hold | None:
    """The place of a held dispatch that goes now: its turn, with the chat in which it goes on, or one that is free.

    None where it goes past others. Nobody gives it the turn meanwhile: its row of `work`, which that locks, is locked.
    """
    key, left, dispatch_id = queue.of(row["rule"], plan), live["queue"], row["id"]
    if key is not None and key == left and queue.turns(conn, [key]).get(key) == dispatch_id:
        hold = Hold(queue=key, queue_number=live["queue_number"])
        return replace(hold, chat_uuid=row["chat_uuid"], chat_agent=row["chat_agent"]) if live["follows"] else hold
    if left is not None:
        queue.leave(conn, now, [(left, dispatch_id)], [], {})
    if key is None or queue.turns(conn, [key]):
        return None
    return queue.rejoin(conn, now, row["rule"], plan, dispatch_id, waits=True)


def _state(hold: Hold | None, *, looks: bool) -> State:
    """The state in which a run begins. With `looks` a chat is looked for first."""
    if looks:
        return State.CHECKING
    if hold is None:
        return State.READY
    return State.HELD if hold.by else State.MESSAGING if hold.chat_uuid else State.READY


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


def _next_run(
    conn: Connection, now: int, dispatch: Dispatch, to: State, sent: int | None, failure_code: str | None
) -> dict[str, Any]:
    """The row of `work` of the next run. `sent` is the end of the last call that may have made a chat.

    A run that starts in `checking` counts its waiting time from now, not from its next call. `doubt` is set when a
    person retries after seeing chats that may be the right one: they have decided that it is sent again.
    """
    checking = to is State.CHECKING
    return {
        "dispatch_id": dispatch.id,
        "run": dispatch.run,
        "state": to.value,
        "due_at": now if to in {State.READY, State.MESSAGING} else None,
        "look_at": now if checking else None,
        "first_attempt_at": now if checking else None,
        "paused_before": counters.paused_total(conn, now) if checking else 0,
        "last_ended_at": sent,
        "doubt": checking and failure_code == UNSTAMPED,
        **only_row(turn_columns([dispatch], now)),
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
    texts = {name: getattr(rendered, name) for name in SEALED} | {"plan": plan_text(rendered.plan)}
    sealed_columns = {name: sealed(vault, rendered.id, name, text) for name, text in texts.items()}
    plain = {name: getattr(rendered, name) for name in ("trigger_type", "agent_uuid", "on_unknown", "rule_version")}
    return sealed_columns | plain | mark_row(rendered)


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
    is_silent = live is not None and live["follows"] and live["first_attempt_at"] is None
    if state is not State.PARKED and state not in _CANCELLABLE and not is_silent:
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
        record.record(conn, now, [record.Recording(move)], terms=terms)
        return
    cancelled = {"state": State.CANCELLED.value, "park": None, "updated_at": now, **failure_row(_CANCELLED)}
    conn.execute(update(dispatches).where(dispatches.c.id == row["id"]).values(cancelled))
    with Writes(conn) as writes:
        outbox.enqueue(writes, now, [result], terms)
    if (key := queue.of(row["rule"], plan_of(news_row))) is not None:
        queue.leave(conn, now, [(key, row["id"])], [], {})


def add(
    conn: Connection, now: int, *, event_id: str, entry: Entry, again: bool, terms: Terms, bulk: bool = False
) -> list[Dispatch]:
    """Add the dispatches of a replay. Returns those that were added, as the ledger has them. Raises NotFound, Conflict.

    Rules that made, may have made or may still make a chat of this event are left out, unless `again`, which takes no
    notice of `once` either. With `bulk` so are those that ended on purpose, as `rules_done` says. A skip of the event
    stays until `entry` has a dispatch or another skip of its rule; so does its `rule_set` when `entry` has none.
    """
    # The lock keeps `prune` from deleting the event, and another replay from adding the same rules meanwhile.
    event_row = conn.execute(_EVENT, {"of": event_id}).mappings().first()
    if event_row is None:
        raise NotFound(f"there is no event {event_id} in the ledger (it may have been pruned)")
    if event_row["unreadable"] == ERASED:
        raise Conflict(f"event {event_id} cannot be replayed: it was {ERASED}")
    done = frozenset() if again else rules_done(conn, event_id, bulk=bulk)
    added = [dispatch for dispatch in entry.dispatches if dispatch.rule not in done]
    ids = {dispatch.id for dispatch in added}
    results = tuple([result for result in entry.results if result.dispatch_id in ids])
    planned = replace(entry, dispatches=tuple(added), results=results)
    decided = keys.decide(conn, now, [planned], terms, keys.IN_ORDER if again else keys.REPLAYED)
    entry = decided.get(entry.event.id, planned)
    with Writes(conn) as writes:
        insert_dispatches(writes, now, entry.dispatches, terms)
        outbox.enqueue(writes, now, entry.results, terms)
    decided_now = {made.rule for made in entry.dispatches} | {skip.rule for skip in entry.skips}
    earlier = [skip for skip in skips_of(event_row, vault_of(conn)) if skip.rule not in decided_now]
    entry = replace(entry, skips=(*earlier, *entry.skips))
    skips = sealed_skips(skips_text(entry), event_id, vault_of(conn))
    changes: dict[str, Any] = {"skips": skips}
    if added:
        changes["status"] = EventStatus.ACCEPTED.value
    if entry.rule_set is not None:
        changes["rule_set"] = entry.rule_set
    conn.execute(update(events).where(events.c.id == event_id).values(changes))
    return list(entry.dispatches)


def rules_done(conn: Connection, event_id: str, *, bulk: bool) -> frozenset[str]:
    """Rules that made, may have made or may still make a chat of this event.

    With `bulk` also those whose chat a person or another key took away: a replay of a whole day must not make a chat
    of each event that `debounce` has gathered, or in which `changed` and `newest` found nothing new.
    """
    states = [state.value for state in (_WITHOUT_CHAT - _ON_PURPOSE if bulk else _WITHOUT_CHAT)]
    cancelled = dispatches.c.state == State.CANCELLED.value
    unsure = exists().where(attempts.c.dispatch_id == dispatches.c.id, attempts.c.kind == "chat", _may_have_made_chat())
    may_have_chat = or_(
        func.coalesce(dispatches.c.state, "").not_in(states),
        dispatches.c.duplicates.is_not(None),
        cancelled & unsure,
    )
    rules = select(dispatches.c.rule).where(dispatches.c.event_id == event_id, may_have_chat)
    done = frozenset(conn.execute(rules).scalars())
    if not bulk:
        return done
    row = conn.execute(select(events.c.id, events.c.skips).where(events.c.id == event_id)).mappings().first()
    skips: Sequence[Skip] = () if row is None else skips_of(row, vault_of(conn))
    return done | {skip.rule for skip in skips if skip.why in _NOTHING_NEW}


def pause_source(conn: Connection, now: int, *, name: str, paused: bool) -> None:
    """Pause or resume a source."""
    if paused:
        conn.execute(keep_first(paused_sources, conn.dialect.name), {"name": name, "paused_at": now})
    else:
        conn.execute(delete(paused_sources).where(paused_sources.c.name == name))
