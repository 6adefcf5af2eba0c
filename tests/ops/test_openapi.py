"""The description is valid, complete, and what the API answers is what it says."""

import re

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from relay.model import JobState, ProblemState
from tests.ops.desk import (
    make_act,
    make_dispatch,
    make_event,
    make_failed,
    make_job,
    make_problem,
    make_rejection,
)


@pytest.fixture
async def description(http):
    return await (await http.get("/openapi.json")).json()


def check(description, operation, status, document):
    content = operation["responses"][str(status)]["content"]
    (found,) = content.values()
    resource = Resource.from_contents(description, default_specification=DRAFT202012)
    registry = Registry().with_resource("urn:api", resource)
    schema = {"$ref": "urn:api" + found["schema"]["$ref"]}
    jsonschema.Draft202012Validator(schema, registry=registry).validate(document)
    closed = description["components"]["schemas"][found["schema"]["$ref"].rpartition("/")[2]]
    if closed.get("additionalProperties") is not True:
        assert set(document) == set(closed["properties"])


CALLS = [
    ("get", "/api/events", "/api/events", None, 200),
    ("get", "/api/events", "/api/events?limit=x", None, 400),
    ("get", "/api/events/{id}", "/api/events/0190-1", None, 200),
    ("get", "/api/events/{id}", "/api/events/0190-7", None, 404),
    ("get", "/api/events/{id}/explain", "/api/events/0190-1/explain", None, 200),
    ("get", "/api/events/{id}/explain", "/api/events/0190-7/explain", None, 404),
    ("post", "/api/events/{id}/replay", "/api/events/0190-1/replay", {"again": True}, 200),
    ("post", "/api/dispatches/{id}/retry", "/api/dispatches/d-0190-1/retry", None, 200),
    ("post", "/api/dispatches/{id}/retry", "/api/dispatches/d-0190-2/retry", None, 409),
    ("post", "/api/dispatches/{id}/cancel", "/api/dispatches/d-0190-1/cancel", None, 200),
    ("post", "/api/try", "/api/try", {"source": "helpdesk", "body": {}}, 200),
    ("get", "/api/sources", "/api/sources", None, 200),
    ("post", "/api/sources/{name}/pause", "/api/sources/helpdesk/pause", None, 200),
    ("post", "/api/sources/{name}/resume", "/api/sources/helpdesk/resume", None, 200),
    ("post", "/api/sources/{name}/readmit", "/api/sources/helpdesk/readmit?dryRun=true", None, 200),
    ("post", "/api/sources/{name}/readmit", "/api/sources/crm-bus/readmit", None, 409),
    ("post", "/api/sources/{name}/forget", "/api/sources/helpdesk/forget", None, 200),
    ("get", "/api/sources/{name}/secret", "/api/sources/helpdesk/secret", None, 200),
    ("get", "/api/sources/{name}/secret", "/api/sources/crm-bus/secret", None, 404),
    ("get", "/api/rules", "/api/rules", None, 200),
    ("get", "/api/doctor", "/api/doctor", None, 200),
    ("get", "/api/rules/{name}", "/api/rules/urgent", None, 200),
    ("get", "/api/rules/{name}", "/api/rules/none", None, 404),
    ("post", "/api/rules/{name}/pause", "/api/rules/urgent/pause", None, 200),
    ("post", "/api/rules/{name}/pause", "/api/rules/none/pause", None, 404),
    ("post", "/api/rules/{name}/resume", "/api/rules/urgent/resume", None, 200),
    ("get", "/api/rates", "/api/rates?since=1h&rule=urgent", None, 200),
    ("get", "/api/rates", "/api/rates?rule=urgent&source=crm", None, 409),
    ("get", "/api/usage", "/api/usage", None, 200),
    ("get", "/api/replicas", "/api/replicas", None, 200),
    ("get", "/api/results/told", "/api/results/told?limit=1", None, 200),
    ("get", "/api/results/waiting", "/api/results/waiting", None, 200),
    ("post", "/api/try", "/api/try", {"source": "helpdesk", "body": "{}", "rule": "faulty"}, 422),
    ("get", "/api/config", "/api/config", None, 200),
    ("get", "/api/doctor", "/api/doctor", None, 200),
    ("post", "/api/reload", "/api/reload", None, 200),
    ("get", "/api/rejected", "/api/rejected", None, 200),
    ("get", "/api/problems", "/api/problems", None, 200),
    ("get", "/api/problems", "/api/problems?state=over", None, 400),
    ("post", "/api/problems/{id}/acknowledge", "/api/problems/p-1/acknowledge", None, 200),
    ("post", "/api/problems/{id}/resolve", "/api/problems/p-1/resolve", None, 200),
    ("post", "/api/problems/{id}/resolve", "/api/problems/p-2/resolve", None, 409),
    ("get", "/api/acts", "/api/acts", None, 200),
    ("get", "/api/dead", "/api/dead", None, 200),
    ("post", "/api/erase", "/api/erase", {"subject": "a"}, 200),
    ("post", "/api/erase", "/api/erase", {}, 400),
    ("post", "/api/dead/requeue", "/api/dead/requeue", {"ids": ["0001"]}, 200),
    ("post", "/api/dead/requeue", "/api/dead/requeue", {"ids": []}, 400),
    ("get", "/api/jobs", "/api/jobs", None, 200),
    ("post", "/api/jobs", "/api/jobs", {"since": "1h"}, 200),
    ("post", "/api/jobs", "/api/jobs", {}, 400),
    ("get", "/api/jobs/{id}", "/api/jobs/j-1", None, 200),
    ("get", "/api/jobs/{id}", "/api/jobs/j-9", None, 404),
    ("post", "/api/jobs/{id}/cancel", "/api/jobs/j-1/cancel", None, 200),
    ("post", "/api/jobs/{id}/cancel", "/api/jobs/j-2/cancel", None, 409),
]


