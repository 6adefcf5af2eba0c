"""The life of a part: it runs until it is asked to stop, and then has a grace period to finish its work.

A signal only says that there may be something to do. The part that it wakes checks the current state; nothing here
records what has changed.
"""

import asyncio
import math


class Stop:
    """Asks the parts that share it to stop, within a grace period."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._end = math.inf
        self._signals: set[Signal] = set()

    @property
    def asked(self) -> bool:
        """Whether the parts must stop."""
        return self._event.is_set()

    def begin(self, grace: float) -> None:
        """Ask the parts to stop within `grace` seconds. Of several calls, the earliest end counts."""
        self._end = min(self._end, asyncio.get_running_loop().time() + grace)
        self._event.set()
        for signal in self._signals:
            signal.set()

    def left(self) -> float:
        """The seconds left of the grace period: infinite before `begin`, at least 0 afterwards."""
        return max(0.0, self._end - asyncio.get_running_loop().time())

    def wakes(self, signal: "Signal") -> None:
        """Set the signal too when the parts are asked to stop, so that a part that waits for it wakes up."""
        self._signals.add(signal)
        if self.asked:
            signal.set()

    async def wait(self) -> None:
        """Return once the parts are asked to stop."""
        await self._event.wait()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`, or until the parts are asked to stop."""
        await _wait(self._event, seconds)


class Signal:
    """Says that there may be something to do. One part waits for it, and any part may set it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the part that waits. If it is checking the state right now, it checks again."""
        self._event.set()

    def clear(self) -> None:
        """Clear the signal. Call it before checking the state, so that later changes set the signal again."""
        self._event.clear()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    async def wait(self, seconds: float | None = None) -> None:
        """Return once the signal is set, or after `seconds`."""
        await _wait(self._event, seconds)


class Signals:
    """The signals between the parts of a relay.

    `work`: something may be claimable. `results`: something may have to be published. `pauses`: a reason to pause
    sending was found. `windows`: a window of a rule was opened. `alerts`: an alert may have to be sent. `jobs`: a job
    was started or cancelled.
    """

    def __init__(self) -> None:
        self.work = Signal()
        self.results = Signal()
        self.pauses = Signal()
        self.windows = Signal()
        self.alerts = Signal()
        self.jobs = Signal()


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
