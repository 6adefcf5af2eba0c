"""The outbox: publishes due results, settles them once the broker confirms, and defines their wire format."""

from relay.outbox.publisher import Publisher
from relay.outbox.wire import MESSAGES, PROBLEMS, encode, json_schema, message_schemas

__all__ = ["MESSAGES", "PROBLEMS", "Publisher", "encode", "json_schema", "message_schemas"]
