"""Finds and loads the configuration that a command is to use."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from relay.errors import Misconfigured

if TYPE_CHECKING:
    from relay.config import Loaded
    from relay.config.kinds import Listener

_DEFAULT: Final = Path("config/relay.yaml")


def find_any(given: Sequence[Path] | None) -> list[Path]:
    """`--config`, else RELAY_CONFIG, else config/relay.yaml, else none."""
    if given:
        return list(given)
    if named := os.environ.get("RELAY_CONFIG"):
        return [Path(path) for path in named.split(os.pathsep) if path]
    return [_DEFAULT] if _DEFAULT.exists() else []


def find(given: Sequence[Path] | None) -> list[Path]:
    """The same. Raises Misconfigured when there is none."""
    if paths := find_any(given):
        return paths
    raise Misconfigured(
        [f"{_DEFAULT}: there is none here: write one with `relay init VENDOR`, or name yours by --config"]
    )


def load(given: Sequence[Path] | None, *, strict: bool) -> "Loaded":
    """The configuration; with `strict` an unset variable is a fault. Raises Misconfigured with every fault."""
    paths = find(given)
    from relay import config

    return config.load(paths, os.environ, strict=strict)


def address(listener: "Listener") -> str:
    """The URL at which a listener is reached from this machine."""
    host = listener.host
    if listener.wildcard:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{listener.port}" if ":" in host else f"http://{host}:{listener.port}"


def complete_source(ctx: Any, incomplete: str) -> list[str]:
    """Names of sources for the shell; none while the configuration cannot be read."""
    try:
        settings = load(ctx.params.get("config"), strict=False).settings
    except Misconfigured:
        return []
    return [name for name in settings.sources if name.startswith(incomplete)]
