"""The webhook sources as they stand: built from the configuration, and from the secrets that handshakes bring."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from relay.app.inputs import make_hook
from relay.config import Settings, WebhookSource
from relay.hooks import Hook, Learn, too_often
from relay.schemes import vendor
from relay.secret import Secret

ATTEMPTS: Final = 10
PERIOD: Final = 60_000


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

    def learner(self, keep: Callable[[str, Secret], Awaitable[bool]], clock: Callable[[], int]) -> Learn:
        """Keeps what a handshake brings, unless the source is configured with its secret or has one.

        The answer tells whether a guess was right, and a handshake is a commit: each source takes `ATTEMPTS` that
        bring another secret than the known one in `PERIOD` ms by `clock`. Raises `Rejected` (429) beyond.
        """
        tried: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=ATTEMPTS))

        async def learn(name: str, secret: Secret) -> bool:
            known = self._sources[name].live or tuple(filter(None, [self._applied.get(name)]))
            if secret in known:
                return True
            times, now = tried[name], clock()
            if len(times) == ATTEMPTS and now - times[0] < PERIOD:
                raise too_often(name)
            times.append(now)
            return not known and await keep(name, secret)

        return learn

    def _make(self, name: str, known: Secret | None) -> Hook:
        source = self._sources[name]
        return make_hook(name, source, self._vars, known if vendor(source.scheme).learns else None)
