"""Counts what happens, and what it has cost. What `ports.ledger` says of all methods holds."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from relay.model import Usage
from relay.telemetry import MinuteTally


class Rates(Protocol):
    """What parts write for the rates and the usage that `Archive` reads."""

    async def count(self, tally: MinuteTally) -> None:
        """Add counts to the present minute, and chats to the present day (UTC).

        When its answer does not come it is not known whether they were added.
        """
        ...

    async def used(self, since: int, until: int) -> Sequence[Usage]:
        """As `Archive.used`."""
        ...

    async def credits_asked_ago(self) -> int | None:
        """Milliseconds since Cargo was asked for credits, None for never."""
        ...

    async def rules_of(self, dispatch_ids: Sequence[str]) -> Mapping[str, str]:
        """The rules of dispatches, by id. Those that are not kept any more are left out."""
        ...

    async def keep_credits(self, day: int, credits_by_rule: Mapping[str, float]) -> None:
        """Keep what the chats that were made on a day have cost so far, by rule. It never falls."""
        ...
