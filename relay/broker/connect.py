"""The two connections of a relay."""

import asyncio
import logging

from relay.broker.address import Address
from relay.broker.link import Link, Report
from relay.life import Stop
from relay.telemetry import PartState


class Broker:
    """RabbitMQ over one connection for publishing and one for consuming.

    They are separate because RabbitMQ stops reading from publishing connections when it runs out of memory or disk.
    On a shared connection, acknowledgements would be stuck behind results.
    """

    def __init__(self, address: Address, *, report: Report, timeout: float = 10.0) -> None:
        self.publishing = Link(address, "publish", report=self._reporter("publish"), timeout=timeout)
        self.consuming = Link(address, "consume", report=self._reporter("consume"), timeout=timeout)
        self._consumed = asyncio.Event()
        self._report = report
        self._states: dict[str, tuple[PartState, str]] = {}

    async def run(self, stop: Stop) -> None:
        """Keep the connections alive until `stop`, then close them."""
        # The libraries log every lost connection and failed try; Relay already logs each of these once.
        logging.getLogger("aiormq").setLevel(logging.CRITICAL)
        logging.getLogger("aio_pika").setLevel(logging.CRITICAL)
        self._report(PartState.STARTING, "")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.publishing.run()), group.create_task(self._consume())]
            await stop.wait()
            for task in tasks:
                task.cancel()

    def consume(self) -> None:
        """Open the connection for consuming, too, if it is not open yet."""
        self._consumed.set()

    async def _consume(self) -> None:
        await self._consumed.wait()
        await self.consuming.run()

    def _reporter(self, name: str) -> Report:
        """A reporter for one connection. While either connection has a fault, the fault is reported."""

        def report(state: PartState, reason: str) -> None:
            self._states[name] = (state, reason)
            faults = [entry for entry in self._states.values() if entry[0] is not PartState.UP]
            self._report(*(faults[0] if faults else (state, reason)))

        return report
