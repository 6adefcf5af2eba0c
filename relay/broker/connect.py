"""The two connections of a relay."""

import asyncio
import logging

from relay.broker.address import Address
from relay.broker.link import Link, Report
from relay.life import Stop
from relay.telemetry import PartState


class Broker:
    """RabbitMQ over one connection that publishes and one that consumes.

    They are apart because RabbitMQ, short of memory or disk, stops reading from connections that publish: an
    acknowledgement on such a connection would be stuck behind a result.
    """

    def __init__(self, address: Address, *, consumes: bool, report: Report, timeout: float = 10.0) -> None:
        self.publishing = Link(address, "publish", report=self._reporter("publish"), timeout=timeout)
        self.consuming = Link(address, "consume", report=self._reporter("consume"), timeout=timeout)
        self._consumes = consumes
        self._report = report
        self._states: dict[str, tuple[PartState, str]] = {}

    async def run(self, stop: Stop) -> None:
        """Keep the connections alive until told to stop; then close them."""
        # The library reports each lost connection and failed try on its own; ours say the same once.
        logging.getLogger("aiormq").setLevel(logging.CRITICAL)
        logging.getLogger("aio_pika").setLevel(logging.CRITICAL)
        self._report(PartState.STARTING, "")
        async with asyncio.TaskGroup() as group:
            links = [self.publishing, self.consuming] if self._consumes else [self.publishing]
            tasks = [group.create_task(link.run()) for link in links]
            await stop.wait()
            for task in tasks:
                task.cancel()

    def _reporter(self, name: str) -> Report:
        """Reports a connection: while either has a fault, that counts and not that the other is up."""

        def report(state: PartState, reason: str) -> None:
            self._states[name] = (state, reason)
            bad = [told for told in self._states.values() if told[0] is not PartState.UP]
            self._report(*(bad[0] if bad else (state, reason)))

        return report
