"""A process that works on the ledger."""

from relay.model.frozen import frozen


@frozen
class Replica:
    """`name` differs for every start: host, process id and a random part.

    `started_at` is when the ledger saw it first, `seen_at` last: milliseconds by its clock.
    """

    name: str
    version: str
    started_at: int
    seen_at: int
