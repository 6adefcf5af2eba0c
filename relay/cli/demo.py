"""`relay demo`: runs the whole relay on this machine and sends it sample events."""

from typing import Annotated

import typer

from relay.cli.guard import starting
from relay.cli.options import Level, LineFormat, LogFormat, LogLevel


def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit when all results have arrived.")] = False,
    log_level: LogLevel = Level.WARNING,
    log_format: LogFormat = LineFormat.AUTO,
) -> None:
    """Run the whole relay against a simulated Cargo, send it signed sample events, and show each step."""
    import asyncio

    from relay.app.demo import run
    from relay.telemetry import configure

    configure(log_level.value, log_format.value)
    with starting():
        code = asyncio.run(run(once=once))
    raise typer.Exit(code)
