"""An HTTP proxy as companies have it: it asks for a password, tunnels https by CONNECT and passes http on."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_DENIED = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
_LOST = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


class ForwardProxy:
    """`heads` are the requests that it got, to its last header. `login` is `user:password`, None asks for none.

    `hosts` leads names with their port to a port of this machine; other names it does not know.
    """

    def __init__(self, hosts: Mapping[str, int], login: str | None) -> None:
        self.hosts = hosts
        self.login = login
        self.heads: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, from its first byte to its last."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            port = self.hosts.get(target if method == "CONNECT" else urlsplit(target).netloc)
            if not self._knows(head):
                writer.write(_DENIED)
            elif port is None:
                writer.write(_LOST)
            else:
                await self._pass(reader, writer, port, b"" if method == "CONNECT" else head)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _knows(self, head: bytes) -> bool:
        if self.login is None:
            return True
        wanted = b"proxy-authorization: basic " + base64.b64encode(self.login.encode()).lower()
        return wanted in head.lower().split(b"\r\n")

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, head: bytes) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        if head:
            up_writer.write(head)
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        ways = [asyncio.create_task(_pump(reader, up_writer)), asyncio.create_task(_pump(up_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            up_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def forwarding(
    hosts: Mapping[str, int], *, login: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ForwardProxy]:
    """A proxy on 127.0.0.1, with `tls` over TLS; its `url` is without credentials."""
    proxy = ForwardProxy(hosts, login)
    clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        clients[task] = writer
        await proxy.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    proxy.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for writer in clients.values():
            writer.transport.abort()
        await asyncio.gather(*clients)
