"""W3C trace context (https://www.w3.org/TR/trace-context/), kept per event also without OpenTelemetry."""

import random
import re
from typing import Final

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

_random: Final = random.Random()  # noqa: S311 - ids that need only differ; the system's source is a call of the system


def new_traceparent() -> str:
    """A fresh `traceparent`, not sampled."""
    return f"00-{_random.getrandbits(128):032x}-{_span()}-00"


def child_of(header: str | None) -> str:
    """The caller's trace with a span of our own; a fresh one when the header is missing or malformed."""
    match = _TRACEPARENT.fullmatch(header.strip()) if header else None
    if (
        match is None
        or match[1] == "ff"
        or set(match[2]) == {"0"}
        or set(match[3]) == {"0"}
        or (match[1] == "00" and match[5])
    ):
        return new_traceparent()
    return f"00-{match[2]}-{_span()}-{match[4]}"


def _span() -> str:
    return f"{_random.getrandbits(64):016x}"


def trace_id(traceparent: str | None) -> str | None:
    """The trace id inside a `traceparent`."""
    return traceparent[3:35] if traceparent else None
