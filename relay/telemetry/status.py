"""What the supervisor knows of the service: its phase, its parts, and whether the event loop still turns."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_PATIENCE: Final = 30.0


class Phase(StrEnum):
    """Where the process stands between its start and its end."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class PartState(StrEnum):
    """How a part is. `degraded` works on with a fault; `down` does not work and is being restarted."""

    STARTING = "starting"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the service as it is now. `since` is milliseconds since the epoch, when it came into `state`."""

    name: str
    state: PartState
    reason: str
    since: int
    vital: bool = False


class Status:
    """Set by the supervisor, read by the health listener and the status page.

    `clock` gives milliseconds since the epoch, `monotonic` seconds. A heartbeat task calls `beat()` about each
    second; `patience` seconds without one mean that the event loop is stuck.
    """

    def __init__(
        self, clock: Callable[[], int], monotonic: Callable[[], float], *, patience: float = _PATIENCE
    ) -> None:
        self.phase = Phase.STARTING
        self._clock = clock
        self._monotonic = monotonic
        self._patience = patience
        self._beaten = monotonic()
        self._parts: dict[str, Part] = {}

    def set(self, part: str, state: PartState, reason: str = "", *, vital: bool = False) -> None:
        """Say how a part is. A `vital` one that is down makes the service unready (an embedded ledger's file)."""
        before = self._parts.get(part)
        since = before.since if before and before.state is state else self._clock()
        self._parts[part] = Part(part, state, reason, since, vital)

    def drop(self, part: str) -> None:
        """Forget a part that the configuration no longer has."""
        self._parts.pop(part, None)

    def parts(self) -> tuple[Part, ...]:
        """All parts, in the order in which they were first named."""
        return tuple(self._parts.values())

    def ready(self) -> tuple[bool, tuple[str, ...]]:
        """Whether traffic may come, and if not, why."""
        reasons = [] if self.phase is Phase.SERVING else [f"the relay is {self.phase}"]
        reasons += [
            f"{part.name} is down: {part.reason}"
            for part in self._parts.values()
            if part.vital and part.state is PartState.DOWN
        ]
        return not reasons, tuple(reasons)

    def beat(self) -> None:
        """The event loop turned."""
        self._beaten = self._monotonic()

    def stuck(self) -> float | None:
        """Seconds since the last beat if that is longer than a living loop takes, else None."""
        age = self._monotonic() - self._beaten
        return age if age > self._patience else None
