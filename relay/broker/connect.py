"""The two connections of a relay."""

import asyncio
import logging

from relay.broker.address import Address
from relay.broker.link import Link, Report


class Broker:
    """RabbitMQ over one connection that publishes and one that consumes.

    They are apart because RabbitMQ, short of memory or disk, stops reading from connections that publish: an
    acknowledgement on such a connection would be stuck behind a result.
    """

    def __init__(self, address: Address, *, consumes: bool, report: Report, timeout: float = 10.0) -> None:
        self.publishing = Link(address, "publish", report=report, timeout=timeout)
        self.consuming = Link(address, "consume", report=report, timeout=timeout)
        self._consumes = consumes

    async def run(self) -> None:
        """Keep the connections alive until cancelled."""
        # The library reports each lost connection and failed try on its own; ours say the same once.
        logging.getLogger("aiormq").setLevel(logging.CRITICAL)
        logging.getLogger("aio_pika").setLevel(logging.CRITICAL)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.publishing.run())
            if self._consumes:
                group.create_task(self.consuming.run())
