"""Implements the port Archive: queries and actions of people."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from relay.errors import Unavailable
from relay.ledger.engine import rights
from relay.ledger.engine.commit import Work
from relay.ledger.engine.sql import is_alone
from relay.ledger.queries import (
    acts,
    browse,
    days,
    dead,
    drop,
    ends,
    erase,
    hand,
    health,
    learned,
    leases,
    prune,
    refused,
    rule_pauses,
    sessions,
    space,
    told,
    versions,
    windows,
)
from relay.ledger.queries.keys import foresee
from relay.ledger.terms import Terms
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
    LedgerHealth,
    RefusalGroup,
    Rejection,
    RejectionView,
    Replica,
    ResultPage,
    RuleVersion,
    Standing,
)
from relay.secret import Secret
from relay.telemetry import get_log

log = get_log()

T = TypeVar("T")


class Database(Protocol):
    """What SqlArchive needs of the class that inherits from it."""

    terms: Terms
    prune_size: prune.TurnSize

    async def write(self, operation: Work[T], *, slow: bool = False) -> T: ...

    async def read(self, operation: Work[T], *, slow: bool = False) -> T: ...

    async def browse(self, operation: Work[T]) -> T: ...

    async def compact(self) -> bool: ...


class SqlArchive:
    """The port Archive, which documents each method."""

    async def inspect(self: Database, sources: Sequence[str]) -> LedgerHealth:
        """How the database stands, and when the newest event of each of these sources was received."""
        return await self.browse(partial(health.inspect, sources=sources))

    async def events(self: Database, query: EventQuery) -> EventPage:
        return await self.browse(partial(browse.page, query=query))

    async def newer(self: Database, query: EventQuery, after: str, most: int) -> Sequence[str]:
        return await self.browse(partial(browse.newer, query=query, after=after, most=most))

    async def newer_page(self: Database, query: EventQuery, cursor: str) -> str | None:
        return await self.browse(partial(browse.newer_page, query=query, cursor=cursor))

    async def event(self: Database, any_id: str) -> EventDetail:
        return await self.browse(partial(browse.detail, any_id=any_id))

    async def whole_id(self: Database, given: str, *kinds: Kind) -> str:
        return await self.browse(partial(ends.whole, given=given, kinds=kinds))

    async def load(self: Database, event_id: str) -> Event:
        return await self.browse(partial(browse.load, event_id=event_id))

    async def dispatch(self: Database, dispatch_id: str) -> tuple[Event, Dispatch]:
        return await self.browse(partial(browse.dispatch, dispatch_id=dispatch_id))

    async def regather(self: Database, dispatch_id: str) -> Sequence[Event]:
        return await self.browse(partial(windows.regather, dispatch_id=dispatch_id))

    async def extend(
        self: Database, event_id: str, entry: Entry, *, again: bool, deed: Deed | None = None
    ) -> list[Dispatch]:
        extend = partial(hand.add, event_id=event_id, entry=entry, again=again, terms=self.terms)
        return await self.write(acts.noted(extend, deed, lambda _: event_id))

    async def retry(self: Database, dispatch_id: str, rendered: Dispatch | None, deed: Deed | None = None) -> Dispatch:
        retry = partial(hand.retry, dispatch_id=dispatch_id, rendered=rendered, terms=self.terms)
        return await self.write(acts.noted(retry, deed, lambda dispatch: dispatch.event_id))

    async def cancel(self: Database, dispatch_id: str, deed: Deed | None = None) -> Dispatch:
        cancel = partial(hand.cancel, dispatch_id=dispatch_id, terms=self.terms)
        return await self.write(acts.noted(cancel, deed, lambda dispatch: dispatch.event_id))

    async def rejected(self: Database, source: str | None, limit: int) -> list[RejectionView]:
        return await self.browse(partial(refused.views, source=source, limit=limit))

    async def refusals(self: Database, source: str | None, most: int) -> list[RefusalGroup]:
        return await self.browse(partial(refused.groups, source=source, most=most))

    async def refused(self: Database, source: str, limit: int, after: str | None) -> list[Rejection]:
        return await self.browse(partial(refused.page, source=source, limit=limit, after=after))

    async def readmitted(self: Database, rejection_id: str, event_ids: Sequence[str]) -> None:
        await self.write(partial(refused.readmit, rejection_id=rejection_id, event_ids=event_ids))

    async def dead(self: Database, source: str | None, cursor: str | None, limit: int) -> DeadPage:
        return await self.browse(partial(dead.page, source=source, cursor=cursor, limit=limit))

    async def requeued(self: Database, letter_ids: Sequence[str], deed: Deed | None = None) -> None:
        await self.write(acts.noted(partial(dead.mark, letter_ids=letter_ids), deed))

    async def learn(self: Database, source: str, secret: Secret) -> bool:
        return await self.write(partial(learned.learn, source=source, secret=secret))

    async def learned(self: Database) -> Mapping[str, Secret]:
        return await self.read(learned.secrets)

    async def forget(self: Database, source: str, deed: Deed | None = None) -> bool:
        return await self.write(acts.noted(partial(learned.forget, source=source), deed))

    async def paused_sources(self: Database) -> frozenset[str]:
        return await self.read(browse.paused)

    async def pause_source(self: Database, name: str, *, paused: bool, deed: Deed | None = None) -> None:
        await self.write(acts.noted(partial(hand.pause_source, name=name, paused=paused), deed))

    async def paused_rules(self: Database) -> frozenset[str]:
        found = await self.read(rule_pauses.current)
        self.terms = replace(self.terms, paused_rules=found)
        return found

    async def pause_rule(self: Database, name: str, *, paused: bool, deed: Deed | None = None) -> None:
        await self.write(acts.noted(partial(rule_pauses.set_paused, name=name, paused=paused), deed))

    async def let_go(self: Database) -> int:
        for name in await self.read(rule_pauses.resuming):
            if count := await self.write(partial(rule_pauses.let_go, name=name)):
                return count
        return 0

    async def keep_versions(self: Database, rules: Sequence[RuleVersion]) -> None:
        await self.write(partial(versions.keep, versions=rules), slow=True)

    async def foresee(self: Database, entry: Entry) -> Sequence[Standing]:
        return await self.browse(partial(foresee.foresee, entry=entry, terms=self.terms))

    async def holding_versions(self: Database) -> tuple[RuleVersion, ...]:
        return await self.read(versions.holding, slow=True)

    async def rules_then(self: Database, event_id: str) -> tuple[RuleVersion, ...]:
        return await self.browse(partial(versions.of_event, event_id=event_id))

    async def gathering(self: Database, dispatch_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return await self.browse(partial(versions.gathering, dispatch_ids=dispatch_ids))

    async def last_events(self: Database, sources: Sequence[str]) -> Mapping[str, int]:
        return await self.read(partial(browse.last_events, sources=sources))

    async def erase(self: Database, asked: Erasure, actor: str) -> Erased:
        event_ids = await self.read(partial(erase.find, asked=asked), slow=True)
        kept_ids = await self.read(partial(erase.find_kept, asked=asked), slow=True)
        done = Erased(requests=await self.write(partial(erase.erase_kept, kept_ids=kept_ids, asked=asked), slow=True))
        for start in range(0, len(event_ids), erase.BATCH):
            some = event_ids[start : start + erase.BATCH]
            turn = partial(erase.erase, event_ids=some, asked=asked, actor=actor, terms=self.terms)
            done = done.plus(await self.write(turn, slow=True))
        await self.write(partial(erase.erase_mentions, asked=asked), slow=True)
        return replace(done, compacted=await self.compact()) if done.events or done.requests else done

    async def note_act(self: Database, deed: Deed) -> None:
        await self.write(partial(acts.note, deed=deed))

    async def end_session(self: Database, session: bytes, until: int) -> None:
        await self.write(partial(sessions.end, session=session, until=until))

    async def is_session_ended(self: Database, session: bytes) -> bool:
        return await self.read(partial(sessions.is_ended, session=session))

    async def acts(self: Database, cursor: str | None, limit: int) -> ActPage:
        return await self.browse(partial(acts.page, cursor=cursor, limit=limit))

    async def told(self: Database, before: int | None, limit: int) -> ResultPage:
        return await self.browse(partial(told.page, before=before, limit=limit))

    async def waiting(self: Database, limit: int) -> ResultPage:
        return await self.browse(partial(told.waiting, limit=limit))

    async def gauges(self: Database) -> Gauges:
        return await self.read(partial(browse.gauges, terms=self.terms), slow=True)

    async def prune(self: Database) -> int:
        turn = await self.write(partial(drop.drop, terms=self.terms), slow=True)
        if turn.dropped is not None:
            log.info("ledger.days_dropped", days=turn.dropped.name, events=turn.events, kept=turn.kept)
        pruning = partial(prune.prune, terms=self.terms, size=self.prune_size, left=turn.left)
        return turn.events + await self.write(pruning, slow=True)

    @property
    def prunes_on(self: Database) -> bool:
        return self.prune_size.goes_on

    async def make_days(self: Database) -> int:
        """Make partitions for the coming days, on PostgreSQL. Returns how many."""
        return await self.write(partial(days.make, terms=self.terms))

    async def shrink(self: Database) -> bool:
        """Make a SQLite file smaller by some of what was pruned. Returns whether there is more to do."""
        return await self.write(space.shrink, slow=True)

    async def appear(self: Database, version: str) -> None:
        await self.write(partial(leases.appear, version=version, terms=self.terms))

    async def replicas(self: Database) -> Sequence[Replica]:
        return await self.browse(leases.present)

    async def ping(self: Database) -> None:
        """Check that the database answers and takes writes. Raises Unavailable.

        An answer alone is not enough: a file on a full disk can still be read, and a server that became a standby, or
        that revoked a privilege, still answers.
        """
        if await self.read(_answer):
            await self.write(leases.probe)


def _answer(conn: Connection, now: int) -> bool:
    """Whether only a write can tell that the database takes writes, as of a file. Raises Unavailable."""
    if is_alone(conn):
        return True
    if fault := rights.trouble(conn, now):
        raise Unavailable(fault)
    return False
