"""Searches Cargo's chat list for the stamps of several dispatches in one pass (DESIGN, "Reconciling", 3)."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from relay.errors import Unknown
from relay.model import Chat
from relay.ports import Chats

SLICE: Final = 3_600_000
SKEW: Final = 600_000
"""The largest difference (ms, either way) allowed between the ledger's clock and Cargo's, which dates the chats."""
_OVERLAP: Final = 1_000
_STALLED: Final = 3


@dataclass(slots=True)
class Scan:
    """The chats that a scan has read.

    `made` maps each chat's uuid to its creation time by Cargo's clock (ms since the epoch), `stamped` each searched
    dispatch id to its chats, oldest first. `bare` holds the chats without a stamp.
    """

    made: dict[str, int] = field(default_factory=dict)
    stamped: dict[str, list[Chat]] = field(default_factory=dict)
    bare: list[Chat] = field(default_factory=list)

    def add(self, chat: Chat, dispatch_ids: frozenset[str]) -> None:
        if chat.uuid in self.made:
            return
        self.made[chat.uuid] = chat.created_at
        if chat.stamp is None:
            self.bare.append(chat)
        elif chat.stamp[0] in dispatch_ids:
            matches = self.stamped.setdefault(chat.stamp[0], [])
            matches.append(chat)
            matches.sort(key=lambda chat: (chat.created_at, chat.uuid))

    def extend(self, other: "Scan") -> None:
        """Add the chats of another scan for the same stamps."""
        dispatch_ids = frozenset(other.stamped)
        for chat in (*other.bare, *(chat for matches in other.stamped.values() for chat in matches)):
            self.add(chat, dispatch_ids)


async def scan(
    chats: Chats,
    trigger_type: str,
    since: int,
    until: int,
    dispatch_ids: frozenset[str],
    *,
    pace: Callable[[], Awaitable[None]],
) -> Scan:
    """Read the chats created between `since` and `until` (ms since the epoch), one time slice after the other.

    Within a slice the offset advances by the number of rows received, until a page is empty. `pace` is awaited before
    each call. Raises what `Chats.chats` raises, and `Unknown` when the list does not advance, because such a scan
    proves nothing.
    """
    seen = Scan()
    for after, before in slices(since, until):
        offset = stalled = 0
        while True:
            await pace()
            page = await chats.chats(trigger_type, after, before, offset)
            if page.rows == 0:
                break
            count_before = len(seen.made)
            for chat in page.chats:
                seen.add(chat, dispatch_ids)
            stalled = stalled + 1 if len(seen.made) == count_before else 0
            if stalled == _STALLED:
                raise Unknown("Cargo's list does not advance with its offset")
            offset += page.rows
    return seen


def is_complete(first: Scan, second: Scan, begun: int) -> bool:
    """Whether two consecutive scans of the same window show that neither skipped a chat.

    `begun` is the ledger's time (ms since the epoch) when the first scan began. Paging by offset skips a chat only
    when chats that were already read leave the list or change places, because the chats behind them move up. The
    comparison shows this: the second scan lacks a chat of the first, or has an old chat that the first skipped. A chat
    created in the meantime only pushes others back. It is no sign of a skip, and is recognised by a creation time
    after `begun`.

    Creation times come from Cargo's clock. If that clock is ahead, chats of the last minutes before `begun` count as
    created in the meantime, so for them only a missing chat is a sign. If it is behind, chats created in the meantime
    look like old ones, and the proof has to wait until no chats are created.
    """
    new_uuids = second.made.keys() - first.made.keys()
    return first.made.keys() <= second.made.keys() and all(second.made[uuid] > begun for uuid in new_uuids)


def slices(since: int, until: int) -> Iterator[tuple[int, int]]:
    """Time slices that cover `since` to `until`. They overlap by 1 s, as Cargo does not say which ends it includes."""
    while since < until:
        end = min(since + SLICE, until)
        yield since - _OVERLAP, end
        since = end
