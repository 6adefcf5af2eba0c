"""The API of jobs: what starts one, and what of it is refused with its reason."""

import pytest

from relay.model import ReplayAim
from tests.ops.desk import NOW, make_id, make_job
from tests.ops.test_api import get, post

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("body", "aim"),
    [
        ({"since": "24h"}, ReplayAim(NOW - 24 * HOUR, NOW)),
        ({"since": "24h", "until": "1h", "rate": "5/s"}, ReplayAim(NOW - 24 * HOUR, NOW - HOUR, spacing=200.0)),
        ({"since": "1h", "source": "crm", "rule": "urgent"}, ReplayAim(NOW - HOUR, NOW, "crm", "urgent")),
        ({"since": "1h", "label": "customer:Acme: Ltd"}, ReplayAim(NOW - HOUR, NOW, label=("customer", "Acme: Ltd"))),
        ({"since": "1h", "until": "2100-01-01T00:00:00Z", "dryRun": True}, ReplayAim(NOW - HOUR, NOW, dry=True)),
    ],
)
async def test_a_replay_takes_what_it_is_asked_for(http, desk, body, aim):
    document = await post(http, "/api/jobs", json={"kind": "replay", **body})
    assert [job.aim for job in desk.jobs_kept] == [aim]
    assert (document["state"], document["dryRun"], document["rule"]) == ("running", aim.dry, aim.rule)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "key since: field required"),
        ({"since": "yesterday"}, "key since: 'yesterday' is not a time"),
        ({"since": "1h", "rate": "fast"}, "key rate: 'fast' is not a rate"),
        ({"since": "1h", "label": "Acme"}, "key label: is no label"),
        ({"since": "1h", "sorce": "crm"}, "key sorce: unknown; allowed: kind, since, until, source"),
        ({"since": "1h", "kind": "erase"}, "key kind: input should be 'replay'"),
    ],
)
async def test_what_cannot_be_replayed_is_refused_with_its_key(http, desk, body, why):
    document = await post(http, "/api/jobs", 400, json=body)
    assert why in document["detail"]
    assert desk.jobs_kept == []


async def test_a_rule_that_is_not_in_force_is_not_found(http):
    document = await post(http, "/api/jobs", 404, json={"since": "1h", "rule": "gone"})
    assert 'there is no rule "gone"' in document["detail"]


async def test_jobs_are_listed_in_pages_and_cancelled(http, desk):
    desk.jobs_kept += [make_job(number, id=make_id(number)) for number in (1, 2, 3)]
    first = await get(http, "/api/jobs?limit=2")
    assert [job["id"] for job in first["jobs"]] == [make_id(3), make_id(2)]
    last = await get(http, f"/api/jobs?limit=2&cursor={first['cursor']}")
    assert ([job["id"] for job in last["jobs"]], last["cursor"]) == ([make_id(1)], None)
    assert (await post(http, f"/api/jobs/{make_id(1)}/cancel"))["state"] == "cancelled"
    assert "has ended as cancelled" in (await post(http, f"/api/jobs/{make_id(1)}/cancel", 409))["detail"]
