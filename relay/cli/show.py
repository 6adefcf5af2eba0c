"""`relay show ID`: shows an event."""

import json
from typing import Annotated, Any

import typer

from relay.cli.options import AsJson, Config, Token, Url


def show(
    any_id: Annotated[str, typer.Argument(metavar="ID", help="The id of an event or dispatch, or its end.")],
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show an event: its body, what each rule made of it and why, the calls to Cargo, and the results."""
    from relay.cli.client import connect, segment
    from relay.cli.output import print_json

    client = connect(url, token, config)
    event = client.get(f"events/{segment(any_id)}")
    explained = client.get(f"events/{segment(event['id'])}/explain")
    if as_json:
        return print_json(event | {"explained": explained})
    _print(event)
    return _print_explained(explained)


def _print_explained(explained: dict[str, Any]) -> None:
    """What each rule made of the event. What it rendered stands with its dispatch."""
    from relay.cli.output import print_line, print_title
    from relay.cli.try_ import print_verdicts

    then = explained["asOf"] == "then"
    print_title("What each rule made of it, as it was then" if then else "What each rule in force makes of it")
    if not then:
        print_line("the rules that decided it are not kept any more")
    if not explained["rules"]:
        print_line("no rule is for its source and type")
    print_verdicts([verdict | {"body": None, "message": None} for verdict in explained["rules"]])


def _print(event: dict[str, Any]) -> None:
    from relay.cli.output import precise, print_pairs, print_table, print_title

    print_pairs(
        [
            ("event", event["id"]),
            ("source", event["source"]),
            ("external id", event["externalId"]),
            ("type", event["type"]),
            ("subject", event["subject"]),
            ("status", event["status"]),
            ("received", event["receivedAt"]),
            ("unreadable", event["unreadable"]),
            ("correlation id", event["correlationId"]),
            ("hidden", ", ".join(event["hidden"])),
        ]
    )
    print_title("Timeline")
    days = [event["receivedAt"][:10], *(step["at"][:10] for step in event["timeline"])]
    steps = [
        (precise(step["at"], day), step["what"], step["rule"], step["detail"])
        for step, day in zip(event["timeline"], days, strict=False)
    ]
    print_table(["at", "what", "rule", "detail"], steps, whole=("at", "what"))
    if event.get("skips"):
        print_title("Skipped by")
        skips = [(skip["rule"], skip["why"], _brief(skip["detail"])) for skip in event["skips"]]
        print_table(["rule", "why", "detail"], skips, whole=("rule", "why"))
    for dispatch in event["dispatches"]:
        _print_dispatch(dispatch)
    print_title("Body")
    body = event["raw"] if event["data"] is None else json.dumps(event["data"], indent=2, ensure_ascii=False)
    print_pairs([("", "hidden" if body is None and event["hidden"] else body or f"base64: {event['rawBase64']}")])


def _brief(detail: Any) -> str:
    return detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)


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
            ("reconciled", "yes" if dispatch["reconciled"] else None),
            ("other chats", ", ".join(dispatch["duplicates"])),
            ("failure", failure and f"{failure['message']} ({failure['status'] or failure['code']})"),
            ("to do", _advise(dispatch)),
            ("held", _held(dispatch["held"])),
            ("due", dispatch["dueAt"]),
            ("labels", [f"{name}: {value}" for name, value in dispatch.get("labels", {}).items()]),
            ("left out", [f"{each['label']}: {each['why']}" for each in dispatch.get("leftOut", [])]),
            ("results to", _outlet(dispatch.get("result"))),
            ("request", dispatch["request"] and json.dumps(dispatch["request"], indent=2, ensure_ascii=False)),
            ("message", dispatch["message"]),
            ("follow", dispatch["follow"]),
            ("rule as it was", dispatch["ruleVersion"] and dispatch["ruleVersion"]["text"].rstrip()),
            ("its version", dispatch["ruleVersion"] and dispatch["ruleVersion"]["hash"]),
        ]
    )


def _held(held: dict[str, Any] | None) -> str | None:
    """Why and until when it is held, for people."""
    if held is None:
        return None
    key = f" of {held['key']}" if held["key"] else ""
    if held["cause"]:
        return f"by {held['by']}{key}, behind dispatch {held['cause']}"
    return f"by {held['by']}{key}" + (f" until {held['until']}" if held["until"] else "")


def _outlet(outlet: dict[str, Any] | None) -> str | None:
    """Where the results of a dispatch go that do not go to the result exchange."""
    if outlet is None:
        return None
    key = outlet["routingKey"]
    return f"exchange {outlet['exchange']}" + (f", routing key {key}" if key else "")


def _advise(dispatch: dict[str, Any]) -> str | None:
    """How to retry: Cargo would refuse the same body again, so it must be rendered again."""
    status = (dispatch["failure"] or {}).get("status") or 0
    if dispatch["state"] != "failed" or not 400 <= status < 500:
        return None
    return (
        f"if the rule is wrong, correct it, then run `relay retry --render {dispatch['id']}`; "
        "without --render the same body is sent again"
    )
