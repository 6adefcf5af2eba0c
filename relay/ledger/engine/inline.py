"""Which commits of SQLite run on the event loop, and which in the writer's thread.

On a quick disk a commit takes less time than its way to a thread and back costs: 0.3 ms of processor time, a fifth of
an accept. While it runs, the loop stands still, so only commits that are likely to be short run there: not those of a
slow disk, and not one that writes the log back into the file (a checkpoint).
"""

from typing import Final

_LONG: Final = 0.001
"""Seconds that a commit may take on average. A disk that takes longer is left to the thread."""
_WEIGHT: Final = 1 / 8
"""Of the latest commit in the average."""
_FAR_TOO_LONG: Final = 0.01
"""Seconds that no commit may take, whatever the average."""
_IN_A_ROW: Final = 32
"""Commits on the loop, before one in the thread, which may write the log back."""
_APART: Final = 256
_MOST_APART: Final = 65_536
"""Commits in the thread after slow ones, before it is tried again: twice as many each time, up to the second number."""


class Inline:
    """Decides it for one commit after another."""

    def __init__(self) -> None:
        self._average = 0.0
        self._in_a_row = 0
        self._apart = 0
        self._next_apart = _APART

    def next_fits(self) -> bool:
        """Whether the next commit should run on the loop. To be asked once for each."""
        if self._apart:
            self._apart -= 1
        elif self._in_a_row == _IN_A_ROW:
            self._in_a_row, self._next_apart = 0, _APART
        else:
            self._in_a_row += 1
            return True
        return False

    def took(self, seconds: float) -> None:
        """Learn how long a commit on the loop took."""
        self._average += (seconds - self._average) * _WEIGHT
        if self._average > _LONG or seconds > _FAR_TOO_LONG:
            self._apart, self._average, self._in_a_row = self._next_apart, 0.0, 0
            self._next_apart = min(self._next_apart * 2, _MOST_APART)
