"""`relay doctor`: what a person is told, of every check, and that no check holds up another."""

import asyncio
from dataclasses import replace

import aio_pika
import pytest

from relay.app.doctor import Grade, examine_files
from relay.app.doctor.database import judge_clock, judge_disk, judge_schema, judge_size
from relay.app.doctor.line import examine as run_checks
from relay.app.doctor.line import ok
from relay.app.doctor.servers import judge_broker
from relay.app.doctor.traffic import judge_rules, judge_secrets, judge_sources
from relay.app.online import connected
from relay.config import load
from relay.errors import Unavailable
from relay.ledger import Terms, inspect_ledger, migrate_ledger, open_ledger
from relay.model import LedgerHealth, new_id
from relay.sandbox import make_app
from relay.sandbox import run as simulate
from relay.schemes import Headers, Request, SchemeSpec, build
from tests.app.reloading import configure, living
from tests.ledger.build import make_entry
from tests.virtual import virtually

DAY, GIB = 86_400_000, 1 << 30
HEALTH = LedgerHealth("SQLite 3", 100 * DAY, GIB, 0, 90 * DAY)
WEBHOOK = {"type": "webhook", "scheme": "bearer", "secret": "first-secret-of-crm"}
CONFIG = """\
cargo: {{token: "{token}", base_url: "{cargo}/v1"}}
ledger: {{url: "{ledger}"}}
broker: {{url: "{broker}"}}
sources:
  desk:
    type: webhook
    scheme: standard-webhooks
    secrets: [whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5u, whsec_b29vb29vb29vb29vb29vb29vb29vb29v]
    expect: 1h
  deals: {{type: amqp, queue: deals, event: {{id: "{{{{ data.id }}}}"}}}}
rules:
  - {{name: urgent, chat: {{trigger: {{type: draft}}}}}}
  - {{name: never, type: nothing.*, chat: {{trigger: {{type: draft}}}}}}
"""


def worst(lines):
    return str(max((line.verdict for line in lines), key=list(Grade).index))


def only(found):
    [(verdict, what, todo)] = found
    assert (todo is None) == (verdict is Grade.OK), "what is not well says what to do"
    return str(verdict), what


@virtually
async def test_checks_run_side_by_side_each_in_its_time_and_none_ends_another():
    async def hangs():
        await asyncio.sleep(3_600)

    async def fails():
        raise Unavailable("the ledger is away")

    async def breaks():
        raise KeyError("x")

    async def well():
        return [ok("fine")]

    checks = {"a": hangs, "b": hangs, "c": fails, "d": breaks, "e": well}
    lines = await run_checks(checks)
    assert asyncio.get_running_loop().time() == 5
    assert [(line.check, line.verdict) for line in lines] == [*[(name, "look") for name in "abcd"], ("e", "ok")]
    vital = await run_checks(checks, vital="abce")
    assert [str(line.verdict) for line in vital] == ["act", "act", "act", "look", "ok"], "what Relay cannot be without"
    assert ["within 5 s" in lines[0].what, "the ledger is away" in lines[2].what] == [True, True]


@pytest.mark.parametrize(("off", "verdict"), [(1_900, "ok"), (-5_000, "look"), (120_000, "act")])
def test_a_clock(off, verdict):
    assert only(judge_clock("Cargo's", off))[0] == verdict


@pytest.mark.parametrize(("free", "verdict"), [(50 * GIB, "ok"), (9 * GIB, "look"), (GIB, "act")])
def test_a_disk(free, verdict):
    assert only(judge_disk("/data", free, 100 * GIB, GIB))[0] == verdict


def test_a_ledger_that_outgrows_its_disk():
    assert only(judge_size(HEALTH, 30 * DAY, 10 * GIB)) == (
        "ok",
        (
            "SQLite 3, 1.0 GiB, the oldest event is of 1970-04-01T00:00:00.000Z, "
            "it grows by some 102.4 MiB a day to some 3.0 GiB at `ledger.retain`"
        ),
    )
    assert only(judge_size(HEALTH, 30 * DAY, GIB))[0] == "act"
    assert "as old as" in only(judge_size(HEALTH, 10 * DAY, GIB))[1]
    assert "no events" in only(judge_size(replace(HEALTH, oldest=None), DAY, None))[1]


