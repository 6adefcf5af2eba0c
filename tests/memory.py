"""Where files of tests live: in memory, where there is enough of it.

Each of a thousand tests has a database of its own. On a disk, making and removing their files took most of its time.
"""

import shutil
from pathlib import Path

FOLDER = Path("/dev/shm")
NEEDED = 2 << 30
"""Bytes. A run of all tests fills about a fourth of it."""


def find_ample() -> Path | None:
    """The folder of a file system in memory; None where there is none, or too little memory."""
    try:
        free, available = shutil.disk_usage(FOLDER).free, _available()
    except (OSError, ValueError):
        return None
    return FOLDER if min(free, available) >= NEEDED else None


def _available() -> int:
    """Bytes of memory that programs may still take (`MemAvailable` in /proc/meminfo, Linux)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    [kibibytes] = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kibibytes) << 10
