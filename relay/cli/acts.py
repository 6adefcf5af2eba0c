"""Does one thing to several dispatches: each is tried, and each that could not be done is said."""

import sys
from collections.abc import Sequence

import typer

from relay.errors import Conflict, NotFound


def act(verb: str, dispatch_ids: Sequence[str], url: str, token: str | None, *, as_json: bool) -> None:
    """POST `verb` for each dispatch and print what each has become; exit code 1 when one was refused."""
    from relay.cli.client import Client, segment
    from relay.cli.output import print_json, print_table
    from relay.secret import Secret

    client = Client(url, Secret(token) if token else None)
    done, refused = [], False
    for dispatch_id in dispatch_ids:
        try:
            done.append(client.post(f"dispatches/{segment(dispatch_id)}/{verb}"))
        except (NotFound, Conflict) as error:
            refused = True
            sys.stderr.write(f"relay: {error}; `relay show {dispatch_id}` shows what it is\n")
    if as_json:
        print_json({"dispatches": done})
    elif done:
        print_table(
            ["id", "rule", "state", "run"], [(one["id"], one["rule"], one["state"], one["run"]) for one in done]
        )
    if refused:
        raise typer.Exit(1)
