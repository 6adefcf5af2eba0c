"""A whole relay inside the test's process, on a folder of configuration that the test changes."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from structlog.testing import capture_logs

from relay.app.service import build
from relay.config import load
from tests.e2e.harness import TOKEN, eventually

CHAT = {"agentUuid": "3c90c3cc-0d44-4b50-8888-8dd25736052a", "trigger": {"type": "draft"}}


def configure(folder, cargo="http://127.0.0.1:1/v1", **blocks):
    """A configuration with one webhook `crm` and one rule `deal`; `blocks` replace those of the same name."""
    return {
        "cargo": {"base_url": cargo, "token": TOKEN},
        "ledger": {"url": f"sqlite:///{folder}/relay.db"},
        "http": {"hooks": "127.0.0.1:0", "health": "127.0.0.1:0", "ops": "127.0.0.1:0"},
        "sources": {"crm": {"type": "webhook", "scheme": "bearer", "secret": "first-secret-of-crm"}},
        "rules": [{"name": "deal", "chat": {"name": "Deal {{ data.id }}", **CHAT}}],
    } | blocks


@dataclass
class Live:
    """A running relay; `lines` are what it has logged so far."""

    file: Path
    service: object
    http: aiohttp.ClientSession
    lines: list = field(repr=False)

    def write(self, settings, *, name=None):
        """Put a configuration, or its text, into the file by a rename over it, as most programs do."""
        text = settings if isinstance(settings, str) else yaml.safe_dump(settings)
        draft = self.file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(self.file.with_name(name) if name else self.file)

    def logged(self, event):
        return [line for line in self.lines if line["event"] == event]

    async def until(self, check, what="it does not come about"):
        def describe():
            return f"{what}: {self.lines[-5:]}"

        await eventually(check, seconds=30, what=describe)

    async def until_logged(self, event, count=1):
        await self.until(lambda: len(self.logged(event)) >= count, f"no line {event}")
        return self.logged(event)[count - 1]

    async def post(self, source="crm", secret="first-secret-of-crm", **data):
        """The status and the document of the answer."""
        url = f"{self.service.addresses.hooks}/hooks/{source}"
        async with self.http.post(url, json=data, headers={"Authorization": f"Bearer {secret}"}) as answer:
            return answer.status, await answer.json(content_type=None)

    async def ask(self, method, path, token=None):
        """The status and the document of an answer of the API."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.request(method, f"{self.service.addresses.ops}{path}", headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def health(self, path):
        async with self.http.get(f"{self.service.addresses.health}{path}") as answer:
            return await answer.text()

    async def body_of(self, event_id):
        """What the only dispatch of an event asks Cargo for."""
        _, shown = await self.ask("GET", f"/api/events/{event_id}")
        [dispatch] = shown["dispatches"]
        return dispatch["request"]


@asynccontextmanager
async def living(file, settings=None, *, paths=None):
    """Runs a relay with the configuration in `file`, or in `paths`, which it follows."""
    if settings is not None:
        file.write_text(yaml.safe_dump(settings))
    with capture_logs() as lines:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(aiohttp.ClientSession())
            service = await build(load(paths or [file], {}), stack, migrate=True)
            ending = asyncio.Event()
            serving = asyncio.create_task(service.serve(ending, grace=5.0))
            try:
                yield Live(file, service, http, lines)
            finally:
                ending.set()
                await serving
