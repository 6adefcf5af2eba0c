"""Health, metrics, the API and the console: two aiohttp applications for operators and their tools."""

from relay.ops.app import make_ops_app
from relay.ops.health import make_health_app
from relay.ops.operations import Operations
from relay.ops.problem import BadRequest, FaultyInput

__all__ = ["BadRequest", "FaultyInput", "Operations", "make_health_app", "make_ops_app"]
