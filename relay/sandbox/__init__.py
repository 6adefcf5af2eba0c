"""A simulator of Cargo: the paths of Cargo's API that Relay uses, with faults on demand.

It keeps everything in memory and needs no other part of Relay. It follows Cargo's public API reference. Where that is
silent (the order and page size of lists, the codes of refusals), it does something plausible.
"""

from relay.sandbox.faults import NAMES, Faults
from relay.sandbox.server import Running, make_app, run
from relay.sandbox.workspace import Workspace

__all__ = ["NAMES", "Faults", "Running", "Workspace", "make_app", "run"]
