"""The current webhook sources, built from the configuration and from the secrets of handshakes."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from relay.app.inputs import make_hook
from relay.config import Settings, WebhookSource
from relay.errors import Rejected
from relay.hooks import Hook, Learn, too_often
from relay.schemes import vendor
from relay.secret import Secret

ATTEMPTS: Final = 10
PERIOD: Final = 60_000


class Hooks:
    """The webhook sources by name. A source is rebuilt when its handshake secret is learned or forgotten."""

    def __init__(self, settings: Settings, hooks: Mapping[str, Hook]) -> None:
        self._learned: Mapping[str, Secret] = {}
        self.by_name: dict[str, Hook] = {}
        self.use(settings, hooks)

    def use(self, settings: Settings, hooks: Mapping[str, Hook]) -> None:
        """Replace all sources. `hooks` are made of the settings, without secrets of handshakes."""
        self._vars = settings.vars
        self._sources = {name: source for name, source in settings.sources.items() if isinstance(source, WebhookSource)}
        self._applied: dict[str, Secret | None] = dict.fromkeys(self._sources)
        # In place, because the listener holds this mapping; nothing runs between the two steps.
        self.by_name.clear()
        self.by_name.update(hooks)
        self.take(self._learned)

    def take(self, secrets: Mapping[str, Secret]) -> None:
        """Apply the handshake secrets from the ledger, which include those that other replicas learned."""
        self._learned = secrets
        for name, applied in self._applied.items():
            if applied != secrets.get(name):
                self.by_name[name] = self._make(name, secrets.get(name))
                self._applied[name] = secrets.get(name)

    def learner(self, keep: Callable[[str, Secret], Awaitable[bool]], clock: Callable[[], int]) -> Learn:
        """A function that stores a handshake's secret, unless the source has one already.

        The response to a handshake shows whether a guessed secret is right, and each handshake costs a commit. So a
        source accepts at most `ATTEMPTS` handshakes with a different secret in `PERIOD` ms by `clock`; beyond that the
        function raises `Rejected` (429).
        """
        tried: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=ATTEMPTS))

        async def learn(name: str, secret: Secret) -> bool:
            if name not in self._sources:  # a reload has removed it while the handshake was read
                raise Rejected("there is no such source any more", status=404, reason="unknown_source")
            current = self._sources[name].live or tuple(filter(None, [self._applied.get(name)]))
            if secret in current:
                return True
            times, now = tried[name], clock()
            if len(times) == ATTEMPTS and now - times[0] < PERIOD:
                raise too_often(name)
            times.append(now)
            return not current and await keep(name, secret)

        return learn

    def _make(self, name: str, learned: Secret | None) -> Hook:
        source = self._sources[name]
        return make_hook(name, source, self._vars, learned if vendor(source.scheme).learns else None)
