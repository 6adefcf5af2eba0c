"""The JSON of jobs: what starts one, and how one stands."""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from relay import model
from relay.ops.ask import LABEL, Ask, Cursor, Words, read_label, read_moment
from relay.ops.ask import Moment as AskedMoment
from relay.ops.problem import BadRequest
from relay.ops.wire import Moment, Wire
from relay.units import iso, rate

_RATE: Final = r"^[1-9][0-9]{0,5}/([1-9][0-9]{0,3})?(s|m|h|d|mo)$"


class JobsAsk(Ask):
    """Which page of jobs."""

    cursor: Cursor | None = None
    limit: Annotated[int, Field(ge=1, le=500, description="the most jobs of one page")] = 50


class JobAsk(Ask):
    """A replay: the events that were accepted in a span of time, under the rules in force when each has its turn."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    kind: Literal["replay"] = "replay"
    since: Annotated[AskedMoment, Field(description="an ISO 8601 time, or how long ago, for example 24h")]
    until: Annotated[AskedMoment | None, Field(description="an ISO 8601 time, or how long ago; default: now")] = None
    source: Annotated[Words | None, Field(description="only events of this source")] = None
    rule: Annotated[Words | None, Field(description="only chats of this rule")] = None
    label: Annotated[
        str | None,
        Field(
            description="only events with this label, as customer:Acme", json_schema_extra={"pattern": LABEL.pattern}
        ),
    ] = None
    rate: Annotated[
        str | None,
        Field(description="the most events in a time, as 5/s", json_schema_extra={"pattern": _RATE}),
    ] = None
    dry_run: Annotated[bool, Field(strict=True, description="count what would be made, and make nothing")] = False

    def aim(self, now: int) -> model.ReplayAim:
        """The replay. `now` is milliseconds since the epoch. Raises BadRequest."""
        since = read_moment("since", self.since, now, "key") or 0
        until = read_moment("until", self.until, now, "key")
        until = now if until is None else min(until, now)
        try:
            spacing = None if self.rate is None else rate(self.rate).spacing
        except (ValueError, OverflowError) as error:
            raise BadRequest(f"key rate: {error}") from None
        label = read_label(self.label, "key")
        return model.ReplayAim(since, until, self.source, self.rule, label, spacing, self.dry_run)


class JobFault(Wire):
    """Why an event of a job failed, the last one of them; `eventId` is null where the job itself failed."""

    event_id: str | None
    message: str


class JobDocument(Wire):
    """A job. `total` and `done` are events, `made` the dispatches that it added, by rule in `rules`.

    `skipped` are events for which nothing was to be added, `failed` those of which something could not be made. With
    `dryRun` nothing is added: `made` is what would be.
    """

    id: str
    kind: str
    state: model.JobState
    total: int
    done: int
    made: int
    skipped: int
    failed: int
    actor: str
    started_at: Moment
    ended_at: Moment | None
    since: Moment
    until: Moment
    source: str | None
    rule: str | None
    label: str | None
    dry_run: bool
    rules: dict[str, int]
    fault: JobFault | None


class JobList(Wire):
    """Jobs, newest first; `cursor` asks for the next page, null at the end."""

    jobs: list[JobDocument]
    cursor: str | None


def show_job(job: model.Job) -> JobDocument:
    aim = job.aim
    return JobDocument(
        id=job.id,
        kind=job.kind,
        state=job.state,
        total=job.total,
        done=job.done,
        made=job.made,
        skipped=job.skipped,
        failed=job.failed,
        actor=job.actor,
        started_at=iso(job.started_at),
        ended_at=None if job.ended_at is None else iso(job.ended_at),
        since=iso(aim.since),
        until=iso(aim.until),
        source=aim.source,
        rule=aim.rule,
        label=None if aim.label is None else ":".join(aim.label),
        dry_run=aim.dry,
        rules=dict(job.rules),
        fault=None if job.fault is None else JobFault(event_id=job.fault_event, message=job.fault),
    )


def show_jobs(page: model.JobPage) -> JobList:
    return JobList(jobs=[show_job(job) for job in page.jobs], cursor=page.cursor)
