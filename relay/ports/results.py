"""Where results go."""

from typing import Protocol

from relay.model import Due


class Publishing(Exception):
    """A result could not be published now; `unroutable` when the broker had no queue for it."""

    def __init__(self, message: str, *, unroutable: bool = False) -> None:
        super().__init__(message)
        self.unroutable = unroutable


class Results(Protocol):
    """Publishes one result to one destination."""

    async def publish(self, due: Due, body: bytes) -> None:
        """Returns once the broker has confirmed it. Raises Publishing.

        `body` is the CloudEvent as JSON. Many calls may be under way at once. A destination that is empty is the
        result exchange (mandatory), any other is a reply queue on the default exchange (not mandatory).
        """
        ...
