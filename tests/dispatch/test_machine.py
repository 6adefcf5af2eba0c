"""One chat per dispatch, told once per run, whatever happens in whatever order.

Hypothesis drives two relays (real workers, reconcilers and gates on one real ledger) and a model of Cargo that may
make a chat and lose the answer, make it late, or list it late, though never later than `settle` after the connection
ended: that much the relay takes for granted. Time moves only when a rule moves it.
"""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.dispatch import Gate, Policy, Reconciler, Worker
from relay.errors import Conflict, Denied, Permanent, Retryable, Unknown
from relay.ledger import SqlLedger, Terms
from relay.ledger import migrate as steps
from relay.ledger.sqlite import MEMORY, SqliteStore
from relay.model import (
    LIVE,
    Chat,
    Dispatch,
    Entry,
    Event,
    EventQuery,
    EventStatus,
    Message,
    Page,
    ResultType,
    Settled,
    State,
    new_id,
)
from relay.telemetry import Metrics

POLICY = Policy(timeout=30_000, first=1_000, cap=60_000, give_up_after=600_000, settle=60_000, random=lambda: 0.5)
START = 1_800_000_000_000
PAGE = 2
STEPS = (1, 1_000, 20_000, 42_000, 60_000, 300_000)
PICKS = st.integers(0, 9)
WHICH = st.integers(0, 1)
THEN = st.none() | st.tuples(st.sampled_from(STEPS), WHICH)
BADLY = st.sampled_from([False, False, True])
HOWS = ("success", "success", "success", "retryable", "permanent", "denied")
KINDS = ("plain", "plain", "message", "draft")


@dataclass(eq=False)
class Call:
    """A creation or a message on its way; `answer` is what the caller gets, unless its process is dead."""

    process: "Process"
    task: "asyncio.Task[None]"
    answer: "asyncio.Future[object]"
    until: int
    body: dict = field(default_factory=dict)
    chat: Chat | None = None
    said_in: str | None = None


class Cargo:
    """Chats and messages as they are, and calls that wait until a rule answers them."""

    def __init__(self, clock, skew):
        self.clock = clock
        self.skew = skew
        self.chats = {}
        self.seen_from = {}
        self.made_for = Counter()
        self.messages = Counter()
        self.calls = []
        self.bell = asyncio.Event()
        self.list_fails = False
        self.denies = False
        self.numbers = count(1)

    def make(self, call, at):
        """The chat of a call comes to be and is listed, both at a moment that may lie ahead."""
        trigger = call.body["trigger"]
        stamp = trigger.get("meta", {}).get("relay")
        call.chat = Chat(
            uuid=f"chat-{next(self.numbers)}",
            created_at=at + self.skew,
            name=call.body.get("name") or "A name that Cargo gave",
            agent_uuid="agent-1",
            trigger_type=trigger["type"],
            stamp=stamp and (stamp["dispatch"], stamp["run"]),
        )
        self.chats[call.chat.uuid] = call.chat
        self.seen_from[call.chat.uuid] = at
        self.made_for[call.body["for"]] += 1

    def page(self, trigger_type, after, before, offset):
        if self.list_fails:
            raise Unknown("the list is away")
        shown = [
            chat
            for chat in self.chats.values()
            if chat.trigger_type == trigger_type
            and after <= chat.created_at <= before
            and self.seen_from[chat.uuid] <= self.clock()
        ]
        rows = shown[offset : offset + PAGE]
        return Page(tuple(rows), len(rows))

    async def wait(self, process, **rest):
        call = Call(
            process,
            asyncio.current_task(),
            asyncio.get_running_loop().create_future(),
            self.clock() + POLICY.timeout,
            **rest,
        )
        self.calls.append(call)
        self.bell.set()
        return await call.answer


@dataclass(eq=False)
class Connection:
    """Cargo as one relay reaches it (the port Chats)."""

    process: "Process"
    cargo: Cargo

    async def create(self, body):
        return await self.cargo.wait(self.process, body=json.loads(body))

    async def say(self, chat_uuid, text, agent_uuid):
        return await self.cargo.wait(self.process, said_in=chat_uuid)

    async def chats(self, trigger_type, after, before, offset):
        return self.cargo.page(trigger_type, after, before, offset)

    async def messages(self, chat_uuid):
        return [Message(f"m{number}", "user", "success") for number in range(self.cargo.messages[chat_uuid])]

    async def probe(self):
        if self.cargo.denies:
            raise Denied("no", status=401)


