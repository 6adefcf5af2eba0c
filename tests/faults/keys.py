"""The keys of rules hold their promises while replicas are killed."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import combinations
from typing import Any

from tests.e2e.promises import (
    Kept,
    by_rule,
    check_each,
    check_gathering,
    check_once,
    check_order,
    check_thread,
    check_windows,
)
from tests.faults.process import kill
from tests.faults.row import Row
from tests.faults.stream import is_message
from tests.faults.tally import Lists
from tests.faults.world import World

KEYS = {"once": 7, "order": 7, "last": 3, "thread": 12, "limit": 3}
"""The events of so many deals come again and again. A thread goes on about once a second, as its agent answers."""
BURST = 10
"""The events of `all` come in bursts: so many of one key, then of the other."""
RULE = """  - name: {name}
    type: "deal.*"
    {key}
    chat:
      name: "{name} {{{{ data.id }}}}"
      agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a
      trigger:
        type: connector
        connectorUuid: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f
        meta: {{id: "{{{{ data.id }}}}", kind: {name}}}
"""
WAIT, LONGEST = 0.4, 2.0
"""Seconds of `debounce`. Windows of `last` are closed by the second, as its keys are never quiet, those of `all` by the
first."""
DEBOUNCE = f"wait: {WAIT * 1_000:g}ms, max: {LONGEST * 1_000:g}ms"
MOST, PERIOD = 6, 4
"""Starts of a key in so many seconds."""
SLOWER = 6.0
"""Events a second: a third more than the limit lets through."""
KEY = {rule: f'"{{{{ data.id % {keys} }}}}"' for rule, keys in KEYS.items()}
RULES = {
    "once": f"once: {KEY['once']}",
    "order": f"order: {KEY['order']}",
    "last": f"debounce: {{key: {KEY['last']}, {DEBOUNCE}}}",
    "all": f'debounce: {{key: "{{{{ data.id // {BURST} % 2 }}}}", {DEBOUNCE}, keep: all}}\n'
    "    message: \"{{ events | map(attribute='data.id') | join(',') }}\"",
    "thread": f'thread: {{key: {KEY["thread"]}, idle: 1h}}\n    message: "{{{{ data.id }}}}"',
    "limit": f"limit: [{{key: {KEY['limit']}, rate: {MOST}/{PERIOD}s}}]",
}
Check = Callable[[World, Lists], Awaitable[Iterable[str]]]


def key_of(number: int, *, rule: str) -> int:
    return number // BURST % 2 if rule == "all" else number % KEYS[rule]


async def kill_slowly(world: World) -> None:
    """The same, with fewer events, so that what a limit holds back ends soon."""
    world.stream.rate = SLOWER
    await kill(world)


def keep(world: World, lists: Lists, rule: str) -> Kept:
    """What came of one rule, from the four lists."""
    chats = [chat for chat in lists.chats if chat["trigger"].get("meta", {}).get("kind") == rule]
    sent = [number for number in world.stream.accepted if f"msg_{number}" in lists.accepted]
    world.notes.append(f"{len(chats)} chats by {rule}")
    return Kept(sent, partial(key_of, rule=rule), world.stream.came, chats, by_rule(lists.events)[rule], lists.by)


def checks(rule: str, check: Callable[[Kept], Iterator[str]]) -> Check:
    """The check of a row with one rule."""

    async def do(world: World, lists: Lists) -> Iterable[str]:
        return list(check(keep(world, lists, rule)))

    return do


async def check_debounce(world: World, lists: Lists) -> Iterable[str]:
    """Each window made one chat; none was open for longer than it may, or closed before its key was quiet."""
    last, gathered = keep(world, lists, "last"), keep(world, lists, "all")
    spans = [_misclosed(world, kept) for kept in (last, gathered)]
    return [*check_windows(last), *check_gathering(gathered), *spans[0], *spans[1]]


def _misclosed(world: World, kept: Kept) -> Iterator[str]:
    """Windows that were surely open for too long, or surely closed too early: another one of the key was opened."""
    begun, accepted = world.stream.begun, world.stream.accepted
    windows = defaultdict[tuple[int, str], list[int]](list)
    for each in kept.dispatches:
        windows[kept.key(each["number"]), kept.by.get(each["id"], each["id"])].append(each["number"])
    # When the first came at the earliest and at the latest, and the last at the earliest.
    spans = defaultdict[int, list[tuple[float, float, float]]](list)
    for (key, _), numbers in windows.items():
        sent = [begun[number] for number in numbers]
        known = [accepted[number] for number in numbers if not is_message(number)]
        spans[key].append((min(sent), min(known, default=float("inf")), max(sent)))
        if max(sent) - min(known, default=max(sent)) > LONGEST:
            yield f"a window of key {key} was open for longer than {LONGEST:g} s: {numbers[0]} to {numbers[-1]}"
    for key, found in spans.items():
        for one, other in combinations(found, 2):
            if _is_early(one, other) and _is_early(other, one):
                yield f"two windows of key {key} were open at the same time"


def _is_early(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Whether the other window was opened before this one may have been closed."""
    return other[1] < min(one[2] + WAIT, one[0] + LONGEST)


async def check_limit(world: World, lists: Lists) -> Iterable[str]:
    """Each made its chat, and of no key did more start within the limit's time."""
    wrong = list(check_each(keep(world, lists, "limit")))
    starts = defaultdict[int, list[float]](list)
    for event in await world.details(lists.events):
        number = int(event["externalId"].rpartition("_")[2])
        [dispatch] = [each["id"] for each in event["dispatches"] if each["rule"] == "limit"]
        starts[key_of(number, rule="limit")].append(_first_start(event["attempts"], dispatch))
    most = max(map(busiest, starts.values()))
    world.notes.append(f"{most} of a key within {PERIOD} s")
    if most > MOST:
        wrong.append(f"{most} of a key started within {PERIOD} s, and its limit is {MOST}")
    return wrong


def _first_start(attempts: Sequence[Mapping[str, str]], dispatch: str) -> float:
    """When a dispatch started, in seconds: further calls of it do not count."""
    moments = [each["startedAt"] for each in attempts if each["dispatchId"] == dispatch]
    return datetime.fromisoformat(min(moments)).timestamp()


def busiest(starts: Iterable[float], *, period: float = PERIOD) -> int:
    """The most that started within any time of this length, in seconds."""
    moments = sorted(starts)
    return max(sum(start <= each < start + period - 1e-6 for each in moments) for start in moments)


def _row(
    name: str, what: str, *rules: str, check: Check, act: Callable[[World], Awaitable[None]] = kill, **rest: Any
) -> Row:
    text = "".join(RULE.format(name=rule, key=RULES[rule]) for rule in rules)
    return Row(name, f"kills at random, with {what}", act, check=check, options={"rules": text}, **rest)


ROWS = (
    _row("once", "`once`", "once", check=checks("once", check_once), usual="postgres"),
    _row("order", "`order`", "order", check=checks("order", check_order), ledgers=("postgres",)),
    _row("debounce", "`debounce`, last and all", "last", "all", check=check_debounce, usual="postgres"),
    _row("thread", "`thread`", "thread", check=checks("thread", check_thread), usual="postgres"),
    _row("limit", "`limit`", "limit", check=check_limit, act=kill_slowly, usual="postgres"),
)
