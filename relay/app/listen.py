"""Opens the three listeners."""

import asyncio
import errno
import os
import socket
from contextlib import AsyncExitStack

from aiohttp import web

from relay.config import Listener
from relay.errors import Blocked
from relay.hooks import QuietRunner


async def listen(stack: AsyncExitStack, runner: web.BaseRunner, name: str, address: Listener) -> str:
    """Serve until the stack is closed; gives the URL. Raises Blocked when the address cannot be had."""
    try:
        sockets = await asyncio.to_thread(address.open)
    except OSError as error:
        raise Blocked(f"http.{name}: {_explain(error, address)}") from None
    for sock in sockets:
        stack.callback(sock.close)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    for sock in sockets:
        await web.SockSite(runner, sock).start()
    return Listener(address.host, sockets[0].getsockname()[1]).url


def make_runner(app: web.Application) -> web.AppRunner:
    """A runner for the listeners that are not for the public."""
    return QuietRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)


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
                f"{where} is no address of this machine: write :{address.port} for all, localhost for this machine only"
            )
        case errno.EAFNOSUPPORT:
            return f"{where} cannot be had, IPv6 is off on this machine: write :{address.port} for all addresses"
        case number:
            return f"{where} cannot be bound: {os.strerror(number) if number else error}"
