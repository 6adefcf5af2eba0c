"""Runs the tests beside rules: what the rules make of an event against what the test expects of them."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import unified_diff
from pathlib import Path
from typing import Any, Final, Self

from relay.app.adapters import make_owner, make_policy, make_terms
from relay.app.clock import wall
from relay.app.dry import make_rules, read_delivery
from relay.config import Settings
from relay.config.case import Case, Expect, Given, PlacedCase
from relay.errors import RelayError
from relay.intake.entry import make_entry
from relay.ledger import SqlLedger
from relay.ledger.engine import migrate
from relay.ledger.engine.sqlite import MEMORY, SqliteStore
from relay.model import DispatchView, Event, EventDetail, EventStatus, HeldBy, State, new_id
from relay.rules import RuleSet

_JSON: Final = "application/json"
_GOING: Final = frozenset({State.READY, State.SENDING, State.MESSAGING})
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """How one test went. `diff` has a line for each difference, none when it passed; `place` is `file:line:column`."""

    name: str
    place: str
    diff: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.diff


@dataclass(slots=True)
class _Became:
    """What became of the events of one delivery: what goes now, what is held, and by rule why others do not go."""

    going: list[DispatchView] = field(default_factory=list)
    waiting: list[DispatchView] = field(default_factory=list)
    skips: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    """Of rules that make nothing, for the reader of a difference."""

    def add(self, detail: EventDetail) -> None:
        """What the ledger has of one event."""
        self.skips |= {skip.rule: str(skip.why) for skip in detail.skips}
        for view in detail.dispatches:
            if view.state in _GOING:
                self.going.append(view)
            elif view.held is not None:
                self.waiting.append(view)
                self.held[view.rule] = str(view.held.by)
                self.why[view.rule] = f"it matches, and is held by {view.held.by} (expect it under `held`)"
            else:
                self.ended[view.rule] = str(view.state)
                self.why[view.rule] = view.failure.message if view.failure else f"it has ended as {view.state}"

    def bodies(self) -> list[Any]:
        """The bodies of the chats that are made now; where none is, of those that are held."""
        waiting = [view for view in self.waiting if not _is_follow_up(view)]
        return [json.loads(view.body or "null") for view in self.going or waiting]

    def messages(self) -> list[str | None]:
        """What is said now; where nothing is, what is to be said when the hold ends."""
        if self.going:
            return [view.message for view in self.going]
        return [
            view.message if view.follow is None or not _is_follow_up(view) else view.follow for view in self.waiting
        ]


def _is_follow_up(view: DispatchView) -> bool:
    """Whether it waits for the chat of an earlier event, to go on there."""
    return view.held is not None and view.held.by is HeldBy.THREAD


class _Session:
    """The deliveries of one test, one after another, accepted into a ledger in memory by the time of each."""

    def __init__(self, settings: Settings, rules: RuleSet) -> None:
        self._settings = settings
        self._rules = rules
        self._now = 0
        self._store = SqliteStore(MEMORY, clock=lambda: self._now)
        terms = make_terms(settings, make_policy(settings), make_owner())
        # How many may start a second says only when they go.
        self._ledger = SqlLedger(self._store, replace(terms, spacing=None))

    async def __aenter__(self) -> Self:
        await self._store.write(migrate.upgrade)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._ledger.aclose()

    async def take(self, given: Given, folder: Path) -> _Became:
        """Raises RelayError or OSError where it cannot be read or accepted."""
        became = _Became()
        self._now = wall() if given.at is None else given.at
        events = self._read(given, folder)
        for event in events:
            if event.unreadable is not None:
                raise RelayError(f"the event cannot be read: {event.unreadable}")
        entries = [make_entry(event, self._rules, ids=new_id, now=self._now) for event in events]
        receipts = await self._ledger.accept(entries)
        await self._claim()
        for event, receipt in zip(events, receipts, strict=True):
            if receipt.status is EventStatus.DUPLICATE:
                raise RelayError(f"the event {event.external_id} came before: give each event an id of its own")
            became.why |= {each.rule: each.why for each in self._rules.explain(event) if not each.matched}
            became.add(await self._ledger.event(event.id))
        return became

    async def _claim(self) -> None:
        """Begin what would go now, by which `loop`, `limit` and `budget` judge and count; what goes stays under way."""
        while await self._ledger.claim(_AT_ONCE) or await self._ledger.withheld():
            pass

    def _read(self, given: Given, folder: Path) -> Sequence[Event]:
        body, headers = given.event, {name.lower(): value for name, value in given.headers.items()}
        if given.file is not None:
            raw = (folder / given.file).read_bytes()
        else:
            raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        return read_delivery(self._settings, given.source, {"content-type": _JSON} | headers, raw, new_id, self._now)


def run_tests(settings: Settings, tests: Sequence[PlacedCase]) -> list[CaseOutcome]:
    """The outcome of each test, in order. Runs an event loop of its own."""
    return asyncio.run(_run_all(settings, tests)) if tests else []


async def _run_all(settings: Settings, tests: Sequence[PlacedCase]) -> list[CaseOutcome]:
    rules = make_rules(settings)
    return [await _run(settings, rules, test) for test in tests]


async def _run(settings: Settings, rules: RuleSet, test: PlacedCase) -> CaseOutcome:
    case = test.case
    try:
        async with _Session(settings, rules) as session:
            for given in case.before:
                await session.take(given, test.folder)
            became = await session.take(case, test.folder)
    except OSError as error:
        told = f"{error.filename} cannot be read ({error.strerror}): name it from the folder of this file"
        return CaseOutcome(case.name, test.place, (told,))
    except RelayError as error:
        return CaseOutcome(case.name, test.place, (str(error),))
    return CaseOutcome(case.name, test.place, tuple(_judge(case, became)))


def _judge(case: Case, became: _Became) -> Iterator[str]:
    expect = case.expect
    going = list(dict.fromkeys(rendered.rule for rendered in became.going))
    yield from _judge_rules(expect, going, became.why)
    if expect.chat is not None:
        yield from _judge_chat(expect.chat, became.bodies(), became.held)
    if expect.message is not None:
        yield from _judge_message(expect.message, became.messages())
    for key, wanted, found in (
        ("skips", expect.skips, became.skips),
        ("held", expect.held, became.held),
        ("ended", expect.ended, became.ended),
    ):
        for rule, word in wanted.items():
            if found.get(rule) != word:
                yield f"{key}.{rule}: expected {word}, but {_became(rule, key, found, going, became.why)}"


def _judge_rules(expect: Expect, going: list[str], why: Mapping[str, str]) -> Iterator[str]:
    wanted = set(going) if expect.rules is None else set(expect.rules)
    for rule in sorted(wanted - set(going)):
        yield f"rules: {rule} makes no chat: {why.get(rule, 'it did not match')}"
    for rule in going:
        if rule not in wanted:
            yield f"rules: {rule} makes a chat, which is not expected"
        elif rule in expect.none_of:
            yield f"not: {rule} makes a chat"


def _became(rule: str, key: str, found: Mapping[str, str], going: Sequence[str], why: Mapping[str, str]) -> str:
    if rule in found:
        return f"it is {found[rule]}"
    if rule in going:
        return "its chat is made now"
    told = {"skips": "it does not skip the event", "held": "nothing is held", "ended": "nothing has ended"}[key]
    return f"{told}: {why[rule]}" if rule in why else told


def _none(held: Mapping[str, str]) -> str:
    """Where no chat is made now: of what it might have been expected."""
    return "".join(f"; {rule} is held by {by}" for rule, by in held.items())


def _judge_chat(wanted: Any, bodies: Sequence[Any], held: Mapping[str, str]) -> Iterator[str]:
    """No difference where one of the bodies has all that is wanted; else how the nearest, the first, differs."""
    parts = [_part(body, wanted) for body in bodies]
    if any(_same(part, wanted) for part in parts):
        return
    if not bodies:
        yield f"chat: there is none{_none(held)}"
        return
    yield from _diff("chat", _lines(wanted), _lines(parts[0]))


def _judge_message(wanted: str, messages: Sequence[str | None]) -> Iterator[str]:
    if wanted in messages:
        return
    if not messages:
        yield "message: there is no chat"
        return
    yield from _diff("message", wanted.splitlines(), (messages[0] or "").splitlines())


def _part(found: Any, wanted: Any) -> Any:
    """What is found, as far as it is asked for: of objects only the keys that are wanted."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return {key: _part(found[key], value) for key, value in wanted.items() if key in found}
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [_part(item, value) for item, value in zip(found, wanted, strict=True)]
    return found


def _same(found: Any, wanted: Any) -> bool:
    """As JSON: true is not 1."""
    return json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def _diff(key: str, wanted: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    yield f"{key}: - is expected, + is what the rules make"
    yield from list(unified_diff(wanted, found, lineterm="", n=3))[3:]
