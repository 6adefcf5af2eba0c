"""The clocks of a process, in milliseconds."""

import time


def wall() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def boottime() -> int:
    """Milliseconds on a clock that keeps counting while the machine is suspended (Linux); elsewhere monotonic."""
    return time.clock_gettime_ns(_BOOTTIME) // 1_000_000


_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
