"""The description of the API (OpenAPI 3.1), generated from the table of routes and the pydantic models."""

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from relay.ops.routes import ROUTES, Route
from relay.ops.wire import FaultyConfiguration, ProblemDetails

_REF: Final = "#/components/schemas/{model}"
_PATH_NAME: Final = re.compile(r"\{(\w+)\}")
_PROBLEMS: Final = {
    400: "The request is malformed.",
    401: "The token is missing or wrong.",
    403: "The request is cross-site, or without http.token not from this machine.",
    404: "There is nothing with this id or name.",
    409: "Its state does not allow this.",
    422: "The configuration, or the rule to try, has faults; `faults` has each with its place. Nothing was changed.",
    503: "The ledger is unavailable; try again after `Retry-After`.",
}
_SHAPES: Final[dict[int, type[ProblemDetails]]] = {422: FaultyConfiguration}
"""Problems with members of their own."""
_EVENT: Final = {
    "type": "object",
    "description": "One event of the stream: before OpenAPI 3.2 the schema of a stream describes a single event.",
    "properties": {
        "id": {"type": "string", "description": "the cursor"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "the CloudEvent, described by `relay schema result`",
        },
    },
    "required": ["id", "data"],
}


def describe(version: str) -> dict[str, Any]:
    """The OpenAPI document. `version` is Relay's version."""
    definitions = _define(ROUTES)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, definitions)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Relay",
            "version": version,
            "description": "The API for operators: events, dispatches, results, sources and rules.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in definitions.items() if not name.endswith("Ask")},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "the value of http.token"}
            },
        },
    }


def _define(routes: Sequence[Route]) -> dict[str, Any]:
    problems: list[type[BaseModel]] = [ProblemDetails, *_SHAPES.values()]
    gives: list[tuple[type[BaseModel], JsonSchemaMode]] = [(problem, "serialization") for problem in problems]
    gives += [(route.gives, "serialization") for route in routes if route.gives]
    asks: list[tuple[type[BaseModel], JsonSchemaMode]] = [(route.query, "validation") for route in routes]
    asks += [(route.body, "validation") for route in routes if route.body]
    _, document = models_json_schema(list(dict.fromkeys(gives + asks)), ref_template=_REF)
    definitions: dict[str, Any] = document["$defs"]
    return definitions


def _operation(route: Route, definitions: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(definitions[route.query.__name__])],
        "responses": _responses(route),
    }
    if route.body:
        schema = definitions[route.body.__name__]
        operation["requestBody"] = {
            "required": "required" in schema or "oneOf" in schema,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PATH_NAME.findall(route.path)
    ]


def _query_parameters(model: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "description": parameter.get("description", ""), "schema": _plain(parameter)}
        for name, parameter in model["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a query parameter, without the alternative `null`: a query parameter is omitted instead."""
    plain = {key: value for key, value in schema.items() if key not in {"anyOf", "description", "title", "default"}}
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            plain |= choice
    return plain | ({} if schema.get("default") is None else {"default": schema["default"]})


def _responses(route: Route) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=route.gives.__name__)} if route.gives else _EVENT
    kind = "application/json" if route.gives else "text/event-stream"
    return {
        "200": {"description": route.summary, "content": {kind: {"schema": schema}}},
        **{str(status): _problem(status) for status in sorted({400, 401, 403, *route.problems})},
    }


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=_SHAPES.get(status, ProblemDetails).__name__)}
    response: dict[str, Any] = {
        "description": _PROBLEMS[status],
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status == 503:
        response["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return response
