"""`relay check --online`: checks that need the servers. Each check is a function; all run concurrently."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from relay.app.adapters import make_address, make_owner, make_policy, make_terms
from relay.app.finding import Finding
from relay.app.inventory import check_cargo
from relay.broker import BrokerFault, Link, MissingEntity, delivery_limit, ensure_queue, find_exchange
from relay.config import AmqpSource, Settings
from relay.errors import Unavailable
from relay.ledger import Unusable, open_ledger, pending_steps
from relay.ledger.opening import is_file
from relay.place import exists, is_folder
from relay.proxy import Proxy
from relay.telemetry import PartState

_PATIENCE: Final = 20.0
_FILE: Final = "sqlite:///"


Check = Callable[[Settings], Awaitable[list[Finding]]]


async def check_online(settings: Settings, proxy: Proxy | None) -> list[Finding]:
    """The findings of all checks, in the order of the checks. `proxy` is that for Cargo."""
    results = await asyncio.gather(*(check(settings) for check in CHECKS), check_cargo(settings, proxy))
    return [finding for findings in results for finding in findings]


async def check_ledger(settings: Settings) -> list[Finding]:
    """Check the ledger. A server must accept a small write; a file is only inspected, as a relay may be using it."""
    block = settings.ledger
    try:
        if is_file(block.url):
            return _check_folder(block.url)
        steps = await pending_steps(block.url, **block.access())
        if steps:
            todo = "run `relay migrate`, or serve with --migrate"
            return [Finding("ledger.url", f"the schema lacks {len(steps)} step(s): {todo}", fault=False)]
        terms = make_terms(settings, make_policy(settings), make_owner())
        ledger = await open_ledger(block.url, terms, **block.access())
        try:
            await ledger.probe()
        finally:
            await ledger.aclose()
    except (Unusable, Unavailable) as error:
        return [Finding("ledger.url", str(error))]
    return []


def _check_folder(url: str) -> list[Finding]:
    path = Path(unquote(url.removeprefix(_FILE)))
    if not is_folder(path.parent):
        return [Finding("ledger.url", f"the folder {path.absolute().parent} does not exist: create it")]
    place = path if exists(path) else path.parent
    if not os.access(place, os.W_OK):
        return [Finding("ledger.url", f"{place.absolute()} cannot be written: give the relay's user write access")]
    return []


async def check_broker(settings: Settings) -> list[Finding]:
    """Check the login and every queue that Relay consumes."""
    if settings.broker is None:
        return []
    async with connected(settings) as link:
        if isinstance(link, str):
            return [Finding("broker.url", link)]
        queues = [(name, source) for name, source in settings.sources.items() if isinstance(source, AmqpSource)]
        return [finding for name, source in queues for finding in await _check_queue(link, name, source)]


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Link | str]:
    """A connection to the first node that accepts it, or the reason why none does."""
    block = settings.broker
    assert block is not None  # noqa: S101 - the caller has checked it
    reasons: asyncio.Queue[str] = asyncio.Queue()

    def report(state: PartState, reason: str) -> None:
        reasons.put_nowait(reason if state is PartState.DOWN else "")

    address = make_address(block)
    link = Link(address, "check", report=report)
    task = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(_PATIENCE):
            for _ in (address.url, *address.others):
                if not (reason := await reasons.get()):
                    break
        yield reason or link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _check_queue(link: Link, name: str, source: AmqpSource) -> list[Finding]:
    key = f"sources.{name}.queue"
    findings = []
    try:
        await ensure_queue(link, source.queue, None)
        findings += await _check_limit(link, key, source.queue)
    except MissingEntity:
        if not source.declare:
            hint = "create it, or leave out `declare: false`"
            findings.append(Finding(key, f"queue {source.queue!r} does not exist: {hint}"))
    except BrokerFault as fault:
        findings.append(Finding(key, str(fault)))
    if source.bind is not None:
        findings += await _check_exchange(link, f"sources.{name}.bind.exchange", source.bind.exchange)
    return findings


async def _check_exchange(link: Link, key: str, exchange: str) -> list[Finding]:
    try:
        await find_exchange(link, exchange)
    except MissingEntity:
        return [Finding(key, f"exchange {exchange!r} does not exist: create it, or correct the name")]
    except BrokerFault as fault:
        return [Finding(key, str(fault))]
    return []


async def _check_limit(link: Link, key: str, queue: str) -> list[Finding]:
    limit = await delivery_limit(link, queue)
    if limit is None or not limit.loses:
        return []
    loses = f"RabbitMQ drops a message of queue {queue!r} without a trace after {limit.count} further deliveries"
    todo = limit.advise(queue, link.address.vhost)
    return [Finding(key, f"{loses}; where no policy does so, {todo}", fault=False)]


CHECKS: Final[tuple[Check, ...]] = (check_ledger, check_broker)
