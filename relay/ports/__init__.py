"""Protocols for what Relay's core needs from outside. The adapters that implement them are in the layers above."""

from relay.ports.archive import Archive
from relay.ports.chats import Chats
from relay.ports.jobs import Jobs
from relay.ports.ledger import Budgets, Inbox, Ledger, Outbox, Problems, Windows, Work
from relay.ports.rates import Rates
from relay.ports.receivers import Receivers
from relay.ports.results import Publishing, Results

__all__ = [
    "Archive",
    "Budgets",
    "Chats",
    "Inbox",
    "Jobs",
    "Ledger",
    "Outbox",
    "Problems",
    "Publishing",
    "Rates",
    "Receivers",
    "Results",
    "Windows",
    "Work",
]
