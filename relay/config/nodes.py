"""Gives all nodes of a RabbitMQ cluster the same user and password."""

from collections.abc import Mapping
from typing import Any

from relay.config.address import part_password
from relay.secret import Secret
from relay.written.block import fault


def join_nodes(values: Any) -> Any:
    """The values of the block with the passwords of all nodes moved to `password`. Raises a fault when they differ.

    Without `url`, it is the first of `urls`.
    """
    if not isinstance(values, Mapping):
        return values
    urls = values.get("urls")
    if isinstance(urls, list) and urls and values.get("url") is None:
        values = {**values, "url": urls[0]}
    values = part_password(values)
    if not isinstance(values.get("urls"), list):
        return values
    return {**values, "urls": [_join(url, values) for url in values["urls"]]}


def _join(url: Any, values: Mapping[str, Any]) -> Any:
    separated = part_password({"url": url})
    password = separated.get("password")
    if password is None:
        return url
    if _plain(values.get("password")) != _plain(password):
        raise fault("urls", "contains another password than `url` or `password`: use one password for all nodes")
    return separated["url"]


def _plain(secret: Any) -> Any:
    return secret.reveal() if isinstance(secret, Secret) else secret
