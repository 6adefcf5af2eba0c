"""A sample of its vendor that is sent to a source: signed, verified and taken in as the vendor's own."""

import pytest

from relay.app.judge import Court
from relay.app.samples import Samples, find_sample
from relay.errors import Conflict
from relay.hooks import Hook
from relay.model import new_id
from relay.schemes import SchemeSpec, build
from relay.secret import Secret
from tests.app.conftest import NOW
from tests.app.reloading import CHAT, configure, living


async def no_fetch(url):
    raise AssertionError(f"nothing is fetched here: {url}")


def make_samples(scheme, *secrets, paused=()):
    spec = SchemeSpec(scheme, tuple(map(Secret, secrets)))
    hook = Hook("helpdesk", build(spec), spec)
    court = Court({"helpdesk": hook}, None, 1 << 20, new_id, no_fetch)
    return Samples(court, lambda name: name in paused, new_id, lambda: NOW), hook


async def test_a_sample_is_no_use_of_the_secret():
    """By which it is told whether the vendor has the new one."""
    samples, hook = make_samples("zendesk", "the-new-secret", "the-old-secret")
    [event] = await samples.make("helpdesk")
    assert event.type == "zen:event-type:ticket.created"
    assert hook.scheme.used_at == (0, 0)


@pytest.mark.parametrize(
    ("scheme", "secrets", "why"),
    [
        ("stripe", ["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="], "no sample of Stripe"),
        ("hubspot-v2", ["a hubspot secret"], "no sample of HubSpot"),
    ],
)
async def test_where_there_is_no_sample_it_is_said(scheme, secrets, why):
    samples, _ = make_samples(scheme, *secrets)
    with pytest.raises(Conflict, match=f"{why}.*relay send"):
        await samples.make("helpdesk")


async def test_nothing_is_sent_to_a_paused_source_nor_to_a_queue():
    samples, _ = make_samples("zendesk", "a zendesk secret", paused={"helpdesk"})
    with pytest.raises(Conflict, match=r"paused.*resume it first"):
        await samples.make("helpdesk")
    with pytest.raises(Conflict, match="is a queue"):
        await samples.make("crm-bus")


def test_schemes_whose_events_are_alike_share_a_sample():
    assert find_sample("hubspot-v1") == find_sample("hubspot")


async def test_an_operator_sees_the_event_arrive(tmp_path):
    file = tmp_path / "relay.yaml"
    github = {"type": "webhook", "scheme": "github", "secret": "a-secret-for-github"}
    rules = [
        {"name": "new-issue", "type": "issues.opened", "chat": CHAT},
        {"name": "resting", "type": "issues.opened", "chat": CHAT},
        {"name": "push", "type": "push", "chat": CHAT},
    ]
    async with living(file, configure(tmp_path, sources={"code": github}, rules=rules)) as live:
        await live.ask("POST", "/api/rules/resting/pause")
        at = f"{live.service.addresses.ops}/sources/code/sample"
        async with live.http.get(at) as answer:
            asked = await answer.text()
        assert "Rule new-issue makes a chat at Cargo." in asked
        assert "Rule resting matches, and is held by pause" in asked
        assert "push" not in asked
        _, none = await live.ask("GET", "/api/events")
        assert none["events"] == [], "asking sends nothing"
        for number in (1, 2):
            async with live.http.post(at, allow_redirects=False) as answer:
                assert answer.status == 303
            _, listed = await live.ask("GET", "/api/events")
            assert len(listed["events"]) == number
            assert answer.headers["Location"] == f"/events/{listed['events'][0]['id']}"
        [event, _] = listed["events"]
        assert event["type"] == "issues.opened"
        assert {dispatch["rule"] for dispatch in event["dispatches"]} == {"new-issue", "resting"}
        first, second = live.logged("sample.sent")
        assert (second["source"], second["actor"], second["events"]) == ("code", "local", [event["id"]])
        assert first["events"] != second["events"]
        _, acts = await live.ask("GET", "/api/acts")
        assert [act["act"] for act in acts["acts"]] == ["rule.paused"], "the event itself says what was done"
