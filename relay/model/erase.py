"""Erasing what events brought: which events, and what became of them."""

from collections.abc import Sequence
from typing import Final

from relay.model.frozen import frozen
from relay.model.state import State

ERASED: Final = "erased by a person"
"""Why an event is unreadable whose payload was erased."""


@frozen
class Erasure:
    """Which events to erase: those with this subject, label (name and value) or sender's id; one of them is given.

    `source` restricts them to one source.
    """

    subject: str | None = None
    label: tuple[str, str] | None = None
    external_id: str | None = None
    source: str | None = None

    @property
    def by(self) -> str:
        """By what the events are found, without the value, which is erased everywhere."""
        return "subject" if self.subject is not None else f"label {self.label[0]}" if self.label else "external id"

    @property
    def text(self) -> str:
        """The value by which the events are found."""
        return self.subject or (self.label[1] if self.label else self.external_id) or ""


@frozen
class Spared:
    """An event that was left as it is, and the dispatch that is under way."""

    event_id: str
    dispatch_id: str
    state: State


@frozen
class Erased:
    """What was done. `chats` are those of the erased events, which Cargo keeps.

    `compacted` says that the ledger's files have nothing left of what was overwritten.
    """

    events: int = 0
    cancelled: int = 0
    requests: int = 0
    chats: Sequence[str] = ()
    left: Sequence[Spared] = ()
    compacted: bool = False

    def plus(self, other: "Erased") -> "Erased":
        """Both together."""
        return Erased(
            self.events + other.events,
            self.cancelled + other.cancelled,
            self.requests + other.requests,
            (*self.chats, *other.chats),
            (*self.left, *other.left),
            self.compacted or other.compacted,
        )
