"""Erases what events brought: all that came in or was rendered of it. Ids, times, states and uuids stay.

A sender's id stays too, so that a caller knows its answer and a repeat is seen, unless the text by which the events
were found stands in it.

A turn locks its events, then their work and dispatches, as `prune` does. What ends in it (held, parked, waiting) is
told without what is erased.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import from_json, to_json
from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, or_, select, update

from relay.ledger.engine.sql import Found, padded, run
from relay.ledger.engine.vault import Locked, vault_of
from relay.ledger.queries import acts, hand, versions
from relay.ledger.queries.labels import replace_labels
from relay.ledger.queries.rows import encode
from relay.ledger.schema import (
    alerts,
    attempts,
    dead,
    dispatches,
    events,
    jobs,
    kept,
    labels,
    problems,
    rejections,
    results,
    windows,
)
from relay.ledger.schema import work as work_table
from relay.ledger.terms import Terms
from relay.model import ERASED, ActName, Deed, Erased, Erasure, Spared, State, cut_label

BATCH: Final = 50
"""Events of one turn."""
LEAST: Final = 4
"""Characters of a text that is looked for in other texts; a shorter one stands in any of them by chance."""

_UNDER_WAY: Final = frozenset({State.SENDING, State.CHECKING, State.MESSAGING})
_BLANK_EVENT: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("origin", "subject", "data", "traceparent", "reply_to", "skips")),
    "raw": b"",
    "digest": b"",
    "headers": "{}",
    "unreadable": ERASED,
}
_BLANK_DISPATCH: Final[Mapping[str, Any]] = dict.fromkeys(
    ("body", "message", "follow", "name", "plan", "labels", "left_out", "routing_key", "failure_message")
)
_STAYS: Final = frozenset(
    {
        *("source", "eventId", "eventType", "receivedAt", "agentUuid", "rule", "dispatchId", "run", "attempts"),
        *("chatUuid", "reconciled", "createdAt", "by"),
    }
)
"""The fields of a result's data that stay."""
_IDS: Final = ("external_id", "correlation_id")
"""The ids of an event that its sender chose."""
_SENDERS: Final = ("externalId", "correlationId")
"""The same in a result's data."""
_TOLD: Final = (
    select(results.c.id, results.c.data)
    .where(results.c.event_id.in_(bindparam("ids", expanding=True)))
    .order_by(results.c.id)
)
_NO_DETAIL: Final = update(problems).where(problems.c.id.in_(bindparam("ids", expanding=True))).values(detail=None)
_NO_WORDS: Final = (
    update(rejections)
    .where(rejections.c.id.in_(bindparam("ids", expanding=True)))
    .values(headers="{}", hint="", digest="")
)
_UNKEPT: Final = delete(kept).where(kept.c.id.in_(bindparam("ids", expanding=True))).returning(kept.c.id)


def find(conn: Connection, _now: int, *, asked: Erasure) -> list[str]:
    """The ids of the events to erase, oldest first."""
    found = select(events.c.id).order_by(events.c.id)
    if asked.source is not None:
        found = found.where(events.c.source == asked.source)
    if asked.label is not None:
        name, value = asked.label
        of_label = select(labels.c.event_id).where(labels.c.name == name, labels.c.value == cut_label(value))
        found = found.where(events.c.id.in_(of_label))
    if asked.subject is not None:
        found = found.where(events.c.subject == asked.subject)
    if asked.external_id is not None:
        found = found.where(events.c.external_id == asked.external_id)
    return list(conn.execute(found).scalars())


def erase(conn: Connection, now: int, *, event_ids: Sequence[str], asked: Erasure, actor: str, terms: Terms) -> Erased:
    """Erase these events, at most `BATCH`, but for those with a dispatch that is under way."""
    before = _gathering(conn, event_ids)
    locked = sorted({*event_ids, *(row["event_id"] for rows in before.values() for row in rows)})
    there = _lock(conn, locked)
    present = _present(conn, locked)
    gathering = _gathering(conn, event_ids)
    chosen, left = [], []
    for event_id in there.intersection(event_ids):
        spared = _spared(event_id, present, gathering.get(event_id, ()))
        if spared is None:
            chosen.append(event_id)
        else:
            left.append(spared)
    if not chosen:
        return Erased(left=left)
    of_chosen = [row for row in present.values() if row["event_id"] in set(chosen)]
    cancelled = [row for row in of_chosen if row["live"] is not None or row["state"] == State.PARKED.value]
    for row in cancelled:
        _leave_window(conn, row)
        hand.cancel(conn, now, dispatch_id=row["id"], terms=terms)
    _blank(conn, chosen, [row for event_id in chosen for row in gathering.get(event_id, ())], asked)
    detail = f"{len(chosen)} event{'s' if len(chosen) > 1 else ''} by {asked.by}"
    acts.note(conn, now, deed=Deed(actor, ActName.EVENTS_ERASED, asked.source or "all", detail))
    chats = [row["chat_uuid"] for row in of_chosen if row["chat_uuid"]]
    others = [uuid for row in of_chosen for uuid in json.loads(row["duplicates"] or "[]")]
    return Erased(len(chosen), len(cancelled), chats=[*chats, *others], left=left)


