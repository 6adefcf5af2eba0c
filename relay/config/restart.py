"""Which keys come into force with a reload, and which with the next start of the service."""

from typing import Any, Final

from relay.config.settings import Settings

RESTART: Final = frozenset(
    {
        # `timeout` decides how long a claim is leased: under another one, calls would outlast leases that were given.
        *("cargo.base_url", "cargo.timeout", "cargo.concurrency", "cargo.proxy", "cargo.insecure"),
        *("cargo.ca_file", "cargo.cert_file", "cargo.key_file"),
        *("ledger.url", "ledger.password", "ledger.ca_file", "ledger.cert_file", "ledger.key_file"),
        *("ledger.schema", "ledger.timeout"),
        *("broker.url", "broker.urls", "broker.password", "broker.ca_file", "broker.cert_file", "broker.key_file"),
        *("results.exchange", "results.queue"),
        *("http.hooks", "http.health", "http.ops"),
        *("http.max_body", "http.max_connections", "http.max_in_flight", "http.limit_refused"),
        *("alerts.url", "alerts.secret"),
        *("encrypt.key", "encrypt.old"),
    }
)
"""What stays as it was at the start: sockets, connections and pools are made of it."""


def hold(new: Settings, started: Settings) -> tuple[Settings, tuple[str, ...]]:
    """The new settings as far as they can come into force now, and the keys that need a restart."""
    kept: dict[str, Any] = {}
    keys: list[str] = []
    for name in Settings.model_fields:
        block, before = getattr(new, name), getattr(started, name)
        own = [key.partition(".")[2] for key in sorted(RESTART) if key.startswith(f"{name}.")]
        if not own or block == before:
            continue
        if block is None or before is None:
            kept[name] = before
            keys.append(name)
        elif held := {key: getattr(before, key) for key in own if getattr(block, key) != getattr(before, key)}:
            kept[name] = block.model_copy(update=held)
            keys += [f"{name}.{key}" for key in held]
    effective = new.model_copy(update=kept)
    if effective.http.token is None and not effective.http.tokens and not effective.http.ops.loopback:
        # The listener of the start can be reached from elsewhere, so it must not lose its token before it is closed.
        http = effective.http.model_copy(update={"token": started.http.token, "tokens": started.http.tokens})
        effective = effective.model_copy(update={"http": http})
        keys.append("http.token")
    return effective, tuple(keys)
