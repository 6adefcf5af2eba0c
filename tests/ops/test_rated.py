"""Rules with what they did, rates and usage over HTTP; a rule as text to try."""

import pytest

from relay.model import Measured, RateQuery, Usage
from relay.secret import Secret
from tests.ops.desk import NOW, make_event

MINUTE, DAY = 60_000, 86_400_000
TODAY = NOW - NOW % DAY


@pytest.fixture
async def http(aiohttp_client, make_app):
    return await aiohttp_client(make_app())


async def get(http, path, status=200, **query):
    answer = await http.get(path, params=query)
    assert answer.status == status
    return await answer.json()


async def test_rules_show_what_they_did_and_what_waits(http, desk):
    document = await get(http, "/api/rules")
    [rule] = document["rules"]
    assert (document["counted"], rule["held"], rule["parked"], rule["inForce"]) == ("all", 3, 2, True)
    assert rule["lastDay"] == {"chats": 4, "failed": 1, "parked": 0, "ended": 0, "skips": {"ignored": 2}}
    detail = await get(http, "/api/rules/urgent")
    assert (detail["text"], detail["held"]) == ("name: urgent\n", 3)
    assert "there is no rule" in (await get(http, "/api/rules/none", 404))["detail"]


async def test_a_rule_is_paused_and_resumed(http, desk):
    for verb, paused in (("pause", True), ("pause", True), ("resume", False)):
        answer = await http.post(f"/api/rules/urgent/{verb}")
        assert (answer.status, await answer.json()) == (200, {"name": "urgent", "paused": paused})
        assert (await get(http, "/api/rules/urgent"))["paused"] is paused
    assert (await http.post("/api/rules/none/pause")).status == 404


async def test_rates_are_asked_in_whole_steps_and_summed(http, memory):
    memory.rate_rows = [
        Measured(TODAY, {"accepted": 2, "took_0": 1, "stale": 1}),
        Measured(TODAY + MINUTE, {"accepted": 1, "refused": 4, "took_3": 1}),
    ]
    document = await get(http, "/api/rates", since="2h", step="5m", source="crm")
    since = (NOW - 120 * MINUTE) // (5 * MINUTE) * (5 * MINUTE)
    assert memory.rates_asked == [RateQuery(since, NOW + 1, 5 * MINUTE, "source", "crm")]
    assert (document["stepSeconds"], document["source"], document["rule"]) == (300, "crm", None)
    assert [step["accepted"] for step in document["rates"]] == [2, 1]
    total = document["total"]
    assert (total["accepted"], total["refused"], total["skips"]) == (3, 4, {"stale": 1})
    assert (total["p50Ms"], total["p99Ms"]) == (100, 990)


@pytest.mark.parametrize(
    "query", [{"step": "30s"}, {"step": "x"}, {"step": "0m"}, {"since": "soon"}, {"until": "later"}]
)
async def test_rates_that_cannot_be_asked_say_why(http, query):
    assert "query parameter" in (await get(http, "/api/rates", 400, **query))["detail"]


async def test_rates_are_of_a_source_or_of_a_rule(http):
    assert "one of both" in (await get(http, "/api/rates", 409, source="a", rule="b"))["detail"]


async def test_a_long_span_has_longer_steps_instead_of_more(http):
    document = await get(http, "/api/rates", since="30d")
    assert document["stepSeconds"] == 29 * 60


async def test_usage_is_of_days(http, memory):
    memory.usage_rows = [Usage(TODAY, "a", 3, 1.5, NOW), Usage(TODAY, "b", 1, None, None), Usage(0, "a", 9, 9.0, 1)]
    document = await get(http, "/api/usage", since="2d")
    assert (document["chats"], document["credits"]) == (4, 1.5)
    assert [(row["day"][:4], row["rule"], row["credits"]) for row in document["usage"]] == [
        ("2026", "a", 1.5),
        ("2026", "b", None),
    ]
    document = await get(http, "/api/usage", rule="b", since="2d")
    assert (document["chats"], document["credits"]) == (1, None)


async def test_a_rule_as_text_is_tried_and_its_faults_have_places(http, desk, memory):
    memory.add(make_event())
    assert (await http.post("/api/try", json={"event": "0190-1", "rule": "name: x"})).status == 200
    assert (await http.post("/api/try", json={"source": "helpdesk", "body": {}, "rule": "name: y"})).status == 200
    assert desk.rules_tried == ["name: x", "name: y"]
    answer = await http.post("/api/try", json={"source": "helpdesk", "body": {}, "rule": "faulty"})
    document = await answer.json()
    assert (answer.status, document["faults"][0]["line"]) == (422, 1)


async def test_who_only_reads_tries_no_rule_and_who_may_not_see_all_tries_none_on_a_hidden_event(
    aiohttp_client, make_app, desk, memory
):
    memory.add(make_event())
    http = await aiohttp_client(make_app(None, {name: (Secret(name), name) for name in ("read", "operate", "admin")}))
    desk.paths = {"helpdesk": ("data.subject",)}
    statuses = {}
    for name in ("read", "operate", "admin"):
        headers = {"Authorization": f"Bearer {name}"}
        kept = await http.post("/api/try", json={"event": "0190-1", "rule": "name: x"}, headers=headers)
        sent = await http.post("/api/try", json={"source": "helpdesk", "body": {}, "rule": "name: x"}, headers=headers)
        statuses[name] = kept.status, sent.status
    assert statuses == {"read": (403, 403), "operate": (403, 200), "admin": (200, 200)}
