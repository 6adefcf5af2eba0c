"""Notes when results arrive, in a process of its own: `arrivals.py AMQP QUEUE COUNT SECONDS`.

Prints `ready` once it consumes, and when COUNT events have a result, or SECONDS have passed, one JSON document: the
moment of each event's first result on the machine's monotonic clock, by the event's external id.
"""

import asyncio
import contextlib
import json
import re
import sys
import time

import aio_pika

EXTERNAL_ID = re.compile(rb'"externalId": ?"([^"]+)"')


async def watch(amqp: str, queue_name: str, count: int, seconds: float) -> dict[str, float]:
    arrived: dict[str, float] = {}
    complete = asyncio.Event()

    async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        now = time.monotonic()
        found = EXTERNAL_ID.search(message.body)
        if found is None:
            raise SystemExit(f"a result without an external id: {message.body!r}")
        arrived.setdefault(found[1].decode(), now)
        if len(arrived) == count:
            complete.set()

    connection = await aio_pika.connect(amqp)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue(queue_name)
        await queue.purge()  # what an earlier turn left there
        await channel.set_qos(1_000)
        await queue.consume(note, no_ack=True)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await complete.wait()
    return arrived


if __name__ == "__main__":
    _, broker_url, watched, how_many, at_most = sys.argv
    sys.stdout.write(json.dumps(asyncio.run(watch(broker_url, watched, int(how_many), float(at_most)))) + "\n")
