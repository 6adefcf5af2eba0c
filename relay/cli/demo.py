"""`relay demo`: the whole relay on this machine, with events of its own."""

from typing import Annotated

import typer

from relay.cli.guard import starting
from relay.cli.options import Form, Level, LogFormat, LogLevel


def demo(
    once: Annotated[bool, typer.Option("--once", help="End when all results are in.")] = False,
    log_level: LogLevel = Level.WARNING,
    log_format: LogFormat = Form.AUTO,
) -> None:
    """Run the whole relay against a simulated Cargo, and send it signed sample events: see each step."""
    import asyncio

    from relay.app.demo import run
    from relay.telemetry import configure

    configure(log_level.value, log_format.value)
    with starting():
        code = asyncio.run(run(once=once))
    raise typer.Exit(code)
