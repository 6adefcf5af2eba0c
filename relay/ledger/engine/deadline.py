"""Ends a person's query of SQLite's at its deadline.

SQLite's own hook, a progress handler, calls Python every so many instructions, and each call waits for its turn beside
a busy event loop: a search of 30 ms took 400. So the loop's timer interrupts the query from outside.
"""

import asyncio
import sqlite3
import threading
import time
from typing import Final, TypeVar

from sqlalchemy import Connection

from relay.ledger.engine.commit import Work
from relay.ledger.engine.faults import too_long
from relay.ledger.engine.sql import driver

T = TypeVar("T")

_AGAIN: Final = 0.02
"""Seconds between two interrupts: one that comes between two statements has no effect."""


class Deadline:
    """So many seconds from now. To be made on the event loop, for one query."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(seconds, self._interrupt)
        self._lock = threading.Lock()
        self._running: sqlite3.Connection | None = None
        self._interrupted = False

    @property
    def passed(self) -> bool:
        """Whether it is too late. The loop's timer may come a moment before the clock says so."""
        return self._interrupted or time.monotonic() >= self._until

    def bound(self, work: Work[T]) -> Work[T]:
        """`work` in any thread, interrupted when the deadline passes; after it, it does not begin."""

        def bound_work(conn: Connection, now: int) -> T:
            with self._lock:
                if self.passed:  # while it waited for a thread, so that the timer found nothing to interrupt
                    raise too_long()
                self._running = driver(conn)
            try:
                return work(conn, now)
            finally:
                with self._lock:  # so that the connection's next query is not interrupted for this one
                    self._running = None
                self._loop.call_soon_threadsafe(self._stop)

        return bound_work

    def _stop(self) -> None:
        self._timer.cancel()

    def _interrupt(self) -> None:
        with self._lock:
            self._interrupted = True
            if self._running is not None:
                self._running.interrupt()
                self._timer = self._loop.call_later(_AGAIN, self._interrupt)
