"""`relay acts`: who did what by hand."""

from typing import Annotated, Any

import typer

from relay.cli.options import AsJson, Config, Token, Url


def acts(
    limit: Annotated[int, typer.Option(min=1, help="The most acts to list.")] = 50,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List what people did by hand, newest first: who, what, when."""
    from relay.cli.client import connect
    from relay.cli.output import print_json, print_line, print_table, short

    client = connect(url, token, config)
    found: list[Any] = []
    cursor = None
    while len(found) < limit:
        page = client.get("acts", cursor=cursor, limit=min(limit - len(found), 500))
        found += page["acts"]
        cursor = page["cursor"]
        if cursor is None:
            break
    if as_json:
        return print_json({"acts": found, "cursor": cursor})
    if not found:
        return print_line("no acts")
    print_table(
        ["at", "actor", "act", "target", "detail"],
        [(short(row["at"]), row["actor"], row["act"], row["target"], row["detail"]) for row in found],
        whole=("target",),
        spare=("detail",),
    )
    if cursor:
        print_line("there are more: ask for them with --limit")
    return None
