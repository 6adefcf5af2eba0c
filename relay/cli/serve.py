"""`relay serve`: the service."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.guard import starting
from relay.cli.options import Config, Form, Level, LogFormat, LogLevel

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


def _seconds(text: str) -> float:
    from relay.units import duration

    try:
        return duration(text) / 1_000
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--grace") from None


def serve(
    config: Config = None,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Bring a PostgreSQL ledger up to date first; SQLite always is.")
    ] = False,
    grace: Annotated[
        str, typer.Option(metavar="DURATION", help="How long SIGTERM waits for what is in flight, as 20s.")
    ] = "20s",
    log_level: LogLevel = Level.INFO,
    log_format: LogFormat = Form.AUTO,
) -> None:
    """Run the service until SIGTERM, which drains it; a second one ends it at once."""
    import asyncio

    from relay.cli.settings import load
    from relay.telemetry import configure

    seconds = _seconds(grace)
    configure(log_level.value, log_format.value)
    with starting():
        loaded = load(config, strict=True, examples=False)
    from relay.app import run

    with starting(), asyncio.Runner(loop_factory=_loop()) as runner:
        code = runner.run(run(loaded, migrate=migrate, grace=seconds))
    raise typer.Exit(code)


def _loop() -> "Callable[[], AbstractEventLoop] | None":
    """uvloop's loop where the extra `fast` is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], AbstractEventLoop] = uvloop.new_event_loop
    return factory
