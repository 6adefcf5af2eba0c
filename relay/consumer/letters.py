"""Publishes dead letters, and retries while RabbitMQ refuses them; good messages go on meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable

from relay.broker import BrokerFault, DeadLetters, Delivery, Unwritable
from relay.consumer.source import Input

Wait = Callable[[int], Awaitable[None]]
Report = Callable[[str], None]


class Letters:
    """Publishes letters. A letter that is refused stays unacknowledged and is tried again.

    One letter is tried at a time; the others wait, because they would be refused too. After `patience` seconds a
    letter is given up, and from then on each new letter after a single try, until RabbitMQ takes one. The same holds
    when a lost channel ended the wait; otherwise its messages would be delivered again and again. `wait(tries)` is the
    back-off; it may raise BrokerFault to end the wait. `report` receives the reason why a letter waits. A letter that
    cannot be written at all is given up at once.
    """

    def __init__(self, dead: DeadLetters, source: Input, *, patience: float, wait: Wait, report: Report) -> None:
        self._dead = dead
        self._source = source
        self._patience = patience
        self._wait = wait
        self._report = report
        self._turn = asyncio.Lock()
        self._given_up = False

    async def send(self, letter: Delivery, reason: str, error: str, letter_id: str) -> bool:
        """Return True once the letter is confirmed, False when it was given up.

        `letter_id` is the id of its record in the ledger. Raises BrokerFault only when `wait` does.
        """
        try:
            async with asyncio.timeout(self._patience) as limit, self._turn:
                await self._insist(letter, reason, error, letter_id, limit)
        except TimeoutError:
            self._given_up = True
            return False
        except Unwritable:
            return False
        except asyncio.CancelledError:
            self._given_up = True
            raise
        self._given_up = False
        return True

    async def _insist(self, letter: Delivery, reason: str, error: str, letter_id: str, limit: asyncio.Timeout) -> None:
        tries = 0
        while True:
            try:
                await self._dead.publish(
                    letter,
                    source=self._source.name,
                    reason=reason,
                    error=error,
                    queue=self._source.queue,
                    letter_id=letter_id,
                )
            except Unwritable:
                raise
            except BrokerFault as fault:
                self._report(f"a dead letter cannot be published: {fault}")
                if self._given_up:
                    limit.reschedule(0.0)
                await self._wait(tries)
                tries += 1
            else:
                return
