"""Checks the limits of listeners and sources, which would refuse everything if they contradict each other."""

from typing import Final

from relay import units
from relay.config.draft import Draft
from relay.config.settings import HttpBlock
from relay.config.source import AmqpSource, WebhookSource
from relay.config.tree import Path

_RESERVED: Final = "amq."
"""The prefix that RabbitMQ reserves: it refuses to declare new exchanges and queues with such names."""
_BUILT_IN: Final = frozenset({"amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic"})


def check_reserved(draft: Draft) -> None:
    """Add a fault for each name that RabbitMQ would refuse to declare."""
    results = draft.blocks.get("results")
    message = f"begins with {_RESERVED}, which RabbitMQ reserves: choose another name"
    if results is not None:
        if results.queue is not None and results.queue.startswith(_RESERVED) and draft.whole("results", "queue"):
            draft.fault(("results", "queue"), message)
        if results.exchange.startswith(_RESERVED) and results.exchange not in _BUILT_IN:
            draft.fault(("results", "exchange"), f"{message}, or amq.topic")
    for name, source in draft.sources.items():
        if isinstance(source, AmqpSource) and source.declare and source.queue.startswith(_RESERVED):
            draft.fault(("sources", name, "queue"), f"{message}, or set declare: false if it exists")


def check_bounds(draft: Draft) -> None:
    """Add a fault for each limit that contradicts another."""
    http = draft.blocks["http"]
    if http is None:
        return
    if draft.whole("http") and http.max_in_flight < http.max_body:
        draft.fault(
            ("http", "max_in_flight"),
            "is less than http.max_body, so that large bodies are always refused: make it at least as large",
        )
    for name, source in draft.sources.items():
        if isinstance(source, WebhookSource) and draft.whole("http"):
            _check_source(draft, ("sources", name), source, http)


def _check_source(draft: Draft, path: Path, source: WebhookSource, http: HttpBlock) -> None:
    ledger = draft.blocks["ledger"]
    largest_body = source.max_body or http.max_body
    if largest_body > http.max_in_flight and source.max_body:
        draft.fault(
            (*path, "max_body"),
            "is more than http.max_in_flight, so that such a body is always refused: make it smaller",
        )
    if source.max_in_flight is not None and source.max_in_flight < largest_body:
        draft.fault(
            (*path, "max_in_flight"),
            "is less than the largest body, so that such a body is always refused: make it larger",
        )
    if source.retain and ledger is not None and draft.whole("ledger") and source.retain > ledger.remember:
        message = f"is longer than ledger.remember ({units.show(ledger.remember)}), but ids must outlive their events"
        draft.fault((*path, "retain"), f"{message}: make ledger.remember at least as long")
    if "allow" in source.model_fields_set and not source.allow and not draft.opaque(*path, "allow"):
        draft.fault((*path, "allow"), "is empty: name the networks that may send, or leave the key out to allow any")
    if source.client_cert is not None and not http.trusted_proxies and not draft.opaque("http"):
        message = "comes from a proxy's header, and no proxy is trusted: name the proxy in http.trusted_proxies"
        draft.fault((*path, "client_cert"), message)
