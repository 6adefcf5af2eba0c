"""The outbox: what is due is published, confirmed and settled; and what it looks like on the wire."""

from relay.outbox.publisher import Publisher
from relay.outbox.wire import MESSAGES, encode, json_schema, message_schemas

__all__ = ["MESSAGES", "Publisher", "encode", "json_schema", "message_schemas"]
