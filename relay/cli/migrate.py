"""`relay migrate`: brings the ledger's tables up to date."""

from collections.abc import Awaitable
from typing import Annotated

import typer

from relay.cli.guard import Unreachable, starting
from relay.cli.options import AsJson, Config
from relay.errors import Unavailable


def migrate(
    config: Config = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Only list the pending steps; the exit code is 1 if there are any.")
    ] = False,
    sql: Annotated[
        bool,
        typer.Option(
            "--sql", help="Only print the SQL for the owner of a PostgreSQL database, with the rights to grant."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the ledger's tables up to date. The previous release still runs with them."""
    if pending and sql:
        raise typer.BadParameter("give either --pending or --sql, not both")
    import asyncio

    from relay.cli.output import print_json, print_line
    from relay.cli.settings import load
    from relay.ledger import migrate_ledger, pending_steps, script_ledger

    with starting():
        ledger = load(config, strict=True).settings.ledger
        if sql:
            script = asyncio.run(script_ledger(ledger.url, **ledger.access()))
            print_json({"url": ledger.url, "sql": script}) if as_json else print_line(script.rstrip())
            return
        work = pending_steps if pending else migrate_ledger
        steps = asyncio.run(_reach(work(ledger.url, **ledger.access())))
    if as_json:
        print_json({"url": ledger.url, "pending" if pending else "applied": steps})
    else:
        done = "would be applied" if pending else "applied"
        print_line(f"{ledger.url}: {f'{done}: ' + ', '.join(steps) if steps else 'is up to date'}")
    if pending and steps:
        raise typer.Exit(1)


async def _reach(work: Awaitable[list[str]]) -> list[str]:
    try:
        return await work
    except Unavailable as error:
        raise Unreachable(f"the ledger is unavailable: {error}") from None
