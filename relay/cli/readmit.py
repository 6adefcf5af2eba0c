"""`relay readmit SOURCE`: what was refused, judged again."""

from typing import Annotated, Any

import typer

from relay.cli.options import AsJson, Config, SourceName, Token, Url


def readmit(
    source: SourceName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge only: take nothing in.")] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Judge kept refused requests of a source again, by today's secrets as of when they came; take in what is right.

    Exit code 1 when one was refused again.
    """
    from relay.cli.client import LONG, connect, segment
    from relay.cli.output import print_json

    client = connect(url, token, config)
    document = client.post(f"sources/{segment(source)}/readmit", within=LONG, dryRun="true" if dry_run else None)
    if as_json:
        print_json(document)
    else:
        _print(source, document, dry_run=dry_run)
    if document["refused"]:
        raise typer.Exit(1)


def _print(source: str, document: dict[str, Any], *, dry_run: bool) -> None:
    from relay.cli.output import print_line, print_table, short

    requests = document["requests"]
    if not requests:
        return print_line(f"no refused request of {source} is kept; `relay events --rejected` lists what was refused")
    print_table(
        ["id", "at", "verdict", "reason", "hint", "events"],
        [(one["id"], short(one["at"]), one["verdict"], one["reason"], one["hint"], one["events"]) for one in requests],
    )
    if dry_run:
        print_line("nothing was taken in: leave --dry-run out to do it")
    return None
