"""What comes in: identities are remembered, the new is kept, the known is answered with what it was the first time."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Final

from pydantic_core import to_json
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from relay.depth import OWN, TooDeep, value_exceeds
from relay.ledger.engine.sql import Columns, Found, Upsert, padded, run, upsert
from relay.ledger.engine.vault import vault_of
from relay.ledger.engine.writes import Writes, insert_and_read
from relay.ledger.queries import born, cancels, keys, outbox, redelivery, rule_pauses
from relay.ledger.queries.labels import insert_labels
from relay.ledger.queries.rows import UNDER_WAY, dispatch_columns, encode, event_columns, skips_text
from relay.ledger.queries.turn import work_columns
from relay.ledger.schema import dispatches, events, seen, work
from relay.ledger.terms import Terms
from relay.model import Claim, Dispatch, Entry, Event, EventStatus, Receipt, frozen, remade
from relay.slots import Offer

Delivery = Sequence["Prepared"]
Pairs = Sequence[tuple[bytes, "Prepared"]]
"""Entries by their keys, of which one may have two."""
Cancelled = Mapping[str, Sequence[Dispatch]]
"""Dispatches that were cancelled, by the event that cancelled them."""

_SEEN: Final = select(seen.c.key, seen.c.event_id, seen.c.digest, seen.c.expires_at).where(
    seen.c.key.in_(bindparam("keys", expanding=True))
)
_RULES: Final = (
    select(dispatches.c.event_id, dispatches.c.id, dispatches.c.rule)
    .where(dispatches.c.event_id.in_(bindparam("ids", expanding=True)))
    .order_by(dispatches.c.id)
)
_GONE: Final = delete(seen).where(seen.c.key.in_(bindparam("keys", expanding=True)))


_EVENTS: Final = insert(events)
_DISPATCHES: Final = insert(dispatches)
_WORK: Final = insert(work)

_by_id: Final = attrgetter("id")
_by_first: Final = itemgetter(0)
_by_event: Final = attrgetter("event.id")


@frozen
class Prepared:
    """An entry as it is written, made before it shares a commit, so that what cannot be encoded fails alone.

    `key` is its identity, `second` another one (`Event.repeat`): with either known, it is. Without an id the second
    stands in for the first. Where it may have `twins`, it is known by the second and its type, and the second is
    remembered for others. `nameless` says that it has neither: only a broker may say that it came before (see
    `redelivery`).
    """

    entry: Entry
    event: Event
    key: bytes
    second: bytes | None
    nameless: bool
    headers: str
    data: str | None
    skips: str | None = None


def prepare(entry: Entry) -> Prepared:
    """Raises ValueError when the event cannot be written as JSON."""
    event = entry.event
    headers = to_json(dict(event.headers)).decode()
    skips = skips_text(entry)
    if event.repeat is None:
        nameless = event.external_id is None
        return Prepared(entry, event, identity(event), None, nameless, headers, _data(event), skips)
    second = _signed(event.source, event.repeat, "")
    if event.twins:
        key = _signed(event.source, event.repeat, event.type or "")
        return Prepared(entry, event, key, second, False, headers, _data(event), skips)
    if event.external_id is None:
        return Prepared(entry, event, second, None, False, headers, _data(event), skips)
    return Prepared(entry, event, identity(event), second, False, headers, _data(event), skips)


def weigh(acceptance: "Acceptance") -> int:
    """About the bytes that a delivery holds until it is committed."""
    return sum(
        len(one.event.raw)
        + len(one.data or "")
        + len(one.skips or "")
        + sum(len(each.body or "") + len(each.message or "") for each in one.entry.dispatches)
        for one in acceptance.delivery
    )


def _signed(source: str, repeat: bytes, kind: str) -> bytes:
    return sha256(f"signed {len(source)} {source} {repeat.hex()} {kind}".encode("utf-8", "surrogatepass")).digest()


def _data(event: Event) -> str | None:
    """The parsed body, kept beside the raw bytes only when it is more than their parse."""
    if event.verbatim or event.unreadable is not None:
        return None
    if value_exceeds(event.data, OWN):
        raise TooDeep
    return encode(event.data)


def identity(event: Event) -> bytes:
    """The SHA-256 of what makes an event the same again; lengths keep the parts apart."""
    source, origin, name = event.source, event.origin or "", event.external_id
    if name is None:
        text = f"content {len(source)} {source} {event.digest.hex()}"
    else:
        text = f"named {len(source)} {len(origin)} {source} {origin} {name}"
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


@frozen
class Acceptance:
    """A delivery, and the call slots that the worker offers for its new dispatches."""

    delivery: Delivery
    offer: Offer[Claim] | None = None


Accepted = tuple[list[Receipt], Sequence[Claim]]
"""The receipts of a delivery, and the claims on those of its dispatches that were committed as `sending`."""


def accept(conn: Connection, now: int, acceptances: Sequence[Acceptance], *, terms: Terms) -> list[Accepted]:
    """Store the new events of each delivery. Known events get the receipts of the first one."""
    batch = [prepared for acceptance in acceptances for prepared in acceptance.delivery]
    offered = any(acceptance.offer is not None and acceptance.offer.count for acceptance in acceptances)
    question = born.Question.about(conn, [prepared.entry for prepared in batch]) if offered else None
    firsts, answer = _remember(conn, now, batch, terms, question)
    new = {prepared.event.id for prepared, first in zip(batch, firsts, strict=True) if first is None}
    stored = keys.decide(conn, now, [prepared.entry for prepared in batch if prepared.event.id in new], terms)
    # After the keys, whose locks come first.
    new_entries = [stored.get(each.event.id, each.entry) for each in batch if each.event.id in new]
    stored |= rule_pauses.hold_new(conn, new_entries, terms)
    if stored:
        batch = [_changed(prepared, stored.get(prepared.event.id)) for prepared in batch]
        acceptances = _regrouped(acceptances, batch)
    claimed = born.claim_new(conn, now, [_offered(acceptance, new) for acceptance in acceptances], terms, answer)
    fresh = [prepared for prepared in batch if prepared.event.id in new]
    _insert(conn, now, fresh, terms, claimed)
    cancelled: Cancelled = {}
    if any(prepared.entry.cancels or prepared.entry.former_cancels for prepared in fresh):
        cancelled = cancels.cancel(conn, now, [prepared.entry for prepared in fresh], terms=terms)
    receipts = _receipts(conn, batch, firsts, cancelled)
    return [
        (list(islice(receipts, len(acceptance.delivery))), claims)
        for acceptance, claims in zip(acceptances, claimed.by_offer, strict=True)
    ]


def _changed(prepared: Prepared, entry: Entry | None) -> Prepared:
    """The entry as the keys of rules would have it stored."""
    if entry is None:
        return prepared
    return remade(prepared, entry=entry, skips=skips_text(entry))


def _regrouped(acceptances: Sequence[Acceptance], batch: Sequence[Prepared]) -> list[Acceptance]:
    rest = iter(batch)
    return [remade(acceptance, delivery=list(islice(rest, len(acceptance.delivery)))) for acceptance in acceptances]


def _offered(acceptance: Acceptance, new: Collection[str]) -> born.Offered:
    """The slots that are offered, and the new entries of the delivery."""
    if acceptance.offer is None:
        return 0, ()
    return acceptance.offer.count, [one.entry for one in acceptance.delivery if one.event.id in new]


def cancel_some(conn: Connection, now: int, *, delivery: Delivery, terms: Terms) -> Cancelled:
    """Cancel some of what a delivery cancels, before it is accepted: where it is too much for that transaction.

    None for the events that are known: what is held now came after them.
    """
    found = _look_up(conn, [key for one in delivery for key in _keys(one)])
    live = {key: row for key, row in found.items() if row["expires_at"] > now}
    new = [one.entry for one in delivery if one.nameless or _first(one, live) is None]
    return cancels.cancel_some(conn, now, new, terms=terms)


def known(conn: Connection, now: int, *, delivery: Delivery) -> list[Receipt] | None:
    """The receipts of a delivery of which nothing is new, else None."""
    if any(one.nameless for one in delivery):
        return None
    found = _look_up(conn, [key for one in delivery for key in _keys(one)])
    live = {key: row for key, row in found.items() if row["expires_at"] > now}
    firsts = [_first(one, live) for one in delivery]
    if None in firsts:
        return None
    return list(_receipts(conn, delivery, firsts, {}))


def _remember(
    conn: Connection, now: int, batch: Delivery, terms: Terms, question: born.Question | None
) -> tuple[list[Found | None], born.Answered | None]:
    """For each entry what was remembered before it, None when it is new. Beside it the answer to `question`.

    Whoever inserts first wins, also among replicas: the insert waits for one that is under way, then the row tells.
    Keys go in order, so that two replicas never wait for each other.
    """
    again = redelivery.find(conn, now, [(one.key, one.event) for one in batch if one.nameless])
    asked = [one for one in batch if not one.nameless]
    pairs = sorted([(key, one) for one in asked for key in _keys(one)], key=_by_first)
    written, answer = _put_new(conn, now, pairs, terms, question)
    if written == len(pairs):
        return [again.get(one.event.id) for one in batch], answer
    found = _look_up(conn, [key for key, _ in pairs])
    mine = {(one.event.id, _expiry(one, now, terms)) for one in asked}
    put = {key: row for key, row in found.items() if (row["event_id"], row["expires_at"]) in mine}
    known = {key: row for key, row in found.items() if key not in put}
    firsts = [again.get(one.event.id) if one.nameless else _judge(one, known) for one in batch]
    _settle(conn, put, known)
    return firsts, answer


def _keys(one: Prepared) -> tuple[bytes, ...]:
    return (one.key,) if one.second is None else (one.key, one.second)


def _first(one: Prepared, known: Mapping[bytes, Found]) -> Found | None:
    """The row of what an entry repeats; it says so where only what was signed is known, and not the id."""
    row = known.get(one.key)
    if row is None and one.second is not None and not one.event.twins and (signed := known.get(one.second)) is not None:
        return {**signed, "repeated": True}
    return row


def _judge(one: Prepared, known: dict[bytes, Found]) -> Found | None:
    """The same, and `known` then has what those behind it in the batch may repeat.

    A new id under which something known came again is not remembered, since it is whatever its sender likes: it
    belongs to whoever brings something new under it. What is new under a known id is.
    """
    first = _first(one, known)
    if first is None or one.key in known:
        row: Found = first or {"event_id": one.event.id, "digest": one.event.digest}
        for key in _keys(one):
            known.setdefault(key, row)
    return first


def _settle(conn: Connection, put: Mapping[bytes, Found], known: Mapping[bytes, Found]) -> None:
    """Of the rows that were put in for this batch, those of entries that are not kept go, or tell of the first one."""
    gone = sorted(put.keys() - known.keys())
    if gone:
        run(conn, _GONE, {"keys": padded(gone)})
    for key in sorted(put.keys() & known.keys()):
        first = known[key]
        if first["event_id"] != put[key]["event_id"]:
            told = {"event_id": first["event_id"], "digest": first["digest"]}
            conn.execute(update(seen).where(seen.c.key == key).values(told))


def _put_new(
    conn: Connection, now: int, pairs: Pairs, terms: Terms, question: born.Question | None
) -> tuple[int, born.Answered | None]:
    """How many keys were put in. Beside it the answer to `question`, which shares the round trip."""
    # Of equal keys in the batch the first is put in: one statement of PostgreSQL's must not meet a key twice.
    first = list({key: (key, one) for key, one in reversed(pairs)}.values())[::-1]
    columns = _seen_columns(first, [_expiry(one, now, terms) for _, one in first])
    query, parameters = (None, {}) if question is None else (question.query, question.parameters)
    written, row = insert_and_read(
        conn, _put(conn.dialect.name), {**columns, "now": [now] * len(first)}, query, parameters
    )
    return written, None if question is None or row is None else born.Answered.read(conn, row)


def _seen_columns(pairs: Pairs, expiries: Sequence[int]) -> Columns:
    return {
        "key": [key for key, _ in pairs],
        "event_id": [one.event.id for _, one in pairs],
        "digest": [one.event.digest for _, one in pairs],
        "expires_at": expiries,
    }


def _expiry(one: Prepared, now: int, terms: Terms) -> int:
    """One known by a hash of its body is known for as long as it says."""
    own = one.event.remember
    return now + (terms.remember if own is None else min(own, terms.remember))


@cache
def _put(dialect: str) -> Upsert:
    """The insert of an identity over one that has expired."""
    put = upsert(dialect, seen)
    ours = {name: put.excluded[name] for name in ("event_id", "digest", "expires_at")}
    where = seen.c.expires_at <= bindparam("now")
    return put.on_conflict_do_update(index_elements=[seen.c.key], set_=ours, where=where)


def _look_up(conn: Connection, keys: Sequence[bytes]) -> dict[bytes, Found]:
    if not keys:
        return {}
    return {row["key"]: row for row in run(conn, _SEEN, {"keys": padded(keys)})}


def _insert(conn: Connection, now: int, fresh: Delivery, terms: Terms, claimed: born.Born) -> None:
    ordered = sorted(fresh, key=_by_event)
    entries = [one.entry for one in ordered]
    texts = [one.headers for one in ordered], [one.data for one in ordered], [one.skips for one in ordered]
    with Writes(conn) as writes:
        if claimed.book is not None:
            claimed.book.write(writes)
        writes.insert(_EVENTS, event_columns(entries, *texts, vault_of(conn)))
        insert_dispatches(writes, now, [each for entry in entries for each in entry.dispatches], terms, claimed)
        outbox.enqueue(writes, now, [result for entry in entries for result in entry.results], terms)


def insert_dispatches(
    writes: Writes, now: int, new: Sequence[Dispatch], terms: Terms, claimed: born.Born = born.NONE
) -> None:
    """Insert dispatches, with the rows of `work` of those that are under way."""
    ordered = sorted(new, key=_by_id)
    writes.insert(_DISPATCHES, dispatch_columns(ordered, now, vault_of(writes.conn)))
    insert_labels(writes, ordered)
    claims = claimed.by_dispatch()
    live = [dispatch for dispatch in ordered if dispatch.state in UNDER_WAY and dispatch.id not in claims]
    writes.insert(_WORK, work_columns(live, now))
    in_order = [claims[dispatch.id] for dispatch in ordered if dispatch.id in claims]
    born.insert_work(writes, now, in_order, claimed.paused, terms)


def _receipts(
    conn: Connection, batch: Delivery, firsts: Sequence[Found | None], cancelled: Cancelled
) -> Iterator[Receipt]:
    rules = _rules(conn, {first["event_id"] for first in firsts if first is not None})
    for one, first in zip(batch, firsts, strict=True):
        event = one.event
        if first is None:
            made = tuple([(each.id, each.rule) for each in one.entry.dispatches])
            ended = tuple(cancelled.get(event.id, ()))
            yield Receipt(
                event.id, event.external_id, one.entry.status, event.type, made, entry=one.entry, cancelled=ended
            )
        else:
            yield Receipt(
                first["event_id"],
                event.external_id,
                EventStatus.DUPLICATE,
                event.type,
                tuple(rules[first["event_id"]]),
                conflict=first["digest"] != event.digest,
                repeated="repeated" in first,
            )


def _rules(conn: Connection, event_ids: set[str]) -> defaultdict[str, list[tuple[str, str]]]:
    rules: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    if event_ids:
        for row in run(conn, _RULES, {"ids": padded(sorted(event_ids))}):
            rules[row["event_id"]].append((row["id"], row["rule"]))
    return rules
