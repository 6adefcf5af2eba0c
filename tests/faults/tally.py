"""Counts four lists: accepted by senders, chats in the simulator, results on the queue, rows in the ledger."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_WITH_CHAT = {"created", "messaging", "done"}
_ENDED = {"done", "failed", "parked", "expired", "superseded", "suppressed", "cancelled"}


@dataclass(frozen=True, slots=True)
class Lists:
    """What is there at the end: `accepted` are the senders' ids, `chats` those of Cargo, `events` the ledger's rows.

    `told` are the dispatches whose chat or end was told. `said` has the chat of each of which a message was told, and
    `by` the dispatch that was told to go in place of another.
    """

    accepted: Collection[str]
    chats: Sequence[Mapping[str, Any]]
    told: Collection[str]
    events: Sequence[Mapping[str, Any]]
    said: Mapping[str, str] = field(default_factory=dict)
    by: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """One line of the table. `wrong` says each broken promise; the line holds when it is empty.

    Lost is what a sender was told is kept, and that is no row of the ledger, or whose dispatch does not end, or has no
    chat where the ledger says that it has (a follow-up has that of its thread). Twice is each chat of a dispatch, and
    each row of an event, beyond the first. Untold is what ended without a result.
    """

    row: str
    ledger: str
    replicas: int
    events: int = 0
    faults: int = 0
    lost: int = 0
    twice: int = 0
    untold: int = 0
    parked: int = 0
    recovery: float = 0.0
    seconds: float = 0.0
    rounds: int = 1
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not (self.lost or self.twice or self.untold or self.wrong)

    def add(self, other: "Tally") -> None:
        """Another round of the same row."""
        for name in ("events", "faults", "lost", "twice", "untold", "parked", "seconds", "rounds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.recovery = max(self.recovery, other.recovery)
        self.notes = other.notes
        self.wrong += other.wrong


def is_over(accepted: Collection[str], told: Collection[str], events: Iterable[Mapping[str, Any]]) -> bool:
    """Whether all that was accepted has come to its end and was told. A message may still be in its queue."""
    events = list(events)
    ended = all(each["state"] in _ENDED and each["id"] in told for each in dispatches(events))
    return ended and set(accepted) <= {event["externalId"] for event in events}


def dispatches(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [dispatch for event in events for dispatch in event["dispatches"]]


def compare(tally: Tally, lists: Lists) -> None:
    """Fill `tally` with what the four lists say of each other."""
    made = Counter(chat["dispatch"] for chat in lists.chats if chat["dispatch"])
    bare = {chat["name"] for chat in lists.chats if not chat["dispatch"]}
    followed = {dispatch for dispatch, chat in lists.said.items() if chat in {each["uuid"] for each in lists.chats}}
    told = {*lists.told, *followed}
    rows = Counter(event["externalId"] for event in lists.events)
    work = dispatches(lists.events)
    lost = [name for name in lists.accepted if name not in rows]
    lost += [each["id"] for each in work if each["state"] not in _ENDED]
    with_chat = [each["id"] for each in work if each["state"] in _WITH_CHAT]
    lost += [name for name in with_chat if not (made[name] or bare or name in followed)]
    twice = [name for name, count in (made + rows).items() for _ in range(count - 1)]
    untold = [each["id"] for each in work if each["state"] in _ENDED and each["id"] not in told]
    tally.events, tally.lost, tally.twice, tally.untold = len(lists.accepted), len(lost), len(twice), len(untold)
    tally.parked = sum(each["state"] == "parked" for each in work)
    for word, found in (("lost", lost), ("twice", twice), ("untold", untold)):
        if found:
            tally.wrong.append(f"{word}: {', '.join(sorted(found)[:5])}")
