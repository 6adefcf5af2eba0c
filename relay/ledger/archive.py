"""Implements the port Archive: queries and actions of people."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from sqlalchemy import Connection, select

from relay.errors import Unavailable
from relay.ledger.engine import rights
from relay.ledger.engine.commit import Work
from relay.ledger.engine.sql import is_alone
from relay.ledger.queries import browse, hand, learned, prune, refused
from relay.ledger.terms import Terms
from relay.model import Dispatch, Entry, Event, EventDetail, EventPage, EventQuery, Gauges, Rejection, RejectionView
from relay.secret import Secret

T = TypeVar("T")


class Database(Protocol):
    """What SqlArchive needs of the class that inherits from it."""

    terms: Terms

    async def write(self, operation: Work[T], *, slow: bool = False) -> T: ...

    async def read(self, operation: Work[T], *, slow: bool = False) -> T: ...

    async def browse(self, operation: Work[T]) -> T: ...


class SqlArchive:
    """The port Archive, which documents each method."""

    async def events(self: Database, query: EventQuery) -> EventPage:
        return await self.browse(partial(browse.page, query=query))

    async def event(self: Database, any_id: str) -> EventDetail:
        return await self.browse(partial(browse.detail, any_id=any_id))

    async def load(self: Database, event_id: str) -> Event:
        return await self.browse(partial(browse.load, event_id=event_id))

    async def dispatch(self: Database, dispatch_id: str) -> tuple[Event, Dispatch]:
        return await self.browse(partial(browse.dispatch, dispatch_id=dispatch_id))

    async def extend(self: Database, event_id: str, entry: Entry, *, again: bool) -> list[tuple[str, str]]:
        return await self.write(partial(hand.extend, event_id=event_id, entry=entry, again=again, terms=self.terms))

    async def retry(self: Database, dispatch_id: str, rendered: Dispatch | None) -> Dispatch:
        return await self.write(partial(hand.retry, dispatch_id=dispatch_id, rendered=rendered))

    async def cancel(self: Database, dispatch_id: str) -> Dispatch:
        return await self.write(partial(hand.cancel, dispatch_id=dispatch_id, terms=self.terms))

    async def rejected(self: Database, source: str | None, limit: int) -> list[RejectionView]:
        return await self.browse(partial(refused.views, source=source, limit=limit))

    async def refused(self: Database, source: str, limit: int, after: str | None) -> list[Rejection]:
        return await self.browse(partial(refused.page, source=source, limit=limit, after=after))

    async def readmitted(self: Database, rejection_id: str, event_ids: Sequence[str]) -> None:
        await self.write(partial(refused.readmit, rejection_id=rejection_id, event_ids=event_ids))

    async def learn(self: Database, source: str, secret: Secret) -> bool:
        return await self.write(partial(learned.learn, source=source, secret=secret))

    async def learned(self: Database) -> Mapping[str, Secret]:
        return await self.read(learned.secrets)

    async def forget(self: Database, source: str) -> bool:
        return await self.write(partial(learned.forget, source=source))

    async def paused_sources(self: Database) -> frozenset[str]:
        return await self.read(browse.paused)

    async def pause_source(self: Database, name: str, *, paused: bool) -> None:
        await self.write(partial(hand.pause_source, name=name, paused=paused))

    async def last_events(self: Database, sources: Sequence[str]) -> Mapping[str, int]:
        return await self.read(partial(browse.last_events, sources=sources))

    async def gauges(self: Database) -> Gauges:
        return await self.read(partial(browse.gauges, terms=self.terms), slow=True)

    async def prune(self: Database) -> int:
        return await self.write(partial(prune.prune, terms=self.terms), slow=True)

    async def ping(self: Database) -> None:
        await self.read(_answer)


def _answer(conn: Connection, now: int) -> None:
    """Check that the database answers and takes writes. Raises Unavailable.

    An answer alone is not enough: a server that became a standby, or that revoked a privilege, still answers.
    """
    if is_alone(conn):
        conn.execute(select(1))
    elif fault := rights.trouble(conn, now):
        raise Unavailable(fault)
