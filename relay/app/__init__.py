"""From a configuration to a running relay."""

from relay.app.dry import dry_run
from relay.app.run import run

__all__ = ["dry_run", "run"]
