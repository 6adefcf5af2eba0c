"""What a rule has used of its budget."""

from collections.abc import Mapping

from relay.model.frozen import frozen
from relay.model.word import Word


class SpendingLevel(Word):
    """What is told of a budget, once each in a window: it is nearly used up (`warn` of the rule), it is used up."""

    WARNED = "warned"
    SPENT = "spent"


@frozen
class Spending:
    """What a rule has used of the present window of its budget.

    - `shares` has the used part of its `chats` and `credits`, where it bounds them; 1 is all.
    - `since` is the start of the credits' window, `now` the ledger's time, in milliseconds since the epoch.
    - `until` is when the last window ends that is past `warn`; `now` where none is.
    - `asked_ago` is the milliseconds since Cargo was asked for the credits, None for never.
    - `raised` is the level that was reached since it was measured last, None for none. Only one replica is told.
    """

    shares: Mapping[str, float]
    since: int
    now: int
    until: int
    asked_ago: int | None
    raised: SpendingLevel | None
