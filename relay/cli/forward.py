"""Posts results to a local program, one after the other, until it takes each one."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from relay import __version__
from relay.cli.guard import Untaken, warn
from relay.cli.route import reason, route
from relay.errors import RelayError
from relay.problems import key_of, sign
from relay.secret import Secret

_TIMEOUT: Final = 30.0
_FIRST: Final = 0.5
_CAP: Final = 30.0
_TYPE: Final = "application/cloudevents+json"


class Forward:
    """The program at `url`; `async with` opens its connections.

    Each message is the CloudEvent as on RabbitMQ, with the headers of Standard Webhooks: the same body is read by a
    consumer of the queue and by a receiver of webhooks. `webhook-id` is the same at each try. `secret` (`whsec_...`)
    signs. After `most` tries in a row that fail, a post raises Untaken; None is no limit. `clock` returns seconds.
    """

    def __init__(
        self,
        url: str,
        secret: Secret | None = None,
        *,
        most: int | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = _address(url)
        self._key = None if secret is None else _key(secret)
        self._most = most
        self._clock = clock
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, result: dict[str, Any]) -> int:
        """Post a result until the program answers 2xx, with back-off. Returns that status."""
        body = json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()
        tries = 0
        while True:
            answer = await self._try(result, body)
            if isinstance(answer, int):
                return answer
            tries += 1
            if tries == self._most:
                raise Untaken(f"{answer}; {result['id']} was posted {tries} times")
            wait = min(_FIRST * 2.0 ** min(tries - 1, 16), _CAP)
            warn(f"relay: {answer}; {result['id']} is posted again in {wait:g} s")
            await self._sleep(wait)

    async def _try(self, result: dict[str, Any], body: bytes) -> int | str:
        """The status if it was taken, or why it was not."""
        if self._session is None:
            raise RuntimeError("post is called outside of `async with`")
        arguments = route(self.url, self._headers(result, body))
        try:
            async with self._session.post(self.url, data=body, allow_redirects=False, **arguments) as answer:
                status = answer.status
        except TimeoutError:
            return f"{self.url} did not answer within {_TIMEOUT:g} s"
        except (aiohttp.ClientError, OSError) as error:
            return f"nothing takes results at {self.url} ({reason(error, arguments)})"
        return status if 200 <= status < 300 else f"{self.url} answered {status}"

    def _headers(self, result: dict[str, Any], body: bytes) -> dict[str, str]:
        seconds = int(self._clock())
        plain = {"webhook-id": result["id"], "webhook-timestamp": str(seconds)}
        signed = plain if self._key is None else sign(self._key, result["id"], seconds, body)
        trace = {"traceparent": result["traceparent"]} if result.get("traceparent") else {}
        return {**signed, **trace, "Content-Type": _TYPE, "User-Agent": f"relay/{__version__}"}


class CursorFile:
    """A file that remembers how far the results were taken, so that the next run goes on there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str | None:
        """The cursor, None when there is no such file yet. Raises RelayError."""
        try:
            text = self._path.read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RelayError(f"--cursor-file {self._path} cannot be read: {error.strerror}") from None
        if not (text.isascii() and text.isdecimal()):
            raise RelayError(f"--cursor-file {self._path} holds no cursor: name another file, or delete it")
        return text

    def write(self, cursor: str) -> None:
        """Replace the cursor, all or nothing. Raises RelayError."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            fresh.write_text(f"{cursor}\n", encoding="ascii")
            fresh.replace(self._path)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise RelayError(f"--cursor-file {self._path} cannot be written: {error.strerror}") from None


def _address(url: str) -> str:
    """The URL, http:// where it has no scheme. Raises RelayError."""
    whole = url if "://" in url else f"http://{url}"
    with suppress(ValueError):
        parsed = URL(whole)
        if parsed.scheme in {"http", "https"} and parsed.host and parsed.port:
            return whole
    raise RelayError(f"--forward {url!r} is not an address; write for example localhost:4242/results")


def _key(secret: Secret) -> bytes:
    with suppress(ValueError):
        if key := key_of(secret.reveal()):
            return key
    raise RelayError("--secret-env names a variable that holds no secret of Standard Webhooks: whsec_ and base64")
