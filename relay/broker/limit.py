"""Finds a queue's delivery limit, after which RabbitMQ drops a message, as far as a client can see it."""

import re
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final

from relay.broker.entity import PATIENT
from relay.broker.faults import Away, BrokerFault, ask
from relay.broker.link import Link
from relay.broker.topology import scratch

LOW: Final = 1_000
"""A limit below this is used up by lost connections and restarts sooner or later."""
_MOST: Final = 16
_UNLIKE: Final = re.compile(
    r"inequivalent arg '([\w-]+)' for .* but current is (?:(?:the value )?'(.*?)'(?: of type '(\w+)')?|none)", re.DOTALL
)
_NAME: Final = "x-delivery-limit"


@dataclass(frozen=True, slots=True)
class Limit:
    """`count` is the number of deliveries beyond the first.

    `argued`: the limit comes from the queue's own argument; otherwise it is RabbitMQ's default. `spared`: the queue's
    arguments name a dead-letter exchange, which receives the messages over the limit.
    """

    count: int
    argued: bool
    spared: bool

    @property
    def loses(self) -> bool:
        """Whether messages are lost sooner or later."""
        return self.count < LOW and not self.spared

    def advise(self, queue: str, vhost: str) -> str:
        """The command that fixes a low limit. A policy cannot raise an argument, because the lower of both applies."""
        if self.argued:
            key, value = "dead-letter-exchange", f'"{queue}.dropped"'
            begin, end = (
                "have it keep what it drops",
                f", with an exchange and a queue of that name; or make it anew with {_NAME}",
            )
        else:
            key, value, begin, end = "delivery-limit", str(PATIENT[_NAME]), "raise the limit", ""
        where = "" if vhost == "/" else f"-p {quote(vhost)} "
        pattern, policy = quote(f"^{re.escape(queue)}$"), quote(f'{{"{key}": {value}}}')
        name = quote(f"relay-{queue}")
        return f"{begin}: rabbitmqctl set_policy {where}--apply-to queues {name} {pattern} {policy}{end}"


async def delivery_limit(link: Link, queue: str) -> Limit | None:
    """The limit of an existing queue; None if it has none or it cannot be seen. Raises Away.

    AMQP has no method to read a queue's arguments. But RabbitMQ refuses to redeclare a queue with different arguments,
    and its error names one difference and the actual value. So repeated declarations learn them one by one. A limit
    set by a policy is not visible.
    """
    arguments = dict(PATIENT)
    for _ in range(_MOST):
        difference = await _compare(link, queue, arguments)
        if difference is None:
            return None
        name, value, kind = difference
        if name == _NAME:
            return _limit(value, link.server(), spared="x-dead-letter-exchange" in arguments)
        if not name:
            return Limit(int(PATIENT[_NAME]), argued=True, spared=False)
        actual = _read(value, kind)
        if actual is None:
            return None
        arguments[name] = actual
    return None


async def _compare(link: Link, queue: str, arguments: dict[str, Any]) -> tuple[str, str, str] | None:
    """The name, actual value and type of one argument that differs; empty strings if none does; None if unknown."""
    try:
        async with scratch(link) as channel:
            await ask(channel.declare_queue(queue, durable=True, arguments=arguments), link.timeout)
    except Away:
        raise
    except BrokerFault as fault:
        match = _UNLIKE.search(str(fault))
        return None if match is None else (match[1], match[2] or "", match[3] or "")
    return "", "", ""


def _read(value: str, kind: str) -> Any:
    if kind == "longstr":
        return value
    if kind == "bool":
        return value == "true"
    return int(value) if kind and value.lstrip("-").isdigit() else None


def _limit(value: str, server: str, *, spared: bool) -> Limit | None:
    if value:
        return Limit(int(value), argued=True, spared=spared) if value.isdigit() else None  # -1 means no limit
    # The default of a quorum queue: https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
    major = server.partition(".")[0]
    return Limit(20, argued=False, spared=spared) if major.isdigit() and int(major) >= 4 else None
