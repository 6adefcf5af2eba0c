"""Posts alerts over HTTP."""

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp

from relay.errors import Retryable
from relay.secret import Secret

_TIMEOUT: Final = 10.0


class HttpReceivers:
    """Implements the port Receivers; `async with` opens its connections.

    `version` is Relay's. A proxy is used as `HTTPS_PROXY` and `NO_PROXY` say. Redirects are not followed.
    """

    def __init__(self, version: str, timeout: float = _TIMEOUT) -> None:
        self._agent = f"relay/{version}"
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=self._timeout, trust_env=True, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: Secret, body: bytes, headers: Mapping[str, str]) -> None:
        if self._session is None:
            raise RuntimeError("post is called outside of `async with`")
        all_headers = {**headers, "content-type": "application/json", "user-agent": self._agent}
        host = urlsplit(url.reveal()).hostname  # the rest of the URL may be a credential
        try:
            async with self._session.post(
                url.reveal(), data=body, headers=all_headers, allow_redirects=False
            ) as answer:
                status = answer.status
        except TimeoutError:
            raise Retryable(f"{host} did not answer within {self._timeout.total:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Retryable(f"{host} cannot be reached: {type(error).__name__}") from None
        if not 200 <= status < 300:
            raise Retryable(f"{host} answered {status}", status=status)
