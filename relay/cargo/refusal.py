"""Translates answers outside 2xx into errors by what the caller does next (config/reference.md, "States")."""

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
_JUDGED: Final = ("lastMessageNotFinished", "chatNotFound")
"""Reasons by which a caller decides what to do next."""
_PASSING: Final = frozenset({425, 429})


def refusal(status: int, headers: Mapping[str, str], body: bytes, *, secret: str, now: float) -> RelayError:
    """The error for an answer outside 2xx. `now` is seconds since the epoch; `secret` is masked in Cargo's text."""
    explanation, reason = _words(body, secret)
    summary = f"Cargo answered {status}{explanation and f': {explanation}'}"
    if status in (401, 403):
        return Denied(f"{summary}; check cargo.token", status=status)
    if status in _PASSING:
        return Retryable(summary, status=status, retry_after=retry_after(headers, now))
    if 300 <= status < 400:
        return Unknown(f"{summary}, a redirect, which is not followed; check cargo.base_url", status=status)
    if 400 <= status < 500 and status != 408:
        return Permanent(summary, status=status, code=reason)
    return Unknown(summary, status=status)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """`Retry-After` in seconds, at most a day; None if it is absent or is neither seconds nor a date.

    A date is compared with the answer's own `Date` header, so that the clocks need not agree; without that header it is
    compared with `now` (RFC 9110, 10.2.3).
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
    """Cargo's `errorMessage` and `reason` as one line for people, and the `reason` alone."""
    try:
        data = load(body, ANSWER)
    except ValueError:
        return "", None
    if not isinstance(data, dict):
        return "", None
    message, reason = (_clean(data.get(key), secret) for key in ("errorMessage", "reason"))
    if data.get("reason") in _JUDGED:  # also where a short token is a part of it
        reason = data["reason"]
    explanation = f"{message} ({reason})" if message and reason else message or reason
    return explanation, reason or None


def _clean(value: Any, secret: str) -> str:
    """Text from outside, cut to 500 characters on one line, printable, and with our token masked."""
    if not isinstance(value, str):
        return ""
    text = value.replace(secret, "********") if secret else value
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
