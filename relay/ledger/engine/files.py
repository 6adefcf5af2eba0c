"""Whether the files that SQLite has open are still those at their path.

SQLite goes on in files that were deleted, renamed or covered by a mount, and reports nothing: what it commits then is
gone with the process. So the device and inode at the path are compared with those of the start.
"""

import os
from pathlib import Path
from typing import Final

from relay.errors import Unavailable

_ENDS: Final = ("", "-wal")
"""The files that hold what is committed. The third, `-shm`, is rebuilt from them."""

Identity = tuple[int, int]


class OpenFiles:
    """The database's files at `path`. All of them exist once a connection has read the database."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._files = {end: _identify(f"{path}{end}") for end in _ENDS}

    def check(self) -> None:
        """Raise Unavailable when a file is not the open one any more. Costs two calls of stat, some microseconds."""
        for end, opened in self._files.items():
            if _identify(f"{self._path}{end}") != opened:
                raise Unavailable(
                    f"the ledger's file {Path(f'{self._path}{end}').absolute()} was removed, renamed or replaced while "
                    "it was in use: put it back, or restart the relay, which begins with what is there then"
                )


def _identify(path: str) -> Identity | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - four times as fast as Path.stat, at each commit
    except OSError:
        return None
    return status.st_dev, status.st_ino