@pytest.mark.parametrize(("method", "path", "url", "body", "status"), CALLS)
async def test_answers_are_as_described(http, memory, desk, description, method, path, url, body, status):
    event, dispatch, attempts, told = make_failed(1)
    memory.add(event, dispatch, attempts=attempts, results=[told])
    memory.add(make_event(2), make_dispatch(make_event(2)))
    memory.refused = [make_rejection(1)]
    memory.act_rows = [make_act(1)]
    memory.problem_rows = [make_problem(1), make_problem(2, ProblemState.RESOLVED)]
    desk.jobs_kept = [make_job(1, fault="gone", fault_event=event.id), make_job(2, state=JobState.DONE)]
    answer = await http.request(method, url, json=body)
    assert answer.status == status
    check(description, description["paths"][path][method], status, await answer.json(content_type=None))


async def test_a_refused_configuration_is_answered_as_described(http, desk, description):
    desk.faults = ["is not a rule", "is no key"]
    answer = await http.post("/api/reload")
    assert answer.status == 422
    document = await answer.json(content_type=None)
    check(description, description["paths"]["/api/reload"]["post"], 422, document)
    assert [fault["text"] for fault in document["faults"]] == [
        "a.yaml:1:2: rules: is not a rule",
        "a.yaml:1:2: rules: is no key",
    ]


async def test_it_describes_every_route_and_only_those(http, description):
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in http.server.app.router.routes()
        if route.resource.canonical.startswith("/api")
    }
    described = {(method, path) for path, methods in description["paths"].items() for method in methods}
    unsaid = {("head", path) for method, path in described if method == "get" and path != "/api/results"}
    assert described | unsaid == served, "what HEAD gives is said by GET"
    assert described - {(method, path) for method, path, *_ in CALLS} == {("get", "/api/results")}


async def test_references_resolve_and_ids_are_unique(description):
    text = str(description)
    known = description["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= set(known)
    ids = [operation["operationId"] for methods in description["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids) == 38


async def test_query_parameters_are_described(description):
    found = {one["name"]: one for one in description["paths"]["/api/events"]["get"]["parameters"]}
    assert set(found) == {
        "source",
        "type",
        "status",
        "since",
        "until",
        "text",
        "label",
        "rule",
        "subject",
        "chat",
        "cursor",
        "limit",
    }
    assert found["limit"]["schema"] == {"maximum": 500, "minimum": 1, "type": "integer", "default": 50}
    assert "parked" in found["status"]["schema"]["enum"]
    [dry] = [
        one for one in description["paths"]["/api/sources/{name}/readmit"]["post"]["parameters"] if one["in"] == "query"
    ]
    assert (dry["name"], dry["schema"]) == ("dryRun", {"type": "boolean", "default": False})
