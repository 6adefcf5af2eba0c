"""A relay as a process of its own, the Cargo simulator, a sender that repeats like a vendor, and a consumer."""

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import aio_pika
import aiohttp

from relay.schemes import SchemeSpec, build
from relay.secret import Secret
from tests.e2e.nursery import Forked
from tests.services.process import find_port, wait_until
from tests.signing import sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIG = """
cargo:
  base_url: {cargo}
  token: {token}
  timeout: {timeout}
  settle: {settle}
  concurrency: {concurrency}{rate}
ledger:
  url: {ledger}{high_water}
{broker}
http:
  hooks: 127.0.0.1:{hooks}
  health: 127.0.0.1:{health}
  ops: 127.0.0.1:{ops}
retry: {{first: 50ms, cap: 500ms, give_up_after: 10m}}
sources:
  crm: {{type: webhook, scheme: standard-webhooks, secret: {secret}}}
{sources}
rules:
  - name: deal
    type: "deal.*"
    chat:
      name: "Deal {{{{ data.id }}}}"
      agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a
      trigger:
        type: connector
        connectorUuid: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f
        meta: {{id: "{{{{ data.id }}}}"}}
{rules}
"""
MESSAGE = '    message: "Deal {{ data.id }} was won"\n'
TOKEN = "cargo-token-of-the-tests"
SECRETS = (TOKEN.encode(), SECRET.removeprefix("whsec_").encode(), base64.b64decode(SECRET.removeprefix("whsec_")))


class Relay:
    """`relay serve` with a configuration in `folder`; `at` is a kill point and its count.

    `amqp` has the addresses of RabbitMQ's nodes, separated by spaces. `sources` and `rules` are more of them, `secrets`
    more of what must show nowhere but in the ledger's tables for it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cargo: str,
        ledger: str | None = None,
        amqp: str | None = None,
        queue: str = "",
        message: bool = False,
        sources: str = "",
        rules: str = "",
        secrets: Sequence[str] = (),
        concurrency: int = 8,
        rate: str = "",
        high_water: int = 0,
        timeout: str = "1s",
        settle: str = "1500ms",
        grace: str = "5s",
        linger: str = "0s",
    ) -> None:
        self.folder = folder
        self.ledger = ledger or f"sqlite:///{folder}/relay.db"
        self.ending = ["--grace", grace, "--linger", linger]
        self.secrets = [*SECRETS, *(secret.encode() for secret in secrets)]
        self.ports = {name: find_port() for name in ("hooks", "health", "ops")}
        self.log = folder / "relay.log"
        self.config = folder / "relay.yaml"
        self.config.write_text(
            CONFIG.format(
                cargo=cargo,
                token=TOKEN,
                ledger=self.ledger,
                broker=f"broker: {{urls: [{', '.join(amqp.split())}]}}" if amqp else "",
                sources=(f"  bus: {{type: amqp, queue: {queue}, prefetch: 20, reply: [replies]}}\n" if queue else "")
                + sources,
                rules=(MESSAGE if message else "") + rules,
                secret=SECRET,
                concurrency=concurrency,
                rate=f"\n  rate: {rate}" if rate else "",
                high_water=f"\n  high_water: {high_water}" if high_water else "",
                timeout=timeout,
                settle=settle,
                **self.ports,
            )
        )
        self._process: Forked | None = None

    def url(self, listener: str) -> str:
        return f"http://127.0.0.1:{self.ports[listener]}"

    def start(self, *, at: tuple[str, int] | None = None) -> None:
        """Start it; returns when it is ready, or when it has died at its kill point.

        Raises Unavailable when it ends before, without one: a port may be taken, and nobody must go on without it.
        """
        options = ["serve", "--config", str(self.config), "--migrate", "--log-format", "json", *self.ending]
        self._process = process = Forked(options, log=self.log, at=at)
        wait_until(
            lambda: (at is not None and not process.alive()) or self._ready(),
            seconds=60,
            alive=lambda: at is not None or process.alive(),
            describe=process.describe,
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        return self._process is not None and self._process.alive()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        """Stop it; then nothing that it printed or stored holds a secret."""
        if self._process is not None:
            self._process.stop()
        written = [path for path in self.folder.iterdir() if path.is_file() and path != self.config]
        for path in written:
            kept = without_credentials(path) if path.suffix == ".db" else path.read_bytes()
            leaks = [secret for secret in self.secrets if secret in kept]
            assert not leaks, f"{path} holds a secret"

    async def run(self, *command: str) -> tuple[int, str, str]:
        """A command of `relay` against this one: its exit code, its output, and what it told on stderr meanwhile."""
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "relay", *command, "--url", self.url("ops")],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert not [secret for secret in self.secrets if secret in out + err], f"{command} shows a secret"
        return process.returncode or 0, out.decode(), err.decode()

    def describe(self) -> str:
        return self._process.describe() if self._process else "it was never started"

    def lines(self) -> list[dict[str, Any]]:
        """The log so far, JSON lines only."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def logged(self, step: str) -> int:
        """How often a step is in the log."""
        return sum(line["event"] == step for line in self.lines())

    def _ready(self) -> bool:
        try:
            with urlopen(self.url("health") + "/readyz", timeout=2) as answer:
                return answer.status == 200
        except HTTPError as error:
            error.close()  # it is an answer, too, whose connection is open
            return False
        except OSError:
            return False


