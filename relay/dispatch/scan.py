"""Searches Cargo's chat list for the stamps of several dispatches in one pass."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from relay.errors import Unknown
from relay.model import Chat, Page
from relay.ports import Chats

SLICE: Final = 3_600_000
SKEW: Final = 600_000
"""The largest difference (ms, either way) allowed between the ledger's clock and Cargo's, which dates the chats."""
_OVERLAP: Final = 1_000
_STALLED: Final = 3
_ORDERED: Final = 10
"""So many rows from the newest to the oldest are no chance: one in 3,628,800."""


@dataclass(slots=True)
class Scan:
    """The chats that a scan has read.

    `made` maps each chat's uuid to its creation time by Cargo's clock (ms since the epoch), `stamped` each searched
    dispatch id to its chats, oldest first. `bare` holds the chats without a stamp. `ends` maps the start of each slice
    to its end.
    """

    made: dict[str, int] = field(default_factory=dict)
    stamped: dict[str, list[Chat]] = field(default_factory=dict)
    bare: list[Chat] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)

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
    before: "Scan | None" = None,
) -> Scan:
    """Read the chats created between `since` and `until` (ms since the epoch), one time slice after the other.

    Within a slice the offset advances by the number of rows received, until a page is empty. `pace` is awaited before
    each call. With the scan `before` of the same window, each slice ends where it ended there. Raises what
    `Chats.chats` raises, and `Unknown` when the list does not advance, because such a scan proves nothing.
    """
    seen = Scan()
    for start, end in slices(since, until):

        async def read(end: int, offset: int, *, start: int = start) -> Page:
            await pace()
            return await chats.chats(trigger_type, start, end, offset)

        if before is not None:
            seen.ends[start] = before.ends[start]
            first = await read(seen.ends[start], 0)
        elif end > until - 2 * SKEW:
            seen.ends[start], first = await _close(read, end)
        else:
            seen.ends[start], first = end, await read(end, 0)
        await _read_pages(partial(read, seen.ends[start]), first, seen, dispatch_ids)
    return seen


async def _close(read: Callable[[int, int], Awaitable[Page]], end: int) -> tuple[int, Page]:
    """End a slice that may reach into Cargo's present right after its newest chat. Returns its end and first page.

    Chats that are made meanwhile push the others back, and at more of them per call than a page has rows a scan would
    never advance. None of them is looked for: they are younger than the scan. The newest chat is known only where the
    list puts it first, so the order is believed only after so many rows as do not stand so by chance, and the shorter
    slice only if it still has the newest chat: an end that Cargo rounds down would leave chats out.
    """
    page = await read(end, 0)
    if not _is_newest_first(page) or page.chats[0].created_at + 1 >= end:
        return end, page
    newest = page.chats[0]
    shorter = await read(newest.created_at + 1, 0)
    if all(chat.uuid != newest.uuid for chat in shorter.chats):
        return end, page
    return newest.created_at + 1, shorter


def _is_newest_first(page: Page) -> bool:
    times = [chat.created_at for chat in page.chats]
    return len(times) >= _ORDERED and times[0] > times[-1] and times == sorted(times, reverse=True)


async def _read_pages(
    read: Callable[[int], Awaitable[Page]], page: Page, seen: Scan, dispatch_ids: frozenset[str]
) -> None:
    offset = stalled = 0
    while page.rows:
        count_before = len(seen.made)
        for chat in page.chats:
            seen.add(chat, dispatch_ids)
        stalled = stalled + 1 if len(seen.made) == count_before else 0
        if stalled == _STALLED:
            raise Unknown("Cargo's list does not advance with its offset")
        offset += page.rows
        page = await read(offset)


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
