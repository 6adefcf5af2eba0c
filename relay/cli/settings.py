"""Finds and loads the configuration that a command is to use."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from relay.cli.terminal import environment
from relay.errors import Misconfigured, RelayError

if TYPE_CHECKING:
    from relay.config import Loaded
    from relay.listener import Listener

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


def load(given: Sequence[Path] | None, *, strict: bool, trust: bool | None = None, examples: bool = True) -> "Loaded":
    """The configuration; with `strict` an unset variable is a fault. Raises Misconfigured with every fault.

    Without `examples` the uuids of the documents' examples are faults. With `trust` (or else when strict) the variables
    that name the system's authorities are looked at too, which takes some 20 ms.
    """
    paths = find(given)
    from relay import config

    env = environment()
    faults = _doubts(env) if (strict if trust is None else trust) else []
    try:
        loaded = config.load(paths, env, strict=strict, examples=examples)
    except Misconfigured as error:
        raise Misconfigured([*error.faults, *faults]) from None
    if faults:
        raise Misconfigured(faults)
    return loaded


def _doubts(env: Mapping[str, str]) -> list[str]:
    from relay.trust import doubts

    return doubts(env)


def address(key: str, listener: "Listener") -> str:
    """The URL at which the listener of this key is reached from this machine. Raises RelayError for port 0."""
    if listener.port == 0:
        raise RelayError(f"{key} has port 0, which the system chooses at each start: say by --url where it is")
    return listener.url


def complete_source(ctx: Any, incomplete: str) -> list[str]:
    """Names of sources for the shell; none while the configuration cannot be read."""
    try:
        settings = load(ctx.params.get("config"), strict=False).settings
    except Misconfigured:
        return []
    return [name for name in settings.sources if name.startswith(incomplete)]
