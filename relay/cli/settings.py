"""Finds and loads the configuration for a command."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from relay.cli.terminal import environment
from relay.errors import Misconfigured, RelayError
from relay.place import exists

if TYPE_CHECKING:
    from relay.config import Loaded
    from relay.listener import Listener

_DEFAULT: Final = Path("config/relay.yaml")


def find_any(paths: Sequence[Path] | None) -> list[Path]:
    """The paths in `--config`, otherwise in RELAY_CONFIG, otherwise config/relay.yaml if it exists, otherwise none."""
    if paths:
        return list(paths)
    if variable := os.environ.get("RELAY_CONFIG"):
        return [Path(path) for path in variable.split(os.pathsep) if path]
    return [_DEFAULT] if exists(_DEFAULT) else []


def find(named: Sequence[Path] | None) -> list[Path]:
    """The paths of `find_any`. Raises Misconfigured when there are none."""
    if paths := find_any(named):
        return paths
    raise Misconfigured(
        [f"{_DEFAULT}: does not exist: write it with `relay init VENDOR`, or name your configuration with --config"]
    )


def load(named: Sequence[Path] | None, *, strict: bool, trust: bool | None = None, examples: bool = True) -> "Loaded":
    """Load the configuration. Raises Misconfigured with all faults.

    With `strict` an unset variable is a fault. With `examples` false, the uuids of the examples are faults. `trust`
    (default: `strict`) checks the variables that name the system's certificate authorities, which takes about 20 ms.
    """
    paths = find(named)
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
    """The URL for reaching the listener of this key from this machine. Raises RelayError for port 0."""
    if listener.port == 0:
        raise RelayError(f"{key} has port 0, so the system chooses a port at each start: give the address with --url")
    return listener.url


def complete_source(ctx: Any, incomplete: str) -> list[str]:
    """Complete names of sources in the shell; none when the configuration cannot be read."""
    try:
        settings = load(ctx.params.get("config"), strict=False).settings
    except Misconfigured:
        return []
    return [name for name in settings.sources if name.startswith(incomplete)]
