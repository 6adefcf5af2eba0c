"""Judges RabbitMQ and Cargo, as they answer now."""

from collections.abc import Sequence

from relay.app.doctor.line import Found, Judgement, act, look, ok
from relay.broker import DEAD, BrokerFault, Link, MissingEntity, count_queue, delivery_limit
from relay.cargo import Cargo
from relay.config import AmqpSource, Settings
from relay.errors import Denied, RelayError


async def judge_broker(link: Link, settings: Settings, *, running: bool) -> Found:
    """The connection, the queues that are consumed and their limits, who takes the results, dead letters.

    `running` says that a relay has declared its queues.
    """
    lines: list[Judgement] = [ok(f"RabbitMQ {link.server()} answers")]
    for name, source in settings.sources.items():
        if isinstance(source, AmqpSource):
            lines += await _judge_input(link, name, source, running=running)
    if settings.results.queue is not None:
        lines += await _judge_results(link, settings.results.queue)
    waiting = await _count(link, DEAD)
    if isinstance(waiting, tuple) and waiting[0]:
        lines.append(look(f"{waiting[0]} dead letters in {DEAD}", "`relay dead` says why; `relay dead --requeue`"))
    return lines


async def _judge_input(link: Link, name: str, source: AmqpSource, *, running: bool) -> Found:
    queue = source.queue
    counted = await _count(link, queue)
    if isinstance(counted, MissingEntity) and source.declare and not running:
        what = f"source {name}: queue {queue!r} does not exist yet: `relay serve` declares it"
        return [look(what, "start the relay; if one runs, ask it in place of its files")]
    if isinstance(counted, BrokerFault):
        what = f"source {name}: {_explain(queue, counted)}"
        return [act(what, "see `relay check --online` and `relay topology`")]
    limit = await delivery_limit(link, queue)
    if limit is None or not limit.loses:
        return []
    what = f"source {name}: RabbitMQ drops a message of queue {queue!r} after {limit.count} further deliveries"
    return [look(f"{what}, unless a policy says otherwise", limit.advise(queue, link.address.vhost))]


async def _judge_results(link: Link, queue: str) -> Found:
    counted = await _count(link, queue)
    if isinstance(counted, BrokerFault):
        return [look(f"results: {_explain(queue, counted)}", "see `relay check --online` and `relay topology`")]
    messages, consumers = counted
    if messages and not consumers:
        todo = "start the consumer of results, or set `results.queue: null`"
        return [look(f"{messages} results wait in queue {queue!r}, which nobody consumes", todo)]
    return []


async def _count(link: Link, queue: str) -> tuple[int, int] | BrokerFault:
    """Messages and consumers of a queue, or why they cannot be told."""
    try:
        return await count_queue(link, queue)
    except BrokerFault as fault:
        return fault


def _explain(queue: str, fault: BrokerFault) -> str:
    return f"queue {queue!r} does not exist" if isinstance(fault, MissingEntity) else str(fault)


async def judge_cargo(cargo: Cargo, base_url: str, pauses: Sequence[str]) -> Found:
    """Whether Cargo takes the token, and why sending is paused."""
    try:
        await cargo.probe()
    except Denied as error:
        return [act(f"Cargo refuses the token: {error}", "give `cargo.token` a live one, made under Settings > API")]
    except RelayError as error:
        return [act(f"Cargo cannot be asked: {error}", f"see whether {base_url} is reached from here")]
    if pauses:
        return [look(f"it takes the token, but sending is paused: {', '.join(pauses)}", "it goes on by itself")]
    return [ok(f"{base_url} takes the token")]
