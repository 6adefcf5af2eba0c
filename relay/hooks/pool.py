"""A pool that is shared fairly: the party that holds the most gives way first. Pure.

The same rule is used for connections and for bytes. A flood from one address only gets what no other party needs.
"""

from enum import IntEnum
from typing import Generic, Protocol, TypeVar


class Ease(IntEnum):
    """How easily something held can be given up."""

    BUSY = 0  # its request is being verified or committed
    READING = 1  # its request is incomplete
    IDLE = 2  # there is no open request


class Holder(Protocol):
    """A member of a pool. `party` is the one it counts for, and changes only while the pool does not contain it."""

    @property
    def party(self) -> str: ...

    @property
    def ease(self) -> Ease: ...


Held = TypeVar("Held", bound=Holder)


class Pool(Generic[Held]):
    """At most `most` units, held by holders on behalf of parties."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self._holders: dict[str, dict[Held, int]] = {}
        self._sums: dict[str, int] = {}

    def add(self, holder: Held, amount: int) -> bool:
        """Add `amount` to `holder`. Returns whether the total is still within `most`."""
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
        """Remove `holder`. Returns how much it held."""
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
        """The holder that must give way to `holder`, which is already added; None when `holder` itself must.

        It belongs to the party that holds the most: an idle holder first, then the largest one that is reading. A
        reading holder gives way only to a party that holds less.
        """
        party = max(self._sums, key=self._sums.__getitem__)
        shares = self._holders[party]
        ready = [other for other, amount in shares.items() if amount and other.ease and other is not holder]
        if not ready:
            return None
        best = max(ready, key=lambda other: (other.ease, shares[other]))
        poorer = self._sums[holder.party] < self._sums[party]
        return best if poorer or best.ease is Ease.IDLE else None
