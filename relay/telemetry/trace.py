"""W3C trace context (https://www.w3.org/TR/trace-context/), stored per event even without OpenTelemetry."""

import random
import re
from typing import Final

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def new_traceparent() -> str:
    """A new `traceparent`, not sampled."""
    return f"00-{_some_id(16)}-{_some_id(8)}-00"


def child_of(header: str | None) -> str:
    """A new span in the caller's trace, or a new trace when the header is missing or malformed."""
    return adopt(header)[0]


def adopt(header: str | None) -> tuple[str, str | None]:
    """As `child_of`, and the caller's `traceparent` when it is well formed."""
    match = _TRACEPARENT.fullmatch(header.strip()) if header else None
    if (
        match is None
        or match[1] == "ff"
        or set(match[2]) == {"0"}
        or set(match[3]) == {"0"}
        or (match[1] == "00" and match[5])
    ):
        return new_traceparent(), None
    return f"00-{match[2]}-{_some_id(8)}-{match[4]}", f"00-{match[2]}-{match[3]}-{match[4]}"


def _some_id(size: int) -> str:
    """A new id of `size` bytes, in hex. Not all zeros, which the standard calls invalid."""
    # As OpenTelemetry's SDK makes them: no secret. The system's own generator costs 3 % of an accept.
    return f"{random.getrandbits(8 * size) or 1:0{2 * size}x}"


def trace_id(traceparent: str | None) -> str | None:
    """The trace id in a `traceparent`."""
    return traceparent[3:35] if traceparent else None
