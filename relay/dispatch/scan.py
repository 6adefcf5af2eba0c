"""One look through Cargo's list for the stamps of several dispatches (DESIGN, "Reconciling", 3)."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from relay.errors import Unknown
from relay.model import Chat
from relay.ports import Chats

SLICE: Final = 3_600_000
BEFORE: Final = 600_000
"""The scan begins this long (ms) before the first attempt, since Cargo's clock is not ours."""
_OVERLAP: Final = 1_000
_STALLED: Final = 3


@dataclass(slots=True)
class Scan:
    """What a scan has seen: every uuid, the chats with a wanted stamp (oldest first), those without any stamp."""

    uuids: set[str] = field(default_factory=set)
    stamped: dict[str, list[Chat]] = field(default_factory=dict)
    bare: list[Chat] = field(default_factory=list)

    def add(self, chat: Chat, wanted: frozenset[str]) -> None:
        if chat.uuid in self.uuids:
            return
        self.uuids.add(chat.uuid)
        if chat.stamp is None:
            self.bare.append(chat)
        elif chat.stamp[0] in wanted:
            found = self.stamped.setdefault(chat.stamp[0], [])
            found.append(chat)
            found.sort(key=lambda chat: (chat.created_at, chat.uuid))


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
            known = len(seen.uuids)
            for chat in page.chats:
                seen.add(chat, wanted)
            stalled = stalled + 1 if len(seen.uuids) == known else 0
            if stalled == _STALLED:
                raise Unknown("Cargo's list does not advance with its offset")
            offset += page.rows
    return seen


def slices(since: int, until: int) -> Iterator[tuple[int, int]]:
    """Windows that cover since..until and overlap a little, as it is not known which ends Cargo includes."""
    while since < until:
        end = min(since + SLICE, until)
        yield since - _OVERLAP, end
        since = end