def _lock(conn: Connection, event_ids: Sequence[str]) -> set[str]:
    """Lock events. Returns those that are there still."""
    in_order = select(events.c.id).where(events.c.id.in_(event_ids)).order_by(events.c.id)
    return set(conn.execute(in_order.with_for_update()).scalars())


def _gathering(conn: Connection, event_ids: Sequence[str]) -> dict[str, list[Found]]:
    """By event the dispatches of other events whose chats see it too (`debounce` with `keep: all`)."""
    gone = dispatches.alias("gone")
    seen = select(dispatches.c.id, dispatches.c.event_id, dispatches.c.rule_version, gone.c.event_id.label("of")).join(
        gone, gone.c.cause == dispatches.c.id
    )
    rows = (
        conn.execute(seen.where(gone.c.event_id.in_(event_ids), gone.c.state == State.SUPERSEDED.value))
        .mappings()
        .all()
    )
    texts = versions.find(conn, [row["rule_version"] for row in rows])
    found: dict[str, list[Found]] = {}
    for row in rows:
        version = texts.get(row["rule_version"] or "")
        if version is None or (json.loads(version.text).get("debounce") or {}).get("keep") == "all":
            found.setdefault(row["of"], []).append(row)
    return found


def _present(conn: Connection, event_ids: Sequence[str]) -> dict[str, Found]:
    """The dispatches of events, locked, by id, with their row of work as `live`."""
    of_events = select(dispatches.c.id).where(dispatches.c.event_id.in_(event_ids))
    locked_work = select(work_table).where(work_table.c.dispatch_id.in_(of_events)).order_by(work_table.c.dispatch_id)
    live = {row["dispatch_id"]: row for row in conn.execute(locked_work.with_for_update()).mappings()}
    columns = (dispatches.c[name] for name in ("id", "event_id", "state", "chat_uuid", "duplicates"))
    locked = select(*columns).where(dispatches.c.event_id.in_(event_ids)).order_by(dispatches.c.id)
    return {
        row["id"]: {**row, "live": live.get(row["id"])} for row in conn.execute(locked.with_for_update()).mappings()
    }


def _spared(event_id: str, present: Mapping[str, Found], gathering: Sequence[Found]) -> Spared | None:
    """The dispatch for which an event must wait: one of its own that is under way, or another's that will tell it."""
    for row in present.values():
        if row["event_id"] == event_id and row["live"] is not None:
            state = State(row["live"]["state"])
            if state in _UNDER_WAY:
                return Spared(event_id, row["id"], state)
    for other in gathering:
        if other["id"] not in present:  # its window was closed at this moment
            return Spared(event_id, other["id"], State.READY)
        if (live := present[other["id"]]["live"]) is not None:
            return Spared(event_id, other["id"], State(live["state"]))
    return None


def _leave_window(conn: Connection, row: Found) -> None:
    """Take a dispatch out of the count of its window, whose chat is rendered again then."""
    if row["live"] is not None and row["live"]["window_id"] is not None:
        of_window = windows.c.id == row["live"]["window_id"]
        conn.execute(update(windows).where(of_window).values(count=windows.c.count - 1))


def _blank(conn: Connection, event_ids: Sequence[str], gathering: Sequence[Found], asked: Erasure) -> None:
    others = sorted({row["id"] for row in gathering})
    blank = or_(dispatches.c.event_id.in_(event_ids), dispatches.c.id.in_(others))
    dispatch_ids = select(dispatches.c.id).where(blank)
    conn.execute(update(attempts).where(attempts.c.dispatch_id.in_(dispatch_ids)).values(failure_message=None))
    conn.execute(update(dispatches).where(blank).values(_BLANK_DISPATCH))
    _blank_results(conn, or_(results.c.event_id.in_(event_ids), results.c.dispatch_id.in_(others)), asked)
    ids = {name: case((_tells(events.c[name], asked), None), else_=events.c[name]) for name in _IDS}
    conn.execute(update(events).where(events.c.id.in_(event_ids)).values({**_BLANK_EVENT, **ids}))
    conn.execute(delete(labels).where(labels.c.event_id.in_(event_ids)))
    for event_id in sorted({row["event_id"] for row in gathering}):
        replace_labels(conn, event_id)
    _blank_problems(conn, problems.c.event_id.in_(event_ids))
    _blank_readmitted(conn, frozenset(event_ids))


def _tells(column: ColumnElement[str | None], asked: Erasure) -> ColumnElement[bool]:
    """Whether the text by which events are erased stands in a column, in any case."""
    return column == asked.text if len(asked.text) < LEAST else column.icontains(asked.text, autoescape=True)


