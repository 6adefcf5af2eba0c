"""What strangers can make the listener hold: each attack against a running one, measured by what it counts itself."""

import asyncio
import contextlib
import gc
import ipaddress
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from relay.hooks import Bounds, Caps
from relay.hooks.connection import Connection
from tests.hooks.listener import HOOKS, NOW, Recorder, hook, listen
from tests.signing import sign

INSIDE = (ipaddress.ip_network("127.0.0.0/8"),)
VENDOR, FLOOD = "203.0.113.9", "198.51.100.7"
ENDLESS = 1e9
"""Seconds: where a test shows what is held, nothing may end by itself."""
PATIENT = {"head_time": ENDLESS, "grace": ENDLESS, "body_time": ENDLESS}


def head(source="code", length=1 << 20, *, sender=None, extra=b""):
    named = f"X-Forwarded-For: {sender}\r\n".encode() if sender else b""
    return b"POST /hooks/%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s%sContent-Length: %d\r\n\r\n" % (
        source.encode(),
        named,
        extra,
        length,
    )


class Client:
    """A connection that sends what it is told, and no more."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def send(self, data):
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def answer(self):
        """Everything until the listener closes, or b"" after a reset."""
        try:
            return await asyncio.wait_for(self.reader.read(), 30)
        except ConnectionError:
            return b""

    async def status(self):
        """The status of the next answer."""
        line = await asyncio.wait_for(self.reader.readline(), 30)
        return int(line.split()[1])


@contextlib.asynccontextmanager
async def attacked(caps=None, **options):
    """A listener and what opens connections to it; they are closed before it, so that it waits for nobody."""
    clients = []
    async with listen(caps=replace(caps or Caps(**PATIENT), linger=0.2), **options) as listener:
        parts = urlsplit(listener.url)

        async def dial(first=b""):
            client = Client(*await asyncio.open_connection(parts.hostname, parts.port))
            clients.append(client)
            await client.send(first)
            return client

        try:
            yield listener, dial
        finally:
            for client in clients:
                client.writer.close()


async def until(check, what=""):
    """Returns once it holds; the listener runs in this loop, so that each turn brings it on."""
    for _ in range(3_000):
        if check():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(what or "it never came to be")


def vendors_post(listener, sender=None):
    """A request of the vendor, signed."""
    signed = sign(HOOKS["code"].scheme, b"{}", now=NOW, id="1", url=f"{listener.url}/hooks/code")
    return listener.post("code", b"{}", signed | ({"X-Forwarded-For": sender} if sender else {}))


async def test_bodies_that_nobody_has_proved_are_held_within_the_cap():
    caps = Caps(in_flight=1 << 20, **PATIENT)
    async with attacked(caps=caps) as (listener, dial):
        flood = [await dial(head()) for _ in range(20)]
        for client in flood:
            await client.send(bytes(150 << 10))
        await until(lambda: listener.turned_away("in_flight"))
        assert listener.crowd.bytes.held <= caps.in_flight
        answers = [await client.answer() for client in flood[-3:]]
        assert [answer for answer in answers if answer and b" 503 " not in answer[:16]] == []
        for client in flood:
            client.writer.close()
        await until(lambda: listener.crowd.bytes.held == 0)
        assert (await vendors_post(listener))[0] == 202


async def test_a_flood_of_bodies_from_one_address_takes_nothing_from_another():
    caps = Caps(in_flight=1 << 20, **PATIENT)
    async with attacked(caps=caps, trusted_proxies=INSIDE) as (listener, dial):
        flood = [await dial(head(sender=FLOOD)) for _ in range(8)]
        for client in flood[:7]:
            await client.send(bytes(140 << 10))
        await until(lambda: listener.crowd.bytes.held > 900 << 10)
        vendor = await dial(head(length=200 << 10, sender=VENDOR))
        await vendor.send(bytes(200 << 10))
        assert await vendor.status() == 401, "it came whole and was judged"
        assert (await vendors_post(listener, VENDOR))[0] == 202
        assert listener.turned_away("in_flight")
        assert listener.counted("code", "in_flight")


async def test_a_body_in_single_bytes_costs_no_more_than_its_size():
    async with attacked() as (listener, dial):
        client = await dial(head())
        for _ in range(200):
            await client.send(b"x")
            await asyncio.sleep(0)
        await until(lambda: listener.crowd.bytes.held >= 200)
        assert listener.crowd.bytes.held < 1_000
        [connection] = [
            each for each in gc.get_objects() if isinstance(each, Connection) and each.crowd is listener.crowd
        ]
        await until(lambda: connection._current_request.content._size == 0, "what was read is in one array")


async def test_pipelined_requests_do_not_pile_up_behind_one_that_is_answered():
    gate = asyncio.Event()

    class Slow(Recorder):
        async def accept(self, events):
            await gate.wait()
            return await super().accept(events)

    async with attacked(intake=Slow()) as (listener, dial):
        client = await dial(head("open", 2) + b"{}")
        await until(lambda: listener.crowd.bytes.held)
        one = head("open", 50_000) + b" " * 49_998 + b"{}"
        writing = asyncio.create_task(client.send(one * 400))  # 20 MB; sockets hold some of it
        for _ in range(50):
            await asyncio.sleep(0.01)
        assert listener.crowd.bytes.held < 1 << 20
        gate.set()
        assert await client.status() == 202
        await client.answer()
        await writing
        assert len(listener.intake.events) == 1, "it was told to send the rest on another connection"


async def test_what_follows_a_request_in_the_same_packet_is_not_kept_uncounted():
    async with attacked() as (listener, dial):
        rest = b"POST /hooks/open HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 4_000) for n in range(20))
        client = await dial(head("open", 2) + b"{}" + rest)
        answer = await client.answer()
        assert b" 202 " in answer[:16]
        assert b"Connection: close" in answer
        await until(lambda: not listener.crowd.seats.held)


async def test_a_head_is_at_most_32_kib():
    field = b"X-%d: " + b"a" * 4_000 + b"\r\n"
    many = b"".join(field % number for number in range(10))
    async with attacked() as (listener, dial):
        for pieces in ([head("open", 2, extra=many) + b"{}"], [head("open", 2, extra=many)[:20_000], many]):
            client = await dial()
            for piece in pieces:
                await client.send(piece)
                await asyncio.sleep(0.05)
            answer = await client.answer()
            assert answer == b"" or b" 431 " in answer[:16]
        assert listener.turned_away("head") == 2
        assert not listener.intake.events
        assert (await listener.post("open", b"{}", {f"X-{n}": "a" * 4_000 for n in range(6)}))[0] == 202


async def test_unfinished_heads_are_counted_and_go_in_time():
    async with attacked(caps=Caps(head_time=0.2)) as (listener, dial):
        clients = [await dial(b"POST /hooks/open HTTP/1.1\r\nX-A: " + b"a" * 8_000) for _ in range(10)]
        for client in clients:
            answer = await client.answer()
            assert b" 408 " in answer[:16]
        assert listener.turned_away("head_slow") == 10
        await until(lambda: not listener.crowd.bytes.held and not listener.crowd.seats.held)


async def test_a_slow_head_does_not_cut_the_answer_before_it():
    gate = asyncio.Event()

    class Slow(Recorder):
        async def accept(self, events):
            await gate.wait()
            return await super().accept(events)

    async with attacked(caps=Caps(head_time=0.01), intake=Slow()) as (listener, dial):
        client = await dial(head("open", 2) + b"{}")
        await until(lambda: listener.crowd.bytes.held)
        await client.send(b"\r\n")  # as some senders do after a body
        for _ in range(20):
            await asyncio.sleep(0.01)
        gate.set()
        assert await client.status() == 202


@pytest.mark.parametrize("pieces", [0, 3])
async def test_a_stalled_body_is_408(pieces):
    async with attacked(caps=Caps(grace=0.1, body_time=ENDLESS)) as (listener, dial):
        client = await dial(head())
        for _ in range(pieces):
            await client.send(b"x")
        answer = await client.answer()
        assert b" 408 " in answer[:16]
        assert b"body_slow" in answer
        assert listener.counted("code", "body_slow") == 1
        assert listener.turned_away("body_slow") == 1


def test_the_pace_of_a_body():
    caps = Caps(grace=5, pace=1_024, body_time=30)
    assert [caps.patience(size) for size in (0, 1_024, 10_240, 1 << 20)] == [5, 6, 15, 30]


async def test_beyond_the_cap_the_idle_connection_goes_and_the_new_one_is_served():
    async with attacked(caps=Caps(connections=3, **PATIENT)) as (listener, dial):
        idle = [await dial() for _ in range(3)]
        await until(lambda: listener.crowd.seats.held == 3)
        assert (await vendors_post(listener))[0] == 202
        assert await idle[0].answer() == b""
        assert listener.crowd.seats.held == 3


async def test_beyond_the_cap_one_address_cannot_have_more_by_asking_again():
    async with attacked(caps=Caps(connections=3, **PATIENT)) as (listener, dial):
        reading = [await dial(head()) for _ in range(3)]
        await until(lambda: sum(each.ease for each in _connections(listener)) == 3)
        late = await dial()
        await late.answer()
        assert listener.turned_away("connections") == 1
        assert len(_connections(listener)) == 3
        for client in reading:
            await client.send(bytes(1 << 20))
            assert await client.status() == 401


def _connections(listener):
    return [each for shares in listener.crowd.seats._holders.values() for each in shares]


async def test_connections_of_one_address_give_way_to_another_behind_a_proxy_too():
    caps = Caps(connections=6, **PATIENT)
    async with attacked(caps=caps, trusted_proxies=INSIDE) as (listener, dial):
        flood = [await dial(head(sender=FLOOD)) for _ in range(6)]
        await until(lambda: listener.crowd.seats._sums.get(FLOOD) == 6)
        assert (await vendors_post(listener, VENDOR))[0] == 202
        assert listener.turned_away("connections") == 1
        ended = await flood[0].answer()
        assert ended == b"" or b" 503 " in ended[:16]


async def test_a_handler_whose_sender_has_gone_still_counts_what_it_holds():
    gate = asyncio.Event()

    class Slow(Recorder):
        async def accept(self, events):
            await gate.wait()
            return await super().accept(events)

    async with attacked(intake=Slow()) as (listener, dial):
        client = await dial(head("open", 5_000) + b" " * 4_998 + b"{}")
        await until(lambda: listener.crowd.bytes.held > 5_000)
        client.writer.close()
        await until(lambda: not listener.crowd.seats.held)
        assert listener.crowd.bytes.held > 5_000
        gate.set()
        await until(lambda: not listener.crowd.bytes.held)


async def test_what_is_turned_away_is_one_line_a_minute(monkeypatch):
    lines, clock = [], [0.0]

    class Log:
        def warning(self, event, **fields):
            lines.append((event, fields["cap"], fields["turned_away"]))

    monkeypatch.setattr("relay.hooks.crowd.log", Log())
    async with attacked(caps=Caps(head=100), monotonic=lambda: clock[0]) as (_, dial):
        for number in range(7):
            clock[0] = 60_000.0 * (number // 5)
            await (await dial(b"POST /" + b"a" * 200)).answer()
    assert lines == [("listener.pressed", "head", 1), ("listener.pressed", "head", 5)]


async def test_no_answer_names_the_server():
    async with attacked() as (listener, _):
        for source, method in (("open", "POST"), ("code", "POST"), ("nothing", "POST"), ("open", "GET")):
            _, headers, _ = await listener.post(source, method=method)
            assert "Server" not in headers


async def test_a_source_has_a_share_of_its_own():
    hooks = HOOKS | {"code": hook("code", "github", "Sesam-github", bounds=Bounds(in_flight=100 << 10))}
    async with attacked(hooks=hooks, caps=Caps(**PATIENT)) as (listener, dial):
        first = await dial(head(length=90 << 10))
        await first.send(bytes(80 << 10))
        await until(lambda: listener.crowd.bytes.held > 80 << 10)
        second = await dial(head(length=90 << 10))
        await second.send(bytes(80 << 10))
        assert await second.status() == 503
        assert listener.counted("code", "in_flight") == 1
        assert (await listener.post("open", b" " * 200_000 + b"{}"))[0] == 202
        await first.send(bytes(10 << 10))
        assert await first.status() == 401
        assert (await vendors_post(listener))[0] == 202
