"""The parts burst, everyday and peers: they share their turns, so each contestant is measured once."""

from pathlib import Path
from statistics import median

from tests.bench import contest
from tests.bench.contest import DURABLE, LOOP, MEMORY, PAIR, POSTGRES, SQLITE, Measured
from tests.bench.load import Pace
from tests.bench.pause import pause_costs
from tests.bench.processes import cargo, set_latency
from tests.bench.report import Aim, Report, show
from tests.bench.servers import Servers
from tests.bench.sizes import Sizes

LATENCY = 20
"""Milliseconds that Cargo takes at the everyday rate. In a burst it takes none, or it would be what is measured."""
ANSWER, RESULT_P50, RESULT_P99 = 8, 10, 20
"""The aims at the everyday rate on SQLite, in ms; PostgreSQL may take twice that."""


def bench_ways(report: Report, sizes: Sizes, folder: Path, servers: Servers, chosen: set[str]) -> None:
    measured = Measured()
    pair, peers = "burst" in chosen, "peers" in chosen
    with (
        cargo(folder) as url,
        contest.contestants(folder, url, servers, pair=pair, peers=peers) as services,
        servers.rabbit.vhost() as amqp,
    ):
        contest.run_bursts(services, sizes, measured, (folder, amqp, url) if "burst" in chosen else None)
        if chosen & {"everyday", "peers"}:
            set_latency(url, LATENCY)
            contest.run_paces(services, sizes, measured)
    for name, tell in (("burst", tell_burst), ("everyday", tell_everyday), ("peers", tell_peers)):
        if name in chosen:
            tell(report, sizes, measured)


def tell_burst(report: Report, sizes: Sizes, measured: Measured) -> None:
    report.begin("burst", f"burst: {sizes.events:,} webhooks at once, to their results; Cargo answers at once")
    aims = {SQLITE: Aim("at least", 1.0), POSTGRES: Aim("at least", 0.8), PAIR: Aim("at least", 1.4)}
    for name, aim in aims.items():
        report.compare(name, _rates(measured, name), "/s", LOOP, _rates(measured, LOOP), aim)
    for name in (LOOP, *aims):
        report.value(f"{name}, CPU an event", median(each.cpu for each in measured.bursts[name]), "ms")
    for name in aims:
        report.value(f"{name}, resident memory at the end", measured.bursts[name][-1].rss, "MiB")


def tell_everyday(report: Report, sizes: Sizes, measured: Measured) -> None:
    seconds = sizes.seconds * sizes.turns
    report.begin("everyday", f"everyday: {sizes.rate} webhooks a second for {seconds} s; Cargo at {LATENCY} ms")
    for name, factor in ((SQLITE, 1), (POSTGRES, 2)):
        paces = measured.paces[name]
        report.value(f"{name}, answer p50", _median(paces, "answer", 0), "ms")
        report.value(f"{name}, answer p99", _median(paces, "answer", 1), "ms", Aim("at most", ANSWER * factor, "ms"))
        for index, mark, most in ((0, "p50", RESULT_P50), (1, "p99", RESULT_P99)):
            whole = _median(paces, "result", index)
            report.value(f"{name}, result {mark}", whole, "ms")
            aim = Aim("at most", most * factor, "ms")
            report.value(f"{name}, result {mark} beyond Cargo's {LATENCY} ms", whole - LATENCY, "ms", aim)
        everyday = median(each.cpu for each in paces)
        burst = median(each.cpu for each in measured.bursts[name])
        report.compare(f"{name}, CPU an event", [everyday], "ms", "in a burst", [burst], Aim("at most", 1.6))
        _tell_losses(report, name, paces)
    paused, at_once = pause_costs()
    report.compare("of that a pause's own: matching a rule every 5 ms", [paused], "us", "at once", [at_once])


def tell_peers(report: Report, sizes: Sizes, measured: Measured) -> None:
    report.begin("peers", f"peers: a burst of {sizes.events:,}, then {sizes.rate} a second")
    names = (SQLITE, POSTGRES, DURABLE, MEMORY)
    rows = [_row(report, name, measured) for name in names]
    report.table((f"ms; at {sizes.rate}/s:", "burst", "its CPU", "CPU", "answer p50", "p99", "result p50", "p99"), rows)
    for ours in (SQLITE, POSTGRES):
        for theirs, aim in ((DURABLE, Aim("at least", 1.8)), (MEMORY, None)):
            report.compare(f"{ours}, burst", _rates(measured, ours), "/s", theirs, _rates(measured, theirs), aim)
        for theirs, aim in ((DURABLE, Aim("at most", 1.0)), (MEMORY, None)):
            for what, index in (("answer", 1), ("result", 0), ("result", 1)):
                mark = ("p50", "p99")[index]
                values = [getattr(each, what)[index] for each in measured.paces[ours]]
                others = [getattr(each, what)[index] for each in measured.paces[theirs]]
                report.compare(f"{ours}, {what} {mark}", values, "ms", theirs, others, aim)
    for name in (DURABLE, MEMORY):
        _tell_losses(report, name, measured.paces[name])


def _row(report: Report, name: str, measured: Measured) -> list[str]:
    paces = measured.paces[name]
    figures = [
        ("burst", median(_rates(measured, name)), "/s"),
        ("CPU an event in the burst", median(each.cpu for each in measured.bursts[name]), "ms"),
        ("CPU an event", median(each.cpu for each in paces), "ms"),
        ("answer p50", _median(paces, "answer", 0), "ms"),
        ("answer p99", _median(paces, "answer", 1), "ms"),
        ("result p50", _median(paces, "result", 0), "ms"),
        ("result p99", _median(paces, "result", 1), "ms"),
    ]
    for what, value, unit in figures:
        report.record(f"{name}, {what}", value, unit)
    return [name, *(show(value, unit) if unit == "/s" else f"{value:.1f}" for _, value, unit in figures)]


def _tell_losses(report: Report, name: str, paces: list[Pace]) -> None:
    """Nothing is asserted, but figures of a service that lost or refused something mean little."""
    missing, refused = sum(each.missing for each in paces), sum(each.refused for each in paces)
    if missing or refused:
        report.say(f"  {name}: {missing} events without a result in time, {refused} not answered 202")


def _rates(measured: Measured, name: str) -> list[float]:
    return [each.rate for each in measured.bursts[name]]


def _median(paces: list[Pace], what: str, index: int) -> float:
    return median(getattr(each, what)[index] for each in paces)
