"""Charts as SVG: bars over time. They are drawn on the server, so that they need no script."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from relay.ops.rated import Rates, RateStep
from relay.units import parse_iso, show

_HEIGHT: Final = 40
_SVG: Final = Markup(
    '<svg class="bars {tone}" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img"'
    ' aria-label="{label}"><path d="{bars}"/></svg>'
)
_NAMES: Final = {"duplicate": "duplicates", "ended": "ended without a chat"}
_TONES: Final = {"chats": "ok", "failed": "bad", "refused": "bad", "parked": "look"}


@dataclass(frozen=True, slots=True)
class Chart:
    """What was counted of one kind: its name, the sum, and the bars."""

    name: str
    tone: str
    total: int
    bars: Markup


def charts(rates: Rates, names: Iterable[str]) -> list[Chart]:
    """A chart for each of these counts."""
    return [_chart(rates, name) for name in names]


def _chart(rates: Rates, name: str) -> Chart:
    total = getattr(rates.total, name)
    tone = _TONES.get(name, "plain") if total else "plain"
    return Chart(_NAMES.get(name, name), tone, total, _draw(rates, name, tone))


def _draw(rates: Rates, name: str, tone: str) -> Markup:
    since, step = parse_iso(rates.since), rates.step_seconds * 1_000
    width = max(1, -(-(parse_iso(rates.until) - since) // step))
    counts = [((parse_iso(each.at) - since) // step, int(getattr(each, name))) for each in rates.rates]
    most = max((count for _, count in counts), default=0)
    label = f"{name}: {getattr(rates.total, name)} in {show(width * step)}, at most {most} in {show(step)}"
    bars = "".join(_bar(place, count, most) for place, count in counts if count)
    return _SVG.format(tone=tone, width=width, height=_HEIGHT, label=label, bars=bars)


def _bar(place: int, count: int, most: int) -> str:
    """A bar as a part of a path: an element for each would take ten times as long to write."""
    top = _HEIGHT - max(1.5, round(_HEIGHT * count / most, 1))
    return f"M{place} {top:.1f}h.8V{_HEIGHT}h-.8z"


def shares(values: Sequence[float]) -> list[int]:
    """Each value as whole percent of the largest."""
    most = max(values, default=0)
    return [round(100 * value / most) if most else 0 for value in values]


def time_to_result(step: RateStep) -> str:
    """Within which time half of the results came, and nearly all."""
    if step.p50_ms is None or step.p99_ms is None:
        return ""
    return f"{show(step.p50_ms)} (99 %: {show(step.p99_ms)})"
