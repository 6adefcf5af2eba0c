"""Two relays, Cargo, people, the broker and the clock: everything that any of them may do, in any order."""

import json
from collections import Counter
from hashlib import sha256

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.errors import Conflict
from relay.model import (
    LIVE,
    UNSTAMPED,
    Dispatch,
    Entry,
    Event,
    EventQuery,
    EventStatus,
    Recorded,
    Settled,
    State,
    new_id,
)
from tests.dispatch.cargo import POLICY
from tests.dispatch.promises import Promises
from tests.dispatch.relays import Relays

STEPS = (1, 1_000, 20_000, 42_000, 60_000, 300_000)
SKEWS = st.sampled_from([-300_000, 0, 90_000, 300_000])
LATE = st.sampled_from([0, 20_000, POLICY.settle])
PICKS = st.integers(0, 9)
WHICH = st.integers(0, 1)
BLIND = st.booleans()
THEN = st.none() | st.tuples(st.sampled_from(STEPS), WHICH)
WEATHER = st.sampled_from(["fair", "fair", "fair", "the list fails", "we are denied", "all is paused"])
HOWS = (*["success"] * 3, *["lost"] * 5, "retryable", "permanent", "denied", "unfinished")
KINDS = ("plain", "plain", "message", "message", "draft", "bare")
ACTS = (("cancel", "retry"), ("retry",), ("cancel",))


def choose(pick, items):
    return items[pick % len(items)]


