"""The description is valid, complete, and what the API answers is what it says."""

import re

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.ops.desk import make_dispatch, make_event, make_failed, make_rejection


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
    ("get", "/api/rejected", "/api/rejected", None, 200),
]


@pytest.mark.parametrize(("method", "path", "url", "body", "status"), CALLS)
async def test_answers_are_as_described(http, memory, description, method, path, url, body, status):
    event, dispatch, attempts, told = make_failed(1)
    memory.add(event, dispatch, attempts=attempts, results=[told])
    memory.add(make_event(2), make_dispatch(make_event(2)))
    memory.refused = [make_rejection(1)]
    answer = await http.request(method, url, json=body)
    assert answer.status == status
    check(description, description["paths"][path][method], status, await answer.json(content_type=None))


async def test_it_describes_every_route_and_only_those(http, description):
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in http.server.app.router.routes()
        if route.resource.canonical.startswith("/api")
    }
    described = {(method, path) for path, methods in description["paths"].items() for method in methods}
    assert described == served
    assert described - {(method, path) for method, path, *_ in CALLS} == {("get", "/api/results")}


async def test_references_resolve_and_ids_are_unique(description):
    text = str(description)
    known = description["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= set(known)
    ids = [operation["operationId"] for methods in description["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids) == 15


async def test_query_parameters_are_described(description):
    found = {one["name"]: one for one in description["paths"]["/api/events"]["get"]["parameters"]}
    assert set(found) == {"source", "type", "status", "since", "until", "text", "cursor", "limit"}
    assert found["limit"]["schema"] == {"maximum": 500, "minimum": 1, "type": "integer", "default": 50}
    assert "parked" in found["status"]["schema"]["enum"]
    [dry] = [
        one for one in description["paths"]["/api/sources/{name}/readmit"]["post"]["parameters"] if one["in"] == "query"
    ]
    assert (dry["name"], dry["schema"]) == ("dryRun", {"type": "boolean", "default": False})
