"""How much is measured. Each number can be set in the environment."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """`events` of one burst, `rounds` in which all take turns, `rate` events/s for `seconds` in each of `turns`.

    `many` finished events are the history, `unfinished` dispatches wait at a start, `loads` (events/s) are offered for
    `load_seconds` each until a service is saturated, `calls` are measured of each step.
    """

    events: int
    rounds: int
    senders: int
    rate: int
    seconds: int
    turns: int
    many: int
    unfinished: int
    loads: tuple[int, ...]
    load_seconds: int
    calls: int


def read_sizes(*, quick: bool) -> Sizes:
    """The sizes of the whole or the quick form, changed by BENCH_EVENTS and so on. Raises ValueError."""

    def number(name: str, full: int, short: int) -> int:
        (value,) = numbers(name, str(full), str(short))
        return value

    def numbers(name: str, full: str, short: str) -> tuple[int, ...]:
        text = os.environ.get(f"BENCH_{name}", short if quick else full)
        values = text.split(",")
        if not all(value.isdecimal() and int(value) for value in values) or (len(values) > 1 and name != "LOADS"):
            raise ValueError(f"BENCH_{name} is {text!r}: give a whole number above 0 (BENCH_LOADS: several, by commas)")
        return tuple(map(int, values))

    return Sizes(
        events=number("EVENTS", 3_000, 600),
        rounds=number("ROUNDS", 3, 1),
        senders=number("SENDERS", 64, 64),
        rate=number("RATE", 200, 200),
        seconds=number("SECONDS", 8, 5),
        turns=number("TURNS", 4, 1),
        many=number("MANY", 100_000, 10_000),
        unfinished=number("UNFINISHED", 100_000, 10_000),
        loads=numbers("LOADS", "50,100,200,400,600,800,1200,1600,2400", "100,400,1600"),
        load_seconds=number("LOAD_SECONDS", 5, 2),
        calls=number("CALLS", 192, 64),
    )
