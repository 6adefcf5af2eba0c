"""Builds and runs a relay from its configuration."""

from relay.app.asyncapi import describe_messages
from relay.app.cases import run_tests
from relay.app.doctor import examine_files
from relay.app.dry import dry_run, make_rules, try_events
from relay.app.online import check_online
from relay.app.past import past_events
from relay.app.rehearse import Rehearsal, rules_of_document
from relay.app.run import run
from relay.app.topology import Topology, describe_topology

__all__ = [
    "Rehearsal",
    "Topology",
    "check_online",
    "describe_messages",
    "describe_topology",
    "dry_run",
    "examine_files",
    "make_rules",
    "past_events",
    "rules_of_document",
    "run",
    "run_tests",
    "try_events",
]
