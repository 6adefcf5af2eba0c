"""Creates the adapters from the configuration: the ledger, Cargo, the broker."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from uuid import uuid4

from relay import __version__
from relay.app.clock import boottime, wall
from relay.broker import Address, Broker
from relay.broker.link import Report
from relay.cargo import Cargo
from relay.config import BrokerBlock, Settings, WebhookSource
from relay.config.settings import CargoBlock, HttpBlock
from relay.dispatch import Policy
from relay.errors import Misconfigured, Unavailable
from relay.ledger import SqlLedger, Terms, Vault, open_ledger
from relay.life import Signals
from relay.ops.access import TokenHolder, make_holders
from relay.problems import Alerts, Watcher, fingerprint, key_of
from relay.proxy import Proxy
from relay.receivers import HttpReceivers
from relay.rules.keys.result import ResultBlock, ResultKey
from relay.secret import Secret
from relay.telemetry import Metrics, Status, Tracing, get_log, open_tracing

log = get_log()

_RETRY = 2.0


def make_policy(settings: Settings) -> Policy:
    """The retry and timeout durations of dispatches."""
    retry, cargo = settings.retry, settings.cargo
    return Policy(
        timeout=cargo.timeout,
        first=retry.first,
        cap=retry.cap,
        give_up_after=retry.give_up_after,
        settle=cargo.settle,
    )


def make_owner() -> str:
    """The name of this process in the ledger; it differs for every start on the same host."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"


def make_terms(settings: Settings, policy: Policy, owner: str) -> Terms:
    """The ledger's parameters. `owner` names this replica."""
    ledger, rate = settings.ledger, settings.cargo.rate
    return Terms(
        owner=owner,
        lease=policy.lease,
        settle=policy.settle,
        publish=settings.broker is not None,
        high_water=ledger.high_water,
        remember=ledger.remember,
        retain=ledger.retain,
        retain_of=_retentions(settings),
        retain_unmatched=ledger.retain_unmatched,
        max_unmatched=ledger.max_unmatched,
        spacing=None if rate is None else rate.spacing,
        receivers=tuple(fingerprint(url) for url in settings.alerts.urls),
        timeout=ledger.timeout,
    )


def _retentions(settings: Settings) -> dict[str, int]:
    """The retention in ms of each source that configures its own."""
    webhooks = ((name, source) for name, source in settings.sources.items() if isinstance(source, WebhookSource))
    return {name: source.retain for name, source in webhooks if source.retain is not None}


def make_tracing() -> Tracing | None:
    """Spans, where the `OTEL_*` variables name an exporter for them. Raises Misconfigured."""
    try:
        return open_tracing(os.environ, __version__)
    except ValueError as error:
        raise Misconfigured([str(error)]) from None


def make_vault(settings: Settings) -> Vault:
    """The encryption keys for stored data."""
    return Vault(settings.encrypt.key, settings.encrypt.old)


async def reach_ledger(settings: Settings, terms: Terms, *, migrate: bool, away: Callable[[str], None]) -> SqlLedger:
    """Open the ledger, retrying every 2 s while its server is away. Raises `Unusable` when a person must act.

    `away` receives the error of each failed try.
    """
    block = settings.ledger
    while True:
        try:
            return await open_ledger(block.url, terms, migrate=migrate, vault=make_vault(settings), **block.access())
        except Unavailable as error:
            away(str(error))
            log.warning("ledger.unavailable", part="start", error=str(error), retry_in_s=_RETRY)
            await asyncio.sleep(_RETRY)


def make_cargo(settings: Settings, proxy: Proxy | None, metrics: Metrics) -> Cargo:
    """The client for Cargo; `async with` opens its connections."""
    block = settings.cargo
    return Cargo(
        block.base_url,
        block.token,
        timeout=block.timeout / 1_000,
        connections=block.concurrency + 4,  # more than the claims: probes and scans call too
        version=__version__,
        workspace_uuid=block.workspace_uuid,
        ca_file=block.ca_file,
        proxy=proxy,
        cert_file=block.cert_file,
        key_file=block.key_file,
        observe=metrics.called,
    )


def workspace_at(cargo: CargoBlock) -> str | None:
    """The address of the workspace in Cargo's app, None where it is not configured or Cargo is another one."""
    if cargo.workspace_uuid is None or not cargo.base_url.startswith("https://api.getcargo.io/"):
        return None
    return f"https://app.getcargo.io/workspaces/{cargo.workspace_uuid}"


def expectations(settings: Settings) -> dict[str, int]:
    """The longest silence of each source that has one, in milliseconds."""
    return {name: source.expect for name, source in settings.sources.items() if source.expect is not None}


def make_watcher(
    settings: Settings, ledger: SqlLedger, metrics: Metrics, status: Status, signals: Signals, *, away: int
) -> Watcher:
    """The part that writes problems. `away` is how long the ledger was away at the start, in milliseconds."""
    return Watcher(
        ledger,
        metrics,
        status,
        signals,
        expect=expectations(settings),
        backlog=settings.alerts.backlog,
        sources=settings.sources.keys(),
        rules=frozenset(rule.name for rule in settings.rules),
        clock=wall,
        boottime=boottime,
        away=away,
    )


async def make_alerts(settings: Settings, ledger: SqlLedger, signals: Signals, stack: AsyncExitStack) -> Alerts:
    """The part that sends alerts. `stack` closes its connections."""
    block = settings.alerts
    receivers = await stack.enter_async_context(HttpReceivers(__version__))
    urls = {fingerprint(url): url for url in block.urls}
    key = None if block.secret is None else key_of(block.secret.reveal())
    return Alerts(ledger, receivers, urls, key, signals, clock=wall)


def make_broker(settings: Settings, report: Report) -> Broker | None:
    """The two connections to RabbitMQ; None if no broker is configured."""
    block = settings.broker
    if block is None:
        return None
    return Broker(make_address(block), report=report)


def result_blocks(settings: Settings) -> dict[str, ResultBlock]:
    """The key `result` of the rules that have it, by the rule's name."""
    named = {rule.name: rule.spec.keys.get(ResultKey.name) for rule in settings.rules}
    return {name: block for name, block in named.items() if block is not None}


def result_exchanges(settings: Settings) -> tuple[str, ...]:
    """The exchanges that rules name for their results, in the order of the rules."""
    return tuple(dict.fromkeys(block.exchange for block in result_blocks(settings).values()))


def make_address(block: BrokerBlock) -> Address:
    """The address of RabbitMQ and the login."""
    return Address(
        Secret(block.url),
        block.password,
        ca_file=block.ca_file,
        cert_file=block.cert_file,
        key_file=block.key_file,
        others=tuple(url for url in block.urls if url != block.url),
    )


def holders_of(http: HttpBlock) -> tuple[TokenHolder, ...]:
    """Who may use the ops listener, by the tokens of the configuration."""
    return make_holders(http.token, {name: (entry.token, entry.role) for name, entry in http.tokens.items()})