def test_a_schema_and_its_indexes():
    assert only(judge_schema(HEALTH))[0] == "ok"
    assert only(judge_schema(replace(HEALTH, pending=("0002",))))[0] == "act"
    found = judge_schema(replace(HEALTH, missing=("a",), broken=("b",), bloated=("events",)))
    assert [(verdict, what) for verdict, what, _ in found] == [
        ("act", "missing: a"),
        ("act", "invalid: b"),
        ("look", "most rows are dead in events"),
    ]


def settings(tmp_path, **values):
    path = tmp_path / "relay.yaml"
    rest = {"token": "t", "cargo": "http://127.0.0.1:1", "ledger": f"sqlite:///{tmp_path}/relay.db"}
    path.write_text(CONFIG.format(**{"broker": "amqp://127.0.0.1:1", **rest, **values}))
    return load([path], {}).settings


def test_sources_and_rules(tmp_path):
    made = settings(tmp_path)
    silent, unknown = judge_sources(made.sources, replace(HEALTH, last={"desk": HEALTH.now - DAY}), ())
    assert (silent[0], unknown[0]) == ("act", "look")
    assert "silent since 1970-04-10T00:00:00.000Z" in silent[1]
    assert [each[1] for each in judge_sources(made.sources, HEALTH, ["desk", "deals"])] == [
        f"{name} is paused by a person" for name in ("desk", "deals")
    ]
    health = replace(HEALTH, recent={"urgent": 5}, looked_at=5, since=DAY)
    assert only(judge_rules(["urgent", "never"], health))[1].startswith("never made none of the newest 5 dispatches")
    assert only(judge_rules(["urgent"], health))[0] == "ok"


def test_a_rule_in_the_shadow_is_at_work():
    """It matches and makes no dispatch, which is what it is for."""
    health = replace(HEALTH, recent={"urgent": 5}, looked_at=5, since=DAY, skipped=frozenset({"shadow"}))
    assert only(judge_rules(["urgent", "shadow"], health)) == ("ok", "2 rules, each at work")
    alone = replace(HEALTH, skipped=frozenset({"shadow"}))
    assert only(judge_rules(["shadow"], alone))[0] == "ok"
    assert only(judge_rules(["shadow", "never"], alone))[1].startswith("nothing was dispatched yet")


def test_only_the_old_secret_is_used(tmp_path):
    """By real signatures: the scheme says which of its secrets proved a request."""
    made = settings(tmp_path)
    new, old = made.sources["desk"].live
    scheme = build(SchemeSpec("standard-webhooks", (new, old)))

    def send(secret, at):
        signing = build(SchemeSpec("standard-webhooks", (secret,)))
        bare = Request(
            "POST", "http://x/hooks/desk", Headers({"Content-Type": "application/json"}), b'{"type":"t"}', at
        )
        scheme.verify(signing.sign(bare, id="1"))
        return only(judge_secrets(made.sources, {"desk": scheme.used_at}))

    assert only(judge_secrets(made.sources, {"desk": scheme.used_at}))[0] == "look"
    verdict, what = send(old, 10_000)
    assert (verdict, "last at 1970-01-01T00:00:10.000Z" in what) == ("act", True)
    assert send(new, 20_000)[0] == "ok"
    assert send(old, 30_000)[0] == "look"
    assert only(judge_secrets(made.sources, None))[0] == "look", "files do not know"


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_the_ledger_is_inspected_as_it_is(kind, tmp_path, request):
    url = f"sqlite:///{tmp_path}/relay.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    if kind == "sqlite":
        with pytest.raises(Exception, match="there is no file"):
            await inspect_ledger(url, ())
        assert not (tmp_path / "relay.db").exists()
        (tmp_path / "relay.db").touch()
    assert (await inspect_ledger(url, ())).pending, "nothing is migrated"
    await migrate_ledger(url)
    ledger = await open_ledger(url, Terms(owner="one"))
    try:
        await ledger.accept([make_entry(rules=("urgent",))])
        await ledger.count({("rule", "shadow"): {"shadow": 1}, ("rule", "urgent"): {"chats": 1}})
        health = await ledger.inspect(("helpdesk", "crm-bus"))
        assert health.skipped == {"shadow"}
        assert (health.looked_at, dict(health.recent)) == (1, {"urgent": 1})
        assert (health.pending, health.missing, health.broken) == ((), (), ())
        assert health.oldest == next(iter(health.last.values()))
        assert health.size > 50_000
        await ledger.write(lambda conn, _: conn.exec_driver_sql("DROP INDEX results_event"))
        assert (await ledger.inspect(())).missing == ("results_event",)
    finally:
        await ledger.aclose()


