"""`relay readmit SOURCE`: verifies refused requests again."""

from typing import Annotated, Any

import typer

from relay.cli.options import AsJson, Config, SourceName, Token, Url


def readmit(
    source: SourceName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Verify only, without accepting anything.")] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Verify the kept refused requests of a source again, with the current secrets, and accept the valid ones.

    Timestamps are compared with the time when a request arrived. The exit code is 1 when one is refused again.
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
        return print_line(f"no refused request of {source} is kept; `relay events --rejected` lists refused requests")
    print_table(
        ["id", "at", "verdict", "reason", "hint", "events"],
        [(row["id"], short(row["at"]), row["verdict"], row["reason"], row["hint"], row["events"]) for row in requests],
    )
    if dry_run:
        print_line("nothing was accepted: leave out --dry-run to accept the valid requests")
    return None
