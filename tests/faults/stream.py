"""Senders that repeat each event until it is accepted, as vendors do; every fourth event comes as a message."""

import asyncio
import itertools
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import aio_pika
import aiohttp

from relay.broker import BrokerFault, ask
from relay.schemes import SchemeSpec, build
from relay.secret import Secret
from tests.e2e.harness import SECRET
from tests.faults.amqp import connect
from tests.signing import sign

QUEUE = "in"
_PAUSE = 0.1
_TIMEOUT = aiohttp.ClientTimeout(total=40, connect=5)


def is_message(number: int) -> bool:
    """Whether an event comes by RabbitMQ, which accepts it before the relay has it."""
    return number % 4 == 0


class Stream:
    """`rate` events a second to the replicas at `hooks`, in turn; each is sent again until 2xx or a confirm.

    `accepted` are the numbers of accepted events, with when, `begun` those that were sent at all. `answers` counts the
    answers by status, 0 for none; `waits` are the seconds until each, and `slowest` the longest.
    """

    def __init__(self, session: aiohttp.ClientSession, hooks: Sequence[str], amqp: str, *, rate: float) -> None:
        self.accepted: dict[int, float] = {}
        self.begun: dict[int, float] = {}
        self.answers: Counter[int] = Counter()
        self.waits = defaultdict[int, list[float]](list)
        self.rate = rate
        self._session = session
        self._hooks = hooks
        self._amqp = amqp
        self._turns = itertools.count()
        self._scheme = build(SchemeSpec("standard-webhooks", (Secret(SECRET),)))
        self._numbers = itertools.count(1)
        self._sending: set[asyncio.Task[None]] = set()
        self._channel: aio_pika.abc.AbstractChannel | None = None
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self._connecting = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.started = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self, *, within: float) -> int:
        """Begin no more, and wait until all that were begun are accepted. Returns how many were not in time."""
        if self._task is not None:
            self._task.cancel()
        waiting = list(self._sending)
        late: set[asyncio.Task[None]] = set()
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=within)
        for task in late:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()
        return len(late)

    @property
    def slowest(self) -> Mapping[int, float]:
        return {status: max(waits) for status, waits in self.waits.items()}

    def forget_waits(self) -> None:
        self.waits.clear()

    async def post(self, number: int, *, kind: str = "deal.won") -> int:
        """One request; its status, 0 when there was no answer."""
        body = json.dumps({"type": kind, "id": number}).encode()
        headers = sign(self._scheme, body, now=time.time_ns() // 1_000_000, id=f"msg_{number}")
        url = f"{self._hooks[next(self._turns) % len(self._hooks)]}/hooks/crm"
        began = time.monotonic()
        try:
            async with self._session.post(
                url, data=body, headers={"content-type": "application/json", **headers}, timeout=_TIMEOUT
            ) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        self.answers[status] += 1
        self.waits[status].append(time.monotonic() - began)
        return status

    def came(self, one: int, other: int) -> bool:
        """Whether one event was with the relay before the other was sent.

        Of a message only RabbitMQ knows when it went on.
        """
        return not is_message(one) and self.accepted.get(one, math.inf) < self.begun[other]

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            self._begin(next(self._numbers))
            due += 1 / self.rate
            await asyncio.sleep(max(0, due - time.monotonic()))

    def _begin(self, number: int) -> None:
        self.started = number
        self.begun[number] = time.monotonic()
        task = asyncio.create_task(self._publish(number) if is_message(number) else self._insist(number))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _insist(self, number: int) -> None:
        while await self.post(number) not in {200, 202}:
            await asyncio.sleep(_PAUSE)
        self.accepted[number] = time.monotonic()

    async def _publish(self, number: int) -> None:
        body = json.dumps({"id": number}).encode()
        message = aio_pika.Message(
            body, message_id=f"msg_{number}", type="deal.won", delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        while True:
            try:
                await ask(self._hand_over(message), 20)
            except BrokerFault:
                await asyncio.sleep(_PAUSE)
            else:
                break
        self.accepted[number] = time.monotonic()

    async def _hand_over(self, message: aio_pika.Message) -> None:
        channel = await self._open()
        await channel.default_exchange.publish(message, QUEUE)

    async def _open(self) -> aio_pika.abc.AbstractChannel:
        async with self._connecting:
            if (
                self._connection is None
                or self._connection.is_closed
                or self._channel is None
                or self._channel.is_closed
            ):
                if self._connection is not None:
                    await self._connection.close()
                self._connection = await connect(self._amqp)
                self._channel = await self._connection.channel(on_return_raises=True)
            return self._channel
