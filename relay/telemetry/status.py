"""The status of the service: its phase, its parts, and whether the event loop is stuck."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

_PATIENCE: Final = 30.0


class Phase(StrEnum):
    """The phase of the process."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class PartState(StrEnum):
    """The state of a part. `degraded` works with a fault; `down` does not work and is being restarted."""

    STARTING = "starting"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the service. `since` is when it entered `state`, in milliseconds since the epoch.

    `reason` is for people who have signed in and may quote an event; `public` is the reason without a word of one.
    """

    name: str
    state: PartState
    reason: str
    since: int
    vital: bool = False
    public: str = ""


class Reporter(Protocol):
    """Receives the state of a part. `public` as in `Status.set`."""

    def __call__(self, state: PartState, reason: str, public: str | None = None, /) -> None: ...


class Status:
    """The status, which the supervisor sets and the health listener and the console read.

    `clock` returns milliseconds since the epoch, `monotonic` seconds. A heartbeat task calls `beat()` about once per
    second; `patience` seconds without a call mean that the event loop is stuck.
    """

    def __init__(
        self, clock: Callable[[], int], monotonic: Callable[[], float], *, patience: float = _PATIENCE
    ) -> None:
        self.phase = Phase.STARTING
        self.problems: tuple[Mapping[str, Any], ...] = ()
        """The problems that are not resolved, as the API gives them; one of the ledger also while that is away."""
        self._clock = clock
        self._monotonic = monotonic
        self._patience = patience
        self._beaten = monotonic()
        self._parts: dict[str, Part] = {}

    def set(
        self, part: str, state: PartState, reason: str = "", *, vital: bool = False, public: str | None = None
    ) -> None:
        """Set the state of a part. The service is not ready while a `vital` part (an embedded ledger) is down.

        `public` is the reason that anybody may read, for a `reason` that may quote an event; None: the reason itself.
        """
        before = self._parts.get(part)
        since = before.since if before and before.state is state else self._clock()
        self._parts[part] = Part(part, state, reason, since, vital, reason if public is None else public)

    def drop(self, part: str) -> None:
        """Remove a part that the configuration no longer has."""
        self._parts.pop(part, None)

    def parts(self) -> tuple[Part, ...]:
        """All parts, in the order in which they were first set."""
        return tuple(self._parts.values())

    def ready(self) -> tuple[bool, tuple[str, ...]]:
        """Whether the service accepts traffic, and the reasons if not, which anybody may read."""
        reasons = [] if self.phase is Phase.SERVING else [f"the relay is {self.phase}"]
        reasons += [
            f"{part.name} is down: {part.public}"
            for part in self._parts.values()
            if part.vital and part.state is PartState.DOWN
        ]
        return not reasons, tuple(reasons)

    def beat(self) -> None:
        """Record that the event loop runs."""
        self._beaten = self._monotonic()

    def stuck(self) -> float | None:
        """The seconds since the last beat when the loop is stuck, otherwise None."""
        age = self._monotonic() - self._beaten
        return age if age > self._patience else None
