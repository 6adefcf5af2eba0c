"""Senders: many copies at once, hang-ups, slow bodies, idle connections."""

import asyncio
import contextlib
import time
from urllib.parse import urlsplit

from tests.faults.row import Row
from tests.faults.world import World

COPIES = 100
IDLE = 1_000


async def repeat(world: World) -> None:
    """Each of some events is sent a hundred times at once, over all replicas: one chat each."""
    for turn in world.turns(3):
        number = 1_000_000 + turn
        answers = await asyncio.gather(*(world.stream.post(number) for _ in range(COPIES)))
        world.faults += COPIES
        if 202 in answers or 200 in answers:
            world.stream.accepted[number] = time.monotonic()
        if answers.count(202) > 1:
            world.wrong.append(f"{answers.count(202)} of {COPIES} copies of one event were answered as new")
    await world.recover()


async def misbehave(world: World) -> None:
    """Idle connections, bodies that never end, hang-ups in the middle of a body; others are answered meanwhile."""
    world.stream.forget_waits()
    doors = [urlsplit(relay.url("hooks")) for relay in world.replicas]
    async with contextlib.AsyncExitStack() as stack:
        for number in range(world.times(IDLE)):
            door = doors[number % len(doors)]
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(door.hostname, door.port)
                stack.callback(writer.close)
                if number % 3 == 1:
                    writer.write(_HEAD + b'{"type": "deal')  # and no more
                if number % 3 == 2:
                    writer.write(_HEAD + b'{"ty')
                    writer.transport.abort()
                world.faults += 1
        await world.pass_time(8)
    slowest = max((world.stream.slowest.get(status, 0.0) for status in (200, 202)), default=0.0)
    world.notes.append(f"others were answered within {slowest:.1f} s")
    await world.recover()


_HEAD = (
    b"POST /hooks/crm HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\nContent-Length: 500\r\n"
    b"webhook-id: none\r\nwebhook-timestamp: 0\r\nwebhook-signature: v1,AAAA\r\n\r\n"
)

ROWS = (
    Row("copies", "one event a hundred times at once", repeat, usual="postgres"),
    Row("slow-senders", "idle connections, endless bodies, hang-ups", misbehave, ledgers=("sqlite",)),
)