def _blank_results(conn: Connection, chosen: ColumnElement[bool], asked: Erasure) -> None:
    columns = (results, _tells(results.c.correlation_id, asked).label("told"))
    for row in conn.execute(select(*columns).where(chosen).order_by(results.c.id)).mappings().all():
        data = from_json(row["data"])
        values = {"data": to_json(_blank_data(data, asked)).decode(), "reply_to": None, "traceparent": None}
        if row["told"]:
            values["correlation_id"] = row["event_id"]
        if row["exchange"] is not None:
            values["routing_key"] = f"{row['type'].removeprefix('relay.')}.{row['source']}.{data['rule']}"
        conn.execute(update(results).where(results.c.id == row["id"]).values(values))


def _blank_data(data: Mapping[str, Any], asked: Erasure) -> dict[str, Any]:
    """The data of a result, which keeps its form."""
    blank = {key: value if key in _STAYS else None for key, value in data.items()}
    for key in _SENDERS:
        if (given := data.get(key)) is not None and not _is_in(asked.text, given):
            blank[key] = given
    if "labels" in data:
        blank["labels"] = {}
    if "skips" in data:
        blank["skips"] = "[]"  # as rows keep them: JSON in a text
    if isinstance(error := data.get("error"), Mapping):
        blank["error"] = {**error, "message": ""}
    return blank


def _is_in(text: str, other: str) -> bool:
    """The same for a text in memory."""
    return text == other if len(text) < LEAST else text.casefold() in other.casefold()


def _blank_problems(conn: Connection, chosen: ColumnElement[bool]) -> None:
    """Blank the details of problems, also in the messages about them, told or not."""
    ids = list(conn.execute(select(problems.c.id).where(chosen).order_by(problems.c.id)).scalars())
    if not ids:
        return
    for told in run(conn, _TOLD, {"ids": padded(ids)}):
        data = encode({**json.loads(told["data"]), "detail": None})
        conn.execute(update(results).where(results.c.id == told["id"]).values(data=data))
    for row in conn.execute(select(alerts).order_by(alerts.c.id, alerts.c.receiver)).all():
        body = json.loads(row.body)
        if body["data"]["id"] in ids:
            body = encode({**body, "data": {**body["data"], "detail": None}})
            is_it = (alerts.c.id == row.id, alerts.c.receiver == row.receiver)
            conn.execute(update(alerts).where(*is_it).values(body=body))
    run(conn, _NO_DETAIL, {"ids": padded(ids)})  # last, as pruning does


def _blank_readmitted(conn: Connection, event_ids: frozenset[str]) -> None:
    """Blank the refused requests that were accepted later as one of these events."""
    rows = conn.execute(select(rejections.c.id, rejections.c.readmitted).where(rejections.c.readmitted.is_not(None)))
    ids = [row.id for row in rows.all() if event_ids.intersection(json.loads(row.readmitted))]
    run(conn, _NO_WORDS, {"ids": padded(ids)})


def erase_mentions(conn: Connection, _now: int, *, asked: Erasure) -> None:
    """Blank what quotes the text and belongs to no event: details of problems, and the aims of replays."""
    _blank_problems(conn, _tells(problems.c.detail, asked))
    for row in conn.execute(select(jobs.c.id, jobs.c.aim, jobs.c.fault).order_by(jobs.c.id).with_for_update()).all():
        aim, values = json.loads(row.aim), {}
        if aim.get("label") is not None and _is_in(asked.text, aim["label"][1]):
            values["aim"] = encode({**aim, "label": [aim["label"][0], ERASED]})
        if row.fault is not None and _is_in(asked.text, row.fault):
            values["fault"] = ERASED
        if values:
            conn.execute(update(jobs).where(jobs.c.id == row.id).values(values))


def find_kept(conn: Connection, _now: int, *, asked: Erasure) -> list[str]:
    """The ids of the whole refused requests in which the text stands, which are no events yet."""
    if len(asked.text) < LEAST:
        return []
    found = select(kept.c.id).order_by(kept.c.id)
    if asked.source is not None:
        found = found.where(kept.c.source == asked.source)
    vault, texts = vault_of(conn), {asked.text, json.dumps(asked.text)[1:-1]}
    return [kept_id for kept_id in conn.execute(found).scalars().all() if _stands_in(conn, vault, kept_id, texts)]


def _stands_in(conn: Connection, vault: Any, kept_id: str, texts: set[str]) -> bool:
    row = conn.execute(select(kept).where(kept.c.id == kept_id)).mappings().one()
    try:
        body = vault.open(row["body"], "kept.body", kept_id)
        request = vault.open_text(row["request"], "kept.request", kept_id)
    except Locked:
        return False
    return any(text.encode("utf-8", "surrogatepass") in body or text in request for text in texts)


def erase_kept(conn: Connection, _now: int, *, kept_ids: Sequence[str], asked: Erasure) -> int:
    """Delete whole refused requests, blank what is told of them and of the dead letters with this id.

    Returns how many requests.
    """
    run(conn, _NO_WORDS, {"ids": padded(kept_ids)})
    if asked.external_id is not None:
        letters = update(dead).where(dead.c.message_id == asked.external_id)
        if asked.source is not None:
            letters = letters.where(dead.c.source == asked.source)
        conn.execute(letters.values(message_id=None, headers="{}"))
    return len(run(conn, _UNKEPT, {"ids": padded(kept_ids)}))
