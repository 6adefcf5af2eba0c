"""Options that several commands share."""

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
        help="A configuration file or folder; may be repeated, later ones override. "
        "Else RELAY_CONFIG, else config/relay.yaml.",
        show_default=False,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="RELAY_URL",
        help="The ops listener of a running relay; else that of the configuration, else http://127.0.0.1:8081.",
        show_default=False,
    ),
]
Token = Annotated[
    str | None, typer.Option("--token", envvar="RELAY_TOKEN", help="The token of http.token.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Headers = Annotated[
    list[str] | None, typer.Option("--header", "-H", help="A header, as 'Name: value'; may be repeated.")
]
SourceName = Annotated[
    str, typer.Argument(metavar="SOURCE", help="The name of a source.", autocompletion=complete_source)
]
Payload = Annotated[str, typer.Argument(metavar="FILE", help="The body as it comes in; - is stdin.")]


class Level(StrEnum):
    """From which level on lines are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Form(StrEnum):
    """How lines are written; `auto` is console on a terminal, else json."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


LogLevel = Annotated[
    Level, typer.Option("--log-level", envvar="RELAY_LOG_LEVEL", help="From which level on lines are written.")
]
LogFormat = Annotated[
    Form, typer.Option("--log-format", envvar="RELAY_LOG_FORMAT", help="auto: console on a terminal, else json.")
]
DEFAULT_URL: Final = "http://127.0.0.1:8081"
