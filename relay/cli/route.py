"""The route of a command's requests: directly to this machine, otherwise through the environment's proxy."""

import os
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from relay.cli import guard
from relay.errors import RelayError
from relay.proxy import BadVariable, find, steer


def require_address(url: str, example: str) -> None:
    """Raise RelayError unless the URL has http:// or https://, a host and a valid port."""
    try:
        parsed = URL(url)
        if parsed.scheme in {"http", "https"} and parsed.host and parsed.port:
            return
    except ValueError:
        pass
    raise RelayError(f"--url {url!r} is not an address; write for example {example}")


def route(url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of an aiohttp request to `url`. Raises RelayError for a variable that is not a valid proxy."""
    try:
        return steer(find(url, os.environ), url.partition(":")[0], headers)
    except BadVariable as error:
        raise RelayError(f"{error.name} {error}") from None
    except ValueError:
        return {"headers": headers}  # not a URL, which aiohttp reports better


def reason(error: Exception, arguments: Mapping[str, Any]) -> str:
    """Why a request failed, with the proxy that it used."""
    proxy = arguments.get("proxy")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy {proxy} answered {error.status}"
    return guard.reason(error) + (f", through the proxy {proxy}" if proxy else "")
