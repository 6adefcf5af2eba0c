"""Drops log lines that repeat while a condition lasts: one is written at once, then one per minute."""

import time
from collections.abc import Callable
from typing import Any, Final

from structlog import DropEvent
from structlog.typing import EventDict

_EVERY: Final = 60.0
_AT_MOST: Final = 5.0
"""Minimum seconds between two lines with different reasons, because an outage may give a new reason each time."""
_LASTING: Final = frozenset({"ledger.unavailable", "event.timeless", "message.trimmed"})
"""The lines that every affected part logs, or every event of a source, several times per second."""
_BY_SOURCE: Final = frozenset({"event.timeless", "message.trimmed"})
"""The lines of these that tell of a source, and not of the whole relay."""
_OVER: Final = {"ledger.available": "ledger.unavailable"}
"""The lines that end a condition. After one of them the next line is written at once."""


class Sparse:
    """A structlog processor that passes one of these lines per minute, or earlier when its reason changes.

    The next line has the number of dropped lines as `repeated`. `clock` returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[tuple[str, Any], tuple[float, Any]] = {}
        self._dropped: dict[tuple[str, Any], int] = {}

    def __call__(self, _log: Any, _method: str, line: EventDict) -> EventDict:
        name = line.get("event")
        if name in _OVER:
            self._last.pop((_OVER[name], None), None)
            self._dropped.pop((_OVER[name], None), None)
        if name not in _LASTING:
            return line
        key = (name, line.get("source") if name in _BY_SOURCE else None)
        now, reason = self._clock(), line.get("error")
        written_at, last_reason = self._last.get(key, (-_EVERY, None))
        if now - written_at < (_EVERY if reason == last_reason else _AT_MOST):
            self._dropped[key] = self._dropped.get(key, 0) + 1
            raise DropEvent
        self._last[key] = (now, reason)
        if dropped := self._dropped.pop(key, 0):
            line["repeated"] = dropped
        return line
