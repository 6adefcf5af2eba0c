"""RabbitMQ in: messages become events, acknowledged once they are committed."""

from relay.consumer.consumer import Consumer
from relay.consumer.decode import decode
from relay.consumer.settle import Accepts
from relay.consumer.source import Input

__all__ = ["Accepts", "Consumer", "Input", "decode"]
