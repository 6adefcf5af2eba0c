"""One HTTP exchange with Cargo, without retries; failures are translated to Relay's errors."""

import time
from collections.abc import Callable, Mapping
from typing import Final, Self, TypeVar

import aiohttp
from yarl import URL

from relay.cargo.connector import CargoConnector, Unsent
from relay.cargo.refusal import refusal
from relay.cargo.settings import CargoSettings
from relay.cargo.trouble import describe, refuses
from relay.errors import Denied, Permanent, RelayError, Retryable, Unknown
from relay.proxy import steer
from relay.telemetry import outgoing

_CONNECTING: Final = 10.0
_WORDS: Final = 64 << 10
_JSON: Final = {"Content-Type": "application/json"}
_Read = TypeVar("_Read")


class CargoHttp:
    """Owns the connections. `observe` receives the outcome of each call and its duration in seconds."""

    def __init__(
        self, settings: CargoSettings, observe: Callable[[str, float], None], clock: Callable[[], float]
    ) -> None:
        self._observe = observe
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self.dated: tuple[str, float] | None = None
        """The `Date` of the latest answer, and when it came, in seconds since the epoch."""
        self.use(settings)

    def use(self, settings: CargoSettings) -> None:
        """Send other headers from the next call on; the connections stay as they are."""
        self._settings = settings
        headers, scheme = settings.headers(), settings.base.scheme
        self._reading = steer(settings.proxy, scheme, headers)
        self._writing = steer(settings.proxy, scheme, headers | _JSON)

    async def __aenter__(self) -> Self:
        settings = self._settings
        total = settings.timeout
        self._session = aiohttp.ClientSession(
            connector=CargoConnector(settings.proxy, limit=settings.connections, ssl=settings.trust()),
            timeout=aiohttp.ClientTimeout(total=total, connect=min(_CONNECTING, total / 2)),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        read: Callable[[bytes], _Read],
        *,
        most: int,
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
    ) -> _Read:
        """Send a request and return `read(body)` of the answer. The body may have at most `most` bytes.

        Raises the errors of the port `Chats`.
        """
        began = time.monotonic()
        outcome = "unknown"
        try:
            answer = await self._exchange(method, self._settings.base / path, read, most, body, query)
            outcome = "ok"
        except RelayError as error:
            outcome = _outcome(error)
            raise
        finally:
            self._observe(outcome, time.monotonic() - began)
        return answer

    async def _exchange(
        self,
        method: str,
        url: URL,
        read: Callable[[bytes], _Read],
        most: int,
        body: bytes | None,
        query: Mapping[str, str] | None,
    ) -> _Read:
        if self._session is None:
            raise RuntimeError("Cargo is called outside of its `async with`")
        # Read once: another token may come into force meanwhile, and an error must not show the one that was sent.
        settings, request_options = self._settings, self._reading if body is None else self._writing
        if (trace := outgoing.get()) is not None:
            headers = {**request_options["headers"], "traceparent": trace}
            request_options = {**request_options, "headers": headers}
        try:
            async with self._session.request(
                method, url, data=body, params=query, allow_redirects=False, **request_options
            ) as response:
                if date := response.headers.get("Date"):
                    self.dated = date, self._clock()
                if 200 <= response.status < 300:
                    return _understand(read, await _body(response, most), response.status)
                error = await self._refusal(response, settings)
        except Unsent as problem:
            error = Retryable(f"Cargo at {url.host} could not be reached: {problem}; nothing was sent")
        except TimeoutError:
            error = Unknown(f"Cargo did not answer within {settings.timeout:g}s; it is not known what it did")
        except (aiohttp.ClientError, OSError) as problem:
            error = Unknown(f"The connection to Cargo broke: {describe(problem)}; it is not known what it did")
        # Raised outside of the except clauses: aiohttp's error, which holds our headers, must not become its context.
        raise error

    async def _refusal(self, response: aiohttp.ClientResponse, settings: CargoSettings) -> RelayError:
        """The error for an answer outside 2xx. The status decides, even if the body cannot be read."""
        proxy = settings.proxy
        if response.status == 407 and proxy is not None:
            return Retryable(f"{refuses(proxy, 407)}; nothing was passed on to Cargo", status=407)
        try:
            body = await _body(response, _WORDS)
        except (aiohttp.ClientError, OSError, Unknown):
            body = b""
        secret = settings.token.reveal()
        return refusal(response.status, response.headers, body, secret=secret, now=self._clock())


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The decompressed body. Raises Unknown when it is larger than `most` bytes."""
    if response.content.is_eof() and response.content.total_bytes <= most:
        return response.content.read_nowait()
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most:
            response.close()
            raise Unknown(f"Cargo's answer is larger than {most} bytes; it was not read", status=response.status)
    return bytes(body)


def _understand(read: Callable[[bytes], _Read], body: bytes, status: int) -> _Read:
    try:
        return read(body)
    except Unknown as error:
        error.status = status
        raise


def _outcome(error: RelayError) -> str:
    for kind in (Denied, Retryable, Permanent):
        if isinstance(error, kind):
            return kind.__name__.lower()
    return "unknown"
