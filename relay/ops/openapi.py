"""The description of the API (OpenAPI 3.1), generated from the table of routes and the pydantic models."""

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from relay.ops.routes import ROUTES, Route
from relay.ops.wire import Problem

_REF: Final = "#/components/schemas/{model}"
_PATH_NAME: Final = re.compile(r"\{(\w+)\}")
_PROBLEMS: Final = {
    400: "What is asked cannot be understood.",
    401: "The token is missing or wrong.",
    403: "Without http.token: not from this machine.",
    404: "There is no such thing.",
    409: "It is not in a state in which this can be done.",
    503: "The ledger is away; come back after `Retry-After`.",
}
_EVENT: Final = {
    "type": "object",
    "description": "One event of the stream; before OpenAPI 3.2 that is what a stream's schema is taken for.",
    "properties": {
        "id": {"type": "string", "description": "the cursor"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "the CloudEvent, as `relay schema result` has it",
        },
    },
    "required": ["id", "data"],
}


def describe(version: str) -> dict[str, Any]:
    """The whole document."""
    definitions = _define(ROUTES)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, definitions)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Relay",
            "version": version,
            "description": "What operators see and do: events, dispatches, results, sources and rules.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": {name: found for name, found in definitions.items() if not name.endswith("Ask")},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "the value of http.token"}
            },
        },
    }


def _define(routes: Sequence[Route]) -> dict[str, Any]:
    gives: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Problem, "serialization")]
    gives += [(route.gives, "serialization") for route in routes if route.gives]
    asks: list[tuple[type[BaseModel], JsonSchemaMode]] = [(route.query, "validation") for route in routes]
    asks += [(route.body, "validation") for route in routes if route.body]
    _, document = models_json_schema(list(dict.fromkeys(gives + asks)), ref_template=_REF)
    definitions: dict[str, Any] = document["$defs"]
    return definitions


def _operation(route: Route, definitions: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(definitions[route.query.__name__])],
        "responses": _responses(route),
    }
    if route.body:
        schema = definitions[route.body.__name__]
        told["requestBody"] = {
            "required": "required" in schema or "oneOf" in schema,
            "content": {"application/json": {"schema": schema}},
        }
    return told


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PATH_NAME.findall(route.path)
    ]


def _query_parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": found.get("description", ""), "schema": _plain(found)}
        for name, found in schema["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter cannot be null: it is left out."""
    told = {key: value for key, value in schema.items() if key not in {"anyOf", "description", "title", "default"}}
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            told |= choice
    return told | ({} if schema.get("default") is None else {"default": schema["default"]})


def _responses(route: Route) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=route.gives.__name__)} if route.gives else _EVENT
    kind = "application/json" if route.gives else "text/event-stream"
    return {
        "200": {"description": route.summary, "content": {kind: {"schema": schema}}},
        **{str(status): _problem(status) for status in sorted({400, 401, 403, *route.problems})},
    }


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    told: dict[str, Any] = {
        "description": _PROBLEMS[status],
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status == 503:
        told["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return told
