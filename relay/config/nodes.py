"""Several nodes of one RabbitMQ: one user, one password."""

from collections.abc import Mapping
from typing import Any

from relay.config.address import part_password
from relay.config.block import fault
from relay.secret import Secret


def join_nodes(values: Any) -> Any:
    """The block's values with one user and one password for all nodes, the password apart. Raises when they differ.

    Without `url`, the first of `urls` is it.
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
    parted = part_password({"url": url})
    password = parted.get("password")
    if password is None:
        return url
    if _plain(values.get("password")) != _plain(password):
        raise fault("urls", "holds another password than `url` or `password`: all nodes are logged in to with one")
    return parted["url"]


def _plain(secret: Any) -> Any:
    return secret.reveal() if isinstance(secret, Secret) else secret
