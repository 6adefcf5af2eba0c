"""From a configuration to a running relay."""

from relay.app.dry import dry_run
from relay.app.run import run
from relay.app.topology import Topology, describe_topology

__all__ = ["Topology", "describe_topology", "dry_run", "run"]
