"""A Cargo to try things on: the paths of Cargo's API that Relay uses, with faults on demand.

It keeps everything in memory, needs no other part of Relay, and is no more than what `cargo-api` says in public:
where the reference is silent (order and page size of lists, codes of refusals) it picks something plausible.
"""

from relay.sandbox.faults import NAMES, Faults
from relay.sandbox.server import Running, make_app, run

__all__ = ["NAMES", "Faults", "Running", "make_app", "run"]
