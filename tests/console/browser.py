"""Debian's Chromium, watched: what it asks for, what its policy refuses, what its scripts complain of."""

import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Page, async_playwright, expect

expect.set_options(timeout=20_000)
ROOT = Path(__file__).parents[2]
ARGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
REPORT = "document.addEventListener('securitypolicyviolation', (e) => console.error('CSP: ' + e.violatedDirective))"
SERIOUS = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => each.id + ": " + each.nodes.map((node) => node.html.slice(0, 200)).join(" | "));
}"""


def find_axe() -> str:
    """The source of axe-core, fetched as package-lock.json pins it."""
    folder = Path(sys.prefix) / "npm" / "axe"
    subprocess.run([sys.executable, str(ROOT / ".ci/browser.py"), "--tests", str(folder)], check=True)
    return (folder / "axe.js").read_text()


@dataclass
class Watched:
    """A browser and what it did that it should not: `faults` stays empty."""

    browser: object
    axe: str
    host: str
    faults: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    async def open(self, **options) -> Page:
        """A page in a context of its own."""
        context = await self.browser.new_context(**options)
        context.set_default_timeout(20_000)
        page = await context.new_page()
        await page.add_init_script(REPORT)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._note)
        return page

    async def look(self, page: Page) -> None:
        """axe finds nothing serious, and nothing is wider than the window."""
        await page.evaluate(self.axe)
        self.faults += [f"{page.url}: {each}" for each in await page.evaluate(SERIOUS)]
        if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            self.faults.append(f"{page.url} is wider than the window")

    def _hear(self, message) -> None:
        expected = "the server responded with a status of 4" in message.text
        if message.type in {"error", "warning"} and not expected:
            self.faults.append(message.text)

    def _note(self, request) -> None:
        self.asked.add(request.url)
        if urlsplit(request.url).hostname != self.host:
            self.faults.append(f"asked for {request.url}")


@asynccontextmanager
async def browsing(host: str):
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGS)
        try:
            yield Watched(browser, find_axe(), host)
        finally:
            await browser.close()
