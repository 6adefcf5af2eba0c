"""`make faults`: what Relay promises, under faults. Exit 1 when something was lost, made twice or not told.

`make faults ARGS='kill postgres'` plays these rows or families, `make soak MINUTES=60` all of them again and again.
"""

import argparse
import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from itertools import count

from tests.faults.play import play, say
from tests.faults.row import Row
from tests.faults.rows import FAMILIES, choose
from tests.faults.servers import Servers
from tests.faults.table import draw
from tests.faults.tally import Tally
from tests.services.process import Unavailable

Turn = tuple[Row, str, int]
"""A row with its ledger and number of replicas."""


def read_arguments() -> argparse.Namespace:
    lines = "\n".join(
        f"  {row.name:<18}{row.what} ({family})" for family, module in FAMILIES.items() for row in module.ROWS
    )
    parser = argparse.ArgumentParser(
        prog="make faults",
        description="Plays faults against real processes, and counts four lists: accepted by senders, chats, results,"
        " rows of the ledger.",
        epilog=f"rows:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows or families of the list below; default: all")
    parser.add_argument("--ledger", choices=("sqlite", "postgres"), help="only on this one")
    parser.add_argument("--replicas", type=int, help="how many share a PostgreSQL; default 3")
    parser.add_argument("--full", action="store_true", help="each row on all its ledgers, with one and three replicas")
    parser.add_argument("--minutes", type=float, default=0, help="go on with --full, round after round, so long")
    parser.add_argument("--length", type=float, default=1.0, help="how much of each row: 0.2 is short, 3 long")
    parser.add_argument("--lanes", type=int, default=2, help="how many rows at a time, each lane with its own servers")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="of what happens at random")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    arguments = parser.parse_args()
    try:
        arguments.rows = choose(arguments.rows)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def plan(arguments: argparse.Namespace) -> Iterator[Turn]:
    """The turns of one round."""
    full = arguments.full or arguments.minutes > 0
    for row in filter(lambda row: row.able(), arguments.rows):
        for ledger in row.ledgers:
            if arguments.ledger == ledger or (not arguments.ledger and (full or row.usual in {"", ledger})):
                for replicas in _replicas(arguments.replicas, ledger, full=full):
                    yield row, ledger, replicas


def _replicas(wanted: int | None, ledger: str, *, full: bool) -> tuple[int, ...]:
    if ledger == "sqlite":
        return (1,)
    return (wanted,) if wanted else (1, 3) if full else (3,)


def rounds(arguments: argparse.Namespace) -> Iterator[tuple[Turn, int]]:
    """Every row once, then again while minutes are left; each round has a seed of its own, for other random moments."""
    end = time.monotonic() + arguments.minutes * 60
    for number in count():
        for turn in plan(arguments):
            if number and time.monotonic() > end:
                return
            yield turn, arguments.seed + number
        if time.monotonic() > end:
            return


async def play_all(arguments: argparse.Namespace, lanes: Sequence[Servers]) -> list[Tally]:
    """Play all rounds; each lane takes the next row when it is done with one."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(16 * len(lanes)))
    turns, tallies = rounds(arguments), dict[tuple[str, str, int], Tally]()

    async def take_turns(servers: Servers) -> None:
        for (row, ledger, replicas), seed in turns:
            say(f"{row.name} on {ledger}: {row.what}")
            how = {"length": arguments.length, "seed": seed, "full": arguments.full}
            tally = await play(row, ledger, servers, replicas=replicas, **how)
            say(draw([tally]))
            if known := tallies.get((row.name, ledger, replicas)):
                known.add(tally)
            else:
                tallies[row.name, ledger, replicas] = tally

    await asyncio.gather(*map(take_turns, lanes))
    return list(tallies.values())


def main() -> int:
    arguments = read_arguments()
    for library in ("aiormq", "aio_pika"):  # they log each lost connection, which is what rows are about
        logging.getLogger(library).setLevel(logging.CRITICAL)
    began = time.monotonic()
    with ExitStack() as stack:
        lanes = [Servers(stack).start() for _, _ in zip(range(arguments.lanes), plan(arguments), strict=False)]
        tallies = asyncio.run(play_all(arguments, lanes))
    if arguments.json:
        lines = [asdict(tally) | {"holds": tally.holds} for tally in tallies]
        sys.stdout.write(json.dumps(lines, indent=2) + "\n")
    else:
        minutes = (time.monotonic() - began) / 60
        sys.stdout.write(f"{draw(tallies)}\n\n{minutes:.1f} minutes, seed {arguments.seed}\n")
    return 0 if tallies and all(tally.holds for tally in tallies) else 1


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except Unavailable as error:
        raise SystemExit(str(error)) from None
