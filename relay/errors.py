"""The errors of Relay. A class tells the caller what to do next. Its docstring is the default message."""

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
    """Relay's credentials were refused (401 or 403). It surely did not happen."""


class Permanent(RelayError):
    """It surely did not happen, and trying again would not help: give up and say why.

    `code` is the other side's reason (Cargo's `reason`), if it gave one.
    """

    def __init__(self, message: str = "", *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Unknown(RelayError):
    """It may have happened: check before trying again."""

    def __init__(self, message: str = "", *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Unavailable(RelayError):
    """The ledger cannot be reached or written now; nothing is known to be committed."""


class Refused(RelayError):
    """The database cannot store this input: do not try again."""


class Overloaded(RelayError):
    """The high-water mark is reached: try again after `retry_after` seconds."""

    def __init__(self, message: str = "", *, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(RelayError):
    """A request is refused: respond with `status` and store bounded metadata.

    `reason` is a short stable word (a metric label); `hint` names the likely cause for the operator and is
    never sent to the caller.
    """

    def __init__(self, message: str, *, status: int, reason: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.hint = hint


class NotFound(RelayError):
    """The ledger does not contain this."""


class Conflict(RelayError):
    """Its state does not allow this."""


class Ambiguous(Conflict):
    """The end of an id fits several ids: give more of it."""


class Misconfigured(RelayError):
    """The configuration has faults. `faults` are lines `file:line:column: key: what is wrong: what to write`."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Blocked(RelayError):
    """Relay cannot start on this machine: fix the problem in the message, then start it again."""
