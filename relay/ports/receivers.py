"""The receivers of alerts."""

from collections.abc import Mapping
from typing import Protocol

from relay.secret import Secret


class Receivers(Protocol):
    """Sends alerts to people's systems."""

    async def post(self, url: Secret, body: bytes, headers: Mapping[str, str]) -> None:
        """Post an alert. Raises `Retryable` when it is refused or the receiver cannot be reached; then try again."""
        ...
