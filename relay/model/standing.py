"""What the ledger would say to a new dispatch at this moment."""

from relay.model.dispatch import Dispatch
from relay.model.frozen import frozen
from relay.model.skip import Skip


@frozen
class Standing:
    """What would become of an event under one rule now. Times are milliseconds by the ledger's clock.

    `dispatch` is None where the rule skips the event (`skip`); its `state`, `hold` and `failure` say what would become
    of it. `cause` is the dispatch that has the key or the turn, `since` when that was made.
    """

    rule: str
    dispatch: Dispatch | None = None
    skip: Skip | None = None
    cause: str | None = None
    since: int | None = None
