"""What comes in: identities are remembered, the new is kept, the known is answered with what it was the first time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from itertools import islice
from operator import attrgetter
from typing import Final

from pydantic_core import to_json
from sqlalchemy import Connection, bindparam, insert, select

from relay.ledger import outbox
from relay.ledger.rows import dispatch_columns, encode, event_columns, work_columns
from relay.ledger.schema import dispatches, events, seen, work
from relay.ledger.sql import Columns, Found, Upsert, insert_many, padded, run, upsert
from relay.ledger.terms import Terms
from relay.ledger.vault import vault_of
from relay.model import Dispatch, Entry, Event, EventStatus, Receipt, frozen

REDELIVERY: Final = 3_600_000
"""Milliseconds for which a content without an id is known."""

Delivery = Sequence["Prepared"]

_SEEN: Final = select(seen.c.key, seen.c.event_id, seen.c.digest, seen.c.expires_at).where(
    seen.c.key.in_(bindparam("keys", expanding=True))
)
_RULES: Final = (
    select(dispatches.c.event_id, dispatches.c.id, dispatches.c.rule)
    .where(dispatches.c.event_id.in_(bindparam("ids", expanding=True)))
    .order_by(dispatches.c.id)
)


_EVENTS: Final = insert(events)
_DISPATCHES: Final = insert(dispatches)
_WORK: Final = insert(work)

_by_id: Final = attrgetter("id")
_by_key: Final = attrgetter("key")
_by_event: Final = attrgetter("event.id")


@frozen
class Prepared:
    """An entry as it is written, made before it shares a commit, so that what cannot be encoded fails alone.

    `key` is its identity. `first` says that it is new without a look at what is remembered: it has no id, and no
    broker says that it may have come before.
    """

    entry: Entry
    event: Event
    key: bytes
    first: bool
    headers: str
    data: str | None


def prepare(entry: Entry) -> Prepared:
    """Raises ValueError or RecursionError when the event cannot be written as JSON."""
    event = entry.event
    first = event.external_id is None and not event.redelivered
    return Prepared(entry, event, identity(event), first, to_json(dict(event.headers)).decode(), _data(event))


def _data(event: Event) -> str | None:
    """The parsed body, kept beside the raw bytes only when it is more than their parse."""
    return None if event.verbatim or event.unreadable is not None else encode(event.data)


def identity(event: Event) -> bytes:
    """The SHA-256 of what makes an event the same again; lengths keep the parts apart."""
    source, origin, name = event.source, event.origin or "", event.external_id
    if name is None:
        text = f"content {len(source)} {source} {event.digest.hex()}"
    else:
        text = f"named {len(source)} {len(origin)} {source} {origin} {name}"
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def accept(conn: Connection, now: int, deliveries: Sequence[Delivery], *, terms: Terms) -> list[list[Receipt]]:
    """Keep what is new of each delivery; receipts of the first for what is known."""
    batch = [one for delivery in deliveries for one in delivery]
    firsts = _remember(conn, now, batch, terms)
    _insert(conn, now, [one for one, first in zip(batch, firsts, strict=True) if first is None], terms)
    receipts = _receipts(conn, batch, firsts)
    return [list(islice(receipts, len(delivery))) for delivery in deliveries]


def known(conn: Connection, now: int, *, delivery: Delivery) -> list[Receipt] | None:
    """The receipts of a delivery of which nothing is new, else None."""
    if any(one.first for one in delivery):
        return None
    found = _look_up(conn, [one.key for one in delivery])
    firsts = [found.get(one.key) for one in delivery]
    if not all(first is not None and first["expires_at"] > now for first in firsts):
        return None
    return list(_receipts(conn, delivery, firsts))


def _remember(conn: Connection, now: int, batch: Delivery, terms: Terms) -> list[Found | None]:
    """For each entry what was remembered before it, None when it is new.

    Whoever inserts first wins, also among replicas: the insert waits for one that is under way, then the row tells.
    Keys go in order, so that two replicas never wait for each other.
    """
    ordered = sorted(batch, key=_by_key)
    _overwrite(conn, now, [one for one in ordered if one.first])
    asked = [one for one in ordered if not one.first]
    if _put_new(conn, now, asked, terms) == len(asked):
        return [None] * len(batch)
    found = _look_up(conn, [one.key for one in asked])
    return [None if one.first else _unless_mine(one, found[one.key], now, terms) for one in batch]


def _overwrite(conn: Connection, now: int, batch: Delivery) -> None:
    insert_many(conn, _put(conn.dialect.name, expired=False), _seen_columns(batch, [now + REDELIVERY] * len(batch)))


def _put_new(conn: Connection, now: int, batch: Delivery, terms: Terms) -> int:
    """How many were put in, -1 where that is not told."""
    columns = _seen_columns(batch, [_expiry(one, now, terms) for one in batch])
    return insert_many(conn, _put(conn.dialect.name, expired=True), {**columns, "now": [now] * len(batch)})


def _seen_columns(batch: Delivery, expiries: Sequence[int]) -> Columns:
    return {
        "key": [one.key for one in batch],
        "event_id": [one.event.id for one in batch],
        "digest": [one.event.digest for one in batch],
        "expires_at": expiries,
    }


def _unless_mine(one: Prepared, row: Found, now: int, terms: Terms) -> Found | None:
    """The same event again, after a commit whose answer was lost, has its id but not this moment's expiry."""
    mine = row["event_id"] == one.event.id and row["expires_at"] == _expiry(one, now, terms)
    return None if mine else row


