"""Webhooks accepted a second, each durable before its answer, against a handler that only answers."""

from collections import Counter
from pathlib import Path
from statistics import median

from tests.bench.load import send
from tests.bench.processes import handler, running
from tests.bench.report import Aim, Report
from tests.bench.servers import Servers
from tests.bench.sizes import Sizes


def bench_accepted(report: Report, sizes: Sizes, folder: Path, _servers: Servers) -> None:
    """Cargo is away, so that nothing else is measured."""
    with (
        handler(folder) as bare,
        handler(folder, "fast") as fast,
        running(folder / "relay", cargo="http://127.0.0.1:9/v1") as service,
    ):
        ours = service.url("hooks")
        for url in (bare, fast, ours):
            send([url], 500)
        # The machine's pace changes within seconds, so all take turns.
        rounds = [
            {url: send([url], sizes.events * 2, connections=sizes.senders) for url in (bare, fast, ours)}
            for _ in range(sizes.rounds)
        ]
    rates = {url: [sizes.events * 2 / each[url]["seconds"] for each in rounds] for url in (bare, fast, ours)}
    what = f"accepted at {sizes.senders} connections"
    report.compare(what, rates[ours], "/s", "bare handler", rates[bare], Aim("at least", 0.4))
    report.compare("the same", rates[ours], "/s", "bare handler on uvloop, as Relay", rates[fast])
    report.value("answer p99", median(each[ours]["p99"] for each in rounds), "ms")
    statuses = sum((Counter(each[ours]["statuses"]) for each in rounds), Counter())
    if set(statuses) != {"202"}:
        report.say(f"  statuses: {dict(statuses)}")
