"""The connections of a listener: their limits, and the reports when one is turned away."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from relay.hooks.caller import Network
from relay.hooks.pool import Pool
from relay.hooks.unread import Unread
from relay.limits import Bucket
from relay.telemetry import Metrics, get_log

if TYPE_CHECKING:
    from relay.hooks.connection import Connection

log = get_log()

_MINUTE: Final = 60_000


@dataclass(frozen=True, slots=True)
class Caps:
    """The limits of a listener. Sizes are bytes, times are seconds.

    `in_flight` limits the bytes of unanswered requests over all connections. A head (request line and headers) may have
    `head` bytes and take `head_time` from its first byte. A body may take `grace` plus one second for each `pace` bytes
    that have arrived, and at most `body_time`. The rest of a refused body is read and discarded for `linger`, so that
    the sender can read the response.
    """

    connections: int = 1_000
    in_flight: int = 64 << 20
    head: int = 32 << 10
    head_time: float = 10.0
    grace: float = 5.0
    pace: int = 1 << 10
    body_time: float = 30.0
    linger: float = 5.0

    def patience(self, received: int) -> float:
        """The time-out of a body in seconds from its first byte, when `received` bytes have arrived."""
        return min(self.body_time, self.grace + received / self.pace)


class Cap(StrEnum):
    """The limits for which requests are turned away."""

    CONNECTIONS = "connections"
    IN_FLIGHT = "in_flight"
    HEAD = "head"
    HEAD_SLOW = "head_slow"
    BODY_SLOW = "body_slow"
    REFUSALS = "refusals"


_HINTS: Final = {
    Cap.CONNECTIONS: "connections beyond http.max_connections (of ops and health: 64) are closed; idle ones go first, "
    "then those of the address with the most",
    Cap.IN_FLIGHT: "unanswered requests exceed http.max_in_flight or a source's max_in_flight; the address that "
    "holds the most gets 503 first",
    Cap.HEAD: "the headers of a request are larger than 32 KiB",
    Cap.HEAD_SLOW: "the headers of a request did not arrive within 10 seconds",
    Cap.BODY_SLOW: "a body arrived slower than 1 KiB/s, or took longer than 30 seconds",
    Cap.REFUSALS: "an address with many refused requests gets 429 before its requests are read, see http.limit_refused",
}


class TurnedAway:
    """Counts requests that are turned away, and logs one line per minute for each cap of a listener.

    `monotonic` returns milliseconds.
    """

    def __init__(self, listener: str, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._listener = listener
        self._metrics = metrics
        self._monotonic = monotonic
        self._unreported: Counter[Cap] = Counter()
        self._lines = {cap: Bucket(1, _MINUTE) for cap in Cap}

    def tell(self, cap: Cap, party: str) -> None:
        """Count one more request of `party` that was turned away."""
        self._metrics.turned_away.labels(self._listener, cap.value).inc()
        self._unreported[cap] += 1
        if self._lines[cap].take(self._monotonic()):
            log.warning(
                "listener.pressed",
                listener=self._listener,
                cap=cap.value,
                turned_away=self._unreported.pop(cap),
                remote=party,
                hint=_HINTS[cap],
            )


class Crowd:
    """The connections of a listener. `trusted` are the proxies whose headers count."""

    def __init__(self, caps: Caps, pressure: TurnedAway, trusted: Sequence[Network] = ()) -> None:
        self.caps = caps
        self.pressure = pressure
        self.trusted = tuple(trusted)
        self.seats: Pool[Connection] = Pool(caps.connections)
        self.bytes: Pool[Connection] = Pool(caps.in_flight)
        self.leaving = False
        """The relay is about to stop: each connection is closed with its next answer."""
        self.report: Callable[[Unread, str], None] = _ignore
        """Called with each request that could not be read, and its party."""


def _ignore(unread: Unread, party: str) -> None:
    """Do nothing: listeners without webhooks do not store refused requests."""