async def test_files_are_examined_without_a_relay(tmp_path, amqp_url):
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue("deals", durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 3})
    url = f"sqlite:///{tmp_path}/relay.db"
    await migrate_ledger(url)
    async with await simulate(make_app()) as cargo:
        lines = await examine_files(settings(tmp_path, cargo=cargo.url, broker=amqp_url, ledger=url), None)
    by_check = {}
    for line in lines:
        by_check.setdefault(line.check, []).append(line)
    assert {name: worst(lines) for name, lines in by_check.items()} == {
        **dict.fromkeys(["versions", "clock", "ledger", "indexes", "cargo"], "ok"),
        "disk": str(by_check["disk"][0].verdict),
        **dict.fromkeys(["sources", "rules", "secrets", "broker"], "look"),
    }
    assert any("drops a message of queue 'deals' after 3 " in line.what for line in by_check["broker"])
    assert not any("whsec_" in f"{line.what}{line.todo}" for line in lines)


async def test_a_queue_that_serve_will_declare_is_not_missing_before_the_first_start(tmp_path, amqp_url):
    queue = f"deals-{new_id()}"

    async def judge(*, running=False, **source):
        made = settings(tmp_path, broker=amqp_url)
        deals = made.sources["deals"].model_copy(update={"queue": queue, **source})
        made = made.model_copy(update={"sources": {"deals": deals}})
        async with connected(made) as link:
            found = await judge_broker(link, made, running=running)
        return next((str(verdict), what) for verdict, what, _ in found if queue in what)

    verdict, what = await judge()
    assert (verdict, "`relay serve` declares it" in what) == ("look", True)
    assert (await judge(declare=False))[0] == "act"
    assert (await judge(running=True))[0] == "act"


async def test_a_ledger_that_is_away_needs_a_person_and_one_that_is_not_there_yet_does_not(tmp_path):
    away = settings(tmp_path, ledger="postgresql://relay@127.0.0.1:1/relay")
    assert {line.check: str(line.verdict) for line in await examine_files(away, None)}["ledger"] == "act"
    (tmp_path / "other").mkdir()
    url = f"sqlite:///{tmp_path}/other/relay.db"
    verdicts = []
    for step in ("before", "in use"):
        if step == "in use":
            await migrate_ledger(url)
            ledger = await open_ledger(url, Terms(owner="one"))
        [line] = [line for line in await examine_files(settings(tmp_path, ledger=url), None) if line.check == "ledger"]
        verdicts.append((str(line.verdict), "yet" in line.what, "in use" in line.what))
    await ledger.aclose()
    assert verdicts == [("look", True, False), ("look", False, True)]
    (tmp_path / "other" / "relay.db").write_bytes(b"no database at all" * 99)
    lines = await examine_files(settings(tmp_path, ledger=url), None)
    assert {line.check: str(line.verdict) for line in lines}["ledger"] == "act"


async def test_a_running_relay_is_examined_by_its_own_parts(tmp_path, amqp_url):
    async with await simulate(make_app()) as cargo:
        rest = {"broker": {"url": amqp_url}, "sources": {"crm": WEBHOOK}}
        async with living(tmp_path / "live.yaml", configure(tmp_path, f"{cargo.url}/v1", **rest)) as live:
            assert (await live.post(id=1))[0] == 202
            await live.until_logged("result.published")
            status, report = await live.ask("GET", "/api/doctor")
    assert status == 200
    verdicts = {(line["check"], line["verdict"]) for line in report["lines"]} - {("disk", "ok"), ("disk", "look")}
    well = ("versions", "clock", "ledger", "indexes", "broker", "cargo", "sources", "rules", "secrets")
    # RabbitMQ counts what waits in the queue of results a moment late, so that line may be there or not.
    assert verdicts - {("broker", "look")} == {(name, "ok") for name in well}


async def test_servers_that_are_away_are_lines_too(tmp_path):
    lines = await examine_files(settings(tmp_path), None)
    verdicts = {line.check: str(line.verdict) for line in lines}
    assert (verdicts["broker"], verdicts["cargo"], verdicts["ledger"]) == ("act", "act", "look")
