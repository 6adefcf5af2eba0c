"""`relay try SOURCE FILE`: what the rules would make of a payload, or of an event that came in."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.guard import warn
from relay.cli.options import AsJson, Config, Headers, SourceName, Token, Url

if TYPE_CHECKING:
    from relay.config import Loaded
    from relay.model import Event


def try_(
    source: SourceName = "",
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The body as it comes in; - is stdin.", show_default=False)
    ] = "",
    header: Headers = None,
    event: Annotated[
        str | None,
        typer.Option(
            "--event",
            metavar="ID",
            help="An event of a running relay, in place of SOURCE and FILE; the rules are those of the files here.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show which rules match, why the others do not, and the exact bodies Cargo would get; sends nothing.

    Exit code 1 when a rule that matches cannot be rendered, or the body cannot be read.
    """
    from relay.cli.output import print_json
    from relay.cli.settings import load

    if bool(event) == bool(source and file) or (event and (source or header)):
        raise typer.BadParameter("give SOURCE and FILE, or --event ID", param_hint="SOURCE FILE")
    loaded = load(config, strict=False)
    for warning in loaded.warnings:
        warn(f"relay: warning: {warning}")
    trial = _try_kept(loaded, event, config, url, token) if event else _try_file(loaded, source, file, header)
    if as_json:
        print_json(trial)
    else:
        _print(trial)
    if any(_fails(tried) for tried in trial["events"]):
        raise typer.Exit(1)


def _try_file(loaded: "Loaded", source: str, file: str, header: list[str] | None) -> dict[str, Any]:
    from relay.app import dry_run
    from relay.cli.payload import guess_type, read_headers, read_payload

    body = read_payload(file)
    return dry_run(loaded.settings, source, {"content-type": guess_type(file, body)} | read_headers(header), body)


def _try_kept(
    loaded: "Loaded", event_id: str, config: list[Path] | None, url: str | None, token: str | None
) -> dict[str, Any]:
    from relay.app import make_rules, try_events
    from relay.cli.client import connect, segment

    found = connect(url, token, config).get(f"events/{segment(event_id)}")
    return try_events([_read(found)], make_rules(loaded.settings))


def _read(found: dict[str, Any]) -> "Event":
    """The event as a rule sees it, from the API's document."""
    from relay.model import Event
    from relay.units import parse_iso

    return Event(
        id=found["id"],
        source=found["source"],
        external_id=found["externalId"],
        type=found["type"],
        data=found["data"],
        raw=b"",
        digest=b"",
        received_at=parse_iso(found["receivedAt"]),
        subject=found["subject"],
        time=None if found["time"] is None else parse_iso(found["time"]),
        headers=found["headers"],
        unreadable=found["unreadable"],
    )


def _fails(tried: dict[str, Any]) -> bool:
    return tried["event"]["unreadable"] is not None or any(verdict.get("failure") for verdict in tried["rules"])


def _print(trial: Any) -> None:
    from relay.cli.output import print_pairs

    for tried in trial["events"]:
        print_pairs((name, value) for name, value in tried["event"].items() if not isinstance(value, dict | list))
        print_verdicts(tried["rules"])


def print_verdicts(verdicts: Any) -> None:
    """What each rule made of an event, and why."""
    from relay.cli.output import print_pairs, print_title

    for verdict in verdicts:
        print_title(f"rule {verdict['rule']}: {'matches' if verdict['matched'] else 'does not match'}")
        body = verdict.get("body")
        print_pairs(
            [
                ("why", None if verdict["matched"] else verdict.get("why")),
                ("fails", _reason(verdict.get("failure"))),
                ("body", body and json.dumps(body, indent=2, ensure_ascii=False)),
                ("message", verdict.get("message")),
            ]
        )


def _reason(failure: Any) -> Any:
    return failure.get("message") if isinstance(failure, dict) else failure
