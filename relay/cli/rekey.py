"""`relay rekey`: all that is kept, under today's key."""

import sys
from typing import TYPE_CHECKING

import typer

from relay.cli.guard import Unreachable, starting
from relay.cli.options import AsJson, Config
from relay.errors import Unavailable

if TYPE_CHECKING:
    from relay.config import Settings
    from relay.ledger import Rekeyed


def rekey(config: Config = None, as_json: AsJson = False) -> None:
    """Encrypt with `encrypt.key` what is plain or under an old key; without `key`, decrypt.

    It may be cut off and repeated. With PostgreSQL relays may run meanwhile; an embedded ledger wants its relay
    stopped. Exit code 1 when rows are under a key that is not configured.
    """
    import asyncio

    from relay.cli.output import print_json, print_line
    from relay.cli.settings import load

    with starting():
        settings = load(config, strict=True).settings
        done = asyncio.run(_rekey(settings))
    if as_json:
        print_json({"url": settings.ledger.url, "changed": dict(done.changed), "locked": dict(done.locked)})
    else:
        how = "encrypted" if settings.encrypt.key else "decrypted"
        print_line(f"{settings.ledger.url}: {how} anew: {', '.join(f'{n} {name}' for name, n in done.changed.items())}")
        for why, rows in sorted(done.locked.items()):
            print_line(f"{rows} rows cannot be read: {why}")
    if done.locked:
        raise typer.Exit(1)


async def _rekey(settings: "Settings") -> "Rekeyed":
    from relay.app.adapters import make_vault
    from relay.ledger import rekey_ledger

    ledger = settings.ledger
    try:
        return await rekey_ledger(ledger.url, make_vault(settings), _show, **ledger.access())
    except Unavailable as error:
        raise Unreachable(f"the ledger is away: {error}; what was done is kept, run it again") from None


def _show(table: str, seen: int, total: int) -> None:
    """A line that is written over on a terminal; elsewhere one per table, at its end."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{table}: {seen} of {total} rows looked at" + ("\n" if seen == total else ""))
    elif seen == total:
        sys.stderr.write(f"{table}: {total} rows looked at\n")
    sys.stderr.flush()
