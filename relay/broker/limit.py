"""After how many deliveries RabbitMQ drops a message of a queue, as far as a client can see."""

import re
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final

from relay.broker.entity import PATIENT
from relay.broker.faults import Away, BrokerFault, ask
from relay.broker.link import Link
from relay.broker.topology import scratch

LOW: Final = 1_000
"""Fewer deliveries than this are used up by cut connections and restarts sooner or later."""
_MOST: Final = 16
_UNLIKE: Final = re.compile(
    r"inequivalent arg '([\w-]+)' for .* but current is (?:(?:the value )?'(.*?)'(?: of type '(\w+)')?|none)", re.DOTALL
)
_NAME: Final = "x-delivery-limit"


@dataclass(frozen=True, slots=True)
class Limit:
    """`count` deliveries beyond the first; `argued`: by the queue's own argument, else by RabbitMQ's default.

    `spared`: the queue's arguments name a dead-letter exchange, which gets what is over the limit.
    """

    count: int
    argued: bool
    spared: bool

    @property
    def loses(self) -> bool:
        """Whether messages vanish sooner or later."""
        return self.count < LOW and not self.spared

    def advise(self, queue: str, vhost: str = "/") -> str:
        """What to do about a low one: a command. A policy cannot raise an argument, the lower of both counts."""
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
    """The limit of an existing queue where it can be seen; None when there is none, or it cannot. Raises Away.

    AMQP has no question for this; but RabbitMQ refuses to declare a queue again with other arguments, and names one
    that differs and what it is: so they are learnt one by one. What a policy sets is not seen.
    """
    arguments = dict(PATIENT)
    for _ in range(_MOST):
        unlike = await _compare(link, queue, arguments)
        if unlike is None:
            return None
        name, value, kind = unlike
        if name == _NAME:
            return _limit(value, link.server(), spared="x-dead-letter-exchange" in arguments)
        if not name:
            return Limit(int(PATIENT[_NAME]), argued=True, spared=False)
        learnt = _read(value, kind)
        if learnt is None:
            return None
        arguments[name] = learnt
    return None


async def _compare(link: Link, queue: str, arguments: dict[str, Any]) -> tuple[str, str, str] | None:
    """An argument that is not as given, what it is, and its type; empty texts when all are; None: no answer."""
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
        return Limit(int(value), argued=True, spared=spared) if value.isdigit() else None  # -1: none
    # What a quorum queue without the argument has: https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
    major = server.partition(".")[0]
    return Limit(20, argued=False, spared=spared) if major.isdigit() and int(major) >= 4 else None
