"""The labels of dispatches: in their rows, to be shown and told, and in the table `labels`, by which events are found.

A row of `labels` belongs to an event, however many of its dispatches have the label. So a page of the events with a
label is a range of the primary key, newest first, however many there are.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, delete, select

from relay.ledger.engine.sql import Columns, Found, keep_first
from relay.ledger.engine.writes import Writes
from relay.ledger.schema import dispatches, labels
from relay.model import Dispatch, Labels, Outlet

Index = Iterable[tuple[str, str, str]]
"""Rows of `labels`: name, value, event id."""


def mark_columns(new: Sequence[Dispatch]) -> Columns:
    """The columns of `dispatches` for labels and outlets; none where no dispatch has any, so that they cost nothing."""
    if not any(dispatch.labels or dispatch.outlet for dispatch in new):
        return {}
    rows = [mark_row(dispatch) for dispatch in new]
    return {name: [row[name] for row in rows] for name in rows[0]}


def mark_row(dispatch: Dispatch) -> dict[str, Any]:
    """The same for one dispatch."""
    given, outlet = dispatch.labels, dispatch.outlet
    return {
        "labels": _text(given.values) if given else None,
        "left_out": _text(given.left_out) if given else None,
        "exchange": outlet.exchange if outlet else None,
        "routing_key": outlet.routing_key if outlet else None,
    }


def _text(mapping: Any) -> str | None:
    return to_json(dict(mapping)).decode() if mapping else None


def labels_of(row: Found) -> Labels | None:
    """The labels of a row of `dispatches`; a row without `left_out` has none left out."""
    values, left_out = row["labels"], row.get("left_out")
    if values is None and left_out is None:
        return None
    return Labels(json.loads(values or "{}"), json.loads(left_out or "{}"))


def outlet_of(row: Found) -> Outlet | None:
    """Where the results of a row of `dispatches` go."""
    return None if row["exchange"] is None else Outlet(row["exchange"], row["routing_key"])


def insert_labels(writes: Writes, new: Sequence[Dispatch]) -> None:
    """Insert the labels of new dispatches, each once for an event."""
    _insert(
        writes,
        {
            (name, value, dispatch.event_id)
            for dispatch in new
            if dispatch.labels
            for name, value in dispatch.labels.values.items()
        },
    )


def _insert(writes: Writes, index: Index) -> None:
    ordered = sorted(index)  # as every insert, so that two replicas never wait for each other
    if ordered:
        names, values, event_ids = zip(*ordered, strict=True)
        columns = {"name": names, "value": values, "event_id": event_ids}
        writes.insert(keep_first(labels, writes.conn.dialect.name), columns)


def replace_labels(conn: Connection, event_id: str) -> None:
    """Insert anew the labels of an event that is locked, of which one dispatch has others now."""
    rows = conn.execute(select(dispatches.c.labels).where(dispatches.c.event_id == event_id)).scalars()
    present = {(name, value, event_id) for row in rows for name, value in json.loads(row or "{}").items()}
    conn.execute(delete(labels).where(labels.c.event_id == event_id))
    with Writes(conn) as writes:
        _insert(writes, present)
