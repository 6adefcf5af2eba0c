"""The steps of rules' keys in the commit that accepts an event.

A dispatch brings what its keys need (`Dispatch.plan`). The keys of a batch are locked in sorted order, so that two
replicas neither deadlock nor decide on the same key at once; their rows are read and written once per batch. A new key
is a module with a `KeyStep`, listed here in the order of the way of an event (RULES).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from relay.ledger.queries.keys import changed, delay, newest, once, queue, schedule, window
from relay.ledger.queries.keys.memory import KeyRow, Memory, digest_of, hash_of
from relay.ledger.queries.keys.step import KeyStep, Ruling
from relay.ledger.queries.keys.window import OpenWindows
from relay.ledger.terms import Terms
from relay.model import Dispatch, Entry, EventStatus, Result, State, remade, tell

_ENDED_BY_KEY: Final = frozenset({State.SUPPRESSED, State.SUPERSEDED})

STEPS: Final[Mapping[str, KeyStep]] = {
    "changed": changed.step,
    "newest": newest.step,
    "once": once.step,
    "debounce": window.step,
    "thread": queue.step,
    "order": queue.step,
    "delay": delay.step,
    "schedule": schedule.step,
}

AFTER_WINDOW: Final[Mapping[str, KeyStep]] = {name: STEPS[name] for name in ("thread", "order", "delay", "schedule")}
"""The steps that a dispatch takes when its window closes."""
IN_ORDER: Final[Mapping[str, KeyStep]] = {"thread": queue.step, "order": queue.step}
REPLAYED: Final[Mapping[str, KeyStep]] = {"once": once.step, **IN_ORDER}
"""The steps of a replay. Its event was seen already, and a person wants its chats now."""


def decide(
    conn: Connection, now: int, entries: Sequence[Entry], terms: Terms, steps: Mapping[str, KeyStep] = STEPS
) -> dict[str, Entry]:
    """The entries that the keys of rules change, as they are to be stored, by event."""
    planned = [entry for entry in entries if any(_is_planned(each, steps) for each in entry.dispatches)]
    called_off = sorted({key for entry in entries for key in cancel_keys(entry)})
    if not planned and not called_off:
        return {}
    places = {each.id: places_of(each, steps) for entry in planned for each in entry.dispatches}
    locked = {place for of in places.values() for place in of.values()}
    if called_off:
        # What is cancelled leaves its queue. Those are locked here, because all locks are taken in one order.
        locked |= {*called_off, *delay.queues_under(conn, called_off)}
    looking = [(each, places[each.id]) for entry in planned for each in entry.dispatches]
    memory = load(conn, now, sorted(locked), looking)
    windows = OpenWindows.load(conn, now, windows_in(places.values())) if "debounce" in steps else None
    stored = {}
    for entry in planned:
        rulings = [
            _rule(each, Ruling(each, windows), places[each.id], memory, now, terms, steps) for each in entry.dispatches
        ]
        stored[entry.event.id] = _settle(entry, rulings, now)
    memory.write(conn)
    if windows is not None:
        windows.write(conn)
    return stored


def load(
    conn: Connection, now: int, hashes: Sequence[bytes], planned: Iterable[tuple[Dispatch, Mapping[str, bytes]]]
) -> Memory:
    """Lock keys, in their order, and read what is remembered of them.

    `planned` are the dispatches that are about to take steps, with their places: turns that their rule passes over now
    have been passed on then.
    """
    memory = Memory.load(conn, now, hashes)
    skipping = {of["order"] for each, of in planned if each.plan and "order" in of and queue.skips_parked(each.plan)}
    return Memory.read(conn, now, hashes) if queue.pass_over(conn, now, memory, skipping) else memory


def places_of(dispatch: Dispatch, steps: Mapping[str, KeyStep]) -> dict[str, bytes]:
    """The hashes of the rendered keys that these steps look at; none for a key that tells no events apart."""
    plan = dispatch.plan
    if plan is None or not _is_planned(dispatch, steps):
        return {}
    texts = {name: plan[name]["key"] for name in steps if name in plan and plan[name].get("key") is not None}
    digests = {text: digest_of(dispatch.rule, text) for text in set(texts.values())}
    return {name: digests[text] + name.encode() for name, text in texts.items()}


def windows_in(places: Iterable[Mapping[str, bytes]]) -> list[bytes]:
    """Of such hashes those of the keys whose windows may be opened, in order."""
    return sorted({of["debounce"] for of in places if "debounce" in of})


def decide_late(dispatch: Dispatch, memory: Memory, now: int, terms: Terms) -> Dispatch:
    """The dispatch whose window has closed, after the later keys of its rule."""
    places = places_of(dispatch, AFTER_WINDOW)
    return _rule(dispatch, Ruling(dispatch), places, memory, now, terms, AFTER_WINDOW).dispatch


def decide_alone(dispatch: Dispatch, memory: Memory, windows: OpenWindows, now: int, terms: Terms) -> Ruling:
    """What the keys of its rule say of one dispatch."""
    return _rule(dispatch, Ruling(dispatch, windows), places_of(dispatch, STEPS), memory, now, terms, STEPS)


def _is_planned(dispatch: Dispatch, steps: Mapping[str, KeyStep]) -> bool:
    """Whether a key of its rule takes a step here."""
    return dispatch.plan is not None and dispatch.state is State.READY and not steps.keys().isdisjoint(dispatch.plan)


def _rule(
    dispatch: Dispatch,
    ruling: Ruling,
    places: Mapping[str, bytes],
    memory: Memory,
    now: int,
    terms: Terms,
    steps: Mapping[str, KeyStep],
) -> Ruling:
    """Take a dispatch through the steps of its keys, up to the first that ends it.

    What the steps remember of it counts only when no later one skips it: a stale event was not seen. What the one that
    skips it remembers does count: values that were seen for the first time are the last ones from then on.
    """
    if dispatch.plan is None or not _is_planned(dispatch, steps):
        return ruling
    seen: list[tuple[bytes, KeyRow]] = []
    for name, step in steps.items():
        if (plan := dispatch.plan.get(name)) is None:
            continue
        ruling.place = place = places.get(name)
        row = step(ruling, plan, None if place is None else memory.get(place), now, terms)
        if row is not None and place is not None:
            seen.append((place, row))
        if ruling.skip is not None:
            seen = [] if row is None or place is None else [(place, row)]
        if ruling.is_over or ruling.is_gathered:
            break
    if ruling.is_gathered and "delay" in places:
        ruling.cancel_under(places["delay"])
    for place, row in seen:
        memory.put(place, row)
    return ruling


def cancel_keys(entry: Entry) -> list[bytes]:
    """The hashes of the keys under which the event cancels what is held."""
    named = {*entry.cancels, *((rule, key) for rule, key, _ in entry.former_cancels)}
    return [cancel_key(rule, key) for rule, key in named]


def cancel_key(rule: str, key: str) -> bytes:
    """The hash of the key under which a rule holds what events cancel."""
    return hash_of("delay", rule, key)


def _settle(entry: Entry, rulings: Sequence[Ruling], now: int) -> Entry:
    """The entry without the dispatches that were skipped, and with the results of those that were suppressed."""
    skips = (*entry.skips, *[ruling.skip for ruling in rulings if ruling.skip is not None])
    dispatches = tuple([ruling.dispatch for ruling in rulings if ruling.skip is None])
    ended = [dispatch for dispatch in dispatches if dispatch.state in _ENDED_BY_KEY]
    results: tuple[Result, ...] = (*entry.results, *[_tell(entry, dispatch, now) for dispatch in ended])
    if not dispatches and entry.event.reply_to:
        results = (*results, tell.unmatched(entry.event, skips, now=now))
    status = EventStatus.ACCEPTED if dispatches else EventStatus.UNMATCHED
    return remade(entry, status=status, dispatches=dispatches, results=results, skips=skips)


def _tell(entry: Entry, dispatch: Dispatch, now: int) -> Result:
    assert dispatch.failure is not None  # noqa: S101 - a suppressed dispatch says why
    return tell.failed(entry.event.about(), dispatch, dispatch.failure, attempts=0, now=now)