def without_credentials(ledger: Path) -> bytes:
    """An embedded ledger that is not in use, without the two tables that may hold credentials."""
    copy = ledger.with_suffix(".copy")
    shutil.copy(ledger, copy)
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as database:
        for table in ("kept", "learned"):
            database.execute(f"DELETE FROM {table}")
        database.execute("VACUUM")
    kept = copy.read_bytes()
    copy.unlink()
    return kept


class Vendor:
    """Sends signed events and repeats each until it is answered 2xx, as vendors do; with several `hooks` in turn."""

    def __init__(self, session: aiohttp.ClientSession, *hooks: str) -> None:
        self._session = session
        self._urls = itertools.cycle(f"{url}/hooks/crm" for url in hooks)
        self._scheme = build(SchemeSpec("standard-webhooks", (Secret(SECRET),)))

    async def post(self, number: int, kind: str = "deal.won") -> tuple[int, Any]:
        """One request; its status and answer."""
        body = json.dumps({"type": kind, "id": number}).encode()
        headers = sign(self._scheme, body, now=time.time_ns() // 1_000_000, id=f"msg_{number}")
        async with self._session.post(
            next(self._urls), data=body, headers={"content-type": "application/json", **headers}
        ) as answer:
            return answer.status, await answer.json()

    async def insist(self, number: int, kind: str = "deal.won") -> None:
        """Repeat until it is accepted, over a relay that dies and comes back."""
        while True:
            try:
                status, _ = await self.post(number, kind)
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                status = 0
            if status in {200, 202}:
                return
            await asyncio.sleep(0.05)


@dataclass
class Told:
    """The results that a consumer has seen, by id; `copies` counts the deliveries of each."""

    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    copies: dict[str, int] = field(default_factory=dict)

    def add(self, event: dict[str, Any]) -> None:
        known = self.results.setdefault(event["id"], event)
        assert known == event, "the same message id was published with another body"
        self.copies[event["id"]] = self.copies.get(event["id"], 0) + 1

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.results.values() if event["type"] == kind]


@asynccontextmanager
async def consuming(amqp: str, queue: str = "relay.results") -> AsyncIterator[Told]:
    """Consume the result queue for as long as the block lasts."""
    told = Told()
    connection = await aio_pika.connect(amqp)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("relay.results", aio_pika.ExchangeType.TOPIC, durable=True)
        results = await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
        await results.bind(exchange, "#")

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            async with message.process():
                event = json.loads(message.body)
                assert message.message_id == event["id"]
                told.add(event)

        await results.consume(take)
        yield told


async def eventually(check: Callable[[], Awaitable[bool] | bool], *, seconds: float, what: Callable[[], str]) -> None:
    """Returns once `check` holds; fails with `what` when it does not in time."""
    end = time.monotonic() + seconds
    while True:
        holds = check()
        if isinstance(holds, Awaitable):
            holds = await holds
        if holds:
            return
        if time.monotonic() > end:
            raise AssertionError(what())
        await asyncio.sleep(0.05)
