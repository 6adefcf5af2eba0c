"""`relay usage`: chats and credits by rule and day."""

from typing import Annotated

import typer

from relay.cli.options import AsJson, Config, Token, Url


def usage(
    since: Annotated[str, typer.Option(help="From this day on: an ISO time, or how long ago.")] = "7d",
    rule: Annotated[str | None, typer.Option(help="Only of this rule.")] = None,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the chats that each rule made on each day (UTC), and the credits that they have used at Cargo."""
    from relay.cli.client import connect
    from relay.cli.output import print_json, print_line, print_table

    report = connect(url, token, config).get("usage", since=since, rule=rule)
    if as_json:
        return print_json(report)
    if not report["usage"]:
        return print_line("no chats")
    print_table(
        ["day", "rule", "chats", "credits"],
        [(row["day"], row["rule"], row["chats"], _credits(row["credits"])) for row in report["usage"]],
        whole=("rule",),
    )
    return print_line(f"in all: {report['chats']} chats, {_credits(report['credits'])} credits")


def _credits(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g}"
