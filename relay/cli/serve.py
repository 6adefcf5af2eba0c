"""`relay serve`: runs the service."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.guard import starting
from relay.cli.options import Config, Level, LineFormat, LogFormat, LogLevel

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


def _seconds(text: str, option: str) -> float:
    from relay.units import duration

    try:
        return duration(text) / 1_000
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def serve(
    config: Config = None,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Bring a PostgreSQL ledger up to date first; a SQLite ledger always is.")
    ] = False,
    grace: Annotated[
        str, typer.Option(metavar="DURATION", help="How long SIGTERM waits for work in flight, for example 20s.")
    ] = "20s",
    linger: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="How long SIGTERM goes on taking webhooks first, not ready and closing each connection, so that "
            "balancers send elsewhere by then; 0s where there is none.",
        ),
    ] = "5s",
    log_level: LogLevel = Level.INFO,
    log_format: LogFormat = LineFormat.AUTO,
) -> None:
    """Run the service until SIGTERM, which drains it; a second one ends it at once. Ctrl-C drains without lingering."""
    import asyncio

    from relay.cli.settings import load
    from relay.telemetry import configure

    draining, lingering = _seconds(grace, "--grace"), _seconds(linger, "--linger")
    configure(log_level.value, log_format.value)
    with starting():
        loaded = load(config, strict=True, examples=False)
    from relay.app import run

    with starting(), asyncio.Runner(loop_factory=_loop()) as runner:
        code = runner.run(run(loaded, migrate=migrate, grace=draining, linger=lingering))
    raise typer.Exit(code)


def _loop() -> "Callable[[], AbstractEventLoop] | None":
    """The event loop of uvloop when the extra `fast` is installed, otherwise None."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], AbstractEventLoop] = uvloop.new_event_loop
    return factory
