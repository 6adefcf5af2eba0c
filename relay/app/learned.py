"""The webhook sources as they stand: built from the configuration, and from the secrets that handshakes bring."""

from collections.abc import Mapping

from relay.app.inputs import make_hook
from relay.config import Settings, WebhookSource
from relay.errors import NotFound
from relay.hooks import Hook
from relay.ports import Archive
from relay.schemes import vendor
from relay.secret import Secret
from relay.telemetry import get_log

log = get_log()


class Hooks:
    """The webhook sources by name; those whose secret comes with a handshake follow the ledger."""

    def __init__(self, settings: Settings, archive: Archive) -> None:
        self._archive = archive
        self._vars = settings.vars
        self._sources = {name: source for name, source in settings.sources.items() if isinstance(source, WebhookSource)}
        self._known: Mapping[str, Secret] = {}
        self.by_name: dict[str, Hook] = {name: self._make(name) for name in self._sources}

    async def learn(self, name: str, secret: Secret) -> bool:
        """Keep what a handshake brought, unless the source has a secret already. Raises `Unavailable`."""
        if self._sources[name].live:
            return secret in self._sources[name].live
        if not await self._archive.learn(name, secret):
            return False
        log.info("secret.learned", source=name)
        await self.refresh()
        return True

    async def refresh(self) -> None:
        """Take over what the ledger knows, also from other replicas."""
        known = await self._archive.learned()
        changed = {name for name in self._sources if known.get(name) != self._known.get(name)}
        self._known = known
        for name in changed:
            self.by_name[name] = self._make(name)

    async def forget(self, name: str) -> bool:
        """Drop what a handshake brought, so that the next one is taken. Raises `NotFound`."""
        if name not in self._sources:
            raise NotFound(f"there is no webhook source {name!r}")
        gone = await self._archive.forget(name)
        await self.refresh()
        return gone

    def _make(self, name: str) -> Hook:
        source = self._sources[name]
        learnt = self._known.get(name) if vendor(source.scheme).learns else None
        return make_hook(name, source, self._vars, learnt)
