"""`relay try SOURCE FILE`: shows what the rules would do with a payload or a stored event."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from relay.cli.guard import complain, warn
from relay.cli.options import AsJson, Config, Headers, SourceName, Token, Url

if TYPE_CHECKING:
    from relay.config import Loaded

_OF_LEDGER: Final = frozenset(
    {"changed", "newest", "once", "debounce", "thread", "order", "delay", "schedule", "limit", "budget"}
)
"""Keys whose step hangs on what the ledger holds, but for the loop guard, which every rule has."""


def try_(
    source: SourceName = "",
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The file with the body; - is stdin.", show_default=False)
    ] = "",
    header: Headers = None,
    event: Annotated[
        str | None,
        typer.Option(
            "--event",
            metavar="ID",
            help="An event of a running relay, instead of SOURCE and FILE. The rules are from the local configuration.",
            show_default=False,
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Ask a running relay: by its rules, and with what its ledger would say to the keys now."
        ),
    ] = False,
    config: Config = None,
    url: Url = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show which rules match, why the others do not, and the exact bodies for Cargo. Nothing is sent.

    The exit code is 1 when a matching rule cannot be rendered, or the body cannot be read; 2 when values of the event
    are hidden from the token.
    """
    from relay.cli.output import print_json
    from relay.cli.settings import load

    if bool(event) == bool(source and file) or (event and (source or header)):
        raise typer.BadParameter("give either SOURCE and FILE or --event ID", param_hint="SOURCE FILE")
    if live:
        trial = _ask(_asked(event, source, file, header), config, url, token)
    else:
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


def _asked(event: str | None, source: str, file: str, header: list[str] | None) -> dict[str, Any]:
    """The body of `POST /api/try`."""
    from relay.cli.payload import guess_type, read_headers, read_text

    if event:
        return {"event": event}
    text = read_text(file)
    return {
        "source": source,
        "headers": {"content-type": guess_type(file, text.encode())} | read_headers(header),
        "body": text,
    }


def _ask(asked: dict[str, Any], config: list[Path] | None, url: str | None, token: str | None) -> Any:
    from relay.cli.client import connect

    return connect(url, token, config).post("try", asked)


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
    from relay.cli.past import MaskedEvent, read_event

    document = connect(url, token, config).get(f"events/{segment(event_id)}")
    try:
        event = read_event(document)
    except MaskedEvent as error:
        complain(str(error), 2)
    return try_events([event], make_rules(loaded.settings))


def _fails(tried: dict[str, Any]) -> bool:
    return tried["event"]["unreadable"] is not None or any(verdict.get("failure") for verdict in tried["rules"])


def _print(trial: Any) -> None:
    from relay.cli.output import print_pairs

    for tried in trial["events"]:
        print_pairs((name, value) for name, value in tried["event"].items() if not isinstance(value, dict | list))
        print_verdicts(tried["rules"])


def print_verdicts(verdicts: Any) -> None:
    """Print what each rule does with an event, and why."""
    from relay.cli.output import print_pairs, print_title

    for verdict in verdicts:
        print_title(f"rule {verdict['rule']}: {_outcome(verdict)}")
        body = verdict.get("body")
        print_pairs(
            [
                ("why", None if verdict["matched"] else verdict.get("why")),
                ("when", [_term(term) for term in verdict.get("conditions", [])]),
                *((key, _value(value)) for key, value in verdict.get("keys", {}).items()),
                ("fails", _reason(verdict.get("failure"))),
                ("body", body and json.dumps(body, indent=2, ensure_ascii=False)),
                ("message", verdict.get("message")),
                ("follow", verdict.get("follow")),
                ("now", _now(verdict)),
            ]
        )


def _now(verdict: Any) -> list[str] | None:
    """What the ledger would say; `relay show` tells what it did say."""
    now = verdict.get("now")
    if now is None:
        asks = verdict["matched"] and "now" not in verdict and not _OF_LEDGER.isdisjoint(verdict.get("keys", ()))
        return ["not asked: --live asks the ledger of a running relay"] if asks else None
    if now["skip"]:
        return [f"skipped ({now['skip']['why']}): {now['skip']['detail']}"]
    told = [now["state"] + (f": {now['why']}" if now["why"] else "")]
    if held := now["held"]:
        until = f" until {held['until']}" if held["until"] else ""
        behind = f" behind dispatch {held['cause']}" if held["cause"] else ""
        told = [f"held by {held['by']}{until}{behind}"]
    if now["since"]:
        told.append(f"which was made at {now['since']}")
    if now["chatUuid"]:
        told.append(f"goes on in chat {now['chatUuid']}")
    return told


def _outcome(verdict: Any) -> str:
    if verdict.get("skip"):
        return f"skips it ({verdict['skip']['why']})"
    return "matches" if verdict["matched"] else "does not match"


def _term(term: Any) -> str:
    """`true  data.amount > 5 (data.amount is 7)`."""
    holds = {True: "true ", False: "false", None: "fails"}[term["holds"]]
    found = [f"{path} is {json.dumps(value, ensure_ascii=False)}" for path, value in term["values"].items()]
    found += [f"{path} is missing" for path in term["missing"]] + ([term["error"]] if term["error"] else [])
    joint = f"{term['joined']} " if term["joined"] else ""
    return f"{holds}  {joint}{term['condition']}" + (f" ({'; '.join(found)})" if found else "")


def _value(value: Any) -> list[str] | str:
    """What a key made of the event: its terms, its names line by line, or as it is."""
    if isinstance(value, list) and all(isinstance(term, dict) and "holds" in term for term in value):
        return [_term(term) for term in value]
    if isinstance(value, dict):
        return [f"{name}: {json.dumps(item, ensure_ascii=False)}" for name, item in value.items()]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _reason(failure: Any) -> Any:
    return failure.get("message") if isinstance(failure, dict) else failure
