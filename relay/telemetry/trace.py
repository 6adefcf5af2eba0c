"""W3C trace context (https://www.w3.org/TR/trace-context/), kept per event also without OpenTelemetry."""

import re
import secrets
from typing import Final

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def new_traceparent() -> str:
    """A fresh `traceparent`, not sampled."""
    ids = secrets.token_hex(24)
    return f"00-{ids[:32]}-{ids[32:]}-00"


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
    return f"00-{match[2]}-{secrets.token_hex(8)}-{match[4]}"


def trace_id(traceparent: str | None) -> str | None:
    """The trace id inside a `traceparent`."""
    return traceparent[3:35] if traceparent else None
