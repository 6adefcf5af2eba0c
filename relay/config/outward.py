"""The way out to Cargo: `cargo.proxy`, or else what the environment says as it does to every other client."""

from collections.abc import Mapping
from typing import Final

from relay import proxy
from relay.config.address import NO_PROXY
from relay.config.draft import Draft
from relay.config.fault import Fault, Warn
from relay.config.tree import Mark
from relay.proxy import BadVariable, Proxy

_ENVIRONMENT: Final = Mark(1 << 30, 0, 0, "environment")
_VENDOR: Final = "https://vendor.invalid/"


def choose(draft: Draft, env: Mapping[str, str]) -> Proxy | None:
    """The proxy for calls to Cargo, None for the straight way. Adds to `draft` what is wrong with the variables."""
    cargo = draft.blocks["cargo"]
    if cargo is None or draft.opaque("cargo", "proxy") or draft.opaque("cargo", "base_url"):
        return None
    found, bad = None, None
    if not draft.whole("cargo", "proxy") or cargo.proxy == NO_PROXY:
        pass
    elif cargo.proxy is not None:
        found = proxy.parse(cargo.proxy.reveal(), "cargo.proxy")
    elif draft.whole("cargo", "base_url"):
        found, bad = _try(draft, cargo.base_url, env)
    _check_vendors(draft, env, bad)
    return found


def _try(draft: Draft, url: str, env: Mapping[str, str]) -> tuple[Proxy | None, str | None]:
    try:
        return proxy.find(url, env), None
    except BadVariable as error:
        told = f"{error}; or set cargo.proxy, where none means no proxy"
        draft.faults.append(Fault(_ENVIRONMENT, error.name, told))
        return None, error.name


def _check_vendors(draft: Draft, env: Mapping[str, str], known: str | None) -> None:
    """Certificates of vendors are fetched as the environment says, whatever cargo.proxy is."""
    used = None
    try:
        used = proxy.find(_VENDOR, env)
    except BadVariable as error:
        if error.name != known:
            told = f"{error}; until then nothing can be fetched from vendors, as their certificates"
            draft.faults.append(Warn(_ENVIRONMENT, error.name, told))
    odd = proxy.odd_exceptions(env)
    if used is not None and odd is not None:
        told = f"{', '.join(map(repr, odd[1]))} can fit no host: write names, .suffixes, addresses or networks"
        draft.faults.append(Warn(_ENVIRONMENT, odd[0], told))
