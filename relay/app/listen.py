"""Opens the three listeners, each with its limits."""

import asyncio
import errno
import os
import socket
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from aiohttp import web

from relay.app.descriptors import Shares, raise_limit, share
from relay.app.otherloop import OtherLoop
from relay.config import Listener, Settings
from relay.errors import Blocked
from relay.hooks import Caps, Crowd, QuietRunner, TurnedAway
from relay.hooks.caller import Network
from relay.limits import Bucket
from relay.telemetry import Metrics, get_log

log = get_log()

_STARVED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_MINUTE: Final = 60_000


class Listening:
    """What the listeners of one process share: its file descriptors and metrics."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._http = settings.http
        self._starved = Bucket(1, _MINUTE)
        limit = raise_limit()
        self._shares = share(limit, wanted=settings.http.max_connections, calls=settings.cargo.concurrency + 4)
        _warn(self._shares, settings.http.max_connections, limit)
        asyncio.get_running_loop().set_exception_handler(self._on_trouble)

    def public(self) -> Crowd:
        """The connection limits of the hooks listener."""
        caps = Caps(connections=self._shares.hooks, in_flight=self._http.max_in_flight)
        return self._crowd("hooks", caps, self._http.trusted_proxies)

    def inside(self, name: str, app: web.Application) -> web.AppRunner:
        """A runner for an internal listener (health, ops)."""
        crowd = self._crowd(name, Caps(connections=self._shares.inside))
        return QuietRunner(app, crowd, access_log=None, handle_signals=False, shutdown_timeout=2.0)

    async def open(
        self,
        stack: AsyncExitStack,
        runner: web.BaseRunner,
        name: str,
        address: Listener,
        other: OtherLoop | None = None,
    ) -> str:
        """Serve until `stack` is closed, in the event loop `other` if given. Returns the URL.

        Raises Blocked when the address cannot be bound.
        """
        try:
            sockets = await asyncio.to_thread(address.open)
        except OSError as error:
            raise Blocked(f"http.{name}: {_explain(error, address)}") from None
        for sock in sockets:
            stack.callback(sock.close)
        serving = self._serve(runner, sockets)
        await (serving if other is None else other.run(serving))
        stack.push_async_callback(_clean_up, runner, other)
        return Listener(address.host, sockets[0].getsockname()[1]).url

    async def _serve(self, runner: web.BaseRunner, sockets: Sequence[socket.socket]) -> None:
        await runner.setup()
        for sock in sockets:
            await web.SockSite(runner, sock, backlog=self._shares.backlog).start()

    def _crowd(self, name: str, caps: Caps, trusted: Sequence[Network] = ()) -> Crowd:
        crowd = Crowd(caps, TurnedAway(name, self._metrics, _monotonic), trusted)
        self._metrics.connections.labels(name).set_function(lambda: crowd.seats.held)
        self._metrics.held.labels(name).set_function(lambda: crowd.bytes.held)
        return crowd

    def _on_trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log a lack of descriptors at most once a minute: asyncio retries, and reports it, every second.

        A name that is resolved in vain after whoever asked for it has given up, and said so, is no trouble of its own:
        uvloop goes on resolving when a connection is cancelled.
        """
        error = context.get("exception")
        if isinstance(error, socket.gaierror) and "never retrieved" in context.get("message", ""):
            return
        if not isinstance(error, OSError) or error.errno not in _STARVED or "accept" not in context.get("message", ""):
            loop.default_exception_handler(context)
        elif self._starved.take(_monotonic()):
            log.error("listener.starved", error=os.strerror(error.errno), hint="raise this process's limit of files")


async def _clean_up(runner: web.BaseRunner, other: OtherLoop | None) -> None:
    await (runner.cleanup() if other is None else other.run(runner.cleanup()))


def _monotonic() -> float:
    return time.monotonic() * 1_000


def _warn(shares: Shares, configured: int, limit: int) -> None:
    if shares.hooks < configured:
        log.warning(
            "listener.limited",
            what=f"http.max_connections is {configured}, but this process may have only {limit} files and connections",
            connections=shares.hooks,
            hint="raise the limit (ulimit -n, LimitNOFILE= of systemd), or set http.max_connections lower",
        )


def _explain(error: OSError, address: Listener) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name {address.host} leads to no address ({error.strerror}): write an address, or :{address.port}"
    where = error.filename or str(address)
    match error.errno:
        case errno.EADDRINUSE:
            return f"{where} is in use already: stop what listens there, or give this key another port"
        case errno.EACCES:
            return f"{where} may not be bound by this user: choose a port above 1023"
        case errno.EADDRNOTAVAIL:
            return (
                f"{where} is not an address of this machine: write :{address.port} for all, "
                "localhost for this machine only"
            )
        case errno.EAFNOSUPPORT:
            return f"{where} cannot be had, IPv6 is off on this machine: write :{address.port} for all addresses"
        case number:
            return f"{where} cannot be bound: {os.strerror(number) if number else error}"
