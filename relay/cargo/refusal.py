"""What an answer that is no success means, as an error that says what the caller does (DESIGN, "Dispatch states")."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

from relay.depth import ANSWER, load
from relay.errors import Denied, Permanent, RelayError, Retryable, Unknown

_SECONDS: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_DAY: Final = 86_400.0
_LONGEST: Final = 500
_PASSING: Final = frozenset({425, 429})


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, secret: str, now: float) -> RelayError:
    """The error for an answer outside 2xx. `now` is seconds since the epoch; `secret` is cut out of what Cargo says."""
    said, reason = _words(body, secret)
    told = f"Cargo answered {status}{said and f': {said}'}"
    if status in (401, 403):
        return Denied(f"{told}; check cargo.token", status=status)
    if status in _PASSING:
        return Retryable(told, status=status, retry_after=retry_after(headers, now))
    if 300 <= status < 400:
        return Unknown(f"{told}, a redirect, which is not followed; check cargo.base_url", status=status)
    if 400 <= status < 500 and status != 408:
        return Permanent(told, status=status, code=reason)
    return Unknown(told, status=status)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """`Retry-After` in seconds, at most a day; None when it is absent or neither seconds nor a date.

    A date counts from the answer's own `Date`, so that the clocks' difference is left out, else from `now`
    (RFC 9110, 10.2.3).
    """
    text = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), _DAY)
    until = _moment(text)
    if until is None:
        return None
    since = _moment(headers.get("Date", ""))
    return min(max(until - (now if since is None else since), 0.0), _DAY)


def _moment(text: str) -> float | None:
    """An HTTP date as seconds since the epoch."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _words(body: bytes, secret: str) -> tuple[str, str | None]:
    """Cargo's `errorMessage`, with its `reason`, as one line for people; and the `reason` alone."""
    try:
        data = load(body, ANSWER)
    except ValueError:
        return "", None
    if not isinstance(data, dict):
        return "", None
    message, reason = (_clean(data.get(key), secret) for key in ("errorMessage", "reason"))
    told = f"{message} ({reason})" if message and reason else message or reason
    return told, reason or None


def _clean(value: Any, secret: str) -> str:
    """A stranger's text: bounded, on one line, storable, and without our token."""
    if not isinstance(value, str):
        return ""
    text = value.replace(secret, "********") if secret else value
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
