"""`result`: where the results of a rule go instead of the result exchange."""

from collections.abc import Iterator
from typing import Any, Final

from relay.errors import Permanent
from relay.model import Event, Outlet, remade
from relay.rules.check import Known, inspect_template
from relay.rules.keys.key import Key
from relay.rules.keys.text import KeyText
from relay.rules.scope import Scope
from relay.rules.spec import Fault, Rendered, RuleSpec
from relay.rules.template import is_template
from relay.written.block import Block, default
from relay.written.kinds import Jinja, Text

_SHORT: Final = 255
"""Bytes of a name or a routing key in AMQP."""
_BUILT_IN: Final = frozenset({"amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic"})


class ResultBlock(Block):
    """`result` as a mapping."""

    exchange: Text
    """The exchange; Relay declares it, durable and of type topic, if it is not there."""
    routing_key: Jinja | None = default(None)
    """A template, of at most 255 bytes when rendered; left out: the usual one, as chat.created.<source>.<rule>."""


class ResultKey(Key):
    """A routing key that cannot be rendered fails the dispatch, which is told there under the usual routing key."""

    name = "result"
    kind = ResultBlock
    about = "Where this rule's results go instead of results.exchange: {exchange, routing_key}."

    def __init__(self, value: ResultBlock, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._exchange = value.exchange
        self._routing_key = None
        if value.routing_key is not None:
            self._routing_key = KeyText(value.routing_key, "result.routing_key", what="a routing key", longest=_SHORT)

    @classmethod
    def check(cls, value: ResultBlock, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        if fault := _refuse(value.exchange):
            yield Fault((cls.name, "exchange"), 1, fault)
        if value.routing_key is None:
            return
        path = (cls.name, "routing_key")
        for line, message in inspect_template(value.routing_key, known):
            yield Fault(path, line, message)
        if not is_template(value.routing_key):
            try:
                KeyText(value.routing_key, cls.name, what="a routing key", longest=_SHORT).render({})
            except Permanent as error:
                yield Fault(path, 1, str(error).removeprefix(f"{cls.name}: "))

    def mark(self, rendered: Rendered, scope: Scope) -> Rendered:
        try:
            return remade(rendered, outlet=self._outlet(scope))
        except Permanent as error:
            failed = rendered if rendered.failure else rendered.fail(str(error))
            return remade(failed, outlet=Outlet(self._exchange))

    def show(self, event: Event, scope: Scope) -> Any:
        outlet = self._outlet(scope)
        return {"exchange": outlet.exchange, "routingKey": outlet.routing_key}

    def _outlet(self, scope: Scope) -> Outlet:
        """Raises `Permanent` when the routing key cannot be rendered."""
        return Outlet(self._exchange, None if self._routing_key is None else self._routing_key.render(scope))


def _refuse(exchange: str) -> str | None:
    if is_template(exchange):
        return "is a name and no template: only routing_key is one"
    if (size := len(exchange.encode())) > _SHORT:
        return f"has {size} bytes, and AMQP allows {_SHORT}: write a shorter name"
    if exchange.startswith("amq.") and exchange not in _BUILT_IN:
        return "begins with amq., which RabbitMQ reserves: choose another name, or amq.topic"
    return None
