"""Protocols for what Relay's core needs from outside. The adapters that implement them are in the layers above."""

from relay.ports.chats import Chats
from relay.ports.ledger import Archive, Inbox, Ledger, Outbox, Work
from relay.ports.results import Publishing, Results

__all__ = ["Archive", "Chats", "Inbox", "Ledger", "Outbox", "Publishing", "Results", "Work"]
