"""What is in force: a configuration, and everything that is made of it. It never changes; a reload swaps it whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relay.app.adapters import make_policy, make_terms
from relay.app.dry import make_rules
from relay.app.inputs import make_hook
from relay.config import AmqpSource, Loaded, Settings, WebhookSource, digest, hold
from relay.dispatch import Policy
from relay.hooks import Hook
from relay.ledger import Terms
from relay.rules import RuleSet
from relay.uncollected import uncollected

Queue = tuple[AmqpSource, Mapping[str, Any]]
"""A source of type `amqp`, and the constants that its templates see."""


@dataclass(frozen=True, slots=True)
class Force:
    """A configuration, ready for every part.

    `loaded` is what the files say. `settings` is what is in force of it: keys that need a restart (`restart`) have the
    values of the start. `digest` is the hash of `settings`. `hooks` are the webhook sources by their configured
    secrets, without those that handshakes brought.
    """

    loaded: Loaded
    settings: Settings
    digest: str
    restart: tuple[str, ...]
    rules: RuleSet
    hooks: Mapping[str, Hook]
    queues: Mapping[str, Queue]
    policy: Policy
    terms: Terms


def make_force(loaded: Loaded, owner: str, started: Settings | None = None) -> Force:
    """Make everything of a configuration. `owner` names this replica; `started` are the settings of its start.

    It takes more than a second for ten thousand rules, so it belongs into a thread while the relay serves.
    """
    with uncollected():
        return _make(loaded, owner, started)


def _make(loaded: Loaded, owner: str, started: Settings | None) -> Force:
    settings, restart = (loaded.settings, ()) if started is None else hold(loaded.settings, started)
    policy = make_policy(settings)
    sources = settings.sources.items()
    return Force(
        loaded=loaded,
        settings=settings,
        digest=digest(settings) if restart else loaded.digest,
        restart=restart,
        rules=make_rules(settings),
        hooks={
            name: make_hook(name, source, settings.vars)
            for name, source in sources
            if isinstance(source, WebhookSource)
        },
        queues={
            name: (source, settings.vars if source.event.texts() else {})
            for name, source in sources
            if isinstance(source, AmqpSource)
        },
        policy=policy,
        terms=make_terms(settings, policy, owner),
    )
