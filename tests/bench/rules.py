"""What must not grow with the rules: the accept. What their load takes; and one verification."""

import asyncio
import itertools
import time
from pathlib import Path
from statistics import median

from relay.app.clock import boottime
from relay.app.dry import make_rules
from relay.config import load
from relay.intake import Intake
from relay.ledger import SqlLedger, Terms, open_ledger
from relay.life import Signals
from relay.model import new_id
from relay.rules import RuleSpec, compile_rules
from relay.schemes import Headers, Request, SchemeSpec, build
from relay.secret import Secret
from relay.telemetry import Metrics
from tests.bench.report import Aim, Report
from tests.bench.servers import Servers
from tests.bench.sizes import Sizes
from tests.e2e.harness import SECRET
from tests.ledger.build import make_event
from tests.signing import sign

BATCH = 32
ROUNDS = 40
CHAT = {
    "name": "Ticket {{ data.ticket }}",
    "trigger": {"type": "connector", "connectorUuid": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"},
}

CONFIG = """\
cargo: {token: a-token-of-the-bench}
sources:
  crm: {type: webhook, scheme: bearer, secret: a-secret-of-the-bench}
vars: {agent: 3c90c3cc-0d44-4b50-8888-8dd25736052a, connector: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f}
rules:
"""
RULE = """\
  - name: rule-%(number)d
    source: crm
    type: "deal.%(number)d.*"
    when: data.team == "team-%(number)d" and data.amount > %(number)d
    chat:
      agentUuid: "{{ vars.agent }}"
      name: "Deal %(number)d: {{ data.title }}"
      trigger:
        type: connector
        connectorUuid: "{{ vars.connector }}"
        meta: {dealId: "{{ data.id }}", owner: "{{ data.owner.email | default('nobody') }}"}
    message: |
      A deal of team %(number)d changed: {{ data.title }}
      Its stage is {{ data.stage | upper }}.
    %(key)s
"""
KEYS = (
    'once: {key: "{{ data.id }}", within: 7d}',
    'debounce: {key: "{{ data.contact.id }}", wait: 60s, max: 10m, keep: last}',
    'thread: {key: "{{ data.ticket.id }}", idle: 7d}',
    'order: "{{ data.ticket.id }}"',
    'delay: {for: 15m, key: "{{ data.ticket.id }}", unless: [{type: ticket.solved, key: "{{ data.id }}"}]}',
    'changed: {key: "{{ data.id }}", of: ["{{ data.stage }}", "{{ data.owner }}"]}',
    'limit: [{rate: 100/d}, {rate: 3/h, key: "{{ data.contact.id }}", then: park}]',
    'schedule: "mon-fri 09:00-18:00 Europe/Paris"',
    'let: {contact: "{{ data.properties.contact }}"}',
    "sample: 10%",
)


def bench_rules(report: Report, _sizes: Sizes, folder: Path, _servers: Servers) -> None:
    """Half of the rules are globs; one of them matches."""
    few, many = (asyncio.run(_time_accepts(folder / f"rules-{count}.db", count)) for count in (10, 10_000))
    report.compare(f"accept of {BATCH} events, 10,000 rules", [many], "ms", "10 rules", [few], Aim("at most", 1.1))
    report.value("load of 10,000 rules that all differ", load_cost(folder, 10_000), "s", Aim("at most", 2, "s"))
    report.value("verification of a signature over 1 KB", verify_cost(), "us", Aim("at most", 20, "us"))


def load_cost(folder: Path, count: int) -> float:
    """Seconds until a configuration of `count` rules is checked and can match, in a process that has loaded another."""
    for path, many in ((folder / "few.yaml", len(KEYS)), (folder / "many.yaml", count)):
        rules = "".join(RULE % {"number": number, "key": KEYS[number % len(KEYS)]} for number in range(many))
        path.write_text(CONFIG + rules)
        began = time.perf_counter()
        make_rules(load([path], {}).settings)
    return time.perf_counter() - began


async def _time_accepts(path: Path, count: int) -> float:
    """Milliseconds of an accept of 32 deliveries at once, its commit included."""
    ledger = await open_ledger(f"sqlite:///{path}", Terms("bench"))
    intake = make_intake(ledger, count)
    taken = []
    try:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            await asyncio.gather(*(intake.accept([make_event()]) for _ in range(BATCH)))
            taken.append((time.perf_counter() - began) * 1_000)
    finally:
        await ledger.aclose()
    return median(taken)


def make_intake(ledger: SqlLedger, count: int) -> Intake:
    """An intake with `count` rules, the last of which matches the events of `make_event`."""
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


def verify_cost() -> float:
    """Microseconds to verify an HMAC over 1 KB."""
    scheme = build(SchemeSpec("standard-webhooks", (Secret(SECRET),)))
    body, now = b"x" * 1_024, 1_790_000_000_000
    request = Request("POST", "/hooks/crm", Headers.of(sign(scheme, body, now=now, id="msg_1")), body, now)
    began = time.perf_counter()
    for _ in range(10_000):
        scheme.verify(request)
    return (time.perf_counter() - began) * 100
