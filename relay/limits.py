"""A circuit breaker over distinct dispatches, the count of free places, a token bucket, and whose an address is."""

import ipaddress
import math
from enum import StrEnum
from functools import lru_cache
from typing import Final

TROUBLED: Final = 10
"""So many distinct dispatches in a row that met trouble at Cargo open the circuit."""


class CircuitPhase(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    TRIAL = "trial"


class Circuit:
    """Opens when `threshold` distinct dispatches in a row met trouble; one bad dispatch cannot open it alone.

    Open, nothing is sent. `allow_trial` lets one dispatch through: its success closes the circuit, its trouble
    opens it again.
    """

    def __init__(self, threshold: int = TROUBLED) -> None:
        self._threshold = threshold
        self._troubled: set[str] = set()
        self.phase = CircuitPhase.CLOSED

    def succeed(self) -> None:
        self._troubled.clear()
        self.phase = CircuitPhase.CLOSED

    def trouble(self, dispatch_id: str) -> bool:
        """Count trouble of this dispatch; True when the circuit has opened by it."""
        self._troubled.add(dispatch_id)
        if self.phase is CircuitPhase.OPEN or (
            self.phase is CircuitPhase.CLOSED and len(self._troubled) < self._threshold
        ):
            return False
        self.phase = CircuitPhase.OPEN
        return True

    def open(self) -> None:
        """It has opened elsewhere: here, too, one dispatch goes first when it is over."""
        self.phase = CircuitPhase.OPEN

    def allow_trial(self) -> None:
        if self.phase is CircuitPhase.OPEN:
            self.phase = CircuitPhase.TRIAL


class Places:
    """Places below a mark that is shared with others: a block is leased, taken from, and leased anew.

    `block` is how many are asked for at a time, `lifetime` how long (ms) a block may be used. Places taken whose
    work is not committed yet (`open`) belong to the block, so they are asked for again with the next one.
    """

    def __init__(self, block: int, lifetime: int) -> None:
        self._block = block
        self._lifetime = lifetime
        self._free = 0
        self._open = 0
        self._until = 0
        self._shut_until = 0

    def take(self, places: int, now: int) -> bool:
        """Take places if the block has them and is fresh."""
        if places and (now >= self._until or self._free < places):
            return False
        self._free -= places
        self._open += places
        return True

    def give_back(self, places: int) -> None:
        """Places taken for work that did not begin."""
        self._free += places
        self._open -= places

    def shut(self, until: int) -> None:
        """There were too few: not worth asking again before then."""
        self._shut_until = until

    def is_shut(self, now: int) -> bool:
        """Whether there were too few just now."""
        return now < self._shut_until

    def wanted(self, places: int) -> int:
        """How many to lease so that `places` more can be taken."""
        return self._open + max(places, self._block)

    def refill(self, granted: int, now: int) -> None:
        """A new block was leased; it replaces the one before."""
        self._free = max(0, granted - self._open)
        self._until = now + self._lifetime

    def close(self, places: int) -> None:
        """The work of these places is committed, or will never be."""
        self._open -= places


class Bucket:
    """A token bucket: `burst` tokens at once, then one every `spacing` milliseconds.

    `now` is milliseconds on any clock that goes forward.
    """

    def __init__(self, burst: int, spacing: float) -> None:
        self._burst = burst
        self._spacing = spacing
        self._empty_until = -math.inf

    def take(self, now: float) -> bool:
        """Whether there is a token at `now`; it is taken."""
        at = self._next(now)
        if at > now:
            return False
        self._empty_until = at
        return True

    def wait(self, now: float) -> float:
        """Milliseconds until there is a token, 0 when there is one."""
        return max(0.0, self._next(now) - now)

    def give(self) -> None:
        """Put a token back."""
        self._empty_until -= self._spacing

    def _next(self, now: float) -> float:
        return max(now - self._burst * self._spacing, self._empty_until) + self._spacing


@lru_cache(maxsize=1_024)
def party_of(remote: str | None) -> str:
    """Whose an address is, where shares are counted: an IPv4 address, or the /64 of an IPv6 one.

    Within a /64 one customer of a provider has as many addresses as he likes. What is no address is its own party.
    """
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return remote or ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))
