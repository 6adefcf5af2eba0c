"""Everything that is examined, wherever it comes from: a running relay, or files."""

import asyncio
import platform
import shutil
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from relay import __version__
from relay.app.doctor.database import judge_clock, judge_disk, judge_schema, judge_size
from relay.app.doctor.line import Check, Diagnosis, Found, act, examine, look, ok
from relay.app.doctor.servers import judge_broker, judge_cargo
from relay.app.doctor.traffic import judge_rules, judge_secrets, judge_sources
from relay.broker import Link
from relay.cargo import Cargo
from relay.config import Settings
from relay.errors import RelayError
from relay.ledger import Unopened, is_file
from relay.model import LedgerHealth

_VITAL: Final = frozenset({"ledger", "broker", "cargo"})


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined.

    `inspect` asks the ledger. `link` opens a connection to RabbitMQ, or gives the reason why there is none; `cargo`
    opens the client. `uses` are as in `judge_secrets`, `pauses` why nothing is sent to Cargo. `clock` returns
    milliseconds since the epoch.
    """

    settings: Settings
    inspect: Callable[[], Awaitable[LedgerHealth]]
    link: Callable[[], AbstractAsyncContextManager[Link | str]]
    cargo: Callable[[], AbstractAsyncContextManager[Cargo]]
    clock: Callable[[], int]
    paused: Collection[str] = ()
    pauses: Sequence[str] = ()
    uses: Mapping[str, Sequence[int]] | None = None

    async def examine(self) -> list[Diagnosis]:
        """All lines, in a fixed order."""
        asked = _Once(self.inspect)
        try:
            return await examine(self._checks(asked), vital=_VITAL)
        finally:
            await asked.close()

    def _checks(self, asked: "_Once") -> Mapping[str, Check]:
        settings = self.settings

        async def size() -> Found:
            try:
                health = await asked.health()
            except Unopened as error:
                return [look(f"it could not be told: {error}", "start the relay; if one runs, ask it with --url")]
            return judge_size(health, settings.ledger.retain, self._disk()[0] if is_file(settings.ledger.url) else None)

        async def indexes() -> Found:
            return judge_schema(await asked.health())

        async def sources() -> Found:
            return judge_sources(settings.sources, await asked.health(), self.paused)

        async def rules() -> Found:
            return judge_rules([rule.name for rule in settings.rules], await asked.health())

        async def secrets() -> Found:
            return judge_secrets(settings.sources, self.uses)

        async def versions() -> Found:
            return [ok(f"relay {__version__}, Python {platform.python_version()}, {platform.system()}")]

        async def clock() -> Found:
            return await self._judge_clock(asked)

        async def disk() -> Found:
            return await self._judge_disk(asked)

        return {
            "versions": versions,
            "clock": clock,
            "disk": disk,
            "ledger": size,
            "indexes": indexes,
            "broker": self._judge_broker,
            "cargo": self._judge_cargo,
            "sources": sources,
            "rules": rules,
            "secrets": secrets,
        }

    async def _judge_clock(self, asked: "_Once") -> Found:
        """By the ledger's server, or where the ledger is a file by Cargo's."""
        if not is_file(self.settings.ledger.url):
            before = self.clock()
            now = (await asked.health()).now
            # The ledger read its clock at some time of the question: what lies between is no difference.
            return judge_clock("the ledger's", max(0, before - now) or min(0, self.clock() - now))
        async with self.cargo() as cargo:
            await cargo.probe()
            skew = cargo.skew()
        if skew is None:
            return [
                look("Cargo's answers have no time, and the ledger is a file here", "see that NTP keeps this clock")
            ]
        return judge_clock("Cargo's", skew * 1_000)

    def _disk(self) -> tuple[int, int, str]:
        folder = Path(unquote(self.settings.ledger.url.removeprefix("sqlite:///"))).absolute().parent
        usage = shutil.disk_usage(folder)
        return usage.free, usage.total, str(folder)

    async def _judge_disk(self, asked: "_Once") -> Found:
        if not is_file(self.settings.ledger.url):
            what = "PostgreSQL does not tell how much room its server has left"
            return [look(what, "have the server's own monitoring watch it")]
        free, whole, folder = self._disk()
        try:
            size = (await asked.health()).size
        except (RelayError, OSError):  # the line of the ledger says why; the disk can be judged without
            size = 0
        return judge_disk(folder, free, whole, size)

    async def _judge_broker(self) -> Found:
        if self.settings.broker is None:
            return [ok("none is configured")]
        async with self.link() as link:
            if isinstance(link, str):
                return [act(f"RabbitMQ cannot be reached: {link}", "see `relay check --online`")]
            return await judge_broker(link, self.settings, running=self.uses is not None)

    async def _judge_cargo(self) -> Found:
        async with self.cargo() as cargo:
            return await judge_cargo(cargo, self.settings.cargo.base_url, self.pauses)


class _Once:
    """Asks the ledger once for all checks."""

    def __init__(self, inspect: Callable[[], Awaitable[LedgerHealth]]) -> None:
        self._inspect = inspect
        self._task: asyncio.Task[LedgerHealth] | None = None

    async def health(self) -> LedgerHealth:
        """The answer. A check whose time is over does not end it for the others."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._task)

    async def _ask(self) -> LedgerHealth:
        return await self._inspect()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
