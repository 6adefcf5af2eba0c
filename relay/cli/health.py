"""`relay health`: asks whether the service is alive. It runs often, so it imports as little as possible."""

import time
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from relay.cli.guard import Unreachable, reason
from relay.cli.options import AsJson, Config
from relay.errors import Misconfigured, RelayError
from relay.visible import visible

_TIMEOUT: Final = 3.0
_AGAIN: Final = 0.2
"""Seconds between two requests with `--wait`."""
_DEFAULT: Final = "http://127.0.0.1:8082"


def health(
    url: Annotated[
        str | None,
        typer.Option(
            envvar="RELAY_HEALTH_URL",
            help=f"The health listener; default: that of the configuration, or {_DEFAULT}.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Wait for so long, as 30s, until it is ready (/readyz): it has started and takes events.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Request /livez. The exit code is 3 when the service does not answer, is not alive, or not ready in time."""
    import json
    import sys

    patience = None if wait is None else _read_duration(wait)
    target = url or _find(config)
    text = _ask(target, "livez", "alive") if patience is None else _wait(target, patience)
    line = json.dumps({"url": target, "status": text}) if as_json else visible(f"{target}: {text}")
    sys.stdout.write(f"{line}\n")  # not by cli.output, which imports the library for tables


def _find(config: Config) -> str:
    from relay.cli.settings import address, find, load

    try:
        find(config)
    except Misconfigured:
        return _DEFAULT
    return address("http.health", load(config, strict=False).settings.http.health)


def _read_duration(written: str) -> float:
    """Seconds."""
    from relay.units import duration

    try:
        return duration(written) / 1_000
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--wait") from None


def _wait(url: str, seconds: float) -> str:
    """What /readyz says once it is ready. Raises Unreachable with what was last in the way."""
    until = time.monotonic() + seconds
    while True:
        try:
            return _ask(url, "readyz", "ready")
        except Unreachable:
            if time.monotonic() >= until:
                raise
        time.sleep(_AGAIN)


def _ask(url: str, path: str, wanted: str) -> str:
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        raise RelayError(f"--url {url!r} is not an address; write for example {_DEFAULT}")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(host, port, timeout=_TIMEOUT)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/{path}")
        answer = connection.getresponse()
        text: str = answer.read(1_000).decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        raise Unreachable(f"{url} does not answer ({reason(error)}); is `relay serve` running?") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise Unreachable(f"{url} is not {wanted} ({answer.status}): {text}")
    return text
