"""Problems over the API and at the health listener."""

from dataclasses import replace

import pytest
from aiohttp.test_utils import TestClient, TestServer

from relay.model import Gauges, ProblemKind, ProblemState
from relay.ops import make_health_app
from relay.telemetry import PartState
from tests.ops.desk import make_id, make_problem


@pytest.fixture
def memory_with(memory):
    memory.problem_rows = [
        make_problem(3),
        make_problem(2, kind=ProblemKind.REJECTIONS, source="helpdesk", rule=None, code="method", detail=None),
        make_problem(1, ProblemState.RESOLVED),
    ]
    return memory


async def ids(http, path):
    return [problem["id"] for problem in (await (await http.get(path)).json())["problems"]]


async def test_problems_are_listed_by_filters_in_pages(http, memory_with):
    document = await (await http.get("/api/problems?limit=1")).json()
    assert document == {"problems": [make_problem(3).document()], "cursor": "p-3"}
    memory_with.problem_rows[1] = replace(memory_with.problem_rows[1], id=make_id(2))
    assert await ids(http, f"/api/problems?cursor={make_id(3)}") == [make_id(2)]
    assert await ids(http, "/api/problems?kind=rejections&source=helpdesk") == [make_id(2)]
    assert await ids(http, "/api/problems?state=resolved&rule=urgent") == ["p-1"]
    answer = await http.get("/api/problems?kind=trouble")
    assert answer.status == 400
    assert "kind" in (await answer.json())["detail"]


async def test_a_problem_is_acknowledged_by_name_and_resolved(http, memory_with):
    seen = await (await http.post("/api/problems/p-3/acknowledge")).json()
    assert (seen["state"], seen["acknowledgedBy"]) == ("acknowledged", "local")
    assert (await (await http.post("/api/problems/p-3/resolve")).json())["state"] == "resolved"
    assert (await http.post("/api/problems/p-3/resolve")).status == 409
    assert (await http.post("/api/problems/none/resolve")).status == 404


async def test_readyz_lists_problems_when_asked(status, metrics):
    async def gauges():
        return Gauges()

    status.problems = (make_problem(1).document(),)
    async with TestClient(TestServer(make_health_app(status, metrics, gauges))) as http:
        text = await (await http.get("/readyz?verbose")).text()
        assert "problem: failures urgent render: open since" in text
        document = await (await http.get("/readyz?verbose", headers={"Accept": "application/json"})).json()
        whole = make_problem(1).document()
        shown = ("kind", "source", "rule", "code", "state", "count", "firstAt", "lastAt")
        assert document["problems"] == [{name: whole[name] for name in shown}]
        assert "problem" not in await (await http.get("/readyz")).text()


async def test_what_an_event_says_of_a_problem_or_a_part_is_not_at_the_health_listener(status, metrics, http):
    async def gauges():
        return Gauges()

    mail = "zoe@hidden.org"
    status.set("publisher", PartState.DEGRADED, f"no queue takes 'deal.{mail}'", public="no queue takes some")
    status.set("ledger", PartState.DOWN, f"it cannot take {mail}", vital=True, public="it cannot take some")
    status.problems = (make_problem(1, kind=ProblemKind.LOOP, detail=mail).document(),)
    async with TestClient(TestServer(make_health_app(status, metrics, gauges))) as health:
        for accept in ("text/plain", "application/json"):
            text = await (await health.get("/readyz?verbose", headers={"Accept": accept})).text()
            assert mail not in text
            assert "0190-1" not in text
            assert "no queue takes some" in text
            assert "it cannot take some" in text
    assert f"deal.{mail}" in await (await http.get("/")).text(), "the ops listener keeps it"
