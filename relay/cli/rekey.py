"""`relay rekey`: encrypts the ledger with the current key."""

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
    """Encrypt rows that are plain or under an old key with `encrypt.key`; without `encrypt.key`, decrypt all rows.

    It can be interrupted and repeated. With PostgreSQL, relays may run meanwhile; with SQLite, stop the relay first.
    The exit code is 1 when rows are under a key that is not configured.
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
        operation = "encrypted" if settings.encrypt.key else "decrypted"
        print_line(
            f"{settings.ledger.url}: {operation}: {', '.join(f'{n} {name}' for name, n in done.changed.items())}"
        )
        for cause, rows in sorted(done.locked.items()):
            print_line(f"{rows} rows cannot be read: {cause}")
    if done.locked:
        raise typer.Exit(1)


async def _rekey(settings: "Settings") -> "Rekeyed":
    from relay.app.adapters import make_vault
    from relay.ledger import rekey_ledger

    ledger = settings.ledger
    try:
        return await rekey_ledger(ledger.url, make_vault(settings), _show, **ledger.access())
    except Unavailable as error:
        raise Unreachable(f"the ledger is unavailable: {error}; finished rows stay done, run it again") from None


def _show(table: str, seen: int, total: int) -> None:
    """Show the progress: a line that is overwritten on a terminal, otherwise one line per finished table."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{table}: {seen} of {total} rows checked" + ("\n" if seen == total else ""))
    elif seen == total:
        sys.stderr.write(f"{table}: {total} rows checked\n")
    sys.stderr.flush()
