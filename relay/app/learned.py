"""The webhook sources as they stand: built from the configuration, and from the secrets that handshakes bring."""

from collections.abc import Awaitable, Callable, Mapping

from relay.app.inputs import make_hook
from relay.config import Settings, WebhookSource
from relay.hooks import Hook, Learn
from relay.schemes import vendor
from relay.secret import Secret


class Hooks:
    """The webhook sources by name, made anew where a handshake brings a secret or one is forgotten."""

    def __init__(self, settings: Settings) -> None:
        self._vars = settings.vars
        self._sources = {name: source for name, source in settings.sources.items() if isinstance(source, WebhookSource)}
        self._applied: dict[str, Secret | None] = dict.fromkeys(self._sources)
        self.by_name: dict[str, Hook] = {name: self._make(name, None) for name in self._sources}

    def take(self, known: Mapping[str, Secret]) -> None:
        """What the ledger knows, also from other replicas."""
        for name, applied in self._applied.items():
            if applied != known.get(name):
                self.by_name[name] = self._make(name, known.get(name))
                self._applied[name] = known.get(name)

    def learner(self, keep: Callable[[str, Secret], Awaitable[bool]]) -> Learn:
        """Keeps what a handshake brings, unless the source is configured with its secret."""

        async def learn(name: str, secret: Secret) -> bool:
            live = self._sources[name].live
            return secret in live if live else await keep(name, secret)

        return learn

    def _make(self, name: str, known: Secret | None) -> Hook:
        source = self._sources[name]
        return make_hook(name, source, self._vars, known if vendor(source.scheme).learns else None)
