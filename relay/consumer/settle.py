"""What becomes of one message: an event in the ledger, a dead letter, or nothing yet."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final, Protocol

from relay.broker import BrokerFault, Delivery
from relay.consumer.decode import decode, describe, keep
from relay.consumer.letters import Letters, Wait
from relay.consumer.owed import fingerprint
from relay.consumer.pressure import Pressure
from relay.consumer.source import Input
from relay.effort import Aside
from relay.errors import Overloaded, Refused, Unavailable
from relay.model import DeadLetter, Event, Ids, Receipt
from relay.schemes.document import Unreadable
from relay.telemetry import Metrics, get_log

log = get_log()

_MOST_DEATHS: Final = 4
"""Deaths that were counted. With the death before the first count, which only the redelivery shows, they are five."""
_MOST_TRIES: Final = 5
"""Times that Relay fails at a message before that is buried."""
_DEADLY: Final = "the process has ended five times while it read this message: it was killed, or ran out of memory"


class Suspected(Protocol):
    """A redelivered message: how often the process ended while it read it, and whether it is settled now."""

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
        """Delete the death count of a message that will not be delivered again."""
        ...

    async def note_dead(self, letter: DeadLetter) -> None:
        """Record a message that is about to go to the dead letters. Raises as `accept`."""
        ...

    async def drop_dead(self, letter_id: str) -> None:
        """Delete that record: the message did not go there."""
        ...

    def suspect(self, key: bytes) -> AbstractAsyncContextManager[Suspected]:
        """Guard the reading of a redelivered message, one at a time. Raises `Unavailable` on entry."""
        ...


class _Dead(Exception):
    """The message is a dead letter. `reason` is a stable keyword; `key` is the suspect to forget, if it is one."""

    def __init__(self, reason: str, error: str, key: bytes | None = None) -> None:
        super().__init__(error)
        self.reason = reason
        self.key = key


class Settler:
    """Settles the messages of one input.

    `pressure` is told what keeps it from that. `clock` returns milliseconds since the epoch. `aside` reads large
    messages in a thread. `wait` is the back-off as in `Letters`.
    """

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
        wait: Wait,
    ) -> None:
        self._source = source
        self._intake = intake
        self._letters = letters
        self._pressure = pressure
        self._ids = ids
        self._clock = clock
        self._metrics = metrics
        self._aside = aside
        self._wait = wait

    async def settle(self, delivery: Delivery) -> bool:
        """Settle a message. Returns whether it may be acknowledged; otherwise it must be tried again.

        The reading of a redelivered message is noted in the ledger before it begins and after it ends, which shows
        when the process died over it. Of the first delivery nothing is noted. An error that nobody foresaw, for which
        the message would come again and again and hold up those behind it, buries it after some tries. If the ledger
        cannot record that either, the error is not the message's, and is raised.
        """
        try:
            await self._insist(delivery)
        except BrokerFault:
            return False
        except _Dead as dead:
            buried = await self._bury(delivery, dead.reason, str(dead))
            if buried and dead.key is not None:
                await self._intake.forget(dead.key)
            return buried
        except (Overloaded, Unavailable) as error:
            return self._press(error)
        return True

    async def _insist(self, delivery: Delivery) -> None:
        """Accept it, in several tries where Relay itself fails at it.

        Raises as `_accept`, and BrokerFault when the relay stops meanwhile.
        """
        tries = 0
        while True:
            try:
                if delivery.redelivered or delivery.again:
                    await self._accept_again(delivery)
                else:
                    await self._accept(delivery)
            except (_Dead, Overloaded, Unavailable):
                raise
            except Exception as error:
                tries += 1
                if tries == 1:
                    about = {"message_id": delivery.message_id, "routing_key": delivery.routing_key}
                    log.exception("message.broken", source=self._source.name, **about)
                what = f"Relay itself failed at this message: {type(error).__name__}"
                if tries == _MOST_TRIES:
                    raise _Dead("failed", f"{what}: {error}", self._key(delivery)) from None
                self._pressure.tell(f"{what}; the log says more")
                await self._wait(tries - 1)
                # It may have been accepted all the same.
                delivery = replace(delivery, again=True)
            else:
                if tries:
                    self._pressure.calm()
                return

    def _key(self, delivery: Delivery) -> bytes:
        return hashlib.sha256(self._source.queue.encode() + b"\0" + fingerprint(delivery)).digest()

    async def _accept(self, delivery: Delivery) -> None:
        """Read and commit. Raises `_Dead`, `Overloaded`, `Unavailable`."""
        try:
            await self._intake.accept([await self._aside.run(lambda: self._decode(delivery))])
        except Unreadable as error:
            raise _Dead(error.reason, str(error)) from None
        except Refused as error:
            raise _Dead("refused", str(error)) from None

    async def _accept_again(self, delivery: Delivery) -> None:
        key = self._key(delivery)
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
        """Whether the ledger itself says that it accepts events."""
        try:
            await self._intake.ready()
        except (Overloaded, Unavailable) as error:
            return self._press(error)
        return True

    async def is_named(self, delivery: Delivery) -> bool:
        """Whether the message has an external id, by which a repeat is recognised for `ledger.remember`."""
        try:
            return (await self._aside.run(lambda: self._decode(delivery))).external_id is not None
        except Exception:  # noqa: BLE001 - `settle` tells what it is
            return True  # a dead letter that is published twice does no harm

    async def _bury(self, delivery: Delivery, reason: str, error: str) -> bool:
        # The record comes before the letter, so that the list of dead letters misses none: a crash in between leaves a
        # record without a letter, and the message comes again.
        letter = describe(delivery, self._source, id=self._ids(), now=self._clock(), reason=reason, error=error)
        try:
            await self._intake.note_dead(letter)
        except Refused as fault:
            log.warning("dead.unrecorded", source=self._source.name, letter_id=letter.id, error=str(fault))
        except (Overloaded, Unavailable) as fault:
            return self._press(fault)
        sent = False
        try:
            sent = await self._letters.send(delivery, reason, error, letter.id)
        except BrokerFault:
            return False
        finally:
            if not sent:
                await self._intake.drop_dead(letter.id)
        if sent:
            self._tell(delivery, letter)
            return True
        # It must not hold up good messages, nor be delivered for ever, so the ledger keeps it as an unreadable event.
        event = keep(delivery, self._source, id=self._ids(), now=self._clock(), error=error)
        try:
            await self._intake.accept([event])
        except (Refused, Overloaded, Unavailable) as fault:
            return self._press(fault)
        self._metrics.rejected(self._source.name, reason)
        self._pressure.calm()
        return True

    def _tell(self, delivery: Delivery, letter: DeadLetter) -> None:
        self._metrics.rejected(letter.source, letter.reason)
        about = {"message_id": delivery.message_id, "routing_key": delivery.routing_key, "size": letter.size}
        log.warning(
            "message.dead",
            source=letter.source,
            letter_id=letter.id,
            reason=letter.reason,
            error=letter.error,
            **about,
        )
        self._pressure.calm()

    def _press(self, error: Overloaded | Unavailable | Refused) -> bool:
        if isinstance(error, Overloaded):
            self._pressure.press(str(error), error.retry_after)
        else:
            self._pressure.press(f"the ledger is away: {error}")
        return False
