"""Divides the file descriptors of the process, so that public connections cannot use up all of them."""

import resource
from dataclasses import dataclass
from typing import Final

_WANTED: Final = 65_536
_OWN: Final = 64
"""Descriptors reserved for the ledger, the broker, listening sockets, files and fetches of vendors' certificates."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How many connections each listener may have. `backlog` is how many each of its sockets accepts at once.

    Accepted connections use descriptors before Relay can count them, so the shares leave room for the backlog.
    """

    hooks: int
    inside: int
    backlog: int


def raise_limit() -> int:
    """Raise the soft limit to the hard limit, at most 65,536. Returns the resulting limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        return target
    return _WANTED if soft == resource.RLIM_INFINITY else soft


def share(limit: int, *, wanted: int, calls: int) -> Shares:
    """Divide `limit` descriptors. `wanted` is the configured number of connections to the hooks listener, `calls` the
    number of connections to Cargo."""
    backlog = max(8, min(128, limit // 16))
    inside = max(8, min(64, limit // 16))
    # `inside` counts twice, for the health and the ops listener.
    left = limit - _OWN - calls - 2 * inside - 2 * (backlog + 1)
    return Shares(hooks=max(8, min(wanted, left)), inside=inside, backlog=backlog)
