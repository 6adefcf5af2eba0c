"""A circuit breaker, leased slots, a token bucket, and the party that an address counts against."""

import ipaddress
import math
from enum import StrEnum
from functools import lru_cache
from typing import Final

TROUBLED: Final = 10
"""How many distinct dispatches in a row must have trouble at Cargo to open the circuit."""


class CircuitPhase(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    TRIAL = "trial"


class Circuit:
    """Opens when `threshold` distinct dispatches in a row had trouble; one bad dispatch cannot open it alone.

    While it is open, nothing is sent. `allow_trial` lets one dispatch through: its success closes the circuit, its
    trouble opens it again.
    """

    def __init__(self, threshold: int = TROUBLED) -> None:
        self._threshold = threshold
        self._troubled: set[str] = set()
        self.phase = CircuitPhase.CLOSED

    def succeed(self) -> None:
        self._troubled.clear()
        self.phase = CircuitPhase.CLOSED

    def trouble(self, dispatch_id: str) -> bool:
        """Count trouble of this dispatch. Returns whether that opened the circuit."""
        self._troubled.add(dispatch_id)
        if self.phase is CircuitPhase.OPEN or (
            self.phase is CircuitPhase.CLOSED and len(self._troubled) < self._threshold
        ):
            return False
        self.phase = CircuitPhase.OPEN
        return True

    def open(self) -> None:
        """Open this circuit because another replica's opened: this replica, too, must send a trial first."""
        self.phase = CircuitPhase.OPEN

    def allow_trial(self) -> None:
        if self.phase is CircuitPhase.OPEN:
            self.phase = CircuitPhase.TRIAL


class Places:
    """Slots below a high-water mark shared by all replicas. A block of slots is leased, used up, and leased again.

    `block` is how many slots are leased at a time, `lifetime` how long (ms) a block is valid. Slots whose work is not
    committed yet (`open`) are part of the block, so the next lease has to include them again.
    """

    def __init__(self, block: int, lifetime: int) -> None:
        self.block = block
        self._lifetime = lifetime
        self._free = 0
        self._open = 0
        self._until = 0
        self._shut_until = 0

    def take(self, slots: int, now: int) -> bool:
        """Take slots if the block is still valid and has enough. Returns whether it did."""
        if slots and (now >= self._until or self._free < slots):
            return False
        self._free -= slots
        self._open += slots
        return True

    def give_back(self, slots: int) -> None:
        """Return slots whose work did not begin."""
        self._free += slots
        self._open -= slots

    def shut(self, until: int) -> None:
        """Remember until then (ms, same clock as `take`) that too few slots are free."""
        self._shut_until = until

    def is_shut(self, now: int) -> bool:
        """Whether too few slots were free just now."""
        return now < self._shut_until

    def wanted(self, slots: int) -> int:
        """How many slots to lease so that `slots` more can be taken."""
        return self._open + max(slots, self.block)

    def refill(self, granted: int, now: int) -> None:
        """Replace the block by a newly leased one."""
        self._free = max(0, granted - self._open)
        self._until = now + self._lifetime

    def close(self, slots: int) -> None:
        """End the work of these slots: it is committed, or never will be."""
        self._open -= slots


class Bucket:
    """A token bucket: `burst` tokens at once, then one every `spacing` milliseconds.

    `now` is milliseconds on any clock that goes forward.
    """

    def __init__(self, burst: int, spacing: float) -> None:
        self._burst = burst
        self._spacing = spacing
        self._empty_until = -math.inf

    def take(self, now: float) -> bool:
        """Take a token if there is one at `now`. Returns whether there was."""
        token_at = self._next(now)
        if token_at > now:
            return False
        self._empty_until = token_at
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
    """The party whose share an address counts against: an IPv4 address, or the /64 network of an IPv6 address.

    A provider's customer usually gets a whole /64, and can use any number of its addresses. Text that is not an address
    is a party of its own.
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
