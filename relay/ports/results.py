"""Where results go."""

from typing import Protocol

from relay.model import Due


class Publishing(Exception):
    """A result could not be published now.

    `unroutable`: the broker had no queue for it. `away`: the broker does not answer, so nothing else gets through.
    `denied`: our user may not, and a person must act.
    """

    def __init__(self, message: str, *, unroutable: bool = False, away: bool = False, denied: bool = False) -> None:
        super().__init__(message)
        self.denied = denied
        self.unroutable = unroutable
        self.away = away


class Results(Protocol):
    """Publishes one result to one destination."""

    async def publish(self, due: Due, body: bytes) -> None:
        """Returns once the broker has confirmed it. Raises Publishing.

        `body` is the CloudEvent as JSON. Many calls may be under way at once. A destination that is empty is the
        result exchange (mandatory), any other is a reply queue on the default exchange (not mandatory).
        """
        ...
