"""What becomes of one message: an event in the ledger, a dead letter, or nothing yet."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from relay.broker import BrokerFault, Delivery
from relay.consumer.decode import decode, keep
from relay.consumer.letters import Letters
from relay.consumer.owed import fingerprint
from relay.consumer.pressure import Pressure
from relay.consumer.source import Input
from relay.effort import Aside
from relay.errors import Overloaded, Refused, Unavailable
from relay.model import Event, Ids, Receipt
from relay.schemes.document import Unreadable
from relay.telemetry import Metrics, get_log

log = get_log()

_MOST_DEATHS: Final = 4
"""Deaths that were counted; with the one before the first count, of which only the redelivery tells, they are five."""
_DEADLY: Final = "the process has ended five times while it read this message: it was killed, or ran out of memory"


class Suspected(Protocol):
    """A message that came before: how often the process ended while it was read, and whether it is settled now."""

    deaths: int
    settled: bool


class Accepts(Protocol):
    """The intake, as far as a consumer needs it."""

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """Commit the delivery. Raises `Overloaded`, `Unavailable`, `Refused`."""
        ...

    async def ready(self) -> None:
        """Return when a delivery could be accepted now. Raises `Overloaded`, `Unavailable`."""
        ...

    async def forget(self, key: bytes) -> None:
        """A suspect will not come again."""
        ...

    def suspect(self, key: bytes) -> AbstractAsyncContextManager[Suspected]:
        """Read a message that came before inside of it, one at a time. Raises `Unavailable` before."""
        ...


class _Dead(Exception):
    """The message belongs among the dead letters; `reason` is a stable word, `key` a suspect's, to be forgotten."""

    def __init__(self, reason: str, error: str, key: bytes | None = None) -> None:
        super().__init__(error)
        self.reason = reason
        self.key = key


class Settler:
    """Settles messages of one input; what keeps it from that goes to `pressure`. `clock` gives milliseconds. `aside`
    reads large messages."""

    def __init__(
        self,
        source: Input,
        intake: Accepts,
        letters: Letters,
        pressure: Pressure,
        *,
        ids: Ids,
        clock: Callable[[], int],
        metrics: Metrics,
        aside: Aside,
    ) -> None:
        self._source = source
        self._intake = intake
        self._letters = letters
        self._pressure = pressure
        self._ids = ids
        self._clock = clock
        self._metrics = metrics
        self._aside = aside

    async def settle(self, delivery: Delivery) -> bool:
        """Whether the message may be acknowledged; else it must be tried again.

        Of one that comes once more the ledger is told before it is read and afterwards: so it shows when the process
        died over it. The first time nothing is written.
        """
        try:
            if not (delivery.redelivered or delivery.again):
                await self._accept(delivery)
            else:
                await self._accept_again(delivery)
        except _Dead as dead:
            buried = await self._bury(delivery, dead.reason, str(dead))
            if buried and dead.key is not None:
                await self._intake.forget(dead.key)
            return buried
        except (Overloaded, Unavailable) as error:
            return self._press(error)
        return True

    async def _accept(self, delivery: Delivery) -> None:
        """Read and commit. Raises `_Dead`, `Overloaded`, `Unavailable`."""
        try:
            await self._intake.accept([await self._aside.run(lambda: self._decode(delivery))])
        except Unreadable as error:
            raise _Dead(error.reason, str(error)) from None
        except Refused as error:
            raise _Dead("refused", str(error)) from None

    async def _accept_again(self, delivery: Delivery) -> None:
        key = hashlib.sha256(self._source.queue.encode() + b"\0" + fingerprint(delivery)).digest()
        async with self._intake.suspect(key) as suspect:
            if suspect.deaths >= _MOST_DEATHS:
                raise _Dead("deadly", _DEADLY, key)
            try:
                await self._accept(delivery)
            except _Dead:
                suspect.settled = True
                raise
            suspect.settled = True

    def _decode(self, delivery: Delivery) -> Event:
        return decode(delivery, self._source, id=self._ids(), now=self._clock())

    async def is_ready(self) -> bool:
        """Whether the ledger itself says that it takes events."""
        try:
            await self._intake.ready()
        except (Overloaded, Unavailable) as error:
            return self._press(error)
        return True

    async def is_named(self, delivery: Delivery) -> bool:
        """Whether its sender gave it an id, by which it is known for long."""
        try:
            return (await self._aside.run(lambda: self._decode(delivery))).external_id is not None
        except Unreadable:
            return True  # one that is dead twice does no harm

    async def _bury(self, delivery: Delivery, reason: str, error: str) -> bool:
        try:
            if await self._letters.send(delivery, reason, error):
                self._tell(delivery, reason, error)
                return True
        except BrokerFault:
            return False
        # Neither may it stop the good ones, nor be delivered for ever: it is kept where what is unreadable of webhooks
        # is, too.
        event = keep(delivery, self._source, id=self._ids(), now=self._clock(), error=error)
        try:
            await self._intake.accept([event])
        except (Refused, Overloaded, Unavailable) as fault:
            return self._press(fault)
        self._metrics.rejections.labels(self._source.name, reason).inc()
        self._pressure.calm()
        return True

    def _tell(self, delivery: Delivery, reason: str, error: str) -> None:
        name = self._source.name
        self._metrics.rejections.labels(name, reason).inc()
        about = {"message_id": delivery.message_id, "routing_key": delivery.routing_key, "size": len(delivery.body)}
        log.warning("message.dead", source=name, reason=reason, error=error, **about)
        self._pressure.calm()

    def _press(self, error: Overloaded | Unavailable | Refused) -> bool:
        if isinstance(error, Overloaded):
            self._pressure.press(str(error), error.retry_after)
        else:
            self._pressure.press(f"the ledger is away: {error}")
        return False
