"""A connector that separates failures before the request was sent from failures after."""

from typing import TYPE_CHECKING, Any

import aiohttp

from relay.cargo.trouble import describe
from relay.proxy import Proxy

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class Unsent(aiohttp.ClientError):
    """No connection was established, so no byte of the request was sent."""


class CargoConnector(aiohttp.TCPConnector):
    """Raises `Unsent` for any failure while connecting: waiting for a free connection, DNS, TCP, proxy, TLS.

    aiohttp gets a connection from its connector before it writes the request, so `Unsent` always means that nothing was
    sent. This also covers failures that aiohttp's exceptions alone cannot distinguish, such as a proxy that closes the
    connection on CONNECT.
    """

    def __init__(self, proxy: Proxy | None, **options: Any) -> None:
        super().__init__(**options)
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
