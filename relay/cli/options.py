"""The options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from relay.cli.settings import complete_source

Config = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        help="A configuration file or folder; may be repeated, later ones override earlier ones. "
        "Default: RELAY_CONFIG, or config/relay.yaml.",
        show_default=False,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="RELAY_URL",
        help="The ops listener of a running relay; default: that of the configuration, or http://127.0.0.1:8081.",
        show_default=False,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="RELAY_TOKEN", help="The value of http.token or of one of http.tokens.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Headers = Annotated[list[str] | None, typer.Option("--header", "-H", help="A header 'Name: value'; may be repeated.")]
SourceName = Annotated[
    str, typer.Argument(metavar="SOURCE", help="The name of a source.", autocompletion=complete_source)
]
LabelFilter = Annotated[
    str | None, typer.Option("--label", metavar="NAME=VALUE", help="Only events with this label, as customer=Acme.")
]
Payload = Annotated[str, typer.Argument(metavar="FILE", help="The file with the body; - is stdin.")]


class Level(StrEnum):
    """The lowest level of lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LineFormat(StrEnum):
    """The format of log lines; `auto` is console on a terminal, otherwise json."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


LogLevel = Annotated[
    Level, typer.Option("--log-level", envvar="RELAY_LOG_LEVEL", help="The lowest level of lines that are written.")
]
LogFormat = Annotated[
    LineFormat,
    typer.Option("--log-format", envvar="RELAY_LOG_FORMAT", help="auto: console on a terminal, otherwise json."),
]
DEFAULT_URL: Final = "http://127.0.0.1:8081"


def read_label(written: str) -> str:
    """A label as the API asks for it."""
    name, sign, value = written.partition("=")
    if not (sign and name and value.strip()):
        raise typer.BadParameter("write NAME=VALUE, as customer=Acme", param_hint="--label")
    return f"{name}:{value}"
