"""A load generator that costs little: raw HTTP/1.1 over kept-alive sockets, in a process of its own.

Usage: `client.py URL COUNT CONNECTIONS RATE` (RATE 0: as fast as it is answered). Signs its requests before it
starts the clock. Prints one JSON document: when it began (on the machine's monotonic clock), seconds, counts by status,
latencies in ms.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

from relay.schemes import SchemeSpec, build
from relay.secret import Secret
from tests.e2e.harness import SECRET
from tests.signing import sign


def make_requests(url: str, count: int, first: int = 0) -> list[bytes]:
    """Signed requests of about 1 KB, each with an id of its own."""
    parts = urlsplit(url)
    scheme = build(SchemeSpec("standard-webhooks", (Secret(SECRET),)))
    now = time.time_ns() // 1_000_000
    filler = "x" * 700
    requests = []
    for number in range(first, first + count):
        body = json.dumps(
            {"type": "deal.won", "id": number, "note": filler, "owner": {"mail": "kim@example.com"}}
        ).encode()
        headers = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **sign(scheme, body, now=now, id=f"bench_{now}_{number}"),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        requests.append(f"POST {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + body)
    return requests


class Connection(asyncio.Protocol):
    """One request at a time; gives the status of the answer."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, split, rest = self._buffer.partition(b"\r\n\r\n")
        if not split or self._answer is None:
            return
        at = head.lower().index(b"content-length:") + 15
        if len(rest) >= int(head[at : head.find(b"\r", at) if b"\r" in head[at:] else None]):
            self._buffer = b""
            self._answer.set_result(int(head[9:12]))


async def drive(url: str, requests: list[bytes], connections: int, rate: float) -> dict[str, object]:
    """Send all; with a rate, by the clock and not by the answers, so that a slow server is not spared."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        _, connection = await loop.create_connection(Connection, parts.hostname, parts.port)
        idle.put_nowait(connection)
    latencies: list[float] = []
    statuses: Counter[int] = Counter()

    async def send(request: bytes, planned: float) -> None:
        connection = await idle.get()
        statuses[await connection.ask(request)] += 1
        latencies.append((loop.time() - planned) * 1_000)
        idle.put_nowait(connection)

    async def stream(queue: list[bytes]) -> None:
        while queue:
            await send(queue.pop(), loop.time())

    began = loop.time()
    if rate:
        tasks = []
        for number, request in enumerate(requests):
            planned = began + number / rate
            await asyncio.sleep(max(0, planned - loop.time()))
            tasks.append(asyncio.create_task(send(request, planned)))
        await asyncio.gather(*tasks)
    else:
        await asyncio.gather(*(stream(requests) for _ in range(connections)))
    latencies.sort()
    return {
        "began": began,
        "seconds": loop.time() - began,
        "statuses": {str(status): count for status, count in statuses.items()},
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[int(len(latencies) * 0.99)],
    }


if __name__ == "__main__":
    target, how_many, at_once, per_second = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    signed = make_requests(target, how_many)
    sys.stdout.write(json.dumps(asyncio.run(drive(target, signed, at_once, per_second))))
