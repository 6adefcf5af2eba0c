"""What the keys of rules promise of the chats and dispatches that are there when all has ended.

Each check gives what is wrong as text: a test asserts that there is nothing, `make faults` prints it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of one rule's events, which are named by their numbers (`data.id`).

    `sent` are the numbers that were accepted, `key` gives the key of a number, and `came(a, b)` is whether a surely
    came before b. `chats` are those of the rule at Cargo, oldest first, each with its number in `trigger.meta.id`.
    `dispatches` are its rows in the ledger, each with its event's `number`. `by` has what was told of each dispatch
    that was superseded: the one that goes.
    """

    sent: Collection[int]
    key: Callable[[int], int]
    came: Callable[[int, int], bool]
    chats: Sequence[Mapping[str, Any]]
    dispatches: Sequence[Mapping[str, Any]] = ()
    by: Mapping[str, str] = field(default_factory=dict)

    def by_key(self) -> Mapping[int, list[Mapping[str, Any]]]:
        """The chats of each key."""
        found = defaultdict[int, list[Mapping[str, Any]]](list)
        for chat in self.chats:
            found[self.key(number_of(chat))].append(chat)
        return found


def number_of(chat: Mapping[str, Any]) -> int:
    return int(chat["trigger"]["meta"]["id"])


def by_rule(events: Iterable[Mapping[str, Any]]) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The dispatches of the ledger's events by rule, each with its event's number, which ends the sender's id."""
    found = defaultdict[str, list[Mapping[str, Any]]](list)
    for event in events:
        number = int(event["externalId"].rpartition("_")[2])
        for dispatch in event["dispatches"]:
            found[dispatch["rule"]].append({**dispatch, "number": number})
    return found


def said(chat: Mapping[str, Any]) -> list[str]:
    """What was said to the agent in a chat, in order."""
    return [message["parts"][0]["text"] for message in chat["messages"] if message["type"] == "user"]


def gathered(chat: Mapping[str, Any]) -> list[int]:
    """The numbers of the events that one chat saw."""
    return [int(number) for text in said(chat) for number in text.split(",")]


def check_once(kept: Kept) -> Iterator[str]:
    """One chat per key."""
    made = Counter(kept.key(number_of(chat)) for chat in kept.chats)
    yield from _differ(made, Counter({kept.key(number): 1 for number in kept.sent}), "chats of key {}")


def check_order(kept: Kept) -> Iterator[str]:
    """One chat per event, one after the other in each key."""
    yield from check_each(kept)
    for chats in kept.by_key().values():
        yield from _misplaced([number_of(chat) for chat in chats], kept.came)


def check_each(kept: Kept) -> Iterator[str]:
    """One chat per event."""
    yield from _differ(Counter(map(number_of, kept.chats)), Counter(kept.sent), "chats of event {}")


def check_thread(kept: Kept) -> Iterator[str]:
    """One chat per key, in which each event's number is said once, in order of arrival."""
    yield from check_once(kept)
    heard = {key: [int(text) for chat in chats for text in said(chat)] for key, chats in kept.by_key().items()}
    times = Counter(number for numbers in heard.values() for number in numbers)
    yield from _differ(times, Counter(kept.sent), "messages of event {}")
    for key, numbers in heard.items():
        yield from _misplaced(numbers, kept.came)
        if strange := [number for number in numbers if kept.key(number) != key]:
            yield f"in the chat of key {key} was said {strange[:5]}"


def check_windows(kept: Kept) -> Iterator[str]:
    """One chat per window, by its newest event; the others are superseded by the one that goes, and told so."""
    made = Counter(each["number"] for each in kept.dispatches)
    yield from _differ(made, Counter(kept.sent), "dispatches of event {}")
    went = {each["id"]: each["number"] for each in kept.dispatches if each["state"] == "done"}
    yield from _differ(Counter(map(number_of, kept.chats)), Counter(went.values()), "chats of event {}")
    for each in kept.dispatches:
        number, goes = each["number"], went.get(kept.by.get(each["id"], ""))
        if each["state"] not in {"done", "superseded"}:
            yield f"event {number} is {each['state']}"
        elif each["id"] in kept.by and goes is None:
            yield f"event {number} is superseded by one that does not go"
        elif goes is not None and (kept.key(goes) != kept.key(number) or kept.came(goes, number)):
            yield f"event {number} is superseded by {goes}, which is of another key or came before it"


def check_gathering(kept: Kept) -> Iterator[str]:
    """The same with `keep: all`: each event is in one chat, of its own key, in order of arrival."""
    yield from check_windows(kept)
    seen = Counter(number for chat in kept.chats for number in gathered(chat))
    yield from _differ(seen, Counter(kept.sent), "chats that see event {}")
    for chat in kept.chats:
        numbers = gathered(chat)
        yield from _misplaced(numbers, kept.came)
        if {kept.key(number) for number in numbers} != {kept.key(number_of(chat))}:
            yield f"a chat sees events of several keys: {numbers[:10]}"


def _differ(found: Counter[int], wanted: Counter[int], what: str) -> Iterator[str]:
    for number in sorted(found.keys() | wanted.keys()):
        if found[number] != wanted[number]:
            yield f"{what.format(number)}: {found[number]}, not {wanted[number]}"


def _misplaced(numbers: Sequence[int], came: Callable[[int, int], bool]) -> Iterator[str]:
    for place, number in enumerate(numbers):
        for earlier in numbers[:place]:
            if came(number, earlier):
                yield f"event {number} goes after {earlier}, and came before it"
