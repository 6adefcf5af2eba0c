"""Classifies errors of the database by what the caller does next: wait, try again at once, or correct the input.

Messages never contain values: drivers quote them in their errors, and they are a customer's data.
"""

from typing import Final

from asyncpg import InvalidCachedStatementError
from sqlalchemy.exc import SQLAlchemyError, StatementError

from relay.errors import Refused, RelayError, Unavailable
from relay.trust import distrust, unwelcome


class Unusable(RelayError):
    """The ledger cannot be opened until a person has acted."""


class Unopened(Unusable):
    """The ledger's file is not there yet, or a relay has it: who looks from outside learns nothing, and all is well."""


class Overtaken(Exception):
    """Another transaction is changing what this one has to decide on: run it again."""


BROWSE_FOR: Final = 5.0
"""Seconds that a person's query may take. Writers and senders never wait for one."""
_BINDING: Final = (ValueError, TypeError, OverflowError)
_BAD_INPUT: Final = frozenset({"22", "23", "54"})
"""PostgreSQL's error classes: data exception, integrity violation, program limit exceeded."""
_AGAIN: Final = frozenset({"40001", "40P01"})
"""Serialization failure, deadlock."""
_LOCKED: Final = "55P03"
_UNIQUE: Final = "23505"
_RACED: Final = "rule_keys"
"""The table into which two replicas may insert the same row at once: only rows that are there can be locked."""
_READ_ONLY: Final = "25006"
_FORBIDDEN: Final = "42501"
READ_ONLY: Final = "it is a standby, or read-only by default; it is used again as soon as it takes writes"
FORBIDDEN: Final = "`relay migrate --sql` prints the GRANTs"
_BAD_NAMES: Final = frozenset({"IntegrityError", "DataError"})


def is_again(error: BaseException) -> bool:
    """Whether the database aborted this transaction in favour of another: run it again."""
    return isinstance(error, Overtaken) or sqlstate(error) in _AGAIN or _is_raced(error)


def is_locked(error: BaseException) -> bool:
    """Whether a row is locked by another transaction, and the statement was not to wait for it."""
    return sqlstate(error) == _LOCKED


def _is_raced(error: BaseException) -> bool:
    return sqlstate(error) == _UNIQUE and getattr(driver_error(error), "table_name", None) == _RACED


def is_away(error: BaseException) -> bool:
    """Whether the database cannot be reached or written now, whatever the input is.

    True for errors that are not known here, too: an input is refused only when the error is surely its own fault.
    """
    if isinstance(error, (OSError, TimeoutError)):
        return True
    return isinstance(error, SQLAlchemyError) and not _is_bad_input(error)


def is_read_only(error: BaseException) -> bool:
    """Whether the server answers but takes no writes: it became a standby, or is set to read-only."""
    return sqlstate(error) == _READ_ONLY


def is_outdated(error: BaseException) -> bool:
    """Whether a prepared statement no longer fits its tables, which were altered meanwhile."""
    return isinstance(driver_error(error), InvalidCachedStatementError)


def is_forbidden(error: BaseException) -> bool:
    """Whether the role lacks the privilege for the statement."""
    return sqlstate(error) == _FORBIDDEN


def away(error: BaseException) -> Unavailable:
    """The Unavailable that callers get for an error for which `is_away` holds."""
    if is_read_only(error):
        return Unavailable(f"the ledger's database takes no writes ({describe(error)}): {READ_ONLY}")
    if is_forbidden(error):
        return Unavailable(f"the ledger's role lacks a right ({describe(error)}): {FORBIDDEN}")
    return Unavailable(f"the ledger's database is away: {describe(error)}")


def too_long() -> Unavailable:
    """The error for a person's query that takes longer than `BROWSE_FOR`."""
    return Unavailable(
        f"this takes longer than {BROWSE_FOR:g} s: narrow it by source, type, since and until, or take a smaller limit"
    )


def refusal(error: Exception) -> Exception:
    """The error for the caller of a bad input. An error that is not the database's is returned unchanged."""
    if isinstance(error, (SQLAlchemyError, *_BINDING)):
        origin = driver_error(error)
        return Refused(f"the ledger cannot hold this input ({type(origin).__name__}): correct what it holds")
    return error


def describe(error: BaseException) -> str:
    """The first line of the driver's message and the error's class; for TLS errors, what to do about them."""
    origin = driver_error(error)
    if advice := distrust(origin, ca_file="ledger.ca_file", url="ledger.url"):
        return advice
    if advice := unwelcome(origin, cert_file="ledger.cert_file") or unwelcome(
        origin.__cause__, cert_file="ledger.cert_file"
    ):
        return advice
    lines = str(origin).strip().splitlines()
    return f"{lines[0] if lines else 'no reason given'} ({type(origin).__name__})"


def _is_bad_input(error: SQLAlchemyError) -> bool:
    origin = driver_error(error)
    state = sqlstate(error)
    if state:
        return state[:2] in _BAD_INPUT
    if type(origin).__name__ in _BAD_NAMES or isinstance(origin, _BINDING):
        return True
    return "binding parameter" in str(origin)


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error, without the wrappers of SQLAlchemy and its asyncpg dialect."""
    inner = error.orig if isinstance(error, StatementError) else None
    if inner is None:
        return error
    return inner.__cause__ or inner


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's five-character error code; None when the server sent none."""
    state = getattr(driver_error(error), "sqlstate", None)
    return state if isinstance(state, str) else None
