"""File descriptors: as many as this process may have, and some that strangers cannot take."""

import resource
from dataclasses import dataclass
from typing import Final

_WANTED: Final = 65_536
_OWN: Final = 64
"""For the ledger, the broker, listening sockets, files, vendors' certificates."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How many connections each listener may have. `backlog` is how many each of its sockets takes in at once.

    Those are open before anybody can count them, so room is left for them as well.
    """

    hooks: int
    inside: int
    backlog: int


def raise_limit() -> int:
    """Raise the soft limit to the hard one, up to 65,536; gives what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _WANTED if soft == resource.RLIM_INFINITY else soft


def share(limit: int, *, wanted: int, calls: int) -> Shares:
    """Divide `limit` descriptors. `wanted` are the hooks listener's connections, `calls` those to Cargo."""
    backlog = max(8, min(128, limit // 16))
    inside = max(8, min(64, limit // 16))
    left = limit - _OWN - calls - 2 * inside - 2 * (backlog + 1)
    return Shares(hooks=max(8, min(wanted, left)), inside=inside, backlog=backlog)
