"""`relay events`: what came in, newest first."""

import sys
from typing import Annotated, Any

import typer

from relay.cli.options import AsJson, Config, Token, Url
from relay.cli.settings import complete_source


def _complete_status(incomplete: str) -> list[str]:
    from relay.model import State

    return [status for status in ("accepted", "unmatched", "unreadable", *State) if status.startswith(incomplete)]


def events(
    source: Annotated[str | None, typer.Option(help="Only of this source.", autocompletion=complete_source)] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only of this type.")] = None,
    status: Annotated[
        str | None,
        typer.Option(
            help="accepted, unmatched, unreadable, or the state of a dispatch, as parked.",
            autocompletion=_complete_status,
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Received since: 2026-11-23T09:00:00Z, or 1h for an hour ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Received before; likewise.")] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Look for this in ids, type, subject and (plain) body."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most events to list.")] = 50,
    rejected: Annotated[bool, typer.Option("--rejected", help="List refused requests instead.")] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List events and what became of them."""
    from relay.cli.client import connect
    from relay.cli.output import print_json

    client = connect(url, token, config)
    if rejected:
        document = client.get("rejected", source=source, limit=min(limit, 1_000))
        return print_json(document) if as_json else _print_rejected(document["rejected"])
    asked = {"source": source, "type": type_, "status": status, "since": since, "until": until, "text": text}
    document = _collect(client, limit, asked)
    if document["notice"]:
        sys.stderr.write(f"relay: {document['notice']}\n")
    return print_json(document) if as_json else _print_events(document)


def _collect(client: Any, limit: int, asked: dict[str, str | None]) -> dict[str, Any]:
    """As many pages as it takes."""
    found: list[Any] = []
    cursor = notice = None
    while len(found) < limit:
        page = client.get("events", limit=min(limit - len(found), 500), cursor=cursor, **asked)
        found += page["events"]
        cursor, notice = page["cursor"], page.get("notice")
        if cursor is None:
            break
    return {"events": found, "cursor": cursor, "notice": notice}


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
        print_line("there are more: ask for them with --limit, or narrow it down with --since or --text")
    return None


def _states(event: dict[str, Any]) -> list[str]:
    return [
        f"{one['rule']}: {one['state']}" + (f" ({one['parked']})" if one["parked"] else "")
        for one in event["dispatches"]
    ]


def _print_rejected(rejected: list[dict[str, Any]]) -> None:
    from relay.cli.output import print_line, print_table, short

    if not rejected:
        return print_line("no refused requests")
    return print_table(
        ["at", "source", "reason", "hint", "remote", "kept until", "readmitted"],
        [
            (short(one["at"]), *(one[key] for key in ("source", "reason", "hint", "remote")), *_kept(one))
            for one in rejected
        ],
        spare=("remote", "kept until", "readmitted"),
    )


def _kept(one: dict[str, Any]) -> tuple[str, list[str] | str]:
    """Until when it can be judged again; the events that it has become."""
    from relay.cli.output import short

    became = one["readmitted"]
    return short(one["keptUntil"]), "" if became is None else became or "as no event"
