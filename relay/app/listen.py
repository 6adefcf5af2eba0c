"""Opens the three listeners."""

import errno
from contextlib import AsyncExitStack

from aiohttp import web

from relay.config import Listener
from relay.errors import Misconfigured
from relay.hooks import QuietRunner


async def listen(stack: AsyncExitStack, runner: web.BaseRunner, name: str, address: Listener) -> str:
    """Serve until the stack is closed; gives the URL. Raises Misconfigured when the address cannot be bound."""
    host, port = address.host, address.port
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        raise Misconfigured([f"http.{name}: {_explain(error, host, port)}"]) from error
    bound = runner.addresses[0][1]
    return f"http://{Listener('127.0.0.1' if address.wildcard else host, bound)}"


def make_runner(app: web.Application) -> web.AppRunner:
    """A runner for the listeners that are not for the public."""
    return QuietRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)


def _explain(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"{host}:{port} is in use by another process: stop it, or choose another port"
        case errno.EACCES:
            return f"{host}:{port} may not be bound by this user: choose a port above 1023"
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine: bind 0.0.0.0 for all, 127.0.0.1 for this machine only"
        case _:
            return f"{host}:{port} cannot be bound: {error.strerror or error}"
