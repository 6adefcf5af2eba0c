"""The peer that keeps what it accepts: FastStream on RabbitMQ, behind its own ASGI application.

A webhook is verified and published to a durable queue; it is answered 202 once RabbitMQ has confirmed the message. A
subscriber calls Cargo and publishes the result; the message is acknowledged after that. Written as
https://faststream.airt.ai/latest/getting-started/asgi/ and its RabbitMQ pages advise, without the log line for each
message. It makes no chat exactly once: a crash after the call makes another.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import aiohttp
from faststream import AckPolicy, Context, ContextRepo, FastStream
from faststream.asgi import AsgiResponse, Request, post
from faststream.rabbit import (
    Channel,
    ExchangeType,
    QueueType,
    RabbitBroker,
    RabbitExchange,
    RabbitMessage,
    RabbitQueue,
)
from pydantic import BaseModel
from standardwebhooks import Webhook, WebhookVerificationError

from tests.bench.peers.chat import CALLS, make_chat, make_session
from tests.e2e.harness import SECRET


class Deal(BaseModel):
    type: str
    id: int
    note: str


EVENTS = RabbitQueue("peer.events", durable=True)
RESULTS = RabbitExchange("peer.results", type=ExchangeType.TOPIC, durable=True)
OUTLET = RabbitQueue("peer.results", durable=True, queue_type=QueueType.QUORUM, routing_key="#")

broker = RabbitBroker(
    os.environ["PEER_AMQP"],
    default_channel=Channel(prefetch_count=CALLS),
    logger=None,
)
webhook = Webhook(SECRET)


@asynccontextmanager
async def lifespan(context: ContextRepo) -> AsyncIterator[None]:
    await broker.connect()
    exchange = await broker.declare_exchange(RESULTS)
    outlet = await broker.declare_queue(OUTLET)
    await outlet.bind(exchange, "#")
    async with make_session() as session:
        context.set_global("session", session)
        yield


@broker.subscriber(EVENTS, ack_policy=AckPolicy.NACK_ON_ERROR)
async def handle(
    deal: Deal, message: RabbitMessage, session: Annotated[aiohttp.ClientSession, Context("session")]
) -> None:
    chat = await make_chat(session, deal.id)
    result = {"externalId": message.message_id, "chatUuid": chat}
    await broker.publish(result, exchange=RESULTS, routing_key="chat.created", persist=True)


@post
async def take(request: Request) -> AsgiResponse:
    body = await request.body()
    try:
        webhook.verify(body, request.headers, json_parse=False)
    except WebhookVerificationError:
        return AsgiResponse(status_code=401)
    await broker.publish(
        body,
        EVENTS,
        content_type="application/json",
        message_id=request.headers["webhook-id"],
        persist=True,
    )
    return AsgiResponse(b'{"events":[]}', status_code=202)


app = FastStream(broker, lifespan=lifespan).as_asgi([("/hooks/crm", take)])
