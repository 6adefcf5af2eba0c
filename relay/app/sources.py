"""The configured sources: which of them a person has paused, and what handshakes have taught them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from relay.config import AmqpSource, WebhookSource
from relay.errors import NotFound, Unavailable
from relay.life import Stop
from relay.ports import Archive
from relay.secret import SHORT, Secret
from relay.telemetry import get_log
from relay.units import iso

log = get_log()

_EVERY: Final = 2.0

Switch = Callable[[bool], None]
"""Pauses (True) what takes by itself, or lets it go on; called again and again with what is wanted."""


class Sources:
    """Follows the ledger, so that a pause or a secret holds on every replica and over restarts.

    What the ledger says is applied at every turn, changed or not: a turn that fails halfway is made up for by the next.
    `taught` is given all secrets that handshakes brought, whenever they are read.
    """

    def __init__(
        self,
        sources: Mapping[str, WebhookSource | AmqpSource],
        archive: Archive,
        taught: Callable[[Mapping[str, Secret]], None],
    ) -> None:
        self._sources = sources
        self._archive = archive
        self._taught = taught
        self._paused: frozenset[str] = frozenset()
        self._learned: Mapping[str, Secret] = {}
        self._last: Mapping[str, int] = {}
        self._switches: dict[str, Switch] = {}
        self._refreshing = asyncio.Lock()

    def add_switch(self, name: str, switch: Switch) -> None:
        """For a source that takes by itself (a queue): what pauses it and lets it go on."""
        self._switches[name] = switch

    def is_paused(self, name: str) -> bool:
        return name in self._paused

    async def set_paused(self, name: str, *, paused: bool) -> None:
        """Pause or resume everywhere. Raises NotFound."""
        self.require(name)
        await self._archive.pause_source(name, paused=paused)
        log.info("source.paused" if paused else "source.resumed", source=name)
        await self.refresh()

    def require(self, name: str) -> None:
        """Raises NotFound for a source that is not configured."""
        if name not in self._sources:
            raise NotFound(f"there is no source {name!r}; there are: {', '.join(self._sources) or 'none'}")

    def secret(self, name: str) -> Secret | None:
        """The secret that a handshake brought; None when none did."""
        return self._learned.get(name)

    async def learn(self, name: str, secret: Secret) -> bool:
        """Keep the secret that a handshake brought, from now on; False when another one is kept already.

        A short one is never kept: with it, whoever guesses it could sign.
        """
        if len(secret.reveal()) < SHORT or not await self._archive.learn(name, secret):
            return False
        if self.secret(name) != secret:
            log.info("secret.learned", source=name)
        await self.refresh()
        return True

    async def forget(self, name: str) -> bool:
        """Drop it, also that of a source that is not configured any more; False when there is none. Raises NotFound."""
        forgotten = await self._archive.forget(name)
        if not forgotten:
            self.require(name)
            return False
        log.info("secret.forgotten", source=name)
        await self.refresh()
        return True

    async def refresh(self) -> None:
        """Take over what the ledger says."""
        async with self._refreshing:  # else an answer that was read earlier could arrive later, and undo a newer one
            self._paused = await self._archive.paused_sources()
            for name, switch in self._switches.items():
                switch(self.is_paused(name))
            self._learned = await self._archive.learned()
            self._taught(self._learned)
            self._last = await self._archive.last_events(tuple(self._sources))

    async def run(self, stop: Stop) -> None:
        """Refresh until told to stop."""
        while not stop.asked:
            try:
                await self.refresh()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="sources", error=str(error))
            await stop.sleep(_EVERY)

    def describe(self) -> Sequence[Mapping[str, Any]]:
        """The sources for the API."""
        return [
            _describe(name, source, self._last.get(name))
            | {"paused": self.is_paused(name), "learned": name in self._learned}
            for name, source in self._sources.items()
        ]


def _describe(name: str, source: WebhookSource | AmqpSource, last: int | None) -> dict[str, Any]:
    own: dict[str, Any]
    if isinstance(source, WebhookSource):
        own = {"scheme": source.scheme, "path": f"/hooks/{name}"}
    else:
        own = {"queue": source.queue}
    return {"name": name, "type": source.type, "lastEventAt": None if last is None else iso(last), **own}
