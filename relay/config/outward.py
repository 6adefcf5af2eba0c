"""Chooses the proxy for Cargo: `cargo.proxy`, or the usual environment variables."""

from collections.abc import Mapping
from typing import Final

from relay import proxy
from relay.config.address import NO_PROXY
from relay.config.draft import Draft
from relay.config.fault import ConfigFault, Warn
from relay.config.tree import Mark
from relay.proxy import BadVariable, Proxy

_ENVIRONMENT: Final = Mark(1 << 30, 0, 0, "environment")
_VENDOR: Final = "https://vendor.invalid/"


def choose(draft: Draft, env: Mapping[str, str]) -> Proxy | None:
    """The proxy for calls to Cargo, None for a direct connection. Adds the faults of the variables to `draft`."""
    cargo = draft.blocks["cargo"]
    if cargo is None or draft.opaque("cargo", "proxy") or draft.opaque("cargo", "base_url"):
        return None
    selected, bad_variable = None, None
    if not draft.whole("cargo", "proxy") or cargo.proxy == NO_PROXY:
        pass
    elif cargo.proxy is not None:
        selected = proxy.parse(cargo.proxy.reveal(), "cargo.proxy")
    elif draft.whole("cargo", "base_url"):
        selected, bad_variable = _try(draft, cargo.base_url, env)
    _check_vendors(draft, env, bad_variable)
    return selected


def _try(draft: Draft, url: str, env: Mapping[str, str]) -> tuple[Proxy | None, str | None]:
    try:
        return proxy.find(url, env), None
    except BadVariable as error:
        message = f"{error}; or set cargo.proxy, where none means no proxy"
        draft.faults.append(ConfigFault(_ENVIRONMENT, error.name, message))
        return None, error.name


def _check_vendors(draft: Draft, env: Mapping[str, str], reported: str | None) -> None:
    """Warn of faults in the proxy for vendors' certificates: it comes from the environment, not from `cargo.proxy`."""
    used = None
    try:
        used = proxy.find(_VENDOR, env)
    except BadVariable as error:
        if error.name != reported:
            message = f"{error}; until then vendors' certificates cannot be fetched"
            draft.faults.append(Warn(_ENVIRONMENT, error.name, message))
    exceptions = proxy.odd_exceptions(env)
    if used is not None and exceptions is not None:
        message = (
            f"{', '.join(map(repr, exceptions[1]))} cannot match a host: write names, .suffixes, addresses or networks"
        )
        draft.faults.append(Warn(_ENVIRONMENT, exceptions[0], message))
