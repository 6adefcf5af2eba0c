"""Windows: the events of one key that a rule gathers into one chat (`debounce`)."""

from relay.model.dispatch import Dispatch
from relay.model.event import Event
from relay.model.frozen import frozen
from relay.model.version import RuleVersion


@frozen
class Gathered:
    """A window that has closed and whose chat sees all of its events: what is needed to render it.

    `members` are the dispatches that are still held, in order of arrival, with the event of each; the last one goes.
    `count` is how many events the window had when it was read. `version` is the rule that decided the last one, None
    where it is not kept.
    """

    window: str
    count: int
    members: tuple[tuple[Dispatch, Event], ...]
    version: RuleVersion | None = None


@frozen
class WindowChat:
    """The chat of a window that sees all of its events: the dispatch that goes, or its `failure`.

    `count` is how many events the window had when they were read. `dispatch` is None where none is held any more.
    """

    count: int
    dispatch: Dispatch | None


@frozen
class Closed:
    """What came of windows that have closed: the dispatches that go, that have failed, and that were superseded."""

    going: tuple[Dispatch, ...] = ()
    failed: tuple[Dispatch, ...] = ()
    superseded: tuple[Dispatch, ...] = ()
