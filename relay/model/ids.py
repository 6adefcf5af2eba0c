"""Ids of events and dispatches: UUIDv7 (RFC 9562), which sort by the time of their creation."""

from collections.abc import Callable
from enum import StrEnum

import uuid_utils

Ids = Callable[[], str]


class Kind(StrEnum):
    """What an id belongs to; the values are words for people."""

    EVENT = "event"
    DISPATCH = "dispatch"
    DEAD = "dead letter"
    PROBLEM = "problem"
    JOB = "job"


def new_id() -> str:
    """A new UUIDv7 in its canonical form, 36 characters."""
    return str(uuid_utils.uuid7())


def first_id(moment: int) -> str:
    """What the ids of `moment` (milliseconds since the epoch) and later are not below."""
    stamp = f"{max(0, moment):012x}"
    return f"{stamp[:8]}-{stamp[8:]}"


def moment_of(one_id: str) -> int:
    """When an id was made, in milliseconds since the epoch."""
    return int(one_id[:8] + one_id[9:13], 16)
