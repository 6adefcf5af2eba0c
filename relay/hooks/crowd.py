"""All who are connected to one listener: how much they may hold, and what is told when somebody is turned away."""

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
    """What a listener bears. Sizes in bytes, times in seconds.

    `in_flight` is all that came and is not answered yet, over all connections. A head (request line and headers) may
    have `head` bytes and take `head_time` from its first byte. A body may take `grace` and one second more for each
    `pace` bytes that came, and no longer than `body_time`. What still comes of a refused one is read away for `linger`,
    so that its sender gets to read the answer.
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
        """Seconds from the first byte of a body of which so many bytes have come, until it is given up."""
        return min(self.body_time, self.grace + received / self.pace)


class Cap(StrEnum):
    """What somebody was turned away for."""

    CONNECTIONS = "connections"
    IN_FLIGHT = "in_flight"
    HEAD = "head"
    HEAD_SLOW = "head_slow"
    BODY_SLOW = "body_slow"
    REFUSALS = "refusals"


_HINTS: Final = {
    Cap.CONNECTIONS: "connections beyond http.max_connections (of ops and health: 64) are closed; idle ones go first, "
    "then those of the address that has most",
    Cap.IN_FLIGHT: "more came at once than http.max_in_flight, or than a source's max_in_flight; the address that "
    "holds most is answered 503 first",
    Cap.HEAD: "the headers of a request are larger than 32 KiB",
    Cap.HEAD_SLOW: "the headers of a request did not come within 10 seconds",
    Cap.BODY_SLOW: "a body came slower than 1 KiB/s, or took longer than 30 seconds",
    Cap.REFUSALS: "an address whose requests are refused is answered 429 unread, see http.limit_refused",
}


class TurnedAway:
    """Counts who is turned away, and writes one line a minute for each cap of a listener.

    `monotonic` gives milliseconds.
    """

    def __init__(self, listener: str, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._listener = listener
        self._metrics = metrics
        self._monotonic = monotonic
        self._untold: Counter[Cap] = Counter()
        self._lines = {cap: Bucket(1, _MINUTE) for cap in Cap}

    def tell(self, cap: Cap, party: str) -> None:
        """One more was turned away, of this party."""
        self._metrics.turned_away.labels(self._listener, cap.value).inc()
        self._untold[cap] += 1
        if self._lines[cap].take(self._monotonic()):
            log.warning(
                "listener.pressed",
                listener=self._listener,
                cap=cap.value,
                turned_away=self._untold.pop(cap),
                remote=party,
                hint=_HINTS[cap],
            )


class Crowd:
    """The connections of one listener. `trusted` are the proxies whose word on addresses counts."""

    def __init__(self, caps: Caps, pressure: TurnedAway, trusted: Sequence[Network] = ()) -> None:
        self.caps = caps
        self.pressure = pressure
        self.trusted = tuple(trusted)
        self.seats: Pool[Connection] = Pool(caps.connections)
        self.bytes: Pool[Connection] = Pool(caps.in_flight)
        self.report: Callable[[Unread, str], None] = _ignore
        """Told of requests that could not be read, with the party that they came from."""


def _ignore(unread: Unread, party: str) -> None:
    """Who listens to nobody's webhooks keeps no refused requests."""