def _expiry(one: Prepared, now: int, terms: Terms) -> int:
    return now + (REDELIVERY if one.event.external_id is None else terms.remember)


@cache
def _put(dialect: str, *, expired: bool) -> Upsert:
    """The insert of an identity over any that is there, or only over one that has expired."""
    put = upsert(dialect, seen)
    ours = {name: put.excluded[name] for name in ("event_id", "digest", "expires_at")}
    where = seen.c.expires_at <= bindparam("now") if expired else None
    return put.on_conflict_do_update(index_elements=[seen.c.key], set_=ours, where=where)


def _look_up(conn: Connection, keys: Sequence[bytes]) -> dict[bytes, Found]:
    if not keys:
        return {}
    return {row["key"]: row for row in run(conn, _SEEN, {"keys": padded(keys)})}


def _insert(conn: Connection, now: int, fresh: Delivery, terms: Terms) -> None:
    ordered = sorted(fresh, key=_by_event)
    entries = [one.entry for one in ordered]
    headers, data = [one.headers for one in ordered], [one.data for one in ordered]
    insert_many(conn, _EVENTS, event_columns(entries, headers, data, vault_of(conn)))
    insert_dispatches(conn, now, [each for entry in entries for each in entry.dispatches])
    outbox.enqueue(conn, now, [result for entry in entries for result in entry.results], terms)


def insert_dispatches(conn: Connection, now: int, new: Sequence[Dispatch]) -> None:
    """New dispatches, with the work of those that are under way."""
    ordered = sorted(new, key=_by_id)
    insert_many(conn, _DISPATCHES, dispatch_columns(ordered, now, vault_of(conn)))
    insert_many(conn, _WORK, work_columns(ordered, now))


def _receipts(conn: Connection, batch: Delivery, firsts: Sequence[Found | None]) -> Iterator[Receipt]:
    rules = _rules(conn, {first["event_id"] for first in firsts if first is not None})
    for one, first in zip(batch, firsts, strict=True):
        event = one.event
        if first is None:
            made = tuple([(each.id, each.rule) for each in one.entry.dispatches])
            yield Receipt(event.id, event.external_id, one.entry.status, event.type, made)
        else:
            yield Receipt(
                first["event_id"],
                event.external_id,
                EventStatus.DUPLICATE,
                event.type,
                tuple(rules[first["event_id"]]),
                conflict=first["digest"] != event.digest,
            )


def _rules(conn: Connection, event_ids: set[str]) -> defaultdict[str, list[tuple[str, str]]]:
    rules: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    if event_ids:
        for row in conn.execute(_RULES, {"ids": padded(sorted(event_ids))}):
            rules[row.event_id].append((row.id, row.rule))
    return rules
