"""Publishes results."""

from typing import Protocol

from relay.model import Due


class Publishing(Exception):
    """A result could not be published now.

    `unroutable`: no queue is bound for it. `away`: the broker does not answer, so no other result can be published
    either. `denied`: Relay's user lacks the permission, and a person must act. `failed`: the fault is Relay's own.
    """

    def __init__(
        self,
        message: str,
        *,
        unroutable: bool = False,
        away: bool = False,
        denied: bool = False,
        failed: bool = False,
    ) -> None:
        super().__init__(message)
        self.failed = failed
        self.denied = denied
        self.unroutable = unroutable
        self.away = away

    @property
    def public(self) -> str:
        """What happened, for anybody: the message may name a routing key or a reply queue, which events choose."""
        if self.unroutable:
            return "no queue takes some of the results"
        if self.denied:
            return "RabbitMQ denies Relay the right to publish some of the results"
        if self.failed:
            return "Relay fails at some of the results; the log says more"
        return "RabbitMQ is away" if self.away else "RabbitMQ refuses some of the results"


class Results(Protocol):
    """Publishes one result to one destination."""

    async def publish(self, due: Due, body: bytes) -> None:
        """Publish one delivery and return once the broker has confirmed it. Raises Publishing.

        `body` is the CloudEvent as JSON. Many calls may run at once. An empty destination is the result's exchange
        (published as mandatory); any other is a reply queue on the default exchange (not mandatory).
        """
        ...
