"""`relay sandbox`: the Cargo simulator alone, with faults on demand."""

# ruff: noqa: ARG001 - the flags of faults are read from the context, by the names of the record they fill

from dataclasses import fields
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from relay.cli.guard import reason
from relay.errors import Blocked, RelayError

if TYPE_CHECKING:
    from relay.sandbox import Faults

_FAULTS: Final = "Faults"
_SHARES: Final = "Shares of the creations that fail so, 0 to 1"


class On(StrEnum):
    """What shares and scripts strike."""

    CHATS = "chats"
    MESSAGES = "messages"
    BOTH = "both"


class Denial(IntEnum):
    """How everything is refused."""

    UNAUTHORIZED = 401
    FORBIDDEN = 403


def _share(what: str) -> Any:
    return typer.Option(min=0, max=1, help=what, rich_help_panel=_SHARES, show_default=False)


def _fault(what: str, **given: Any) -> Any:
    return typer.Option(help=what, rich_help_panel=_FAULTS, **given)


def sandbox(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="The address to bind; :: for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port; 0 takes a free one.")] = 8090,
    token: Annotated[
        str | None, typer.Option(envvar="SANDBOX_TOKEN", help="The bearer token to ask for; else any.")
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="The most chats to remember.")] = 200_000,
    page: Annotated[int, typer.Option(min=1, help="Rows of a list's page.")] = 50,
    agents: Annotated[
        list[str] | None,
        typer.Option(help="The uuid of an agent that there is; may be repeated. Others are 404. Else every one is."),
    ] = None,
    latency: Annotated[float, _fault("Seconds before every answer.", min=0)] = 0,
    jitter: Annotated[float, _fault("Up to so many seconds more.", min=0)] = 0,
    rate: Annotated[float | None, _fault("More chats in a second are answered 429.")] = None,
    retry_after: Annotated[int, _fault("Seconds in Retry-After.", min=0)] = 1,
    status: Annotated[int, _fault("The status of a 5xx.", min=500, max=599)] = 503,
    denied: Annotated[Denial | None, _fault("Refuse every request with 401 or 403.")] = None,
    list_lag: Annotated[float, _fault("Seconds until a chat shows in the list.", min=0)] = 0,
    list_errors: Annotated[float, _fault("Share of lists answered 5xx.", min=0, max=1)] = 0,
    script: Annotated[
        list[str] | None, _fault("One fault by name, or ok, per following creation; may be repeated.")
    ] = None,
    times: Annotated[int | None, _fault("Shares strike so many times at most.", min=0)] = None,
    on: Annotated[On, _fault("What shares and scripts strike.")] = On.CHATS,
    seed: Annotated[int | None, _fault("Makes shares and jitter repeatable.")] = None,
    throttled: Annotated[float, _share("429 with Retry-After.")] = 0,
    throttled_bare: Annotated[float, _share("429 without.")] = 0,
    error_before: Annotated[float, _share("A 5xx, no chat made.")] = 0,
    error_after: Annotated[float, _share("A 5xx, the chat made.")] = 0,
    lost: Annotated[float, _share("No answer, the chat made.")] = 0,
    reset_before: Annotated[float, _share("The connection reset, no chat made.")] = 0,
    reset_after: Annotated[float, _share("The connection reset, the chat made.")] = 0,
    hang: Annotated[float, _share("Never an answer, no chat made.")] = 0,
    hang_after: Annotated[float, _share("Never an answer, the chat made.")] = 0,
    html: Annotated[float, _share("200 with a proxy's page, no chat made.")] = 0,
    empty: Annotated[float, _share("200 without a body, the chat made.")] = 0,
    no_chat: Annotated[float, _share("200 without a chat, the chat made.")] = 0,
    no_stamp: Annotated[float, _share("The relay's stamp is lost.")] = 0,
    bad_uuid: Annotated[float, _share("A uuid that is none.")] = 0,
    unauthorized: Annotated[float, _share("401.")] = 0,
    forbidden: Annotated[float, _share("403.")] = 0,
) -> None:
    """Run a simulated Cargo. PUT /_faults changes its faults, GET /_chats lists what it made."""
    import asyncio

    from relay.sandbox import make_app

    app = make_app(_read_faults(ctx.params), token=token, keep=keep, page=page, agents=agents or ())
    asyncio.run(_serve(app, host, port))


def _read_faults(given: dict[str, Any]) -> "Faults":
    from pydantic import ValidationError

    from relay.sandbox import Faults
    from relay.sandbox.faults import WIRE

    chosen = {found.name: given[found.name] for found in fields(Faults)}
    chosen |= {"script": tuple(given["script"] or ()), "denied": given["denied"] and int(given["denied"])}
    try:
        return WIRE.validate_python(chosen)
    except ValidationError as error:
        raise RelayError("; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors())) from None


async def _serve(app: Any, host: str, port: int) -> None:
    import asyncio
    import signal

    from relay.cli.output import print_line
    from relay.sandbox import run

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        running = await run(app, host, port)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--host") from None
    except OSError as error:
        where = error.filename or f"{host}:{port}"
        raise Blocked(f"{where} cannot be bound: {reason(error)}; choose another by --host, --port") from None
    async with running:
        print_line(f"a simulated Cargo is at {running.url}; for the relay: CARGO_BASE_URL={running.url}/v1")
        await stopped.wait()
