"""RabbitMQ: keeps two connections alive, declares entities, and publishes results and dead letters."""

from relay.broker.address import Address
from relay.broker.connect import Broker
from relay.broker.dead import DEAD, DeadLetters
from relay.broker.delivery import Delivery
from relay.broker.entity import PATIENT, QUORUM, Binding, Entity, Exchange, Queue
from relay.broker.faults import Away, BrokerFault, Forbidden, Missing, Unroutable, ask
from relay.broker.limit import Limit, delivery_limit
from relay.broker.link import Link
from relay.broker.publish import ResultPublisher
from relay.broker.tolerant import UNREADABLE
from relay.broker.topology import bind_queue, ensure_exchange, ensure_queue, find_exchange

__all__ = [
    "DEAD",
    "PATIENT",
    "QUORUM",
    "UNREADABLE",
    "Address",
    "Away",
    "Binding",
    "Broker",
    "BrokerFault",
    "DeadLetters",
    "Delivery",
    "Entity",
    "Exchange",
    "Forbidden",
    "Limit",
    "Link",
    "Missing",
    "Queue",
    "ResultPublisher",
    "Unroutable",
    "ask",
    "bind_queue",
    "delivery_limit",
    "ensure_exchange",
    "ensure_queue",
    "find_exchange",
]
