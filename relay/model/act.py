"""What a person did by hand, and who."""

from typing import Final

from relay.model.frozen import frozen
from relay.model.word import Word

LOCAL: Final = "local"
"""Who acts where no token is needed."""
TOKEN: Final = "token"  # noqa: S105 - a name
"""Who acts by `http.token`."""
STRANGER: Final = "unknown"
"""Who has shown no token that is known."""


class ActName(Word):
    """What a person can do by hand."""

    EVENT_REPLAYED = "event.replayed"
    DISPATCH_RETRIED = "dispatch.retried"
    DISPATCH_CANCELLED = "dispatch.cancelled"
    SOURCE_PAUSED = "source.paused"
    SOURCE_RESUMED = "source.resumed"
    RULE_PAUSED = "rule.paused"
    RULE_RESUMED = "rule.resumed"
    PROBLEM_ACKNOWLEDGED = "problem.acknowledged"
    PROBLEM_RESOLVED = "problem.resolved"
    REQUESTS_READMITTED = "requests.readmitted"
    SECRET_SHOWN = "secret.shown"  # noqa: S105 - a name
    SECRET_FORGOTTEN = "secret.forgotten"  # noqa: S105 - a name
    EVENTS_ERASED = "events.erased"
    DEAD_REQUEUED = "dead.requeued"
    CONFIG_RELOADED = "config.reloaded"
    JOB_STARTED = "job.started"
    JOB_CANCELLED = "job.cancelled"
    SIGNIN_REFUSED = "signin.refused"


@frozen
class Deed:
    """An act that is about to be done. `target` is what it is done to."""

    actor: str
    act: ActName
    target: str
    detail: str | None = None


@frozen
class Act:
    """An act that was done. `at` is milliseconds since the epoch, `event_id` the event that it belongs to, if any."""

    id: str
    at: int
    actor: str
    act: str
    target: str
    detail: str | None = None
    event_id: str | None = None


@frozen
class ActPage:
    """A page of acts, newest first. `cursor` asks for the next page, None at the end."""

    acts: tuple[Act, ...]
    cursor: str | None
