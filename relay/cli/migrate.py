"""`relay migrate`: the ledger brought up to date."""

from collections.abc import Awaitable
from typing import Annotated

import typer

from relay.cli.guard import Unreachable, starting
from relay.cli.options import AsJson, Config
from relay.errors import Unavailable


def migrate(
    config: Config = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Only list what would be done; exit code 1 if any.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the ledger's tables up to date; the release before still runs on them."""
    import asyncio

    from relay.cli.output import print_json, print_line
    from relay.cli.settings import load
    from relay.ledger import migrate_ledger, pending_steps

    with starting():
        found = load(config, strict=True).settings.ledger
        work = pending_steps if pending else migrate_ledger
        steps = asyncio.run(_reach(work(found.url, password=found.password, ca_file=found.ca_file)))
    if as_json:
        print_json({"url": found.url, "pending" if pending else "applied": steps})
    else:
        done = "would be applied" if pending else "applied"
        print_line(f"{found.url}: {f'{done}: ' + ', '.join(steps) if steps else 'is up to date'}")
    if pending and steps:
        raise typer.Exit(1)


async def _reach(work: Awaitable[list[str]]) -> list[str]:
    try:
        return await work
    except Unavailable as error:
        raise Unreachable(f"the ledger is away: {error}") from None
