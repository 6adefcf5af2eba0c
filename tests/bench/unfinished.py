"""Memory of Relay, and how soon it is ready, with many dispatches that are not finished."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from relay.ledger import Terms, open_ledger
from tests.bench.contest import POSTGRES, SQLITE
from tests.bench.history import UNLIMITED, accept_many
from tests.bench.processes import cargo, peak_rss, running
from tests.bench.report import Aim, Report
from tests.bench.servers import Servers
from tests.bench.sizes import Sizes

WORK = 5.0
"""Seconds for which it works on them before its metrics are read, which count them, and it is killed."""
BODY = {"type": "deal.won", "id": 1, "note": "x" * 700}
MEMORY, SECONDS = Aim("at most", 200, "MiB"), Aim("at most", 10, "s")


def bench_unfinished(report: Report, sizes: Sizes, folder: Path, servers: Servers) -> None:
    """Cargo takes a second for each call, so that hardly any is finished."""
    with cargo(folder, 1_000) as url, servers.database.database() as empty, servers.database.database() as full:
        for name, none, many in (
            (SQLITE, f"sqlite:///{folder}/none.db", f"sqlite:///{folder}/many.db"),
            (POSTGRES, empty, full),
        ):
            asyncio.run(_fill(many, sizes.unfinished))
            lives = {}
            for what, ledger in (("none", none), ("first", many), ("again", many)):
                with _life(folder / f"{name}-{what}", url, ledger) as life:
                    lives[what] = life
            (idle, base), (_, first), (again, second) = lives.values()
            what = f"with {sizes.unfinished:,} unfinished"
            report.compare(f"{name}, peak memory {what}", [max(first, second)], "MiB", "with none", [base], MEMORY)
            report.compare(f"{name}, ready after a kill {what}", [again], "s", "with none", [idle], SECONDS)


async def _fill(url: str, count: int) -> None:
    ledger = await open_ledger(url, Terms("bench", high_water=UNLIMITED), migrate=True)
    try:
        await accept_many(ledger, count, source="crm", rules=("deal",), body=BODY)
    finally:
        await ledger.aclose()


@contextmanager
def _life(folder: Path, cargo_url: str, ledger: str) -> Iterator[tuple[float, float]]:
    """Seconds until it is ready, and its peak memory in MiB; killed at the end."""
    began = time.monotonic()
    with running(folder, cargo=cargo_url, ledger=ledger) as service:
        ready = time.monotonic() - began
        time.sleep(WORK)
        urlopen(service.url("health") + "/metrics", timeout=30).close()
        yield ready, peak_rss(service.pid)
