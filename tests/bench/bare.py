"""The floors, each a process: `bare.py http PORT` only answers 202, `bare.py http PORT fast` does so on uvloop, as
`relay serve` runs; `bare.py loop AMQP CARGO QUEUE` forwards.

The loop consumes, posts and publishes with as many in flight as Relay has calls, and keeps nothing.
"""

import asyncio
import json
import sys

import aio_pika
import aiohttp
import uvloop
from aiohttp import web


async def serve(port: int) -> None:
    async def accept(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=202, body=b'{"events":[]}', content_type="application/json")

    app = web.Application()
    app.router.add_post("/hooks/{source}", accept)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def forward(amqp: str, cargo: str, queue_name: str) -> None:
    connection = await aio_pika.connect(amqp)
    inward, outward = (
        await connection.channel(publisher_confirms=False),
        await connection.channel(publisher_confirms=False),
    )
    await inward.set_qos(32)
    queue = await inward.declare_queue(queue_name, durable=True)
    exchange = await outward.declare_exchange("bare.results", aio_pika.ExchangeType.TOPIC, durable=True)
    results = await outward.declare_queue("bare.results", durable=True)
    await results.bind(exchange, "#")
    headers = {"Authorization": "Bearer bench"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=32)) as session:

        async def handle(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            data = json.loads(message.body)
            meta = {"id": data["id"]}
            trigger = {"type": "connector", "connectorUuid": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f", "meta": meta}
            async with session.post(
                f"{cargo}/ai/chats", json={"name": f"Deal {data['id']}", "trigger": trigger}
            ) as answer:
                chat = (await answer.json())["chat"]
            body = json.dumps({"chatUuid": chat["uuid"]}).encode()
            await exchange.publish(aio_pika.Message(body), "chat.created")
            await message.ack()

        await queue.consume(handle)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if sys.argv[3:] == ["fast"] else None) as runner:
        runner.run(serve(int(sys.argv[2])) if sys.argv[1] == "http" else forward(*sys.argv[2:]))
