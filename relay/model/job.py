"""A job: work that a person starts and that goes on in the relay, kept in the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.model.word import Word


class JobState(Word):
    """`failed` is a job that cannot go on; single events that fail do not end it."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ReplayAim:
    """Which events a replay takes, and what it does with them.

    `since` (inclusive) and `until` (exclusive) are milliseconds since the epoch, of the acceptance, which ids begin
    with. `label` is a name and a value. With `rule` only that rule makes chats. `spacing` is the least time between two
    events in milliseconds, None for no rate. `dry` counts what would be made and makes nothing.
    """

    since: int
    until: int
    source: str | None = None
    rule: str | None = None
    label: tuple[str, str] | None = None
    spacing: float | None = None
    dry: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. `total` and `done` count events, `made` dispatches that go to Cargo, by rule in `rules`.

    `skipped` are events for which nothing was to be made, `failed` those of which something could not be made:
    `fault_event` is the last one and `fault` says why. `fault` without an event is why the job itself failed. `cursor`
    is the id of the last event that was done. Times are milliseconds since the epoch.
    """

    id: str
    kind: str
    state: JobState
    aim: ReplayAim
    actor: str
    total: int
    started_at: int
    cursor: str
    done: int = 0
    made: int = 0
    skipped: int = 0
    failed: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)
    fault_event: str | None = None
    fault: str | None = None
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs, newest first. `cursor` requests the next page, None at the end."""

    jobs: tuple[Job, ...]
    cursor: str | None
