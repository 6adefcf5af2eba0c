"""Chooses the fault of each request."""

from collections import Counter, deque
from random import Random

from relay.sandbox.faults import OK, Faults


class Dice:
    """Chooses faults at random or from the script. `struck` counts them."""

    def __init__(self, faults: Faults) -> None:
        self.struck: Counter[str] = Counter()
        self.load(faults)

    def load(self, faults: Faults) -> None:
        """Replace the faults. The script, `times` and the seed start again."""
        self.faults = faults
        self._script = deque(faults.script)
        self._shares = tuple(faults.shares().items())
        self._left = faults.times
        self._random = Random(faults.seed)  # noqa: S311 - not used for security
        self._admitted: deque[float] = deque()

    def roll(self, kind: str) -> str | None:
        """The fault of the next creation of `kind` (`chats`, `messages`), None for no fault."""
        if self.faults.on not in (kind, "both"):
            return None
        name = self._script.popleft() if self._script else self._share()
        if name is None or name == OK:
            return None
        self.struck[name] += 1
        return name

    def delay(self) -> float:
        """The seconds that a request waits."""
        faults = self.faults
        return faults.latency + (self._random.random() * faults.jitter if faults.jitter else 0.0)

    def fails_list(self) -> bool:
        """Whether this list request fails."""
        failed = self.faults.list_errors > 0 and self._random.random() < self.faults.list_errors
        self.struck["list_errors"] += failed
        return failed

    def admits(self, now: float) -> bool:
        """Whether a creation at `now` (seconds) is within `rate`. Only admitted creations count."""
        if self.faults.rate is None:
            return True
        while self._admitted and self._admitted[0] <= now - 1:
            self._admitted.popleft()
        if len(self._admitted) >= self.faults.rate:
            self.struck["rate"] += 1
            return False
        self._admitted.append(now)
        return True

    def _share(self) -> str | None:
        if not self._shares or self._left == 0:
            return None
        point = self._random.random()
        for name, share in self._shares:
            point -= share
            if point < 0:
                self._left = None if self._left is None else self._left - 1
                return name
        return None
