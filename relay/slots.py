"""Offers: a part holds slots free for work that a write to the ledger may create and hand to it directly.

Work that is handed on needs no second transaction to be found: it is committed under this replica's lease together with
what caused it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from relay.life import Signal

T = TypeVar("T")

_LATE: Final = 5.0
"""Seconds, longer than `ledger.timeout` by default."""


@dataclass(frozen=True, slots=True)
class Offer(Generic[T]):
    """`count` slots for work that a write to the ledger may create.

    The ledger calls exactly one of the two functions, once, also when the caller of the write was cancelled: `take`
    with the work that was committed under this replica's lease (at most `count`, perhaps none), or `lose` when the
    write failed. After `lose` the ledger may hold leases of this replica that nobody works on.
    """

    count: int
    take: Callable[[Sequence[T]], None]
    lose: Callable[[], None]


Offers = Callable[[int], Offer[T] | None]
"""Offers up to that many slots, or none."""


class Slots:
    """The offers of one part that are open.

    `signal` wakes the part when an offer ends without as much work as it has slots for. `closed` says that nothing more
    is started: what is handed on then must be given back.

    The part is `unsure` when the ledger may hold leases of this replica that it does not work on: an offer was lost, or
    the answer to a request of its own. It then gives them back, but only while no offer is open: else it would also
    give back leases that are committed and on their way to `start`.
    """

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._ended = asyncio.Event()
        self.unsure = False
        self.promised = 0
        self.closed = True

    def offer(self, count: int, start: Callable[[Sequence[T]], None]) -> Offer[T]:
        """Promise `count` slots to one write. `start` begins to work on what is handed on."""
        self.promised += count

        def take(items: Sequence[T]) -> None:
            self._end(count)
            if items and self.closed:
                self.unsure = True
            elif items:
                start(items)
            if len(items) < count or self.unsure:
                self._signal.set()

        def lose() -> None:
            self._end(count)
            self.doubt()

        return Offer(count, take, lose)

    def doubt(self) -> None:
        """Be unsure after a write that failed, now and once more later.

        Later too, because a server that hung may carry out a COMMIT that it had received when its caller had given up:
        leases that appear only then are found by nothing else before they end.
        """
        self._be_unsure()
        asyncio.get_running_loop().call_later(_LATE, self._be_unsure)

    def _be_unsure(self) -> None:
        self.unsure = True
        self._signal.set()

    def _end(self, count: int) -> None:
        self.promised -= count
        if not self.promised:
            self._ended.set()

    async def end_offers(self) -> None:
        """Return once no offer is open."""
        while self.promised:
            self._ended.clear()
            await self._ended.wait()


def no_offer(_count: int) -> None:
    """Offers nothing: all work is left in the ledger, to be found."""
