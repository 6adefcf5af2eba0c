"""Closes windows (`debounce`): one dispatch of each goes on to the later keys of its rule, others are superseded."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select, update

from relay.ledger.engine.sql import Found, padded, run, scalar
from relay.ledger.engine.vault import vault_of
from relay.ledger.queries import record, versions
from relay.ledger.queries.keys import AFTER_WINDOW, decide_late, load, places_of
from relay.ledger.queries.keys.memory import Memory
from relay.ledger.queries.keys.window import MOST
from relay.ledger.queries.rows import about_of, dispatch_of, legible, plan_of, sealed, shown_event
from relay.ledger.queries.search import TROUBLED
from relay.ledger.queries.turn import only_row, work_columns
from relay.ledger.queries.work import news
from relay.ledger.schema import dispatches, events, windows, work
from relay.ledger.terms import Terms
from relay.model import (
    Closed,
    Dispatch,
    Event,
    Failure,
    Gathered,
    Move,
    State,
    WindowChat,
    first_id,
    moment_of,
    tell,
)

_RENDERED: Final = ("body", "message", "follow", "name")
_SKEW: Final = 60_000
"""Milliseconds by which clocks of replicas may differ, from which the ids of events have their time."""
_SOME: Final = 20
"""Windows that are closed in one transaction; each has at most 100 dispatches."""

_NEXT: Final = select(func.min(windows.c.closes_at))
_DUE: Final = (
    select(windows)
    .where(windows.c.closes_at <= bindparam("now"))
    .order_by(windows.c.closes_at, windows.c.id)
    .limit(bindparam("most"))
)
_AGAIN: Final = (
    select(windows)
    .where(windows.c.id.in_(bindparam("ids", expanding=True)), windows.c.closes_at <= bindparam("now"))
    .order_by(windows.c.id)
    .with_for_update()
)
_MEMBERS: Final = (
    select(work)
    .where(work.c.window_id.in_(bindparam("ids", expanding=True)), work.c.state == State.HELD.value)
    .order_by(work.c.window_id, work.c.queue_number)
    # One that is locked is being ended at this moment.
    .with_for_update(skip_locked=True)
)
_INSIDE: Final = select(work.c.dispatch_id, work.c.window_id).where(
    work.c.window_id.in_(bindparam("ids", expanding=True)), work.c.state == State.HELD.value
)
_READ: Final = (
    select(work.c.dispatch_id, dispatches.c.event_id, dispatches.c.rule_version)
    .join(dispatches, dispatches.c.id == work.c.dispatch_id)
    .where(work.c.window_id == bindparam("of"), work.c.state == State.HELD.value)
    .order_by(work.c.queue_number)
)
_EVENTS: Final = select(events).where(events.c.id.in_(bindparam("ids", expanding=True)))
_GATHERED: Final = select(dispatches.c.id, dispatches.c.event_id, dispatches.c.plan).where(
    dispatches.c.id == bindparam("of")
)
_OTHERS: Final = (
    select(dispatches.c.event_id)
    .where(TROUBLED, dispatches.c.state == State.SUPERSEDED.value, dispatches.c.cause == bindparam("of"))
    .where(dispatches.c.event_id >= bindparam("low"), dispatches.c.event_id < bindparam("high"))
    .where(dispatches.c.id >= bindparam("low"), dispatches.c.id < bindparam("high"))
    .order_by(dispatches.c.event_id.desc())
    .limit(MOST - 1)
)
_OVER: Final = delete(windows).where(windows.c.id.in_(bindparam("ids", expanding=True)))


def next_close(conn: Connection, now: int) -> int | None:
    """Milliseconds until the next window closes; None when there is none."""
    first = scalar(conn, _NEXT)
    return None if first is None else max(0, int(first) - now)


def gathered(conn: Connection, now: int) -> list[Gathered]:
    """Windows that have closed and whose chats see all of their events, which must be rendered first."""
    rows = run(conn, _DUE, {"now": now, "most": _SOME})
    return [_read(conn, row) for row in rows if row["keep"] == "all"]


def _read(conn: Connection, window: Found) -> Gathered:
    rows = run(conn, _READ, {"of": window["id"]})
    kept = versions.find(conn, [row["rule_version"] for row in rows[-1:]])
    news_rows, vault = news(conn, [row["dispatch_id"] for row in rows]), vault_of(conn)
    ids = [row["event_id"] for row in rows]
    event_rows = {row["id"]: row for row in run(conn, _EVENTS, {"ids": padded(ids)})} if ids else {}
    members = [
        (dispatch_of(news_rows[row["dispatch_id"]]), shown_event(event_rows[row["event_id"]], vault))
        for row in rows
        if row["dispatch_id"] in news_rows and row["event_id"] in event_rows
    ]
    version = next(iter(kept.values()), None)
    return Gathered(window["id"], window["count"], tuple(members), version)


def close(conn: Connection, now: int, *, rendered: Mapping[str, WindowChat], terms: Terms) -> Closed:
    """Close windows that are due; of those whose chats see all events only what is `rendered`, by window."""
    chosen = [row for row in run(conn, _DUE, {"now": now, "most": _SOME}) if _can_close(row, rendered)]
    if not chosen:
        return Closed()
    ids = {"ids": padded([row["id"] for row in chosen])}
    # Keys are locked before rows, as by the accept, and all is read again: an event may have come in meanwhile.
    known = {row["dispatch_id"] for row in run(conn, _INSIDE, ids)}
    plans = news(conn, sorted(known))
    planned = [(each, places_of(each, AFTER_WINDOW)) for each in map(_planned, plans.values())]
    places = {place for _, of in planned for place in of.values()}
    memory = load(conn, now, sorted({*places, *(row["key"] for row in chosen)}), planned)
    closing = _Closing(conn, now, memory, terms)
    by_window = defaultdict[str, list[Found]](list)
    locked = {row["id"]: row for row in run(conn, _AGAIN, ids | {"now": now})}
    members = run(conn, _MEMBERS, ids)
    for row in members:
        if row["dispatch_id"] in plans:
            by_window[row["window_id"]].append(row)
    # Nothing would let a dispatch go whose window is gone. One that came in after the first look, or that is being
    # ended by a transaction that may be undone, keeps its window open until the next turn.
    ours = known & {row["dispatch_id"] for row in members}
    left = {row["window_id"] for row in run(conn, _INSIDE, ids) if row["dispatch_id"] not in ours}
    over = [
        window["id"]
        for window in locked.values()
        if window["id"] not in left
        and closing.close(window, by_window[window["id"]], plans, rendered.get(window["id"]))
    ]
    memory.write(conn)
    record.record(conn, now, [record.Recording(move) for move in closing.moves], terms=terms)
    if over:
        run(conn, _OVER, {"ids": padded(over)})
    return Closed(tuple(closing.going), tuple(closing.failed), tuple(closing.superseded))


def _can_close(window: Found, rendered: Mapping[str, WindowChat]) -> bool:
    return window["keep"] != "all" or window["id"] in rendered


def _planned(news_row: Found) -> Dispatch:
    return replace(dispatch_of(news_row), plan=plan_of(news_row))


def regather(conn: Connection, _now: int, *, dispatch_id: str) -> list[Event]:
    """The other events of a window whose chat saw all of them, in order of arrival; none without such a window.

    They are those of the dispatches that this one has superseded, and that nobody has sent since.
    """
    row = conn.execute(_GATHERED, {"of": dispatch_id}).mappings().first()
    vault = vault_of(conn)
    window = None if row is None else plan_of(legible(row, vault)).get("debounce")
    if row is None or window is None or window["keep"] != "all":
        return []
    # No index has their cause. They came at most `max` before, by the clocks of replicas, and an index has those.
    at = moment_of(row["event_id"])
    span = {"low": first_id(at - window["max"] - _SKEW), "high": first_id(at + _SKEW)}
    ids = conn.execute(_OTHERS, {"of": dispatch_id, **span}).scalars().all()
    rows = run(conn, _EVENTS, {"ids": padded(sorted(ids))}) if ids else ()
    return [shown_event(each, vault) for each in sorted(rows, key=lambda each: str(each["id"]))]


class _Closing:
    """What is to be written of the windows of one transaction."""

    def __init__(self, conn: Connection, now: int, memory: Memory, terms: Terms) -> None:
        self._conn = conn
        self._now = now
        self._memory = memory
        self._terms = terms
        self.moves: list[Move] = []
        self.going: list[Dispatch] = []
        self.failed: list[Dispatch] = []
        self.superseded: list[Dispatch] = []

    def close(
        self, window: Found, members: Sequence[Found], news_rows: Mapping[str, Found], chat: WindowChat | None
    ) -> bool:
        """Close one window. Returns False when it has changed since it was rendered: the next turn reads it again."""
        if not members:
            return True
        winner, others = members[-1], members[:-1]
        if window["keep"] == "first":
            winner, others = members[0], members[1:]
        dispatch = _planned(news_rows[winner["dispatch_id"]])
        if window["keep"] == "all":
            if (
                chat is None
                or chat.dispatch is None
                or (chat.count, chat.dispatch.id) != (window["count"], dispatch.id)
            ):
                return False
            dispatch = replace(chat.dispatch, plan=dispatch.plan)
        for row in others:
            self._supersede(row, news_rows[row["dispatch_id"]], dispatch.id)
        if dispatch.failure is not None:
            self.failed.append(dispatch)
            self._end(winner, news_rows[dispatch.id], dispatch, State.FAILED, dispatch.failure)
            return True
        self._let_go(dispatch, was_rendered=window["keep"] == "all")
        return True

    def _let_go(self, dispatch: Dispatch, *, was_rendered: bool) -> None:
        """The dispatch goes on to the later keys of its rule, which may hold it."""
        dispatch = decide_late(dispatch, self._memory, self._now, self._terms)
        free: dict[str, Any] = {"held_by": None, "queue": None, "queue_number": None, "not_before": None}
        turn = only_row(work_columns([dispatch], self._now))
        self._conn.execute(
            update(work).where(work.c.dispatch_id == dispatch.id).values(free | turn | {"window_id": None})
        )
        changed: dict[str, Any] = {}
        if dispatch.hold is not None and dispatch.hold.chat_uuid is not None:
            changed = {"chat_uuid": dispatch.hold.chat_uuid, "chat_agent": dispatch.hold.chat_agent}
        if was_rendered:
            vault = vault_of(self._conn)
            changed |= {name: sealed(vault, dispatch.id, name, getattr(dispatch, name)) for name in _RENDERED}
            changed |= {name: getattr(dispatch, name) for name in ("trigger_type", "agent_uuid", "rule_version")}
        if changed:
            self._conn.execute(
                update(dispatches).where(dispatches.c.id == dispatch.id).values(changed | {"updated_at": self._now})
            )
        self.going.append(dispatch)

    def _supersede(self, row: Found, news_row: Found, by: str) -> None:
        failure = Failure(State.SUPERSEDED.value, f"the chat of its key (debounce) is that of dispatch {by}")
        dispatch = replace(dispatch_of(news_row), cause=by)
        self.superseded.append(dispatch)
        self._end(row, news_row, dispatch, State.SUPERSEDED, failure)

    def _end(self, row: Found, news_row: Found, dispatch: Dispatch, to: State, failure: Failure) -> None:
        result = tell.failed(about_of(news_row), dispatch, failure, attempts=0, now=self._now)
        run_, fence = row["run"], row["fence"]
        move = Move(dispatch.id, run_, State.HELD, to, fence, failure=failure, results=(result,), cause=dispatch.cause)
        self.moves.append(move)
