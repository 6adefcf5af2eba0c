"""The naive peer: FastAPI and aiohttp, with everything in memory.

A webhook is verified and answered 202; a background task calls Cargo and publishes the result. What is under way when
the process ends is lost.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import aiohttp
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from standardwebhooks import Webhook, WebhookVerificationError

from tests.bench.peers.chat import CALLS, make_chat, make_session
from tests.e2e.harness import SECRET

webhook = Webhook(SECRET)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    connection = await aio_pika.connect_robust(os.environ["PEER_AMQP"])
    async with connection, make_session() as session:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("peer.results", aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue("peer.results", durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(exchange, "#")
        app.state.session, app.state.exchange, app.state.calls = session, exchange, asyncio.Semaphore(CALLS)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/hooks/crm", status_code=202)
async def take(request: Request, tasks: BackgroundTasks) -> dict[str, list[str]]:
    body = await request.body()
    try:
        deal = webhook.verify(body, dict(request.headers))
    except WebhookVerificationError:
        raise HTTPException(401) from None
    tasks.add_task(handle, request.app, request.headers["webhook-id"], deal)
    return {"events": []}


async def handle(app: FastAPI, event_id: str, deal: dict[str, Any]) -> None:
    session: aiohttp.ClientSession = app.state.session
    async with app.state.calls:
        chat = await make_chat(session, deal["id"])
    body = json.dumps({"externalId": event_id, "chatUuid": chat}).encode()
    message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await app.state.exchange.publish(message, "chat.created")
