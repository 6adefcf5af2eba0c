"""Two relays (real workers, reconcilers and gates) on one real ledger. They die anywhere; time moves only when told."""

import asyncio
from dataclasses import dataclass
from functools import partial
from itertools import count

from sqlalchemy import delete, insert

from relay.dispatch import Gate, Reconciler, Worker
from relay.ledger import SqlLedger, Terms
from relay.ledger.engine import migrate as steps
from relay.ledger.engine.sqlite import MEMORY, SqliteStore
from relay.ledger.queries import work
from relay.ledger.schema import counters, metadata
from relay.life import Signals
from relay.telemetry import Metrics
from tests.dispatch.cargo import POLICY, Cargo, Connection

START = 1_800_000_000_000


@dataclass
class Clock:
    """Everybody's, in milliseconds."""

    now: int = START

    def __call__(self):
        return self.now


class Inline(SqliteStore):
    """Commits where it is called, as there is no disk to wait for; made once and emptied, which is faster."""

    def __init__(self):
        self.clock = Clock()
        super().__init__(MEMORY, clock=self.clock)

    async def _in_thread(self, thread, call, *args):
        return call(*args)

    async def empty(self):
        """As new, at the beginning of time."""
        self.clock.now = START
        await self.write(empty)


def empty(conn, _):
    for table in metadata.sorted_tables:
        conn.execute(delete(table))
    names = ("pace", "paused", "paused_since", "position")  # as the first migration inserts them
    conn.execute(insert(counters), [{"name": name, "value": 0} for name in names])


async def open_store():
    store = Inline()
    await store.write(steps.upgrade)
    return store


class Mortal:
    """The ledger as one process reaches it. It may die at one of its calls, before or after that is committed.

    `saw` is told each move and what the ledger did with it.
    """

    def __init__(self, ledger, saw):
        self.ledger = ledger
        self.saw = saw
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
            if name == "record":
                self.saw(args[0], answer)
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

    def __init__(self, store, cargo, clock, name, saw):
        self.mortal = Mortal(SqlLedger(store, terms(name)), saw)
        chats = Connection(self, cargo)
        self.acts = set()
        signals = Signals()
        self.gate = Gate(self.mortal, chats, POLICY, signals, boottime=clock)
        rest = {"clock": clock, "boottime": clock, "metrics": Metrics()}
        self.worker = Worker(self.mortal, chats, self.gate, POLICY, signals, concurrency=8, **rest)
        self.reconciler = Reconciler(self.mortal, chats, self.gate, POLICY, signals, **rest)

    @property
    def dead(self):
        return self.mortal.dead.is_set()

    def busy(self):
        return set() if self.dead else {*self.worker._calls, *self.acts}

    async def claim(self):
        if room := self.worker._room():
            await self.worker._claim(room)


class Relays:
    """Two processes, who died replaced by another, and the store that they share."""

    def __init__(self, store, saw):
        self.store = store
        self.clock = store.clock
        self.saw = saw
        self.names = count(1)

    async def open(self):
        await self.store.empty()
        self.ledger = SqlLedger(self.store, terms("person"))
        self.ledger._settle.patience = 0  # there is no company to wait for
        self.cargo = Cargo(self.clock)
        self.processes = [self._start(), self._start()]
        self.gone = []

    async def close(self):
        for process in (*self.processes, *self.gone):
            process.mortal.dead.set()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.01)

    def _start(self):
        return Process(self.store, self.cargo, self.clock, f"relay-{next(self.names)}", self.saw)

    async def turn(self, which):
        """One of them follows the pauses, reconciles, claims."""
        process = self.processes[which]
        for act in (process.gate.turn, process.reconciler.turn, process.claim):
            await self._do(process, act())

    async def answer(self, call, how, late):
        """The call ends; its process, if it lives, goes on from there."""
        self.cargo.calls.remove(call)
        answer = self.cargo.judge(call, how, late)
        if not call.process.dead:
            (call.answer.set_exception if isinstance(answer, Exception) else call.answer.set_result)(answer)
        await self.until_quiet()

    def kill(self, which, left, *, after):
        """At once, or at one of its next calls of the ledger, before or after that is committed."""
        mortal = self.processes[which].mortal
        mortal.left, mortal.after = left, after
        if not left:
            mortal.dead.set()
            self._bury()

    async def restart(self):
        """All die, and with them their connections; the next one finds itself alone on the ledger, as on a file."""
        for process in self.processes:
            process.mortal.dead.set()
        for call in self.cargo.calls:
            call.until = min(call.until, self.clock() - 1)
        self._bury()
        await self.store.write(partial(work.void, terms=terms("person")))

    async def _do(self, process, coroutine):
        """Something a process does, to its end or to that of the process."""
        task = asyncio.create_task(coroutine)
        process.acts.add(task)
        task.add_done_callback(process.acts.discard)
        await self.until_quiet()

    async def until_quiet(self):
        """Everything in the living processes has ended or waits for Cargo."""
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
            if process.dead:
                self.gone.append(process)
                self.processes[place] = self._start()


def terms(name):
    return Terms(owner=name, lease=POLICY.lease, settle=POLICY.settle)
