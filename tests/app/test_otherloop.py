"""What tells whether the relay's loop turns answers while it does not."""

import asyncio
import threading
from contextlib import AsyncExitStack
from urllib.error import HTTPError
from urllib.request import urlopen

from aiohttp import web

from relay.app.otherloop import OtherLoop
from relay.errors import Unavailable
from relay.ops import make_health_app
from relay.telemetry import Metrics, Status


def ask(url):
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_livez_answers_while_the_relays_own_loop_is_stuck():
    async def away():
        raise Unavailable("away")

    async with AsyncExitStack() as stack:
        other = OtherLoop("health")
        stack.push_async_callback(other.aclose)
        now = [0.0]
        status = Status(lambda: 0, lambda: now[0])
        runner = web.AppRunner(make_health_app(status, Metrics(), other.ask(away)), handle_signals=False)
        await other.run(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await other.run(site.start())
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            status.beat()
            assert (await asyncio.to_thread(ask, f"{url}/livez"))[0] == 200
            now[0] = 31.0
            answers = []
            asking = threading.Thread(target=lambda: answers.append(ask(f"{url}/livez")))
            asking.start()
            asking.join()  # this thread waits, and with it its loop
            [(code, text)] = answers
            assert code == 503
            assert "has not turned" in text
            assert (await asyncio.to_thread(ask, f"{url}/metrics"))[0] == 200, "what it asks of the own loop comes"
        finally:
            await other.run(runner.cleanup())


async def test_what_the_other_loop_asks_runs_in_the_relays_own():
    other = OtherLoop("test")
    own = threading.get_ident()

    async def where():
        return threading.get_ident()

    try:
        assert await other.run(other.ask(where)()) == own
        assert await other.run(where()) != own
    finally:
        await other.aclose()
