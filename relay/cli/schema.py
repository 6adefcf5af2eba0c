"""`relay schema`: the formats, as JSON Schema or OpenAPI."""

from enum import StrEnum
from typing import Annotated, Any

import typer


class Kind(StrEnum):
    """Which format."""

    CONFIG = "config"
    RESULT = "result"
    API = "api"


def schema(
    kind: Annotated[
        Kind, typer.Argument(help="config: the file. result: the messages told. api: the ops listener, as OpenAPI.")
    ] = Kind.CONFIG,
) -> None:
    """Print a schema: JSON Schema, or OpenAPI for the API."""
    import json

    from relay.cli.output import print_line

    print_line(json.dumps(_make(kind), indent=2, ensure_ascii=False))


def _make(kind: Kind) -> dict[str, Any]:
    if kind is Kind.CONFIG:
        from relay import config

        return config.json_schema()
    if kind is Kind.RESULT:
        from relay.outbox import wire

        return wire.json_schema()
    from relay import __version__
    from relay.ops.openapi import describe

    return describe(__version__)
