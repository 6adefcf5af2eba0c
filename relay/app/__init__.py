"""From a configuration to a running relay."""

from relay.app.dry import dry_run
from relay.app.online import check_online
from relay.app.run import run

__all__ = ["check_online", "dry_run", "run"]
