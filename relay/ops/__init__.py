"""Health, metrics, API and status page: two aiohttp applications for operators and their machines."""

from relay.ops.app import make_ops_app
from relay.ops.health import make_health_app
from relay.ops.operations import Operations

__all__ = ["Operations", "make_health_app", "make_ops_app"]
