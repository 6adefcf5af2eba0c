"""Connections that tell what failed before a byte of the request was sent from what failed after."""

from typing import TYPE_CHECKING, Any

import aiohttp

from relay.cargo.trouble import describe
from relay.proxy import Proxy

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class Unsent(aiohttp.ClientError):
    """No connection was had, so no byte of the request was sent."""


class CargoConnector(aiohttp.TCPConnector):
    """Raises `Unsent` for whatever goes wrong while connecting: waiting for a place, DNS, TCP, proxy, TLS.

    aiohttp asks its connector for a connection before it writes a request, so it is true by construction, for
    failures that its exceptions alone do not tell apart too (a proxy that hangs up on CONNECT).
    """

    def __init__(self, proxy: Proxy | None, **given: Any) -> None:
        super().__init__(**given)
        self._proxy = proxy

    async def connect(
        self,
        req: "ClientRequest",
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the name is aiohttp's
    ) -> "Connection":
        try:
            return await super().connect(req, traces, timeout)
        except TimeoutError:
            problem = f"connecting{'' if self._proxy is None else f' by the proxy {self._proxy}'} took too long"
        except (aiohttp.ClientError, OSError) as error:
            problem = describe(error, self._proxy)
        raise Unsent(problem)
