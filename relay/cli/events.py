"""`relay events`: lists events, newest first."""

import sys
from typing import Annotated, Any

import typer

from relay.cli.options import AsJson, Config, LabelFilter, Token, Url, read_label
from relay.cli.settings import complete_source


def _complete_status(incomplete: str) -> list[str]:
    from relay.model import State

    return [status for status in ("accepted", "unmatched", "unreadable", *State) if status.startswith(incomplete)]


def events(
    source: Annotated[
        str | None, typer.Option(help="Only events of this source.", autocompletion=complete_source)
    ] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only events of this type.")] = None,
    status: Annotated[
        str | None,
        typer.Option(
            help="accepted, unmatched, unreadable, or the state of a dispatch, for example parked.",
            autocompletion=_complete_status,
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Received since: 2026-11-23T09:00:00Z, or 1h for an hour ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Received before this time; same format.")] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Search for this in ids, type, subject and (plain) body."),
    ] = None,
    label: LabelFilter = None,
    rule: Annotated[str | None, typer.Option(help="Only events with a dispatch of this rule.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only events with this subject.")] = None,
    chat: Annotated[str | None, typer.Option(help="Only the event of which the chat with this UUID was made.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The maximum number of events.")] = 50,
    rejected: Annotated[bool, typer.Option("--rejected", help="List refused requests instead.")] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List events and their outcomes."""
    from relay.cli.client import connect
    from relay.cli.output import print_json

    client = connect(url, token, config)
    if rejected:
        document = client.get("rejected", source=source, limit=min(limit, 1_000))
        return print_json(document) if as_json else _print_rejected(document["rejected"])
    filters = {"source": source, "type": type_, "status": status, "since": since, "until": until, "text": text}
    filters |= {"rule": rule, "subject": subject, "chat": chat}
    filters["label"] = None if label is None else read_label(label)
    document = _collect(client, limit, filters)
    if document["notice"]:
        sys.stderr.write(f"relay: {document['notice']}\n")
    return print_json(document) if as_json else _print_events(document)


def _collect(client: Any, limit: int, filters: dict[str, str | None]) -> dict[str, Any]:
    """Read pages until `limit` events are collected or there are no more."""
    collected: list[Any] = []
    cursor = notice = None
    while len(collected) < limit:
        page = client.get("events", limit=min(limit - len(collected), 500), cursor=cursor, **filters)
        collected += page["events"]
        cursor, notice = page["cursor"], page.get("notice")
        if cursor is None:
            break
    return {"events": collected, "cursor": cursor, "notice": notice}


def _print_events(document: dict[str, Any]) -> None:
    from relay.cli.output import print_line, print_table, short

    rows = [
        (event["id"], short(event["receivedAt"]), event["source"], event["type"], event["status"], _states(event))
        for event in document["events"]
    ]
    if not rows:
        return print_line("no events")
    print_table(["id", "received", "source", "type", "status", "dispatches"], rows, spare=("source", "type"))
    if document["cursor"]:
        print_line("there are more: raise --limit, or narrow the list with --since or --text")
    return None


def _states(event: dict[str, Any]) -> list[str]:
    return [
        f"{dispatch['rule']}: {dispatch['state']}" + (f" ({dispatch['parked']})" if dispatch["parked"] else "")
        for dispatch in event["dispatches"]
    ]


def _print_rejected(rejected: list[dict[str, Any]]) -> None:
    from relay.cli.output import print_line, print_table, short

    if not rejected:
        return print_line("no refused requests")
    return print_table(
        ["at", "source", "reason", "hint", "remote", "kept until", "readmitted"],
        [
            (short(request["at"]), *(request[key] for key in ("source", "reason", "hint", "remote")), *_kept(request))
            for request in rejected
        ],
        spare=("remote", "kept until", "readmitted"),
    )


def _kept(request: dict[str, Any]) -> tuple[str, list[str] | str]:
    """Until when a request can be verified again, and the events that it was accepted as."""
    from relay.cli.output import short

    events = request["readmitted"]
    return short(request["keptUntil"]), "" if events is None else events or "as no event"
