"""Chooses the rows to delete when a limit is exceeded: the oldest rows of the address that has most. Pure."""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from relay.limits import party_of

Row = tuple[int, str, int]
"""The row's position among all rows, its id, its size."""


def surplus(rows: Iterable[tuple[str, str | None, int]], *, most: int, space: int) -> list[str]:
    """The ids to delete so that at most `most` rows with a total size of `space` remain.

    `rows` are triples (id, address, size), oldest first. A flood of requests thus displaces only its own requests. When
    all rows come from one address, or each from another, the oldest rows are chosen.
    """
    shares: dict[str, deque[Row]] = {}
    for position, (row_id, remote, size) in enumerate(rows):
        shares.setdefault(party_of(remote), deque()).append((position, row_id, size))
    dropped = _drop(list(shares.values()), most, lambda _: 1)
    return dropped + _drop([rows for rows in shares.values() if rows], space, lambda size: size)


def _drop(shares: Sequence[deque[Row]], most: int, weigh: Callable[[int], int]) -> list[str]:
    """Remove rows until the others weigh at most `most`. Returns the ids of the removed rows."""
    heaviest = [(-sum(weigh(size) for _, _, size in rows), rows[0][0], rows) for rows in shares]
    heapq.heapify(heaviest)
    excess = -most - sum(weight for weight, _, _ in heaviest)  # weights are negative, because heapq keeps a minimum
    dropped: list[str] = []
    while excess > 0:
        weight, _, rows = heaviest[0]
        _, row_id, size = rows.popleft()
        dropped.append(row_id)
        excess -= weigh(size)
        if rows:
            heapq.heapreplace(heaviest, (weight + weigh(size), rows[0][0], rows))
        else:
            heapq.heappop(heaviest)
    return dropped
