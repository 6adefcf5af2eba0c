"""Queries of people: pages of events, the details of one event, the gauges. Reads only."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, Select, func, select

from relay.errors import NotFound
from relay.ledger.engine.sql import Found, constant
from relay.ledger.engine.vault import vault_of
from relay.ledger.queries import acts, counters, scan, space, told, versions
from relay.ledger.queries.keys import queue, window
from relay.ledger.queries.labels import labels_of, outlet_of
from relay.ledger.queries.rows import (
    event_of,
    failure_of,
    legible,
    plan_of,
    shown_event,
    skips_of,
    unsealed,
)
from relay.ledger.queries.search import TROUBLED, notice, since
from relay.ledger.queries.work import kind_of
from relay.ledger.schema import attempts, dispatches, events, outbox, paused_sources, results, work
from relay.ledger.terms import Terms
from relay.model import (
    LOCKED,
    UNROUTABLE,
    AttemptView,
    Dispatch,
    DispatchView,
    Event,
    EventDetail,
    EventPage,
    EventQuery,
    EventStatus,
    EventView,
    Failure,
    Gauges,
    Held,
    HeldBy,
    ParkReason,
    ResultView,
    State,
    held_key,
)

_DISPATCHES: Final = (
    select(
        dispatches,
        work.c.state.label("live_state"),
        work.c.attempts.label("live_attempts"),
        func.coalesce(work.c.due_at, work.c.look_at).label("due_at"),
        func.coalesce(work.c.cancelling, False).label("cancelling"),
        work.c.held_by,
        work.c.queue,
        work.c.window_id,
    )
    .outerjoin(work, work.c.dispatch_id == dispatches.c.id)
    .order_by(dispatches.c.id)
)
_LISTED: Final = _DISPATCHES.with_only_columns(
    *(column for column in _DISPATCHES.selected_columns if column.key not in {"body", "message", "follow"})
)
"""`_DISPATCHES` without the texts that were rendered for Cargo."""
_PARKED: Final = (
    select(dispatches.c.park, func.count())
    .where(dispatches.c.state == constant(State.PARKED.value), TROUBLED)
    .group_by(dispatches.c.park)
)


def page(conn: Connection, _now: int, *, query: EventQuery) -> EventPage:
    """A page of events, newest first."""
    found = scan.find(conn, query)
    dispatch_views = _views(conn, _LISTED, [row["id"] for row in found.rows])
    event_views = tuple(_event_view(row, tuple(dispatch_views[row["id"]])) for row in found.rows)
    return EventPage(event_views, found.cursor, notice(conn, query, found.stopped))


def newer_page(conn: Connection, _now: int, *, query: EventQuery, cursor: str) -> str | None:
    """The cursor of the page before the one at this cursor, None where that is the newest page."""
    return scan.find_newer(conn, replace(query, cursor=None), cursor)


def newer(conn: Connection, _now: int, *, query: EventQuery, after: str, most: int) -> Sequence[str]:
    """The ids of events after one, the oldest first: no more rows are looked at, and no more of them read."""
    return conn.execute(since(conn, query, after).limit(most)).scalars().all()


def _event_view(row: Found, dispatch_views: tuple[DispatchView, ...]) -> EventView:
    return EventView(
        id=row["id"],
        source=row["source"],
        external_id=row["external_id"],
        type=row["type"],
        subject=row["subject"],
        status=EventStatus(row["status"]),
        received_at=row["received_at"],
        dispatches=dispatch_views,
    )


def _views(conn: Connection, columns: Select[Any], event_ids: Sequence[str]) -> defaultdict[str, list[DispatchView]]:
    """The present dispatches of events, by event id. `columns` is `_DISPATCHES` or `_LISTED`."""
    by_event: defaultdict[str, list[DispatchView]] = defaultdict(list)
    vault = vault_of(conn)
    rows = conn.execute(columns.where(dispatches.c.event_id.in_(event_ids))).mappings().all()
    holds = _Holds(
        queue.turns(conn, {row["queue"] for row in rows if row["held_by"] is not None} - {None}),
        window.closing(conn, {row["window_id"] for row in rows} - {None}),
    )
    for row in rows:
        by_event[row["event_id"]].append(_dispatch_view(legible(row, vault), holds))
    return by_event


@dataclass(frozen=True, slots=True)
class _Holds:
    """The dispatches that have the turn of queues, and when windows close."""

    turns: Mapping[bytes, str]
    closing: Mapping[str, int]


def _dispatch_view(row: Found, holds: _Holds) -> DispatchView:
    live, locked = row["live_state"] is not None, row.get("locked")
    return DispatchView(
        id=row["id"],
        event_id=row["event_id"],
        rule=row["rule"],
        source=row["source"],
        state=State(row["live_state"] if live else row["state"]),
        run=row["run"],
        attempts=row["live_attempts"] if live else row["attempts"],
        chat_uuid=row["chat_uuid"],
        agent_uuid=row["chat_agent"] or row["agent_uuid"],
        name=row["name"],
        reconciled=bool(row["reconciled"]),
        duplicates=tuple(json.loads(row["duplicates"] or "[]")),
        body=row.get("body") or None,
        message=row.get("message") or None,
        follow=None if locked else row.get("follow"),  # blank: it says nothing; None: it says `message`
        failure=Failure(LOCKED, locked) if locked else failure_of(row),
        park=None if row["park"] is None else ParkReason(row["park"]),
        due_at=row["due_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        cancelling=bool(row["cancelling"]),
        held=_held(row, holds),
        labels=labels_of(row),
        outlet=outlet_of(row),
        rule_version=row["rule_version"],
    )


def _held(row: Found, holds: _Holds) -> Held | None:
    """Why a dispatch is held; it waits for the one that has the turn of its queue."""
    if row["held_by"] is None:
        return None
    by = HeldBy(row["held_by"])
    waits = by in {HeldBy.ORDER, HeldBy.THREAD}
    return Held(
        by=by,
        key=held_key(plan_of(row), by),
        until=holds.closing.get(row["window_id"], row["due_at"]),
        cause=holds.turns.get(row["queue"]) if waits else None,
    )


def load(conn: Connection, _now: int, *, event_id: str) -> Event:
    """The event as it was received. Raises NotFound, Locked."""
    return event_of(_event_row(conn, event_id), vault_of(conn))


def _event_row(conn: Connection, event_id: str) -> RowMapping:
    row = conn.execute(select(events).where(events.c.id == event_id)).mappings().first()
    if row is None:
        raise NotFound(f"there is no event {event_id} in the ledger (it may have been pruned)")
    return row


def detail(conn: Connection, _now: int, *, any_id: str) -> EventDetail:
    """Everything about an event. `any_id` is its id or the id of one of its dispatches. Raises NotFound."""
    event_id = conn.execute(select(dispatches.c.event_id).where(dispatches.c.id == any_id)).scalar()
    row = _event_row(conn, event_id or any_id)
    dispatch_views = tuple(_views(conn, _DISPATCHES, [row["id"]])[row["id"]])
    return EventDetail(
        event=shown_event(row, vault_of(conn)),
        status=EventStatus(row["status"]),
        dispatches=dispatch_views,
        attempts=_attempts(conn, [view.id for view in dispatch_views]),
        results=_results(conn, row["id"]),
        skips=skips_of(row, vault_of(conn)),
        versions=versions.find(conn, [view.rule_version for view in dispatch_views]),
        acts=acts.of_event(conn, row["id"]),
    )


def _attempts(conn: Connection, dispatch_ids: Sequence[str]) -> tuple[AttemptView, ...]:
    """The attempts that ended, and those that are open, which are in `work`."""
    ended = conn.execute(select(attempts).where(attempts.c.dispatch_id.in_(dispatch_ids))).mappings()
    is_open = work.c.started_at.is_not(None)
    under_way = conn.execute(select(work).where(work.c.dispatch_id.in_(dispatch_ids), is_open)).mappings()
    views = [_ended_attempt(row) for row in ended] + [_open_attempt(row) for row in under_way]
    return tuple(sorted(views, key=lambda view: (view.started_at, view.dispatch_id, view.run, view.number)))


def _ended_attempt(row: Found) -> AttemptView:
    return AttemptView(
        dispatch_id=row["dispatch_id"],
        run=row["run"],
        kind=row["kind"],
        number=row["number"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        verdict=row["verdict"],
        failure=failure_of(row),
        chat_uuid=row["chat_uuid"],
    )


def _open_attempt(row: Found) -> AttemptView:
    return AttemptView(
        dispatch_id=row["dispatch_id"],
        run=row["run"],
        kind=kind_of(row["state"], follows=row["follows"]),
        number=row["number"],
        started_at=row["started_at"],
        ended_at=None,
        verdict=None,
        failure=None,
        chat_uuid=None,
    )


def _results(conn: Connection, event_id: str) -> tuple[ResultView, ...]:
    in_order = select(results).where(results.c.event_id == event_id).order_by(results.c.created_at, results.c.id)
    return told.views(conn, conn.execute(in_order).mappings().all())


def dispatch(conn: Connection, _now: int, *, dispatch_id: str) -> tuple[Event, Dispatch]:
    """A dispatch in its present state, and its event. Raises NotFound, Locked."""
    row = conn.execute(_DISPATCHES.where(dispatches.c.id == dispatch_id)).mappings().first()
    if row is None:
        raise NotFound(f"there is no dispatch {dispatch_id} in the ledger (it may have been pruned)")
    state = State(row["live_state"] or row["state"])
    return load(conn, _now, event_id=row["event_id"]), dispatch_from(unsealed(row, vault_of(conn)), state)


def dispatch_from(row: Found, state: State) -> Dispatch:
    """A dispatch from an unsealed row of `dispatches`."""
    names = ("id", "event_id", "source", "rule", "body", "message", "trigger_type", "name", "agent_uuid", "run")
    same = {name: row[name] for name in (*names, "on_unknown", "rule_version")}
    return Dispatch(**same, failure=failure_of(row), state=state, labels=labels_of(row), outlet=outlet_of(row))


def paused(conn: Connection, _now: int) -> frozenset[str]:
    """The sources that a person has paused."""
    return frozenset(conn.execute(select(paused_sources.c.name)).scalars())


def last_events(conn: Connection, _now: int, *, sources: Sequence[str]) -> dict[str, int]:
    """When the newest event of each source was received, in milliseconds. Sources without an event are left out."""
    times = {}
    for source in sources:
        newest = select(events.c.received_at).where(events.c.source == source).order_by(events.c.id.desc()).limit(1)
        if (received_at := conn.execute(newest).scalar()) is not None:
            times[source] = int(received_at)
    return times


def gauges(conn: Connection, now: int, *, terms: Terms) -> Gauges:
    """Numbers of the whole ledger. While sending is paused, or its rate is used up, nothing counts as due."""
    due, first = conn.execute(select(func.count(), func.min(work.c.due_at)).where(work.c.due_at <= now)).one()
    pauses = counters.current(conn, now)
    limited = terms.spacing is not None and counters.read(conn, "pace") // 1_000 > now
    stopped = bool(pauses) or limited
    return Gauges(
        due=0 if stopped else due,
        oldest_due=0 if stopped or first is None else max(0, now - first),
        held=due if pauses else 0,
        high_water=terms.high_water,
        unfinished=_count(conn, select(func.count()).select_from(work)),
        checking=_count(conn, select(func.count()).where(work.c.look_at.is_not(None))),
        unpublished=_count(conn, select(func.count()).select_from(outbox)),
        unroutable=_count(conn, select(func.count()).where(outbox.c.error.startswith(UNROUTABLE))),
        parked={row[0]: row[1] for row in conn.execute(_PARKED)},
        paused=pauses,
        oldest_transaction=space.oldest_transaction(conn),
    )


def _count(conn: Connection, query: Select[Any]) -> int:
    return int(conn.execute(query).scalar_one())
