"""`relay tail`: prints results as they happen."""

from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from relay.cli.guard import Unreachable, Untaken, warn
from relay.cli.options import AsJson, Config, Token, Url
from relay.visible import visible

if TYPE_CHECKING:
    from relay.cli.client import Client
    from relay.cli.forward import CursorFile, Forward

_MOST_TRIES: Final = 8
_WIDTHS: Final[dict[int, int]] = {1: len("message.failed")}


def tail(
    after: Annotated[
        str | None,
        typer.Option(
            help="Start after this cursor; 0 is the oldest result. Default: new results, or all with --no-follow."
        ),
    ] = None,
    follow: Annotated[bool, typer.Option(help="Wait for new results, or exit after the latest.")] = True,
    forward: Annotated[
        str | None,
        typer.Option(
            "--forward",
            metavar="URL",
            help="Post each result to a local program, one after the other, each until the program answers 2xx.",
        ),
    ] = None,
    secret_env: Annotated[
        str | None,
        typer.Option("--secret-env", metavar="NAME", help="With --forward: the variable with the secret that signs."),
    ] = None,
    cursor_file: Annotated[
        Path | None,
        typer.Option(
            "--cursor-file",
            metavar="FILE",
            help="Remember here how far results were taken: the next run goes on there, unless --after is given.",
        ),
    ] = None,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print results as they happen, one per line. With --json each is a CloudEvent, as on RabbitMQ.

    With --forward a program on this machine gets them too: the relay is only read, so it may be that of production.
    """
    import asyncio

    from relay.cli.client import connect
    from relay.cli.forward import CursorFile

    if secret_env and not forward:
        raise typer.BadParameter("goes with --forward", param_hint="--secret-env")
    program = None if forward is None else _make_forward(forward, secret_env, follow=follow)
    kept = None if cursor_file is None else CursorFile(cursor_file)
    begin = after if after is not None else kept.read() if kept is not None else None
    if begin is None:
        begin = "latest" if follow else "0"
    tailing = _Tail(connect(url, token, config), begin, follow, as_json, program, kept)
    asyncio.run(tailing.run())


def _make_forward(url: str, variable: str | None, *, follow: bool) -> "Forward":
    from relay.cli.forward import Forward
    from relay.cli.verify import read_variable
    from relay.secret import Secret

    secret = None if variable is None else Secret(read_variable(variable))
    return Forward(url, secret, most=None if follow else _MOST_TRIES)


@dataclass(slots=True)
class _Tail:
    """Prints results, after `program` has taken each. `after` is the cursor of the last one, kept in `kept`."""

    client: "Client"
    after: str
    follow: bool
    as_json: bool
    program: "Forward | None"
    kept: "CursorFile | None"

    async def run(self) -> None:
        """Go on until the end of the results, or for ever. Says at last where to go on."""
        async with AsyncExitStack() as stack:
            if self.program is not None:
                await stack.enter_async_context(self.program)
            try:
                await self._follow()
            finally:
                if self.program is not None and self.kept is None and self.after != "latest":
                    warn(f"relay: `--after {self.after}` goes on here")

    async def _follow(self) -> None:
        """Reconnect after each broken connection and resume at the cursor. Give up when the relay stays unreachable."""
        import asyncio

        tries, connected = 0, False
        while True:
            try:
                async with aclosing(self.client.results(self.after, follow=self.follow)) as results:
                    async for cursor, result in results:
                        tries, connected = 0, True
                        await self._take(cursor, result)
                if not self.follow:
                    return
            except Untaken:
                raise
            except Unreachable as error:
                tries += 1
                if not connected or not self.follow or tries > _MOST_TRIES:
                    raise
                warn(f"relay: {error}; trying again")
            await asyncio.sleep(min(0.25 * 2**tries, 10))

    async def _take(self, cursor: str, result: dict[str, Any] | None) -> None:
        """Hand on one result. The cursor moves only after that: what was not taken comes again."""
        if result is not None:
            status = None if self.program is None else await self.program.post(result)
            _print(result, as_json=self.as_json, status=status)
        self.after = cursor
        if self.kept is not None:
            self.kept.write(cursor)


def _print(result: dict[str, Any], *, as_json: bool, status: int | None) -> None:
    from relay.cli.output import print_json_line, print_line, short

    if as_json:
        return print_json_line(result)
    words = [short(result["time"]), result["type"].removeprefix("relay."), *_describe(result)]
    words += [] if status is None else [str(status)]
    return print_line("  ".join(_align([visible(word, keep="") for word in words])).rstrip())


def _describe(result: dict[str, Any]) -> list[str]:
    """Source, rule, what it is about (an event, or a problem), and what became of it."""
    data = result["data"]
    if result["type"].startswith("relay.problem."):
        outcome = " ".join(data[name] for name in ("kind", "code", "detail") if data[name] is not None)
        return [data["source"] or "", data["rule"] or "", data["id"], outcome]
    error = data.get("error")
    outcome = f"{error['code']}: {error['message']}" if error else data.get("chatUuid") or ""
    return [data["source"], data.get("rule") or "", data["eventId"], outcome]


def _align(words: list[str]) -> list[str]:
    """Pad each column to its widest value so far, because later values are not known yet."""
    for number, word in enumerate(words):
        _WIDTHS[number] = max(_WIDTHS.get(number, 0), len(word))
    return [word.ljust(_WIDTHS[number]) for number, word in enumerate(words)]
