"""`relay reload`: the changed configuration, now."""

from typing import Any

import typer

from relay.cli.options import AsJson, Config, Token, Url


def reload(url: Url = None, token: Token = None, config: Config = None, as_json: AsJson = False) -> None:
    """Have a running relay read its configuration again and say what changed; exit code 1 with every fault.

    A relay does so by itself within two seconds of a change; with faults, the former configuration stays in force.
    """
    from relay.cli.client import LONG, Faulty, connect
    from relay.cli.output import print_json

    client = connect(url, token, config)
    try:
        done = client.post("reload", within=LONG)
    except Faulty as error:
        if not as_json:
            raise
        print_json({"status": "refused", "faults": error.document["faults"]})
        raise typer.Exit(1) from None
    if as_json:
        return print_json(done)
    return _print(done)


def _print(done: dict[str, Any]) -> None:
    from relay.cli.guard import warn
    from relay.cli.output import print_line

    for change in done["changes"]:
        print_line(f"{change['change']} {change['key']}")
    print_line(f"{done['status']}; configuration {done['hash']} is in force")
    if done["restart"]:
        warn(f"relay: restart it for {', '.join(done['restart'])}: until then the values of its start are in force")
