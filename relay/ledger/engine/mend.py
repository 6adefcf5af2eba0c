"""Connection refusals of PostgreSQL, or of a pooler or proxy in front of it, that only a person can end."""

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
    "42704": _OPTIONS,  # undefined_object: the server does not have this setting
    "22023": _OPTIONS,  # invalid_parameter_value: the server does not take this value
    "42602": _OPTIONS,
    "55000": "the database takes no connections: ALTER DATABASE ... ALLOW_CONNECTIONS true;",
    "0A000": _URL,
}
_WORDS: Final = (
    # PgBouncer before 1.19 reports every error as a protocol violation; managed servers report an internal error.
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
"""Codes whose message must be read: PgBouncer, Neon and Supabase, RDS Proxy; "" for errors of the driver itself."""


def mend(error: BaseException) -> str | None:
    """What is wrong and what to do when a connection was refused for good; None when the cause may pass by itself."""
    driver = driver_error(error)
    client_cert_refused = unwelcome(driver, cert_file="") or unwelcome(driver.__cause__, cert_file="")
    if client_cert_refused or isinstance(error, ssl.SSLCertVerificationError):
        return describe(error)
    message, state = str(driver), sqlstate(error) or ""
    if "rejected SSL upgrade" in message:  # the driver has no class for this error
        return "the server takes no TLS: turn it on there, or leave ledger.ca_file and sslmode out"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return None
    todo = _STATES.get(state) or (_by_words(message) if state in _CLASSES else None)
    return f"{describe(error)}: {todo}" if todo else None


def _by_words(message: str) -> str | None:
    # A pooler may quote the server's refused login in a message that else would pass: the refusal does not.
    if _PASSING.search(message) and not re.search(r"authentication failed", message):
        return None
    return next((todo for words, todo in _WORDS if re.search(words, message, re.IGNORECASE)), None)
