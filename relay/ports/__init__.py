"""What the middle of Relay needs of the outside, as Protocols. Adapters live on the floor above."""

from relay.ports.chats import Chats
from relay.ports.ledger import Archive, Inbox, Ledger, Outbox, Work
from relay.ports.results import Publishing, Results

__all__ = ["Archive", "Chats", "Inbox", "Ledger", "Outbox", "Publishing", "Results", "Work"]
