"""Converts the records of the model to rows of the tables, and back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

from pydantic_core import from_json, to_json

from relay.ledger.engine.sql import Columns, Found, Row
from relay.ledger.engine.vault import MARK, Locked, Vault
from relay.ledger.queries.labels import labels_of, mark_columns, outlet_of
from relay.ledger.schema import dispatches, events
from relay.model import (
    About,
    Claim,
    Dispatch,
    Entry,
    Event,
    Failure,
    ParkReason,
    Result,
    ResultType,
    Skip,
    State,
    Why,
)

encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""Compact JSON. Raises ValueError for NaN."""

WITHIN: Final = ("name", "skips")
"""The sealed fields of `results.data`: the chat's name, and the JSON text of skips, which may hold a whole body."""

UNDER_WAY: Final = frozenset({State.READY, State.HELD, State.MESSAGING})
"""The states in which a new dispatch has a row of work."""

_EVENT: Final = (
    *("id", "source", "origin", "external_id", "type", "subject", "time", "received_at", "content_type"),
    *("digest", "traceparent", "correlation_id", "reply_to", "unreadable"),
)
_DISPATCH: Final = (
    *("id", "event_id", "source", "rule", "trigger_type"),
    *("agent_uuid", "on_unknown", "run", "rule_version"),
)
SEALED: Final = ("body", "message", "follow", "name", "plan")
"""The sealed columns of a dispatch: the texts that are sent, and what is rendered from the event's data."""
_RESULT: Final = (
    *("id", "source", "event_id", "dispatch_id", "time", "routing_key"),
    *("correlation_id", "reply_to", "traceparent", "chat_uuid"),
)

NEWS: Final = (
    *(dispatches.c[name] for name in ("id", "event_id", "rule", "body", "message", "follow", "trigger_type", "name")),
    *(dispatches.c[name] for name in ("agent_uuid", "on_unknown", "run", "chat_uuid", "chat_agent", "plan")),
    *(dispatches.c[name] for name in ("labels", "exchange", "routing_key")),
    *(events.c[name] for name in ("source", "external_id", "type", "correlation_id", "reply_to", "traceparent")),
    events.c.received_at,
)
"""The columns of a dispatch and its event that claims and results are built from."""


def event_columns(
    entries: Sequence[Entry],
    headers: Sequence[str],
    data: Sequence[str | None],
    skips: Sequence[str | None],
    vault: Vault,
) -> Columns:
    """New rows of `events`. `headers`, `data` and `skips` are JSON texts, one per entry."""
    new = [entry.event for entry in entries]
    return _same(_EVENT, new) | {
        "raw": [vault.seal(event.raw, "events.raw", event.id) for event in new],
        "headers": headers,
        "data": [
            text and vault.seal_text(text, "events.data", event.id) for text, event in zip(data, new, strict=True)
        ],
        "status": [str(entry.status) for entry in entries],
        "skips": [sealed_skips(text, event.id, vault) for text, event in zip(skips, new, strict=True)],
        "rule_set": [entry.rule_set for entry in entries],
    }


def skips_text(entry: Entry) -> str | None:
    """The JSON of an entry's skips, None where there are none."""
    return encode([skip.document() for skip in entry.skips]) if entry.skips else None


def sealed_skips(text: str | None, event_id: str, vault: Vault) -> str | None:
    """The stored text of `events.skips`."""
    return text and vault.seal_text(text, "events.skips", event_id)


def skips_of(row: Found, vault: Vault) -> tuple[Skip, ...]:
    """The skips of an event, from a row of `events`; none where they cannot be decrypted."""
    if row["skips"] is None:
        return ()
    try:
        found = json.loads(vault.open_text(row["skips"], "events.skips", row["id"]))
    except Locked:
        return ()
    return tuple(Skip(each["rule"], Why(each["why"]), each["detail"]) for each in found)


def _same(names: Sequence[str], records: Sequence[object]) -> dict[str, Sequence[Any]]:
    """Columns with the names and values of fields of the records. Empty without records."""
    columns = zip(*map(attrgetter(*names), records), strict=True)
    return dict(zip(names, columns, strict=True)) if records else {}


def event_of(row: Found, vault: Vault) -> Event:
    """The event as it was received, from a row of `events`. Raises Locked."""
    raw, data = vault.open(row["raw"], "events.raw", row["id"]), None
    if row["unreadable"] is None:
        data = json.loads(raw if row["data"] is None else vault.open_text(row["data"], "events.data", row["id"]))
    return _event(row, raw, data, row["unreadable"])


