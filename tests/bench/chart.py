"""Throughput and latency over offered load, up to saturation, as one SVG."""

from collections.abc import Sequence
from math import ceil, log10
from pathlib import Path
from typing import Final

import leather

from tests.bench.contest import contestants
from tests.bench.load import Pace, pace, warm
from tests.bench.processes import CONCURRENCY, cargo
from tests.bench.report import Report
from tests.bench.servers import Servers
from tests.bench.sizes import Sizes
from tests.bench.ways import LATENCY

CHART: Final = Path("build/bench.svg")
SATURATED: Final = 0.85
"""A load is too much when a service's results are less than this share of it."""
WIDTH, HEIGHT = 900, 560
COLORS: Final = ("#377eb8", "#e6550d")
LATENCIES: Final = (
    ("answer p99", "2", lambda each: each.answer[1]),
    ("result p50", "6", lambda each: each.result[0]),
    ("result p99", "none", lambda each: each.result[1]),
)


def bench_chart(report: Report, sizes: Sizes, folder: Path, servers: Servers) -> None:
    curves: dict[str, list[Pace]] = {}
    with (
        cargo(folder, LATENCY) as url,
        contestants(folder, url, servers, pair=False, peers=False) as services,
    ):
        for service in services:
            warm(service, 300)
        for load in sizes.loads:
            for service in services:
                curve = curves.setdefault(service.name, [])
                if not is_saturated(curve):
                    curve.append(pace(service, load, sizes.load_seconds))
    rows = [_row(report, name, reached) for name, curve in curves.items() for reached in curve]
    report.table(("offered /s", "results /s", "answer p50 ms", "p99", "result p50 ms", "p99", "CPU ms"), rows)
    draw(curves, CHART)
    report.say(f"  drawn in {CHART}")


def is_saturated(curve: Sequence[Pace]) -> bool:
    """Whether the last two loads were too much: one alone may be a slow moment of the machine."""
    return len(curve) > 1 and all(each.told < each.offered * SATURATED for each in curve[-2:])


def _row(report: Report, name: str, reached: Pace) -> list[str]:
    at = f"{name}, {reached.offered:,.0f}"
    figures = (reached.told, *reached.answer, *reached.result, reached.cpu)
    for what, value in zip(
        ("results", "answer p50", "answer p99", "result p50", "result p99", "CPU an event"), figures, strict=True
    ):
        report.record(f"{at}/s offered, {what}", value, "/s" if what == "results" else "ms")
    return [at, f"{reached.told:,.0f}", *(f"{value:,.1f}" for value in figures[1:])]


def draw(curves: dict[str, list[Pace]], path: Path) -> None:
    """Write the SVG: throughput beside latency, both over the load that was offered in events/s."""
    for text in ("title", "legend", "axis_title", "tick"):
        setattr(leather.theme, f"{text}_font_family", "monospace")  # its own is there on one system only
    most = CONCURRENCY * 1_000 // LATENCY
    loads = sorted(each.offered for curve in curves.values() for each in curve)
    limit = f"Results a second (Cargo at {LATENCY} ms, {CONCURRENCY} calls at once: at most {most:,})"
    throughput = _plot(limit, loads[-1])
    throughput.add_line([(0, 0), (loads[-1], loads[-1])], name="offered", stroke_color="#aaa", stroke_dasharray="4")
    latency = _plot("Milliseconds from the webhook: answer p99 dotted, result p50 dashed, result p99 solid", loads[-1])
    slowest = max(each.result[1] for curve in curves.values() for each in curve)
    powers = range(ceil(log10(slowest)) + 1)
    latency.add_y_scale(powers[0], powers[-1])
    latency.add_y_axis(ticks=powers, tick_formatter=_show_power)
    for (name, curve), color in zip(curves.items(), COLORS, strict=False):
        line = {"stroke_color": color, "width": 2}
        throughput.add_line([(each.offered, each.told) for each in curve], name=name, **line)
        for what, dash, pick in LATENCIES:
            # Leather's scales are linear, so the logarithm is drawn.
            points = [(each.offered, log10(max(pick(each), 1))) for each in curve]
            latency.add_line(points, name=f"{name}, {what}", stroke_dasharray=dash, **line)
    grid = leather.Grid()
    for plot in (throughput, latency):
        grid.add_one(plot)
    path.parent.mkdir(exist_ok=True)
    grid.to_svg(str(path), width=2 * WIDTH, height=HEIGHT)


def _plot(title: str, most: float) -> leather.Chart:
    plot = leather.Chart(title)
    plot.add_x_scale(0, most)
    plot.add_x_axis(name="webhooks offered a second", tick_formatter=_show_count)
    return plot


def _show_count(value: float, _index: int, _count: int) -> str:
    return f"{float(value):,.0f}"


def _show_power(power: float, _index: int, _count: int) -> str:
    return f"{10 ** int(power):,}"
