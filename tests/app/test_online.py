"""`relay check --online`: what only the servers know, one line with its key each."""

import json
import subprocess
import sys

import aio_pika
import pytest

from relay.app import check_online
from relay.config import load
from relay.ledger import migrate_ledger
from relay.sandbox import make_app
from relay.sandbox import run as simulate

CONFIG = """\
cargo: {{token: t, base_url: "{cargo}/v1"}}
ledger: {{url: "{ledger}"}}
broker: {{url: "{broker}"}}
sources:
  deals: {{type: amqp, queue: deals, event: {{id: "{{{{ data.id }}}}"}}, {more}}}
rules:
  - {{name: all, chat: {{trigger: {{type: draft}}}}}}
"""


@pytest.fixture
def check(tmp_path, amqp_url):
    """Lines of faults and of warnings."""

    async def run(broker=amqp_url, ledger=f"sqlite:///{tmp_path}/relay.db", more="declare: true"):
        path = tmp_path / "relay.yaml"
        async with await simulate(make_app()) as cargo:
            path.write_text(CONFIG.format(broker=broker, ledger=ledger, more=more, cargo=cargo.url))
            found = await check_online(load([path], {}).settings, None)
        return [str(each) for each in found if each.fault], [str(each) for each in found if not each.fault]

    return run


async def declare(url, **arguments):
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
        await channel.declare_queue("deals", durable=True, arguments=named)


async def test_a_queue_that_drops_without_a_trace_is_a_warning_with_what_to_do(check, amqp_url, tmp_path):
    await declare(amqp_url, queue_type="quorum", delivery_limit=3, max_length=50, message_ttl=9_000_000)
    faults, [warning] = await check()
    assert not faults
    assert warning.startswith("sources.deals.queue: RabbitMQ drops a message of queue 'deals' without a trace after 3 ")
    assert f"rabbitmqctl set_policy -p {amqp_url.rpartition('/')[2]} --apply-to queues relay-deals" in warning
    assert not (tmp_path / "relay.db").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        {"queue_type": "quorum", "delivery_limit": 3, "dead_letter_exchange": "d"},
        {"queue_type": "quorum", "delivery_limit": 1_000_000, "single_active_consumer": True},
        {"queue_type": "classic"},
    ],
)
async def test_a_queue_that_keeps_what_it_drops_or_drops_nothing_is_well(check, amqp_url, arguments):
    await declare(amqp_url, **arguments)
    assert await check() == ([], [])


async def test_what_is_missing_is_named_with_its_key(check):
    faults, _ = await check(more="declare: false, bind: {exchange: crm}")
    assert faults == [
        "sources.deals.queue: queue 'deals' does not exist: create it, or leave out `declare: false`",
        "sources.deals.bind.exchange: exchange 'crm' does not exist: create it, or correct the name",
    ]


async def test_a_database_that_is_not_migrated_or_takes_no_writes(check, postgres_url, postgres_server):
    faults, [warning] = await check(ledger=postgres_url)
    assert not faults
    assert warning.startswith("ledger.url: the schema lacks")
    await migrate_ledger(postgres_url)
    assert await check(ledger=postgres_url) == ([], [])
    name = postgres_url.rpartition("/")[2]
    postgres_server.run(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    [fault], _ = await check(ledger=postgres_url)
    assert fault.startswith("ledger.url: ledger postgresql://")
    assert "the database takes no writes, default_transaction_read_only is on" in fault


def test_the_command_tells_faults_and_ends_with_1(tmp_path):
    away = {"broker": "amqp://guest@127.0.0.1:9", "ledger": "sqlite:////nowhere/relay.db", "more": "declare: true"}
    away["cargo"] = "http://127.0.0.1:9"
    (tmp_path / "relay.yaml").write_text(CONFIG.format(**away))
    command = [sys.executable, "-m", "relay", "check", "--online", "--json", "-c", "relay.yaml"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    document = json.loads(result.stdout)
    assert (result.returncode, document["ok"], result.stderr) == (1, False, "")
    found = [(fault["file"], fault["line"], fault["key"]) for fault in document["findings"]]
    assert found == [
        ("relay.yaml", 2, "ledger.url"),
        ("relay.yaml", 3, "broker.url"),
        ("relay.yaml", 1, "cargo.base_url"),
    ]
