"""What becomes of one message: an event in the ledger, a dead letter, or nothing yet."""

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.broker import BrokerFault, Delivery
from relay.consumer.decode import decode, keep
from relay.consumer.letters import Letters
from relay.consumer.pressure import Pressure
from relay.consumer.source import Input
from relay.errors import Overloaded, Refused, Unavailable
from relay.model import Event, Ids, Receipt
from relay.schemes.document import Unreadable
from relay.telemetry import Metrics, get_log

log = get_log()


class Accepts(Protocol):
    """The intake, as far as a consumer needs it."""

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """Commit the delivery. Raises `Overloaded`, `Unavailable`, `Refused`."""
        ...

    async def ready(self) -> None:
        """Return when a delivery could be accepted now. Raises `Overloaded`, `Unavailable`."""
        ...


class Settler:
    """Settles messages of one input; what keeps it from that goes to `pressure`. `clock` gives milliseconds."""

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
    ) -> None:
        self._source = source
        self._intake = intake
        self._letters = letters
        self._pressure = pressure
        self._ids = ids
        self._clock = clock
        self._metrics = metrics

    async def settle(self, delivery: Delivery) -> bool:
        """Whether the message may be acknowledged; else it must be tried again."""
        try:
            await self._intake.accept([decode(delivery, self._source, id=self._ids(), now=self._clock())])
        except Unreadable as error:
            return await self._bury(delivery, error.reason, str(error))
        except Refused as error:
            return await self._bury(delivery, "refused", str(error))
        except (Overloaded, Unavailable) as error:
            return self._press(error)
        return True

    async def is_ready(self) -> bool:
        """Whether the ledger itself says that it takes events."""
        try:
            await self._intake.ready()
        except (Overloaded, Unavailable) as error:
            return self._press(error)
        return True

    def is_named(self, delivery: Delivery) -> bool:
        """Whether its sender gave it an id, by which it is known for long."""
        try:
            return decode(delivery, self._source, id="", now=0).external_id is not None
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
