"""The configured sources, with their pauses and the secrets learned from handshakes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from relay.config import AmqpSource, WebhookSource
from relay.errors import NotFound, Unavailable
from relay.intake import log_act
from relay.life import Stop
from relay.model import LOCAL, ActName, Deed
from relay.ports import Archive
from relay.secret import SHORT, Secret
from relay.telemetry import get_log
from relay.units import iso

log = get_log()

_EVERY: Final = 2.0

Switch = Callable[[bool], None]
"""Pauses (True) or resumes (False) a consumer. It is called at every refresh, with or without a change."""


class Sources:
    """Follows the ledger, so that pauses and secrets apply on every replica and survive restarts.

    Every refresh applies the complete state, changed or not, so that the next one repairs a refresh that failed
    halfway. `taught` receives all secrets from handshakes at each refresh.
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
        """Register the function that pauses and resumes a consuming source (a queue)."""
        self._switches[name] = switch

    def remove_switch(self, name: str) -> None:
        """Forget the function of a source that is not consumed any more."""
        self._switches.pop(name, None)

    def use(self, sources: Mapping[str, WebhookSource | AmqpSource]) -> None:
        """Replace the configured sources. Pauses and secrets of those that are gone stay in the ledger."""
        self._sources = sources

    def is_paused(self, name: str) -> bool:
        return name in self._paused

    async def set_paused(self, name: str, *, paused: bool, by: str = LOCAL) -> None:
        """Pause or resume everywhere. Raises NotFound."""
        self.require(name)
        deed = Deed(by, ActName.SOURCE_PAUSED if paused else ActName.SOURCE_RESUMED, name)
        await self._archive.pause_source(name, paused=paused, deed=deed)
        log.info("source.paused" if paused else "source.resumed", source=name)
        log_act(deed)
        await self.refresh()

    def require(self, name: str) -> None:
        """Check that a source is configured. Raises NotFound."""
        if name not in self._sources:
            raise NotFound(f"there is no source {name!r}; there are: {', '.join(self._sources) or 'none'}")

    def secret(self, name: str) -> Secret | None:
        """The secret that was learned from a handshake, or None."""
        return self._learned.get(name)

    async def learn(self, name: str, secret: Secret) -> bool:
        """Store the secret of a handshake. Returns False when it is too short or another one is stored already.

        A short secret is never stored, because anybody who guesses it could sign requests.
        """
        if len(secret.reveal()) < SHORT or not await self._archive.learn(name, secret):
            return False
        if self.secret(name) != secret:
            log.info("secret.learned", source=name)
        await self.refresh()
        return True

    async def forget(self, name: str, *, by: str = LOCAL) -> bool:
        """Delete a learned secret, also of a source that is no longer configured. Returns whether there was one.

        Raises NotFound when there is neither a secret nor such a source.
        """
        deed = Deed(by, ActName.SECRET_FORGOTTEN, name)
        forgotten = await self._archive.forget(name, deed)
        if not forgotten:
            self.require(name)
            return False
        log.info("secret.forgotten", source=name)
        log_act(deed)
        await self.refresh()
        return True

    async def refresh(self) -> None:
        """Read the state from the ledger and apply it."""
        # Locked: otherwise an older answer could arrive after a newer one and undo it.
        async with self._refreshing:
            self._paused = await self._archive.paused_sources()
            for name, switch in list(self._switches.items()):
                switch(self.is_paused(name))
            self._learned = await self._archive.learned()
            self._taught(self._learned)
            self._last = await self._archive.last_events(tuple(self._sources))

    async def run(self, stop: Stop) -> None:
        """Refresh every 2 s until `stop`."""
        while not stop.asked:
            try:
                await self.refresh()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="sources", error=str(error))
            await stop.sleep(_EVERY)

    def describe(self) -> Sequence[Mapping[str, Any]]:
        """The sources as the API shows them."""
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
