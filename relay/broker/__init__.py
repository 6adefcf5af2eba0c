"""RabbitMQ: keeps two connections alive, declares entities, and publishes results and dead letters."""

from relay.broker.address import Address
from relay.broker.connect import Broker
from relay.broker.dead import DEAD, DeadLetters
from relay.broker.delivery import Delivery
from relay.broker.entity import PATIENT, QUORUM, Binding, Entity, Exchange, Queue
from relay.broker.faults import Away, BrokerFault, Forbidden, MissingEntity, Unroutable, Unwritable, ask
from relay.broker.fit import is_short
from relay.broker.limit import Limit, delivery_limit
from relay.broker.link import Link
from relay.broker.publish import ResultPublisher
from relay.broker.requeue import Letter, RequeuePass, requeue, restored
from relay.broker.tolerant import UNREADABLE, split_dropped
from relay.broker.topology import bind_queue, count_queue, ensure_exchange, ensure_queue, find_exchange

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
    "Letter",
    "Limit",
    "Link",
    "MissingEntity",
    "Queue",
    "RequeuePass",
    "ResultPublisher",
    "Unroutable",
    "Unwritable",
    "ask",
    "bind_queue",
    "count_queue",
    "delivery_limit",
    "ensure_exchange",
    "ensure_queue",
    "find_exchange",
    "is_short",
    "requeue",
    "restored",
    "split_dropped",
]
