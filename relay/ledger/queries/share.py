"""Who has to go when a place is full: the oldest of the address that has most. Pure."""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from relay.limits import party_of

Row = tuple[int, str, int]
"""Its place among all, its id, its size."""


def surplus(rows: Iterable[tuple[str, str | None, int]], *, most: int, space: int) -> list[str]:
    """The ids to be dropped of rows (id, address, size), oldest first, so that at most `most` and `space` are left.

    A flood so drives out its own. Where all come from one address, or each from another, the oldest go.
    """
    shares: dict[str, deque[Row]] = {}
    for place, (row_id, remote, size) in enumerate(rows):
        shares.setdefault(party_of(remote), deque()).append((place, row_id, size))
    gone = _drop(list(shares.values()), most, lambda _: 1)
    return gone + _drop([rows for rows in shares.values() if rows], space, lambda size: size)


def _drop(shares: Sequence[deque[Row]], most: int, weigh: Callable[[int], int]) -> list[str]:
    """Take rows away until all of them weigh `most`; their ids."""
    heaviest = [(-sum(weigh(size) for _, _, size in rows), rows[0][0], rows) for rows in shares]
    heapq.heapify(heaviest)
    over = -most - sum(weight for weight, _, _ in heaviest)
    gone: list[str] = []
    while over > 0:
        weight, _, rows = heaviest[0]
        _, row_id, size = rows.popleft()
        gone.append(row_id)
        over -= weigh(size)
        if rows:
            heapq.heapreplace(heaviest, (weight + weigh(size), rows[0][0], rows))
        else:
            heapq.heappop(heaviest)
    return gone
