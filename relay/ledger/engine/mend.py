"""Refusals of a PostgreSQL, or of what stands before it, that waiting does not end: what a person must mend."""

import re
import ssl
from typing import Final

from relay.ledger.engine.faults import describe, driver_error, sqlstate
from relay.trust import unwelcome

_LOGIN: Final = "correct ledger.url or ledger.password"
_NAME: Final = "correct ledger.url, or create the database"
_URL: Final = "correct ledger.url"
_OPTIONS: Final = "correct `options` in ledger.url"
_GRANT: Final = "let the role connect: GRANT CONNECT ON DATABASE ... TO ...;"

_STATES: Final = {
    "28000": _LOGIN,
    "28P01": _LOGIN,
    "3D000": _NAME,
    "3F000": "correct ledger.schema",
    "42501": _GRANT,
    "42704": _OPTIONS,  # a setting that this server does not know
    "22023": _OPTIONS,  # a value that it does not take
    "42602": _OPTIONS,
    "55000": "the database takes no connections: ALTER DATABASE ... ALLOW_CONNECTIONS true;",
    "0A000": _URL,
}
_WORDS: Final = (
    # PgBouncer before 1.19 tells everything as a violation of the protocol; managed servers as an internal error.
    (r"no such (database|user)|database .* (does not exist|not found)", _URL),
    (r"password authentication failed|SASL authentication failed|wrong password|auth(entication)? failed", _LOGIN),
    (r"no authentication method|unsupported authentication|gssapi|not allowed to connect|login rejected", _LOGIN),
    (r"tenant|no credentials for the role", "correct the user in ledger.url: the provider prints its whole name"),
    (r"endpoint .*(disabled|not found)|endpoint is disabled", "enable the endpoint at the provider"),
    (r"endpoint id is not specified", "add options=endpoint%3D... to ledger.url, as the provider prints it"),
    (r"(project|instance|compute).* (is|was|has been) (paused|suspended|deleted|disabled)", "wake it at the provider"),
    (r"quota|exceeded the .*limit of your plan", "raise the limit at the provider"),
    (r"unsupported startup parameter", "leave `options` out of ledger.url: the pooler in between takes none"),
    (r"(TLS|SSL) (is )?required|insecure connection", "add sslmode=verify-full to ledger.url"),
)
_PASSING: Final = re.compile(
    r"too many|max(imum)? client|no more connections|starting up|shutting down|query_wait_timeout|server_login_retry"
    r"|connect failed|reached|try again",
    re.IGNORECASE,
)
_CLASSES: Final = ("08P01", "XX000", "58000", "")
"""Where the words must tell: PgBouncer, Neon and Supabase, RDS Proxy; and what the driver itself refuses."""


def mend(error: BaseException) -> str | None:
    """What is wrong and what to do, when a connection was refused for good; None for what may pass."""
    driver = driver_error(error)
    ours = unwelcome(driver, cert_file="") or unwelcome(driver.__cause__, cert_file="")
    if ours or isinstance(error, ssl.SSLCertVerificationError):
        return describe(error)
    told, state = str(driver), sqlstate(error) or ""
    if "rejected SSL upgrade" in told:  # the driver has no class of its own for it
        return "the server takes no TLS: turn it on there, or leave ledger.ca_file and sslmode out"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return None
    todo = _STATES.get(state) or (_by_words(told) if state in _CLASSES else None)
    return f"{describe(error)}: {todo}" if todo else None


def _by_words(told: str) -> str | None:
    if _PASSING.search(told) and not re.search(r"authentication failed", told):
        return None
    return next((todo for words, todo in _WORDS if re.search(words, told, re.IGNORECASE)), None)