class Mortal:
    """The ledger as one process reaches it. It may die at one of its calls, before or after that is committed."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.left = None
        self.after = False
        self.dead = asyncio.Event()

    def __getattr__(self, name):
        async def call(*args, **kwargs):
            if self.left is not None:
                self.left -= 1
            dying = self.left is not None and self.left <= 0
            if dying and not self.after:
                self.dead.set()
            await self._unless_dead()
            answer = await getattr(self.ledger, name)(*args, **kwargs)
            if dying:
                self.dead.set()
            await self._unless_dead()
            return answer

        return call

    async def _unless_dead(self):
        if self.dead.is_set():
            await asyncio.get_running_loop().create_future()


class Process:
    """One relay."""

    def __init__(self, store, cargo, clock, name):
        self.ledger = SqlLedger(store, Terms(owner=name, lease=POLICY.lease))
        self.mortal = Mortal(self.ledger)
        chats = Connection(self, cargo)
        self.gate = Gate(self.mortal, chats, POLICY, sleep=_no_wait, opened=_nothing)
        rest = {"clock": clock, "sleep": _no_wait, "metrics": Metrics(), "told": _nothing}
        self.worker = Worker(self.mortal, chats, self.gate, POLICY, concurrency=8, boottime=clock, **rest)
        self.reconciler = Reconciler(self.mortal, chats, self.gate, POLICY, freed=_nothing, **rest)

    def busy(self):
        return set() if self.mortal.dead.is_set() else set(self.worker._calls)


async def _no_wait(_seconds):
    return None


def _choose(pick, items):
    return items[pick % len(items)]


def _nothing(*_):
    return None


class Relays(RuleBasedStateMachine):
    """Two relays, a Cargo, a person, a broker; and a clock."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = START
        self.names = count(1)
        self.events = []
        self.kinds = {}
        self.given_up_on = set()
        self.published = Counter()
        self.loop.run_until_complete(self._open())

    def clock(self):
        return self.now

    async def _open(self):
        self.store = SqliteStore(MEMORY, clock=self.clock)
        await self.store.write(steps.upgrade)
        self.ledger = SqlLedger(self.store, Terms(owner="person", lease=POLICY.lease))
        self.cargo = Cargo(self.clock, 0)
        self.processes = [self._start(), self._start()]
        self.gone = []

    def _start(self):
        return Process(self.store, self.cargo, self.clock, f"relay-{next(self.names)}")

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    async def _do(self, process, coroutine):
        """Something a process does, to its end or to that of the process."""
        task = asyncio.create_task(coroutine)
        process.worker._calls.add(task)
        task.add_done_callback(process.worker._calls.discard)
        await self._until_quiet()

    async def _until_quiet(self):
        """Everything in the living processes has ended or waits for Cargo; who died is replaced."""
        while True:
            waiting = {call.task for call in self.cargo.calls}
            busy = set().union(*(process.busy() for process in self.processes)) - waiting
            self._bury()
            if not busy:
                return
            self.cargo.bell.clear()
            bell = asyncio.create_task(self.cargo.bell.wait())
            deaths = [asyncio.create_task(process.mortal.dead.wait()) for process in self.processes]
            ended, _ = await asyncio.wait({bell, *deaths, *busy}, return_when=asyncio.FIRST_COMPLETED)
            for task in ended & busy:
                task.result()
            for watch in (bell, *deaths):
                watch.cancel()

    def _bury(self):
        for place, process in enumerate(self.processes):
            if process.mortal.dead.is_set():
                self.gone.append(process)
                self.processes[place] = self._start()

    # what comes in

    @initialize(skew=st.sampled_from([-300_000, 0]), kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=2))
    def begin(self, skew, kinds):
        self.cargo.skew = skew
        for kind in kinds:
            self.accept(kind)

    @precondition(lambda self: len(self.events) < 4)
    @rule(kind=st.sampled_from(KINDS))
    def accept(self, kind):
        event = self._event(f"ext-{len(self.events)}")
        body = {"trigger": {"type": "draft" if kind == "draft" else "connector"}, "for": new_id()}
        dispatch = Dispatch(
            body["for"],
            event.id,
            event.source,
            "urgent",
            json.dumps(body),
            message="Hello" if kind == "message" else None,
            trigger_type=body["trigger"]["type"],
        )
        self.kinds[dispatch.id] = kind
        self.events.append(event)
        self.run(self.ledger.accept([Entry(event, EventStatus.ACCEPTED, (dispatch,))]))

    def _event(self, external_id):
        raw = b"{}"
        return Event(new_id(), "helpdesk", external_id, "ticket", {}, raw, sha256(raw).digest(), self.now)

    @rule(pick=PICKS)
    def accept_a_duplicate(self, pick):
        first = _choose(pick, self.events)
        event = self._event(first.external_id)
        dispatch = Dispatch(new_id(), event.id, event.source, "urgent", "{}")
        [receipt] = self.run(self.ledger.accept([Entry(event, EventStatus.ACCEPTED, (dispatch,))]))
        assert (receipt.id, receipt.status) == (first.id, EventStatus.DUPLICATE)

    # what the relays do

    @rule(after=st.sampled_from(STEPS), which=WHICH)
    def go_on(self, after, which):
        """A while later one of them follows the pauses, reconciles, claims."""
        process = self.processes[which]
        self.now += after
        for act in (self._follow, self._reconcile, self._claim):
            self.run(self._do(process, act(process)))

    @rule(which=WHICH, left=st.integers(0, 4), after=st.booleans())
    def die(self, which, left, after):
        """At once, or at one of the next calls of the ledger."""
        mortal = self.processes[which].mortal
        mortal.left, mortal.after = left, after
        if not left:
            mortal.dead.set()
            self._bury()

    async def _follow(self, process):
        await process.gate.look()
        if process.gate.paused and not self.cargo.denies:
            await process.gate._probe_until_open()

    async def _reconcile(self, process):
        await process.reconciler.turn()

    async def _claim(self, process):
        if room := process.worker._room():
            await process.worker._claim(room)

    # what Cargo does

    @precondition(lambda self: self.cargo.calls)
    @rule(pick=PICKS, lag=st.sampled_from([0, 20_000, POLICY.settle]))
    def make_a_chat_and_keep_quiet(self, pick, lag):
        call = _choose(pick, self.cargo.calls)
        if call.said_in is None and call.chat is None and self.now <= call.until:
            self.cargo.make(call, self.now + lag)

    @precondition(lambda self: self.cargo.calls)
    @rule(pick=PICKS, how=st.sampled_from(HOWS), then=THEN)
    def answer(self, pick, how, then):
        self.run(self._answer(_choose(pick, self.cargo.calls), how, None))
        self._then(then)

    def _then(self, then):
        if then is not None:
            self.go_on(*then)

    @precondition(lambda self: self.cargo.calls)
    @rule(pick=PICKS, late=st.sampled_from([None, 0, 20_000, POLICY.settle]), then=THEN)
    def lose_the_answer(self, pick, late, then):
        self.run(self._answer(_choose(pick, self.cargo.calls), "lost", late))
        self._then(then)

    async def _answer(self, call, how, late):
        """`late`: when, after the loss of its answer, the chat comes to be after all; None for never."""
        self.cargo.calls.remove(call)
        answer = (self._created if call.said_in is None else self._said)(call, how, late)
        if not call.process.mortal.dead.is_set():
            if isinstance(answer, Exception):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)
        await self._until_quiet()

    def _created(self, call, how, late):
        if call.chat is None and self.now <= call.until and (how == "success" or (how == "lost" and late is not None)):
            self.cargo.make(call, self.now + (late or 0) if how == "lost" else self.now)
        if how == "lost" or call.chat is not None or how == "success":
            return call.chat if how == "success" and call.chat else Unknown("cut off")
        return self._refuse(how)

    def _said(self, call, how, late):
        arrives = self.now <= call.until and (how == "success" or (how == "lost" and late is not None))
        self.cargo.messages[call.said_in] += arrives
        if how in {"success", "lost"}:
            return "message-1" if how == "success" and arrives else Unknown("cut off")
        return self._refuse(how)

    def _refuse(self, how):
        if how == "denied":
            return Denied("no", status=401)
        return Retryable("busy", status=429) if how == "retryable" else Permanent("no", status=422)

    @rule(list_fails=BADLY, denies=BADLY, paused=BADLY)
    def change_the_weather(self, list_fails, denies, paused):
        self.cargo.list_fails, self.cargo.denies = list_fails, denies
        self.run((self.ledger.pause if paused else self.ledger.resume)("unauthorized"))

    # what people do

    @rule(pick=PICKS, act=st.sampled_from(["retry", "retry", "cancel"]), then=THEN)
    def act_by_hand(self, pick, act, then):
        view = _choose(pick, self._views())
        try:
            (self._retry if act == "retry" else self._cancel)(view)
        except Conflict:
            assert act == "cancel" or view.state in LIVE | {State.DONE}
            assert act == "retry" or view.state in {State.DONE, State.FAILED, State.CANCELLED, State.MESSAGING}
        self._then(then)

    def _cancel(self, view):
        self.run(self.ledger.cancel(view.id))
        if view.state is State.PARKED:
            self.given_up_on.add(view.id)

    def _retry(self, view):
        started = self.run(self.ledger.retry(view.id, None))
        assert started.run == view.run + 1
        self.given_up_on.discard(view.id)

    # what the broker gets

    @rule(limit=st.integers(1, 5), confirmed=st.booleans(), dies=st.booleans())
    def publish(self, limit, confirmed, dies):
        for due in self.run(self.ledger.due(limit)):
            self.published[due.result.id] += 1
            if not dies:
                settled = Settled(due.result.id, due.destination, confirmed=confirmed, retry_in=1_000)
                self.run(self.ledger.settle(settled))

    # what always holds

    def _views(self):
        page = self.run(self.ledger.events(EventQuery()))
        return [view for event in reversed(page.events) for view in event.dispatches]

    def _told(self):
        return {result.id: result for _, result in self.run(self.ledger.follow(0, 1_000))}

    @invariant()
    def one_event_has_one_dispatch(self):
        assert [view.event_id for view in self._views()] == [event.id for event in self.events]

    @invariant()
    def no_dispatch_has_two_chats(self):
        assert not {
            view: self.cargo.made_for[view.id]
            for view in self._views()
            if self.cargo.made_for[view.id] > self._most(view)
        }

    def _most(self, view):
        """Without a stamp only a person can tell, and says so by each retry."""
        return view.run if self.kinds[view.id] == "draft" else 1

    @invariant()
    def no_chat_has_two_first_messages(self):
        assert not {chat: number for chat, number in self.cargo.messages.items() if number > 1}

    @invariant()
    def what_is_done_has_its_chat_and_what_failed_has_none(self):
        for view in self._views():
            assert view.duplicates == () or view.id in self.given_up_on
            if view.state in {State.DONE, State.MESSAGING}:
                assert view.chat_uuid in self.cargo.chats
                assert self.cargo.made_for[view.id] >= 1
            elif view.state in {State.FAILED, State.CANCELLED} and view.id not in self.given_up_on:
                assert self.cargo.made_for[view.id] < self._most(view)

    @invariant()
    def each_end_is_told_once_per_run(self):
        told = self._told()
        for view in self._views():
            assert {name: told[name].type for name in told if told[name].dispatch_id == view.id} == self._due(
                view, told
            )
            if view.chat_uuid:
                assert told[f"{view.id}.{view.run}"].chat_uuid == view.chat_uuid

    def _due(self, view, told):
        """The results that there must be, of this run and of those before."""
        before = {
            f"{view.id}.{run}{suffix}": kind
            for run in range(1, view.run)
            for suffix, kind in (("", ResultType.FAILED), (".parked", ResultType.PARKED))
            if f"{view.id}.{run}{suffix}" in told
        }
        assert {int(name.split(".")[1]) for name in before} == set(range(1, view.run)), "each run before has its end"
        mine = f"{view.id}.{view.run}"
        now = {
            State.DONE: {mine: ResultType.CREATED},
            State.MESSAGING: {mine: ResultType.CREATED},
            State.PARKED: {f"{mine}.parked": ResultType.PARKED},
            State.FAILED: {mine: ResultType.FAILED},
            State.CANCELLED: {mine: ResultType.FAILED},
        }.get(view.state, {})
        if view.state in {State.CANCELLED, State.DONE, State.MESSAGING} and f"{mine}.parked" in told:
            now |= {f"{mine}.parked": ResultType.PARKED}
        if view.state is State.DONE and self.kinds[view.id] == "message":
            now |= {f"{mine}.message": told[f"{mine}.message"].type}
        return before | now

    # how it ends

    def teardown(self):
        try:
            self._heal()
        finally:
            self.run(self._close())
            self.loop.close()

    def _heal(self):
        """When all is well again, everything comes to an end by itself, and is told."""
        self.cargo.list_fails = self.cargo.denies = False
        for reason in self.run(self.ledger.pauses()):
            self.run(self.ledger.resume(reason))
        for _ in range(60):
            self.now += POLICY.settle + 1_000
            for which in (0, 1):
                self.go_on(0, which)
            for call in list(self.cargo.calls):
                self.run(self._answer(call, "success", None))
            self.publish(100, confirmed=True, dies=False)
            gauges = self.run(self.ledger.gauges())
            if not gauges.unfinished and not gauges.unpublished:
                break
        self._check_the_end(gauges)

    def _check_the_end(self, gauges):
        assert (gauges.unfinished, gauges.unpublished, gauges.due) == (0, 0, 0)
        assert set(self.published) == set(self._told())
        for view in self._views():
            assert view.state in {State.DONE, State.FAILED, State.CANCELLED, State.PARKED}
        self.no_dispatch_has_two_chats()
        self.no_chat_has_two_first_messages()
        self.what_is_done_has_its_chat_and_what_failed_has_none()
        self.each_end_is_told_once_per_run()

    async def _close(self):
        for process in (*self.processes, *self.gone):
            process.mortal.dead.set()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.01)
        await self.ledger.aclose()


TestRelays = Relays.TestCase
TestRelays.settings = settings(max_examples=50, stateful_step_count=40, deadline=None, derandomize=True)
