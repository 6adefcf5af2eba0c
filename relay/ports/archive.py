"""The ledger as people see it: queries, and what is done by hand. What `ports.ledger` says of all methods holds."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from relay.model import (
    ActPage,
    DeadPage,
    Deed,
    Dispatch,
    Entry,
    Erased,
    Erasure,
    Event,
    EventDetail,
    EventPage,
    EventQuery,
    Gauges,
    Kind,
    Loads,
    Measured,
    Problem,
    ProblemPage,
    ProblemQuery,
    RateQuery,
    RefusalGroup,
    Rejection,
    RejectionView,
    Replica,
    ResultPage,
    RuleVersion,
    Standing,
    Usage,
)
from relay.secret import Secret


class Archive(Protocol):
    """Queries and actions of people. A query ends after 5 s; `Unavailable` then says how to narrow it.

    A `deed` is kept as an act in the transaction that does it, unless nothing was done.
    """

    async def events(self, query: EventQuery) -> EventPage:
        """A page of events, newest first, without bodies and rendered texts."""
        ...

    async def newer(self, query: EventQuery, after: str, most: int) -> Sequence[str]:
        """The ids of the events that `events` would list after this id, the oldest first, at most so many."""
        ...

    async def newer_page(self, query: EventQuery, cursor: str) -> str | None:
        """The cursor of the page of a list before the one at this cursor, None where that is the newest page."""
        ...

    async def event(self, any_id: str) -> EventDetail:
        """Everything about an event, by its id or the id of one of its dispatches. Raises `NotFound`."""
        ...

    async def whole_id(self, given: str, *kinds: Kind) -> str:
        """The id of one of these kinds that ends in `given`; what cannot be the end of an id is returned unchanged.

        An end has at least 4 characters, and is looked for among the newest 100,000 ids of each kind. Raises
        `NotFound`, and `Ambiguous` with the candidates.
        """
        ...

    async def load(self, event_id: str) -> Event:
        """The event as it was received. Raises `NotFound`."""
        ...

    async def dispatch(self, dispatch_id: str) -> tuple[Event, Dispatch]:
        """A dispatch and its event. Raises `NotFound`."""
        ...

    async def regather(self, dispatch_id: str) -> Sequence[Event]:
        """The other events of its window where its chat saw all of them (`debounce`), in order of arrival.

        They are those of the dispatches that it has superseded, and that nobody has sent again since.
        """
        ...

    async def extend(self, event_id: str, entry: Entry, *, again: bool, deed: Deed | None = None) -> list[Dispatch]:
        """Add the dispatches of a replay. Returns those that were added, as they are kept. Raises `NotFound`.

        Rules that made a chat of the event, or may make one, are left out unless `again`.
        """
        ...

    async def retry(self, dispatch_id: str, rendered: Dispatch | None, deed: Deed | None = None) -> Dispatch:
        """Start the next run of a dispatch that ended without a chat, is parked or is held.

        `rendered`, unless it is None, replaces what its rule has rendered: body, messages, name, plan and labels, and
        the version of the rule. One that may have a chat already begins in `checking`, any other in `ready`, or as the
        key of its `order` or `thread` says. Raises `NotFound`, `Conflict`.
        """
        ...

    async def cancel(self, dispatch_id: str, deed: Deed | None = None) -> Dispatch:
        """End a dispatch, which publishes it as `cancelled`.

        While the outcome of a call is open, it ends as soon as it is known to have no chat. Raises `NotFound`, and
        `Conflict` when it has ended or its chat exists.
        """
        ...

    async def rejected(self, source: str | None, limit: int) -> list[RejectionView]:
        """Refused requests, newest first, without their `kept` parts."""
        ...

    async def refusals(self, source: str | None, most: int) -> list[RefusalGroup]:
        """All refused requests by source and reason, those refused last first.

        Groups of this source, or of all for None, have so many of their newest requests; the others have none.
        """
        ...

    async def refused(self, source: str, limit: int, after: str | None) -> list[Rejection]:
        """The refused requests of a source whose `kept` part has not expired, oldest first, with that part.

        `after` is the last id of the previous page, None for the first page.
        """
        ...

    async def readmitted(self, rejection_id: str, event_ids: Sequence[str]) -> None:
        """Store the events that a refused request became and delete its `kept` part, in one transaction.

        Events that are stored already stay. Does nothing for a request that was deleted.
        """
        ...

    async def dead(self, source: str | None, cursor: str | None, limit: int) -> DeadPage:
        """A page of the records of dead letters, newest first. `cursor` is that of the previous page."""
        ...

    async def requeued(self, letter_ids: Sequence[str], deed: Deed | None = None) -> None:
        """Note that dead letters were sent back to their queues. Ids without a record are left out."""
        ...

    async def learn(self, source: str, secret: Secret) -> bool:
        """Store the secret that a handshake brought for a source. Returns whether this secret is the stored one.

        The first secret wins, also among replicas: False while another one is stored, until it is forgotten.
        """
        ...

    async def learned(self) -> Mapping[str, Secret]:
        """The secrets that handshakes brought, by source."""
        ...

    async def forget(self, source: str, deed: Deed | None = None) -> bool:
        """Delete a source's secret, so that the next one is stored. Returns False when there was none."""
        ...

    async def paused_sources(self) -> frozenset[str]:
        """The sources that a person has paused."""
        ...

    async def pause_source(self, name: str, *, paused: bool, deed: Deed | None = None) -> None:
        """Pause or resume a source, on all replicas and across restarts."""
        ...

    async def paused_rules(self) -> frozenset[str]:
        """The rules that a person has paused. From then on this replica holds what is new of them."""
        ...

    async def pause_rule(self, name: str, *, paused: bool, deed: Deed | None = None) -> None:
        """Pause or resume a rule, on all replicas and across restarts. `let_go` ends a resume."""
        ...

    async def let_go(self) -> int:
        """Let dispatches go that were held by the pause of a rule which is resumed, in order of arrival.

        Returns how many: a bounded number, so it is called until it returns 0.
        """
        ...

    async def holding_versions(self) -> Sequence[RuleVersion]:
        """The versions of rules that have decided what an event may still cancel (`delay` with `unless`)."""
        ...

    async def keep_versions(self, rules: Sequence[RuleVersion]) -> None:
        """Store the versions of rules that come into force, before any dispatch names them, and at least once a day.

        `rules` are all of them, in their order, which `rules_then` gives back for the events that they decide. A
        version is deleted when it was not named here, nor by any dispatch, for as long as events are kept.
        """
        ...

    async def foresee(self, entry: Entry) -> Sequence[Standing]:
        """How each dispatch of an entry would stand if it were accepted now. Nothing is locked or stored."""
        ...

    async def rules_then(self, event_id: str) -> tuple[RuleVersion, ...]:
        """The versions of all rules that decided an event, in their order. None where they are not kept any more."""
        ...

    async def gathering(self, dispatch_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Of the dispatches among these whose chats see other events too, the sources of those, by id.

        These are the sources of the rule (`debounce` with `keep: all`), as names and globs; `*` are all.
        """
        ...

    async def last_events(self, sources: Sequence[str]) -> Mapping[str, int]:
        """When the newest event of each source was received, in milliseconds since the epoch.

        Sources without an event are left out.
        """
        ...

    async def problems(self, query: ProblemQuery) -> ProblemPage:
        """A page of problems, those opened last first."""
        ...

    async def problem(self, problem_id: str) -> Problem:
        """One problem. Raises `NotFound`."""
        ...

    async def acknowledge_problem(self, problem_id: str, actor: str) -> Problem:
        """Note that a person has seen a problem. Raises `NotFound`, and `Conflict` when it is resolved."""
        ...

    async def resolve_problem(self, problem_id: str, actor: str) -> Problem:
        """Resolve a problem by hand. Both are acts of `actor`.

        Raises `NotFound`, and `Conflict` when it is resolved, or when it is of a kind that is resolved as soon as its
        cause ends.
        """
        ...

    async def erase(self, asked: Erasure, actor: str) -> Erased:
        """Erase the events that were there when it began, in turns, each an act of `actor`.

        Their payloads, headers, rendered texts, labels and results' data go; ids, times, states and uuids stay. What
        waits is cancelled. An event with a dispatch in `sending`, `checking` or `messaging` is left as it is. Whole
        refused requests in which the text stands are deleted. At last SQLite's file is rewritten.
        """
        ...

    async def note_act(self, deed: Deed) -> None:
        """Keep an act that was done elsewhere."""
        ...

    async def end_session(self, session: bytes, until: int) -> None:
        """Note that somebody has signed out of the session of that hash, which would have ended at `until` anyway.

        It is kept until then, in milliseconds since the epoch.
        """
        ...

    async def is_session_ended(self, session: bytes) -> bool:
        """Whether somebody has signed out of it, on whichever replica."""
        ...

    async def acts(self, cursor: str | None, limit: int) -> ActPage:
        """A page of acts, newest first. `cursor` is that of the previous page."""
        ...

    async def told(self, before: int | None, limit: int) -> ResultPage:
        """Results, the newest first, and where each still must go. `before` is the cursor of the previous page."""
        ...

    async def waiting(self, limit: int) -> ResultPage:
        """Results that a destination has not confirmed yet, those first that are due first."""
        ...

    async def rates(self, query: RateQuery) -> Sequence[Measured]:
        """What was counted per minute, summed by step; minutes are kept for 30 days.

        These are the steps in which anything was counted, oldest first. They begin at whole multiples of the step.
        """
        ...

    async def totals(self, kind: str, since: int) -> Mapping[str, Measured]:
        """What was counted since then, by the name of the source or the rule (`kind`)."""
        ...

    async def loads(self) -> Loads:
        """What is held and parked, by rule: of the first 5,000 of each."""
        ...

    async def used(self, since: int, until: int) -> Sequence[Usage]:
        """Chats and credits by day and rule of the days that begin in this span, the last day first; kept 400 days."""
        ...

    async def gauges(self) -> Gauges:
        """Numbers of the whole ledger."""
        ...

    async def prune(self) -> int:
        """Delete expired finished events, seen ids, kept requests and records of dead letters. Returns how many rows.

        One call deletes up to 500 rows of a kind, and some MiB, and looks at four times as many old events. An
        operation that adds to an event at the same time is done wholly before or wholly after.
        """
        ...

    @property
    def prunes_on(self) -> bool:
        """Whether the last `prune` left old events that it has not looked at."""
        ...

    async def appear(self, version: str) -> None:
        """Write that this replica, of this version of Relay, is there now."""
        ...

    async def replicas(self) -> Sequence[Replica]:
        """The replicas that were there within the last minute, the oldest first."""
        ...

    async def ping(self) -> None:
        """Return when the ledger answers and takes writes."""
        ...
