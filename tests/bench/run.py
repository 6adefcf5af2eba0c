"""`make bench`: what Relay costs, as ratios to a floor measured in the same run. A few minutes; asserts nothing.

python -m tests.bench.run [a b c d e f]
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import aio_pika
from aio_pika.exceptions import ChannelNotFoundEntity

from relay.telemetry import configure
from tests.bench.costs import accept_costs, claim_costs, verify_cost
from tests.e2e.harness import Relay
from tests.services.process import Process, find_port
from tests.services.rabbitmq import run_rabbitmq

EVENTS = int(os.environ.get("BENCH_EVENTS", "6000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
MANY = int(os.environ.get("BENCH_MANY", "100000"))
SENDERS = int(os.environ.get("BENCH_SENDERS", "128"))
"""Connections in (a): enough that the relay always has something to do while a commit waits for the disk."""
CLIENT = Path(__file__).with_name("client.py")
BARE = Path(__file__).with_name("bare.py")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def load(hooks: str, count: int, *, connections: int = 64, rate: float = 0) -> dict[str, Any]:
    """Run the load generator in its own process."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.client",
        f"{hooks}/hooks/crm",
        str(count),
        str(connections),
        str(rate),
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


@contextmanager
def background(folder: Path, *command: str) -> Iterator[Process]:
    process = Process([sys.executable, *command], log=folder / "background.log")
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def cargo(folder: Path, latency: str = "0") -> Iterator[str]:
    """The simulator in a process of its own, `latency` in seconds; gives its base URL."""
    port = find_port()
    with background(folder, "-m", "relay", "sandbox", "--port", str(port), "--latency", latency) as process:
        wait(lambda: answers(f"http://127.0.0.1:{port}/_stats"), process.describe, seconds=20)
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def relay(folder: Path, **options: Any) -> Iterator[Relay]:
    service = Relay(folder, concurrency=32, **options)  # the default, and what the bare loop has in flight
    service.start()
    try:
        yield service
    finally:
        service.stop()


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except HTTPError as error:
        error.close()  # it is an answer, too, whose connection is open
        return False
    except OSError:
        return False


def wait(ready: Callable[[], bool], describe: Callable[[], str], *, seconds: float = 300, every: float = 0.02) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise SystemExit(describe())
        time.sleep(every)


