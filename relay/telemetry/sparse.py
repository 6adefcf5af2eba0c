"""Lines that say the same again and again while something lasts, told once and then every minute."""

import time
from collections.abc import Callable
from typing import Any, Final

from structlog import DropEvent
from structlog.typing import EventDict

_EVERY: Final = 60.0
_AT_MOST: Final = 5.0
"""Seconds between two lines although the second gives another reason: an outage may give a new one each time."""
_LASTING: Final = frozenset({"ledger.unavailable"})
"""Told by every part that meets it, several times a second."""
_OVER: Final = {"ledger.available": "ledger.unavailable"}
"""What says that it is over: the next one is told at once."""


class Sparse:
    """A step of structlog's: lets one of these lines through a minute, or when its reason is another one.

    The next line says how many were left out, as `repeated`. `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, tuple[float, Any]] = {}
        self._left_out: dict[str, int] = {}

    def __call__(self, _log: Any, _method: str, line: EventDict) -> EventDict:
        name = line.get("event")
        if name in _OVER:
            self._last.pop(_OVER[name], None)
        if name not in _LASTING:
            return line
        now, reason = self._clock(), line.get("error")
        at, before = self._last.get(name, (-_EVERY, None))
        if now - at < (_EVERY if reason == before else _AT_MOST):
            self._left_out[name] = self._left_out.get(name, 0) + 1
            raise DropEvent
        self._last[name] = (now, reason)
        if left_out := self._left_out.pop(name, 0):
            line["repeated"] = left_out
        return line
