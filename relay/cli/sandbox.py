"""`relay sandbox`: the Cargo simulator, with faults on demand."""

# ruff: noqa: ARG001 - the fault flags are read from the context, by the field names of Faults

from dataclasses import fields
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from relay.cli.guard import reason
from relay.errors import Blocked, RelayError

if TYPE_CHECKING:
    from relay.sandbox import Faults

_FAULTS: Final = "Faults"
_SHARES: Final = "Shares of creations that fail this way, 0 to 1"


class On(StrEnum):
    """The calls that shares and scripts affect."""

    CHATS = "chats"
    MESSAGES = "messages"
    BOTH = "both"


class Denial(IntEnum):
    """The status with which every request is refused."""

    UNAUTHORIZED = 401
    FORBIDDEN = 403


def _share(text: str) -> Any:
    return typer.Option(min=0, max=1, help=text, rich_help_panel=_SHARES, show_default=False)


def _fault(text: str, **options: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=_FAULTS, **options)


def sandbox(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="The address to bind; :: for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port; 0 takes a free one.")] = 8090,
    token: Annotated[
        str | None, typer.Option(envvar="SANDBOX_TOKEN", help="The required bearer token; default: any.")
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="The maximum number of chats to remember.")] = 200_000,
    page: Annotated[int, typer.Option(min=1, help="The number of rows on a page of a list.")] = 50,
    agents: Annotated[
        list[str] | None,
        typer.Option(help="The uuid of an agent; may be repeated. Other agents are 404. Default: all agents exist."),
    ] = None,
    latency: Annotated[float, _fault("Seconds before every answer.", min=0)] = 0,
    jitter: Annotated[float, _fault("The maximum of random seconds in addition.", min=0)] = 0,
    rate: Annotated[float | None, _fault("The chats per second above which the answer is 429.")] = None,
    retry_after: Annotated[int, _fault("Seconds in Retry-After.", min=0)] = 1,
    status: Annotated[int, _fault("The status of a 5xx.", min=500, max=599)] = 503,
    denied: Annotated[Denial | None, _fault("Refuse every request with 401 or 403.")] = None,
    list_lag: Annotated[float, _fault("Seconds until a chat appears in the list.", min=0)] = 0,
    list_errors: Annotated[float, _fault("Share of lists answered 5xx.", min=0, max=1)] = 0,
    script: Annotated[
        list[str] | None, _fault("The fault of the next creation, by name, or ok; may be repeated.")
    ] = None,
    times: Annotated[int | None, _fault("The maximum number of faults by shares.", min=0)] = None,
    on: Annotated[On, _fault("The calls that shares and scripts affect.")] = On.CHATS,
    seed: Annotated[int | None, _fault("The seed that makes shares and jitter reproducible.")] = None,
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
    bad_uuid: Annotated[float, _share("A uuid that is not valid.")] = 0,
    unauthorized: Annotated[float, _share("401.")] = 0,
    forbidden: Annotated[float, _share("403.")] = 0,
) -> None:
    """Run a simulated Cargo. PUT /_faults changes its faults, GET /_chats lists what it made."""
    import asyncio

    from relay.sandbox import make_app

    app = make_app(_read_faults(ctx.params), token=token, keep=keep, page=page, agents=agents or ())
    asyncio.run(_serve(app, host, port))


def _read_faults(parameters: dict[str, Any]) -> "Faults":
    from pydantic import ValidationError

    from relay.sandbox import Faults
    from relay.sandbox.faults import WIRE

    chosen = {field.name: parameters[field.name] for field in fields(Faults)}
    chosen |= {
        "script": tuple(parameters["script"] or ()),
        "denied": parameters["denied"] and int(parameters["denied"]),
    }
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
        raise Blocked(f"{where} cannot be bound: {reason(error)}; choose another with --host or --port") from None
    async with running:
        print_line(f"a simulated Cargo is at {running.url}; for the relay: CARGO_BASE_URL={running.url}/v1")
        await stopped.wait()
