"""Watches what goes wrong, writes it to the ledger and alerts people."""

from relay.problems.alerts import Alerts, fingerprint
from relay.problems.sign import key_of, sign
from relay.problems.watcher import Watcher

__all__ = ["Alerts", "Watcher", "fingerprint", "key_of", "sign"]
