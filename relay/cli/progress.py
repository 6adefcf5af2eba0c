"""Shows how far something is, on stderr: one line that changes on a terminal, elsewhere a line now and then."""

import sys
import time
from typing import Final

from relay.cli.guard import warn

_EVERY: Final = 10.0
"""Seconds between two lines where stderr is not a terminal."""


class Progress:
    """A progress line. `show` replaces it, `end` leaves the terminal at the start of a line."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = time.monotonic() + _EVERY
        self._shown = False

    def show(self, text: str) -> None:
        """Show the state. `text` is Relay's own: numbers and plain words."""
        if self._terminal:
            self._put(f"\r\x1b[K{text}")
            self._shown = True
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            warn(f"relay: {text}")

    def end(self) -> None:
        """Remove the line."""
        if self._shown:
            self._put("\r\x1b[K")
            self._shown = False

    def _put(self, text: str) -> None:
        # Beneath the stream that people's texts go through, which escapes control characters.
        sys.stderr.flush()
        sys.stderr.buffer.write(text.encode("ascii", "replace"))
        sys.stderr.buffer.flush()
