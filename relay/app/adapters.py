"""Creates the adapters from the configuration: the ledger, Cargo, the broker."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from uuid import uuid4

from relay import __version__
from relay.broker import Address, Broker
from relay.broker.link import Report
from relay.cargo import Cargo
from relay.config import BrokerBlock, Settings, WebhookSource
from relay.dispatch import Policy
from relay.errors import Unavailable
from relay.ledger import SqlLedger, Terms, Vault, open_ledger
from relay.proxy import Proxy
from relay.secret import Secret
from relay.telemetry import Metrics, get_log

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


def make_terms(settings: Settings, policy: Policy) -> Terms:
    """The ledger's parameters. `owner` identifies this process; it differs for every start on the same host."""
    ledger, rate = settings.ledger, settings.cargo.rate
    return Terms(
        owner=f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}",
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
        timeout=ledger.timeout,
    )


def _retentions(settings: Settings) -> dict[str, int]:
    """The retention in ms of each source that configures its own."""
    webhooks = ((name, source) for name, source in settings.sources.items() if isinstance(source, WebhookSource))
    return {name: source.retain for name, source in webhooks if source.retain is not None}


def make_vault(settings: Settings) -> Vault:
    """The encryption keys for stored data."""
    return Vault(settings.encrypt.key, settings.encrypt.old)


async def reach_ledger(
    settings: Settings,
    terms: Terms,
    *,
    migrate: bool,
    away: Callable[[str], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> SqlLedger:
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
            await sleep(_RETRY)


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


def make_broker(settings: Settings, report: Report) -> Broker | None:
    """The two connections to RabbitMQ; None if no broker is configured."""
    block = settings.broker
    if block is None:
        return None
    consumes = any(source.type == "amqp" for source in settings.sources.values())
    return Broker(make_address(block), consumes=consumes, report=report)


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
