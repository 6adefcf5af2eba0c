"""The life of a part: it runs until it is told to stop, and has then a grace to finish what it holds.

Nothing here remembers what has changed. A signal says that there may be something to do; whoever it wakes looks at
how things are.
"""

import asyncio
import math


class Stop:
    """Tells the parts that share it to stop, and how long they may take."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._end = math.inf
        self._signals: set[Signal] = set()

    @property
    def asked(self) -> bool:
        """Whether the parts are to stop."""
        return self._event.is_set()

    def begin(self, grace: float) -> None:
        """Tell the parts to stop within `grace` seconds. Of several calls the shortest grace counts."""
        self._end = min(self._end, asyncio.get_running_loop().time() + grace)
        self._event.set()
        for signal in self._signals:
            signal.set()

    def left(self) -> float:
        """Seconds of the grace that are left: infinite before `begin`, at least 0 after."""
        return max(0.0, self._end - asyncio.get_running_loop().time())

    def wakes(self, signal: "Signal") -> None:
        """Set the signal, too, when the parts are told to stop, so that who waits for it sees that."""
        self._signals.add(signal)
        if self.asked:
            signal.set()

    async def wait(self) -> None:
        """Return once the parts are told to stop."""
        await self._event.wait()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`, or until the parts are told to stop."""
        await _wait(self._event, seconds)


class Signal:
    """There may be something to do. One part waits for it; anybody sets it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake who waits; who looks just now looks once more."""
        self._event.set()

    def clear(self) -> None:
        """To be called before a look at how things are: what changes after it sets the signal again."""
        self._event.clear()

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    async def wait(self, seconds: float | None = None) -> None:
        """Return once it is set, at the latest after `seconds`."""
        await _wait(self._event, seconds)


class Signals:
    """What the parts of one relay tell each other.

    `work`: something may be claimable. `results`: something may have to be published. `pauses`: a reason to pause
    sending was found.
    """

    def __init__(self) -> None:
        self.work = Signal()
        self.results = Signal()
        self.pauses = Signal()


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
