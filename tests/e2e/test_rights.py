"""A RabbitMQ user who may configure nothing, in a virtual host that somebody else has set up with `relay topology`."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import aio_pika
import pytest

from tests.e2e.harness import Relay, eventually
from tests.e2e.simulator import simulating
from tests.e2e.test_way import fetch

# The queue of results is not named as its exchange: our user has no right on it at all.
SOURCE = """
  bus: {type: amqp, queue: crm.events, bind: {exchange: crm, routing_keys: [deal.#]}, reply: [answers]}
results: {queue: cargo-results}
"""


@pytest.fixture
def limited(rabbitmq_server, amqp_url):
    """The URL of a user of this virtual host who may nothing yet."""
    parts = urlsplit(amqp_url)
    name = "limited-" + parts.path.strip("/")
    rabbitmq_server.call("PUT", f"/users/{name}", json.dumps({"password": "p", "tags": ""}).encode())
    permit(rabbitmq_server, amqp_url, name, write="^$", read="^$")
    yield parts._replace(netloc=f"{name}:p@{parts.netloc.rpartition('@')[2]}").geturl()
    rabbitmq_server.call("DELETE", f"/users/{name}")


def permit(server, url, name, *, configure="^$", write, read):
    rights = {"configure": configure, "write": write, "read": read}
    path = f"/permissions/{quote(urlsplit(url).path[1:], safe='')}/{name}"
    server.call("PUT", path, json.dumps(rights).encode())


def print_topology(relay: Relay, *options: str) -> str:
    command = [sys.executable, "-m", "relay", "topology", "--config", str(relay.config), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def set_up(server, url: str, relay: Relay) -> None:
    """As a person would: by the commands; by the definitions where RabbitMQ comes without the program (4.3)."""
    api = urlsplit(server.api)
    try:
        with urlopen(f"http://{api.hostname}:{api.port}/cli/rabbitmqadmin", timeout=30) as program:
            run_commands(server, program.read(), print_topology(relay), relay.folder)
    except HTTPError as error:
        error.close()
        import_definitions(server, url, relay)


def run_commands(server, program: bytes, script: str, folder: Path) -> None:
    """In a shell, with the management plugin's own `rabbitmqadmin`, logged in as an administrator."""
    api = urlsplit(server.api)
    (folder / "rabbitmqadmin.py").write_bytes(program)
    login = f"-H {api.hostname} -P {api.port} -u {api.username} -p {api.password}"
    (folder / "rabbitmqadmin").write_text(f'#!/bin/sh\nexec {sys.executable} {folder}/rabbitmqadmin.py {login} "$@"\n')
    (folder / "rabbitmqadmin").chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}
    subprocess.run(["sh", "-eu"], input=script, env=env, check=True, capture_output=True, text=True, timeout=120)


def import_definitions(server, url: str, relay: Relay) -> None:
    document = print_topology(relay, "--definitions").encode()
    server.call("POST", f"/definitions/{quote(urlsplit(url).path[1:], safe='')}", document)
    rights = {"write": r"^(relay\.results|relay\.dead|amq\.default)$", "read": r"^(crm\.events)$"}
    shown = print_topology(relay)
    assert all(f"'{name}={pattern}'" in shown for name, pattern in rights.items())
    permit(server, url, f"limited-{urlsplit(url).path[1:]}", **rights)


@pytest.mark.parametrize("form", ["commands", "definitions"])
async def test_relay_works_as_a_user_who_may_configure_nothing(tmp_path, rabbitmq_server, amqp_url, limited, form):
    async with simulating() as cargo, await aio_pika.connect(amqp_url) as admin:
        channel = await admin.channel()
        crm = await channel.declare_exchange("crm", "topic", durable=True)
        relay = Relay(tmp_path, cargo=cargo.url, amqp=limited, sources=SOURCE)
        if form == "commands":
            await asyncio.to_thread(set_up, rabbitmq_server, amqp_url, relay)
        else:
            await asyncio.to_thread(import_definitions, rabbitmq_server, amqp_url, relay)
        await asyncio.to_thread(relay.start)
        try:
            message = {
                "message_id": "m1",
                "type": "deal.won",
                "content_type": "application/json",
                "reply_to": "answers",
            }
            answers = await channel.declare_queue("answers")
            await crm.publish(aio_pika.Message(b'{"id": 1}', **message), "deal.won")
            await crm.publish(aio_pika.Message(b"{", content_type="application/json", message_id="m2"), "deal.won")
            answer = await fetch(answers)
            assert answer.type == "relay.chat.created"
            assert answer.headers["chat-uuid"]
            results = await channel.get_queue("cargo-results")
            assert (await fetch(results)).message_id == answer.message_id
            dead = await fetch(await channel.get_queue("relay.dead"))
            assert (dead.message_id, dead.headers["relay-reason"]) == ("m2", "json")
            unsure = [line["do"] for line in relay.lines() if line["event"] == "broker.unsure"]
        finally:
            await asyncio.to_thread(relay.stop)
        # Whether it is bound cannot be asked; each binding is told once, with the command.
        assert len(unsure) == len(set(unsure))
        assert sum(" declare binding " in line for line in unsure) == 3


async def test_what_is_missing_is_told_with_the_command_that_makes_it(tmp_path, rabbitmq_server, amqp_url, limited):
    async with simulating() as cargo, await aio_pika.connect(amqp_url) as admin:
        await (await admin.channel()).declare_exchange("crm", "topic", durable=True)
        relay = Relay(tmp_path, cargo=cargo.url, amqp=limited, sources=SOURCE)
        await asyncio.to_thread(relay.start)
        try:
            command = next(line for line in print_topology(relay).splitlines() if not line.startswith("#"))
            reason = await down(relay, "broker")
            assert "exchange 'relay.results' is" in reason
            assert "(ACCESS_REFUSED - " in reason
            assert f"let somebody run `{command}`" in reason
            assert "queue 'crm.events' is" in await down(relay, "source bus")
            assert relay.logged("broker.unprepared") == 1
            await asyncio.to_thread(set_up, rabbitmq_server, amqp_url, relay)
            await eventually(lambda: state_of(relay, "broker")[0] == "up", seconds=40, what=relay.describe)
        finally:
            await asyncio.to_thread(relay.stop)


def state_of(relay: Relay, part: str) -> tuple[str, str]:
    """How a part is, and why."""
    request = Request(relay.url("health") + "/readyz?verbose", headers={"Accept": "application/json"})
    with urlopen(request, timeout=10) as answer:
        parts = {each["name"]: each for each in json.load(answer)["parts"]}
    return parts[part]["state"], parts[part]["reason"]


async def down(relay: Relay, part: str) -> str:
    """Why a part is down, once it is."""
    await eventually(lambda: state_of(relay, part)[0] == "down", seconds=40, what=relay.describe)
    return state_of(relay, part)[1]
