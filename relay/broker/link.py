"""One connection to RabbitMQ, re-established whenever it is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from random import random
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection

from relay.broker.address import Address
from relay.broker.faults import Away, BrokerFault, HungUp, ask
from relay.broker.tolerant import tolerate
from relay.retry import backoff
from relay.telemetry import PartState, get_log

log = get_log()

Report = Callable[[PartState, str], None]

_FIRST: Final = 250
_LEAST: Final = 100
_CAP: Final = 10_000


class Link:
    """Keeps one connection alive while `run()` runs, and opens channels on it.

    `timeout` limits each call, in seconds. After a loss the link restores nothing: each user of a channel opens a new
    one and sets up what it needs. (aio-pika's robust connection is not used, because it replays declarations by itself,
    even of entities that somebody deleted or changed in the meantime.)
    """

    def __init__(
        self,
        address: Address,
        name: str,
        *,
        report: Report,
        timeout: float = 10.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random,
    ) -> None:
        self.name = name
        self.address = address
        self.timeout = timeout
        self.unsure: set[str] = set()
        """The commands already logged for entities that this user may not check; each is logged once."""
        self._report = report
        self._sleep = sleep
        self._random = random
        self._connection: AbstractConnection | None = None
        self._up = asyncio.Event()
        self._reason = ""
        self._turn = 0
        self._wanted: list[Callable[[], Awaitable[None]]] = []

    def want(self, ensure: Callable[[], Awaitable[None]]) -> None:
        """Run `ensure` after each connect, before the connection is reported as up, to create required entities.

        If it raises BrokerFault, the fault is reported and logged, and `ensure` runs again while the connection lasts.
        """
        self._wanted.append(ensure)

    async def run(self) -> None:
        """Connect, and reconnect whenever the connection is lost, until cancelled."""
        tolerate()
        tries = 0
        while True:
            try:
                connection = await self._connect()
            except BrokerFault as fault:
                self._tell_away(str(fault))
                self._turn += 1
                await self._sleep(self._delay(tries))
                tries += 1
            else:
                tries = 0
                await self._hold(connection)

    async def ready(self) -> None:
        """Wait until the link is connected."""
        await self._up.wait()

    @property
    def up(self) -> bool:
        """Whether the link is connected."""
        return self._up.is_set()

    def server(self) -> str:
        """The version that RabbitMQ reports; empty while not connected."""
        transport = self._connection and self._connection.transport
        return str(transport.connection.server_properties.get("version", "")) if transport else ""

    def frame_max(self) -> int:
        """The bytes of a frame that RabbitMQ takes; 0 while not connected, or where it takes any."""
        transport = self._connection and self._connection.transport
        return int(transport.connection.connection_tune.frame_max) if transport else 0

    async def channel(self, *, returns: bool = False) -> AbstractChannel:
        """A new channel with publisher confirms. With `returns`, unroutable messages raise. Raises Away."""
        if self._connection is None:
            raise Away(self._reason or f"not connected to {self.address}")
        return await ask(self._open(self._connection, returns=returns), self.timeout)

    @staticmethod
    async def _open(connection: AbstractConnection, *, returns: bool) -> AbstractChannel:
        channel = connection.channel(on_return_raises=returns)
        await channel.initialize()
        return channel

    async def _connect(self) -> AbstractConnection:
        trust = self.address.trust()
        properties = {"connection_name": f"relay {self.name}", "product": "relay"}
        url = self.address.full(self._turn)
        connection = aio_pika.Connection(url, ssl_context=trust, client_properties=properties)  # type: ignore[arg-type] # its FieldTable is invariant
        try:
            await ask(connection.connect(), self.address.timeout or self.timeout)
        except BaseException as error:
            # Left open, it would close itself at garbage collection, in whatever event loop runs then.
            await connection.close()
            if isinstance(error, HungUp) and trust is not None:
                # In TLS 1.3 a server rejects a client after the handshake; its alert may be lost with the connection.
                hint = "so does a server that wants a client certificate, or not this one: check broker.cert_file"
                raise Away(f"{error}: {hint}") from None
            raise
        return connection

    async def _hold(self, connection: AbstractConnection) -> None:
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        self._connection = connection
        self._up.set()
        self._reason = ""
        log.info("broker.connected", connection=self.name, address=self.address.name(self._turn))
        ensuring = asyncio.create_task(self._ensure())
        ensuring.add_done_callback(lambda task: lost.set() if not task.cancelled() and task.exception() else None)
        try:
            # The connection may have been lost before the callback above was added; then nothing would set `lost`.
            if connection.connected.is_set():
                await lost.wait()
        finally:
            ensuring.cancel()
            [error] = await asyncio.gather(ensuring, return_exceptions=True)
            self._connection = None
            self._up.clear()
            await self._close(connection)
        if isinstance(error, Exception):
            raise error  # none of the broker's, which are told and tried again
        self._tell_away("the connection was lost")

    async def _ensure(self) -> None:
        """Report the connection as up once all required entities exist."""
        tries, last_fault = 0, ""
        while True:
            try:
                for ensure in self._wanted:
                    await ensure()
            except Away:
                if not self.up:  # the connection is lost: `run` starts this anew after it reconnects
                    return
            except BrokerFault as fault:
                if str(fault) != last_fault:
                    log.error("broker.unprepared", connection=self.name, error=str(fault))  # noqa: TRY400 - foreseen
                last_fault = str(fault)
                self._report(PartState.DOWN, f"{self.address}: {fault}")
            else:
                self._report(PartState.UP, "")
                return
            await self._sleep(self._delay(tries))
            tries += 1

    async def _close(self, connection: AbstractConnection) -> None:
        try:
            await ask(connection.close(), self.timeout / 2)
        except BrokerFault as fault:
            log.debug("broker.unclosed", connection=self.name, error=str(fault))

    def _delay(self, tries: int) -> float:
        return max(_LEAST, backoff(tries, first=_FIRST, cap=_CAP, random=self._random)) / 1_000

    def _tell_away(self, reason: str) -> None:
        reason = f"{self.address.name(self._turn)}: {reason}"
        if reason != self._reason:
            log.warning("broker.away", connection=self.name, error=reason)
        self._reason = reason
        self._report(PartState.DOWN, reason)