def shown_event(row: Found, vault: Vault) -> Event:
    """The event for display. One that cannot be decrypted has no body, and `unreadable` says why."""
    try:
        return event_of(row, vault)
    except Locked as error:
        return _event(row, b"", None, str(error))


def _event(row: Found, raw: bytes, data: Any, unreadable: str | None) -> Event:
    return Event(
        id=row["id"],
        source=row["source"],
        external_id=row["external_id"],
        type=row["type"],
        data=data,
        raw=raw,
        digest=row["digest"],
        received_at=row["received_at"],
        origin=row["origin"],
        subject=row["subject"],
        time=row["time"],
        content_type=row["content_type"],
        headers=json.loads(row["headers"]),
        traceparent=row["traceparent"],
        correlation_id=row["correlation_id"],
        reply_to=row["reply_to"],
        unreadable=unreadable,
    )


def dispatch_columns(new: Sequence[Dispatch], now: int, vault: Vault) -> Columns:
    """New rows of `dispatches`. A dispatch that ended or was parked while being accepted has that state at once."""
    columns = _same(_DISPATCH, new) | {
        "body": [sealed(vault, dispatch.id, "body", dispatch.body) for dispatch in new],
        "message": [sealed(vault, dispatch.id, "message", dispatch.message) for dispatch in new],
        "follow": [sealed(vault, dispatch.id, "follow", dispatch.follow) for dispatch in new],
        "name": [sealed(vault, dispatch.id, "name", dispatch.name) for dispatch in new],
        "plan": [sealed(vault, dispatch.id, "plan", plan_text(dispatch.plan)) for dispatch in new],
        "created_at": [now] * len(new),
        "updated_at": [now] * len(new),
        **mark_columns(new),
    }
    if any(dispatch.hold for dispatch in new):
        for name in ("chat_uuid", "chat_agent"):
            columns[name] = [dispatch.hold and getattr(dispatch.hold, name) for dispatch in new]
    states = [dispatch.state for dispatch in new]
    if UNDER_WAY.issuperset(states):
        return columns
    failures = [dispatch.failure for dispatch in new]
    return columns | {
        "state": [None if state in UNDER_WAY else str(state) for state in states],
        "park": [_park(dispatch) for dispatch in new],
        "cause": [dispatch.cause for dispatch in new],
        "failure_code": [failure and failure.code for failure in failures],
        "failure_status": [failure and failure.status for failure in failures],
        "failure_message": [failure and failure.message for failure in failures],
    }


def sealed(vault: Vault, dispatch_id: str, column: str, text: str | None) -> str | None:
    """The stored text of one of the columns `SEALED`."""
    return None if text is None else vault.seal_text(text, f"dispatches.{column}", dispatch_id)


def unsealed(row: Found, vault: Vault) -> Found:
    """A row of `dispatches` with plain texts in those of the columns `SEALED` that it has. Raises Locked."""
    names = [name for name in SEALED if (text := row.get(name)) is not None and text.startswith(MARK)]
    if not names:
        return row
    return {**row, **{name: vault.open_text(row[name], f"dispatches.{name}", row["id"]) for name in names}}


def legible(row: Found, vault: Vault) -> Found:
    """As `unsealed`, but a row that cannot be decrypted gets empty texts, no name, and the reason as `locked`.

    Empty and not null: a null body means that rendering failed, and a null message that the rule has none.
    """
    try:
        return unsealed(row, vault)
    except Locked as error:
        empty = {name: None if row.get(name) is None else "" for name in SEALED}
        return {**row, **empty, "name": None, "locked": str(error)}


def _park(dispatch: Dispatch) -> str | None:
    if dispatch.state is not State.PARKED:
        return None
    return ParkReason(dispatch.failure.code if dispatch.failure else ParkReason.UNKNOWN).value


LASTING: Final = (
    *("once", "debounce", "thread", "order", "delay", "schedule"),
    *("expires", "priority", "loop", "limit", "budget"),
)
"""The keys of rules that count after the accept, too: `once` when a person sends it again."""


def plan_text(plan: Mapping[str, Any] | None) -> str | None:
    """The part of a plan that is stored with the dispatch."""
    kept = {name: plan[name] for name in LASTING if name in plan} if plan else None
    return to_json(kept).decode() if kept else None


