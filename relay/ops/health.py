"""The health listener: `/livez`, `/readyz` and `/metrics`. It shows no customer data."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from relay.model import Gauges
from relay.ops.gauges import Watch, expose
from relay.telemetry import Metrics, Part, Status
from relay.units import iso
from relay.visible import visible, visible_json

_SHOWN: Final = ("kind", "source", "rule", "code", "state", "count", "firstAt", "lastAt")
"""What is shown of a problem: its detail may be a value of an event."""


def make_health_app(
    status: Status,
    metrics: Metrics,
    gauges: Callable[[], Awaitable[Gauges]],
    *,
    monotonic: Callable[[], float] = time.monotonic,
) -> web.Application:
    """The application of the health listener. `gauges` may raise `Unavailable`; `monotonic` returns seconds."""
    health = _Health(status, metrics, Watch(gauges, monotonic))
    app = web.Application()
    app.cleanup_ctx.append(health.watching)
    app.router.add_get("/livez", health.livez)
    app.router.add_get("/readyz", health.readyz)
    app.router.add_get("/metrics", health.metrics)
    return app


class _Health:
    def __init__(self, status: Status, metrics: Metrics, watch: Watch) -> None:
        self._status = status
        self._metrics = metrics
        self._watch = watch
        self._reasons: set[str] = set()

    async def watching(self, _: web.Application) -> AsyncIterator[None]:
        yield
        await self._watch.close()

    async def livez(self, request: web.Request) -> web.Response:
        """200 unless the event loop is stuck. A restart would not help when the broker, the ledger or Cargo is down."""
        age = self._status.stuck()
        reasons = () if age is None else (f"the event loop has not turned for {age:.0f} s",)
        return self._answer(request, "live", reasons)

    async def readyz(self, request: web.Request) -> web.Response:
        """200 unless Relay is starting or draining, or a vital part is down.

        `?verbose` lists the parts and the problems that are not resolved, without what an event says.
        """
        _, reasons = self._status.ready()
        return self._answer(request, "ready", reasons)

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text, or OpenMetrics when the `Accept` header asks for it."""
        gauges = await self._watch.current()
        if gauges is not None:
            expose(gauges, self._metrics, self._reasons)
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._metrics.registry), headers={"Content-Type": content_type})

    def _answer(self, request: web.Request, word: str, reasons: tuple[str, ...]) -> web.Response:
        code = 503 if reasons else 200
        verdict = f"not {word}" if reasons else word
        parts = self._status.parts() if "verbose" in request.query else ()
        told = self._status.problems if "verbose" in request.query else ()
        problems = [{name: problem[name] for name in _SHOWN} for problem in told]
        if "application/json" in request.headers.get("Accept", ""):
            document = {"status": verdict, "phase": self._status.phase.value, "reasons": list(reasons)}
            more = {"parts": [_part(part) for part in parts], "problems": problems} if parts or problems else {}
            return web.json_response(document | more, status=code, dumps=_dumps)
        lines = [verdict, *(f"- {reason}" for reason in reasons), *(_line(part) for part in parts)]
        lines += map(_problem_line, problems)
        return web.Response(text="\n".join(lines) + "\n", status=code)


def _dumps(document: object) -> str:
    return visible_json(json.dumps(document, ensure_ascii=False))


def _problem_line(problem: Mapping[str, Any]) -> str:
    about = [problem[name] for name in ("kind", "source", "rule", "code") if problem[name] is not None]
    times = f"{problem['state']} since {problem['firstAt']}, {problem['count']} times"
    return visible(f"problem: {' '.join(about)}: {times}")


def _part(part: Part) -> dict[str, str]:
    return {"name": part.name, "state": part.state.value, "reason": part.public, "since": iso(part.since)}


def _line(part: Part) -> str:
    return f"{part.name}: {part.state} since {iso(part.since)}" + (f": {part.public}" if part.public else "")