def metric(service: Relay, name: str) -> float:
    """The sum of a metric's series."""
    with urlopen(service.url("health") + "/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + "{", name + " ")))


def rss(service: Relay) -> float:
    """Resident memory in MiB."""
    status = Path(f"/proc/{service.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1_024


@contextmanager
def handler(folder: Path, *how: str) -> Iterator[str]:
    """The bare handler; gives its base URL."""
    port = find_port()
    with background(folder, str(BARE), "http", str(port), *how):
        wait(lambda: answers_tcp(port), lambda: "the bare handler did not start")
        yield f"http://127.0.0.1:{port}"


def bench_accept(folder: Path) -> None:
    """(a) webhooks accepted per second, durable; Cargo is away, so that nothing else is measured.

    The machine's own pace changes within seconds, so all take turns, and medians are told.
    """
    with (
        handler(folder) as bare,
        handler(folder, "fast") as fast,
        relay(folder, cargo="http://127.0.0.1:9/v1") as service,
    ):
        ours = service.url("hooks")
        for url in (bare, fast, ours):
            load(url, 500)
        rounds = [{url: load(url, EVENTS, connections=SENDERS) for url in (bare, fast, ours)} for _ in range(ROUNDS)]
    rates = {url: [EVENTS / each[url]["seconds"] for each in rounds] for url in (bare, fast, ours)}
    statuses = sum((Counter(each[ours]["statuses"]) for each in rounds), Counter())
    say(compare("(a) webhooks accepted", rates[ours], "bare handler", rates[bare], target=0.25))
    say(compare("    the same", rates[ours], "bare handler on uvloop, as relay serve", rates[fast]))
    slow = median(each[ours]["p99"] for each in rounds)
    say(f"    answers: {dict(statuses)}, p99 {slow:.1f} ms at {SENDERS} connections")


def compare(what: str, ours: Sequence[float], floor: str, theirs: Sequence[float], target: float | None = None) -> str:
    """Both medians, and the median of the ratios of each round with their range."""
    ratios = sorted(one / other for one, other in zip(ours, theirs, strict=True))
    spread = f"ratio {median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f} in {len(ratios)} rounds"
    aim = "" if target is None else f" (target {target})"
    return f"{what}: {median(ours):,.0f}/s; {floor} {median(theirs):,.0f}/s; {spread}{aim}"


def answers_tcp(port: int) -> bool:
    with contextlib.suppress(OSError):
        asyncio.run(_connect(port))
        return True
    return False


async def _connect(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


def bench_way(folder: Path, amqp: str) -> None:
    """(b) events from webhook to confirmed result per second, against consume, POST, publish without durability."""
    bare, ours = [], []
    with cargo(folder) as url, relay(folder, cargo=url, amqp=amqp) as service:
        load(service.url("hooks"), 300)
        wait_told(service, 300)
        for done in range(300, 300 + EVENTS * ROUNDS, EVENTS):
            bare.append(forwarded(folder, amqp, url))
            sent = load(service.url("hooks"), EVENTS)
            arrive(amqp, "relay.results", done + EVENTS, service.describe)
            ours.append(EVENTS / (time.monotonic() - sent["began"]))
        wait_told(service, 300 + EVENTS * ROUNDS)
    say(compare("(b) webhook to confirmed result", ours, "bare loop", bare, target=0.6))


def arrive(amqp: str, queue: str, count: int, describe: Callable[[], str]) -> None:
    """Wait until so many messages are in a queue."""
    wait(lambda: asyncio.run(depth(amqp, queue)) >= count, describe, every=0.1)


def forwarded(folder: Path, amqp: str, url: str) -> float:
    """Events per second of the bare loop, from its first result to its last."""
    asyncio.run(fill(amqp, "bare.in", EVENTS))
    before = asyncio.run(depth(amqp, "bare.results"))
    with background(folder, str(BARE), "loop", amqp, url, "bare.in") as process:
        wait(lambda: asyncio.run(depth(amqp, "bare.results")) > before, process.describe)
        began, first = time.monotonic(), asyncio.run(depth(amqp, "bare.results"))
        arrive(amqp, "bare.results", before + EVENTS, process.describe)
        return (before + EVENTS - first) / (time.monotonic() - began)


def wait_told(service: Relay, count: int) -> None:
    wait(lambda: metric(service, "relay_event_to_result_seconds_count") >= count, service.describe, every=0.1)


async def fill(amqp: str, queue: str, count: int) -> None:
    connection = await aio_pika.connect(amqp)
    async with connection:
        channel = await connection.channel(publisher_confirms=False)
        await channel.declare_queue(queue, durable=True)
        for number in range(count):
            body = json.dumps({"id": number, "note": "x" * 700}).encode()
            await channel.default_exchange.publish(aio_pika.Message(body), queue)


async def depth(amqp: str, queue: str) -> int:
    connection = await aio_pika.connect(amqp)
    async with connection:
        channel = await connection.channel()
        try:
            declared = await channel.declare_queue(queue, passive=True)
        except ChannelNotFoundEntity:
            return 0
        return declared.declaration_result.message_count or 0


def bench_latency(folder: Path, amqp: str) -> None:
    """(c) p50 and p99 at 200 events a second, with Cargo at 20 ms."""
    with cargo(folder, "0.02") as url, relay(folder, cargo=url, amqp=amqp) as service:
        load(service.url("hooks"), 200, rate=200)
        before = buckets(service)
        measured = load(service.url("hooks"), 3_000, rate=200)
        wait_told(service, 3_200)
        told = {edge: count - before[edge] for edge, count in buckets(service).items()}
    say(f"(c) at 200/s, Cargo at 20 ms: webhook answered p50 {measured['p50']:.1f} ms, p99 {measured['p99']:.1f} ms")
    say(f"    webhook to confirmed result: p50 {quantile(told, 0.5)}, p99 {quantile(told, 0.99)}")


def buckets(service: Relay) -> dict[float, float]:
    with urlopen(service.url("health") + "/metrics", timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if "event_to_result_seconds_bucket" in line]
    return {float(line.split('le="')[1].split('"')[0]): float(line.rpartition(" ")[2]) for line in lines}


def quantile(counts: dict[float, float], share: float) -> str:
    """Interpolated inside its bucket, as Prometheus does."""
    total = counts[float("inf")]
    low, below = 0.0, 0.0
    for edge, count in sorted(counts.items()):
        if count >= share * total:
            return f"{(low + (edge - low) * (share * total - below) / max(count - below, 1)) * 1_000:.0f} ms"
        low, below = edge, count
    return "beyond"


def bench_memory(folder: Path) -> None:
    """(d) resident memory after many events, all the way to their results (no broker)."""
    with cargo(folder) as url, relay(folder, cargo=url) as service:
        sizes = []
        for share in (0.1, 0.5, 1.0):
            done = int(metric(service, "relay_chats_total"))
            load(service.url("hooks"), int(MANY * share) - done)
            wait(lambda: metric(service, "relay_chats_total") >= int(MANY * share), service.describe, every=0.5)  # noqa: B023
            sizes.append(f"{rss(service):.0f} MiB after {int(MANY * share):,}")
    say(f"(d) resident memory: {'; '.join(sizes)}")


def main(wanted: str) -> None:
    say(f"Relay's bench on {os.cpu_count()} cores; each ratio is against a floor measured in this run.")
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as name, contextlib.ExitStack() as stack:
        root = Path(name)
        configure(form="json", stream=stack.enter_context(Path(os.devnull).open("w")))

        def fresh(part: str) -> Path:
            folder = root / part
            folder.mkdir()
            return folder

        rabbit = stack.enter_context(run_rabbitmq()) if {"b", "c"} & set(wanted) else None
        if "a" in wanted:
            bench_accept(fresh("a"))
        for part, bench in (("b", bench_way), ("c", bench_latency)):
            if part in wanted and rabbit is not None:
                with rabbit.vhost() as amqp:
                    bench(fresh(part), amqp)
        if "d" in wanted:
            bench_memory(fresh("d"))
        if "e" in wanted:
            say(claim_costs(fresh("e")))
        if "f" in wanted:
            say(accept_costs(fresh("f")))
            say(verify_cost())


if __name__ == "__main__":
    main("".join(sys.argv[1:]) or "abcdef")
