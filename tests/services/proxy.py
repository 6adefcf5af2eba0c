"""A way to a server that can be cut at a moment of its own choosing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

_READY = b"Z\x00\x00\x00\x05"
"""The message ReadyForQuery, which ends an answer
(https://www.postgresql.org/docs/current/protocol-message-formats.html)."""


class Proxy:
    """Passes bytes on between clients and the PostgreSQL at `target`, and counts the COMMITs of marked transactions.

    A transaction is marked by `mark` (bytes) among what its client sends. While `cut` is `request`, such a COMMIT does
    not reach the server; while it is `reply`, the server's answer to it does not reach the client. Either way the
    connection is cut there. `answers` counts what the server has answered in full: round trips.
    """

    def __init__(self, target: str, mark: bytes) -> None:
        self._target = urlsplit(target)
        self._mark = mark
        self.url = ""
        self.cut = ""
        self.commits = 0
        self.answers = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, from its first byte to its last."""
        server = await asyncio.open_connection(self._target.hostname, self._target.port)
        deciding = asyncio.Event()
        up = asyncio.create_task(self._pass_up(reader, server[1], deciding))
        down = asyncio.create_task(self._pass_down(server[0], writer, deciding))
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        for end in (writer, server[1]):
            end.transport.abort()

    async def _pass_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deciding: asyncio.Event):
        marked = False
        while data := await reader.read(1 << 16):
            marked = marked or self._mark in data
            if b"COMMIT" in data and marked:
                self.commits += 1
                marked = False
                if self.cut == "request":
                    return
                if self.cut == "reply":
                    deciding.set()
            writer.write(data)

    async def _pass_down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deciding: asyncio.Event):
        while data := await reader.read(1 << 16):
            if deciding.is_set():
                return
            self.answers += data.count(_READY)
            writer.write(data)


@asynccontextmanager
async def proxying(target: str, mark: bytes) -> AsyncIterator[Proxy]:
    """A proxy before the database of this URL; its `url` leads to the same one."""
    proxy = Proxy(target, mark)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    parts = urlsplit(target)
    login = parts.netloc.rpartition("@")[0]
    proxy.url = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    try:
        yield proxy
    finally:
        server.close()
