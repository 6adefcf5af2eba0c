"""The client of a running relay's API. It turns error responses into Relay's errors."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from relay.cli.guard import Unreachable, warn
from relay.cli.options import DEFAULT_URL
from relay.cli.route import reason, require_address, route
from relay.errors import Conflict, Misconfigured, NotFound, RelayError
from relay.secret import Secret

LONG: Final = 600.0
"""Timeout in seconds of operations that commit once per request."""
_SHORT: Final = 60.0
_AT_ONCE: Final = 8
_STREAM: Final = aiohttp.ClientTimeout(total=None, connect=5, sock_read=45)
_TYPES: Final = {"application/json", "text/event-stream"}
_STRANGER: Final = "{url} answers, but not like a relay ({what}); is it the listener of http.ops?"
_KINDS: Final[dict[int, type[RelayError]]] = {404: NotFound, 409: Conflict, 503: Unreachable}


class Faulty(Misconfigured):
    """The relay found faults in its configuration; `document` is its answer."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__([fault["text"] for fault in document["faults"]])
        self.document = document


@dataclass(frozen=True, slots=True)
class Client:
    """The ops listener at `url`.

    Every method raises Unreachable (there is no relay, or it is not available now), NotFound, Conflict, Faulty, and
    RelayError for a request that the relay refuses.
    """

    url: str
    token: Secret | None = None

    def get(self, path: str, **query: Any) -> Any:
        """The JSON at `/api/...`. Parameters that are None are left out."""
        return asyncio.run(self._ask("GET", path, query))

    def post(self, path: str, body: Any = None, *, within: float = _SHORT, **query: Any) -> Any:
        """The JSON that an action returns within `within` seconds. Parameters that are None are left out."""
        return asyncio.run(self._ask("POST", path, query, body or {}, within))

    async def get_all(self, asks: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
        """The JSON at several paths with their parameters, in this order; None where there is nothing.

        Some are asked for at the same time.
        """
        slots = asyncio.Semaphore(_AT_ONCE)

        async def get(session: aiohttp.ClientSession, path: str, query: dict[str, Any]) -> Any:
            given = {name: value for name, value in query.items() if value is not None}
            try:
                async with slots, self._request(session, "GET", path, params=given) as answer:
                    return await answer.json()
            except NotFound:
                return None

        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=_SHORT, connect=_SHORT)) as session:
            return await asyncio.gather(*(get(session, path, query) for path, query in asks))

    async def results(self, after: str, *, follow: bool) -> AsyncGenerator[tuple[str, Any]]:
        """The stream of results: pairs of cursor and CloudEvent. The first pair is the starting cursor and None.

        Raises Unreachable also when the connection breaks.
        """
        query = {"follow": str(int(follow)), "after": after}
        async with (
            aiohttp.ClientSession(timeout=_STREAM) as session,
            self._request(session, "GET", "results", params=query) as answer,
        ):
            async for event in _events(answer):
                yield event

    async def _ask(
        self, method: str, path: str, query: dict[str, Any], body: Any = None, within: float = _SHORT
    ) -> Any:
        parameters = {name: value for name, value in query.items() if value is not None}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=within, connect=5)) as session,
            self._request(session, method, path, params=parameters, json=body) as answer,
        ):
            return await answer.json()

    @asynccontextmanager
    async def _request(
        self, session: aiohttp.ClientSession, method: str, path: str, **arguments: Any
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        url = self._locate(path)
        headers = {"Authorization": f"Bearer {self.token.reveal()}"} if self.token else {}
        proxy = route(str(url), headers)
        try:
            async with session.request(method, url, allow_redirects=False, **proxy, **arguments) as answer:
                if answer.status != 200 or answer.content_type not in _TYPES:
                    raise await _refusal(answer, self)
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(
                f"no relay answers at {self.url} ({reason(error, proxy)}); "
                "start one with `relay serve`, or set its address with --url or RELAY_URL"
            ) from None
        except json.JSONDecodeError:
            raise Unreachable(_STRANGER.format(url=self.url, what="no JSON")) from None

    def _locate(self, path: str) -> URL:
        require_address(self.url, DEFAULT_URL)
        return URL(f"{self.url.rstrip('/')}/api/{path}", encoded=True)


def connect(url: str | None, token: str | None, config: Sequence[Path] | None) -> Client:
    """The relay at `url`, otherwise at `http.ops` of the configuration, otherwise at the default address.

    Raises Misconfigured when `config` has faults, and RelayError for a token that no header carries. Faults in a
    configuration that was not named are only a warning.
    """
    if token and not (token.isascii() and token.isprintable()):
        raise RelayError(
            "the token of --token or RELAY_TOKEN contains a character that an HTTP header cannot carry; check for line "
            "breaks (also \\r, of a file from Windows) and quotes that are not plain"
        )
    return Client(url or _find(config), Secret(token) if token else None)


def _find(config: Sequence[Path] | None) -> str:
    from relay.cli.settings import address, find_any, load

    if not find_any(config):
        return DEFAULT_URL
    try:
        settings = load(config, strict=False).settings
    except Misconfigured:
        if config:
            raise
        warn(f"relay: the configuration has faults (`relay check` lists them), so {DEFAULT_URL} is used")
        return DEFAULT_URL
    return address("http.ops", settings.http.ops)


def segment(text: str) -> str:
    """An id or a name as an escaped path segment. Raises RelayError when it is empty."""
    if not text.strip():
        raise RelayError("an id or a name is empty, as of a variable that is not set; write it out")
    return quote(text, safe="")


async def _refusal(answer: aiohttp.ClientResponse, client: Client) -> RelayError:
    url = client.url
    if answer.status == 401:
        did = "refused the token" if client.token else "wants a token"
        return RelayError(
            f"the relay at {url} {did}; set RELAY_TOKEN or --token to the value of http.token or of one of http.tokens"
        )
    if answer.content_type != "application/problem+json":
        return Unreachable(_STRANGER.format(url=url, what=answer.status))
    problem = await answer.json(content_type=None)
    if answer.status == 422:
        return Faulty(problem)
    return _KINDS.get(answer.status, RelayError)(problem["detail"])


async def _events(answer: aiohttp.ClientResponse) -> AsyncGenerator[tuple[str, Any]]:
    rest = b""
    async for chunk in answer.content.iter_any():
        *blocks, rest = (rest + chunk).split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
            if b"id" in fields:
                yield fields[b"id"].decode(), json.loads(fields.get(b"data", b"null"))