def plan_of(row: Found) -> Mapping[str, Any]:
    """The stored plan of a row of `dispatches` that is legible; empty where it has none."""
    plan: Mapping[str, Any] = json.loads(row["plan"] or "{}")
    return plan


def dispatch_of(row: Found) -> Dispatch:
    """The dispatch of an unsealed row with the columns of `NEWS`. Its state is not among them and has its default."""
    return Dispatch(
        id=row["id"],
        event_id=row["event_id"],
        source=row["source"],
        rule=row["rule"],
        body=row["body"],
        message=row["message"],
        follow=row["follow"],
        trigger_type=row["trigger_type"],
        name=row["name"],
        agent_uuid=row["agent_uuid"],
        on_unknown=row["on_unknown"],
        run=row["run"],
        labels=labels_of(row),
        outlet=outlet_of(row),
    )


def about_of(row: Found) -> About:
    """The part of a result that describes the event, from a row with the columns of `NEWS`."""
    return About(
        event_id=row["event_id"],
        source=row["source"],
        external_id=row["external_id"],
        event_type=row["type"],
        correlation_id=row["correlation_id"],
        reply_to=row["reply_to"],
        traceparent=row["traceparent"],
        received_at=row["received_at"],
    )


def claim_of(
    work: Mapping[Any, Any], news: Found, *, lease: int, waited: int, start_in: int = 0, taken: tuple[str, ...] = ()
) -> Claim:
    """A claim, from a row of `work` and a row with the columns of `NEWS`. Durations are milliseconds."""
    dispatch = dispatch_of(news)
    if work["follows"] and dispatch.follow is not None:
        dispatch = replace(dispatch, message=dispatch.follow)
    return Claim(
        dispatch=dispatch,
        state=State(work["state"]),
        fence=work["fence"],
        lease=lease,
        attempt=work["number"],
        attempts=work["attempts"],
        waited=waited,
        about=about_of(news),
        chat_uuid=news["chat_uuid"],
        agent_uuid=news["chat_agent"] or news["agent_uuid"],
        doubt=bool(work["doubt"]),
        start_in=start_in,
        locked=news.get("locked"),
        follows=bool(work["follows"]),
        began_at=work["first_attempt_at"] if work["follows"] else 0,
        taken=taken,
    )


def failure_row(failure: Failure | None) -> Row:
    return {
        "failure_code": failure and failure.code,
        "failure_status": failure and failure.status,
        "failure_message": failure and failure.message,
    }


def failure_of(row: Mapping[Any, Any]) -> Failure | None:
    if row["failure_code"] is None:
        return None
    return Failure(row["failure_code"], row["failure_message"] or "", row["failure_status"])


def result_columns(new: Sequence[Result], now: int, vault: Vault) -> Columns:
    """New rows of `results`."""
    columns: Columns = {
        **_same(_RESULT, new),
        "type": [str(result.type) for result in new],
        "data": [_data(result, vault) for result in new],
        "created_at": [now] * len(new),
    }
    exchanges = [result.exchange for result in new]
    return {**columns, "exchange": exchanges} if any(exchanges) else columns


def _data(result: Result, vault: Vault) -> str:
    """The JSON of a result's data, in which only the fields `WITHIN` are sealed.

    Only they are rendered from the event's data, and a replica without the key can still publish the other fields.
    """
    data = dict(result.data)
    if "skips" in data:
        data["skips"] = encode(data["skips"])
    for name in WITHIN:
        if text := data.get(name):
            data[name] = vault.seal_text(text, f"results.{name}", result.id)
    return to_json(data).decode()


def result_of(row: Found, vault: Vault) -> Result:
    """The result of a row of `results`. A field that cannot be decrypted is null."""
    data = from_json(row["data"])
    for name in WITHIN:
        if (text := data.get(name)) and text.startswith(MARK):
            try:
                data[name] = vault.open_text(text, f"results.{name}", row["id"])
            except Locked:
                data[name] = None
    if data.get("skips") is not None:
        data["skips"] = json.loads(data["skips"])
    return Result(
        id=row["id"],
        type=ResultType(row["type"]),
        source=row["source"],
        event_id=row["event_id"],
        time=row["time"],
        routing_key=row["routing_key"],
        data=data,
        dispatch_id=row["dispatch_id"],
        correlation_id=row["correlation_id"],
        reply_to=row["reply_to"],
        traceparent=row["traceparent"],
        chat_uuid=row["chat_uuid"],
        exchange=row["exchange"],
    )
