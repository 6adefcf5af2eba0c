"""What is there for all who connect, shared fairly: whoever holds most gives way first. Pure.

The same rule holds for connections and for bytes. A flood from one address so takes the places that nobody else asks
for, and none that somebody does.
"""

from enum import IntEnum
from typing import Generic, Protocol, TypeVar


class Ease(IntEnum):
    """How easily something held can be given up."""

    BUSY = 0  # its request is being judged or committed
    READING = 1  # its request has not come whole
    IDLE = 2  # nothing was asked yet, or all is answered


class Holder(Protocol):
    """A connection, as a pool sees it. `party` is whose it is; it changes only while the pool does not hold it."""

    @property
    def party(self) -> str: ...

    @property
    def ease(self) -> Ease: ...


Held = TypeVar("Held", bound=Holder)


class Pool(Generic[Held]):
    """At most `most` of something, held by holders on behalf of parties."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self._holders: dict[str, dict[Held, int]] = {}
        self._sums: dict[str, int] = {}

    def add(self, holder: Held, amount: int) -> bool:
        """`holder` has so much more; whether all of it together is still within `most`."""
        party = holder.party
        shares = self._holders.get(party)
        if shares is None:
            shares = self._holders[party] = {}
            self._sums[party] = 0
        shares[holder] = shares.get(holder, 0) + amount
        self._sums[party] += amount
        self.held += amount
        return self.held <= self.most

    def leave(self, holder: Held) -> int:
        """`holder` has nothing any more; how much it had."""
        party = holder.party
        shares = self._holders.get(party)
        if shares is None or holder not in shares:
            return 0
        amount = shares.pop(holder)
        self.held -= amount
        self._sums[party] -= amount
        if not shares:
            del self._holders[party], self._sums[party]
        return amount

    def find(self, holder: Held) -> Held | None:
        """Who is to give way to `holder`, which has been added; None when that is itself.

        Of the party that holds most, an idle holder goes first, then the largest of those that only read. What is idle
        goes at once; what is being read only to a party that holds less.
        """
        party = max(self._sums, key=self._sums.__getitem__)
        shares = self._holders[party]
        ready = [other for other, amount in shares.items() if amount and other.ease and other is not holder]
        if not ready:
            return None
        best = max(ready, key=lambda other: (other.ease, shares[other]))
        poorer = self._sums[holder.party] < self._sums[party]
        return best if poorer or best.ease is Ease.IDLE else None
