"""How long each page of the console takes with a long history while events come in, and what that costs their senders.

Times are those of a client on this machine, one page at a time: what waits for the event loop is in them. Senders'
answers are measured while people look at pages, and while a program asks for page after page without a pause.
"""

import asyncio
import itertools
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import uvloop
from sqlalchemy import Connection

from relay.ledger import SqlLedger, Terms, open_ledger
from relay.ledger.queries import rates
from relay.model import Claim, Entry, EventQuery, EventStatus, Failure, Labels, Move, State
from tests.bench.contest import POSTGRES, SQLITE
from tests.bench.history import LOT, UNLIMITED, vacuum
from tests.bench.load import send
from tests.bench.processes import cargo, running
from tests.bench.report import Aim, Report
from tests.bench.servers import Servers
from tests.bench.sizes import Sizes
from tests.ledger.build import created, make_chat, make_entry, move

MINUTES = 30 * 24 * 60
"""What is kept of them."""
NOTE = "x" * 700
FAILED, PARKED, UNMATCHED = 97, 997, 23
"""Every so many events are these."""
AIM = Aim("at most", 100, "ms")
LOOK_EVERY = 0.2
"""Seconds between two pages of people: some ten of them, who read what they asked for."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What one event in the middle of the history is found by."""

    event_id: str
    subject: str
    chat: str


def bench_pages(report: Report, sizes: Sizes, folder: Path, servers: Servers) -> None:
    with cargo(folder, 20) as made_at, servers.database.database() as database:
        for name, ledger in ((SQLITE, f"sqlite:///{folder}/pages.db"), (POSTGRES, database)):
            marks = uvloop.run(_fill(ledger, sizes.many))
            if name == POSTGRES:
                asyncio.run(vacuum(ledger))
            with running(folder / name, cargo=made_at, ledger=ledger) as service:
                _measure(report, sizes, name, service.url("hooks"), service.url("ops"), marks)


def _measure(report: Report, sizes: Sizes, name: str, hooks: str, ops: str, marks: Marks) -> None:
    """Events come in all the time: while nobody looks, while people do, and while a program does."""
    count = sizes.rate * sizes.seconds
    answers: dict[str, list[float]] = {"nobody": [], "people": [], "a program": []}
    taken: defaultdict[str, list[float]] = defaultdict(list)
    paths = itertools.cycle(_paths(ops, marks))
    with ThreadPoolExecutor(1) as other:
        for _ in range(sizes.turns):
            for who, turn in answers.items():
                coming = other.submit(partial(send, [hooks], count, rate=sizes.rate))
                if who == "nobody":
                    wait([coming])
                while not coming.done():
                    path = next(paths)
                    taken[path].append(_look(ops + path))
                    if who == "people":
                        wait([coming], LOOK_EVERY)
                turn.append(coming.result()["p99"])
        while (path := next(paths)) not in taken:
            taken[path].append(_look(ops + path))
    for who, aim in (("people", Aim("at most", 1.2)), ("a program", None)):
        what = f"{name}, answer p99 while {who} {'look' if who == 'people' else 'looks'} at pages"
        report.compare(what, answers[who], "ms", "without", answers["nobody"], aim)
    slowest = max(taken, key=lambda path: median(taken[path]))
    report.value(f"{name}, slowest page, p50 ({slowest[:60]})", median(taken[slowest]), "ms", AIM)
    rows = []
    for path, times in taken.items():
        report.record(f"{name}, {path}, p50", median(times), "ms")
        report.record(f"{name}, {path}, max", max(times), "ms")
        rows.append([path[:76], f"{median(times):.0f}", f"{max(times):.0f}", str(len(times))])
    report.table((f"{name}, {sizes.many:,} events", "p50 ms", "max", "times"), rows)


def _look(url: str) -> float:
    """Milliseconds until a page is there, or says that it took too long."""
    began = time.perf_counter()
    try:
        with urlopen(Request(url, headers={"Accept": "text/html"}), timeout=30) as answer:
            answer.read()
    except HTTPError as error:
        with error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
    return (time.perf_counter() - began) * 1_000


def _paths(ops: str, marks: Marks) -> Iterator[str]:
    yield from ("/", "/problems", "/refused", "/sources", "/sources/crm", "/sources/crm/sample", "/rules")
    yield from ("/rules/deal", "/results", "/usage", "/acts", f"/events/{marks.event_id}", "/events")
    yield f"/events?cursor={marks.event_id}"
    for query in (
        *("status=failed", "status=parked", "status=unmatched", "status=held", "source=crm", "type=deal.won"),
        *("rule=deal", "rule=deal&status=failed", "rule=none", "type=none", "source=none", "since=1h"),
        *("label=customer:7", "label=customer:none", "subject=none", f"chat={uuid.UUID(int=7)}"),
        f"subject={quote(marks.subject)}",
        f"chat={marks.chat}",
        f"text={marks.event_id}",
        "text=Northwind",
    ):
        yield f"/events?{query}"


async def _fill(url: str, count: int) -> Marks:
    """Leave so many events behind that came within minutes, most with a chat, and minutes of a month."""
    terms = Terms("bench", publish=False, high_water=UNLIMITED)
    ledger = await open_ledger(url, terms, migrate=True)
    try:
        await ledger.make_days()
        await _fill_minutes(ledger, terms)
        for first in range(0, count, LOT):
            await ledger.accept([_entry(number) for number in range(first, min(first + LOT, count))])
            while claims := await ledger.claim(LOT):
                await asyncio.gather(*(ledger.record(_end(number, claim)) for number, claim in enumerate(claims)))
            if first <= count // 2 < first + LOT:
                marks = await _mark(ledger)
        return marks
    finally:
        await ledger.aclose()


def _entry(number: int) -> Entry:
    rules = () if number % UNMATCHED == 1 else ("deal",)
    body: dict[str, Any] = {"type": "deal.won", "id": number, "note": NOTE, "customer": f"Company {number % 999}"}
    labels = Labels({"customer": str(number % 1_000)}, {})
    entry = make_entry(source="crm", rules=rules, body=body, subject=f"deal/{number}", dispatch={"labels": labels})
    event = replace(entry.event, type="deal.won", received_at=time.time_ns() // 1_000_000)
    return replace(entry, event=event, status=EventStatus.ACCEPTED if rules else EventStatus.UNMATCHED)


def _end(number: int, claim: Claim) -> Move:
    if number % FAILED == 1:
        return move(claim, State.FAILED, failure=Failure("invalid", "Cargo refused it", 400))
    if number % PARKED == 2:
        return move(claim, State.PARKED, park="unknown")
    return created(claim, make_chat(str(uuid.uuid4())))


async def _mark(ledger: SqlLedger) -> Marks:
    page = await ledger.events(EventQuery(state=State.DONE))
    found = page.events[-1]
    return Marks(found.id, found.subject or "", found.dispatches[0].chat_uuid or "")


async def _fill_minutes(ledger: SqlLedger, terms: Terms) -> None:
    counts = {"accepted": 12_000, "chats": 11_500, "failed": 20, "refused": 3, "took_4": 11_000, "took_6": 500}
    tally = {("all", ""): counts, ("source", "crm"): counts, ("rule", "deal"): counts}

    def fill(conn: Connection, now: int, *, first: int) -> None:
        for ago in range(first, first + LOT):
            rates.count(conn, now - ago * rates.MINUTE, tally=tally, terms=terms)

    for first in range(1, MINUTES, LOT):
        await ledger.write(partial(fill, first=first), slow=True)
