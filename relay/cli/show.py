"""`relay show ID`: all about one event."""

import json
from typing import Annotated, Any

import typer

from relay.cli.options import AsJson, Config, Token, Url


def show(
    any_id: Annotated[str, typer.Argument(metavar="ID", help="The id of an event, or of one of its dispatches.")],
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show an event: what came, which rules wanted it, every call to Cargo, and what was told."""
    from relay.cli.client import connect, segment
    from relay.cli.output import print_json, print_title
    from relay.cli.try_ import print_verdicts

    client = connect(url, token, config)
    found = client.get(f"events/{segment(any_id)}")
    if as_json:
        return print_json(found)
    _print(found)
    if found["status"] == "unmatched":
        print_title("Why no rule wanted it, by the rules of today")
        print_verdicts(client.post("try", {"event": found["id"]})["events"][0]["rules"])
    return None


def _print(found: dict[str, Any]) -> None:
    from relay.cli.output import precise, print_pairs, print_table, print_title

    print_pairs(
        [
            ("event", found["id"]),
            ("source", found["source"]),
            ("external id", found["externalId"]),
            ("type", found["type"]),
            ("subject", found["subject"]),
            ("status", found["status"]),
            ("received", found["receivedAt"]),
            ("unreadable", found["unreadable"]),
            ("correlation id", found["correlationId"]),
        ]
    )
    print_title("Timeline")
    steps = [(precise(step["at"]), step["what"], step["rule"], step["detail"]) for step in found["timeline"]]
    print_table(["at", "what", "rule", "detail"], steps, whole=("at", "what"))
    for dispatch in found["dispatches"]:
        _print_dispatch(dispatch)
    print_title("Body")
    body = found["raw"] if found["data"] is None else json.dumps(found["data"], indent=2, ensure_ascii=False)
    print_pairs([("", body or f"base64: {found['rawBase64']}")])


def _print_dispatch(dispatch: dict[str, Any]) -> None:
    from relay.cli.output import print_pairs, print_title

    failure = dispatch["failure"]
    print_title(f"Dispatch {dispatch['id']}")
    print_pairs(
        [
            ("rule", dispatch["rule"]),
            ("state", dispatch["state"] + (f" ({dispatch['parked']})" if dispatch["parked"] else "")),
            ("run, attempts", f"{dispatch['run']}, {dispatch['attempts']}"),
            ("chat", dispatch["chatUuid"]),
            ("found again", "yes" if dispatch["reconciled"] else None),
            ("other chats", ", ".join(dispatch["duplicates"])),
            ("failure", failure and f"{failure['message']} ({failure['status'] or failure['code']})"),
            ("to do", _advise(dispatch)),
            ("due", dispatch["dueAt"]),
            ("request", dispatch["request"] and json.dumps(dispatch["request"], indent=2, ensure_ascii=False)),
            ("message", dispatch["message"]),
        ]
    )


def _advise(dispatch: dict[str, Any]) -> str | None:
    """Which retry fits: what Cargo refused is refused again unless the body is rendered anew."""
    status = (dispatch["failure"] or {}).get("status") or 0
    if dispatch["state"] != "failed" or not 400 <= status < 500:
        return None
    return (
        f"if the rule was wrong, mend it, restart, then `relay retry --render {dispatch['id']}`; "
        "without --render the same body is sent again"
    )
