"""One look through Cargo's list for the stamps of several dispatches (DESIGN, "Reconciling", 3)."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from relay.errors import Unknown
from relay.model import Chat
from relay.ports import Chats

SLICE: Final = 3_600_000
SKEW: Final = 600_000
"""How far (ms) Cargo's clock, which dates the chats, may be from the ledger's, either way."""
_OVERLAP: Final = 1_000
_STALLED: Final = 3


@dataclass(slots=True)
class Scan:
    """What a scan has seen: every chat's uuid and when it was made, by Cargo's clock; the chats with a wanted stamp
    (oldest first), those without any stamp."""

    made: dict[str, int] = field(default_factory=dict)
    stamped: dict[str, list[Chat]] = field(default_factory=dict)
    bare: list[Chat] = field(default_factory=list)

    def add(self, chat: Chat, wanted: frozenset[str]) -> None:
        if chat.uuid in self.made:
            return
        self.made[chat.uuid] = chat.created_at
        if chat.stamp is None:
            self.bare.append(chat)
        elif chat.stamp[0] in wanted:
            found = self.stamped.setdefault(chat.stamp[0], [])
            found.append(chat)
            found.sort(key=lambda chat: (chat.created_at, chat.uuid))

    def extend(self, other: "Scan") -> None:
        """What another scan for the same stamps has seen beside."""
        wanted = frozenset(other.stamped)
        for chat in (*other.bare, *(chat for found in other.stamped.values() for chat in found)):
            self.add(chat, wanted)


async def scan(
    chats: Chats,
    trigger_type: str,
    since: int,
    until: int,
    wanted: frozenset[str],
    *,
    pace: Callable[[], Awaitable[None]],
) -> Scan:
    """Page through fixed slices of time, advancing by the rows received until an empty page.

    Times are milliseconds since the epoch; `pace` is awaited before each call. Raises what `Chats.chats` raises,
    and `Unknown` when the list does not advance: such a scan proves nothing.
    """
    seen = Scan()
    for after, before in slices(since, until):
        offset = stalled = 0
        while True:
            await pace()
            page = await chats.chats(trigger_type, after, before, offset)
            if page.rows == 0:
                break
            known = len(seen.made)
            for chat in page.chats:
                seen.add(chat, wanted)
            stalled = stalled + 1 if len(seen.made) == known else 0
            if stalled == _STALLED:
                raise Unknown("Cargo's list does not advance with its offset")
            offset += page.rows
    return seen


def is_complete(first: Scan, second: Scan, begun: int) -> bool:
    """Whether two scans of one window, one after the other, show that neither passed a chat over.

    Paging by offset passes one over only when chats that were read already leave the list, or change places: what lies
    behind them moves up. That shows: the second scan lacks a chat that the first one saw, or saw one that the first had
    passed over. Chats that are made meanwhile only push others back, and are no sign: the second scan sees them anew,
    with a time after `begun`, the ledger's time (ms) when the first one began.

    Their times are by Cargo's clock. Where that is ahead, chats of the last minutes before `begun` pass for made
    meanwhile: of these only a loss is a sign. Where it is behind, chats that are made meanwhile look older than they
    are, and the proof waits for a quiet moment.
    """
    new = second.made.keys() - first.made.keys()
    return first.made.keys() <= second.made.keys() and all(second.made[uuid] > begun for uuid in new)


def slices(since: int, until: int) -> Iterator[tuple[int, int]]:
    """Windows that cover since..until and overlap a little, as it is not known which ends Cargo includes."""
    while since < until:
        end = min(since + SLICE, until)
        yield since - _OVERLAP, end
        since = end
