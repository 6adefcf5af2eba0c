"""Dead letters that RabbitMQ does not take: they wait beside what is consumed, and at last go to the ledger."""

import asyncio
from collections.abc import Awaitable, Callable

from relay.broker import BrokerFault, DeadLetters, Delivery

Wait = Callable[[int], Awaitable[None]]
Report = Callable[[str], None]


class Letters:
    """Publishes letters; one that is refused is kept in hand, its message unacknowledged, and tried again.

    One letter is tried at a time, the others wait for it: they would be refused like it. After `patience` seconds a
    letter is given up, and from then on each new one after a single try, until one is taken; also when a lost channel
    ended the wait, so that its messages do not come again and again. `wait` is the back-off after so many tries, which
    may raise BrokerFault to end the wait; `report` is told why a letter waits.
    """

    def __init__(self, dead: DeadLetters, source: str, *, patience: float, wait: Wait, report: Report) -> None:
        self._dead = dead
        self._source = source
        self._patience = patience
        self._wait = wait
        self._report = report
        self._turn = asyncio.Lock()
        self._given_up = False

    async def send(self, letter: Delivery, reason: str, error: str) -> bool:
        """Returns once it is confirmed: True; False when it was given up. Raises BrokerFault only where `wait` does."""
        try:
            async with asyncio.timeout(self._patience) as limit, self._turn:
                await self._insist(letter, reason, error, limit)
        except TimeoutError:
            self._given_up = True
            return False
        except asyncio.CancelledError:
            self._given_up = True
            raise
        self._given_up = False
        return True

    async def _insist(self, letter: Delivery, reason: str, error: str, limit: asyncio.Timeout) -> None:
        tries = 0
        while True:
            try:
                await self._dead.publish(letter, source=self._source, reason=reason, error=error)
            except BrokerFault as fault:
                self._report(f"a dead letter cannot be published: {fault}")
                if self._given_up:
                    limit.reschedule(0.0)
                await self._wait(tries)
                tries += 1
            else:
                return
