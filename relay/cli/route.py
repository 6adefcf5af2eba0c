"""The way of a command's own requests: straight to this machine, else by the proxy that the environment names."""

import os
from collections.abc import Mapping
from typing import Any

import aiohttp

from relay.cli import guard
from relay.errors import RelayError
from relay.proxy import BadVariable, find, steer


def route(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of an aiohttp request to `url`. Raises RelayError for a variable that names no proxy."""
    try:
        return steer(find(url, os.environ), url.partition(":")[0], headers)
    except BadVariable as error:
        raise RelayError(f"{error.name} {error}") from None
    except ValueError:
        return {"headers": headers}  # no URL, which aiohttp tells better


def reason(error: Exception, way: Mapping[str, Any]) -> str:
    """Why a request did not come through, with the proxy that was on the way."""
    proxy = way.get("proxy")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy {proxy} answered {error.status}"
    return guard.reason(error) + (f", by the proxy {proxy}" if proxy else "")
