"""One tree of errors; a class says what its caller does next, its docstring is the default message."""

from collections.abc import Sequence


class RelayError(Exception):
    """Something went wrong in the relay."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").split("\n", 1)[0])


class Retryable(RelayError):
    """It surely did not happen and may succeed later: try again.

    `retry_after` is the wait that the other side asked for, in seconds. `status` is its HTTP status, if any.
    """

    def __init__(self, message: str = "", *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Denied(Retryable):
    """Our credentials were refused (401 or 403); it surely did not happen."""


class Permanent(RelayError):
    """It surely did not happen and never will as it stands: give up and say why.

    `code` is the other side's reason (Cargo's `reason`), if it gave one.
    """

    def __init__(self, message: str = "", *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Unknown(RelayError):
    """It may have happened or not: look before trying again."""

    def __init__(self, message: str = "", *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Unavailable(RelayError):
    """The ledger cannot be reached or written now; nothing is known to be committed."""


class Refused(RelayError):
    """The ledger cannot hold this one input (what it holds is wrong, not where it goes): do not try again."""


class Overloaded(RelayError):
    """Past the high-water mark: come back after `retry_after` seconds."""

    def __init__(self, message: str = "", *, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(RelayError):
    """A request is refused: answer `status` and keep bounded metadata.

    `reason` is a short stable word (a metric label); `hint` names the likely cause for the operator and is
    never sent to the caller.
    """

    def __init__(self, message: str, *, status: int, reason: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.hint = hint


class NotFound(RelayError):
    """There is no such thing in the ledger."""


class Conflict(RelayError):
    """It is not in a state in which this can be done."""


class Misconfigured(RelayError):
    """The configuration has faults; `faults` are lines `file:line:column: key: what is wrong, what would be right`."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Blocked(RelayError):
    """It cannot start as things are on this machine: mend what is said, then start it again."""
