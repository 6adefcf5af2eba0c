"""Builds and runs a relay from its configuration."""

from relay.app.asyncapi import describe_messages
from relay.app.dry import dry_run, make_rules, try_events
from relay.app.online import check_online
from relay.app.run import run
from relay.app.topology import Topology, describe_topology

__all__ = [
    "Topology",
    "check_online",
    "describe_messages",
    "describe_topology",
    "dry_run",
    "make_rules",
    "run",
    "try_events",
]
