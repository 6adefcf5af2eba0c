"""`relay tail`: results as they happen."""

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from relay.cli.guard import Unreachable, warn
from relay.cli.options import AsJson, Config, Token, Url
from relay.visible import visible

if TYPE_CHECKING:
    from relay.cli.client import Client

_MOST_TRIES: Final = 8
_WIDTHS: Final[dict[int, int]] = {1: len("message.failed")}


def tail(
    after: Annotated[
        str | None,
        typer.Option(
            help="Begin after this cursor, 0 for the oldest kept. Else with what comes next, with --no-follow all."
        ),
    ] = None,
    follow: Annotated[bool, typer.Option(help="Go on as results come, or end after the newest.")] = True,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print results as they happen, one line each; with --json each is the CloudEvent, as on RabbitMQ."""
    import asyncio

    from relay.cli.client import connect

    begin = after if after is not None else "latest" if follow else "0"
    asyncio.run(_follow(connect(url, token, config), begin, follow=follow, as_json=as_json))


async def _follow(client: "Client", after: str, *, follow: bool, as_json: bool) -> None:
    """Come back after every cut, where it was cut; give up when the relay stays away."""
    import asyncio

    tries, heard = 0, False
    while True:
        try:
            async with aclosing(client.results(after, follow=follow)) as results:
                async for cursor, result in results:
                    after, tries, heard = cursor, 0, True
                    if result is not None:
                        _print(result, as_json=as_json)
            if not follow:
                return
        except Unreachable as error:
            tries += 1
            if not heard or not follow or tries > _MOST_TRIES:
                raise
            warn(f"relay: {error}; trying again")
        await asyncio.sleep(min(0.25 * 2**tries, 10))


def _print(result: dict[str, Any], *, as_json: bool) -> None:
    from relay.cli.output import print_json_line, print_line, short

    if as_json:
        return print_json_line(result)
    data = result["data"]
    error = data.get("error")
    outcome = f"{error['code']}: {error['message']}" if error else data.get("chatUuid") or ""
    kind = result["type"].removeprefix("relay.")
    words = [short(result["time"]), kind, data["source"], data.get("rule") or "", data["eventId"], outcome]
    return print_line("  ".join(_align([visible(word, keep="") for word in words])).rstrip())


def _align(words: list[str]) -> list[str]:
    """Each column as wide as it has been so far: what comes is not known, and what was printed stays."""
    for number, word in enumerate(words):
        _WIDTHS[number] = max(_WIDTHS.get(number, 0), len(word))
    return [word.ljust(_WIDTHS[number]) for number, word in enumerate(words)]