class Machine(RuleBasedStateMachine):
    """On one store, which it empties first. `reached` counts how often it came to what it is for."""

    def __init__(self, loop, store):
        super().__init__()
        self.reached = Counter()
        self.loop = loop
        self.clock = store.clock
        self.events = []
        self.runs = {}
        self.published = Counter()
        self.relays = Relays(store, self._saw)
        self.run(self.relays.open())
        self.ledger, self.cargo = self.relays.ledger, self.relays.cargo
        self.promises = Promises(self.cargo)

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def _saw(self, move, recorded):
        looked, late = move.was is State.CHECKING, recorded.how is Recorded.ADOPTED
        unstamped = move.failure is not None and move.failure.code == UNSTAMPED
        kind, run = self.promises.kinds[move.dispatch_id], self.runs[move.dispatch_id]
        self.reached.update(
            {
                "absence is proved in a run begun by hand": looked and move.run > 1 and move.to is State.WAITING,
                "a chat is found in a run begun by hand": looked and move.run > 1 and move.chat is not None,
                "a crash in a call that takes no stamp": unstamped and kind == "draft",
                "a stamp that is not carried back": unstamped and kind == "bare",
                "a chat that comes late": late and move.run == run,
                "a chat that comes late, of a run before": late and move.run < run,
                "a chat made by a clock that is ahead": move.reconciled and move.chat.created_at > self.clock.now,
                "a message is looked for and found": self.cargo.asked_after[True],
                "a message is looked for in vain": self.cargo.asked_after[False],
            }
        )

    # what comes in

    @initialize(skew=SKEWS, kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=2))
    def begin(self, skew, kinds):
        self.cargo.skew = skew
        for kind in kinds:
            self.accept(kind, swift=True)

    @precondition(lambda self: len(self.events) < 4)
    @rule(kind=st.sampled_from(KINDS), swift=st.booleans())
    def accept(self, kind, swift):
        """Swift, it is sent at once; one with a message has its chat, and the message is under way."""
        event = self._event(f"ext-{len(self.events)}")
        trigger = {"type": "draft" if kind == "draft" else "connector"}
        body = {"trigger": trigger, "for": new_id(), "kind": kind}
        text, message = json.dumps(body), "Hello" if kind == "message" else None
        dispatch = Dispatch(
            body["for"], event.id, event.source, "urgent", text, message=message, trigger_type=trigger["type"]
        )
        self.promises.kinds[dispatch.id], self.runs[dispatch.id] = kind, 1
        self.events.append(event)
        self.run(self.ledger.accept([Entry(event, EventStatus.ACCEPTED, (dispatch,))]))
        if swift:
            self.go_on(1, 0)
        if swift and message:
            self._answer_all(lambda call: call.body.get("for") == dispatch.id)
            self.go_on(1, 0)

    def _answer_all(self, wanted):
        for call in filter(wanted, list(self.cargo.calls)):
            self.run(self.relays.answer(call, "success", None))

    def _event(self, external_id):
        raw = b"{}"
        return Event(new_id(), "helpdesk", external_id, "ticket", {}, raw, sha256(raw).digest(), self.clock.now)

    @rule(pick=PICKS)
    def accept_a_duplicate(self, pick):
        first = choose(pick, self.events)
        event = self._event(first.external_id)
        dispatch = Dispatch(new_id(), event.id, event.source, "urgent", "{}")
        [receipt] = self.run(self.ledger.accept([Entry(event, EventStatus.ACCEPTED, (dispatch,))]))
        assert (receipt.id, receipt.status) == (first.id, EventStatus.DUPLICATE)

    # what the relays do

    @rule(after=st.sampled_from(STEPS), which=WHICH)
    def go_on(self, after, which):
        """A while later one of them goes on."""
        self.clock.now += after
        self.run(self.relays.turn(which))

    @rule(which=WHICH, blind=BLIND)
    def outlast(self, which, blind):
        """One of them goes on until what the other had begun is over, its lease of the scan too, and has settled.

        What it begins meanwhile is done. Blind, while the list fails, it goes on until its patience is over.
        """
        begun = list(self.cargo.calls)
        before, self.cargo.list_fails = self.cargo.list_fails, blind
        for after in (42_000, 120_000, POLICY.give_up_after if blind else 1):
            self.go_on(after, which)
            self._answer_all(lambda call: call not in begun)
        self.cargo.list_fails = before

    @rule(which=WHICH, left=st.integers(0, 4), after=st.booleans())
    def die(self, which, left, after):
        self.relays.kill(which, left, after=after)

    @rule(late=st.none() | LATE)
    def restart(self, late):
        """As after a power cut; what was under way arrives late, or, with None, never."""
        for call in self.cargo.calls:
            if late is not None:
                self.cargo.do(call, late)
        self.run(self.relays.restart())

    # what Cargo does

    @precondition(lambda self: self.cargo.calls)
    @rule(pick=PICKS, late=LATE)
    def do_it_and_keep_quiet(self, pick, late):
        self.cargo.do(choose(pick, self.cargo.calls), late)

    @precondition(lambda self: self.cargo.calls)
    @rule(pick=PICKS, late=LATE, which=WHICH, blind=BLIND, acts=st.sampled_from([*ACTS, ()]), sleeps_on=st.booleans())
    def sleep(self, pick, late, which, blind, acts, sleeps_on):
        """A caller's machine sleeps, the answer at its door, until others have judged, people perhaps too."""
        call = choose(pick, self.cargo.calls)
        self.cargo.do(call, late)
        self.outlast(which, blind)
        self._act(call.body.get("for"), acts)
        if sleeps_on:
            self.go_on(1_000, which)
        elif call in self.cargo.calls:
            self.run(self.relays.answer(call, "success", None))

    @precondition(lambda self: self.cargo.calls)
    @rule(pick=PICKS, how=st.sampled_from(HOWS), late=st.none() | LATE, then=THEN)
    def answer(self, pick, how, late, then):
        """When the answer is lost, what was asked for is done all the same, late, or, with None, never."""
        self.run(self.relays.answer(choose(pick, self.cargo.calls), how, late))
        self._then(then)

    @precondition(lambda self: self._said())
    @rule(late=LATE, how=st.sampled_from(["lost", "asleep", "restart"]), after=st.sampled_from(STEPS), which=WHICH)
    def hear_late(self, late, how, after, which):
        """A message is heard, but late; meanwhile a relay goes on, and what it says is heard at once."""
        first = self._said()[0]
        self.cargo.do(first, late)
        if how == "lost":
            self.run(self.relays.answer(first, "lost", None))
        elif how == "restart":
            self.run(self.relays.restart())
        self.go_on(after, which)
        self._answer_all(lambda call: call in self._said() and call is not first)

    def _said(self):
        return [call for call in self.cargo.calls if call.chat is not None]

    def _then(self, then):
        if then is not None:
            self.go_on(*then)

    @rule(now=WEATHER)
    def change_the_weather(self, now):
        self.cargo.list_fails, self.cargo.denies = now == "the list fails", now == "we are denied"
        self.run((self.ledger.pause if now == "all is paused" else self.ledger.resume)("unauthorized"))

    # what people do

    @rule(pick=PICKS, parked=st.booleans(), acts=st.sampled_from(ACTS), then=THEN)
    def act_by_hand(self, pick, parked, acts, then):
        """On any dispatch, or on one that waits for it."""
        views = self._views()
        waiting = [view for view in views if view.state is State.PARKED]
        self._act(choose(pick, waiting if parked and waiting else views).id, acts)
        self._then(then)

    def _act(self, dispatch_id, acts):
        for act in acts:
            for view in self._views():
                if view.id == dispatch_id:
                    (self._retry if act == "retry" else self._cancel)(view)

    def _cancel(self, view):
        try:
            self.run(self.ledger.cancel(view.id))
        except Conflict:
            assert view.state in {State.DONE, State.FAILED, State.CANCELLED, State.MESSAGING}
            return
        if view.state is State.PARKED:
            self.promises.given_up_on.add(view.id)

    def _retry(self, view):
        try:
            started = self.run(self.ledger.retry(view.id, None))
        except Conflict:
            assert view.state in LIVE | {State.DONE}
            return
        assert started.run == view.run + 1
        self.runs[view.id] = started.run
        self.promises.given_up_on.discard(view.id)

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
    def the_promises_hold(self):
        views = self._views()
        assert [view.event_id for view in views] == [event.id for event in self.events]
        self.promises.check(views, self._told())

    # how it ends

    def teardown(self):
        try:
            self._heal()
        finally:
            self.run(self.relays.close())

    def _heal(self):
        """When all is well again, everything comes to an end by itself, and is told."""
        self.cargo.list_fails = self.cargo.denies = False
        for reason in self.run(self.ledger.pauses()):
            self.run(self.ledger.resume(reason))
        for _ in range(60):
            self.clock.now += POLICY.settle + 1_000
            for which in (0, 1):
                self.go_on(0, which)
            self._answer_all(bool)
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
        self.the_promises_hold()
