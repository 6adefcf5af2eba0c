"""What does not grow: the claim with history, the accept with rules; and what one verification takes."""

import asyncio
import itertools
import sqlite3
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from relay.app.clock import boottime
from relay.intake import Intake
from relay.ledger import SqlLedger, Terms, open_ledger
from relay.life import Signals
from relay.model import new_id
from relay.rules import RuleSpec, compile_rules
from relay.schemes import Headers, Request, SchemeSpec, build
from relay.secret import Secret
from relay.telemetry import Metrics
from tests.e2e.harness import SECRET
from tests.ledger.build import make_entry, make_event
from tests.signing import sign

BATCH = 32
ROUNDS = 40
CHAT = {"name": "Ticket {{ data.ticket }}", "trigger": {"type": "draft"}}
# History as it is left behind: finished events with their dispatches, attempts and results; nothing due.
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
ID = "printf('00000000-0000-7000-8000-%012d', i)"
HISTORY = {
    "events": {
        "id": ID,
        "source": "'helpdesk'",
        "received_at": "1700000000000 + i",
        "content_type": "'application/json'",
        "headers": "'{}'",
        "raw": "CAST('{\"ticket\":1}' AS BLOB)",
        "digest": "x'00'",
        "status": "'accepted'",
    },
    "dispatches": {
        "id": ID,
        "event_id": ID,
        "source": "'helpdesk'",
        "rule": "'urgent'",
        "body": "'{}'",
        "trigger_type": "'connector'",
        "on_unknown": "'park'",
        "run": "1",
        "created_at": "1700000000000 + i",
        "state": "'done'",
        "updated_at": "1700000000000 + i",
    },
    "attempts": {
        "dispatch_id": ID,
        "run": "1",
        "kind": "'chat'",
        "number": "1",
        "started_at": "1700000000000 + i",
        "verdict": "'created'",
    },
}


def claim_costs(folder: Path) -> str:
    """(e) the time of a claim of 32 with 1, 100,000 and 1,000,000 finished dispatches."""
    costs = []
    for finished in (1, 100_000, 1_000_000):
        path = folder / f"claim-{finished}.db"
        asyncio.run(_close(path))
        _fill(path, finished)
        costs.append(f"{asyncio.run(_time_claims(path)):.2f} ms with {finished:,}")
        path.unlink()
    return f"(e) claim of {BATCH}, its commit included: {'; '.join(costs)} finished (target: flat)"


async def _close(path: Path) -> None:
    await (await open_ledger(f"sqlite:///{path}", Terms("bench"))).aclose()


def _fill(path: Path, finished: int) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA synchronous=OFF")
        for table, columns in HISTORY.items():
            numbers = NUMBERS.format(last=finished - 1)
            values = f"SELECT {', '.join(columns.values())} FROM n"
            database.execute(f"INSERT INTO {table} ({', '.join(columns)}) {numbers} {values}")
        database.commit()
    database.close()


async def _time_claims(path: Path) -> float:
    ledger = await open_ledger(f"sqlite:///{path}", Terms("bench"))
    try:
        await ledger.accept([make_entry() for _ in range(BATCH * ROUNDS)])
        return await _median(lambda: ledger.claim(BATCH))
    finally:
        await ledger.aclose()


async def _median(call: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - began) * 1_000)
    return statistics.median(taken)


def accept_costs(folder: Path) -> str:
    """(f) the time to accept a delivery of one event with 10 and 10,000 rules, half of them globs."""
    costs = [
        f"{asyncio.run(_time_accepts(folder / f'accept-{count}.db', count)):.2f} ms with {count:,}"
        for count in (10, 10_000)
    ]
    return f"(f) accept of 32 events at once, their commit included: {'; '.join(costs)} rules (target: flat)"


async def _time_accepts(path: Path, count: int) -> float:
    ledger = await open_ledger(f"sqlite:///{path}", Terms("bench"))
    intake = _make_intake(ledger, count)
    try:

        async def accept() -> None:
            await asyncio.gather(*(intake.accept([make_event()]) for _ in range(BATCH)))

        return await _median(accept)
    finally:
        await ledger.aclose()


def _make_intake(ledger: SqlLedger, count: int) -> Intake:
    others = [
        RuleSpec(f"rule-{number}", types=(f"deal.{number}.*" if number % 2 else f"deal.{number}",), chat=CHAT)
        for number in range(count - 1)
    ]
    rules = compile_rules([*others, RuleSpec("wanted", types=("ticket.*",), chat=CHAT)], {})
    clock = itertools.count(1_700_000_000_000)
    return Intake(
        ledger,
        rules,
        high_water=1_000_000,
        ids=new_id,
        clock=lambda: next(clock),
        metrics=Metrics(),
        boottime=boottime,
        signals=Signals(),
    )


def verify_cost() -> str:
    """Microseconds to verify an HMAC over 1 KB."""
    scheme = build(SchemeSpec("standard-webhooks", (Secret(SECRET),)))
    body, now = b"x" * 1_024, 1_790_000_000_000
    request = Request("POST", "/hooks/crm", Headers.of(sign(scheme, body, now=now, id="msg_1")), body, now)
    began = time.perf_counter()
    for _ in range(10_000):
        scheme.verify(request)
    return f"    verification of a signature over 1 KB: {(time.perf_counter() - began) * 100:.1f} us (target: under 20)"
