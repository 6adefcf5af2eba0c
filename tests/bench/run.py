"""`make bench`: what Relay costs, as ratios to floors and peers measured in the same run. Asserts nothing.

`make bench ARGS='everyday peers'` or `ARGS='c p'` measures only these, `ARGS=--quick` everything in a short form.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from relay.telemetry import configure
from tests.bench.accepted import bench_accepted
from tests.bench.chart import bench_chart
from tests.bench.history import bench_history
from tests.bench.pages import bench_pages
from tests.bench.report import Report
from tests.bench.rules import bench_rules
from tests.bench.servers import Servers
from tests.bench.sizes import Sizes, read_sizes
from tests.bench.steps import bench_steps
from tests.bench.unfinished import bench_unfinished
from tests.bench.ways import bench_ways
from tests.services.process import Unavailable

PARTS: Final = {
    "a": (
        "accepted",
        "webhooks accepted a second, durable: against a handler that only answers; with all keys",
    ),
    "b": ("burst", "webhook to result in a burst, against a bare loop of consume, post and publish"),
    "c": ("everyday", "200 events a second: latencies, and CPU an event against a burst's"),
    "d": ("unfinished", "memory and time to start with many unfinished dispatches (BENCH_UNFINISHED)"),
    "e": (
        "history",
        "claim, accept, list, prune with many finished events (BENCH_MANY); claim beside many held",
    ),
    "f": ("rules", "accept with 10 and 10,000 rules, their load, and one verification"),
    "g": ("steps", "CPU and time of each step of an event"),
    "h": ("chart", "throughput and latency over offered load, as build/bench.svg"),
    "i": ("pages", "each page of the console with many finished events, while 200 a second come in"),
    "p": ("peers", "FastStream and FastAPI in a burst and at 200 events a second"),
}
WAYS: Final = {"burst", "everyday", "peers"}
"""Parts that share their turns."""
BENCHES: Final = {
    "accepted": bench_accepted,
    "rules": bench_rules,
    "unfinished": bench_unfinished,
    "history": bench_history,
    "pages": bench_pages,
    "steps": bench_steps,
    "chart": bench_chart,
}
WORDS: Final = {word: letter for letter, (word, _) in PARTS.items()}


def read_parts(given: Sequence[str]) -> set[str]:
    """The words of the chosen parts, which may also be letters; all when none is given. Raises ValueError."""
    letters: set[str] = set()
    for text in given:
        if text not in WORDS and not set(text) <= set(PARTS):
            raise ValueError(f"there is no part {text!r}; choose from {', '.join(WORDS)}, or their letters")
        letters |= {WORDS[text]} if text in WORDS else set(text)
    return {PARTS[letter][0] for letter in letters or PARTS}


def read_arguments() -> argparse.Namespace:
    lines = "\n".join(f"  {letter}  {word:<12}{what}" for letter, (word, what) in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="What Relay costs, beside floors and peers. By default everything, in some ten minutes.",
        epilog=f"parts:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="a word or letters of the list below")
    parser.add_argument("--quick", action="store_true", help="small sizes and one round: about two minutes")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON at the end, and nothing else")
    arguments = parser.parse_args()
    try:
        arguments.parts = read_parts(arguments.parts)
        arguments.sizes = read_sizes(quick=arguments.quick)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def measure(report: Report, sizes: Sizes, root: Path, servers: Servers, chosen: set[str]) -> None:
    """Run the chosen parts, first those that need no servers."""
    for word, bench in BENCHES.items():
        if word in chosen:
            report.begin(word, f"{word}: {PARTS[WORDS[word]][1]}")
            bench(report, sizes, make_folder(root, word), servers)
    if chosen & WAYS:
        bench_ways(report, sizes, make_folder(root, "ways"), servers, chosen & WAYS)


def make_folder(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir()
    return folder


def main() -> None:
    arguments = read_arguments()
    report = Report(as_json=arguments.json)
    began = time.monotonic()
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    report.say(f"Relay's bench on {cores} cores; each ratio is to a figure of the same run.")
    if load > cores / 2:
        report.say(f"The machine is busy already (load {load:.1f}): latencies mean little.")
    with (
        tempfile.TemporaryDirectory(prefix="relay-bench-") as root,
        Path(os.devnull).open("w") as nowhere,
        ExitStack() as stack,
    ):
        configure(form="json", stream=nowhere)
        measure(report, arguments.sizes, Path(root), Servers(stack), arguments.parts)
    report.say(f"\n{(time.monotonic() - began) / 60:.0f} minutes")
    report.finish()


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        raise SystemExit(str(error)) from None
