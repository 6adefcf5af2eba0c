"""Secrets that handshakes bring, as the sources and the operators' desk see them."""

import json
from unittest.mock import sentinel

import pytest
from structlog.testing import capture_logs

from relay import config
from relay.app.inputs import make_hook
from relay.app.learned import ATTEMPTS, PERIOD, Hooks
from relay.app.operations import Desk
from relay.app.sources import Sources
from relay.errors import NotFound, Rejected
from relay.life import Signals
from relay.model import new_id
from relay.secret import Secret
from relay.telemetry import Metrics
from tests.app.conftest import NOW

CONFIG = {
    "cargo": {"token": "any"},
    "sources": {
        "helpdesk": {"type": "webhook", "scheme": "zendesk", "secret": "any"},
        "shop": {"type": "webhook", "scheme": "none"},
    },
}
HUSH, OTHER = Secret("hush-hush-hush-one"), Secret("hush-hush-hush-two")


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "relay.yaml"
    path.write_text(json.dumps(CONFIG))
    return config.load([path], {}, strict=True).settings


@pytest.fixture
def sources(settings, ledger):
    return Sources(settings.sources, ledger, lambda known: None)


@pytest.fixture
def desk(settings, ledger, sources):
    judged = []

    async def judge(kept, at):
        judged.append((kept, at))

    def judges(name, dry_run):
        judged.append((name, dry_run))
        return judge

    parts = (None, sentinel.reloads, sources, sentinel.pauses, judges)
    desk = Desk(ledger, ledger, *parts, new_id, lambda: NOW, Signals(), sentinel.patient, sentinel.samples, Metrics())
    return desk, judged


def learned(sources):
    return [row["name"] for row in sources.describe() if row["learned"]]


async def test_a_learned_secret_holds_at_once_here_and_after_a_refresh_on_other_replicas(settings, ledger, sources):
    other = Sources(settings.sources, ledger, lambda known: None)
    assert await sources.learn("helpdesk", HUSH)
    assert (sources.secret("helpdesk"), sources.secret("shop"), learned(sources)) == (HUSH, None, ["helpdesk"])
    assert other.secret("helpdesk") is None
    await other.refresh()
    assert other.secret("helpdesk") == HUSH
    assert not await other.learn("helpdesk", OTHER)
    assert await other.learn("helpdesk", HUSH)


async def test_an_empty_secret_is_never_kept(ledger, sources):
    assert not await sources.learn("helpdesk", Secret(""))
    assert not await sources.learn("helpdesk", Secret("15-characters-x"))
    assert await ledger.learned() == {}


async def test_a_forgotten_secret_makes_place_for_the_next(sources):
    await sources.learn("helpdesk", HUSH)
    assert await sources.forget("helpdesk")
    assert (sources.secret("helpdesk"), learned(sources)) == (None, [])
    assert not await sources.forget("helpdesk")
    assert await sources.learn("helpdesk", OTHER)


async def test_that_of_a_source_which_is_gone_can_be_forgotten_too(ledger, sources):
    await ledger.learn("renamed", HUSH)
    assert await sources.forget("renamed")
    with pytest.raises(NotFound, match="there are: helpdesk, shop"):
        await sources.forget("renamed")


async def test_each_step_is_logged_once_without_the_secret(sources, desk):
    operations, _ = desk
    with capture_logs() as lines:
        for secret in (HUSH, HUSH, OTHER):
            await sources.learn("helpdesk", secret)
        await operations.learned_secret("helpdesk")
        await operations.forget("helpdesk")
        await operations.forget("helpdesk")
    steps = [line for line in lines if line["event"] != "act.done"]
    assert [(line["event"], line["source"]) for line in steps] == [
        ("secret.learned", "helpdesk"),
        ("secret.shown", "helpdesk"),
        ("secret.forgotten", "helpdesk"),
    ]
    acts = [(line["actor"], line["act"], line["target"]) for line in lines if line["event"] == "act.done"]
    assert acts == [("local", "secret.shown", "helpdesk"), ("local", "secret.forgotten", "helpdesk")]
    assert "hush" not in str(lines)


async def test_the_desk_shows_what_was_learned_and_only_that(ledger, desk):
    operations, _ = desk
    with pytest.raises(NotFound, match="no handshake has brought a secret for source helpdesk"):
        await operations.learned_secret("helpdesk")
    with pytest.raises(NotFound, match="there is no source 'nobody'"):
        await operations.learned_secret("nobody")
    await ledger.learn("helpdesk", HUSH)
    assert await operations.learned_secret("helpdesk") == HUSH, "also before the next refresh"


async def test_the_desk_readmits_by_the_judge_of_the_source(desk, refuse):
    operations, judged = desk
    with pytest.raises(NotFound, match="there is no source 'nobody'"):
        await operations.readmit("nobody", dry_run=False)
    assert judged == []
    assert (await operations.readmit("shop", dry_run=True))["requests"] == []
    assert judged == [("shop", True)]


async def test_whoever_tries_secrets_may_not_try_many(tmp_path):
    path = tmp_path / "relay.yaml"
    path.write_text(json.dumps(CONFIG | {"sources": {"notion": {"type": "webhook", "scheme": "notion"}}}))
    now, asked = [0], []

    async def keep(name, secret):
        asked.append(secret)
        return False

    settings = config.load([path], {}).settings
    hooks = Hooks(settings, {"notion": make_hook("notion", settings.sources["notion"], {})})
    learn = hooks.learner(keep, lambda: now[0])
    for number in range(ATTEMPTS):
        assert not await learn("notion", Secret(f"a-guess-of-16-chars-{number}"))
    with pytest.raises(Rejected) as refused:
        await learn("notion", Secret("one-guess-too-many"))
    assert (refused.value.status, refused.value.reason, len(asked)) == (429, "handshake_often", ATTEMPTS)
    now[0] += PERIOD
    hooks.take({"notion": HUSH})
    assert not await learn("notion", OTHER)
    assert len(asked) == ATTEMPTS, "where a secret is kept, no guess reaches the ledger"
    for _ in range(2 * ATTEMPTS):
        assert await learn("notion", HUSH), "the vendor's own is no guess"
