"""The operations that the API offers, as a Protocol. `relay.app` implements it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from relay.model import LOCAL, Dispatch, Erased, Erasure, EventDetail, Job, JobPage, Problem, ReplayAim
from relay.secret import Secret


class Operations(Protocol):
    """The operations of the API besides reading the ledger. Every method may raise `Unavailable`.

    `by` is who asks for it, for the act that is kept.
    """

    async def doctor(self) -> Sequence[Mapping[str, Any]]:
        """What is well and what is not, as JSON values (`relay.ops.setup.DoctorLine`). It never fails."""
        ...

    async def replay(self, event_id: str, *, again: bool, by: str = LOCAL) -> Sequence[tuple[str, str]]:
        """Match an event with the current rules. Returns the pairs (dispatch id, rule) that were added.

        With `again` also rules that already made, or may have made, a chat. Raises `NotFound`, and `Conflict` when the
        event is unreadable.
        """
        ...

    async def retry(self, dispatch_id: str, *, render: bool, by: str = LOCAL) -> Dispatch:
        """Start a dispatch's next run; `render` renders it with the current rule. Raises `NotFound`, `Conflict`."""
        ...

    async def cancel(self, dispatch_id: str, *, by: str = LOCAL) -> Dispatch:
        """Cancel a dispatch. Raises `NotFound`, `Conflict`."""
        ...

    async def try_event(
        self, source: str, headers: Mapping[str, str], body: bytes, rule: str | None = None
    ) -> Mapping[str, Any]:
        """What the rules would do with a delivery, as JSON values (`relay.ops.trial.Trial`).

        With `rule`, the YAML of one, only that is tried. Raises `NotFound`, `BadRequest` for a delivery that the source
        would not take, and `FaultyInput` for a rule with faults.
        """
        ...

    async def try_kept(self, event_id: str, rule: str | None = None) -> Mapping[str, Any]:
        """The same for a stored event."""
        ...

    def hidden(self) -> Mapping[str, Sequence[str]]:
        """The paths in `hide` of each source that has some."""
        ...

    async def explain(self, detail: EventDetail) -> Mapping[str, Any]:
        """What each rule made of an event when it was decided, as JSON values (`Explained`)."""
        ...

    def sources(self) -> Sequence[Mapping[str, Any]]:
        """The sources, as JSON values (`relay.ops.setup.Source`)."""
        ...

    def rules(self) -> Sequence[Mapping[str, Any]]:
        """The rules in their order, as JSON values (`relay.ops.rated.Rule`), then paused ones that are not in force."""
        ...

    def rule_text(self, name: str) -> str:
        """A rule in force as YAML, with the keys that differ from their defaults. Raises `NotFound`."""
        ...

    async def pause_rule(self, name: str, *, by: str = LOCAL) -> None:
        """Hold what is new of a rule, on all replicas. Raises `NotFound`."""
        ...

    async def resume_rule(self, name: str, *, by: str = LOCAL) -> None:
        """Let go what a rule's pause has held, in order of arrival. Raises `NotFound`."""
        ...

    async def pause_source(self, name: str, *, by: str = LOCAL) -> None:
        """Stop accepting events from a source, on all replicas. Raises `NotFound`."""
        ...

    async def resume_source(self, name: str, *, by: str = LOCAL) -> None:
        """Accept events from a source again. Raises `NotFound`."""
        ...

    async def why_no_sample(self, name: str) -> str | None:
        """Why no sample can be sent to a source: a queue, a pause, no sample of its vendor, no way to sign it.

        None where one can. Raises `NotFound`.
        """
        ...

    async def foretell_sample(self, name: str) -> Mapping[str, Any]:
        """What the rules would do with a sample at this moment, as `try_event` gives it. Nothing is stored.

        Raises `NotFound`, and `Conflict` with what `why_no_sample` says.
        """
        ...

    async def send_sample(self, name: str, *, by: str = LOCAL) -> Sequence[str]:
        """Take in a sample of the source's vendor, signed as the vendor does. Returns the ids of its events.

        Raises as `foretell_sample` does, and `Overloaded`.
        """
        ...

    async def readmit(self, name: str, *, dry_run: bool, by: str = LOCAL) -> Mapping[str, Any]:
        """Verify the refused requests of a source again and accept those that are valid now.

        `dry_run` only verifies. Returns the outcome of each request, as JSON values (`relay.ops.wire.Readmission`).
        Requests that were accepted before an error stay accepted, and are not verified again. Raises `NotFound`,
        `Conflict` for a source that keeps no refused requests, `Overloaded`.
        """
        ...

    async def acknowledge_problem(self, problem_id: str, *, by: str = LOCAL) -> Problem:
        """Note that a person has seen a problem. Raises `NotFound`, `Conflict`."""
        ...

    async def resolve_problem(self, problem_id: str, *, by: str = LOCAL) -> Problem:
        """Resolve a problem by hand. Raises `NotFound`, `Conflict`."""
        ...

    async def erase(self, asked: Erasure, *, by: str = LOCAL) -> Erased:
        """Erase what events brought (`relay.ports.Archive.erase`). What was done before an error stays done."""
        ...

    async def forget(self, name: str, *, by: str = LOCAL) -> bool:
        """Forget the secret that a handshake brought, on all replicas. False when there was none. Raises `NotFound`."""
        ...

    async def learned_secret(self, name: str, *, by: str = LOCAL) -> Secret:
        """The secret that a handshake brought. Raises `NotFound`, also when there was no handshake."""
        ...

    async def reload(self, *, by: str = LOCAL) -> Mapping[str, Any]:
        """Read the configuration again and put it into force, ready for JSON (`relay.ops.setup.Reload`).

        The status `refused` comes with `faults`; the former configuration is in force then. Raises `Conflict` when the
        files do not stop changing.
        """
        ...

    def configuration(self) -> Mapping[str, Any]:
        """What is in force, without secrets, ready for JSON (`relay.ops.setup.Configuration`)."""
        ...

    async def requeue(
        self, letter_ids: Sequence[str] | None, *, source: str | None, by: str = LOCAL
    ) -> Mapping[str, Any]:
        """Send dead letters back to the queues from which they came: those with these ids, else all.

        With `source` only those of this source. Gives what became of each, ready for JSON (`relay.ops.wire.Requeued`).
        Raises `Conflict` without a broker and for a missing right, `Retryable` while RabbitMQ is away.
        """
        ...

    async def note_refused_sign_in(self, remote: str) -> None:
        """Keep as an act that somebody at the address `remote` tried to sign in with a wrong token."""
        ...

    async def start_replay(self, aim: ReplayAim, *, by: str = LOCAL) -> Job:
        """Start a replay of many events. Raises `NotFound` when its rule is not in force."""
        ...

    async def jobs(self, cursor: str | None, limit: int) -> JobPage:
        """A page of jobs, newest first."""
        ...

    async def job(self, job_id: str) -> Job:
        """A job. Raises `NotFound`."""
        ...

    async def cancel_job(self, job_id: str, *, by: str = LOCAL) -> Job:
        """End a job; what it has made stays. Raises `NotFound`, and `Conflict` when it has ended."""
        ...
