"""Checks of what listeners, sources and the broker bear: bounds that contradict each other would refuse everything."""

from typing import Final

from relay import units
from relay.config.draft import Draft
from relay.config.settings import HttpBlock
from relay.config.source import AmqpSource, WebhookSource
from relay.config.tree import Path

_RESERVED: Final = "amq."
"""Names that RabbitMQ keeps for itself: it refuses to declare others of them than are there."""
_BUILT_IN: Final = frozenset({"amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic"})


def check_reserved(draft: Draft) -> None:
    """Adds the faults of names that RabbitMQ would refuse to declare."""
    results = draft.blocks.get("results")
    told = f"begins with {_RESERVED}, which RabbitMQ keeps for itself: take another name"
    if results is not None:
        if results.queue is not None and results.queue.startswith(_RESERVED) and draft.whole("results", "queue"):
            draft.fault(("results", "queue"), told)
        if results.exchange.startswith(_RESERVED) and results.exchange not in _BUILT_IN:
            draft.fault(("results", "exchange"), f"{told}, or amq.topic")
    for name, source in draft.sources.items():
        if isinstance(source, AmqpSource) and source.declare and source.queue.startswith(_RESERVED):
            draft.fault(("sources", name, "queue"), f"{told}, or set declare: false if it is there")


def check_bounds(draft: Draft) -> None:
    """Adds the faults of bounds to `draft`."""
    http = draft.blocks["http"]
    if http is None:
        return
    if draft.whole("http") and http.max_in_flight < http.max_body:
        draft.fault(("http", "max_in_flight"), "is less than http.max_body: no large body would ever be taken")
    for name, source in draft.sources.items():
        if isinstance(source, WebhookSource) and draft.whole("http"):
            _check_source(draft, ("sources", name), source, http)


def _check_source(draft: Draft, path: Path, source: WebhookSource, http: HttpBlock) -> None:
    ledger = draft.blocks["ledger"]
    most = source.max_body or http.max_body
    if most > http.max_in_flight and source.max_body:
        draft.fault((*path, "max_body"), "is more than http.max_in_flight: such a body would never be taken")
    if source.max_in_flight is not None and source.max_in_flight < most:
        draft.fault((*path, "max_in_flight"), "is less than the largest body: such a body would never be taken")
    if source.retain and ledger is not None and draft.whole("ledger") and source.retain > ledger.remember:
        told = f"is longer than ledger.remember ({units.show(ledger.remember)}), but a kept event must stay known"
        draft.fault((*path, "retain"), f"{told}: set ledger.remember at least as long")
    if "allow" in source.model_fields_set and not source.allow and not draft.opaque(*path, "allow"):
        draft.fault((*path, "allow"), "is empty: name the networks that may send, or leave it out for any")
    if source.client_cert is not None and not http.trusted_proxies and not draft.opaque("http"):
        told = "is what a proxy says, and none is believed: name the proxy in http.trusted_proxies"
        draft.fault((*path, "client_cert"), told)
