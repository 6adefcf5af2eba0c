"""`relay replay ID`: an event once more, with today's rules."""

from typing import Annotated

import typer

from relay.cli.options import AsJson, Config, Token, Url


def replay(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The id of an event.")],
    again: Annotated[
        bool, typer.Option("--again", help="Also the rules that already made, or may have made, a chat.")
    ] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Match an event with today's rules; rules that already made a chat are skipped."""
    from relay.cli.client import connect, segment
    from relay.cli.output import print_json, print_line, print_table

    client = connect(url, token, config)
    document = client.post(f"events/{segment(event_id)}/replay", {"again": again})
    if as_json:
        print_json(document)
    elif document["dispatches"]:
        print_table(["id", "rule"], [(one["id"], one["rule"]) for one in document["dispatches"]])
    else:
        print_line("nothing to add: no rule matches that has not made its chat already (--again replays those too)")
