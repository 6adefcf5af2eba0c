"""Offers load to a service and measures what became of it: a burst, or a steady rate."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.exceptions import ChannelNotFoundEntity

from tests.bench.processes import BARE, Service, background

REST = 0.5
"""Seconds after the last result in which a service finishes its books, before its processor time is read."""
PATIENCE = 60
"""Seconds that results may take after the last webhook."""


@dataclass(frozen=True, slots=True)
class Burst:
    """`rate` in events/s from the first webhook to the last result, `cpu` of the service in ms an event."""

    rate: float
    cpu: float
    rss: float


@dataclass(frozen=True, slots=True)
class Pace:
    """A steady load: `offered` and `told` (results) in events/s, latencies in ms, `cpu` in ms an event.

    `answer` and `result` are p50 and p99, both from when the webhook was sent; `missing` events had no result in time.
    """

    offered: float
    told: float
    answer: tuple[float, float]
    result: tuple[float, float]
    cpu: float
    missing: int
    refused: int


def send(urls: Sequence[str], count: int, *, connections: int = 64, rate: float = 0) -> dict[str, Any]:
    """Run the load generator in its own process."""
    hooks = ",".join(f"{url}/hooks/crm" for url in urls)
    command = [sys.executable, "-m", "tests.bench.client", hooks, str(count), str(connections), str(rate)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def burst(service: Service, count: int) -> Burst:
    """As many webhooks as fast as they are answered. Waits for all results."""
    asyncio.run(purge(service.amqp, service.queue))
    before = service.cpu()
    sent = send(service.hooks, count)
    asyncio.run(arrive(service.amqp, service.queue, count, service))
    ended = time.monotonic()
    time.sleep(REST)
    return Burst(count / (ended - sent["began"]), (service.cpu() - before) * 1_000 / count, service.rss())


def pace(service: Service, rate: float, seconds: float) -> Pace:
    """A webhook every 1/rate seconds, by the clock. Waits for all results."""
    count = int(rate * seconds)
    limit = seconds + PATIENCE
    command = [sys.executable, "-m", "tests.bench.arrivals", service.amqp, service.queue, str(count), str(limit)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        try:
            if watcher.stdout.readline() != "ready\n":
                raise SystemExit(f"{service.name}: its results cannot be consumed\n{service.describe()}")
            before = service.cpu()
            sent = send(service.hooks, count, rate=rate)
            arrived: dict[str, float] = json.loads(watcher.stdout.readline())
        finally:
            watcher.kill()
    time.sleep(REST)
    spent = service.cpu() - before
    times: dict[str, float] = sent["sent"]
    if not arrived:
        raise SystemExit(f"{service.name}: no result arrived\n{service.describe()}")
    taken = sorted((moment - times[name]) * 1_000 for name, moment in arrived.items() if name in times)
    moments = list(times.values())
    return Pace(
        offered=(count - 1) / (moments[-1] - moments[0]),
        told=len(arrived) / (max(arrived.values()) - moments[0]),
        answer=(sent["p50"], sent["p99"]),
        result=(quantile(taken, 0.5), quantile(taken, 0.99)),
        cpu=spent * 1_000 / count,
        missing=count - len(taken),
        refused=sum(count for status, count in sent["statuses"].items() if status != "202"),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def forward(folder: Path, amqp: str, cargo: str, count: int) -> Burst:
    """The floor of a burst: the bare loop of consume, post and publish, from its first result to its last."""
    asyncio.run(fill(amqp, "bare.in", count))
    asyncio.run(purge(amqp, "bare.results"))
    with background(folder, str(BARE), "loop", amqp, cargo, "bare.in") as process:
        loop = Service("bare loop", (), amqp, "bare.results", (process.pid,), process.describe)
        asyncio.run(arrive(amqp, "bare.results", 1, loop))
        began, first, before = time.monotonic(), asyncio.run(depth(amqp, "bare.results")), loop.cpu()
        asyncio.run(arrive(amqp, "bare.results", count, loop))
        rate = (count - first) / (time.monotonic() - began)
        return Burst(rate, (loop.cpu() - before) * 1_000 / (count - first), loop.rss())


async def arrive(amqp: str, queue: str, count: int, service: Service) -> None:
    """Return once so many messages are in a queue. Ends the bench when none comes for a long time."""
    connection = await aio_pika.connect(amqp)
    async with connection:
        latest, end = 0, time.monotonic() + PATIENCE
        while latest < count:
            await asyncio.sleep(0.05)
            found = await _count(connection, queue)
            if found > latest:
                latest, end = found, time.monotonic() + PATIENCE
            elif time.monotonic() > end:
                raise SystemExit(f"{service.name}: {latest} of {count} results arrived\n{service.describe()}")


async def depth(amqp: str, queue: str) -> int:
    connection = await aio_pika.connect(amqp)
    async with connection:
        return await _count(connection, queue)


async def _count(connection: aio_pika.abc.AbstractConnection, queue: str) -> int:
    channel = await connection.channel()
    try:
        declared = await channel.declare_queue(queue, passive=True)
    except ChannelNotFoundEntity:  # which closes the channel
        return 0
    await channel.close()
    return declared.declaration_result.message_count or 0


async def purge(amqp: str, queue: str) -> None:
    """Empty a queue, if there is one."""
    connection = await aio_pika.connect(amqp)
    async with connection:
        channel = await connection.channel()
        try:
            await (await channel.get_queue(queue)).purge()
        except ChannelNotFoundEntity:
            return


async def fill(amqp: str, queue: str, count: int) -> None:
    connection = await aio_pika.connect(amqp)
    async with connection:
        channel = await connection.channel(publisher_confirms=False)
        await channel.declare_queue(queue, durable=True)
        for number in range(count):
            body = json.dumps({"id": number, "note": "x" * 700}).encode()
            await channel.default_exchange.publish(aio_pika.Message(body), queue)


def warm(service: Service, count: int) -> None:
    """Let a service do everything once, so that what only a start costs is not measured."""
    burst(service, count)
