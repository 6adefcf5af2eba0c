"""The outbox: what is due is published, confirmed and settled; and what it looks like on the wire."""

from relay.outbox.publisher import Publisher
from relay.outbox.wire import encode, json_schema

__all__ = ["Publisher", "encode", "json_schema"]
