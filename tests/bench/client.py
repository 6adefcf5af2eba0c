"""A load generator that costs little: raw HTTP/1.1 over kept-alive sockets, in a process of its own.

Usage: `client.py URLS COUNT CONNECTIONS RATE` (RATE 0: as fast as it is answered). URLS are separated by commas, and
share the connections. Signs its requests before it starts the clock. Prints one JSON document: when it began (on the
machine's monotonic clock), seconds, counts by status, latencies in ms; with a rate also when each event was sent, by
its external id.
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


def make_requests(url: str, count: int) -> list[tuple[str, bytes]]:
    """External ids and signed requests of about 1 KB."""
    parts = urlsplit(url)
    scheme = build(SchemeSpec("standard-webhooks", (Secret(SECRET),)))
    now = time.time_ns() // 1_000_000
    filler = "x" * 700
    requests = []
    for number in range(count):
        external_id = f"bench_{now}_{number}"
        body = json.dumps(
            {"type": "deal.won", "id": number, "note": filler, "owner": {"mail": "kim@example.com"}}
        ).encode()
        headers = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **sign(scheme, body, now=now, id=external_id),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        requests.append((external_id, f"POST {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + body))
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


async def drive(urls: list[str], requests: list[tuple[str, bytes]], connections: int, rate: float) -> dict[str, object]:
    """Send all; with a rate, by the clock and not by the answers, so that a slow server is not spared."""
    loop = asyncio.get_running_loop()
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for number in range(connections):
        parts = urlsplit(urls[number % len(urls)])
        _, connection = await loop.create_connection(Connection, parts.hostname or "", parts.port or 80)
        idle.put_nowait(connection)
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    sent: dict[str, float] = {}

    async def send(request: bytes, due: float) -> None:
        connection = await idle.get()
        statuses[await connection.ask(request)] += 1
        latencies.append((loop.time() - due) * 1_000)
        idle.put_nowait(connection)

    async def stream(queue: list[tuple[str, bytes]]) -> None:
        while queue:
            await send(queue.pop()[1], loop.time())

    began = loop.time()
    if rate:
        tasks = []
        for number, (external_id, request) in enumerate(requests):
            await asyncio.sleep(max(0, began + number / rate - loop.time()))
            # Not the planned time: the timer is late by up to a millisecond, which is not the server's.
            sent[external_id] = loop.time()
            tasks.append(asyncio.create_task(send(request, sent[external_id])))
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
        "sent": sent,
    }


if __name__ == "__main__":
    targets, how_many, at_once, per_second = sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    signed = make_requests(targets[0], how_many)
    sys.stdout.write(json.dumps(asyncio.run(drive(targets, signed, at_once, float(per_second)))))
