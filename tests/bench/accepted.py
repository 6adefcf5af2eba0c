"""Webhooks accepted a second, each durable before its answer: against a bare handler, and with every key of a rule."""

from collections import Counter
from pathlib import Path
from statistics import median

from tests.bench.load import send
from tests.bench.processes import handler, running
from tests.bench.report import Aim, Report
from tests.bench.servers import Servers
from tests.bench.sizes import Sizes

_KEY = '"{{ event.external_id }}"'
KEYS = f"""\
    let: {{id: {_KEY}}}
    ignore: data.by == "agent"
    sample: 100%
    changed: {{key: {_KEY}, of: ["{{{{ data.owner }}}}"]}}
    newest: {{key: {_KEY}, by: "{{{{ data.id }}}}"}}
    once: {{key: {_KEY}, within: 7d}}
    order: {_KEY}
    delay: {{for: 1h, key: {_KEY}, unless: [{{type: ticket.solved, key: {_KEY}}}]}}
    schedule: "00:00-24:00"
    expires: 1h
    loop: {{key: {_KEY}, trips: 20/10m}}
    limit: [{{rate: 1000000/h}}]
    budget: {{chats: 1000000/d}}
    priority: 7
    labels: {{deal: {_KEY}}}
    redact: [email, card]
    untrusted: [data.note]
    message: "Look at {{{{ id }}}}."
"""
"""Of the rule: every key but `debounce` and `thread`, which do not go with `order`."""


def bench_accepted(report: Report, sizes: Sizes, folder: Path, _servers: Servers) -> None:
    """Cargo is away, so that nothing else is measured."""
    with (
        handler(folder) as bare,
        handler(folder, "fast") as fast,
        running(folder / "relay", cargo="http://127.0.0.1:9/v1") as service,
        running(folder / "keyed", cargo="http://127.0.0.1:9/v1", rules=KEYS) as other,
    ):
        ours, keyed = service.url("hooks"), other.url("hooks")
        urls = (bare, fast, ours, keyed)
        for url in urls:
            send([url], 500)
        # The machine's pace changes within seconds, so all take turns.
        rounds = [
            {url: send([url], sizes.events * 2, connections=sizes.senders) for url in urls} for _ in range(sizes.rounds)
        ]
    rates = {url: [sizes.events * 2 / each[url]["seconds"] for each in rounds] for url in urls}
    what = f"accepted at {sizes.senders} connections"
    report.compare(what, rates[ours], "/s", "bare handler", rates[bare], Aim("at least", 0.4))
    report.compare("the same", rates[ours], "/s", "bare handler on uvloop, as Relay", rates[fast])
    times = {url: [1_000 / rate for rate in rates[url]] for url in (ours, keyed)}
    report.compare("by a rule with every key, each", times[keyed], "ms", "without", times[ours], Aim("at most", 2))
    report.value("answer p99", median(each[ours]["p99"] for each in rounds), "ms")
    for name, url in (("without keys", ours), ("with every key", keyed)):
        statuses = sum((Counter(each[url]["statuses"]) for each in rounds), Counter())
        if set(statuses) != {"202"}:
            report.say(f"  {name}, statuses: {dict(statuses)}")
