"""`relay rules`: what each rule did, what waits for it, and the rule as written."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.options import AsJson, Config, Token, Url

if TYPE_CHECKING:
    from relay.cli.client import Client


def rules(
    name: Annotated[str | None, typer.Argument(metavar="[RULE]", help="Show this rule as it is written.")] = None,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the rules in their order: what they did in the last day, what they hold, whether they are paused."""
    from relay.cli.client import connect

    client = connect(url, token, config)
    return _list(client, as_json=as_json) if name is None else _show(client, name, as_json=as_json)


def _list(client: "Client", *, as_json: bool) -> None:
    from relay.cli.output import print_json, print_line, print_table

    found = client.get("rules")
    if as_json:
        return print_json(found)
    if not found["rules"]:
        return print_line("no rules")
    print_table(
        ["rule", "state", "chats", "failed", "skipped", "held", "parked"],
        [
            (
                *(row["name"], state(row), row["lastDay"]["chats"], row["lastDay"]["failed"]),
                *(_skipped(row), row["held"], row["parked"]),
            )
            for row in found["rules"]
        ],
        whole=("rule",),
        spare=("skipped",),
    )
    print_line("chats, failed and skipped are of the last 24 hours")
    return None


def state(row: Any) -> str:
    """Whether a rule runs."""
    gone = "" if row["inForce"] else ", not configured"
    return f"paused{gone}" if row["paused"] else "runs"


def _skipped(row: Any) -> str:
    return ", ".join(f"{why} {count}" for why, count in row["lastDay"]["skips"].items()) or "0"


def _show(client: "Client", name: str, *, as_json: bool) -> None:
    from relay.cli.client import segment
    from relay.cli.output import print_json, print_line, print_pairs, print_title

    rule = client.get(f"rules/{segment(name)}")
    if as_json:
        return print_json(rule)
    day = rule["lastDay"]
    print_title(rule["name"])
    print_pairs(
        [
            ("state", state(rule)),
            ("last 24 hours", f"{day['chats']} chats, {day['failed']} failed, {day['ended']} ended without a chat"),
            ("skipped", _skipped(rule)),
            ("held", str(rule["held"])),
            ("parked", str(rule["parked"])),
            ("version", rule["hash"]),
        ]
    )
    for line in (rule["text"] or "").splitlines():
        print_line(line)
    return None
