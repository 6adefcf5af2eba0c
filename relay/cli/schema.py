"""`relay schema`: prints the formats as JSON Schema, OpenAPI or AsyncAPI."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from relay.cli.options import Config


class SchemaKind(StrEnum):
    """The format to print."""

    CONFIG = "config"
    RESULT = "result"
    API = "api"
    ASYNCAPI = "asyncapi"


def schema(
    kind: Annotated[
        SchemaKind,
        typer.Argument(
            help="config: the file. result: the result messages. api: the ops listener, as OpenAPI."
            " asyncapi: the messages on RabbitMQ, from the configuration if there is one."
        ),
    ] = SchemaKind.CONFIG,
    config: Config = None,
) -> None:
    """Print a schema: JSON Schema, OpenAPI for the API, AsyncAPI for RabbitMQ."""
    from relay.cli.output import print_json

    print_json(_make(kind, config), indent=2)


def _make(kind: SchemaKind, paths: list[Path] | None) -> dict[str, Any]:
    from relay import __version__

    if kind is SchemaKind.CONFIG:
        from relay import config

        return config.json_schema()
    if kind is SchemaKind.RESULT:
        from relay.outbox import wire

        return wire.json_schema()
    if kind is SchemaKind.ASYNCAPI:
        from relay.app import describe_messages
        from relay.cli.settings import find_any, load

        settings = load(paths, strict=False).settings if find_any(paths) else None
        return describe_messages(settings, __version__)
    from relay.ops.openapi import describe

    return describe(__version__)
