"""`relay try SOURCE FILE`: what the rules would make of a payload."""

import json
from typing import Any

from relay.cli.guard import warn
from relay.cli.options import AsJson, Config, Headers, Payload, SourceName


def try_(
    source: SourceName, file: Payload, header: Headers = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show which rules match, why the others do not, and the exact bodies Cargo would get; sends nothing."""
    from relay.app import dry_run
    from relay.cli.output import print_json
    from relay.cli.payload import guess_type, read_headers, read_payload
    from relay.cli.settings import load

    loaded = load(config, strict=False)
    for warning in loaded.warnings:
        warn(f"relay: warning: {warning}")
    body = read_payload(file)
    headers = {"content-type": guess_type(file, body)} | read_headers(header)
    trial = dry_run(loaded.settings, source, headers, body)
    if as_json:
        print_json(trial)
    else:
        _print(trial)


def _print(trial: Any) -> None:
    from relay.cli.output import print_pairs, print_title

    for tried in trial["events"]:
        print_pairs((name, value) for name, value in tried["event"].items() if not isinstance(value, dict | list))
        for verdict in tried["rules"]:
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
