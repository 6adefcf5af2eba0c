"""What an error of the database means for the caller: away, worth another try at once, or a bad input.

Its text never carries values: drivers quote them, and they are a customer's.
"""

from typing import Final

from sqlalchemy.exc import SQLAlchemyError, StatementError

from relay.errors import Refused, RelayError, Unavailable
from relay.trust import distrust, unwelcome


class Unusable(RelayError):
    """The ledger cannot be opened as it is: a person must act first."""


BROWSE_FOR: Final = 5.0
"""Seconds that a look of a person's may take; whoever writes or sends never waits for one."""
_BINDING: Final = (ValueError, TypeError, OverflowError)
_BAD_INPUT: Final = frozenset({"22", "23", "54"})
"""PostgreSQL's classes of errors: data exception, integrity violation, program limit exceeded."""
_AGAIN: Final = frozenset({"40001", "40P01"})
"""Serialization failure, deadlock."""
_READ_ONLY: Final = "25006"
_FORBIDDEN: Final = "42501"
READ_ONLY: Final = "it is a standby, or read-only by default; it is used again as soon as it takes writes"
FORBIDDEN: Final = "`relay migrate --sql` prints the GRANTs"
_BAD_NAMES: Final = frozenset({"IntegrityError", "DataError"})


def is_again(error: BaseException) -> bool:
    """The database gave up this transaction for another one's sake: run it again."""
    return sqlstate(error) in _AGAIN


def is_away(error: BaseException) -> bool:
    """The database cannot be reached or written now, whatever the input is.

    Errors that nobody foresaw count as such too: an input is refused only for what is surely its own fault.
    """
    if isinstance(error, (OSError, TimeoutError)):
        return True
    return isinstance(error, SQLAlchemyError) and not _is_bad_input(error)


def is_read_only(error: BaseException) -> bool:
    """The server answers, and takes no writes: it became a standby, or was told so."""
    return sqlstate(error) == _READ_ONLY


def is_forbidden(error: BaseException) -> bool:
    """The role may not do what it was asked for."""
    return sqlstate(error) == _FORBIDDEN


def away(error: BaseException) -> Unavailable:
    """What the callers get for it."""
    if is_read_only(error):
        return Unavailable(f"the ledger's database takes no writes ({describe(error)}): {READ_ONLY}")
    if is_forbidden(error):
        return Unavailable(f"the ledger's role lacks a right ({describe(error)}): {FORBIDDEN}")
    return Unavailable(f"the ledger's database is away: {describe(error)}")


def too_long() -> Unavailable:
    """What a person gets whose look takes more time than it may."""
    return Unavailable(
        f"this takes longer than {BROWSE_FOR:g} s: narrow it by source, type, since and until, or take a smaller limit"
    )


def refusal(error: Exception) -> Exception:
    """What the caller of the one bad input gets; an error that is no database's is passed on as it is."""
    if isinstance(error, (SQLAlchemyError, *_BINDING)):
        origin = driver_error(error)
        return Refused(f"the ledger cannot hold this input ({type(origin).__name__}): correct what it holds")
    return error


def describe(error: BaseException) -> str:
    """The driver's words, first line only, and its class."""
    origin = driver_error(error)
    if told := distrust(origin, ca_file="ledger.ca_file", url="ledger.url"):
        return told
    if told := unwelcome(origin, cert_file="ledger.cert_file") or unwelcome(
        origin.__cause__, cert_file="ledger.cert_file"
    ):
        return told
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
    """The driver's own error under the wrappings of SQLAlchemy and its asyncpg dialect."""
    inner = error.orig if isinstance(error, StatementError) else None
    if inner is None:
        return error
    return inner.__cause__ or inner


def sqlstate(error: BaseException) -> str | None:
    state = getattr(driver_error(error), "sqlstate", None)
    return state if isinstance(state, str) else None
