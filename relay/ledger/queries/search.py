"""What people search events by: the conditions of a list, and the order in which its rows are found.

A list ends with its page: what is common is found among the newest events, what is rare by an index. What has none
(type, rule, subject, text) is looked for from the newest event on, back to `since`, as `scan` does it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal, or_, select

from relay.ledger.engine.sql import constant, is_alone
from relay.ledger.engine.vault import is_plain, vault_of
from relay.ledger.schema import dispatches, events, labels, work
from relay.model import LIVE, EventQuery, EventStatus, State, cut_label, first_id, moment_of
from relay.units import iso

_EVENTS: Final = select(
    *(events.c[name] for name in ("id", "source", "external_id", "type", "subject", "status", "received_at"))
)
"""The columns of an event in a list: not its body, which may be a MiB."""
_BACK: Final = 600_000
"""Milliseconds by which a clock may be set back between the receipt of an event and its id."""
_UNSEARCHED: Final = "bodies that are encrypted (`encrypt`) are not searched by text; ids, types and subjects were"
_CLOSED: Final = (
    "events of {sources} are found by their ids only, because some of their values are hidden (`hide`): a token with "
    "the role admin finds all"
)
_STOPPED: Final = "this page looked back to {back}; the next page looks at older events"
_ENDED: Final = frozenset(State) - LIVE - {State.DONE}
TROUBLED: Final = dispatches.c.state != constant(State.DONE.value)
"""The condition of the partial index `dispatches_trouble`, which a query must repeat to use the index."""


def notice(conn: Connection, query: EventQuery, stopped: str | None) -> str | None:
    """What was not searched, and why; `stopped` is the id at which a page stopped looking."""
    notices = [_UNSEARCHED] if query.text and vault_of(conn) else []
    if query.closed and (query.text or query.label or query.subject):
        notices.append(_CLOSED.format(sources=", ".join(sorted(query.closed))))
    if stopped is not None:
        notices.append(_STOPPED.format(back=iso(moment_of(stopped))))
    return "; ".join(notices) or None


def newest(conn: Connection, query: EventQuery, first: str | None = None) -> Select[Any]:
    """The events of a list before its cursor, newest first; none whose id is below `first`."""
    listed, order = _ordered(conn, query, first)
    before = [] if query.cursor is None else [order < query.cursor]
    return listed.where(*before).order_by(order.desc())


def is_scanned(query: EventQuery) -> bool:
    """Whether a page may have to look at every event: nothing that it asks for has an index, or ends with a page."""
    by_index = query.label is not None or query.chat_uuid is not None or query.state in _ENDED
    asked = query.type or query.subject or query.text or query.rule
    return not by_index and bool(asked or query.status not in {None, EventStatus.UNMATCHED})


def named(conn: Connection, query: EventQuery, most: int) -> Select[Any]:
    """The events of a list of which the text is an id, also of a dispatch or a chat, whatever the cursor is.

    Their ids are asked for first: beside other conditions an OR would look at every event.
    """
    text = query.text or ""
    of_event = select(dispatches.c.event_id)
    of_any = of_event.where(dispatches.c.id == text).union(of_event.where(dispatches.c.chat_uuid == text))
    ids = conn.execute(of_any.limit(most)).scalars().all()
    listed, order = _ordered(conn, replace(query, text=None))
    return listed.where(events.c.id.in_([text, *ids])).order_by(order.desc()).limit(most)


def oldest_id(since: int) -> str:
    """What no id of an event is below that was received then or later.

    An id is made after its event was received: so the rows before that time are not looked at.
    """
    return first_id(since - _BACK)


def since(conn: Connection, query: EventQuery, after: str) -> Select[Any]:
    """The ids of a list after one, the oldest first."""
    listed, order = _ordered(conn, query, after)
    return listed.with_only_columns(order, maintain_column_froms=True).where(order > after).order_by(order)


def onward(conn: Connection, query: EventQuery, first: str, end: str | None) -> Select[Any]:
    """The ids of a list from one on and below another one, the oldest first."""
    listed, order = _ordered(conn, query, first)
    bounds = [order >= first] if end is None else [order >= first, order < end]
    return listed.with_only_columns(order, maintain_column_froms=True).where(*bounds).order_by(order)


def _ordered(conn: Connection, query: EventQuery, first: str | None = None) -> tuple[Select[Any], ColumnElement[str]]:
    """The events that a query finds, and the column by whose order they can be read without sorting them."""
    order: ColumnElement[str] = events.c.id
    listed = _EVENTS
    if query.label is not None:
        name, value = query.label
        order, of_event = labels.c.event_id, labels.c.event_id == events.c.id
        listed = _EVENTS.select_from(labels.join(events, of_event))
        listed = listed.where(labels.c.name == name, labels.c.value == cut_label(value))
    elif query.state in _ENDED:
        ended = _in_state(query.state).where(*_of_dispatch(query)).distinct()
        if is_alone(conn):  # which would make a table of a subquery first
            order = dispatches.c.event_id
            joined = dispatches.join(events, events.c.id == order)
            listed = ended.with_only_columns(*_EVENTS.selected_columns).select_from(joined)
        else:  # which would sort by all columns to find those that are the same
            found = ended.order_by(dispatches.c.event_id.desc()).subquery()
            order = found.c.event_id
            listed = _EVENTS.select_from(found.join(events, events.c.id == order))
        return listed.where(*_of_event(conn, query, first)), order
    return listed.where(*_of_event(conn, query, first), *_made(query)), order


def _made(query: EventQuery) -> list[ColumnElement[bool]]:
    """The conditions for the dispatches of an event."""
    if query.state is not None:
        return [events.c.id.in_(_in_state(query.state).where(*_of_dispatch(query)))]
    if query.chat_uuid is not None:
        return [events.c.id.in_(select(dispatches.c.event_id).where(*_of_dispatch(query)))]
    if query.rule is not None:
        # Correlated, so that the newest events are looked at first: a rule may have made most of all dispatches.
        own = select(dispatches.c.id).where(dispatches.c.event_id == events.c.id, *_of_dispatch(query))
        return [own.exists()]
    return []


def _of_event(conn: Connection, query: EventQuery, first: str | None) -> list[ColumnElement[bool]]:
    """The conditions for an event itself, whose id is not below `first`."""
    equal = {events.c.source: query.source, events.c.type: query.type}
    conditions = [column == value for column, value in equal.items() if value is not None]
    if query.status is not None:
        conditions.append(events.c.status == constant(query.status.value))
    if query.since is not None:
        conditions.append(events.c.received_at >= query.since)
        first = max(first or "", oldest_id(query.since))
    if first is not None:  # one condition only: SQLite would begin at the first of two, and pass by all rows between
        conditions.append(events.c.id >= first)
    if query.until is not None:
        conditions.append(events.c.received_at < query.until)
    is_open = [events.c.source.not_in(sorted(query.closed))] if query.closed else []
    if query.subject is not None:
        conditions.append(events.c.subject == query.subject)
    if query.label is not None or query.subject is not None:
        conditions += is_open
    if query.text:
        conditions.append(_has_text(conn, query.text, is_open))
    return conditions


def _of_dispatch(query: EventQuery) -> list[ColumnElement[bool]]:
    equal = {dispatches.c.rule: query.rule, dispatches.c.chat_uuid: query.chat_uuid}
    return [column == value for column, value in equal.items() if value is not None]


def _in_state(state: State) -> Select[Any]:
    if state not in LIVE:
        ended = select(dispatches.c.event_id).where(dispatches.c.state == constant(state.value))
        return ended if state is State.DONE else ended.where(TROUBLED)
    joined = work.join(dispatches, dispatches.c.id == work.c.dispatch_id)
    return select(dispatches.c.event_id).select_from(joined).where(work.c.state == state.value)


def _has_text(conn: Connection, text: str, is_open: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Whether an event contains the text: as one of its ids, in its type, subject or external id, or in a plain body.

    Beside the ids only of an event that `is_open`.

    Letters are compared exactly; a body is searched by bytes, and not at all when it is encrypted.
    """
    needle = literal(text.encode())
    alone = is_alone(conn)
    inside = func.instr(events.c.raw, needle) if alone else func.position(needle.op("IN")(events.c.raw))
    find = func.instr if alone else func.strpos
    columns = (events.c.type, events.c.subject, events.c.external_id)
    return or_(
        _has_id(text),
        and_(*is_open, or_(and_(is_plain(events.c.raw), inside > 0), *(find(column, text) > 0 for column in columns))),
    )


def _has_id(text: str) -> ColumnElement[bool]:
    by_dispatch = select(dispatches.c.event_id).where(or_(dispatches.c.id == text, dispatches.c.chat_uuid == text))
    return or_(events.c.id == text, events.c.id.in_(by_dispatch))
