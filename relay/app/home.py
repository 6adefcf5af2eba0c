"""A folder that lasts as long as a demo."""

from contextlib import suppress
from tempfile import TemporaryDirectory
from typing import Final

from relay.errors import Blocked

_PREFIX: Final = "relay-demo-"
_PLACES: Final = (None, "/dev/shm")  # noqa: S108 - TemporaryDirectory makes a folder there for this user alone
"""Where temporary files go by the system, and where a container has some memory, also when its root is read-only."""


def make_folder() -> "TemporaryDirectory[str]":
    """A folder of its own, removed at the end of its `with`. Raises Blocked when there is no place for one."""
    for place in _PLACES:
        with suppress(OSError):
            return TemporaryDirectory(prefix=_PREFIX, dir=place)
    raise Blocked(
        "the demo keeps its ledger in a temporary folder, and none can be made here: give it a place for one "
        "(docker run --tmpfs /tmp), or name one in TMPDIR"
    )
